//! Every command and flag, with the help that teaches them.

use crate::home::Home;
use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use haggle_base::Usdc;
use std::path::PathBuf;

mod agents;
mod look;
mod wallet;

pub(super) use agents::{A2aCommand, AgentAdd, AgentCommand, AgentLogs, Inspect};
pub(super) use look::{ListingCommand, PeerCommand};
pub(super) use wallet::{Wallet, WalletCommand};

const EXAMPLES: &str = "\
First time? `haggle demo` starts a whole market on this machine and buys something on it.

  haggle init --network network.toml     make keys and a configuration
  haggle up                              start the node
  haggle agent add digest --builtin digest --price 0.02
  haggle find \"word count\"               search this node's copy of the market
  haggle hire LISTING @report.txt        quote, escrow, work, check, release

Exit codes: 0 ok, 1 failure, 2 usage, 3 not found, 4 refused by budget, 5 payment failed,
6 remote agent failed, 7 timeout (state unknown: prints how to resume), 8 node not running.";

/// A peer-to-peer marketplace for AI agents.
#[derive(Debug, Parser)]
#[command(name = "haggle", version, about, after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Cli {
    /// Print one JSON object instead of text for people.
    #[arg(long, global = true)]
    pub json: bool,
    /// The node's home directory.
    #[arg(long, global = true, env = "HAGGLE_HOME", hide_env_values = true, value_hint = ValueHint::DirPath)]
    pub home: Option<PathBuf>,
    /// Base URL of the gateway, when it is not the one the home's node wrote down.
    #[arg(long, global = true, env = "HAGGLE_API", hide_env_values = true)]
    pub api: Option<String>,
    /// API token, when it is not the one in the home.
    #[arg(long, global = true, env = "HAGGLE_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Say less: no progress, no next steps.
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What every command gets.
#[derive(Clone, Debug)]
pub(super) struct Globals {
    pub(super) json: bool,
    pub(super) quiet: bool,
    pub(super) home: Home,
    pub(super) api: Option<String>,
    pub(super) token: Option<String>,
}

