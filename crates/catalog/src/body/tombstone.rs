//! The tombstone: that a listing is gone, told in the listing's own slot.

use std::time::Duration;

use haggle_base::{
    Did, Text,
    record::{Body, Kind, RecordError},
};
use serde::{Deserialize, Serialize};

use super::{
    RECORD_TTL, TOMBSTONE_MARGIN,
    listing::{check_category, check_listing_slot},
};

/// Stands in the slot of the listing it withdraws, with a higher `seq`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TombstoneBody {
    /// Category of the listing: the tombstone lies in the same shard.
    pub category: Text<64>,
}

impl Body for TombstoneBody {
    const KIND: Kind = Kind::Tombstone;
    const MAX_BYTES: usize = 1024;
    const MAX_TTL: Duration = RECORD_TTL.saturating_add(TOMBSTONE_MARGIN);

    fn check(&self) -> Result<(), RecordError> {
        check_category(&self.category)
    }

    fn check_place(&self, _author: &Did, slot: &str) -> Result<(), RecordError> {
        check_listing_slot(slot)
    }
}
