//! The node's configuration: one struct per concern, read once, defaults first.
//!
//! Order, later wins: [`Config::default`], `config.toml` in the home, environment variables
//! `HAGGLE_<SECTION>__<KEY>` (`HAGGLE_GATEWAY__LISTEN=127.0.0.1:4981`), flags. A key that does not
//! exist is an error, never ignored.

use crate::error::NodeError;
use haggle_base::Usdc;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

mod explain;
mod layers;
mod market;
mod role;
mod rpc;
mod search;

pub use explain::{EXPLANATIONS, Explanation, explain};
pub use layers::{ENV_PREFIX, set_in_file};
pub use market::Market;
pub use role::Role;
pub use rpc::RpcUrls;
pub use search::Search;

/// Most calls or tasks that a bound may allow: each takes memory.
const MOST_TASKS: usize = 1_000_000;

/// Everything an operator may set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Name shown to people; it identifies nothing.
    pub name: String,
    /// Where the passphrase or identity that opens the keys comes from.
    pub unlock: Unlock,
    /// How peers are reached.
    pub p2p: P2p,
    /// How much of the market this node holds.
    pub market: Market,
    /// How searches order what they find.
    pub search: Search,
    /// The chain.
    pub chain: Chain,
    /// What an agent of this node may spend.
    pub budget: Budget,
    /// What an agent of this node sells at and buys at.
    pub trade: Trade,
    /// How calls are sold for single payments.
    pub payments: Payments,
    /// How agents speak with each other.
    pub a2a: A2a,
    /// What may run this node's agents.
    pub agents: Agents,
    /// The local HTTP face.
    pub gateway: Gateway,
    /// What is logged.
    pub log: Log,
}

/// Where the secret that opens `keys.age` comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unlock {
    /// An age identity file in the home: unattended start, protected by the file's mode 0600.
    Identity(String),
    /// A passphrase in the named environment variable.
    Env(String),
    /// A passphrase in a systemd credential of that name.
    Credential(String),
    /// A passphrase typed on the terminal.
    Prompt,
}

/// How peers are reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct P2p {
    /// Multiaddresses to listen on; port 0 takes a free one.
    pub listen: Vec<String>,
    /// Peers to dial first, each with `/p2p/<id>`; added to the network file's.
    pub bootstrap: Vec<String>,
    /// Relays to be reached through while nobody can dial this node, each with `/p2p/<id>`; eight at most are used.
    pub relays: Vec<String>,
    /// Whether this node relays for others that nobody can dial. It takes a public address, and carries their bytes.
    pub relay: bool,
    /// Whether nodes on the same local network are found by multicast DNS. It tells everybody there where this one listens.
    pub mdns: bool,
    /// Whether peers are asked to dial this node's addresses, and are answered when they ask, so that only those that
    /// work are told as public.
    pub autonat: bool,
    /// Whether a home router is asked to open the ports that this node listens on.
    pub upnp: bool,
    /// Most connections at once.
    pub max_connections: u32,
    /// Most connections that others open from one /24 of IPv4 or /48 of IPv6. This machine and local networks do not count.
    pub max_per_subnet: u32,
    /// Whether records are gossiped. Off leaves reconciliation alone, for tests.
    pub gossip: bool,
    /// Whether record sets are reconciled with peers. Off leaves gossip alone, for tests.
    pub sync: bool,
    /// How often they are reconciled with a random peer while nothing is missing; ten times as often while something is.
    #[serde(with = "humantime_serde")]
    pub sync_every: Duration,
}

/// The chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Chain {
    /// JSON-RPC URL, or several, eight at most. One is trusted with what it says, and the node's status says so; of
    /// three or more, two must agree.
    pub rpc: RpcUrls,
    /// Blocks below the newest one that count as settled.
    pub confirmations: u64,
    /// How often the chain is asked for news.
    #[serde(with = "humantime_serde")]
    pub poll: Duration,
    /// Most gas one transaction may use.
    pub gas_cap: u64,
    /// Gwei per gas above which the node waits rather than pays.
    pub max_gas_price_gwei: u32,
}

