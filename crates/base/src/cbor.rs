//! The one CBOR of the house: written canonically, read through a strict gate.
//!
//! Canonical means RFC 8949 section 4.2.1 without floats and without tags: shortest integers and
//! lengths, definite lengths only, map keys sorted by their encoded bytes and never twice. So one
//! value has exactly one encoding, and a signature over the bytes is a signature over the value.

use ciborium::Value;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Coded;

mod scan;

/// The deepest nesting of maps and arrays that is read or written.
pub const MAX_DEPTH: usize = 32;

/// The longest reason kept from a reader's complaint, in characters.
const MAX_REASON: usize = 160;

/// Why bytes were refused, or a value could not be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CborError {
    /// More bytes than the caller allows.
    #[error("{len} bytes, at most {max} are allowed")]
    TooLarge {
        /// What came.
        len: usize,
        /// What may come.
        max: usize,
    },
    /// The bytes end inside a value, or hold something that is not CBOR.
    #[error("damaged or truncated CBOR")]
    Malformed,
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH}")]
    TooDeep,
    /// Valid CBOR in another than its one canonical form, or bytes after the value.
    #[error("not in canonical form: {0}")]
    NotCanonical(Deviation),
    /// Canonical CBOR, but not of the expected type.
    #[error("not of the expected shape: {0}")]
    WrongShape(String),
    /// Readable as the expected type only by leaving something out, such as an unknown field.
    #[error("holds fields this version does not know")]
    UnknownFields,
}

/// In which way bytes deviate from the canonical form.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Deviation {
    /// A floating point number; money and time are integers here.
    #[error("a floating point number")]
    Float,
    /// A tag.
    #[error("a tag")]
    Tag,
    /// A simple value other than false, true and null.
    #[error("an unknown simple value")]
    Simple,
    /// An integer or length that could be written shorter.
    #[error("an integer or length that is not minimal")]
    NotMinimal,
    /// A string, list or map of indefinite length.
    #[error("an indefinite length")]
    Indefinite,
    /// Map keys out of order.
    #[error("map keys out of order")]
    Unsorted,
    /// The same map key twice.
    #[error("a map key twice")]
    DuplicateKey,
    /// Bytes after the value.
    #[error("bytes after the value")]
    Trailing,
}

impl Coded for CborError {
    fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too_large",
            Self::Malformed => "bad_cbor",
            Self::TooDeep => "too_deep",
            Self::NotCanonical(_) => "not_canonical",
            Self::WrongShape(_) => "wrong_shape",
            Self::UnknownFields => "unknown_fields",
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "shorten texts and lists to their documented limits",
            Self::Malformed => "the bytes were cut or damaged on the way: fetch them again",
            Self::TooDeep => "flatten the value; 32 levels are allowed",
            Self::NotCanonical(_) => {
                "encode by RFC 8949 section 4.2.1: sorted keys, shortest integers, no floats or tags"
            }
            Self::WrongShape(_) => "compare the value with docs/protocols/records.md",
            Self::UnknownFields => "the sender may run a newer version: update this node",
        }
    }
}

/// The canonical encoding of `value`.
///
/// # Errors
/// [`CborError::NotCanonical`] for floats, tags and duplicate keys, [`CborError::TooDeep`],
/// [`CborError::WrongShape`] if the type's own `Serialize` fails.
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CborError> {
    let mut bytes = Vec::with_capacity(256);
    write(value, &mut bytes)?;
    // Types that declare their fields in canonical order (all hot ones do, see `is_in_order`) are done here.
    match scan::check(&bytes) {
        Err(CborError::NotCanonical(Deviation::Unsorted)) => {}
        done => return done.map(|()| bytes),
    }
    let mut tree = read(&bytes)?;
    sort(&mut tree)?;
    bytes.clear();
    write(&tree, &mut bytes)?;
    scan::check(&bytes)?;
    Ok(bytes)
}

/// Whether a value writes its fields in canonical order by itself, so that nothing has to be sorted: what the types of
/// records owe to those who verify many.
#[must_use]
pub fn is_in_order<T: Serialize + ?Sized>(value: &T) -> bool {
    let mut bytes = Vec::new();
    write(value, &mut bytes).is_ok() && scan::check(&bytes).is_ok()
}

/// Reads a value from at most `max` bytes, refusing every encoding but the canonical one.
///
/// The bytes are scanned before anything is built from them, so hostile nesting or lengths cost
/// neither stack nor memory; then the value is read, written again and compared.
///
/// # Errors
/// Any [`CborError`].
pub fn from_slice<T: Serialize + DeserializeOwned>(bytes: &[u8], max: usize) -> Result<T, CborError> {
    check(bytes, max)?;
    let value: T = read(bytes)?;
    if to_vec(&value)? == bytes { Ok(value) } else { Err(CborError::UnknownFields) }
}

/// Checks that `bytes` are one canonical value of at most `max` bytes, whatever its type.
///
/// # Errors
/// Any [`CborError`] but [`CborError::WrongShape`] and [`CborError::UnknownFields`].
pub fn check(bytes: &[u8], max: usize) -> Result<(), CborError> {
    check_length(bytes, max)?;
    scan::check(bytes)
}

/// Checks that there are at most `max` bytes.
pub(crate) const fn check_length(bytes: &[u8], max: usize) -> Result<(), CborError> {
    if bytes.len() > max { Err(CborError::TooLarge { len: bytes.len(), max }) } else { Ok(()) }
}

/// Reads a type from bytes that passed [`check`], ignoring fields it does not name.
pub(crate) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CborError> {
    ciborium::from_reader(bytes).map_err(|error| match error {
        ciborium::de::Error::Semantic(_, reason) => CborError::WrongShape(printable(&reason)),
        ciborium::de::Error::Io(_) | ciborium::de::Error::Syntax(_) => CborError::Malformed,
        ciborium::de::Error::RecursionLimitExceeded => CborError::TooDeep,
    })
}

/// A reason that is safe to log: a stranger's words may stand in it.
fn printable(reason: &str) -> String {
    let plain = reason.chars().filter(|letter| !letter.is_control());
    plain.take(MAX_REASON).collect()
}

fn write<T: Serialize + ?Sized>(value: &T, into: &mut Vec<u8>) -> Result<(), CborError> {
    ciborium::into_writer(value, into).map_err(|error| match error {
        ciborium::ser::Error::Value(reason) => CborError::WrongShape(reason),
        ciborium::ser::Error::Io(never) => CborError::WrongShape(never.to_string()),
    })
}

/// Sorts every map below `value` by the encoded bytes of its keys. The depth was checked.
fn sort(value: &mut Value) -> Result<(), CborError> {
    match value {
        Value::Array(items) => items.iter_mut().try_for_each(sort),
        Value::Map(entries) => {
            let mut keyed = Vec::with_capacity(entries.len());
            for (mut key, mut item) in entries.drain(..) {
                sort(&mut key)?;
                sort(&mut item)?;
                let mut encoded = Vec::new();
                write(&key, &mut encoded)?;
                keyed.push((encoded, key, item));
            }
            keyed.sort_by(|(a, ..), (b, ..)| a.cmp(b));
            entries.extend(keyed.into_iter().map(|(_, key, item)| (key, item)));
            Ok(())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
