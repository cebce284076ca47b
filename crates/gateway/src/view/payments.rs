//! Bodies about paying: strangers' URLs, direct transfers, the wallet's history.

use haggle_base::Usdc;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// `POST /v1/pay`: request a URL, and pay for it if it asks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PayRequest {
    /// An `http` or `https` URL; with a `message`, an agent: its DID, or the base URL of its A2A server.
    pub url: String,
    /// What an agent is asked over A2A: a text, or any other JSON. It goes without method and body.
    #[serde(default)]
    pub message: Option<Value>,
    /// The method; `GET`, or `POST` with a body.
    #[serde(default)]
    pub method: Option<String>,
    /// Headers to send beside those the payment needs.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body as text.
    #[serde(default)]
    pub body: Option<String>,
    /// The most it may cost; without it the agent's own limits are.
    #[serde(default)]
    pub max_price: Option<Usdc>,
    /// `exact` for a payment of its own, `channel` for a voucher; left out, the node chooses. `escrow` is for orders.
    #[serde(default)]
    pub rail: Option<String>,
    /// Ask what it costs and how it would be paid, and pay nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// Which of this node's agents pays; the node's own if left out.
    #[serde(default)]
    pub buyer: Option<String>,
}

/// What was answered, and what it cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PayView {
    /// The payment's key: the same key gives the same answer and never pays twice.
    pub key: String,
    /// The URL's HTTP status.
    pub status: u16,
    /// The answer's content type.
    pub content_type: String,
    /// The answer, if it is text.
    pub text: Option<String>,
    /// The answer in base64, if it is not.
    pub base64: Option<String>,
    /// What was paid. Nothing for an answer that was free.
    pub cost: Usdc,
    /// How it was paid, or in a dry run would be: `exact` or `channel`; nothing for what was free.
    #[serde(default)]
    pub rail: Option<String>,
    /// In a dry run: the price, and why it would be paid in this way, in a sentence.
    #[serde(default)]
    pub why: Option<String>,
    /// What is known of the payment, if there was one.
    pub payment: Option<PaymentView>,
}

/// One payment of a wallet to a stranger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PaymentView {
    /// Its key.
    pub key: String,
    /// Who pays.
    pub agent: String,
    /// The address that is paid.
    pub to: String,
    /// How much.
    pub amount: Usdc,
    /// The URL that was paid for, or the reason of a transfer; nothing for a voucher.
    pub about: String,
    /// `signed`, `paid` or `lapsed`, as the chain says; of a voucher `signed`, `charged` or
    /// `not_charged`, as the seller says.
    pub state: String,
    /// The payment's nonce on the chain; a voucher has none.
    pub nonce: Option<String>,
    /// The transaction, as the seller named it or this node sent it; a voucher has none of its own.
    pub tx: Option<String>,
    /// When it was signed.
    pub signed_at: String,
    /// Until when it can be used; a voucher for as long as its channel is open.
    pub valid_until: Option<String>,
    /// The channel that a voucher is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// What the voucher allows of its channel in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_all: Option<Usdc>,
    /// The seller's `PAYMENT-RESPONSE`, with its signed receipt if it gave one.
    pub receipt: Option<Value>,
}

/// `POST /v1/transfers`: send USDC to an address, or to an agent of the market.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransferRequest {
    /// An EVM address or a DID.
    pub to: String,
    /// How much.
    pub amount: Usdc,
    /// Why, at most 256 bytes.
    #[serde(default)]
    pub memo: String,
    /// Which of this node's agents sends; the node's own if left out.
    #[serde(default)]
    pub from: Option<String>,
}

/// `GET /v1/wallet/history`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryQuery {
    /// Which of this node's agents; the node's own if left out.
    pub agent: Option<String>,
    /// Only entries of this kind, such as `paid`.
    pub kind: Option<String>,
    /// Only entries numbered below this one: the `next` of the page before.
    pub before: Option<u64>,
    /// Most entries; 20 if left out, 100 at most.
    pub limit: Option<u64>,
}

/// `GET /discovery/resources`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DiscoveryQuery {
    /// Only resources of this type; all of ours are `http`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Only resources that pay this address.
    pub pay_to: Option<String>,
    /// Only resources that take this scheme.
    pub scheme: Option<String>,
    /// Only resources that are paid on this chain.
    pub network: Option<String>,
    /// Most rows; 100 if left out, 1000 at most.
    pub limit: Option<u64>,
    /// Rows to pass over.
    pub offset: Option<u64>,
}

/// One entry of an agent's ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntryView {
    /// Its number; grows by one.
    pub number: u64,
    /// When it was made.
    pub at: String,
    /// Why: `reserved`, `released`, `funded`, `settled`, `paid`, `sent`, `received`, …
    pub kind: String,
    /// Base units added to each account; they sum to zero.
    pub moves: BTreeMap<String, i64>,
    /// The order or the payment's nonce it is about.
    pub order: Option<String>,
    /// The URL that was paid for, or the reason of a transfer.
    pub about: Option<String>,
    /// The agent that paid, where it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// A page of an agent's ledger, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryPage {
    /// The agent.
    pub agent: String,
    /// The entries.
    pub items: Vec<EntryView>,
    /// Where the next page begins; nothing at the end.
    pub next: Option<u64>,
}
