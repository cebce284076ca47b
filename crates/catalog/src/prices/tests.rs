//! Stories of prices: what is written, what is not, and when it goes.

use std::{sync::Arc, time::Duration};

use haggle_base::{Address, AgentKey, ManualClock};

use super::*;
use crate::{
    CatalogConfig, Figures, Origin, PaidRoom, Silent, Standing,
    body::{RECORD_TTL, listing_slot},
    shelf::event::Put,
    testing::{Node, START, agent, config, listing, node, node_with, peer, signed, signed_tombstone, usdc},
};

const SECOND: Duration = Duration::from_secs(1);

/// Version `seq` of an agent's listing, signed so many seconds after the start.
fn version(key: &AgentKey, seq: u64, price: &str) -> Vec<u8> {
    let signed_at = START.plus(SECOND * u32::try_from(seq).unwrap());
    signed(key, &listing_slot("digest").unwrap(), seq, signed_at, RECORD_TTL, listing("Digest", "text", price))
}

fn synced() -> Origin {
    Origin::Sync { peer: peer(9) }
}

impl Node {
    async fn takes(&self, bytes: Vec<u8>) -> Put {
        self.catalog.put(bytes, synced()).await.unwrap()
    }

    fn rows(&self) -> u64 {
        self.store.count::<Prices>().unwrap()
    }

    /// Version, price and the seconds from the start at which it was signed and seen.
    fn history(&self, key: &AgentKey) -> Vec<(u64, String, u64, Option<u64>)> {
        let seconds = |at: Timestamp| at.since(START).as_secs();
        let mut histories = self.catalog.prices_of(&key.did()).unwrap();
        let history = histories.pop().unwrap();
        assert!(histories.is_empty());
        let point = |point: &PricePoint| {
            (point.version, point.price.to_string(), seconds(point.signed), point.seen.map(seconds))
        };
        assert_eq!(history.points.last().unwrap().price, history.listing.body().price);
        history.points.iter().map(point).collect()
    }
}

#[tokio::test]
async fn only_a_change_of_price_is_written_down() {
    let node = node().await;
    let alice = agent(0);
    let point = |version, price: &str, signed, seen| (version, price.to_owned(), signed, seen);
    assert!(node.takes(version(&alice, 1, "0.25")).await.is_new());
    assert_eq!((node.rows(), node.history(&alice)), (0, vec![point(1, "0.25", 1, None)]), "the listing says it itself");
    assert!(node.takes(version(&alice, 2, "0.25")).await.is_new());
    assert_eq!(
        (node.rows(), node.history(&alice)),
        (0, vec![point(2, "0.25", 2, None)]),
        "signed anew at the same price"
    );
    node.clock.advance(SECOND * 10);
    assert!(node.takes(version(&alice, 3, "0.30")).await.is_new());
    let changed = vec![point(2, "0.25", 2, None), point(3, "0.3", 3, Some(10))];
    assert_eq!((node.rows(), node.history(&alice)), (1, changed.clone()));
    assert!(matches!(node.takes(version(&alice, 1, "0.25")).await, Put::Stale { .. }));
    assert!(node.takes(version(&alice, 4, "0.30")).await.is_new());
    assert_eq!(
        (node.rows(), node.history(&alice)),
        (1, changed),
        "neither a stale version nor the same price changes it"
    );
    node.clock.advance(SECOND);
    assert!(node.takes(version(&alice, 5, "0")).await.is_new());
    let last = node.history(&alice)[1..].to_vec();
    assert_eq!(last, [point(3, "0.3", 3, Some(10)), point(5, "0", 5, Some(11))]);
    assert!(node.catalog.prices_of(&agent(1).did()).unwrap().is_empty());
}

#[tokio::test]
async fn a_history_ends_with_the_listing_it_is_of_though_a_newer_one_came_meanwhile() {
    let node = node().await;
    let alice = agent(0);
    assert!(node.takes(version(&alice, 1, "0.25")).await.is_new());
    assert!(node.takes(version(&alice, 2, "0.30")).await.is_new());
    let read = node.catalog.listings_of(&alice.did()).unwrap().pop().unwrap();
    for (seq, price) in [(3, "0.35"), (4, "0.40")] {
        assert!(node.takes(version(&alice, seq, price)).await.is_new());
    }
    let versions = |history: PriceHistory| history.points.iter().map(|point| point.version).collect::<Vec<_>>();
    assert_eq!(versions(node.catalog.prices(read.clone()).unwrap()), [1, 2]);
    for seq in 5..=40 {
        assert!(node.takes(version(&alice, seq, &format!("0.{}", 40 + seq))).await.is_new());
    }
    assert_eq!(versions(node.catalog.prices(read).unwrap()), [2], "what it was has left the log");
}

