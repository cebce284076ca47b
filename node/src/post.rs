//! The post of a node: letters that it keeps for others, those its agents send, and who keeps letters for them.

use crate::config::{Config, Role};
use crate::mailbox::AskedRow;
use haggle_a2a::envelope::SignedMessage;
use haggle_base::pointer::MAX_POINTER_BYTES;
use haggle_base::{Blob, Clock, Did, List, NetworkId, PeerId, Pointer, Verified};
use haggle_catalog::mail::{Keeper, Limits, Outbox};
use haggle_catalog::remote::budget::Budget;
use haggle_gateway::ApiError;
use haggle_gateway::view::MessageView;
use haggle_network::{Network, scoped};
use haggle_store::{Batch, Store, StoreError, tables};
use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::time::Instant;

/// Keepers that a pointer has room for.
pub(crate) const MOST_KEEPERS: usize = 4;
/// A keeper that could not be visited for so long gives way to another one.
const GIVEN_UP: Duration = Duration::from_secs(3600);
/// Letters of senders without a token that this node takes in an hour: they would push out what it keeps.
const STRANGERS_AN_HOUR: u32 = 64;
/// Of these, those that may come directly, and from one peer: the others are for what keepers have.
const STRANGERS_DIRECTLY: u32 = 32;
const STRANGERS_OF_PEER: u32 = 8;
/// Letters of senders that our agents know, in an hour: of one, and of all.
const KNOWN_OF_ONE: u32 = 64;
const KNOWN_AN_HOUR: u32 = 512;
/// How long a keeper that has no place for us is left alone.
const NO_PLACE_FOR: Duration = Duration::from_secs(3600);
/// Of how many that is remembered.
const MOST_REFUSED: usize = 256;
const HOUR: Duration = Duration::from_secs(3600);
/// Letters that are brought at the same time.
const BROUGHT_AT_ONCE: usize = 8;
/// Requests that may wait to be left.
const REQUESTS_WAITING: usize = 64;

tables! {
    /// Who keeps letters for this node's agents.
    Keepers = "node-mail-keepers-1": u8 => List<PeerId, 4>;
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Outcome {
    pub(crate) outcome: &'static str,
}

/// Somebody who keeps letters for this node's agents, or is asked to.
#[derive(Clone, Copy, Debug)]
struct Chosen {
    peer: PeerId,
    /// Whether it has said yes.
    is_sure: bool,
    /// Whether that was before this start, so that it counts as yes for every agent until it is visited.
    is_recalled: bool,
    /// When it was last visited, or chosen.
    seen: Instant,
    /// When all agents were last asked for there.
    asked: Option<Instant>,
}

/// Who brought a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    /// A peer, by itself.
    Peer(PeerId),
    /// A keeper of ours, when it was asked.
    Keeper,
}

/// Letters that were taken in this hour.
#[derive(Debug)]
struct Hour {
    since: Instant,
    strangers: u32,
    directly: u32,
    peers: HashMap<PeerId, u32>,
    known: u32,
    senders: HashMap<Did, u32>,
}

impl Hour {
    fn new() -> Self {
        let (peers, senders) = (HashMap::new(), HashMap::new());
        Self { since: Instant::now(), strangers: 0, directly: 0, peers, known: 0, senders }
    }

    /// Counts a letter, of a sender that is known if one is named; false if there were enough.
    fn count(&mut self, known: Option<Did>, by: By) -> bool {
        if let Some(sender) = known {
            let of_sender = self.senders.get(&sender).copied().unwrap_or_default();
            if self.known >= KNOWN_AN_HOUR || of_sender >= KNOWN_OF_ONE {
                return false;
            }
            self.known += 1;
            self.senders.insert(sender, of_sender + 1);
            return true;
        }
        if self.strangers >= STRANGERS_AN_HOUR {
            return false;
        }
        if let By::Peer(peer) = by {
            let of_peer = self.peers.get(&peer).copied().unwrap_or_default();
            if self.directly >= STRANGERS_DIRECTLY || of_peer >= STRANGERS_OF_PEER {
                return false;
            }
            self.directly += 1;
            self.peers.insert(peer, of_peer + 1);
        }
        self.strangers += 1;
        true
    }
}

