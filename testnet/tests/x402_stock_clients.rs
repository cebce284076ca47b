//! Strangers buy from haggle: the stock x402 clients of JavaScript and Python pay a listing that nobody told them about.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use haggle_base::Usdc;
use haggle_devchain::DevAccount;
use haggle_testnet::{Ground, Sdk, Stage, paid};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");
/// What the built-in digest costs.
const PRICE: u64 = 20_000;

fn answers(seen: &Value) -> &Vec<Value> {
    seen["paid"].as_array().expect("the client lists what it paid")
}

/// Every answer is the digest's, and every payment stands.
fn all_good(sdk: Sdk, seen: &Value, count: usize) {
    assert_eq!(answers(seen).len(), count, "{sdk:?}: {seen}");
    for answer in answers(seen) {
        assert_eq!(answer["status"], 200, "{sdk:?}: {answer}");
        assert_eq!(answer["settled"]["success"], true, "{sdk:?}: {answer}");
        let output: Value = serde_json::from_str(answer["body"].as_str().expect("a body")).expect("a JSON body");
        assert!(output["words"].is_number(), "{sdk:?}: {output}");
    }
}

async fn strangers_buy_from_haggle(ground: Ground) {
    let stage = Stage::on(PROGRAM, ground, 1).await;
    let agent = stage.serve(1, "digest", 1).await;
    let seller = agent.payment_address.parse().expect("the seller has an address");
    let base = stage.node(1).client().expect("the node is up").base().to_owned();
    let url = format!("{base}/x402/digest");
    let input = json!({"text": "The market opens at nine."}).to_string();
    let mut earned = 0;
    for (sdk, number) in Sdk::ALL.into_iter().zip(2..) {
        let buyer = DevAccount::numbered(number);
        stage.mint(buyer.address(), Usdc::from_units(5_000_000)).await;
        let client = |scheme: &str, times: &str| {
            let mut client = sdk.client(buyer, &url, stage.token(), &stage.rpc());
            client.args(["--method", "POST", "--body", &input, "--scheme", scheme, "--times", times]);
            client
        };

        let seen = paid(&mut client("exact", "3")).await;
        all_good(sdk, &seen, 3);
        earned += 3 * PRICE;
        assert_eq!(stage.holds(seller).await, Usdc::from_units(earned), "{sdk:?}");

        // the same payment again is answered from what is kept, and settled once
        let sent = answers(&seen)[0]["sent"].as_str().expect("the client shows what it sent").to_owned();
        for _ in 0..3 {
            let request = reqwest::Client::new().post(&url).header("PAYMENT-SIGNATURE", &sent);
            let again = request.header("content-type", "application/json").body(input.clone()).send().await;
            let again = again.expect("the node answers");
            assert_eq!(again.status().as_u16(), 200, "{sdk:?}");
            assert_eq!(again.text().await.expect("a body"), answers(&seen)[0]["body"], "{sdk:?}");
        }
        assert_eq!(stage.holds(seller).await, Usdc::from_units(earned), "{sdk:?}");

        let seen = paid(&mut client("batch-settlement", "5")).await;
        all_good(sdk, &seen, 5);
    }
    let found: Value = reqwest::get(format!("{base}/discovery/resources")).await.unwrap().json().await.unwrap();
    assert_eq!(found["items"][0]["resource"], url, "{found}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the x402 SDKs: `cargo xtask test` installs them and runs this"]
async fn strangers_pay_upfront_where_there_is_no_credit() {
    let mut stage = Stage::new(PROGRAM).await;
    stage.market.add_node_with(&[("HAGGLE_PAYMENTS__CREDIT", "0.0")]).await.expect("the node starts");
    let agent = stage.serve(1, "digest", 1).await;
    let seller = agent.payment_address.parse().expect("the seller has an address");
    let url = format!("{}/x402/digest", stage.node(1).client().expect("the node is up").base());
    for (sdk, number) in Sdk::ALL.into_iter().zip(2..) {
        let buyer = DevAccount::numbered(number);
        stage.mint(buyer.address(), Usdc::from_units(5_000_000)).await;
        let input = json!({"text": "The market opens at nine."}).to_string();
        let mut client = sdk.client(buyer, &url, stage.token(), &stage.rpc());
        let seen = paid(client.args(["--method", "POST", "--body", &input, "--times", "2"])).await;
        all_good(sdk, &seen, 2);
        let sent = answers(&seen)[0]["sent"].as_str().expect("the client shows what it sent");
        let sent: Value = serde_json::from_slice(&STANDARD.decode(sent).expect("base64")).expect("JSON");
        assert_eq!(sent["accepted"]["extra"]["paymentFlow"], "upfront", "{sdk:?}: {sent}");
    }
    assert_eq!(stage.holds(seller).await, Usdc::from_units(4 * PRICE));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the x402 SDKs: `cargo xtask test` installs them and runs this"]
async fn strangers_buy_from_haggle_on_the_embedded_chain() {
    strangers_buy_from_haggle(Ground::Devchain).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the x402 SDKs and anvil: `cargo xtask test` installs them and runs this"]
async fn strangers_buy_from_haggle_on_anvil() {
    strangers_buy_from_haggle(Ground::Anvil).await;
}
