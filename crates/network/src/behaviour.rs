//! The libp2p behaviours of a node and how they are set up.

use std::collections::HashSet;
use std::time::Duration;

use haggle_base::record::gossip_id;
use libp2p::allow_block_list::{self, BlockedPeers};
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::gossipsub::{
    self, IdentityTransform, MaxCountSubscriptionFilter, MessageAuthenticity, MessageId, PeerScoreParams,
    PeerScoreThresholds, TopicScoreParams, ValidationMode, WhitelistSubscriptionFilter,
};
use libp2p::identity::Keypair;
use libp2p::kad::store::{MemoryStore, MemoryStoreConfig};
use libp2p::metrics::Registry;
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{Multiaddr, PeerId, StreamProtocol, Swarm, SwarmBuilder, identify, kad, noise, ping, relay, tcp, yamux};

use crate::address;
use crate::config::NetworkConfig;
use crate::doze::Doze;
use crate::error::NetworkError;
use crate::guard::Guard;
use crate::lane::Lane;
use crate::local::Local;
use crate::mapping::Mapping;
use crate::pointers::{MAX_OWN_POINTERS, MAX_POINTERS};
use crate::protocol;
use crate::punching::Punching;
use crate::reach::{Answering, Asking};
use crate::relay::{self as relaying, Holders};
use crate::rendezvous::{KAD_PACKET_BYTES, MAX_MEMBERS};

/// The largest value of a pointer in bytes.
pub const MAX_POINTER_BYTES: usize = haggle_base::pointer::MAX_POINTER_BYTES;
/// The largest key of a pointer in bytes.
pub const MAX_POINTER_KEY_BYTES: usize = 128;
/// How long a pointer lives unless it is stored again.
pub(crate) const POINTER_LIFE: Duration = Duration::from_secs(48 * 3600);
/// Connections of one peer. Two that call each other at once through a relay and punch twice, each from both sides, have six,
/// and those that one side denies may be the ones that the other has chosen to stand.
const MAX_CONNECTIONS_PER_PEER: u32 = 8;
/// Connections being set up, in each direction.
const MAX_PENDING_CONNECTIONS: u32 = 32;
/// Streams of one connection, all protocols together.
const MAX_STREAMS_PER_CONNECTION: usize = 256;
/// Control entries (IHAVE, IWANT) in one gossip message; more would not fit the size below.
const MAX_CONTROL_MESSAGES: usize = 400;
/// Size of the control part of a gossip message that is accepted, in bytes.
const MAX_CONTROL_BYTES: usize = 64 * 1024;
/// What gossipsub puts around a message: its own limit counts the whole packet when it receives,
/// but only the message when it sends.
const GOSSIP_OVERHEAD: usize = 1024;
/// Messages queued for one slow peer before they are dropped.
const GOSSIP_QUEUE: usize = 1000;
/// Peers that whole messages travel to and from, for each topic: as many as are looked for, the least and the most. Fewer
/// than gossipsub's own 6, 5 and 12, because what the mesh loses is repaired twice, by the offers of each heartbeat and by
/// reconciliation: each further one is a copy of every record.
const MESH: usize = 5;
const MESH_LOW: usize = 4;
const MESH_HIGH: usize = 7;
/// How long a gossip message is remembered as seen.
const SEEN_FOR: Duration = Duration::from_secs(120);
/// How long a message may wait for its verdict and still spread.
const VERDICT_WINDOW: Duration = Duration::from_secs(8);
/// How long messages are offered again to peers that may have missed them.
const OFFER_WINDOW: Duration = Duration::from_secs(3);
/// How long a QUIC connection may be silent before it counts as dead; it is kept alive four times as often.
const SILENCE: Duration = Duration::from_secs(20);
/// The same on one machine, where nothing is far away.
const LOOPBACK_SILENCE: Duration = Duration::from_secs(4);
/// One Kademlia query, and one request inside it.
const KAD_QUERY_TIMEOUT: Duration = Duration::from_secs(10);
const KAD_REQUEST_TIMEOUT: Duration = Duration::from_secs(4);

