//! What can go wrong in the network room, with a stable code and a hint for each.

use std::io;

use haggle_base::{Coded, PeerId};

use crate::frame::FrameError;
use crate::proof::ProofError;

/// An error of the network room.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NetworkError {
    /// The text is not a multiaddr that this node may listen on or dial.
    #[error("not a usable address: {text}")]
    BadAddress {
        /// The text as given.
        text: String,
    },
    /// The name of a protocol or a topic is malformed or belongs to another network.
    #[error("not a protocol or topic of this network: {name}")]
    BadName {
        /// The name as given, shortened.
        name: String,
    },
    /// The node could not listen on an address.
    #[error("cannot listen on {addr}")]
    Listen {
        /// The address.
        addr: String,
        /// Why.
        source: io::Error,
    },
    /// The transports or the behaviours could not be set up.
    #[error("cannot set up the network")]
    Setup {
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No known address of the peer answers.
    #[error("peer {peer} cannot be reached")]
    PeerUnreachable {
        /// The peer.
        peer: PeerId,
    },
    /// Nobody answers at the address.
    #[error("nobody answers at {addr}")]
    AddressUnreachable {
        /// The address.
        addr: String,
    },
    /// The node at the other end belongs to another network.
    #[error("peer {peer} is of another network")]
    WrongNetwork {
        /// The peer.
        peer: PeerId,
    },
    /// The peer is on this node's ban list.
    #[error("peer {peer} is banned here")]
    Banned {
        /// The peer.
        peer: PeerId,
    },
    /// The stream was not open in time.
    #[error("opening {protocol} to peer {peer} took too long")]
    OpenTimeout {
        /// The peer.
        peer: PeerId,
        /// The protocol.
        protocol: String,
    },
    /// The peer does not speak the protocol.
    #[error("peer {peer} does not speak {protocol}")]
    Unsupported {
        /// The peer.
        peer: PeerId,
        /// The protocol.
        protocol: String,
    },
    /// The peer holds as many of our streams as it allows.
    #[error("peer {peer} accepts no more streams from this node")]
    TooManyStreams {
        /// The peer.
        peer: PeerId,
    },
    /// The stream was lost again and again while it was being opened.
    #[error("the stream to peer {peer} was reset")]
    StreamReset {
        /// The peer.
        peer: PeerId,
    },
    /// The protocol already has an acceptor on this node.
    #[error("{protocol} is already being accepted")]
    AlreadyAccepted {
        /// The protocol.
        protocol: String,
    },
    /// No connected peer listens to the topic: nothing was sent and nothing is kept.
    #[error("no peer listens to {topic}")]
    NoPeers {
        /// The topic.
        topic: String,
    },
    /// The message is larger than gossip carries.
    #[error("a message of {size} bytes is larger than {max}")]
    MessageTooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        max: usize,
    },
    /// Gossip is switched off on this node.
    #[error("gossip is switched off")]
    GossipOff,
    /// A queue of the network room is full.
    #[error("the network is busy")]
    Busy,
    /// A pointer's key or value is too large.
    #[error("a pointer of {size} bytes is larger than {max}")]
    PointerTooLarge {
        /// Size of the part that is too large, in bytes.
        size: usize,
        /// Its limit in bytes.
        max: usize,
    },
    /// The check that the node was given refuses the pointer.
    #[error("the pointer does not pass this network's check")]
    PointerRefused,
    /// No peer stored the pointer, or this node keeps as many of its own as it may.
    #[error("the pointer is not stored")]
    PointerNotStored,
    /// A DID proof was refused.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// A frame was refused.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The node presents as many DIDs as a peer accepts.
    #[error("a node presents at most {max} DIDs")]
    TooManyDids {
        /// The limit.
        max: usize,
    },
    /// The network has been shut down.
    #[error("the network is shut down")]
    Closed,
}

