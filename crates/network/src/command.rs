//! What the handle asks of the worker.

use std::time::Duration;

use haggle_base::PeerId;
use libp2p::Multiaddr;
use tokio::sync::{mpsc, oneshot};

use crate::config::PointerRank;
use crate::error::NetworkError;
use crate::events::Severity;
use crate::rendezvous::{Member, Rendezvous};

/// Where the worker puts its answer.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, NetworkError>>;

/// A pointer that passed the check, and how new it is.
pub(crate) type RankedPointer = (PointerRank, Vec<u8>);

/// One request. Each is answered exactly once, unless the network is shut down.
#[derive(Debug)]
pub(crate) enum Command {
    Publish {
        topic: String,
        bytes: Vec<u8>,
        reply: Reply<()>,
    },
    Subscribers {
        topic: String,
        reply: Reply<usize>,
    },
    Connect {
        peer: PeerId,
        addrs: Vec<Multiaddr>,
        reply: Reply<PeerId>,
    },
    Dial {
        addr: Multiaddr,
        reply: Reply<PeerId>,
    },
    PutPointer {
        key: Vec<u8>,
        value: Vec<u8>,
        reply: Reply<()>,
    },
    GetPointer {
        key: Vec<u8>,
        /// Gets each value as it comes in, and is closed after the last one.
        reply: Reply<mpsc::Receiver<RankedPointer>>,
    },
    Declare {
        at: Rendezvous,
        reply: Reply<()>,
    },
    Seek {
        at: Rendezvous,
        /// Gets each member as it is heard of, and is closed after the last one.
        reply: Reply<mpsc::Receiver<Member>>,
    },
    Report {
        peer: PeerId,
        severity: Severity,
    },
    Ban {
        peer: PeerId,
        time: Duration,
    },
    Unban {
        peer: PeerId,
    },
    /// The peer knows nothing of the connections that stand: give them up and begin anew.
    BeginAnew {
        peer: PeerId,
    },
    /// Tell connected peers which protocols are spoken now.
    Introduce,
}
