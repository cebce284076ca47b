//! Connections that nobody needs: each one costs memory and time at every message, on both sides.
//!
//! Lookups in the DHT connect to whom they ask, so that in a small network everybody would soon be connected to everybody.

use std::collections::HashSet;
use std::time::Duration;

use haggle_base::PeerId;

use super::Worker;
use crate::address;
use crate::reach::Asking;

/// How often to look.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Worker {
    /// Closes connections that nobody needs while there are more than half as many again as this node looks for. Only
    /// those that it has dialled itself, for the other side of a connection may have few, and half of enough always stay:
    /// otherwise strangers who connect could push out whom this node has chosen.
    pub(super) fn close_spare(&mut self, elapsed: Duration) {
        if elapsed < self.look_at_spare || self.needs_all() {
            return;
        }
        self.look_at_spare = elapsed + LOOK_EVERY;
        let enough = self.config.target_peers + self.config.target_peers / 2;
        let (all, own) = self.shared.with(|book| (book.admitted_count(), book.own_dials()));
        let spare = all.saturating_sub(enough).min(own.saturating_sub(enough / 2));
        if spare == 0 {
            return;
        }
        let needed = self.needed();
        let mut unused = self.shared.with(|book| book.unused(elapsed, self.config.spare_timeout));
        unused.retain(|peer| !needed.contains(peer));
        for peer in unused.into_iter().take(spare) {
            tracing::debug!(peer.id = %peer, "the connection to {peer} is not needed");
            for connection in self.shared.with(|book| book.dialled(&peer)) {
                let _was_open = self.swarm.close_connection(connection);
            }
        }
    }

    /// Whether nothing is let go at all.
    fn needs_all(&self) -> bool {
        // whoever looks for nobody has connected to those that it was told to
        let is_led = self.config.target_peers == 0;
        // whom it relays for comes over connections that no stream of ours is on
        let relays = self.config.relay.is_some();
        // who says something where it does not listen needs those who do, and gossip does not tell who they are
        let is_partial = self.config.listens_to.is_some();
        is_led || relays || is_partial || self.swarm.behaviour().quiet.asking.as_ref().is_some_and(Asking::is_waiting)
    }

    /// Peers whose connections have a use that no stream shows.
    fn needed(&self) -> HashSet<PeerId> {
        let gossip = self.swarm.behaviour().gossip.as_ref();
        let meshes = gossip.into_iter().flat_map(|gossip| gossip.all_mesh_peers()).filter_map(address::from_libp2p);
        let mut needed: HashSet<_> = meshes.collect();
        needed.extend(self.relays());
        needed.extend(self.shared.with(|book| book.relays()));
        // they would be dialled again at once
        needed.extend(self.nearby.peers());
        needed
    }
}
