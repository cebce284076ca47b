//! One buyer brings an agent work that cannot be done, again and again: its orders fail, and the agent is shown as before to
//! everybody whom others' good orders tell something better.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use haggle::view::{ListingPage, ListingView};
use haggle_testnet::Stage;
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");
/// A table that the agent can read, and one that nobody can.
const TABLES: [&str; 2] = ["a,b\n1,2\n", ""];

/// Node `number` has a table read, as often as there are keys.
async fn order(stage: &Stage, number: usize, listing: &ListingView, table: &str, keys: &[&str]) {
    let client = stage.node(number).client().unwrap();
    for key in keys {
        let body = json!({"listing": listing.id, "input": {"csv": table}});
        let _order: Value = client.post_once("/v1/orders", key, &body).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_failed_orders_of_one_buyer_hide_nobody_whom_another_speaks_for() {
    let stage = Stage::of(PROGRAM, 3).await;
    let seller = stage.serve(1, "csv", 1).await;
    let listing = stage.listing(2, "csv").await;
    let [readable, unreadable] = TABLES;

    order(&stage, 2, &listing, readable, &["good"]).await;
    stage.until_state(2, "good", "settled").await;
    let bad = ["bad-1", "bad-2", "bad-3"];
    order(&stage, 3, &listing, unreadable, &bad).await;
    for key in bad {
        stage.until_state(3, key, "refunded").await;
    }

    for number in 1..=3 {
        let path = format!("/v1/agents/{}", seller.did);
        let seen = stage.until_answer(number, &path, |agent| agent["reputation"]["total_calls"] == 4).await;
        let figures = (&seen["reputation"]["success_rate"], &seen["reputation"]["net"]);
        assert_eq!(figures, (&json!("0.25"), &json!(0)), "{number}: {seen}");
        let page: ListingPage = stage.node(number).client().unwrap().get("/v1/listings?q=csv").await.unwrap();
        assert_eq!(page.total, 1, "node {number} shows it");
    }
    stage.end().await;
}
