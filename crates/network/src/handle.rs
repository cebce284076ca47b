//! The handle: what the rest of the node calls.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use haggle_base::{AgentKey, Clock, Did, NetworkId, NodeKey, PeerId, Text};
use libp2p::identity::Keypair;
use libp2p::metrics::Registry;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, StreamProtocol, Swarm};
use parking_lot::{Mutex, RwLock};
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::address;
use crate::behaviour::{self, Behaviour};
use crate::book::Limits;
use crate::command::{Command, Reply};
use crate::config::{MAX_RELAYS, NetworkConfig};
use crate::did::Proofs;
use crate::error::NetworkError;
use crate::events::{NetworkEvent, PeerFacts, Severity};
use crate::inbox::Inbox;
use crate::metrics::Metrics;
use crate::proof::MAX_DIDS_PER_PEER;
use crate::protocol;
use crate::reach::Reach;
use crate::relay::Holders;
use crate::rendezvous::{Member, Rendezvous};
use crate::shared::Shared;
use crate::stream::{Incoming, Lanes, Stream, Streams};
use crate::worker::{Parts, Worker};

/// Requests that wait for the worker.
const COMMAND_QUEUE: usize = 256;
/// Events that a slow listener may lag behind.
const EVENT_QUEUE: usize = 1024;
/// How long the listeners may take to come up.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(5);

/// A running node of the network. Clones share it; when the last one is dropped, it stops.
#[derive(Clone, Debug)]
pub struct Network {
    inner: Arc<Inner>,
}

struct Inner {
    local: PeerId,
    config: NetworkConfig,
    commands: mpsc::Sender<Command>,
    events: broadcast::Sender<NetworkEvent>,
    shared: Arc<Shared>,
    streams: Streams,
    proofs: Arc<Proofs>,
    clock: Arc<dyn Clock>,
    token: CancellationToken,
    tracker: TaskTracker,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("local", &self.local).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.token.cancel();
    }
}

impl Network {
    /// Listens, starts the worker and begins to look for peers. Returns once all addresses are
    /// being listened on. Metrics go to `registry` under `libp2p_`, `gossipsub_` and
    /// `haggle_network_`.
    ///
    /// # Errors
    /// [`NetworkError::BadAddress`] and [`NetworkError::BadName`] for a bad configuration,
    /// [`NetworkError::Listen`] when an address is taken.
    pub async fn start(
        config: NetworkConfig,
        key: &NodeKey,
        clock: Arc<dyn Clock>,
        registry: Option<&mut Registry>,
    ) -> Result<(Self, Inbox), NetworkError> {
        Self::launch(config, key, clock, registry).await
    }

