//! Peers that multicast DNS told of: which of them are dialled, and when. No IO, no clock.
//!
//! The service name of libp2p's multicast DNS is the same for all its networks, and its packets are not signed. So a
//! peer that proves to be of another network is left alone for an hour, and what does not answer soon is, too.

use std::collections::HashMap;
use std::time::Duration;

use haggle_base::PeerId;
use libp2p::Multiaddr;

use crate::address;

/// Peers kept; further ones are not taken in until some expire.
const MAX_FOUND: usize = 128;
/// Addresses kept of each.
const MAX_ADDRS: usize = 4;
/// Peers remembered as not worth dialling; the one that is free again first makes room.
const MAX_LEFT_ALONE: usize = 512;
/// How long such a peer is left alone.
const LEFT_ALONE: Duration = Duration::from_secs(3600);
/// Dials of a peer without its becoming one of ours, after which it is left alone.
const TRIES: u32 = 4;
/// Between two dials, whomever to.
const GAP: Duration = Duration::from_millis(500);
/// How much later than the other one of two that hear of each other at once dials: they would meet half way, from and to
/// the same ports, each as the one who called, and fail together again and again.
const OTHERS_TURN: Duration = Duration::from_secs(1);
/// The first pause between two dials of one peer; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
/// The longest one.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

struct Found {
    addrs: Vec<Multiaddr>,
    tries: u32,
    due: Duration,
    pause: Duration,
}

/// The peers nearby. `elapsed` arguments are durations since the network started.
pub(crate) struct Nearby {
    local: PeerId,
    found: HashMap<PeerId, Found>,
    left_alone: HashMap<PeerId, Duration>,
    next_dial: Duration,
}

impl Nearby {
    pub(crate) fn new(local: PeerId) -> Self {
        Self { local, found: HashMap::new(), left_alone: HashMap::new(), next_dial: Duration::ZERO }
    }

    /// Somebody says that a peer is at an address.
    pub(crate) fn discovered(&mut self, peer: PeerId, addr: &Multiaddr, loopback_ok: bool, elapsed: Duration) {
        let (_, addr) = address::split_peer(addr.clone());
        if !address::is_nearby(&addr, loopback_ok) || self.is_left_alone(&peer, elapsed) {
            return;
        }
        if self.found.len() >= MAX_FOUND && !self.found.contains_key(&peer) {
            return;
        }
        let turn = if self.local < peer { Duration::ZERO } else { OTHERS_TURN };
        let found = self.found.entry(peer).or_insert_with(|| Found {
            addrs: Vec::new(),
            tries: 0,
            due: elapsed + turn,
            pause: FIRST_PAUSE,
        });
        if found.addrs.len() < MAX_ADDRS && !found.addrs.contains(&addr) {
            found.addrs.push(addr);
        }
    }

    /// Nobody has said so for a while.
    pub(crate) fn expired(&mut self, peer: &PeerId, addr: &Multiaddr) {
        let (_, addr) = address::split_peer(addr.clone());
        if let Some(found) = self.found.get_mut(peer) {
            found.addrs.retain(|known| *known != addr);
            if found.addrs.is_empty() {
                self.found.remove(peer);
            }
        }
    }

    /// The peer is one of ours.
    pub(crate) fn met(&mut self, peer: &PeerId) {
        if let Some(found) = self.found.get_mut(peer) {
            found.tries = 0;
            found.pause = FIRST_PAUSE;
        }
    }

    /// The peer is of another network, or nobody is there.
    pub(crate) fn leave_alone(&mut self, peer: &PeerId, elapsed: Duration) {
        if self.found.remove(peer).is_none() {
            return;
        }
        if self.left_alone.len() >= MAX_LEFT_ALONE {
            self.left_alone.retain(|_, until| *until > elapsed);
            let first = self.left_alone.iter().min_by_key(|(_, until)| **until).map(|(peer, _)| *peer);
            if let Some(first) = first.filter(|_| self.left_alone.len() >= MAX_LEFT_ALONE) {
                self.left_alone.remove(&first);
            }
        }
        self.left_alone.insert(*peer, elapsed + LEFT_ALONE);
    }

