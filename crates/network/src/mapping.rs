//! Ports that a home router is asked to open (UPnP): libp2p's, held to what this node wants to know from it.
//!
//! A router's word that a port is open is not proof that others can dial it: behind a second router it is not. So what
//! libp2p would tell everybody as confirmed is told to the worker alone, which has peers try it. libp2p looks for a router
//! once; here it is looked for again, for machines move.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use libp2p::core::Endpoint;
use libp2p::core::transport::{ListenerId, PortUse};
use libp2p::swarm::behaviour::{FromSwarm, NewListenAddr};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId, upnp};

/// How long after a search that found no router the next one begins.
const SEARCH_AGAIN: Duration = Duration::from_secs(1800);

/// Has ports opened by the router, if there is one that does.
pub(crate) struct Mapping<B = upnp::tokio::Behaviour> {
    upnp: B,
    search: fn() -> B,
    listeners: Vec<(ListenerId, Multiaddr)>,
    elapsed: Duration,
    search_at: Option<Duration>,
}

impl Mapping {
    /// Begins to look for a router.
    pub(crate) fn new() -> Self {
        Self::with(upnp::tokio::Behaviour::default)
    }
}

impl<B: NetworkBehaviour<ToSwarm = upnp::Event>> Mapping<B> {
    fn with(search: fn() -> B) -> Self {
        Self { upnp: search(), search, listeners: Vec::new(), elapsed: Duration::ZERO, search_at: None }
    }

    /// Looks for a router again, if it is time.
    pub(crate) fn tend(&mut self, elapsed: Duration) {
        self.elapsed = elapsed;
        if self.search_at.is_some_and(|at| at <= elapsed) {
            self.search_at = None;
            self.upnp = (self.search)();
            for (listener_id, addr) in &self.listeners {
                let new = NewListenAddr { listener_id: *listener_id, addr };
                self.upnp.on_swarm_event(FromSwarm::NewListenAddr(new));
            }
        }
    }
}

impl<B> NetworkBehaviour for Mapping<B>
where
    B: NetworkBehaviour<ToSwarm = upnp::Event, ConnectionHandler = dummy::ConnectionHandler>,
{
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = upnp::Event;

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
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::NewListenAddr(new) => self.listeners.push((new.listener_id, new.addr.clone())),
            FromSwarm::ExpiredListenAddr(gone) => {
                self.listeners.retain(|(id, addr)| (*id, addr) != (gone.listener_id, gone.addr));
            }
            _ => {}
        }
        self.upnp.on_swarm_event(event);
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        loop {
            // an address comes as an event, too
            let ToSwarm::GenerateEvent(event) = ready!(self.upnp.poll(cx)) else { continue };
            if matches!(event, upnp::Event::GatewayNotFound | upnp::Event::NonRoutableGateway) {
                self.search_at = Some(self.elapsed + SEARCH_AGAIN);
            }
            return Poll::Ready(ToSwarm::GenerateEvent(event));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::task::Waker;

    use super::*;

    /// A router that is not there at first, and opens every port of which it hears.
    #[derive(Default)]
    struct Router(VecDeque<ToSwarm<upnp::Event, std::convert::Infallible>>);

    impl NetworkBehaviour for Router {
        type ConnectionHandler = dummy::ConnectionHandler;
        type ToSwarm = upnp::Event;

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
            _: ConnectionId,
            _: PeerId,
            _: &Multiaddr,
            _: Endpoint,
            _: PortUse,
        ) -> Result<THandler<Self>, ConnectionDenied> {
            Ok(dummy::ConnectionHandler)
        }

        fn on_swarm_event(&mut self, event: FromSwarm) {
            if let FromSwarm::NewListenAddr(new) = event {
                let external_addr: Multiaddr = "/ip4/198.51.100.7/tcp/1".parse().unwrap();
                self.0.push_back(ToSwarm::ExternalAddrConfirmed(external_addr.clone()));
                let local_addr = new.addr.clone();
                self.0.push_back(ToSwarm::GenerateEvent(upnp::Event::NewExternalAddr { local_addr, external_addr }));
            }
        }

        fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
            match event {}
        }

        fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
            self.0.pop_front().map_or(Poll::Pending, Poll::Ready)
        }
    }

    fn next(mapping: &mut Mapping<Router>) -> Option<upnp::Event> {
        match mapping.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(ToSwarm::GenerateEvent(event)) => Some(event),
            Poll::Ready(other) => panic!("the swarm is told {other:?}"),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_routers_word_is_told_to_nobody_but_the_worker() {
        let mut mapping = Mapping::with(Router::default);
        let addr = "/ip4/192.168.1.9/tcp/1".parse().unwrap();
        let new = NewListenAddr { listener_id: ListenerId::next(), addr: &addr };
        mapping.on_swarm_event(FromSwarm::NewListenAddr(new));
        assert!(matches!(next(&mut mapping), Some(upnp::Event::NewExternalAddr { .. })));
        assert!(next(&mut mapping).is_none());
    }

    #[test]
    fn a_router_is_looked_for_again_and_hears_of_all_ports() {
        let mut mapping = Mapping::with(Router::default);
        mapping.upnp.0.push_back(ToSwarm::GenerateEvent(upnp::Event::GatewayNotFound));
        assert!(next(&mut mapping).is_some());
        let addr = "/ip4/192.168.1.9/tcp/1".parse().unwrap();
        let new = NewListenAddr { listener_id: ListenerId::next(), addr: &addr };
        mapping.listeners.push((new.listener_id, addr.clone()));
        mapping.tend(SEARCH_AGAIN - Duration::from_secs(1));
        assert!(next(&mut mapping).is_none());
        mapping.tend(SEARCH_AGAIN);
        assert!(matches!(next(&mut mapping), Some(upnp::Event::NewExternalAddr { .. })));
        mapping.tend(SEARCH_AGAIN * 3);
        assert!(next(&mut mapping).is_none(), "a router that was found is kept");
    }
}
