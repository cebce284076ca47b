//! Sending twice sends once, and a lost answer is looked up.

use std::time::Duration;

use haggle_base::{ClosedBy, Coded};

use super::*;
use crate::testing::{Home, NOON, usdc};

#[tokio::test]
async fn every_step_sent_twice_is_done_once() {
    let home = Home::with_balance(1_000).await;
    let order = home.order(1, 100);
    let (buyer, provider) = home.authorise("a", &order).await;
    let first = home.settlement.submit_fund(&order, &buyer, &provider).await.unwrap();
    home.settlement.follow_once().await.unwrap();
    let again = home.settlement.submit_fund(&order, &buyer, &provider).await.unwrap();
    assert_eq!(again, Submission::Already { status: OnChain::Funded, tx: first.tx() });

    assert!(matches!(home.settlement.submit_deliver(&order, B256::ZERO).await.unwrap(), Submission::Sent(_)));
    assert!(matches!(home.settlement.submit_deliver(&order, B256::ZERO).await.unwrap(), Submission::Already { .. }));

    let release = home.settlement.sign_release(&home.alice, &order).unwrap();
    assert!(matches!(home.settlement.submit_release(&order, &release).await.unwrap(), Submission::Sent(_)));
    let over = OnChain::Settled { closed_by: ClosedBy::Release };
    let again = home.settlement.submit_release(&order, &release).await.unwrap();
    assert!(matches!(again, Submission::Already { status, .. } if status == over));
    let refund = home.settlement.sign_refund(&home.bob, &order).unwrap();
    let refused = home.settlement.submit_refund(&order, &refund).await.unwrap();
    assert!(matches!(refused, Submission::Already { status, .. } if status == over));
    assert!(matches!(home.settlement.submit_finalize(&order).await.unwrap(), Submission::Already { .. }));
    assert_eq!(home.chain.sent().await, 3);
    home.settlement.follow_once().await.unwrap();
    home.check_books(1_000).await;
}

#[tokio::test]
async fn a_lost_answer_is_looked_up_and_nothing_is_sent_again() {
    let home = Home::with_balance(1_000).await;
    let order = home.order(1, 100);
    let (buyer, provider) = home.authorise("a", &order).await;
    home.chain.lose_answers().await;
    let funded = home.settlement.submit_fund(&order, &buyer, &provider).await.unwrap();
    assert!(matches!(funded, Submission::Already { status: OnChain::Funded, .. }));
    let release = home.settlement.sign_release(&home.alice, &order).unwrap();
    let released = home.settlement.submit_release(&order, &release).await.unwrap();
    assert!(matches!(released, Submission::Already { status: OnChain::Settled { .. }, .. }));
    assert_eq!(home.chain.sent().await, 2);
    home.confirm(&order, ClosedBy::Release, 90, 10).await;
    home.check_books(1_000).await;
}

#[tokio::test]
async fn forged_signatures_are_not_even_sent() {
    let home = Home::with_balance(1_000).await;
    let (order, other) = (home.order(1, 100), home.order(2, 100));
    let (buyer, provider) = home.authorise("a", &order).await;
    let forged = |error: SettlementError| assert_eq!(error.code(), "payment_signature_invalid");
    forged(home.settlement.submit_fund(&other, &buyer, &provider).await.unwrap_err());
    forged(home.settlement.submit_fund(&order, &provider, &provider).await.unwrap_err());
    forged(home.settlement.submit_fund(&order, &buyer, &buyer).await.unwrap_err());
    forged(home.settlement.submit_release(&order, &buyer).await.unwrap_err());
    forged(home.settlement.submit_refund(&order, &provider).await.unwrap_err());
    assert_eq!(home.chain.sent().await, 0);
}

#[tokio::test]
async fn an_order_that_is_not_funded_cannot_end() {
    let home = Home::with_balance(1_000).await;
    let order = home.order(1, 100);
    home.authorise("a", &order).await;
    let release = home.settlement.sign_release(&home.alice, &order).unwrap();
    for error in [
        home.settlement.submit_release(&order, &release).await.unwrap_err(),
        home.settlement.submit_deliver(&order, B256::ZERO).await.unwrap_err(),
        home.settlement.submit_finalize(&order).await.unwrap_err(),
    ] {
        assert_eq!(error.code(), "order_not_funded");
    }
}

