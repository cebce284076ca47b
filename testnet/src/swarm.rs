//! Many nodes in one process: real libp2p on loopback and the node's own market, with no gateway, chain or agents around it.

use haggle::market::Market;
use haggle_base::{Address, AgentKey, Clock, Did, ManualClock, NetworkId, NodeKey, PeerId, RecordId, Timestamp};
use haggle_bench::corpus::Corpus;
use haggle_catalog::{AnyRecord, CatalogConfig, Figures, Origin, PaidRoom, Standing};
use haggle_network::{NetworkConfig, topic};
use haggle_store::Store;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

/// Longest wait for anything that has to happen, unless a story says another.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a waiting story looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Time between two reconciliations with random peers; a tenth of it while something is missing.
const SYNC_EVERY: Duration = Duration::from_secs(10);
/// How often each looks for one that it has lost.
const LOOK_AROUND: Duration = Duration::from_secs(5);
/// Members that each member dials, so many places back.
const DIALS: [usize; 3] = [1, 2, 6];
/// Room for every member, a crowd and whom a member chooses itself.
const MAX_CONNECTIONS: u32 = 64;
/// Longer than any story.
const FOR_GOOD: Duration = Duration::from_secs(3600);
/// Shards of the network.
const SHARDS: u16 = 4;
/// Seed of what is published.
const SEED: u64 = 7;

/// Who paid for room on the shelf.
#[derive(Clone, Debug, Default)]
pub struct Paid(Arc<HashSet<Did>>);

impl Standing for Paid {
    fn figures(&self, _agent: &Did) -> Figures {
        Figures::default()
    }

    fn version(&self) -> Option<u64> {
        Some(0)
    }

    fn room(&self, agent: &Did, _wallet: Option<Address>) -> Option<PaidRoom> {
        let payer = Address::from_slice(&agent.public_key()[..20]);
        self.0.contains(agent).then_some(PaidRoom { payer, listings: 1 })
    }
}

/// One node.
#[derive(Debug)]
struct Member {
    key: NodeKey,
    /// What a stop leaves.
    store: Store,
    clock: ManualClock,
    /// Whom it knows; empty for one that dials other members.
    told: Vec<String>,
    market: Option<Market>,
}

/// Nodes that know each other.
#[derive(Debug)]
pub struct Swarm {
    members: Vec<Member>,
    corpus: Corpus,
    capacity: usize,
    paid: Paid,
    /// Where the members' stores lie, if not in memory.
    folder: Option<tempfile::TempDir>,
    patience: Duration,
}

impl Swarm {
    /// Nodes with room for so many records in each shard, where the authors of these listings have paid for room.
    ///
    /// # Panics
    /// Loopback cannot be had.
    pub async fn new(nodes: usize, capacity: usize, paid: std::ops::Range<u64>) -> Self {
        Self::of(nodes, capacity, paid, None).await
    }

    /// The same with stores on disk.
    ///
    /// # Panics
    /// Loopback or a temporary folder cannot be had.
    pub async fn on_disk(nodes: usize, capacity: usize, paid: std::ops::Range<u64>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self::of(nodes, capacity, paid, Some(folder)).await
    }

    async fn of(nodes: usize, capacity: usize, paid: std::ops::Range<u64>, folder: Option<tempfile::TempDir>) -> Self {
        let corpus = Corpus::new(SEED);
        let paid = Paid(Arc::new(paid.map(|number| corpus.author(number).did()).collect()));
        let mut swarm = Self { members: Vec::new(), corpus, capacity, paid, folder, patience: PATIENCE };
        for _ in 0..nodes {
            swarm.join().await;
        }
        swarm
    }

