//! The peer book: who is connected, what they proved, how they behaved. No IO, no clock.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use haggle_base::{Did, PeerId, Timestamp};
use libp2p::Multiaddr;
use libp2p::swarm::ConnectionId;
use tokio::sync::Semaphore;

use crate::address::{self, Transport};
use crate::bucket::{Rate, TokenBucket};
use crate::events::{Path, PeerFacts, Severity};

/// Most peers remembered; the longest unseen one that is not connected goes first.
pub(crate) const MAX_PEERS: usize = 2048;
/// Penalty points that make a ban.
pub(crate) const BAN_POINTS: u32 = 100;
/// Time in which one penalty point is forgiven.
const FORGIVE_POINT_EVERY: Duration = Duration::from_secs(30);
/// Protocols of the network remembered of one peer.
const MAX_PROTOCOLS: usize = 32;
/// How often a peer may ask for our proofs or announce new ones.
const QUESTION_RATE: Rate = Rate { per_second: 2, burst: 16 };
/// How often a peer may want a pointer stored that is not held here: far fewer at once than there are places. What Kademlia
/// hands on every hour is mostly held already.
const POINTER_RATE: Rate = Rate { per_second: 20, burst: 256 };

/// What a side names the time by during which it is connected to a peer without a break.
pub(crate) type Meeting = [u8; 8];

/// How far the exchange of DID proofs with a peer has come.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Proving {
    /// Running, or about to.
    Pending,
    /// Done, with whatever came out of it.
    Done,
}

/// One connection of a peer.
#[derive(Clone, Debug)]
struct Link {
    addr: Multiaddr,
    path: Path,
    dialled: bool,
    since: Duration,
    failed_pings: u32,
    /// Whether a direct connection in its place has been tried, if it is relayed.
    upgrading: bool,
}

/// A connection that stands now.
#[derive(Clone, Debug)]
pub(crate) struct NewLink {
    pub(crate) id: ConnectionId,
    /// The other end.
    pub(crate) addr: Multiaddr,
    pub(crate) path: Path,
    /// Whether this side dialled.
    pub(crate) dialled: bool,
}

/// All that is kept about one peer.
#[derive(Debug)]
struct Entry {
    addrs: Vec<Multiaddr>,
    agent: String,
    /// Protocols of the network that it spoke when it told last.
    protocols: Vec<String>,
    links: HashMap<ConnectionId, Link>,
    newest: Option<Multiaddr>,
    linked_at: Duration,
    admitted: bool,
    connected_since: Option<Timestamp>,
    dids: BTreeSet<Did>,
    proving: Proving,
    round: u64,
    /// What this side names the meeting, once it has asked for proofs.
    meeting: Option<Meeting>,
    /// What the peer names it, once it has asked.
    their_meeting: Option<Meeting>,
    /// Connections that were given up when it began anew. One whose other end is gone may take long to close.
    given_up: HashSet<ConnectionId>,
    last_dial_ok: Option<Timestamp>,
    last_dial_failed: Option<Timestamp>,
    last_seen: Option<Timestamp>,
    round_trip: Option<Duration>,
    points: u32,
    points_at: Duration,
    gossip: TokenBucket,
    pointers: TokenBucket,
    questions: TokenBucket,
    streams: Arc<Semaphore>,
    /// What every stream holds, over a direct connection and over a relayed one.
    in_use: [Arc<()>; 2],
    /// When it was connected, or a stream was wanted last.
    used_at: Duration,
    /// When it was looked for last after it was lost.
    sought_at: Option<Duration>,
    touched: u64,
}

/// What a report about a peer leads to.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Penalised {
    /// The points are noted: so many stand now.
    Noted {
        /// Points that stand.
        points: u32,
    },
    /// The limit is reached: the peer is to be banned.
    Ban,
}

/// What a peer's introduction leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Admit {
    /// The peer is admitted now: the exchange of proofs begins with this round.
    Admitted {
        /// The other end of its connection.
        addr: Multiaddr,
        /// The round of the exchange.
        round: u64,
    },
    /// It was admitted before; its addresses are renewed.
    Known,
    /// Its connection is gone already.
    NotConnected,
}

/// What a closed connection means for the peer.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Unlinked {
    /// Other connections remain, or the peer was never admitted.
    Quiet,
    /// The last connection of before the peer began anew is gone, and newer ones stand, which were never greeted.
    NeverGreeted,
    /// An admitted peer is gone.
    Gone,
}

