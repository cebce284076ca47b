//! Agents with a price are called over A2A and paid inside the task: over libp2p, on both rails, however often the payment
//! comes.

use haggle::cli::CliError;
use haggle::view::{ChannelPage, ChannelReceiptRequest, PayRequest, PayView};
use haggle_base::eip712::channel::{channel_domain, voucher_digest};
use haggle_base::{B256, Clock as _, PaymentKey, Seed, SystemClock, Usdc};
use haggle_devchain::DevAccount;
use haggle_testnet::{DOCUMENT, Stage};
use haggle_x402::exact::{self, ExactAuthorization};
use haggle_x402::{
    BatchPayload, ChannelProof, ExactFacts, PaymentPayload, PaymentRequired, PaymentRequirements, Scheme,
    SignedVoucher, a2a,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");
/// What the built-in digest costs.
const PRICE: Usdc = Usdc::from_units(20_000);

/// A caller at node 2's gateway, which reaches the agent at node 1 over libp2p and keeps nothing of its payments.
struct Caller {
    http: reqwest::Client,
    url: String,
    token: String,
    extensions: Option<&'static str>,
}

impl Caller {
    async fn send(&self, message: Value) -> Value {
        let params = json!({"message": message, "configuration": {"historyLength": 0}});
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": params});
        let mut request = self.http.post(&self.url).bearer_auth(&self.token).header("A2A-Version", "1.0");
        request = match self.extensions {
            Some(uri) => request.header("X-A2A-Extensions", uri),
            None => request,
        };
        let answer = request.json(&body).send().await.expect("the gateway answers");
        answer.json().await.expect("the answer is JSON")
    }

    async fn task(&self, message: Value) -> Value {
        let answer = self.send(message).await;
        assert!(answer.get("error").is_none(), "{answer}");
        answer["result"]["task"].clone()
    }
}

/// A question, as a first message.
fn question(id: &str) -> Value {
    json!({"messageId": id, "role": "ROLE_USER", "parts": [{"data": {"text": DOCUMENT}}]})
}

/// The same question with a payment.
fn paid_question(id: &str, payload: &PaymentPayload) -> Value {
    let mut message = question(id);
    message["metadata"] = Value::Object(a2a::submitted(payload));
    message
}

/// A payment as the answer to a task that waits.
fn reply(task: &Value, payload: &PaymentPayload) -> Value {
    let mut message = json!({"messageId": "pay", "role": "ROLE_USER", "parts": [{"text": "here"}]});
    message["taskId"] = task["id"].clone();
    message["metadata"] = Value::Object(a2a::submitted(payload));
    message
}

fn said(task: &Value) -> &Value {
    &task["status"]["message"]
}

fn offer(task: &Value) -> PaymentRequired {
    assert_eq!(task["status"]["state"], "TASK_STATE_INPUT_REQUIRED", "{task}");
    assert_eq!(a2a::Status::of(said(task)), Some(a2a::Status::Required));
    a2a::offer_in(said(task)).expect("the offer can be read")
}

/// A payment of `exact` for an offer, by a key that belongs to no node.
fn signed(stage: &Stage, payer: &PaymentKey, offer: &PaymentRequired, nonce: u8) -> PaymentPayload {
    let facts = ExactFacts::of(stage.market.network());
    let is_exact = |entry: &&PaymentRequirements| entry.scheme == Scheme::Exact;
    let entry = offer.accepts.iter().find(is_exact).expect("exact is offered");
    let now = SystemClock.now();
    let authorization = ExactAuthorization::paying(entry, payer.address(), now, B256::repeat_byte(nonce));
    let authorization = authorization.expect("it can be paid");
    let signature = payer.sign_digest(&authorization.digest(&facts).expect("it can be signed"));
    let extensions = offer.rest.get("extensions");
    exact::payload(entry.clone(), &offer.resource, authorization, &signature, extensions).expect("it can be sent")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_paid_once_however_often_the_payment_comes() {
    let stage = Stage::of(PROGRAM, 2).await;
    let agent = stage.serve(1, "digest", 1).await;
    let seller = agent.payment_address.parse().expect("the seller has an address");
    let account = DevAccount::numbered(5);
    let payer = PaymentKey::from_bytes(&account.key().0).expect("the account has a key");
    stage.mint(payer.address(), Usdc::from_units(1_000_000)).await;
    let node = stage.node(2).client().expect("the node is up");
    let url = format!("{}/a2a/{}", node.base(), agent.did);
    let (http, token) = (reqwest::Client::new(), node.token().to_owned());
    let caller = |extensions| Caller { http: http.clone(), url: url.clone(), token: token.clone(), extensions };

    let card: Value =
        http.get(format!("{url}/.well-known/agent-card.json")).send().await.unwrap().json().await.unwrap();
    let listed = card["capabilities"]["extensions"].to_string();
    assert!(a2a::URIS.iter().all(|uri| listed.contains(uri)), "{listed}");

    let refused = caller(None).send(question("q-0")).await;
    assert_eq!(refused["error"]["code"], -32008, "{refused}");
    assert!(refused["error"]["message"].as_str().is_some_and(|text| text.contains(a2a::URI)), "{refused}");

    // both versions of the extension, and a whole order of events: offer, payment, answer
    for (uri, nonce) in a2a::URIS.into_iter().zip(1..) {
        let caller = caller(Some(uri));
        let before = stage.holds(seller).await;
        let waits = caller.task(question("q-1")).await;
        let asked = offer(&waits);
        assert_eq!(
            asked.accepts.iter().map(|entry| entry.scheme.as_str()).collect::<Vec<_>>(),
            ["exact", "batch-settlement"]
        );
        let payload = signed(&stage, &payer, &asked, nonce);
        let deliveries = (0..50).map(|_| caller.task(reply(&waits, &payload)));
        let answers = futures::future::join_all(deliveries).await;
        let paid = &answers[0];
        assert_eq!(paid["status"]["state"], "TASK_STATE_COMPLETED", "{paid}");
        assert_eq!(a2a::Status::of(said(paid)), Some(a2a::Status::Completed));
        assert!(paid["artifacts"][0]["parts"][0]["data"]["words"].is_number(), "{paid}");
        let receipts = a2a::receipts_in(said(paid));
        assert!(receipts.len() == 1 && receipts[0].success, "{paid}");
        assert!(answers.iter().all(|answer| answer == paid), "every delivery gets the same task");
        assert_eq!(stage.holds(seller).await, before.checked_add(PRICE).unwrap(), "one settlement");

        // the same payment with the question itself, and for another question
        assert_eq!(caller.task(paid_question("q-2", &payload)).await, *paid);
        let mut other = paid_question("q-3", &payload);
        other["parts"] = json!([{"data": {"text": "another"}}]);
        let failed = caller.task(other).await;
        assert_eq!(failed["status"]["state"], "TASK_STATE_FAILED", "{failed}");
        assert_eq!(a2a::error_in(said(&failed)), Some("DUPLICATE_NONCE"));
        assert_eq!(stage.holds(seller).await, before.checked_add(PRICE).unwrap());
    }

    // with the first message: one round trip
    let caller = caller(Some(a2a::URI));
    let asked = offer(&caller.task(question("q-4")).await);
    let payload = signed(&stage, &payer, &asked, 9);
    let paid = caller.task(paid_question("q-5", &payload)).await;
    assert_eq!(paid["status"]["state"], "TASK_STATE_COMPLETED", "{paid}");

    // what is not good ends the task, and so does a caller who does not want
    let waits = caller.task(question("q-6")).await;
    let mut forged = signed(&stage, &payer, &offer(&waits), 10);
    forged.payload["authorization"]["nonce"] = json!(B256::repeat_byte(11).to_string());
    let failed = caller.task(reply(&waits, &forged)).await;
    assert_eq!((&failed["status"]["state"], &failed["id"]), (&json!("TASK_STATE_FAILED"), &waits["id"]), "{failed}");
    assert_eq!(a2a::Status::of(said(&failed)), Some(a2a::Status::Failed));
    assert_eq!(a2a::error_in(said(&failed)), Some("INVALID_SIGNATURE"));
    let waits = caller.task(question("q-7")).await;
    let mut rejects = reply(&waits, &forged);
    rejects["metadata"] = json!({ a2a::STATUS: "payment-rejected" });
    assert_eq!(caller.task(rejects).await["status"]["state"], "TASK_STATE_CANCELED");
    assert_eq!(stage.holds(seller).await, Usdc::from_units(3 * PRICE.units()), "three payments, three answers");
    stage.end().await;
}

fn want(agent: &str, rail: &str) -> PayRequest {
    PayRequest {
        url: agent.to_owned(),
        message: Some(json!({"text": DOCUMENT})),
        rail: Some(rail.to_owned()),
        ..PayRequest::default()
    }
}

async fn pay(stage: &Stage, key: &str, request: &PayRequest) -> Result<PayView, CliError> {
    stage.node(2).client().expect("the node is up").post_once("/v1/pay", key, request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_pays_a_stranger_inside_the_task_on_both_rails() {
    let stage = Stage::of(PROGRAM, 2).await;
    let agent = stage.serve(1, "digest", 1).await;
    let seller = agent.payment_address.parse().expect("the seller has an address");
    let start = stage.buyer(2).await.1;

    // a dry run says how it would be paid and why, and pays nothing
    let dry = PayRequest { rail: None, dry_run: true, ..want(&agent.did, "exact") };
    let quoted = pay(&stage, "dry-1", &dry).await.expect("the agent says what it costs");
    assert_eq!((quoted.status, quoted.cost, quoted.rail.as_deref()), (402, Usdc::ZERO, Some("exact")), "{quoted:?}");
    assert!(quoted.why.as_deref().is_some_and(|why| why.starts_with("0.02 USDC")), "{quoted:?}");
    assert_eq!((stage.buyer(2).await.1, stage.holds(seller).await), (start, Usdc::ZERO));
    let order = pay(&stage, "order", &want(&agent.did, "escrow")).await;
    assert_eq!(order.expect_err("a call is no order").code, "escrow_is_for_orders");

    let exact = pay(&stage, "exact-1", &want(&agent.did, "exact")).await.expect("the agent sells");
    assert_eq!((exact.status, exact.cost), (200, PRICE), "{exact:?}");
    assert!(exact.text.as_deref().is_some_and(|text| text.contains("\"words\"")), "{exact:?}");
    assert_eq!(exact.payment.as_ref().map(|payment| payment.state.as_str()), Some("paid"), "{exact:?}");
    assert_eq!(pay(&stage, "exact-1", &want(&agent.did, "exact")).await.expect("the answer is kept"), exact);
    assert_eq!(stage.holds(seller).await, PRICE);
    let other = PayRequest { message: Some(json!("something else")), ..want(&agent.did, "exact") };
    assert_eq!(pay(&stage, "exact-1", &other).await.expect_err("the key is taken").code, "idempotency_conflict");
    let dear = PayRequest { max_price: Some(Usdc::from_units(19_999)), ..want(&agent.did, "exact") };
    assert_eq!(pay(&stage, "dear", &dear).await.expect_err("it is too dear").code, "above_max_price");

    // one deposit, then a voucher with each first message
    let mut left = None;
    for number in 0..5 {
        let key = format!("voucher-{number}");
        let bought = pay(&stage, &key, &want(&agent.did, "channel")).await.expect("the agent takes vouchers");
        assert_eq!((bought.status, bought.cost, &bought.text), (200, PRICE, &exact.text));
        let again = pay(&stage, &key, &want(&agent.did, "channel")).await.expect("the answer is kept");
        assert_eq!((again.cost, again.text), (bought.cost, bought.text));
        let holds = stage.buyer(2).await.1;
        assert!(holds < start && *left.get_or_insert(holds) == holds, "money moves only into the channel");
    }
    assert_eq!(stage.holds(seller).await, PRICE, "vouchers move nothing before they are claimed");
    let quoted = pay(&stage, "dry-2", &dry).await.expect("the agent says what it costs");
    assert!(quoted.why.as_deref().is_some_and(|why| why.contains("a channel with this seller is open")), "{quoted:?}");
    let free_choice = PayRequest { rail: None, ..want(&agent.did, "exact") };
    let chosen = pay(&stage, "chosen", &free_choice).await.expect("the agent takes vouchers");
    assert_eq!((chosen.cost, chosen.rail.as_deref()), (PRICE, Some("channel")), "the open channel is used: {chosen:?}");
    // the same agent as a stranger's A2A server over HTTP
    let gateway = stage.node(1).client().expect("the node is up");
    let url = format!("{}/a2a/{}", gateway.base(), agent.did);
    let headers = BTreeMap::from([("authorization".to_owned(), format!("Bearer {}", gateway.token()))]);
    for (key, rail) in [("http-exact", "exact"), ("http-channel", "channel")] {
        let bought = pay(&stage, key, &PayRequest { headers: headers.clone(), ..want(&url, rail) }).await;
        let bought = bought.expect("the agent sells over HTTP");
        assert_eq!((bought.status, bought.cost, &bought.text), (200, PRICE, &exact.text));
    }
    assert_eq!(stage.holds(seller).await, Usdc::from_units(2 * PRICE.units()));
    let own = pay(&stage, "own", &want(&stage.buyer(2).await.0, "exact")).await;
    assert!(own.is_err(), "nobody pays oneself");
    stage.end().await;
}

/// The wish for a receipt of node 2's only channel, with a voucher over `sum`, signed with that node's own key.
async fn wish(stage: &Stage, agent: &str, asked: &PaymentRequired, sum: u64) -> PaymentPayload {
    let client = stage.node(2).client().expect("the node is up");
    let page: ChannelPage = client.get("/v1/channels").await.expect("the node answers");
    let id = &page.items[0].id;
    let request = ChannelReceiptRequest { at: Some(agent.to_owned()) };
    let file: Value = client.post(&format!("/v1/channels/{id}/receipt"), &request).await.expect("the agent signs");
    let proof: ChannelProof = serde_json::from_value(file["proof"].clone()).expect("a proof");
    let key = Seed::devnet(7, 2).payment_key(0);
    assert_eq!(key.address(), proof.channel.payer);
    let channel_id = id.parse().expect("an id");
    let domain = channel_domain(proof.chain_id, proof.contract);
    let signature = key.sign_digest(&voucher_digest(&channel_id, sum.into(), &domain));
    let voucher = SignedVoucher { channel_id, max_claimable: Usdc::from_units(sum), signature };
    let is_channel = |entry: &&PaymentRequirements| entry.scheme == Scheme::BatchSettlement;
    let entry = asked.accepts.iter().find(is_channel).expect("vouchers are taken");
    let channel = proof.channel.config().expect("terms");
    BatchPayload::Receipt { channel, voucher }.into_payment(entry.clone(), Some(asked))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_takes_nobodys_work_away_and_brings_no_input_past_the_schema() {
    let stage = Stage::of(PROGRAM, 2).await;
    let agent = stage.serve(1, "digest", 1).await;
    pay(&stage, "channel", &want(&agent.did, "channel")).await.expect("the agent takes vouchers");
    let account = DevAccount::numbered(5);
    let payer = PaymentKey::from_bytes(&account.key().0).expect("the account has a key");
    stage.mint(payer.address(), Usdc::from_units(1_000_000)).await;
    let node = stage.node(2).client().expect("the node is up");
    let (url, token) = (format!("{}/a2a/{}", node.base(), agent.did), node.token().to_owned());
    let caller = Caller { http: reqwest::Client::new(), url, token, extensions: Some(a2a::URI) };

    // a task that waits to be paid goes on waiting
    let waits = caller.task(question("w-1")).await;
    let asked = offer(&waits);
    let good = wish(&stage, &agent.did, &asked, PRICE.units()).await;
    let refused = caller.send(reply(&waits, &good)).await;
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
    let mut payment = reply(&waits, &signed(&stage, &payer, &asked, 21));
    payment["messageId"] = json!("pay-2");
    let paid = caller.task(payment).await;
    assert_eq!(paid["status"]["state"], "TASK_STATE_COMPLETED", "{paid}");
    assert!(paid["artifacts"][0]["parts"][0]["data"]["words"].is_number(), "{paid}");

    // in a task of its own it is answered, whatever its parts say
    let misfit = |id: &str, payload: &PaymentPayload| {
        let mut message = paid_question(id, payload);
        message["parts"] = json!([{"data": {"nothing": 1}}]);
        message
    };
    let told = caller.task(misfit("w-2", &good)).await;
    assert_eq!(told["status"]["state"], "TASK_STATE_COMPLETED", "{told}");
    assert!(a2a::receipts_in(said(&told))[0].rest["extra"]["channelReceipt"]["signature"].is_string(), "{told}");

    // and a task that began with a wish is not worked for with parts that do not fit
    let corrected = caller.task(misfit("w-3", &wish(&stage, &agent.did, &asked, 1).await)).await;
    let again = offer(&corrected);
    let refused = caller.send(reply(&corrected, &signed(&stage, &payer, &again, 22))).await;
    assert_eq!(refused["error"]["code"], -32602, "{refused}");
    assert!(refused.to_string().contains("input schema"), "{refused}");
    assert_eq!(stage.holds(agent.payment_address.parse().expect("an address")).await, PRICE, "one payment by transfer");
    stage.end().await;
}