/// Gossipsub, restricted to the topics of this network that the node takes part in.
pub(crate) type Gossipsub =
    gossipsub::Behaviour<IdentityTransform, MaxCountSubscriptionFilter<WhitelistSubscriptionFilter>>;

/// All behaviours. Those that refuse connections stand first, so that the others never hear of a refused one.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    pub(crate) quiet: Doze<Quiet>,
    pub(crate) gossip: Toggle<Gossipsub>,
}

/// Those that have something to do now and then only. The three that refuse connections stand first.
#[derive(NetworkBehaviour)]
pub(crate) struct Quiet {
    pub(crate) limits: connection_limits::Behaviour,
    pub(crate) blocked: allow_block_list::Behaviour<BlockedPeers>,
    pub(crate) guard: Guard,
    pub(crate) identify: identify::Behaviour,
    pub(crate) ping: ping::Behaviour,
    pub(crate) kad: kad::Behaviour<MemoryStore>,
    pub(crate) streams: Lane,
    pub(crate) relayed_streams: Lane,
    pub(crate) relay_client: relay::client::Behaviour,
    pub(crate) relay: Toggle<relay::Behaviour>,
    pub(crate) punching: Punching,
    pub(crate) mdns: Toggle<Local>,
    pub(crate) asking: Toggle<Asking>,
    pub(crate) answering: Toggle<Answering>,
    pub(crate) mapping: Toggle<Mapping>,
}

/// Builds the swarm: TCP with noise and yamux, QUIC, DNS, circuits through relays, and the behaviours.
pub(crate) fn swarm(
    config: &NetworkConfig,
    keypair: Keypair,
    registry: &mut Registry,
    holders: &Holders,
) -> Result<Swarm<Behaviour>, NetworkError> {
    let gossip = if config.gossip { Some(gossip(config, registry)?) } else { None };
    let mut muxer = yamux::Config::default();
    muxer.set_max_num_streams(MAX_STREAMS_PER_CONNECTION);
    let circuit_muxer = muxer.clone();
    let builder = SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, || muxer)
        .map_err(setup)?
        .with_quic_config(|mut quic| {
            // a peer that was killed closes no QUIC connection: only silence tells
            let silence = if config.loopback_ok { LOOPBACK_SILENCE } else { SILENCE };
            quic.max_idle_timeout = u32::try_from(silence.as_millis()).unwrap_or(u32::MAX);
            quic.keep_alive_interval = silence / 4;
            quic.max_stream_data = 2 * 1024 * 1024;
            quic.max_connection_data = 8 * 1024 * 1024;
            quic
        })
        .with_dns()
        .map_err(setup)?
        .with_relay_client(noise::Config::new, || circuit_muxer)
        .map_err(setup)?
        .with_behaviour(|keypair, circuits| {
            behaviour(config, keypair, gossip, circuits, holders)
                .map_err(Box::<dyn std::error::Error + Send + Sync>::from)
        })
        .map_err(setup)?;
    let idle = config.idle_timeout;
    Ok(builder
        .with_swarm_config(|swarm| {
            swarm
                .with_idle_connection_timeout(idle)
                .with_max_negotiating_inbound_streams(MAX_STREAMS_PER_CONNECTION)
                .with_smart_dial()
        })
        .build())
}

/// The addresses a swarm listens on and its external ones, each with its `/p2p/` part.
pub(crate) fn addrs(swarm: &Swarm<Behaviour>, loopback_ok: bool) -> Vec<String> {
    let local = *swarm.local_peer_id();
    let told = |addrs: &mut dyn Iterator<Item = &Multiaddr>| -> Vec<String> {
        let mut told: Vec<String> = addrs
            // what a relay says of itself is a stranger's word
            .filter(|addr| !address::is_relayed(addr) || address::is_dialable(addr, loopback_ok))
            .filter_map(|addr| addr.clone().with_p2p(local).ok())
            .map(|addr| addr.to_string())
            .collect();
        told.sort_unstable();
        told.dedup();
        told
    };
    // a card has room for a few: those that are known to work come first
    let mut addrs = told(&mut swarm.external_addresses());
    for addr in told(&mut swarm.listeners()) {
        if !addrs.contains(&addr) {
            addrs.push(addr);
        }
    }
    addrs
}

