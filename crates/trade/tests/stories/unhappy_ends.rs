//! Sellers that vanish, lie or fail, buyers that sleep or give up: who gets the money then.

use std::time::Duration;

use haggle_base::{ClosedBy, Side, Usdc};
use haggle_trade::{HireRequest, TradeMessage, order::saga::Verdict};

use crate::world::{DELIVER_WITHIN, Manner, REVIEW, Weather, World, usdc};

fn to_the_deadline() -> Duration {
    Duration::from_secs(u64::from(DELIVER_WITHIN) + 300)
}

#[tokio::test]
async fn provider_vanishes_and_bob_gets_everything_back() {
    let mut world = World::new().await;
    world.crash_desk_after("funded");
    let id = world.hire().await;
    world.turns(20).await;
    assert_eq!(world.bought(id).state.as_str(), "funded");
    world.pass(to_the_deadline());
    world.turns(10).await;

    let bought = world.bought(id);
    assert_eq!(bought.state.as_str(), "refunded");
    assert_eq!(bought.failure.as_deref(), Some("not_delivered"));
    assert_eq!(bought.ending.unwrap().closed_by, ClosedBy::Expired);
    assert_eq!(world.chain.balance(world.bob.address()), usdc("100"));
    assert_eq!(world.runs(), 0);
    world.check_conservation();
    let attested = world.witness.attested.lock();
    assert_eq!(attested[&(bought.id.unwrap(), Side::Buyer)].paid, Usdc::ZERO, "a failure, with alice's consent");
}

#[tokio::test]
async fn buyer_sleeps_and_alice_is_paid_after_the_review_window() {
    let mut world = World::new().await;
    world.buyer_crash.after("funded");
    let id = world.hire().await;
    world.turns(20).await;
    assert_eq!(world.chain.log(), ["fund"], "nothing is posted while there is time");
    world.pass(Duration::from_secs(u64::from(DELIVER_WITHIN) + 170));
    world.turns(3).await;
    assert_eq!(world.chain.log(), ["fund", "deliver"], "posted at least a minute before the deadline");
    world.turns(5).await;
    assert_eq!(world.chain.log(), ["fund", "deliver"]);
    world.pass(Duration::from_secs(REVIEW.into()));
    world.turns(5).await;
    assert_eq!(world.chain.log(), ["fund", "deliver", "finalize"]);
    assert_eq!(world.chain.balance(world.alice.address()), usdc("6"));

    world.start_buyer().await;
    world.settle_down(10).await;
    let bought = world.bought(id);
    assert_eq!(bought.state.as_str(), "settled");
    assert_eq!(bought.ending.unwrap().closed_by, ClosedBy::Timeout);
    world.check_paid_once(id);
}

#[tokio::test]
async fn a_buyer_that_wakes_during_the_review_still_gets_the_result_and_releases() {
    let mut world = World::new().await;
    world.buyer_crash.after("funded");
    let id = world.hire().await;
    world.turns(20).await;
    world.pass(Duration::from_secs(u64::from(DELIVER_WITHIN) + 170));
    world.turns(3).await;
    world.pass(Duration::from_secs(600));
    world.start_buyer().await;
    world.settle_down(20).await;
    assert_eq!(world.chain.log(), ["fund", "deliver", "release"]);
    world.check_paid_once(id);
}

#[tokio::test]
async fn a_liar_is_not_released_posts_nothing_and_bob_is_refunded_at_the_deadline() {
    let mut world = World::with(Manner::Liar, "5.0").await;
    let id = world.hire().await;
    world.turns(20).await;
    let bought = world.bought(id);
    assert_eq!(bought.verdict, Some(Verdict::Misfits));
    assert_eq!(bought.failure.as_deref(), Some("schema_mismatch"));
    assert_eq!(world.chain.log(), ["fund"], "nothing is posted on chain");
    world.pass(to_the_deadline());
    world.settle_down(10).await;

    assert_eq!(world.bought(id).state.as_str(), "refunded");
    assert_eq!(world.chain.log(), ["fund", "finalize"]);
    assert_eq!(world.chain.balance(world.bob.address()), usdc("100"));
    world.check_conservation();
    let order = world.bought(id).id.unwrap();
    assert_eq!(world.sold(&order).state.as_str(), "refunded");
    assert!(!world.witness.sent.lock().iter().any(|message| matches!(message, TradeMessage::Release { .. })));
    assert_eq!(world.witness.attested.lock()[&(order, Side::Buyer)].rating, None);
}

#[tokio::test]
async fn an_agent_that_fails_pays_back_at_once() {
    let mut world = World::with(Manner::Broken, "5.0").await;
    let id = world.hire().await;
    world.settle_down(30).await;
    let bought = world.bought(id);
    assert_eq!(bought.state.as_str(), "refunded");
    assert_eq!(bought.failure.as_deref(), Some("provider_refunded"));
    assert_eq!(world.sold(&bought.id.unwrap()).failure.as_deref(), Some("work_failed"));
    assert_eq!(world.chain.balance(world.bob.address()), usdc("100"));
    world.check_conservation();
}

