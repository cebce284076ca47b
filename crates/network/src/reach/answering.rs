//! The server side of AutoNAT v2: libp2p's, which dials whatever address it is given, held to our rules.
//!
//! libp2p's server makes whoever asks send more bytes than the dial costs, so nobody gains by having it dial others. It
//! looks neither at where the address leads nor at how often it is asked, and leaves the connection open. Here only
//! addresses of the open internet are dialled, a few at a time, and each connection is closed when it has served.

use std::collections::{HashMap, VecDeque};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use libp2p::autonat::v2::server;
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::behaviour::{ConnectionClosed, DialFailure, FromSwarm};
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionId, DialError, NetworkBehaviour, THandler, THandlerInEvent,
    THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};

use crate::address;
use crate::bucket::{Rate, TokenBucket};

/// Dials for others that are under way.
const MAX_DIALS: usize = 16;
/// Dials for one peer: two carriers over both versions of IP, twice.
const PER_PEER: Rate = Rate { per_second: 1, burst: 8 };
/// Dials for all peers.
const ALL: Rate = Rate { per_second: 4, burst: 64 };
/// Peers whose dials are counted.
const MAX_PEERS: usize = 1024;
/// How long a dial may take, on the open internet and on one machine. What a firewall swallows takes as long as libp2p
/// lets it, ten seconds; the asker has given up by then, and would ask for ever.
const PATIENCE: [Duration; 2] = [Duration::from_secs(6), Duration::from_secs(1)];
/// How long a connection that was dialled for somebody is kept at most.
const LONGEST: Duration = Duration::from_secs(20);

/// A dial that is not made for a peer.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not dialled to see whether it is open")]
struct NotTried(Vec<Multiaddr>);

struct Dial {
    peer: PeerId,
    since: Duration,
    is_up: bool,
    is_too_late: bool,
}

/// Dials peers at the addresses that they ask about.
pub(crate) struct Answering {
    server: server::Behaviour,
    one_machine: bool,
    elapsed: Duration,
    all: TokenBucket,
    peers: HashMap<PeerId, TokenBucket>,
    dials: HashMap<ConnectionId, Dial>,
    served: VecDeque<(PeerId, ConnectionId)>,
}

impl Answering {
    /// `one_machine` lets loopback addresses be dialled.
    pub(crate) fn new(one_machine: bool) -> Self {
        Self {
            server: server::Behaviour::default(),
            one_machine,
            elapsed: Duration::ZERO,
            all: TokenBucket::new(ALL, Duration::ZERO),
            peers: HashMap::new(),
            dials: HashMap::new(),
            served: VecDeque::new(),
        }
    }

    /// Closes what has stood too long, and says of dials that take too long that they failed.
    pub(crate) fn tend(&mut self, elapsed: Duration) {
        self.elapsed = elapsed;
        let patience = PATIENCE[usize::from(self.one_machine)];
        for (id, dial) in &mut self.dials {
            let age = elapsed.saturating_sub(dial.since);
            if dial.is_up && age > LONGEST {
                dial.since = elapsed;
                self.served.push_back((dial.peer, *id));
            } else if !dial.is_up && !dial.is_too_late && age > patience {
                dial.is_too_late = true;
                let (peer_id, error) = (Some(dial.peer), &DialError::Aborted);
                let failure = DialFailure { peer_id, error, connection_id: *id };
                self.server.on_swarm_event(FromSwarm::DialFailure(failure));
            }
        }
    }

    fn allows(&mut self, peer: PeerId, addrs: &[Multiaddr]) -> bool {
        let elapsed = self.elapsed;
        if self.peers.len() >= MAX_PEERS {
            // those who left before their dial began; the bound on all dials stands
            self.peers.clear();
        }
        let is_open = |addr| address::is_public(addr, self.one_machine) && address::is_dialable(addr, self.one_machine);
        addrs.iter().all(is_open)
            && self.dials.len() <= MAX_DIALS
            && self.peers.entry(peer).or_insert_with(|| TokenBucket::new(PER_PEER, elapsed)).take(elapsed)
            && self.all.take(elapsed)
    }
}

