//! The ways an order ends well, and what everybody has afterwards.

use alloy::primitives::B256;
use haggle_base::ClosedBy;
use haggle_base::eip712::{FLAG_FEE_ON_TOP, FLAG_PAY_UNDELIVERED};
use haggle_escrow::{EscrowError, Revert, Sent, Status};

use crate::town::{HOUR, PURSE, Town, usdc};

#[tokio::test]
async fn a_released_order_pays_the_provider_less_the_fee() {
    let town = Town::open().await;
    let order = town.funded(1).await;
    let bob = town.client(&town.bob).await;
    let held = bob.status(&town.id(&order)).await.unwrap();
    assert_eq!((held.status, held.closed_by, held.consented), (Status::Funded, None, true));
    assert_eq!((town.balance(town.alice.address()), town.held()), (PURSE - 5_000_000, 5_000_000));
    town.assert_conserved();

    let sent = bob.release(&order, &town.release(&order, &town.alice)).await.unwrap();

    assert!(sent.tx().is_some());
    assert_eq!(town.balance(town.bob.address()), PURSE + 4_500_000);
    assert_eq!(bob.owed(town.sink).await.unwrap(), usdc(500_000));
    let over = bob.status(&town.id(&order)).await.unwrap();
    assert_eq!((over.status, over.closed_by), (Status::Settled, Some(ClosedBy::Release)));
    town.assert_conserved();
}

#[tokio::test]
async fn a_fee_on_top_is_the_buyers_to_pay() {
    let town = Town::open().await;
    let mut order = town.order(1);
    (order.feeBps, order.flags) = (250, FLAG_FEE_ON_TOP);
    let bob = town.client(&town.bob).await;
    bob.fund(&order, &town.payment(&order, &town.alice), None).await.unwrap();
    bob.release(&order, &town.release(&order, &town.alice)).await.unwrap();
    assert_eq!(town.balance(town.alice.address()), PURSE - 5_125_000);
    assert_eq!(town.balance(town.bob.address()), PURSE + 5_000_000);
    assert_eq!(bob.owed(town.sink).await.unwrap(), usdc(125_000));
    town.assert_conserved();
}

#[tokio::test]
async fn the_fee_sink_gets_its_fees_when_anybody_asks() {
    let town = Town::open().await;
    for salt in 0..3 {
        let order = town.funded(salt).await;
        town.client(&town.bob).await.release(&order, &town.release(&order, &town.alice)).await.unwrap();
    }
    let eve = town.client(&town.eve).await;
    assert!(eve.withdraw(town.sink).await.unwrap().is_some());
    assert_eq!(town.balance(town.sink), 1_500_000);
    assert_eq!(town.held(), 0);
    assert!(eve.withdraw(town.sink).await.unwrap().is_none());
    town.assert_conserved();
}

#[tokio::test]
async fn a_refund_returns_everything_without_a_fee() {
    let town = Town::open().await;
    let order = town.funded(1).await;
    let bob = town.client(&town.bob).await;
    bob.refund(&order, &town.refund(&order, &town.bob)).await.unwrap();
    assert_eq!(town.balance(town.alice.address()), PURSE);
    assert_eq!((town.held(), bob.owed(town.sink).await.unwrap()), (0, usdc(0)));
    assert_eq!(bob.status(&town.id(&order)).await.unwrap().closed_by, Some(ClosedBy::Refund));
    town.assert_conserved();
}

#[tokio::test]
async fn an_undelivered_order_returns_to_the_buyer_when_its_time_is_up() {
    let town = Town::open().await;
    let order = town.funded(1).await;
    let eve = town.client(&town.eve).await;
    let early = eve.finalize(&order).await.unwrap_err();
    assert!(matches!(early, EscrowError::Reverted(Revert::TooEarly { .. })) && early.is_retryable());

    town.chain.increase_time(u64::from(HOUR));
    eve.finalize(&order).await.unwrap();

    assert_eq!(town.balance(town.alice.address()), PURSE);
    assert_eq!(eve.status(&town.id(&order)).await.unwrap().closed_by, Some(ClosedBy::Expired));
    town.assert_conserved();
}

