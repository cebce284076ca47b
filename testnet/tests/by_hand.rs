//! The owner's own flow, body by body: a service is listed that nothing runs, bought with the money in escrow, completed by its
//! provider and paid; and the same by the command line, across a kill between giving and delivering.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use haggle_base::Usdc;
use haggle_testnet::Stage;
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");
/// The owner's price of the CSV analyzer.
const PRICE: Usdc = Usdc::from_units(5_000_000);
/// With the fee.
const TOTAL: Usdc = Usdc::from_units(5_125_000);

async fn post(stage: &Stage, number: usize, path: &str, body: &Value) -> (u16, Value) {
    let gateway = stage.node(number).client().unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let response = http.post(format!("{}{path}", gateway.base())).bearer_auth(gateway.token()).json(body);
    let response = response.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// The body that the owner's document lists, from an agent of ours.
fn csv_analyzer(from: &str, price: &str) -> Value {
    json!({
        "type": "list_service",
        "from": from,
        "service": {
            "type": "data-processing", "name": "CSV Analyzer", "description": "Analyze CSV files", "price": price,
        },
    })
}

/// Lets node 2 spend as much as the owner's flow costs.
async fn allow(stage: &Stage) -> (String, Usdc) {
    let (buyer, had) = stage.buyer(2).await;
    let limits = json!({"agentId": buyer, "config": {"spendingLimit": {"daily": 50, "perTransaction": 10}}});
    let (status, answer) = post(stage, 2, "/api/v1/wallets", &limits).await;
    assert_eq!(status, 200, "{answer}");
    (buyer, had)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owners_flow_lists_buys_completes_and_pays() {
    let stage = Stage::of(PROGRAM, 2).await;
    let (buyer, had) = allow(&stage).await;
    let (provider, _) = stage.buyer(1).await;
    let say = async |number, body: Value| post(&stage, number, "/a2a/message", &body).await.1;

    // an order of nothing cannot be placed, so nobody would ever answer
    let free = say(1, csv_analyzer(&provider, "0")).await;
    assert_eq!(free["status"], "rejected", "{free}");
    assert!(free["reason"].as_str().unwrap().contains("by hand"), "{free}");

    // 1. the provider lists its service
    let listed = say(1, csv_analyzer(&provider, "5.0")).await;
    assert_eq!((&listed["type"], &listed["status"]), (&json!("listing_response"), &json!("success")), "{listed}");
    assert!(listed["expires_at"].is_string(), "{listed}");
    assert_eq!(say(1, csv_analyzer(&provider, "5.0")).await["listing_id"], listed["listing_id"], "the same again");
    stage.market.until_all_see(1).await.unwrap();
    let agents = stage.get(1, "/v1/agents").await;
    let seller = agents["items"][0]["did"].as_str().unwrap().to_owned();
    assert_eq!(agents["items"][0]["executor"], json!({"kind": "by_hand"}));
    let details = stage.get(2, &format!("/v1/listings/{}", listed["listing_id"].as_str().unwrap())).await;
    assert_eq!(details["deliver_within_seconds"], 24 * 3600, "{details}");
    let (status, refused) = post(&stage, 1, "/x402/csv-analyzer", &json!({})).await;
    assert_eq!((status, &refused["code"]), (400, &json!("sold_by_outcome")), "no call is paid before its outcome");

    // 2. the buyer purchases it; 3. its money is in escrow, and the provider sees what waits
    let bought = say(2, json!({"type": "purchase_request", "listing_id": listed["listing_id"]})).await;
    assert_eq!((&bought["status"], &bought["escrow_amount"]), (&json!("success"), &json!("5.125")), "{bought}");
    let order = bought["order_id"].as_str().unwrap().to_owned();
    let waiting = stage.until(1, &order, |order| order.waits_for.as_deref() == Some("output")).await;
    assert_eq!((waiting.state.as_str(), &waiting.input), ("funded", &Some(json!({}))));
    assert!(waiting.waits_until.is_some());
    let page = stage.get(1, "/v1/orders").await;
    assert_eq!((&page["items"][0]["waits_for"], &page["items"][0]["id"]), (&json!("output"), &json!(order)));
    stage.until_state(2, &order, "funded").await;
    let (status, refused) = post(&stage, 2, &format!("/v1/orders/{order}/output"), &json!({"output": {}})).await;
    assert_eq!((status, &refused["code"]), (400, &json!("not_provider")), "the buyer completes nothing");
    let asked = say(2, json!({"type": "order_complete", "order_id": order})).await;
    assert_eq!(asked["state"], "funded", "it is told where the order stands");

    // 4. the provider completes the order; 5. the money is its
    let complete = json!({"type": "order_complete", "from": provider, "order_id": order});
    let completed = say(1, complete.clone()).await;
    assert_eq!(
        (&completed["type"], &completed["status"]),
        (&json!("order_complete_response"), &json!("success")),
        "{completed}"
    );
    let settled = stage.until_state(2, &order, "settled").await;
    assert_eq!((settled.total, settled.output), (TOTAL, Some(json!({}))));
    stage.until_state(1, &order, "settled").await;
    assert_eq!(say(1, complete).await["state"], "settled", "said twice is done once");
    assert_eq!(
        (stage.balance(1, &seller).await, had.checked_sub(stage.balance(2, &buyer).await)),
        (PRICE, Some(TOTAL))
    );
    let (status, other) = post(&stage, 1, &format!("/v1/orders/{order}/output"), &json!({"output": 1})).await;
    assert_eq!((status, &other["code"]), (409, &json!("output_given")));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_given_at_the_terminal_survives_a_kill_and_completing_at_once_waits_for_the_money() {
    let mut stage = Stage::of(PROGRAM, 2).await;
    allow(&stage).await;
    let schema = r#"{"type":"object","required":["letter"]}"#;
    let add = ["agent", "add", "letters", "--by-hand", "--price", "5", "--output-schema", schema];
    assert!(stage.typed(1, &add[..4]).await.err.contains("--price"), "it needs a price");
    let added = stage.typed(1, &add).await;
    assert!(added.ok, "{}", added.err);
    assert!(stage.typed(1, &["agent", "list"]).await.out.contains("you give the output of each order"));
    stage.market.until_all_see(1).await.unwrap();
    let listing = stage.listing(2, "letters").await;

    let hired = stage.hire(2, &listing, "by-hand-1").await;
    let order = stage.until_state(2, &hired.key, "funded").await.id.unwrap();
    stage.until(1, &order, |order| order.waits_for.is_some()).await;
    assert!(stage.typed(1, &["order", "list"]).await.all().contains("waits for its output until"));
    let shown = stage.typed(1, &["order", "show", &order]).await;
    assert!(shown.out.contains("Agents sell, agents buy"), "the input: {}", shown.all());
    let deliver = async |stage: &Stage, output: &str| {
        stage.typed(1, &["order", "deliver", &order, "--output", output, "--json"]).await
    };
    let slip = deliver(&stage, "{}").await;
    assert!(!slip.ok && slip.all().contains("output_misfit"), "{}", slip.all());
    assert_eq!(stage.until_state(1, &order, "funded").await.waits_for.as_deref(), Some("output"), "it costs nothing");

    // the provider's node dies when the output is on disk, before anybody heard of it
    stage.market.node_mut(1).stop().await;
    stage.market.node_mut(1).restart(&[("HAGGLE_CRASH_AFTER", "executed")]).await.unwrap();
    stage.until(1, &order, |order| order.waits_for.is_some()).await;
    assert!(!deliver(&stage, r#"{"letter":"Dear Bob"}"#).await.ok);
    stage.until_dead(1).await;
    stage.market.node_mut(1).restart(&[]).await.unwrap();
    let settled = stage.until_state(2, &hired.key, "settled").await;
    assert_eq!(settled.output, Some(json!({"letter": "Dear Bob"})));
    let again = deliver(&stage, r#"{"letter":"Dear Bob"}"#).await;
    assert!(again.ok, "the same again: {}", again.all());
    assert!(deliver(&stage, r#"{"letter":"Dear Eve"}"#).await.all().contains("output_given"));

    // said right after the purchase, the output waits for the money
    let purchase = json!({"type": "purchase_request", "listing_id": listing.id, "input": {"to": "Bob"}});
    let (_, bought) = post(&stage, 2, "/a2a/message", &purchase).await;
    let second = json!({"type": "order_complete", "order_id": bought["order_id"], "output": {"letter": "Hello"}});
    let (_, completed) = post(&stage, 1, "/a2a/message", &second).await;
    assert_eq!(completed["status"], "success", "{completed}");
    let settled = stage.until_state(2, bought["order_id"].as_str().unwrap(), "settled").await;
    assert_eq!(settled.output, Some(json!({"letter": "Hello"})));
    stage.end().await;
}
