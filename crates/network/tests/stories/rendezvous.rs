//! Members of a part of the network are found by those who were never told of them.

use std::time::Duration;

use haggle_base::Coded as _;
use haggle_network::{Member, NetworkConfig, Rendezvous};

use crate::lab::{Node, start, within};

/// Generous for a machine that does other work; a look ends earlier where everybody answers.
const PATIENCE: Duration = Duration::from_secs(5);

/// A node that keeps declarations, and is content with one peer.
async fn content(number: u8, known: &[&Node]) -> Node {
    start(number, known, settings).await
}

fn settings(config: &mut NetworkConfig) {
    config.rendezvous = Rendezvous::all(4);
    config.target_peers = 1;
}

/// What `node` finds at a place, once it finds anybody: nobody confirms a declaration.
async fn found(node: &Node, at: Rendezvous) -> Vec<Member> {
    within(async {
        loop {
            let found = node.members(at, PATIENCE).await.unwrap();
            if !found.is_empty() {
                return found;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_is_found_at_its_place_and_at_no_other_by_one_who_knows_neither() {
    let hub = content(1, &[]).await;
    let member = content(2, &[&hub]).await;
    let seeker = content(3, &[&hub]).await;
    within(async {
        while hub.peers().len() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    member.declare(Rendezvous::Shard(3)).await.unwrap();
    member.declare(Rendezvous::Index).await.unwrap();

    let [one] = found(&seeker, Rendezvous::Index).await.try_into().unwrap();
    assert_eq!(one.peer, member.peer_id());
    assert!(!one.addrs.is_empty(), "with addresses to dial");
    seeker.connect(&one.peer, &one.addrs).await.unwrap();
    assert!(seeker.is_connected(&member.peer_id()));

    assert_eq!(found(&seeker, Rendezvous::Shard(3)).await.len(), 1);
    assert_eq!(seeker.members(Rendezvous::Shard(2), PATIENCE).await.unwrap(), []);
    // whoever looks does not find itself
    assert_eq!(member.members(Rendezvous::Index, PATIENCE).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_dht_says_of_a_member_that_is_gone_is_a_hint_and_no_more() {
    let hub = content(1, &[]).await;
    let member = content(2, &[&hub]).await;
    let peer = member.peer_id();
    // whom the member cannot answer itself, so that only the hub can
    let watcher = content(3, &[&hub]).await;
    watcher.ban(&peer, Duration::from_secs(600)).await.unwrap();
    within(async {
        while hub.peers().len() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    member.declare(Rendezvous::Index).await.unwrap();
    assert_eq!(found(&watcher, Rendezvous::Index).await[0].peer, peer);
    member.shutdown().await;
    within(async {
        while hub.is_connected(&peer) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let [one] = hub.members(Rendezvous::Index, PATIENCE).await.unwrap().try_into().unwrap();
    assert_eq!(one.peer, peer);
    assert_eq!(hub.connect(&one.peer, &one.addrs).await.unwrap_err().code(), "peer_unreachable");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_declares_itself_where_it_keeps_no_places() {
    let alone = start(1, &[], |config| config.target_peers = 0).await;
    assert_eq!(alone.declare(Rendezvous::Index).await.unwrap_err().code(), "network_busy");
    assert_eq!(alone.members(Rendezvous::Index, PATIENCE).await.unwrap(), []);
}
