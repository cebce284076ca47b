//! Revert data becomes the error it is, and errors keep their codes.

use alloy::primitives::{Bytes, U256, address, b256};
use alloy::sol_types::SolError as _;
use haggle_base::{Coded as _, Timestamp};

use super::Revert;
use crate::bindings::{Escrow, TestUSDC};

#[test]
fn the_escrows_errors_are_named() {
    let data: Bytes = Escrow::TooLate { time: U256::from(20), end: U256::from(10) }.abi_encode().into();
    assert_eq!(Revert::decode(&data), Revert::TooLate { end: Timestamp::from_secs(10) });
    assert_eq!(Revert::decode(&data).code(), "reverted_too_late");
}

#[test]
fn the_tokens_errors_come_through_the_escrow() {
    let payer = address!("0x00000000000000000000000000000000000a11ce");
    let nonce = b256!("0x1111111111111111111111111111111111111111111111111111111111111111");
    let data: Bytes = TestUSDC::AuthorizationUsedOrCanceled { authorizer: payer, nonce }.abi_encode().into();
    assert_eq!(Revert::decode(&data), Revert::AuthorizationUsed { payer, nonce });
}

#[test]
fn data_nobody_knows_is_still_an_answer() {
    assert_eq!(Revert::decode(&Bytes::from_static(&[1, 2, 3, 4, 5])).code(), "reverted");
    assert_eq!(Revert::decode(&Bytes::new()), Revert::Silent);
    assert_eq!(Revert::decode(&Bytes::from_static(&[0xff; 3])), Revert::Silent);
}
