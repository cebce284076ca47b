//! A requirement and a payload say exactly what the order says, or they are refused.

use haggle_base::{
    Address, B256, Coded, EvmSignature, NetworkFile, Order, PaymentKey, Seed, Timestamp, TokenFacts, U256, Usdc,
    eip712::{FLAG_FEE_ON_TOP, TransferWithAuthorization, digest, token_domain},
};
use haggle_x402::{
    EscrowFacts, ExactFacts, PaymentPayload, PaymentRequired, PaymentRequirements, Resource, Scheme,
    check_payload_against_order, check_requirement_against_order,
    choose::{Choice, Means, choose},
    deposit_of, payload_for_order, requirement_for_order, settle_response_for_order,
};
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn key(index: u32) -> PaymentKey {
    Seed::devnet(7, index).payment_key(0)
}

fn token() -> TokenFacts {
    TokenFacts {
        address: Address::repeat_byte(0x70),
        name: "USD Coin".to_owned(),
        version: "2".to_owned(),
        symbol: "USDC".to_owned(),
        decimals: 6,
    }
}

fn facts() -> EscrowFacts {
    EscrowFacts::new(31_337, Address::repeat_byte(0xe5), token())
}

/// Alice buys from Bob for 5 USDC, with 2.5 % on top.
fn order() -> Order {
    Order {
        buyer: key(0).address(),
        provider: key(1).address(),
        feeTo: Address::repeat_byte(0xfe),
        amount: Usdc::from_units(5_000_000).to_u96(),
        feeBps: 250,
        flags: FLAG_FEE_ON_TOP,
        fundBy: NOW.plus(std::time::Duration::from_secs(300)).to_u40(),
        deliverBy: NOW.plus(std::time::Duration::from_secs(3600)).to_u40(),
        reviewSecs: 3600,
        counterSecs: 3600,
        ruleSecs: 3600,
        terms: B256::repeat_byte(0x7e),
        salt: U256::from(1),
        ..Order::default()
    }
}

fn consent(order: &Order) -> EvmSignature {
    key(1).sign_digest(facts().order_id(order).as_b256())
}

fn payment(order: &Order) -> EvmSignature {
    key(0).sign_digest(&facts().deposit_digest(order).expect("the order can be paid"))
}

fn payload(order: &Order) -> PaymentPayload {
    let requirement = requirement_for_order(order, &facts(), NOW).expect("the order can be paid");
    payload_for_order(requirement, order, &facts(), payment(order), consent(order)).expect("the order can be paid")
}

#[test]
fn the_owners_buyer_pays_a_fee_of_a_fortieth_on_top() {
    assert_eq!(deposit_of(&order()).unwrap(), Usdc::from_units(5_125_000));
    let from_the_seller = Order { feeBps: 1000, flags: 0, ..order() };
    assert_eq!(deposit_of(&from_the_seller).unwrap(), Usdc::from_units(5_000_000));
}

#[test]
fn an_order_is_asked_for_in_the_standard_shape() {
    let requirement = requirement_for_order(&order(), &facts(), NOW).unwrap();
    let id = facts().order_id(&order());
    assert_eq!(
        serde_json::to_value(&requirement).unwrap(),
        json!({
            "scheme": "haggle-escrow", "network": "eip155:31337", "amount": "5125000",
            "asset": token().address.to_string(), "payTo": order().provider.to_string(), "maxTimeoutSeconds": 300,
            "extra": {"paymentFlow": "escrow", "escrow": format!("{:#x}", facts().escrow()), "order": id.to_string(),
                "termsHash": "7e".repeat(32), "name": "USD Coin", "version": "2"},
        })
    );
}

#[test]
fn a_payload_survives_the_wire_and_pays_its_order() {
    let sent = serde_json::to_string(&payload(&order())).unwrap();
    let received: PaymentPayload = serde_json::from_str(&sent).unwrap();
    let paid = check_payload_against_order(&received, &order(), &facts()).unwrap();
    assert_eq!(paid.signature, payment(&order()));
    assert_eq!(paid.provider_signature, consent(&order()));
    assert_eq!(received.payload["authorization"]["nonce"], facts().order_id(&order()).to_string());
}

