//! Bodies about the prices that listings have had.

use haggle_base::Usdc;
use serde::{Deserialize, Serialize};

/// `GET /agents/{id}/prices`: the prices of an agent's live listings, as far as this node has seen them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PricesView {
    /// The agent's DID.
    pub agent: String,
    /// Its listings, the oldest first.
    pub listings: Vec<ListingPrices>,
}

/// The prices of one listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListingPrices {
    /// Record id of the listing as it is now.
    pub id: String,
    /// Its name, which stays when it is signed anew.
    pub name: String,
    /// Its price now.
    pub price: Usdc,
    /// Its prices, the oldest first: at most the newest 32 changes and the price before them.
    pub prices: Vec<PricePointView>,
}

/// A price, from one signed version of a listing on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PricePointView {
    /// The version's `seq`; by custom the milliseconds at which it was signed.
    pub version: u64,
    /// The price.
    pub price: Usdc,
    /// When the version was signed, by its author's clock.
    pub signed: String,
    /// When this node took it in; absent for the version before the first change, for which nothing is written down.
    pub seen: Option<String>,
}
