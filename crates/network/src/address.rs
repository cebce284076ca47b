//! Addresses and peer ids: ours as text and bytes, libp2p's as its own types.

use std::net::IpAddr;

use haggle_base::{PeerId, Text};
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

use crate::error::NetworkError;

/// Addresses kept for one peer.
pub(crate) const MAX_ADDRS_PER_PEER: usize = 8;
/// Addresses through a relay among them: a peer that names many would have us dial many strangers.
const MAX_RELAYED_ADDRS_PER_PEER: usize = 3;
/// The longest address kept for a peer, in bytes of its text: a DNS name and two peer ids.
const MAX_ADDR_BYTES: usize = 320;

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

/// Whether an address leads through a relay.
pub(crate) fn is_relayed(addr: &Multiaddr) -> bool {
    addr.iter().any(|part| matches!(part, Protocol::P2pCircuit))
}

/// The relay that an address leads through.
pub(crate) fn relay_of(addr: &Multiaddr) -> Option<PeerId> {
    let mut last = None;
    for part in addr {
        match part {
            Protocol::P2p(id) => last = Some(id),
            Protocol::P2pCircuit => return last.as_ref().and_then(from_libp2p),
            _ => {}
        }
    }
    None
}

/// TCP or QUIC over an IP address or a DNS name, and nothing behind it but a peer id, or a relay's id and one circuit.
fn is_supported(addr: &Multiaddr) -> bool {
    let mut parts = addr.iter();
    let host = parts.next();
    if !matches!(
        host,
        Some(Protocol::Ip4(_) | Protocol::Ip6(_) | Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_))
    ) {
        return false;
    }
    match parts.next() {
        Some(Protocol::Tcp(_)) => {}
        Some(Protocol::Udp(_)) if parts.next() == Some(Protocol::QuicV1) => {}
        _ => return false,
    }
    let rest: Vec<_> = parts.take(4).collect();
    matches!(
        rest.as_slice(),
        [] | [Protocol::P2p(_)]
            | [Protocol::P2p(_), Protocol::P2pCircuit]
            | [Protocol::P2p(_), Protocol::P2pCircuit, Protocol::P2p(_)]
    )
}

/// Whether others can be expected to reach this node at an address that it listens on itself. On one machine that is
/// any; elsewhere it takes an address of the open internet.
pub(crate) fn is_public(addr: &Multiaddr, loopback_ok: bool) -> bool {
    if is_relayed(addr) {
        return false;
    }
    match addr.iter().next() {
        Some(Protocol::Ip4(ip)) => {
            let [first, second, third, _] = ip.octets();
            // shared by carriers, for benchmarks, for protocols to come, and not assigned
            let is_special = (first == 100 && (64..128).contains(&second))
                || (first == 198 && (second == 18 || second == 19))
                || (first == 192 && second == 0 && third == 0)
                || first == 0
                || first >= 224;
            loopback_ok
                || !(ip.is_private()
                    || ip.is_loopback()
                    || ip.is_link_local()
                    || ip.is_unspecified()
                    || ip.is_documentation()
                    || is_special)
        }
        // global unicast is 2000::/3; 6to4, Teredo and documentation in it are no places of their own
        Some(Protocol::Ip6(ip)) => {
            let [first, second, ..] = ip.segments();
            let is_special = first == 0x2002 || (first == 0x2001 && (second == 0 || second == 0x0db8));
            loopback_ok || (first & 0xe000 == 0x2000 && !is_special)
        }
        _ => false,
    }
}

/// Whether who is dialled at this address sees this node as the open internet does: there directly, and not on the same
/// local network.
pub(crate) fn is_elsewhere(addr: &Multiaddr, loopback_ok: bool) -> bool {
    let is_name = matches!(addr.iter().next(), Some(Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_)));
    !is_relayed(addr) && (is_name || is_public(addr, loopback_ok))
}

/// The IP address at the start of an address.
pub(crate) fn ip(addr: &Multiaddr) -> Option<IpAddr> {
    match addr.iter().next() {
        Some(Protocol::Ip4(ip)) => Some(ip.into()),
        Some(Protocol::Ip6(ip)) => Some(ip.into()),
        _ => None,
    }
}

