//! Connecting: dials, bootstrap, discovery, admission, bans.

use std::time::Duration;

use haggle_base::PeerId;
use libp2p::core::ConnectedPoint;
use libp2p::kad::PeerInfo;
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{ConnectionId, DialError};
use libp2p::{Multiaddr, identify};

use super::pointing::Query;
use super::waiting::{Dial, MAX_WAITING_PEERS};
use super::{Worker, answer};
use crate::address;
use crate::book::{Admit, NewLink, Unlinked};
use crate::command::Reply;
use crate::error::NetworkError;
use crate::events::{NetworkEvent, Path};
use crate::protocol;

/// How long a peer may stay connected without telling who it is.
const SILENCE: Duration = Duration::from_secs(15);
/// How long a peer of another network is not dialled or let in again.
const WRONG_NETWORK_BAN: Duration = Duration::from_secs(60);
/// Most bans kept; further ones only disconnect.
const MAX_BANS: usize = 4096;
/// Known peers dialled at once when this node is alone.
const ABSENT_DIALS: usize = 3;
/// The first pause of bootstrap and of discovery; it doubles up to a maximum.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// How long a peer that could not be connected is left alone by discovery.
const FAILED_PAUSE: Duration = Duration::from_secs(5);
/// Longest pauses on the open internet, and on one machine.
const LONGEST_BOOTSTRAP_PAUSE: [Duration; 2] = [Duration::from_secs(15), Duration::from_secs(1)];
const LONGEST_DISCOVERY_PAUSE: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(4)];

/// A peer to begin with.
pub(super) struct Bootstrap {
    peer: PeerId,
    addrs: Vec<Multiaddr>,
    due: Duration,
    pause: Duration,
}

impl Bootstrap {
    pub(super) fn new((peer, addrs): (PeerId, Vec<Multiaddr>)) -> Self {
        Self { peer, addrs, due: Duration::ZERO, pause: FIRST_PAUSE }
    }
}

/// When to look for peers next.
pub(super) struct Discovery {
    due: Duration,
    pause: Duration,
    rounds: u32,
}

impl Default for Discovery {
    fn default() -> Self {
        Self { due: Duration::ZERO, pause: FIRST_PAUSE, rounds: 0 }
    }
}

impl Worker {
    /// Dials an address for a caller who does not know the peer behind it.
    pub(super) fn dial(&mut self, addr: Multiaddr, reply: Reply<PeerId>) {
        let unreachable = |addr: &Multiaddr| NetworkError::AddressUnreachable { addr: addr.to_string() };
        if self.dials.len() >= MAX_WAITING_PEERS {
            return answer(reply, Err(NetworkError::Busy));
        }
        let opts = DialOpts::unknown_peer_id().address(addr.clone()).build();
        let id = opts.connection_id();
        match self.dial_trusted(opts) {
            Ok(()) => {
                self.dials.insert(id, (addr, reply));
            }
            Err(error) => {
                tracing::debug!(peer.addr = %addr, error = %error, "could not dial {addr}");
                answer(reply, Err(unreachable(&addr)));
            }
        }
    }

    /// Dials addresses that were looked at, or that the operator typed.
    pub(super) fn dial_trusted(&mut self, opts: DialOpts) -> Result<(), DialError> {
        self.swarm.behaviour_mut().quiet.guard.trust(opts.connection_id());
        self.swarm.dial(opts)
    }

    /// Starts a dial, or finds one running. `false` when no address is known.
    pub(super) fn dial_peer(&mut self, peer: &PeerId, addrs: Vec<Multiaddr>) -> bool {
        self.begin_dial(peer, addrs) != Dial::Nowhere
    }