/// What is known of a peer that keeps letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Candidate {
    /// Whether it is none of our relays.
    pub(crate) is_no_relay: bool,
    /// Whether we do not reach it directly.
    pub(crate) is_hidden: bool,
    /// Since when it is connected, in Unix milliseconds.
    pub(crate) since: u64,
    pub(crate) peer: PeerId,
}

/// A request on its way to those who keep letters for its seller.
#[derive(Debug)]
pub(crate) struct Leaving {
    pub(crate) request: SignedMessage,
    pub(crate) asked: AskedRow,
    /// Why it cannot be brought directly.
    pub(crate) problem: ApiError,
    /// For whoever waits to hear of it.
    pub(crate) done: oneshot::Sender<Result<MessageView, ApiError>>,
}

/// The node's post.
pub(crate) struct Post {
    pub(crate) keeper: Option<Keeper>,
    pub(crate) outbox: Outbox,
    store: Store,
    begun: Instant,
    pub(crate) kept_budget: Mutex<Budget<PeerId>>,
    pub(crate) heard_budget: Mutex<Budget<PeerId>>,
    hour: Mutex<Hour>,
    /// Keepers that had no place for any agent of ours, and when.
    refused: Mutex<HashMap<PeerId, Instant>>,
    chosen: Mutex<Vec<Chosen>>,
    /// What keepers said of places for our agents, since the start.
    places: Mutex<HashMap<(PeerId, Did), bool>>,
    /// The pointer of each of our agents, as it is stored: whom it names, and its bytes.
    named: Mutex<HashMap<Did, (List<PeerId, 4>, Blob<MAX_POINTER_BYTES>)>>,
    /// Keepers that said there is mail.
    news: Mutex<BTreeSet<PeerId>>,
    pub(crate) news_rung: Notify,
    /// When keepers of our letters were asked for receipts last.
    receipts_asked: Mutex<HashMap<PeerId, Instant>>,
    /// Rings when there is something to send.
    pub(crate) rung: Notify,
    /// Rings when there is something to answer.
    pub(crate) asked: Notify,
    pub(crate) bringing: Arc<Semaphore>,
    pub(crate) leaving: mpsc::Sender<Leaving>,
    /// Until the loop has it that leaves them.
    pub(crate) to_leave: Mutex<Option<mpsc::Receiver<Leaving>>>,
    pub(crate) taken: Family<Outcome, Counter>,
    pub(crate) brought: Family<Outcome, Counter>,
    pub(crate) served: Family<Outcome, Counter>,
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post").field("keeps", &self.keeper.is_some()).finish_non_exhaustive()
    }
}

/// The name of the keepers' protocol in a network.
pub(crate) fn keepers_protocol(network: &NetworkId) -> String {
    scoped(network, "mail/1")
}

/// The name of the protocol by which a node takes letters to its own agents.
pub(crate) fn inbox_protocol(network: &NetworkId) -> String {
    scoped(network, "inbox/1")
}

impl Post {
    /// Opens it: what is kept for others beside the market, what our agents send beside their messages.
    pub(crate) fn open(
        config: &Config,
        (money, market): (&Store, &Store),
        home: &Path,
        network: &Network,
        clock: &Arc<dyn Clock>,
        registry: &mut Registry,
    ) -> Result<Self, StoreError> {
        let id = network.network().clone();
        let settings = &config.market;
        let keeps = settings.mailbox && settings.role != Role::Light;
        let limits = Limits {
            bytes: u64::from(settings.mailbox_mib) * 1024 * 1024,
            recipients: usize::try_from(settings.mailbox_agents).unwrap_or(usize::MAX),
            ..Limits::default()
        };
        let keeper = keeps.then(|| {
            let folder = home.join("letters");
            Keeper::open(market.clone(), &folder, limits, id.clone(), network.peer_id(), Arc::clone(clock))
        });
        let outbox = Outbox::open(money.clone(), &home.join("outbox"), id)?;
        let before = money.get::<Keepers>(&0)?.unwrap_or_default();
        let now = Instant::now();
        let chosen = before
            .iter()
            .map(|peer| Chosen { peer: *peer, is_sure: true, is_recalled: true, seen: now, asked: None })
            .collect();
        let (leaving, to_leave) = mpsc::channel(REQUESTS_WAITING);
        let (taken, brought, served) = (Family::default(), Family::default(), Family::default());
        let own = registry.sub_registry_with_prefix("haggle_mail");
        own.register("taken", "Letters to agents of this node, by outcome", Family::clone(&taken));
        own.register(
            "brought",
            "Attempts to bring a letter of this node's agents, by outcome",
            Family::clone(&brought),
        );
        own.register("served", "Streams to this keeper, by outcome", Family::clone(&served));
        Ok(Self {
            keeper: keeper.transpose()?,
            outbox,
            store: money.clone(),
            begun: now,
            kept_budget: Mutex::default(),
            heard_budget: Mutex::default(),
            hour: Mutex::new(Hour::new()),
            refused: Mutex::default(),
            chosen: Mutex::new(chosen),
            places: Mutex::default(),
            named: Mutex::default(),
            news: Mutex::default(),
            news_rung: Notify::new(),
            receipts_asked: Mutex::default(),
            rung: Notify::new(),
            asked: Notify::new(),
            bringing: Arc::new(Semaphore::new(BROUGHT_AT_ONCE)),
            leaving,
            to_leave: Mutex::new(Some(to_leave)),
            taken,
            brought,
            served,
        })
    }

