//! The owner's first routes, with their version and without it.

use crate::shop::{Rig, TOKEN, problem};
use haggle_gateway::view::TypedWish;
use serde_json::{Value, json};

const REGISTER: &str = r#"{"name":"A","category":"c","api_endpoint":"http://127.0.0.1:9/","pricing":{"model":"per_call","price_per_call":1}}"#;
const PURCHASE: &str = r#"{"buyer_id":"b","agent_id":"a","plan":"per_call"}"#;
const CALL: &str = r#"{"input":{}}"#;
const BEST: &str = r#"{"capability":"x","input":{}}"#;

/// Every route that has an older path, and what it is asked with.
const ROUTES: [(&str, &str, &str); 6] = [
    ("GET", "/agents/search", ""),
    ("POST", "/agents/register", REGISTER),
    ("POST", "/agents/invoke", BEST),
    ("POST", "/agents/did:key:z6MkexampleSeller/invoke", CALL),
    ("GET", "/agents/did:key:z6MkexampleSeller/prices", ""),
    ("POST", "/purchase", PURCHASE),
];

async fn asked(rig: &Rig, method: &str, path: &str, body: &str) -> reqwest::Response {
    let request = rig.http.request(method.parse().unwrap(), rig.url(path)).bearer_auth(TOKEN);
    let request = request.header("idempotency-key", "k-1").header("content-type", "application/json");
    request.body(body.to_owned()).send().await.unwrap()
}

#[tokio::test]
async fn a_route_without_a_version_answers_the_same_and_names_its_successor() {
    let rig = Rig::start().await;
    for (method, path, body) in ROUTES {
        let old = asked(&rig, method, path, body).await;
        assert_eq!((old.status().as_u16(), old.headers()["deprecation"].to_str().unwrap()), (200, "@1795392000"));
        let link = format!("</api/v1{path}>; rel=\"successor-version\"");
        assert_eq!(old.headers()["link"].to_str().unwrap(), link);
        let new = asked(&rig, method, &format!("/api/v1{path}"), body).await;
        assert_eq!(
            (new.status().as_u16(), new.headers().get("deprecation"), new.headers().get("link")),
            (200, None, None)
        );
        assert_eq!(old.text().await.unwrap(), new.text().await.unwrap(), "{path}");
    }
    let refused = asked(&rig, "POST", "/agents/did:key:z6MkexampleSeller/invoke", "{}").await;
    assert_eq!((refused.status().as_u16(), refused.headers().contains_key("deprecation")), (422, true));
    for current in ["/v1/listings", "/api/v1/services/search", "/v1/agents/did:key:z6MkexampleSeller/prices"] {
        assert_eq!(rig.get(current).await.headers().get("deprecation"), None, "{current}");
    }
}

#[tokio::test]
async fn what_is_no_route_is_told_so_under_a_version_too() {
    let rig = Rig::start().await;
    assert_eq!(problem(rig.get("/api/v1/nowhere").await).await, (404, "route_not_found".to_owned()));
    assert_eq!(problem(rig.post("/api/v1/agents/search", "{}").await).await, (405, "method_not_allowed".to_owned()));
    for path in ["/api/v1/agents/search", "/agents/search"] {
        let stranger = rig.http.get(rig.url(path)).send().await.unwrap();
        assert_eq!(problem(stranger).await, (401, "unauthorized".to_owned()), "{path}");
    }
}

#[tokio::test]
async fn a_service_is_listed_with_the_owners_body_without_its_type() {
    let rig = Rig::start().await;
    let service = json!({"type": "data-processing", "name": "CSV Analyzer", "description": "d", "price": "5.0",
        "metadata": {"builtin": "csv"}});
    let list = async |body: Value| rig.post("/api/v1/services/list", &body.to_string()).await;
    let plain: Value = list(json!({"service": service})).await.json().await.unwrap();
    let typed = json!({"type": "list_service", "message_id": "m-1", "from": "did:provider", "service": service});
    let same: Value = list(typed.clone()).await.json().await.unwrap();
    let said: Value = rig.post("/a2a/message", &typed.to_string()).await.json().await.unwrap();
    assert_eq!((&plain, &same), (&said, &said), "whatever the node answers");
    {
        let typed = rig.shop.typed.lock();
        let TypedWish::ListService(listed) = &typed[0].wish else { panic!("{:?}", typed[0]) };
        assert_eq!((listed.name.as_str(), listed.price.units()), ("csv-analyzer", 5_000_000));
        assert_eq!((typed[0].from.as_deref(), typed[1].from.as_deref()), (None, Some("did:provider")));
        assert_eq!(typed[1].message_id.as_deref(), Some("m-1"));
    }
    let other = list(json!({"type": "purchase_request", "service": service})).await;
    assert_eq!(problem(other).await, (400, "unknown_message_type".to_owned()));
    assert_eq!(problem(list(json!({"from": "did:provider"})).await).await, (422, "invalid_body".to_owned()));
    assert_eq!(rig.shop.typed.lock().len(), 3);
}
