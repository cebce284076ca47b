//! Those who wait for a peer: dials and lookups for them, until one succeeds or nothing is left to try.

use std::time::Duration;

use haggle_base::PeerId;
use libp2p::Multiaddr;
use libp2p::core::Endpoint;
use libp2p::kad::PeerInfo;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError, NetworkBehaviour};

use super::pointing::Query;
use super::{Worker, answer};
use crate::address;
use crate::command::Reply;
use crate::error::NetworkError;

/// Peers that callers wait for at the same time, and callers of one peer.
pub(super) const MAX_WAITING_PEERS: usize = 256;
const MAX_WAITING_CALLERS: usize = 64;
/// Addresses of one peer that are dialled for those who wait for it.
const MAX_TRIED: usize = 32;
/// How long a caller waits for the addresses that are known before the DHT is asked for others, and then before it is asked
/// again: dead ones answer nothing for longer than callers wait.
const LOOK_UP_AFTER: Duration = Duration::from_secs(1);
const LOOK_UP_AGAIN: Duration = Duration::from_secs(2);

/// Callers that wait until a peer is connected.
pub(super) struct Waiting {
    replies: Vec<Reply<PeerId>>,
    look_up: LookUp,
    look_up_at: Duration,
    /// Addresses that were dialled for them.
    tried: Vec<Multiaddr>,
    until: Duration,
}

/// How far the lookup of a peer's addresses has come.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum LookUp {
    Wanted,
    Asked,
    Done,
}

/// What has become of a wish to dial a peer.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Dial {
    Begun,
    /// One is under way, perhaps at other addresses.
    Running,
    /// No address is known.
    Nowhere,
}

impl Worker {
    /// Connects to a peer for a caller: by the given and the known addresses, then by lookup.
    pub(super) fn connect(&mut self, peer: PeerId, addrs: Vec<Multiaddr>, reply: Reply<PeerId>) {
        if peer == self.local {
            return answer(reply, Err(NetworkError::PeerUnreachable { peer }));
        }
        if self.bans.contains_key(&peer) {
            return answer(reply, Err(NetworkError::Banned { peer }));
        }
        if self.shared.with(|book| book.is_admitted(&peer)) {
            return answer(reply, Ok(peer));
        }
        if !addrs.is_empty() {
            let elapsed = self.shared.elapsed();
            self.shared.with(|book| book.learn(&peer, addrs.clone(), elapsed));
        }
        if !self.wait_for(peer, reply) || self.shared.with(|book| book.is_linked(&peer)) {
            return;
        }
        match self.begin_dial(&peer, addrs.clone()) {
            Dial::Begun => {
                let _named = self.untried(&peer, addrs);
            }
            Dial::Running => {
                let _is_dialling = self.dial_beside(&peer, addrs);
            }
            Dial::Nowhere => self.look_up(peer),
        }
    }

    /// Notes a caller; `false` when it was turned away.
    pub(super) fn wait_for(&mut self, peer: PeerId, reply: Reply<PeerId>) -> bool {
        let elapsed = self.shared.elapsed();
        let (until, look_up_at) = (elapsed + self.config.connect_timeout, elapsed + LOOK_UP_AFTER);
        if self.waiting.len() >= MAX_WAITING_PEERS && !self.waiting.contains_key(&peer) {
            answer(reply, Err(NetworkError::Busy));
            return false;
        }
        let waiting = self.waiting.entry(peer).or_insert_with(|| {
            let (replies, look_up, tried) = (Vec::new(), LookUp::Wanted, Vec::new());
            Waiting { replies, look_up, look_up_at, tried, until }
        });
        waiting.replies.retain(|reply| !reply.is_closed());
        if waiting.replies.len() >= MAX_WAITING_CALLERS {
            answer(reply, Err(NetworkError::Busy));
            return false;
        }
        waiting.until = until;
        waiting.replies.push(reply);
        true
    }

    /// Starts a dial, unless one is running. Direct addresses get a head start before those through relays; where a relayed
    /// connection wins all the same, a direct one is tried after it.
    pub(super) fn begin_dial(&mut self, peer: &PeerId, mut addrs: Vec<Multiaddr>) -> Dial {
        for known in self.shared.with(|book| book.addrs(peer)) {
            if !addrs.contains(&known) {
                addrs.push(known);
            }
        }
        let opts = DialOpts::peer_id(address::to_libp2p(peer))
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .addresses(addrs)
            .extend_addresses_through_behaviour()
            .build();
        match self.dial_trusted(opts) {
            Ok(()) => Dial::Begun,
            Err(DialError::DialPeerConditionFalse(_)) => Dial::Running,
            Err(error) => {
                tracing::debug!(peer.id = %peer, error = %error, "could not dial {peer}");
                Dial::Nowhere
            }
        }
    }

    /// The addresses known for a peer, these among them, that were not dialled yet for those who wait for it.
    fn untried(&mut self, peer: &PeerId, mut addrs: Vec<Multiaddr>) -> Vec<Multiaddr> {
        addrs.extend(self.shared.with(|book| book.addrs(peer)));
        // those that a lookup has come upon so far, too: it ends only when it has tried them itself
        let (nobody, id) = (ConnectionId::new_unchecked(0), Some(address::to_libp2p(peer)));
        let kad = &mut self.swarm.behaviour_mut().quiet.kad;
        let found = kad.handle_pending_outbound_connection(nobody, id, &[], Endpoint::Dialer).unwrap_or_default();
        addrs.extend(address::worth_keeping(found, self.config.loopback_ok));
        let Some(waiting) = self.waiting.get_mut(peer) else { return addrs };
        let mut untried = Vec::new();
        for addr in addrs {
            if waiting.tried.len() < MAX_TRIED && !waiting.tried.contains(&addr) {
                waiting.tried.push(addr.clone());
                untried.push(addr);
            }
        }
        untried
    }

