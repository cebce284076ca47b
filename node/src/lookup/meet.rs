//! Finding an agent of which nothing is known but its DID: at index nodes, then by its pointer in the DHT.
//!
//! The pointer is the agent's own word, so whoever hands it on can only keep it back or show an older one. It names the hosts,
//! and a host tells what it serves over `/haggle/<network>/agent/1`: signed records, which go through the one door.

use super::{Lookup, Outcome};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use haggle_base::{Coded, Did, NetworkId, PeerId, Pointer, Text, Verified, pointer};
use haggle_catalog::remote::budget::Budget;
use haggle_catalog::{Query, SearchError};
use haggle_network::{Severity, Stream, scoped};
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How long the DHT has to bring pointers.
const POINTER_PATIENCE: Duration = Duration::from_secs(3);
/// How long the hosts of a pointer have for their answers, the dials included; all are asked at once.
const HOST_PATIENCE: Duration = Duration::from_secs(4);
/// How often one agent is looked for whose card is held and led nowhere, or may be old.
const MET_EVERY: Duration = Duration::from_secs(30);
/// How often one agent is looked for of which no card is held.
const SOUGHT_EVERY: Duration = Duration::from_secs(5);
/// The outcome when a host told something new.
const NEWS: &str = "ok";
/// Agents looked for within [`MET_EVERY`].
const MOST_MET: usize = 256;

/// One look for an agent at a time, and when the last one was.
type Turn = Arc<tokio::sync::Mutex<Option<Instant>>>;

/// Agents that were looked for, and what others asked of ours.
pub(super) struct Meetings {
    searched: Mutex<HashMap<Did, Instant>>,
    sought: Mutex<HashMap<Did, (Instant, Turn)>>,
    budget: Mutex<Budget<PeerId>>,
    followed: Family<Outcome, Counter>,
    told: Family<Outcome, Counter>,
}

impl Meetings {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let (followed, told) = (Family::default(), Family::default());
        let own = registry.sub_registry_with_prefix("haggle_agent");
        own.register("pointers_followed", "Agents looked for in the DHT, by outcome", Family::clone(&followed));
        own.register("told", "Questions of others about agents of this node, by outcome", Family::clone(&told));
        Self { searched: Mutex::default(), sought: Mutex::default(), budget: Mutex::default(), followed, told }
    }

    fn may_search(&self, agent: &Did) -> bool {
        let mut searched = self.searched.lock();
        searched.retain(|_, at| at.elapsed() < MET_EVERY);
        let may = searched.len() < MOST_MET && !searched.contains_key(agent);
        if may {
            searched.insert(*agent, Instant::now());
        }
        may
    }

    /// The turn to look for an agent; `None` if too many are looked for.
    fn turn(&self, agent: &Did) -> Option<Turn> {
        let mut sought = self.sought.lock();
        sought.retain(|_, (at, _)| at.elapsed() < MET_EVERY);
        if sought.len() >= MOST_MET && !sought.contains_key(agent) {
            return None;
        }
        let (at, turn) = sought.entry(*agent).or_insert_with(|| (Instant::now(), Turn::default()));
        *at = Instant::now();
        Some(Arc::clone(turn))
    }
}

/// The name of the protocol in a network over which a host tells of an agent.
pub(crate) fn protocol(network: &NetworkId) -> String {
    scoped(network, "agent/1")
}

impl Lookup {
    fn card_held(&self, agent: &Did) -> Option<haggle_base::RecordId> {
        self.catalog.card(agent).ok().flatten().map(|card| card.id())
    }

    /// At a node that does not hold the whole market, searches for what an agent says now; true if another card of it is held then. Only agents that sell
    /// something are found so.
    pub(crate) async fn refresh(&self, agent: &Did) -> bool {
        if self.role.holds_all() || !self.meetings.may_search(agent) {
            return false;
        }
        let before = self.card_held(agent);
        // what is answered goes on the shelf; no page of it is asked for
        let query = Query { author: Some(*agent), ..Query::default() };
        if let Err(error) = self.ask(&query).await {
            tracing::debug!(agent.id = %agent, error.code = error.code(), "{agent} was not looked up: {error}");
        }
        self.card_held(agent) != before
    }

    fn has_listing(&self, agent: &Did) -> bool {
        self.catalog.listings_of(agent).is_ok_and(|listings| !listings.is_empty())
    }

