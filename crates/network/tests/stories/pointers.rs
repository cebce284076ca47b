//! Pointers in the DHT: found by all, checked on the way in and on the way out.

use std::sync::Arc;

use haggle_base::Coded;

use crate::lab::{Node, start, until, within};

/// Keeps only values that end in `!`.
async fn picky(number: u8, known: &[&Node]) -> Node {
    start(number, known, |config| config.pointers = Arc::new(|_, value| value.ends_with(b"!"))).await
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
    assert_eq!(within(alice.get_pointer(b"agent/x".to_vec())).await.unwrap(), [b"here!"]);
    assert!(within(alice.get_pointer(b"agent/y".to_vec())).await.unwrap().is_empty());

    // Eve's own node keeps anything; nobody else does, or takes it from her.
    within(eve.put_pointer(b"agent/x".to_vec(), b"over there".to_vec())).await.unwrap();
    assert_eq!(within(alice.get_pointer(b"agent/x".to_vec())).await.unwrap(), [b"here!"]);
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
    assert!(within(alice.get_pointer(b"k".to_vec())).await.unwrap().contains(&largest));
}
