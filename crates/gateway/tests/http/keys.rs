//! Keys that were bought for one agent, at the door.

use crate::shop::{GOOD_KEY, Rig, digest, problem};
use serde_json::{Value, json};

/// Asks with a bought key instead of the operator's token.
async fn asked(rig: &Rig, method: &str, path: &str, key: &str) -> reqwest::Response {
    let request = rig.http.request(method.parse().unwrap(), rig.url(path)).bearer_auth(format!("sk_live_{key}"));
    request.header("content-type", "application/json").body(json!({"input": {}}).to_string()).send().await.unwrap()
}

#[tokio::test]
async fn a_purchase_is_answered_as_the_owner_wrote_it_down() {
    let rig = Rig::start().await;
    let body = r#"{"buyer_id":"agent_def456","agent_id":"agent_abc123","plan":"per_call"}"#;
    let text = rig.post("/purchase", body).await.text().await.unwrap();
    let endpoint = rig.url(&format!("/api/v1/agents/{}", digest().agent));
    let expected = format!(r#"{{"api_key":"sk_live_{GOOD_KEY}","endpoint":"{endpoint}","price_per_call":0.02}}"#);
    assert_eq!(text, expected);
    let bounded = r#"{"buyer_id":"b","agent_id":"a","plan":"per_call","allowance":0.1}"#;
    assert_eq!(rig.post("/purchase", bounded).await.status(), 200);
    let made = rig.shop.keys.lock().clone();
    assert_eq!((made[0].buyer.as_str(), made[0].agent.as_str()), ("agent_def456", "agent_abc123"));
    assert_eq!((made[0].allowance, made[1].allowance), (None, Some("0.1".parse().unwrap())));
    let monthly = rig.post("/purchase", r#"{"buyer_id":"b","agent_id":"a","plan":"monthly"}"#).await;
    assert_eq!(problem(monthly).await, (400, "unsupported_plan".to_owned()));
    let stranger = rig.http.post(rig.url("/purchase")).header("content-type", "application/json").body(body);
    assert_eq!(problem(stranger.send().await.unwrap()).await, (401, "unauthorized".to_owned()));
}

#[tokio::test]
async fn a_key_calls_its_agent_and_nothing_else() {
    let rig = Rig::start().await;
    let own = format!("/agents/{}/invoke", digest().agent);
    let answer = asked(&rig, "POST", &own, GOOD_KEY).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.json::<Value>().await.unwrap()["cost"], json!(0.02));
    let versioned = asked(&rig, "POST", &format!("/api/v1{own}"), GOOD_KEY).await;
    assert_eq!(versioned.json::<Value>().await.unwrap()["cost"], json!(0.02));
    assert_eq!(*rig.shop.keyed.lock(), ["k1", "k1"]);
    let elsewhere = [
        ("POST", "/agents/did:key:z6MkexampleOther/invoke"),
        ("POST", "/agents/invoke"),
        ("POST", "/v1/invoke"),
        ("POST", "/v1/orders"),
        ("POST", "/v1/pay"),
        ("POST", "/purchase"),
        ("GET", "/v1/keys"),
        ("DELETE", "/v1/keys/k1"),
        ("GET", "/v1/wallet"),
        ("GET", "/v1/channels"),
        ("POST", "/v1/channels/0x00/close"),
        ("POST", "/v1/channels/0x00/receipt"),
        ("GET", "/metrics"),
        ("POST", "/settle"),
        ("GET", &own),
        ("GET", "/api/v1/agents/search"),
        ("POST", "/api/v1/agents/invoke"),
        ("POST", "/api/v1/purchase"),
    ];
    for (method, path) in elsewhere {
        let refused = problem(asked(&rig, method, path, GOOD_KEY).await).await;
        assert_eq!(refused, (403, "key_scope".to_owned()), "{method} {path}");
    }
    assert_eq!(rig.shop.invoked.lock().len(), 2, "nothing else reached the node");
}

#[tokio::test]
async fn a_key_that_nobody_made_is_told_nothing() {
    let rig = Rig::start().await;
    let own = format!("/agents/{}/invoke", digest().agent);
    for path in [own.as_str(), "/v1/keys", "/nowhere"] {
        let refused = problem(asked(&rig, "POST", path, "4567").await).await;
        assert_eq!(refused, (401, "unauthorized".to_owned()), "{path}");
    }
    assert_eq!(asked(&rig, "GET", "/livez", "4567").await.status(), 200, "what is open is open");
}
