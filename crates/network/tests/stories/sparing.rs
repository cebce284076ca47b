//! Connections that nobody needs are let go, and only by who has dialled them.

use std::cell::Cell;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use haggle_base::PeerId;

use crate::lab::{Node, start, start_shy, until, within};

const PROTOCOL: &str = "/haggle/devnet-7/1/echo/1";

/// A node that looks for two peers, so that three are enough.
async fn modest(gossips: bool) -> Node {
    start(1, &[], |config| {
        config.target_peers = 2;
        config.spare_timeout = Duration::from_millis(300);
        config.gossip = gossips;
    })
    .await
}

/// So many others, who look for nobody.
async fn shy(count: u8) -> Vec<Node> {
    let mut others = vec![];
    for number in 0..count {
        others.push(start_shy(2 + number).await);
    }
    others
}

/// The first of the others whose connection is closed.
async fn first_closed(hub: &Node, others: &[Node]) -> PeerId {
    let closed = Cell::new(None);
    let is_closed = |peer: &PeerId| !hub.is_connected(peer);
    until(hub, || {
        closed.set(others.iter().map(|other| other.peer_id()).find(is_closed));
        closed.get().is_some()
    })
    .await;
    closed.get().unwrap()
}

async fn dial_all(node: &Node, others: &[Node]) {
    for other in others {
        within(node.connect(&other.peer_id(), &other.listen_addrs())).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_needs_is_closed_and_what_is_used_or_was_dialled_by_others_stays() {
    let hub = modest(false).await;
    let others = shy(7).await;
    let (guest, hosts) = others.split_last().unwrap();
    within(guest.connect(&hub.peer_id(), &hub.listen_addrs())).await.unwrap();
    let mut streams = hosts[0].accept(PROTOCOL).unwrap();
    within(hub.connect(&hosts[0].peer_id(), &hosts[0].listen_addrs())).await.unwrap();
    let stream = within(hub.open(&hosts[0].peer_id(), PROTOCOL)).await.unwrap();
    let _other_end = within(streams.next()).await.unwrap();
    dial_all(&hub, &hosts[1..]).await;

    // others may dial it again: their lookups ask everybody
    let gone = first_closed(&hub, &hosts[1..]).await;
    assert!(hub.is_connected(&hosts[0].peer_id()), "a stream is on that one");
    assert!(hub.is_connected(&guest.peer_id()), "that one is for the other side to close");
    within(hub.connect(&gone, &[])).await.unwrap();
    drop(stream);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_gossip_sends_whole_messages_to_stays() {
    let hub = modest(true).await;
    let mut others = shy(10).await;
    dial_all(&hub, &others).await;
    first_closed(&hub, &others).await;
    let left = others.iter().filter(|other| hub.is_connected(&other.peer_id())).count();
    assert!(left >= 4, "the mesh has four to seven peers, and {left} are connected");
    hub.publish(&crate::lab::news(), b"fresh bread".to_vec()).await.unwrap();
    let mut heard: FuturesUnordered<_> = others.iter_mut().map(|other| other.inbox.gossip.recv()).collect();
    for _ in 0..4 {
        let message = within(heard.next()).await.unwrap().unwrap();
        assert_eq!(&message.bytes[..], b"fresh bread");
        message.verdict.accept();
    }
}
