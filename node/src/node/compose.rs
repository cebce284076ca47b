//! The one place where all rooms meet.

use super::invoke::Answers;
use super::keys::KeyTurns;
use super::look::Looks;
use super::pay::{Turns, let_answered_go};
use super::pointing::Due;
use super::sell::Counter;
use super::{Inner, Node, loops, tickets};
use crate::adapters::a2a::{Directory, FrontDoor, StreamDial};
use crate::adapters::attest::Publisher;
use crate::adapters::catalog::{Gossip, LateStanding};
use crate::adapters::chain::ChainPort;
use crate::adapters::channels::{ChannelPort, KeyAt};
use crate::adapters::endpoints::Endpoints;
use crate::adapters::faults::CrashPoint;
use crate::adapters::market::ShelfMarket;
use crate::adapters::memory::{BookedFacts, CardBindings};
use crate::adapters::money::SettlementMoney;
use crate::adapters::notes::NoteTaker;
use crate::adapters::token::{TillPort, TokenPort};
use crate::adapters::trade::{A2aCounterparty, DocumentKeys, OrderWork};
use crate::agents::{Agents, Engine, Served};
use crate::config::Config;
use crate::documents::Documents;
use crate::error::NodeError;
use crate::events::Events;
use crate::fees::FeeBook;
use crate::home::{Home, Running, write_atomically};
use crate::keyring::Keyring;
use crate::lookup::Lookup;
use crate::mailbox::Mailbox;
use crate::network_check::rails;
use crate::post::Post;
use crate::records::{AgentStatus, AgentTable, SchemaText};
use crate::{secrets, setup};
use haggle_a2a_transport::{CardSigner, Client, HttpConfig, Limits as A2aLimits, Reach, Remote, Server, Toll, router};
use haggle_base::{AgentKey, Clock, Coded, NetworkFile, NetworkId, NodeKey, PaymentKey, Seed, SystemClock, pointer};
use haggle_catalog::body::BlobRef;
use haggle_catalog::{Catalog, CatalogConfig, Keep, is_senders_fault};
use haggle_escrow::{ChainReader, EscrowConfig};
use haggle_gateway::{Bound, NodeApi};
use haggle_network::{
    Inbox, Network, NetworkConfig, PointerCheck, PointerRank, PointerVerdict, RelayLimits, Rendezvous, topic,
};
use haggle_reputation::{Reputation, ReputationConfig};
use haggle_settlement::arrivals::Incoming;
use haggle_settlement::budget::Limits;
use haggle_settlement::channels::{Buying, ChannelsConfig, Selling};
use haggle_settlement::purse::Purse;
use haggle_settlement::till::{CreditLimits, Till, TillConfig};
use haggle_settlement::{Settlement, SettlementConfig};
use haggle_store::{Blobs, Options, Store};
use haggle_trade::{Buyer, BuyerPorts, Desk, DeskPorts, TradeConfig, Venue};
use haggle_x402::{ChannelFacts, ExactFacts};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Starts the node of a made home.
///
/// Boxed in a plain function, so that this crate compiles the node, once, and not every program that embeds it.
pub(super) fn start(home: Home, config: Config) -> Pin<Box<dyn Future<Output = Result<Node, NodeError>> + Send>> {
    Box::pin(set_up(home, config))
}

