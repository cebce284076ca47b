//! Wallets and transactions with the field names of the owner's first document; amounts are JSON numbers, digit by digit.

use haggle_base::Usdc;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The wallet of one agent.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentWallet {
    /// The agent's DID: an agent has one wallet.
    pub id: String,
    /// The agent's DID.
    pub agent_id: String,
    /// What is in the wallet and not held for a payment.
    pub balance: Box<RawValue>,
    /// The token's symbol.
    pub currency: String,
    /// The most the wallet may hold: nothing bounds it.
    pub budget_limit: Option<Box<RawValue>>,
    /// The most it may spend.
    pub spending_limit: SpendingLimit,
    /// Where money comes in.
    pub funding_sources: Vec<FundingSource>,
    /// Loading by itself, which no wallet here does.
    pub auto_reload: AutoReload,
    /// `active`.
    pub status: String,
    /// When the node's keys were made, of which the wallet's is one.
    pub created_at: Option<String>,
}

/// What the wallets of one node have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalletFacts {
    /// The token's symbol.
    pub currency: String,
    /// The chain, by its CAIP-2 name.
    pub chain: String,
    /// When the node's keys were made.
    pub created_at: Option<String>,
}

/// The most a wallet may spend, fees included.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpendingLimit {
    /// A day (UTC).
    pub daily: Box<RawValue>,
    /// One call.
    pub per_transaction: Box<RawValue>,
}

/// Where a wallet is filled: its own address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FundingSource {
    /// The address.
    pub id: String,
    /// `crypto_wallet`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The address and its chain.
    pub details: FundingDetails,
    /// Always true: there is one.
    pub is_primary: bool,
}

/// An address and its chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FundingDetails {
    /// The chain, by its CAIP-2 name.
    pub provider: String,
    /// The address to send tokens to.
    pub wallet_address: String,
}

/// How a wallet would load itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AutoReload {
    /// Always false.
    pub enabled: bool,
    /// 0.
    pub threshold: Box<RawValue>,
    /// 0.
    pub amount: Box<RawValue>,
    /// Empty.
    pub source: String,
}

/// `POST /api/v1/wallets`: the wallet of an agent, which is there since the agent is; with limits of its own if they are
/// given.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WalletBody {
    /// DID or name of one of this node's agents.
    pub agent_id: String,
    /// What shall be set.
    #[serde(default)]
    pub config: WalletConfig,
}

/// What may be set of a wallet.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WalletConfig {
    /// New limits; one that is left out stays.
    pub spending_limit: Option<NewLimits>,
}

/// New limits of a wallet, as decimal numbers or strings.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewLimits {
    /// A day (UTC).
    pub daily: Option<Box<RawValue>>,
    /// One call.
    pub per_transaction: Option<Box<RawValue>>,
}

/// `POST /api/v1/wallets/{id}/fund`.
#[derive(Clone, Debug, Deserialize)]
pub struct FundBody {
    /// How much, a decimal number or string.
    pub amount: Box<RawValue>,
    /// `faucet`.
    #[serde(default)]
    pub source: Option<String>,
}

/// `GET /api/v1/wallets/{id}/transactions`: filters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct TransactionQuery {
    /// `a2a`, `h2a`, `payout` or `refund`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// `pending` or `completed`.
    pub status: Option<String>,
    /// Only from this moment on, RFC 3339.
    pub from: Option<String>,
    /// Only before this moment, RFC 3339.
    pub to: Option<String>,
    /// Only transactions with a smaller id: that of the last one of the page before.
    pub before: Option<u64>,
    /// Most rows; 20 if left out, 100 at most.
    pub limit: Option<u64>,
}

/// One movement of money into or out of a wallet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Movement {
    /// Its number in the wallet's ledger.
    pub number: u64,
    /// `a2a` between agents, `h2a` from outside, `payout` by a transfer, `refund` of what had gone out.
    pub kind: &'static str,
    /// Whether it came in.
    pub is_in: bool,
    /// How much.
    pub amount: Usdc,
    /// The other side, as far as it is known.
    pub counterpart: Option<String>,
    /// What for.
    pub purpose: Option<String>,
    /// Whether the order it funded is not over.
    pub is_pending: bool,
    /// The order or the payment's nonce.
    pub order: Option<String>,
    /// When.
    pub at: String,
}

/// One row of `GET /api/v1/wallets/{id}/transactions`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TransactionRow {
    /// Its number; grows by one or more.
    pub id: String,
    /// As in [`Movement`].
    #[serde(rename = "type")]
    pub kind: String,
    /// Who sent it, as far as it is known.
    pub initiator_id: Option<String>,
    /// Who got it, as far as it is known.
    pub recipient_id: Option<String>,
    /// How much, never below zero.
    pub amount: Box<RawValue>,
    /// How the wallet's balance changed: the sum of all rows is the change of the balance.
    pub balance_change: Box<RawValue>,
    /// The token's symbol.
    pub currency: String,
    /// What for.
    pub purpose: Option<String>,
    /// `pending` until the order it funded is over, else `completed`.
    pub status: String,
    /// The order or the payment's nonce.
    pub escrow_id: Option<String>,
    /// When it was booked.
    pub created_at: String,
}

/// `GET /api/v1/escrow/{order_id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EscrowView {
    /// The order's id, or its key before it has one.
    pub order_id: String,
    /// Where the order stands, as in [`crate::view::OrderView`].
    pub status: String,
    /// DID of the buyer.
    pub buyer: String,
    /// DID of the seller.
    pub seller: String,
    /// What the buyer pays in.
    pub amount: String,
    /// When the order began.
    pub created_at: String,
    /// When the buyer gets its money back if nothing is delivered; null before the terms are agreed.
    pub expires_at: Option<String>,
    /// The transaction that put the money into the escrow.
    pub tx: Option<String>,
}