    /// Boxed in a plain function, so that this crate compiles the swarm, once, and not every crate that awaits it.
    fn launch<'a>(
        config: NetworkConfig,
        key: &'a NodeKey,
        clock: Arc<dyn Clock>,
        registry: Option<&'a mut Registry>,
    ) -> BoxFuture<'a, Result<(Self, Inbox), NetworkError>> {
        Box::pin(Self::set_up(config, key, clock, registry))
    }

    async fn set_up(
        config: NetworkConfig,
        key: &NodeKey,
        clock: Arc<dyn Clock>,
        registry: Option<&mut Registry>,
    ) -> Result<(Self, Inbox), NetworkError> {
        let mut own_registry = Registry::default();
        let registry = registry.unwrap_or(&mut own_registry);
        if config.agents.len() > MAX_DIDS_PER_PEER {
            return Err(NetworkError::TooManyDids { max: MAX_DIDS_PER_PEER });
        }
        let bootstrap = checked_peers(&config.bootstrap)?;
        let relays = checked_relays(&config)?;
        for topic in &config.topics {
            protocol::checked_topic(&config.network, topic)?;
        }
        let keypair = Keypair::ed25519_from_bytes(*key.secret_bytes())
            .map_err(|error| NetworkError::Setup { source: error.into() })?;
        let holders = Holders::default();
        let mut swarm = Box::new(behaviour::swarm(&config, keypair, registry, &holders)?);
        listen(&mut swarm, &config).await?;

        let local = key.peer_id();
        let metrics = Metrics::new(registry);
        let libp2p_metrics = libp2p::metrics::Metrics::new(registry);
        let limits = Limits { gossip_rate: config.gossip_rate, streams_per_peer: config.max_streams_per_peer };
        let shared = Arc::new(Shared::new(limits));
        shared.set_listen(behaviour::addrs(&swarm, config.loopback_ok));
        let token = CancellationToken::new();
        let tracker = TaskTracker::new();
        let (command_sender, commands) = mpsc::channel(COMMAND_QUEUE);
        let (events, _) = broadcast::channel(EVENT_QUEUE);
        let (inbox, gossip) = mpsc::channel(config.inbox_capacity.max(1));
        let streams = Streams::new(
            Lanes {
                direct: swarm.behaviour().quiet.streams.control(),
                relayed: swarm.behaviour().quiet.relayed_streams.control(),
                edition: swarm.behaviour().quiet.edition(),
            },
            Arc::clone(&shared),
            metrics.clone(),
            token.clone(),
            tracker.clone(),
        );
        let (reports, anew) = (command_sender.clone(), command_sender.clone());
        let proofs = Arc::new(Proofs {
            network: config.network.clone(),
            local,
            protocol: protocol::stream(&protocol::did(&config.network))?,
            keys: RwLock::new(config.agents.clone()),
            early: Mutex::default(),
            streams: streams.clone(),
            clock: Arc::clone(&clock),
            events: events.clone(),
            penalise: Box::new(move |peer, severity| report(&reports, peer, severity)),
            anew: Box::new(move |peer| begin_anew(&anew, peer)),
        });
        proofs.serve()?;
        let worker = Worker::new(Parts {
            swarm,
            config: config.clone(),
            local,
            bootstrap,
            relays,
            holders,
            shared: Arc::clone(&shared),
            proofs: Arc::clone(&proofs),
            clock: Arc::clone(&clock),
            events: events.clone(),
            commands,
            inbox,
            metrics,
            libp2p_metrics,
            token: token.clone(),
        });
        tracker.spawn(Box::pin(worker.run()));
        tracker.close();
        let commands = command_sender;
        let inner = Inner { local, config, commands, events, shared, streams, proofs, clock, token, tracker };
        let network = Self { inner: Arc::new(inner) };
        tracing::info!(peer.id = %local, network.id = %network.network(), "node {local} joins {}", network.network());
        Ok((network, Inbox { gossip }))
    }

    /// This node's peer id.
    #[must_use]
    pub fn peer_id(&self) -> PeerId {
        self.inner.local
    }

    /// The network this node belongs to.
    #[must_use]
    pub fn network(&self) -> &NetworkId {
        &self.inner.config.network
    }

    /// The addresses this node listens on and its external ones, each with its `/p2p/` part.
    #[must_use]
    pub fn listen_addrs(&self) -> Vec<String> {
        self.inner.shared.listen()
    }

    /// Whether others can dial this node, as far as peers have tried; never known without
    /// [`NetworkConfig::autonat`].
    #[must_use]
    pub fn reach(&self) -> Reach {
        self.inner.shared.reach()
    }

    /// Connects to an address, with or without `/p2p/`, and says who is there. An address behind a relay names the
    /// peer.
    ///
    /// # Errors
    /// `bad_address`, `peer_unreachable`, `wrong_network`, `peer_banned`.
    pub async fn dial(&self, addr: &str) -> Result<PeerId, NetworkError> {
        let parsed = address::parse(addr)?;
        match address::split_peer(parsed) {
            (None, bare) if address::is_relayed(&bare) => Err(NetworkError::BadAddress { text: addr.to_owned() }),
            (Some(peer), addr) => self.connect_by(peer, vec![addr]).await,
            (None, bare) => {
                let patience = self.inner.config.connect_timeout;
                let dialled = self.ask(|reply| Command::Dial { addr: bare, reply });
                timeout(patience, dialled)
                    .await
                    .unwrap_or_else(|_| Err(NetworkError::AddressUnreachable { addr: addr.to_owned() }))
            }
        }
    }

    /// Makes sure that a peer is connected: by the addresses given here, those known from before,
    /// and at last those that the DHT knows.
    ///
    /// # Errors
    /// `bad_address`, `peer_unreachable`, `wrong_network`, `peer_banned`.
    pub async fn connect(&self, peer: &PeerId, addrs: &[String]) -> Result<(), NetworkError> {
        if self.is_wanted(peer) {
            return Ok(());
        }
        let mut parsed: Vec<Multiaddr> = Vec::new();
        for addr in addrs.iter().take(address::MAX_ADDRS_PER_PEER) {
            let (named, addr) = address::split_peer(address::parse(addr)?);
            if named.is_none_or(|named| named == *peer) {
                parsed.push(addr);
            }
        }
        self.connect_by(*peer, parsed).await.map(drop)
    }

    /// The same by addresses that a stranger wrote down, in a card or a pointer: what this node does not dial on a stranger's
    /// word is left out.
    ///
    /// # Errors
    /// `peer_unreachable`, `wrong_network`, `peer_banned`.
    pub async fn connect_hinted(&self, peer: &PeerId, addrs: &[Text<128>]) -> Result<(), NetworkError> {
        if self.is_wanted(peer) {
            return Ok(());
        }
        let hints = address::of_stranger(peer, addrs, self.inner.config.loopback_ok);
        self.connect_by(*peer, hints).await.map(drop)
    }

    async fn connect_by(&self, peer: PeerId, addrs: Vec<Multiaddr>) -> Result<PeerId, NetworkError> {
        self.ask(|reply| Command::Connect { peer, addrs, reply }).await
    }

    /// Sends a message to all peers that listen to the topic. Publishing the same bytes again
    /// within two minutes does nothing.
    ///
    /// # Errors
    /// `no_peers` when nobody listens: nothing is kept, so the caller keeps an outbox;
    /// `message_too_large`, `gossip_off`, `network_busy`, `bad_protocol_name`.
    pub async fn publish(&self, topic: &str, bytes: Vec<u8>) -> Result<(), NetworkError> {
        protocol::checked_topic(self.network(), topic)?;
        let topic = topic.to_owned();
        self.ask(|reply| Command::Publish { topic, bytes, reply }).await
    }

    /// How many connected peers listen to a topic.
    ///
    /// # Errors
    /// `network_closed`.
    pub async fn subscribers(&self, topic: &str) -> Result<usize, NetworkError> {
        let topic = topic.to_owned();
        self.ask(|reply| Command::Subscribers { topic, reply }).await
    }

    /// Opens a stream to a peer, connecting first if need be. The peer has accepted the stream
    /// when this returns, and nothing has been sent on it yet, so opening is always safe to repeat.
    ///
    /// # Errors
    /// `open_timeout`, `peer_unreachable`, `protocol_unsupported`, `too_many_streams`,
    /// `wrong_network`, `bad_protocol_name`.
    pub async fn open(&self, peer: &PeerId, protocol: &str) -> Result<Stream, NetworkError> {
        let name = protocol::stream(protocol)?;
        let deadline = Instant::now() + self.inner.config.open_timeout;
        match self.open_by(peer, &name, deadline).await {
            // one side let the connection go meanwhile: nothing of the caller was sent
            Err(NetworkError::PeerUnreachable { .. }) => self.open_by(peer, &name, deadline).await,
            opened => opened,
        }
    }

    /// The same, once.
    async fn open_by(&self, peer: &PeerId, name: &StreamProtocol, deadline: Instant) -> Result<Stream, NetworkError> {
        if !self.is_wanted(peer) {
            match timeout_at(deadline, self.connect_by(*peer, Vec::new())).await {
                Ok(connected) => connected.map(drop)?,
                Err(_) => return Err(NetworkError::OpenTimeout { peer: *peer, protocol: name.to_string() }),
            }
        }
        self.inner.streams.open(peer, name, deadline).await
    }

    /// Whether the peer is connected; if so, it is about to be used and its connections stay.
    fn is_wanted(&self, peer: &PeerId) -> bool {
        let elapsed = self.inner.shared.elapsed();
        self.inner.shared.with(|book| {
            book.wanted(peer, elapsed);
            book.is_admitted(peer)
        })
    }

    /// Accepts the streams that peers open for a protocol, and tells the connected ones of it. One peer may hold at most
    /// `max_streams_per_peer` of them. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// `already_accepted`, `bad_protocol_name`.
    pub fn accept(&self, protocol: &str) -> Result<Incoming, NetworkError> {
        let incoming = self.inner.streams.accept(&protocol::stream(protocol)?)?;
        // peers hear of it with the next ping, if not now
        if self.inner.commands.try_send(Command::Introduce).is_err() {
            tracing::debug!("connected peers hear later of {protocol}");
        }
        Ok(incoming)
    }

    /// Events from now on.
    #[must_use]
    pub fn subscribe_events(&self) -> broadcast::Receiver<NetworkEvent> {
        self.inner.events.subscribe()
    }

    /// The connected peers, ordered by id.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerFacts> {
        let now = self.inner.clock.now();
        self.inner.shared.with(|book| book.all_facts(false, now))
    }

    /// All peers remembered, connected or not, ordered by id.
    #[must_use]
    pub fn known_peers(&self) -> Vec<PeerFacts> {
        let now = self.inner.clock.now();
        self.inner.shared.with(|book| book.all_facts(true, now))
    }

    /// What is known of one peer.
    #[must_use]
    pub fn facts(&self, peer: &PeerId) -> Option<PeerFacts> {
        let now = self.inner.clock.now();
        self.inner.shared.with(|book| book.facts(peer, now))
    }

    /// Whether the peer is connected and has told who it is.
    #[must_use]
    pub fn is_connected(&self, peer: &PeerId) -> bool {
        self.inner.shared.with(|book| book.is_admitted(peer))
    }

    /// Whether a peer speaks a protocol of the network, by what it told when it connected or since.
    #[must_use]
    pub fn speaks(&self, peer: &PeerId, protocol: &str) -> bool {
        self.inner.shared.with(|book| book.is_speaking(peer, protocol))
    }

    /// The peers that speak a protocol of the network, by what they told when they connected or since, ordered by id: those
    /// that are connected; and those that were, unless connecting to them has failed within `lately`.
    #[must_use]
    pub fn speaking(&self, protocol: &str, lately: Duration) -> (Vec<PeerId>, Vec<PeerId>) {
        let now = self.inner.clock.now();
        self.inner.shared.with(|book| book.speaking(protocol, now.minus(lately)))
    }

    /// Speaks for a DID from now on: proves it to all peers, those that come later too. When this
    /// returns, every connected peer that answers knows that a new proof is on its way.
    ///
    /// # Errors
    /// `too_many_dids`.
    pub async fn present(&self, key: Arc<AgentKey>) -> Result<(), NetworkError> {
        self.inner.proofs.present(key, self.inner.config.proof_timeout).await
    }

    /// The DIDs that a connected peer has proved so far.
    #[must_use]
    pub fn dids_of(&self, peer: &PeerId) -> Vec<Did> {
        self.inner.shared.with(|book| book.dids(peer).0)
    }

    /// The connected peers that have proved the DID.
    #[must_use]
    pub fn peers_of(&self, did: &Did) -> Vec<PeerId> {
        self.inner.shared.with(|book| book.speakers(did))
    }

    /// The DIDs of a peer, after its proofs have been exchanged or `proof_timeout` has passed.
    pub async fn ensure_dids(&self, peer: &PeerId) -> Vec<Did> {
        self.inner.shared.proven(peer, self.inner.config.proof_timeout).await
    }

    /// Stores a pointer in the DHT: at least one other node has taken it when this returns. It lives for 48 hours there;
    /// whoever wants it to stay stores it again before that.
    ///
    /// # Errors
    /// `pointer_too_large` (key over 128 bytes, value over 1 KiB), `pointer_refused`,
    /// `pointer_not_stored`.
    pub async fn put_pointer(&self, key: Vec<u8>, value: Vec<u8>) -> Result<(), NetworkError> {
        self.ask(|reply| Command::PutPointer { key, value, reply }).await
    }

    /// Says in the DHT that this node is a member at a place. It counts for 48 hours there; whoever stays one says it again
    /// before that. Nobody confirms it.
    ///
    /// # Errors
    /// `network_busy`, also at a place that this node itself does not keep (`rendezvous` in its settings).
    pub async fn declare(&self, at: Rendezvous) -> Result<(), NetworkError> {
        self.ask(|reply| Command::Declare { at, reply }).await
    }

    /// Finds members of a place, twenty at most, with addresses that are dialled on a stranger's word. After `patience` it
    /// gives those that have come so far. Anybody may have declared itself one.
    ///
    /// # Errors
    /// `network_busy`.
    pub async fn members(&self, at: Rendezvous, patience: Duration) -> Result<Vec<Member>, NetworkError> {
        let deadline = Instant::now() + patience;
        let mut coming = self.ask(|reply| Command::Seek { at, reply }).await?;
        let mut found = Vec::new();
        while let Ok(Some(member)) = timeout_at(deadline, coming.recv()).await {
            found.push(member);
        }
        Ok(found)
    }

    /// Finds different values that pass the configured check, the newest one first. After `patience` it gives what has come
    /// so far: a peer that is asked and gone may take longer.
    ///
    /// # Errors
    /// `pointer_too_large`, `network_busy`.
    pub async fn get_pointer(&self, key: Vec<u8>, patience: Duration) -> Result<Vec<Vec<u8>>, NetworkError> {
        let deadline = Instant::now() + patience;
        let mut coming = self.ask(|reply| Command::GetPointer { key, reply }).await?;
        let mut found = Vec::new();
        while let Ok(Some(pointer)) = timeout_at(deadline, coming.recv()).await {
            found.push(pointer);
        }
        found.sort_by_key(|(rank, _)| Reverse(*rank));
        Ok(found.into_iter().map(|(_, value)| value).collect())
    }

    /// Notes that a peer misbehaved; enough of that bans it for `ban_time`.
    pub fn report(&self, peer: &PeerId, severity: Severity) {
        report(&self.inner.commands, *peer, severity);
    }

    /// Refuses a peer for a while.
    ///
    /// # Errors
    /// `network_closed`.
    pub async fn ban(&self, peer: &PeerId, time: Duration) -> Result<(), NetworkError> {
        self.send(Command::Ban { peer: *peer, time }).await
    }

    /// Lifts a ban.
    ///
    /// # Errors
    /// `network_closed`.
    pub async fn unban(&self, peer: &PeerId) -> Result<(), NetworkError> {
        self.send(Command::Unban { peer: *peer }).await
    }

    /// Closes all connections and waits until every task of the room has ended.
    pub async fn shutdown(&self) {
        self.inner.token.cancel();
        self.inner.tracker.wait().await;
    }

    async fn send(&self, command: Command) -> Result<(), NetworkError> {
        self.inner.commands.send(command).await.map_err(|_| NetworkError::Closed)
    }

    /// Sends a command and waits for its answer.
    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, NetworkError> {
        let (reply, answer) = oneshot::channel();
        self.send(command(reply)).await?;
        answer.await.map_err(|_| NetworkError::Closed)?
    }
}

