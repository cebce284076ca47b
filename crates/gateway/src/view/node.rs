//! Bodies about the node itself: status, peers, wallet, events.

use super::look::VisibilityView;
use haggle_base::Usdc;
use serde::{Deserialize, Serialize};

/// What the node knows of the chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChainStatus {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Whether the RPC answered last time.
    pub reachable: bool,
    /// Latest block this node followed.
    pub block: u64,
    /// Chain time of that block.
    pub time: String,
    /// The escrow contract.
    pub escrow: String,
    /// The token.
    pub token: String,
    /// Times this node has followed the chain since its start.
    #[serde(default)]
    pub polls: u64,
    /// How far the RPCs' word is taken, in plain words.
    pub trust: String,
    /// Each RPC endpoint, in the order of the configuration.
    #[serde(default)]
    pub endpoints: Vec<EndpointStatus>,
}

/// How one RPC endpoint stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndpointStatus {
    /// Scheme, host and port; the rest of the URL may hold a key.
    pub host: String,
    /// `fresh`, `lagging`, `down`, `set_aside` (it contradicted two others) or `other_chain`.
    pub standing: String,
    /// The newest block it told of.
    pub block: Option<u64>,
    /// Blocks it was behind the others then.
    pub behind: u64,
    /// Requests it did not answer, since the start.
    pub failures: u64,
    /// Answers that two others contradicted, since the start.
    pub contradictions: u64,
}

/// What the room of a listing costs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListingFeeView {
    /// USDC for each listing.
    pub amount: Usdc,
    /// For so many days.
    pub days: u64,
    /// Where it is sent from the agent's wallet.
    pub sink: String,
    /// Whether this node pays it for its own agents' listings.
    pub paid_here: bool,
}

/// What the node holds of the market.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MarketStatus {
    /// Live listings held.
    pub listings: u64,
    /// Those of them whose room is paid for by listing fees.
    #[serde(default)]
    pub paid_listings: u64,
    /// What the room of a listing costs, where the network has a fee.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listing_fee: Option<ListingFeeView>,
    /// Live cards held.
    pub cards: u64,
    /// Attestations held.
    pub attestations: u64,
    /// Peers reconciled with since the start.
    pub reconciled_peers: u64,
    /// What part the node takes: `full`, `index`, `interest` or `light`.
    #[serde(default)]
    pub role: String,
    /// The categories that an interest node holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub interests: Vec<String>,
    /// Shards that are held in full.
    #[serde(default)]
    pub shards_held: u64,
    /// Whether every one of them was reconciled with a peer since the start.
    #[serde(default)]
    pub complete: bool,
    /// Index nodes that it knows of.
    #[serde(default)]
    pub index_nodes: u64,
}

/// Letters kept for others, and for this node's agents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailStatus {
    /// Whether this node keeps letters for agents of others.
    pub keeps: bool,
    /// Letters that it keeps.
    pub letters: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Agents of others that it keeps letters for.
    pub recipients: u64,
    /// Who keeps letters for this node's agents.
    pub keepers: Vec<MailKeeper>,
    /// Letters of this node's agents that nobody has signed for yet.
    pub under_way: u64,
}

/// Somebody who keeps letters for this node's agents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailKeeper {
    /// Its peer id.
    pub peer: String,
    /// Agents whose pointer, as it is stored in the DHT, names it.
    pub agents: u64,
}

/// `GET /v1/node`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// The node's name.
    pub name: String,
    /// Version of haggle.
    pub version: String,
    /// The network's id.
    pub network: String,
    /// The node's libp2p id.
    pub peer_id: String,
    /// Addresses it listens on, each with `/p2p/<id>`: give one to a friend as bootstrap.
    pub addresses: Vec<String>,
    /// Whether others can dial one of them, as far as peers have tried: `yes`, `no` or `unknown`.
    #[serde(default)]
    pub reachable: String,
    /// Base URL of the gateway.
    pub gateway: String,
    /// Seconds since the start.
    pub uptime_seconds: u64,
    /// Connected peers.
    pub peers: u64,
    /// DIDs of the agents served here.
    pub agents: Vec<String>,
    /// The chain.
    pub chain: ChainStatus,
    /// The market.
    pub market: MarketStatus,
    /// What a few peers hold of what this node offers, if they were asked; `GET /v1/visibility` asks.
    #[serde(default)]
    pub outside: Option<VisibilityView>,
    /// Letters.
    #[serde(default)]
    pub mail: Option<MailStatus>,
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and could be better.
    Warn,
    /// Something does not work.
    Fail,
    /// It could not be looked at.
    Skipped,
}

/// One check of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckView {
    /// What is looked at.
    pub name: String,
    /// How it came out.
    pub verdict: Verdict,
    /// What was seen.
    pub detail: String,
    /// What to do about it; empty if nothing has to be done.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
}

/// `GET /v1/checks`: what can be wrong with a running node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChecksView {
    /// One per thing that is looked at.
    pub items: Vec<CheckView>,
}

/// One peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeerView {
    /// Its libp2p id.
    pub peer: String,
    /// Addresses it is reached at.
    pub addresses: Vec<String>,
    /// What it says it runs.
    pub version: Option<String>,
    /// DIDs it proved on this connection.
    pub dids: Vec<String>,
    /// Since when it is connected.
    pub connected_since: Option<String>,
    /// How it is connected: `direct`, `punched` (through NATs) or `relayed` (another node carries the bytes).
    pub path: Option<String>,
}

/// `GET /v1/peers`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeerList {
    /// Connected peers.
    pub items: Vec<PeerView>,
}

/// The wallet of one agent, in `GET /v1/wallet`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WalletView {
    /// The agent's DID.
    pub agent: String,
    /// Its EVM address.
    pub address: String,
    /// USDC on chain.
    pub balance: Usdc,
    /// Held for orders that are not funded yet.
    pub reserved: Usdc,
    /// Balance less reservations.
    pub available: Usdc,
    /// Most one call may cost, fee included.
    pub per_call: Usdc,
    /// Most a day may cost, fee included.
    pub per_day: Usdc,
    /// Spent or held today (UTC).
    pub spent_today: Usdc,
    /// The limits in a sentence.
    pub budget: String,
}

/// The wallets of this node's agents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WalletList {
    /// One per agent.
    pub items: Vec<WalletView>,
}
