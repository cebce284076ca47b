//! What the stories share: nodes with fixed keys on free loopback ports, and waiting on events.

use std::ops::Deref;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use haggle_base::{AgentKey, NetworkId, NodeKey, PeerId, SystemClock};
use haggle_network::{Inbox, Network, NetworkConfig, PointerCheck, PointerRank, PointerVerdict, topic};

/// Set for a story that runs in a network of its own.
const ALONE: &str = "HAGGLE_STORY_ALONE";
/// A loopback that carries multicast, addresses of the open internet and one of a home.
const LONELY: &str = "ip link set lo up multicast on && ip address add 192.168.77.1/24 dev lo && \
     ip address add 8.8.8.8/32 dev lo && ip address add 9.9.9.9/32 dev lo && ip route add 224.0.0.0/4 dev lo";

/// Runs the story of this name in a network namespace of its own, where it gets `true`. It gets `false` when that one is over,
/// or where no namespaces can be made: then it is skipped, and says so.
///
/// # Panics
/// The story failed in there.
pub(crate) fn in_a_network_of_its_own(story: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let inside = |command: &str| {
        let mut unshare = Command::new("unshare");
        unshare.args(["-rn", "sh", "-c", &format!("{LONELY} && {command}")]);
        unshare
    };
    if !inside("true").output().is_ok_and(|tried| tried.status.success()) {
        println!("skipped: {story} takes a network namespace, which cannot be made here");
        return false;
    }
    let program = std::env::current_exe().unwrap();
    let mut alone = inside("exec \"$STORIES\" --exact \"$STORY\" --nocapture");
    let run = alone.env(ALONE, "1").env("STORIES", program).env("STORY", story).output().unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&run.stderr));
    false
}

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
    start_as(&node_key(number), known, change).await
}

/// The same with a key of its own.
pub(crate) async fn start_as(key: &NodeKey, known: &[&Node], change: impl FnOnce(&mut NetworkConfig)) -> Node {
    let mut config = NetworkConfig::for_testing(market());
    config.topics = vec![news()];
    config.bootstrap = known.iter().flat_map(|node| node.listen_addrs()).collect();
    change(&mut config);
    let clock = Arc::new(SystemClock);
    let (network, inbox) = Network::start(config, key, clock, None).await.unwrap();
    Node { network, inbox }
}

/// Keeps the pointers that it says yes to, all of them equally new.
pub(crate) fn keeps(good: impl Fn(&[u8]) -> bool + Send + Sync + 'static) -> PointerCheck {
    Arc::new(move |_, value| match good(value) {
        true => PointerVerdict::Good { rank: PointerRank::default(), left: Duration::MAX },
        false => PointerVerdict::Bad,
    })
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
