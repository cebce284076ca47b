//! What a node that relays for others gives at most, and how libp2p's relay is set up for it.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use libp2p::{Multiaddr, PeerId, relay};
use parking_lot::Mutex;

/// Nodes that may be reached through this one. Each also holds one of its connections.
const RESERVATIONS: usize = 128;
/// Circuits open at once, all nodes together: two for every second reservation.
const CIRCUITS: usize = 128;
/// Circuits of one peer: enough to hire from many agents, too few to use up the relay.
const CIRCUITS_PER_PEER: usize = 16;
/// How long one circuit lasts. libp2p's two minutes would cut most streamed calls.
const CIRCUIT_TIME: Duration = Duration::from_secs(3600);
/// Bytes of one circuit, both ways together: sixty-four of the largest A2A messages. libp2p's 128 KiB would not carry
/// one. All circuits full in their hour are 2.3 MB a second.
const CIRCUIT_BYTES: u64 = 64 * 1024 * 1024;
/// How long a reservation holds without being renewed; nodes renew at three quarters of it.
const RESERVATION_TIME: Duration = Duration::from_secs(3600);
/// Requests of one peer at once, and how often one more comes back. A node that loses its connection asks again.
const PER_PEER: (NonZeroU32, Duration) = (NonZeroU32::new(30).unwrap(), Duration::from_secs(60));
/// The same for all peers of one IP address: an office behind one router.
const PER_IP: (NonZeroU32, Duration) = (NonZeroU32::new(120).unwrap(), Duration::from_secs(15));

/// Most that a relaying node gives to others. The defaults are for a small machine with a public address.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct RelayLimits {
    /// Nodes that may be reached through this one.
    pub reservations: usize,
    /// Circuits open at once, all peers together.
    pub circuits: usize,
    /// Circuits that one peer is an end of when it asks for another.
    pub circuits_per_peer: usize,
    /// How long one circuit lasts, at most `u32::MAX` seconds.
    pub circuit_time: Duration,
    /// Bytes that one circuit carries, both ways together.
    pub circuit_bytes: u64,
    /// How long a reservation holds without being renewed.
    pub reservation_time: Duration,
}

impl Default for RelayLimits {
    fn default() -> Self {
        Self {
            reservations: RESERVATIONS,
            circuits: CIRCUITS,
            circuits_per_peer: CIRCUITS_PER_PEER,
            circuit_time: CIRCUIT_TIME,
            circuit_bytes: CIRCUIT_BYTES,
            reservation_time: RESERVATION_TIME,
        }
    }
}

/// The peers that hold a reservation here. libp2p counts a renewal as one more when it is full, and would turn
/// everybody away who renews; so who holds one is counted here, and libp2p's own count is only a ceiling.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holders(Arc<Mutex<HashSet<PeerId>>>);

impl Holders {
    /// Lets a holder renew, and a newcomer in while there is a place.
    fn admit(&self, peer: PeerId, most: usize) -> bool {
        let mut held = self.0.lock();
        held.contains(&peer) || (held.len() < most && held.insert(peer))
    }

    /// The peer's connection or its reservation ended.
    pub(crate) fn release(&self, peer: &PeerId) {
        self.0.lock().remove(peer);
    }
}

/// The behaviour of a relaying node. `one_machine` lifts the rate per IP address, which all peers share there.
pub(crate) fn behaviour(local: PeerId, limits: RelayLimits, one_machine: bool, holders: &Holders) -> relay::Behaviour {
    let mut config = relay::Config {
        max_reservations: limits.reservations.saturating_mul(2),
        // libp2p refuses beyond one more than these two
        max_reservations_per_peer: 0,
        max_circuits_per_peer: limits.circuits_per_peer.saturating_sub(1),
        reservation_duration: limits.reservation_time,
        reservation_rate_limiters: Vec::new(),
        max_circuits: limits.circuits,
        max_circuit_duration: limits.circuit_time.min(Duration::from_secs(u32::MAX.into())),
        max_circuit_bytes: limits.circuit_bytes,
        circuit_src_rate_limiters: Vec::new(),
    }
    .reservation_rate_per_peer(PER_PEER.0, PER_PEER.1)
    .circuit_src_per_peer(PER_PEER.0, PER_PEER.1);
    if !one_machine {
        config = config.reservation_rate_per_ip(PER_IP.0, PER_IP.1).circuit_src_per_ip(PER_IP.0, PER_IP.1);
    }
    let (holders, most) = (holders.clone(), limits.reservations);
    // last, so that whom the rates refuse takes no place
    config
        .reservation_rate_limiters
        .push(Box::new(move |peer: PeerId, _: &Multiaddr, _: std::time::Instant| holders.admit(peer, most)));
    let mut relay = relay::Behaviour::new(local, config);
    relay.set_status(Some(relay::Status::Enable));
    relay
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_relay_renews_and_takes_nobody_new_until_a_place_is_free() {
        let (one, two, three) = (PeerId::random(), PeerId::random(), PeerId::random());
        let holders = Holders::default();
        assert!(holders.admit(one, 2) && holders.admit(two, 2));
        assert!(holders.admit(one, 2), "a holder renews");
        assert!(!holders.admit(three, 2));
        holders.release(&two);
        assert!(holders.admit(three, 2));
        assert!(!holders.admit(two, 2));
    }
}
