//! Hostile peers that stand around one place of the DHT, nearer to it than anybody else.

use crate::swarm::{network_id, topics};
use haggle_base::{NodeKey, PeerId, SystemClock};
use haggle_network::{Inbox, Network, NetworkConfig};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use std::time::Duration;

/// As many as a lookup in the DHT asks.
const CROWD: usize = 20;
/// Messages that each says in a second when they flood.
const RATE: u64 = 100;
/// Keys that are tried to come near.
const TRIED: u32 = 640;

/// Peers that take everything in and answer nothing. They pass nothing on: what they hear waits unread for a verdict.
#[derive(Debug)]
pub struct Crowd {
    peers: Vec<(Network, Inbox)>,
}

impl Crowd {
    /// A crowd around a peer's place.
    ///
    /// # Panics
    /// Loopback cannot be had.
    pub async fn around(peer: &PeerId) -> Self {
        let mut peers = Vec::new();
        for key in nearest(peer) {
            let config =
                NetworkConfig { topics: topics(), target_peers: 0, ..NetworkConfig::for_testing(network_id()) };
            let started = Network::start(config, &key, Arc::new(SystemClock), None).await;
            peers.push(started.expect("a hostile peer starts"));
        }
        Self { peers }
    }

    /// All of them connect with a node.
    ///
    /// # Panics
    /// The node has no room for them.
    pub async fn surround(&self, node: &Network) {
        let connected = self.surround_at(&node.peer_id(), &node.listen_addrs()).await;
        assert_eq!(connected, self.peers.len(), "the node has room");
    }

    /// Those of them for whom a node, maybe one of another process, has room connect with it; how many.
    pub async fn surround_at(&self, peer: &PeerId, addrs: &[String]) -> usize {
        let connecting = self.peers.iter().map(|(eve, _)| eve.connect(peer, addrs));
        futures::future::join_all(connecting).await.iter().filter(|connected| connected.is_ok()).count()
    }

    /// Their addresses.
    #[must_use]
    pub fn addrs(&self) -> Vec<String> {
        self.peers.iter().flat_map(|(eve, _)| eve.listen_addrs()).collect()
    }

    /// They share out what is to be said on the topic of a shard, and each says so many a second: as many as a node takes from
    /// one peer, for more would only wait in this process.
    pub async fn flood(&self, shard: u16, messages: Vec<Vec<u8>>) {
        let topic = &topics()[usize::from(shard)];
        let share = messages.len().div_ceil(self.peers.len());
        let saying = messages.chunks(share.max(1)).zip(&self.peers).map(|(share, (eve, _))| async move {
            let mut pace = tokio::time::interval(Duration::from_millis(1000 / RATE));
            for bytes in share {
                pace.tick().await;
                // whoever is refused goes on
                let _heard = eve.publish(topic, bytes.clone()).await;
            }
        });
        futures::future::join_all(saying).await;
    }

    /// How many of them a node is connected with.
    #[must_use]
    pub fn at(&self, node: &Network) -> usize {
        self.peers.iter().filter(|(eve, _)| node.is_connected(&eve.peer_id())).count()
    }

    /// Each says on every topic what `word` has for it, if anything. Whoever was banned for it is heard by nobody.
    pub async fn say(&self, word: impl Fn(usize) -> Option<Vec<u8>>) {
        for (number, (eve, _)) in self.peers.iter().enumerate() {
            if let Some(bytes) = word(number) {
                for topic in topics() {
                    let _heard = eve.publish(&topic, bytes.clone()).await;
                }
            }
        }
    }
}

/// The keys that come nearest to a peer, as Kademlia measures it.
fn nearest(peer: &PeerId) -> Vec<NodeKey> {
    let place = |peer: &PeerId| -> [u8; 32] { Sha256::digest(peer.to_multihash()).into() };
    let there = place(peer);
    let keys = (0..TRIED).map(|number| {
        let mut secret = [0xee; 32];
        secret[..4].copy_from_slice(&number.to_be_bytes());
        NodeKey::from_bytes(&secret)
    });
    let mut keys: Vec<_> = keys.collect();
    keys.sort_by_cached_key(|key| {
        let mut distance = place(&key.peer_id());
        distance.iter_mut().zip(there).for_each(|(byte, other)| *byte ^= other);
        distance
    });
    keys.truncate(CROWD);
    keys
}