fn setup(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> NetworkError {
    NetworkError::Setup { source: error.into() }
}

fn behaviour(
    config: &NetworkConfig,
    keypair: &Keypair,
    gossip: Option<Gossipsub>,
    relay_client: relay::client::Behaviour,
    holders: &Holders,
) -> Result<Behaviour, NetworkError> {
    let local = keypair.public().to_peer_id();
    let relay = config.relay.map(|limits| relaying::behaviour(local, limits, config.loopback_ok, holders));
    let identify = identify::Config::new(protocol::family(&config.network), keypair.public())
        .with_agent_version(config.agent.clone())
        .with_push_listen_addr_updates(true)
        .with_hide_listen_addrs(config.hide_listen_addrs)
        .with_cache_size(0);
    let ping = ping::Config::new().with_interval(Duration::from_secs(15)).with_timeout(Duration::from_secs(15));
    let quiet = Quiet {
        limits: connection_limits::Behaviour::new(limits(config)),
        blocked: allow_block_list::Behaviour::default(),
        guard: Guard::new(config.loopback_ok, config.max_per_subnet),
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::new(ping),
        kad: kademlia(config, local)?,
        streams: Lane::new(false),
        relayed_streams: Lane::new(true),
        relay_client,
        relay: Toggle::from(relay),
        punching: Punching::new(local, config.loopback_ok),
        mdns: Toggle::from((config.mdns && !config.hide_listen_addrs).then(|| Local::new(local))),
        asking: Toggle::from((config.autonat && !config.hide_listen_addrs).then(|| Asking::new(config.loopback_ok))),
        answering: Toggle::from(config.autonat.then(|| Answering::new(config.loopback_ok))),
        mapping: Toggle::from((config.upnp && !config.hide_listen_addrs).then(Mapping::new)),
    };
    Ok(Behaviour { quiet: Doze::new(quiet), gossip: Toggle::from(gossip) })
}

fn limits(config: &NetworkConfig) -> ConnectionLimits {
    let all = config.max_connections;
    // A quarter of the places stays for peers that this node chooses itself.
    let inbound = all - all / 4;
    ConnectionLimits::default()
        .with_max_pending_incoming(Some(MAX_PENDING_CONNECTIONS))
        .with_max_pending_outgoing(Some(MAX_PENDING_CONNECTIONS))
        .with_max_established_incoming(Some(inbound))
        .with_max_established(Some(all))
        .with_max_established_per_peer(Some(MAX_CONNECTIONS_PER_PEER))
}

/// Kademlia under our own name. The default settings would join the IPFS network, store whatever
/// anybody sends, connect to everybody, and serve nothing without a confirmed external address.
fn kademlia(config: &NetworkConfig, local: PeerId) -> Result<kad::Behaviour<MemoryStore>, NetworkError> {
    let name = StreamProtocol::try_from_owned(protocol::kad(&config.network)).map_err(setup)?;
    let mut settings = kad::Config::new(name);
    settings
        .set_kbucket_inserts(kad::BucketInserts::Manual)
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .disjoint_query_paths(true)
        .set_caching(kad::Caching::Disabled)
        .set_query_timeout(KAD_QUERY_TIMEOUT)
        .set_substreams_timeout(KAD_REQUEST_TIMEOUT)
        .set_record_ttl(Some(POINTER_LIFE))
        // an own pointer is stored again by whoever signs it: only that one knows whether it still holds
        .set_publication_interval(None)
        .set_provider_record_ttl(Some(POINTER_LIFE))
        .set_max_packet_size(KAD_PACKET_BYTES)
        // who is a member declares itself again while it is one
        .set_provider_publication_interval(None);
    let store = MemoryStoreConfig {
        max_records: MAX_POINTERS + MAX_OWN_POINTERS,
        // The store refuses values of this size or more.
        max_value_bytes: MAX_POINTER_BYTES + 1,
        max_providers_per_key: MAX_MEMBERS,
        max_provided_keys: config.rendezvous.len(),
    };
    let store = MemoryStore::with_config(local, store);
    let mut kad = kad::Behaviour::with_config(local, store, settings);
    kad.set_mode(Some(kad::Mode::Server));
    Ok(kad)
}

fn gossip(config: &NetworkConfig, registry: &mut Registry) -> Result<Gossipsub, NetworkError> {
    let beats = |window: Duration, least: usize| {
        let beats = window.as_millis() / config.heartbeat.as_millis().max(1);
        usize::try_from(beats).unwrap_or(least).max(least)
    };
    let settings = gossipsub::ConfigBuilder::default()
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        .message_id_fn(|message| MessageId::new(&gossip_id(&message.data)))
        .mesh_n(MESH)
        .mesh_n_low(MESH_LOW)
        .mesh_n_high(MESH_HIGH)
        // an own record goes to the mesh, and is offered to others at the next heartbeat: were it sent to all peers at once,
        // each of them would have it once more than it needs
        .flood_publish(false)
        .max_transmit_size(config.max_gossip_bytes + GOSSIP_OVERHEAD)
        .max_control_messages_sent(MAX_CONTROL_MESSAGES)
        .max_control_message_size(MAX_CONTROL_BYTES)
        .connection_handler_queue_len(GOSSIP_QUEUE)
        .heartbeat_interval(config.heartbeat)
        .heartbeat_initial_delay(Duration::from_millis(100))
        .history_gossip(beats(OFFER_WINDOW, 3))
        .history_length(beats(VERDICT_WINDOW, 5))
        .duplicate_cache_time(SEEN_FOR)
        .build()
        .map_err(setup)?;
    let topics: HashSet<_> = config.topics.iter().map(|topic| gossipsub::IdentTopic::new(topic).hash()).collect();
    let filter = MaxCountSubscriptionFilter {
        max_subscribed_topics: topics.len().max(1),
        max_subscriptions_per_request: topics.len().max(1) * 2,
        filter: WhitelistSubscriptionFilter(topics.clone()),
    };
    let mut gossip = Gossipsub::new_with_subscription_filter(MessageAuthenticity::Anonymous, settings, filter)
        .map_err(setup)?
        .with_metrics(registry.sub_registry_with_prefix("gossipsub"), gossipsub::MetricsConfig::default());
    gossip.with_peer_score(score(config, topics), PeerScoreThresholds::default()).map_err(setup)?;
    let is_heard = |topic: &&String| config.listens_to.as_ref().is_none_or(|heard| heard.contains(topic));
    for topic in config.topics.iter().filter(is_heard) {
        gossip.subscribe(&gossipsub::IdentTopic::new(topic)).map_err(setup)?;
    }
    Ok(gossip)
}

/// Scores punish invalid messages and broken rules. They do not demand a flow of messages: a
/// quiet market is healthy.
fn score(config: &NetworkConfig, topics: HashSet<gossipsub::TopicHash>) -> PeerScoreParams {
    let topic = TopicScoreParams {
        topic_weight: 1.0,
        time_in_mesh_weight: 0.01,
        time_in_mesh_quantum: Duration::from_secs(1),
        time_in_mesh_cap: 300.0,
        first_message_deliveries_weight: 0.1,
        first_message_deliveries_decay: 0.9,
        first_message_deliveries_cap: 50.0,
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        // One invalid message is forgiven in about five minutes, three within that time graylist.
        invalid_message_deliveries_weight: -10.0,
        invalid_message_deliveries_decay: 0.985,
        ..TopicScoreParams::default()
    };
    PeerScoreParams {
        topics: topics.into_iter().map(|hash| (hash, topic.clone())).collect(),
        topic_score_cap: 20.0,
        app_specific_weight: 1.0,
        ip_colocation_factor_weight: if config.loopback_ok { 0.0 } else { -5.0 },
        behaviour_penalty_threshold: 6.0,
        behaviour_penalty_decay: 0.9,
        slow_peer_weight: if config.loopback_ok { 0.0 } else { -0.2 },
        slow_peer_threshold: 10.0,
        retain_score: Duration::from_secs(600),
        ..PeerScoreParams::default()
    }
}
