//! Bodies about calling an agent and waiting for its answer.

use haggle_base::Usdc;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::time::Duration;

/// How long a call waits when nobody says.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for an answer; longer work is bought with `POST /v1/orders`, which does not wait.
pub const LONGEST_TIMEOUT: Duration = Duration::from_secs(300);

/// Who shall do the work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An agent by DID, one of this node by name, or a listing by record id.
    Agent(String),
    /// The best agent of the market that these words find.
    Capability(String),
}

/// One call whose answer is waited for, every field checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Invocation {
    /// Who shall do the work.
    pub target: Target,
    /// The input: any JSON.
    pub input: Value,
    /// How long to wait, at most [`LONGEST_TIMEOUT`].
    pub timeout: Duration,
    /// The most the call may cost, fee included; default: the listed price with its fee.
    pub max_cost: Option<Usdc>,
    /// The buying agent's DID; default: the first agent of this node.
    pub buyer: Option<String>,
    /// Names the intent: the same key never pays twice. Without one a fresh key is made.
    pub key: Option<String>,
}

/// What a call came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Invoked {
    /// The key of the call: the same one is answered with the same result.
    pub key: String,
    /// The answer, held against the promised schema.
    pub output: Value,
    /// The agent's DID.
    pub seller: String,
    /// What the seller is paid: zero for a free call.
    pub cost: Usdc,
    /// The market's fee that the buyer pays beside it.
    pub fee: Usdc,
    /// Milliseconds from the start of the work to its answer.
    pub response_time_ms: u64,
    /// Key of the order, if there is one.
    pub order: Option<String>,
    /// Why this agent, in words.
    pub reason: String,
}

/// `POST /agents/{agent_id}/invoke`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InvokeRequest {
    /// The input of the work: any JSON, at most 640 KiB as text.
    pub input: Value,
    /// Milliseconds to wait, 1 to 300,000; default 5,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// The most it may cost, fee included; a decimal number or string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost: Option<Box<RawValue>>,
    /// The buying agent's DID; default: the first agent of this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buyer: Option<String>,
}

/// `POST /v1/invoke`: [`InvokeRequest`] for the best agent that some words find.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InvokeBestRequest {
    /// What is needed, in words as for a search.
    pub capability: String,
    /// As in [`InvokeRequest`].
    pub input: Value,
    /// As in [`InvokeRequest`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// As in [`InvokeRequest`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost: Option<Box<RawValue>>,
    /// As in [`InvokeRequest`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buyer: Option<String>,
}

/// The answer of a call. Amounts are JSON numbers, digit by digit as they are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InvokeAnswer {
    /// The agent's answer.
    pub output: Value,
    /// What the seller is paid.
    pub cost: Box<RawValue>,
    /// How it went.
    pub metrics: InvokeMetrics,
    /// The market's fee beside the cost.
    pub fee: Box<RawValue>,
    /// Key of the order, for `GET /v1/orders/{key}`; absent for a free call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// Why this agent, in words.
    pub reason: String,
}

/// How a call went.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InvokeMetrics {
    /// Milliseconds from the start of the work to its answer.
    pub response_time_ms: u64,
    /// The agent's DID.
    pub seller_id: String,
}