    /// Tries addresses although a dial may be under way at others. Says whether any is.
    fn dial_beside(&mut self, peer: &PeerId, addrs: Vec<Multiaddr>) -> bool {
        let id = address::to_libp2p(peer);
        let addrs = self.untried(peer, addrs);
        if !addrs.is_empty() {
            let opts = DialOpts::peer_id(id).condition(PeerCondition::Disconnected).addresses(addrs);
            if let Err(error) = self.dial_trusted(opts.build()) {
                tracing::debug!(peer.id = %peer, error = %error, "could not dial {peer} at other addresses");
            }
        }
        self.swarm.behaviour().quiet.guard.is_dialling(&id)
    }

    /// Asks the DHT for the addresses of a peer.
    fn look_up(&mut self, peer: PeerId) {
        if let Some(waiting) = self.waiting.get_mut(&peer) {
            waiting.look_up = LookUp::Asked;
        }
        let id = self.swarm.behaviour_mut().quiet.kad.get_closest_peers(address::to_libp2p(&peer));
        self.queries.insert(id, Query::Lookup { peer });
    }

    pub(super) fn on_looked_up(&mut self, peer: PeerId, found: Vec<PeerInfo>) {
        if self.shared.with(|book| book.is_linked(&peer)) {
            return;
        }
        let (id, elapsed) = (address::to_libp2p(&peer), self.shared.elapsed());
        let addrs = found.into_iter().find(|info| info.peer_id == id).map(|info| info.addrs);
        let addrs = address::worth_keeping(addrs.unwrap_or_default(), self.config.loopback_ok);
        if let Some(waiting) = self.waiting.get_mut(&peer) {
            waiting.look_up = LookUp::Done;
            waiting.look_up_at = elapsed + LOOK_UP_AGAIN;
        }
        let is_dialling = if self.swarm.behaviour().quiet.guard.is_dialling(&id) {
            self.dial_beside(&peer, addrs)
        } else {
            !addrs.is_empty() && self.begin_dial(&peer, addrs) != Dial::Nowhere
        };
        if !is_dialling {
            self.fail_waiting(&peer, |peer| NetworkError::PeerUnreachable { peer });
        }
    }

    /// The peer that callers wait for is here.
    pub(super) fn answer_waiting(&mut self, peer: PeerId) {
        if let Some(waiting) = self.waiting.remove(&peer) {
            for reply in waiting.replies {
                answer(reply, Ok(peer));
            }
        }
    }

    pub(super) fn fail_waiting(&mut self, peer: &PeerId, error: impl Fn(PeerId) -> NetworkError) {
        if let Some(waiting) = self.waiting.remove(peer) {
            for reply in waiting.replies {
                answer(reply, Err(error(*peer)));
            }
        }
    }

    /// Asks the DHT for peers whose known addresses do not answer, and gives up those that callers have waited for too long.
    pub(super) fn tend_waiting(&mut self, elapsed: Duration) {
        let is_due = |waiting: &Waiting| waiting.look_up != LookUp::Asked && waiting.look_up_at <= elapsed;
        let due: Vec<_> = self.waiting.iter().filter(|(_, waiting)| is_due(waiting)).map(|(peer, _)| *peer).collect();
        for peer in due {
            if !self.shared.with(|book| book.is_linked(&peer)) {
                self.look_up(peer);
            }
        }
        let asked = |waiting: &Waiting| waiting.look_up == LookUp::Asked;
        let asked: Vec<_> = self.waiting.iter().filter(|(_, waiting)| asked(waiting)).map(|(peer, _)| *peer).collect();
        for peer in asked {
            // a lookup dials what it finds, unless a dial is under way
            let is_dialling = self.swarm.behaviour().quiet.guard.is_dialling(&address::to_libp2p(&peer));
            if is_dialling && !self.shared.with(|book| book.is_linked(&peer)) {
                let _is_dialling = self.dial_beside(&peer, Vec::new());
            }
        }
        let late: Vec<_> =
            self.waiting.iter().filter(|(_, waiting)| waiting.until <= elapsed).map(|(peer, _)| *peer).collect();
        for peer in late {
            self.fail_waiting(&peer, |peer| NetworkError::PeerUnreachable { peer });
        }
    }

    /// A dial has failed: callers wait for another one, for a lookup, or no longer.
    pub(super) fn on_unanswered(&mut self, peer: PeerId) {
        let is_dialling = self.swarm.behaviour().quiet.guard.is_dialling(&address::to_libp2p(&peer));
        if is_dialling || self.shared.with(|book| book.is_linked(&peer)) {
            return;
        }
        match self.waiting.get(&peer).map(|waiting| waiting.look_up) {
            Some(LookUp::Wanted) => self.look_up(peer),
            Some(LookUp::Done) => self.fail_waiting(&peer, |peer| NetworkError::PeerUnreachable { peer }),
            Some(LookUp::Asked) | None => {}
        }
    }
}
