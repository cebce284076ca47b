//! Hole punching (DCUtR): libp2p's, told at which addresses the other side may hit this node.
//!
//! Punching takes the very port that the router opened for this node. libp2p's identify puts the port that this node
//! listens on in its place, which is the same only where a router happens to keep it. Here peers say where they see this
//! node over connections that it dialled from a port it listens on: once for each, so that one peer has one say.

use std::collections::{HashMap, HashSet};
use std::task::{Context, Poll, ready};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::behaviour::{FromSwarm, ListenAddresses, NewExternalAddrCandidate};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId, dcutr};

use crate::address::{self, Transport};

/// Addresses of one peer that are remembered as punched at.
const MAX_AIMS: usize = 16;

/// Makes direct connections to peers behind routers, with their help.
pub(crate) struct Punching {
    dcutr: dcutr::Behaviour,
    loopback_ok: bool,
    listeners: ListenAddresses,
    /// The other ends of connections that this node dialled from where it listens, while they have not said where they
    /// see it.
    unseen: HashMap<ConnectionId, Multiaddr>,
    /// Dials that punch, while they have not begun.
    punches: HashSet<ConnectionId>,
    /// The addresses of connected peers that this node has tried to punch through to.
    aims: HashMap<PeerId, Vec<Multiaddr>>,
}

impl Punching {
    pub(crate) fn new(local: PeerId, loopback_ok: bool) -> Self {
        let (listeners, unseen) = (ListenAddresses::default(), HashMap::new());
        let (punches, aims) = (HashSet::new(), HashMap::new());
        Self { dcutr: dcutr::Behaviour::new(local), loopback_ok, listeners, unseen, punches, aims }
    }

    /// Whether this node has tried to punch through to a peer at this address.
    pub(crate) fn is_aimed_at(&self, peer: &PeerId, addr: &Multiaddr) -> bool {
        let (_, addr) = address::split_peer(addr.clone());
        self.aims.get(peer).is_some_and(|aims| aims.contains(&addr))
    }

    /// The other end of a connection says where it sees this node.
    pub(crate) fn seen_at(&mut self, id: ConnectionId, addr: &Multiaddr) {
        let Some(other) = self.unseen.remove(&id) else { return };
        // the other side refuses to dial at all for one address that nobody can be at
        if is_alike(addr, &other) && address::is_dialable(addr, self.loopback_ok) && !address::is_relayed(addr) {
            let candidate = NewExternalAddrCandidate { addr };
            self.dcutr.on_swarm_event(FromSwarm::NewExternalAddrCandidate(candidate));
        }
    }

    /// Whether a dial to this address leaves from a port that this node listens on.
    fn is_from_listener(&self, addr: &Multiaddr) -> bool {
        !address::is_relayed(addr)
            && self.listeners.iter().any(|listener| !address::is_relayed(listener) && is_alike(listener, addr))
    }
}

/// Whether two addresses are of the same carrier and version of IP. A name may be of any.
fn is_alike(one: &Multiaddr, other: &Multiaddr) -> bool {
    let is_same_ip = match (address::ip(one), address::ip(other)) {
        (Some(one), Some(other)) => one.is_ipv4() == other.is_ipv4(),
        _ => true,
    };
    is_same_ip && Transport::of(one) == Transport::of(other)
}

impl NetworkBehaviour for Punching {
    type ConnectionHandler = THandler<dcutr::Behaviour>;
    type ToSwarm = dcutr::Event;

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.dcutr.handle_established_inbound_connection(id, peer, local, remote)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        addrs: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        if let Some(peer) = peer.filter(|_| self.punches.remove(&id)) {
            let aims = self.aims.entry(peer).or_default();
            for addr in addrs {
                let (_, addr) = address::split_peer(addr.clone());
                if aims.len() < MAX_AIMS && !aims.contains(&addr) {
                    aims.push(addr);
                }
            }
        }
        Ok(Vec::new())
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        addr: &Multiaddr,
        role: Endpoint,
        port_use: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if port_use == PortUse::Reuse && self.is_from_listener(addr) {
            self.unseen.insert(id, addr.clone());
        }
        self.dcutr.handle_established_outbound_connection(id, peer, addr, role, port_use)
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        self.listeners.on_swarm_event(&event);
        match &event {
            // what identify makes of what peers see
            FromSwarm::NewExternalAddrCandidate(_) => return,
            FromSwarm::DialFailure(failed) => {
                self.punches.remove(&failed.connection_id);
            }
            FromSwarm::ConnectionClosed(closed) => {
                self.unseen.remove(&closed.connection_id);
                if closed.remaining_established == 0 {
                    self.aims.remove(&closed.peer_id);
                }
            }
            _ => {}
        }
        self.dcutr.on_swarm_event(event);
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, id: ConnectionId, event: THandlerOutEvent<Self>) {
        self.dcutr.on_connection_handler_event(peer, id, event);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        let event = ready!(self.dcutr.poll(cx));
        if let ToSwarm::Dial { opts } = &event {
            self.punches.insert(opts.connection_id());
        }
        Poll::Ready(event)
    }
}

