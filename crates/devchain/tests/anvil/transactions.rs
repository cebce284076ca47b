//! The transactions: the contracts' life, every kind of envelope, and failures of every kind.

use alloy::consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip7702, TxEnvelope, TxLegacy};
use alloy::eips::eip2718::Encodable2718 as _;
use alloy::eips::eip2930::{AccessList, AccessListItem};
use alloy::eips::eip7702::Authorization;
use alloy::primitives::aliases::{U40, U96};
use alloy::primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use alloy::signers::SignerSync as _;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol;
use alloy::sol_types::{SolCall as _, SolConstructor as _, SolStruct, eip712_domain};
use haggle_devchain::{DEV_CHAIN_ID, DevAccount};
use serde_json::json;

use crate::pair::Pair;
use crate::program;

sol!(Escrow, "../../contracts/artifacts/Escrow.json");
sol!(TestUSDC, "../../contracts/artifacts/TestUSDC.json");
sol! {
    struct Release { bytes32 orderId; }
    struct ReceiveWithAuthorization {
        address from; address to; uint256 value; uint256 validAfter; uint256 validBefore; bytes32 nonce;
    }
}

const GWEI: u128 = 1_000_000_000;
const GAS: u64 = 5_000_000;

/// Someone who signs transactions one after the other.
struct Person {
    key: PrivateKeySigner,
    nonce: u64,
}

impl Person {
    fn new(index: u32) -> Self {
        Self { key: PrivateKeySigner::from_bytes(DevAccount::numbered(index).key()).unwrap(), nonce: 0 }
    }

    fn address(&self) -> Address {
        self.key.address()
    }

    fn sign<T: SignableTransaction<Signature>>(&self, tx: T) -> Bytes
    where
        TxEnvelope: From<alloy::consensus::Signed<T>>,
    {
        let signature = self.key.sign_hash_sync(&tx.signature_hash()).unwrap();
        TxEnvelope::from(tx.into_signed(signature)).encoded_2718().into()
    }

    fn tx(&self, to: TxKind, input: impl Into<Bytes>) -> TxEip1559 {
        TxEip1559 {
            chain_id: DEV_CHAIN_ID,
            nonce: self.nonce,
            gas_limit: GAS,
            max_fee_per_gas: 3 * GWEI,
            max_priority_fee_per_gas: GWEI / 2,
            to,
            input: input.into(),
            ..TxEip1559::default()
        }
    }

    /// The next transaction, signed.
    fn next(&mut self, to: TxKind, input: impl Into<Bytes>) -> Bytes {
        let raw = self.sign(self.tx(to, input));
        self.nonce += 1;
        raw
    }

    fn next_call(&mut self, to: Address, input: impl Into<Bytes>) -> Bytes {
        self.next(TxKind::Call(to), input)
    }
}

async fn people(pair: &Pair) -> [Person; 2] {
    let people = [Person::new(0), Person::new(1)];
    for person in &people {
        pair.tell("anvil_setBalance", json!([person.address(), U256::from(10_u128.pow(21))])).await;
    }
    people
}