#[tokio::test]
async fn changes_that_come_together_are_all_written_down() {
    let node = node().await;
    let (alice, bob) = (agent(0), agent(1));
    let mut records: Vec<_> = (1..=4).map(|seq| version(&alice, seq, &format!("0.{seq}"))).collect();
    records.extend((1..=2).map(|seq| version(&bob, seq, &format!("1.{seq}"))));
    for outcome in node.catalog.put_many(records, synced()).await.unwrap() {
        assert!(outcome.unwrap().is_new());
    }
    let prices = |key: &AgentKey| node.history(key).into_iter().map(|(_, price, ..)| price).collect::<Vec<_>>();
    assert_eq!(
        (prices(&alice), prices(&bob)),
        (["0.1", "0.2", "0.3", "0.4"].map(str::to_owned).to_vec(), ["1.1", "1.2"].map(str::to_owned).to_vec(),)
    );
}

#[tokio::test]
async fn the_newest_changes_are_kept_and_are_there_after_a_restart() {
    let store = Store::memory();
    let node = node_with(store.clone(), config()).await;
    let alice = agent(0);
    for seq in 1..=40 {
        let price = usdc("1").units() + seq;
        assert!(node.takes(version(&alice, seq, &Usdc::from_units(price).to_string())).await.is_new());
    }
    let told = node.history(&alice);
    assert_eq!((told.len(), told[0].0, told[32].0), (MAX_PRICE_CHANGES + 1, 8, 40));
    node.catalog.shutdown().await.unwrap();
    let again = node_with(store, config()).await;
    assert_eq!(again.history(&alice), told);
    assert!(again.takes(version(&alice, 41, "2")).await.is_new(), "the price before is known after a restart too");
    assert_eq!(again.history(&alice).last().unwrap().1, "2");
}

#[tokio::test]
async fn prices_go_with_the_listing() {
    let store = Store::memory();
    let node = node_with(store.clone(), config()).await;
    let (alice, bob) = (agent(0), agent(1));
    let changed = async |node: &Node, key: &AgentKey, from: u64| {
        for seq in from..from + 2 {
            assert!(node.takes(version(key, seq, &format!("0.{seq}"))).await.is_new());
        }
    };
    // Withdrawn, alone and together with what came before and after it.
    changed(&node, &alice, 1).await;
    assert_eq!(node.rows(), 1);
    assert!(node.takes(signed_tombstone(&alice, "digest", 3, "text")).await.is_new());
    assert_eq!(node.rows(), 0);
    changed(&node, &alice, 4).await;
    assert_eq!((node.rows(), node.history(&alice)[0].0), (1, 4), "it begins anew");
    let group =
        vec![version(&alice, 6, "0.6"), signed_tombstone(&alice, "digest", 7, "text"), version(&alice, 8, "0.8")];
    for outcome in node.catalog.put_many(group, synced()).await.unwrap() {
        assert!(outcome.unwrap().is_new());
    }
    assert_eq!((node.rows(), node.history(&alice).len()), (0, 1));
    // Expired, while the node runs and while it is down.
    changed(&node, &bob, 1).await;
    changed(&node, &alice, 9).await;
    assert_eq!(node.rows(), 2);
    node.clock.advance(RECORD_TTL + SECOND * 3);
    node.catalog.sweep().await.unwrap();
    assert_eq!(node.rows(), 1, "alice's lives on for some seconds");
    node.catalog.shutdown().await.unwrap();
    let again = node_with(store.clone(), config()).await;
    assert_eq!(again.rows(), 1, "its clock is at the start");
    let later = START.plus(RECORD_TTL + SECOND * 60);
    let loaded = crate::records::load(&store, &config(), later).await.unwrap();
    assert_eq!((loaded.len(), again.rows()), (0, 0));
}

/// Everybody but this one has paid for room.
#[derive(Debug)]
struct AllPaidBut(Did);

impl Standing for AllPaidBut {
    fn figures(&self, _agent: &Did) -> Figures {
        Figures::default()
    }

    fn room(&self, agent: &Did, _wallet: Option<Address>) -> Option<PaidRoom> {
        let payer = Address::from_slice(&agent.public_key()[..20]);
        (*agent != self.0).then_some(PaidRoom { payer, listings: 1 })
    }
}

#[tokio::test]
async fn prices_go_with_a_listing_that_has_to_go_for_another() {
    let store = Store::memory();
    let alice = agent(0);
    let shelf = CatalogConfig { shards: 1, shard_capacity: 10, ..config() };
    let (clock, standing) = (Arc::new(ManualClock::new(START)), Arc::new(AllPaidBut(alice.did())));
    let catalog = Catalog::start(store.clone(), shelf, clock, Arc::new(Silent), standing).await.unwrap();
    let takes = async |bytes: Vec<u8>| catalog.put(bytes, synced()).await.unwrap();
    assert!(takes(version(&alice, 1, "0.1")).await.is_new());
    assert!(takes(version(&alice, 2, "0.2")).await.is_new());
    for other in 1..10 {
        assert!(takes(version(&agent(other), 1, "0.1")).await.is_new());
    }
    assert_eq!(store.count::<Prices>().unwrap(), 1);
    let last = takes(version(&agent(10), 1, "0.1")).await;
    assert!(matches!(&last, Put::Fresh { evicted: Some(evicted), .. } if evicted.author == alice.did()), "{last:?}");
    assert_eq!(store.count::<Prices>().unwrap(), 0);
}
