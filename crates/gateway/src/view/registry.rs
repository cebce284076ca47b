//! Bodies of the owner's agent routes, `/api/v1/agents`, with the field names of the owner's first document.

use super::market::PriceFor;
use super::messages::{AgentCapability, AgentReputation, Availability, Pricing};
use haggle_base::Usdc;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// `PUT /api/v1/agents/{id}`: what is left out stays as it is. Name and executor of an agent are its own for good.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentChange {
    /// As in [`super::NewAgent`], like all that follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Another category moves the listing to another shard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// All of its tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// Price of one call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Usdc>,
    /// What the price is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pricing: Option<PriceFor>,
    /// All of its regions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regions: Option<Vec<String>>,
    /// JSON Schema of the input; `{}` takes everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_schema: Option<Value>,
    /// JSON Schema of the output; `{}` takes everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
    /// Seconds between funding and delivery that it promises.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliver_within_seconds: Option<u32>,
    /// What its extended card says beyond the public one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extended: Option<Value>,
}

/// An agent, of this node or of the market. What only its owner knows is null of another one's.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentListing {
    /// The agent's DID.
    pub id: String,
    /// DID of the agent that buys for its owner.
    pub creator_id: Option<String>,
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// Its categories: one of each listing.
    pub category: Vec<String>,
    /// Its tags.
    pub tags: Vec<String>,
    /// What it sells.
    pub capabilities: Vec<AgentCapability>,
    /// The lowest price of the capabilities; null if it sells nothing.
    pub pricing: Option<Pricing>,
    /// `public` on the market, else `private`.
    pub visibility: String,
    /// `draft`, `approved` or `suspended`.
    pub status: String,
    /// Empty: nobody certifies agents on this market.
    pub certifications: Vec<Value>,
    /// What its card says beside.
    pub metadata: AgentMetadata,
    /// What came of it.
    pub stats: AgentStats,
    /// What this node knows of its past.
    pub reputation: AgentReputation,
    /// Whether it can be reached.
    pub availability: Availability,
    /// When it was added, RFC 3339.
    pub created_at: Option<String>,
    /// When it last changed, RFC 3339.
    pub updated_at: Option<String>,
}

/// What an agent's card says beside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentMetadata {
    /// The sequence of its newest signed listing, which grows with each change; `0` before the first one.
    pub version: String,
    /// Empty: versions say nothing about each other.
    pub changelog: String,
    /// A URL, or nothing.
    pub documentation: String,
    /// The examples of its card.
    pub sample_inputs: Vec<Value>,
    /// Empty: cards have no sample outputs.
    pub sample_outputs: Vec<Value>,
}

/// What came of an agent, by signed attestations and this node's own reading of the chain.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentStats {
    /// Settled orders.
    pub total_runs: u64,
    /// Share of them that the buyer released, 0 to 1; null without any.
    pub success_rate: Option<Box<RawValue>>,
    /// Mean of the ratings, 0 to 5; null without any.
    pub avg_rating: Option<Box<RawValue>>,
    /// How many ratings there are.
    pub total_reviews: u64,
    /// What it earned on this node.
    pub revenue: Option<Box<RawValue>>,
}
