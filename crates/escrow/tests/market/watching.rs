//! What a watcher reads, block by block, and what it says when the chain takes blocks back.

use alloy::primitives::B256;
use haggle_base::ClosedBy;
use haggle_escrow::{ChainFact, Cursor, EscrowEvent, Polled, Reach, Watcher};

use crate::town::{HOUR, Town, usdc};

async fn read(watcher: &Watcher, from: Cursor, reach: Reach) -> (Vec<ChainFact>, Cursor) {
    match watcher.poll(from, reach).await.unwrap() {
        Polled::Facts { facts, next } => (facts, next),
        Polled::Rewind { to } => panic!("rewind to {to:?}"),
    }
}

#[tokio::test]
async fn an_orders_life_is_read_in_order_and_once() {
    let town = Town::open().await;
    let watcher = Watcher::new(town.reader());
    let start = watcher.latest().await.unwrap();
    let order = town.funded(1).await;
    let bob = town.client(&town.bob).await;
    bob.deliver(&order, B256::repeat_byte(9)).await.unwrap();
    let (first, middle) = read(&watcher, start, Reach::default()).await;
    bob.release(&order, &town.release(&order, &town.alice)).await.unwrap();
    bob.withdraw(town.sink).await.unwrap();
    let (second, end) = read(&watcher, middle, Reach::default()).await;

    let id = town.id(&order);
    let events: Vec<_> = first.iter().chain(&second).map(|fact| fact.event.clone()).collect();
    assert_eq!(events.len(), 4);
    assert_eq!(
        events[0],
        EscrowEvent::Funded {
            order: id,
            buyer: town.alice.address(),
            provider: town.bob.address(),
            amount: usdc(5_000_000),
            terms: B256::repeat_byte(7),
        }
    );
    assert!(matches!(&events[1], EscrowEvent::Delivered { order, deliverable, .. }
        if *order == id && *deliverable == B256::repeat_byte(9)));
    assert_eq!(
        events[2],
        EscrowEvent::Settled {
            order: id,
            buyer: town.alice.address(),
            provider: town.bob.address(),
            paid: usdc(4_500_000),
            fee: usdc(500_000),
            refunded: usdc(0),
            closed_by: Some(ClosedBy::Release),
        }
    );
    assert_eq!(events[3], EscrowEvent::Withdrawn { account: town.sink, amount: usdc(500_000) });
    let (number, time) = town.chain.head();
    assert_eq!(second[1].at.block, number);
    assert!(second[1].at.time.as_secs() <= time);
    assert_eq!(read(&watcher, end, Reach::default()).await, (Vec::new(), end));
    assert_eq!(watcher.facts_of(&id).await.unwrap().len(), 3);
    assert!(watcher.facts_of(&town.id(&town.order(99))).await.unwrap().is_empty());
}

#[tokio::test]
async fn small_steps_read_the_same_as_one_large_one() {
    let town = Town::open().await;
    let watcher = Watcher::new(town.reader());
    let start = watcher.beginning().await.unwrap();
    for salt in 0..4 {
        town.funded(salt).await;
        town.chain.mine(3);
    }
    let (all, end) = read(&watcher, start, Reach::default()).await;
    let (mut stepped, mut at) = (Vec::new(), start);
    while at != end {
        let (facts, next) = read(&watcher, at, Reach { confirmations: 0, max_blocks: 2 }).await;
        stepped.extend(facts);
        at = next;
    }
    assert_eq!(all.len(), 4);
    assert_eq!(all, stepped);
}

#[tokio::test]
async fn unconfirmed_blocks_are_left_for_later() {
    let town = Town::open().await;
    let watcher = Watcher::new(town.reader());
    let start = watcher.latest().await.unwrap();
    let careful = Reach { confirmations: 2, max_blocks: 100 };
    town.funded(1).await;
    let (facts, at) = read(&watcher, start, careful).await;
    assert!(facts.is_empty());
    town.chain.mine(2);
    assert_eq!(read(&watcher, at, careful).await.0.len(), 1);
}

#[tokio::test]
async fn a_chain_that_takes_blocks_back_is_noticed_and_read_anew() {
    let town = Town::open().await;
    let watcher = Watcher::new(town.reader());
    let start = watcher.beginning().await.unwrap();
    let before = town.chain.snapshot().unwrap();
    let order = town.funded(1).await;
    let (facts, at) = read(&watcher, start, Reach::default()).await;
    assert_eq!(facts.len(), 1);

    // The funding is undone; other blocks take its place.
    assert!(town.chain.revert(before));
    town.chain.increase_time(1);
    town.chain.mine(3);

    let Polled::Rewind { to } = watcher.poll(at, Reach::default()).await.unwrap() else {
        panic!("the block under the cursor is gone");
    };
    assert!(to.block < at.block);
    let (facts, _) = read(&watcher, to, Reach::default()).await;
    assert!(facts.is_empty());
    let bob = town.client(&town.bob).await;
    assert!(bob.fund(&order, &town.payment(&order, &town.alice), None).await.unwrap().tx().is_some());
    town.assert_conserved();
}

#[tokio::test]
async fn a_chain_that_became_shorter_is_noticed_too() {
    let town = Town::open().await;
    let watcher = Watcher::new(town.reader());
    let before = town.chain.snapshot().unwrap();
    town.chain.mine(5);
    let at = watcher.latest().await.unwrap();
    assert!(town.chain.revert(before));
    assert!(matches!(watcher.poll(at, Reach::default()).await.unwrap(), Polled::Rewind { to } if to.block < at.block));
}

#[tokio::test]
async fn what_times_travel_settles_is_read_with_chain_time() {
    let town = Town::open().await;
    let watcher = Watcher::new(town.reader());
    let order = town.funded(1).await;
    let start = watcher.latest().await.unwrap();
    town.chain.increase_time(u64::from(HOUR));
    town.client(&town.eve).await.finalize(&order).await.unwrap();
    let (facts, _) = read(&watcher, start, Reach::default()).await;
    assert!(facts[0].at.time.as_secs() >= order.deliverBy.to::<u64>());
    assert!(matches!(facts[0].event, EscrowEvent::Settled { refunded, closed_by: Some(ClosedBy::Expired), .. }
        if refunded == usdc(5_000_000)));
}
