//! Callers that do not wait for ever: what becomes of an order when its caller's deadline passes.

use std::{collections::BTreeSet, time::Duration};

use haggle_base::Timestamp;
use haggle_trade::{HireId, HireRequest, TradeMessage};

use crate::world::{Manner, NOW, Weather, World, usdc};

/// Bob hires, and waits for the result until then.
async fn hire_until(world: &World, secs: u64) -> HireId {
    let deadline = Some(Timestamp::from_secs(NOW + secs));
    world.buyer().hire(HireRequest { deadline, ..world.wish() }).await.unwrap()
}

/// What an order that Bob paid nothing for looks like.
fn check_paid_nothing(world: &World, id: HireId) {
    world.check_conservation();
    assert_eq!(world.chain.balance(world.bob.address()), usdc("100"), "{:?}", world.bought(id));
    assert!(world.bobs_books.reserved.lock().is_empty(), "a reservation is left over");
    assert_eq!(world.chain.log().iter().filter(|name| **name == "release").count(), 0);
}

#[tokio::test]
async fn wherever_the_deadline_passes_the_order_is_paid_once_or_costs_nothing() {
    for manner in [Manner::Honest, Manner::Busy] {
        for weather in [Weather::Clear, Weather::Lossy, Weather::Echo] {
            let mut ends = BTreeSet::new();
            for secs in 0..14 {
                let mut world = World::with(manner, "5.0").await;
                *world.wire.weather.lock() = weather;
                let id = hire_until(&world, secs).await;
                world.turns(40).await;
                // past `fund_by`, for a payment that was signed and never used
                world.pass(Duration::from_secs(240));
                world.settle_down(40).await;

                let bought = world.bought(id);
                assert!(bought.is_final);
                ends.insert(bought.state.as_str());
                let funds = world.chain.log().iter().filter(|name| **name == "fund").count();
                assert!(funds <= 1, "{secs}: funded {funds} times");
                if bought.state.as_str() == "settled" {
                    world.check_paid_once(id);
                } else {
                    check_paid_nothing(&world, id);
                }
            }
            let honest = manner == Manner::Honest;
            assert!(ends.contains("cancelled"), "no deadline passed before the payment: {ends:?}");
            assert_eq!(ends.contains("settled"), honest, "{weather:?}: {ends:?}");
            assert!(honest || ends.contains("refunded"), "{weather:?}: {ends:?}");
        }
    }
}

#[tokio::test]
async fn a_seller_that_is_not_ready_in_time_pays_back_at_once() {
    let mut world = World::with(Manner::Busy, "5.0").await;
    let id = hire_until(&world, 15).await;
    world.turns(10).await;
    assert_eq!(world.bought(id).state.as_str(), "funded");
    world.settle_down(30).await;

    let bought = world.bought(id);
    assert_eq!((bought.state.as_str(), bought.failure.as_deref()), ("refunded", Some("timeout")));
    assert!(bought.lines.iter().any(|line| line.step == *"stopped"), "the seller's word is on the life line");
    assert_eq!(world.sold(&bought.id.unwrap()).failure.as_deref(), Some("cancelled"));
    assert_eq!(world.chain.log(), ["fund", "refund"]);
    check_paid_nothing(&world, id);
}

#[tokio::test]
async fn work_under_way_ends_when_nobody_waits_for_it_any_more() {
    let mut world = World::with(Manner::Endless, "5.0").await;
    world.config.poll_every = Duration::ZERO;
    world.start_buyer().await;
    world.start_desk();
    let (buyer, desk) = (world.buyer().clone(), world.desk());
    let id = hire_until(&world, 60).await;
    let driving = tokio::spawn({
        let buyer = buyer.clone();
        async move {
            loop {
                buyer.tick();
                desk.tick();
                tokio::task::yield_now().await;
            }
        }
    });
    while world.runs() == 0 {
        tokio::task::yield_now().await;
    }
    world.clock.advance(Duration::from_secs(60));
    let view = tokio::time::timeout(Duration::from_secs(60), buyer.wait(id)).await.unwrap().unwrap();
    driving.abort();
    assert_eq!((view.state.as_str(), view.failure.as_deref()), ("refunded", Some("timeout")));
    assert_eq!(world.chain.log(), ["fund", "refund"]);
    check_paid_nothing(&world, id);
}

#[tokio::test]
async fn a_result_that_was_signed_for_before_the_deadline_is_fetched_and_paid() {
    let mut world = World::new().await;
    *world.wire.weather.lock() = Weather::Blocks(|message| matches!(message, TradeMessage::Collect { .. }));
    let id = hire_until(&world, 30).await;
    world.turns(20).await;
    assert_eq!(world.bought(id).state.as_str(), "funded");
    *world.wire.weather.lock() = Weather::Blocks(|message| matches!(message, TradeMessage::Cancel { .. }));
    world.pass(Duration::from_secs(30));
    world.turns(5).await;
    assert_eq!(world.bought(id).state.as_str(), "funded", "after the deadline only the stop is asked for");
    *world.wire.weather.lock() = Weather::Clear;
    world.settle_down(30).await;
    assert_eq!(world.bought(id).failure, None);
    world.check_paid_once(id);
}

#[tokio::test]
async fn an_unpaid_order_ends_at_once_when_its_deadline_passes_and_a_paid_one_does_not() {
    let mut world = World::new().await;
    *world.desk.lock() = None;
    let unpaid = hire_until(&world, 5).await;
    world.turns(1).await;
    world.pass(Duration::from_secs(5));
    assert!(world.buyer().overdue(unpaid).await.unwrap(), "nothing was paid");
    assert!(world.buyer().overdue(unpaid).await.unwrap(), "and it stays so");
    assert_eq!(world.bought(unpaid).failure.as_deref(), Some("timeout"));

    world.start_desk();
    *world.wire.weather.lock() = Weather::Blocks(|message| matches!(message, TradeMessage::Fund { .. }));
    let paid = world.buyer().hire(HireRequest { deadline: None, ..world.wish() }).await.unwrap();
    world.turns(5).await;
    assert_eq!(world.bought(paid).step, "authorised");
    assert!(!world.buyer().overdue(paid).await.unwrap(), "its payment may have left");
}

#[tokio::test]
async fn nodes_killed_while_the_work_is_stopped_pay_back_once() {
    for (buyer_step, provider_step) in [("stopped", "stopped"), ("funded", "work_failed"), ("refunded", "refunded")] {
        let mut world = World::with(Manner::Busy, "5.0").await;
        world.buyer_crash.after(buyer_step);
        world.crash_desk_after(provider_step);
        let id = hire_until(&world, 12).await;
        world.settle_down(60).await;
        assert_eq!(world.bought(id).state.as_str(), "refunded", "{buyer_step} {provider_step}");
        assert_eq!(world.chain.log(), ["fund", "refund"], "{buyer_step} {provider_step}");
        check_paid_nothing(&world, id);
    }
}

#[tokio::test]
async fn why_a_seller_was_chosen_is_kept_with_the_order() {
    let mut world = World::new().await;
    let reason = Some("the cheapest of two".try_into().unwrap());
    let id = world.buyer().hire(HireRequest { reason, ..world.wish() }).await.unwrap();
    world.settle_down(30).await;
    world.start_buyer().await;
    assert_eq!(world.bought(id).reason.as_deref(), Some("the cheapest of two"));
}
