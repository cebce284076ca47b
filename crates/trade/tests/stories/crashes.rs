//! Either node killed after any stored step: it resumes from its disk, works once, pays once.

use std::time::Duration;

use haggle_trade::order::{job, saga};

use crate::world::{Manner, World};

/// Every step of a paid order, as a buyer stores them.
const BUYER_STEPS: [saga::Step; 12] = saga::Step::PAID_WAY;
/// Every step of a paid order, as a provider stores them.
const PROVIDER_STEPS: [job::Step; 11] = job::Step::PAID_WAY;

#[tokio::test]
async fn a_buyer_killed_after_any_step_resumes_and_pays_once() {
    for step in BUYER_STEPS.map(saga::Step::as_str) {
        let mut world = World::new().await;
        world.buyer_crash.after(step);
        let id = world.hire().await;
        world.settle_down(60).await;
        println!("buyer killed after {step}: {}", world.bought(id).state);
        world.check_paid_once(id);
    }
}

#[tokio::test]
async fn a_provider_killed_after_any_step_resumes_and_works_once() {
    for step in PROVIDER_STEPS.map(job::Step::as_str) {
        let mut world = World::new().await;
        world.crash_desk_after(step);
        let id = world.hire().await;
        world.settle_down(60).await;
        println!("provider killed after {step}: {}", world.bought(id).state);
        world.check_paid_once(id);
    }
}

#[tokio::test]
async fn both_killed_after_any_two_steps_still_trade_once() {
    for buyer_step in BUYER_STEPS.map(saga::Step::as_str) {
        for provider_step in PROVIDER_STEPS.map(job::Step::as_str) {
            let mut world = World::new().await;
            world.buyer_crash.after(buyer_step);
            world.crash_desk_after(provider_step);
            let id = world.hire().await;
            world.settle_down(90).await;
            world.check_paid_once(id);
        }
    }
}

#[tokio::test]
async fn a_provider_killed_on_the_timed_way_out_is_still_paid_once() {
    for step in ["delivered_on_chain", "settled", "attested"] {
        let mut world = World::new().await;
        world.buyer_crash.after("funded");
        world.crash_desk_after(step);
        let id = world.hire().await;
        world.turns(20).await;
        assert!(world.buyer.is_none(), "bob sleeps");
        world.pass(Duration::from_secs(770));
        for _ in 0..5 {
            world.turn(true).await;
        }
        // `turn` woke Bob only if he crashed again; he sleeps on.
        world.pass(Duration::from_secs(3_600));
        for _ in 0..8 {
            world.turn(true).await;
        }
        world.check_conservation();
        assert_eq!(world.runs(), 1, "{step}");
        assert_eq!(world.chain.log(), ["fund", "deliver", "finalize"], "{step}");
        world.start_buyer().await;
        world.settle_down(20).await;
        world.check_paid_once(id);
    }
}

#[tokio::test]
async fn a_buyer_killed_on_the_way_to_a_refund_is_refunded_once() {
    for step in ["checked", "refunded", "attested"] {
        let mut world = World::with(Manner::Liar, "5.0").await;
        world.buyer_crash.after(step);
        let id = world.hire().await;
        for _ in 0..20 {
            world.turn(true).await;
            world.pass(Duration::from_secs(1));
        }
        world.pass(Duration::from_secs(900));
        world.settle_down(20).await;
        world.check_conservation();
        assert_eq!(world.bought(id).state.as_str(), "refunded", "{step}");
        assert_eq!(world.chain.log(), ["fund", "finalize"], "{step}");
    }
}

#[tokio::test]
async fn a_provider_killed_after_its_work_failed_refunds_once() {
    for step in ["work_failed", "refunded"] {
        let mut world = World::with(Manner::Broken, "5.0").await;
        world.crash_desk_after(step);
        let id = world.hire().await;
        world.settle_down(60).await;
        world.check_conservation();
        assert_eq!(world.bought(id).state.as_str(), "refunded", "{step}");
        assert_eq!(world.chain.log(), ["fund", "refund"], "{step}");
        assert_eq!(world.runs(), 1, "{step}");
    }
}
