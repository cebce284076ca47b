//! Entries found and ordered by a name that they bear themselves, so that a table of them does not hold the name once more.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use haggle_base::{Did, RecordId};

use crate::door::{Entry, Place};

/// An entry that is found and ordered by its id.
#[derive(Debug, Clone)]
pub(super) struct ById(pub(super) Arc<Entry>);

/// The first bytes of a DID: they order entries by whom they are of without looking into the entries. Two DIDs may share them.
pub(super) type Mark = u64;

/// The mark of a DID.
pub(super) fn mark(did: &Did) -> Mark {
    did.public_key().first_chunk().map_or(0, |first| Mark::from_be_bytes(*first))
}

/// Where an entry stands among those of its author, or of its subject: by mark and id. Without an entry it is where those of
/// a mark begin.
pub(super) type Marked = (Mark, Option<ById>);

/// An entry that is found by its place.
#[derive(Debug, Clone)]
pub(super) struct ByPlace(pub(super) Arc<Entry>);

impl Borrow<RecordId> for ById {
    fn borrow(&self) -> &RecordId {
        &self.0.id
    }
}

impl Hash for ById {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

impl PartialEq for ById {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for ById {}

impl Ord for ById {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.id.cmp(&other.0.id)
    }
}

impl PartialOrd for ById {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Borrow<Place> for ByPlace {
    fn borrow(&self) -> &Place {
        &self.0.place
    }
}

impl Hash for ByPlace {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Hash::hash(&self.0.place, state);
    }
}

impl PartialEq for ByPlace {
    fn eq(&self, other: &Self) -> bool {
        self.0.place == other.0.place
    }
}

impl Eq for ByPlace {}
