//! A stranger in Rust, on the crates of r402: it buys from haggle, and haggle buys in its shop and settles for it.

use haggle::view::{PayRequest, PayView};
use haggle_base::{Address, Usdc};
use haggle_devchain::DevAccount;
use haggle_testnet::{Ground, Sdk, Shop, Stage, paid, unpaid};
use serde_json::{Value, json};
use tokio::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");
/// What the built-in digest costs, and what the shops ask.
const PRICE: u64 = 20_000;

/// The stranger, who calls `url` with a text to digest.
fn client(stage: &Stage, buyer: DevAccount, url: &str, scheme: &str, times: &str) -> Command {
    let mut client = Sdk::Rust.client(buyer, url, stage.token(), &stage.rpc());
    let input = json!({"text": "The market opens at nine."}).to_string();
    client.args(["--method", "POST", "--body", &input, "--scheme", scheme, "--times", times]);
    client
}

async fn rich(stage: &Stage, number: u32) -> DevAccount {
    let buyer = DevAccount::numbered(number);
    stage.mint(buyer.address(), Usdc::from_units(5_000_000)).await;
    buyer
}

async fn holds(stage: &Stage, who: Address) -> u64 {
    stage.holds(who).await.units()
}

fn base(stage: &Stage, number: usize) -> String {
    stage.node(number).client().expect("the node is up").base().to_owned()
}

