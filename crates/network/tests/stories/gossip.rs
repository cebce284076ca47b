//! Gossip reaches all, and only what is accepted spreads.

use haggle_base::Coded;
use haggle_network::{NetworkEvent, Rate};
use prometheus_client::registry::Registry;
use std::time::Duration;

use crate::lab::{couple, news, start, start_shy, until_heard_by, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gossip_reaches_all_five_nodes() {
    let mut nodes = vec![start(1, &[], |_| {}).await];
    for number in 2..=5 {
        let node = start(number, &[&nodes[0]], |_| {}).await;
        nodes.push(node);
    }
    until_heard_by(&nodes[4], 1).await;
    // Published while the mesh is still forming: flooding and later offers bring it to all.
    until_heard_by(&nodes[4], 4).await;
    nodes[4].publish(&news(), b"fresh bread".to_vec()).await.unwrap();
    nodes[4].publish(&news(), b"fresh bread".to_vec()).await.unwrap();
    for node in &mut nodes[..4] {
        let message = within(node.inbox.gossip.recv()).await.unwrap();
        assert_eq!(&message.bytes[..], b"fresh bread");
        assert_eq!(message.topic, news());
        message.verdict.accept();
        assert!(node.inbox.gossip.try_recv().is_err(), "it comes once");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejected_and_ignored_messages_do_not_spread() {
    // Alice - Bob - Carol, and no way around Bob.
    let (alice, mut bob) = couple().await;
    let mut carol = start_shy(3).await;
    let for_ever = Duration::from_secs(3600);
    alice.ban(&carol.peer_id(), for_ever).await.unwrap();
    carol.ban(&alice.peer_id(), for_ever).await.unwrap();
    carol.dial(&bob.listen_addrs()[0]).await.unwrap();
    until_heard_by(&bob, 2).await;
    until_heard_by(&alice, 1).await;

    for text in ["forged", "stale", "dropped", "good"] {
        alice.publish(&news(), text.as_bytes().to_vec()).await.unwrap();
        let message = within(bob.inbox.gossip.recv()).await.unwrap();
        assert_eq!(&message.bytes[..], text.as_bytes());
        assert_eq!(message.from, alice.peer_id());
        match text {
            "forged" => message.verdict.reject(),
            "stale" => message.verdict.ignore(),
            "dropped" => drop(message),
            _ => message.verdict.accept(),
        }
    }
    let first = within(carol.inbox.gossip.recv()).await.unwrap();
    assert_eq!(&first.bytes[..], b"good");
    assert_eq!(first.from, bob.peer_id());
    first.verdict.accept();
}

/// Were a message known by anything less than all of its bytes, whoever is faster with a spoiled copy would silence its author.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_copy_does_not_keep_the_real_message_from_spreading() {
    // Mallory - Bob - Alice: Bob hears the forgery first.
    let (mallory, mut bob) = couple().await;
    let alice = start_shy(3).await;
    alice.ban(&mallory.peer_id(), Duration::from_secs(3600)).await.unwrap();
    alice.dial(&bob.listen_addrs()[0]).await.unwrap();
    until_heard_by(&bob, 2).await;
    let key = haggle_base::Seed::devnet(7, 0).agent_key(0);
    let network = haggle_base::NetworkId::try_from("devnet-7/1").unwrap();
    let now = haggle_base::Timestamp::from_secs(1_795_000_000);
    let real = haggle_base::Pointer::withdrawn().sign(&network, 1, now, &key).unwrap().bytes().to_vec();
    let mut spoiled_end = real.clone();
    *spoiled_end.last_mut().unwrap() ^= 1;
    let mut spoiled_body = real.clone();
    spoiled_body[real.len() / 2] ^= 1;
    for forged in [spoiled_end, spoiled_body] {
        mallory.publish(&news(), forged.clone()).await.unwrap();
        let message = within(bob.inbox.gossip.recv()).await.unwrap();
        assert_eq!(&message.bytes[..], forged);
        message.verdict.ignore();
    }
    alice.publish(&news(), real.clone()).await.unwrap();
    let message = within(bob.inbox.gossip.recv()).await.unwrap();
    assert_eq!((&message.bytes[..], message.from), (&real[..], alice.peer_id()));
    message.verdict.accept();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_keeps_sending_bad_messages_is_banned() {
    let (alice, mut bob) = couple().await;
    until_heard_by(&alice, 1).await;
    let mut events = bob.subscribe_events();
    let banned = NetworkEvent::Banned { peer: alice.peer_id() };
    let mut sent = 0_u32;
    let reason = loop {
        sent += 1;
        if let Err(error) = alice.publish(&news(), sent.to_be_bytes().to_vec()).await {
            break error;
        }
        // Gossip's own scores stop listening to Alice after a few; the ban follows her reports.
        match tokio::time::timeout(Duration::from_millis(500), bob.inbox.gossip.recv()).await {
            Ok(message) => message.unwrap().verdict.reject(),
            Err(_) => bob.report(&alice.peer_id(), haggle_network::Severity::High),
        }
    };
    assert_eq!(reason.code(), "no_peers");
    within(async { while events.recv().await.unwrap() != banned {} }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishing_says_why_it_cannot() {
    let lonely = start_shy(1).await;
    let no_peers = lonely.publish(&news(), vec![1]).await.unwrap_err();
    assert_eq!(no_peers.code(), "no_peers");
    assert!(no_peers.is_retryable());
    let oversize = lonely.publish(&news(), vec![0; 64 * 1024 + 1]).await.unwrap_err();
    assert_eq!(oversize.code(), "message_too_large");
    let foreign = lonely.publish("/haggle/devnet-8/1/rec/0/1", vec![1]).await.unwrap_err();
    assert_eq!(foreign.code(), "bad_protocol_name");

    let silent = start(2, &[&lonely], |config| config.gossip = false).await;
    assert_eq!(silent.publish(&news(), vec![1]).await.unwrap_err().code(), "gossip_off");
    crate::lab::until(&silent, || silent.is_connected(&lonely.peer_id())).await;
    assert_eq!(lonely.subscribers(&news()).await.unwrap(), 0, "a silent node does not subscribe");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_message_passes() {
    let (alice, mut bob) = couple().await;
    until_heard_by(&alice, 1).await;
    alice.publish(&news(), vec![7; 64 * 1024]).await.unwrap();
    let message = within(bob.inbox.gossip.recv()).await.unwrap();
    assert_eq!(message.bytes.len(), 64 * 1024);
    message.verdict.accept();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_is_cut_to_the_rate_and_to_the_inbox() {
    let mut registry = Registry::default();
    let mut config = haggle_network::NetworkConfig::for_testing(crate::lab::market());
    config.topics = vec![news()];
    config.target_peers = 0;
    config.inbox_capacity = 4;
    config.gossip_rate = Rate { per_second: 0, burst: 10 };
    let clock = std::sync::Arc::new(haggle_base::SystemClock);
    let key = crate::lab::node_key(2);
    let started = haggle_network::Network::start(config, &key, clock, Some(&mut registry));
    let (bob, mut inbox) = started.await.unwrap();
    let eve = start_shy(9).await;
    eve.dial(&bob.listen_addrs()[0]).await.unwrap();
    until_heard_by(&eve, 1).await;
    let mut events = bob.subscribe_events();

    for number in 0..30_u32 {
        eve.publish(&news(), number.to_be_bytes().to_vec()).await.unwrap();
    }
    let counted = |line: &str| {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text.contains(line)
    };
    within(async {
        while !counted("haggle_network_gossip_total{outcome=\"over_rate\"} 20\n") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert!(counted("haggle_network_gossip_total{outcome=\"inbox_full\"} 6\n"));
    within(async { while events.recv().await.unwrap() != NetworkEvent::GossipDropped {} }).await;
    assert!(counted("haggle_network_peers 1\n"));
    assert!(counted("libp2p_swarm_connections_established_total"));
    for _ in 0..4 {
        within(inbox.gossip.recv()).await.unwrap().verdict.accept();
    }
    assert!(inbox.gossip.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_takes_no_news_is_heard_all_the_same() {
    let mut alice = start(1, &[], |_| {}).await;
    let mut bob = start(2, &[&alice], |config| config.listens_to = Some(Vec::new())).await;
    until_heard_by(&bob, 1).await;
    bob.publish(&news(), b"for sale".to_vec()).await.unwrap();
    let message = within(alice.inbox.gossip.recv()).await.unwrap();
    assert_eq!((&message.bytes[..], message.from), (&b"for sale"[..], bob.peer_id()));
    message.verdict.accept();
    assert_eq!(alice.subscribers(&news()).await.unwrap(), 0);
    let said = alice.publish(&news(), b"for nobody".to_vec()).await.unwrap_err();
    assert_eq!(said.code(), "no_peers");
    assert!(bob.inbox.gossip.try_recv().is_err());
}
