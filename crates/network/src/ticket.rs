//! Tickets: one line of text that says how to reach a node, to be pasted elsewhere.
//!
//! A ticket holds no secret. It is `haggle1` and base32 of canonical CBOR and a checksum, so a slip of the hand is noticed
//! before anything is dialled.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use haggle_base::{Blob, Coded, Did, Hash, List, NetworkId, PeerId, cbor};
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use serde::{Deserialize, Serialize};

use crate::address;

/// What every ticket begins with.
pub const TICKET_PREFIX: &str = "haggle1";
/// Addresses of one ticket: two relayed ones among them, at most.
pub const MAX_TICKET_ADDRS: usize = 4;
/// The longest ticket, in characters.
pub const MAX_TICKET_CHARS: usize = 2048;

/// Relayed addresses of a ticket that this node makes.
const MAX_RELAYED: usize = 2;
/// The longest address in bytes: a DNS name, and a relay's id.
const MAX_ADDR_BYTES: usize = 256;
/// Bytes of the checksum: eight characters.
const CHECK_BYTES: usize = 5;
/// What the checksum's hash begins with.
const CHECK_DOMAIN: &[u8] = b"haggle/ticket/v1\0";

/// How to reach a node, and one of its agents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    network: NetworkId,
    peer: PeerId,
    addrs: Vec<Multiaddr>,
    agent: Option<Did>,
}

/// Why a text is no ticket that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// It does not begin as a ticket does, or is too long for one.
    #[error("this is no ticket")]
    NotATicket,
    /// A character is wrong, missing or too many.
    #[error("the ticket is damaged: its checksum does not fit")]
    Damaged,
    /// It is whole, and says something that this version does not understand.
    #[error("the ticket cannot be read")]
    Unreadable,
    /// It is for another network.
    #[error("the ticket is for the network {of}, and this node is on {here}")]
    OtherNetwork {
        /// The ticket's network.
        of: NetworkId,
        /// This node's.
        here: NetworkId,
    },
}

impl Coded for TicketError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotATicket => "not_a_ticket",
            Self::Damaged => "ticket_damaged",
            Self::Unreadable => "ticket_unreadable",
            Self::OtherNetwork { .. } => "ticket_of_other_network",
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::NotATicket => "a ticket begins with haggle1; `haggle peer ticket` prints one on the other node",
            Self::Damaged => "copy the whole ticket once more, from `haggle peer ticket` on the other node",
            Self::Unreadable => "the other node may run a newer version: update this one",
            Self::OtherNetwork { .. } => {
                "use the network file of the ticket's network: `haggle init --network FILE` in another home"
            }
        }
    }
}

/// A ticket as it is encoded: network, peer, addresses, agent.
#[derive(Serialize, Deserialize)]
struct Wire(NetworkId, Blob<32>, List<Blob<MAX_ADDR_BYTES>, MAX_TICKET_ADDRS>, Option<Blob<32>>);

impl Ticket {
    /// A ticket to a peer at some of these addresses, which may end in its id: those that others can dial, of the open internet
    /// first, [`MAX_TICKET_ADDRS`] at most.
    #[must_use]
    pub fn new(network: NetworkId, peer: PeerId, addrs: &[String], agent: Option<Did>, one_machine: bool) -> Self {
        let read = addrs.iter().filter_map(|addr| address::parse(addr).ok()).map(|addr| address::split_peer(addr).1);
        let usable = |addr: &Multiaddr| addr.len() <= MAX_ADDR_BYTES && address::is_dialable(addr, one_machine);
        let mut seen = HashSet::new();
        let usable = read.filter(|addr| usable(addr) && seen.insert(addr.clone()));
        let (relayed, mut direct): (Vec<_>, Vec<_>) = usable.partition(address::is_relayed);
        // stable: what comes first is known to work best
        direct.sort_by_key(|addr| !address::is_public(addr, false));
        direct.truncate(MAX_TICKET_ADDRS - relayed.len().min(MAX_RELAYED));
        direct.extend(relayed.into_iter().take(MAX_RELAYED));
        Self { network, peer, addrs: direct, agent }
    }

