//! The worker: owns the swarm, and does nothing but dispatch what happens to `on_*` methods.

mod connecting;
mod exploring;
mod gossiping;
mod meeting;
mod noticing;
mod pointing;
mod reaching;
mod relaying;
mod sparing;
mod waiting;

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use haggle_base::{Clock, PeerId};
use libp2p::metrics::Recorder;
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{Multiaddr, Swarm, identify, kad, ping};
use tokio::sync::{broadcast, mpsc};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use self::connecting::{Bootstrap, Discovery};
use self::pointing::Query;
use self::relaying::Place;
use self::waiting::Waiting;
use crate::address;
use crate::behaviour::{self, Behaviour, BehaviourEvent, QuietEvent};
use crate::command::{Command, Reply};
use crate::config::NetworkConfig;
use crate::did::Proofs;
use crate::error::NetworkError;
use crate::events::{NetworkEvent, Severity};
use crate::inbox::{Gossip, Ruling};
use crate::metrics::Metrics;
use crate::nearby::Nearby;
use crate::pointers::Pointers;
use crate::relay::Holders;
use crate::rendezvous::Rendezvous;
use crate::shared::Shared;

/// How often the worker looks at what is due while somebody waits for it.
const TICK: Duration = Duration::from_millis(100);
/// And otherwise: a node at rest is woken by little else.
const CALM_TICK: Duration = Duration::from_millis(250);
/// How long closing connections may take at shutdown.
const FAREWELL: Duration = Duration::from_millis(300);
/// Pings that may fail in a row before a connection is closed.
const MAX_FAILED_PINGS: u32 = 3;

/// Everything the worker is made of.
pub(crate) struct Parts {
    pub(crate) swarm: Box<Swarm<Behaviour>>,
    pub(crate) config: NetworkConfig,
    pub(crate) local: PeerId,
    pub(crate) bootstrap: Vec<(PeerId, Vec<Multiaddr>)>,
    pub(crate) relays: Vec<(PeerId, Vec<Multiaddr>)>,
    pub(crate) holders: Holders,
    pub(crate) shared: Arc<Shared>,
    pub(crate) proofs: Arc<Proofs>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) events: broadcast::Sender<NetworkEvent>,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) inbox: mpsc::Sender<Gossip>,
    pub(crate) metrics: Metrics,
    pub(crate) libp2p_metrics: libp2p::metrics::Metrics,
    pub(crate) token: CancellationToken,
}

pub(crate) struct Worker {
    swarm: Box<Swarm<Behaviour>>,
    config: NetworkConfig,
    local: PeerId,
    shared: Arc<Shared>,
    proofs: Arc<Proofs>,
    clock: Arc<dyn Clock>,
    events: broadcast::Sender<NetworkEvent>,
    commands: mpsc::Receiver<Command>,
    inbox: mpsc::Sender<Gossip>,
    ruling: mpsc::Sender<Ruling>,
    rulings: mpsc::Receiver<Ruling>,
    metrics: Metrics,
    libp2p_metrics: libp2p::metrics::Metrics,
    token: CancellationToken,
    family: String,
    bootstrap: Vec<Bootstrap>,
    /// Places at relays, held or wanted.
    places: Vec<Place>,
    /// Who holds a place here.
    holders: Holders,
    discovery: Discovery,
    /// Peers on the same local network.
    nearby: Nearby,
    /// Where connected peers see this node.
    seen_at: HashMap<PeerId, IpAddr>,
    /// What the router says it opened, each address with its port.
    mapped: Vec<Multiaddr>,
    /// Whether gossip was dropped since that was last told.
    has_dropped: bool,
    /// When it may be told again.
    tell_dropped: Duration,
    /// When to look next at whether others can dial this node.
    look_at_reach: Duration,
    /// When to look next at whether there are more connections than are needed.
    look_at_spare: Duration,
    /// When to dial next a peer that was known before.
    look_around_at: Duration,
    /// Callers that wait for a peer to be connected.
    waiting: HashMap<PeerId, Waiting>,
    /// Callers that dialled an address without knowing who lives there.
    dials: HashMap<ConnectionId, (Multiaddr, Reply<PeerId>)>,
    queries: HashMap<kad::QueryId, Query>,
    /// What lies in the store of pointers.
    pointers: Pointers,
    /// The keys at which declarations of members are kept.
    places_kept: HashSet<kad::RecordKey>,
    /// Banned peers, each with the time (since the start) when the ban ends.
    bans: HashMap<PeerId, Duration>,
}

