//! What was bought leaves a receipt that anybody can check with no node and no network, and that cannot be edited.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use haggle::receipt;
use haggle::view::{PayRequest, PayView};
use haggle_base::{Address, Coded, Timestamp};
use haggle_testnet::Stage;
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");

/// The time of a block, as the chain itself says it.
async fn block_time(stage: &Stage, block: u64) -> String {
    let ask =
        json!({"jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": [format!("{block:#x}"), false]});
    let answer: Value = reqwest::Client::new().post(stage.rpc()).json(&ask).send().await.unwrap().json().await.unwrap();
    let time = answer["result"]["timestamp"].as_str().unwrap().trim_start_matches("0x");
    Timestamp::from_secs(u64::from_str_radix(time, 16).unwrap()).to_rfc3339()
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_of_an_order_can_show_what_it_came_to() {
    let stage = Stage::of(PROGRAM, 2).await;
    let seller = stage.serve(1, "digest", 1).await;
    stage.node(2).until_sees(1).await.unwrap();
    let listing = stage.listing(2, "digest").await;
    let hired = stage.hire(2, &listing, "with-receipt").await;
    let order = stage.until_state(2, &hired.key, "settled").await;
    let id = order.id.clone().unwrap();
    stage.until_state(1, &id, "settled").await;

    let bought = stage.get(2, "/v1/orders/with-receipt/receipt").await;
    let sold = stage.get(1, &format!("/v1/orders/{id}/receipt")).await;
    for (file, side) in [(&bought, "buyer"), (&sold, "seller")] {
        let checked = receipt::verify(&file.to_string()).unwrap();
        assert_eq!(checked.kind, receipt::ORDER);
        assert_eq!((&checked.facts["order"], &checked.facts["seller"]), (&json!(id), &json!(seller.did)));
        assert_eq!(checked.facts["price"], "0.02");
        assert_eq!(checked.facts["total"], "0.0205");
        assert_eq!(checked.facts["tx"], json!(order.settle_tx));
        let block = checked.facts["block"].as_u64().unwrap();
        assert_eq!(checked.facts["settled_at"], block_time(&stage, block).await, "the block's own time");
        let settlement = checked.signed.iter().find(|one| one.what == "settlement").unwrap();
        assert_eq!(settlement.role, side, "who exports it answers for what the chain said");
    }

    let mut edited = sold.clone();
    edited["paid"] = json!("2");
    assert_eq!(receipt::verify(&edited.to_string()).unwrap_err().code(), "receipt_edited");
    let mut mixed = sold;
    mixed["proof"]["delivery"] = bought["proof"]["settlement"].clone();
    assert_eq!(receipt::verify(&mixed.to_string()).unwrap_err().code(), "receipt_forged");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_to_a_stranger_has_the_strangers_receipt() {
    let stage = Stage::of(PROGRAM, 2).await;
    let seller = stage.serve(1, "digest", 1).await;
    let buyer = stage.node(2).client().unwrap();
    let shop = stage.node(1).client().unwrap();
    let request = PayRequest {
        url: format!("{}/x402/digest", shop.base()),
        body: Some(json!({"text": "The market opens at nine."}).to_string()),
        rail: Some("exact".to_owned()),
        ..PayRequest::default()
    };
    let paid: PayView = buyer.post_once("/v1/pay", "with-receipt", &request).await.unwrap();
    assert_eq!(paid.status, 200, "{paid:?}");

    let file = stage.get(2, "/v1/payments/with-receipt/receipt").await;
    let checked = receipt::verify(&file.to_string()).unwrap();
    assert_eq!(checked.kind, receipt::PAYMENT);
    let paid_to: Address = checked.facts["pay_to"].as_str().unwrap().parse().unwrap();
    assert_eq!(paid_to.to_string(), seller.payment_address);
    assert_eq!(checked.facts["amount"], "0.02");
    assert_eq!(checked.facts["resource"], json!(request.url));
    assert_eq!(checked.facts["transaction"], json!(paid.payment.unwrap().tx));
    let mut edited = file;
    edited["proof"]["authorization"]["value"] = json!("2000000");
    assert_eq!(receipt::verify(&edited.to_string()).unwrap_err().code(), "receipt_forged");
    stage.end().await;
}
