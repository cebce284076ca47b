//! What the stories share: nodes with fixed keys on free loopback ports, and waiting on events.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use haggle_base::{AgentKey, NetworkId, NodeKey, PeerId, SystemClock};
use haggle_network::{Inbox, Network, NetworkConfig, topic};

/// Generous: stories run beside other work on two cores.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running node with its inbox.
pub(crate) struct Node {
    pub(crate) network: Network,
    pub(crate) inbox: Inbox,
}

impl Deref for Node {
    type Target = Network;

    fn deref(&self) -> &Network {
        &self.network
    }
}

pub(crate) fn market() -> NetworkId {
    "devnet-7/1".parse().unwrap()
}

pub(crate) fn news() -> String {
    topic(&market(), 0)
}

pub(crate) fn node_key(number: u8) -> NodeKey {
    NodeKey::from_bytes(&[number; 32])
}

pub(crate) fn agent_key(number: u8) -> Arc<AgentKey> {
    Arc::new(AgentKey::from_bytes(&[number; 32]))
}

pub(crate) fn stranger() -> PeerId {
    node_key(200).peer_id()
}

/// Starts a node that knows only the `known` ones.
pub(crate) async fn start(number: u8, known: &[&Node], change: impl FnOnce(&mut NetworkConfig)) -> Node {
    let mut config = NetworkConfig::for_testing(market());
    config.topics = vec![news()];
    config.bootstrap = known.iter().flat_map(|node| node.listen_addrs()).collect();
    change(&mut config);
    let clock = Arc::new(SystemClock);
    let (network, inbox) = Network::start(config, &node_key(number), clock, None).await.unwrap();
    Node { network, inbox }
}

/// A node that looks for nobody by itself.
pub(crate) async fn start_shy(number: u8) -> Node {
    start(number, &[], |config| config.target_peers = 0).await
}

/// Alice and Bob, connected.
pub(crate) async fn couple() -> (Node, Node) {
    let alice = start_shy(1).await;
    let bob = start_shy(2).await;
    bob.dial(&alice.listen_addrs()[0]).await.unwrap();
    until(&alice, || alice.is_connected(&bob.peer_id())).await;
    (alice, bob)
}

/// Fails the story when something takes too long.
pub(crate) async fn within<F: Future>(work: F) -> F::Output {
    tokio::time::timeout(PATIENCE, work).await.expect("this takes too long")
}

/// Waits for events of a node until `ready`.
pub(crate) async fn until(node: &Network, ready: impl Fn() -> bool) {
    let mut events = node.subscribe_events();
    within(async {
        while !ready() {
            events.recv().await.unwrap();
        }
    })
    .await;
}

/// Waits until a node has `count` peers that listen to the news.
pub(crate) async fn until_heard_by(node: &Network, count: usize) {
    let mut events = node.subscribe_events();
    within(async {
        while node.subscribers(&news()).await.unwrap() < count {
            events.recv().await.unwrap();
        }
    })
    .await;
}
