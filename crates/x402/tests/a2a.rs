//! a2a-x402 against its golden vectors: statuses, objects in metadata, names of payments, words of errors.

#![expect(clippy::unwrap_used, reason = "a vector that cannot be read stops the test")]

use haggle_x402::a2a::{self, Status};
use haggle_x402::{PaymentPayload, PaymentRequired, Reason, SettleResponse};
use serde_json::{Value, json};

const VECTORS: &str = include_str!("../../../docs/protocols/vectors/a2a-x402.json");

fn vectors() -> Value {
    serde_json::from_str(VECTORS).unwrap()
}

#[test]
fn both_versions_of_the_extension_are_known() {
    assert_eq!(json!(a2a::URIS), vectors()["extensions"]);
    assert!(a2a::is_named(["urn:other", a2a::URI_0_1]) && a2a::is_named([a2a::URI]));
    assert!(!a2a::is_named(["urn:other", "https://github.com/google-a2a/a2a-x402/v0.3"]));
}

#[test]
fn an_offer_is_read_and_written_without_loss() {
    let vector = &vectors()["required"];
    let message = &vector["message"];
    assert_eq!(Status::of(message).map(Status::word), vector["status"].as_str());
    let offer: PaymentRequired = a2a::offer_in(message).unwrap();
    assert_eq!(offer.accepts[0].amount.as_str(), vector["amount"]);
    assert_eq!(Value::Object(a2a::required(&offer)), message["metadata"]);
}

#[test]
fn a_payment_is_taken_out_of_its_message_and_named_whatever_the_case_of_its_letters() {
    for vector in vectors()["submitted"].as_array().unwrap() {
        let mut message = vector["message"].clone();
        assert_eq!(Status::of(&message), Some(Status::Submitted));
        let payload = a2a::take_payload(&mut message).unwrap();
        assert_eq!(a2a::name_of(&payload), vector["name"]);
        assert_eq!(message["metadata"], vector["left"]);
        assert_eq!(a2a::take_payload(&mut message), None);
        let read: PaymentPayload = serde_json::from_value(payload.clone()).unwrap();
        assert_eq!(a2a::submitted(&read)[a2a::PAYLOAD], payload);
    }
}

#[test]
fn what_is_no_known_payment_is_named_by_its_hash() {
    let odd = [json!(null), json!({}), json!({"payload": {"authorization": {"nonce": "x".repeat(81)}}}), json!([1])];
    let names: std::collections::BTreeSet<_> = odd.iter().map(a2a::name_of).collect();
    assert_eq!(names.len(), odd.len());
    assert!(names.iter().all(|name| name.len() == 64));
}

#[test]
fn the_last_message_tells_every_settlement_and_the_word() {
    let all = vectors();
    let done = &all["completed"];
    let receipts = a2a::receipts_in(&done["message"]);
    assert_eq!(json!(receipts.iter().map(|receipt| receipt.success).collect::<Vec<_>>()), done["receipts"]);
    let history = receipts.iter().fold(Vec::new(), a2a::with_receipt);
    assert_eq!(Value::Object(a2a::completed(history)), done["message"]["metadata"]);
    let failed = &all["failed"];
    assert_eq!(a2a::error_in(&failed["message"]), failed["word"].as_str());
    let receipts = a2a::receipts_in(&failed["message"]);
    let word = failed["word"].as_str().unwrap();
    let written = a2a::failed(word, a2a::with_receipt(Vec::new(), &receipts[0]));
    assert_eq!(Value::Object(written), failed["message"]["metadata"]);
    for message in [&done["message"], &failed["message"]] {
        assert!(Status::of(message).is_some() && a2a::offer_in(message).is_none());
    }
}

#[test]
fn whole_numbers_that_came_as_floating_ones_are_read() {
    let text = vectors()["required"]["message"].to_string().replace(":2}", ":2.0}").replace(":300,", ":300.0,");
    let struck: Value = serde_json::from_str(&text).unwrap();
    assert!(struck["metadata"][a2a::REQUIRED]["x402Version"].is_f64(), "{struck}");
    assert_eq!(a2a::offer_in(&struck), a2a::offer_in(&vectors()["required"]["message"]));
    let mut paid =
        json!({"metadata": {a2a::PAYLOAD: {"x402Version": 2.0, "half": 0.5, "list": [300.0], "text": "2.0"}}});
    let payload = a2a::take_payload(&mut paid).unwrap();
    assert_eq!(payload, json!({"x402Version": 2, "half": 0.5, "list": [300], "text": "2.0"}));
}

#[test]
fn the_history_of_settlements_is_bounded() {
    let settled = |n: usize| -> SettleResponse {
        serde_json::from_value(json!({"success": true, "transaction": n.to_string(), "network": "eip155:1"})).unwrap()
    };
    let history = (0..40).fold(Vec::new(), |history, n| a2a::with_receipt(history, &settled(n)));
    assert_eq!((history.len(), &history[15]["transaction"]), (16, &json!("39")));
}

#[test]
fn refusals_of_both_rails_have_the_words_of_the_extension() {
    let all = vectors();
    for (reason, word) in all["words"].as_object().unwrap() {
        assert_eq!(Reason::of(reason).map(Reason::a2a_word), word.as_str(), "{reason}");
    }
    for (code, word) in all["channel_words"].as_object().unwrap() {
        assert_eq!(Some(a2a::channel_word(code)), word.as_str(), "{code}");
    }
}