#[tokio::test]
async fn an_order_that_says_so_pays_even_when_nothing_was_delivered() {
    let town = Town::open().await;
    let mut order = town.order(1);
    order.flags = FLAG_PAY_UNDELIVERED;
    let bob = town.client(&town.bob).await;
    bob.fund(&order, &town.payment(&order, &town.alice), None).await.unwrap();
    town.chain.increase_time(u64::from(HOUR));
    bob.finalize(&order).await.unwrap();
    assert_eq!(town.balance(town.bob.address()), PURSE + 4_500_000);
    assert_eq!(bob.status(&town.id(&order)).await.unwrap().closed_by, Some(ClosedBy::UndeliveredPaid));
    town.assert_conserved();
}

#[tokio::test]
async fn a_provider_whose_buyer_sleeps_is_paid_after_the_review() {
    let town = Town::open().await;
    let order = town.funded(1).await;
    let bob = town.client(&town.bob).await;
    bob.deliver(&order, B256::repeat_byte(9)).await.unwrap();
    let delivered = bob.status(&town.id(&order)).await.unwrap();
    assert_eq!(delivered.status, Status::Delivered);
    assert!(delivered.window_ends.is_some_and(|end| end.as_secs() >= town.chain.head().1 + u64::from(HOUR) - 60));
    assert!(matches!(bob.finalize(&order).await, Err(EscrowError::Reverted(Revert::TooEarly { .. }))));

    town.chain.increase_time(u64::from(HOUR));
    bob.finalize(&order).await.unwrap();

    assert_eq!(town.balance(town.bob.address()), PURSE + 4_500_000);
    assert_eq!(bob.status(&town.id(&order)).await.unwrap().closed_by, Some(ClosedBy::Timeout));
    town.assert_conserved();
}

#[tokio::test]
async fn every_step_may_be_asked_for_twice() {
    let town = Town::open().await;
    let order = town.funded(1).await;
    let eve = town.client(&town.eve).await;
    let again = eve.fund(&order, &town.payment(&order, &town.alice), None).await.unwrap();
    assert!(matches!(again, Sent::AlreadyDone(state) if state.status == Status::Funded));

    let bob = town.client(&town.bob).await;
    bob.deliver(&order, B256::ZERO).await.unwrap();
    assert!(bob.deliver(&order, B256::ZERO).await.unwrap().tx().is_none());
    let signature = town.release(&order, &town.alice);
    bob.release(&order, &signature).await.unwrap();
    for late in
        [bob.release(&order, &signature).await, bob.finalize(&order).await, bob.deliver(&order, B256::ZERO).await]
    {
        assert!(matches!(late.unwrap(), Sent::AlreadyDone(state) if state.closed_by == Some(ClosedBy::Release)));
    }
    assert_eq!(town.balance(town.bob.address()), PURSE + 4_500_000);
}

#[tokio::test]
async fn many_orders_of_one_key_leave_in_turn() {
    const ORDERS: u64 = 20;
    let town = Town::open().await;
    let bob = town.client(&town.bob).await;
    let mut tasks = tokio::task::JoinSet::new();
    for salt in 0..ORDERS {
        let (bob, mut order) = (bob.clone(), town.order(salt));
        order.amount = alloy::primitives::aliases::U96::from(1_000 + salt);
        let payment = town.payment(&order, &town.alice);
        tasks.spawn(async move { bob.fund(&order, &payment, None).await.unwrap().tx().unwrap().block });
    }
    let mut blocks = tasks.join_all().await;
    blocks.sort_unstable();
    blocks.dedup();
    assert_eq!(blocks.len() as u64, ORDERS, "every order has a block of its own");
    assert_eq!(town.held(), (0..ORDERS).map(|salt| 1_000 + salt).sum::<u64>());
    town.assert_conserved();
}
