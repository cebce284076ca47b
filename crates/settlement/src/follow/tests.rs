//! What the chain says is booked once, taken back when it leaves the chain, and never half.

use std::time::Duration;

use alloy_primitives::{Address, B256};

use haggle_base::{ClosedBy, Coded, Usdc};

use super::*;
use crate::{
    PaymentEvent,
    facts::{FundedFact, OrderFacts},
    testing::{Home, NOON, usdc},
};

#[tokio::test]
async fn facts_that_come_twice_are_booked_once() {
    let home = Home::with_balance(1_000).await;
    let order = home.order(1, 100);
    home.fund("a", &order).await;
    home.release(&order).await;
    home.confirm(&order, ClosedBy::Release, 90, 10).await;
    let facts = home.settlement.facts_of(&home.id(&order)).unwrap();
    let again = vec![Fact::Funded(facts.funded.unwrap()), Fact::Settled(facts.settled.unwrap())];
    let before = home.settlement.history(&home.alice, None, 100).unwrap();
    assert_eq!(home.settlement.ingest_facts(again, home.chain.head().await).await.unwrap(), 0);
    assert_eq!(home.settlement.history(&home.alice, None, 100).unwrap(), before);
    let home = home.restarted().await;
    assert_eq!(home.settlement.follow_once().await.unwrap(), 0);
    home.check_books(1_000).await;
}

#[tokio::test]
async fn two_followers_book_the_same_blocks_once() {
    let home = Home::with_balance(1_000).await;
    let order = home.order(1, 100);
    let (buyer, provider) = home.authorise("a", &order).await;
    home.settlement.submit_fund(&order, &buyer, &provider).await.unwrap().tx().unwrap();
    let followers = (0..4).map(|_| {
        let settlement = home.settlement.clone();
        tokio::spawn(async move { settlement.follow_once().await.unwrap() })
    });
    let mut booked = 0;
    for follower in followers.collect::<Vec<_>>() {
        booked += follower.await.unwrap();
    }
    assert_eq!(booked, 1);
    home.check_books(1_000).await;
}

#[tokio::test]
async fn a_funding_that_leaves_the_chain_is_taken_back_and_can_come_again() {
    let home = Home::with_balance(1_000).await;
    let order = home.order(1, 100);
    home.chain.mine_empty(1).await;
    home.settlement.follow_once().await.unwrap();
    home.fund("a", &order).await;
    let mut events = home.settlement.subscribe();

    home.chain.reorganise(1).await;
    home.settlement.follow_once().await.unwrap();
    assert_eq!(events.try_recv().unwrap(), PaymentEvent::Undone { order: home.id(&order) });
    assert_eq!(home.settlement.payment_state(&home.id(&order)).unwrap(), Some(PaymentState::Authorised));
    assert_eq!(home.settlement.facts_of(&home.id(&order)).unwrap(), OrderFacts::default());
    assert_eq!(home.settlement.balance(&home.alice).await.unwrap(), usdc(900));
    home.settlement.follow_once().await.unwrap();
    home.check_books(1_000).await;

    home.fund("a", &order).await;
    home.release(&order).await;
    home.confirm(&order, ClosedBy::Release, 90, 10).await;
    home.check_books(1_000).await;
}

#[tokio::test]
async fn a_settlement_that_leaves_the_chain_is_taken_back_on_both_sides() {
    let home = Home::with_balance(1_000).await;
    let order = home.order(1, 100);
    home.fund("a", &order).await;
    let funded_at = home.chain.head().await.block;
    home.release(&order).await;
    home.confirm(&order, ClosedBy::Release, 90, 10).await;

    home.chain.reorganise(funded_at).await;
    while home.settlement.cursor().await != home.chain.head().await {
        home.settlement.follow_once().await.unwrap();
    }
    assert_eq!(home.settlement.payment_state(&home.id(&order)).unwrap(), Some(PaymentState::Funded));
    let bob = home.settlement.wallet(&home.bob).await.unwrap();
    assert_eq!((bob.accounts.earned, bob.accounts.available), (0, 0));
    home.check_books(1_000).await;

    let refund = home.settlement.sign_refund(&home.bob, &order).unwrap();
    home.settlement.submit_refund(&order, &refund).await.unwrap().tx().unwrap();
    home.confirm(&order, ClosedBy::Refund, 0, 0).await;
    home.check_books(1_000).await;
}

#[tokio::test]
async fn a_chain_that_began_anew_is_read_anew() {
    let home = Home::with_balance(1_000).await;
    for salt in 0..3 {
        let order = home.order(salt, 100);
        home.fund(&salt.to_string(), &order).await;
        home.release(&order).await;
        home.settlement.follow_once().await.unwrap();
    }
    home.chain.reorganise(0).await;
    while home.settlement.cursor().await != home.chain.head().await {
        home.settlement.follow_once().await.unwrap();
    }
    let alice = home.settlement.wallet(&home.alice).await.unwrap();
    assert_eq!((alice.accounts.spent, alice.accounts.fees, alice.reserved), (0, 0, usdc(300)));
    assert_eq!(home.settlement.settled_orders(None, 100).unwrap().0, []);
    home.check_books(1_000).await;
}