/// The header that a payment went out in.
fn sent(answer: &Value) -> &str {
    answer["sent"].as_str().expect("the client shows what it sent")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the peer in Rust: `cargo xtask test` builds it and runs this"]
async fn a_rust_stranger_buys_from_haggle() {
    let stage = Stage::on(PROGRAM, Ground::Devchain, 1).await;
    let agent = stage.serve(1, "digest", 1).await;
    let seller = agent.payment_address.parse().expect("the seller has an address");
    let buyer = rich(&stage, 2).await;
    let url = format!("{}/x402/digest", base(&stage, 1));

    let seen = paid(&mut client(&stage, buyer, &url, "exact", "3")).await;
    let answers = seen["paid"].as_array().expect("the client lists what it paid");
    assert_eq!(answers.len(), 3, "{seen}");
    for answer in answers {
        let output: Value = serde_json::from_str(answer["body"].as_str().expect("a body")).expect("a JSON body");
        assert_eq!((&answer["status"], &output["words"]), (&json!(200), &json!(5)), "{answer}");
        let settled = &answer["settled"];
        assert_eq!((&settled["success"], &settled["amount"]), (&json!(true), &json!(PRICE.to_string())), "{answer}");
        assert!(settled["extensions"]["offer-receipt"].is_object(), "r402 keeps our receipt: {answer}");
    }
    assert_eq!(holds(&stage, seller).await, 3 * PRICE);

    // the same payment again is answered from what is kept, and settled once
    let input = json!({"text": "The market opens at nine."}).to_string();
    let request = reqwest::Client::new().post(&url).header("PAYMENT-SIGNATURE", sent(&answers[0]));
    let again = request.header("content-type", "application/json").body(input).send().await.expect("the node answers");
    assert_eq!(again.status().as_u16(), 200);
    assert_eq!(again.text().await.expect("a body"), answers[0]["body"]);
    assert_eq!(holds(&stage, seller).await, 3 * PRICE);
    stage.end().await;
}

/// What r402 0.21 gets wrong (`docs/protocols/x402-exact.md`, "Peers") is refused with a word, and nobody's money moves.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the peer in Rust: `cargo xtask test` builds it and runs this"]
async fn what_r402_writes_wrong_is_refused_with_a_word_and_costs_nothing() {
    let mut stage = Stage::new(PROGRAM).await;
    stage.market.add_node_with(&[("HAGGLE_PAYMENTS__CREDIT", "0.0")]).await.expect("the node starts");
    stage.serve(1, "digest", 1).await;
    let buyer = rich(&stage, 2).await;
    let purse = holds(&stage, buyer.address()).await;
    let url = format!("{}/x402/digest", base(&stage, 1));

    let (seen, why) = unpaid(&mut client(&stage, buyer, &url, "exact", "1")).await;
    assert_eq!(seen["paid"][0]["required"]["accepts"][0]["extra"]["paymentFlow"], "upfront", "{seen}");
    assert!(why.contains("unsupported_payment_flow"), "{why}");

    let (seen, why) = unpaid(&mut client(&stage, buyer, &url, "batch-settlement", "1")).await;
    assert_eq!(seen["paid"][0]["status"], 402, "{seen}");
    assert!(why.contains("invalid_batch_settlement_evm_payload_type"), "{why}");
    assert_eq!(holds(&stage, buyer.address()).await, purse);
    stage.end().await;
}

/// That the fault is r402's and not ours: the npm shop takes no more from it. What is in `accepted` is not what was asked.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the peer in Rust and the x402 SDK of JavaScript: `cargo xtask test` has both and runs this"]
async fn the_npm_shop_takes_from_r402_what_haggle_takes() {
    let stage = Stage::on(PROGRAM, Ground::Devchain, 0).await;
    let (clerk, owner) = (DevAccount::numbered(0), DevAccount::numbered(1).address());
    let shop = Shop::open(clerk, owner, stage.token(), &stage.rpc()).await;
    let buyer = rich(&stage, 2).await;

    paid(&mut client(&stage, buyer, &format!("{}/exact", shop.url), "exact", "2")).await;
    for (path, scheme) in [("upfront", "exact"), ("channel", "batch-settlement")] {
        let (_, why) = unpaid(&mut client(&stage, buyer, &format!("{}/{path}", shop.url), scheme, "1")).await;
        assert!(why.contains("No matching payment requirements"), "{path}: {why}");
    }
    assert_eq!(holds(&stage, owner).await, 2 * PRICE);
    stage.end().await;
}

/// Node 2 pays at `path`.
async fn pay(stage: &Stage, shop: &Shop, path: &str, key: &str) -> PayView {
    let request = PayRequest {
        url: format!("{}{path}", shop.url),
        body: Some(json!({"word": path}).to_string()),
        ..PayRequest::default()
    };
    stage.node(2).client().expect("the node is up").post_once("/v1/pay", key, &request).await.expect("the shop sells")
}

/// r402's server and its facilitator client: node 2 buys in the shop, node 1 verifies and settles for it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the peer in Rust: `cargo xtask test` builds it and runs this"]
async fn haggle_buys_in_a_rust_shop_and_settles_for_it() {
    let stage = Stage::on(PROGRAM, Ground::Devchain, 2).await;
    let owner = DevAccount::numbered(1).address();
    let token = stage.node(1).client().expect("the node is up").token().to_owned();
    let facilitator = format!("{}/facilitator", base(&stage, 1));
    let shop = Shop::in_rust(&facilitator, &token, owner, stage.token()).await;

    for (path, earned) in [("/exact", PRICE), ("/upfront", 2 * PRICE)] {
        let bought = pay(&stage, &shop, path, path.trim_start_matches('/')).await;
        assert_eq!((bought.status, bought.cost.units()), (200, PRICE), "{bought:?}");
        let said: Value = serde_json::from_str(bought.text.as_deref().expect("it answers in text")).expect("in JSON");
        assert_eq!(said, json!({"sold": path, "worked": 1, "asked": {"word": path}}));
        let receipt = bought.payment.as_ref().and_then(|payment| payment.receipt.clone()).expect("it was paid for");
        assert_eq!((&receipt["success"], &receipt["amount"]), (&json!(true), &json!(PRICE.to_string())));
        assert_eq!(pay(&stage, &shop, path, path.trim_start_matches('/')).await, bought, "the same key buys once");
        assert_eq!(holds(&stage, owner).await, earned, "{path}");
    }

    // one payment is settled once: brought again, node 1 says no and the shop does not work
    let buyer = rich(&stage, 2).await;
    let seen = paid(&mut client(&stage, buyer, &format!("{}/exact", shop.url), "exact", "1")).await;
    let replay = reqwest::Client::new().get(format!("{}/exact", shop.url));
    let replay = replay.header("PAYMENT-SIGNATURE", sent(&seen["paid"][0])).send().await.expect("the shop answers");
    assert_eq!(replay.status().as_u16(), 402);
    let why = replay.text().await.expect("the shop says why");
    assert!(why.contains("the payment was used before"), "node 1's own words: {why}");
    assert_eq!(holds(&stage, owner).await, 3 * PRICE);
    let bought = pay(&stage, &shop, "/exact", "once-more").await;
    assert!(bought.text.as_ref().is_some_and(|text| text.contains(r#""worked":3"#)), "{bought:?}");

    // without the token node 1 does neither, so nobody pays
    let poor = Shop::in_rust(&facilitator, "nothing", owner, stage.token()).await;
    let (seen, _) = unpaid(&mut client(&stage, buyer, &format!("{}/exact", poor.url), "exact", "1")).await;
    assert_eq!(seen["paid"][0]["status"], 502, "{seen}");
    assert_eq!(holds(&stage, owner).await, 4 * PRICE);
    stage.end().await;
}
