//! A market of many nodes in virtual time: the catalog's own shelf, sync session and pace, with no network and no disk.
//!
//! Everything follows from a seed. What is published spreads along a random mesh, and a share of it is lost for good at
//! each node, as where a full inbox drops it; nodes leave, come back, some with nothing; sessions break. [`World::complete`]
//! says whether every node holds what it should.

mod news;
mod node;
mod session;
mod stories;
mod traffic;

use crate::corpus::Dice;
use haggle_base::Timestamp;
use haggle_catalog::{
    Spent,
    shelf::{Shelf, command},
    sync::{digest::Digest, pace::Ended, session::Sets as _},
};
use news::News;
pub use news::Press;
use node::Node;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;

pub use stories::{Converged, Flooded, Law, Skewed, flood, law, partition, skew};
pub use traffic::{SyncCost, Traffic, sync_cost, traffic};

/// When every story begins.
pub const START: Timestamp = Timestamp::from_secs(1_800_000_000);
/// Milliseconds that a message takes from node to node.
const LATENCY: std::ops::Range<u64> = 20..200;
/// What gossip adds to a record.
const FRAMING: u64 = 70;
/// Of how many sessions one breaks in the middle.
const BROKEN_SESSIONS: u64 = 30;
/// How long a turn of a session takes.
const TURN_MILLIS: u64 = 100;
/// Peers that are told of a message by its id, at three heartbeats.
const OFFERED_TO: usize = 6;
/// Bytes of one such offer.
const OFFER_BYTES: u64 = 22;
/// Heartbeats at which a message is offered.
const OFFERS: u64 = 3;

/// What a world is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Everything follows from it.
    pub seed: u64,
    /// Nodes.
    pub nodes: u32,
    /// Shards.
    pub shards: u16,
    /// Records per shard.
    pub capacity: usize,
    /// Hundredths of all messages that each node loses.
    pub loss: u64,
}

/// Something that happens at its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A message reaches a node.
    Heard { node: u32, news: u32, from: u32 },
    /// A node publishes.
    Publish { node: u32, news: u32 },
    /// A node looks whether a session is due.
    Look { node: u32 },
    /// A session is over.
    Over { leader: u32, follower: u32, ended: u8, turns: u32, bytes: u64 },
    /// A node goes.
    Leave { node: u32 },
    /// A node comes back, with what it had or with nothing.
    Return { node: u32, empty: bool },
    /// The network falls into so many parts.
    Split { parts: u32 },
}

/// Bytes that all nodes received, and messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Records by gossip, copies included.
    pub gossip: u64,
    /// Offers of records by gossip.
    pub offers: u64,
    /// Sessions, records included.
    pub sync: u64,
    /// Gossip messages, copies included.
    pub copies: u64,
    /// Gossip messages, each once per node.
    pub deliveries: u64,
    /// Sessions that ran to their end.
    pub sessions: u64,
}

/// The nodes and what is on its way between them.
pub struct World {
    settings: Settings,
    dice: Dice,
    /// Milliseconds since [`START`].
    now: u64,
    nodes: Vec<Node>,
    news: Vec<News>,
    by_id: HashMap<haggle_base::RecordId, u32>,
    agenda: BinaryHeap<Reverse<(u64, u64, Event)>>,
    events: u64,
    received: Received,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("settings", &self.settings).field("now", &self.now).finish_non_exhaustive()
    }
}