/// The same carrier and port at another IP address of the same kind.
pub(crate) fn with_ip(addr: &Multiaddr, other: IpAddr) -> Option<Multiaddr> {
    match (ip(addr)?, other) {
        (IpAddr::V4(_), IpAddr::V4(other)) => addr.replace(0, |_| Some(Protocol::Ip4(other))),
        (IpAddr::V6(_), IpAddr::V6(other)) => addr.replace(0, |_| Some(Protocol::Ip6(other))),
        _ => None,
    }
}

/// Whether an address is one of a local network, written as numbers and direct: all that multicast DNS is believed.
pub(crate) fn is_nearby(addr: &Multiaddr, loopback_ok: bool) -> bool {
    if addr.len() > MAX_ADDR_BYTES || !is_supported(addr) || is_relayed(addr) {
        return false;
    }
    match addr.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_private() || (loopback_ok && ip.is_loopback()),
        Some(Protocol::Ip6(ip)) => ip.is_unique_local() || (loopback_ok && ip.is_loopback()),
        _ => false,
    }
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
        // an IPv4 address in the clothes of IPv6 would pass as neither loopback nor private
        Some(Protocol::Ip6(ip)) => {
            !ip.is_unspecified()
                && !ip.is_multicast()
                && ip.to_ipv4_mapped().is_none()
                && (loopback_ok || !(ip.is_loopback() || ip.is_unicast_link_local()))
        }
        Some(_) => true,
        None => false,
    }
}

/// The addresses of a stranger that are worth keeping: dialable, without the stranger's peer id, at most
/// [`MAX_ADDRS_PER_PEER`], direct ones first and [`MAX_RELAYED_ADDRS_PER_PEER`] through relays.
pub(crate) fn worth_keeping(addrs: impl IntoIterator<Item = Multiaddr>, loopback_ok: bool) -> Vec<Multiaddr> {
    let (mut direct, mut relayed): (Vec<Multiaddr>, Vec<Multiaddr>) = (Vec::new(), Vec::new());
    for addr in addrs {
        let (_, addr) = split_peer(addr);
        let (kept, most) = if is_relayed(&addr) {
            (&mut relayed, MAX_RELAYED_ADDRS_PER_PEER)
        } else {
            (&mut direct, MAX_ADDRS_PER_PEER)
        };
        if kept.len() < most && is_dialable(&addr, loopback_ok) && !kept.contains(&addr) {
            kept.push(addr);
        }
    }
    direct.truncate(MAX_ADDRS_PER_PEER - relayed.len());
    direct.append(&mut relayed);
    direct
}

