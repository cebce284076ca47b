//! Nodes on the same local network find each other by multicast DNS. Loopback carries none, so this takes a network of its own.

use haggle_network::NetworkConfig;

use crate::lab::{in_a_network_of_its_own, start, until};

fn at_home(config: &mut NetworkConfig) {
    config.listen = vec!["/ip4/0.0.0.0/tcp/0".to_owned()];
    config.loopback_ok = false;
    config.mdns = true;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_at_home_find_each_other_and_leave_another_network_alone() {
    if !in_a_network_of_its_own("nearby::two_nodes_at_home_find_each_other_and_leave_another_network_alone") {
        return;
    }
    let foreign = start(3, &[], |config| {
        at_home(config);
        config.network = "devnet-8/1".parse().unwrap();
        config.topics.clear();
    })
    .await;
    let alice = start(1, &[], at_home).await;
    let bob = start(2, &[], at_home).await;
    until(&alice, || alice.is_connected(&bob.peer_id())).await;
    until(&bob, || bob.is_connected(&alice.peer_id())).await;
    assert!(foreign.peers().is_empty());
    assert_eq!(alice.peers().len(), 1);
}
