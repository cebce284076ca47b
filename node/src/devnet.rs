//! A whole market on one machine: the embedded chain, and nodes as real processes.
//!
//! Everything is deterministic in the seed but ports and time: the same seed makes the same keys.

mod arbitrator;
mod money;
mod process;

pub use money::Conservation;
pub use process::NodeProcess;

use crate::cli::CliError;
use crate::cli::client::Client;
use crate::config::{A2a, Budget, Chain, Config, Gateway, P2p};
use crate::error::NodeError;
use crate::home::{Home, write_atomically};
use haggle_base::network_file::{Channels, DEFAULT_LISTING_FEE};
use haggle_base::{FeePayer, FeeRule, NetworkFile, NetworkId, Seed, TokenFacts, Usdc};
use haggle_devchain::{DEV_CHAIN_ID, DevChain};
use haggle_gateway::view::{AgentSummary, ListingPage};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Longest wait for the market to reach a state it is bound to reach.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How often a waiting devnet looks.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// Most nodes on one machine.
pub const MAX_NODES: u32 = 20;
/// Accounts of each node that get ether for gas.
const FUNDED_ACCOUNTS: u32 = 8;
/// What the first agent of each node starts with.
pub const START_BALANCE: Usdc = Usdc::from_units(100_000_000);
/// The devnet's fee: 2.5 %, on top, to the fee sink.
const FEE_BPS: u16 = 250;

/// How a devnet is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the homes lie.
    pub dir: PathBuf,
    /// Seed of every key.
    pub seed: u64,
    /// The program that runs a node (`PROGRAM --home HOME up`).
    pub program: PathBuf,
    /// Whether nodes gossip.
    pub gossip: bool,
    /// Whether nodes reconcile.
    pub sync: bool,
    /// The bounds of calls between agents.
    pub a2a: A2a,
}

impl Options {
    /// A devnet of this program in `dir`.
    ///
    /// # Errors
    /// The system does not say what program this is.
    pub fn here(dir: PathBuf, seed: u64) -> Result<Self, CliError> {
        let program = std::env::current_exe()
            .map_err(|cause| CliError::failure("file_error", cause.to_string(), "run haggle by its full path"))?;
        Ok(Self { dir, seed, program, gossip: true, sync: true, a2a: A2a::default() })
    }
}

/// The file by which `haggle devnet down` tells a devnet to end.
const STOP_MARK: &str = "devnet.stop";

/// What a running devnet writes for other commands: `devnet.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// JSON-RPC URL of the chain.
    pub rpc: String,
    /// Homes of the nodes, the first one first.
    pub homes: Vec<PathBuf>,
}

/// A running devnet; dropping it stops everything.
#[derive(Debug)]
pub struct Devnet {
    options: Options,
    chain: DevChain,
    network: NetworkFile,
    nodes: Vec<NodeProcess>,
    /// Rules on disputes while the devnet runs.
    _arbitrator: arbitrator::Arbitrator,
}

impl Devnet {
    /// Starts the chain. Nodes come with [`Devnet::add_node`].
    ///
    /// # Errors
    /// The chain or the directory cannot be had.
    pub async fn start(options: Options) -> Result<Self, CliError> {
        clear(&options.dir)?;
        let chain = DevChain::start(haggle_devchain::Config::default())
            .await
            .map_err(|cause| CliError::failure("chain_error", cause.to_string(), "free a port, then try again"))?;
        let network = network_file(&chain, options.seed)?;
        Home::at(&options.dir).create()?;
        let arbitrator = arbitrator::Arbitrator::start(&chain, &network, options.seed, options.dir.clone())?;
        let devnet = Self { options, chain, network, nodes: Vec::new(), _arbitrator: arbitrator };
        devnet.write_down()?;
        Ok(devnet)
    }

    /// The chain.
    #[must_use]
    pub const fn chain(&self) -> &DevChain {
        &self.chain
    }

    /// The network file; its bootstrap is the first node.
    #[must_use]
    pub const fn network(&self) -> &NetworkFile {
        &self.network
    }

    /// The nodes, the first one first.
    #[must_use]
    pub fn nodes(&self) -> &[NodeProcess] {
        &self.nodes
    }

    /// Node `number`, counted from 1.
    ///
    /// # Panics
    /// There is no such node.
    #[must_use]
    pub fn node(&self, number: usize) -> &NodeProcess {
        &self.nodes[number - 1]
    }

    /// Node `number`, to kill or restart.
    ///
    /// # Panics
    /// There is no such node.
    pub fn node_mut(&mut self, number: usize) -> &mut NodeProcess {
        &mut self.nodes[number - 1]
    }

    /// Makes the home of the next node and funds its accounts, without starting it.
    ///
    /// # Errors
    /// The home cannot be made.
    pub fn make_next_home(&self) -> Result<Home, CliError> {
        self.make_home_after(0)
    }