#[tokio::test]
#[ignore = "needs anvil from npm; cargo xtask test runs it"]
async fn the_contracts_live_the_same_life_on_anvil() {
    let mut pair = Pair::start().await;
    let [mut alice, mut bob] = people(&pair).await;
    let (token, escrow) = (alice.address().create(0), alice.address().create(1));
    let init = [&TestUSDC::BYTECODE[..], &TestUSDC::constructorCall { minter_: alice.address() }.abi_encode()].concat();
    let made = pair.send("the token", &alice.next(TxKind::Create, init)).await;
    assert_eq!((made["status"].as_str(), made["contractAddress"].clone()), (Some("0x1"), json!(token)));
    let init = [&Escrow::BYTECODE[..], &Escrow::constructorCall { token_: token }.abi_encode()].concat();
    let made = pair.send("the escrow", &alice.next(TxKind::Create, init)).await;
    assert_eq!(made["contractAddress"], json!(escrow));
    for contract in [token, escrow] {
        pair.same("eth_getCode", json!([contract, "latest"])).await;
    }

    let mint = TestUSDC::mintCall { to: alice.address(), value: U256::from(9_000_000) }.abi_encode();
    pair.estimates("a mint", json!({"from": alice.address(), "to": token, "data": Bytes::from(mint.clone())})).await;
    pair.send("the first mint", &alice.next_call(token, mint.clone())).await;
    pair.send("a second mint", &alice.next_call(token, mint.clone())).await;
    let stranger = json!({"from": bob.address(), "to": token, "data": Bytes::from(mint.clone())});
    pair.call("a stranger's mint", stranger).await;
    let failed = pair.send("a stranger's mint, mined", &bob.next_call(token, mint)).await;
    assert_eq!(failed["status"], "0x0");

    let order = order(alice.address(), bob.address());
    let domain = eip712_domain! {
        name: "haggle Escrow", version: "1", chain_id: DEV_CHAIN_ID, verifying_contract: escrow,
    };
    let usdc = eip712_domain! { name: "USD Coin", version: "2", chain_id: DEV_CHAIN_ID, verifying_contract: token, };
    let id = order.eip712_signing_hash(&domain);
    let payment = ReceiveWithAuthorization {
        from: alice.address(),
        to: escrow,
        value: order.amount.to(),
        validAfter: U256::ZERO,
        validBefore: order.fundBy.to(),
        nonce: id,
    };
    let buyer = signed(&alice, &payment.eip712_signing_hash(&usdc));
    let fund = Escrow::fundCall { order: order.clone(), buyerAuth: buyer, providerSig: signed(&bob, &id) }.abi_encode();
    let release = signed(&alice, &Release { orderId: id }.eip712_signing_hash(&domain));
    let release = Escrow::releaseCall { order: order.clone(), buyerSig: release }.abi_encode();

    pair.call("a release too early", json!({"to": escrow, "data": Bytes::from(release.clone())})).await;
    pair.estimates("a fund", json!({"from": bob.address(), "to": escrow, "data": Bytes::from(fund.clone())})).await;
    let funded = pair.send("fund", &bob.next_call(escrow, fund.clone())).await;
    assert_eq!(funded["status"], "0x1");
    pair.call("fund again", json!({"to": escrow, "data": Bytes::from(fund.clone())})).await;
    assert_eq!(pair.send("fund again, mined", &bob.next_call(escrow, fund)).await["status"], "0x0");
    let deliver = Escrow::deliverCall { order: order.clone(), deliverable: B256::repeat_byte(3) }.abi_encode();
    pair.send("deliver", &bob.next_call(escrow, deliver)).await;
    assert_eq!(pair.send("release", &bob.next_call(escrow, release.clone())).await["status"], "0x1");
    pair.call("release again", json!({"to": escrow, "data": Bytes::from(release)})).await;
    let withdraw = Escrow::withdrawCall { account: order.feeTo }.abi_encode();
    pair.send("withdraw", &bob.next_call(escrow, withdraw.clone())).await;
    pair.call("withdraw again", json!({"to": escrow, "data": Bytes::from(withdraw)})).await;
    for account in [alice.address(), bob.address(), order.feeTo, escrow] {
        let ask = Bytes::from(TestUSDC::balanceOfCall { account }.abi_encode());
        pair.call("a balance", json!({"to": token, "data": ask})).await;
    }
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

fn signed(person: &Person, digest: &B256) -> Bytes {
    person.key.sign_hash_sync(digest).unwrap().as_bytes().into()
}

fn order(buyer: Address, provider: Address) -> IEscrow::Order {
    IEscrow::Order {
        buyer,
        provider,
        validator: Address::ZERO,
        arbitrator: Address::ZERO,
        feeTo: Address::repeat_byte(0xfe),
        amount: U96::from(5_000_000),
        bond: U96::ZERO,
        stake: U96::ZERO,
        feeBps: 1_000,
        silentBps: 0,
        flags: 0,
        fundBy: U40::from(1_795_100_000),
        deliverBy: U40::from(1_795_200_000),
        reviewSecs: 3_600,
        counterSecs: 3_600,
        ruleSecs: 3_600,
        terms: B256::repeat_byte(7),
        salt: U256::from(1),
    }
}
