//! Bodies about agents and listings.

use super::search::{CoverageView, ExplainedView, ExplanationView, FacetsView};
use haggle_base::Usdc;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What runs an agent's work on this node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Executor {
    /// One of the agents built into haggle, by name (`digest`, `csv`, `echo` …).
    Builtin {
        /// Name of the built-in agent.
        name: String,
    },
    /// An A2A 1.0 server that already runs at a URL the operator typed.
    Http {
        /// Base URL of the server; its card is read from the well-known path below it.
        url: String,
    },
    /// A program of the operator's, started and kept alive by the node (`docs/protocols/stdio-agent.md`).
    Command {
        /// The program and its arguments; no shell reads them.
        argv: Vec<String>,
        /// The directory it runs in; the node's own when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        dir: Option<String>,
        /// Names of the node's environment variables that it gets, beside a few harmless ones.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        env: Vec<String>,
        /// Longest time for one call, in seconds.
        #[serde(default = "default_call_seconds")]
        call_seconds: u32,
    },
    /// A function of the program that embeds the node; the API cannot add one.
    Embedded,
    /// Nothing: its owner gives the output of each order (`POST /v1/orders/{id}/output`). It is sold by escrow order alone,
    /// for a price.
    ByHand,
}

/// Seconds in which an agent that is answered by hand promises to deliver, if nobody says: people sleep.
pub const BY_HAND_DELIVER_SECONDS: u32 = 24 * 3600;

const fn default_call_seconds() -> u32 {
    600
}

/// `POST /v1/agents/probe`: look at an agent before it is served, and ask it something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// What would run it.
    pub executor: Executor,
    /// What to ask: a text goes as text, everything else as data. Absent: only look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
}

/// What a probe found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProbeView {
    /// The agent's own card, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<Value>,
    /// Why the agent cannot be served under this card.
    pub problems: Vec<Problem>,
    /// What it answered: an object with a `task` or a `message` in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<Value>,
    /// Why it did not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// How long the answer took.
    pub milliseconds: u64,
    /// What a program said on the side.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<LogLine>,
}

/// Something wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// JSON pointer (RFC 6901).
    pub path: String,
    /// What is wrong there.
    pub problem: String,
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Stable code.
    pub code: String,
    /// What happened.
    pub detail: String,
    /// What to do about it.
    pub hint: String,
}

/// `GET /v1/agents/{did}/logs`: which lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogQuery {
    /// At most this many of the newest, 1 to 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<u32>,
}

/// What an agent's program said on its standard error, and what the node says about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogView {
    /// The lines, oldest first.
    pub items: Vec<LogLine>,
    /// How many older lines are gone for good.
    pub forgotten: u64,
}

/// One line of a program's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was heard, RFC 3339.
    pub at: String,
    /// `program` or `node`.
    pub from: String,
    /// The line.
    pub text: String,
}

/// `POST /v1/agents`, `POST /api/v1/agents`: put an agent of this node on the market, or beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAgent {
    /// Name of the agent and of its listing: 1 to 48 of `a-z`, `0-9`, `-`.
    pub name: String,
    /// One paragraph on what it does, at most 512 bytes.
    #[serde(default)]
    pub description: String,
    /// Primary category (`text`, `data`, `crypto` …); it decides the listing's shard.
    pub category: String,
    /// At most 16 tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Price of one call. `"0"` is free: no order, no escrow.
    pub price: Usdc,
    /// JSON Schema of the input, if the agent wants one enforced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_schema: Option<Value>,
    /// JSON Schema of the output; the buyer's node accepts only output that fits it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<Value>,
    /// Seconds between funding and delivery that the agent promises: 300 if nobody says, which is short for people.
    #[serde(default = "default_deliver_within")]
    pub deliver_within_seconds: u32,
    /// What runs the work.
    pub executor: Executor,
    /// What the A2A card says beyond the public one to callers who say who they are: an object of card fields, in which
    /// `skills` are added to the public one. At most 16 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extended: Option<Value>,
    /// Whether nobody else shall know of it until it is published.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub draft: bool,
    /// Where it is offered, at most eight words such as `eu`; none, or `global`, means everywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
    /// What the price is for.
    #[serde(default, skip_serializing_if = "PriceFor::is_a_call")]
    pub pricing: PriceFor,
}

