//! Connections that nobody needs: each one costs memory and time at every message, on both sides.
//!
//! Lookups in the DHT connect to whom they ask, so that in a small network everybody would soon be connected to everybody.

use std::collections::HashSet;
use std::time::Duration;

use super::Worker;
use crate::address;

/// How often to look.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Worker {
    /// Closes connections that nobody needs while there are more than half as many again as this node looks for. Only
    /// those that it has dialled itself: the other side of a connection may have few. Whom gossip sends whole messages to
    /// stays, and who relays for this node.
    pub(super) fn close_spare(&mut self, elapsed: Duration) {
        let target = self.config.target_peers;
        // whoever looks for nobody has connected to those that it was told to
        if elapsed < self.look_at_spare || target == 0 {
            return;
        }
        self.look_at_spare = elapsed + LOOK_EVERY;
        let wanted = target + target / 2;
        let spare = self.shared.with(|book| book.admitted_count()).saturating_sub(wanted);
        if spare == 0 {
            return;
        }
        let gossip = self.swarm.behaviour().gossip.as_ref();
        let mut needed: HashSet<_> =
            gossip.into_iter().flat_map(|gossip| gossip.all_mesh_peers()).filter_map(address::from_libp2p).collect();
        needed.extend(self.relays());
        let mut unused = self.shared.with(|book| book.unused(elapsed, self.config.spare_timeout));
        unused.retain(|peer| !needed.contains(peer));
        for peer in unused.into_iter().take(spare) {
            tracing::debug!(peer.id = %peer, "the connection to {peer} is not needed");
            for connection in self.shared.with(|book| book.dialled(&peer)) {
                let _was_open = self.swarm.close_connection(connection);
            }
        }
    }
}