/// What is worth keeping of the addresses that a stranger wrote down for a peer. Forms that this node does not know are no
/// fault: other versions may.
pub(crate) fn of_stranger(peer: &PeerId, texts: &[Text<128>], loopback_ok: bool) -> Vec<Multiaddr> {
    let read = texts.iter().filter_map(|text| parse(text.as_str()).ok());
    let of_peer = read.filter(|addr| split_peer(addr.clone()).0.is_none_or(|named| named == *peer));
    worth_keeping(of_peer, loopback_ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELAY: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

    fn through_relay(at: &str, behind: &str) -> String {
        format!("{at}/p2p/{RELAY}/p2p-circuit{behind}")
    }

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
            &through_relay("/ip4/127.0.0.1/tcp/4001", ""),
            &through_relay("/ip4/127.0.0.1/udp/4001/quic-v1", &format!("/p2p/{RELAY}")),
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
        let bad_circuits = [
            "/ip4/127.0.0.1/tcp/1/p2p-circuit".to_owned(),
            format!("/p2p/{RELAY}/p2p-circuit"),
            through_relay("/ip4/127.0.0.1/tcp/1", &format!("/p2p/{RELAY}/p2p-circuit")),
            through_relay("/ip4/127.0.0.1/tcp/1", "/tcp/2"),
        ];
        let bad = ["", "127.0.0.1:80", "/ip4/127.0.0.1", "/ip4/127.0.0.1/tcp/1/ws", "/memory/1"];
        for bad in bad.into_iter().chain(bad_circuits.iter().map(String::as_str)) {
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
        assert!(!is_dialable(&"/ip6/::ffff:127.0.0.1/tcp/1".parse().unwrap(), false), "loopback by another name");
        let many = (1..100).map(|port| format!("/ip4/10.0.0.1/tcp/{port}").parse().unwrap());
        assert_eq!(worth_keeping(many, false).len(), MAX_ADDRS_PER_PEER);
    }

    #[test]
    fn of_what_a_stranger_wrote_down_only_what_may_be_dialled_is_left() {
        let peer: PeerId = RELAY.parse().unwrap();
        let other = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp";
        let own = format!("/ip4/10.0.0.1/tcp/2/p2p/{RELAY}");
        let foreign = format!("/ip4/10.0.0.1/tcp/3/p2p/{other}");
        let written =
            ["/ip4/127.0.0.1/tcp/1", "/ip4/169.254.1.1/tcp/1", "nonsense", "/ip4/1.2.3.4/tcp/1/ws", &own, &foreign]
                .map(|text| text.parse().unwrap());
        let kept =
            |loopback_ok| of_stranger(&peer, &written, loopback_ok).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(kept(false), ["/ip4/10.0.0.1/tcp/2"]);
        assert_eq!(kept(true), ["/ip4/127.0.0.1/tcp/1", "/ip4/169.254.1.1/tcp/1", "/ip4/10.0.0.1/tcp/2"]);
    }

    #[test]
    fn a_peer_may_name_a_few_relays_and_none_on_loopback() {
        let direct = (1..100).map(|port| format!("/ip4/10.0.0.1/tcp/{port}"));
        let relayed = (1..100).map(|port| through_relay(&format!("/ip4/10.0.0.2/tcp/{port}"), ""));
        let addrs: Vec<Multiaddr> = direct.chain(relayed).map(|text| text.parse().unwrap()).collect();
        let kept = worth_keeping(addrs, false);
        assert_eq!(kept.len(), MAX_ADDRS_PER_PEER);
        assert_eq!(kept.iter().filter(|addr| is_relayed(addr)).count(), MAX_RELAYED_ADDRS_PER_PEER);
        assert!(!is_relayed(&kept[0]), "direct addresses come first");

        let own: Multiaddr = through_relay("/ip4/127.0.0.1/tcp/1", &format!("/p2p/{RELAY}")).parse().unwrap();
        assert!(worth_keeping([own.clone()], false).is_empty());
        let kept = worth_keeping([own], true);
        assert_eq!(kept[0].to_string(), through_relay("/ip4/127.0.0.1/tcp/1", ""), "the peer's own id is left out");
    }

    #[test]
    fn only_addresses_of_the_open_internet_are_public() {
        let public = |text: &str, loopback_ok| is_public(&text.parse().unwrap(), loopback_ok);
        for addr in ["/ip4/8.8.8.8/tcp/1", "/ip6/2a00:1450::1/udp/1/quic-v1"] {
            assert!(public(addr, false), "{addr}");
        }
        for addr in ["/ip4/192.168.1.2/tcp/1", "/ip4/100.64.0.1/tcp/1", "/ip4/127.0.0.1/tcp/1", "/ip6/fe80::1/tcp/1"] {
            assert!(!public(addr, false), "{addr}");
        }
        let special =
            ["/ip4/198.19.0.1/tcp/1", "/ip4/0.0.0.1/tcp/1", "/ip4/240.0.0.1/tcp/1", "/ip6/2002:7f00:1::/tcp/1"];
        for addr in special {
            assert!(!public(addr, false), "{addr}");
        }
        assert!(public("/ip4/127.0.0.1/tcp/1", true));
        assert!(!public(&through_relay("/ip4/8.8.8.8/tcp/1", ""), true), "a relay's address is not our own");
    }
}
