//! Bad input and bad luck at a real node: a stable code, and nothing that was acknowledged is lost.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use haggle::view::{AgentSummary, Executor, NewAgent, PriceFor};
use haggle_testnet::Stage;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");
/// Largest file the full disk takes, in blocks of 512 bytes: 2 MiB.
const FULL_AT_BLOCKS: u32 = 4096;
/// More orders than fit on that disk.
const TOO_MANY: usize = 1000;

fn agent(name: &str, price: &str) -> NewAgent {
    NewAgent {
        name: name.to_owned(),
        description: "x".repeat(500),
        category: "tools".to_owned(),
        tags: Vec::new(),
        price: price.parse().unwrap(),
        input_schema: None,
        output_schema: None,
        deliver_within_seconds: 300,
        executor: Executor::Builtin { name: "echo".to_owned() },
        extended: None,
        draft: false,
        regions: Vec::new(),
        pricing: PriceFor::PerCall,
    }
}

/// A program that runs the node on a disk where files cannot grow past a limit.
fn on_a_small_disk(dir: &Path) -> PathBuf {
    let path = dir.join("small-disk.sh");
    let script = format!("#!/bin/sh\ntrap '' XFSZ\nulimit -f {FULL_AT_BLOCKS}\nexec '{PROGRAM}' \"$@\"\n");
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_and_loses_nothing_acknowledged() {
    let scripts = tempfile::tempdir().unwrap();
    let mut stage = Stage::of(PROGRAM, 2).await;
    stage.serve(1, "digest", 1).await;
    let listing = stage.listing(2, "digest").await;
    // the seller is away, so nothing but the buyer's own writing happens
    stage.market.node_mut(1).kill().await;
    stage.market.node_mut(2).run_from_now_on(&on_a_small_disk(scripts.path()));
    stage.market.node_mut(2).restart(&[]).await.unwrap();

    let client = stage.node(2).client().unwrap().clone();
    let mut acknowledged = Vec::new();
    let refusal = 'filling: {
        for number in 0..TOO_MANY {
            let key = format!("order-{number}");
            let body = json!({"listing": listing.id, "input": {"text": key.repeat(20)}});
            match client.post_once::<_, Value>("/v1/orders", &key, &body).await {
                Ok(_) => acknowledged.push(key),
                Err(refusal) => break 'filling refusal,
            }
        }
        panic!("{TOO_MANY} orders fit a disk that should be full");
    };
    assert_eq!(refusal.code, "storage_full", "after {} orders: {refusal}", acknowledged.len());
    assert!(!acknowledged.is_empty());

    stage.market.node_mut(2).run_from_now_on(Path::new(PROGRAM));
    stage.market.node_mut(2).restart(&[]).await.unwrap();
    let client = stage.node(2).client().unwrap().clone();
    for key in &acknowledged {
        let order: Value = client.get(&format!("/v1/orders/{key}")).await.unwrap();
        assert_eq!(order["key"], **key);
    }
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_chain_away_search_goes_on_and_money_says_why_not() {
    let mut stage = Stage::new(PROGRAM).await;
    stage.market.add_node_with(&[("HAGGLE_CHAIN__RPC", "http://127.0.0.1:9")]).await.unwrap();
    stage.node(1).serve_builtin("digest").await.unwrap();
    let client = stage.node(1).client().unwrap();
    let found = stage.get(1, "/v1/listings?q=document").await;
    assert_eq!(found["total"], 1);
    let refusal = client.get::<Value>("/v1/wallet").await.unwrap_err();
    assert_eq!(refusal.code, "rpc_down", "{refusal}");
    let status = stage.get(1, "/v1/node").await;
    assert_eq!(status["chain"]["reachable"], false);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused_by_name_and_changes_nothing() {
    let mut stage = Stage::of(PROGRAM, 2).await;
    let seller = stage.serve(1, "digest", 1).await;
    let dear: AgentSummary = stage.node(1).client().unwrap().post("/v1/agents", &agent("dear", "1.5")).await.unwrap();
    stage.market.until_all_see(2).await.unwrap();
    let (_, had) = stage.buyer(2).await;
    let client = stage.node(2).client().unwrap().clone();
    let hire = |listing: &str, input: Value| json!({"listing": listing, "input": input});
    let digest = stage.listing(2, "digest").await;

    let cases = [
        ("no-such-listing", hire(&"0".repeat(64), json!({})), "listing_not_found"),
        ("no-input", hire(&digest.id, json!({"words": 1})), "invalid_input"),
        ("seven-decimals", json!({"listing": digest.id, "input": {}, "max_price": "0.0000001"}), "invalid_body"),
        (
            "below-the-price",
            json!({"listing": digest.id, "input": {"text": "x"}, "max_price": "0.000001"}),
            "above_max_price",
        ),
    ];
    for (key, body, code) in cases {
        let refusal = client.post_once::<_, Value>("/v1/orders", key, &body).await.unwrap_err();
        assert_eq!(refusal.code, code, "{key}: {refusal}");
    }
    let free = stage.node(1).serve_builtin("echo").await.unwrap();
    stage.market.until_all_see(3).await.unwrap();
    let body = hire(&free.listing.unwrap(), json!({"text": "x"}));
    let refusal = client.post_once::<_, Value>("/v1/orders", "free", &body).await.unwrap_err();
    assert_eq!(refusal.code, "free_no_order", "{refusal}");

    // one USDC a call is the devnet's budget: the dear agent is stopped before anything is signed
    let body = hire(&dear.listing.unwrap(), json!({"text": "x"}));
    client.post_once::<_, Value>("/v1/orders", "dear", &body).await.unwrap();
    let stopped = stage.until(2, "dear", |order| order.problem.is_some()).await;
    assert_eq!(stopped.problem.as_deref(), Some("budget_per_call"));
    assert_eq!(stopped.fund_tx, None);

    // an order of two others is nobody else's business
    let order = stage.hire(2, &digest, "theirs").await;
    let settled = stage.until_state(2, &order.key, "settled").await;
    stage.market.add_node().await.unwrap();
    let path = format!("/v1/orders/{}", settled.id.unwrap());
    let refusal = stage.node(3).client().unwrap().get::<Value>(&path).await.unwrap_err();
    assert_eq!(refusal.code, "order_not_found");

    // the same key with another input is a conflict, not a second order
    let body = hire(&digest.id, json!({"text": "something else"}));
    let refusal = client.post_once::<_, Value>("/v1/orders", "theirs", &body).await.unwrap_err();
    assert_eq!(refusal.code, "idempotency_conflict");
    let spent = had.checked_sub(stage.buyer(2).await.1).unwrap();
    assert_eq!(spent.to_string(), "0.0205");
    assert_eq!(stage.balance(1, &seller.did).await.to_string(), "0.02");
    stage.end().await;
}