/// What a price is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriceFor {
    /// One call; the owner's first document says `per-use`.
    #[default]
    #[serde(alias = "per-use")]
    PerCall,
    /// A result that fits the output schema, and nothing else; `outcome-based` in the owner's first document.
    #[serde(alias = "outcome-based")]
    Outcome,
}

impl PriceFor {
    /// Whether it is the usual one.
    #[must_use]
    pub const fn is_a_call(&self) -> bool {
        matches!(self, Self::PerCall)
    }

    /// Reads a word of the API.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        serde_json::from_value(word.into()).ok()
    }
}

const fn default_deliver_within() -> u32 {
    300
}

/// An agent of this node, in short.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentSummary {
    /// The agent's DID.
    pub did: String,
    /// Its name.
    pub name: String,
    /// What runs it.
    pub executor: Executor,
    /// `draft`, `approved` or `suspended`.
    pub status: String,
    /// Record id of its listing, while it is on the market.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listing: Option<String>,
    /// Price of one call.
    pub price: Usdc,
    /// EVM address that is paid.
    pub payment_address: String,
    /// How it is: `live`, `busy`, `degraded` if what runs it did not answer when it was asked last, or `down` if nothing runs it.
    #[serde(default)]
    pub health: String,
    /// When what runs it was asked last; absent where only calls show whether it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probed: Option<String>,
}

/// `POST /v1/agents/{did}/publish`: sign and spread an agent's records anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Republish {
    /// New price of one call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Usdc>,
}

/// `GET /v1/agents`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentPage {
    /// The agents of this node.
    pub items: Vec<AgentSummary>,
}

/// Figures this node computed for one agent from signed attestations and its own chain reads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reputation {
    /// Attestations that counted.
    pub attestations: u64,
    /// Settled orders with a valid receipt.
    pub total_calls: u64,
    /// Share of calls closed by the buyer's release, as a decimal string (`"0.900"`); absent without calls.
    pub success_rate: Option<String>,
    /// Mean response time in milliseconds, from buyers' receipts.
    pub avg_response_ms: Option<u64>,
    /// 1 when the last dial within 24 hours succeeded, else 0; absent when never dialled.
    pub uptime_24h: Option<u8>,
    /// The owner's formula, 0 to 1, as a decimal string; absent without calls.
    pub trust_score: Option<String>,
    /// The owner's signals of one for and one against, added up, one for each buyer: buyers that had more successes than
    /// failures, less those that had more failures. A buyer is the address that paid. 0 without calls.
    #[serde(default)]
    pub net: i64,
}

/// One listing as a search answers it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListingView {
    /// Record id of the listing.
    pub id: String,
    /// DID of the agent that sells.
    pub agent: String,
    /// Name of the listing.
    pub name: String,
    /// What it does.
    pub description: String,
    /// Primary category.
    pub category: String,
    /// Tags.
    pub tags: Vec<String>,
    /// Where it is offered; none means everywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
    /// Pricing model (`per_call` …).
    pub pricing: String,
    /// Price of one call.
    pub price: Usdc,
    /// Price divided by the success rate, with a prior for new agents.
    pub cost_per_success: Usdc,
    /// Whether the agent's card carries a valid payment binding; without one nothing can be bought.
    pub payable: bool,
    /// What this node knows of the agent's past.
    pub reputation: Reputation,
    /// Whether the agent can be expected to answer: the last look says so, or without a fresh one a peer that serves it
    /// is connected.
    pub online: bool,
    /// What the last look for the agent brought; absent if nobody looked, and for agents of this node.
    #[serde(default)]
    pub liveness: Option<LivenessView>,
    /// When the record expires.
    pub expires: String,
    /// Why a search shows it where it shows it, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<ExplanationView>,
}

