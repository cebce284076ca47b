//! Names of things: records, orders, networks. Each is its own type, so they cannot be mixed up.

use std::fmt;
use std::str::FromStr;

use alloy_primitives::B256;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::bounded::{BoundError, Text};
use crate::error::Coded;
use crate::hash::Hash;

/// The id of a record: blake3-256 of its COSE `Sig_structure` (author, kind and payload, without
/// the signature).
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordId(Hash);

impl RecordId {
    /// The id as a hash.
    #[must_use]
    pub const fn as_hash(&self) -> &Hash {
        &self.0
    }

    /// The id's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl From<Hash> for RecordId {
    fn from(hash: Hash) -> Self {
        Self(hash)
    }
}

impl From<RecordId> for Hash {
    fn from(id: RecordId) -> Self {
        id.0
    }
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordId({self})")
    }
}

impl FromStr for RecordId {
    type Err = BoundError;

    fn from_str(text: &str) -> Result<Self, BoundError> {
        text.parse().map(Self)
    }
}

/// The only id of an order: the EIP-712 digest of its `Order`, which is also the nonce of the
/// payment. `0x` and 64 hexadecimal digits as text, a byte string in CBOR.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(B256);

impl OrderId {
    /// The id from the digest.
    #[must_use]
    pub const fn new(digest: B256) -> Self {
        Self(digest)
    }

    /// The digest: what the parties sign, and the nonce of the EIP-3009 payment.
    #[must_use]
    pub const fn as_b256(&self) -> &B256 {
        &self.0
    }

    /// The id's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0.0
    }
}

impl From<B256> for OrderId {
    fn from(digest: B256) -> Self {
        Self(digest)
    }
}

impl From<OrderId> for B256 {
    fn from(id: OrderId) -> Self {
        id.0
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.0))
    }
}

impl fmt::Debug for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OrderId({self})")
    }
}

impl FromStr for OrderId {
    type Err = BoundError;

    fn from_str(text: &str) -> Result<Self, BoundError> {
        let digits = text.strip_prefix("0x").ok_or(BoundError::BadHex)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| BoundError::BadHex)?;
        Ok(Self(bytes.into()))
    }
}

impl Serialize for OrderId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        crate::bytes::serialize(self.0.as_slice(), "0x", serializer)
    }
}

impl<'de> Deserialize<'de> for OrderId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::bytes::deserialize_array::<_, 32>(deserializer).map(|bytes| Self(bytes.into()))
    }
}

/// The id of a network, such as `base/1` or `devnet-7/1`: a name, a slash, a version.
///
/// It stands in every record and every protocol name, so networks never mix.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(transparent)]
pub struct NetworkId(Text<64>);

/// The text is not a network id.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a network id such as devnet-7/1")]
pub struct BadNetworkId;

impl Coded for BadNetworkId {
    fn code(&self) -> &'static str {
        "bad_network_id"
    }

    fn hint(&self) -> &'static str {
        "write a name of a-z, 0-9 and -, a slash, and a version number, such as devnet-7/1"
    }
}

impl NetworkId {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for NetworkId {
    type Err = BadNetworkId;

    fn from_str(text: &str) -> Result<Self, BadNetworkId> {
        let (name, version) = text.split_once('/').ok_or(BadNetworkId)?;
        let name_byte = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let named = !name.is_empty() && name.bytes().all(name_byte);
        let versioned = !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit());
        if !named || !versioned {
            return Err(BadNetworkId);
        }
        Text::try_from(text).map(Self).map_err(|_| BadNetworkId)
    }
}

impl TryFrom<&str> for NetworkId {
    type Error = BadNetworkId;

    fn try_from(text: &str) -> Result<Self, BadNetworkId> {
        text.parse()
    }
}

impl AsRef<str> for NetworkId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for NetworkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for NetworkId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Text::<64>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_id_is_a_name_and_a_version() {
        for good in ["base/1", "devnet-7/1", "x/20"] {
            assert_eq!(good.parse::<NetworkId>().unwrap().to_string(), good);
        }
        for bad in ["", "base", "/1", "base/", "Base/1", "base/1/2", "ba se/1", "base/v1"] {
            assert_eq!(bad.parse::<NetworkId>(), Err(BadNetworkId), "{bad}");
        }
        let long = format!("{}/1", "a".repeat(63));
        assert_eq!(long.parse::<NetworkId>(), Err(BadNetworkId));
    }

    #[test]
    fn ids_read_back_what_they_print() {
        let record = RecordId::from(Hash::of(b"record"));
        assert_eq!(record.to_string().parse::<RecordId>().unwrap(), record);
        let order = OrderId::new(B256::repeat_byte(7));
        assert_eq!(order.to_string().parse::<OrderId>().unwrap(), order);
        let json = serde_json::to_string(&order).unwrap();
        assert_eq!(json, format!("\"{order}\""));
        assert_eq!(serde_json::from_str::<OrderId>(&json).unwrap(), order);
        assert!("07".repeat(32).parse::<OrderId>().is_err(), "0x is part of the text");
    }
}
