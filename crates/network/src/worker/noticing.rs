//! Peers on the same local network: heard of by multicast DNS, and dialled.

use std::time::Duration;

use libp2p::mdns;

use super::Worker;
use crate::address;

/// Connected peers nearby that are enough.
const NEARBY_WANTED: usize = 8;

impl Worker {
    pub(super) fn on_mdns(&mut self, event: mdns::Event) {
        let elapsed = self.shared.elapsed();
        match event {
            mdns::Event::Discovered(told) => {
                for (id, addr) in told {
                    // whose key is of another kind than ours is no node of any market
                    if let Some(peer) = address::from_libp2p(&id).filter(|peer| *peer != self.local) {
                        self.nearby.discovered(peer, &addr, self.config.loopback_ok, elapsed);
                    }
                }
            }
            mdns::Event::Expired(gone) => {
                for (id, addr) in gone {
                    if let Some(peer) = address::from_libp2p(&id) {
                        self.nearby.expired(&peer, &addr);
                    }
                }
            }
        }
    }

    /// Dials the next peer nearby, unless this node looks for nobody or knows enough of them.
    pub(super) fn dial_nearby(&mut self, elapsed: Duration) {
        if self.config.target_peers == 0 || self.nearby.peers().next().is_none() {
            return;
        }
        let connected = self
            .shared
            .with(|book| self.nearby.peers().filter(|peer| book.is_admitted(peer)).take(NEARBY_WANTED).count());
        if connected >= NEARBY_WANTED {
            return;
        }
        let (shared, bans) = (&self.shared, &self.bans);
        let is_free = |peer: &_| !bans.contains_key(peer) && !shared.with(|book| book.is_linked(peer));
        if let Some((peer, addrs)) = self.nearby.next(elapsed, is_free) {
            tracing::debug!(peer.id = %peer, "peer {peer} is said to be nearby");
            let _is_dialling = self.dial_peer(&peer, addrs);
        }
    }
}
