//! Who signs: `did:key` of an ed25519 key for agents, libp2p `PeerId` for nodes.

use std::cell::RefCell;
use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signature, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::error::Coded;

/// Multicodec prefix of an ed25519 public key (`0xed`, as a varint).
const ED25519_MULTICODEC: [u8; 2] = [0xed, 0x01];

/// What stands before the key in the text: the DID method and multibase's letter for base58btc.
const DID_PREFIX: &str = "did:key:z";

/// A libp2p `PeerId` of an ed25519 key: identity multihash (code 0, 36 bytes) of the protobuf
/// `{1: Ed25519, 2: 32 bytes}`.
const PEER_ID_PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

/// Longer texts cannot be either; they are refused before any base58 work.
const MAX_TEXT: usize = 64;

/// Why a text is not an identity, or a signature not that identity's.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DidError {
    /// Not `did:key:z6Mk…`, or the key in it is not a usable ed25519 key.
    #[error("not a did:key of an ed25519 key")]
    BadDid,
    /// Not `12D3KooW…`, or the key in it is not a usable ed25519 key.
    #[error("not the PeerId of an ed25519 key")]
    BadPeerId,
    /// The signature does not verify strictly (RFC 8032, no small-order keys).
    #[error("signature does not verify")]
    BadSignature,
}

impl Coded for DidError {
    fn code(&self) -> &'static str {
        match self {
            Self::BadDid => "bad_did",
            Self::BadPeerId => "bad_peer_id",
            Self::BadSignature => "bad_signature",
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::BadDid => "copy the whole DID; it begins with did:key:z6Mk",
            Self::BadPeerId => "copy the whole peer id; it begins with 12D3KooW",
            Self::BadSignature => "the content was changed or signed by another key: ask again",
        }
    }
}

/// An agent's identity: the ed25519 public key behind `did:key:z6Mk…`.
///
/// Only keys that are points of the curve and not of small order can become a `Did`.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Did([u8; 32]);

impl Did {
    /// The identity of a public key.
    ///
    /// # Errors
    /// [`DidError::BadDid`] if the bytes are not a usable ed25519 key.
    pub fn from_public_key(key: [u8; 32]) -> Result<Self, DidError> {
        usable(&key).ok_or(DidError::BadDid)?;
        Ok(Self(key))
    }

    pub(crate) const fn from_own_key(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// The public key.
    #[must_use]
    pub const fn public_key(&self) -> &[u8; 32] {
        &self.0
    }

    /// Checks that this identity signed `message`, strictly.
    ///
    /// # Errors
    /// [`DidError::BadSignature`].
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), DidError> {
        verify(&self.0, message, signature)
    }

    /// The X25519 public key of the same key: its point on the Montgomery curve (RFC 7748).
    pub(crate) fn x25519_public(&self) -> Option<[u8; 32]> {
        Some(usable(&self.0)?.to_montgomery().to_bytes())
    }
}

impl fmt::Display for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; 34];
        bytes[..2].copy_from_slice(&ED25519_MULTICODEC);
        bytes[2..].copy_from_slice(&self.0);
        f.pad(&format!("{DID_PREFIX}{}", bs58::encode(bytes).into_string()))
    }
}

impl fmt::Debug for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Did {
    type Err = DidError;

    fn from_str(text: &str) -> Result<Self, DidError> {
        Self::with_key(text).map(|(did, _)| did)
    }
}

impl Did {
    /// Reads a DID and keeps its decoded key, which saves the next step half its cost.
    pub(crate) fn with_key(text: &str) -> Result<(Self, VerifyingKey), DidError> {
        let encoded = text.strip_prefix(DID_PREFIX).ok_or(DidError::BadDid)?;
        let bytes = base58::<34>(encoded).ok_or(DidError::BadDid)?;
        let key = bytes.strip_prefix(&ED25519_MULTICODEC).ok_or(DidError::BadDid)?;
        let key = key.try_into().map_err(|_| DidError::BadDid)?;
        Ok((Self(key), usable(&key).ok_or(DidError::BadDid)?))
    }
}

