//! Where nodes of one part meet: provider records in the DHT under keys that everybody can derive.
//!
//! A node declares that it is a member at a place, and whoever looks for members is told of some, with addresses. Nobody signs
//! or checks that: a record is a hint whom to dial, and what a node does it says itself once it is connected.

use haggle_base::{Hash, NetworkId, PeerId};

/// What the keys of this version begin with.
const DOMAIN: &[u8] = b"haggle/rendezvous/v1\0";
/// Members kept for one place.
pub(crate) const MAX_MEMBERS: usize = 64;
/// Addresses kept of a member, and bytes of each: what is told of a full place, with those who stand nearer to it, is to fit
/// [`KAD_PACKET_BYTES`].
pub(crate) const MAX_MEMBER_ADDRS: usize = 4;
pub(crate) const MAX_MEMBER_ADDR_BYTES: usize = 128;
/// Largest message of Kademlia; the library's 16 KiB have no room for a full place.
pub(crate) const KAD_PACKET_BYTES: usize = 64 * 1024;
const _: () = assert!(MAX_MEMBERS * (MAX_MEMBER_ADDRS * (MAX_MEMBER_ADDR_BYTES + 4) + 64) <= KAD_PACKET_BYTES * 2 / 3);
/// Members told to one who looks for some.
pub(crate) const MAX_FOUND: usize = 20;
/// Those of them whom one peer's answer names: it may invent them all.
pub(crate) const MAX_NAMED: usize = 4;

/// A place where nodes meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rendezvous {
    /// Of index nodes, which hold the whole market and answer searches.
    Index,
    /// Of nodes that hold a shard because they take an interest in it.
    Shard(u16),
}

impl Rendezvous {
    /// Every place of a network of so many shards.
    #[must_use]
    pub fn all(shards: u16) -> Vec<Self> {
        std::iter::once(Self::Index).chain((0..shards).map(Self::Shard)).collect()
    }

    /// The key that provider records of this place lie at.
    #[must_use]
    pub fn key(self, network: &NetworkId) -> [u8; 32] {
        let name = match self {
            Self::Index => "index".to_owned(),
            Self::Shard(shard) => format!("shard/{shard}"),
        };
        *Hash::of_parts(&[DOMAIN, network.as_str().as_bytes(), b"\0", name.as_bytes()]).as_bytes()
    }
}

/// Somebody who is said to be a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The peer.
    pub peer: PeerId,
    /// Where it may be dialled: only what is dialled on a stranger's word.
    pub addrs: Vec<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_keys_are_those_of_the_specification() {
        let network: NetworkId = "devnet-7/1".parse().unwrap();
        let hex = |key: [u8; 32]| key.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let row = |(name, at): (&str, Rendezvous)| json!({"place": name, "key": hex(at.key(&network))});
        let places =
            [("index", Rendezvous::Index), ("shard/0", Rendezvous::Shard(0)), ("shard/63", Rendezvous::Shard(63))];
        let made = json!({"network": network, "keys": places.map(row)});
        let written: Value =
            serde_json::from_str(include_str!("../../../docs/protocols/vectors/rendezvous.json")).unwrap();
        assert_eq!(made, written, "docs/protocols/vectors/rendezvous.json");
    }

    #[test]
    fn no_two_places_share_a_key() {
        let networks: [NetworkId; 2] = ["devnet-7/1".parse().unwrap(), "devnet-8/1".parse().unwrap()];
        let keys: std::collections::BTreeSet<_> =
            networks.iter().flat_map(|network| Rendezvous::all(64).into_iter().map(|at| at.key(network))).collect();
        assert_eq!(keys.len(), 130);
    }
}
