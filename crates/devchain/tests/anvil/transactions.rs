//! The transactions: every kind of envelope, and failures of every kind.

use alloy::consensus::{TxEip2930, TxEip7702, TxLegacy};
use alloy::eips::eip2930::{AccessList, AccessListItem};
use alloy::eips::eip7702::Authorization;
use alloy::primitives::{Address, B256, Bytes, TxKind, U256};
use alloy::signers::SignerSync as _;
use haggle_devchain::DEV_CHAIN_ID;
use serde_json::json;

use crate::pair::Pair;
use crate::people::{GAS, GWEI, Person};
use crate::program;

async fn people(pair: &Pair) -> [Person; 2] {
    let people = [Person::new(0), Person::new(1)];
    for person in &people {
        pair.tell("anvil_setBalance", json!([person.address(), U256::from(10_u128.pow(21))])).await;
    }
    people
}

#[tokio::test]
#[ignore = "needs anvil from npm; cargo xtask test runs it"]
async fn every_kind_of_transaction_costs_the_same_as_on_anvil() {
    let mut pair = Pair::start().await;
    let [mut alice, bob] = people(&pair).await;
    let mut plain = alice.tx(TxKind::Call(bob.address()), Bytes::new());
    plain.value = U256::from(12_345);
    pair.send("a transfer", &alice.sign(plain)).await;
    alice.nonce += 1;
    let legacy = TxLegacy {
        chain_id: Some(DEV_CHAIN_ID),
        nonce: alice.nonce,
        gas_price: 2 * GWEI,
        gas_limit: GAS,
        to: TxKind::Create,
        value: U256::from(5),
        input: program::environment(),
    };
    pair.send("what a contract sees", &alice.sign(legacy)).await;
    alice.nonce += 1;
    let warm = AccessListItem { address: bob.address(), storage_keys: vec![B256::ZERO, B256::repeat_byte(1)] };
    let listed = TxEip2930 {
        chain_id: DEV_CHAIN_ID,
        nonce: alice.nonce,
        gas_price: 2 * GWEI,
        gas_limit: GAS,
        to: TxKind::Create,
        access_list: AccessList(vec![warm]),
        input: program::storage(),
        ..TxEip2930::default()
    };
    let made = pair.send("storage and creations", &alice.sign(listed)).await;
    for slot in 0..4 {
        pair.same("eth_getStorageAt", json!([made["contractAddress"], U256::from(slot), "latest"])).await;
    }
    alice.nonce += 1;
    let authorization =
        Authorization { chain_id: U256::from(DEV_CHAIN_ID), address: Address::with_last_byte(4), nonce: 0 };
    let signature = bob.key.sign_hash_sync(&authorization.signature_hash()).unwrap();
    let delegating = TxEip7702 {
        chain_id: DEV_CHAIN_ID,
        nonce: alice.nonce,
        gas_limit: GAS,
        max_fee_per_gas: 3 * GWEI,
        max_priority_fee_per_gas: 1,
        to: bob.address(),
        authorization_list: vec![authorization.into_signed(signature)],
        ..TxEip7702::default()
    };
    pair.send("a delegation", &alice.sign(delegating)).await;
    pair.same("eth_getCode", json!([bob.address(), "latest"])).await;
    alice.nonce += 1;
    pair.send("the precompiles", &alice.next(TxKind::Create, program::precompiles())).await;
    let much = vec![0xff; 2_000];
    pair.send("calldata that costs more than work", &alice.next_call(bob.address(), much)).await;
}

#[tokio::test]
#[ignore = "needs anvil from npm; cargo xtask test runs it"]
async fn failures_are_the_same_failures_as_on_anvil() {
    let mut pair = Pair::start().await;
    let [mut alice, _] = people(&pair).await;
    for (what, init) in [
        ("an invalid opcode", vec![0xfe]),
        ("a bare revert", vec![0x5f, 0x5f, 0xfd]),
        ("an empty stack", vec![0x50]),
        ("a jump to nowhere", vec![0x5f, 0x56]),
        ("code that starts with EF", vec![0x60, 0xef, 0x5f, 0x53, 0x60, 0x01, 0x5f, 0xf3]),
        ("an endless loop", vec![0x5b, 0x5f, 0x56]),
    ] {
        let failed = pair.send(what, &alice.next(TxKind::Create, init)).await;
        assert_eq!(failed["status"], "0x0", "{what}");
    }
    let nobody = Address::repeat_byte(0x77);
    let spent = alice.nonce - 1;
    let mut used = alice.tx(TxKind::Call(nobody), Bytes::new());
    used.nonce = spent;
    pair.refused("a nonce used before", &alice.sign(used)).await;
    let mut cheap = alice.tx(TxKind::Call(nobody), Bytes::new());
    cheap.gas_limit = 20_999;
    pair.refused("less gas than a transfer needs", &alice.sign(cheap)).await;
    let mut rich = alice.tx(TxKind::Call(nobody), Bytes::new());
    rich.value = U256::from(10_u128.pow(30));
    pair.refused("more value than there is", &alice.sign(rich)).await;
    let mut elsewhere = alice.tx(TxKind::Call(nobody), Bytes::new());
    elsewhere.chain_id = 1;
    pair.refused("another chain's transaction", &alice.sign(elsewhere)).await;
    pair.send("the account still works", &alice.next_call(nobody, Bytes::new())).await;
}
