//! Entries found by a name that they bear themselves, so that a table of them does not hold the name once more.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use haggle_base::RecordId;

use crate::door::{Entry, Place};

/// An entry that is found by its id.
#[derive(Debug, Clone)]
pub(super) struct ById(pub(super) Arc<Entry>);

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