impl NetworkBehaviour for Answering {
    type ConnectionHandler = THandler<server::Behaviour>;
    type ToSwarm = server::Event;

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if address::is_relayed(remote) || address::is_relayed(local) {
            // the way of a dialler, which answers nobody
            return self.server.handle_established_outbound_connection(
                id,
                peer,
                remote,
                Endpoint::Dialer,
                PortUse::Reuse,
            );
        }
        self.server.handle_established_inbound_connection(id, peer, local, remote)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        _: Option<PeerId>,
        addrs: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        match self.dials.get(&id).map(|dial| dial.peer) {
            Some(peer) if !self.allows(peer, addrs) => Err(ConnectionDenied::new(NotTried(addrs.to_vec()))),
            _ => Ok(Vec::new()),
        }
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        addr: &Multiaddr,
        role: Endpoint,
        port_use: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if let Some(dial) = self.dials.get_mut(&id) {
            dial.is_up = true;
            dial.since = self.elapsed;
            if dial.is_too_late {
                self.served.push_back((peer, id));
            }
        }
        self.server.handle_established_outbound_connection(id, peer, addr, role, port_use)
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::DialFailure(DialFailure { connection_id, .. }) => {
                self.dials.remove(&connection_id);
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, peer_id, remaining_established, .. }) => {
                self.dials.remove(&connection_id);
                if remaining_established == 0 {
                    self.peers.remove(&peer_id);
                }
            }
            _ => {}
        }
        self.server.on_swarm_event(event);
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, id: ConnectionId, event: THandlerOutEvent<Self>) {
        if self.dials.contains_key(&id) {
            self.served.push_back((peer, id));
        }
        self.server.on_connection_handler_event(peer, id, event);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some((peer_id, id)) = self.served.pop_front() {
            return Poll::Ready(ToSwarm::CloseConnection { peer_id, connection: CloseConnection::One(id) });
        }
        let event = ready!(self.server.poll(cx));
        if let ToSwarm::Dial { opts } = &event
            && let Some(peer) = opts.get_peer_id()
        {
            self.dials
                .insert(opts.connection_id(), Dial { peer, since: self.elapsed, is_up: false, is_too_late: false });
        }
        Poll::Ready(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(answering: &mut Answering, peer: PeerId, addr: &str) -> bool {
        answering.allows(peer, &[addr.parse().unwrap()])
    }

    #[test]
    fn nobody_has_this_node_dial_into_a_private_network() {
        let mut answering = Answering::new(false);
        for inside in [
            "/ip4/127.0.0.1/tcp/22",
            "/ip4/10.0.0.1/tcp/80",
            "/ip4/192.168.1.1/tcp/80",
            "/ip4/172.16.0.1/udp/53/quic-v1",
            "/ip4/100.64.0.1/tcp/80",
            "/ip4/169.254.169.254/tcp/80",
            "/ip4/0.0.0.0/tcp/80",
            "/ip4/0.0.0.1/tcp/80",
            "/ip4/224.0.0.251/udp/5353/quic-v1",
            "/ip4/240.0.0.1/tcp/80",
            "/ip4/198.18.0.1/tcp/80",
            "/ip6/::1/tcp/22",
            "/ip6/::ffff:127.0.0.1/tcp/22",
            "/ip6/fe80::1/tcp/22",
            "/ip6/fd00::1/tcp/22",
            "/ip6/2002:7f00:1::/tcp/22",
            "/ip6/64:ff9b::7f00:1/tcp/22",
            "/dns4/localhost/tcp/22",
            "/ip4/8.8.8.8/tcp/1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN/p2p-circuit",
        ] {
            assert!(!allowed(&mut answering, PeerId::random(), inside), "{inside}");
        }
        assert!(allowed(&mut answering, PeerId::random(), "/ip4/8.8.8.8/tcp/4900"));
        assert!(allowed(&mut answering, PeerId::random(), "/ip6/2a00:1450::1/udp/4900/quic-v1"));
        assert!(allowed(&mut Answering::new(true), PeerId::random(), "/ip4/127.0.0.1/tcp/4900"), "on one machine");
    }

    #[test]
    fn dials_for_others_are_few() {
        let mut answering = Answering::new(false);
        let addr = "/ip4/8.8.8.8/tcp/4900";
        let peer = PeerId::random();
        assert_eq!((0..100).filter(|_| allowed(&mut answering, peer, addr)).count(), 8);
        assert_eq!((0..1000).filter(|_| allowed(&mut answering, PeerId::random(), addr)).count(), 64 - 8);
        answering.tend(Duration::from_secs(1));
        assert_eq!((0..100).filter(|_| allowed(&mut answering, PeerId::random(), addr)).count(), 4);
    }
    #[test]
    fn a_connection_that_has_served_is_closed() {
        let mut answering = Answering::new(true);
        let peer = PeerId::random();
        let ids = [(); 2].map(|()| libp2p::swarm::dial_opts::DialOpts::peer_id(peer).build().connection_id());
        for id in ids {
            answering.dials.insert(id, Dial { peer, since: Duration::ZERO, is_up: true, is_too_late: false });
        }
        let closed =
            |answering: &mut Answering| match answering.poll(&mut Context::from_waker(std::task::Waker::noop())) {
                Poll::Ready(ToSwarm::CloseConnection { connection: CloseConnection::One(id), .. }) => Some(id),
                _ => None,
            };
        answering.on_connection_handler_event(peer, ids[0], either::Either::Left(either::Either::Left(Ok(()))));
        assert_eq!(closed(&mut answering), Some(ids[0]));
        answering.dials.remove(&ids[0]);
        answering.tend(LONGEST);
        assert_eq!(closed(&mut answering), None);
        answering.tend(LONGEST + Duration::from_secs(1));
        assert_eq!(closed(&mut answering), Some(ids[1]), "whatever the peer does");
    }
}
