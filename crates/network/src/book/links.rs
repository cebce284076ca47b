//! The connections of a peer: which way they go, what uses them, which of them can go.

use std::sync::Arc;
use std::time::Duration;

use haggle_base::PeerId;
use libp2p::Multiaddr;
use libp2p::swarm::ConnectionId;

use super::{Book, Entry};
use crate::address;
use crate::events::Path;

impl Book {
    /// The best way to a peer that is linked.
    pub(crate) fn path(&self, peer: &PeerId) -> Option<Path> {
        self.entries.get(peer).and_then(Entry::path)
    }

    /// Whether the peer has a connection that is relayed, or one that is not.
    pub(crate) fn has_lane(&self, peer: &PeerId, relayed: bool) -> bool {
        let links = self.entries.get(peer).map(|entry| entry.links.values());
        links.into_iter().flatten().any(|link| (link.path == Path::Relayed) == relayed)
    }

    /// What a stream over a direct connection of the peer, or over a relayed one, holds as long as it lives.
    pub(crate) fn hold(&mut self, peer: &PeerId, relayed: bool, elapsed: Duration) -> Arc<()> {
        let entry = self.touch(peer, elapsed);
        entry.used_at = elapsed;
        Arc::clone(&entry.in_use[usize::from(relayed)])
    }

    /// Somebody is about to use what connections there are.
    pub(crate) fn wanted(&mut self, peer: &PeerId, elapsed: Duration) {
        if let Some(entry) = self.entries.get_mut(peer) {
            entry.used_at = elapsed;
        }
    }

    /// Admitted peers that this side has dialled.
    pub(crate) fn own_dials(&self) -> usize {
        self.entries.values().filter(|entry| entry.is_own_dial()).count()
    }

    /// Those that it has had no use for since `idle`, the newest first: who has been here for long is worth more.
    pub(crate) fn unused(&self, elapsed: Duration, idle: Duration) -> Vec<PeerId> {
        let mut unused: Vec<_> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.is_own_dial() && elapsed.saturating_sub(entry.used_at) >= idle)
            .filter(|(_, entry)| entry.in_use.iter().all(|held| Arc::strong_count(held) == 1))
            .map(|(peer, entry)| (entry.linked_at, *peer))
            .collect();
        unused.sort_unstable_by(|a, b| b.cmp(a));
        unused.into_iter().map(|(_, peer)| peer).collect()
    }

    /// The relays that connections go through.
    pub(crate) fn relays(&self) -> Vec<PeerId> {
        let links = self.entries.values().flat_map(|entry| entry.links.values());
        links.filter(|link| link.path == Path::Relayed).filter_map(|link| address::relay_of(&link.addr)).collect()
    }

    /// The connections of a peer that this side has dialled.
    pub(crate) fn dialled(&self, peer: &PeerId) -> Vec<ConnectionId> {
        let links = self.entries.get(peer).map(|entry| entry.links.iter());
        links.into_iter().flatten().filter(|(_, link)| link.dialled).map(|(id, _)| *id).collect()
    }

    /// The addresses at which a direct connection is to be tried in place of a relayed one: once for each relayed one.
    pub(crate) fn take_upgrade(&mut self, peer: &PeerId) -> Vec<Multiaddr> {
        let Some(entry) = self.entries.get_mut(peer).filter(|entry| entry.path() == Some(Path::Relayed)) else {
            return Vec::new();
        };
        let direct: Vec<_> = entry.addrs.iter().filter(|addr| !address::is_relayed(addr)).cloned().collect();
        let untried = entry.links.values_mut().filter(|link| !link.upgrading);
        if direct.is_empty() || untried.map(|link| link.upgrading = true).count() == 0 {
            return Vec::new();
        }
        direct
    }

    /// Relayed connections that a better one has replaced for `settled` and that no stream uses, or that are in use
    /// for `longest` after that.
    pub(crate) fn replaced(&self, elapsed: Duration, settled: Duration, longest: Duration) -> Vec<ConnectionId> {
        let mut replaced = Vec::new();
        for entry in self.entries.values().filter(|entry| entry.links.len() > 1) {
            let better = entry.links.values().filter(|link| link.path != Path::Relayed);
            let Some(better) = better.map(|link| elapsed.saturating_sub(link.since)).max() else { continue };
            let is_idle = Arc::strong_count(&entry.in_use[usize::from(true)]) == 1;
            if better >= settled && (is_idle || better >= longest) {
                let relayed = entry.links.iter().filter(|(_, link)| link.path == Path::Relayed);
                replaced.extend(relayed.map(|(id, _)| *id));
            }
        }
        replaced
    }

    /// How many admitted peers are connected in each way, in the order of [`Path::ALL`].
    pub(crate) fn paths(&self) -> [usize; 3] {
        let admitted = || self.entries.values().filter(|entry| entry.admitted);
        Path::ALL.map(|path| admitted().filter(|entry| entry.path() == Some(path)).count())
    }
}

impl Entry {
    fn is_own_dial(&self) -> bool {
        self.admitted && self.links.values().any(|link| link.dialled)
    }
}
