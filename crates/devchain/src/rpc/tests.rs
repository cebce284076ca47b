//! The endpoint answers anything with JSON, and bounds what it takes.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{MAX_BATCH, MAX_BODY_BYTES, Rpc};
use crate::chain::Chain;

fn rpc() -> Rpc {
    Rpc::new(Chain::new(31_337, 1, 1_000), Arc::new(|| 1_000), None)
}

fn ask(rpc: &Rpc, body: &Value) -> Value {
    serde_json::from_slice(&rpc.answer(body.to_string().as_bytes())).unwrap()
}

#[test]
fn a_request_is_answered_under_its_own_id() {
    let answer = ask(&rpc(), &json!({"jsonrpc": "2.0", "id": "seven", "method": "eth_chainId"}));
    assert_eq!(answer, json!({"jsonrpc": "2.0", "id": "seven", "result": "0x7a69"}));
}

#[test]
fn a_batch_is_answered_in_order_and_one_bad_request_spoils_nothing() {
    let batch = json!([
        {"id": 1, "method": "eth_blockNumber", "params": []},
        {"id": 2, "method": "eth_nothing"},
        {"id": 3, "method": "evm_mine"},
        {"id": 4, "method": "eth_blockNumber", "params": null},
        17,
    ]);
    let answers = ask(&rpc(), &batch);
    assert_eq!(answers[0]["result"], "0x0");
    assert_eq!(answers[1]["error"]["code"], -32_601);
    assert_eq!(answers[3]["result"], "0x1");
    assert_eq!(answers[4]["error"]["code"], -32_600);
}

#[test]
fn what_is_too_much_is_refused() {
    let rpc = rpc();
    let batch = Value::Array(vec![json!({"id": 1, "method": "evm_mine"}); MAX_BATCH + 1]);
    assert_eq!(ask(&rpc, &batch)["error"]["code"], -32_005);
    assert_eq!(ask(&rpc, &json!([]))["error"]["code"], -32_600);
    let huge = vec![b' '; MAX_BODY_BYTES + 1];
    let answer: Value = serde_json::from_slice(&rpc.answer(&huge)).unwrap();
    assert_eq!(answer["error"]["code"], -32_005);
    let many = json!({"id": 1, "method": "anvil_mine", "params": [10_001]});
    assert_eq!(ask(&rpc, &many)["error"]["code"], -32_005);
    let mined = ask(&rpc, &json!({"id": 1, "method": "eth_blockNumber"}));
    assert_eq!(mined["result"], "0x0", "nothing that was refused mined a block");
}

#[test]
fn parameters_that_do_not_fit_are_named() {
    let rpc = rpc();
    for (method, params) in [
        ("eth_getBalance", json!([])),
        ("eth_getBalance", json!(["0x12"])),
        ("eth_getBalance", json!({"address": 1})),
        ("eth_sendRawTransaction", json!(["nonsense"])),
        ("evm_increaseTime", json!(["-5"])),
        ("evm_setNextBlockTimestamp", json!([999])),
        ("eth_call", json!([{}, "latest", {"0x0000000000000000000000000000000000000001": {"balance": "0x1"}}])),
        ("eth_chainId", json!(vec![0; 17])),
    ] {
        let answer = ask(&rpc, &json!({"id": 1, "method": method, "params": params}));
        assert_eq!(answer["error"]["code"], -32_602, "{method} {params}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn any_bytes_are_answered_with_json(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let answer: Value = serde_json::from_slice(&rpc().answer(&body)).unwrap();
        prop_assert!(answer.is_object() || answer.is_array());
    }

    #[test]
    fn any_bytes_as_a_transaction_are_refused(raw in prop::collection::vec(any::<u8>(), 0..300)) {
        let rpc = rpc();
        let raw = alloy::primitives::Bytes::from(raw);
        let answer = ask(&rpc, &json!({"id": 1, "method": "eth_sendRawTransaction", "params": [raw]}));
        prop_assert_eq!(answer["error"]["code"].as_i64(), Some(-32_003));
        prop_assert_eq!(rpc.with(|world| world.chain.history().latest().number), 0);
    }

    #[test]
    fn any_parameters_are_answered(
        method in prop::sample::select(vec![
            "eth_call", "eth_estimateGas", "eth_getLogs", "eth_getBlockByNumber", "eth_feeHistory", "eth_newFilter",
            "eth_getFilterChanges", "evm_mine", "anvil_setStorageAt", "anvil_setCode", "evm_revert", "haggle_faucet",
        ]),
        params in prop::collection::vec(any_json(), 0..4),
    ) {
        let answer = ask(&rpc(), &json!({"id": 1, "method": method, "params": params}));
        prop_assert!(answer.get("result").is_some() != answer.get("error").is_some());
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<u64>().prop_map(|number| json!(format!("{number:#x}"))),
        "[a-z0-9x]{0,70}".prop_map(Value::from),
        Just(json!("latest")),
        any::<[u8; 20]>().prop_map(|bytes| json!(alloy::primitives::Address::from(bytes))),
        any::<[u8; 32]>().prop_map(|bytes| json!(alloy::primitives::B256::from(bytes))),
        prop::collection::vec(any::<u8>(), 0..64).prop_map(|bytes| {
            json!({"to": null, "data": alloy::primitives::Bytes::from(bytes), "gas": "0xffffffffffff"})
        }),
        any::<u64>().prop_map(|number| json!({"fromBlock": "0x0", "toBlock": format!("{number:#x}"), "topics": []})),
    ]
}