/// What an agent may spend, fee included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// Most one call may cost.
    pub per_call: Usdc,
    /// Most the calls of one day (UTC) may cost.
    pub per_day: Usdc,
}

/// How this node trades.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trade {
    /// Challenge window after an on-chain delivery that this node's listings offer (1 h to 30 d).
    #[serde(with = "humantime_serde")]
    pub review: Duration,
    /// How long a buyer's node waits for the seller to submit a release before it does so itself.
    #[serde(with = "humantime_serde")]
    pub release_patience: Duration,
}

/// How calls are sold for single payments, beside orders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Payments {
    /// Whether callers may also pay by vouchers on prepaid channels.
    pub channels: bool,
    /// Most that one payer, and one caller, may owe for work that is done and not paid; 0 for none.
    pub credit: Usdc,
    /// Most that all payers without a payment here may owe to one listing.
    pub listing_credit: Usdc,
    /// How long a voucher waits until it is claimed.
    #[serde(with = "humantime_serde")]
    pub claim_every: Duration,
    /// Unclaimed value of a channel that is claimed at once.
    pub claim_at: Usdc,
    /// How many calls' worth of deposit payers are asked for; at most 5 USDC.
    pub deposit_calls: u64,
    /// Buying: which way to pay for one call is preferred where a seller takes both.
    pub prefer: Prefer,
    /// Buying: from this price on a call is paid for ahead of the work only if the rail is named.
    pub escrow_from: Usdc,
}

/// What is preferred where a seller takes both ways of paying for one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prefer {
    /// Whatever fits the price and what was bought of the seller before.
    #[default]
    Auto,
    /// A channel from the first call on.
    Channel,
    /// A payment of its own for every call.
    Exact,
}

/// How agents speak with each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct A2a {
    /// Whether callers may have events pushed to this machine and its networks too, not only to public addresses.
    pub private_webhooks: bool,
    /// Most calls at work at once; more are answered "busy".
    pub open_calls: usize,
    /// Most calls of one caller at work at once.
    pub open_calls_per_caller: usize,
    /// Most tasks kept; of those that ended the oldest makes room.
    pub kept_tasks: usize,
    /// Most tasks kept of one caller.
    pub kept_tasks_per_caller: usize,
}

/// What may run this node's agents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Agents {
    /// Whether whoever holds the API token may add programs, which then run as the node's user.
    pub commands: bool,
    /// How often the servers that run this node's agents are asked whether they are there.
    #[serde(with = "humantime_serde")]
    pub probe_every: Duration,
}

/// The local HTTP face.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gateway {
    /// Loopback address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
}

/// What is logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Filter in the syntax of tracing-subscriber (`info`, `haggle_trade=debug,warn`).
    pub level: String,
    /// Whether lines are JSON objects.
    pub json: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "haggle".to_owned(),
            unlock: Unlock::Identity("unlock.key".to_owned()),
            p2p: P2p::default(),
            market: Market::default(),
            search: Search::default(),
            chain: Chain::default(),
            budget: Budget::default(),
            trade: Trade::default(),
            payments: Payments::default(),
            a2a: A2a::default(),
            agents: Agents::default(),
            gateway: Gateway::default(),
            log: Log::default(),
        }
    }
}

impl Default for P2p {
    fn default() -> Self {
        Self {
            listen: vec!["/ip4/0.0.0.0/udp/4900/quic-v1".to_owned(), "/ip4/0.0.0.0/tcp/4900".to_owned()],
            bootstrap: Vec::new(),
            relays: Vec::new(),
            relay: false,
            mdns: true,
            autonat: true,
            upnp: true,
            max_connections: 120,
            max_per_subnet: 16,
            gossip: true,
            sync: true,
            sync_every: Duration::from_secs(300),
        }
    }
}