    pub(super) fn on_connected(&mut self, id: libp2p::PeerId, connection: ConnectionId, endpoint: &ConnectedPoint) {
        let Some(peer) = address::from_libp2p(&id) else {
            // Only ed25519 keys are compiled in, so this is a key of small order.
            let _was_connected = self.swarm.disconnect_peer_id(id);
            if let Some((addr, reply)) = self.dials.remove(&connection) {
                answer(reply, Err(NetworkError::AddressUnreachable { addr: addr.to_string() }));
            }
            return;
        };
        let dialled = endpoint.is_dialer();
        if dialled {
            self.metrics.dials("ok");
        }
        let (now, elapsed) = (self.clock.now(), self.shared.elapsed());
        let path = match endpoint {
            _ if endpoint.is_relayed() => Path::Relayed,
            // the other side's half of the punch: it came through a hole that this side has made
            ConnectedPoint::Listener { send_back_addr, .. }
                if self.is_hidden() && self.swarm.behaviour().quiet.punching.is_aimed_at(&id, send_back_addr) =>
            {
                Path::Punched
            }
            _ => Path::Direct,
        };
        let new = NewLink { id: connection, addr: other_end(endpoint, &id), path, dialled };
        let before = self.shared.with(|book| book.path(&peer));
        self.shared.change(|book| book.link(&peer, new, now, elapsed));
        self.tell_path(peer, before);
        if let Some((_, reply)) = self.dials.remove(&connection) {
            if self.shared.with(|book| book.is_admitted(&peer)) {
                answer(reply, Ok(peer));
            } else {
                let _is_waiting = self.wait_for(peer, reply);
            }
        }
    }

    pub(super) fn on_closed(&mut self, id: &libp2p::PeerId, connection: ConnectionId) {
        let Some(peer) = address::from_libp2p(id) else { return };
        let now = self.clock.now();
        let before = self.shared.with(|book| book.path(&peer));
        let unlinked = self.shared.change(|book| book.unlink(&peer, connection, now));
        if !self.shared.with(|book| book.is_linked(&peer)) {
            self.seen_at.remove(&peer);
        }
        self.tell_path(peer, before);
        if unlinked == Unlinked::NeverGreeted {
            self.begin_anew(peer);
        }
        if unlinked == Unlinked::Gone {
            tracing::debug!(peer.id = %peer, "peer {peer} is disconnected");
            self.count_peers();
            self.tell(NetworkEvent::Disconnected { peer });
            self.discovery.hurry(self.shared.elapsed());
        } else if !self.shared.with(|book| book.is_linked(&peer)) {
            // Admission has not happened and will not: the other side refused or left.
            self.shared.with(|book| book.dial_failed(&peer, now));
            self.fail_waiting(&peer, |peer| NetworkError::PeerUnreachable { peer });
        }
    }

    /// A peer that was killed, or that lost its connections before this side did, is here again while an old connection
    /// still seems to stand. Gossip and calls may go into that one, and libp2p greets only the first connection of a
    /// peer, so all of them are closed and the peer is met like a new one when it comes again. It is not dialled: whom
    /// this node wants it looks for anyway, and a stranger shall not name the addresses.
    pub(super) fn begin_anew(&mut self, peer: PeerId) {
        if self.shared.with(|book| book.give_up(&peer)) {
            tracing::info!(peer.id = %peer, "peer {peer} has begun anew: its old connections are closed");
            let _was_connected = self.swarm.disconnect_peer_id(address::to_libp2p(&peer));
        }
    }

    pub(super) fn on_dial_failed(&mut self, id: Option<libp2p::PeerId>, connection: ConnectionId, error: &DialError) {
        if let DialError::DialPeerConditionFalse(_) = error {
            return;
        }
        self.metrics.dials("failed");
        if let Some((addr, reply)) = self.dials.remove(&connection) {
            answer(reply, Err(NetworkError::AddressUnreachable { addr: addr.to_string() }));
        }
        let Some(peer) = id.as_ref().and_then(address::from_libp2p) else { return };
        tracing::debug!(peer.id = %peer, error = %error, "could not connect to {peer}");
        let now = self.clock.now();
        self.shared.with(|book| book.dial_failed(&peer, now));
        self.on_unanswered(peer);
    }