#[tokio::test]
async fn an_order_is_funded_before_its_time_is_over_or_not_at_all() {
    let home = Home::with_balance(1_000).await;
    let order = home.order(1, 100);
    let (buyer, provider) = home.authorise("a", &order).await;
    home.chain.set_time(NOON.plus(Duration::from_secs(300))).await;
    assert_eq!(home.settlement.submit_fund(&order, &buyer, &provider).await.unwrap_err().code(), "order_past_step");
    assert_eq!(home.chain.sent().await, 0);
}

#[tokio::test]
async fn nothing_is_finalised_before_its_time() {
    let home = Home::with_balance(1_000).await;
    let order = home.order(1, 100);
    home.fund("a", &order).await;
    assert_eq!(home.settlement.submit_finalize(&order).await.unwrap_err().code(), "chain_refused");
    home.chain.set_time(NOON.plus(Duration::from_secs(7200))).await;
    assert!(matches!(home.settlement.submit_finalize(&order).await.unwrap(), Submission::Sent(_)));
    home.confirm(&order, ClosedBy::Expired, 0, 0).await;
    home.check_books(1_000).await;
}

#[tokio::test]
async fn a_dispute_and_its_counter_are_sent_once_with_each_sides_bond() {
    let home = Home::with_balance(1_000).await;
    let mut order = home.order(1, 100);
    order.bond = alloy_primitives::aliases::U96::from(10);
    home.fund("a", &order).await;
    let evidence = B256::repeat_byte(7);
    let until = NOON.plus(Duration::from_secs(3600));
    let bond = |side| home.settlement.sign_bond(&home.alice, &order, side, evidence, until);
    assert_eq!(bond(haggle_base::Side::Provider).await.unwrap_err().code(), "not_a_party");
    let hers = bond(haggle_base::Side::Buyer).await.unwrap();
    let refused = home.settlement.submit_dispute(&order, evidence, &hers).await.unwrap_err();
    assert_eq!(refused.code(), "chain_refused", "nothing is delivered yet");

    home.settlement.submit_deliver(&order, B256::repeat_byte(1)).await.unwrap().tx().unwrap();
    assert!(matches!(home.settlement.submit_dispute(&order, evidence, &hers).await.unwrap(), Submission::Sent(_)));
    let sent = home.chain.sent().await;
    let again = home.settlement.submit_dispute(&order, evidence, &hers).await.unwrap();
    assert!(matches!(again, Submission::Already { status: OnChain::Disputed { is_countered: false, .. }, .. }));
    // bob has earned nothing yet, so he has no bond to put up
    let his = home.settlement.sign_bond(&home.bob, &order, haggle_base::Side::Provider, evidence, until).await;
    assert_eq!(his.unwrap_err().code(), "insufficient_funds");
    home.chain.mint(order.provider, usdc(10)).await;
    let his = home.settlement.sign_bond(&home.bob, &order, haggle_base::Side::Provider, evidence, until).await.unwrap();
    assert!(matches!(home.settlement.submit_counter(&order, &his).await.unwrap(), Submission::Sent(_)));
    assert!(matches!(home.settlement.submit_counter(&order, &his).await.unwrap(), Submission::Already { .. }));
    assert_eq!(home.chain.sent().await, sent + 1);
}

#[tokio::test]
async fn a_provider_that_posts_delivery_in_time_is_paid_after_the_window() {
    let home = Home::with_balance(1_000).await;
    let order = home.order(1, 100);
    home.fund("a", &order).await;
    assert!(home.settlement.submit_deliver(&order, B256::repeat_byte(1)).await.unwrap().tx().is_some());
    assert!(matches!(home.settlement.on_chain(&order).await.unwrap().status, OnChain::Delivered { .. }));
    home.chain.set_time(NOON.plus(Duration::from_secs(3600))).await;
    assert!(home.settlement.submit_finalize(&order).await.unwrap().tx().is_some());
    home.confirm(&order, ClosedBy::Timeout, 90, 10).await;
    home.check_books(1_000).await;
}