    fn is_left_alone(&self, peer: &PeerId, elapsed: Duration) -> bool {
        self.left_alone.get(peer).is_some_and(|until| *until > elapsed)
    }

    /// The peers told of, for counting those that are connected.
    pub(crate) fn peers(&self) -> impl Iterator<Item = &PeerId> {
        self.found.keys()
    }

    /// The peer to dial now, if one is due that `is_free` lets through.
    pub(crate) fn next(
        &mut self,
        elapsed: Duration,
        is_free: impl Fn(&PeerId) -> bool,
    ) -> Option<(PeerId, Vec<Multiaddr>)> {
        if elapsed < self.next_dial {
            return None;
        }
        let is_due = |(peer, found): &(&PeerId, &Found)| found.due <= elapsed && is_free(peer);
        let peer = self.found.iter().filter(is_due).min_by_key(|(peer, found)| (found.due, **peer))?.0;
        let peer = *peer;
        let found = self.found.get_mut(&peer)?;
        self.next_dial = elapsed + GAP;
        if found.tries >= TRIES {
            self.leave_alone(&peer, elapsed);
            return None;
        }
        found.tries += 1;
        found.due = elapsed + found.pause;
        found.pause = (found.pause * 2).min(LONGEST_PAUSE);
        Some((peer, found.addrs.clone()))
    }
}

#[cfg(test)]
mod tests {
    use haggle_base::NodeKey;

    use super::*;

    fn peer(number: u8) -> PeerId {
        NodeKey::from_bytes(&[number; 32]).peer_id()
    }

