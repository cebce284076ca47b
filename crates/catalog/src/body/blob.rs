//! A document that is too large for its record: its hash and size stand in its place.

use haggle_base::Hash;
use serde::{Deserialize, Serialize};

/// Largest document that a record may name.
pub const MAX_BLOB_BYTES: u32 = 64 * 1024;

/// What a record's schema begins with that stands for a document.
const HEAD: &str = r#"{"$ref":"haggle-blob:"#;
const TAIL: &str = r#""}"#;

/// A document by what it says: nobody can put another one in its place.
///
/// In a record it is the JSON object `{"$ref":"haggle-blob:<64 hexadecimal digits>/<size>"}`, written exactly so. A node of an
/// earlier version takes it for a schema with a reference: it carries the listing, and buys nothing by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlobRef {
    /// blake3 of its bytes.
    pub hash: Hash,
    /// How many there are, 1 to [`MAX_BLOB_BYTES`].
    pub size: u32,
}

impl BlobRef {
    /// What stands for a document; `None` if it is empty or too large.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let size = u32::try_from(bytes.len()).ok()?;
        (1..=MAX_BLOB_BYTES).contains(&size).then(|| Self { hash: Hash::of(bytes), size })
    }

    /// Reads what stands in a record; `None` if it is anything else, a document of its own for example.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (hash, size) = text.strip_prefix(HEAD)?.strip_suffix(TAIL)?.split_once('/')?;
        let read = Self { hash: hash.parse().ok()?, size: size.parse().ok()? };
        (read.is_possible() && read.to_text() == text).then_some(read)
    }

    /// As it stands in a record.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{HEAD}{}/{}{TAIL}", self.hash, self.size)
    }

    /// Whether a document can have this size.
    #[must_use]
    pub fn is_possible(&self) -> bool {
        (1..=MAX_BLOB_BYTES).contains(&self.size)
    }

    /// Whether these are its bytes.
    #[must_use]
    pub fn is_of(&self, bytes: &[u8]) -> bool {
        Self::of(bytes) == Some(*self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_stands_in_a_record_names_one_document() {
        let document = br#"{"type":"object"}"#;
        let named = BlobRef::of(document).unwrap();
        assert!(named.is_of(document) && !named.is_of(br#"{"type":"objecT"}"#));
        let text = named.to_text();
        assert_eq!(BlobRef::read(&text), Some(named));
        assert!(serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text).is_ok(), "{text}");
        assert_eq!(BlobRef::of(b""), None);
        assert_eq!(BlobRef::of(&vec![b'x'; 65_537]), None);
        assert!(BlobRef::of(&vec![b'x'; 65_536]).is_some());
    }

    #[test]
    fn anything_else_is_a_document_of_its_own() {
        let hash = Hash::of(b"x").to_string();
        for other in [
            "{}".to_owned(),
            format!(r#"{{"$ref":"haggle-blob:{hash}/0"}}"#),
            format!(r#"{{"$ref":"haggle-blob:{hash}/65537"}}"#),
            format!(r#"{{"$ref":"haggle-blob:{hash}/017"}}"#),
            format!(r#"{{"$ref":"haggle-blob:{hash}/+17"}}"#),
            format!(r#"{{"$ref": "haggle-blob:{hash}/17"}}"#),
            format!(r#"{{"$ref":"haggle-blob:{}/17"}}"#, hash.to_uppercase()),
            format!(r#"{{"$ref":"haggle-blob:{hash}/17","type":"object"}}"#),
            r#"{"$ref":"https://example.org/schema.json"}"#.to_owned(),
        ] {
            assert_eq!(BlobRef::read(&other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic_and_what_is_read_is_written_so(text in ".{0,120}") {
            if let Some(read) = BlobRef::read(&text) {
                prop_assert_eq!(read.to_text(), text);
            }
        }
    }
}