#[tokio::test]
async fn a_payment_that_never_arrives_expires_and_the_reservation_comes_back() {
    let mut world = World::new().await;
    *world.wire.weather.lock() = Weather::Blocks(|message| matches!(message, TradeMessage::Fund { .. }));
    let id = world.hire().await;
    world.turns(20).await;
    assert_eq!(world.bought(id).step, "authorised");
    assert!(!world.bobs_books.reserved.lock().is_empty());
    world.pass(Duration::from_secs(240));
    world.settle_down(20).await;
    let bought = world.bought(id);
    assert_eq!(bought.state.as_str(), "expired");
    assert_eq!(bought.failure.as_deref(), Some("order_expired"));
    assert!(world.bobs_books.reserved.lock().is_empty());
    assert!(world.desk().show(&bought.id.unwrap()).is_err(), "alice keeps nothing of it");
    assert_eq!(world.chain.log(), [""; 0]);
    world.check_conservation();
}

#[tokio::test]
async fn a_seller_that_is_not_there_ends_the_hire_without_payment() {
    let mut world = World::new().await;
    *world.desk.lock() = None;
    let id = world.hire().await;
    world.turns(5).await;
    assert_eq!(world.bought(id).step, "reserved", "it is asked again for a while");
    world.pass(Duration::from_secs(60));
    world.settle_down(5).await;
    let bought = world.bought(id);
    assert_eq!((bought.step, bought.failure.as_deref()), ("closed", Some("timeout")));
    assert!(world.bobs_books.reserved.lock().is_empty());
}

#[tokio::test]
async fn bob_can_give_up_until_his_payment_left() {
    let mut world = World::new().await;
    *world.desk.lock() = None;
    let id = world.hire().await;
    world.turns(1).await;
    world.buyer().cancel(id).await.unwrap();
    world.settle_down(5).await;
    let bought = world.bought(id);
    assert_eq!((bought.state.as_str(), bought.failure.as_deref()), ("cancelled", Some("cancelled")));
    assert!(world.bobs_books.reserved.lock().is_empty());

    world.start_desk();
    let id = world.buyer().hire(world.wish()).await.unwrap();
    *world.wire.weather.lock() = Weather::Blocks(|message| matches!(message, TradeMessage::Fund { .. }));
    world.turns(5).await;
    assert_eq!(world.bought(id).step, "authorised");
    let error = world.buyer().cancel(id).await.unwrap_err();
    assert_eq!(haggle_base::Coded::code(&error), "wrong_state");
    *world.wire.weather.lock() = Weather::Clear;
    world.settle_down(30).await;
    world.check_paid_once(id);
}

#[tokio::test]
async fn a_budget_that_does_not_allow_it_ends_the_hire() {
    let mut world = World::new().await;
    *world.bobs_books.budget.lock() = Some(usdc("5.0"));
    let id = world.hire().await;
    world.settle_down(5).await;
    assert_eq!(world.bought(id).failure.as_deref(), Some("budget_exceeded"));
    assert!(world.witness.sent.lock().is_empty(), "nobody was asked");
}

#[tokio::test]
async fn a_provider_holds_only_so_many_unfunded_orders() {
    let mut world = World::new().await;
    world.config.max_open_per_buyer = 2;
    world.start_desk();
    *world.wire.weather.lock() = Weather::Blocks(|message| matches!(message, TradeMessage::Fund { .. }));
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(world.buyer().hire(HireRequest { ..world.wish() }).await.unwrap());
    }
    world.turns(10).await;
    assert_eq!(world.bought(ids[2]).failure.as_deref(), Some("capacity_full"));
    world.pass(Duration::from_secs(240));
    world.turns(5).await;
    *world.wire.weather.lock() = Weather::Clear;
    let id = world.buyer().hire(world.wish()).await.unwrap();
    world.settle_down(30).await;
    assert_eq!(world.bought(id).state.as_str(), "settled", "unfunded orders hold nothing after fund_by");
}

#[tokio::test]
async fn an_honest_provider_whose_output_does_not_fit_pays_back_instead_of_delivering() {
    let mut world = World::with(Manner::Sloppy, "5.0").await;
    let id = world.hire().await;
    world.settle_down(30).await;
    let bought = world.bought(id);
    assert_eq!(bought.state.as_str(), "refunded");
    assert_eq!(world.sold(&bought.id.unwrap()).failure.as_deref(), Some("schema_mismatch"));
    assert_eq!(world.chain.log(), ["fund", "refund"]);
    world.check_conservation();
}