#[cfg(test)]
mod tests {
    use libp2p::core::ConnectedPoint;
    use libp2p::core::transport::ListenerId;
    use libp2p::swarm::behaviour::{ConnectionClosed, NewListenAddr};
    use libp2p::swarm::dial_opts::DialOpts;

    use super::*;

    fn addr(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    fn dial() -> ConnectionId {
        DialOpts::peer_id(PeerId::random()).build().connection_id()
    }

    #[test]
    fn only_dials_from_a_port_that_is_listened_on_tell_where_to_punch() {
        let mut punching = Punching::new(PeerId::random(), false);
        let listener = addr("/ip4/192.168.1.2/tcp/4404");
        let new = NewListenAddr { listener_id: ListenerId::next(), addr: &listener };
        punching.on_swarm_event(FromSwarm::NewListenAddr(new));
        let relay = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
        for (other, port, tells) in [
            ("/ip4/8.8.8.8/tcp/1".to_owned(), PortUse::Reuse, true),
            ("/dns4/relay.example/tcp/1".to_owned(), PortUse::Reuse, true),
            ("/ip4/8.8.8.8/tcp/1".to_owned(), PortUse::New, false),
            ("/ip4/8.8.8.8/udp/1/quic-v1".to_owned(), PortUse::Reuse, false),
            ("/ip6/2a00:1450::1/tcp/1".to_owned(), PortUse::Reuse, false),
            (format!("/ip4/8.8.8.8/tcp/1/p2p/{relay}/p2p-circuit"), PortUse::Reuse, false),
        ] {
            let id = dial();
            let peer = PeerId::random();
            let handler =
                punching.handle_established_outbound_connection(id, peer, &addr(&other), Endpoint::Dialer, port);
            assert!(handler.is_ok());
            assert_eq!(punching.unseen.contains_key(&id), tells, "{other} {port:?}");
            punching.seen_at(id, &addr("/ip4/9.9.9.9/tcp/20000"));
            assert!(!punching.unseen.contains_key(&id), "it has said so");
        }
    }

    #[test]
    fn what_was_punched_at_is_known_while_the_peer_is_connected() {
        let mut punching = Punching::new(PeerId::random(), false);
        let (peer, hole) = (PeerId::random(), addr("/ip4/9.9.9.9/tcp/20000"));
        let begin = |punching: &mut Punching, id, addr: &Multiaddr| {
            let addrs = std::slice::from_ref(addr);
            punching.handle_pending_outbound_connection(id, Some(peer), addrs, Endpoint::Dialer).unwrap();
        };
        begin(&mut punching, dial(), &hole);
        assert!(!punching.is_aimed_at(&peer, &hole), "a dial like any other");
        let id = dial();
        punching.punches.insert(id);
        begin(&mut punching, id, &hole);
        assert!(punching.is_aimed_at(&peer, &hole.clone().with_p2p(peer).unwrap()));
        assert!(!punching.is_aimed_at(&PeerId::random(), &hole));
        for port in 0..100 {
            let id = dial();
            punching.punches.insert(id);
            begin(&mut punching, id, &addr(&format!("/ip4/9.9.9.9/tcp/{port}")));
        }
        assert_eq!(punching.aims[&peer].len(), MAX_AIMS);
        let circuit = addr("/p2p-circuit");
        let endpoint = ConnectedPoint::Listener { local_addr: circuit.clone(), send_back_addr: circuit };
        punching.on_swarm_event(FromSwarm::ConnectionClosed(ConnectionClosed {
            peer_id: peer,
            connection_id: id,
            endpoint: &endpoint,
            cause: None,
            remaining_established: 0,
        }));
        assert!(!punching.is_aimed_at(&peer, &hole));
        assert!(punching.punches.is_empty());
    }
}
