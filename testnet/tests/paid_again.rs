//! A seller that leaves the market, or raises its price, after it was paid: the same payment again brings the answer that was
//! paid for, and no money moves twice. Who prepaid it by channel gets back what is left.

use haggle::view::{ChannelPage, ChannelReceiptRequest, CloseRequest, ClosingView};
use haggle_base::eip712::channel::{channel_domain, voucher_digest};
use haggle_base::{Address, B256, Clock as _, PaymentKey, Seed, SystemClock, Usdc};
use haggle_devchain::DevAccount;
use haggle_testnet::{DOCUMENT, Stage};
use haggle_x402::exact::{self, ExactAuthorization};
use haggle_x402::{
    BatchPayload, ChannelProof, ExactFacts, PaymentPayload, PaymentRequired, PaymentRequirements, Scheme,
    SettleResponse, SignedVoucher, a2a, header,
};
use serde_json::{Value, json};
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");
/// What the built-in digest costs.
const PRICE: Usdc = Usdc::from_units(20_000);

/// How long a node that starts again may take to be met.
const PATIENCE: Duration = Duration::from_secs(30);

/// A buyer that belongs to no node, and a seller at node 1.
struct Trade {
    stage: Stage,
    did: String,
    seller: Address,
    shop: String,
    payer: PaymentKey,
    http: reqwest::Client,
}

/// What a shop answers: status, settlement, body.
type Answer = (u16, Option<SettleResponse>, Vec<u8>);

impl Trade {
    async fn begin() -> Self {
        let (stage, agent, shop) = Stage::with_shop(PROGRAM).await;
        let payer = PaymentKey::from_bytes(&DevAccount::numbered(5).key().0).expect("the account has a key");
        stage.mint(payer.address(), Usdc::from_units(1_000_000)).await;
        let seller = agent.payment_address.parse().expect("the seller has an address");
        Self { stage, did: agent.did, seller, shop, payer, http: reqwest::Client::new() }
    }

    /// Asks the shop, with a payment or without one.
    async fn ask(&self, payment: Option<&PaymentPayload>) -> Answer {
        let mut request = self.http.post(&self.shop).json(&json!({"text": DOCUMENT}));
        if let Some(payment) = payment {
            request = request.header("PAYMENT-SIGNATURE", header::encode(payment).expect("it can be written"));
        }
        let answer = request.send().await.expect("the shop answers");
        let said = answer.headers().get("payment-response").and_then(|text| text.to_str().ok());
        let said = said.and_then(|text| header::decode(text).ok());
        (answer.status().as_u16(), said, answer.bytes().await.expect("a body").to_vec())
    }

    async fn offer(&self) -> PaymentRequired {
        let (status, _, body) = self.ask(None).await;
        assert_eq!(status, 402);
        serde_json::from_slice(&body).expect("an offer")
    }

    /// A payment of `exact` for an offer.
    fn signed(&self, offer: &PaymentRequired, nonce: u8) -> PaymentPayload {
        let facts = ExactFacts::of(self.stage.market.network());
        let is_exact = |entry: &&PaymentRequirements| entry.scheme == Scheme::Exact;
        let entry = offer.accepts.iter().find(is_exact).expect("exact is offered");
        let authorization =
            ExactAuthorization::paying(entry, self.payer.address(), SystemClock.now(), B256::repeat_byte(nonce));
        let authorization = authorization.expect("it can be paid");
        let signature = self.payer.sign_digest(&authorization.digest(&facts).expect("it can be signed"));
        let extensions = offer.rest.get("extensions");
        exact::payload(entry.clone(), &offer.resource, authorization, &signature, extensions).expect("it can be sent")
    }

    /// What the agent's owner does.
    async fn owner(&self, method: &str, path: &str, body: &Value) {
        let gateway = self.stage.node(1).client().expect("the node is up");
        let url = format!("{}/api/v1/agents/digest{path}", gateway.base());
        let request = self.http.request(method.parse().expect("a method"), url).bearer_auth(gateway.token());
        let answer = request.json(body).send().await.expect("the node answers");
        assert!(answer.status().is_success(), "{method} {path}: {}", answer.status());
    }

