//! One serde shape for every byte string: bytes in CBOR, hexadecimal text in JSON.

use std::fmt;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serializer, de};

/// Writes bytes; in text formats as `prefix` and lower-case hexadecimal.
pub(crate) fn serialize<S: Serializer>(bytes: &[u8], prefix: &str, serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        serializer.serialize_str(&format!("{prefix}{}", hex::encode(bytes)))
    } else {
        serializer.serialize_bytes(bytes)
    }
}

/// Reads at most `max` bytes; in text formats hexadecimal with or without `0x`.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D, max: usize) -> Result<Vec<u8>, D::Error> {
    let bytes = if deserializer.is_human_readable() {
        let text = String::deserialize(deserializer)?;
        let digits = text.strip_prefix("0x").unwrap_or(&text);
        if digits.len() / 2 > max {
            return Err(de::Error::custom(format_args!("more than {max} bytes")));
        }
        hex::decode(digits).map_err(|_| de::Error::custom("not hexadecimal"))?
    } else {
        deserializer.deserialize_byte_buf(BytesVisitor)?
    };
    if bytes.len() > max {
        return Err(de::Error::custom(format_args!("more than {max} bytes")));
    }
    Ok(bytes)
}

/// Reads exactly `N` bytes, in the same shapes.
pub(crate) fn deserialize_array<'de, D: Deserializer<'de>, const N: usize>(
    deserializer: D,
) -> Result<[u8; N], D::Error> {
    let bytes = deserialize(deserializer, N)?;
    <[u8; N]>::try_from(bytes.as_slice()).map_err(|_| de::Error::custom(format_args!("expected {N} bytes")))
}

struct BytesVisitor;

impl Visitor<'_> for BytesVisitor {
    type Value = Vec<u8>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a byte string")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
        Ok(bytes.to_vec())
    }

    fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
        Ok(bytes)
    }
}
