//! Strings, lists and bytes that cannot grow past a bound that stands in their type.

use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::str::FromStr;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::error::Coded;

/// The most slots that are reserved ahead of reading a list whose length a stranger names.
const PREALLOCATED_ITEMS: usize = 32;

/// Why a value does not fit a bounded type.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BoundError {
    /// Longer than the type allows.
    #[error("longer than {max}")]
    TooLong {
        /// The bound: bytes of text or data, items of a list.
        max: usize,
    },
    /// The text holds a control character (a line break, a tab, a terminal escape).
    #[error("text holds a control character")]
    ControlCharacter,
    /// Not even-length hexadecimal.
    #[error("not hexadecimal")]
    BadHex,
}

impl Coded for BoundError {
    fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "too_long",
            Self::ControlCharacter => "control_character",
            Self::BadHex => "bad_hex",
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "shorten the value to the bound named in the message",
            Self::ControlCharacter => "remove line breaks, tabs and escape characters",
            Self::BadHex => "write the bytes as pairs of hexadecimal digits",
        }
    }
}

/// A text of at most `N` bytes of UTF-8 without control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Text<const N: usize>(String);

impl<const N: usize> Text<N> {
    /// The bound in bytes.
    pub const MAX: usize = N;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text as an unbounded string.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl<const N: usize> TryFrom<String> for Text<N> {
    type Error = BoundError;

    fn try_from(text: String) -> Result<Self, BoundError> {
        if text.len() > N {
            return Err(BoundError::TooLong { max: N });
        }
        if text.chars().any(char::is_control) {
            return Err(BoundError::ControlCharacter);
        }
        Ok(Self(text))
    }
}

impl<const N: usize> TryFrom<&str> for Text<N> {
    type Error = BoundError;

    fn try_from(text: &str) -> Result<Self, BoundError> {
        if text.len() > N {
            return Err(BoundError::TooLong { max: N });
        }
        Self::try_from(text.to_owned())
    }
}

impl<const N: usize> FromStr for Text<N> {
    type Err = BoundError;

    fn from_str(text: &str) -> Result<Self, BoundError> {
        Self::try_from(text)
    }
}

impl<const N: usize> Deref for Text<N> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<const N: usize> AsRef<str> for Text<N> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl<const N: usize> Borrow<str> for Text<N> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<const N: usize> PartialEq<str> for Text<N> {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl<const N: usize> PartialEq<&str> for Text<N> {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl<const N: usize> From<Text<N>> for String {
    fn from(text: Text<N>) -> Self {
        text.0
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl<const N: usize> Serialize for Text<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Text<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// A list of at most `N` items; reading stops with an error at item `N + 1`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct List<T, const N: usize>(Vec<T>);

impl<T, const N: usize> List<T, N> {
    /// The bound in items.
    pub const MAX: usize = N;

    /// An empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds an item.
    ///
    /// # Errors
    /// [`BoundError::TooLong`] if the list is full.
    pub fn push(&mut self, item: T) -> Result<(), BoundError> {
        if self.0.len() >= N {
            return Err(BoundError::TooLong { max: N });
        }
        self.0.push(item);
        Ok(())
    }

    /// The items.
    #[must_use]
    pub fn as_slice(&self) -> &[T] {
        &self.0
    }

    /// The items as an unbounded vector.
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T, const N: usize> Default for List<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const N: usize> TryFrom<Vec<T>> for List<T, N> {
    type Error = BoundError;

    fn try_from(items: Vec<T>) -> Result<Self, BoundError> {
        if items.len() > N {
            return Err(BoundError::TooLong { max: N });
        }
        Ok(Self(items))
    }
}

impl<T, const N: usize> Deref for List<T, N> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T, const N: usize> IntoIterator for List<T, N> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, T, const N: usize> IntoIterator for &'a List<T, N> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T: fmt::Debug, const N: usize> fmt::Debug for List<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: Serialize, const N: usize> Serialize for List<T, N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>, const N: usize> Deserialize<'de> for List<T, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ListVisitor(PhantomData))
    }
}

struct ListVisitor<T, const N: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for ListVisitor<T, N> {
    type Value = List<T, N>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {N} items")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let expected = items.size_hint().unwrap_or(0).min(N).min(PREALLOCATED_ITEMS);
        let mut list = List(Vec::with_capacity(expected));
        while let Some(item) = items.next_element()? {
            list.push(item).map_err(de::Error::custom)?;
        }
        Ok(list)
    }
}

/// At most `N` bytes: a byte string in CBOR, hexadecimal in JSON.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Blob<const N: usize>(Vec<u8>);

impl<const N: usize> Blob<N> {
    /// The bound in bytes.
    pub const MAX: usize = N;

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as an unbounded vector.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }
}

impl<const N: usize> TryFrom<Vec<u8>> for Blob<N> {
    type Error = BoundError;

    fn try_from(bytes: Vec<u8>) -> Result<Self, BoundError> {
        if bytes.len() > N {
            return Err(BoundError::TooLong { max: N });
        }
        Ok(Self(bytes))
    }
}

impl<const N: usize> TryFrom<&[u8]> for Blob<N> {
    type Error = BoundError;

    fn try_from(bytes: &[u8]) -> Result<Self, BoundError> {
        if bytes.len() > N {
            return Err(BoundError::TooLong { max: N });
        }
        Ok(Self(bytes.to_vec()))
    }
}

impl<const N: usize> Deref for Blob<N> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<const N: usize> AsRef<[u8]> for Blob<N> {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl<const N: usize> fmt::Debug for Blob<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({})", hex::encode(&self.0))
    }
}

impl<const N: usize> Serialize for Blob<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        crate::bytes::serialize(&self.0, "", serializer)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Blob<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = crate::bytes::deserialize(deserializer, N)?;
        Self::try_from(bytes).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