#[test]
fn a_payload_for_one_order_pays_no_other() {
    let other = Order { salt: U256::from(2), ..order() };
    let error = check_payload_against_order(&payload(&order()), &other, &facts()).unwrap_err();
    assert_eq!(error.code(), "payment_mismatch");
    let elsewhere = EscrowFacts::new(31_337, Address::repeat_byte(0xe6), token());
    assert_eq!(
        check_payload_against_order(&payload(&order()), &order(), &elsewhere).unwrap_err().code(),
        "payment_mismatch"
    );
    let other_chain = EscrowFacts::new(1, facts().escrow(), token());
    assert_eq!(
        check_payload_against_order(&payload(&order()), &order(), &other_chain).unwrap_err().code(),
        "payment_mismatch"
    );
}

#[test]
fn every_altered_field_is_noticed() {
    let alterations: [(&str, Value); 14] = [
        ("/accepted/scheme", json!("exact")),
        ("/accepted/network", json!("eip155:1")),
        ("/accepted/amount", json!("5125001")),
        ("/accepted/asset", json!(Address::repeat_byte(1).to_string())),
        ("/accepted/payTo", json!(Address::repeat_byte(2).to_string())),
        ("/accepted/extra/paymentFlow", json!("upfront")),
        ("/accepted/extra/escrow", json!(Address::repeat_byte(3).to_string())),
        ("/accepted/extra/termsHash", json!("00".repeat(32))),
        ("/accepted/extra/name", json!("USDC")),
        ("/payload/authorization/to", json!(Address::repeat_byte(4).to_string())),
        ("/payload/authorization/value", json!("1")),
        ("/payload/authorization/validAfter", json!("1")),
        ("/payload/authorization/validBefore", json!("1")),
        ("/payload/authorization/nonce", json!(B256::ZERO.to_string())),
    ];
    for (path, value) in alterations {
        let mut altered = serde_json::to_value(payload(&order())).unwrap();
        *altered.pointer_mut(path).unwrap() = value;
        let altered: PaymentPayload = serde_json::from_value(altered).unwrap();
        let error = check_payload_against_order(&altered, &order(), &facts()).unwrap_err();
        assert_eq!(error.code(), "payment_mismatch", "{path}");
    }
}

#[test]
fn eves_signature_pays_nothing_and_consents_to_nothing() {
    let eve = key(2);
    let requirement = requirement_for_order(&order(), &facts(), NOW).unwrap();
    let forged = eve.sign_digest(&facts().deposit_digest(&order()).unwrap());
    let paid = payload_for_order(requirement.clone(), &order(), &facts(), forged, consent(&order())).unwrap();
    assert_eq!(check_payload_against_order(&paid, &order(), &facts()).unwrap_err().code(), "payment_signature_invalid");

    let forged = eve.sign_digest(facts().order_id(&order()).as_b256());
    let paid = payload_for_order(requirement, &order(), &facts(), payment(&order()), forged).unwrap();
    assert_eq!(check_payload_against_order(&paid, &order(), &facts()).unwrap_err().code(), "payment_signature_invalid");
}

#[test]
fn a_transfer_authorisation_is_not_a_deposit() {
    let order = order();
    let transfer = TransferWithAuthorization {
        from: order.buyer,
        to: facts().escrow(),
        value: deposit_of(&order).unwrap().to_u256(),
        validAfter: U256::ZERO,
        validBefore: U256::from(Timestamp::from_u40(order.fundBy).as_secs()),
        nonce: *facts().order_id(&order).as_b256(),
    };
    let signature = key(0).sign_digest(&digest(&transfer, &token_domain(31_337, &token())));
    let requirement = requirement_for_order(&order, &facts(), NOW).unwrap();
    let paid = payload_for_order(requirement, &order, &facts(), signature, consent(&order)).unwrap();
    assert_eq!(check_payload_against_order(&paid, &order, &facts()).unwrap_err().code(), "payment_signature_invalid");
}

#[test]
fn zero_and_overflowing_orders_cannot_be_paid() {
    let zero = Order { amount: Usdc::ZERO.to_u96(), ..order() };
    let huge = Order { amount: Usdc::MAX.to_u96(), feeBps: 1000, ..order() };
    for order in [zero, huge] {
        assert_eq!(requirement_for_order(&order, &facts(), NOW).unwrap_err().code(), "payment_amount_invalid");
        assert_eq!(facts().deposit_digest(&order).unwrap_err().code(), "payment_amount_invalid");
    }
}

