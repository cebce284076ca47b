//! Bodies about a search: what it could be narrowed to, and why its hits stand where they stand.

use haggle_base::Usdc;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How far an answer goes that a light node had from index nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoverageView {
    /// Index nodes that were asked.
    pub asked: u64,
    /// Those that answered in time, and whose answers stood every check.
    pub answered: u64,
    /// Why the answer is partial, in plain words; absent if it is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_partial: Option<String>,
}

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

/// What all hits of an explained search have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExplainedView {
    /// The order that was asked for, or the default.
    pub sort: String,
    /// Every parameter that each hit had to meet, with its value.
    pub filters: BTreeMap<String, String>,
    /// How much more a word in the title scores than one elsewhere.
    pub title_weight: f32,
}

/// Why a listing stands where it stands. What the order does not go by is absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExplanationView {
    /// The rank that the listing was sorted by, smallest first: sixteen hexadecimal digits, as in the cursor. Ties go by the
    /// price, then by the id.
    pub rank: String,
    /// How well the words match: the sum of their scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<f32>,
    /// The score of each word.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<WordView>,
    /// The author's figures, as they were taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figures: Option<FiguresView>,
    /// Price over success rate, with a prior for new agents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_per_success: Option<Usdc>,
    /// The parts of the combined order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PartView>,
    /// The sum of value times weight over the parts: the highest comes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
}

/// How well one word matches (BM25).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WordView {
    /// The word.
    pub word: String,
    /// Whether no listing had it as written, so that those count that differ by a slip of the hand.
    pub by_slip: bool,
    /// What it scores for being in the title, the title's weight included.
    pub title: f32,
    /// What it scores for being in title, description, skill, category or tags.
    pub anywhere: f32,
    /// Both; of more than two words rounded to 1/1024.
    pub score: f32,
}

/// What an author's rank is made of.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FiguresView {
    /// Finished calls.
    pub total_calls: u64,
    /// Those that the buyer released the payment for.
    pub successes: u64,
    /// Mean time to an answer in milliseconds, if any is known.
    pub avg_response_ms: Option<u64>,
    /// 1 if the last look for it, at most a day ago, reached it; else 0.
    pub uptime_24h: f64,
    /// The owner's formula, 0 to 1; uptime is a part of it.
    pub trust_score: f64,
}

/// One part of the combined order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PartView {
    /// `reputation`, `cost` or `speed`.
    pub part: String,
    /// From 0 to 1.
    pub value: f64,
    /// What it is multiplied with: its share in all the weights.
    pub weight: f64,
}