    /// The peer has told who it is: admit it, or show it the door.
    pub(super) fn on_identified(&mut self, id: libp2p::PeerId, connection: ConnectionId, info: identify::Info) {
        let Some(peer) = address::from_libp2p(&id) else { return };
        if info.protocol_version != self.family {
            tracing::info!(peer.id = %peer, "peer {peer} is of another network");
            self.fail_waiting(&peer, |peer| NetworkError::WrongNetwork { peer });
            self.nearby.leave_alone(&peer, self.shared.elapsed());
            self.refuse(peer, WRONG_NETWORK_BAN);
            return;
        }
        let addrs = address::worth_keeping(info.listen_addrs, self.config.loopback_ok);
        if info.protocols.contains(&self.kad_name()) {
            for addr in &addrs {
                self.swarm.behaviour_mut().quiet.kad.add_address(&id, addr.clone());
            }
        }
        self.on_seen_at(peer, connection, &info.observed_addr);
        let now = self.clock.now();
        let inside = protocol::scoped(&self.config.network, "");
        let protocols = info.protocols.iter().map(|name| name.as_ref());
        let protocols = protocols.filter(|name| name.len() <= protocol::MAX_NAME_BYTES && name.starts_with(&inside));
        let admit = self.shared.change(|book| {
            let admit = book.admit(&peer, &info.agent_version, addrs, now);
            book.speaks(&peer, protocols.map(str::to_owned));
            admit
        });
        self.upgrade(peer);
        let Admit::Admitted { addr, round } = admit else { return };
        tracing::debug!(peer.id = %peer, peer.addr = %addr, "peer {peer} is connected");
        self.count_peers();
        self.proofs.begin(peer, round);
        self.tell(NetworkEvent::Connected { peer, addr: addr.to_string() });
        self.answer_waiting(peer);
        let elapsed = self.shared.elapsed();
        self.nearby.met(&peer);
        self.discovery.hurry(elapsed);
        self.hurry_place(&peer, elapsed);
    }

    /// Tells connected peers which protocols this node speaks now.
    pub(super) fn introduce(&mut self) {
        let connected: Vec<_> = self.swarm.connected_peers().copied().collect();
        self.swarm.behaviour_mut().quiet.identify.push(connected);
    }

    fn kad_name(&self) -> libp2p::StreamProtocol {
        let names = self.swarm.behaviour().quiet.kad.protocol_names();
        names.first().cloned().unwrap_or(libp2p::StreamProtocol::new("/none"))
    }

    pub(super) fn count_peers(&self) {
        let (peers, paths) = self.shared.with(|book| (book.admitted_count(), book.paths()));
        self.metrics.peers(peers);
        self.metrics.paths(paths);
    }

    pub(super) fn drop_silent(&mut self, elapsed: Duration) {
        for peer in self.shared.with(|book| book.silent(elapsed, SILENCE)) {
            tracing::debug!(peer.id = %peer, "peer {peer} does not tell who it is");
            let _was_connected = self.swarm.disconnect_peer_id(address::to_libp2p(&peer));
        }
    }

    pub(super) fn dial_bootstrap(&mut self, elapsed: Duration) {
        if self.shared.with(|book| book.admitted_count()) >= self.config.target_peers {
            return;
        }
        let longest = LONGEST_BOOTSTRAP_PAUSE[usize::from(self.config.loopback_ok)];
        for index in 0..self.bootstrap.len() {
            let entry = &mut self.bootstrap[index];
            let peer = entry.peer;
            if self.shared.with(|book| book.is_admitted(&peer)) {
                entry.pause = FIRST_PAUSE;
                entry.due = elapsed + FIRST_PAUSE;
            } else if entry.due <= elapsed && peer != self.local && !self.bans.contains_key(&peer) {
                entry.due = elapsed + entry.pause;
                entry.pause = (entry.pause * 2).min(longest);
                let addrs = entry.addrs.clone();
                let _is_dialling = self.dial_peer(&peer, addrs);
            }
        }
    }

