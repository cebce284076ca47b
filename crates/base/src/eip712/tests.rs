//! Digests against the vectors that the contracts' own tests use.

use serde::Deserialize;

use crate::evm_signature::EvmSignature;
use crate::keys::PaymentKey;

use super::*;

mod contracts;

/// Made with Python's eth-account; a forge test reads the same file.
const VECTORS: &str = include_str!("../../../../docs/protocols/vectors/eip712-order.json");

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vectors {
    buyer_key: B256,
    provider_key: B256,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    name: String,
    chain_id: String,
    escrow: Address,
    token: Address,
    order: serde_json::Value,
    escrow_domain_separator: B256,
    token_domain_separator: B256,
    order_id: OrderId,
    release_digest: B256,
    refund_digest: B256,
    deposit: String,
    receive_with_authorization_digest: B256,
    buyer_auth: EvmSignature,
    provider_sig: EvmSignature,
    release_sig: EvmSignature,
    refund_sig: EvmSignature,
}

fn order(fields: &serde_json::Value) -> Order {
    let text = |name: &str| fields[name].as_str().unwrap().to_owned();
    fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
        text.parse().unwrap()
    }
    Order {
        buyer: number(&text("buyer")),
        provider: number(&text("provider")),
        validator: number(&text("validator")),
        arbitrator: number(&text("arbitrator")),
        feeTo: number(&text("feeTo")),
        amount: number(&text("amount")),
        bond: number(&text("bond")),
        stake: number(&text("stake")),
        feeBps: number(&text("feeBps")),
        silentBps: number(&text("silentBps")),
        flags: number(&text("flags")),
        fundBy: number(&text("fundBy")),
        deliverBy: number(&text("deliverBy")),
        reviewSecs: number(&text("reviewSecs")),
        counterSecs: number(&text("counterSecs")),
        ruleSecs: number(&text("ruleSecs")),
        terms: number(&text("terms")),
        salt: number(&text("salt")),
    }
}

fn usdc_at(address: Address) -> TokenFacts {
    TokenFacts { address, name: "USD Coin".to_owned(), version: "2".to_owned(), symbol: "USDC".to_owned(), decimals: 6 }
}

#[test]
fn orders_releases_refunds_and_payments_have_the_contracts_digests() {
    let vectors: Vectors = serde_json::from_str(VECTORS).unwrap();
    let buyer = PaymentKey::from_bytes(&vectors.buyer_key.0).unwrap();
    let provider = PaymentKey::from_bytes(&vectors.provider_key.0).unwrap();
    assert!(!vectors.cases.is_empty());
    for case in vectors.cases {
        let name = &case.name;
        let chain_id = case.chain_id.parse().unwrap();
        let escrow = escrow_domain(chain_id, case.escrow);
        let token = token_domain(chain_id, &usdc_at(case.token));
        assert_eq!(*escrow.separator(), case.escrow_domain_separator, "{name}");
        assert_eq!(*token.separator(), case.token_domain_separator, "{name}");

        let order = order(&case.order);
        assert_eq!(order_id(&order, &escrow), case.order_id, "{name}");
        let release = digest(&Release { orderId: case.order_id.into() }, &escrow);
        assert_eq!(release, case.release_digest, "{name}");
        let refund = digest(&Refund { orderId: case.order_id.into() }, &escrow);
        assert_eq!(refund, case.refund_digest, "{name}");

        let deposit = order.payment_value();
        assert_eq!(deposit.to_string(), case.deposit, "{name}");
        let payment = ReceiveWithAuthorization {
            from: order.buyer,
            to: case.escrow,
            value: deposit,
            validAfter: U256::ZERO,
            validBefore: U256::from(order.fundBy),
            nonce: case.order_id.into(),
        };
        let payment = digest(&payment, &token);
        assert_eq!(payment, case.receive_with_authorization_digest, "{name}");

        // Signatures are deterministic, so ours equal those of another library to the byte.
        assert_eq!(buyer.sign_digest(&payment), case.buyer_auth, "{name}");
        assert_eq!(buyer.sign_digest(&release), case.release_sig, "{name}");
        assert_eq!(provider.sign_digest(case.order_id.as_b256()), case.provider_sig, "{name}");
        assert_eq!(provider.sign_digest(&refund), case.refund_sig, "{name}");
    }
}

#[test]
fn an_order_can_be_stored_and_read_back() {
    let vectors: Vectors = serde_json::from_str(VECTORS).unwrap();
    for case in vectors.cases {
        let order = order(&case.order);
        let bytes = crate::cbor::to_vec(&order).unwrap();
        assert_eq!(crate::cbor::from_slice::<Order>(&bytes, 1024).unwrap(), order);
        let json = serde_json::to_string(&order).unwrap();
        assert_eq!(serde_json::from_str::<Order>(&json).unwrap(), order);
    }
}

#[test]
fn one_escrow_or_chain_is_never_taken_for_another() {
    let order = Order::default();
    let here = escrow_domain(31_337, Address::repeat_byte(1));
    let there = escrow_domain(31_337, Address::repeat_byte(2));
    let elsewhere = escrow_domain(8_453, Address::repeat_byte(1));
    assert_ne!(order_id(&order, &here), order_id(&order, &there));
    assert_ne!(order_id(&order, &here), order_id(&order, &elsewhere));
}

#[test]
fn hostile_amounts_and_fees_do_not_overflow() {
    use alloy_primitives::aliases::U96;
    let mut order = Order { amount: U96::MAX, feeBps: u16::MAX, flags: FLAG_FEE_ON_TOP, ..Order::default() };
    assert_eq!(order.deposit(), None);
    assert_eq!(order.fee_on(U96::MAX), U96::MAX);
    order.flags = FLAG_PAY_UNDELIVERED;
    assert_eq!(order.deposit(), Some(U96::MAX));
}
