//! Meeting again whom this node has lost sight of.
//!
//! A network that was cut in two is two networks in each of which everybody has peers enough: nobody would look for more, and
//! the halves would stay apart when the cut is over. So every node dials one peer now and then that it knew before, in turn. It
//! takes one bridge to bring the records of either half to the other.

use std::time::Duration;

use super::Worker;

impl Worker {
    /// Dials the peer that was tried longest ago, of those that are known and not connected. What comes of it is let go like
    /// any other connection that nobody uses.
    ///
    /// A lookup in the DHT would not do: whom nobody could dial for a while is in no routing table any more.
    pub(super) fn look_around(&mut self, elapsed: Duration) {
        if elapsed < self.look_around_at {
            return;
        }
        self.look_around_at = elapsed + self.config.look_around;
        let peers = self.shared.with(|book| book.admitted_count());
        let is_full = u32::try_from(peers).unwrap_or(u32::MAX) >= self.config.max_connections;
        if self.config.target_peers == 0 || is_full {
            return;
        }
        let bans = &self.bans;
        let next = self.shared.with(|book| book.next_lost(elapsed, |peer| !bans.contains_key(peer)));
        if let Some(peer) = next {
            tracing::debug!(peer.id = %peer, "looking whether {peer} is there again");
            let _is_dialling = self.dial_peer(&peer, Vec::new());
        }
    }
}