/// Limits that entries are made with.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) gossip_rate: Rate,
    pub(crate) streams_per_peer: usize,
}

/// The book. `elapsed` arguments are durations since the network started.
#[derive(Debug)]
pub(crate) struct Book {
    limits: Limits,
    entries: HashMap<PeerId, Entry>,
    touches: u64,
}

impl Book {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, entries: HashMap::new(), touches: 0 }
    }

    /// The entry of a peer, made when it is new.
    fn touch(&mut self, peer: &PeerId, elapsed: Duration) -> &mut Entry {
        if !self.entries.contains_key(peer) && self.entries.len() >= MAX_PEERS {
            let stalest = self
                .entries
                .iter()
                .filter(|(_, entry)| entry.links.is_empty())
                .min_by_key(|(_, entry)| entry.touched)
                .map(|(peer, _)| *peer);
            if let Some(stalest) = stalest {
                self.entries.remove(&stalest);
            }
        }
        self.touches += 1;
        let limits = self.limits;
        let entry = self.entries.entry(*peer).or_insert_with(|| Entry {
            addrs: Vec::new(),
            agent: String::new(),
            protocols: Vec::new(),
            links: HashMap::new(),
            newest: None,
            linked_at: elapsed,
            admitted: false,
            connected_since: None,
            dids: BTreeSet::new(),
            proving: Proving::Done,
            round: 0,
            meeting: None,
            their_meeting: None,
            given_up: HashSet::new(),
            last_dial_ok: None,
            last_dial_failed: None,
            last_seen: None,
            round_trip: None,
            points: 0,
            points_at: elapsed,
            gossip: TokenBucket::new(limits.gossip_rate, elapsed),
            pointers: TokenBucket::new(POINTER_RATE, elapsed),
            questions: TokenBucket::new(QUESTION_RATE, elapsed),
            streams: Arc::new(Semaphore::new(limits.streams_per_peer)),
            in_use: Default::default(),
            used_at: elapsed,
            sought_at: None,
            touched: 0,
        });
        entry.touched = self.touches;
        entry
    }

    /// A connection stands. It counts as connected only once the peer is admitted.
    pub(crate) fn link(&mut self, peer: &PeerId, new: NewLink, now: Timestamp, elapsed: Duration) {
        let entry = self.touch(peer, elapsed);
        if entry.links.is_empty() {
            entry.linked_at = elapsed;
            entry.used_at = elapsed;
        }
        let NewLink { id, addr, path, dialled } = new;
        entry.newest = Some(addr.clone());
        entry.links.insert(id, Link { addr, path, dialled, since: elapsed, failed_pings: 0, upgrading: false });
        if dialled {
            entry.last_dial_ok = Some(now);
        }
    }

    /// A connection is gone.
    pub(crate) fn unlink(&mut self, peer: &PeerId, id: ConnectionId, now: Timestamp) -> Unlinked {
        let Some(entry) = self.entries.get_mut(peer) else { return Unlinked::Quiet };
        entry.links.remove(&id);
        let was_given_up = entry.given_up.remove(&id);
        if !entry.links.is_empty() {
            let is_over = was_given_up && entry.given_up.is_empty();
            return if is_over { Unlinked::NeverGreeted } else { Unlinked::Quiet };
        }
        let was_admitted = std::mem::take(&mut entry.admitted);
        entry.connected_since = None;
        entry.dids.clear();
        entry.proving = Proving::Done;
        entry.meeting = None;
        entry.their_meeting = None;
        if was_admitted {
            entry.last_seen = Some(now);
            Unlinked::Gone
        } else {
            Unlinked::Quiet
        }
    }

    /// The peer has told who it is and belongs to this network.
    pub(crate) fn admit(&mut self, peer: &PeerId, agent: &str, addrs: Vec<Multiaddr>, now: Timestamp) -> Admit {
        let Some(entry) = self.entries.get_mut(peer).filter(|entry| !entry.links.is_empty()) else {
            return Admit::NotConnected;
        };
        entry.agent = agent.chars().filter(|c| !c.is_control()).take(64).collect();
        entry.addrs = addrs;
        if entry.admitted {
            return Admit::Known;
        }
        entry.admitted = true;
        entry.connected_since = Some(now);
        entry.proving = Proving::Pending;
        entry.round += 1;
        let addr = entry.newest.clone().unwrap_or_else(Multiaddr::empty);
        Admit::Admitted { addr, round: entry.round }
    }

    /// The peer has told which protocols of the network it speaks; it may do so again.
    pub(crate) fn speaks(&mut self, peer: &PeerId, protocols: impl Iterator<Item = String>) {
        if let Some(entry) = self.entries.get_mut(peer) {
            entry.protocols = protocols.take(MAX_PROTOCOLS).collect();
        }
    }

    /// Whether a peer speaks a protocol.
    pub(crate) fn is_speaking(&self, peer: &PeerId, protocol: &str) -> bool {
        self.entries.get(peer).is_some_and(|entry| entry.protocols.iter().any(|name| name == protocol))
    }

    /// The peers that speak a protocol, ordered by id: those that are connected, and those that were once and have not
    /// been tried in vain after `since`.
    pub(crate) fn speaking(&self, protocol: &str, since: Timestamp) -> (Vec<PeerId>, Vec<PeerId>) {
        let (mut connected, mut absent) = (Vec::new(), Vec::new());
        for (peer, entry) in
            self.entries.iter().filter(|(_, entry)| entry.protocols.iter().any(|name| name == protocol))
        {
            if entry.admitted {
                connected.push(*peer);
            } else if !entry.addrs.is_empty() && entry.last_dial_failed.is_none_or(|failed| failed <= since) {
                absent.push(*peer);
            }
        }
        connected.sort_unstable();
        absent.sort_unstable();
        (connected, absent)
    }

    pub(crate) fn dial_failed(&mut self, peer: &PeerId, now: Timestamp) {
        if let Some(entry) = self.entries.get_mut(peer) {
            entry.last_dial_failed = Some(now);
        }
    }

    /// Whether connecting to the peer has failed after `since`.
    pub(crate) fn failed_since(&self, peer: &PeerId, since: Timestamp) -> bool {
        let failed = self.entries.get(peer).and_then(|entry| entry.last_dial_failed);
        failed.is_some_and(|failed| failed > since)
    }

    /// Remembers addresses that a caller knows for a peer.
    pub(crate) fn learn(&mut self, peer: &PeerId, addrs: Vec<Multiaddr>, elapsed: Duration) {
        let entry = self.touch(peer, elapsed);
        if entry.addrs.is_empty() {
            entry.addrs = addrs;
        }
    }

    pub(crate) fn addrs(&self, peer: &PeerId) -> Vec<Multiaddr> {
        self.entries.get(peer).map(|entry| entry.addrs.clone()).unwrap_or_default()
    }

    pub(crate) fn is_admitted(&self, peer: &PeerId) -> bool {
        self.entries.get(peer).is_some_and(|entry| entry.admitted)
    }

    pub(crate) fn is_linked(&self, peer: &PeerId) -> bool {
        self.entries.get(peer).is_some_and(|entry| !entry.links.is_empty())
    }

    /// Whether the peer is connected for less than `age`.
    pub(crate) fn is_younger(&self, peer: &PeerId, age: Duration, elapsed: Duration) -> bool {
        self.entries
            .get(peer)
            .is_some_and(|entry| !entry.links.is_empty() && elapsed.saturating_sub(entry.linked_at) < age)
    }

    pub(crate) fn admitted_count(&self) -> usize {
        self.entries.values().filter(|entry| entry.admitted).count()
    }

    /// Known peers without a connection, the most recently seen first.
    pub(crate) fn absent(&self, limit: usize) -> Vec<PeerId> {
        let mut absent: Vec<_> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.links.is_empty() && !entry.addrs.is_empty())
            .filter(|(_, entry)| entry.last_seen.is_some())
            .map(|(peer, entry)| (entry.last_seen, *peer))
            .collect();
        absent.sort_unstable_by(|a, b| b.cmp(a));
        absent.into_iter().take(limit).map(|(_, peer)| peer).collect()
    }

    /// The next known peer without a connection, of those that may be dialled: the one that this gave longest ago, or that
    /// connected longest ago if it never did, so that whoever comes and goes under new names pushes nobody back.
    pub(crate) fn next_lost(&mut self, elapsed: Duration, may: impl Fn(&PeerId) -> bool) -> Option<PeerId> {
        let lost = self.entries.iter_mut().filter(|(peer, entry)| {
            entry.links.is_empty() && !entry.addrs.is_empty() && entry.last_seen.is_some() && may(peer)
        });
        let since = |entry: &Entry| entry.sought_at.unwrap_or(entry.linked_at);
        let (peer, entry) = lost.min_by_key(|(peer, entry)| (since(entry), Reverse(entry.last_seen), **peer))?;
        entry.sought_at = Some(elapsed);
        Some(*peer)
    }

    /// Peers that hold a connection for longer than `patience` without telling who they are.
    pub(crate) fn silent(&self, elapsed: Duration, patience: Duration) -> Vec<PeerId> {
        self.entries
            .iter()
            .filter(|(_, entry)| !entry.links.is_empty() && !entry.admitted)
            .filter(|(_, entry)| elapsed.saturating_sub(entry.linked_at) > patience)
            .map(|(peer, _)| *peer)
            .collect()
    }

    pub(crate) fn admitted(&self) -> Vec<PeerId> {
        self.entries.iter().filter(|(_, entry)| entry.admitted).map(|(peer, _)| *peer).collect()
    }

    /// Another exchange of proofs is to run. Returns its round, `None` if the peer is not admitted.
    pub(crate) fn proofs_pending(&mut self, peer: &PeerId) -> Option<u64> {
        let entry = self.entries.get_mut(peer).filter(|entry| entry.admitted)?;
        entry.proving = Proving::Pending;
        entry.round += 1;
        Some(entry.round)
    }

    /// Round `round` of the exchange is done; an older round than the newest changes nothing.
    /// Returns the DIDs that are new.
    pub(crate) fn proofs_done(&mut self, peer: &PeerId, round: u64, dids: Vec<Did>) -> Vec<Did> {
        let entry = self.entries.get_mut(peer).filter(|entry| entry.admitted);
        let Some(entry) = entry.filter(|entry| entry.round == round) else { return Vec::new() };
        entry.proving = Proving::Done;
        let dids: BTreeSet<Did> = dids.into_iter().collect();
        let fresh = dids.difference(&entry.dids).copied().collect();
        entry.dids = dids;
        fresh
    }

    /// What this side names its meeting with the peer: `fresh`, unless it has a name.
    pub(crate) fn meeting(&mut self, peer: &PeerId, fresh: Meeting) -> Meeting {
        self.entries.get_mut(peer).map_or(fresh, |entry| *entry.meeting.get_or_insert(fresh))
    }

    /// The peer names its meeting with this side. True if it had named it otherwise: for the peer everything has begun
    /// anew, and what this side still holds of before is dead. It is true each time until the connections are given up;
    /// what comes while they close is the next meeting.
    pub(crate) fn has_begun_anew(&mut self, peer: &PeerId, named: Meeting) -> bool {
        let Some(entry) = self.entries.get_mut(peer) else { return false };
        if !entry.given_up.is_empty() {
            entry.their_meeting = Some(named);
        }
        *entry.their_meeting.get_or_insert(named) != named
    }

    /// Gives up all connections of a peer that has begun anew; `false` if there are none, or that has been done.
    pub(crate) fn give_up(&mut self, peer: &PeerId) -> bool {
        let Some(entry) = self.entries.get_mut(peer).filter(|entry| entry.given_up.is_empty()) else { return false };
        entry.given_up = entry.links.keys().copied().collect();
        !entry.given_up.is_empty()
    }

    /// The DIDs a peer has proved, and whether the exchange is done.
    pub(crate) fn dids(&self, peer: &PeerId) -> (Vec<Did>, Proving) {
        self.entries
            .get(peer)
            .map_or((Vec::new(), Proving::Done), |entry| (entry.dids.iter().copied().collect(), entry.proving))
    }

    /// The admitted peers that have proved a DID.
    pub(crate) fn speakers(&self, did: &Did) -> Vec<PeerId> {
        self.entries
            .iter()
            .filter(|(_, entry)| entry.admitted && entry.dids.contains(did))
            .map(|(peer, _)| *peer)
            .collect()
    }

    /// Takes a token for one pointer that the peer wants stored.
    #[must_use]
    pub(crate) fn takes_pointer(&mut self, peer: &PeerId, elapsed: Duration) -> bool {
        self.touch(peer, elapsed).pointers.take(elapsed)
    }

    /// Takes a token for one gossip message of the peer.
    #[must_use]
    pub(crate) fn takes_gossip(&mut self, peer: &PeerId, elapsed: Duration) -> bool {
        self.touch(peer, elapsed).gossip.take(elapsed)
    }

    /// Takes a token for one question of the peer about proofs.
    #[must_use]
    pub(crate) fn takes_question(&mut self, peer: &PeerId, elapsed: Duration) -> bool {
        self.touch(peer, elapsed).questions.take(elapsed)
    }

    /// The permits for streams that the peer opens.
    pub(crate) fn streams(&mut self, peer: &PeerId, elapsed: Duration) -> Arc<Semaphore> {
        Arc::clone(&self.touch(peer, elapsed).streams)
    }

    /// Notes a penalty.
    pub(crate) fn penalise(&mut self, peer: &PeerId, severity: Severity, elapsed: Duration) -> Penalised {
        let entry = self.touch(peer, elapsed);
        let passed = elapsed.saturating_sub(entry.points_at).as_millis();
        let forgiven = passed / FORGIVE_POINT_EVERY.as_millis();
        let forgiven = u32::try_from(forgiven).unwrap_or(u32::MAX);
        if forgiven > 0 || entry.points == 0 {
            entry.points_at = elapsed;
        }
        entry.points = entry.points.saturating_sub(forgiven).saturating_add(severity.points());
        if entry.points >= BAN_POINTS {
            entry.points = 0;
            return Penalised::Ban;
        }
        Penalised::Noted { points: entry.points }
    }

    /// A connection has come about by punching. At an address that the peer told it would have without.
    pub(crate) fn punched(&mut self, peer: &PeerId, id: ConnectionId) {
        let Some(entry) = self.entries.get_mut(peer) else { return };
        if let Some(link) = entry.links.get_mut(&id) {
            let (_, addr) = address::split_peer(link.addr.clone());
            if !entry.addrs.contains(&addr) {
                link.path = Path::Punched;
            }
        }
    }

    /// Notes a ping. Returns how many have failed in a row on that connection.
    pub(crate) fn pinged(&mut self, peer: &PeerId, id: ConnectionId, round_trip: Option<Duration>) -> u32 {
        let Some(entry) = self.entries.get_mut(peer) else { return 0 };
        if round_trip.is_some() {
            entry.round_trip = round_trip;
        }
        let Some(link) = entry.links.get_mut(&id) else { return 0 };
        link.failed_pings = if round_trip.is_some() { 0 } else { link.failed_pings + 1 };
        link.failed_pings
    }

    pub(crate) fn facts(&self, peer: &PeerId, now: Timestamp) -> Option<PeerFacts> {
        self.entries.get(peer).map(|entry| entry.facts(peer, now))
    }

    /// Facts of all peers that are connected (or of all that are known).
    pub(crate) fn all_facts(&self, known: bool, now: Timestamp) -> Vec<PeerFacts> {
        let mut facts: Vec<_> = self
            .entries
            .iter()
            .filter(|(_, entry)| known || entry.admitted)
            .map(|(peer, entry)| entry.facts(peer, now))
            .collect();
        facts.sort_unstable_by_key(|facts| facts.peer);
        facts
    }
}

impl Entry {
    fn path(&self) -> Option<Path> {
        self.links.values().map(|link| link.path).min()
    }

    fn facts(&self, peer: &PeerId, now: Timestamp) -> PeerFacts {
        let newest = self.newest.as_ref().filter(|_| self.admitted);
        PeerFacts {
            peer: *peer,
            addrs: self.addrs.iter().map(ToString::to_string).collect(),
            agent_version: self.agent.clone(),
            connected_since: self.connected_since,
            dids: self.dids.iter().copied().collect(),
            last_dial_ok: self.last_dial_ok,
            last_dial_failed: self.last_dial_failed,
            last_seen: if self.admitted { Some(now) } else { self.last_seen },
            transport: newest.or_else(|| self.links.values().next().map(|link| &link.addr)).map(Transport::of),
            path: if self.admitted { self.path() } else { None },
            round_trip: self.round_trip,
        }
    }
}

mod links;
#[cfg(test)]
mod tests;
