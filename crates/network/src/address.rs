//! Addresses and peer ids: ours as text and bytes, libp2p's as its own types.

use haggle_base::PeerId;
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

use crate::error::NetworkError;

/// Addresses kept for one peer.
pub(crate) const MAX_ADDRS_PER_PEER: usize = 8;
/// The longest address kept for a peer, in bytes of its text.
const MAX_ADDR_BYTES: usize = 200;
/// The carrier of a connection.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// TCP with noise and yamux.
    Tcp,
    /// QUIC.
    Quic,
}

impl Transport {
    /// The word for it: `tcp` or `quic`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Quic => "quic",
        }
    }

    /// The carrier that an address names.
    pub(crate) fn of(addr: &Multiaddr) -> Self {
        if addr.iter().any(|part| matches!(part, Protocol::QuicV1)) { Self::Quic } else { Self::Tcp }
    }
}

/// Our peer id as libp2p's.
pub(crate) fn to_libp2p(peer: &PeerId) -> libp2p::PeerId {
    libp2p::PeerId::from_bytes(&peer.to_multihash()).expect("an identity multihash of 36 bytes is a peer id")
}

/// libp2p's peer id as ours; `None` unless it is made of a usable ed25519 key.
pub(crate) fn from_libp2p(peer: &libp2p::PeerId) -> Option<PeerId> {
    PeerId::from_multihash(&peer.to_bytes()).ok()
}

/// Reads an address that this node can use.
pub(crate) fn parse(text: &str) -> Result<Multiaddr, NetworkError> {
    let bad = || NetworkError::BadAddress { text: text.chars().take(MAX_ADDR_BYTES).collect() };
    if text.len() > MAX_ADDR_BYTES {
        return Err(bad());
    }
    let addr: Multiaddr = text.parse().map_err(|_| bad())?;
    if is_supported(&addr) { Ok(addr) } else { Err(bad()) }
}

/// Reads an address that ends in `/p2p/<peer>`.
pub(crate) fn parse_with_peer(text: &str) -> Result<(PeerId, Multiaddr), NetworkError> {
    let addr = parse(text)?;
    match split_peer(addr) {
        (Some(peer), addr) => Ok((peer, addr)),
        (None, _) => Err(NetworkError::BadAddress { text: text.to_owned() }),
    }
}

/// Takes the `/p2p/` part off an address.
pub(crate) fn split_peer(mut addr: Multiaddr) -> (Option<PeerId>, Multiaddr) {
    match addr.iter().last() {
        Some(Protocol::P2p(peer)) => {
            addr.pop();
            (from_libp2p(&peer), addr)
        }
        _ => (None, addr),
    }
}

/// TCP or QUIC over an IP address or a DNS name, and nothing behind it but a peer id.
fn is_supported(addr: &Multiaddr) -> bool {
    let mut parts = addr.iter();
    let host = parts.next();
    if !matches!(
        host,
        Some(Protocol::Ip4(_) | Protocol::Ip6(_) | Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_))
    ) {
        return false;
    }
    let rest = match parts.next() {
        Some(Protocol::Tcp(_)) => parts.next(),
        Some(Protocol::Udp(_)) if parts.next() == Some(Protocol::QuicV1) => parts.next(),
        _ => return false,
    };
    matches!(rest, None | Some(Protocol::P2p(_))) && parts.next().is_none()
}

/// Whether an address that a stranger told us is worth keeping.
pub(crate) fn is_dialable(addr: &Multiaddr, loopback_ok: bool) -> bool {
    if addr.len() > MAX_ADDR_BYTES || !is_supported(addr) {
        return false;
    }
    match addr.iter().next() {
        Some(Protocol::Ip4(ip)) => {
            !ip.is_unspecified()
                && !ip.is_multicast()
                && !ip.is_broadcast()
                && (loopback_ok || !(ip.is_loopback() || ip.is_link_local()))
        }
        Some(Protocol::Ip6(ip)) => {
            !ip.is_unspecified()
                && !ip.is_multicast()
                && (loopback_ok || !(ip.is_loopback() || ip.is_unicast_link_local()))
        }
        Some(_) => true,
        None => false,
    }
}

/// The addresses of a stranger that are worth keeping: dialable, without peer id, at most
/// [`MAX_ADDRS_PER_PEER`].
pub(crate) fn worth_keeping(addrs: impl IntoIterator<Item = Multiaddr>, loopback_ok: bool) -> Vec<Multiaddr> {
    let mut kept: Vec<Multiaddr> = Vec::new();
    for addr in addrs {
        let (_, addr) = split_peer(addr);
        if is_dialable(&addr, loopback_ok) && !kept.contains(&addr) {
            kept.push(addr);
        }
        if kept.len() == MAX_ADDRS_PER_PEER {
            break;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_id_survives_the_way_to_libp2p_and_back() {
        let key = libp2p::identity::Keypair::generate_ed25519().public();
        let bytes = key.clone().try_into_ed25519().unwrap().to_bytes();
        let ours = PeerId::from_public_key(bytes).unwrap();
        let theirs = to_libp2p(&ours);
        assert_eq!(theirs, key.to_peer_id());
        assert_eq!(from_libp2p(&theirs), Some(ours));
        assert_eq!(theirs.to_string(), ours.to_string());
    }

    #[test]
    fn only_plain_tcp_and_quic_addresses_are_read() {
        for good in [
            "/ip4/127.0.0.1/tcp/4001",
            "/ip6/::1/udp/4001/quic-v1",
            "/dns4/haggle.example/tcp/1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in ["", "127.0.0.1:80", "/ip4/127.0.0.1", "/ip4/127.0.0.1/tcp/1/ws", "/memory/1"] {
            assert!(matches!(parse(bad), Err(NetworkError::BadAddress { .. })), "{bad}");
        }
        assert!(parse_with_peer("/ip4/127.0.0.1/tcp/4001").is_err());
    }

    #[test]
    fn loopback_told_by_a_stranger_is_kept_only_on_one_machine_networks() {
        let loopback: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
        let nowhere: Multiaddr = "/ip4/0.0.0.0/tcp/1".parse().unwrap();
        assert!(is_dialable(&loopback, true));
        assert!(!is_dialable(&loopback, false));
        assert!(!is_dialable(&nowhere, true));
        let many = (1..100).map(|port| format!("/ip4/10.0.0.1/tcp/{port}").parse().unwrap());
        assert_eq!(worth_keeping(many, false).len(), MAX_ADDRS_PER_PEER);
    }
}
