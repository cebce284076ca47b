//! How a node takes part in a network: addresses, limits, and the pace of gossip.

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use haggle_base::{AgentKey, NetworkId};

use crate::bucket::Rate;
use crate::relay::RelayLimits;
use crate::rendezvous::Rendezvous;

/// Most relays of the configuration that are used; further ones are left alone.
pub const MAX_RELAYS: usize = 8;

/// Says what a pointer (key, value) is worth here, before it is stored or handed to a caller.
pub type PointerCheck = Arc<dyn Fn(&[u8], &[u8]) -> PointerVerdict + Send + Sync>;

/// What the network's check says of a pointer.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum PointerVerdict {
    /// It belongs at its key.
    Good {
        /// How new it is.
        rank: PointerRank,
        /// How long it counts from now on, by its author's word.
        left: Duration,
    },
    /// It counts for nothing here, which may happen to an honest sender: its time is over, for example.
    Untimely,
    /// No honest sender has such a one.
    Bad,
}

/// How new a pointer is: of two at one key the greater one counts. One that is less new never replaces another.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PointerRank {
    seq: u64,
    id: Reverse<[u8; 32]>,
}

impl PointerRank {
    /// By number, and of those with the same number by id, the lower of which is the greater one.
    #[must_use]
    pub const fn new(seq: u64, id: [u8; 32]) -> Self {
        Self { seq, id: Reverse(id) }
    }
}

/// The settings of the network room. Make one with [`NetworkConfig::new`] and change fields.
#[derive(Clone)]
pub struct NetworkConfig {
    /// The network this node belongs to; it stands in every protocol name.
    pub network: NetworkId,
    /// What this node calls itself to others, for example `haggle/0.1.0`.
    pub agent: String,
    /// Addresses to listen on; port 0 takes a free one.
    pub listen: Vec<String>,
    /// Addresses under which others reach this node although it does not listen on them itself.
    pub external: Vec<String>,
    /// Agents whose DIDs are proved from the first connection on; more come with [`crate::Network::present`].
    pub agents: Vec<Arc<AgentKey>>,
    /// Peers to begin with, each with its `/p2p/` part.
    pub bootstrap: Vec<String>,
    /// Relays to reserve a place at, each with its `/p2p/` part, while nobody can reach this node directly: at most
    /// [`MAX_RELAYS`] of them are used.
    pub relays: Vec<String>,
    /// What this node gives at most as a relay; `None` if it relays for nobody. A relay needs a public address.
    pub relay: Option<RelayLimits>,
    /// Whether peers of the same local network are found by multicast DNS, which tells everybody there that this node
    /// exists and where it listens. Off while the listen addresses are hidden.
    pub mdns: bool,
    /// Whether peers are asked to dial this node's addresses, so that only those that work are told as external ones,
    /// and are answered when they ask (AutoNAT v2). This node itself does not ask while its listen addresses are hidden.
    pub autonat: bool,
    /// Whether a home router is asked to open this node's ports (UPnP). Not while the listen addresses are hidden.
    pub upnp: bool,
    /// Gossip topics of the network, as [`crate::topic`] writes them: this node publishes on all of them.
    pub topics: Vec<String>,
    /// Those of them on which it takes what others say; all, unless this says which.
    pub listens_to: Option<Vec<String>>,
    /// Most established connections, all peers together.
    pub max_connections: u32,
    /// Most connections that others open from one /24 of IPv4 or /48 of IPv6. Those of this machine and of local networks do not
    /// count, nor those that come through a relay.
    pub max_per_subnet: u32,
    /// How many peers this node looks for by itself; none if 0. Others may still connect up to `max_connections`. Of its
    /// own dials it lets go what nobody needs while there are more than half as many again.
    pub target_peers: usize,
    /// Whether loopback addresses are dialled and told to others, and many peers may share one IP
    /// address: for networks on one machine.
    pub loopback_ok: bool,
    /// Whether this node gossips at all. If not, it neither publishes nor subscribes.
    pub gossip: bool,
    /// Whether to keep the listen addresses from other peers (external ones are still told).
    pub hide_listen_addrs: bool,
    /// Time between two heartbeats of the gossip mesh.
    pub heartbeat: Duration,
    /// Largest gossip message in bytes.
    pub max_gossip_bytes: usize,
    /// Gossip messages taken from one peer before they are looked at; more are ignored.
    pub gossip_rate: Rate,
    /// Gossip messages that wait for a verdict, in the inbox and with its reader together.
    pub inbox_capacity: usize,
    /// Streams that one peer may hold open with us, all protocols together.
    pub max_streams_per_peer: usize,
    /// How long opening a stream may take, connecting included.
    pub open_timeout: Duration,
    /// How long connecting to a peer may take, looking up its addresses included.
    pub connect_timeout: Duration,
    /// How long [`crate::Network::ensure_dids`] waits for the peer's proofs.
    pub proof_timeout: Duration,
    /// How long a connection that nobody uses is kept.
    pub idle_timeout: Duration,
    /// How long a connection without a stream is kept while there are more than enough: longer than the pause between two
    /// visits or reconciliations.
    pub spare_timeout: Duration,
    /// How often a node that has peers enough dials one that it knew before, so that a network that was cut in two does not
    /// stay so.
    pub look_around: Duration,
    /// How long a peer stays banned after its penalties reached the limit.
    pub ban_time: Duration,
    /// Which pointers are stored for others and returned to callers. Refuses all by default.
    pub pointers: PointerCheck,
    /// The places at which declarations of others are kept. None by default.
    pub rendezvous: Vec<Rendezvous>,
}