    /// Time as the budgets have it.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Whether there is still room for letters of strangers in this hour.
    pub(crate) fn has_room_for_strangers(&self) -> bool {
        let hour = self.hour.lock();
        hour.since.elapsed() >= HOUR || hour.strangers < STRANGERS_AN_HOUR
    }

    /// Counts a letter, of a sender that is known if one is named; false if there were enough in this hour.
    pub(crate) fn may_take(&self, known: Option<Did>, by: By) -> bool {
        let mut hour = self.hour.lock();
        if hour.since.elapsed() >= HOUR {
            *hour = Hour::new();
        }
        hour.count(known, by)
    }

    /// A keeper has no place for any of our agents: another one may have its place here.
    pub(crate) async fn gives_no_place(&self, keeper: PeerId) -> Result<(), StoreError> {
        {
            let mut refused = self.refused.lock();
            refused.retain(|_, at| at.elapsed() < NO_PLACE_FOR);
            if refused.len() < MOST_REFUSED {
                refused.insert(keeper, Instant::now());
            }
        }
        let sure: Vec<PeerId> = {
            let mut chosen = self.chosen.lock();
            chosen.retain(|held| held.peer != keeper);
            chosen.iter().filter(|chosen| chosen.is_sure).map(|chosen| chosen.peer).collect()
        };
        self.write_keepers(sure).await
    }

