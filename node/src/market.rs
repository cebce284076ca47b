//! The market between nodes: gossip onto the shelf, our own records out, sessions with peers at the catalog's pace.
//!
//! A [`Market`] is a network and a catalog joined. The node runs one; scenarios of many nodes in one process run one each,
//! with nothing around it.

use crate::adapters::catalog::Gossip as Announcer;
use haggle_base::{Clock, Coded, NetworkId, NodeKey, PeerId};
use haggle_catalog::{
    Catalog, CatalogConfig, CatalogError, CatalogEvent, Ended, Origin, Pace, PaceSettings, Role, Spent, Standing,
    SyncError, SyncReport,
};
use haggle_network::{
    Gossip, Inbox, Incoming, Network, NetworkConfig, NetworkError, NetworkEvent, Severity, Stream, scoped,
};
use haggle_store::Store;
use parking_lot::Mutex;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Longest time until the pace is asked again by itself.
const ASK_AGAIN: Duration = Duration::from_secs(60);
/// The wall clock runs on while a machine sleeps, and timers do not: a difference from here on is sleep.
const SLEPT: Duration = Duration::from_secs(60);

/// A peer that is connected for so long has begun everything that it speaks, however slow its machine is.
const SETTLED: Duration = Duration::from_secs(60);

/// What this node does to make its shelf equal to those of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sessions {
    /// Nothing.
    Off,
    /// It gives what its own agents say, and does not hold the market.
    Given,
    /// It holds a part of the market: it reconciles that, and gives what its own agents say.
    Part,
    /// It holds the market, and reconciles.
    Reconciled,
}

/// Who is told of finished sessions.
type Told = Arc<dyn Fn(PeerId, &SyncReport) + Send + Sync>;

/// A network and a catalog that live from each other. Clones share both.
#[derive(Clone)]
pub struct Market {
    network: Network,
    catalog: Catalog,
    clock: Arc<dyn Clock>,
    pace: Arc<Mutex<Pace<PeerId>>>,
    /// Something happened that may change whom to reconcile with.
    changed: Arc<Notify>,
    begun: Instant,
    told: Told,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl fmt::Debug for Market {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Market").field("network", &self.network).finish_non_exhaustive()
    }
}

/// Why a market does not start.
#[derive(Debug, thiserror::Error)]
pub enum MarketError {
    /// The network does not.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The catalog does not.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

/// The name of the reconciliation protocol.
fn protocol(network: &NetworkId) -> String {
    scoped(network, "sync/1")
}

/// The same between nodes that say which shards they hold: what a node that holds a part of the market accepts, so that nobody
/// takes its part for the whole.
pub(crate) fn part_protocol(network: &NetworkId) -> String {
    scoped(network, "sync/2")
}

impl Market {
    /// Joins a network and a catalog that run. Nothing happens before [`Market::run`].
    #[must_use]
    pub(crate) fn join(
        network: Network,
        catalog: Catalog,
        clock: Arc<dyn Clock>,
        sync_every: Duration,
        told: Told,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        Self {
            network,
            catalog,
            clock,
            pace: Arc::new(Mutex::new(Pace::new(PaceSettings::every(sync_every), Duration::ZERO))),
            changed: Arc::default(),
            begun: Instant::now(),
            told,
            tasks,
            stop,
        }
    }

    /// A market with nothing around it: no gateway, no chain, no agents.
    ///
    /// # Errors
    /// [`MarketError`] where network or catalog do not start.
    pub async fn start(
        network: NetworkConfig,
        catalog: CatalogConfig,
        store: Store,
        key: &NodeKey,
        clock: Arc<dyn Clock>,
        standing: Arc<dyn Standing>,
        sync_every: Duration,
    ) -> Result<Self, MarketError> {
        let id = network.network.clone();
        let (network, inbox) = Network::start(network, key, Arc::clone(&clock), None).await?;
        let announce = Arc::new(Announcer { network: network.clone(), id });
        let catalog = Catalog::start(store, catalog, Arc::clone(&clock), announce, standing).await?;
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let market = Self::join(network, catalog, clock, sync_every, Arc::new(|_, _| {}), tasks, stop);
        market.run(Some(inbox), Sessions::Reconciled)?;
        Ok(market)
    }

