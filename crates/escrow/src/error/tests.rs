//! Revert data becomes the error it is, and errors keep their codes.

use alloy::primitives::{Bytes, U256, address, b256, keccak256};
use alloy::sol_types::SolError as _;
use haggle_base::{Coded as _, Timestamp};

use super::{ChannelRefusal, Revert, Skip};
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

/// Every contract's committed interface.
const ARTIFACTS: [&str; 9] = [
    include_str!("../../../../contracts/artifacts/Anchor.json"),
    include_str!("../../../../contracts/artifacts/Channel.json"),
    include_str!("../../../../contracts/artifacts/Erc3009Collector.json"),
    include_str!("../../../../contracts/artifacts/Escrow.json"),
    include_str!("../../../../contracts/artifacts/Multicall3.json"),
    include_str!("../../../../contracts/artifacts/Panel.json"),
    include_str!("../../../../contracts/artifacts/Registry8004.json"),
    include_str!("../../../../contracts/artifacts/Stake.json"),
    include_str!("../../../../contracts/artifacts/TestUSDC.json"),
];

/// An error's name with its types, and data as a contract that reverts with it would give, all values zero or empty.
fn errors_of(artifact: &str) -> Vec<(String, Bytes)> {
    let artifact: serde_json::Value = serde_json::from_str(artifact).unwrap();
    let errors = artifact["abi"].as_array().unwrap().iter().filter(|item| item["type"] == "error");
    errors
        .map(|error| {
            let inputs = error["inputs"].as_array().unwrap();
            let types: Vec<&str> = inputs.iter().map(|input| input["type"].as_str().unwrap()).collect();
            let form = format!("{}({})", error["name"].as_str().unwrap(), types.join(","));
            let mut data = keccak256(&form)[..4].to_vec();
            let head = U256::from(32 * types.len());
            for kind in &types {
                data.extend(if *kind == "string" { head } else { U256::ZERO }.to_be_bytes::<32>());
            }
            data.extend([0; 32]);
            (form, data.into())
        })
        .collect()
}

#[test]
fn every_error_of_every_contract_has_a_code_and_a_hint() {
    let mut seen = 0;
    for (form, data) in ARTIFACTS.iter().flat_map(|artifact| errors_of(artifact)) {
        let revert = Revert::decode(&data);
        assert!(!matches!(revert, Revert::Unknown(_) | Revert::Silent), "{form} is not known");
        assert_ne!(revert.code(), "reverted", "{form}");
        assert!(!revert.hint().is_empty() && !revert.to_string().is_empty(), "{form}");
        seen += 1;
    }
    assert!(seen > 100, "only {seen} errors were looked at");
}

#[test]
fn a_skipped_row_says_why_without_the_errors_values() {
    let reason = Skip(Escrow::BadSignature::SELECTOR.into());
    assert_eq!(reason.code(), "reverted_bad_signature");
    assert_eq!(Skip([0xff; 4].into()).code(), "reverted");
}

#[test]
fn the_other_contracts_errors_are_told_apart() {
    let signature: Bytes = crate::bindings::channel::Channel::InvalidSignature {}.abi_encode().into();
    assert_eq!(Revert::decode(&signature), Revert::Channel(ChannelRefusal::InvalidSignature));
    let provider = address!("0x0000000000000000000000000000000000000b0b");
    let [available, needed] = [U256::from(1), U256::from(2)];
    let low = crate::bindings::stake::Stake::StakeTooLow { provider, available, amount: needed };
    let low: Bytes = low.abi_encode().into();
    assert_eq!(Revert::decode(&low), Revert::StakeTooLow { provider, available, needed });
    assert!(Revert::decode(&low).is_retryable());
}
