//! The provider takes the order and is never heard of again: the buyer gets its money back, fee included.

use haggle_testnet::Stage;
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");

#[tokio::test(flavor = "multi_thread")]
async fn the_buyer_of_a_provider_that_vanishes_is_refunded() {
    let mut stage = Stage::new(PROGRAM).await;
    stage.market.add_node_with(&[("HAGGLE_CRASH_AFTER", "funded")]).await.unwrap();
    stage.market.add_node().await.unwrap();
    let seller = stage.serve(1, "digest", 1).await;
    let (_, had) = stage.buyer(2).await;

    let listing = stage.listing(2, "digest").await;
    let hired = stage.hire(2, &listing, "vanishes").await;
    stage.until_dead(1).await;
    let funded = stage.until_state(2, &hired.key, "funded").await;
    assert!(funded.fund_tx.is_some());
    let (_, during) = stage.buyer(2).await;
    assert!(during < had, "the money is in the escrow");

    stage.forward(Duration::from_secs(3600));
    let order = stage.until_state(2, &hired.key, "refunded").await;
    assert!(order.settle_tx.is_some());
    assert_eq!(stage.buyer(2).await.1, had);

    // the provider signed the order and paid nothing back by itself: that is a failure on its record
    let path = format!("/v1/agents/{}", seller.did);
    let rated = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            let agent = stage.get(2, &path).await;
            if agent["reputation"]["total_calls"] == 1 {
                return agent;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert_eq!(rated.await.expect("the failure is remembered")["reputation"]["success_rate"], "0");
    stage.end().await;
}
