//! A node that joins late sees every listing, because sets are reconciled and not only gossiped.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use haggle::view::{AgentSummary, Republish};
use haggle_base::Usdc;
use haggle_testnet::Stage;
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");
/// After this long gossip offers a message to nobody any more.
const OLD_NEWS_SECONDS: u64 = 5;
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
    // gossip offers what it has just carried to whoever joins within a few heartbeats: let those pass
    let said = uptime(&stage).await;
    while uptime(&stage).await < said + OLD_NEWS_SECONDS {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    stage.market.add_node().await.unwrap();
    // something new is said until it reaches the late node by gossip: it is connected, and hears what is said now
    let new = stage.node(1).serve_builtin("flaky").await.unwrap();
    let heard = async {
        for units in 1.. {
            let change = Republish { price: Some(Usdc::from_units(units)) };
            let path = format!("/v1/agents/{}/publish", new.did);
            let _said: AgentSummary = stage.node(1).client().unwrap().post(&path, &change).await.unwrap();
            if tokio::time::timeout(Duration::from_millis(500), stage.node(3).until_sees(1)).await.is_ok() {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), heard).await.expect("gossip reaches the late node");
    tokio::time::timeout(Duration::from_secs(2), stage.node(3).until_sees(2)).await.unwrap_err();
    stage.end().await;
}

/// Seconds that node 1 has been up.
async fn uptime(stage: &Stage) -> u64 {
    stage.get(1, "/v1/node").await["uptime_seconds"].as_u64().unwrap()
}
