//! A node that joins late sees every listing, because sets are reconciled and not only gossiped.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use haggle_testnet::Stage;
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");
/// Agents on the market before the late node comes.
const AGENTS: [(&str, usize); 4] = [("echo", 1), ("digest", 2), ("csv", 2), ("slow", 1)];

async fn published(gossip: bool, sync: bool) -> Stage {
    let mut stage = Stage::with(PROGRAM, gossip, sync).await;
    stage.market.add_nodes(2).await.unwrap();
    for (name, node) in AGENTS {
        stage.node(node).serve_builtin(name).await.unwrap();
    }
    stage
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_node_sees_every_listing() {
    let mut stage = published(true, true).await;
    stage.market.until_all_see(AGENTS.len() as u64).await.unwrap();
    let late = stage.market.add_node().await.unwrap();
    late.until_sees(AGENTS.len() as u64).await.unwrap();
    let page = stage.get(3, "/v1/listings?limit=100").await;
    let mut names: Vec<_> = page["items"].as_array().unwrap().iter().map(|item| item["name"].clone()).collect();
    names.sort_by_key(ToString::to_string);
    assert_eq!(names, ["csv", "digest", "echo", "slow"]);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_gossip_reconciliation_alone_is_enough() {
    let mut stage = published(false, true).await;
    let late = stage.market.add_node().await.unwrap();
    late.until_sees(AGENTS.len() as u64).await.unwrap();
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_reconciliation_a_late_node_misses_what_was_said_before() {
    let mut stage = published(true, false).await;
    stage.market.until_all_see(AGENTS.len() as u64).await.unwrap();
    stage.market.add_node().await.unwrap();
    // something new reaches the late node by gossip, so it is connected and would have seen the rest by now
    stage.node(1).serve_builtin("flaky").await.unwrap();
    stage.node(3).until_sees(1).await.unwrap();
    tokio::time::timeout(Duration::from_secs(2), stage.node(3).until_sees(2)).await.unwrap_err();
    stage.end().await;
}