async fn set_up(home: Home, config: Config) -> Result<Node, NodeError> {
    if !home.is_made() {
        return Err(NodeError::NoHome(home.path().to_owned()));
    }
    let lock = home.lock()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let file = setup::read_network(&home.network())?;
    let mut config = config;
    config.p2p.bootstrap = tickets::written_out(&config.p2p.bootstrap, &file.id)?;
    for rail in rails(&file).iter().filter(|rail| !rail.offered) {
        tracing::warn!(rail.scheme = rail.scheme, "nobody pays by {} here: {}", rail.scheme, rail.why);
    }
    let seed = open_seed(&home, &config, &file)?;
    let token = home.token()?;
    let registry = Arc::new(Mutex::new(Registry::default()));
    let events = Events::new(Arc::clone(&clock));
    let stopping = CancellationToken::new();
    // a start that fails half-way stops what it began
    let stop = stopping.clone().drop_guard();
    let tasks = TaskTracker::new();

    let money = open_store(&home.money_db())?;
    let market = open_store(&home.market_db())?;
    let node_key = seed.node_key();
    let keys = Arc::new(Keyring::new(seed, file.clone(), Arc::clone(&clock)));
    let own = keys.add(0);
    let documents = Documents::open(&home.documents(), config.market.documents_bytes()).map_err(room)?;
    let agents = read_agents(&money, &keys, &documents, &clock)?;

    let (network, inbox) =
        start_network(&config, &file, &node_key, vec![Arc::clone(&own.agent)], &clock, &registry).await?;
    let reader = open_chain(&config, &file, &registry)?;
    let settlement = open_settlement(&config, &file, &money, &clock, &reader, &keys, own.payment.clone()).await?;
    let token_port = TokenPort::new(reader.clone(), Arc::clone(&keys), own.payment.clone());
    let purse_blobs = Blobs::open(&home.blobs()).map_err(room)?;
    let purse = Purse::new(settlement.clone(), ExactFacts::of(&file), purse_blobs.clone(), Arc::new(token_port));

    let own_did = own.agent.did();
    let fees = FeeBook::open(market.clone(), clock.now()).await.map_err(room)?;
    let late = LateStanding::new(fees.clone());
    let gossip = Gossip { network: network.clone(), id: file.id.clone() };
    let catalog = Catalog::start(
        market.clone(),
        CatalogConfig {
            commit_every: std::time::Duration::from_millis(100),
            weights: config.search.weights(),
            min_net: config.market.min_reputation,
            keep: (!config.market.role.holds_all()).then(|| {
                Keep::of(agents.owners().into_iter().chain([own_did]).collect(), config.market.held(file.shards))
            }),
            ..CatalogConfig::new(&file)
        },
        Arc::clone(&clock),
        Arc::new(gossip),
        Arc::new(late.clone()),
    )
    .await
    .map_err(room)?;
    let reputation = Reputation::open(
        market.clone(),
        ReputationConfig::new(&file),
        Arc::clone(&clock),
        Arc::new(BookedFacts(settlement.clone())),
        Arc::new(CardBindings(catalog.clone())),
    )
    .await
    .map_err(room)?;
    late.set(reputation.clone());

    let (desk_later, toll_later) = (Arc::new(OnceLock::new()), Arc::new(OnceLock::<Arc<dyn Toll>>::new()));
    let notes = NoteTaker {
        incoming: open_incoming(&file, &config, &settlement, &reader, &own.payment)?,
        file: Arc::new(file.clone()),
        clock: Arc::clone(&clock),
    };
    let door = FrontDoor {
        desk: Arc::clone(&desk_later),
        toll: Arc::clone(&toll_later),
        notes: notes.clone(),
        agents: agents.clone(),
    };
    let bodies = home.path().join("bodies");
    let urls = if config.a2a.private_webhooks { Reach::Anywhere } else { Reach::Public };
    let bounds = A2aLimits {
        webhooks: urls,
        running: config.a2a.open_calls,
        running_per_caller: config.a2a.open_calls_per_caller,
        tasks: config.a2a.kept_tasks,
        tasks_per_caller: config.a2a.kept_tasks_per_caller,
        ..A2aLimits::default()
    };
    let server =
        Server::open(money.clone(), &bodies, Arc::new(door), Arc::clone(&clock), bounds).await.map_err(room)?;
    let lookup = Arc::new(Lookup::new(
        config.market.role,
        network.clone(),
        catalog.clone(),
        Arc::clone(&clock),
        documents.clone(),
        &mut registry.lock(),
    ));
    let directory = Directory {
        catalog: catalog.clone(),
        network: network.clone(),
        client: Client::new(Arc::new(StreamDial(network.clone()))),
        lookup: Arc::clone(&lookup),
        reputation: reputation.clone(),
        clock: Arc::clone(&clock),
        urls,
    };
    let money_port = Arc::new(SettlementMoney(settlement.clone()));
    let signer = Arc::new(DocumentKeys { keys: Arc::clone(&keys) });
    let attestor = Arc::new(Publisher {
        reputation: reputation.clone(),
        catalog: catalog.clone(),
        keys: Arc::clone(&keys),
        network: file.clone(),
    });
    let crash = Arc::new(CrashPoint::from_env(&file));
    let buying = BuyerPorts {
        counterparty: Arc::new(A2aCounterparty(directory.clone())),
        market: Arc::new(ShelfMarket { catalog: catalog.clone(), lookup: Arc::clone(&lookup) }),
        signer: Arc::<DocumentKeys>::clone(&signer),
        money: Arc::<SettlementMoney>::clone(&money_port),
        attestor: Arc::<Publisher>::clone(&attestor),
        faults: Arc::<CrashPoint>::clone(&crash),
    };
    let selling = DeskPorts {
        market: Arc::new(ShelfMarket { catalog: catalog.clone(), lookup: Arc::clone(&lookup) }),
        signer,
        money: money_port,
        work: Arc::new(OrderWork(agents.clone())),
        attestor,
        faults: Arc::<CrashPoint>::clone(&crash),
    };
    let (buyer, desk) = open_trade(&home, &config, &file, &money, &clock, buying, selling).await?;
    // set once, here
    let _first = desk_later.set(desk.clone());

    let keys_of_cards: Arc<dyn CardSigner> = Arc::<Keyring>::clone(&keys);
    let bound = Bound::bind(config.gateway.listen)
        .await
        .map_err(NodeError::file(PathBuf::from(config.gateway.listen.to_string())))?;
    let mailbox = Mailbox::open(money.clone(), &home.path().join("messages")).map_err(room)?;
    let stores = (&money, &market);
    let post = Post::open(&config, stores, home.path(), &network, &clock, &mut registry.lock()).map_err(room)?;
    let gateway_url = format!("http://{}", bound.address());
    let (till, selling, buying) = open_shop(&home, &config, &file, &settlement, &reader, &keys, &crash)?;
    if let Some(buying) = &buying {
        let_answered_go(buying, &money).map_err(room)?;
    }
    let counter = Counter::new(till, selling, agents.clone(), catalog.clone(), &gateway_url, Arc::clone(&crash));
    // set once, here
    let _first = toll_later.set(Arc::new(counter.clone()));
    let (looks, unseen) = Looks::new();
    let inner = Arc::new(Inner {
        started: clock.now(),
        home,
        config,
        file,
        clock,
        keys,
        agents,
        money,
        market,
        network,
        reader,
        settlement,
        purse,
        paying: Turns::default(),
        singles: Mutex::default(),
        offers: Mutex::default(),
        key_turns: KeyTurns::default(),
        counter,
        notes,
        told: Notify::new(),
        buying,
        faults: crash,
        blobs: purse_blobs,
        documents,
        catalog,
        fees,
        reputation,
        server: server.clone(),
        directory: directory.clone(),
        answers: Answers::default(),
        mailbox,
        post,
        buyer,
        desk,
        events,
        lookup,
        looks,
        pointers_due: Due::default(),
        reconciled: AtomicU64::new(0),
        polls: AtomicU64::new(0),
        gateway_url: gateway_url.clone(),
        adding: tokio::sync::Mutex::new(()),
        stopping,
    });
    inner.serve_known();
    loops::spawn(&inner, inbox, unseen, &tasks)?;
    inner.publish_all().await?;
    let a2a = router(HttpConfig {
        server,
        remote: Some(Arc::new(directory) as Arc<dyn Remote>),
        base_url: Some(gateway_url.clone()),
        bearer: true,
        signer: Some(keys_of_cards),
    });
    let api: Arc<dyn NodeApi> = Arc::<Inner>::clone(&inner);
    let gateway = bound.serve(api, registry, &token, a2a);
    let running = Running {
        pid: std::process::id(),
        api: gateway_url,
        peer_id: inner.network.peer_id().to_string(),
        addresses: inner.addresses(),
    };
    let text = serde_json::to_string_pretty(&running).unwrap_or_default();
    write_atomically(&inner.home.running_file(), text.as_bytes())?;
    tracing::info!(peer.id = %running.peer_id, gateway = running.api, "node {} is up at {}", running.peer_id, running.api);
    Ok(Node { inner, gateway, tasks, _stop: stop, _lock: lock })
}

