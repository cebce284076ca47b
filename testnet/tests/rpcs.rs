//! Three RPC endpoints, of which one lies, lags or dies while an order settles, and then the chain takes blocks back: the
//! nodes follow within depth + 2 polls. A node with one endpoint says that it trusts it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

#[path = "../../crates/escrow/tests/market/proxy.rs"]
mod proxy;

use haggle::view::{NodeStatus, OrderView};
use haggle_devchain::Taken;
use haggle_testnet::Stage;
use proxy::{Manner, Proxy};
use serde_json::{Value, json};
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");
/// The node that sells.
const SELLER: usize = 1;
/// The node that buys.
const BUYER: usize = 2;
/// How often a waiting story looks.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Another hash for every block, and no event ever.
fn lies(method: &str, _: &Value, result: &mut Value) {
    match method {
        "eth_getBlockByNumber" if !result.is_null() => result["hash"] = json!(format!("0x{}", "ab".repeat(32))),
        "eth_getLogs" => *result = json!([]),
        _ => {}
    }
}

/// What one endpoint does from the middle of a settlement on. The liar comes last: it is not believed for a while after.
const MANNERS: [&str; 3] = ["lags", "dies", "lies"];

fn manner(name: &str, depth: u64, stage: &Stage) -> Manner {
    match name {
        "lies" => Manner::Lying(lies),
        "lags" => Manner::Behind(stage.market.chain().head().0),
        _ if depth == 2 => Manner::Dead,
        _ => Manner::Silent,
    }
}

async fn polls(stage: &Stage, node: usize) -> u64 {
    let status: NodeStatus = stage.node(node).client().unwrap().get("/v1/node").await.unwrap();
    status.chain.polls
}

/// Waits until a node says of an order what the chain says: that its end was taken back, or that it has ended again, which
/// the other node may have seen to first. Returns how often the node has followed the chain while it did not.
async fn polls_until_it_follows(stage: &Stage, node: usize, key: &str, end: &str) -> u64 {
    let from = polls(stage, node).await;
    let mut last = from;
    let waiting = async {
        loop {
            // read before the order: so many polls had not been enough
            let now = polls(stage, node).await;
            let order = stage.node(node).order(key).await.unwrap();
            let has_ended = order.state == "settled" && mined_in(stage, end).await.is_some();
            if has_ended || times(&order, "taken_back") == 1 {
                return last - from;
            }
            last = now;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let waited = tokio::time::timeout(haggle::devnet::PATIENCE, waiting).await;
    waited.unwrap_or_else(|_| panic!("node {node} does not follow\n{}", stage.node(node).log()))
}

/// The block of a transaction, if it is mined.
async fn mined_in(stage: &Stage, tx: &str) -> Option<u64> {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_getTransactionReceipt", "params": [tx]});
    let answer = reqwest::Client::new().post(stage.rpc()).json(&body).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    u64::from_str_radix(answer["result"]["blockNumber"].as_str()?.trim_start_matches("0x"), 16).ok()
}

fn times(order: &OrderView, step: &str) -> usize {
    order.steps.iter().filter(|line| line.step == step).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_three_endpoints_that_lies_lags_or_dies_in_mid_settlement_misleads_nobody() {
    let mut stage = Stage::new(PROGRAM).await;
    let mut endpoints = Vec::new();
    for _ in 0..3 {
        endpoints.push(Proxy::before(stage.market.chain()).await);
    }
    let urls = endpoints.iter().map(|one| one.url.as_str()).collect::<Vec<_>>().join(",");
    for _ in [SELLER, BUYER] {
        stage.market.add_node_with(&[("HAGGLE_CHAIN__RPC", &urls)]).await.expect("the node starts");
    }
    let seller = stage.serve(SELLER, "digest", 1).await;
    let listing = stage.listing(BUYER, "digest").await;
    let (_, had) = stage.buyer(BUYER).await;
    let (mut spent, mut earned) = (0, 0);

    for (round, name) in MANNERS.into_iter().enumerate() {
        for depth in [2, 20] {
            let about = format!("{depth} blocks, one of three {name}");
            // what came before lies deeper than what is taken back
            stage.market.chain().mine(depth);
            let key = format!("{name}-{depth}");
            let hired = stage.hire(BUYER, &listing, &key).await;
            stage.until_step(BUYER, &hired.key, "funded").await;
            endpoints[round].turns(manner(name, depth, &stage));
            let settled = stage.until_step(BUYER, &hired.key, "attested").await;
            let id = settled.id.clone().expect("a settled order has an id");
            stage.until_step(SELLER, &id, "attested").await;

            assert!(endpoints[round].asked("eth_getBlockByNumber") > 0, "{about}: it is one of those who are asked");
            // blocks came on top while everybody attested
            let end =
                settled.steps.iter().find(|line| line.step == "released").and_then(|line| line.tx.clone()).unwrap();
            let block = mined_in(&stage, &end).await.expect("it is mined");
            let depth = depth.max(stage.market.chain().head().0 + 1 - block);
            stage.market.chain().reorg(depth, Taken::Lost).unwrap();
            for (node, key) in [(BUYER, &hired.key), (SELLER, &id)] {
                let waited = polls_until_it_follows(&stage, node, key, &end).await;
                assert!(waited <= depth + 2, "{about}: node {node} had not followed after {waited} polls");
            }
            for (node, key) in [(BUYER, &hired.key), (SELLER, &id)] {
                let is_over = |order: &OrderView| times(order, "attested") == times(order, "taken_back") + 1;
                stage.until(node, key, is_over).await;
                stage.until_state(node, key, "settled").await;
            }
            assert!(mined_in(&stage, &end).await.is_some(), "{about}: it has ended again");
            assert_eq!(stage.runs(SELLER, &id), 1, "{about}: the work is done once");
            spent += settled.total.units();
            earned += settled.price.units();
            stage.assert_conserved();
            endpoints[round].turns(Manner::Honest);
        }
    }
    let status: NodeStatus = stage.node(BUYER).client().unwrap().get("/v1/node").await.unwrap();
    assert_eq!(status.chain.endpoints.len(), 3);
    assert_eq!(had.units() - stage.buyer(BUYER).await.1.units(), spent);
    assert_eq!(stage.balance(SELLER, &seller.did).await.units(), earned);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_one_endpoint_says_that_it_trusts_it() {
    let stage = Stage::of(PROGRAM, 1).await;
    let status: NodeStatus = stage.node(1).client().unwrap().get("/v1/node").await.unwrap();
    let host = &status.chain.endpoints[0].host;
    assert_eq!(status.chain.trust, format!("one RPC, {host}, is trusted with what it says"));
    let said = tokio::process::Command::new(PROGRAM)
        .args(["--home", stage.node(1).home().path().to_str().unwrap(), "status"])
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("is trusted with what it says"), "{said}");
    stage.end().await;
}