impl Worker {
    pub(crate) fn new(parts: Parts) -> Self {
        let (ruling, rulings) = mpsc::channel(parts.config.inbox_capacity.max(1));
        let family = crate::protocol::family(&parts.config.network);
        let key = |at: &Rendezvous| kad::RecordKey::new(&at.key(&parts.config.network));
        let places_kept = parts.config.rendezvous.iter().map(key).collect();
        Self {
            swarm: parts.swarm,
            local: parts.local,
            shared: parts.shared,
            proofs: parts.proofs,
            clock: parts.clock,
            events: parts.events,
            commands: parts.commands,
            inbox: parts.inbox,
            ruling,
            rulings,
            metrics: parts.metrics,
            libp2p_metrics: parts.libp2p_metrics,
            token: parts.token,
            family,
            bootstrap: parts.bootstrap.into_iter().map(Bootstrap::new).collect(),
            places: parts.relays.into_iter().map(Place::new).collect(),
            holders: parts.holders,
            discovery: Discovery::default(),
            nearby: Nearby::new(parts.local),
            seen_at: HashMap::new(),
            mapped: Vec::new(),
            has_dropped: false,
            tell_dropped: Duration::ZERO,
            look_at_reach: Duration::ZERO,
            look_at_spare: Duration::ZERO,
            look_around_at: parts.config.look_around,
            waiting: HashMap::new(),
            dials: HashMap::new(),
            queries: HashMap::new(),
            pointers: Pointers::default(),
            places_kept,
            bans: HashMap::new(),
            config: parts.config,
        }
    }

    /// Runs until the token is cancelled or all handles are gone.
    pub(crate) async fn run(mut self) {
        self.on_listeners_changed();
        let mut tick = pin!(sleep(Duration::ZERO));
        loop {
            tokio::select! {
                () = self.token.cancelled() => break,
                event = self.swarm.select_next_some() => self.on_swarm_event(event),
                command = self.commands.recv() => match command {
                    Some(command) => self.on_command(command),
                    None => break,
                },
                Some(ruling) = self.rulings.recv() => self.on_ruling(&ruling),
                () = tick.as_mut() => {
                    self.on_tick();
                    tick.as_mut().reset(Instant::now() + CALM_TICK);
                }
            }
            if self.is_awaited() && tick.deadline() > Instant::now() + TICK {
                tick.as_mut().reset(Instant::now() + TICK);
            }
        }
        self.say_farewell().await;
    }

    /// Whether somebody waits for something that a tick may end.
    fn is_awaited(&self) -> bool {
        !(self.waiting.is_empty() && self.dials.is_empty() && self.queries.is_empty())
    }

    /// Closes all connections so that peers need not wait for a timeout to notice.
    async fn say_farewell(mut self) {
        let connected: Vec<_> = self.swarm.connected_peers().copied().collect();
        for peer in connected {
            let _was_connected = self.swarm.disconnect_peer_id(peer);
        }
        let closed = async {
            while self.swarm.connected_peers().next().is_some() {
                self.swarm.select_next_some().await;
            }
        };
        if tokio::time::timeout(FAREWELL, closed).await.is_err() {
            tracing::debug!("not all connections were closed at shutdown");
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Publish { topic, bytes, reply } => {
                answer(reply, self.publish(topic, bytes));
            }
            Command::Subscribers { topic, reply } => answer(reply, Ok(self.subscribers(&topic))),
            Command::Connect { peer, addrs, reply } => self.connect(peer, addrs, reply),
            Command::Dial { addr, reply } => self.dial(addr, reply),
            Command::PutPointer { key, value, reply } => self.put_pointer(key, value, reply),
            Command::GetPointer { key, reply } => self.get_pointer(&key, reply),
            Command::Declare { at, reply } => self.declare(at, reply),
            Command::Seek { at, reply } => self.seek(at, reply),
            Command::Report { peer, severity } => self.penalise(peer, severity),
            Command::Ban { peer, time } => self.ban(peer, time),
            Command::Unban { peer } => self.unban(&peer),
            Command::BeginAnew { peer } => self.begin_anew(peer),
            Command::Introduce => self.introduce(),
        }
    }