#[tokio::test]
async fn a_rewind_that_was_cut_short_is_finished_at_the_next_start() {
    let home = Home::with_balance(1_000).await;
    let order = home.order(1, 100);
    home.fund("a", &order).await;
    let start = Cursor { block: 0, hash: B256::ZERO };
    let mut batch = haggle_store::Batch::new();
    batch.put::<CursorRow>(&(), &start).unwrap();
    home.store.commit(batch).await.unwrap();
    let home = home.restarted().await;
    assert_eq!(home.settlement.payment_state(&home.id(&order)).unwrap(), Some(PaymentState::Authorised));
    home.settlement.follow_once().await.unwrap();
    assert_eq!(home.settlement.payment_state(&home.id(&order)).unwrap(), Some(PaymentState::Funded));
    home.check_books(1_000).await;
}

#[tokio::test]
async fn facts_that_contradict_a_signed_order_book_nothing() {
    let home = Home::with_balance(1_000).await;
    let order = home.order(1, 100);
    home.fund("a", &order).await;
    let before = (home.settlement.history(&home.alice, None, 100).unwrap(), home.settlement.cursor().await);
    let funded = home.settlement.facts_of(&home.id(&order)).unwrap().funded.unwrap();
    let mut place = funded.place;
    place.block += 1;
    let lie = Fact::Settled(SettledFact {
        order: funded.order,
        buyer: funded.buyer,
        provider: funded.provider,
        paid: usdc(1_000),
        fee: usdc(10),
        refunded: Usdc::ZERO,
        closed_by: ClosedBy::Release,
        place,
    });
    let next = Cursor { block: place.block, hash: place.hash };
    assert_eq!(home.settlement.ingest_facts(vec![lie], next).await.unwrap_err().code(), "chain_facts_inconsistent");
    assert_eq!((home.settlement.history(&home.alice, None, 100).unwrap(), home.settlement.cursor().await), before);
    assert_eq!(home.settlement.facts_of(&funded.order).unwrap().settled, None);
}

#[tokio::test]
async fn an_order_of_strangers_is_remembered_and_moves_no_money_here() {
    let home = Home::with_balance(1_000).await;
    let place = |block: u64| crate::facts::Place {
        block,
        hash: B256::repeat_byte(1),
        index: 0,
        tx: B256::repeat_byte(2),
        time: NOON,
    };
    let order = haggle_base::OrderId::from(B256::repeat_byte(9));
    let (buyer, provider) = (Address::repeat_byte(3), Address::repeat_byte(4));
    let terms = haggle_base::Hash::of(b"terms");
    let funded = FundedFact { order, buyer, provider, amount: usdc(5), terms, place: place(1) };
    let settled = SettledFact {
        order,
        buyer,
        provider,
        paid: usdc(5),
        fee: Usdc::ZERO,
        refunded: Usdc::ZERO,
        closed_by: ClosedBy::Release,
        place: place(2),
    };
    let facts = vec![Fact::Settled(settled), Fact::Funded(funded)];
    let next = Cursor { block: 3, hash: B256::repeat_byte(1) };
    assert_eq!(home.settlement.ingest_facts(facts, next).await.unwrap(), 2);
    let held = home.settlement.facts_of(&order).unwrap();
    assert_eq!((held.funded, held.settled), (Some(funded), Some(settled)));
    assert_eq!(home.settlement.settled_orders(None, 10).unwrap(), (vec![settled], None));
    assert_eq!(home.settlement.history(&home.alice, None, 10).unwrap(), []);
}

#[tokio::test]
async fn many_facts_are_booked_in_whole_blocks() {
    let home = Home::with_balance(1_000).await;
    let fact = |block: u64, index: u32| {
        let place = crate::facts::Place { block, hash: B256::repeat_byte(1), index, tx: B256::ZERO, time: NOON };
        Fact::Withdrawn(crate::facts::OwedFact { account: Address::ZERO, amount: usdc(1), place })
    };
    let small = (1..=100).flat_map(|block| [fact(block, 0), fact(block, 1)]);
    let large = (0..300).map(|index| fact(101, index));
    let facts: Vec<_> = small.chain(large).chain([fact(102, 0)]).collect();
    let next = Cursor { block: 110, hash: B256::repeat_byte(1) };
    assert_eq!(home.settlement.ingest_facts(facts, next).await.unwrap(), 501);
    assert_eq!(home.settlement.cursor().await, next);
    home.settlement.rewind(Cursor { block: 100, hash: B256::repeat_byte(1) }).await.unwrap();
    assert_eq!(home.store.count::<Facts>().unwrap(), 200);
}

