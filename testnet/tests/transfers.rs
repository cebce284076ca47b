//! A direct transfer and what it is for: both ledgers say the same, whoever was away when, and nobody else's word counts.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use haggle::devnet::network_file;
use haggle::view::{AgentSummary, EntryView, HistoryPage, PaymentView, TransferRequest};
use haggle_a2a::envelope::{Message, MessageType};
use haggle_base::{AgentKey, Clock as _, Did, PaymentBinding, PaymentKey, SystemClock, Timestamp, Usdc};
use haggle_testnet::Stage;
use serde_json::{Value, json};
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");
const PATIENCE: Duration = Duration::from_secs(60);
const EXTENSION: &str = "urn:haggle:a2a:transfer-note:1";
/// Seed of the network that a [`Stage`] plays.
const SEED: u64 = 7;

fn ten(to: &str, memo: &str) -> TransferRequest {
    TransferRequest { to: to.to_owned(), amount: "10".parse().unwrap(), memo: memo.to_owned(), from: None }
}

/// Node 1 sells, node 2 may spend enough for a few transfers. Gives the seller, and the agent of node 2.
async fn market(stage: &Stage) -> (AgentSummary, String) {
    let seller = stage.serve(1, "digest", 1).await;
    stage.node(2).until_sees(1).await.unwrap();
    let (buyer, _) = stage.buyer(2).await;
    let limits = json!({"agentId": buyer, "config": {"spendingLimit": {"daily": 100, "perTransaction": 20}}});
    let _wallet: Value = stage.node(2).client().unwrap().post("/api/v1/wallets", &limits).await.unwrap();
    (seller, buyer)
}

async fn sends(stage: &Stage, key: &str, request: &TransferRequest) -> PaymentView {
    let sent: PaymentView = stage.node(2).client().unwrap().post_once("/v1/transfers", key, request).await.unwrap();
    assert_eq!(sent.state, "paid");
    sent
}

/// The transfers that came in, newest first, as the agent's ledger has them.
async fn received(stage: &Stage, agent: &str) -> Vec<EntryView> {
    let path = format!("/v1/wallet/history?kind=received&limit=100&agent={agent}");
    let page: HistoryPage = stage.node(1).client().unwrap().get(&path).await.unwrap();
    page.items
}

