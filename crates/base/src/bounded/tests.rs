//! Bounds hold on every way in: by hand, from JSON, from CBOR.

use crate::cbor;

use super::*;

#[test]
fn a_text_is_counted_in_bytes_and_refuses_control_characters() {
    assert_eq!(Text::<4>::try_from("four").unwrap(), "four");
    assert_eq!(Text::<4>::try_from("fünf"), Err(BoundError::TooLong { max: 4 }));
    for sneaky in ["a\nb", "a\tb", "\u{1b}[2J", "a\0", "\u{85}"] {
        let error = Text::<9>::try_from(sneaky).unwrap_err();
        assert_eq!(error.code(), "control_character", "{sneaky:?}");
    }
    assert!(serde_json::from_str::<Text<4>>("\"five!\"").is_err());
    let bytes = cbor::to_vec("five!").unwrap();
    assert_eq!(cbor::from_slice::<Text<4>>(&bytes, 64).unwrap_err().code(), "wrong_shape");
}

#[test]
fn a_text_longer_than_the_readers_buffer_is_read_whole() {
    let long = Text::<6000>::try_from("x".repeat(6000)).unwrap();
    let bytes = cbor::to_vec(&long).unwrap();
    assert_eq!(cbor::from_slice::<Text<6000>>(&bytes, 7000).unwrap(), long);
    let blob = Blob::<6000>::try_from(vec![7; 6000]).unwrap();
    let bytes = cbor::to_vec(&blob).unwrap();
    assert_eq!(cbor::from_slice::<Blob<6000>>(&bytes, 7000).unwrap(), blob);
}

#[test]
fn a_list_stops_reading_at_its_bound() {
    let mut list = List::<u8, 2>::try_from(vec![1, 2]).unwrap();
    assert_eq!(list.push(3), Err(BoundError::TooLong { max: 2 }));
    assert!(List::<u8, 2>::try_from(vec![1, 2, 3]).is_err());
    assert_eq!(serde_json::from_str::<List<u8, 2>>("[1,2]").unwrap(), list);
    assert!(serde_json::from_str::<List<u8, 2>>("[1,2,3]").is_err());
    let bytes = cbor::to_vec(&[1, 2, 3]).unwrap();
    assert_eq!(cbor::from_slice::<List<u8, 2>>(&bytes, 64).unwrap_err().code(), "wrong_shape");
    let bytes = cbor::to_vec(&list).unwrap();
    assert_eq!(cbor::from_slice::<List<u8, 2>>(&bytes, 64).unwrap(), list);
}

#[test]
fn a_blob_is_hexadecimal_in_json_and_a_byte_string_in_cbor() {
    let blob = Blob::<3>::try_from(vec![0xde, 0xad]).unwrap();
    assert_eq!(serde_json::to_string(&blob).unwrap(), "\"dead\"");
    assert_eq!(serde_json::from_str::<Blob<3>>("\"0xdead\"").unwrap(), blob);
    assert!(serde_json::from_str::<Blob<3>>("\"deadbeef\"").is_err());
    assert!(serde_json::from_str::<Blob<3>>("\"dea\"").is_err());
    assert_eq!(hex::encode(cbor::to_vec(&blob).unwrap()), "42dead");
    let list_of_numbers = cbor::to_vec(&[1_u8, 2]).unwrap();
    assert!(cbor::from_slice::<Blob<3>>(&list_of_numbers, 64).is_err());
    let too_long = cbor::to_vec(&Blob::<4>::try_from(vec![0; 4]).unwrap()).unwrap();
    assert!(cbor::from_slice::<Blob<3>>(&too_long, 64).is_err());
}
