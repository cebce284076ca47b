//! Bodies about prepaid channels: what they hold, and how they end.

use haggle_base::Usdc;
use serde::{Deserialize, Serialize};

/// `GET /v1/channels`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelQuery {
    /// Which of this node's agents; all of them if left out.
    pub agent: Option<String>,
    /// Only channels behind this one: the `next` of the page before.
    pub after: Option<String>,
    /// Most channels; 100 if left out, 1000 at most.
    pub limit: Option<u64>,
}

/// A prepaid channel of one of this node's agents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelView {
    /// Its id.
    pub id: String,
    /// `buys` if the agent pays with it, `sells` if it is paid.
    pub side: String,
    /// The agent.
    pub agent: String,
    /// The address of the other party: who is paid, or who pays.
    pub party: String,
    /// `open`, `closing` once its money is asked back, `closed` when nothing is left in it.
    pub state: String,
    /// What the chain last said it holds, with what was claimed of it: deposits less what went back.
    pub balance: Usdc,
    /// What was charged in all, as far as this node knows.
    pub charged: Usdc,
    /// Of a channel that pays: the highest voucher ever signed, the most that can be owed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<Usdc>,
    /// Of a channel that is paid by: what of the charges was claimed on the chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed: Option<Usdc>,
    /// Since when the payer's withdrawal is under way, by the chain's clock.
    pub withdrawal_since: Option<String>,
    /// When it can be finished.
    pub withdrawal_ends: Option<String>,
}

/// A page of channels: those that pay first, each kind by id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelPage {
    /// The channels.
    pub items: Vec<ChannelView>,
    /// Where the next page begins; nothing at the end.
    pub next: Option<String>,
}

/// `POST /v1/channels/{id}/close`: take back what is left in a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloseRequest {
    /// Where the seller sells, to ask it for the rest: the URL that was paid for, or the DID of an agent of the market.
    #[serde(default)]
    pub at: Option<String>,
    /// Take the rest without the seller, after the channel's withdraw delay.
    #[serde(default)]
    pub force: bool,
}

/// `POST /v1/channels/{id}/receipt`: the proof of what a channel came to, as a file that anybody can check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelReceiptRequest {
    /// Where the seller sells, to ask it for its signature: the URL that was paid for, or the DID of an agent of the market.
    /// Not for a channel that an agent of this node is paid by.
    #[serde(default)]
    pub at: Option<String>,
}

/// How a channel stands after it was closed, or while that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosingView {
    /// The channel.
    pub channel: ChannelView,
    /// What has come back of it in all; nothing while a withdrawal is under way, or if it was closed before.
    pub returned: Option<Usdc>,
}
