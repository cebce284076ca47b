//! Two agents talk that are never there at the same time: a third node keeps their letters, and cannot read them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use haggle_testnet::{DOCUMENT, Stage};
use serde_json::{Value, json};
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");
/// Generous: real processes beside other work.
const PATIENCE: Duration = Duration::from_secs(120);
const KEEPER: usize = 1;
const SELLER: usize = 2;
const BUYER: usize = 3;
/// A node that keeps no letters of others, so that the third one has them all.
const KEEPS_NONE: [(&str, &str); 1] = [("HAGGLE_MARKET__MAILBOX", "false")];

async fn post(stage: &Stage, number: usize, path: &str, body: &Value) -> (u16, Value) {
    let gateway = stage.node(number).client().unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = http.post(format!("{}{path}", gateway.base())).bearer_auth(gateway.token());
    let request = request.header("content-type", "application/json").body(body.to_string());
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// Looks at what a node says at a path until it is as wanted.
async fn until(stage: &Stage, number: usize, path: &str, what: &str, look: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    let looking = async {
        loop {
            last = stage.get(number, path).await;
            if look(&last) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, looking).await;
    assert!(found.is_ok(), "{what}: {last:#}");
    last
}

/// Waits until the pointers of all agents of a node name the keeper.
async fn until_kept_for(stage: &Stage, number: usize, agents: u64) {
    let keeper = stage.get(KEEPER, "/v1/node").await["peer_id"].clone();
    let names_it = |node: &Value| {
        let keepers = node["mail"]["keepers"].as_array().unwrap();
        keepers.iter().any(|held| held["peer"] == keeper && held["agents"].as_u64() >= Some(agents))
    };
    until(stage, number, "/v1/node", "the pointers name the keeper", names_it).await;
}

fn wanted(id: &str, to: &str, budget: &str) -> Value {
    json!({"messageId": id, "to": to, "type": "request", "payload": {
        "capability": "word count", "input": {"text": DOCUMENT}, "budget": budget, "expectedOutcome": "counted",
    }})
}

async fn messages(stage: &Stage, number: usize, kind: &str) -> Vec<Value> {
    stage.get(number, &format!("/api/v1/a2a/messages?type={kind}")).await.as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_and_its_answer_pass_between_two_that_never_meet() {
    let mut stage = Stage::new(PROGRAM).await;
    stage.market.add_nodes(1).await.unwrap();
    stage.market.add_node_with(&KEEPS_NONE).await.unwrap();
    stage.market.add_node_with(&KEEPS_NONE).await.unwrap();
    let seller = stage.serve(SELLER, "digest", 1).await;
    until_kept_for(&stage, SELLER, 2).await;
    until_kept_for(&stage, BUYER, 1).await;
    let keeper = stage.get(KEEPER, "/v1/node").await["peer_id"].clone();

    // the seller is away: the request stays with the keeper, and the buyer is told so
    stage.market.node_mut(SELLER).stop().await;
    let request = wanted("r-1", &seller.did, "0.5");
    let (status, said) = post(&stage, BUYER, "/api/v1/a2a/request", &request).await;
    assert_eq!((status, &said["type"], &said["messageId"]), (202, &json!("request"), &json!("r-1")), "{said:#}");
    assert_eq!((&said["delivery"]["path"], &said["delivery"]["state"]), (&json!("mailbox"), &json!("kept")));
    assert_eq!(said["delivery"]["keepers"], json!([keeper]));
    assert!(said["delivery"]["expires"].is_string());
    let again = post(&stage, BUYER, "/api/v1/a2a/request", &request).await;
    assert_eq!(again, (202, said), "the same again is the same");
    let (status, other) = post(&stage, BUYER, "/api/v1/a2a/request", &wanted("r-1", &seller.did, "0.6")).await;
    assert_eq!((status, &other["code"]), (422, &json!("idempotency_conflict")));
    let dear = wanted("r-2", &seller.did, "0.01");
    assert_eq!(post(&stage, BUYER, "/api/v1/a2a/request", &dear).await.0, 202);
    let kept = stage.get(KEEPER, "/v1/node").await["mail"].clone();
    assert_eq!((&kept["letters"], &kept["keeps"]), (&json!(2), &json!(true)), "{kept}");

    // the buyer goes, the keeper dies and comes back, the seller comes back: it has each letter once, and answers
    stage.market.node_mut(BUYER).stop().await;
    stage.market.node_mut(KEEPER).kill().await;
    stage.market.node_mut(KEEPER).restart(&[]).await.unwrap();
    stage.market.node_mut(SELLER).restart(&KEEPS_NONE).await.unwrap();
    let path = "/api/v1/a2a/messages?type=response";
    let answered = |list: &Value| {
        let list = list.as_array().unwrap();
        list.len() == 2 && list.iter().all(|said| said["delivery"]["path"] == "mailbox")
    };
    let answers = until(&stage, SELLER, path, "both answers are left with the keeper", answered).await;
    assert!(answers.as_array().unwrap().iter().all(|said| said["delivery"]["state"] == "kept"), "{answers:#}");
    let taken = messages(&stage, SELLER, "request").await;
    let names: Vec<&str> = taken.iter().map(|said| said["messageId"].as_str().unwrap()).collect();
    assert_eq!(names, ["r-2", "r-1"], "each once, as the buyer signed it");
    assert!(taken.iter().all(|said| said["signedBy"] == said["from"] && said["delivery"].is_null()));

    // the seller goes again, and the buyer has the answers and the receipts
    stage.market.node_mut(SELLER).stop().await;
    stage.market.node_mut(BUYER).restart(&KEEPS_NONE).await.unwrap();
    until(&stage, BUYER, path, "the answers come", |list| list.as_array().unwrap().len() == 2).await;
    let (status, accepted) = post(&stage, BUYER, "/api/v1/a2a/request", &request).await;
    assert_eq!((status, &accepted["payload"]["status"]), (200, &json!("accepted")), "{accepted:#}");
    assert_eq!((&accepted["from"], &accepted["signedBy"]), (&json!(seller.did), &json!(seller.did)));
    assert_eq!(accepted["payload"]["estimatedCost"].to_string(), "0.0205");
    let (_, counter) = post(&stage, BUYER, "/api/v1/a2a/request", &dear).await;
    assert_eq!(counter["payload"]["counterOffer"]["price"].to_string(), "0.0205", "{counter:#}");
    let signed_for = |list: &Value| {
        let list = list.as_array().unwrap();
        list.len() == 2
            && list.iter().all(|said| said["delivery"]["state"] == "delivered" && said["delivery"]["at"].is_string())
    };
    until(&stage, BUYER, "/api/v1/a2a/messages?type=request", "the seller signed for both", signed_for).await;
    assert_eq!(messages(&stage, BUYER, "response").await.len(), 2, "each once");

    // both are there: the offer is taken, and a new request goes the direct way
    stage.market.node_mut(SELLER).restart(&KEEPS_NONE).await.unwrap();
    stage.until_answer(BUYER, &format!("/v1/agents/{}", seller.did), |agent| agent["name"] == "digest").await;
    let delivered = |list: &Value| list.as_array().unwrap().iter().all(|said| said["delivery"]["state"] == "delivered");
    until(&stage, SELLER, path, "the buyer signed for the answers", delivered).await;
    let take = json!({"type": "response", "payload": {"requestId": "r-1", "status": "accepted"}});
    let (status, taken) = post(&stage, BUYER, "/api/v1/a2a/respond", &take).await;
    assert_eq!((status, &taken["status"]), (200, &json!("accepted")), "{taken:#}");
    let key = taken["order"]["key"].as_str().unwrap().to_owned();
    stage.until_state(BUYER, &key, "settled").await;
    let (status, direct) = post(&stage, BUYER, "/api/v1/a2a/request", &wanted("r-3", &seller.did, "0.5")).await;
    assert_eq!((status, &direct["payload"]["status"]), (200, &json!("accepted")), "{direct:#}");
    let mail = stage.get(KEEPER, "/v1/node").await["mail"].clone();
    assert_eq!(mail["letters"], 0, "{mail}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_whose_keeper_is_gone_is_brought_directly_when_its_recipient_is_back() {
    let mut stage = Stage::new(PROGRAM).await;
    stage.market.add_nodes(1).await.unwrap();
    stage.market.add_node_with(&KEEPS_NONE).await.unwrap();
    stage.market.add_node_with(&KEEPS_NONE).await.unwrap();
    let seller = stage.serve(SELLER, "digest", 1).await;
    until_kept_for(&stage, SELLER, 2).await;
    stage.market.node_mut(SELLER).stop().await;
    let (status, said) = post(&stage, BUYER, "/api/v1/a2a/request", &wanted("r-1", &seller.did, "0.5")).await;
    assert_eq!((status, &said["delivery"]["state"]), (202, &json!("kept")), "{said:#}");

    stage.market.node_mut(KEEPER).kill().await;
    stage.market.node_mut(SELLER).restart(&KEEPS_NONE).await.unwrap();
    let brought = |list: &Value| list[0]["delivery"]["state"] == "delivered";
    let path = "/api/v1/a2a/messages?type=request";
    let sent = until(&stage, BUYER, path, "the seller signs for what the buyer brings", brought).await;
    assert_eq!(sent[0]["delivery"]["path"], "direct", "{sent:#}");
    let path = "/api/v1/a2a/messages?type=response";
    let answered = |list: &Value| list.as_array().is_some_and(|list| list.len() == 1);
    let answers = until(&stage, BUYER, path, "the answer is brought the same way", answered).await;
    assert_eq!((&answers[0]["from"], &answers[0]["payload"]["status"]), (&json!(seller.did), &json!("accepted")));
    let brought = until(&stage, SELLER, path, "the buyer signs for it", brought).await;
    assert_eq!(brought[0]["delivery"]["path"], "direct", "{brought:#}");

    stage.market.node_mut(KEEPER).restart(&[]).await.unwrap();
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_keeps_is_refused_and_nothing_of_it_stays() {
    let mut stage = Stage::new(PROGRAM).await;
    for _ in 0..2 {
        stage.market.add_node_with(&KEEPS_NONE).await.unwrap();
    }
    let seller = stage.serve(2, "digest", 1).await;
    stage.market.node_mut(2).stop().await;
    let (status, refused) = post(&stage, 1, "/api/v1/a2a/request", &wanted("r-1", &seller.did, "0.5")).await;
    assert_eq!((status, &refused["code"]), (503, &json!("no_mailbox")), "{refused:#}");
    assert_eq!(refused["retryable"], true);
    assert!(messages(&stage, 1, "request").await.is_empty(), "nothing is kept of it");
    stage.end().await;
}