    async fn write_keepers(&self, sure: Vec<PeerId>) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        batch.put::<Keepers>(&0, &List::try_from(sure).unwrap_or_default())?;
        self.store.commit(batch).await
    }

    /// A keeper says that there is mail; true if it is one of ours.
    pub(crate) fn told_of_news(&self, keeper: PeerId) -> bool {
        let is_ours = self.chosen.lock().iter().any(|chosen| chosen.peer == keeper);
        if is_ours {
            self.news.lock().insert(keeper);
            self.news_rung.notify_one();
        }
        is_ours
    }

    /// Whom to visit now for all agents: who has news, and who was not asked for `every`. Who is being visited is not; what it
    /// says meanwhile is remembered.
    pub(crate) fn due(&self, every: Duration, visited: &BTreeSet<PeerId>) -> Vec<PeerId> {
        let mut news = std::mem::take(&mut *self.news.lock());
        let mut due = Vec::new();
        for chosen in self.chosen.lock().iter_mut().filter(|chosen| !visited.contains(&chosen.peer)) {
            let is_old = chosen.asked.is_none_or(|asked| asked.elapsed() >= every);
            if news.remove(&chosen.peer) || is_old {
                chosen.asked = Some(Instant::now());
                due.push(chosen.peer);
            }
        }
        news.retain(|keeper| visited.contains(keeper));
        self.news.lock().append(&mut news);
        due
    }

    /// Whether a keeper has said that there is mail, and was not visited for it.
    pub(crate) fn has_news(&self, keeper: &PeerId) -> bool {
        self.news.lock().contains(keeper)
    }

    /// Of the keepers that have letters of ours, those to ask for receipts now: who is connected, and who was not asked for
    /// `every`.
    pub(crate) fn ask_for_receipts(
        &self,
        keepers: BTreeSet<PeerId>,
        every: Duration,
        is_connected: impl Fn(&PeerId) -> bool,
    ) -> BTreeSet<PeerId> {
        let mut asked = self.receipts_asked.lock();
        asked.retain(|keeper, _| keepers.contains(keeper));
        let is_due = |keeper: &PeerId| is_connected(keeper) || asked.get(keeper).is_none_or(|at| at.elapsed() >= every);
        let due: BTreeSet<PeerId> = keepers.into_iter().filter(is_due).collect();
        asked.extend(due.iter().map(|keeper| (*keeper, Instant::now())));
        due
    }

    /// A peer has come: if it keeps letters for us, it is visited at once.
    pub(crate) fn met(&self, peer: &PeerId) {
        self.missed(peer);
        self.news_rung.notify_one();
    }

    /// A visit failed, or was not made: the next look makes it.
    pub(crate) fn missed(&self, keeper: &PeerId) {
        if let Some(chosen) = self.chosen.lock().iter_mut().find(|chosen| chosen.peer == *keeper) {
            chosen.asked = None;
        }
    }

    /// Fills the places of keepers that are free, with the best of these.
    pub(crate) fn choose(&self, candidates: Vec<Candidate>) {
        self.fill(candidates);
        let chosen: Vec<PeerId> = self.chosen.lock().iter().map(|chosen| chosen.peer).collect();
        self.places.lock().retain(|(keeper, _), _| chosen.contains(keeper));
    }

    fn fill(&self, mut candidates: Vec<Candidate>) {
        let mut chosen = self.chosen.lock();
        {
            let refused = self.refused.lock();
            let has_none = |peer: &PeerId| refused.get(peer).is_some_and(|at| at.elapsed() < NO_PLACE_FOR);
            candidates.retain(|candidate| !has_none(&candidate.peer));
        }
        candidates.retain(|candidate| chosen.iter().all(|held| held.peer != candidate.peer));
        candidates.sort_unstable();
        for candidate in candidates {
            let seen = Instant::now();
            let fresh = Chosen { peer: candidate.peer, is_sure: false, is_recalled: false, seen, asked: None };
            if chosen.len() < MOST_KEEPERS {
                chosen.push(fresh);
                continue;
            }
            let gone = chosen.iter_mut().find(|held| held.seen.elapsed() >= GIVEN_UP);
            let Some(gone) = gone else { return };
            *gone = fresh;
        }
    }

    /// A keeper was visited; true if it said yes for the first time.
    pub(crate) async fn visited(&self, keeper: PeerId) -> Result<bool, StoreError> {
        let (is_new, sure) = {
            let mut chosen = self.chosen.lock();
            let Some(held) = chosen.iter_mut().find(|chosen| chosen.peer == keeper) else { return Ok(false) };
            held.seen = Instant::now();
            held.is_recalled = false;
            let is_new = !std::mem::replace(&mut held.is_sure, true);
            let sure: Vec<PeerId> = chosen.iter().filter(|chosen| chosen.is_sure).map(|chosen| chosen.peer).collect();
            (is_new, sure)
        };
        if is_new {
            self.write_keepers(sure).await?;
        }
        Ok(is_new)
    }

    /// A keeper has a place for an agent, or none; true if that is new.
    pub(crate) fn has_place(&self, keeper: PeerId, agent: Did, has: bool) -> bool {
        self.places.lock().insert((keeper, agent), has) != Some(has)
    }

    /// The pointer of an agent is stored.
    pub(crate) fn stored(&self, pointer: &Verified<Pointer>) {
        let Ok(bytes) = Blob::try_from(&**pointer.bytes()) else { return };
        self.named.lock().insert(pointer.author(), (pointer.body().mailboxes.clone(), bytes));
    }

    /// The pointer of an agent of ours, for its letters.
    pub(crate) fn pointer_of(&self, agent: &Did) -> Option<Blob<MAX_POINTER_BYTES>> {
        self.named.lock().get(agent).map(|(_, bytes)| bytes.clone())
    }

    /// Who keeps letters for our agents, each with the number of stored pointers that name it.
    pub(crate) fn keepers(&self) -> Vec<(PeerId, usize)> {
        let chosen: Vec<PeerId> = self.chosen.lock().iter().map(|chosen| chosen.peer).collect();
        let named = self.named.lock();
        let count = |peer: &PeerId| named.values().filter(|(named, _)| named.contains(peer)).count();
        chosen.into_iter().map(|peer| (peer, count(&peer))).collect()
    }

    /// Who keeps letters for an agent, for its pointer. Keepers that were not asked for it yet are visited soon.
    pub(crate) fn keepers_of(&self, agent: &Did) -> List<PeerId, 4> {
        let places = self.places.lock();
        let mut keepers = Vec::new();
        for chosen in self.chosen.lock().iter().filter(|chosen| chosen.is_sure) {
            match places.get(&(chosen.peer, *agent)) {
                Some(true) => keepers.push(chosen.peer),
                None if chosen.is_recalled => keepers.push(chosen.peer),
                Some(false) => {}
                None => {
                    self.news.lock().insert(chosen.peer);
                    self.news_rung.notify_one();
                }
            }
        }
        keepers.try_into().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use haggle_base::NodeKey;

    #[test]
    fn strangers_and_acquaintances_have_rooms_of_their_own_and_no_peer_has_all_of_one() {
        let peer = |number: u8| NodeKey::from_bytes(&[number; 32]).peer_id();
        let did = |number: u8| haggle_base::AgentKey::from_bytes(&[number; 32]).did();
        let mut hour = Hour::new();
        let mut takes = |times: u32, known, by| (0..times).filter(|_| hour.count(known, by)).count();
        assert_eq!(takes(100, None, By::Peer(peer(1))), 8);
        for number in 2..20 {
            takes(8, None, By::Peer(peer(number)));
        }
        assert_eq!(takes(100, None, By::Keeper), 32, "half of it is for keepers");
        assert_eq!(takes(100, Some(did(1)), By::Peer(peer(1))), 64);
        assert_eq!((2..30).map(|number| takes(100, Some(did(number)), By::Keeper)).sum::<usize>(), 448);
    }

    #[tokio::test]
    async fn who_is_being_visited_holds_up_no_other_and_is_visited_again_for_what_it_says_meanwhile() {
        let config = haggle_network::NetworkConfig::for_testing("devnet-7/1".parse().unwrap());
        let clock: Arc<dyn Clock> = Arc::new(haggle_base::SystemClock);
        let key = NodeKey::from_bytes(&[9; 32]);
        let (network, _inbox) = Network::start(config, &key, Arc::clone(&clock), None).await.unwrap();
        let (home, store) = (tempfile::tempdir().unwrap(), Store::memory());
        let [slow, quick] = [1, 2].map(|number| NodeKey::from_bytes(&[number; 32]).peer_id());
        let mut batch = Batch::new();
        batch.put::<Keepers>(&0, &List::try_from(vec![slow, quick]).unwrap()).unwrap();
        store.commit(batch).await.unwrap();
        let (config, registry) = (Config::default(), &mut Registry::default());
        let post = Post::open(&config, (&store, &store), home.path(), &network, &clock, registry).unwrap();

        let nobody = BTreeSet::new();
        assert_eq!(post.due(HOUR, &nobody), [slow, quick], "at the start everybody is asked");
        let visited = BTreeSet::from([slow]);
        assert!(post.told_of_news(slow) && post.told_of_news(quick));
        assert_eq!(post.due(HOUR, &visited), [quick]);
        assert!(post.has_news(&slow) && !post.has_news(&quick));
        assert_eq!(post.due(HOUR, &nobody), [slow]);
        assert!(post.due(HOUR, &nobody).is_empty() && !post.has_news(&slow));
    }

    #[test]
    fn relays_come_first_then_who_is_reached_directly_then_who_has_been_there_longest() {
        let peer = |number: u8| NodeKey::from_bytes(&[number; 32]).peer_id();
        let candidate =
            |number, is_no_relay, is_hidden, since| Candidate { is_no_relay, is_hidden, since, peer: peer(number) };
        let mut candidates = [
            candidate(1, true, true, 1),
            candidate(2, true, false, 9),
            candidate(3, true, false, 5),
            candidate(4, false, true, 8),
        ];
        candidates.sort_unstable();
        let order: Vec<PeerId> = candidates.iter().map(|candidate| candidate.peer).collect();
        assert_eq!(order, [4, 3, 2, 1].map(peer));
    }
}
