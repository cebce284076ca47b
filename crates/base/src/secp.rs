//! Who signed a digest: one recovery through the C library, for every form in which wallets send a signature.
//!
//! This is the hot path of payments: a voucher is one EIP-712 digest and one recovery. The signature is read once, its
//! canonical form is the [`EvmSignature`] that a contract can be given, and the domain's separator comes cached with a
//! [`Domain`](crate::Domain).

use alloy_primitives::{Address, B256};
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use secp256k1::{Message, SECP256K1};

use crate::evm_signature::EvmSignature;
use crate::keys::{KeyError, address_of};

/// Bytes of r, s and v.
pub const FULL: usize = 65;
/// Bytes of the compact form of EIP-2098: r, and s with the recovery bit on top.
pub const COMPACT: usize = 64;

/// Half the order of the group, big-endian: the greatest s that is canonical (EIP-2).
const HALF_ORDER: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x5d, 0x57, 0x6e,
    0x73, 0x57, 0xa4, 0x50, 0x1d, 0xdf, 0xe9, 0x2f, 0x46, 0x68, 0x1b, 0x20, 0xa0,
];

/// Reads a signature as wallets send it: 65 bytes with v 0, 1, 27 or 28, or the 64 bytes of EIP-2098.
///
/// The bytes that come out are r ‖ s ‖ v with v 27 or 28. A high s is refused and never turned: it would be another
/// signature than the one that was sent, and the token refuses it too.
///
/// # Errors
/// [`KeyError::BadSignature`] for another length or v, a high s, or numbers outside the group.
pub fn read(signature: &[u8]) -> Result<EvmSignature, KeyError> {
    let (bytes, _) = parse(signature)?;
    Ok(EvmSignature::from_checked(bytes))
}

/// The address whose key signed `digest`, and the signature in its canonical form.
///
/// # Errors
/// [`KeyError::BadSignature`] as for [`read`], or if no key could have signed.
pub fn recover(digest: &B256, signature: &[u8]) -> Result<(Address, EvmSignature), KeyError> {
    let (bytes, parsed) = parse(signature)?;
    let key = SECP256K1.recover_ecdsa(Message::from_digest(digest.0), &parsed).map_err(|_| KeyError::BadSignature)?;
    Ok((address_of(&key), EvmSignature::from_checked(bytes)))
}

/// Checks that the key of `signer` signed `digest`, and gives the signature in its canonical form.
///
/// # Errors
/// [`KeyError::BadSignature`] as for [`recover`], or if another key signed.
pub fn verify_signature(digest: &B256, signature: &[u8], signer: Address) -> Result<EvmSignature, KeyError> {
    let (by, canonical) = recover(digest, signature)?;
    if by == signer { Ok(canonical) } else { Err(KeyError::BadSignature) }
}

fn parse(signature: &[u8]) -> Result<([u8; FULL], RecoverableSignature), KeyError> {
    let mut bytes = [0; FULL];
    let odd = match signature.len() {
        FULL => {
            bytes.copy_from_slice(signature);
            match signature[COMPACT] {
                0 | 27 => false,
                1 | 28 => true,
                _ => return Err(KeyError::BadSignature),
            }
        }
        COMPACT => {
            bytes[..COMPACT].copy_from_slice(signature);
            let odd = bytes[32] & 0x80 != 0;
            bytes[32] &= 0x7f;
            odd
        }
        _ => return Err(KeyError::BadSignature),
    };
    bytes[COMPACT] = if odd { 28 } else { 27 };
    if bytes[32..COMPACT] > HALF_ORDER[..] {
        return Err(KeyError::BadSignature);
    }
    let recovery = if odd { RecoveryId::One } else { RecoveryId::Zero };
    let parsed = RecoverableSignature::from_compact(&bytes[..COMPACT], recovery).map_err(|_| KeyError::BadSignature)?;
    Ok((bytes, parsed))
}

#[cfg(test)]
mod tests;
