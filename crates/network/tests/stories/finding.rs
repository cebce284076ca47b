//! Nodes find each other, keep their limits, and keep out who does not belong.

use std::time::Duration;

use haggle_base::Coded;
use haggle_network::{NetworkConfig, NetworkEvent, Severity, Transport};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::lab::{Node, PATIENCE, couple, start, start_shy, stranger, until, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_nodes_with_one_bootstrap_find_each_other() {
    let one = start(1, &[], |_| {}).await;
    let mut nodes = vec![];
    for number in 2..=5 {
        nodes.push(start(number, &[&one], |_| {}).await);
    }
    nodes.push(one);
    for node in &nodes {
        until(node, || node.peers().len() == 4).await;
    }
    let facts = nodes[0].peers();
    assert!(facts.iter().all(|facts| facts.agent_version.starts_with("haggle/")));
    assert!(facts.iter().all(|facts| facts.connected_since.is_some() && !facts.addrs.is_empty()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bootstrap_node_that_comes_late_is_found() {
    let first = start_shy(1).await;
    let addr = first.listen_addrs()[0].clone();
    let port = addr.split('/').nth(4).unwrap().to_owned();
    first.shutdown().await;
    drop(first);

    let bob = start(2, &[], |config| config.bootstrap = vec![addr]).await;
    let alice = start(1, &[], |config: &mut NetworkConfig| {
        config.listen = vec![format!("/ip4/127.0.0.1/tcp/{port}")];
    })
    .await;
    until(&bob, || bob.is_connected(&alice.peer_id())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_is_found_through_the_dht_without_its_address() {
    let (alice, bob) = couple().await;
    let carol = start_shy(3).await;
    carol.dial(&alice.listen_addrs()[0]).await.unwrap();
    until(&alice, || alice.is_connected(&carol.peer_id())).await;
    within(carol.connect(&bob.peer_id(), &[])).await.unwrap();
    assert!(carol.is_connected(&bob.peer_id()));
}

/// An address of Bob's at which nobody ever says a word.
async fn dead_end(bob: &Node) -> (TcpListener, String) {
    let wall = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = format!("/ip4/127.0.0.1/tcp/{}/p2p/{}", wall.local_addr().unwrap().port(), bob.peer_id());
    (wall, addr)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_with_a_good_address_does_not_wait_for_a_dead_one() {
    let (bob, carol) = (start_shy(2).await, start_shy(3).await);
    let (wall, dead) = dead_end(&bob).await;
    let (carols, bobs) = (carol.network.clone(), bob.peer_id());
    let early = tokio::spawn(async move { carols.connect(&bobs, &[dead]).await });
    let _held = within(wall.accept()).await.unwrap();
    within(carol.connect(&bob.peer_id(), &bob.listen_addrs())).await.unwrap();
    within(early).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_whose_known_address_is_dead_is_looked_up_before_its_callers_give_up() {
    let (alice, bob) = (start_shy(1).await, start_shy(2).await);
    // nobody else's dial helps her: she listens nowhere
    let carol = start(3, &[], |config| {
        config.target_peers = 0;
        config.listen.clear();
    })
    .await;
    carol.dial(&alice.listen_addrs()[0]).await.unwrap();
    let (wall, dead) = dead_end(&bob).await;
    let (carols, bobs) = (carol.network.clone(), bob.peer_id());
    let waiting = tokio::spawn(async move { carols.connect(&bobs, &[dead]).await });
    let _held = within(wall.accept()).await.unwrap();
    bob.dial(&alice.listen_addrs()[0]).await.unwrap();
    within(waiting).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_of_another_network_do_not_talk() {
    let alice = start_shy(1).await;
    let mut inbound = alice.accept("/a2a/jsonrpc/1.0.0").unwrap();
    let mallory = start(6, &[], |config| {
        config.network = "devnet-8/1".parse().unwrap();
        config.topics.clear();
    })
    .await;
    let refused = within(mallory.dial(&alice.listen_addrs()[0])).await.unwrap_err();
    assert!(["wrong_network", "peer_unreachable"].contains(&refused.code()), "{refused}");
    let unopened = within(mallory.open(&alice.peer_id(), "/a2a/jsonrpc/1.0.0")).await.unwrap_err();
    assert!(["peer_banned", "peer_unreachable", "wrong_network"].contains(&unopened.code()), "{unopened}");
    assert!(alice.peers().is_empty());
    assert!(mallory.peers().is_empty());
    alice.shutdown().await;
    assert!(within(inbound.next()).await.is_none(), "no stream of another network was let in");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_connection_limit_holds() {
    let alice = start(1, &[], |config| {
        config.target_peers = 0;
        config.max_connections = 2;
    })
    .await;
    let mut guests = vec![];
    let mut refused = 0;
    for number in 2..=6 {
        let guest = start_shy(number).await;
        match within(guest.dial(&alice.listen_addrs()[0])).await {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.code(), "peer_unreachable");
                refused += 1;
            }
        }
        assert!(alice.peers().len() <= 2);
        guests.push(guest);
    }
    assert_eq!(refused, 3);
    assert_eq!(alice.peers().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_peer_is_unreachable_with_a_code() {
    let (alice, _bob) = couple().await;
    let error = within(alice.open(&stranger(), "/a2a/jsonrpc/1.0.0")).await.unwrap_err();
    assert_eq!(error.code(), "peer_unreachable");
    assert!(error.is_retryable());
    let error = within(alice.connect(&stranger(), &["/ip4/127.0.0.1/tcp/1".to_owned()])).await.unwrap_err();
    assert_eq!(error.code(), "peer_unreachable");
    assert!(alice.facts(&stranger()).unwrap().last_dial_failed.is_some());
    let error = within(alice.dial("/ip4/127.0.0.1/tcp/1")).await.unwrap_err();
    assert_eq!(error.code(), "peer_unreachable");
    for bad in ["localhost:80", "/ip4/1.2.3.4/sctp/1", ""] {
        assert_eq!(alice.dial(bad).await.unwrap_err().code(), "bad_address");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opening_to_a_silent_host_ends_at_the_deadline() {
    // Somebody listens but never says a word.
    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = format!("/ip4/127.0.0.1/tcp/{}", mute.local_addr().unwrap().port());
    let alice = start(1, &[], |config| {
        config.open_timeout = Duration::from_millis(300);
        config.connect_timeout = Duration::from_secs(20);
    })
    .await;
    let connecting = alice.network.clone();
    let dial = tokio::spawn(async move { connecting.connect(&stranger(), &[addr]).await });
    let (_held, _) = within(mute.accept()).await.unwrap();
    let began = Instant::now();
    let error = within(alice.open(&stranger(), "/a2a/jsonrpc/1.0.0")).await.unwrap_err();
    assert_eq!(error.code(), "open_timeout");
    assert!(began.elapsed() < PATIENCE / 2);
    dial.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_banned_peer_stays_out_until_the_ban_is_lifted() {
    let (alice, bob) = couple().await;
    let mut events = alice.subscribe_events();
    for _ in 0..2 {
        alice.report(&bob.peer_id(), Severity::High);
    }
    let banned = NetworkEvent::Banned { peer: bob.peer_id() };
    within(async { while events.recv().await.unwrap() != banned {} }).await;
    until(&bob, || !bob.is_connected(&alice.peer_id())).await;
    within(bob.dial(&alice.listen_addrs()[0])).await.unwrap_err();
    let error = alice.connect(&bob.peer_id(), &[]).await.unwrap_err();
    assert_eq!(error.code(), "peer_banned");

    alice.unban(&bob.peer_id()).await.unwrap();
    within(alice.connect(&bob.peer_id(), &bob.listen_addrs())).await.unwrap();
    assert!(alice.is_connected(&bob.peer_id()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_shuts_down_is_seen_to_leave_and_remembered() {
    let (alice, bob) = couple().await;
    let mut events = alice.subscribe_events();
    bob.shutdown().await;
    let gone = NetworkEvent::Disconnected { peer: bob.peer_id() };
    within(async { while events.recv().await.unwrap() != gone {} }).await;
    let facts = alice.facts(&bob.peer_id()).unwrap();
    assert_eq!(facts.connected_since, None);
    assert!(facts.last_seen.is_some());
    assert!(alice.peers().is_empty());
    assert_eq!(alice.known_peers().len(), 1);
    assert_eq!(bob.dial(&alice.listen_addrs()[0]).await.unwrap_err().code(), "network_closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_last_handle_stops_the_node() {
    let (alice, bob) = couple().await;
    let mut events = alice.subscribe_events();
    let gone = NetworkEvent::Disconnected { peer: bob.peer_id() };
    drop(bob);
    within(async { while events.recv().await.unwrap() != gone {} }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tcp_port_that_never_answers_does_not_hold_up_quic() {
    let quic = |config: &mut NetworkConfig| {
        config.listen = vec!["/ip4/127.0.0.1/udp/0/quic-v1".to_owned()];
        config.target_peers = 0;
    };
    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let alice = start(1, &[], quic).await;
    let bob = start(2, &[], quic).await;
    let mut addrs = vec![format!("/ip4/127.0.0.1/tcp/{}", mute.local_addr().unwrap().port())];
    addrs.extend(alice.listen_addrs());
    within(bob.connect(&alice.peer_id(), &addrs)).await.unwrap();
    let facts = bob.facts(&alice.peer_id()).unwrap();
    assert_eq!(facts.transport, Some(Transport::Quic));
    assert!(facts.last_dial_ok.is_some());
}

#[tokio::test]
async fn a_taken_port_and_a_foreign_topic_are_refused_at_the_start() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = NetworkConfig::for_testing(crate::lab::market());
    config.listen = vec![format!("/ip4/127.0.0.1/tcp/{}", taken.local_addr().unwrap().port())];
    let clock = std::sync::Arc::new(haggle_base::SystemClock);
    let key = crate::lab::node_key(1);
    let error = haggle_network::Network::start(config.clone(), &key, clock.clone(), None).await.unwrap_err();
    assert_eq!(error.code(), "listen_failed");

    config.topics = vec!["/haggle/devnet-8/1/rec/0/1".to_owned()];
    let error = haggle_network::Network::start(config, &key, clock, None).await.unwrap_err();
    assert_eq!(error.code(), "bad_protocol_name");
}