impl Cli {
    pub(super) fn globals(&self) -> Globals {
        Globals {
            json: self.json,
            quiet: self.quiet,
            home: self.home.clone().map_or_else(Home::by_default, Home::at),
            api: self.api.clone(),
            token: self.token.clone(),
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make keys, a configuration and an API token in the home.
    Init(Init),
    /// Start the node in the foreground; stop it with Ctrl-C or `haggle down`.
    Up(Up),
    /// Stop the running node.
    Down,
    /// Show the node, its chain, its market and its peers.
    Status,
    /// Check what can be wrong with the node: home, keys, disk, chain, money, peers, what others see of it.
    Doctor,
    /// Search this node's copy of the market.
    Find(Find),
    /// Show a listing, or an agent by DID: price, promises, past, and what protects a buyer.
    Show(Show),
    /// Listings, looked at from outside.
    #[command(subcommand)]
    Listing(ListingCommand),
    /// Hire an agent: quote, escrow, work, check, release.
    Hire(Hire),
    /// The life of orders.
    #[command(subcommand)]
    Order(OrderCommand),
    /// Agents of this node.
    #[command(subcommand)]
    Agent(AgentCommand),
    /// Look closely at agents that speak A2A.
    #[command(subcommand)]
    A2a(A2aCommand),
    /// Sign and spread an agent's card and listing anew, at another price if given.
    Publish(Publish),
    /// Request a URL or ask an agent, and pay for it within the budget if it asks for x402.
    Pay(Pay),
    /// Balances, reservations and budgets of this node's agents; their payments and channels.
    Wallet(Wallet),
    /// Keys with which other programs call one agent, on an allowance.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Receipts: write one to standard output, or check one without a network.
    #[command(subcommand)]
    Receipt(ReceiptCommand),
    /// Network files: which chain, token and contracts a market is on.
    #[command(subcommand)]
    Network(NetworkCommand),
    /// Peers of this node, and the way to them.
    #[command(subcommand)]
    Peer(PeerCommand),
    /// A whole market on this machine: a chain, nodes, agents.
    #[cfg(feature = "devnet")]
    #[command(subcommand)]
    Devnet(DevnetCommand),
    /// Start a market of five nodes, buy a document digest on it, and show every step.
    #[cfg(feature = "devnet")]
    Demo(Demo),
    /// Measure what haggle costs on this machine, beside what else there is.
    #[cfg(feature = "bench")]
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Read and change the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print shell completions.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

#[derive(Debug, Args)]
pub(super) struct Init {
    /// The network file: which chain, token, contracts and first peers.
    #[arg(long, value_hint = ValueHint::FilePath)]
    pub(super) network: PathBuf,
    /// Name shown to people.
    #[arg(long)]
    pub(super) name: Option<String>,
    /// Restore from the BIP-39 phrase in this file instead of making a new seed.
    #[arg(long, value_hint = ValueHint::FilePath)]
    pub(super) restore: Option<PathBuf>,
    /// Lock the keys with the passphrase in this environment variable instead of an identity file.
    #[arg(long, value_name = "VARIABLE")]
    pub(super) passphrase_env: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Up {
    /// JSON-RPC URL of the chain, or several with commas between them, over the configured ones.
    #[arg(long)]
    pub(super) rpc: Option<String>,
    /// One more peer to dial first, an address with /p2p/<id> or a ticket; may be given again.
    #[arg(long)]
    pub(super) bootstrap: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct Find {
    /// Free text over name, description, tags and skill; a slip of the hand is forgiven.
    pub(super) text: Option<String>,
    /// Any of the words will do; otherwise all of them must occur.
    #[arg(long)]
    pub(super) any: bool,
    /// Category that must match.
    #[arg(long)]
    pub(super) category: Option<String>,
    /// The skill that is sold, letter by letter.
    #[arg(long)]
    pub(super) skill: Option<String>,
    /// Tag that must be present.
    #[arg(long)]
    pub(super) tag: Option<String>,
    /// A payment scheme the listing must take, such as haggle-escrow.
    #[arg(long)]
    pub(super) scheme: Option<String>,
    /// A region the listing must be offered in, if it names any.
    #[arg(long)]
    pub(super) region: Option<String>,
    /// Least price in USDC.
    #[arg(long)]
    pub(super) min_price: Option<Usdc>,
    /// Greatest price in USDC.
    #[arg(long)]
    pub(super) max_price: Option<Usdc>,
    /// Buyers that the seller served well less those it failed, at least; a newcomer has 0.
    #[arg(long, allow_negative_numbers = true)]
    pub(super) min_reputation: Option<i64>,
    /// cost_per_success, trust_score_desc, price_asc, response_time_asc, relevance, or combined (trust, cost and speed
    /// together); cost_per_success unless told otherwise.
    #[arg(long)]
    pub(super) sort: Option<String>,
    /// The share of reputation in the combined order, from 0 to 1, instead of the configured one.
    #[arg(long)]
    pub(super) reputation_weight: Option<String>,
    /// At most this many (1 to 100).
    #[arg(long, default_value_t = 20)]
    pub(super) limit: u32,
    /// `next` of the page before.
    #[arg(long)]
    pub(super) cursor: Option<String>,
    /// Also count all that matches by category, tag, skill, region, payment scheme and price.
    #[arg(long)]
    pub(super) facets: bool,
    /// Say of each listing why it stands where it stands.
    #[arg(long)]
    pub(super) explain: bool,
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// Record id of a listing, or DID of an agent.
    pub(super) what: String,
}

#[derive(Debug, Args)]
pub(super) struct Hire {
    /// Record id of the listing, as `haggle find` prints it.
    pub(super) listing: String,
    /// The input: JSON, plain text, `@file`, or `-` for standard input. Text becomes {"text": …}.
    #[arg(default_value = "-")]
    pub(super) input: String,
    /// The most to pay in USDC, fee not included; default: the listed price.
    #[arg(long)]
    pub(super) max: Option<Usdc>,
    /// Key of the order: the same key never buys twice. Default: a fresh one, printed first.
    #[arg(long)]
    pub(super) key: Option<String>,
    /// Start the order and return at once.
    #[arg(long)]
    pub(super) no_wait: bool,
    /// Stop waiting after this long; the order goes on.
    #[arg(long, default_value = "2m")]
    pub(super) wait: humantime::Duration,
}

#[derive(Debug, Args)]
pub(super) struct Pay {
    /// An http or https URL; with `--message`, an agent: its DID, or the base URL of its A2A server; with an amount, a DID
    /// or an address.
    #[arg(value_hint = ValueHint::Url, value_name = "URL|DID")]
    pub(super) url: String,
    /// Send this much USDC, for nothing in return: the same as `haggle wallet send`.
    #[arg(conflicts_with_all = ["message", "method", "body", "headers", "rail", "dry_run", "max"])]
    pub(super) amount: Option<Usdc>,
    /// Why it is sent: kept in this node's ledger, and told to the agent that is paid.
    #[arg(long, visible_alias = "memo", requires = "amount", default_value = "")]
    pub(super) reason: String,
    /// Ask an agent over A2A and pay inside the task (a2a-x402): text, a JSON object or list, `@file`, or `-` for standard
    /// input.
    #[arg(long, conflicts_with_all = ["method", "body"])]
    pub(super) message: Option<String>,
    /// The most to pay in USDC; default: what the budget allows one call.
    #[arg(long)]
    pub(super) max: Option<Usdc>,
    /// The method; default: GET, or POST with a body.
    #[arg(long)]
    pub(super) method: Option<String>,
    /// The body: text, `@file`, or `-` for standard input.
    #[arg(long)]
    pub(super) body: Option<String>,
    /// A header, as `name: value`; may be repeated.
    #[arg(long = "header", value_name = "NAME: VALUE")]
    pub(super) headers: Vec<String>,
    /// How to pay: `exact`, one payment for this call, or `channel`, a voucher; `escrow` is for orders (`haggle hire`).
    /// Default: what the node finds best; `--dry-run` says what and why.
    #[arg(long, value_parser = ["exact", "channel", "escrow"])]
    pub(super) rail: Option<String>,
    /// Only ask what it costs and how it would be paid, and why.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Key of the payment: the same key never pays twice. Default: a fresh one, printed first.
    #[arg(long)]
    pub(super) key: Option<String>,
    /// Which of this node's agents pays.
    #[arg(long, value_name = "DID")]
    pub(super) buyer: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Make a key that calls one agent. It is shown once.
    Make {
        /// The agent it calls: a DID, or the name of one of this node's agents.
        agent: String,
        /// The most it may ever spend in USDC, fees included; default: a day's budget.
        #[arg(long)]
        allowance: Option<Usdc>,
        /// Which of this node's agents pays.
        #[arg(long, value_name = "DID")]
        buyer: Option<String>,
    },
    /// The keys that were made, with what they have spent.
    List,
    /// End a key; calls under way go on.
    Revoke {
        /// Its name: the twelve digits after `sk_live_`.
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum NetworkCommand {
    /// Check a network file without a network: facts, checksums, and which ways of paying it leaves open.
    Check {
        /// The file.
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum ReceiptCommand {
    /// Print the receipt of an order that is over: who sold what to whom, what was paid, and in which block.
    Order {
        /// Key or order id.
        id: String,
    },
    /// Print the receipt of a payment to a stranger who signed one.
    Payment {
        /// The payment's key.
        key: String,
    },
    /// Print the receipt of a prepaid channel: what was charged on it in all, signed by both sides. The payer's node asks the
    /// seller for its signature; the seller's node has everything. Whoever has the file of an open channel can have what is
    /// left in it sent back to its payer.
    Channel {
        /// The channel's id: `haggle wallet channels` names them.
        channel: String,
        /// Where the seller sells: the URL that was paid for, or the DID of an agent of the market.
        #[arg(long, value_name = "URL|DID")]
        at: Option<String>,
    },
    /// Check a receipt: signatures, hashes, amounts. Needs no node, no network and no keys.
    Verify {
        /// The file, or - for standard input.
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum OrderCommand {
    /// This node's orders, newest first.
    List {
        /// `buyer` or `provider`.
        #[arg(long)]
        role: Option<String>,
        /// Only orders in this state.
        #[arg(long)]
        state: Option<String>,
    },
    /// One order with its life line.
    Show {
        /// Key or order id.
        id: String,
    },
    /// Wait until an order is final.
    Wait {
        /// Key or order id.
        id: String,
        /// Stop waiting after this long; the order goes on.
        #[arg(long, default_value = "2m")]
        wait: humantime::Duration,
    },
    /// Cancel an order that is not funded.
    Cancel {
        /// Key or order id.
        id: String,
    },
    /// Dispute an order you bought: what the seller posted on chain as delivered is not what was agreed.
    Dispute {
        /// Key or order id.
        id: String,
        /// Why, in your own words.
        #[arg(long)]
        reason: String,
    },
    /// Stand against the dispute of an order you sold.
    Counter {
        /// Order id.
        id: String,
    },
    /// Deliver an order of an agent that you answer by hand: `haggle order show` shows what was asked.
    Deliver {
        /// Order id.
        id: String,
        /// The output: JSON, text, `@file`, or `-` for standard input.
        #[arg(long, value_name = "JSON|@FILE")]
        output: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Publish {
    /// Name or DID of an agent of this node.
    pub(super) agent: String,
    /// New price of one call in USDC.
    #[arg(long)]
    pub(super) price: Option<Usdc>,
    /// Withdraw the listing instead.
    #[arg(long, conflicts_with = "price")]
    pub(super) withdraw: bool,
}

#[cfg(feature = "devnet")]
#[derive(Debug, Subcommand)]
pub(super) enum DevnetCommand {
    /// Start a chain, nodes and agents; runs until Ctrl-C.
    Up {
        /// How many nodes (1 to 20).
        #[arg(long, default_value_t = 5)]
        nodes: u32,
        /// Where the homes lie.
        #[arg(long, default_value = "haggle-devnet", value_hint = ValueHint::DirPath)]
        dir: PathBuf,
        /// Seed of every key: the same seed makes the same DIDs.
        #[arg(long, default_value_t = 7)]
        seed: u64,
    },
    /// Stop a running devnet.
    Down {
        /// Where the homes lie.
        #[arg(long, default_value = "haggle-devnet", value_hint = ValueHint::DirPath)]
        dir: PathBuf,
    },
    /// Show a running devnet.
    Status {
        /// Where the homes lie.
        #[arg(long, default_value = "haggle-devnet", value_hint = ValueHint::DirPath)]
        dir: PathBuf,
    },
    /// Move the chain's clock forward (chain 31337 only).
    Time {
        /// How far, such as 24h.
        forward: humantime::Duration,
        /// Where the homes lie.
        #[arg(long, default_value = "haggle-devnet", value_hint = ValueHint::DirPath)]
        dir: PathBuf,
    },
}

#[cfg(feature = "devnet")]
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// The document to buy a digest of, at most 512 KiB; default: haggle's own README.
    #[arg(value_hint = ValueHint::FilePath)]
    pub(super) file: Option<PathBuf>,
    /// Leave the market running in the foreground until Ctrl-C.
    #[arg(long)]
    pub(super) keep: bool,
    /// Where the homes lie; default: a temporary directory.
    #[arg(long, value_hint = ValueHint::DirPath)]
    pub(super) dir: Option<PathBuf>,
    /// Listings of strangers on the market besides, made up and signed each by another author; at most 30000.
    #[cfg(feature = "bench")]
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=30_000))]
    pub(super) listings: u64,
}

#[cfg(feature = "bench")]
#[derive(Debug, Subcommand)]
pub(super) enum BenchCommand {
    /// Calls between agents: a crowd on one node, libp2p beside raw libp2p, our gateway beside other servers, memory.
    A2a(BenchA2a),
    /// Payments: vouchers beside the bare curve, a paid call beside a free one, our facilitator beside the npm one.
    Pay(BenchPay),
    /// Finding each other: taking listings in, beside bare signatures; searching, beside tantivy and SQLite.
    Discovery(BenchDiscovery),
    /// One part of a bench, in a process of its own.
    #[command(hide = true, subcommand)]
    Part(BenchPart),
}

#[cfg(feature = "bench")]
#[derive(Debug, Args)]
pub(super) struct BenchA2a {
    /// Agents on one node.
    #[arg(long, default_value_t = 10_000)]
    pub(super) agents: u32,
    /// Tasks open on that node at once.
    #[arg(long, default_value_t = 10_000)]
    pub(super) concurrent: u32,
    /// How long calls over libp2p are counted, to see whether any is lost.
    #[arg(long, default_value_t = 60)]
    pub(super) seconds: u64,
    /// Calls after which the growth of a node's memory is read.
    #[arg(long, default_value_t = 500_000)]
    pub(super) calls: u64,
    /// Also run beside the servers in this folder: testnet/peers of the repository. Builds the Rust one, some minutes.
    #[arg(long, value_hint = ValueHint::DirPath)]
    pub(super) peers: Option<PathBuf>,
    /// Only see that everything runs: the figures mean nothing.
    #[arg(long)]
    pub(super) quick: bool,
    /// The Python that has the packages of a2a-python/requirements.txt.
    #[arg(long, env = "HAGGLE_PYTHON", default_value = "target/python/bin/python", value_hint = ValueHint::FilePath)]
    pub(super) python: PathBuf,
}

#[cfg(feature = "bench")]
#[derive(Debug, Args)]
pub(super) struct BenchPay {
    /// Also run beside the facilitator in this folder: testnet/peers of the repository, its npm packages installed.
    #[arg(long, value_hint = ValueHint::DirPath)]
    pub(super) peers: Option<PathBuf>,
    /// Only see that everything runs: the figures mean nothing.
    #[arg(long)]
    pub(super) quick: bool,
}

#[cfg(feature = "bench")]
#[derive(Debug, Args)]
pub(super) struct BenchDiscovery {
    /// Listings of the market that is searched first.
    #[arg(long, default_value_t = 200_000)]
    pub(super) listings: u64,
    /// Listings of the large market.
    #[arg(long, default_value_t = 1_000_000)]
    pub(super) many: u64,
    /// Listings taken in one by one.
    #[arg(long, default_value_t = 20_000)]
    pub(super) taken_in: u64,
    /// Queries.
    #[arg(long, default_value_t = 1000)]
    pub(super) queries: usize,
    /// Nodes of the crowd that a listing spreads through.
    #[arg(long, default_value_t = 50)]
    pub(super) crowd: usize,
    /// Listings that spread through it.
    #[arg(long, default_value_t = 100)]
    pub(super) messages: usize,
    /// Listings that two nodes have in common when they find out what differs.
    #[arg(long, default_value_t = 100_000)]
    pub(super) common: u64,
    /// How long nodes are at rest before they are looked at, and while they are.
    #[arg(long, default_value_t = 10)]
    pub(super) rest_seconds: u64,
    /// Nodes of the simulated market that has to become complete.
    #[arg(long, default_value_t = 10_000)]
    pub(super) simulated: u32,
}

#[cfg(feature = "bench")]
#[derive(Debug, Subcommand)]
pub(super) enum BenchPart {
    /// Calls, free and paid for by voucher.
    Paid {
        #[arg(long)]
        quick: bool,
        /// JSON-RPC URL of the chain, which runs in another process.
        #[arg(long)]
        rpc: String,
        /// The network, as JSON.
        #[arg(long)]
        network: String,
    },
    /// Listings taken in.
    Ingest {
        #[arg(long)]
        listings: u64,
    },
    /// Listings searched.
    Search {
        #[arg(long)]
        listings: u64,
        #[arg(long)]
        queries: usize,
    },
    /// A market on disk.
    Fill {
        folder: PathBuf,
        #[arg(long)]
        listings: u64,
    },
    /// Memory of a node that holds it.
    Held {
        folder: PathBuf,
        #[arg(long)]
        listings: u64,
    },
    /// A crowd that listings spread through.
    Crowd {
        #[arg(long)]
        bare: bool,
        #[arg(long)]
        nodes: usize,
        #[arg(long)]
        messages: usize,
    },
    /// Two nodes that find out what differs.
    SyncCost {
        #[arg(long)]
        common: u64,
        #[arg(long)]
        differences: u64,
    },
    /// A simulated hour of a market.
    Traffic {
        #[arg(long)]
        listings: u64,
    },
    /// A simulated market that loses and churns.
    Law {
        #[arg(long)]
        nodes: u32,
        #[arg(long)]
        publications: u64,
    },
    /// A bare libp2p node at rest.
    Idle {
        #[arg(long)]
        seconds: u64,
    },
    /// Vouchers verified on one core.
    Vouchers {
        #[arg(long)]
        quick: bool,
    },
    /// Median latency of one caller.
    Latency {
        #[arg(long)]
        quick: bool,
    },
    /// Calls a second of many callers.
    Rate {
        #[arg(long)]
        quick: bool,
    },
    /// Calls without an answer.
    Lost {
        #[arg(long)]
        seconds: u64,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Print the whole configuration in force.
    Show,
    /// Print one value.
    Get {
        /// Dotted key, such as budget.per_call.
        key: String,
    },
    /// Change one value in config.toml; comments stay.
    Set {
        /// Dotted key.
        key: String,
        /// New value.
        value: String,
    },
    /// Say what keys mean.
    Explain {
        /// Dotted key; all keys when absent.
        key: Option<String>,
    },
}