async fn until_received(stage: &Stage, agent: &str, count: usize) -> Vec<EntryView> {
    let waiting = async {
        loop {
            let entries = received(stage, agent).await;
            if entries.len() >= count {
                return entries;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let came = tokio::time::timeout(PATIENCE, waiting).await;
    came.unwrap_or_else(|_| panic!("nothing came\n{}\n{}", stage.node(1).log(), stage.node(2).log()))
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ledgers_say_what_a_transfer_is_for() {
    let mut stage = Stage::of(PROGRAM, 2).await;
    let (seller, buyer) = market(&stage).await;
    let had = stage.balance(1, &seller.did).await;

    let sent = sends(&stage, "first", &ten(&seller.did, "Service payment")).await;
    assert_eq!(sent.about, "Service payment");
    let came = until_received(&stage, &seller.did, 1).await;
    assert_eq!(came[0].about.as_deref(), Some("Service payment"));
    assert_eq!(came[0].from.as_deref(), Some(buyer.as_str()));
    assert_eq!(came[0].moves["available"], 10_000_000);
    let own: HistoryPage = stage.node(2).client().unwrap().get("/v1/wallet/history?kind=sent").await.unwrap();
    assert_eq!(own.items[0].about.as_deref(), Some("Service payment"));
    // the same key again sends nothing and tells nothing new
    sends(&stage, "first", &ten(&seller.did, "Service payment")).await;

    // the receiver is away, then the payer too: told when both are back
    stage.market.node_mut(1).kill().await;
    sends(&stage, "second", &ten(&seller.did, "While you were out")).await;
    stage.market.node_mut(2).kill().await;
    stage.market.node_mut(1).restart(&[]).await.unwrap();
    stage.market.node_mut(2).restart(&[]).await.unwrap();
    let came = until_received(&stage, &seller.did, 2).await;
    let memos: Vec<_> = came.iter().map(|entry| entry.about.as_deref()).collect();
    assert_eq!(memos, [Some("While you were out"), Some("Service payment")]);

    // the receiver's rows add up to what the chain says
    let rows = stage.get(1, &format!("/api/v1/wallets/{}/transactions", seller.did)).await;
    let rows = rows.as_array().unwrap();
    let change: Vec<_> = rows.iter().map(|row| row["balanceChange"].to_string()).collect();
    assert_eq!(change, ["10", "10"], "{rows:?}");
    assert_eq!((&rows[1]["purpose"], &rows[1]["initiatorId"]), (&json!("Service payment"), &json!(buyer)));
    assert_eq!(stage.balance(1, &seller.did).await.checked_sub(had), Some(Usdc::from_units(20_000_000)));
    stage.end().await;
}

/// What a stranger with keys of its own would say.
struct Stranger {
    agent: AgentKey,
    wallet: PaymentKey,
}

impl Stranger {
    /// A note about `sent` with a binding of the stranger's wallet, that claims to pay from `wallet`.
    fn note(&self, stage: &Stage, sent: &PaymentView, from: &str, to: &str) -> Value {
        let file = network_file(stage.market.chain(), SEED).unwrap();
        let now = SystemClock.now();
        let did = self.agent.did();
        let until = now.plus(Duration::from_secs(3600));
        let binding = PaymentBinding::make(&self.wallet, &file.id, &did, file.chain_id, until);
        let ends = Timestamp::from_rfc3339(sent.valid_until.as_ref().unwrap()).unwrap();
        let payload = json!({
            "type": "transfer_sent", "network": format!("eip155:{}", file.chain_id), "token": file.token.address,
            "authorization": {
                "from": from, "to": sent.to, "value": sent.amount.units().to_string(), "validAfter": "0",
                "validBefore": ends.as_secs().to_string(), "nonce": sent.nonce,
            },
            "tx": sent.tx, "memo": "it was me", "binding": binding,
        });
        let kind = MessageType::Notification;
        let message = Message::new("n-1", did, Some(to), kind, now, &payload.to_string()).unwrap();
        let signed = message.sign(&self.agent).unwrap();
        json!({"document": URL_SAFE_NO_PAD.encode(signed.document())})
    }
}

/// What node 1 answers to a note for its agent.
async fn answer(stage: &Stage, agent: &str, note: &Value) -> Value {
    let gateway = stage.node(1).client().unwrap();
    let message = json!({
        "messageId": "n-1", "role": "ROLE_USER", "extensions": [EXTENSION], "parts": [{"data": note}],
    });
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}});
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = http.post(format!("{}/a2a/{agent}", gateway.base())).bearer_auth(gateway.token());
    let request = request.header("a2a-version", "1.0");
    let answer: Value = request.json(&call).send().await.unwrap().json().await.unwrap();
    answer.pointer("/result/message/parts/0/data").unwrap_or_else(|| panic!("{answer}")).clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_about_somebody_elses_transfer_is_not_believed() {
    let stage = Stage::of(PROGRAM, 2).await;
    let (seller, _) = market(&stage).await;
    // to the address: nobody is told
    let sent = sends(&stage, "silent", &ten(&seller.payment_address, "between us")).await;
    let payer = stage.node(2).wallets().await.unwrap().items.remove(0).address;

    let stranger =
        Stranger { agent: AgentKey::from_bytes(&[9; 32]), wallet: PaymentKey::from_bytes(&[9; 32]).unwrap() };
    let own = stranger.wallet.address().to_string();
    // the payer's wallet is not the stranger's
    let theirs = answer(&stage, &seller.did, &stranger.note(&stage, &sent, &payer, &seller.did)).await;
    assert_eq!(theirs, json!({"type": "reject", "code": "binding_invalid", "retryable": false}));
    // the stranger's wallet made no such transfer: it is waited for, and never comes
    let waits = answer(&stage, &seller.did, &stranger.note(&stage, &sent, &own, &seller.did)).await;
    assert_eq!(waits, json!({"type": "taken", "booked": false}));
    // a note for another agent, and no note at all
    let other: Did = stranger.agent.did();
    let misled = answer(&stage, &seller.did, &stranger.note(&stage, &sent, &own, &other.to_string())).await;
    assert_eq!(misled["code"], "wrong_receiver");
    assert_eq!(answer(&stage, &seller.did, &json!({"document": "AAAA"})).await["type"], "reject");

    // a transfer that is told of comes after all of that, and is the only row
    sends(&stage, "told", &ten(&seller.did, "told")).await;
    let came = until_received(&stage, &seller.did, 1).await;
    assert_eq!((came.len(), came[0].about.as_deref()), (1, Some("told")));
    stage.end().await;
}
