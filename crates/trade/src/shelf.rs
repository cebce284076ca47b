//! The catalog as the market: an offer is the shelf's current version of a listing.

use async_trait::async_trait;
use haggle_base::{Address, Did, Timestamp, Verified};
use haggle_catalog::{Catalog, ListingBody};

use crate::{config::MIN_REVIEW_SECS, offer::Offer, ports::Market};

impl From<&Verified<ListingBody>> for Offer {
    fn from(listing: &Verified<ListingBody>) -> Self {
        let (record, body) = (listing.record(), listing.body());
        Self {
            provider: listing.author(),
            listing: listing.id(),
            slot: record.slot.clone(),
            seq: record.seq,
            title: body.title.clone(),
            skill: body.skill.clone(),
            capability: body.category.clone(),
            price: body.price,
            deliver_within_secs: body.sla.deliver_within_secs,
            review_secs: body.escrow.map_or(MIN_REVIEW_SECS, |escrow| escrow.review_secs),
            input_schema: body.input_schema.as_ref().map(|schema| schema.as_str().to_owned()),
            output_schema: body.output_schema.as_ref().map(|schema| schema.as_str().to_owned()),
        }
    }
}

#[async_trait]
impl Market for Catalog {
    async fn offer(&self, provider: &Did, slot: &str) -> Option<Offer> {
        let listings = self.listings_of(provider).ok()?;
        let current = listings.iter().filter(|listing| listing.record().slot == *slot);
        current.max_by_key(|listing| listing.record().seq).map(Offer::from)
    }

    async fn bound_address(&self, agent: &Did, _now: Timestamp) -> Option<Address> {
        self.binding(agent).address()
    }
}
