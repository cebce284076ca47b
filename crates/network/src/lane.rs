//! Streams over the direct connections of a peer, and apart from them those over its relayed ones.
//!
//! libp2p-stream opens on any connection of a peer, the relayed one too, and dials when there is none. Two of them,
//! each with the connections of one kind and without dials, leave both choices to us.

use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished, DialFailure, FromSwarm};
use libp2p::swarm::derive_prelude::Either;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, DialError, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
    dummy,
};
use libp2p::{Multiaddr, PeerId};
use libp2p_stream::Control;

/// The streams of one kind of connections.
pub(crate) struct Lane {
    streams: libp2p_stream::Behaviour,
    relayed: bool,
}

impl Lane {
    /// The lane of all direct connections, or of all relayed ones.
    pub(crate) fn new(relayed: bool) -> Self {
        Self { streams: libp2p_stream::Behaviour::new(), relayed }
    }

    pub(crate) fn control(&self) -> Control {
        self.streams.new_control()
    }

    fn is_ours(&self, addr: &Multiaddr) -> bool {
        addr.iter().any(|part| part == Protocol::P2pCircuit) == self.relayed
    }
}

impl NetworkBehaviour for Lane {
    type ConnectionHandler = Either<THandler<libp2p_stream::Behaviour>, dummy::ConnectionHandler>;
    type ToSwarm = ();

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if !self.is_ours(local) {
            return Ok(Either::Right(dummy::ConnectionHandler));
        }
        self.streams.handle_established_inbound_connection(id, peer, local, remote).map(Either::Left)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        addr: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if !self.is_ours(addr) {
            return Ok(Either::Right(dummy::ConnectionHandler));
        }
        self.streams.handle_established_outbound_connection(id, peer, addr, role, port).map(Either::Left)
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished { endpoint, .. })
            | FromSwarm::ConnectionClosed(ConnectionClosed { endpoint, .. })
                if endpoint.is_relayed() != self.relayed => {}
            event => self.streams.on_swarm_event(event),
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, id: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {
            Either::Left(event) => self.streams.on_connection_handler_event(peer, id, event),
            Either::Right(never) => match never {},
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        loop {
            match self.streams.poll(cx) {
                Poll::Ready(ToSwarm::Dial { opts }) => {
                    // connecting is the worker's: whoever opens a stream here learns that this lane has no connection
                    let failed = DialFailure {
                        peer_id: opts.get_peer_id(),
                        error: &DialError::NoAddresses,
                        connection_id: opts.connection_id(),
                    };
                    self.streams.on_swarm_event(FromSwarm::DialFailure(failed));
                }
                Poll::Ready(event) => return Poll::Ready(event.map_in(Either::Left)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