    /// Looks for peers while there are fewer than wanted.
    pub(super) fn discover(&mut self, elapsed: Duration) {
        let peers = self.shared.with(|book| book.admitted_count());
        if elapsed < self.discovery.due || peers >= self.config.target_peers {
            return;
        }
        self.discovery.next(elapsed, LONGEST_DISCOVERY_PAUSE[usize::from(self.config.loopback_ok)]);
        if peers == 0 {
            for peer in self.shared.with(|book| book.absent(ABSENT_DIALS)) {
                let _is_dialling = self.dial_peer(&peer, Vec::new());
            }
            return;
        }
        if self.queries.values().any(|query| matches!(query, Query::Discover)) {
            return;
        }
        // Our own neighbourhood first; later any part of the network.
        let target = if self.discovery.rounds.is_multiple_of(3) {
            libp2p::PeerId::random()
        } else {
            *self.swarm.local_peer_id()
        };
        let id = self.swarm.behaviour_mut().quiet.kad.get_closest_peers(target);
        self.queries.insert(id, Query::Discover);
    }

    pub(super) fn on_discovered(&mut self, found: Vec<PeerInfo>) {
        let peers = self.shared.with(|book| book.admitted_count());
        let mut wanted = self.config.target_peers.saturating_sub(peers);
        let lately = self.clock.now().minus(FAILED_PAUSE);
        for info in found {
            if wanted == 0 {
                break;
            }
            let Some(peer) = address::from_libp2p(&info.peer_id) else { continue };
            let is_settled = self.shared.with(|book| book.is_linked(&peer) || book.failed_since(&peer, lately));
            if peer == self.local || is_settled || self.bans.contains_key(&peer) {
                continue;
            }
            let addrs = address::worth_keeping(info.addrs, self.config.loopback_ok);
            if !addrs.is_empty() && self.dial_peer(&peer, addrs) {
                wanted -= 1;
            }
        }
    }

    /// Refuses a peer for a while and tells about it.
    pub(super) fn ban(&mut self, peer: PeerId, time: Duration) {
        tracing::info!(peer.id = %peer, "peer {peer} is banned for {} s", time.as_secs());
        self.metrics.banned();
        self.refuse(peer, time);
        self.fail_waiting(&peer, |peer| NetworkError::Banned { peer });
        self.tell(NetworkEvent::Banned { peer });
    }

    fn refuse(&mut self, peer: PeerId, time: Duration) {
        let id = address::to_libp2p(&peer);
        if self.bans.len() < MAX_BANS || self.bans.contains_key(&peer) {
            self.bans.insert(peer, self.shared.elapsed() + time);
            self.swarm.behaviour_mut().quiet.blocked.block_peer(id);
        }
        self.swarm.behaviour_mut().quiet.kad.remove_peer(&id);
        let _was_connected = self.swarm.disconnect_peer_id(id);
    }

    pub(super) fn unban(&mut self, peer: &PeerId) {
        if self.bans.remove(peer).is_some() {
            self.swarm.behaviour_mut().quiet.blocked.unblock_peer(address::to_libp2p(peer));
        }
    }

    pub(super) fn lift_bans(&mut self, elapsed: Duration) {
        let over: Vec<_> = self.bans.iter().filter(|(_, until)| **until <= elapsed).map(|(peer, _)| *peer).collect();
        for peer in over {
            self.unban(&peer);
        }
    }
}

/// The other end of a connection. A peer that comes through a relay is at an address of that relay.
fn other_end(endpoint: &ConnectedPoint, peer: &libp2p::PeerId) -> Multiaddr {
    match endpoint {
        ConnectedPoint::Listener { local_addr, .. } if endpoint.is_relayed() => {
            local_addr.clone().with_p2p(*peer).unwrap_or_else(|addr| addr)
        }
        endpoint => endpoint.get_remote_address().clone(),
    }
}

impl Discovery {
    /// Something has changed: look again soon.
    fn hurry(&mut self, elapsed: Duration) {
        self.due = self.due.min(elapsed + FIRST_PAUSE / 4);
        self.pause = FIRST_PAUSE;
    }

    fn next(&mut self, elapsed: Duration, longest: Duration) {
        self.rounds = self.rounds.wrapping_add(1);
        self.due = elapsed + self.pause;
        self.pause = (self.pause * 2).min(longest);
    }
}