    /// The home that follows the nodes enlisted and `pending` more.
    fn make_home_after(&self, pending: usize) -> Result<Home, CliError> {
        let number = u32::try_from(self.nodes.len() + pending + 1).unwrap_or(u32::MAX);
        let home = Home::at(self.options.dir.join(format!("node{number}")));
        let seed = Seed::devnet(self.options.seed, number);
        if home.is_made() {
            return Ok(home);
        }
        fund(&self.chain, &seed)?;
        crate::setup::make_home(&home, &self.config(number), &self.network, &seed)?;
        Ok(home)
    }

    /// Starts one more node and waits until it answers.
    ///
    /// # Errors
    /// The node does not start in time; the error carries the end of its log.
    pub async fn add_node(&mut self) -> Result<&NodeProcess, CliError> {
        self.add_node_with(&[]).await
    }

    /// [`Devnet::add_node`] with environment variables for the node.
    ///
    /// # Errors
    /// As [`Devnet::add_node`].
    pub async fn add_node_with(&mut self, env: &[(&str, &str)]) -> Result<&NodeProcess, CliError> {
        let home = self.make_next_home()?;
        let mut node = NodeProcess::spawn(&self.options.program, home, env)?;
        node.until_up().await?;
        self.enlist(node)
    }

    /// Starts `count` more nodes side by side; the first node of a market is started alone before.
    ///
    /// # Errors
    /// As [`Devnet::add_node`].
    pub async fn add_nodes(&mut self, count: u32) -> Result<(), CliError> {
        let mut left = count;
        if self.nodes.is_empty() && left > 0 {
            self.add_node().await?;
            left -= 1;
        }
        let mut spawned = Vec::new();
        for _ in 0..left {
            let home = self.make_home_after(spawned.len())?;
            spawned.push(NodeProcess::spawn(&self.options.program, home, &[])?);
        }
        for mut node in spawned {
            node.until_up().await?;
            self.enlist(node)?;
        }
        Ok(())
    }

    fn enlist(&mut self, node: NodeProcess) -> Result<&NodeProcess, CliError> {
        if self.nodes.is_empty() {
            self.network.bootstrap = node.addresses()?;
        }
        self.nodes.push(node);
        self.write_down()?;
        Ok(&self.nodes[self.nodes.len() - 1])
    }

    /// Puts the demo agents on the market, spread over the nodes but the last.
    ///
    /// # Errors
    /// A node refuses an agent.
    pub async fn publish_demo_agents(&self) -> Result<Vec<AgentSummary>, CliError> {
        /// Which node serves what, counted from the first.
        const PLACES: [(&str, usize); 6] =
            [("echo", 0), ("digest", 1), ("csv", 2), ("slow", 2), ("liar", 3), ("flaky", 3)];
        let last = self.nodes.len().saturating_sub(2);
        let mut published = Vec::new();
        for (name, place) in PLACES {
            published.push(self.nodes[place.min(last)].serve_builtin(name).await?);
        }
        Ok(published)
    }

    /// Waits until every node sees `count` listings.
    ///
    /// # Errors
    /// `timeout`, naming the node that does not.
    pub async fn until_all_see(&self, count: u64) -> Result<(), CliError> {
        for node in &self.nodes {
            node.until_sees(count).await?;
        }
        Ok(())
    }

    /// Compares what was issued with what lies anywhere, to the unit.
    ///
    /// # Errors
    /// The chain does not answer.
    pub fn conservation(&self) -> Result<Conservation, CliError> {
        money::conservation(&self.chain, self.options.seed, self.nodes.len())
    }

    /// Waits until every node has ended, which `haggle devnet down` makes them do.
    pub async fn until_nodes_ended(&mut self) {
        for node in &mut self.nodes {
            node.until_ended().await;
        }
    }

    /// Stops the nodes in order, then the chain.
    pub async fn shutdown(mut self) {
        for node in &mut self.nodes {
            node.stop().await;
        }
        self.chain.shutdown().await;
    }

    fn config(&self, number: u32) -> Config {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        Config {
            name: format!("node{number}"),
            p2p: P2p {
                listen: vec!["/ip4/127.0.0.1/tcp/0".to_owned(), "/ip4/127.0.0.1/udp/0/quic-v1".to_owned()],
                gossip: self.options.gossip,
                sync: self.options.sync,
                ..P2p::default()
            },
            chain: Chain { rpc: self.chain.rpc_url().into(), poll: Duration::from_millis(100), ..Chain::default() },
            budget: Budget { per_call: Usdc::from_units(1_000_000), per_day: Usdc::from_units(20_000_000) },
            a2a: A2a { private_webhooks: true, ..self.options.a2a.clone() },
            gateway: Gateway { listen: loopback },
            ..Config::default()
        }
    }

    fn write_down(&self) -> Result<(), CliError> {
        let homes: Vec<PathBuf> = self.nodes.iter().map(|node| node.home().path().to_owned()).collect();
        let mut env = format!("export HAGGLE_DEVNET_RPC={}\n", self.chain.rpc_url());
        for (index, home) in homes.iter().enumerate() {
            env.push_str(&format!("export HAGGLE_NODE{}={}\n", index + 1, home.display()));
        }
        let written = Written { rpc: self.chain.rpc_url(), homes };
        let text = serde_json::to_string_pretty(&written).unwrap_or_default();
        write_atomically(&self.options.dir.join("devnet.json"), text.as_bytes())?;
        write_atomically(&self.options.dir.join("devnet.env"), env.as_bytes())?;
        Ok(())
    }
}

