//! Payments come many times at once, and many payments come: the work is done once for each, and the chain is asked little.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use futures::future::join_all;
use haggle::cli::CliError;
use haggle::view::{AgentSummary, ChannelPage, CloseRequest, ClosingView, PayView};
use haggle_base::{Address, B256, Clock as _, PaymentKey, SystemClock, Usdc};
use haggle_devchain::DevAccount;
use haggle_testnet::{DOCUMENT, Stage};
use haggle_x402::exact::{self, ExactAuthorization};
use haggle_x402::{ExactFacts, PaymentRequired, Scheme, header};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");
/// What the built-in digest costs.
const PRICE: Usdc = Usdc::from_units(20_000);
/// How often the same payment or key comes at once.
const DELIVERIES: usize = 200;

/// A seller at node 1, and a buyer at node 2.
struct Trade {
    stage: Stage,
    seller: AgentSummary,
    url: String,
}

impl Trade {
    async fn begin() -> Self {
        let (stage, seller, url) = Stage::with_shop(PROGRAM).await;
        Self { stage, seller, url }
    }

    async fn buys(&self, key: &str, rail: &str) -> Result<PayView, CliError> {
        self.stage.buy_digest(2, &self.url, rail, key).await
    }

    async fn seller_holds(&self) -> Usdc {
        let seller: Address = self.seller.payment_address.parse().expect("the seller has an address");
        self.stage.holds(seller).await
    }

    /// How often the seller worked for a payment.
    fn worked(&self) -> usize {
        self.stage.runs(1, "x402:")
    }

    /// What the chain says to a question.
    async fn chain(&self, method: &str, params: Value) -> Value {
        let ask = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let answer = reqwest::Client::new().post(self.stage.rpc()).json(&ask).send().await.unwrap();
        answer.json::<Value>().await.unwrap()["result"].clone()
    }

    async fn height(&self) -> u64 {
        let height = self.chain("eth_blockNumber", json!([])).await;
        u64::from_str_radix(height.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
    }

    /// Transactions in the blocks after this one.
    async fn transactions_after(&self, block: u64) -> usize {
        let mut count = 0;
        for number in block + 1..=self.height().await {
            let mined = self.chain("eth_getBlockByNumber", json!([format!("{number:#x}"), false])).await;
            count += mined["transactions"].as_array().unwrap().len();
        }
        count
    }
}

/// All of them got the same answer, and were told the same about its payment.
fn all_the_same(answers: &[PayView]) {
    let first = &answers[0];
    assert_eq!((first.status, first.cost), (200, PRICE), "{first:?}");
    for answer in answers {
        assert_eq!((answer.status, &answer.text, answer.cost), (first.status, &first.text, PRICE));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_payment_that_comes_two_hundred_times_at_once_is_worked_for_and_settled_once() {
    let trade = Trade::begin().await;
    let account = DevAccount::numbered(5);
    let payer = PaymentKey::from_bytes(&account.key().0).unwrap();
    trade.stage.mint(payer.address(), Usdc::from_units(1_000_000)).await;
    let (http, body) = (reqwest::Client::new(), json!({"text": DOCUMENT}).to_string());
    let call = |payment: Option<String>| {
        let request = http.post(&trade.url).header("content-type", "application/json").body(body.clone());
        match payment {
            Some(payment) => request.header("PAYMENT-SIGNATURE", payment),
            None => request,
        }
    };
    let offer: PaymentRequired = call(None).send().await.unwrap().json().await.unwrap();
    let facts = ExactFacts::of(trade.stage.market.network());
    let entry = offer.accepts.iter().find(|entry| entry.scheme == Scheme::Exact).unwrap();
    let transfer = ExactAuthorization::paying(entry, payer.address(), SystemClock.now(), B256::repeat_byte(9)).unwrap();
    let signature = payer.sign_digest(&transfer.digest(&facts).unwrap());
    let extensions = offer.rest.get("extensions");
    let payload = exact::payload(entry.clone(), &offer.resource, transfer, &signature, extensions).unwrap();
    let payment = header::encode(&payload).unwrap();

    let deliveries = (0..DELIVERIES).map(|_| async {
        let answer = call(Some(payment.clone())).send().await.unwrap();
        let told = answer.headers()["payment-response"].to_str().unwrap().to_owned();
        (answer.status().as_u16(), told, answer.text().await.unwrap())
    });
    let answers = join_all(deliveries).await;
    assert_eq!(answers[0].0, 200, "{:?}", answers[0]);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "every delivery gets the same answer");
    assert_eq!((trade.worked(), trade.seller_holds().await), (1, PRICE));
    trade.stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_that_comes_two_hundred_times_at_once_pays_once_on_either_rail() {
    let trade = Trade::begin().await;
    for (rail, runs) in [("exact", 1), ("channel", 2)] {
        let deliveries = (0..DELIVERIES).map(|_| trade.buys(rail, rail));
        let answers: Vec<PayView> = join_all(deliveries).await.into_iter().map(|answer| answer.unwrap()).collect();
        all_the_same(&answers);
        assert_eq!(trade.worked(), runs, "{rail}: the work is done once");
    }
    assert_eq!(trade.seller_holds().await, PRICE, "one transfer");
    for (node, side) in [(1, "sells"), (2, "buys")] {
        let page: ChannelPage = trade.stage.node(node).client().unwrap().get("/v1/channels").await.unwrap();
        let charged: Vec<_> = page.items.iter().map(|channel| (channel.side.as_str(), channel.charged)).collect();
        assert_eq!(charged, [(side, PRICE)], "one channel, charged once");
    }
    trade.stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_calls_by_voucher_cost_at_most_four_transactions_and_the_seller_has_every_unit() {
    let trade = Trade::begin().await;
    let before = trade.height().await;
    for call in 0..100 {
        let bought = trade.buys(&format!("call-{call}"), "channel").await.unwrap();
        assert_eq!((bought.status, bought.cost), (200, PRICE), "{bought:?}");
    }
    let page: ChannelPage = trade.stage.node(2).client().unwrap().get("/v1/channels").await.unwrap();
    assert_eq!(page.items.len(), 1, "{page:?}");
    let request = CloseRequest { at: Some(trade.url.clone()), force: false };
    let path = format!("/v1/channels/{}/close", page.items[0].id);
    let closed: ClosingView = trade.stage.node(2).client().unwrap().post(&path, &request).await.unwrap();
    assert_eq!((closed.channel.state.as_str(), closed.channel.charged), ("closed", "2.00".parse().unwrap()));
    assert_eq!(trade.seller_holds().await, "2.00".parse().unwrap());
    let sent = trade.transactions_after(before).await;
    assert!(sent <= 4, "{sent} transactions: deposits, a claim, a refund");
    trade.stage.end().await;
}
