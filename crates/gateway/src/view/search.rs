//! Bodies about a search as a whole: what it could be narrowed to.

use haggle_base::Usdc;
use serde::{Deserialize, Serialize};

/// Counts of all listings that match, on whatever page. Each count is the `total` of the same search narrowed so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FacetsView {
    /// By category, which the owner's routes call `service_type`; fifty at most, as of regions and schemes.
    pub category: FacetView,
    /// By tag, twenty at most. A listing counts for each of its tags.
    pub tag: FacetView,
    /// By the skill that is sold, twenty at most.
    pub skill: FacetView,
    /// By region. Listings that name none are offered in every region, and are counted alone as `*`.
    pub region: FacetView,
    /// By payment scheme. A listing counts for each scheme it takes.
    pub scheme: FacetView,
    /// By price, in eight bands from free upwards.
    pub price: Vec<PriceBandView>,
}

/// Counts by one query parameter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FacetView {
    /// The most frequent values, the most frequent first.
    pub values: Vec<CountView>,
    /// How many values there are in all.
    pub distinct: u64,
}

/// One value of a query parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountView {
    /// The value.
    pub value: String,
    /// Listings that have it.
    pub count: u64,
}

/// Listings between two prices, both of them included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceBandView {
    /// The band's lowest price.
    pub min_price: Usdc,
    /// The band's highest price; absent for the last one.
    pub max_price: Option<Usdc>,
    /// Listings in it.
    pub count: u64,
}
