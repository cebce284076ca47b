//! Peers learn which DIDs the other end speaks for.

use haggle_base::Coded;
use haggle_network::{MAX_DIDS_PER_PEER, NetworkEvent};

use crate::lab::{agent_key, couple, start, start_shy, stranger, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_prove_their_dids_when_they_connect() {
    let alice = start_shy(1).await;
    let bob = start_shy(2).await;
    for number in [11, 12] {
        alice.present(agent_key(number)).await.unwrap();
    }
    bob.present(agent_key(21)).await.unwrap();
    within(bob.dial(&alice.listen_addrs()[0])).await.unwrap();

    let mut expected = vec![agent_key(11).did(), agent_key(12).did()];
    expected.sort_unstable();
    assert_eq!(within(bob.ensure_dids(&alice.peer_id())).await, expected);
    assert_eq!(bob.dids_of(&alice.peer_id()), expected);
    crate::lab::until(&alice, || !alice.dids_of(&bob.peer_id()).is_empty()).await;
    assert_eq!(alice.dids_of(&bob.peer_id()), [agent_key(21).did()]);
    assert_eq!(alice.peers_of(&agent_key(21).did()), [bob.peer_id()]);
    assert!(alice.peers_of(&agent_key(22).did()).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agents_given_at_the_start_are_proved_to_the_first_question() {
    let alice = start(1, &[], |config| config.agents = vec![agent_key(11)]).await;
    let bob = start_shy(2).await;
    within(bob.dial(&alice.listen_addrs()[0])).await.unwrap();
    assert_eq!(within(bob.ensure_dids(&alice.peer_id())).await, [agent_key(11).did()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_did_presented_later_is_known_to_whoever_asks_at_once() {
    let (alice, bob) = couple().await;
    assert!(within(bob.ensure_dids(&alice.peer_id())).await.is_empty());
    let mut events = bob.subscribe_events();
    for number in 11..16 {
        within(alice.present(agent_key(number))).await.unwrap();
        let dids = within(bob.ensure_dids(&alice.peer_id())).await;
        assert!(dids.contains(&agent_key(number).did()), "after {} more", number - 10);
    }
    let proven = NetworkEvent::Proven { peer: alice.peer_id(), did: agent_key(11).did() };
    within(async { while events.recv().await.unwrap() != proven {} }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_did_is_forgotten_with_the_connection() {
    let (alice, bob) = couple().await;
    alice.present(agent_key(11)).await.unwrap();
    assert_eq!(within(bob.ensure_dids(&alice.peer_id())).await.len(), 1);
    alice.shutdown().await;
    crate::lab::until(&bob, || !bob.is_connected(&alice.peer_id())).await;
    assert!(bob.dids_of(&alice.peer_id()).is_empty());
    assert!(within(bob.ensure_dids(&alice.peer_id())).await.is_empty());
    assert!(within(bob.ensure_dids(&stranger())).await.is_empty());
}

#[tokio::test]
async fn a_node_presents_only_so_many_dids() {
    let alice = start_shy(1).await;
    for number in 0..MAX_DIDS_PER_PEER {
        let number = u8::try_from(number).unwrap();
        alice.present(agent_key(100 + number)).await.unwrap();
        alice.present(agent_key(100 + number)).await.unwrap();
    }
    assert_eq!(alice.present(agent_key(99)).await.unwrap_err().code(), "too_many_dids");
}
