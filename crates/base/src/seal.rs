//! Bytes that one agent alone can read: HPKE (RFC 9180) to the key behind its DID.
//!
//! Base mode with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and ChaCha20Poly1305. The recipient's X25519 key is its ed25519 key on
//! the Montgomery curve, as everywhere where one key both signs and receives; the secret is the ed25519 scalar.

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::rand_core::{CryptoRng, Error as RandError, RngCore};
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable, single_shot_open, single_shot_seal};
use zeroize::{Zeroize, Zeroizing};

use crate::did::Did;
use crate::error::Coded;
use crate::keys::AgentKey;

/// Bytes that a sealed text has more than a plain one, without the sealing key.
pub const SEAL_BYTES: usize = 16;

/// Why bytes were not sealed, or not opened.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The operating system gave no randomness.
    #[error("the operating system gave no randomness")]
    NoEntropy,
    /// Not sealed to this key, under another name, or changed on the way.
    #[error("the sealed bytes cannot be opened with this key")]
    NotForUs,
    /// The recipient's key takes nothing sealed.
    #[error("nothing can be sealed to this DID")]
    BadRecipient,
}

impl Coded for SealError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoEntropy => "no_entropy",
            Self::NotForUs => "seal_broken",
            Self::BadRecipient => "bad_did",
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::NoEntropy => "check that the system's random device is readable",
            Self::NotForUs => "the bytes were sealed to another key, or changed: ask the sender to send them again",
            Self::BadRecipient => "copy the whole DID; it begins with did:key:z6Mk",
        }
    }
}

/// Sealed bytes, and the key that its sender made for them alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The encapsulated key.
    pub enc: [u8; 32],
    /// The text with its tag.
    pub text: Vec<u8>,
}

/// Seals `plain` to `to`. `info` names what it is for; `bound` goes with it and is not hidden: both must be the same to open it.
///
/// # Errors
/// [`SealError`].
pub fn seal(to: &Did, info: &[u8], bound: &[u8], plain: &[u8]) -> Result<Sealed, SealError> {
    let mut random = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *random).map_err(|_| SealError::NoEntropy)?;
    seal_with(&random, to, info, bound, plain)
}

/// The same with given randomness, for golden vectors: never seal two texts with the same.
///
/// # Errors
/// [`SealError`].
pub fn seal_with(random: &[u8; 32], to: &Did, info: &[u8], bound: &[u8], plain: &[u8]) -> Result<Sealed, SealError> {
    let key = to.x25519_public().ok_or(SealError::BadRecipient)?;
    let key = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(&key).map_err(|_| SealError::BadRecipient)?;
    let (enc, text) = single_shot_seal::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256, _>(
        &OpModeS::Base,
        &key,
        info,
        plain,
        bound,
        &mut Drawn { left: *random },
    )
    .map_err(|_| SealError::BadRecipient)?;
    Ok(Sealed { enc: enc.to_bytes().into(), text })
}

/// Opens what was sealed to this key.
///
/// # Errors
/// [`SealError::NotForUs`].
pub fn open(key: &AgentKey, info: &[u8], bound: &[u8], sealed: &Sealed) -> Result<Vec<u8>, SealError> {
    let secret = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(&*key.x25519_secret());
    let enc = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(&sealed.enc);
    let (Ok(secret), Ok(enc)) = (secret, enc) else { return Err(SealError::NotForUs) };
    single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        &secret,
        &enc,
        info,
        &sealed.text,
        bound,
    )
    .map_err(|_| SealError::NotForUs)
}

/// Randomness that was drawn before: HPKE takes 32 bytes of it, once, for the key of one text.
struct Drawn {
    left: [u8; 32],
}

impl RngCore for Drawn {
    fn next_u32(&mut self) -> u32 {
        let mut bytes = [0; 4];
        self.fill_bytes(&mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn next_u64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill_bytes(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn fill_bytes(&mut self, into: &mut [u8]) {
        for (at, byte) in into.iter_mut().enumerate() {
            *byte = self.left.get(at).copied().unwrap_or_default();
        }
    }

    fn try_fill_bytes(&mut self, into: &mut [u8]) -> Result<(), RandError> {
        self.fill_bytes(into);
        Ok(())
    }
}

impl CryptoRng for Drawn {}

impl Drop for Drawn {
    fn drop(&mut self) {
        self.left.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> AgentKey {
        AgentKey::from_bytes(&[number; 32])
    }

    #[test]
    fn what_is_sealed_only_its_recipient_opens_under_the_same_names() {
        let sealed = seal(&key(1).did(), b"info", b"bound", b"hello").unwrap();
        assert_eq!(open(&key(1), b"info", b"bound", &sealed).unwrap(), b"hello");
        assert_eq!(sealed.text.len(), 5 + SEAL_BYTES);
        for (reader, info, bound) in [(2, "info", "bound"), (1, "other", "bound"), (1, "info", "other")] {
            let refused = open(&key(reader), info.as_bytes(), bound.as_bytes(), &sealed).unwrap_err();
            assert_eq!(refused.code(), "seal_broken");
        }
        for at in 0..sealed.text.len() {
            let mut changed = sealed.clone();
            changed.text[at] ^= 1;
            assert!(open(&key(1), b"info", b"bound", &changed).is_err());
        }
        assert!(open(&key(1), b"info", b"bound", &Sealed { enc: [0; 32], ..sealed.clone() }).is_err());
        let again = seal(&key(1).did(), b"info", b"bound", b"hello").unwrap();
        assert!(again.enc != sealed.enc && again.text != sealed.text, "fresh each time");
    }
}
