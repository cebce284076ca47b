//! # haggle-network
//!
//! The network room: carries bytes between nodes and knows no market. The only room that knows
//! libp2p.
//!
//! Three nouns:
//! - [`Network`], the handle: connect, publish, open and accept streams, put and get pointers,
//!   prove DIDs. Behind it one worker owns the swarm (TCP and QUIC, noise, yamux, identify, ping,
//!   gossipsub, Kademlia, connection limits).
//! - [`Inbox`], the messages that came by gossip, each with a [`Verdict`] to be given.
//! - [`Stream`], bytes to or from one peer, opened by protocol name.
//!
//! What it promises: peers of another network never get past identify; every queue, map, frame
//! and stream count has a named bound; a peer's DID is told only after the peer has signed this
//! node's own question with the agent key; a stream that [`Network::open`] returns has been
//! accepted by the other side.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use haggle_base::{Seed, SystemClock};
//! # use haggle_network::{Network, NetworkConfig, topic};
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let network = "devnet-7/1".parse()?;
//! let mut config = NetworkConfig::loopback(network);
//! config.topics = vec![topic(&config.network, 0)];
//! let key = Seed::devnet(7, 0).node_key();
//! let (alice, mut inbox) = Network::start(config, &key, Arc::new(SystemClock), None).await?;
//! while let Some(message) = inbox.gossip.recv().await {
//!     println!("{} bytes from {}", message.bytes.len(), message.from);
//!     message.verdict.ignore();
//! }
//! alice.shutdown().await;
//! # Ok(()) }
//! ```
//!
//! It does not decide what a good message is, keeps nothing on disk, and repeats nothing by
//! itself: whoever publishes keeps an outbox. The wire is described in
//! `docs/protocols/network.md`.

mod address;
mod behaviour;
mod book;
mod bucket;
mod command;
mod config;
mod did;
mod doze;
mod error;
mod events;
pub mod frame;
mod guard;
mod handle;
mod inbox;
mod lane;
mod local;
mod mapping;
mod metrics;
mod nearby;
mod offer;
mod pointers;
mod proof;
mod protocol;
mod punching;
mod reach;
mod relay;
mod rendezvous;
mod shared;
mod stream;
mod subnet;
mod ticket;
mod worker;

pub use address::Transport;
pub use behaviour::{MAX_POINTER_BYTES, MAX_POINTER_KEY_BYTES};
pub use bucket::Rate;
pub use config::{MAX_RELAYS, NetworkConfig, PointerCheck, PointerRank, PointerVerdict};
pub use error::NetworkError;
pub use events::{NetworkEvent, Path, PeerFacts, Severity};
pub use handle::Network;
pub use inbox::{Gossip, Inbox, Verdict};
pub use proof::{MAX_DIDS_PER_PEER, ProofError};
pub use protocol::{did as did_protocol, family, kad as kad_protocol, scoped, topic};
pub use reach::Reach;
pub use relay::RelayLimits;
pub use rendezvous::{Member, Rendezvous};
pub use stream::{Incoming, Stream};
pub use ticket::{MAX_TICKET_ADDRS, MAX_TICKET_CHARS, TICKET_PREFIX, Ticket, TicketError};