#[tokio::test]
async fn a_payment_that_was_not_used_in_time_frees_its_money() {
    let home = Home::with_balance(1_000).await;
    let order = home.order(1, 100);
    let (buyer, provider) = home.authorise("a", &order).await;
    home.settlement.follow_once().await.unwrap();
    assert_eq!(home.settlement.balance(&home.alice).await.unwrap(), usdc(900));
    home.chain.set_time(NOON.plus(Duration::from_secs(300))).await;
    let mut events = home.settlement.subscribe();
    home.settlement.follow_once().await.unwrap();
    assert!(matches!(events.try_recv().unwrap(), PaymentEvent::Released { .. }));
    assert!(matches!(events.try_recv().unwrap(), PaymentEvent::Abandoned { .. }));
    assert_eq!(home.settlement.payment_state(&home.id(&order)).unwrap(), Some(PaymentState::Abandoned));
    assert_eq!(home.settlement.balance(&home.alice).await.unwrap(), usdc(1_000));
    home.check_books(1_000).await;

    // A block from before that time replaces the chain, and holds the funding after all.
    home.chain.set_time(NOON).await;
    home.settlement.submit_fund(&order, &buyer, &provider).await.unwrap().tx().unwrap();
    home.settlement.follow_once().await.unwrap();
    assert_eq!(home.settlement.payment_state(&home.id(&order)).unwrap(), Some(PaymentState::Funded));
    home.check_books(1_000).await;
    home.release(&order).await;
    home.confirm(&order, ClosedBy::Release, 90, 10).await;
    home.check_books(1_000).await;
}

#[tokio::test]
async fn a_signed_reservation_is_cancelled_as_soon_as_its_payment_is_worthless() {
    let home = Home::with_balance(1_000).await;
    home.authorise("a", &home.order(1, 100)).await;
    let refused = home.settlement.cancel_reservation("a").await.unwrap_err();
    assert_eq!(refused.code(), "already_authorised");
    home.chain.set_time(NOON.plus(Duration::from_secs(300))).await;
    home.settlement.cancel_reservation("a").await.unwrap();
    home.settlement.cancel_reservation("a").await.unwrap();
    assert_eq!(home.settlement.balance(&home.alice).await.unwrap(), usdc(1_000));
    home.check_books(1_000).await;
}

#[tokio::test]
async fn a_reservation_that_nobody_used_ends_by_itself() {
    let home = Home::with_balance(1_000).await;
    home.settlement.reserve("a", &home.alice, usdc(100)).await.unwrap();
    let home = home.restarted().await;
    assert_eq!(home.settlement.balance(&home.alice).await.unwrap(), usdc(900));
    home.clock.advance(Duration::from_secs(600));
    home.settlement.follow_once().await.unwrap();
    assert_eq!(home.settlement.balance(&home.alice).await.unwrap(), usdc(1_000));
    home.settlement.reserve("a", &home.alice, usdc(200)).await.unwrap();
    home.check_books(1_000).await;
}

#[tokio::test]
async fn quiet_blocks_move_the_cursor_without_a_write_each() {
    let home = Home::with_balance(0).await;
    home.chain.mine_empty(10).await;
    home.settlement.follow_once().await.unwrap();
    assert_eq!(home.settlement.cursor().await, home.chain.head().await);
    assert_eq!(home.store.get::<CursorRow>(&()).unwrap(), None);
    home.chain.mine_empty(100).await;
    home.settlement.follow_once().await.unwrap();
    assert_eq!(home.store.get::<CursorRow>(&()).unwrap(), Some(home.chain.head().await));
}

#[tokio::test]
async fn an_order_that_was_taken_back_is_named_until_somebody_has_followed() {
    let home = Home::with_balance(1_000).await;
    let order = home.order(1, 100);
    let id = home.id(&order);
    home.fund("a", &order).await;
    let funded = home.chain.head().await.block;
    home.release(&order).await;
    home.settlement.follow_once().await.unwrap();
    assert_eq!(home.settlement.orders_taken_back(10).unwrap(), []);
    home.chain.reorganise(funded).await;
    home.settlement.follow_once().await.unwrap();
    // the process dies before it has told anybody
    let home = home.restarted().await;
    assert_eq!(home.settlement.orders_taken_back(10).unwrap(), [id]);
    // and while somebody looks it ends again
    home.release(&order).await;
    home.settlement.follow_once().await.unwrap();
    home.settlement.told_of_taking_back(&id, None).await.unwrap();
    assert_eq!(home.settlement.orders_taken_back(10).unwrap(), [id], "what was seen is not how it stands");
    let seen = home.settlement.facts_of(&id).unwrap().settled;
    home.settlement.told_of_taking_back(&id, seen).await.unwrap();
    assert_eq!(home.settlement.orders_taken_back(10).unwrap(), []);
    home.check_books(1_000).await;
}
