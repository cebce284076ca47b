//! The envelope: one form, one author, one purpose.

use ciborium::Value;

use super::*;

const MAX: usize = 4096;

fn alice() -> AgentKey {
    AgentKey::from_bytes(&[1; 32])
}

fn eve() -> AgentKey {
    AgentKey::from_bytes(&[2; 32])
}

fn code(bytes: &[u8]) -> &'static str {
    verify("note", bytes, MAX).unwrap_err().code()
}

/// The four parts of a signed note, to be put together in other ways.
fn parts(payload: &[u8]) -> Vec<Value> {
    let bytes = sign("note", payload, &alice());
    let Value::Array(parts) = ciborium::from_reader(bytes.as_slice()).unwrap() else {
        panic!("an envelope is an array");
    };
    parts
}

fn write(value: &Value) -> Vec<u8> {
    cbor::to_vec(value).unwrap()
}

#[test]
fn a_signed_payload_opens_with_its_author() {
    let bytes = sign("note", b"hello bob", &alice());
    let opened = verify("note", &bytes, MAX).unwrap();
    assert_eq!(opened.author, alice().did());
    assert_eq!(opened.payload, b"hello bob");
    assert_eq!(sign("note", b"hello bob", &alice()), bytes, "signing is deterministic");
    let id_of = |kind: &str, payload: &[u8], key: &AgentKey| verify(kind, &sign(kind, payload, key), MAX).unwrap().id;
    assert_eq!(id_of("note", b"hello bob", &alice()), opened.id);
    assert_ne!(id_of("memo", b"hello bob", &alice()), opened.id);
    assert_ne!(id_of("note", b"hello bob", &eve()), opened.id);
    assert_ne!(id_of("note", b"hello all", &alice()), opened.id);
}

#[test]
fn a_signature_for_one_purpose_is_worth_nothing_for_another() {
    let bytes = sign("note", b"hello", &alice());
    assert_eq!(verify("quote", &bytes, MAX).unwrap_err(), CoseError::BadSignature);
}

#[test]
fn a_forged_author_does_not_verify() {
    let mut forged = parts(b"pay eve");
    let eves = sign("note", b"pay eve", &eve());
    let Value::Array(eves) = ciborium::from_reader(eves.as_slice()).unwrap() else {
        panic!("an envelope is an array");
    };
    forged[3] = eves[3].clone();
    assert_eq!(code(&write(&Value::Array(forged))), "bad_signature");
}

#[test]
fn every_flipped_bit_is_noticed() {
    let bytes = sign("note", b"hello bob", &alice());
    for at in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[at / 8] ^= 1 << (at % 8);
        assert!(verify("note", &flipped, MAX).is_err(), "bit {at}");
    }
    for len in 0..bytes.len() {
        assert!(verify("note", &bytes[..len], MAX).is_err(), "cut to {len}");
    }
}

#[test]
fn only_the_agreed_form_is_accepted() {
    let tagged = [&[0xd2], sign("note", b"x", &alice()).as_slice()].concat();
    assert_eq!(code(&tagged), "not_canonical", "tagged");

    let mut unprotected = parts(b"x");
    unprotected[1] = Value::Map(vec![(Value::from(4), Value::Bytes(vec![1]))]);
    assert_eq!(code(&write(&Value::Array(unprotected))), "bad_envelope", "unprotected header");

    let mut detached = parts(b"x");
    detached[2] = Value::Null;
    assert_eq!(code(&write(&Value::Array(detached))), "bad_envelope", "detached payload");

    let mut short = parts(b"x");
    short[3] = Value::Bytes(vec![0; 63]);
    assert_eq!(code(&write(&Value::Array(short))), "bad_envelope", "short signature");

    let mut five = parts(b"x");
    five.push(Value::Null);
    assert_eq!(code(&write(&Value::Array(five))), "bad_envelope", "five parts");

    assert_eq!(code(&write(&Value::Null)), "bad_envelope", "not an array");
    assert_eq!(code(b""), "bad_cbor", "nothing");
    let large = sign("note", &[0; MAX], &alice());
    assert_eq!(code(&large), "too_large");
}

#[test]
fn the_protected_header_has_exactly_algorithm_and_author() {
    let kid = || Value::Bytes(alice().did().to_string().into_bytes());
    let with_header = |header: Vec<(Value, Value)>| {
        let mut all = parts(b"x");
        all[0] = Value::Bytes(write(&Value::Map(header)));
        write(&Value::Array(all))
    };
    let algorithm = || (Value::from(1), Value::from(-8));
    let rows = [
        ("no author", vec![algorithm()], "bad_did"),
        ("no algorithm", vec![(Value::from(4), kid())], "bad_envelope"),
        ("another algorithm", vec![(Value::from(1), Value::from(-7)), (Value::from(4), kid())], "bad_envelope"),
        (
            "a content type",
            vec![algorithm(), (Value::from(3), Value::from(60)), (Value::from(4), kid())],
            "bad_envelope",
        ),
        (
            "an unknown field",
            vec![algorithm(), (Value::from(4), kid()), (Value::from("x"), Value::from(1))],
            "bad_envelope",
        ),
        (
            "an author that is not a DID",
            vec![algorithm(), (Value::from(4), Value::Bytes(b"alice".to_vec()))],
            "bad_did",
        ),
        ("an author that is not text", vec![algorithm(), (Value::from(4), Value::Bytes(vec![0xff, 0xfe]))], "bad_did"),
    ];
    for (name, header, expected) in rows {
        assert_eq!(code(&with_header(header)), expected, "{name}");
    }
}

#[test]
fn a_header_that_is_not_canonical_inside_its_bytes_is_refused() {
    let did = alice().did().to_string();
    // The same two entries, swapped; and the algorithm written in two bytes.
    let mut swapped = vec![0xa2, 0x04, 0x58, 56];
    swapped.extend_from_slice(did.as_bytes());
    swapped.extend_from_slice(&[0x01, 0x27]);
    let mut long = vec![0xa2, 0x01, 0x38, 0x07, 0x04, 0x58, 56];
    long.extend_from_slice(did.as_bytes());
    for header in [swapped, long] {
        let mut all = parts(b"x");
        all[0] = Value::Bytes(header);
        assert_eq!(code(&write(&Value::Array(all))), "bad_envelope");
    }
}

#[test]
fn a_signature_that_travelled_apart_makes_the_same_document() {
    let bytes = sign("note", b"hello bob", &alice());
    let signature: [u8; 64] = bytes[bytes.len() - 64..].try_into().unwrap();
    assert_eq!(assemble(b"hello bob", &alice().did(), &signature), bytes);
    assert_eq!(code(&assemble(b"hello bob", &eve().did(), &signature)), "bad_signature");
    assert_eq!(code(&assemble(b"hello eve", &alice().did(), &signature)), "bad_signature");
}
