//! Listing fees: an empty wallet lists nothing, a full one pays exactly once, and other nodes see from the chain what is paid
//! for.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use haggle_base::Usdc;
use haggle_testnet::Stage;
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");
const PAYS: (&str, &str) = ("HAGGLE_MARKET__PAY_LISTING_FEE", "true");
/// The owner's fee.
const FEE: Usdc = Usdc::from_units(100_000);
const PURSE: Usdc = Usdc::from_units(1_000_000);

/// A market whose first node pays nothing for its listings, and whose second one pays.
async fn market() -> Stage {
    let mut stage = Stage::of(PROGRAM, 1).await;
    stage.serve(1, "echo", 1).await;
    stage.market.add_node_with(&[PAYS]).await.unwrap();
    stage.market.until_all_see(1).await.unwrap();
    stage
}

async fn say(stage: &Stage, number: usize, body: Value) -> Value {
    let gateway = stage.node(number).client().unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = http.post(format!("{}/a2a/message", gateway.base())).bearer_auth(gateway.token()).json(&body);
    request.send().await.unwrap().json().await.unwrap()
}

fn lists(name: &str) -> Value {
    json!({
        "type": "list_service",
        "service": {
            "type": "data-processing", "name": name, "description": "Analyze CSV files", "price": "5.0",
        },
    })
}

/// A draft at node 2 whose wallet holds this much; its DID.
async fn draft(stage: &Stage, name: &str, holds: Usdc) -> String {
    let added =
        stage.typed(2, &["agent", "add", name, "--builtin", "digest", "--price", "0.02", "--draft", "--json"]).await;
    assert!(added.ok, "{}", added.err);
    let did = serde_json::from_str::<Value>(&added.out).unwrap()["did"].as_str().unwrap().to_owned();
    let wallets = stage.node(2).wallets().await.unwrap();
    let address = wallets.items.iter().find(|wallet| wallet.agent == did).unwrap().address.clone();
    stage.mint(address.parse().unwrap(), holds).await;
    did
}

async fn sunk(stage: &Stage) -> Usdc {
    stage.holds(stage.market.chain().deployment().unwrap().fee_sink).await
}

async fn until_paid(stage: &Stage, number: usize, listings: u64) {
    stage.until_answer(number, "/v1/node", |status| status["market"]["paid_listings"] == listings).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_wallet_is_rejected_and_a_full_one_pays_exactly_the_fee_which_every_node_sees() {
    let mut stage = market().await;

    // nothing in the wallet: the owner's reason, and nothing is listed anywhere
    let rejected = say(&stage, 2, lists("CSV Analyzer")).await;
    assert_eq!(
        (&rejected["type"], &rejected["status"]),
        (&json!("listing_response"), &json!("rejected")),
        "{rejected}"
    );
    let reason = rejected["reason"].as_str().unwrap();
    assert!(reason.starts_with("Failed to collect listing fee: "), "{reason}");
    let did = draft(&stage, "words", Usdc::from_units(99_999)).await;
    let refused = stage.typed(2, &["publish", "words"]).await;
    assert!(!refused.ok && refused.err.contains("Failed to collect listing fee"), "{}", refused.all());
    assert!(refused.err.contains("listing_fee_failed") && refused.err.contains("haggle wallet"), "{}", refused.err);
    assert_eq!(stage.get(2, "/v1/listings?limit=100").await["total"], 1, "the other node's");
    assert_eq!((sunk(&stage).await, stage.balance(2, &did).await), (Usdc::ZERO, Usdc::from_units(99_999)));

    // with money in it the listing costs the fee and nothing else
    let address =
        stage.node(2).wallets().await.unwrap().items.into_iter().find(|wallet| wallet.agent == did).unwrap().address;
    stage.mint(address.parse().unwrap(), Usdc::from_units(900_001)).await;
    let published = stage.typed(2, &["publish", "words"]).await;
    assert!(published.ok, "{}", published.err);
    let left = PURSE.checked_sub(FEE).unwrap();
    assert_eq!((stage.balance(2, &did).await, sunk(&stage).await), (left, FEE));
    stage.market.until_all_see(2).await.unwrap();

    // what is paid for shows at every node, from the chain alone; the other listing is a free one
    until_paid(&stage, 1, 1).await;
    until_paid(&stage, 2, 1).await;
    let status = stage.get(1, "/v1/node").await;
    let fee = &status["market"]["listing_fee"];
    assert_eq!(
        (&fee["amount"], &fee["days"], &fee["paid_here"]),
        (&json!("0.1"), &json!(30), &json!(false)),
        "{status}"
    );
    let shown = stage.typed(1, &["status"]).await;
    assert!(
        shown.out.contains("0.1 USDC for 30 days") && shown.out.contains("1 listings are paid for"),
        "{}",
        shown.out
    );

    // a change, the same again and a restart are no new listings
    assert!(stage.typed(2, &["publish", "words", "--price", "0.03"]).await.ok);
    assert!(stage.typed(2, &["publish", "words"]).await.ok);
    stage.market.node_mut(2).stop().await;
    stage.market.node_mut(2).restart(&[PAYS]).await.unwrap();
    until_paid(&stage, 2, 1).await;
    assert!(stage.typed(2, &["publish", "words", "--price", "0.04"]).await.ok);
    assert_eq!((stage.balance(2, &did).await, sunk(&stage).await), (left, FEE));
    let movements = stage.typed(2, &["wallet", "history", "--agent", &did, "--json"]).await;
    assert!(movements.out.contains("listing fee of words"), "{}", movements.all());

    // whoever comes later reads it from the chain too
    stage.market.add_node().await.unwrap();
    until_paid(&stage, 3, 1).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_killed_between_the_fee_and_the_listing_has_paid_once_when_it_lists() {
    let mut stage = market().await;
    let did = draft(&stage, "words", PURSE).await;
    stage.market.node_mut(2).stop().await;
    stage.market.node_mut(2).restart(&[PAYS, ("HAGGLE_CRASH_AFTER", "listing_fee_paid")]).await.unwrap();
    assert!(!stage.typed(2, &["publish", "words"]).await.ok, "it dies at it");
    stage.until_dead(2).await;
    assert_eq!(sunk(&stage).await, FEE);
    stage.market.node_mut(2).restart(&[PAYS]).await.unwrap();
    assert!(stage.typed(2, &["publish", "words"]).await.ok);
    assert_eq!((stage.balance(2, &did).await, sunk(&stage).await), (PURSE.checked_sub(FEE).unwrap(), FEE));
    until_paid(&stage, 1, 1).await;
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fee_sent_by_hand_counts_as_well() {
    let mut stage = market().await;
    stage.market.node_mut(2).stop().await;
    stage.market.node_mut(2).restart(&[]).await.unwrap();
    let did = draft(&stage, "words", PURSE).await;
    assert!(stage.typed(2, &["publish", "words"]).await.ok);
    assert_eq!(stage.balance(2, &did).await, PURSE, "this node pays for nothing");
    let sink = stage.market.chain().deployment().unwrap().fee_sink.to_string();
    let sent = stage.typed(2, &["wallet", "send", &sink, "0.1", "--from", &did]).await;
    assert!(sent.ok, "{}", sent.err);
    until_paid(&stage, 1, 1).await;
    assert_eq!(sunk(&stage).await, FEE);
    stage.end().await;
}
