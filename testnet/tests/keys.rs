//! A key that was bought for one agent: it pays within its allowance, over restarts, and opens no other door.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use haggle::view::{KeyList, KeyView};
use haggle_base::Usdc;
use haggle_testnet::{DOCUMENT, Stage};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");
/// Longer than a trade takes on any machine.
const PATIENT: u64 = 120_000;

/// Posts to `url` with a bought key; gives status and body.
async fn post(url: &str, api_key: &str, callers: Option<&str>, body: &Value) -> (u16, Value) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = http.post(url).bearer_auth(api_key).header("content-type", "application/json");
    if let Some(key) = callers {
        request = request.header("idempotency-key", key);
    }
    let response = request.body(body.to_string()).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

async fn keys(stage: &Stage) -> Vec<KeyView> {
    stage.node(2).client().unwrap().get::<KeyList>("/v1/keys").await.unwrap().items
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_spends_its_allowance_on_one_agent_and_nothing_else() {
    let mut stage = Stage::of(PROGRAM, 2).await;
    let seller = stage.serve(1, "digest", 1).await;
    let echo = stage.serve(1, "echo", 2).await;
    let (buyer, had) = stage.buyer(2).await;
    let owner = stage.node(2).client().unwrap().clone();

    let ask = json!({"buyer_id": buyer, "agent_id": seller.did, "plan": "per_call", "allowance": "0.05"});
    let bought: Value = owner.post("/purchase", &ask).await.unwrap();
    assert_eq!(bought.as_object().unwrap().len(), 3, "{bought}");
    assert_eq!(bought["price_per_call"].to_string(), "0.02");
    let api_key = bought["api_key"].as_str().unwrap().to_owned();
    let call = format!("{}/invoke", bought["endpoint"].as_str().unwrap());
    let body = json!({"input": {"text": DOCUMENT}, "timeout_ms": PATIENT});

    let first = post(&call, &api_key, Some("mine"), &body).await;
    assert_eq!((first.0, &first.1["output"]["words"]), (200, &json!(15)), "{}", first.1);
    assert_eq!(post(&call, &api_key, Some("mine"), &body).await, first, "the same call is not paid again");
    let order = first.1["order"].as_str().unwrap().to_owned();
    stage.until_state(2, &order, "settled").await;

    // the second call fits, the third does not, whoever is restarted in between
    assert_eq!(post(&call, &api_key, None, &body).await.0, 200);
    stage.market.node_mut(2).kill().await;
    stage.market.node_mut(2).restart(&[]).await.unwrap();
    stage.node(2).until_sees(2).await.unwrap();
    let base = stage.node(2).client().unwrap().base().to_owned();
    let call = format!("{base}/agents/{}/invoke", seller.did);
    let (status, refused) = post(&call, &api_key, None, &body).await;
    assert_eq!((status, refused["code"].as_str()), (402, Some("key_allowance")), "{refused}");

    // other agents and other routes are closed to it
    for path in [format!("/agents/{}/invoke", echo.did), "/v1/invoke".to_owned(), "/v1/orders".to_owned()] {
        let (status, refused) = post(&format!("{base}{path}"), &api_key, None, &body).await;
        assert_eq!((status, refused["code"].as_str()), (403, Some("key_scope")), "{path}: {refused}");
    }

    // the owner sees what it came to, and the wallet agrees
    for order in stage.node(2).client().unwrap().get::<Value>("/v1/orders").await.unwrap()["items"].as_array().unwrap()
    {
        stage.until_state(2, order["key"].as_str().unwrap(), "settled").await;
    }
    let known = keys(&stage).await;
    assert_eq!((known[0].calls, known[0].spent, known[0].held), (2, Usdc::from_units(41_000), Usdc::ZERO), "{known:?}");
    assert_eq!(had.checked_sub(stage.buyer(2).await.1).unwrap(), Usdc::from_units(41_000));
    assert!(!api_key.is_empty() && !json!(known).to_string().contains(&api_key), "the key is shown once");

    let ended: KeyView =
        stage.node(2).client().unwrap().delete_for(&format!("/v1/keys/{}", known[0].id)).await.unwrap();
    assert!(ended.revoked_at.is_some());
    let (status, refused) = post(&call, &api_key, None, &body).await;
    assert_eq!((status, refused["code"].as_str()), (401, Some("key_revoked")), "{refused}");
    stage.end().await;
}
