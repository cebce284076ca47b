//! The prices that an agent's listings have had, as the API shows them.

use super::Inner;
use super::api::{coded, read_did};
use haggle_base::{RecordId, Timestamp};
use haggle_catalog::{PriceHistory, PricePoint};
use haggle_gateway::ApiError;
use haggle_gateway::view::{ListingPrices, PricePointView, PricesView};

impl Inner {
    /// Of all live listings of an agent, by its DID or by name when it is ours, or of one listing by its record id.
    pub(super) fn price_history(&self, id: &str) -> Result<PricesView, ApiError> {
        let (did, histories) = if id.parse::<RecordId>().is_ok() {
            let listing = self.listing_by_id(id)?;
            (listing.author(), vec![self.catalog.prices(listing).map_err(coded)?])
        } else {
            let did = match self.agents.named(id) {
                Some(served) => served.row.did,
                None => read_did(id)?,
            };
            (did, self.catalog.prices_of(&did).map_err(coded)?)
        };
        if histories.is_empty() && self.catalog.card(&did).map_err(coded)?.is_none() {
            let hint = "wait until it reaches this node, or connect to a peer that knows it";
            return Err(ApiError::not_found(
                "agent_not_found",
                format!("this node holds neither card nor listing of {did}"),
                hint,
            ));
        }
        Ok(PricesView { agent: did.to_string(), listings: histories.iter().map(listing_prices).collect() })
    }
}

fn listing_prices(history: &PriceHistory) -> ListingPrices {
    let listing = &history.listing;
    let slot = listing.record().slot.as_str();
    ListingPrices {
        id: listing.id().to_string(),
        name: haggle_catalog::body::listing_name(slot).to_owned(),
        price: listing.body().price,
        prices: history.points.iter().map(point).collect(),
    }
}

fn point(point: &PricePoint) -> PricePointView {
    PricePointView {
        version: point.version,
        price: point.price,
        signed: point.signed.to_rfc3339(),
        seen: point.seen.map(Timestamp::to_rfc3339),
    }
}