#[test]
fn a_requirement_without_its_extra_asks_for_no_order() {
    let mut requirement = requirement_for_order(&order(), &facts(), NOW).unwrap();
    requirement.rest.clear();
    let error = check_requirement_against_order(&requirement, &order(), &facts()).unwrap_err();
    assert_eq!(error.code(), "payment_mismatch");
    requirement.rest.insert("extra".to_owned(), json!({"paymentFlow": "escrow"}));
    let error = check_requirement_against_order(&requirement, &order(), &facts()).unwrap_err();
    assert_eq!(error.code(), "payment_malformed");
}

#[test]
fn the_answer_to_a_funded_order_names_payer_and_transaction() {
    let answer = settle_response_for_order(&order(), &facts(), B256::repeat_byte(9)).unwrap();
    assert_eq!(
        serde_json::to_value(answer).unwrap(),
        json!({"success": true, "transaction": B256::repeat_byte(9).to_string(), "network": "eip155:31337",
            "payer": order().buyer.to_string(), "amount": "5125000"})
    );
}

fn means(budget: u64) -> Means {
    let schemes = vec![Scheme::HaggleEscrow, Scheme::Exact, Scheme::BatchSettlement];
    Means { facts: ExactFacts::new(31_337, token()), schemes, budget: Usdc::from_units(budget) }
}

fn offer(accepts: Vec<PaymentRequirements>) -> PaymentRequired {
    PaymentRequired::new(Resource::new("haggle:order"), accepts)
}

#[test]
fn the_cheapest_known_way_within_the_budget_is_chosen() {
    let dear = requirement_for_order(&order(), &facts(), NOW).unwrap();
    let cheap = requirement_for_order(&Order { flags: 0, ..order() }, &facts(), NOW).unwrap();
    let offered = offer(vec![dear, cheap.clone()]);
    assert_eq!(choose(&offered, &means(5_000_000)), Choice::Pay(&cheap));
    assert_eq!(choose(&offered, &means(4_999_999)), Choice::OverBudget { cheapest: Usdc::from_units(5_000_000) });
}

#[test]
fn unknown_schemes_flows_chains_and_tokens_are_skipped() {
    let known = requirement_for_order(&order(), &facts(), NOW).unwrap();
    let altered = |path: &str, value: Value| -> PaymentRequirements {
        let mut entry = serde_json::to_value(&known).unwrap();
        *entry.pointer_mut(path).unwrap() = value;
        serde_json::from_value(entry).unwrap()
    };
    let strange = vec![
        altered("/scheme", json!("exact")),
        altered("/scheme", json!("tomorrow")),
        altered("/extra/paymentFlow", json!("someday")),
        altered("/extra/paymentFlow", json!(null)),
        altered("/network", json!("eip155:1")),
        altered("/asset", json!(Address::repeat_byte(1).to_string())),
        altered("/asset", json!("USD")),
        altered("/amount", json!("0")),
        altered("/amount", json!("9".repeat(40))),
    ];
    let offered = offer(strange.clone());
    assert_eq!(choose(&offered, &means(u64::MAX)), Choice::NothingKnown);
    let offered = offer(strange.into_iter().chain([known.clone()]).collect());
    assert_eq!(choose(&offered, &means(u64::MAX)), Choice::Pay(&known));
}

#[test]
fn a_network_file_names_the_escrow() {
    let file: NetworkFile = toml_free_network();
    assert_eq!(EscrowFacts::of(&file), facts());
}

/// A network file built from JSON: the same serde shape as its TOML.
fn toml_free_network() -> NetworkFile {
    serde_json::from_value(json!({
        "id": "devnet-7/1", "chain_id": 31337, "shards": 4, "escrow": facts().escrow(), "fee_sinks": [], "bootstrap": [],
        "token": token(), "fee": {"bps": 250, "payer": "buyer", "recipient": Address::repeat_byte(0xfe)},
    }))
    .expect("a network file")
}