    /// Starts the loops: gossip, if there is an inbox, and sessions, if they are wanted. They end when the market stops.
    ///
    /// # Errors
    /// Somebody else accepts the protocol of reconciliation.
    pub(crate) fn run(&self, inbox: Option<Inbox>, sessions: Sessions) -> Result<(), NetworkError> {
        let events = self.network.subscribe_events();
        if let Some(inbox) = inbox {
            self.spawn(self.clone().read_gossip(inbox));
        }
        // a node that does not reconcile does not say that it does
        let followed = match sessions {
            Sessions::Reconciled => Some(protocol(self.catalog.network())),
            Sessions::Part => Some(part_protocol(self.catalog.network())),
            Sessions::Given | Sessions::Off => None,
        };
        if let Some(name) = followed {
            let syncs = self.network.accept(&name)?;
            self.spawn(self.clone().follow(syncs, sessions == Sessions::Part));
        }
        if matches!(sessions, Sessions::Given | Sessions::Part) {
            // whoever comes is owed what was said before this start
            self.pace.lock().has_news(self.begun.elapsed());
            self.spawn(self.clone().watch_own(self.catalog.subscribe()));
        }
        if sessions != Sessions::Off {
            self.spawn(self.clone().lead(sessions));
        }
        self.spawn(self.clone().watch(events, sessions));
        Ok(())
    }

    /// The network.
    #[must_use]
    pub const fn network(&self) -> &Network {
        &self.network
    }

