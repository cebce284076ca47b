//! A running node: the rooms joined, the loops between them, and what an embedding program asks of it.

mod api;
mod builder;
mod by_hand;
mod cards;
mod checks;
mod compose;
mod fees;
mod invoke;
mod keys;
mod letters;
mod look;
mod loops;
mod memory;
mod messages;
mod pay;
mod pointing;
mod prices;
mod probe;
mod publish;
mod receipts;
mod registry;
mod rendezvous;
mod search;
mod sell;
mod standing;
mod tickets;
mod views;
mod wallets;

pub use builder::NodeBuilder;

use crate::adapters::a2a::Directory;
use crate::adapters::faults::CrashPoint;
use crate::adapters::notes::NoteTaker;
use crate::agent::{AgentDraft, Worker};
use crate::agents::Agents;
use crate::config::Config;
use crate::documents::Documents;
use crate::error::NodeError;
use crate::events::Events;
use crate::fees::FeeBook;
use crate::home::{Home, HomeLock};
use crate::keyring::Keyring;
use crate::lookup::Lookup;
use crate::mailbox::Mailbox;
use crate::post::Post;
use haggle_a2a_transport::Server;
use haggle_base::{Clock, Did, NetworkFile, PeerId, Timestamp};
use haggle_catalog::Catalog;
use haggle_escrow::ChainReader;
use haggle_gateway::view::{AgentSummary, EventView, HireRequest, ListingQuery, ListingView, OrderView};
use haggle_gateway::{ApiError, Gateway, NodeApi};
use haggle_network::Network;
use haggle_reputation::Reputation;
use haggle_settlement::Settlement;
use haggle_settlement::channels::Buying;
use haggle_settlement::purse::Purse;
use haggle_store::{Blobs, Store};
use haggle_trade::{Buyer, Desk};
use serde_json::Value;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::sync::{Mutex, broadcast};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// A running node.
///
/// Dropping it stops its loops; [`Node::shutdown`] also waits until everything is on disk.
///
/// ```no_run
/// # async fn story() -> Result<(), Box<dyn std::error::Error>> {
/// use haggle::{AgentDraft, Node, Worker};
/// use serde_json::json;
///
/// let node = Node::builder("./seller").network_file("network.toml").chain("http://127.0.0.1:8545").start().await?;
/// let shout = Worker::new(|input, _call| async move {
///     let text = input["text"].as_str().ok_or("give me a text")?;
///     Ok(json!({"text": text.to_uppercase()}))
/// });
/// node.serve(AgentDraft::new("shout").category("text").price("0.01".parse()?), shout).await?;
/// node.until_stopped().await;
/// # Ok(()) }
/// ```
pub struct Node {
    inner: Arc<Inner>,
    gateway: Gateway,
    tasks: TaskTracker,
    /// Stops the loops when the node is dropped.
    _stop: DropGuard,
    _lock: HomeLock,
}

/// How long an orderly stop may take.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// How long a program waits for an event before it looks again by itself.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// What the API, the loops and the handle share.
pub(crate) struct Inner {
    pub(crate) home: Home,
    pub(crate) config: Config,
    pub(crate) file: NetworkFile,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) started: Timestamp,
    pub(crate) keys: Arc<Keyring>,
    pub(crate) agents: Agents,
    pub(crate) money: Store,
    pub(crate) market: Store,
    pub(crate) network: Network,
    pub(crate) reader: ChainReader,
    pub(crate) settlement: Settlement,
    /// Payments to strangers.
    pub(crate) purse: Purse,
    /// Where single calls are sold.
    pub(crate) counter: sell::Counter,
    /// What came in by transfer, and what for.
    pub(crate) notes: NoteTaker,
    /// Rings when there is somebody to tell of a transfer.
    pub(crate) told: tokio::sync::Notify,
    /// Payments by voucher, if channels are on.
    pub(crate) buying: Option<Buying>,
    /// Where crash tests end this process.
    pub(crate) faults: Arc<CrashPoint>,
    /// Bodies that are too long for a row.
    pub(crate) blobs: Blobs,
    pub(crate) documents: Documents,
    /// One request for each key of a payment.
    pub(crate) paying: pay::Turns,
    /// How often agents of this node paid an address singly, since the start.
    pub(crate) singles: parking_lot::Mutex<std::collections::HashMap<(Did, haggle_base::Address), u32>>,
    /// What agents asked for by voucher last time.
    pub(crate) offers: parking_lot::Mutex<std::collections::HashMap<Did, Arc<haggle_x402::PaymentRequirements>>>,
    pub(crate) key_turns: keys::KeyTurns,
    pub(crate) catalog: Catalog,
    /// Listing fees that the chain shows.
    pub(crate) fees: FeeBook,
    pub(crate) reputation: Reputation,
    pub(crate) server: Server,
    /// The way to agents on other nodes.
    pub(crate) directory: Directory,
    /// Answers of free calls, for those that are repeated.
    pub(crate) answers: invoke::Answers,
    pub(crate) mailbox: Mailbox,
    /// Letters to and from agents that cannot be reached.
    pub(crate) post: Post,
    pub(crate) buyer: Buyer,
    pub(crate) desk: Desk,
    pub(crate) events: Events,
    /// Searches, here or at other nodes.
    pub(crate) lookup: Arc<Lookup>,
    /// What the node knows from looking at others.
    pub(crate) looks: look::Looks,
    /// Agents whose pointers may be out of date.
    pub(crate) pointers_due: pointing::Due,
    pub(crate) reconciled: AtomicU64,
    /// Times the chain was followed.
    pub(crate) polls: AtomicU64,
    pub(crate) gateway_url: String,
    /// One change of the agents at a time.
    pub(crate) adding: Mutex<()>,
    pub(crate) stopping: CancellationToken,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("peer_id", &self.peer_id()).finish_non_exhaustive()
    }
}

