//! A crowd of nodes on loopback through which listings spread: haggle's network, and bare gossipsub beside it.
//!
//! Both crowds are given the same connections and the same messages at the same pace, and run in a process of their own. Each
//! of ours goes on to meet others that its DHT names and lets go whom it does not need, decodes a message and verifies it
//! before it passes it on; the bare ones keep to the connections they were given and pass on anything.

use crate::corpus::Corpus;
use crate::discovery::Failure;
use crate::processor;
use futures::StreamExt as _;
use haggle_base::{Clock, SystemClock, record::gossip_id};
use haggle_catalog::AnyRecord;
use haggle_network::{Network, NetworkConfig, NetworkError, topic};
use libp2p::gossipsub::{self, IdentTopic, MessageAuthenticity, MessageId, ValidationMode};
use libp2p::metrics::Registry;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, Swarm, SwarmBuilder, noise, tcp, yamux};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

/// Each node dials those so many places further; it has twice as many connections.
const DIALS: [usize; 4] = [1, 7, 13, 21];
/// Messages that have to reach everybody before anything is measured.
const WARM_UP: usize = 3;
/// After that, time until the crowd is as it stays. Connections that nobody needs are gone by then: here they go much sooner than
/// a node on the open internet lets them go.
const SETTLING: Duration = Duration::from_secs(15);
/// Longest wait for one of them.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest wait for what is still under way at the end.
const LAST: Duration = Duration::from_secs(20);
/// Time between two messages.
const PACE: Duration = Duration::from_millis(200);
/// Arrivals that may wait to be counted.
const QUEUE: usize = 100_000;
/// Seed of keys and messages.
const SEED: u64 = 7;
const NETWORK: &str = "devnet-7/1";

/// What was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Milliseconds from publishing until a node has it: half of all deliveries.
    pub p50_ms: f64,
    /// All but one in a hundred.
    pub p99_ms: f64,
    /// Copies received for each delivery.
    pub copies: f64,
    /// Processor time of a delivery beyond what an idle crowd takes, in microseconds.
    pub cpu_micros: f64,
    /// Share of all deliveries that were made.
    pub delivered: f64,
    /// How often a node had to judge a message, for each delivery.
    pub judged: f64,
    /// Connections of a node, the mean of all; two with the same peer are one of ours, and two of the bare.
    pub connections: f64,
}

type Arrival = ([u8; 20], Instant);

/// A crowd that can publish.
struct Crowd {
    publish: Vec<mpsc::Sender<Vec<u8>>>,
    arrivals: mpsc::Receiver<Arrival>,
    /// The ends of connections of all nodes together.
    ends: Box<dyn Fn() -> usize + Send>,
    registries: Vec<Registry>,
}

/// Listings spread through haggle's network.
///
/// # Errors
/// Loopback cannot be had, or the crowd does not come together.
pub async fn ours(nodes: usize, messages: usize) -> Result<Spread, Failure> {
    let (arrived, arrivals) = mpsc::channel(QUEUE);
    let (mut publish, mut registries, mut networks) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..nodes {
        let mut registry = Registry::default();
        let network = our_node((number, nodes), &mut registry, arrived.clone(), &mut publish).await?;
        registries.push(registry);
        networks.push(network);
    }
    for (at, network) in networks.iter().enumerate() {
        for there in DIALS.map(|further| &networks[(at + further) % nodes]) {
            network.connect(&there.peer_id(), &there.listen_addrs()).await?;
        }
    }
    let ends = Box::new(move || networks.iter().map(|network| network.peers().len()).sum());
    Crowd { publish, arrivals, ends, registries }.measure(messages).await
}