    /// Whether a text means to be a ticket.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        let head = text.trim().as_bytes().get(..TICKET_PREFIX.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(TICKET_PREFIX.as_bytes()))
    }

    /// Reads a ticket for this network.
    ///
    /// # Errors
    /// Any [`TicketError`].
    pub fn read(text: &str, network: &NetworkId) -> Result<Self, TicketError> {
        let ticket: Self = text.parse()?;
        if ticket.network == *network {
            Ok(ticket)
        } else {
            Err(TicketError::OtherNetwork { of: ticket.network, here: network.clone() })
        }
    }

    /// The network it is for.
    #[must_use]
    pub const fn network(&self) -> &NetworkId {
        &self.network
    }

    /// The node it leads to.
    #[must_use]
    pub const fn peer(&self) -> PeerId {
        self.peer
    }

    /// Where the node is, each address with its `/p2p/` part.
    #[must_use]
    pub fn addrs(&self) -> Vec<String> {
        let peer = address::to_libp2p(&self.peer);
        self.addrs.iter().map(|addr| addr.clone().with(Protocol::P2p(peer)).to_string()).collect()
    }

    /// The agent it was made for.
    #[must_use]
    pub const fn agent(&self) -> Option<Did> {
        self.agent
    }

    fn checksum(payload: &[u8]) -> [u8; CHECK_BYTES] {
        let mut check = [0; CHECK_BYTES];
        check.copy_from_slice(&Hash::of_parts(&[CHECK_DOMAIN, payload]).as_bytes()[..CHECK_BYTES]);
        check
    }

    /// What is encoded; nothing for what has no room, which [`Ticket::new`] and reading leave out.
    fn payload(&self) -> Option<Vec<u8>> {
        let addrs: Result<Vec<_>, _> = self.addrs.iter().map(|addr| Blob::try_from(addr.to_vec())).collect();
        let peer = Blob::try_from(self.peer.public_key().as_slice()).ok()?;
        let agent = self.agent.map(|agent| Blob::try_from(agent.public_key().as_slice())).transpose().ok()?;
        cbor::to_vec(&Wire(self.network.clone(), peer, List::try_from(addrs.ok()?).ok()?, agent)).ok()
    }
}

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.payload().ok_or(fmt::Error)?;
        bytes.extend(Self::checksum(&bytes));
        write!(f, "{TICKET_PREFIX}{}", BASE32_NOPAD.encode(&bytes).to_ascii_lowercase())
    }
}

impl FromStr for Ticket {
    type Err = TicketError;

    fn from_str(text: &str) -> Result<Self, TicketError> {
        let text = text.trim();
        if text.len() > MAX_TICKET_CHARS || !Self::is_meant(text) {
            return Err(TicketError::NotATicket);
        }
        let digits = text.get(TICKET_PREFIX.len()..).unwrap_or_default().to_ascii_uppercase();
        let bytes = BASE32_NOPAD.decode(digits.as_bytes()).map_err(|_| TicketError::Damaged)?;
        let (payload, check) = bytes.split_last_chunk::<CHECK_BYTES>().ok_or(TicketError::Damaged)?;
        if *check != Self::checksum(payload) {
            return Err(TicketError::Damaged);
        }
        let wire: Wire = cbor::from_slice(payload, MAX_TICKET_CHARS).map_err(|_| TicketError::Unreadable)?;
        read(wire).ok_or(TicketError::Unreadable)
    }
}

/// The ticket of a payload; its keys are keys, and its addresses are such as this version dials, without the node's own id.
fn read(Wire(network, peer, addrs, agent): Wire) -> Option<Ticket> {
    let key = |key: &Blob<32>| <[u8; 32]>::try_from(key.as_bytes()).ok();
    let peer = PeerId::from_public_key(key(&peer)?).ok()?;
    let agent = match agent {
        Some(agent) => Some(Did::from_public_key(key(&agent)?).ok()?),
        None => None,
    };
    let addr = |bytes: Blob<MAX_ADDR_BYTES>| {
        let addr = Multiaddr::try_from(bytes.into_vec()).ok()?;
        let (named, addr) = address::split_peer(address::parse(&addr.to_string()).ok()?);
        named.is_none().then_some(addr)
    };
    let addrs = addrs.into_iter().map(addr).collect::<Option<Vec<_>>>()?;
    Some(Ticket { network, peer, addrs, agent })
}

#[cfg(test)]
mod tests;
