//! Bodies about quotes and orders.

use haggle_base::Usdc;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `POST /v1/quotes`: ask a seller for a binding price; no money moves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuoteRequest {
    /// Record id of the listing.
    pub listing: String,
    /// The input the work would get: any JSON.
    pub input: Value,
    /// The most the buyer would pay, fee not included; default: the listed price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_price: Option<Usdc>,
    /// The buying agent's DID; default: the first agent of this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buyer: Option<String>,
}

/// A seller's signed quote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuoteView {
    /// Record id of the listing.
    pub listing: String,
    /// The selling agent's DID.
    pub seller: String,
    /// Price of the work.
    pub price: Usdc,
    /// Fee that comes on top or out of the price, see `fee_payer`.
    pub fee: Usdc,
    /// `buyer` or `seller`.
    pub fee_payer: String,
    /// What leaves the buyer's wallet.
    pub total: Usdc,
    /// When the quote ends.
    pub expires: String,
    /// How it would be paid, in plain words.
    pub payment: String,
    /// Rounds of negotiation it took.
    pub rounds: u32,
}

/// `POST /v1/orders`: buy one call and see it through.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HireRequest {
    /// Record id of the listing.
    pub listing: String,
    /// The input of the work: any JSON, at most 640 KiB as text.
    pub input: Value,
    /// The most the buyer would pay, fee not included; default: the listed price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_price: Option<Usdc>,
    /// The buying agent's DID; default: the first agent of this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buyer: Option<String>,
}

/// `POST /v1/orders/{id}/dispute`: say that what was delivered on chain is not what was agreed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisputeRequest {
    /// Why, in the owner's words: at most 240 bytes.
    pub reason: String,
}

/// `POST /v1/orders/{id}/output`: the output of an order that is answered by hand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenOutput {
    /// Any JSON, at most 640 KiB as text, that fits the listing's output schema.
    pub output: Value,
}

/// `GET /v1/orders/{id}/case`: what this node can show an arbitrator of an order. All texts are hex, byte for byte: their
/// hashes stand in the terms and on chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CaseView {
    /// The order id.
    pub order: String,
    /// `buyer` or `provider`.
    pub role: String,
    /// The terms, signed by the buyer.
    pub terms: String,
    /// The promised output schema, if there is one.
    pub schema: Option<String>,
    /// The output, if this node holds one.
    pub output: Option<String>,
    /// The provider's signed receipt, if this node holds one.
    pub receipt: Option<String>,
    /// What the buyer says went wrong, if it did and this node knows it.
    pub evidence: Option<String>,
}

/// One step in the life of an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepView {
    /// The step (`reserved`, `quoted`, `terms_signed` …).
    pub step: String,
    /// When it was stored.
    pub at: String,
    /// What happened, in plain words; names who signed.
    pub note: String,
    /// The transaction that carried it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tx: Option<String>,
}

/// One order, seen from this node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderView {
    /// This node's handle for the order (the idempotency key's order).
    pub key: String,
    /// The order id: EIP-712 digest of `Order`. Absent before the terms are agreed.
    pub id: Option<String>,
    /// `buyer` or `provider`.
    pub role: String,
    /// `proposed`, `agreed`, `funded`, `delivered`, `disputed`, `accepted`, `settled`, `refunded`, `expired`, `cancelled`.
    pub state: String,
    /// Record id of the listing.
    pub listing: String,
    /// The buying agent's DID.
    pub buyer: String,
    /// The selling agent's DID.
    pub seller: String,
    /// Agreed price; the listed one before the terms.
    pub price: Usdc,
    /// Fee.
    pub fee: Usdc,
    /// What leaves the buyer's wallet.
    pub total: Usdc,
    /// Its life line.
    pub steps: Vec<StepView>,
    /// Transaction that funded it.
    pub fund_tx: Option<String>,
    /// Transaction that settled it.
    pub settle_tx: Option<String>,
    /// `output` while the order waits for its seller's owner, who gives it by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// Until when it waits; the buyer is refunded then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_until: Option<String>,
    /// What the buyer sent: in the view of one order, where this node's owner answers it by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// The result, once delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Why it went wrong, as a stable error code.
    pub problem: Option<String>,
    /// What the last error said, for a person.
    pub problem_detail: Option<String>,
    /// Why this seller was chosen, in words, if the node chose it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl OrderView {
    /// Whether nothing more will happen to the order.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self.state.as_str(), "settled" | "refunded" | "expired" | "cancelled")
    }
}

/// `GET /v1/orders`: query parameters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OrderQuery {
    /// `buyer` or `provider`.
    pub role: Option<String>,
    /// Only orders in this state.
    pub state: Option<String>,
    /// At most this many items (1 to 100, default 20).
    pub limit: Option<u32>,
}

/// Orders, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderPage {
    /// The orders.
    pub items: Vec<OrderView>,
    /// Cursor of the next page; always absent while a page holds every order asked for.
    pub next: Option<String>,
}