/// Wraps a room's error.
#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err, which gives values")]
fn room<E: Coded>(error: E) -> NodeError {
    NodeError::room(&error)
}

fn open_seed(home: &Home, config: &Config, file: &NetworkFile) -> Result<Seed, NodeError> {
    let seed = secrets::open(home, &config.unlock)?;
    if seed.is_devnet() && !file.is_devnet() {
        return Err(NodeError::DevnetSeed(file.chain_id));
    }
    Ok(seed)
}

fn open_store(path: &Path) -> Result<Store, NodeError> {
    Store::open(path, Options::default()).map_err(room)
}

fn read_agents(
    money: &Store,
    keys: &Keyring,
    documents: &Documents,
    clock: &Arc<dyn Clock>,
) -> Result<Agents, NodeError> {
    let agents = Agents::default();
    let rows = money.range::<AgentTable>(std::ops::Bound::Unbounded, usize::MAX).map_err(room)?;
    for (index, mut row) in rows {
        for schema in [&mut row.input_schema, &mut row.output_schema].into_iter().flatten() {
            read_document(documents, schema);
        }
        let Ok(key) = u32::try_from(index) else { continue };
        keys.add(key);
        if row.status == AgentStatus::Deleted {
            agents.delete(index, row.did);
            continue;
        }
        let engine = Engine::of(&row.name, &row.runner, clock).unwrap_or_else(|problem| {
            tracing::warn!(agent.id = %row.did, "agent {} cannot be served: {problem}", row.name.as_str());
            None
        });
        agents.insert(Served { index, row, engine });
    }
    Ok(agents)
}

