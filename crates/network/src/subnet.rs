//! How many connections strangers of one subnet may open.
//!
//! Addresses of one subnet cost little more than one address. Without a bound whoever has a subnet could take all places that
//! are there for strangers.

use std::collections::HashMap;
use std::net::IpAddr;

use libp2p::Multiaddr;
use libp2p::swarm::ConnectionId;

use crate::address;

/// A /24 of IPv4, or a /48 of IPv6: what a customer of a provider is given.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
enum Subnet {
    V4([u8; 3]),
    V6([u16; 3]),
}

impl Subnet {
    /// The subnet of a public address; none for this machine, a local network, or what comes through a relay.
    fn of(addr: &Multiaddr) -> Option<Self> {
        if address::is_relayed(addr) || !address::is_public(addr, false) {
            return None;
        }
        match address::ip(addr)? {
            IpAddr::V4(ip) => {
                let [a, b, c, _] = ip.octets();
                Some(Self::V4([a, b, c]))
            }
            IpAddr::V6(ip) => {
                let [a, b, c, ..] = ip.segments();
                Some(Self::V6([a, b, c]))
            }
        }
    }
}

/// A subnet that has as many connections as it may have.
#[derive(Debug, thiserror::Error)]
#[error("{count} connections come from the subnet of {addr}")]
pub(crate) struct Crowded {
    addr: Multiaddr,
    count: u32,
}

/// The connections that others have opened or are opening, by subnet.
#[derive(Debug)]
pub(crate) struct Subnets {
    most: u32,
    of: HashMap<ConnectionId, Subnet>,
    counts: HashMap<Subnet, u32>,
}

impl Subnets {
    pub(crate) fn new(most: u32) -> Self {
        Self { most, of: HashMap::new(), counts: HashMap::new() }
    }

    /// Counts a connection that is coming in.
    ///
    /// # Errors
    /// [`Crowded`] if its subnet has as many as it may have; it is not counted then.
    pub(crate) fn come(&mut self, id: ConnectionId, addr: &Multiaddr) -> Result<(), Crowded> {
        let Some(subnet) = Subnet::of(addr) else { return Ok(()) };
        let count = self.counts.entry(subnet).or_default();
        if *count >= self.most {
            return Err(Crowded { addr: addr.clone(), count: *count });
        }
        *count += 1;
        self.of.insert(id, subnet);
        Ok(())
    }

    /// A connection is closed, or never stood.
    pub(crate) fn go(&mut self, id: ConnectionId) {
        let Some(subnet) = self.of.remove(&id) else { return };
        if let Some(count) = self.counts.get_mut(&subnet) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&subnet);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    #[test]
    fn a_subnet_has_so_many_places_and_a_place_that_is_left_is_free() {
        let mut subnets = Subnets::new(2);
        let mut comes = |number, addr: &str| subnets.come(id(number), &addr.parse().unwrap()).is_ok();
        assert!(comes(1, "/ip4/8.8.8.1/tcp/1") && comes(2, "/ip4/8.8.8.2/udp/1/quic-v1"));
        assert!(!comes(3, "/ip4/8.8.8.3/tcp/1"), "the third of a /24");
        assert!(comes(4, "/ip4/8.8.9.3/tcp/1"), "the next /24");
        assert!(comes(5, "/ip6/2a00:1450:1:1::1/tcp/1") && comes(6, "/ip6/2a00:1450:1:2::1/tcp/1"));
        assert!(!comes(7, "/ip6/2a00:1450:1:3::1/tcp/1"), "the third of a /48");
        assert!(comes(8, "/ip6/2a00:1450:2:1::1/tcp/1"));
        subnets.go(id(3));
        assert!(subnets.come(id(3), &"/ip4/8.8.8.3/tcp/1".parse().unwrap()).is_err(), "it had no place");
        subnets.go(id(1));
        subnets.go(id(1));
        assert!(subnets.come(id(3), &"/ip4/8.8.8.3/tcp/1".parse().unwrap()).is_ok());
        (1..9).for_each(|number| subnets.go(id(number)));
        assert!(subnets.counts.is_empty() && subnets.of.is_empty());
    }

    #[test]
    fn neighbours_in_the_house_and_what_a_relay_carries_are_not_counted() {
        let mut subnets = Subnets::new(0);
        let relayed = format!("/ip4/8.8.8.1/tcp/1/p2p/{}/p2p-circuit", libp2p::PeerId::random());
        for addr in ["/ip4/127.0.0.1/tcp/1", "/ip4/192.168.1.7/tcp/1", "/ip6/::1/tcp/1", &relayed] {
            assert!(subnets.come(id(1), &addr.parse().unwrap()).is_ok(), "{addr}");
        }
        assert!(subnets.come(id(1), &"/ip4/8.8.8.1/tcp/1".parse().unwrap()).is_err());
    }
}
