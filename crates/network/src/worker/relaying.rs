//! Relays: places asked for and held, circuits of others, and relayed connections that give way to better ones.

use std::time::Duration;

use haggle_base::PeerId;
use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::{Multiaddr, dcutr, relay};

use super::Worker;
use super::connecting::FIRST_PAUSE;
use crate::address;
use crate::events::{NetworkEvent, Path};
use crate::reach::Reach;

/// Places held at once: the second is there while the first is being lost.
const PLACES_WANTED: usize = 2;
/// Longest pauses between two attempts at one relay, on the open internet and on one machine.
const LONGEST_PLACE_PAUSE: [Duration; 2] = [Duration::from_secs(120), Duration::from_secs(2)];
/// How long a better connection stands before a relayed one is closed for it: the other side learns of it meanwhile.
const SETTLED: Duration = Duration::from_secs(1);
/// How long streams may go on over a relayed connection that a better one has replaced.
const LONGEST_FAREWELL: Duration = Duration::from_secs(600);

/// A place at a relay.
pub(super) struct Place {
    relay: PeerId,
    addrs: Vec<Multiaddr>,
    state: State,
    /// When to try again, if it is not held.
    due: Duration,
    pause: Duration,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum State {
    Wanted,
    Asked(ListenerId),
    Held(ListenerId),
}

impl Place {
    pub(super) fn new((relay, addrs): (PeerId, Vec<Multiaddr>)) -> Self {
        Self { relay, addrs, state: State::Wanted, due: Duration::ZERO, pause: FIRST_PAUSE }
    }

    fn put_off(&mut self, elapsed: Duration, longest: Duration) {
        self.due = elapsed + self.pause;
        self.pause = (self.pause * 2).min(longest);
    }
}

impl Worker {
    /// Whether others cannot be expected to reach this node at an address of its own: the operator says that they can,
    /// or peers have tried, or what it listens on tells.
    pub(super) fn is_hidden(&self) -> bool {
        if self.config.relay.is_some() || !self.config.external.is_empty() || self.is_opened_by_router() {
            return false;
        }
        match self.shared.reach() {
            Reach::No => true,
            Reach::Yes if self.is_certainly_open() => false,
            Reach::Yes | Reach::Unknown => {
                let is_public = |addr: &Multiaddr| address::is_public(addr, self.config.loopback_ok);
                self.config.hide_listen_addrs || !self.swarm.listeners().any(is_public)
            }
        }
    }

    /// Whom this node has or wants a place at.
    pub(super) fn relays(&self) -> impl Iterator<Item = PeerId> {
        self.places.iter().map(|place| place.relay)
    }

    /// Gives up the places at relays.
    pub(super) fn give_places_back(&mut self) {
        for place in &self.places {
            if let State::Asked(id) | State::Held(id) = place.state {
                tracing::info!(peer.id = %place.relay, "the place at relay {} is given back", place.relay);
                let _was_listening = self.swarm.remove_listener(id);
            }
        }
    }

    /// Asks for places at relays while this node is hidden and holds too few. Places that are held stay held until peers
    /// have dialled this node.
    pub(super) fn reserve(&mut self, elapsed: Duration) {
        if self.places.is_empty() || !self.is_hidden() {
            return;
        }
        let longest = LONGEST_PLACE_PAUSE[usize::from(self.config.loopback_ok)];
        let mut wanted =
            PLACES_WANTED.saturating_sub(self.places.iter().filter(|place| place.state != State::Wanted).count());
        for index in 0..self.places.len() {
            let place = &mut self.places[index];
            if wanted == 0 {
                return;
            }
            if place.state != State::Wanted || place.due > elapsed || self.bans.contains_key(&place.relay) {
                continue;
            }
            wanted -= 1;
            place.put_off(elapsed, longest);
            let (relay, addrs) = (place.relay, place.addrs.clone());
            if self.shared.with(|book| book.is_admitted(&relay)) {
                self.ask_for_place(index);
            } else {
                let _is_dialling = self.dial_peer(&relay, addrs);
            }
        }
    }

    fn ask_for_place(&mut self, index: usize) {
        let place = &mut self.places[index];
        let Some(addr) = place.addrs.first() else { return };
        let circuit = addr.clone().with(Protocol::P2p(address::to_libp2p(&place.relay))).with(Protocol::P2pCircuit);
        match self.swarm.listen_on(circuit) {
            Ok(id) => place.state = State::Asked(id),
            Err(error) => {
                tracing::warn!(peer.id = %place.relay, error = %error, "cannot ask {} for a place", place.relay);
            }
        }
    }

    /// A relay that was waited for is here.
    pub(super) fn hurry_place(&mut self, peer: &PeerId, elapsed: Duration) {
        for place in self.places.iter_mut().filter(|place| place.relay == *peer) {
            place.due = place.due.min(elapsed);
        }
    }

    pub(super) fn on_circuit(&mut self, event: &relay::client::Event) {
        match event {
            relay::client::Event::ReservationReqAccepted { relay_peer_id, renewal, .. } => {
                let Some(relay) = address::from_libp2p(relay_peer_id) else { return };
                let Some(place) = self.places.iter_mut().find(|place| place.relay == relay) else { return };
                if let State::Asked(id) = place.state {
                    place.state = State::Held(id);
                    place.pause = FIRST_PAUSE;
                }
                if !*renewal {
                    tracing::info!(peer.id = %relay, "relay {relay} holds a place for this node");
                    self.count_places();
                    self.on_listeners_changed();
                    self.tell(NetworkEvent::Reserved { relay });
                }
            }
            relay::client::Event::InboundCircuitEstablished { src_peer_id, .. } => {
                tracing::debug!(peer.id = %src_peer_id, "{src_peer_id} comes through a relay");
            }
            relay::client::Event::OutboundCircuitEstablished { relay_peer_id, .. } => {
                tracing::debug!(peer.id = %relay_peer_id, "relay {relay_peer_id} opened a circuit");
            }
        }
    }

