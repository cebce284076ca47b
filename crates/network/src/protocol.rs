//! Names on the wire: every protocol and topic carries the network id, so networks never mix.

use haggle_base::NetworkId;
use libp2p::StreamProtocol;

use crate::error::NetworkError;

/// The longest protocol or topic name in bytes.
pub(crate) const MAX_NAME_BYTES: usize = 140;

/// A name inside a network: `/haggle/<network>/<name>`, for example `/haggle/devnet-7/1/sync/1`.
#[must_use]
pub fn scoped(network: &NetworkId, name: &str) -> String {
    format!("/haggle/{}/{name}", network.as_str())
}

/// The gossip topic that carries the records of `shard`: `/haggle/<network>/rec/<shard>/1`.
#[must_use]
pub fn topic(network: &NetworkId, shard: u16) -> String {
    scoped(network, &format!("rec/{shard}/1"))
}

/// What identify tells about the family of protocols a node speaks. Peers that say something
/// else are of another network and are disconnected.
#[must_use]
pub fn family(network: &NetworkId) -> String {
    scoped(network, "node/1")
}

/// The Kademlia protocol name of a network.
#[must_use]
pub fn kad(network: &NetworkId) -> String {
    scoped(network, "kad/1")
}

/// The protocol by which a peer proves its DIDs.
#[must_use]
pub fn did(network: &NetworkId) -> String {
    scoped(network, "did/1")
}

/// Checks a stream protocol name: it starts with a slash and is at most [`MAX_NAME_BYTES`] long.
pub(crate) fn stream(name: &str) -> Result<StreamProtocol, NetworkError> {
    if name.len() > MAX_NAME_BYTES {
        return Err(NetworkError::BadName { name: name.chars().take(40).collect() });
    }
    StreamProtocol::try_from_owned(name.to_owned()).map_err(|_| NetworkError::BadName { name: name.to_owned() })
}

/// Checks a topic name: it lies inside the network.
pub(crate) fn checked_topic(network: &NetworkId, name: &str) -> Result<(), NetworkError> {
    if name.len() <= MAX_NAME_BYTES && name.starts_with(&scoped(network, "")) {
        Ok(())
    } else {
        Err(NetworkError::BadName { name: name.chars().take(MAX_NAME_BYTES).collect() })
    }
}
