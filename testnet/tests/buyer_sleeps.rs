//! The buyer takes the result and falls silent: the honest provider posts the delivery on chain and is paid.

use haggle_base::Usdc;
use haggle_testnet::Stage;
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_provider_is_paid_by_a_buyer_that_fell_asleep() {
    let mut stage = Stage::new(PROGRAM).await;
    stage.market.add_node().await.unwrap();
    stage.market.add_node_with(&[("HAGGLE_CRASH_AFTER", "receipt_held")]).await.unwrap();
    let seller = stage.serve(1, "digest", 1).await;
    let listing = stage.listing(2, "digest").await;
    let hired = stage.hire(2, &listing, "sleeps").await;
    stage.until_dead(2).await;

    let order = sold(&stage).await;
    stage.until_step(1, &order, "receipt_signed").await;
    // near the deadline without a release: it posts what it delivered
    stage.forward(stage.until_near_deadline());
    stage.until_step(1, &order, "delivered_on_chain").await;
    // the review window passes in silence
    stage.forward(Duration::from_secs(3700));
    let settled = stage.until_state(1, &order, "settled").await;
    assert!(settled.settle_tx.is_some());
    assert_eq!(stage.balance(1, &seller.did).await, Usdc::from_units(20_000));

    // the buyer wakes up, sees what happened, and pays nothing more
    stage.market.node_mut(2).restart(&[]).await.unwrap();
    let woken = stage.until_state(2, &hired.key, "settled").await;
    assert_eq!(woken.id.as_deref(), Some(order.as_str()));
    assert_eq!(stage.runs(1, &order), 1);
    stage.end().await;
}

/// The order id of the one order that node 1 sold.
async fn sold(stage: &Stage) -> String {
    let page = stage.get(1, "/v1/orders?role=provider").await;
    page["items"][0]["id"].as_str().expect("node 1 holds an order").to_owned()
}