/// The seed of node `number` of a devnet, with ether for gas and [`START_BALANCE`] on its first account.
///
/// # Errors
/// The chain refuses to mint.
pub fn funded_seed(chain: &DevChain, network_seed: u64, number: u32) -> Result<Seed, CliError> {
    let seed = Seed::devnet(network_seed, number);
    fund(chain, &seed)?;
    Ok(seed)
}

fn fund(chain: &DevChain, seed: &Seed) -> Result<(), CliError> {
    for account in 0..FUNDED_ACCOUNTS {
        chain.fund_eth(seed.payment_key(account).address(), money::one_ether());
    }
    chain
        .mint_usdc(seed.payment_key(0).address(), START_BALANCE.units())
        .map(drop)
        .map_err(|cause| CliError::failure("chain_error", cause.to_string(), "start the devnet anew"))
}

/// Reads what a running devnet wrote.
///
/// # Errors
/// `not_running`.
pub fn written_in(dir: &std::path::Path) -> Result<Written, CliError> {
    let path = dir.join("devnet.json");
    std::fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str(&text).ok()).ok_or_else(|| CliError {
        hint: "start one with `haggle devnet up`".to_owned(),
        ..CliError::not_running(format!("no devnet was started in {}", dir.display()))
    })
}

/// Leaves word for the devnet in `dir` that it is to end, whether it is up already or still coming up.
///
/// # Errors
/// The directory cannot be written.
pub fn tell_to_stop(dir: &std::path::Path) -> Result<(), CliError> {
    Ok(write_atomically(&dir.join(STOP_MARK), b"")?)
}

/// Whether the devnet in `dir` was told to end.
#[must_use]
pub fn is_told_to_stop(dir: &std::path::Path) -> bool {
    dir.join(STOP_MARK).exists()
}

/// Removes what an earlier devnet left in `dir`: its chain is gone, so its homes are worth nothing.
fn clear(dir: &std::path::Path) -> Result<(), CliError> {
    let mark = dir.join(STOP_MARK);
    if mark.exists() {
        std::fs::remove_file(&mark).map_err(NodeError::file(mark))?;
    }
    let Ok(written) = written_in(dir) else { return Ok(()) };
    for home in &written.homes {
        if !home.starts_with(dir) || !home.is_dir() {
            continue;
        }
        // a running node keeps its home
        drop(Home::at(home).lock()?);
        std::fs::remove_dir_all(home).map_err(NodeError::file(home))?;
    }
    let path = dir.join("devnet.json");
    std::fs::remove_file(&path).map_err(NodeError::file(path))?;
    Ok(())
}

/// The network file of a devnet on `chain`: four shards, 2.5 % fee on top, no bootstrap yet.
///
/// # Errors
/// The chain was started without contracts.
pub fn network_file(chain: &DevChain, seed: u64) -> Result<NetworkFile, CliError> {
    let unusable = |cause: String| CliError::failure("chain_error", cause, "start the devnet anew");
    let deployment = chain.deployment().map_err(|cause| unusable(cause.to_string()))?;
    let id = format!("devnet-{seed}/1").parse::<NetworkId>().map_err(|error| NodeError::room(&error))?;
    Ok(NetworkFile {
        id,
        chain_id: DEV_CHAIN_ID,
        shards: 4,
        token: TokenFacts {
            address: deployment.token,
            name: deployment.token_name.clone(),
            version: deployment.token_version.clone(),
            symbol: deployment.token_symbol.clone(),
            decimals: deployment.token_decimals,
        },
        escrow: deployment.escrow,
        channels: Some(Channels { one_call_claims: true, ..Channels::CANONICAL }),
        fee: FeeRule { bps: FEE_BPS, payer: FeePayer::Buyer, recipient: deployment.fee_sink },
        fee_sinks: vec![deployment.fee_sink],
        listing_fee: DEFAULT_LISTING_FEE,
        bootstrap: Vec::new(),
        arbitration: Some(arbitrator::rules(seed)),
    })
}

/// Polls `look` until it gives something.
pub(crate) async fn eventually<T, F, W>(what: &str, mut look: F) -> Result<T, CliError>
where
    F: FnMut() -> W,
    W: Future<Output = Result<Option<T>, CliError>>,
{
    let looking = async {
        loop {
            if let Some(found) = look().await? {
                return Ok(found);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| {
        Err(CliError::failure(
            "timeout",
            format!("waited {PATIENCE:?} for {what}"),
            "look at the nodes' logs in the devnet's directory",
        ))
    })
}

/// How many listings a node sees.
pub(crate) async fn listings_seen(client: &Client) -> Result<u64, CliError> {
    let page: ListingPage = client.get("/v1/listings?limit=1").await?;
    Ok(page.total)
}