    /// One operation on the agent over A2A, from node 2.
    async fn call(&self, method: &str, params: Value) -> Value {
        let node = self.stage.node(2).client().expect("the node is up");
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let request = self.http.post(format!("{}/a2a/{}", node.base(), self.did)).bearer_auth(node.token());
        let request = request.header("A2A-Version", "1.0").header("A2A-Extensions", a2a::URI);
        request.json(&body).send().await.expect("the gateway answers").json().await.expect("JSON")
    }

    /// A question to the agent over A2A, with a payment or without one.
    async fn say(&self, id: &str, payment: Option<&PaymentPayload>) -> Value {
        let mut message = json!({"messageId": id, "role": "ROLE_USER", "parts": [{"data": {"text": DOCUMENT}}]});
        if let Some(payment) = payment {
            message["metadata"] = Value::Object(a2a::submitted(payment));
        }
        self.call("SendMessage", json!({"message": message, "configuration": {"historyLength": 0}})).await
    }

    async fn seller_holds(&self) -> Usdc {
        self.stage.holds(self.seller).await
    }

    /// A wish for the receipt of node 2's channel at the shop's URL, with a voucher over `sum`.
    async fn wish(&self, entry: &PaymentRequirements, channel: &(B256, ChannelProof), sum: Usdc) -> Answer {
        let (channel_id, proof) = channel;
        let domain = channel_domain(proof.chain_id, proof.contract);
        let digest = voucher_digest(channel_id, sum.units().into(), &domain);
        let signature = Seed::devnet(7, 2).payment_key(0).sign_digest(&digest);
        let voucher = SignedVoucher { channel_id: *channel_id, max_claimable: sum, signature };
        let wish = BatchPayload::Receipt { channel: proof.channel.config().expect("terms"), voucher };
        self.ask(Some(&wish.into_payment(entry.clone(), None))).await
    }

    /// Node 2's only channel, and its receipt at the agent.
    async fn channel(&self) -> (B256, ChannelProof) {
        let client = self.stage.node(2).client().expect("the node is up");
        let page: ChannelPage = client.get("/v1/channels").await.expect("the node answers");
        let id = &page.items[0].id;
        let request = ChannelReceiptRequest { at: Some(self.did.clone()) };
        let file: Value = client.post(&format!("/v1/channels/{id}/receipt"), &request).await.expect("the agent signs");
        (id.parse().expect("an id"), serde_json::from_value(file["proof"].clone()).expect("a proof"))
    }
}