/// A report that finds the queue full is lost: penalties are not worth waiting for.
fn report(commands: &mpsc::Sender<Command>, peer: PeerId, severity: Severity) {
    if commands.try_send(Command::Report { peer, severity }).is_err() {
        tracing::debug!(peer.id = %peer, "lost a report about {peer}");
    }
}

/// If the queue is full, the peer says so again when it has no answer.
fn begin_anew(commands: &mpsc::Sender<Command>, peer: PeerId) {
    if commands.try_send(Command::BeginAnew { peer }).is_err() {
        tracing::debug!(peer.id = %peer, "did not close the old connections of {peer}");
    }
}

/// The peers of some addresses, each with all its addresses.
fn checked_peers(texts: &[String]) -> Result<Vec<(PeerId, Vec<Multiaddr>)>, NetworkError> {
    let mut peers: Vec<(PeerId, Vec<Multiaddr>)> = Vec::new();
    for text in texts {
        let (peer, addr) = address::parse_with_peer(text)?;
        match peers.iter_mut().find(|(known, _)| *known == peer) {
            Some((_, addrs)) => addrs.push(addr),
            None => peers.push((peer, vec![addr])),
        }
    }
    Ok(peers)
}

/// The relays to reserve a place at; a relay behind a relay is none.
fn checked_relays(config: &NetworkConfig) -> Result<Vec<(PeerId, Vec<Multiaddr>)>, NetworkError> {
    for text in &config.relays {
        if address::is_relayed(&address::parse(text)?) {
            return Err(NetworkError::BadAddress { text: text.clone() });
        }
    }
    let mut relays = checked_peers(&config.relays)?;
    relays.truncate(MAX_RELAYS);
    Ok(relays)
}