impl Node {
    /// Starts to describe a node whose home is at `home`.
    pub fn builder(home: impl Into<std::path::PathBuf>) -> NodeBuilder {
        NodeBuilder::new(Home::at(home))
    }

    /// Starts the node that was made in `home`, with this configuration.
    ///
    /// # Errors
    /// `no_home`, `already_running`, `locked`, or what a room says.
    pub async fn from_home(home: &Home, config: Config) -> Result<Self, NodeError> {
        compose::start(home.clone(), config).await
    }

    /// The node's libp2p id.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        self.inner.network.peer_id()
    }

    /// Addresses that peers may dial, each with `/p2p/<id>`.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        self.inner.addresses()
    }

    /// Base URL of the gateway.
    #[must_use]
    pub fn gateway_url(&self) -> &str {
        &self.inner.gateway_url
    }

    /// Everything the gateway can do, without HTTP in between.
    #[must_use]
    pub fn api(&self) -> Arc<dyn NodeApi> {
        Arc::<Inner>::clone(&self.inner)
    }

    /// Serves a closure as an agent and puts it on the market. The same name again, after a restart, serves the same
    /// agent again.
    ///
    /// # Errors
    /// What breaks a rule of cards and listings.
    pub async fn serve(&self, draft: AgentDraft, worker: Worker) -> Result<AgentSummary, ApiError> {
        self.inner.serve(draft, worker).await
    }

    /// Searches this node's copy of the market by words.
    ///
    /// # Errors
    /// The index or the store fails.
    pub async fn find(&self, words: &str) -> Result<Vec<ListingView>, ApiError> {
        let query = ListingQuery { q: Some(words.to_owned()), ..ListingQuery::default() };
        Ok(self.inner.find(query).await?.items)
    }

    /// Buys one call of a listing and waits until the order is final. `key` names the intent: the same key never buys
    /// twice.
    ///
    /// # Errors
    /// The order could not be started. How a started order ended is in its state.
    pub async fn hire(&self, key: &str, listing: &str, input: Value) -> Result<OrderView, ApiError> {
        let mut steps = self.inner.events.follow(None).1;
        let request = HireRequest { listing: listing.to_owned(), input, max_price: None, buyer: None };
        let mut order = NodeApi::hire(&*self.inner, key, request).await?;
        while !(order.is_final() || order.problem.is_some() && order.fund_tx.is_none()) {
            // silence, a lagging and a closed stream all mean that the order is looked at again
            let _step = tokio::time::timeout(LOOK_AGAIN, steps.recv()).await;
            order = self.inner.order(key).await?;
        }
        Ok(order)
    }

    /// Waits until something happens that this node tells of (a listing, an order's step, a peer), or a moment has passed.
    pub async fn changed(&self) {
        let mut events = self.inner.events.follow(None).1;
        // both ends mean the same to whoever looks again
        let _event = tokio::time::timeout(LOOK_AGAIN, events.recv()).await;
    }

    /// What happens from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<EventView> {
        self.inner.events.follow(None).1
    }

    /// Waits until somebody asks the node to stop: `haggle down`, or an interrupt of the process.
    pub async fn until_stopped(&self) {
        tokio::select! {
            // without a signal handler only `haggle down` stops the node
            _interrupt = interrupted() => {}
            () = self.inner.stopping.cancelled() => {}
        }
    }

    /// Stops: no new requests, open ones answered, everything on disk.
    pub async fn shutdown(self) {
        let Self { inner, gateway, tasks, _stop, _lock } = self;
        // the file only helps others to find us; a stale one is noticed by its process id
        let _gone = std::fs::remove_file(inner.home.running_file());
        inner.stopping.cancel();
        tasks.close();
        // what takes longer is taken up again at the next start: every step is on disk
        let orderly = async {
            gateway.shutdown().await;
            inner.agents.stop_programs().await;
            inner.buyer.shutdown().await;
            inner.desk.shutdown().await;
            tasks.wait().await;
        };
        if tokio::time::timeout(STOP_PATIENCE, orderly).await.is_err() {
            tracing::warn!("work was still under way after {STOP_PATIENCE:?}; it goes on at the next start");
        }
        inner.network.shutdown().await;
        if let Err(error) = inner.catalog.clone().shutdown().await {
            tracing::warn!(error.cause = %error, "the catalog did not end orderly: {error}");
        }
        for store in [inner.market.clone(), inner.money.clone()] {
            if let Err(error) = store.shutdown().await {
                tracing::warn!(error.cause = %error, "a store did not end orderly: {error}");
            }
        }
    }
}

/// Ctrl-C, or the terminate signal of a service manager.
pub(crate) async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _interrupt = tokio::signal::ctrl_c() => {}
            _terminate = terminate.recv() => {}
        },
        Err(_) => {
            // no handler can be had: wait for `haggle down` for ever
            std::future::pending::<()>().await;
        }
    }
}

impl Inner {
    /// Addresses that peers may dial, each with `/p2p/<id>`.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let peer = self.network.peer_id();
        self.network
            .listen_addrs()
            .into_iter()
            .map(|address| if address.contains("/p2p/") { address } else { format!("{address}/p2p/{peer}") })
            .collect()
    }
}
