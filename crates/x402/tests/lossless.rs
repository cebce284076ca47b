//! x402 objects come out as they went in, and what cannot be one is refused.

use haggle_base::{Coded, Usdc};
use haggle_x402::{
    ChainRef, PaymentFlow, PaymentPayload, PaymentRequired, PaymentRequirements, Scheme, SettleResponse, header,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// A 402 answer as a released SDK sends it, with a field that nobody here knows at every level.
fn offer() -> Value {
    json!({
        "x402Version": 2, "error": "Payment required", "later": {"a": [1, 2.5, null]},
        "resource": {"url": "http://127.0.0.1:14021/usdc", "description": "d", "tags": ["t"], "iconUrl": null},
        "accepts": [
            {"scheme": "exact", "network": "eip155:31337", "amount": "1000",
             "asset": "0xcf7Ed3AccA5a467e9e704C703E8D87F634fB0Fc9",
             "payTo": "0x90F79bf6EB2c4f870365E785982E1f101E93b906", "maxTimeoutSeconds": 300,
             "extra": {"name": "USD Coin", "version": "2", "new": true}, "score": -1},
            {"scheme": "tomorrow", "network": "solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp", "amount": "0",
             "asset": "x", "payTo": "y", "maxTimeoutSeconds": 0},
        ],
        "extensions": {"bazaar": {"info": {}, "schema": {}}},
    })
}

#[test]
fn an_offer_with_unknown_fields_survives_a_round_trip() {
    let read: PaymentRequired = serde_json::from_value(offer()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), offer());
    let text: PaymentRequired = serde_json::from_str(&offer().to_string()).unwrap();
    assert_eq!(text, read);
}

#[test]
fn an_unknown_scheme_and_another_chain_are_kept_and_recognised_as_such() {
    let read: PaymentRequired = serde_json::from_value(offer()).unwrap();
    assert_eq!(read.accepts[0].scheme, Scheme::Exact);
    assert_eq!(read.accepts[0].flow(), PaymentFlow::Authorization);
    assert_eq!(read.accepts[0].amount.to_usdc(), Some(Usdc::from_units(1000)));
    assert_eq!(read.accepts[1].scheme, Scheme::Other("tomorrow".into()));
    assert_eq!(read.accepts[1].network.evm_chain_id(), None);
}

#[test]
fn a_payload_echoes_the_chosen_entry_as_it_was_offered() {
    let read: PaymentRequired = serde_json::from_value(offer()).unwrap();
    let payload = json!({"x402Version": 2, "resource": {"url": "u"}, "accepted": offer()["accepts"][0],
        "payload": {"signature": "0x00", "authorization": {"nonce": "0x01"}}, "extensions": {"e": {"info": 1}}});
    let sent: PaymentPayload = serde_json::from_value(payload.clone()).unwrap();
    assert_eq!(sent.accepted, read.accepts[0]);
    assert_eq!(serde_json::to_value(&sent).unwrap(), payload);
}

#[test]
fn a_settlement_keeps_what_it_does_not_know() {
    let answer = json!({"success": false, "transaction": "", "network": "eip155:1", "errorReason": "settlement_pending",
        "status": {"phase": "pending"}});
    let read: SettleResponse = serde_json::from_value(answer.clone()).unwrap();
    assert!(!read.success);
    assert_eq!(serde_json::to_value(&read).unwrap(), answer);
}

#[test]
fn only_version_two_is_spoken() {
    for version in [json!(1), json!(3), json!("2"), json!(2.0), json!(-2), Value::Null] {
        let mut object = offer();
        object["x402Version"] = version.clone();
        assert!(serde_json::from_value::<PaymentRequired>(object).is_err(), "{version}");
    }
}

#[test]
fn an_amount_is_a_canonical_decimal_string_of_at_most_a_uint256() {
    let entry = &offer()["accepts"][0];
    let with = |amount: Value| {
        let mut entry = entry.clone();
        entry["amount"] = amount;
        serde_json::from_value::<PaymentRequirements>(entry)
    };
    for wrong in
        [json!(1000), json!("01"), json!("-1"), json!("1.5"), json!("1e3"), json!(""), json!("0x1"), Value::Null]
    {
        assert!(with(wrong.clone()).is_err(), "{wrong}");
    }
    assert!(with(json!("9".repeat(79))).is_err());
    let huge = with(json!("9".repeat(78))).unwrap();
    assert_eq!(huge.amount.to_usdc(), None);
}

#[test]
fn a_flow_that_is_no_word_is_unknown_rather_than_the_default() {
    let mut entry = offer()["accepts"][0].clone();
    entry["extra"]["paymentFlow"] = json!(7);
    let read: PaymentRequirements = serde_json::from_value(entry).unwrap();
    assert!(matches!(read.flow(), PaymentFlow::Other(_)));
}

#[test]
fn a_header_is_base64_json_and_bounded() {
    let read: PaymentRequired = serde_json::from_value(offer()).unwrap();
    let value = header::encode(&read).unwrap();
    assert_eq!(header::decode::<PaymentRequired>(&value).unwrap(), read);

    let code = |value: &str| header::decode::<PaymentRequired>(value).unwrap_err().code();
    assert_eq!(code("not base64!"), "payment_header_invalid");
    assert_eq!(code(""), "payment_malformed");
    assert_eq!(code("e30="), "payment_malformed");
    assert_eq!(code(&"A".repeat(header::MAX_HEADER + 1)), "payment_header_too_long");

    let long = json!({"x": "y".repeat(header::MAX_HEADER)});
    assert_eq!(header::encode(&long).unwrap_err().code(), "payment_header_too_long");
}

/// JSON as strangers may send it: numbers that fit 64 bits, since JSON promises no more.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,8}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_rest() -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::btree_map("x[a-zA-Z]{1,8}", any_json(), 0..4).prop_map(|map| map.into_iter().collect())
}

proptest! {
    #[test]
    fn no_unknown_field_is_ever_lost(top in any_rest(), entry in any_rest(), extra in any_json()) {
        let mut object = offer();
        object["accepts"][0]["extra"] = extra;
        object["accepts"][0].as_object_mut().unwrap().extend(entry);
        object.as_object_mut().unwrap().extend(top);
        let read: PaymentRequired = serde_json::from_str(&object.to_string()).unwrap();
        prop_assert_eq!(serde_json::to_value(&read).unwrap(), object);
    }

    #[test]
    fn no_header_makes_the_decoder_panic(value in ".{0,200}") {
        drop(header::decode::<PaymentPayload>(&value));
    }

    #[test]
    fn no_text_makes_the_chain_parser_panic(text in ".{0,60}") {
        if let Ok(chain) = text.parse::<ChainRef>() {
            prop_assert_eq!(chain.to_string(), text);
        }
    }
}