/// Sums of the digest's price.
fn times(count: u64) -> Usdc {
    Usdc::from_units(count * PRICE.units())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_paid_for_is_answered_whatever_became_of_the_seller() {
    let mut trade = Trade::begin().await;
    let offer = trade.offer().await;
    let payment = trade.signed(&offer, 1);
    let paid = trade.ask(Some(&payment)).await;
    assert!(paid.0 == 200 && paid.1.as_ref().is_some_and(|said| said.success), "{paid:?}");
    let waits = trade.say("q-1", None).await;
    let in_task = trade.signed(&a2a::offer_in(&waits["result"]["task"]["status"]["message"]).expect("an offer"), 2);
    let done = trade.say("q-2", Some(&in_task)).await;
    assert_eq!(done["result"]["task"]["status"]["state"], "TASK_STATE_COMPLETED", "{done}");
    let id = done["result"]["task"]["id"].clone();
    assert_eq!(trade.seller_holds().await, times(2));

    let stays = async |trade: &Trade, nonce: u8, unpaid: (u16, &str), what: &str| {
        assert_eq!(trade.ask(Some(&payment)).await, paid, "{what}");
        assert_eq!(trade.say("q-3", Some(&in_task)).await["result"], done["result"], "{what}");
        let read = trade.call("GetTask", json!({"id": id, "historyLength": 0})).await;
        assert_eq!(read["result"], done["result"]["task"], "{what}: {read}");
        let refused = trade.ask(Some(&trade.signed(&offer, nonce))).await;
        let told = String::from_utf8_lossy(&refused.2);
        assert!(refused.0 == unpaid.0 && told.contains(unpaid.1), "{what}: {refused:?}: {told}");
        let refused = trade.say("q-4", Some(&trade.signed(&offer, nonce + 1))).await;
        assert_ne!(refused["result"]["task"]["status"]["state"], "TASK_STATE_COMPLETED", "{what}: {refused}");
        assert_eq!(
            trade.seller_holds().await,
            times(2),
            "{what}: what is not for sale is not taken, and what was not twice"
        );
    };
    trade.owner("PUT", "", &json!({"price": "0.03"})).await;
    stays(&trade, 11, (402, "30000"), "dearer").await;
    let schema = json!({"type": "object", "required": ["sheet"]});
    trade.owner("PUT", "", &json!({"price": "0.02", "input_schema": schema})).await;
    stays(&trade, 21, (400, "schema_mismatch"), "for other input").await;
    let outcome = json!({"pricing": "outcome-based", "output_schema": {"type": "object"}});
    trade.owner("PUT", "", &outcome).await;
    stays(&trade, 31, (400, "sold_by_outcome"), "for outcomes").await;
    trade.owner("POST", "/suspend", &Value::Null).await;
    stays(&trade, 41, (404, "listing_not_found"), "suspended").await;
    trade.owner("DELETE", "", &Value::Null).await;
    stays(&trade, 51, (404, "listing_not_found"), "deleted").await;
    trade.stage.market.node_mut(1).stop().await;
    trade.stage.market.node_mut(1).restart(&[]).await.expect("it starts again");
    let met = async {
        while trade.call("GetTask", json!({"id": id})).await.get("result").is_none() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, met).await.expect("it is met again");
    assert_eq!(trade.say("q-3", Some(&in_task)).await["result"], done["result"], "after a restart");
    assert_eq!(trade.seller_holds().await, times(2));
    let stranger = trade.call("GetTask", json!({"id": "t-1"})).await;
    assert_eq!(stranger["error"]["data"][0]["reason"], "AGENT_NOT_FOUND", "{stranger}");
    trade.stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_prepaid_a_seller_that_leaves_has_its_word_and_gets_back_the_rest() {
    let trade = Trade::begin().await;
    let had = trade.stage.buyer(2).await.1;
    for key in ["one", "two"] {
        trade.stage.buy_digest(2, &trade.shop, "channel", key).await.expect("the shop takes vouchers");
    }
    let is_channel = |entry: &&PaymentRequirements| entry.scheme == Scheme::BatchSettlement;
    let entry = trade.offer().await.accepts.iter().find(is_channel).expect("vouchers are taken").clone();
    let channel = trade.channel().await;

    let ways = [
        ("PUT", "", json!({"pricing": "outcome-based", "output_schema": {"type": "object"}}), "for outcomes"),
        ("POST", "/suspend", Value::Null, "suspended"),
        ("DELETE", "", Value::Null, "deleted"),
    ];
    for (method, path, body, what) in ways {
        trade.owner(method, path, &body).await;
        let (status, said, _) = trade.wish(&entry, &channel, times(2)).await;
        let said = said.expect("a settlement");
        assert!(status == 200 && said.rest["extra"]["channelReceipt"]["signature"].is_string(), "{what}: {said:?}");
        let (status, _, body) = trade.wish(&entry, &channel, times(1)).await;
        let told: PaymentRequired = serde_json::from_slice(&body).expect("an offer");
        assert_eq!(
            (status, told.accepts.len()),
            (402, 1),
            "{what}: it says where the channel stands, and sells nothing"
        );
        let _signed = trade.channel().await;
    }
    let client = trade.stage.node(2).client().expect("the node is up");
    let request = CloseRequest { at: Some(trade.did.clone()), force: false };
    let path = format!("/v1/channels/{}/close", channel.0);
    let closed: ClosingView = client.post(&path, &request).await.expect("the agent that is gone helps");
    assert_eq!(closed.channel.state, "closed");
    assert_eq!(trade.stage.buyer(2).await.1, had.saturating_sub(times(2)), "only what was charged is gone");
    trade.stage.end().await;
}
