//! Multicast DNS: libp2p's, held to what this node wants to know from it.
//!
//! Anybody on the local network can say anything by it. What is heard goes to the worker alone, which looks at it
//! (`nearby.rs`); libp2p's behaviour would also tell every other behaviour, add the addresses to any dial of the peer,
//! and keep as many as are sent.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::behaviour::FromSwarm;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId, mdns};

/// How often this node asks who is there. libp2p asks no sooner than this once anybody has answered, with whatever addresses
/// that one had by then: of two that start together, one may have had none.
const ASK_EVERY: Duration = Duration::from_secs(15);
/// Addresses heard of and not expired, all peers together. More are no home network: listening ends.
const MAX_HEARD: usize = 1024;

/// Says where this node listens and hears where others do, until somebody floods it.
pub(crate) struct Local<B = mdns::tokio::Behaviour> {
    mdns: Option<B>,
    heard: usize,
}

impl Local {
    /// Begins to listen. A machine that cannot be watched for its interfaces goes without.
    pub(crate) fn new(local: PeerId) -> Self {
        let config = mdns::Config { query_interval: ASK_EVERY, ..mdns::Config::default() };
        let mdns = mdns::tokio::Behaviour::new(config, local)
            .inspect_err(|error| tracing::warn!(error = %error, "peers nearby are not looked for: {error}"));
        Self { mdns: mdns.ok(), heard: 0 }
    }
}

impl<B> NetworkBehaviour for Local<B>
where
    B: NetworkBehaviour<ToSwarm = mdns::Event, ConnectionHandler = dummy::ConnectionHandler>,
{
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = mdns::Event;

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
        if let Some(mdns) = &mut self.mdns {
            mdns.on_swarm_event(event);
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        while let Some(mdns) = &mut self.mdns {
            let ToSwarm::GenerateEvent(event) = ready!(mdns.poll(cx)) else { continue };
            self.heard = match &event {
                mdns::Event::Discovered(told) => self.heard.saturating_add(told.len()),
                mdns::Event::Expired(gone) => self.heard.saturating_sub(gone.len()),
            };
            if self.heard <= MAX_HEARD {
                return Poll::Ready(ToSwarm::GenerateEvent(event));
            }
            tracing::warn!("somebody nearby floods multicast DNS: it is off until this node starts again");
            // its tasks end with the next packet that they cannot hand over
            self.mdns = None;
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::task::Waker;

    use super::*;

    /// What a local network says.
    struct Rumours(VecDeque<ToSwarm<mdns::Event, std::convert::Infallible>>);

    impl NetworkBehaviour for Rumours {
        type ConnectionHandler = dummy::ConnectionHandler;
        type ToSwarm = mdns::Event;

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

        fn on_swarm_event(&mut self, _: FromSwarm) {}

        fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
            match event {}
        }

        fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
            self.0.pop_front().map_or(Poll::Pending, Poll::Ready)
        }
    }

    fn addr() -> Multiaddr {
        "/ip4/192.168.1.9/tcp/4900".parse().unwrap()
    }

    fn discovered(count: usize) -> ToSwarm<mdns::Event, std::convert::Infallible> {
        let told = (0..count).map(|_| (PeerId::random(), addr())).collect();
        ToSwarm::GenerateEvent(mdns::Event::Discovered(told))
    }

    fn expired(count: usize) -> ToSwarm<mdns::Event, std::convert::Infallible> {
        let gone = (0..count).map(|_| (PeerId::random(), addr())).collect();
        ToSwarm::GenerateEvent(mdns::Event::Expired(gone))
    }

    fn hear(said: impl IntoIterator<Item = ToSwarm<mdns::Event, std::convert::Infallible>>) -> (Local<Rumours>, usize) {
        let mut local = Local { mdns: Some(Rumours(said.into_iter().collect())), heard: 0 };
        let mut events = 0;
        while let Poll::Ready(event) = local.poll(&mut Context::from_waker(Waker::noop())) {
            assert!(matches!(event, ToSwarm::GenerateEvent(_)), "{event:?}");
            events += 1;
        }
        (local, events)
    }

    #[test]
    fn what_is_heard_goes_to_the_worker_alone() {
        let everybody = ToSwarm::NewExternalAddrOfPeer { peer_id: PeerId::random(), address: addr() };
        let (mut local, events) = hear([discovered(1), everybody, expired(1)]);
        assert_eq!(events, 2);
        let peer = Some(PeerId::random());
        let dial = libp2p::swarm::dial_opts::DialOpts::peer_id(PeerId::random()).build().connection_id();
        let added = local.handle_pending_outbound_connection(dial, peer, &[], Endpoint::Dialer).unwrap();
        assert!(added.is_empty());
    }

    #[test]
    fn a_flood_ends_the_listening() {
        let (local, events) = hear([discovered(MAX_HEARD), expired(1), discovered(1)]);
        assert!(local.mdns.is_some());
        assert_eq!(events, 3);
        let (local, events) = hear([discovered(MAX_HEARD), discovered(1), discovered(1)]);
        assert!(local.mdns.is_none());
        assert_eq!(events, 1);
    }
}