    /// Looks for an agent whose card or listings are not held, or led nowhere; true if something new is held then. Takes
    /// [`POINTER_PATIENCE`] and [`HOST_PATIENCE`] at most beside the search of a light node; who asks for the same agent
    /// meanwhile waits for the same answer.
    pub(crate) async fn meet(&self, agent: &Did) -> bool {
        let (before, had_listing) = (self.card_held(agent), self.has_listing(agent));
        let has_news = || self.card_held(agent) != before || (!had_listing && self.has_listing(agent));
        if self.refresh(agent).await || has_news() {
            return true;
        }
        let Some(turn) = self.meetings.turn(agent) else { return false };
        let mut last = turn.lock().await;
        let mut is_told = false;
        let pause = if before.is_some() { MET_EVERY } else { SOUGHT_EVERY };
        if !has_news() && last.is_none_or(|last| last.elapsed() >= pause) {
            let outcome = self.follow_pointer(agent).await;
            self.meetings.followed.get_or_create(&Outcome { outcome }).inc();
            tracing::debug!(agent.id = %agent, outcome, "looked for {agent} in the DHT: {outcome}");
            is_told = outcome == NEWS;
            *last = Some(Instant::now());
        }
        drop(last);
        is_told || has_news()
    }

    /// Finds the agent's pointer and asks its hosts; says how that went.
    async fn follow_pointer(&self, agent: &Did) -> &'static str {
        let network = self.catalog.network();
        let key = pointer::key(network, agent);
        let found = match self.network.get_pointer(key.as_bytes().to_vec(), POINTER_PATIENCE).await {
            Ok(found) => found,
            Err(error) => return error.code(),
        };
        // the network gives those that pass, the newest one first
        let newest = found.first().map(|value| pointer::check(network, key.as_bytes(), value, self.clock.now()));
        match newest {
            None => "no_pointer",
            Some(Err(error)) => error.code(),
            Some(Ok(newest)) => self.ask_hosts(agent, &newest).await,
        }
    }

    async fn ask_hosts(&self, agent: &Did, newest: &Verified<Pointer>) -> &'static str {
        let Pointer { card, hosts, .. } = newest.body();
        if hosts.is_empty() {
            return "withdrawn";
        }
        // a card may come alone, and its listings later or not at all
        if card.is_some() && *card == self.card_held(agent) && self.has_listing(agent) {
            return "nothing_new";
        }
        let own = self.network.peer_id();
        let hosts = hosts.iter().filter(|host| host.peer != own);
        let asked = hosts.map(|host| async move { self.ask_peer(agent, &host.peer, &host.addrs).await });
        let mut asked: FuturesUnordered<_> = asked.collect();
        while let Some(is_news) = asked.next().await {
            if is_news {
                return NEWS;
            }
        }
        "hosts_silent"
    }

    /// Asks one peer for an agent of its own, dialling it if need be, by addresses that the agent named; true if it told something new.
    pub(crate) async fn ask_peer(&self, agent: &Did, peer: &PeerId, addrs: &[Text<128>]) -> bool {
        let asking = async {
            let unreachable = |error: haggle_network::NetworkError| SearchError::Unreachable { code: error.code() };
            self.network.connect_hinted(peer, addrs).await.map_err(unreachable)?;
            let name = protocol(self.catalog.network());
            let stream = self.network.open(peer, &name).await.map_err(unreachable)?;
            self.catalog.ask_about(stream, *peer, agent, HOST_PATIENCE).await
        };
        let told = timeout(HOST_PATIENCE, asking).await.unwrap_or(Err(SearchError::Timeout));
        told.unwrap_or_else(|error| {
            tracing::debug!(peer.id = %peer, error.code = error.code(), "{peer} told nothing of {agent}: {error}");
            if error.is_peers_fault() {
                self.network.report(peer, Severity::Medium);
            }
            false
        })
    }

    /// Tells one peer of an agent that `serves` says yes to, if the peer may ask now.
    pub(crate) async fn tell_about(&self, peer: PeerId, stream: Stream, serves: impl FnOnce(&Did) -> bool + Send) {
        let answering = |stream| self.catalog.answer_about(stream, serves);
        let outcome = match self.within(&self.meetings.budget, peer, stream, answering).await {
            Ok(Ok(answered)) if answered.records == 0 => "absent",
            Ok(Ok(_)) => "ok",
            Ok(Err(why)) => why.as_str(),
            Err(error) => error.code(),
        };
        self.meetings.told.get_or_create(&Outcome { outcome }).inc();
    }
}
