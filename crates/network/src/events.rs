//! What the network room tells about: events as they happen, and what is known of a peer.

use std::time::Duration;

use haggle_base::{Did, PeerId, Timestamp};

use crate::address::Transport;
use crate::reach::Reach;

/// How a peer is connected, the best way first.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Path {
    /// One side has dialled an address of the other.
    Direct,
    /// Both sides dialled at once, through their NATs.
    Punched,
    /// Another node carries the bytes.
    Relayed,
}

impl Path {
    /// All ways, the best first.
    pub const ALL: [Self; 3] = [Self::Direct, Self::Punched, Self::Relayed];

    /// The word for it: `direct`, `punched` or `relayed`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Punched => "punched",
            Self::Relayed => "relayed",
        }
    }
}

/// Something that happened. Slow listeners lose the oldest events, never the node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NetworkEvent {
    /// A peer of this network is connected and has told who it is.
    Connected {
        /// The peer.
        peer: PeerId,
        /// The other end of the connection.
        addr: String,
    },
    /// The last connection to the peer is gone.
    Disconnected {
        /// The peer.
        peer: PeerId,
    },
    /// The peer has proved that it speaks for the DID.
    Proven {
        /// The peer.
        peer: PeerId,
        /// The DID.
        did: Did,
    },
    /// The peer listens to a gossip topic: messages kept for lack of peers can go out.
    Subscribed {
        /// The peer.
        peer: PeerId,
        /// The topic.
        topic: String,
    },
    /// The best way to a connected peer is another one now.
    PathChanged {
        /// The peer.
        peer: PeerId,
        /// The way.
        path: Path,
    },
    /// A relay holds a place for this node: others reach it there from now on. Not told of renewals.
    Reserved {
        /// The relay.
        relay: PeerId,
    },
    /// The place at a relay is lost or was refused; it is asked for again.
    Unreserved {
        /// The relay.
        relay: PeerId,
    },
    /// Whether others can dial this node is known differently from before.
    ReachChanged {
        /// What is known now.
        reach: Reach,
    },
    /// Gossip came faster than this node or the bound of its sender takes it, and some was dropped: news may be missing.
    /// Told once a minute at most.
    GossipDropped,
    /// The peer is refused for a while.
    Banned {
        /// The peer.
        peer: PeerId,
    },
}

/// What is known of a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerFacts {
    /// The peer.
    pub peer: PeerId,
    /// Addresses it told, without `/p2p/`.
    pub addrs: Vec<String>,
    /// What it calls itself.
    pub agent_version: String,
    /// Since when it is connected without a break; `None` if it is not connected now.
    pub connected_since: Option<Timestamp>,
    /// The DIDs it has proved on its current connections.
    pub dids: Vec<Did>,
    /// When a dial of ours last succeeded.
    pub last_dial_ok: Option<Timestamp>,
    /// When a dial of ours last failed.
    pub last_dial_failed: Option<Timestamp>,
    /// When it was last connected (now, if it is).
    pub last_seen: Option<Timestamp>,
    /// The carrier of its newest connection.
    pub transport: Option<Transport>,
    /// The best way to it; `None` if it is not connected now.
    pub path: Option<Path>,
    /// The newest ping.
    pub round_trip: Option<Duration>,
}

/// How bad something is that a peer did.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// May happen to an honest peer.
    Low,
    /// An honest peer does not do this, but may by a fault.
    Medium,
    /// Done on purpose.
    High,
    /// Enough for a ban at once.
    Fatal,
}

impl Severity {
    /// Penalty points; [`crate::book::BAN_POINTS`] of them are a ban.
    pub(crate) const fn points(self) -> u32 {
        match self {
            Self::Low => 1,
            Self::Medium => 10,
            Self::High => 50,
            Self::Fatal => 100,
        }
    }
}