    /// The catalog.
    #[must_use]
    pub const fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Ends the loops, the network and the catalog.
    ///
    /// # Errors
    /// The catalog has ended before.
    pub async fn shutdown(self) -> Result<(), CatalogError> {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.network.shutdown().await;
        self.catalog.clone().shutdown().await
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            // either the loop ended with its source, or the market stops
            let _ended = stop.run_until_cancelled_owned(work).await;
        });
    }

    /// Puts what is gossiped on the shelf, and tells the mesh what it was worth.
    async fn read_gossip(self, mut inbox: Inbox) {
        while let Some(Gossip { from, bytes, verdict, .. }) = inbox.gossip.recv().await {
            match self.catalog.put(bytes.to_vec(), Origin::Gossip { peer: from }).await {
                Ok(put) if put.is_new() => verdict.accept(),
                Ok(_) => verdict.ignore(),
                Err(error) if error.is_senders_fault() => {
                    tracing::debug!(peer.id = %from, error.code = error.code(), "rejected a record from {from}: {error}");
                    verdict.reject();
                }
                Err(error) => {
                    tracing::warn!(peer.id = %from, error.code = error.code(), "could not keep a record: {error}");
                    verdict.ignore();
                }
            }
        }
    }

    /// Tells the pace of peers that come and go, and the catalog of peers that listen.
    async fn watch(self, mut events: broadcast::Receiver<NetworkEvent>, sessions: Sessions) {
        let own = self.network.peer_id();
        // both sides see a connection; the smaller id leads, so one session is enough. A node of a part always leads one, for
        // only so can it give what lies elsewhere
        let greet = |peer: PeerId| {
            if sessions != Sessions::Off {
                let leads = own < peer || sessions == Sessions::Part;
                self.pace.lock().connected(peer, leads, self.begun.elapsed());
                self.changed.notify_one();
            }
        };
        // whoever connected before this loop listened
        self.network.peers().into_iter().for_each(|facts| greet(facts.peer));
        loop {
            match events.recv().await {
                Ok(NetworkEvent::Connected { peer, .. }) => greet(peer),
                Ok(NetworkEvent::Disconnected { peer }) => {
                    self.pace.lock().disconnected(&peer, self.begun.elapsed());
                    self.changed.notify_one();
                }
                Ok(NetworkEvent::Subscribed { .. }) => self.catalog.retry_announcements(),
                Ok(NetworkEvent::GossipDropped) => {
                    self.pace.lock().missed(self.begun.elapsed());
                    self.changed.notify_one();
                }
                Ok(_) => {}
                // peers that came meanwhile are greeted now; a greeting too many costs little
                Err(RecvError::Lagged(_)) => self.network.peers().into_iter().for_each(|facts| greet(facts.peer)),
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Tells the pace of what our own agents say: gossip brings it, and what gossip loses is given.
    async fn watch_own(self, mut events: broadcast::Receiver<CatalogEvent>) {
        loop {
            match events.recv().await {
                Ok(CatalogEvent::Stored { origin: Origin::Local, .. }) | Err(RecvError::Lagged(_)) => {
                    self.pace.lock().has_news(self.begun.elapsed());
                    self.changed.notify_one();
                }
                Ok(_) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Leads the sessions that are due, as long as the node runs.
    async fn lead(self, sessions: Sessions) {
        let (mut wall, mut awake) = (self.clock.now(), Instant::now());
        loop {
            let due = self.pace.lock().lead(self.begun.elapsed(), dice());
            for peer in due {
                let this = self.clone();
                self.spawn(async move { this.lead_one(peer, sessions).await });
            }
            let pause = self.pace.lock().wait(self.begun.elapsed()).min(ASK_AGAIN);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.changed.notified() => {}
            }
            let slept = self.clock.now().since(wall).saturating_sub(awake.elapsed());
            if slept >= SLEPT {
                self.pace.lock().missed(self.begun.elapsed());
            }
            (wall, awake) = (self.clock.now(), Instant::now());
        }
    }

    /// Follows the sessions that peers lead, as far as they may.
    async fn follow(self, mut syncs: Incoming, says: bool) {
        while let Some((peer, stream)) = syncs.next().await {
            if !self.pace.lock().follow(peer, self.begun.elapsed()) {
                tracing::debug!(peer.id = %peer, "{peer} asks to reconcile more often than it may");
                continue;
            }
            let this = self.clone();
            self.spawn(async move {
                let (ended, spent) = this.session(peer, stream, Role::Follower, says).await;
                this.pace.lock().followed(&peer, ended, spent, this.begun.elapsed(), dice());
                this.changed.notify_one();
            });
        }
    }

    async fn lead_one(&self, peer: PeerId, sessions: Sessions) {
        let part = part_protocol(self.catalog.network());
        let says = self.network.speaks(&peer, &part);
        let name = if says { part } else { protocol(self.catalog.network()) };
        let opened = self.network.open(&peer, &name).await;
        // a light node holds nothing to reconcile with, and says so by not speaking the protocol; one that has just started
        // may not speak it yet
        let since = self.network.facts(&peer).and_then(|facts| facts.connected_since);
        let is_settled = since.is_some_and(|since| self.clock.now().since(since) >= SETTLED);
        let is_light = is_settled && matches!(opened, Err(NetworkError::Unsupported { .. }));
        let (ended, spent) = match opened {
            Ok(stream) if sessions == Sessions::Given => self.over(peer, self.catalog.give_to(stream, peer).await),
            Ok(stream) => self.session(peer, stream, Role::Leader, says).await,
            Err(error) => {
                tracing::debug!(peer.id = %peer, error.code = error.code(), "{peer} cannot be reconciled with: {error}");
                (Ended::Failed, Spent::default())
            }
        };
        let mut pace = self.pace.lock();
        pace.led(&peer, ended, spent, self.begun.elapsed(), dice());
        if is_light {
            pace.leave_alone(&peer);
        }
        drop(pace);
        self.changed.notify_one();
    }

    /// Reconciles over a stream, on which each side `says` which shards it holds or neither does.
    async fn session(&self, peer: PeerId, stream: Stream, role: Role, says: bool) -> (Ended, Spent) {
        let outcome = match says {
            true => self.catalog.sync_parts_with(stream, role, peer).await,
            false => self.catalog.sync_with(stream, role, peer).await,
        };
        self.over(peer, outcome)
    }

    /// What a session that is over comes to.
    fn over(&self, peer: PeerId, outcome: Result<SyncReport, SyncError>) -> (Ended, Spent) {
        match outcome {
            Ok(report) => {
                if !report.is_gift {
                    (self.told)(peer, &report);
                }
                (report.ended(), report.spent())
            }
            Err(error) => {
                if error.is_peers_fault() {
                    self.network.report(&peer, Severity::Medium);
                }
                tracing::debug!(peer.id = %peer, error.code = error.code(), "reconciling with {peer} failed: {error}");
                (Ended::Failed, Spent { sessions: 1, ..Spent::default() })
            }
        }
    }
}

/// A random number; nothing secret hangs on it.
fn dice() -> u64 {
    RandomState::new().build_hasher().finish()
}