    /// From now on it waits so long for anything that has to happen.
    pub const fn be_patient(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// One more node, with nothing; its number.
    ///
    /// # Panics
    /// Loopback cannot be had.
    pub async fn join(&mut self) -> usize {
        self.join_knowing(Vec::new()).await
    }

    /// One more node, with nothing, that knows only who is at these addresses; its number.
    ///
    /// # Panics
    /// Loopback cannot be had.
    pub async fn join_knowing(&mut self, told: Vec<String>) -> usize {
        let number = self.members.len();
        let clock = ManualClock::new(start());
        let store = match &self.folder {
            Some(folder) => Store::open(&folder.path().join(number.to_string()), on_disk()).expect("a store opens"),
            None => Store::memory(),
        };
        self.members.push(Member { key: node_key(number), store, clock, told, market: None });
        self.start(number).await;
        number
    }

    /// The next node to join will have this peer id.
    #[must_use]
    pub fn next_peer(&self) -> PeerId {
        node_key(self.members.len()).peer_id()
    }

    /// Nodes, with those that are down.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// True if there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Starts a node that is down, with what it had.
    ///
    /// # Panics
    /// Loopback cannot be had.
    pub async fn start(&mut self, number: usize) {
        let network = network_id();
        let catalog = CatalogConfig {
            shard_capacity: self.capacity,
            commit_every: Duration::from_millis(200),
            ..CatalogConfig::with(network.clone(), 31_337, SHARDS)
        };
        let member = &self.members[number];
        let config = NetworkConfig {
            bootstrap: member.told.clone(),
            topics: topics(),
            max_connections: MAX_CONNECTIONS,
            target_peers: 4,
            look_around: LOOK_AROUND,
            ..NetworkConfig::for_testing(network)
        };
        let (store, clock) = (member.store.clone(), Arc::new(member.clock.clone()));
        let standing = Arc::new(self.paid.clone());
        let market = Market::start(config, catalog, store, &member.key, clock, standing, SYNC_EVERY).await;
        self.members[number].market = Some(market.expect("the market starts"));
        if self.members[number].told.is_empty() {
            self.dial(number).await;
        }
    }

    async fn dial(&self, number: usize) {
        for back in DIALS {
            let other = (number + self.members.len() - back % self.members.len()) % self.members.len();
            if let Some(there) = self.members[other].market.as_ref().filter(|_| other != number) {
                let (peer, addresses) = (there.network().peer_id(), there.network().listen_addrs());
                // across a cut nobody answers
                let _connected = self.market(number).network().connect(&peer, &addresses).await;
            }
        }
    }

    /// Takes a node down in order.
    ///
    /// # Panics
    /// It is down.
    pub async fn stop(&mut self, number: usize) {
        let market = self.members[number].market.take().expect("the node is up");
        market.shutdown().await.expect("the catalog ends once");
    }

    /// A node that is up.
    ///
    /// # Panics
    /// It is down.
    #[must_use]
    pub fn market(&self, number: usize) -> &Market {
        self.members[number].market.as_ref().expect("the node is up")
    }

    /// Moves a node's clock.
    pub fn forward(&self, number: usize, time: Duration) {
        self.members[number].clock.advance(time);
    }

    /// What a node's clock says.
    #[must_use]
    pub fn now(&self, at: usize) -> Timestamp {
        self.members[at].clock.now()
    }

    /// The category of listing `number`.
    #[must_use]
    pub fn category(&self, number: u64) -> String {
        self.corpus.category(number)
    }

    /// Who signs listing `number`.
    #[must_use]
    pub fn author(&self, number: u64) -> AgentKey {
        self.corpus.author(number)
    }

    /// Node `at` publishes listing `number`, by its own clock; its id.
    ///
    /// # Panics
    /// The record is refused.
    pub async fn publish(&self, at: usize, number: u64) -> RecordId {
        self.publish_dearer(at, number, 0).await
    }

    /// The same at a price so many units above the first one: one that says what is held already would not spread before it
    /// is due.
    ///
    /// # Panics
    /// The record is refused.
    pub async fn publish_dearer(&self, at: usize, number: u64, by: u64) -> RecordId {
        let now = self.members[at].clock.now();
        let bytes = self.corpus.signed_dearer(number, by, &network_id(), now).expect("the record is within its bounds");
        let id = AnyRecord::open(bytes.clone(), &network_id(), now).expect("the record verifies").id();
        drop(self.market(at).catalog().put(bytes, Origin::Local).await.expect("the record is stored"));
        id
    }

    /// Listing `number` as node `at` would sign it now.
    ///
    /// # Panics
    /// The listing is out of bounds.
    #[must_use]
    pub fn signed(&self, at: usize, number: u64) -> Vec<u8> {
        let now = self.members[at].clock.now();
        self.corpus.signed(number, &network_id(), now).expect("the record is within its bounds")
    }

    /// Node `at` holds these listings from the beginning.
    ///
    /// # Panics
    /// They are refused.
    pub async fn fill(&self, at: usize, numbers: std::ops::Range<u64>) {
        let now = self.members[at].clock.now();
        let sign = |number| self.corpus.signed(number, &network_id(), now).expect("the record is within its bounds");
        let peer = self.members[at].key.peer_id();
        let records = numbers.map(sign).collect();
        let outcomes = self.market(at).catalog().put_many(records, Origin::Sync { peer }).await;
        outcomes.expect("the records are stored").into_iter().for_each(|outcome| drop(outcome.expect("it verifies")));
    }

    /// Numbers of listings of one shard, from `first` on, and that shard.
    pub fn of_one_shard(&self, first: u64) -> (u16, impl Iterator<Item = u64> + '_) {
        let shard_of = |number| haggle_catalog::shard_of(self.corpus.category(number).as_bytes(), SHARDS);
        let shard = shard_of(first);
        (shard, (first..).filter(move |number| shard_of(*number) == shard))
    }

    /// Bytes that node `at` has on disk.
    ///
    /// # Panics
    /// The stores are in memory, or their folder cannot be read.
    #[must_use]
    pub fn on_disk_at(&self, at: usize) -> u64 {
        let folder = self.folder.as_ref().expect("the stores are on disk").path().join(at.to_string());
        bytes_in(&folder).expect("the folder is read")
    }

    /// Whether node `at` holds a record.
    #[must_use]
    pub fn holds(&self, at: usize, id: &RecordId) -> bool {
        self.market(at).catalog().bytes(id).is_ok_and(|bytes| bytes.is_some())
    }

    /// Cuts every connection between members of odd and of even number.
    ///
    /// # Panics
    /// A network has ended.
    pub async fn cut(&self) {
        for (one, other) in self.across() {
            self.market(one).network().ban(&other, FOR_GOOD).await.expect("the network runs");
        }
    }

    /// Lets them connect again, which is their own affair.
    ///
    /// # Panics
    /// A network has ended.
    pub async fn heal(&self) {
        for (one, other) in self.across() {
            self.market(one).network().unban(&other).await.expect("the network runs");
        }
    }

    fn across(&self) -> Vec<(usize, PeerId)> {
        let all = 0..self.members.len();
        let pairs = all.clone().flat_map(|one| all.clone().map(move |other| (one, other)));
        let odd = pairs.filter(|(one, other)| one % 2 != other % 2);
        odd.map(|(one, other)| (one, self.members[other].key.peer_id())).collect()
    }

    /// Waits until `look` says yes of node after node.
    ///
    /// # Panics
    /// It never does of one.
    pub async fn until_all(&self, what: &str, look: impl Fn(usize) -> bool) {
        for number in (0..self.members.len()).filter(|number| self.members[*number].market.is_some()) {
            self.until(&format!("node {number}: {what}"), || look(number)).await;
        }
    }

    /// Waits until `look` says yes.
    ///
    /// # Panics
    /// It never does.
    pub async fn until(&self, what: &str, look: impl Fn() -> bool) {
        let waiting = async {
            while !look() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(self.patience, waiting).await.unwrap_or_else(|_| panic!("waited in vain for {what}"));
    }

    /// Ends every node.
    ///
    /// # Panics
    /// A catalog has ended before.
    pub async fn end(mut self) {
        for number in 0..self.members.len() {
            if self.members[number].market.is_some() {
                self.stop(number).await;
            }
        }
    }
}

/// A store that keeps little in memory.
fn on_disk() -> haggle_store::Options {
    haggle_store::Options { cache_bytes: 1 << 20, ..haggle_store::Options::default() }
}

fn bytes_in(folder: &std::path::Path) -> std::io::Result<u64> {
    std::fs::read_dir(folder)?
        .map(|entry| {
            let entry = entry?;
            let facts = entry.metadata()?;
            if facts.is_dir() { bytes_in(&entry.path()) } else { Ok(facts.len()) }
        })
        .sum()
}

/// When every story begins.
const fn start() -> Timestamp {
    Timestamp::from_secs(1_800_000_000)
}

fn node_key(number: usize) -> NodeKey {
    let mut secret = [9; 32];
    secret[..8].copy_from_slice(&(number as u64).to_be_bytes());
    NodeKey::from_bytes(&secret)
}

/// Every topic of the network.
pub(crate) fn topics() -> Vec<String> {
    (0..SHARDS).map(|shard| topic(&network_id(), shard)).collect()
}

pub(crate) fn network_id() -> NetworkId {
    "devnet-7/1".parse().expect("a network id")
}
