//! Pointers in the DHT: found by all, checked on the way in and on the way out.

use std::sync::Arc;

use haggle_base::pointer::{self, Pointer, PointerHost};
use haggle_base::{AgentKey, Coded, List, RecordId, SystemClock, Timestamp};
use haggle_base::{Clock, Hash};
use haggle_network::{PointerRank, PointerVerdict};
use parking_lot::Mutex;

use crate::lab::{Node, PATIENCE, agent_key, keeps, market, start, until, within};

/// Keeps only values that end in `!`.
async fn picky(number: u8, known: &[&Node]) -> Node {
    start(number, known, |config| config.pointers = keeps(|value| value.ends_with(b"!"))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pointer_is_found_by_everyone_and_bad_ones_by_nobody() {
    let alice = picky(1, &[]).await;
    let bob = picky(2, &[&alice]).await;
    let eve = start(9, &[&alice], |_| {}).await;
    for node in [&alice, &bob, &eve] {
        until(node, || node.peers().len() == 2).await;
    }
    within(bob.put_pointer(b"agent/x".to_vec(), b"here!".to_vec())).await.unwrap();
    assert_eq!(within(alice.get_pointer(b"agent/x".to_vec(), PATIENCE)).await.unwrap(), [b"here!"]);
    assert!(within(alice.get_pointer(b"agent/y".to_vec(), PATIENCE)).await.unwrap().is_empty());

    // Eve's own node keeps anything; nobody else does, or takes it from her.
    within(eve.put_pointer(b"agent/x".to_vec(), b"over there".to_vec())).await.unwrap();
    assert_eq!(within(alice.get_pointer(b"agent/x".to_vec(), PATIENCE)).await.unwrap(), [b"here!"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pointers_have_limits() {
    let alice = picky(1, &[]).await;
    let error = alice.put_pointer(b"k".to_vec(), vec![b'!'; 1025]).await.unwrap_err();
    assert_eq!(error.code(), "pointer_too_large");
    let error = alice.put_pointer(vec![0; 129], b"!".to_vec()).await.unwrap_err();
    assert_eq!(error.code(), "pointer_too_large");
    let error = alice.put_pointer(b"k".to_vec(), b"unsigned".to_vec()).await.unwrap_err();
    assert_eq!(error.code(), "pointer_refused");
    let error = within(alice.put_pointer(b"k".to_vec(), b"alone!".to_vec())).await.unwrap_err();
    assert_eq!(error.code(), "pointer_not_stored");

    let bob = picky(2, &[&alice]).await;
    until(&bob, || bob.is_connected(&alice.peer_id())).await;
    let largest = vec![b'!'; 1024];
    within(bob.put_pointer(b"k".to_vec(), largest.clone())).await.unwrap();
    assert!(within(alice.get_pointer(b"k".to_vec(), PATIENCE)).await.unwrap().contains(&largest));
}

/// Keeps what the agents of this network say of themselves, as real nodes do.
async fn honest(number: u8, known: &[&Node]) -> Node {
    start(number, known, |config| {
        config.pointers = Arc::new(|key, value| match pointer::check(&market(), key, value, SystemClock.now()) {
            Ok(good) => PointerVerdict::Good {
                rank: PointerRank::new(good.record().seq, *good.id().as_bytes()),
                left: good.record().expires.since(SystemClock.now()),
            },
            Err(_) => PointerVerdict::Bad,
        });
    })
    .await
}

/// What an agent says at a time: it is at `host`, or nowhere.
fn said(agent: &AgentKey, seq: u64, at: Timestamp, host: Option<&Node>) -> Vec<u8> {
    let body = host.map_or_else(Pointer::withdrawn, |host| Pointer {
        card: Some(RecordId::from(Hash::of(b"a card"))),
        hosts: vec![PointerHost { peer: host.peer_id(), addrs: List::new() }].try_into().unwrap(),
        mailboxes: List::new(),
    });
    body.sign(&market(), seq, at, agent).unwrap().bytes().to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_peers_put_forged_foreign_and_old_pointers_and_change_nothing() {
    let (alice, eve) = (agent_key(70), agent_key(71));
    let key = pointer::key(&market(), &alice.did()).as_bytes().to_vec();
    let nodes = [honest(1, &[]).await];
    let nodes =
        [honest(2, &[&nodes[0]]).await, honest(3, &[&nodes[0]]).await].into_iter().chain(nodes).collect::<Vec<_>>();
    // her own node keeps what she says, and nothing else
    let says = Arc::new(Mutex::new(Vec::new()));
    let hers = Arc::clone(&says);
    let hostile = start(9, &[&nodes[2]], move |config| {
        config.pointers = keeps(move |value| *hers.lock() == value);
    })
    .await;
    let insist = async |value: Vec<u8>| {
        says.lock().clone_from(&value);
        within(hostile.put_pointer(key.clone(), value)).await.unwrap();
    };
    for node in nodes.iter().chain([&hostile]) {
        until(node, || node.peers().len() == 3).await;
    }
    let now = SystemClock.now();
    let find = async |node: &Node| within(node.get_pointer(key.clone(), PATIENCE)).await.unwrap();
    let (old, new) = (said(&alice, 1, now, Some(&nodes[0])), said(&alice, 2, now, Some(&nodes[1])));
    within(nodes[0].put_pointer(key.clone(), old.clone())).await.unwrap();
    assert_eq!(find(&nodes[1]).await[0], old);
    within(nodes[0].put_pointer(key.clone(), new.clone())).await.unwrap();
    for node in &nodes {
        assert_eq!(find(node).await, [new.as_slice()], "every node holds the newer one alone");
    }

    let mut forged = said(&alice, 9, now, Some(&hostile));
    *forged.last_mut().unwrap() ^= 1;
    let foreign = said(&eve, 9, now, Some(&hostile));
    let over = said(&alice, 9, now.minus(pointer::POINTER_TTL), Some(&hostile));
    for (value, what) in [(forged, "forged"), (foreign, "foreign"), (over, "over"), (old, "old")] {
        insist(value).await;
        for node in &nodes {
            assert_eq!(find(node).await[0], new, "{what}");
        }
    }
    assert_eq!(find(&nodes[1]).await.len(), 2, "the old one, which is alice's word too, comes from its one holder");

    let gone = said(&alice, 3, now, None);
    within(nodes[0].put_pointer(key.clone(), gone.clone())).await.unwrap();
    assert_eq!(find(&nodes[2]).await[0], gone);
    // the other network's check decides, not who sends it: hostile peers may hand on what is newer
    let back = said(&alice, 4, now, Some(&nodes[0]));
    insist(back.clone()).await;
    // one node that took it is enough for her; what the others hold until they are asked comes behind it
    assert_eq!(find(&nodes[1]).await[0], back);
}