async fn our_node(
    (number, nodes): (usize, usize),
    registry: &mut Registry,
    arrived: mpsc::Sender<Arrival>,
    publish: &mut Vec<mpsc::Sender<Vec<u8>>>,
) -> Result<Network, Failure> {
    let id: haggle_base::NetworkId = NETWORK.parse()?;
    let config = NetworkConfig {
        topics: vec![topic(&id, 0)],
        heartbeat: gossipsub::Config::default().heartbeat_interval(),
        // everybody may meet everybody, from both sides at once
        max_connections: u32::try_from(nodes)? * 4,
        spare_timeout: SETTLING / 3,
        ..NetworkConfig::for_testing(id.clone())
    };
    let key = haggle_base::Seed::devnet(SEED, u32::try_from(number)?).node_key();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (network, mut inbox) = Network::start(config, &key, Arc::clone(&clock), Some(registry)).await?;
    let own = id.clone();
    tokio::spawn(async move {
        while let Some(message) = inbox.gossip.recv().await {
            match AnyRecord::open(message.bytes.to_vec(), &own, clock.now()) {
                Ok(_) => {
                    message.verdict.accept();
                    let _counted = arrived.send((gossip_id(&message.bytes), Instant::now())).await;
                }
                Err(_) => message.verdict.reject(),
            }
        }
    });
    let (say, mut said) = mpsc::channel::<Vec<u8>>(4);
    let speaker = network.clone();
    tokio::spawn(async move {
        while let Some(bytes) = said.recv().await {
            // nobody listens yet: it is said again
            while let Err(NetworkError::NoPeers { .. }) = speaker.publish(&topic(&id, 0), bytes.clone()).await {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    });
    publish.push(say);
    Ok(network)
}

/// The same messages spread through gossipsub with nothing around it.
///
/// # Errors
/// Loopback cannot be had, or the crowd does not come together.
pub async fn bare(nodes: usize, messages: usize) -> Result<Spread, Failure> {
    let (arrived, arrivals) = mpsc::channel(QUEUE);
    let (mut publish, mut registries, mut swarms) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..nodes {
        let mut registry = Registry::default();
        let mut swarm = bare_swarm(&mut registry)?;
        swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse()?)?;
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                break address;
            }
        };
        registries.push(registry);
        swarms.push((swarm, address));
    }
    let ends = Arc::new(AtomicUsize::new(0));
    let addresses: Vec<Multiaddr> = swarms.iter().map(|(_, address)| address.clone()).collect();
    for (at, (mut swarm, _)) in swarms.into_iter().enumerate() {
        for further in DIALS {
            swarm.dial(addresses[(at + further) % nodes].clone())?;
        }
        let (say, said) = mpsc::channel(4);
        publish.push(say);
        tokio::spawn(run_bare(swarm, said, arrived.clone(), Arc::clone(&ends)));
    }
    let ends = Box::new(move || ends.load(Ordering::Relaxed));
    Crowd { publish, arrivals, ends, registries }.measure(messages).await
}

fn bare_swarm(registry: &mut Registry) -> Result<Swarm<gossipsub::Behaviour>, Failure> {
    let settings = gossipsub::ConfigBuilder::default()
        .validation_mode(ValidationMode::Anonymous)
        .message_id_fn(|message| MessageId::new(&gossip_id(&message.data)))
        .build()?;
    let mut gossip: gossipsub::Behaviour = gossipsub::Behaviour::new(MessageAuthenticity::Anonymous, settings)?
        .with_metrics(registry.sub_registry_with_prefix("gossipsub"), gossipsub::MetricsConfig::default());
    gossip.subscribe(&bare_topic())?;
    let swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::default().nodelay(true), noise::Config::new, yamux::Config::default)?
        .with_behaviour(|_| gossip)?
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(600)))
        .build();
    Ok(swarm)
}

fn bare_topic() -> IdentTopic {
    IdentTopic::new("bare")
}

async fn run_bare(
    mut swarm: Swarm<gossipsub::Behaviour>,
    mut said: mpsc::Receiver<Vec<u8>>,
    arrived: mpsc::Sender<Arrival>,
    ends: Arc<AtomicUsize>,
) {
    loop {
        tokio::select! {
            event = swarm.select_next_some() => match event {
                SwarmEvent::Behaviour(gossipsub::Event::Message { message, .. }) => {
                    let _counted = arrived.send((gossip_id(&message.data), Instant::now())).await;
                }
                SwarmEvent::ConnectionEstablished { .. } => {
                    ends.fetch_add(1, Ordering::Relaxed);
                }
                SwarmEvent::ConnectionClosed { .. } => {
                    ends.fetch_sub(1, Ordering::Relaxed);
                }
                _ => {}
            },
            bytes = said.recv() => match bytes {
                // one that nobody listens to is missed, and says so in the count
                Some(bytes) => drop(swarm.behaviour_mut().publish(bare_topic(), bytes)),
                None => return,
            },
        }
    }
}