    fn on_swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        self.libp2p_metrics.record(&event);
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.on_connected(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, cause, .. } => {
                if let Some(cause) = cause {
                    tracing::debug!(peer.id = %peer_id, cause = %cause, "a connection to {peer_id} closed");
                }
                self.on_closed(&peer_id, connection_id);
            }
            SwarmEvent::OutgoingConnectionError { peer_id, connection_id, error } => {
                self.on_dial_failed(peer_id, connection_id, &error);
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                if self.config.relay.is_some() {
                    self.swarm.remove_external_address(&address);
                }
                self.on_listeners_changed();
            }
            SwarmEvent::NewListenAddr { .. }
            | SwarmEvent::ExternalAddrConfirmed { .. }
            | SwarmEvent::ExternalAddrExpired { .. } => self.on_listeners_changed(),
            SwarmEvent::ListenerClosed { listener_id, reason, .. } => {
                self.on_listeners_changed();
                self.on_place_lost(listener_id, reason.err().as_ref());
            }
            SwarmEvent::ListenerError { error, .. } => {
                tracing::warn!(error = %error, "a listener has trouble: {error}");
            }
            SwarmEvent::IncomingConnectionError { error, send_back_addr, .. } => {
                tracing::debug!(peer.addr = %send_back_addr, error = %error, "refused a connection from {send_back_addr}");
            }
            // Dialing, external address candidates and whatever libp2p adds.
            _ => {}
        }
    }

    fn on_behaviour_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Gossip(event) => {
                self.libp2p_metrics.record(&event);
                self.on_gossip(event);
            }
            BehaviourEvent::Quiet(event) => self.on_quiet_event(event),
        }
    }

    fn on_quiet_event(&mut self, event: QuietEvent) {
        match event {
            QuietEvent::Identify(event) => {
                self.libp2p_metrics.record(&event);
                if let identify::Event::Received { connection_id, peer_id, info } = event {
                    self.on_identified(peer_id, connection_id, info);
                }
            }
            QuietEvent::Ping(event) => {
                self.libp2p_metrics.record(&event);
                self.on_ping(&event);
            }
            QuietEvent::Kad(event) => {
                self.libp2p_metrics.record(&event);
                self.on_kad(event);
            }
            QuietEvent::RelayClient(event) => self.on_circuit(&event),
            QuietEvent::Relay(event) => {
                self.libp2p_metrics.record(&event);
                self.on_relay(&event);
            }
            QuietEvent::Punching(event) => {
                self.libp2p_metrics.record(&event);
                self.on_punched(&event);
            }
            QuietEvent::Mdns(event) => self.on_mdns(event),
            QuietEvent::Asking(verdict) => self.on_verdict(&verdict),
            QuietEvent::Answering(event) => Self::on_tried(&event),
            QuietEvent::Mapping(event) => self.on_mapping(event),
            QuietEvent::Limits(never) | QuietEvent::Blocked(never) | QuietEvent::Guard(never) => match never {},
            QuietEvent::Streams(()) | QuietEvent::RelayedStreams(()) => {}
        }
    }

    fn on_ping(&mut self, event: &ping::Event) {
        let Some(peer) = address::from_libp2p(&event.peer) else { return };
        let round_trip = match &event.result {
            Ok(round_trip) => Some(*round_trip),
            Err(ping::Failure::Unsupported) => return,
            Err(_) => None,
        };
        let failed = self.shared.with(|book| book.pinged(&peer, event.connection, round_trip));
        if failed >= MAX_FAILED_PINGS {
            tracing::info!(peer.id = %peer, "peer {peer} answers no pings: closing the connection");
            let _was_open = self.swarm.close_connection(event.connection);
        }
    }

    fn on_tick(&mut self) {
        let elapsed = self.shared.elapsed();
        self.swarm.behaviour_mut().quiet.rouse();
        self.lift_bans(elapsed);
        self.tend_waiting(elapsed);
        self.drop_silent(elapsed);
        self.tell_of_dropped(elapsed);
        self.dial_bootstrap(elapsed);
        self.discover(elapsed);
        self.dial_nearby(elapsed);
        self.tend_reach(elapsed);
        self.reserve(elapsed);
        self.close_replaced(elapsed);
        self.close_spare(elapsed);
        self.look_around(elapsed);
    }

    /// Notes a penalty, tells gossip's scores, and bans when it is too much.
    fn penalise(&mut self, peer: PeerId, severity: Severity) {
        use crate::book::Penalised;
        let elapsed = self.shared.elapsed();
        match self.shared.with(|book| book.penalise(&peer, severity, elapsed)) {
            Penalised::Noted { points } => {
                if let Some(gossip) = self.swarm.behaviour_mut().gossip.as_mut() {
                    let id = address::to_libp2p(&peer);
                    let _is_known = gossip.set_application_score(&id, -f64::from(points));
                }
            }
            Penalised::Ban => self.ban(peer, self.config.ban_time),
        }
    }

    fn tell(&self, event: NetworkEvent) {
        // Nobody needs to listen.
        let _listeners = self.events.send(event);
    }

    fn on_listeners_changed(&mut self) {
        self.offer_addresses();
        self.shared.set_listen(behaviour::addrs(&self.swarm, self.config.loopback_ok));
    }
}

/// Answers a caller, who may be gone.
fn answer<T>(reply: Reply<T>, result: Result<T, NetworkError>) {
    if reply.send(result).is_err() {
        tracing::trace!("a caller left before its answer");
    }
}
