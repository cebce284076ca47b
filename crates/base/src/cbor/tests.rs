//! The gate: one value, one encoding, whatever a stranger sends.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;

fn refusal(hex_text: &str) -> CborError {
    check(&hex::decode(hex_text).unwrap(), 1024).unwrap_err()
}

fn deviation(hex_text: &str) -> Deviation {
    match refusal(hex_text) {
        CborError::NotCanonical(deviation) => deviation,
        other => panic!("{hex_text}: {other}"),
    }
}

#[test]
fn maps_are_written_in_the_order_of_their_encoded_keys() {
    #[derive(Serialize)]
    struct Declared {
        zebra: u8,
        a: u8,
        bb: u8,
    }
    let value = Declared { zebra: 1, a: 2, bb: 3 };
    // The bytes that dag-cbor, cbor2 and dcbor write for the same value.
    assert_eq!(hex::encode(to_vec(&value).unwrap()), "a361610262626203657a6562726101");
    let nested = BTreeMap::from([("outer", BTreeMap::from([("bb", 1), ("a", 2), ("ccc", 3)]))]);
    assert_eq!(hex::encode(to_vec(&nested).unwrap()), "a1656f75746572a361610262626201636363630 3".replace(' ', ""));
}

#[test]
fn integer_keys_come_before_text_keys_as_their_bytes_do() {
    let map = Value::Map(vec![
        (Value::from("a"), Value::from(1)),
        (Value::from(-1), Value::from(2)),
        (Value::from(100), Value::from(3)),
        (Value::from(10), Value::from(4)),
    ]);
    assert_eq!(hex::encode(to_vec(&map).unwrap()), "a40a04186403200261 6101".replace(' ', ""));
}

#[test]
fn every_deviation_from_the_canonical_form_has_its_name() {
    let rows = [
        ("1817", Deviation::NotMinimal),
        ("1900ff", Deviation::NotMinimal),
        ("1a0000ffff", Deviation::NotMinimal),
        ("1b00000000ffffffff", Deviation::NotMinimal),
        ("3817", Deviation::NotMinimal),
        ("5801aa", Deviation::NotMinimal),
        ("780161", Deviation::NotMinimal),
        ("980101", Deviation::NotMinimal),
        ("b8016101 01", Deviation::NotMinimal),
        ("9f01ff", Deviation::Indefinite),
        ("bf616101ff", Deviation::Indefinite),
        ("5f41aaff", Deviation::Indefinite),
        ("7f6161ff", Deviation::Indefinite),
        ("a2616201616102", Deviation::Unsorted),
        ("a26262620161 6102", Deviation::Unsorted),
        ("a2616101616102", Deviation::DuplicateKey),
        ("f93c00", Deviation::Float),
        ("fa3f800000", Deviation::Float),
        ("fb3ff0000000000000", Deviation::Float),
        ("f97e00", Deviation::Float),
        ("f7", Deviation::Simple),
        ("e0", Deviation::Simple),
        ("f8ff", Deviation::Simple),
        ("c11a514b67b0", Deviation::Tag),
        ("d28443a10127a0404101", Deviation::Tag),
        ("c24101", Deviation::Tag),
        ("0000", Deviation::Trailing),
        ("a0f6", Deviation::Trailing),
    ];
    for (bytes, expected) in rows {
        assert_eq!(deviation(&bytes.replace(' ', "")), expected, "{bytes}");
    }
}

#[test]
fn damaged_bytes_are_told_from_another_encoding() {
    for bytes in [
        "",
        "18",
        "19ff",
        "41",
        "62c328",
        "62c3",
        "81",
        "a1",
        "a161",
        "a16161",
        "1c",
        "1f",
        "3f",
        "df",
        "ff",
        "fc",
        "ff00",
        "5bffffffffffffffff",
        "7b7fffffffffffffff00",
    ] {
        assert_eq!(refusal(bytes), CborError::Malformed, "{bytes}");
    }
}