impl Crowd {
    /// Publishes, and counts what arrives.
    async fn measure(mut self, messages: usize) -> Result<Spread, Failure> {
        let (corpus, network, now) = (Corpus::new(SEED), NETWORK.parse()?, SystemClock.now());
        let records: Result<Vec<_>, _> =
            (0..(messages + 64) as u64).map(|number| corpus.signed(number, &network, now)).collect();
        let mut records = records?.into_iter();
        let others = self.publish.len() - 1;
        self.warm_up(&mut records, others).await?;
        tokio::time::sleep(SETTLING).await;

        let length = PACE * u32::try_from(messages)?;
        let begun = processor::of_process();
        tokio::time::sleep(length).await;
        let idle = processor::of_process() - begun;
        let before = self.counts();
        let begun = processor::of_process();
        let mut sent = HashMap::new();
        let mut times = Vec::with_capacity(messages * others);
        let mut beat = tokio::time::interval(PACE);
        for (number, record) in records.take(messages).enumerate() {
            while let Some(arrival) = tokio::select! {
                _ = beat.tick() => None,
                arrival = self.arrivals.recv() => arrival,
            } {
                note(&sent, &mut times, arrival);
            }
            sent.insert(gossip_id(&record), Instant::now());
            self.publish[number * 17 % self.publish.len()].send(record).await?;
        }
        while times.len() < messages * others {
            let Ok(Some(arrival)) = timeout(LAST, self.arrivals.recv()).await else { break };
            note(&sent, &mut times, arrival);
        }
        let spent = (processor::of_process() - begun).saturating_sub(idle);
        let after = self.counts();
        let deliveries = times.len().max(1) as f64;
        times.sort_unstable_by(f64::total_cmp);
        let at = |hundredths: usize| times.get(times.len() * hundredths / 100).copied().unwrap_or_default();
        Ok(Spread {
            p50_ms: at(50),
            p99_ms: at(99),
            copies: (after.0 - before.0) as f64 / deliveries,
            cpu_micros: spent.as_secs_f64() * 1e6 / deliveries,
            delivered: times.len() as f64 / (messages * others) as f64,
            judged: (after.1 - before.1) as f64 / deliveries,
            connections: (self.ends)() as f64 / (others + 1) as f64,
        })
    }

    /// Publishes until a few messages have reached everybody.
    async fn warm_up(&mut self, records: &mut impl Iterator<Item = Vec<u8>>, others: usize) -> Result<(), Failure> {
        let mut whole = 0;
        let begun = Instant::now();
        for record in records {
            let id = gossip_id(&record);
            self.publish[0].send(record).await?;
            let mut reached = 0;
            while let Ok(Some((arrived, _))) = timeout(Duration::from_secs(1), self.arrivals.recv()).await {
                reached += usize::from(arrived == id);
                if reached == others {
                    whole += 1;
                    break;
                }
            }
            if whole == WARM_UP {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                break;
            }
        }
        Err("the crowd does not come together".into())
    }

    /// Messages that all nodes received: with copies, and without.
    fn counts(&self) -> (u64, u64) {
        let mut counts = (0, 0);
        for registry in &self.registries {
            let mut text = String::new();
            if prometheus_client::encoding::text::encode(&mut text, registry).is_ok() {
                counts.0 += sum(&text, "gossipsub_topic_msg_recv_counts_unfiltered_total");
                counts.1 += sum(&text, "gossipsub_topic_msg_recv_counts_total");
            }
        }
        counts
    }
}

fn note(sent: &HashMap<[u8; 20], Instant>, times: &mut Vec<f64>, (id, arrived): Arrival) {
    if let Some(sent) = sent.get(&id) {
        times.push(arrived.duration_since(*sent).as_secs_f64() * 1e3);
    }
}

/// The sum of a metric over its labels.
fn sum(text: &str, name: &str) -> u64 {
    let lines = text.lines().filter(|line| line.starts_with(name));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn both_crowds_deliver_everything_and_ours_judges_each_message_once() {
        for spread in [ours(12, 8).await.unwrap(), bare(12, 8).await.unwrap()] {
            assert!(spread.delivered > 0.999 && spread.judged < 1.001, "{spread:?}");
            assert!(spread.copies >= 1.0 && spread.p50_ms > 0.0, "{spread:?}");
        }
    }
}