/// `GET /v1/listings`: query parameters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ListingQuery {
    /// Free text over name, description, tags and skill.
    pub q: Option<String>,
    /// Whether any of the words will do; otherwise all of them must occur.
    pub any: Option<bool>,
    /// Category that must match.
    pub category: Option<String>,
    /// The skill that is sold, letter by letter.
    pub skill: Option<String>,
    /// Tag that must be present.
    pub tag: Option<String>,
    /// A payment scheme the listing must take.
    pub scheme: Option<String>,
    /// A region the listing must be offered in, if it names any.
    pub region: Option<String>,
    /// Least price.
    pub min_price: Option<Usdc>,
    /// Greatest price.
    pub max_price: Option<Usdc>,
    /// Least [`Reputation::net`] of the seller; a newcomer's is 0.
    pub min_reputation: Option<i64>,
    /// `cost_per_success` (default), `trust_score_desc`, `price_asc`, `response_time_asc`, `relevance` or `combined`.
    pub sort: Option<String>,
    /// The share of reputation in the combined order, from 0 to 1, instead of the configured one; cost and speed share the
    /// rest as before. Given without an order, it asks for the combined one.
    pub reputation_weight: Option<String>,
    /// At most this many items (1 to 100, default 20).
    pub limit: Option<u32>,
    /// `next` of the page before.
    pub cursor: Option<String>,
    /// Whether to count all that matches by what it could be narrowed to.
    pub facets: Option<bool>,
    /// Whether to say of each item why it stands where it stands.
    pub explain: Option<bool>,
    /// Whether to look for the first agents of the answer before it is given, for two seconds at most. Otherwise they are
    /// looked for meanwhile, and the next search knows.
    pub live: Option<bool>,
}

/// A page of listings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListingPage {
    /// The listings, in the order asked for.
    pub items: Vec<ListingView>,
    /// How many match in all.
    pub total: u64,
    /// Whether this node holds every shard the query needs; at a light node, whether all index nodes that a search asks have
    /// answered in full.
    pub complete: bool,
    /// Who was asked, at a light node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<CoverageView>,
    /// Cursor of the next page.
    pub next: Option<String>,
    /// Counts of all that matches, if they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facets: Option<FacetsView>,
    /// What all explanations have in common, if they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explained: Option<ExplainedView>,
}

/// One listing with its proof.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListingDetail {
    /// The listing.
    #[serde(flatten)]
    pub listing: ListingView,
    /// JSON Schema of the input.
    pub input_schema: Option<Value>,
    /// JSON Schema of the output.
    pub output_schema: Option<Value>,
    /// Seconds between funding and delivery that the seller promises.
    pub deliver_within_seconds: u32,
    /// Seconds of the challenge window after an on-chain delivery.
    pub review_seconds: u32,
    /// The signed record, hex, exactly as received: verify it without trusting this node.
    pub record: String,
}

/// One agent of the market, by DID.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentView {
    /// The agent's DID.
    pub did: String,
    /// Its name.
    pub name: String,
    /// Whether this node serves it.
    pub local: bool,
    /// EVM address bound to the DID both ways; absent when the binding is missing or invalid.
    pub payment_address: Option<String>,
    /// Why the agent cannot be paid, as an error code (`binding_missing` …).
    pub binding_problem: Option<String>,
    /// Peers that serve it.
    pub hosts: Vec<String>,
    /// Its listings.
    pub listings: Vec<ListingView>,
    /// What this node knows of its past.
    pub reputation: Reputation,
    /// The A2A agent card, as its author wrote it.
    pub card: Value,
    /// Limits of what protects a buyer today, in plain words.
    pub notice: String,
}

/// What this node saw when it looked for an agent last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LivenessView {
    /// `live`, `busy` (it takes no more calls just now), `degraded` (served, and what runs it does not answer), `probation` (silent once) or `down`.
    pub state: String,
    /// When it was looked for.
    pub looked_seconds_ago: u64,
    /// When a host answered for it last; absent if none ever did.
    pub answered_seconds_ago: Option<u64>,
    /// Whether this still counts. Otherwise the next search looks again.
    pub fresh: bool,
}
