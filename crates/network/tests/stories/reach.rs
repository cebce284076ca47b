//! A node learns from peers whether others can dial it, and does what follows.

use haggle_network::{NetworkConfig, NetworkEvent, Reach, RelayLimits};

use crate::lab::{Node, in_a_network_of_its_own, news, start, until, within};

/// A node that asks and answers, and looks for nobody by itself.
async fn start_asking(number: u8, known: &[&Node], change: impl FnOnce(&mut NetworkConfig)) -> Node {
    let node = start(number, &[], |config| {
        config.target_peers = 0;
        config.autonat = true;
        change(config);
    })
    .await;
    for other in known {
        node.dial(&other.listen_addrs()[0]).await.unwrap();
    }
    node
}

fn through_relay(node: &Node) -> bool {
    node.listen_addrs().iter().any(|addr| addr.contains("/p2p-circuit/"))
}

async fn until_reach(node: &Node, reach: Reach) {
    until(node, || node.reach() == reach).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_a_peer_can_dial_learns_it() {
    let alice = start_asking(1, &[], |_| {}).await;
    assert_eq!(alice.reach(), Reach::Unknown, "nobody has tried");
    let bob = start_asking(2, &[&alice], |_| {}).await;
    until_reach(&bob, Reach::Yes).await;
    until(&alice, || alice.is_connected(&bob.peer_id())).await;
    assert!(bob.is_connected(&alice.peer_id()));
    assert_eq!(alice.reach(), Reach::Unknown, "Alice dialled nobody whom she could ask");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_asked_who_does_not_answer_and_nothing_is_known_then() {
    let alice = start(1, &[], |config| config.target_peers = 0).await;
    let bob = start_asking(2, &[&alice], |_| {}).await;
    let carol = start_asking(3, &[&bob], |_| {}).await;
    until_reach(&carol, Reach::Yes).await;
    assert_eq!(bob.reach(), Reach::Unknown);
    assert_eq!(alice.reach(), Reach::Unknown);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_listens_nowhere_cannot_be_dialled() {
    let alice = start_asking(1, &[], |_| {}).await;
    let bob = start_asking(2, &[&alice], |config| config.listen.clear()).await;
    until_reach(&bob, Reach::No).await;
    assert!(bob.listen_addrs().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_cannot_be_dialled_takes_a_place_and_gives_it_back_once_two_peers_have_dialled_it() {
    let relay = start(1, &[], |config| {
        config.target_peers = 0;
        config.relay = Some(RelayLimits::default());
    })
    .await;
    // Alice has no connection left to try with: to Bob that looks like a firewall.
    let alice = start_asking(2, &[], |config| config.max_connections = 1).await;
    let bob = start_asking(3, &[&alice], |config| config.relays = relay.listen_addrs()).await;
    until_reach(&bob, Reach::No).await;
    until(&bob, || through_relay(&bob)).await;

    let mut events = bob.subscribe_events();
    let carol = start_asking(4, &[], |_| {}).await;
    bob.dial(&carol.listen_addrs()[0]).await.unwrap();
    until_reach(&bob, Reach::Yes).await;
    assert!(through_relay(&bob), "one peer's word is not enough to give up a place");
    let dave = start_asking(5, &[], |_| {}).await;
    bob.dial(&dave.listen_addrs()[0]).await.unwrap();
    let back = NetworkEvent::Unreserved { relay: relay.peer_id() };
    within(async { while events.recv().await.unwrap() != back {} }).await;
    // no event tells of the address; the question takes a turn of the worker
    within(async {
        while through_relay(&bob) {
            bob.subscribers(&news()).await.unwrap();
        }
    })
    .await;
    assert_eq!(bob.reach(), Reach::Yes);
}

/// A node as on the open internet, in a network of its own whose loopback carries an address of it.
async fn start_outside(number: u8, ip: &str, change: impl FnOnce(&mut NetworkConfig)) -> Node {
    let listen = format!("/ip4/{ip}/tcp/0");
    start_asking(number, &[], |config| {
        config.listen = vec![listen];
        config.loopback_ok = false;
        change(config);
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_addresses_of_the_open_internet_are_tried_there() {
    if !in_a_network_of_its_own("reach::only_addresses_of_the_open_internet_are_tried_there") {
        return;
    }
    let alice = start_outside(1, "8.8.8.8", |_| {}).await;
    let bob = start_outside(2, "9.9.9.9", |_| {}).await;
    let carol = start_outside(3, "192.168.77.1", |_| {}).await;
    for node in [&bob, &carol] {
        node.dial(&alice.listen_addrs()[0]).await.unwrap();
    }
    until_reach(&bob, Reach::Yes).await;
    assert_eq!(carol.reach(), Reach::Unknown, "her only address is private");
}
