//! The messages as JSON: what is read back, and what is refused.

use haggle_base::{Coded, Hash, OrderId};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Bytes, EXTENSION_URI, Payload, TradeMessage, TradeReply};
use crate::{config::MAX_PAYLOAD_BYTES, error::Refusal, order::OrderState};

fn order() -> OrderId {
    OrderId::new([7; 32].into())
}

#[test]
fn a_counter_looks_like_this() {
    let message = TradeMessage::Counter { request: Hash::of(b"r"), round: 2, bid: "4.5".parse().unwrap() };
    let a2a = message.to_a2a("m-1");
    assert_eq!(
        a2a,
        json!({
            "messageId": "m-1",
            "role": "ROLE_USER",
            "extensions": [EXTENSION_URI],
            "parts": [{ "data": { "type": "counter", "request": Hash::of(b"r").to_string(), "round": 2, "bid": "4.5" } }],
        })
    );
    assert_eq!(TradeMessage::from_a2a(&a2a).unwrap(), Some(message));
}

#[test]
fn a_refusal_looks_like_this() {
    let reply = TradeReply::Reject { code: Refusal::TermsMismatch, field: Some("price".try_into().unwrap()) };
    let a2a = reply.to_a2a("r-1");
    assert_eq!(a2a["parts"][0]["data"], json!({ "type": "reject", "code": "terms_mismatch", "field": "price" }));
    assert_eq!(TradeReply::from_a2a(&a2a).unwrap(), Some(reply));
}

#[test]
fn a_refusal_with_a_newer_word_is_still_a_refusal() {
    let mut a2a = TradeReply::Reject { code: Refusal::TryAgain, field: None }.to_a2a("r");
    a2a["parts"][0]["data"]["code"] = json!("a_word_of_next_year");
    assert_eq!(TradeReply::from_a2a(&a2a).unwrap(), Some(TradeReply::Reject { code: Refusal::Other, field: None }));
}

#[test]
fn an_ordinary_message_is_not_ours() {
    let plain = json!({ "messageId": "m", "role": "ROLE_USER", "parts": [{ "text": "hi" }] });
    assert_eq!(TradeMessage::from_a2a(&plain).unwrap(), None);
    assert_eq!(TradeMessage::from_a2a(&Value::Null).unwrap(), None);
}

#[test]
fn malformed_messages_of_ours_are_refused() {
    let with = |data: Value| json!({ "messageId": "m", "extensions": [EXTENSION_URI], "parts": [{ "data": data }] });
    for data in [
        json!({}),
        json!({ "type": "no_such_thing" }),
        json!({ "type": "collect" }),
        json!({ "type": "collect", "order": "0x12" }),
        json!({ "type": "collect", "order": order(), "more": 1 }),
        json!({ "type": "counter", "request": Hash::of(b"r"), "round": 2, "bid": "4.1234567" }),
        json!({ "type": "counter", "request": Hash::of(b"r"), "round": 2, "bid": "-1" }),
        json!({ "type": "input", "order": order(), "input": "not base64!" }),
    ] {
        let error = TradeMessage::from_a2a(&with(data.clone())).unwrap_err();
        assert_eq!(error.code(), "bad_document", "{data}");
    }
    let two = json!({ "extensions": [EXTENSION_URI], "parts": [{ "data": {} }, { "data": {} }] });
    assert!(TradeMessage::from_a2a(&two).is_err());
}

#[test]
fn oversize_payloads_are_refused_while_reading() {
    let fits: Payload = vec![1; MAX_PAYLOAD_BYTES].try_into().unwrap();
    let text = serde_json::to_string(&fits).unwrap();
    assert_eq!(serde_json::from_str::<Payload>(&text).unwrap(), fits);
    assert!(Payload::try_from(vec![1; MAX_PAYLOAD_BYTES + 1]).is_err());
    let longer = format!("\"{}\"", "A".repeat(MAX_PAYLOAD_BYTES * 4 / 3 + 8));
    assert!(serde_json::from_str::<Payload>(&longer).is_err());
    assert!(serde_json::from_str::<Bytes<3>>("\"AAAAAA\"").is_err());
}

#[test]
fn a_whole_input_message_fits_an_a2a_frame() {
    let input: Payload = vec![0xFF; MAX_PAYLOAD_BYTES].try_into().unwrap();
    let text = serde_json::to_string(&TradeMessage::Input { order: order(), input }.to_a2a("m")).unwrap();
    assert!(text.len() < 1024 * 1024 - 4096);
}

proptest! {
    #[test]
    fn statuses_and_payloads_come_back_as_sent(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let message = TradeMessage::Input { order: order(), input: bytes.try_into().unwrap() };
        prop_assert_eq!(TradeMessage::from_a2a(&message.to_a2a("m")).unwrap(), Some(message));
        let reply = TradeReply::Status { order: order(), state: OrderState::Funded };
        prop_assert_eq!(TradeReply::from_a2a(&reply.to_a2a("r")).unwrap(), Some(reply));
    }

    /// Whatever the JSON says, reading it ends in an answer.
    #[test]
    fn any_data_part_is_read_or_refused(text in "\\PC{0,200}", kind in "[a-z_]{0,20}") {
        let data = json!({ "type": kind, "order": text, "request": text, "document": text });
        let message = json!({ "extensions": [EXTENSION_URI], "parts": [{ "data": data }] });
        prop_assert!(TradeMessage::from_a2a(&message).is_err());
        prop_assert!(TradeReply::from_a2a(&message).is_err());
    }
}
