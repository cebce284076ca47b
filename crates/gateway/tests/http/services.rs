//! The owner's search for services.

use crate::shop::{Rig, problem};
use haggle_gateway::view::ListingQuery;
use serde_json::{Value, json};

#[tokio::test]
async fn services_are_searched_by_the_owners_parameters() {
    let rig = Rig::start().await;
    let path = "/api/v1/services/search?service_type=data-processing&min_price=0.01&max_price=5.0&min_reputation=-3";
    let found: Value = rig.get(path).await.json().await.unwrap();
    let service = json!({
        "id": "ab".repeat(32),
        "name": "digest",
        "description": "Reads a document.",
        "service_type": "text",
        "price": "0.02",
        "provider_did": "did:key:z6MkexampleSeller",
        "provider_reputation": "0.969",
        "provider_net": 1,
        "expires_at": "2026-11-27T12:00:00.000Z",
    });
    assert_eq!(found, json!({"results": [service], "count": 1}));
    let sought = ListingQuery {
        category: Some("data-processing".to_owned()),
        min_price: Some("0.01".parse().unwrap()),
        max_price: Some("5".parse().unwrap()),
        min_reputation: Some(-3),
        limit: Some(100),
        ..ListingQuery::default()
    };
    assert_eq!(rig.shop.sought.lock()[..], [sought]);
}

#[tokio::test]
async fn nought_is_a_price_and_a_reputation_and_nothing_is_no_filter() {
    let rig = Rig::start().await;
    for path in ["?min_price=0&max_price=0.0&min_reputation=0", ""] {
        assert_eq!(rig.get(&format!("/api/v1/services/search{path}")).await.status(), 200, "{path}");
    }
    let all = ListingQuery { limit: Some(100), ..ListingQuery::default() };
    let nought = Some("0".parse().unwrap());
    let free = ListingQuery { min_price: nought, max_price: nought, min_reputation: Some(0), ..all.clone() };
    assert_eq!(rig.shop.sought.lock()[..], [free, all]);
}

#[tokio::test]
async fn only_the_owners_service_types_are_known_and_custom_ones() {
    let rig = Rig::start().await;
    let types = ["data-processing", "computation", "storage", "analysis", "custom", "custom:translation/ko"];
    for service_type in types {
        let found = rig.get(&format!("/api/v1/services/search?service_type={service_type}")).await;
        assert_eq!(found.status(), 200, "{service_type}");
    }
    let long = format!("custom:{}", "x".repeat(58));
    for service_type in ["", "text", "Storage", "custom:", "custom:Translation", "custom:a%20b", "storage:cold", &long]
    {
        let refused = rig.get(&format!("/api/v1/services/search?service_type={service_type}")).await;
        assert_eq!(problem(refused).await, (400, "unknown_service_type".to_owned()), "{service_type}");
    }
    for query in ["min_price=-1", "max_price=0.0000001", "max_price=", "min_reputation=0.5", "min_reputation=high"] {
        let refused = rig.get(&format!("/api/v1/services/search?{query}")).await;
        assert_eq!(problem(refused).await, (400, "invalid_query".to_owned()), "{query}");
    }
    assert_eq!(rig.shop.sought.lock().len(), types.len());
    let stranger = rig.http.get(rig.url("/api/v1/services/search")).send().await.unwrap();
    assert_eq!(problem(stranger).await, (401, "unauthorized".to_owned()));
}
