//! The listing: what is sold, for how much, and under which terms.

use std::time::Duration;

use haggle_base::{
    Did, List, Text, Usdc,
    record::{Body, Kind, RecordError},
};
use serde::{Deserialize, Serialize};

use super::{RECORD_TTL, bad, distinct, is_json_object, is_label};

/// Every listing's slot starts so; the listing's name follows.
pub const LISTING_SLOT_PREFIX: &str = "listing/";

/// Longest JSON Schema inside a listing, in bytes.
pub const MAX_SCHEMA_BYTES: usize = 1024;

/// Shortest and longest time the buyer may have to review a delivery: the escrow's own limits.
const REVIEW_SECS: std::ops::RangeInclusive<u32> = 3_600..=30 * 24 * 3_600;

/// Longest promised delivery: 30 days.
const MAX_DELIVER_SECS: u32 = 30 * 24 * 3_600;

/// What an agent sells. Its fields stand in the order of canonical CBOR, which saves sorting them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListingBody {
    /// What the provider promises.
    pub sla: Sla,
    /// Further words to filter by.
    pub tags: List<Text<32>, 16>,
    /// The price; zero is free and needs no order.
    pub price: Usdc,
    /// The skill of the agent card that is sold.
    pub skill: Text<64>,
    /// Title for people.
    pub title: Text<120>,
    /// Terms of an escrowed order; none if the listing is free.
    pub escrow: Option<EscrowTerms>,
    /// What the price is for.
    pub pricing: PricingModel,
    /// Regions it is offered in; empty means everywhere.
    pub regions: List<Text<16>, 8>,
    /// x402 schemes it takes, the preferred one first.
    pub schemes: List<Text<32>, 8>,
    /// Primary category: names the shard, is fixed for the slot.
    pub category: Text<64>,
    /// Description for people.
    pub description: Text<1500>,
    /// JSON Schema that an input must match, or a [`super::BlobRef`] that names it.
    pub input_schema: Option<Text<MAX_SCHEMA_BYTES>>,
    /// JSON Schema that an output must match to be accepted, or a [`super::BlobRef`] that names it.
    pub output_schema: Option<Text<MAX_SCHEMA_BYTES>>,
}

/// What the price is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PricingModel {
    /// One call.
    PerCall,
    /// One unit of something the provider measures, such as `page`.
    PerUnit {
        /// The unit.
        unit: Text<32>,
    },
    /// A result that passes the acceptance check.
    Outcome,
    /// A stretch of time.
    Subscription {
        /// Its length in seconds.
        period_secs: u32,
    },
}

/// What the provider promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sla {
    /// Seconds from funding to delivery.
    pub deliver_within_secs: u32,
}

/// Terms of an escrowed order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EscrowTerms {
    /// Seconds the buyer has to review a delivery that was posted on chain; 1 hour to 30 days.
    pub review_secs: u32,
}

/// The name of a listing that stands in a slot.
#[must_use]
pub fn listing_name(slot: &str) -> &str {
    slot.strip_prefix(LISTING_SLOT_PREFIX).unwrap_or(slot)
}

/// The slot of the listing with this name.
///
/// # Errors
/// [`RecordError::BadBody`] with code `bad_listing_name` unless the name is 1 to 56 lower-case
/// letters, digits and `-_.:/`.
pub fn listing_slot(name: &str) -> Result<Text<64>, RecordError> {
    let wrong = bad("bad_listing_name", "a listing's name is 1 to 56 lower-case letters, digits and -_.:/");
    if !is_label(name) {
        return Err(wrong);
    }
    Text::try_from(format!("{LISTING_SLOT_PREFIX}{name}")).map_err(|_| wrong)
}

/// Refuses a slot that is not a listing's.
pub(crate) fn check_listing_slot(slot: &str) -> Result<(), RecordError> {
    match slot.strip_prefix(LISTING_SLOT_PREFIX) {
        Some(name) if is_label(name) => Ok(()),
        _ => Err(RecordError::WrongSlot),
    }
}

/// Refuses a category that is not a label.
pub(crate) fn check_category(category: &str) -> Result<(), RecordError> {
    if is_label(category) {
        Ok(())
    } else {
        Err(bad("bad_category", "a category is lower-case letters, digits and -_.:/"))
    }
}

impl Body for ListingBody {
    const KIND: Kind = Kind::Listing;
    const MAX_BYTES: usize = 4 * 1024;
    const MAX_TTL: Duration = RECORD_TTL;

    fn check(&self) -> Result<(), RecordError> {
        if self.title.trim().is_empty() {
            return Err(bad("bad_title", "a listing needs a title"));
        }
        check_category(&self.category)?;
        if !self.tags.iter().all(|tag| is_label(tag)) || !distinct(&self.tags) {
            return Err(bad("bad_tags", "tags are distinct lower-case letters, digits and -_.:/"));
        }
        if !self.regions.iter().all(|region| is_label(region)) {
            return Err(bad("bad_regions", "regions are lower-case letters, digits and -_.:/"));
        }
        let schemas = [&self.input_schema, &self.output_schema];
        if !schemas.into_iter().flatten().all(|schema| is_json_object(schema)) {
            return Err(bad("bad_schema", "a schema is a JSON object"));
        }
        if !(1..=MAX_DELIVER_SECS).contains(&self.sla.deliver_within_secs) {
            return Err(bad("bad_sla", "deliver within 1 second to 30 days"));
        }
        if matches!(self.pricing, PricingModel::Subscription { period_secs: 0 }) {
            return Err(bad("bad_pricing", "a subscription lasts at least a second"));
        }
        if let Some(escrow) = &self.escrow
            && !REVIEW_SECS.contains(&escrow.review_secs)
        {
            return Err(bad("bad_escrow_terms", "the review takes 1 hour to 30 days"));
        }
        if !self.schemes.iter().all(|scheme| is_label(scheme)) || !distinct(&self.schemes) {
            return Err(bad("bad_schemes", "schemes are distinct lower-case letters, digits and -_.:/"));
        }
        if self.price > Usdc::ZERO && self.schemes.is_empty() {
            return Err(bad("no_schemes", "a price needs at least one payment scheme"));
        }
        Ok(())
    }

    fn check_place(&self, _author: &Did, slot: &str) -> Result<(), RecordError> {
        check_listing_slot(slot)
    }
}
