//! One call and its answer: the owner's route pays for it, words find whom to call, a slow agent costs nothing, and a
//! repeated call is not paid again.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use haggle::view::OrderView;
use haggle_base::Usdc;
use haggle_testnet::{DOCUMENT, Stage};
use serde_json::{Value, json};
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");
/// Longer than a trade takes on any machine; how long one took is nothing this story says anything about.
const PATIENT: u64 = 120_000;

/// Posts to node `number`, with a key if there is one; gives status and body.
async fn post(stage: &Stage, number: usize, path: &str, key: Option<&str>, body: &Value) -> (u16, Value) {
    let gateway = stage.node(number).client().unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = http.post(format!("{}{path}", gateway.base())).bearer_auth(gateway.token());
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    let request = request.header("content-type", "application/json").body(body.to_string());
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    if let (Some(key), 200) = (key, status) {
        assert_eq!(response.headers()["idempotency-key"], key);
    }
    (status, response.json().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_answered_with_output_cost_and_metrics_and_paid_once() {
    let stage = Stage::of(PROGRAM, 3).await;
    let seller = stage.serve(1, "digest", 1).await;
    let slow = stage.serve(2, "slow", 2).await;
    let echo = stage.serve(2, "echo", 3).await;
    let (_, had) = stage.buyer(3).await;

    // the owner's call, by DID
    let body = json!({"input": {"text": DOCUMENT}, "timeout_ms": PATIENT});
    let path = format!("/agents/{}/invoke", seller.did);
    let (status, answer) = post(&stage, 3, &path, Some("call-1"), &body).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["output"]["words"], 15, "{answer}");
    assert_eq!(answer["cost"].to_string(), "0.02");
    assert_eq!(answer["fee"].to_string(), "0.0005");
    assert_eq!(answer["metrics"]["seller_id"], seller.did);
    assert!(answer["metrics"]["response_time_ms"].is_u64());
    assert_eq!(answer["order"], "call-1");
    stage.until_state(3, "call-1", "settled").await;
    assert_eq!(stage.balance(1, &seller.did).await, Usdc::from_units(20_000));
    let paid = stage.buyer(3).await.1;
    assert_eq!(had.checked_sub(paid).unwrap(), Usdc::from_units(20_500));

    // the same key: the same answer, nothing paid again; with another input: refused
    let again = post(&stage, 3, &path, Some("call-1"), &body).await;
    assert_eq!(again, (200, answer.clone()));
    let other = json!({"input": {"text": "something else"}, "timeout_ms": PATIENT});
    let (status, refusal) = post(&stage, 3, &path, Some("call-1"), &other).await;
    assert_eq!((status, &refusal["code"]), (422, &json!("idempotency_conflict")));
    assert_eq!(stage.buyer(3).await.1, paid);
    let order: OrderView = stage.node(3).order("call-1").await.unwrap();
    assert_eq!(stage.runs(1, order.id.as_deref().unwrap()), 1);

    // words find whom to call; a ceiling below price and fee finds nobody, and by name it is not signed
    let mut wanted = json!({"capability": "word count", "input": {"text": DOCUMENT}, "timeout_ms": PATIENT});
    let (status, answer) = post(&stage, 3, "/v1/invoke", Some("call-2"), &wanted).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["metrics"]["seller_id"], seller.did);
    let order: OrderView = stage.node(3).order("call-2").await.unwrap();
    assert_eq!(order.reason.as_deref(), answer["reason"].as_str());
    assert!(order.reason.unwrap().starts_with("best of 1 for \"word count\" by trust, cost and speed: digest"));
    stage.until_state(3, "call-2", "settled").await;
    wanted["max_cost"] = json!("0.020499");
    let (status, refusal) = post(&stage, 3, "/agents/invoke", None, &wanted).await;
    assert_eq!((status, &refusal["code"]), (404, &json!("no_agent_fits")), "{refusal}");
    let dear = json!({"input": {"text": DOCUMENT}, "max_cost": "0.020499"});
    let (status, refusal) = post(&stage, 3, &path, None, &dear).await;
    assert_eq!((status, &refusal["code"]), (400, &json!("above_max_price")), "{refusal}");

    // a free agent of another node, and one's own: no order, no cost
    let hello = json!({"input": {"say": "hello"}, "timeout_ms": PATIENT});
    let free = format!("/agents/{}/invoke", echo.did);
    for (number, path) in [(3, free.as_str()), (2, "/agents/echo/invoke")] {
        let (status, answer) = post(&stage, number, path, None, &hello).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["output"], json!({"say": "hello"}));
        assert_eq!((answer["cost"].to_string(), answer.get("order")), ("0".to_owned(), None));
    }
    let own = json!({"input": {"text": "to be"}, "timeout_ms": PATIENT});
    let (status, answer) = post(&stage, 1, "/agents/digest/invoke", None, &own).await;
    assert_eq!((status, answer["cost"].to_string()), (200, "0".to_owned()), "{answer}");

    // an agent that takes two seconds, and a caller that does not wait that long
    let before = stage.buyer(3).await.1;
    let hurry = json!({"input": {"say": "hello"}, "timeout_ms": 500});
    let path = format!("/agents/{}/invoke", slow.did);
    let (status, late) = post(&stage, 3, &path, Some("call-3"), &hurry).await;
    assert_eq!((status, &late["code"], &late["order"]), (504, &json!("timeout"), &json!("call-3")), "{late}");
    assert!(late["hint"].as_str().unwrap().starts_with("GET /v1/orders/call-3"));
    // a payment that was signed and not used ends when the time to fund it is over
    stage.forward(Duration::from_secs(250));
    let order = stage.until(3, "call-3", OrderView::is_final).await;
    assert!(["cancelled", "refunded", "expired"].contains(&order.state.as_str()), "{order:?}");
    assert_eq!(stage.buyer(3).await.1, before, "{order:?}");
    assert_eq!(stage.balance(2, &slow.did).await, Usdc::ZERO);
    let (status, late) = post(&stage, 3, &path, Some("call-3"), &hurry).await;
    assert!((400..600).contains(&status), "{late}");
    stage.end().await;
}