    fn at(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    fn second(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    /// Of a node that dials at once whomever it hears of.
    fn nearby() -> Nearby {
        Nearby::new((3..=255).map(peer).min().unwrap())
    }

    fn told(of: &[u8]) -> Nearby {
        let mut nearby = nearby();
        for number in of {
            nearby.discovered(peer(*number), &at("/ip4/192.168.1.9/tcp/4900"), false, Duration::ZERO);
        }
        nearby
    }

    /// Who is dialled in the seconds until `end`, if nobody ever becomes one of ours.
    fn dialled(nearby: &mut Nearby, from: u64, end: u64) -> Vec<PeerId> {
        (from..end).filter_map(|now| nearby.next(second(now), |_| true)).map(|(peer, _)| peer).collect()
    }

    #[test]
    fn a_peer_nearby_is_dialled_at_once_and_again_after_pauses_that_grow() {
        let mut nearby = told(&[1]);
        let addr = at("/ip4/192.168.1.9/tcp/4900");
        assert_eq!(nearby.next(second(0), |_| true), Some((peer(1), vec![addr])));
        assert_eq!(nearby.next(second(1), |_| true), None);
        assert!(nearby.next(second(2), |_| true).is_some());
        assert_eq!(nearby.next(second(5), |_| true), None);
        assert!(nearby.next(second(6), |_| true).is_some());
    }

    #[test]
    fn two_that_hear_of_each_other_at_once_never_dial_at_the_same_moment() {
        let times = |local: u8, other: u8| {
            let mut nearby = Nearby::new(peer(local));
            nearby.discovered(peer(other), &at("/ip4/192.168.1.9/tcp/4900"), false, Duration::ZERO);
            let is_dialled = |tick: &u64| nearby.next(Duration::from_millis(tick * 100), |_| true).is_some();
            (0..300).filter(is_dialled).collect::<Vec<_>>()
        };
        let (one, two) = (times(1, 2), times(2, 1));
        assert_eq!((one.len(), two.len()), (4, 4));
        assert!(one.iter().zip(&two).all(|(one, two)| one.abs_diff(*two) == 10), "{one:?} {two:?}");
    }

    #[test]
    fn a_peer_that_is_connected_or_banned_is_passed_over() {
        let mut nearby = told(&[1, 2]);
        assert_eq!(nearby.next(second(0), |at| *at != peer(1)).map(|(peer, _)| peer), Some(peer(2)));
        assert_eq!(nearby.next(second(1), |at| *at != peer(1)), None);
    }

    #[test]
    fn a_peer_of_another_network_is_not_dialled_over_and_over() {
        let mut nearby = told(&[1]);
        assert!(nearby.next(second(0), |_| true).is_some());
        nearby.leave_alone(&peer(1), second(1));
        for now in [2, 400, 3600] {
            // multicast goes on to tell of it
            nearby.discovered(peer(1), &at("/ip4/192.168.1.9/tcp/4900"), false, second(now));
            assert_eq!(nearby.next(second(now), |_| true), None, "{now}");
        }
        nearby.discovered(peer(1), &at("/ip4/192.168.1.9/tcp/4900"), false, second(3602));
        assert!(nearby.next(second(3602), |_| true).is_some(), "an hour later it may be one of ours");
    }

    #[test]
    fn who_never_answers_is_tried_a_few_times_an_hour() {
        let mut nearby = told(&[1]);
        assert_eq!(dialled(&mut nearby, 0, 3000).len(), 4);
        let mut nearby = told(&[1]);
        for _ in 0..10 {
            assert!(nearby.next(nearby.next_dial + LONGEST_PAUSE, |_| true).is_some());
            nearby.met(&peer(1));
        }
    }

    #[test]
    fn only_addresses_of_a_local_network_are_taken() {
        let mut nearby = nearby();
        for far in [
            "/ip4/8.8.8.8/tcp/4900",
            "/ip4/127.0.0.1/tcp/22",
            "/ip4/169.254.169.254/tcp/80",
            "/ip6/::ffff:192.168.1.9/tcp/22",
            "/dns4/printer.local/tcp/80",
            "/ip4/192.168.1.9/tcp/80/ws",
            "/ip4/192.168.1.9/tcp/1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN/p2p-circuit",
        ] {
            nearby.discovered(peer(1), &at(far), false, Duration::ZERO);
            assert_eq!(nearby.peers().count(), 0, "{far}");
        }
        nearby.discovered(peer(1), &at("/ip6/fd00::1/udp/1/quic-v1"), false, Duration::ZERO);
        nearby.discovered(peer(2), &at("/ip4/127.0.0.1/tcp/22"), true, Duration::ZERO);
        assert_eq!(nearby.peers().count(), 2);
    }

    #[test]
    fn a_flood_of_peers_and_addresses_is_bounded_and_dialled_slowly() {
        let mut nearby = nearby();
        let mut key = [0; 32];
        for number in 0..600u16 {
            key[..2].copy_from_slice(&number.to_be_bytes());
            for port in 1..20 {
                let addr = at(&format!("/ip4/10.0.0.1/tcp/{port}"));
                nearby.discovered(NodeKey::from_bytes(&key).peer_id(), &addr, false, Duration::ZERO);
            }
        }
        assert_eq!(nearby.found.len(), MAX_FOUND);
        assert!(nearby.found.values().all(|found| found.addrs.len() == MAX_ADDRS));
        let dials = (0..100).filter_map(|tick| nearby.next(Duration::from_millis(tick * 100), |_| true)).count();
        assert_eq!(dials, 20);
    }

    #[test]
    fn what_expires_is_forgotten() {
        let mut nearby = told(&[1]);
        nearby.discovered(peer(1), &at("/ip4/192.168.1.9/udp/4900/quic-v1"), false, Duration::ZERO);
        nearby.expired(&peer(1), &at("/ip4/192.168.1.9/tcp/4900"));
        let left = vec![at("/ip4/192.168.1.9/udp/4900/quic-v1")];
        assert_eq!(nearby.next(second(0), |_| true), Some((peer(1), left.clone())));
        nearby.expired(&peer(1), &left[0]);
        assert_eq!(nearby.peers().count(), 0);
    }
}
