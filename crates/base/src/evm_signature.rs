//! A 65-byte Ethereum signature (r, s, v) that is canonical by construction.

use std::fmt;
use std::str::FromStr;

use alloy_primitives::{Address, B256};
use secp256k1::ecdsa::{RecoverableSignature, RecoveryId};
use secp256k1::{Message, SECP256K1};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::keys::{KeyError, address_of};

/// Ethereum's offset of the recovery id.
const V_OFFSET: u8 = 27;

/// An Ethereum signature: r and s big-endian, v 27 or 28, and s in the lower half of the group,
/// as EIP-2 and the token's contract demand. `0x` hexadecimal in JSON, a byte string in CBOR.
#[derive(Copy, Clone, PartialEq, Eq, Hash)]
pub struct EvmSignature([u8; 65]);

impl EvmSignature {
    /// A signature from its 65 bytes.
    ///
    /// # Errors
    /// [`KeyError::BadSignature`] unless v is 27 or 28, r and s are in range and s is low.
    pub fn from_bytes(bytes: [u8; 65]) -> Result<Self, KeyError> {
        let signature = parse(&bytes)?;
        let standard = signature.to_standard();
        let mut normal = standard;
        normal.normalize_s();
        if normal != standard {
            return Err(KeyError::BadSignature);
        }
        Ok(Self(bytes))
    }

    /// From bytes that were checked as [`EvmSignature::from_bytes`] checks them, and have v 27 or 28.
    pub(crate) const fn from_checked(bytes: [u8; 65]) -> Self {
        Self(bytes)
    }

    pub(crate) fn from_recoverable(signature: &RecoverableSignature) -> Self {
        let (recovery, compact) = signature.serialize_compact();
        let mut bytes = [0; 65];
        bytes[..64].copy_from_slice(&compact);
        bytes[64] = match recovery {
            RecoveryId::Zero | RecoveryId::Two => V_OFFSET,
            RecoveryId::One | RecoveryId::Three => V_OFFSET + 1,
        };
        Self(bytes)
    }

    /// The address whose key signed `digest`.
    ///
    /// # Errors
    /// [`KeyError::BadSignature`] if no key could have.
    pub fn recover(&self, digest: &B256) -> Result<Address, KeyError> {
        let key = SECP256K1
            .recover_ecdsa(Message::from_digest(digest.0), &parse(&self.0)?)
            .map_err(|_| KeyError::BadSignature)?;
        Ok(address_of(&key))
    }

    /// Checks that the key of `signer` signed `digest`.
    ///
    /// # Errors
    /// [`KeyError::BadSignature`].
    pub fn verify(&self, digest: &B256, signer: Address) -> Result<(), KeyError> {
        if self.recover(digest)? == signer { Ok(()) } else { Err(KeyError::BadSignature) }
    }

    /// The bytes r ‖ s ‖ v.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 65] {
        &self.0
    }
}

fn parse(bytes: &[u8; 65]) -> Result<RecoverableSignature, KeyError> {
    let recovery = match bytes[64] {
        27 => RecoveryId::Zero,
        28 => RecoveryId::One,
        _ => return Err(KeyError::BadSignature),
    };
    RecoverableSignature::from_compact(&bytes[..64], recovery).map_err(|_| KeyError::BadSignature)
}

impl fmt::Display for EvmSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl fmt::Debug for EvmSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EvmSignature({self})")
    }
}

impl FromStr for EvmSignature {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let mut bytes = [0; 65];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| KeyError::BadSignature)?;
        Self::from_bytes(bytes)
    }
}

impl Serialize for EvmSignature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        crate::bytes::serialize(&self.0, "0x", serializer)
    }
}

impl<'de> Deserialize<'de> for EvmSignature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = crate::bytes::deserialize_array(deserializer)?;
        Self::from_bytes(bytes).map_err(de::Error::custom)
    }
}
