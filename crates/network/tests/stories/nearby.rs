//! Nodes on the same local network find each other by multicast DNS. Loopback carries none, so this takes a network of
//! its own:
//!
//! ```text
//! unshare -rn sh -c 'ip link set lo up multicast on && ip address add 192.168.77.1/24 dev lo
//!     ip route add 224.0.0.0/4 dev lo && cargo nextest run -p haggle-network --run-ignored only nearby'
//! ```

use haggle_network::NetworkConfig;

use crate::lab::{start, until};

fn at_home(config: &mut NetworkConfig) {
    config.listen = vec!["/ip4/0.0.0.0/tcp/0".to_owned()];
    config.loopback_ok = false;
    config.mdns = true;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "multicasts: for a network of its own"]
async fn two_nodes_at_home_find_each_other_and_leave_another_network_alone() {
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