impl NetworkConfig {
    /// The defaults for a node on the open internet.
    #[must_use]
    pub fn new(network: NetworkId) -> Self {
        Self {
            network,
            agent: concat!("haggle/", env!("CARGO_PKG_VERSION")).to_owned(),
            listen: vec!["/ip4/0.0.0.0/tcp/4404".to_owned(), "/ip4/0.0.0.0/udp/4404/quic-v1".to_owned()],
            external: Vec::new(),
            agents: Vec::new(),
            bootstrap: Vec::new(),
            relays: Vec::new(),
            relay: None,
            mdns: false,
            autonat: false,
            upnp: false,
            topics: Vec::new(),
            listens_to: None,
            max_connections: 64,
            max_per_subnet: 16,
            target_peers: 8,
            loopback_ok: false,
            gossip: true,
            hide_listen_addrs: false,
            heartbeat: Duration::from_secs(1),
            max_gossip_bytes: 64 * 1024,
            gossip_rate: Rate { per_second: 100, burst: 1000 },
            inbox_capacity: 1024,
            max_streams_per_peer: 64,
            open_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(8),
            proof_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(600),
            spare_timeout: Duration::from_secs(360),
            look_around: Duration::from_secs(300),
            ban_time: Duration::from_secs(600),
            pointers: Arc::new(|_, _| PointerVerdict::Bad),
            rendezvous: Vec::new(),
        }
    }

    /// A node on this machine only: free loopback ports over TCP and QUIC, a quick heartbeat.
    #[must_use]
    pub fn loopback(network: NetworkId) -> Self {
        Self {
            listen: vec!["/ip4/127.0.0.1/tcp/0".to_owned(), "/ip4/127.0.0.1/udp/0/quic-v1".to_owned()],
            loopback_ok: true,
            heartbeat: Duration::from_millis(400),
            ..Self::new(network)
        }
    }

    /// What tests use: [`NetworkConfig::loopback`] over TCP alone, accepting every pointer.
    #[must_use]
    pub fn for_testing(network: NetworkId) -> Self {
        Self {
            listen: vec!["/ip4/127.0.0.1/tcp/0".to_owned()],
            heartbeat: Duration::from_millis(300),
            pointers: Arc::new(|_, _| PointerVerdict::Good { rank: PointerRank::default(), left: Duration::MAX }),
            ..Self::loopback(network)
        }
    }
}

impl fmt::Debug for NetworkConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetworkConfig")
            .field("network", &self.network)
            .field("listen", &self.listen)
            .field("agents", &self.agents.len())
            .field("bootstrap", &self.bootstrap)
            .field("relays", &self.relays)
            .field("relay", &self.relay)
            .field("mdns", &self.mdns)
            .field("autonat", &self.autonat)
            .field("upnp", &self.upnp)
            .field("topics", &self.topics.len())
            .field("listens_to", &self.listens_to.as_ref().map(Vec::len))
            .field("max_connections", &self.max_connections)
            .field("target_peers", &self.target_peers)
            .field("loopback_ok", &self.loopback_ok)
            .field("gossip", &self.gossip)
            .finish_non_exhaustive()
    }
}
