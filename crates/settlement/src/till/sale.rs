//! What is sold to whom, as the till is told by whoever serves the call.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use haggle_base::{Did, Hash, PeerId, Text, Usdc};

/// Longest name of a resource, in bytes.
pub const MAX_RESOURCE: usize = 2048;

/// One call that has to be paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sale {
    /// Who sells, and is paid at its payment address.
    pub seller: Did,
    /// Which listing, for its credit.
    pub listing: Text<128>,
    /// The URL the payment is bound to.
    pub resource: Text<MAX_RESOURCE>,
    /// The price.
    pub amount: Usdc,
    /// The hash of what is asked: method, path and body, or the order. A payment is good for one such request.
    pub request: Hash,
    /// Who calls.
    pub caller: Caller,
}

/// Who calls, as far as this node knows without a payment.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Caller {
    /// A peer that proved its key.
    Peer(Text<64>),
    /// A holder of an API key, by the key's public name.
    Key(Text<64>),
    /// Somebody in a network of 256 addresses, or an IPv6 site.
    Net(Text<48>),
}

impl Caller {
    /// A peer of the network.
    #[must_use]
    pub fn peer(peer: &PeerId) -> Self {
        Self::Peer(Text::try_from(peer.to_string()).unwrap_or_default())
    }

    /// An address on the internet: its /24, or its /48 for IPv6.
    #[must_use]
    pub fn at(address: IpAddr) -> Self {
        let net = match address.to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, c, _] = v4.octets();
                format!("{a}.{b}.{c}.0/24")
            }
            IpAddr::V6(v6) => {
                let [a, b, c, ..] = v6.segments();
                format!("{a:x}:{b:x}:{c:x}::/48")
            }
        };
        Self::Net(Text::try_from(net).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_on_the_internet_are_one_caller() {
        let at = |text: &str| Caller::at(text.parse().unwrap());
        assert_eq!(at("192.0.2.1"), at("192.0.2.254"));
        assert_eq!(at("192.0.2.1"), at("::ffff:192.0.2.9"));
        assert_ne!(at("192.0.2.1"), at("192.0.3.1"));
        assert_eq!(at("2001:db8:1:2::3"), at("2001:db8:1:ffff::1"));
        assert_ne!(at("2001:db8:1::"), at("2001:db8:2::"));
        assert_ne!(at("2001:db8:1::"), Caller::Key("2001:db8:1::/48".try_into().unwrap()));
    }
}