impl World {
    /// Nodes with empty shelves, all of them connected.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let mut dice = Dice::new(settings.seed);
        let mut world = Self {
            settings,
            nodes: (0..settings.nodes).map(|_| Node::new(&settings)).collect(),
            now: 0,
            news: Vec::new(),
            by_id: HashMap::new(),
            agenda: BinaryHeap::new(),
            events: 0,
            received: Received::default(),
            dice: Dice::new(dice.next()),
        };
        for node in 0..settings.nodes {
            world.nodes[node as usize].online = true;
            world.tend(node);
        }
        world
    }

    /// Virtual milliseconds since the beginning.
    #[must_use]
    pub const fn now(&self) -> u64 {
        self.now
    }

    /// What was received so far.
    #[must_use]
    pub const fn received(&self) -> Received {
        self.received
    }

    /// Lets time pass.
    pub fn run_until(&mut self, end: u64) {
        while let Some(Reverse((at, _, event))) = self.agenda.pop() {
            if at > end {
                self.agenda.push(Reverse((at, u64::MAX, event)));
                break;
            }
            self.now = at;
            self.happen(event);
        }
        self.now = end;
    }

    /// How many records a node that knows everything would hold and these nodes do not, and how many they hold that it
    /// would not; of nodes that are there, and of records that `counts`.
    #[must_use]
    pub fn complete(&self, counts: impl Fn(&haggle_catalog::Entry) -> bool) -> Converged {
        let truth = self.truth();
        let expected: Vec<_> = truth.iter().filter(|entry| counts(entry)).map(|entry| entry.id).collect();
        let mut converged = Converged { held: expected.len(), ..Converged::default() };
        let digests: Vec<Digest> = truth.digests();
        for node in self.nodes.iter().filter(|node| node.online) {
            converged.nodes += 1;
            if node.shelf.digests() == digests {
                converged.equal += 1;
                continue;
            }
            converged.missing += expected.iter().filter(|id| node.shelf.get(id).is_none()).count();
            let foreign = node.shelf.iter().filter(|entry| counts(entry) && truth.get(&entry.id).is_none());
            converged.foreign += foreign.count();
        }
        converged
    }

    /// The shelf of a node that heard everything in order.
    fn truth(&self) -> Shelf {
        let mut shelf = Shelf::new(self.settings.shards, self.settings.capacity);
        let far = START.plus(Duration::from_millis(self.now)).plus(haggle_base::record::MAX_CLOCK_SKEW);
        for news in self.news.iter().filter(|news| news.published && news.entry.created <= far) {
            drop(shelf.put(command::Put { entry: Arc::clone(&news.entry) }, START));
        }
        shelf
    }

    /// Something is published by a node at a time.
    fn plan_publication(&mut self, at: u64, node: u32, news: News) {
        let number = u32::try_from(self.news.len()).unwrap_or(u32::MAX);
        self.by_id.insert(news.entry.id, number);
        self.news.push(news);
        self.plan(at, Event::Publish { node, news: number });
    }

    fn plan(&mut self, at: u64, event: Event) {
        self.events += 1;
        self.agenda.push(Reverse((at, self.events, event)));
    }

    fn time(&self) -> Duration {
        Duration::from_millis(self.now)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Heard { node, news, from } => self.hear(node, news, from),
            Event::Publish { node, news } => self.publish(node, news),
            Event::Look { node } => self.look(node),
            Event::Over { leader, follower, ended, turns, bytes } => {
                let ended = [Ended::Equal, Ended::Found, Ended::Failed][usize::from(ended)];
                let spent = Spent { sessions: 1, turns, bytes, busy: Duration::ZERO };
                let (now, dice) = (self.time(), self.dice.next());
                self.nodes[leader as usize].pace.led(&follower, ended, spent, now, dice);
                let dice = self.dice.next();
                self.nodes[follower as usize].pace.followed(&leader, ended, spent, now, dice);
                self.wake(leader);
                self.wake(follower);
            }
            Event::Leave { node } => self.leave(node),
            Event::Return { node, empty } => {
                let settings = self.settings;
                let here = &mut self.nodes[node as usize];
                if empty {
                    here.shelf = Shelf::new(settings.shards, settings.capacity);
                }
                // a program that starts begins a new pace
                here.pace = Node::pace(Duration::from_millis(self.now));
                here.look_at = u64::MAX;
                here.online = true;
                self.tend(node);
            }
            Event::Split { parts } => self.split(parts),
        }
    }

    /// A node puts a record that its own agent made, and tells its mesh. A node that is away publishes when it is back.
    fn publish(&mut self, node: u32, news: u32) {
        if !self.nodes[node as usize].online {
            self.plan(self.now + 30_000, Event::Publish { node, news });
            return;
        }
        self.news[news as usize].published = true;
        self.news[news as usize].hear(node);
        if self.admit(node, news) {
            self.forward(node, news, node);
        }
    }

    fn hear(&mut self, node: u32, news: u32, from: u32) {
        if !self.nodes[node as usize].online {
            return;
        }
        let item = &mut self.news[news as usize];
        self.received.copies += 1;
        self.received.gossip += item.bytes + FRAMING;
        if !item.hear(node) {
            return;
        }
        self.received.deliveries += 1;
        if self.dice.next() % 100 < self.settings.loss {
            return;
        }
        if self.admit(node, news) {
            self.forward(node, news, from);
        }
    }

    /// Puts a record on a node's shelf, by the node's own clock; true if it is new there.
    fn admit(&mut self, node: u32, news: u32) -> bool {
        let entry = Arc::clone(&self.news[news as usize].entry);
        let now = self.now;
        self.nodes[node as usize].admit(entry, now)
    }

    fn forward(&mut self, node: u32, news: u32, from: u32) {
        let links = self.nodes[node as usize].links.clone();
        let mut offered = 0;
        for link in links {
            if !link.mesh {
                offered += 1;
            } else if link.peer != from {
                let at = self.now + self.dice.of(&LATENCY);
                self.plan(at, Event::Heard { node: link.peer, news, from: node });
            }
        }
        self.received.offers += offered.min(OFFERED_TO) as u64 * OFFERS * OFFER_BYTES;
    }

    /// A node leads the sessions that are due.
    fn look(&mut self, node: u32) {
        if self.now < self.nodes[node as usize].look_at || !self.nodes[node as usize].online {
            return;
        }
        self.nodes[node as usize].look_at = u64::MAX;
        let (now, dice) = (self.time(), self.dice.next());
        for peer in self.nodes[node as usize].pace.lead(now, dice) {
            self.reconcile(node, peer);
        }
        self.wake(node);
    }

    fn reconcile(&mut self, leader: u32, follower: u32) {
        let (now, dice) = (self.time(), self.dice.next());
        if !self.nodes[follower as usize].pace.follow(leader, now) {
            self.nodes[leader as usize].pace.led(&follower, Ended::Failed, Spent::default(), now, dice);
            return;
        }
        let breaks_after = (dice % BROKEN_SESSIONS == 0).then_some(2);
        let outcome = session::run(self, leader, follower, breaks_after);
        self.received.sync += outcome.bytes + outcome.records;
        self.received.sessions += u64::from(!outcome.broken);
        let ended = if outcome.broken { 2 } else { u8::from(outcome.given > 0) };
        let at = self.now + u64::from(outcome.turns) * TURN_MILLIS;
        let (turns, bytes) = (outcome.turns, outcome.bytes + outcome.records);
        self.plan(at, Event::Over { leader, follower, ended, turns, bytes });
    }
}