    /// A listener is closed. If it was a place at a relay, the place is asked for again after a pause.
    pub(super) fn on_place_lost(&mut self, listener: ListenerId, cause: Option<&std::io::Error>) {
        let elapsed = self.shared.elapsed();
        let longest = LONGEST_PLACE_PAUSE[usize::from(self.config.loopback_ok)];
        let is_it = |place: &&mut Place| match place.state {
            State::Wanted => false,
            State::Asked(id) | State::Held(id) => id == listener,
        };
        let Some(place) = self.places.iter_mut().find(is_it) else { return };
        place.state = State::Wanted;
        place.put_off(elapsed, longest);
        let relay = place.relay;
        let cause = cause.map_or_else(|| "the connection to it is gone".to_owned(), ToString::to_string);
        tracing::info!(peer.id = %relay, error = cause, "relay {relay} holds no place for this node: {cause}");
        self.count_places();
        self.tell(NetworkEvent::Unreserved { relay });
    }

    fn count_places(&self) {
        let held = self.places.iter().filter(|place| matches!(place.state, State::Held(_)));
        self.metrics.reservations(held.count());
    }

    /// A relay tells those who reserve where it can be reached: at its public addresses, confirmed or not.
    pub(super) fn offer_addresses(&mut self) {
        if self.config.relay.is_none() {
            return;
        }
        let is_public = |addr: &&Multiaddr| address::is_public(addr, self.config.loopback_ok);
        let public: Vec<_> = self.swarm.listeners().filter(is_public).cloned().collect();
        for addr in public {
            if !self.swarm.external_addresses().any(|known| *known == addr) {
                self.swarm.add_external_address(addr);
            }
        }
    }

    /// What happens with the circuits and places of others here.
    pub(super) fn on_relay(&mut self, event: &relay::Event) {
        match event {
            relay::Event::ReservationClosed { src_peer_id } | relay::Event::ReservationTimedOut { src_peer_id } => {
                self.holders.release(src_peer_id);
            }
            relay::Event::CircuitReqAccepted { .. } => self.metrics.circuit_opened(),
            relay::Event::CircuitClosed { src_peer_id, dst_peer_id, error } => {
                self.metrics.circuit_closed();
                if let Some(error) = error {
                    tracing::debug!(error = %error, "the circuit from {src_peer_id} to {dst_peer_id} is cut: {error}");
                }
            }
            relay::Event::ReservationReqDenied { src_peer_id, status } => {
                tracing::debug!(peer.id = %src_peer_id, "{src_peer_id} gets no place here: {status:?}");
            }
            relay::Event::CircuitReqDenied { src_peer_id, dst_peer_id, status } => {
                tracing::debug!(peer.id = %src_peer_id, "{src_peer_id} gets no circuit to {dst_peer_id}: {status:?}");
            }
            _ => {}
        }
    }

    /// A hole was punched, or could not be.
    pub(super) fn on_punched(&mut self, event: &dcutr::Event) {
        let Some(peer) = address::from_libp2p(&event.remote_peer_id) else { return };
        match &event.result {
            // where this node can be dialled anyway, the other side has done just that
            Ok(_) if !self.is_hidden() => {}
            Ok(connection) => {
                let before = self.shared.with(|book| book.path(&peer));
                self.shared.change(|book| book.punched(&peer, *connection));
                self.tell_path(peer, before);
            }
            Err(error) => tracing::debug!(peer.id = %peer, error = %error, "no hole to {peer} could be punched"),
        }
    }

    /// Tries the direct addresses that a peer told which is connected through a relay alone: this side may be the
    /// hidden one. Hole punching goes on beside it.
    pub(super) fn upgrade(&mut self, peer: PeerId) {
        let addrs = self.shared.with(|book| book.take_upgrade(&peer));
        if addrs.is_empty() {
            return;
        }
        let opts = DialOpts::peer_id(address::to_libp2p(&peer)).condition(PeerCondition::Always).addresses(addrs);
        if let Err(error) = self.dial_trusted(opts.build()) {
            tracing::debug!(peer.id = %peer, error = %error, "{peer} is reached through a relay only");
        }
    }

    /// Closes relayed connections in whose place a better one stands.
    pub(super) fn close_replaced(&mut self, elapsed: Duration) {
        for connection in self.shared.with(|book| book.replaced(elapsed, SETTLED, LONGEST_FAREWELL)) {
            let _was_open = self.swarm.close_connection(connection);
        }
    }

    /// Tells when the best way to an admitted peer has changed.
    pub(super) fn tell_path(&self, peer: PeerId, before: Option<Path>) {
        let (path, is_admitted) = self.shared.with(|book| (book.path(&peer), book.is_admitted(&peer)));
        let Some(path) = path.filter(|path| is_admitted && before != Some(*path)) else { return };
        self.count_peers();
        self.tell(NetworkEvent::PathChanged { peer, path });
    }
}