/// Listens on all configured addresses and waits until each is up.
async fn listen(swarm: &mut Swarm<Behaviour>, config: &NetworkConfig) -> Result<(), NetworkError> {
    let mut pending = std::collections::HashMap::new();
    for addr in &config.listen {
        let failed = |error: libp2p::TransportError<std::io::Error>| NetworkError::Listen {
            addr: addr.clone(),
            source: std::io::Error::other(error),
        };
        let parsed = address::parse(addr)?;
        if address::is_relayed(&parsed) {
            // places at relays are asked for through `relays`, where their loss is noticed
            return Err(NetworkError::BadAddress { text: addr.clone() });
        }
        let id = swarm.listen_on(parsed).map_err(failed)?;
        pending.insert(id, addr.clone());
    }
    for addr in &config.external {
        swarm.add_external_address(address::parse(addr)?);
    }
    let deadline = Instant::now() + LISTEN_TIMEOUT;
    while let Some(waiting) = pending.values().next().cloned() {
        let source = match timeout_at(deadline, swarm.select_next_some()).await {
            Ok(SwarmEvent::NewListenAddr { listener_id, .. }) => {
                pending.remove(&listener_id);
                continue;
            }
            Ok(SwarmEvent::ListenerError { listener_id, error }) => {
                let addr = pending.remove(&listener_id).unwrap_or(waiting);
                return Err(NetworkError::Listen { addr, source: error });
            }
            Ok(SwarmEvent::ListenerClosed { reason: Err(error), .. }) => error,
            Ok(_) => continue,
            Err(_) => std::io::ErrorKind::TimedOut.into(),
        };
        return Err(NetworkError::Listen { addr: waiting, source });
    }
    Ok(())
}
