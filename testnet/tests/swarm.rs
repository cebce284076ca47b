//! Twenty-five nodes find each other's listings: after a night off, a split, a flood, with wrong clocks, and as a newcomer.
//!
//! `HAGGLE_SWARM=200` takes as many nodes as that, and the newcomer's market is as large as the owner asks.

use haggle_base::RecordId;
use haggle_testnet::{Crowd, Swarm};
use std::time::Duration;
use tokio::time::Instant;

/// Nodes where nothing else is asked for.
const NODES: usize = 25;
/// Room in a shard where it does not matter.
const ROOMY: usize = 100_000;

fn is_large() -> Option<usize> {
    std::env::var("HAGGLE_SWARM").ok().and_then(|nodes| nodes.parse().ok())
}

fn nodes() -> usize {
    is_large().unwrap_or(NODES)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_published_while_a_node_was_down_is_found_after_its_return() {
    let mut swarm = Swarm::new(nodes(), ROOMY, 0..100).await;
    let early = swarm.publish(3, 1).await;
    swarm.until_all("the first listing", |node| swarm.holds(node, &early)).await;
    swarm.stop(7).await;
    let missed = swarm.publish(4, 2).await;
    swarm.until_all("the second listing", |node| swarm.holds(node, &missed)).await;
    swarm.start(7).await;
    assert!(swarm.holds(7, &early), "a stop loses nothing");
    // not later than a minute, which is how long the swarm waits for anything
    swarm.until("the listing that node 7 missed", || swarm.holds(7, &missed)).await;
    swarm.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_split_network_is_whole_again_when_it_heals() {
    let swarm = Swarm::new(nodes(), ROOMY, 0..100).await;
    let before = swarm.publish(0, 0).await;
    swarm.until_all("what was said before", |node| swarm.holds(node, &before)).await;
    swarm.cut().await;
    let odd = |node: usize| node % 2 == 1;
    let far = |node: usize, other: usize| odd(node) != odd(other);
    let connected = |node: usize| swarm.market(node).network().peers();
    let apart = |node: usize| {
        (0..swarm.len()).filter(|other| far(node, *other)).all(|other| {
            let peer = swarm.market(other).network().peer_id();
            connected(node).iter().all(|facts| facts.peer != peer)
        })
    };
    swarm.until_all("the cut", apart).await;
    let (by_even, by_odd) = (swarm.publish(2, 2).await, swarm.publish(3, 3).await);
    let own = |node| if odd(node) { by_odd } else { by_even };
    let other = |node| if odd(node) { by_even } else { by_odd };
    swarm.until_all("what its own half says", |node| swarm.holds(node, &own(node))).await;
    assert!((0..swarm.len()).all(|node| !swarm.holds(node, &other(node))), "the halves cannot hear each other");
    swarm.heal().await;
    swarm.until_all("what the other half said", |node| swarm.holds(node, &other(node))).await;
    swarm.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_by_a_thousand_authors_leaves_room_for_those_who_paid() {
    const SYBILS: u64 = 1000;
    let (capacity, few) = (400, nodes().min(10));
    let swarm = Swarm::new(few, capacity, 0..20).await;
    let first = swarm.publish(1, 0).await;
    swarm.until_all("an honest listing", |node| swarm.holds(node, &first)).await;
    swarm.fill(0, 1000..1000 + SYBILS).await;
    let mut honest: Vec<RecordId> = Vec::new();
    for number in 1..20_usize {
        honest.push(swarm.publish(number % few, number as u64).await);
    }
    swarm.until_all("the honest listings", |node| honest.iter().all(|id| swarm.holds(node, id))).await;
    for node in 0..few {
        let listings = swarm.market(node).catalog().status().listings;
        // four shards, a tenth of each for those who paid nothing
        assert!(listings <= 4 * capacity / 10 + 20, "node {node} holds {listings}");
    }
    swarm.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_hostile_peers_hides_no_listing_and_puts_no_older_one_in_its_place() {
    let mut swarm = Swarm::new(6, ROOMY, 0..100).await;
    let old = swarm.publish(2, 1).await;
    swarm.until_all("the first version", |node| swarm.holds(node, &old)).await;
    let all_forward = |swarm: &Swarm| (0..swarm.len()).for_each(|node| swarm.forward(node, Duration::from_secs(30)));
    all_forward(&swarm);
    let stale = swarm.signed(2, 1);
    all_forward(&swarm);

    // twenty peers stand nearer to the newcomer's place in the DHT than anybody else, and at every node's side
    let crowd = Crowd::around(&swarm.next_peer()).await;
    for node in 0..swarm.len() {
        crowd.surround(swarm.market(node).network()).await;
    }
    let mut forged = swarm.signed(2, 2);
    if let Some(last) = forged.last_mut() {
        *last ^= 1;
    }
    // a third of them say what was never said, a third what is out of date by then, a third nothing
    crowd.say(|number| (number % 3 == 1).then(|| forged.clone())).await;
    let new = swarm.publish_dearer(2, 1, 1).await;
    swarm.until_all("the second version", |node| swarm.holds(node, &new)).await;

    // who joins knows the crowd and one honest node, and the DHT shows it nothing but the crowd
    let mut known = crowd.addrs();
    known.extend(swarm.market(4).network().listen_addrs());
    let newcomer = swarm.join_knowing(known).await;
    swarm.forward(newcomer, Duration::from_secs(60));
    swarm.until("the crowd at the newcomer", || crowd.at(swarm.market(newcomer).network()) > 10).await;
    swarm.until("the listing at the newcomer", || swarm.holds(newcomer, &new)).await;
    crowd.say(|number| (number % 3 == 2).then(|| stale.clone())).await;
    let marker = swarm.publish(3, 3).await;
    swarm.until_all("what is said among the crowd", |node| swarm.holds(node, &marker)).await;
    for node in 0..swarm.len() {
        assert!(swarm.holds(node, &new) && !swarm.holds(node, &old), "node {node} has the newest version alone");
        assert_eq!(swarm.market(node).catalog().status().listings, 2, "node {node} holds nothing else");
    }
    swarm.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_from_the_future_waits_for_its_time() {
    let swarm = Swarm::new(nodes(), ROOMY, 0..100).await;
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    swarm.forward(2, minutes(9));
    let tolerated = swarm.publish(2, 1).await;
    swarm.until_all("a clock that is a little ahead", |node| swarm.holds(node, &tolerated)).await;
    swarm.forward(2, minutes(11));
    let early = swarm.publish(2, 2).await;
    let marker = swarm.publish(3, 3).await;
    swarm.until_all("what was said later", |node| swarm.holds(node, &marker)).await;
    let others = || (0..swarm.len()).filter(|node| *node != 2);
    assert!(others().all(|node| !swarm.holds(node, &early)), "twenty minutes ahead is too much");
    others().for_each(|node| swarm.forward(node, minutes(10)));
    swarm.until_all("the listing whose time has come", |node| swarm.holds(node, &early)).await;
    swarm.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sixth_node_takes_in_the_whole_market() {
    let listings = if is_large().is_some() { 10_000 } else { 1_500 };
    let mut swarm = Swarm::new(5, ROOMY, 0..listings).await;
    for node in 0..5 {
        swarm.fill(node, 0..listings).await;
    }
    let begun = Instant::now();
    let sixth = swarm.join().await;
    let held = || swarm.market(sixth).catalog().status();
    swarm.until("the sixth node", || held().complete && held().listings as u64 == listings).await;
    let took = begun.elapsed();
    println!("the sixth node held {listings} listings, all of them verified, after {took:?}");
    assert!(is_large().is_none() || took < Duration::from_secs(2), "{took:?}");
    swarm.end().await;
}
