//! What the shelf answers: one enum per operation that names every outcome.

use std::sync::Arc;

use haggle_base::{Kind, RecordId};

use crate::door::Entry;

/// What became of a record that was put.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    /// It stands in a place that was empty.
    Fresh {
        /// A record that nobody paid for and that had to go for it.
        evicted: Option<Arc<Entry>>,
        /// A refused id that was forgotten to remember the evicted one.
        forgotten: Option<RecordId>,
    },
    /// It stands in the place of an older one.
    Replaced {
        /// The older one.
        old: Arc<Entry>,
    },
    /// This very record is held already.
    Known,
    /// The place is taken by a newer one.
    Stale {
        /// The newer one.
        held: RecordId,
    },
    /// There is no room for it; its id is remembered so that reconciliation ends.
    OverQuota {
        /// The bound that was reached.
        quota: Quota,
        /// A refused id that was forgotten to remember this one.
        forgotten: Option<RecordId>,
    },
    /// It expired on the way.
    Expired,
    /// It came unasked, and this node does not hold the part of the market that it lies in.
    NotHeld,
    /// Gossip brought it, and its author has replaced too much of late, or it says what is held already: a reconciliation
    /// brings the last version.
    TooOften,
}

impl Put {
    /// True if the record now stands on the shelf for the first time.
    #[must_use]
    pub const fn is_new(&self) -> bool {
        matches!(self, Self::Fresh { .. } | Self::Replaced { .. })
    }
}

/// A bound of the shelf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quota {
    /// Listings of an author who paid for nothing.
    AuthorListings,
    /// Listings and tombstones of such an author.
    AuthorSlots,
    /// Attestations of one author.
    AuthorAttestations,
    /// The part of a shard for all such authors together.
    FreeShare,
    /// All records of a shard.
    ShardFull,
}

impl Quota {
    /// Whether a record counts against it, of those that one author has.
    #[must_use]
    pub fn counts(self, entry: &Entry) -> bool {
        match self {
            Self::AuthorListings => entry.kind == Kind::Listing && !entry.is_paid(),
            Self::AuthorSlots => matches!(entry.kind, Kind::Listing | Kind::Tombstone),
            Self::AuthorAttestations => entry.kind == Kind::Attestation,
            Self::FreeShare | Self::ShardFull => false,
        }
    }
}

/// What came of an author's room having been paid for.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pay {
    /// Its records that are paid for now, and were not.
    pub raised: Vec<Arc<Entry>>,
    /// Refused ids of it that are forgotten: the records may come again, for there is room.
    pub forgotten: Vec<RecordId>,
}

/// What became of a record that is not kept.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Discard {
    /// It stood on the shelf, and no longer does.
    Gone(Arc<Entry>),
    /// It was not held.
    Unknown,
}

/// What a sweep removed.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sweep {
    /// Records that expired.
    pub expired: Vec<Arc<Entry>>,
    /// Refused ids that expired.
    pub forgotten: Vec<RecordId>,
}