impl P2p {
    /// Whether the node listens anywhere but on loopback.
    pub(crate) fn leaves_this_machine(&self) -> bool {
        let is_loopback = |addr: &String| {
            let host = addr.split('/').nth(2).unwrap_or_default();
            host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
        };
        !self.listen.iter().all(is_loopback)
    }
}

impl Default for Chain {
    fn default() -> Self {
        Self {
            rpc: RpcUrls::from("http://127.0.0.1:8545"),
            confirmations: 0,
            poll: Duration::from_secs(2),
            gas_cap: haggle_escrow::DEFAULT_GAS_CAP,
            max_gas_price_gwei: 500,
        }
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self { per_call: Usdc::from_units(250_000), per_day: Usdc::from_units(2_000_000) }
    }
}

impl Default for A2a {
    fn default() -> Self {
        Self {
            private_webhooks: false,
            open_calls: 1024,
            open_calls_per_caller: 256,
            kept_tasks: 10_000,
            kept_tasks_per_caller: 1000,
        }
    }
}

impl Default for Trade {
    fn default() -> Self {
        Self { review: Duration::from_secs(3600), release_patience: Duration::from_secs(30) }
    }
}

impl Default for Payments {
    fn default() -> Self {
        Self {
            channels: true,
            credit: Usdc::from_units(50_000),
            listing_credit: Usdc::from_units(1_000_000),
            claim_every: Duration::from_secs(6 * 3600),
            claim_at: Usdc::from_units(5_000_000),
            deposit_calls: 1_000,
            prefer: Prefer::Auto,
            escrow_from: Usdc::from_units(5_000_000),
        }
    }
}

impl Default for Agents {
    fn default() -> Self {
        Self { commands: true, probe_every: Duration::from_secs(60) }
    }
}

impl Default for Gateway {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 4980)) }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), json: false }
    }
}

impl Config {
    /// Reads `path` over the defaults and the environment over both.
    ///
    /// # Errors
    /// `bad_config` when a key is unknown or a value does not fit; a missing file is one too.
    pub fn load(path: &Path) -> Result<Self, NodeError> {
        let text = std::fs::read_to_string(path).map_err(NodeError::file(path))?;
        let from_env =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        layers::layered(&text, from_env)
            .and_then(|config| config.check().map(|()| config))
            .map_err(|reason| NodeError::BadConfig(path.to_owned(), reason))
    }

    /// The configuration as TOML, every key in it.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(self).unwrap_or_default()
    }

    fn check(&self) -> Result<(), String> {
        let review = self.trade.review.as_secs();
        if !(3600..=30 * 86_400).contains(&review) {
            return Err("trade.review is between 1h and 30days, as the escrow contract asks".to_owned());
        }
        if !(1..=haggle_escrow::MAX_RPC_URLS).contains(&self.chain.rpc.as_slice().len()) {
            return Err("chain.rpc has one URL to eight".to_owned());
        }
        if !(1..=86_400).contains(&self.p2p.sync_every.as_secs()) {
            return Err("p2p.sync_every is between 1s and 1day".to_owned());
        }
        if !(1..=3600).contains(&self.agents.probe_every.as_secs()) {
            return Err("agents.probe_every is between 1s and 1h".to_owned());
        }
        if !self.gateway.listen.ip().is_loopback() {
            return Err("gateway.listen is a loopback address".to_owned());
        }
        let a2a = &self.a2a;
        let counts = [a2a.open_calls, a2a.open_calls_per_caller, a2a.kept_tasks, a2a.kept_tasks_per_caller];
        if counts.iter().any(|count| !(1..=MOST_TASKS).contains(count)) {
            return Err(format!("a2a.open_calls, a2a.kept_tasks and those per caller are between 1 and {MOST_TASKS}"));
        }
        self.market.check()?;
        self.search.check()?;
        if self.budget.per_call > self.budget.per_day {
            return Err("budget.per_call is at most budget.per_day".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
