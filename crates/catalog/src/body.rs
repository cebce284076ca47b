//! The bodies of the records this room knows: card, listing and tombstone.
//!
//! The attestation's body is in `haggle-base`, because reputation reads it too.

mod blob;
mod card;
mod listing;
mod tombstone;

pub use blob::{BlobRef, MAX_BLOB_BYTES};
pub use card::{CARD_SLOT, CardBody, Host, MAX_AGENT_CARD_BYTES};
pub use listing::{
    EscrowTerms, LISTING_SLOT_PREFIX, ListingBody, MAX_SCHEMA_BYTES, PricingModel, Sla, listing_name, listing_slot,
};
pub use tombstone::TombstoneBody;

use std::time::Duration;

use haggle_base::{Text, Timestamp, record::RecordError};

/// Longest life of a card or a listing: 7 days. Its author refreshes it at half of that.
pub const RECORD_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

/// Whether a record of this life has lived half of it.
pub(crate) fn is_due(created: Timestamp, expires: Timestamp, at: Timestamp) -> bool {
    at.since(created) * 2 >= expires.since(created)
}

/// How much longer a tombstone lives than what it replaces: 1 day.
pub const TOMBSTONE_MARGIN: Duration = Duration::from_secs(24 * 3600);

/// A rule of a body that does not hold.
const fn bad(code: &'static str, reason: &'static str) -> RecordError {
    RecordError::BadBody { code, reason }
}

/// True for a word that is compared exactly and names a shard: lower-case letters, digits and
/// `-_.:/`, at least one character. One spelling, so that filters and shards agree everywhere.
pub fn is_label(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.:/".contains(&byte);
    !text.is_empty() && text.bytes().all(fits)
}

/// True if no two items are equal.
fn distinct<const N: usize>(items: &[Text<N>]) -> bool {
    items.iter().enumerate().all(|(at, item)| !items[..at].contains(item))
}

/// True if the text is one JSON object.
fn is_json_object(text: &str) -> bool {
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).is_ok()
}