/// A node's identity on the wire: the ed25519 public key behind a libp2p `PeerId` (`12D3KooW…`).
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId([u8; 32]);

impl PeerId {
    /// The identity of a node's public key.
    ///
    /// # Errors
    /// [`DidError::BadPeerId`] if the bytes are not a usable ed25519 key.
    pub fn from_public_key(key: [u8; 32]) -> Result<Self, DidError> {
        usable(&key).ok_or(DidError::BadPeerId)?;
        Ok(Self(key))
    }

    pub(crate) const fn from_own_key(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// Reads the bytes of a libp2p `PeerId` (its multihash).
    ///
    /// # Errors
    /// [`DidError::BadPeerId`] if they do not hold an ed25519 key inline.
    pub fn from_multihash(bytes: &[u8]) -> Result<Self, DidError> {
        let key = bytes.strip_prefix(&PEER_ID_PREFIX).ok_or(DidError::BadPeerId)?;
        Self::from_public_key(key.try_into().map_err(|_| DidError::BadPeerId)?)
    }

    /// The bytes of the libp2p `PeerId` (its multihash).
    #[must_use]
    pub fn to_multihash(&self) -> [u8; 38] {
        let mut bytes = [0; 38];
        bytes[..6].copy_from_slice(&PEER_ID_PREFIX);
        bytes[6..].copy_from_slice(&self.0);
        bytes
    }

    /// The public key.
    #[must_use]
    pub const fn public_key(&self) -> &[u8; 32] {
        &self.0
    }

    /// Checks that this node signed `message`, strictly.
    ///
    /// # Errors
    /// [`DidError::BadSignature`].
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), DidError> {
        verify(&self.0, message, signature)
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&bs58::encode(self.to_multihash()).into_string())
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PeerId {
    type Err = DidError;

    fn from_str(text: &str) -> Result<Self, DidError> {
        Self::from_multihash(&base58::<38>(text).ok_or(DidError::BadPeerId)?)
    }
}

macro_rules! serde_as_text {
    ($($name:ident),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    )*};
}
serde_as_text!(Did, PeerId);

/// Exactly `N` bytes of canonical base58btc.
fn base58<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() > MAX_TEXT {
        return None;
    }
    bs58::decode(text).into_vec().ok()?.try_into().ok()
}

/// Keys that a thread remembers having decoded.
const SEEN: usize = 64;

thread_local! {
    /// Usable keys that were decoded on this thread: the same few come with every call, and decoding costs a square root.
    static DECODED: RefCell<[Option<VerifyingKey>; SEEN]> = const { RefCell::new([None; SEEN]) };
}

/// The key, if it is a canonical encoding of a point that is not of small order.
fn usable(key: &[u8; 32]) -> Option<VerifyingKey> {
    let place = usize::from(key[0]) % SEEN;
    let seen = DECODED.with_borrow(|decoded| decoded[place].filter(|seen| seen.as_bytes() == key));
    if seen.is_some() {
        return seen;
    }
    let usable = decoded(key)?;
    DECODED.with_borrow_mut(|decoded| decoded[place] = Some(usable));
    Some(usable)
}

fn decoded(key: &[u8; 32]) -> Option<VerifyingKey> {
    let point = VerifyingKey::from_bytes(key).ok()?;
    // The two points with x = 0, whose sign bit could be written both ways, are of small order.
    (below_field_prime(key) && !point.is_weak()).then_some(point)
}

/// Whether the y coordinate in a key, little-endian without the sign bit, is below 2^255 - 19.
fn below_field_prime(key: &[u8; 32]) -> bool {
    key[31] & 0x7f != 0x7f || key[1..31].iter().any(|digit| *digit != 0xff) || key[0] < 0xed
}

fn verify(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> Result<(), DidError> {
    let key = VerifyingKey::from_bytes(key).map_err(|_| DidError::BadSignature)?;
    key.verify_strict(message, &Signature::from_bytes(signature)).map_err(|_| DidError::BadSignature)
}

#[cfg(test)]
mod tests;