#[test]
fn a_length_that_nobody_sent_reserves_nothing() {
    // Lists and maps that promise 2^64 - 1 items.
    assert_eq!(refusal("9bffffffffffffffff"), CborError::Malformed);
    assert_eq!(refusal("bbffffffffffffffff"), CborError::Malformed);
    assert_eq!(refusal("9bffffffffffffffff00"), CborError::Malformed);
}

#[test]
fn hostile_nesting_is_refused_without_touching_the_stack() {
    for opener in [0x81, 0x9f, 0xa1, 0xc1] {
        let mut bomb = vec![opener; 1_000_000];
        bomb.push(0);
        let error = check(&bomb, usize::MAX).unwrap_err();
        assert!(matches!(error.code(), "too_deep" | "not_canonical"), "{error}");
        assert!(from_slice::<Value>(&bomb, usize::MAX).is_err());
    }
    let nested = |depth: usize| [vec![0x81; depth], vec![0x80]].concat();
    assert_eq!(check(&nested(MAX_DEPTH - 1), 64), Ok(()));
    assert_eq!(check(&nested(MAX_DEPTH), 64), Err(CborError::TooDeep));
    let mut too_deep = Value::Null;
    for _ in 0..=MAX_DEPTH {
        too_deep = Value::Array(vec![too_deep]);
    }
    assert_eq!(to_vec(&too_deep), Err(CborError::TooDeep));
}

#[test]
fn more_bytes_than_allowed_are_refused_before_they_are_read() {
    let error = check(&[0xff; 65], 64).unwrap_err();
    assert_eq!(error, CborError::TooLarge { len: 65, max: 64 });
    assert_eq!(error.code(), "too_large");
}

#[test]
fn floats_and_wide_integers_cannot_be_written() {
    assert_eq!(to_vec(&1.0_f64).unwrap_err().code(), "not_canonical");
    assert_eq!(to_vec(&[Some(0.5_f32)]).unwrap_err().code(), "not_canonical");
    assert_eq!(to_vec(&u128::MAX).unwrap_err().code(), "not_canonical");
    assert_eq!(hex::encode(to_vec(&u64::MAX).unwrap()), "1bffffffffffffffff");
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Offer {
    price: u64,
    #[serde(default)]
    note: Option<String>,
}

#[test]
fn a_value_has_one_encoding_even_where_serde_would_take_two() {
    let offer = Offer { price: 5, note: None };
    let bytes = to_vec(&offer).unwrap();
    assert_eq!(from_slice::<Offer>(&bytes, 64).unwrap(), offer);
    // The same offer with the empty note left out, and with a field more.
    let without_note = to_vec(&BTreeMap::from([("price", 5)])).unwrap();
    assert_eq!(from_slice::<Offer>(&without_note, 64), Err(CborError::UnknownFields));
    let with_more = Value::Map(vec![
        (Value::from("note"), Value::Null),
        (Value::from("price"), Value::from(5)),
        (Value::from("surprise"), Value::from(1)),
    ]);
    let with_more = to_vec(&with_more).unwrap();
    assert_eq!(from_slice::<Offer>(&with_more, 64), Err(CborError::UnknownFields));
}

#[test]
fn canonical_bytes_of_another_type_are_of_the_wrong_shape() {
    let text = to_vec("five").unwrap();
    assert_eq!(from_slice::<Offer>(&text, 64).unwrap_err().code(), "wrong_shape");
    let loud = to_vec(&BTreeMap::from([("price", "\u{1b}[2J".repeat(100))])).unwrap();
    match from_slice::<Offer>(&loud, 1024).unwrap_err() {
        CborError::WrongShape(reason) => {
            assert!(reason.chars().count() <= MAX_REASON);
            assert!(!reason.contains('\u{1b}'), "a stranger's escape codes stay out of the log");
        }
        other => panic!("{other}"),
    }
}