/// Puts the document that a row names in its place; it is our own, and stays.
fn read_document(documents: &Documents, schema: &mut SchemaText) {
    let Some(named) = BlobRef::read(schema) else { return };
    documents.pin(named.hash);
    let text = documents.get(&named).and_then(|bytes| String::from_utf8(bytes).ok());
    match text.and_then(|text| SchemaText::try_from(text).ok()) {
        Some(text) => *schema = text,
        None => tracing::error!("the schema {} is gone from disk: publish its agent anew with it", named.hash),
    }
}

/// Pointers that agents of this network signed, and that are not over.
fn check_pointers(network: NetworkId, clock: Arc<dyn Clock>) -> PointerCheck {
    Arc::new(move |key, value| {
        let now = clock.now();
        match pointer::check(&network, key, value, now) {
            Ok(pointer) => PointerVerdict::Good {
                rank: PointerRank::new(pointer.record().seq, *pointer.id().as_bytes()),
                left: pointer.record().expires.since(now),
            },
            Err(error) if is_senders_fault(&error) => PointerVerdict::Bad,
            Err(_) => PointerVerdict::Untimely,
        }
    })
}

async fn start_network(
    config: &Config,
    file: &NetworkFile,
    key: &NodeKey,
    agents: Vec<Arc<AgentKey>>,
    clock: &Arc<dyn Clock>,
    registry: &Mutex<Registry>,
) -> Result<(Network, Inbox), NodeError> {
    let base =
        if file.is_devnet() { NetworkConfig::loopback(file.id.clone()) } else { NetworkConfig::new(file.id.clone()) };
    let mut bootstrap = file.bootstrap.clone();
    bootstrap.extend(config.p2p.bootstrap.iter().cloned());
    let looks_out = !file.is_devnet() && config.p2p.leaves_this_machine();
    let settings = NetworkConfig {
        listen: config.p2p.listen.clone(),
        agents,
        bootstrap,
        relays: config.p2p.relays.clone(),
        relay: config.p2p.relay.then(RelayLimits::default),
        mdns: config.p2p.mdns && looks_out,
        autonat: config.p2p.autonat && !file.is_devnet(),
        upnp: config.p2p.upnp && looks_out,
        topics: (0..file.shards).map(|shard| topic(&file.id, shard)).collect(),
        listens_to: Some(config.market.held(file.shards).into_iter().map(|shard| topic(&file.id, shard)).collect()),
        max_connections: config.p2p.max_connections,
        max_per_subnet: config.p2p.max_per_subnet,
        gossip: config.p2p.gossip,
        pointers: check_pointers(file.id.clone(), Arc::clone(clock)),
        rendezvous: Rendezvous::all(file.shards),
        ..base
    };
    let mut libp2p = Registry::default();
    let started = Network::start(settings, key, Arc::clone(clock), Some(&mut libp2p)).await.map_err(room)?;
    *registry.lock() = libp2p;
    Ok(started)
}

fn open_chain(config: &Config, file: &NetworkFile, registry: &Mutex<Registry>) -> Result<ChainReader, NodeError> {
    let settings = EscrowConfig {
        gas_cap: config.chain.gas_cap,
        max_gas_price: u128::from(config.chain.max_gas_price_gwei) * 1_000_000_000,
        ..EscrowConfig::for_network(file, config.chain.rpc.as_slice().to_vec())
    };
    let reader = ChainReader::new(settings).map_err(room)?;
    tracing::info!(chain.rpcs = config.chain.rpc.as_slice().len(), "{}", reader.trust().explained());
    registry.lock().register_collector(Box::new(Endpoints(reader.clone())));
    Ok(reader)
}

