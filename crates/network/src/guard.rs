//! Keeps this node from dialling what only a stranger's word names and no stranger can be at.
//!
//! The worker dials addresses that were looked at or that the operator typed. Behaviours also dial by themselves what
//! peers told them: hole punching what the other end of a relayed connection observed of itself, Kademlia what lookups
//! found. Those dials are looked at here, and what comes in too: from one subnet only so much.

use std::collections::HashMap;
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::behaviour::{ConnectionClosed, DialFailure, FromSwarm, ListenFailure};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};

use crate::address;
use crate::subnet::Subnets;

/// An address that is not dialled for a stranger.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not dialled on a stranger's word")]
struct NotForStrangers(Multiaddr);

/// Looks at the dials that behaviours make.
pub(crate) struct Guard {
    loopback_ok: bool,
    /// The worker's own dials that are under way.
    trusted: HashMap<ConnectionId, Trusted>,
    /// Where incoming connections come from.
    subnets: Subnets,
}

/// A dial of the worker: whom it is for, if that is known, and the addresses that the worker named.
#[derive(Default)]
struct Trusted {
    peer: Option<PeerId>,
    named: Vec<Multiaddr>,
}

impl Guard {
    pub(crate) fn new(loopback_ok: bool, max_per_subnet: u32) -> Self {
        Self { loopback_ok, trusted: HashMap::new(), subnets: Subnets::new(max_per_subnet) }
    }

    /// Lets one dial of the worker through.
    pub(crate) fn trust(&mut self, id: ConnectionId) {
        self.trusted.insert(id, Trusted::default());
    }

    /// Whether a dial of the worker to this peer is under way.
    pub(crate) fn is_dialling(&self, peer: &PeerId) -> bool {
        self.trusted.values().any(|dial| dial.peer == Some(*peer))
    }

    fn check(&self, addr: &Multiaddr) -> Result<(), ConnectionDenied> {
        if address::is_dialable(addr, self.loopback_ok) {
            Ok(())
        } else {
            Err(ConnectionDenied::new(NotForStrangers(addr.clone())))
        }
    }
}

impl NetworkBehaviour for Guard {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = std::convert::Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.subnets.come(id, remote).map_err(ConnectionDenied::new)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        addrs: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        match self.trusted.get_mut(&id) {
            Some(dial) => *dial = Trusted { peer, named: addrs.iter().cloned().map(bare).collect() },
            None => addrs.iter().try_for_each(|addr| self.check(addr))?,
        }
        Ok(Vec::new())
    }

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        _: PeerId,
        addr: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        // addresses that other behaviours added to a dial are seen only now
        let named = self.trusted.remove(&id).unwrap_or_default().named;
        if !named.contains(&bare(addr.clone())) {
            self.check(addr)?;
        }
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::DialFailure(DialFailure { connection_id, .. }) => {
                self.trusted.remove(&connection_id);
            }
            FromSwarm::ListenFailure(ListenFailure { connection_id, .. })
            | FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, .. }) => self.subnets.go(connection_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

/// An address without the peer id at its end.
fn bare(addr: Multiaddr) -> Multiaddr {
    address::split_peer(addr).1
}

#[cfg(test)]
mod tests {
    use super::*;
    use libp2p::swarm::dial_opts::DialOpts;

    fn allows(guard: &mut Guard, id: ConnectionId, addr: &str) -> bool {
        let addr: Multiaddr = addr.parse().unwrap();
        guard.handle_pending_outbound_connection(id, None, std::slice::from_ref(&addr), Endpoint::Dialer).is_ok()
    }

    fn dial() -> ConnectionId {
        DialOpts::peer_id(PeerId::random()).build().connection_id()
    }

    #[test]
    fn a_stranger_cannot_have_us_dial_this_machine_but_the_operator_can() {
        let mut guard = Guard::new(false, 0);
        assert!(allows(&mut guard, dial(), "/ip4/198.51.100.7/tcp/1"));
        for hidden in ["/ip4/127.0.0.1/tcp/22", "/ip4/169.254.169.254/tcp/80", "/ip4/0.0.0.0/tcp/1"] {
            assert!(!allows(&mut guard, dial(), hidden), "{hidden}");
        }
        let own = dial();
        guard.trust(own);
        assert!(allows(&mut guard, own, "/ip4/127.0.0.1/tcp/22"));
        assert!(allows(&mut Guard::new(true, 0), dial(), "/ip4/127.0.0.1/tcp/22"), "one machine is all there is");
    }

    #[test]
    fn an_address_that_was_added_to_a_dial_is_looked_at_before_the_connection_counts() {
        let mut guard = Guard::new(false, 0);
        let peer = PeerId::random();
        let typed: Multiaddr = "/ip4/127.0.0.1/tcp/22".parse().unwrap();
        let added: Multiaddr = "/ip4/127.0.0.1/tcp/23".parse().unwrap();
        let established = |guard: &mut Guard, id, addr: &Multiaddr| {
            let addr = addr.clone().with_p2p(peer).unwrap();
            guard.handle_established_outbound_connection(id, peer, &addr, Endpoint::Dialer, PortUse::New).is_ok()
        };
        for (addr, counts) in [(&typed, true), (&added, false)] {
            let own = dial();
            guard.trust(own);
            assert!(allows(&mut guard, own, "/ip4/127.0.0.1/tcp/22"));
            assert_eq!(established(&mut guard, own, addr), counts, "{addr}");
            assert!(!established(&mut guard, own, addr), "trust is for one connection");
        }
        assert!(!established(&mut guard, dial(), &typed));
    }
}
