//! The owner's agents: created, read, changed, published, suspended, deleted.

use crate::shop::{Rig, TOKEN, problem};
use serde_json::{Value, json};

const DID: &str = "did:key:z6MkexampleNew";

async fn asked(rig: &Rig, method: &str, path: &str, body: &Value) -> reqwest::Response {
    let request = rig.http.request(method.parse().unwrap(), rig.url(path)).bearer_auth(TOKEN);
    request.header("content-type", "application/json").body(body.to_string()).send().await.unwrap()
}

#[tokio::test]
async fn each_of_the_owners_routes_asks_the_node_for_one_thing_and_shows_the_agent() {
    let rig = Rig::start().await;
    let new = json!({"name": "digest", "category": "text", "price": "0.02", "draft": true,
        "executor": {"kind": "builtin", "name": "digest"}});
    let created = asked(&rig, "POST", "/api/v1/agents", &new).await;
    assert_eq!(created.status(), 201);
    let shown: Value = created.json().await.unwrap();
    assert_eq!((&shown["id"], &shown["status"]), (&json!(DID), &json!("draft")));
    assert!(rig.shop.added.lock()[0].draft);
    let fields: Vec<_> = shown.as_object().unwrap().keys().cloned().collect();
    let owners = [
        "availability",
        "capabilities",
        "category",
        "certifications",
        "createdAt",
        "creatorId",
        "description",
        "id",
        "metadata",
        "name",
        "pricing",
        "reputation",
        "stats",
        "status",
        "tags",
        "updatedAt",
        "visibility",
    ];
    let mut sorted = fields;
    sorted.sort();
    assert_eq!(sorted, owners, "every field of the owner's, and of the profile's");
    let all: Value = rig.get("/api/v1/agents").await.json().await.unwrap();
    assert_eq!(all, json!([shown]));

    for (method, path, body) in [
        ("PUT", "", json!({"price": "0.03"})),
        ("POST", "/publish", Value::Null),
        ("POST", "/suspend", Value::Null),
        ("GET", "", Value::Null),
    ] {
        let answer = asked(&rig, method, &format!("/api/v1/agents/{DID}{path}"), &body).await;
        assert_eq!(answer.status(), 200, "{method} {path}");
        assert_eq!(answer.json::<Value>().await.unwrap()["id"], DID);
    }
    let deleted = asked(&rig, "DELETE", &format!("/api/v1/agents/{DID}"), &Value::Null).await;
    assert_eq!((deleted.status().as_u16(), deleted.text().await.unwrap()), (204, String::new()));
    let change = format!(r#"change {DID} {{"price":"0.03"}}"#);
    let stood = [change, format!("publish {DID}"), format!("suspend {DID}"), format!("delete {DID}")];
    assert_eq!(*rig.shop.stood.lock(), stood);
}

#[tokio::test]
async fn what_cannot_be_changed_is_refused_before_the_node_is_asked() {
    let rig = Rig::start().await;
    let path = format!("/api/v1/agents/{DID}");
    for body in
        [json!({"name": "other"}), json!({"executor": {"kind": "embedded"}}), json!({"price": 1}), json!("0.03")]
    {
        assert_eq!(problem(asked(&rig, "PUT", &path, &body).await).await, (422, "invalid_body".to_owned()), "{body}");
    }
    assert!(rig.shop.stood.lock().is_empty());
    assert_eq!(problem(rig.get("/api/v1/agents/nobody").await).await, (404, "agent_not_found".to_owned()));
    for path in ["/api/v1/agents", path.as_str()] {
        let stranger = rig.http.get(rig.url(path)).send().await.unwrap();
        assert_eq!(problem(stranger).await, (401, "unauthorized".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn the_owners_pricing_models_are_taken_in_both_spellings() {
    let rig = Rig::start().await;
    let executor = json!({"kind": "builtin", "name": "digest"});
    for (word, written) in
        [("per_call", None), ("per-use", None), ("outcome", Some("outcome")), ("outcome-based", Some("outcome"))]
    {
        let new = json!({"name": "a", "category": "c", "price": "1", "pricing": word, "regions": ["eu"], "executor": executor});
        assert_eq!(asked(&rig, "POST", "/api/v1/agents", &new).await.status(), 201, "{word}");
        let register = json!({"name": "a", "category": "c", "api_endpoint": "http://127.0.0.1:9/",
            "pricing": {"model": word, "price_per_call": 1}});
        assert_eq!(asked(&rig, "POST", "/agents/register", &register).await.status(), 200, "{word}");
        for added in rig.shop.added.lock().drain(..) {
            let added = serde_json::to_value(added).unwrap();
            assert_eq!(
                added.get("pricing").and_then(Value::as_str),
                written,
                "one spelling is written, and only if it says something"
            );
        }
    }
    let monthly = json!({"name": "a", "category": "c", "price": "1", "pricing": "subscription", "executor": executor});
    let refused = asked(&rig, "POST", "/api/v1/agents", &monthly).await;
    assert_eq!(problem(refused).await, (422, "invalid_body".to_owned()));
    let register = json!({"name": "a", "category": "c", "api_endpoint": "http://127.0.0.1:9/",
        "pricing": {"model": "subscription", "price_per_call": 1}});
    let refused = asked(&rig, "POST", "/agents/register", &register).await;
    assert_eq!(problem(refused).await, (400, "unsupported_pricing".to_owned()));
}

#[tokio::test]
async fn a_price_is_taken_as_the_owner_writes_it_and_no_promise_that_nobody_keeps() {
    let rig = Rig::start().await;
    let register = |currency: &str, min_calls: u64| {
        json!({"name": "a", "category": "c", "api_endpoint": "http://127.0.0.1:9/", "pricing": {
            "model": "per_call", "price_per_call": 0.02, "currency": currency, "tier": "basic", "min_calls": min_calls}})
    };
    for currency in ["USD", "USDC"] {
        assert_eq!(asked(&rig, "POST", "/agents/register", &register(currency, 1)).await.status(), 200);
    }
    for (currency, min_calls) in [("KRW", 1), ("USD", 5), ("USD", 0)] {
        let refused = asked(&rig, "POST", "/agents/register", &register(currency, min_calls)).await;
        assert_eq!(problem(refused).await, (400, "unsupported_pricing".to_owned()), "{currency} {min_calls}");
    }
    assert_eq!(rig.shop.added.lock().len(), 2);
}