impl NetworkError {
    /// Whether the same call may succeed a little later without any change.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::PeerUnreachable { .. }
            | Self::AddressUnreachable { .. }
            | Self::OpenTimeout { .. }
            | Self::TooManyStreams { .. }
            | Self::StreamReset { .. }
            | Self::NoPeers { .. }
            | Self::Busy
            | Self::PointerNotStored => true,
            Self::BadAddress { .. }
            | Self::BadName { .. }
            | Self::Listen { .. }
            | Self::Setup { .. }
            | Self::WrongNetwork { .. }
            | Self::Banned { .. }
            | Self::Unsupported { .. }
            | Self::AlreadyAccepted { .. }
            | Self::MessageTooLarge { .. }
            | Self::GossipOff
            | Self::PointerTooLarge { .. }
            | Self::PointerRefused
            | Self::Proof(_)
            | Self::Frame(_)
            | Self::TooManyDids { .. }
            | Self::Closed => false,
        }
    }
}

impl Coded for NetworkError {
    fn code(&self) -> &'static str {
        match self {
            Self::BadAddress { .. } => "bad_address",
            Self::BadName { .. } => "bad_protocol_name",
            Self::Listen { .. } => "listen_failed",
            Self::Setup { .. } => "network_setup_failed",
            Self::PeerUnreachable { .. } | Self::AddressUnreachable { .. } => "peer_unreachable",
            Self::WrongNetwork { .. } => "wrong_network",
            Self::Banned { .. } => "peer_banned",
            Self::OpenTimeout { .. } => "open_timeout",
            Self::Unsupported { .. } => "protocol_unsupported",
            Self::TooManyStreams { .. } => "too_many_streams",
            Self::StreamReset { .. } => "stream_reset",
            Self::AlreadyAccepted { .. } => "already_accepted",
            Self::NoPeers { .. } => "no_peers",
            Self::MessageTooLarge { .. } => "message_too_large",
            Self::GossipOff => "gossip_off",
            Self::Busy => "network_busy",
            Self::PointerTooLarge { .. } => "pointer_too_large",
            Self::PointerRefused => "pointer_refused",
            Self::PointerNotStored => "pointer_not_stored",
            Self::Proof(error) => error.code(),
            Self::Frame(error) => error.code(),
            Self::TooManyDids { .. } => "too_many_dids",
            Self::Closed => "network_closed",
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::BadAddress { .. } => "write a TCP or QUIC multiaddr such as /ip4/127.0.0.1/tcp/4001/p2p/12D3Koo...",
            Self::BadName { .. } => "start the name with /haggle/<network>/ of this network",
            Self::Listen { .. } => "choose a free port, or an address of this machine",
            Self::Setup { .. } => "report this with the log: it is a fault of the node",
            Self::PeerUnreachable { .. } | Self::AddressUnreachable { .. } => {
                "check that the peer is up and that its address is reachable, then try again"
            }
            Self::WrongNetwork { .. } => "use the same network file on both nodes",
            Self::Banned { .. } => "wait until the ban ends, or lift it",
            Self::OpenTimeout { .. } | Self::StreamReset { .. } => "try again in a moment",
            Self::Unsupported { .. } => "the peer does not offer this service; choose another peer",
            Self::TooManyStreams { .. } => "close streams to the peer before opening new ones",
            Self::AlreadyAccepted { .. } => "drop the first acceptor before a second is made",
            Self::NoPeers { .. } => "keep the message and publish it when a peer has connected",
            Self::MessageTooLarge { .. } => "shorten the record",
            Self::GossipOff => "switch gossip on in the configuration of this node",
            Self::Busy => "slow down and try again",
            Self::PointerTooLarge { .. } => "keep pointers at 1 KiB or less",
            Self::PointerRefused => "sign the pointer and give it the right key",
            Self::PointerNotStored => {
                "wait for peers to connect, then publish the pointer again; a node keeps 1024 of its own"
            }
            Self::Proof(error) => error.hint(),
            Self::Frame(error) => error.hint(),
            Self::TooManyDids { .. } => "serve further agents from another node",
            Self::Closed => "start the network again",
        }
    }
}
