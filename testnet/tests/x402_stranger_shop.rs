//! haggle buys from a stranger: an express shop on the stock x402 packages, which never heard of haggle.

use haggle::cli::CliError;
use haggle::view::{HistoryPage, PayRequest, PayView, PaymentView, TransferRequest};
use haggle_base::Usdc;
use haggle_devchain::DevAccount;
use haggle_testnet::{Ground, Shop, Stage};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");
/// What the shop asks.
const PRICE: Usdc = Usdc::from_units(20_000);

fn want(url: String) -> PayRequest {
    PayRequest { url, ..PayRequest::default() }
}

async fn pay(stage: &Stage, key: &str, request: &PayRequest) -> Result<PayView, CliError> {
    stage.node(1).client().expect("the node is up").post_once("/v1/pay", key, request).await
}

fn said(answer: &PayView) -> Value {
    serde_json::from_str(answer.text.as_deref().expect("the shop answers in text")).expect("the shop answers in JSON")
}

/// Shops once at `path`, and again with the same key, which costs nothing and works nothing.
async fn buys_once(stage: &Stage, shop: &Shop, path: &str) {
    let request = PayRequest { body: Some(json!({"word": path}).to_string()), ..want(format!("{}{path}", shop.url)) };
    let bought = pay(stage, path.trim_start_matches('/'), &request).await.expect("the shop sells");
    assert_eq!((bought.status, bought.cost), (200, PRICE), "{bought:?}");
    assert_eq!(said(&bought), json!({"sold": path, "worked": 1, "asked": {"word": path}}));
    let payment = bought.payment.clone().expect("it was paid for");
    assert_eq!(payment.state, "paid", "{payment:?}");
    assert_eq!(payment.receipt.as_ref().map(|receipt| receipt["success"].clone()), Some(json!(true)), "{payment:?}");

    let again = pay(stage, path.trim_start_matches('/'), &request).await.expect("the answer is kept");
    assert_eq!(again, bought);
    let other = pay(stage, path.trim_start_matches('/'), &want(format!("{}/any", shop.url))).await;
    assert_eq!(other.expect_err("the key is taken").code, "idempotency_conflict");
}

async fn haggle_shops_at_a_strangers(ground: Ground) {
    let stage = Stage::on(PROGRAM, ground, 1).await;
    let (clerk, owner) = (DevAccount::numbered(0), DevAccount::numbered(1).address());
    let shop = Shop::open(clerk, owner, stage.token(), &stage.rpc()).await;
    let wallet = stage.node(1).wallets().await.expect("the node answers").items.remove(0);

    buys_once(&stage, &shop, "/exact").await;
    buys_once(&stage, &shop, "/upfront").await;
    let free = pay(&stage, "free", &want(format!("{}/supported", shop.url))).await.expect("it is free");
    assert_eq!((free.status, free.cost, free.payment.is_none()), (200, Usdc::ZERO, true));

    let dear = PayRequest { max_price: Some(Usdc::from_units(19_999)), ..want(format!("{}/any", shop.url)) };
    assert_eq!(pay(&stage, "dear", &dear).await.expect_err("it is too dear").code, "above_max_price");
    assert_eq!(stage.holds(owner).await, Usdc::from_units(40_000));

    // five calls by voucher on one channel: one deposit, no transaction for each
    for number in 0..5 {
        let request = PayRequest { rail: Some("channel".to_owned()), ..want(format!("{}/channel", shop.url)) };
        let key = format!("voucher-{number}");
        let bought = pay(&stage, &key, &request).await.expect("the shop takes vouchers");
        assert_eq!((bought.status, bought.cost, said(&bought)["worked"].clone()), (200, PRICE, json!(number + 1)));
        let again = pay(&stage, &key, &request).await.expect("the answer is kept");
        assert_eq!((again.cost, said(&again)), (bought.cost, said(&bought)));
    }
    let client = stage.node(1).client().expect("the node is up");
    let fifth: PaymentView = client.get("/v1/payments/voucher-4").await.expect("a voucher is a payment too");
    assert_eq!((fifth.state.as_str(), fifth.amount), ("charged", PRICE));
    assert_eq!((fifth.in_all, fifth.to), (Some(Usdc::from_units(100_000)), owner.to_string()));
    let claimed = reqwest::Client::new().post(format!("{}/claim", shop.url)).send().await.expect("the shop answers");
    assert!(claimed.status().is_success(), "{:?}", claimed.text().await);
    assert_eq!(stage.holds(owner).await, Usdc::from_units(140_000), "two payments and five vouchers");

    let gift = TransferRequest { to: owner.to_string(), amount: PRICE, memo: "for the lamp".to_owned(), from: None };
    for _ in 0..2 {
        let sent: PaymentView = client.post_once("/v1/transfers", "gift", &gift).await.expect("it is sent");
        assert_eq!((sent.state.as_str(), sent.amount), ("paid", PRICE));
    }
    assert_eq!(stage.holds(owner).await, Usdc::from_units(160_000), "the same key sends once");

    let after = stage.node(1).wallets().await.expect("the node answers").items.remove(0);
    assert_eq!((after.balance, after.reserved), (wallet.balance.saturating_sub(Usdc::from_units(560_000)), Usdc::ZERO));
    let history: HistoryPage = client.get("/v1/wallet/history?limit=100").await.expect("the node answers");
    let told: Vec<_> = history.items.iter().filter(|entry| entry.kind == "paid" || entry.kind == "sent").collect();
    assert_eq!(told.len(), 3, "{history:?}");
    assert_eq!(told[0].about.as_deref(), Some("for the lamp"));
    assert!(told[2].about.as_ref().is_some_and(|about| about.ends_with("/exact")));
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the x402 SDK of JavaScript: `cargo xtask test` installs it and runs this"]
async fn haggle_shops_at_a_strangers_on_the_embedded_chain() {
    haggle_shops_at_a_strangers(Ground::Devchain).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the x402 SDK of JavaScript and anvil: `cargo xtask test` installs them and runs this"]
async fn haggle_shops_at_a_strangers_on_anvil() {
    haggle_shops_at_a_strangers(Ground::Anvil).await;
}
