//! A note is believed only if the agent that pays said it, to the agent that is paid, about its own wallet.

use super::*;
use haggle_base::{AgentKey, PaymentKey};
use haggle_x402::Atomic;
use serde_json::Map;
use std::time::Duration;

const NOON: Timestamp = Timestamp::from_secs(1_800_014_400);

fn file() -> NetworkFile {
    let path = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../config/base.toml"));
    crate::setup::read_network(path).unwrap()
}

fn alice() -> AgentKey {
    AgentKey::from_bytes(&[0xa1; 32])
}

fn bob() -> Did {
    AgentKey::from_bytes(&[0xb0; 32]).did()
}

fn wallet(number: u8) -> PaymentKey {
    PaymentKey::from_bytes(&[number; 32]).unwrap()
}

fn note(file: &NetworkFile) -> Note {
    Note {
        network: format!("eip155:{}", file.chain_id),
        token: file.token.address,
        authorization: ExactAuthorization {
            from: wallet(1).address(),
            to: wallet(2).address(),
            value: Atomic::from_number(10_000_000),
            valid_after: Atomic::from_number(0),
            valid_before: Atomic::from_number(NOON.as_secs() + 600),
            nonce: B256::repeat_byte(7),
            rest: Map::new(),
        },
        tx: Some(B256::repeat_byte(8)),
        memo: "for the lamp".try_into().unwrap(),
        binding: bound(file, 1, &alice().did()),
    }
}

fn bound(file: &NetworkFile, number: u8, did: &Did) -> PaymentBinding {
    let until = NOON.plus(Duration::from_secs(3600));
    PaymentBinding::make(&wallet(number), &file.id, did, file.chain_id, until)
}

fn carried(note: &Note) -> Value {
    carry(&note.message(alice().did(), &bob(), NOON).unwrap().sign(&alice()).unwrap())
}

#[test]
fn a_note_is_read_as_it_was_written() {
    let file = file();
    let message = carried(&note(&file));
    assert!(is_note(&message));
    let told = open(&message, &bob(), &file, NOON).unwrap();
    assert_eq!((told.payee, told.payer, told.memo.as_str()), (bob(), alice().did(), "for the lamp"));
    assert_eq!((told.transfer.from, told.transfer.to), (wallet(1).address(), wallet(2).address()));
    assert_eq!((told.transfer.value, told.transfer.nonce), ("10".parse().unwrap(), B256::repeat_byte(7)));
    for reply in [NoteReply::Taken { booked: true }, NoteReply::Reject { code: "rpc_down".into(), retryable: true }] {
        assert_eq!(NoteReply::from_a2a(&reply.to_a2a("re-1")), Some(reply));
    }
}

#[test]
fn a_note_that_is_not_the_payers_own_is_refused() {
    let file = file();
    let good = note(&file);
    let opened = |message: &Value| open(message, &bob(), &file, NOON).unwrap_err();
    assert_eq!(open(&carried(&good), &alice().did(), &file, NOON).unwrap_err(), "wrong_receiver");

    // somebody else's wallet, and a binding of somebody else's
    let other_wallet = Note { binding: bound(&file, 3, &alice().did()), ..good.clone() };
    assert_eq!(opened(&carried(&other_wallet)), "binding_invalid");
    let other_did = Note { binding: bound(&file, 1, &bob()), ..good.clone() };
    assert_eq!(opened(&carried(&other_did)), "binding_invalid");
    let late = NOON.plus(Duration::from_secs(3600));
    assert_eq!(open(&carried(&good), &bob(), &file, late).unwrap_err(), "binding_expired");

    // said by one, signed by another
    let forged = good.message(alice().did(), &bob(), NOON).unwrap().sign(&AgentKey::from_bytes(&[0xc1; 32])).unwrap();
    assert_eq!(opened(&carry(&forged)), "forged_sender");
    let elsewhere = Note { network: "eip155:1".to_owned(), ..good.clone() };
    assert_eq!(opened(&carried(&elsewhere)), "wrong_network");
    let other_token = Note { token: Address::repeat_byte(3), ..good };
    assert_eq!(opened(&carried(&other_token)), "wrong_network");
}

#[test]
fn what_is_no_note_at_all_is_refused_and_never_panics() {
    let file = file();
    let opened = |message: &Value| open(message, &bob(), &file, NOON).unwrap_err();
    let message = carried(&note(&file));
    let with = |part: Value| json!({"messageId": "m", "extensions": [EXTENSION_URI], "parts": part});
    for part in [
        json!([]),
        json!("no"),
        json!([{"text": "hello"}]),
        json!([{"data": {"document": "!"}}]),
        json!([{"data": {"document": "AAAA", "more": 1}}]),
        json!([{"data": {"document": "A".repeat(100_000)}}]),
        json!([message["parts"][0], message["parts"][0]]),
    ] {
        opened(&with(part));
    }
    assert!(!is_note(&json!({"parts": message["parts"]})));
    let document = message.pointer("/parts/0/data/document").and_then(Value::as_str).unwrap();
    for end in (0..document.len()).step_by(7) {
        opened(&with(json!([{"data": {"document": document[..end]}}])));
    }
    let mut huge = note(&file);
    huge.authorization.value = serde_json::from_value(json!("9".repeat(40))).unwrap();
    assert_eq!(opened(&carried(&huge)), "bad_document");
}
