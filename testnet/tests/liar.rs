//! The liar delivers nonsense: the buyer's node sees that it breaks the promised schema, releases nothing, and is
//! refunded at the deadline.

use haggle_testnet::Stage;
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");

#[tokio::test(flavor = "multi_thread")]
async fn a_lie_is_not_paid_for() {
    let stage = Stage::of(PROGRAM, 2).await;
    let seller = stage.serve(1, "liar", 1).await;
    let (_, had) = stage.buyer(2).await;
    let listing = stage.listing(2, "liar").await;
    let hired = stage.hire(2, &listing, "liar").await;

    let order = stage.until_step(2, &hired.key, "checked").await;
    assert_ne!(order.state, "settled");
    let id = order.id.unwrap();
    // near the deadline a liar posts nothing on chain
    stage.forward(Duration::from_secs(1200));
    let refunded = stage.until_state(2, &hired.key, "refunded").await;
    assert_eq!(refunded.problem.as_deref(), Some("schema_mismatch"));
    assert_eq!(stage.buyer(2).await.1, had);
    assert_eq!(stage.balance(1, &seller.did).await.units(), 0);
    let sold = stage.get(1, &format!("/v1/orders/{id}")).await;
    let steps: Vec<_> = sold["steps"].as_array().unwrap().iter().map(|step| step["step"].clone()).collect();
    assert!(!steps.contains(&"delivered_on_chain".into()), "{steps:?}");
    stage.end().await;
}
