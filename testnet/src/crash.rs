//! The story both sides share: killed after each step it stores, a node starts again, works once and is paid once.

use crate::Stage;
use haggle_base::{Side, Usdc};

/// A killed QUIC peer is noticed by its silence only; over TCP the other side knows at once.
const TCP_ALONE: (&str, &str) = ("HAGGLE_P2P__LISTEN", "[\"/ip4/127.0.0.1/tcp/0\"]");
/// The node that sells.
const PROVIDER: usize = 1;
/// The node that buys.
const BUYER: usize = 2;
/// What the seller gets for one order.
const PRICE_UNITS: u64 = 20_000;
/// What the buyer pays for it, fee included.
const COST_UNITS: u64 = 20_500;

/// Kills the node of `side` after each of `steps` in turn, an order each, and counts runs and money to the unit.
///
/// # Panics
/// A step was not reached, the work was done more or less than once, or paid more or less than once.
pub async fn killed_after_each(program: &str, side: Side, steps: &[&str]) {
    let victim = match side {
        Side::Buyer => BUYER,
        Side::Provider => PROVIDER,
    };
    let mut stage = Stage::new(program).await;
    for _ in 0..2 {
        stage.market.add_node_with(&[TCP_ALONE]).await.expect("a node starts");
    }
    let seller = stage.serve(PROVIDER, "digest", 1).await;
    let listing = stage.listing(BUYER, "digest").await;
    let mut paid = 0;
    for step in steps {
        stage.market.node_mut(victim).restart(&[("HAGGLE_CRASH_AFTER", step)]).await.expect("it starts");
        let (_, had) = stage.buyer(BUYER).await;
        let key = format!("crash-{step}");
        let first = stage.try_hire(BUYER, &listing, &key).await;
        // a buyer may be killed before it answers its user
        assert!(side == Side::Buyer || first.is_ok(), "after {step}: {first:?}");
        stage.until_dead(victim).await;
        stage.market.node_mut(victim).restart(&[]).await.expect("it starts again");
        // whoever got no answer asks again with the same key, as whoever got one may
        let hired = stage.hire(BUYER, &listing, &key).await;
        if let Ok(first) = first {
            assert_eq!(first.key, hired.key, "after {step}");
        }

        let order = stage.until_state(BUYER, &hired.key, "settled").await;
        let id = order.id.expect("a settled order has an id");
        stage.until_step(PROVIDER, &id, "attested").await;
        paid += 1;
        let spent = had.checked_sub(stage.buyer(BUYER).await.1);
        assert_eq!(spent, Some(Usdc::from_units(COST_UNITS)), "after {step}");
        let received = stage.balance(PROVIDER, &seller.did).await;
        assert_eq!(received, Usdc::from_units(PRICE_UNITS * paid), "after {step}");
        assert_eq!(stage.runs(PROVIDER, &id), 1, "after {step}");
        stage.assert_conserved();
    }
    stage.end().await;
}