async fn open_settlement(
    config: &Config,
    file: &NetworkFile,
    money: &Store,
    clock: &Arc<dyn Clock>,
    reader: &ChainReader,
    keys: &Arc<Keyring>,
    gas: haggle_base::PaymentKey,
) -> Result<Settlement, NodeError> {
    let chain = ChainPort::new(reader.clone(), config.chain.confirmations, Arc::clone(keys), gas);
    let limits = Limits { per_call: config.budget.per_call, per_day: config.budget.per_day };
    let settings = SettlementConfig { limits, ..SettlementConfig::new(file) };
    let wallet: Arc<Keyring> = Arc::clone(keys);
    Settlement::open(money.clone(), settings, Arc::clone(clock), Arc::new(chain), wallet).await.map_err(room)
}

/// What comes in by transfer.
fn open_incoming(
    file: &NetworkFile,
    config: &Config,
    settlement: &Settlement,
    reader: &ChainReader,
    own: &PaymentKey,
) -> Result<Incoming, NodeError> {
    let facts = ExactFacts::of(file);
    let confirmations = config.chain.confirmations.max(TillConfig::new(facts.clone()).confirmations);
    let port = TillPort::new(reader.clone(), own).map_err(room)?;
    Incoming::open(settlement.clone(), Arc::new(port), facts, confirmations).map_err(room)
}

/// The till, and the seller's side of channels if they are on.
fn open_shop(
    home: &Home,
    config: &Config,
    file: &NetworkFile,
    settlement: &Settlement,
    reader: &ChainReader,
    keys: &Arc<Keyring>,
    crash: &Arc<CrashPoint>,
) -> Result<(Till, Option<Selling>, Option<Buying>), NodeError> {
    let asked = &config.payments;
    let blobs = Blobs::open(&home.blobs()).map_err(room)?;
    let credit = CreditLimits {
        payer: asked.credit,
        caller: asked.credit,
        listing: asked.listing_credit,
        ..CreditLimits::default()
    };
    let confirmations = config.chain.confirmations.max(TillConfig::new(ExactFacts::of(file)).confirmations);
    let settings = TillConfig { credit, confirmations, ..TillConfig::new(ExactFacts::of(file)) };
    let own = keys.add(0).payment;
    let port = TillPort::new(reader.clone(), &own).map_err(room)?;
    let till = Till::open(settlement.clone(), crash.exact(port), blobs.clone(), settings).map_err(room)?;
    let Some(channels) = file.channels.filter(|_| asked.channels) else {
        return Ok((till, None, None));
    };
    let facts = ChannelFacts::new(file.chain_id, channels.contract, channels.collector, file.token.clone());
    let settings = ChannelsConfig {
        claim_every: asked.claim_every,
        claim_at: asked.claim_at,
        deposit_calls: asked.deposit_calls,
        ..ChannelsConfig::new(facts.clone())
    };
    let held = Arc::clone(keys);
    let key_at: KeyAt = Arc::new(move |address| held.at(address).map(|(_, key)| key));
    let ours = channels.one_call_claims;
    let port = ChannelPort::new(reader.clone(), facts.contract(), facts.collector(), &own, key_at, ours);
    let port = crash.channels(port.map_err(room)?);
    let selling = Selling::open(settlement.clone(), Arc::clone(&port), blobs, settings.clone()).map_err(room)?;
    let buying = Buying::open(settlement.clone(), port, settings).map_err(room)?;
    Ok((till, Some(selling), Some(buying)))
}

async fn open_trade(
    home: &Home,
    config: &Config,
    file: &NetworkFile,
    money: &Store,
    clock: &Arc<dyn Clock>,
    buying: BuyerPorts,
    selling: DeskPorts,
) -> Result<(Buyer, Desk), NodeError> {
    let settings = TradeConfig { settle_wait: config.trade.release_patience, ..TradeConfig::new(Venue::from(file)) };
    let blobs = Blobs::open(&home.blobs()).map_err(room)?;
    let buyer =
        Buyer::open(settings.clone(), money.clone(), blobs.clone(), Arc::clone(clock), buying).await.map_err(room)?;
    let desk = Desk::open(settings, money.clone(), blobs, Arc::clone(clock), selling).map_err(room)?;
    Ok((buyer, desk))
}
