//! Wallets, transactions, the escrow and disputes, as the owner's first documents write them.

use crate::shop::{Rig, problem};
use haggle_gateway::view::TypedWish;
use serde_json::{Value, json};

#[tokio::test]
async fn a_wallet_has_every_field_of_the_owners_and_amounts_digit_by_digit() {
    let rig = Rig::start().await;
    let text = rig.get("/api/v1/wallets/did:key:z6MkexampleBuyer").await.text().await.unwrap();
    assert!(text.contains(r#""balance":12.345678"#), "{text}");
    let wallet: Value = serde_json::from_str(&text).unwrap();
    let fields = [
        "id",
        "agentId",
        "balance",
        "currency",
        "budgetLimit",
        "spendingLimit",
        "fundingSources",
        "autoReload",
        "status",
        "createdAt",
    ];
    let mut known: Vec<_> = wallet.as_object().unwrap().keys().map(String::as_str).collect();
    let mut fields = fields.to_vec();
    known.sort_unstable();
    fields.sort_unstable();
    assert_eq!(known, fields);
    assert_eq!(wallet["spendingLimit"], json!({"daily": 2, "perTransaction": 0.25}));
    assert_eq!(wallet["fundingSources"][0]["type"], "crypto_wallet");
    let all: Value = rig.get("/api/v1/wallets").await.json().await.unwrap();
    assert_eq!(all, json!([wallet]));
    let missing = rig.get("/api/v1/wallets/did:key:z6MkexampleNobody").await;
    assert_eq!(problem(missing).await, (404, "agent_not_found".to_owned()));
}

#[tokio::test]
async fn a_wallet_is_made_with_limits_and_filled_by_the_faucet_alone() {
    let rig = Rig::start().await;
    let body = r#"{"agentId":"did:key:z6MkexampleBuyer","config":{"spendingLimit":{"daily":1.5}}}"#;
    assert_eq!(rig.post("/api/v1/wallets", body).await.status(), 200);
    assert_eq!(*rig.shop.limited.lock(), [(None, Some("1.5".parse().unwrap()))]);
    let unknown = r#"{"agentId":"did:key:z6MkexampleBuyer","config":{"autoReload":{"enabled":true}}}"#;
    assert_eq!(rig.post("/api/v1/wallets", unknown).await.status(), 422);
    let path = "/api/v1/wallets/did:key:z6MkexampleBuyer/fund";
    let row: Value = rig.post(path, r#"{"amount":100}"#).await.json().await.unwrap();
    assert_eq!(
        (&row["type"], &row["balanceChange"], &row["status"]),
        (&json!("h2a"), &json!(100), &json!("completed"))
    );
    assert_eq!(row["recipientId"], "did:key:z6MkexampleBuyer");
    let card = rig.post(path, r#"{"amount":100,"source":"credit_card"}"#).await;
    assert_eq!(problem(card).await, (400, "unsupported_source".to_owned()));
}

#[tokio::test]
async fn transactions_are_asked_for_by_type_status_and_date() {
    let rig = Rig::start().await;
    let path = "/api/v1/wallets/me/transactions?type=a2a&status=pending&from=2026-11-21T00:00:00Z&limit=5&before=9";
    let rows: Value = rig.get(path).await.json().await.unwrap();
    assert_eq!(
        (&rows[0]["type"], &rows[0]["balanceChange"], &rows[0]["amount"]),
        (&json!("a2a"), &json!(-0.0205), &json!(0.0205))
    );
    assert_eq!((&rows[0]["initiatorId"], &rows[0]["status"]), (&json!("me"), &json!("pending")));
    let asked = rig.shop.listed_money.lock().clone();
    assert_eq!(asked[0].kind.as_deref(), Some("a2a"));
    assert_eq!(
        (asked[0].limit, asked[0].before, asked[0].from.as_deref()),
        (Some(5), Some(9), Some("2026-11-21T00:00:00Z"))
    );
}

#[tokio::test]
async fn the_escrow_answers_as_the_owner_wrote_it_down() {
    let rig = Rig::start().await;
    let known: Value = rig.get("/api/v1/escrow/o-1").await.json().await.unwrap();
    for field in ["order_id", "status", "buyer", "seller", "amount", "created_at", "expires_at", "tx"] {
        assert!(known[field].is_string(), "{field}: {known}");
    }
    assert_eq!(known["amount"], "0.0205");
    let missing = rig.get("/api/v1/escrow/o-2").await;
    assert_eq!(missing.status(), 404);
    assert_eq!(missing.text().await.unwrap(), r#"{"detail":"Order not found"}"#);
}

#[tokio::test]
async fn a_dispute_is_a_dispute_request_without_its_envelope() {
    let rig = Rig::start().await;
    let body = r#"{"order_id":"o-1","reason":"half of it is missing","evidence":{"lines":3}}"#;
    assert_eq!(rig.post("/api/v1/disputes/create", body).await.status(), 200);
    let told = rig.shop.typed.lock().pop().unwrap();
    let TypedWish::Dispute { order, reason, evidence } = told.wish else { panic!("{told:?}") };
    assert_eq!((order.as_str(), reason.as_str(), evidence), ("o-1", "half of it is missing", json!({"lines": 3})));
    assert_eq!(problem(rig.post("/api/v1/disputes/create", "{}").await).await, (422, "invalid_body".to_owned()));
}
