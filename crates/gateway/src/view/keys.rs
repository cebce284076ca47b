//! Bodies about keys that call one agent, on an allowance.

use haggle_base::Usdc;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// `POST /purchase`: a key for calls of one agent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PurchaseRequest {
    /// Which of this node's agents buys: its DID.
    pub buyer_id: String,
    /// Whom the key calls: a DID, or the name of one of this node's agents.
    pub agent_id: String,
    /// `per_call`.
    pub plan: String,
    /// The most the key may ever spend, fees included, a decimal number or string; default: a day's budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowance: Option<Box<RawValue>>,
}

/// A new key. It is shown here and never again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Purchased {
    /// `sk_live_…`.
    pub api_key: String,
    /// Where the agent is: `POST <endpoint>/invoke`.
    pub endpoint: String,
    /// What a call costs now, without the fee.
    pub price_per_call: Box<RawValue>,
}

/// A checked purchase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// As in [`PurchaseRequest`].
    pub buyer: String,
    /// As in [`PurchaseRequest`].
    pub agent: String,
    /// As in [`PurchaseRequest`].
    pub allowance: Option<Usdc>,
}

/// What a new key is and does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadeKey {
    /// The key in clear.
    pub secret: String,
    /// The agent's DID.
    pub agent: String,
    /// What a call costs now, without the fee.
    pub price: Usdc,
}

/// What a key may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyScope {
    /// The key's public name.
    pub id: String,
    /// The one agent it calls, by DID.
    pub agent: String,
}

/// One key, as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyView {
    /// Its public name: the twelve digits after `sk_live_`.
    pub id: String,
    /// The one agent it calls.
    pub agent: String,
    /// The agent that pays.
    pub buyer: String,
    /// The most it may ever spend.
    pub allowance: Usdc,
    /// What it has spent, fees included.
    pub spent: Usdc,
    /// What is held for calls that are not settled yet.
    pub held: Usdc,
    /// Calls that were paid for.
    pub calls: u64,
    /// When it was made.
    pub created_at: String,
    /// When it was revoked.
    pub revoked_at: Option<String>,
}

/// `GET /v1/keys`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyList {
    /// The keys.
    pub items: Vec<KeyView>,
}
