//! A proof holds alone, and no byte of it can be changed.

use alloy_primitives::{Address, B256, Bytes};
use haggle_base::{
    AgentKey, Arbitration, ClosedBy, Coded, FeePayer, FeeRule, Hash, Parties, Seed, Side, Timestamp, TokenFacts, cbor,
    cose,
};

use super::{OrderProof, ProofError, SETTLEMENT_KIND, Settlement};
use crate::{
    config::Venue,
    document::{RECEIPT_KIND, Receipt},
    terms::{Agreement, Scheme, ServiceLevel, TERMS_KIND, Terms, venue_fee},
};

fn seller() -> AgentKey {
    Seed::devnet(7, 0).agent_key(0)
}

fn buyer() -> AgentKey {
    Seed::devnet(7, 1).agent_key(0)
}

fn stranger() -> AgentKey {
    Seed::devnet(7, 2).agent_key(0)
}

fn arbitration() -> Arbitration {
    Arbitration {
        arbitrator: Address::repeat_byte(0xAB),
        bond_bps: 1_000,
        counter_secs: 3_600,
        rule_secs: 7_200,
        silent_bps: 5_000,
    }
}

fn agreement(arbitration: Option<Arbitration>) -> Agreement {
    let venue = Venue {
        arbitration,
        network: "devnet-7/1".parse().unwrap(),
        chain_id: 31_337,
        escrow: Address::repeat_byte(0xE5),
        token: TokenFacts {
            address: Address::repeat_byte(0x70),
            name: "USD Coin".to_owned(),
            version: "2".to_owned(),
            symbol: "USDC".to_owned(),
            decimals: 6,
        },
        fee: FeeRule { bps: 250, payer: FeePayer::Buyer, recipient: Address::repeat_byte(0xFE) },
    };
    let parties = Parties {
        buyer: buyer().did(),
        provider: seller().did(),
        buyer_address: Address::repeat_byte(0xB0),
        provider_address: Address::repeat_byte(0xA1),
    };
    let terms = Terms {
        network: venue.network.clone(),
        chain_id: 31_337,
        escrow: venue.escrow,
        scheme: Scheme::HaggleEscrow,
        quote: Hash::of(b"quote"),
        listing: Hash::of(b"listing").into(),
        slot: "listing/words".try_into().unwrap(),
        seq: 7,
        skill: "words".try_into().unwrap(),
        capability: "text".try_into().unwrap(),
        input: Hash::of(b"input"),
        output_schema: None,
        price: "5.0".parse().unwrap(),
        fee: venue_fee(&venue),
        fund_by: 1_000,
        deliver_by: 2_000,
        review_secs: 3_600,
        validator: Address::ZERO,
        arbiter: venue.arbiter(),
        sla: ServiceLevel { deliver_within_secs: 600 },
        salt: B256::repeat_byte(3),
    };
    Agreement::new(&parties, &terms, &venue).unwrap()
}

fn settlement(agreement: &Agreement) -> Settlement {
    Settlement {
        order: agreement.id,
        closed_by: ClosedBy::Release,
        paid: "5.0".parse().unwrap(),
        fee: "0.125".parse().unwrap(),
        refunded: "0".parse().unwrap(),
        tx: B256::repeat_byte(0x7a),
        block: 12,
        at: Timestamp::from_secs(1_795_000_000),
    }
}

fn delivery(agreement: &Agreement) -> Receipt {
    let at = Timestamp::from_secs(1_794_999_990);
    Receipt { order: agreement.id, output: Hash::of(b"output"), output_bytes: 6, at }
}

fn signed<T: serde::Serialize>(kind: &str, said: &T, key: &AgentKey) -> Bytes {
    cose::sign(kind, &cbor::to_vec(said).unwrap(), key).into()
}

fn proof_of(agreement: &Agreement, arbitration: Option<Arbitration>) -> OrderProof {
    OrderProof {
        arbitration,
        terms: cose::sign(TERMS_KIND, agreement.payload(), &buyer()).into(),
        delivery: signed(RECEIPT_KIND, &delivery(agreement), &seller()),
        settlement: signed(SETTLEMENT_KIND, &settlement(agreement), &seller()),
    }
}

fn proof() -> OrderProof {
    proof_of(&agreement(None), None)
}

fn complaint(change: impl FnOnce(&mut OrderProof)) -> ProofError {
    let mut proof = proof();
    change(&mut proof);
    proof.check().unwrap_err()
}

#[test]
fn a_proof_says_who_sold_what_to_whom_and_when_it_was_paid() {
    let facts = proof().check().unwrap();
    assert_eq!((facts.buyer, facts.seller), (buyer().did(), seller().did()));
    assert_eq!(facts.order, agreement(None).id);
    assert_eq!((facts.price.to_string(), facts.total.to_string()), ("5".to_owned(), "5.125".to_owned()));
    assert_eq!(facts.output, Hash::of(b"output"));
    assert_eq!(facts.settled_at, Timestamp::from_secs(1_795_000_000).to_rfc3339());
    assert_eq!(facts.settled_side(), Side::Provider);
}

#[test]
fn an_order_that_can_be_disputed_needs_its_rules_of_arbitration() {
    let agreement = agreement(Some(arbitration()));
    proof_of(&agreement, Some(arbitration())).check().unwrap();
    let without = proof_of(&agreement, None).check().unwrap_err();
    assert_eq!(without, ProofError::Mismatch { part: "terms", field: "arbiter" });
    let others = Arbitration { silent_bps: 0, ..arbitration() };
    let edited = proof_of(&agreement, Some(others)).check().unwrap_err();
    assert_eq!(edited, ProofError::Mismatch { part: "delivery", field: "order" }, "another order follows");
}

#[test]
fn a_byte_that_was_changed_is_noticed_wherever_it_is() {
    let whole = proof();
    for part in 0..3 {
        let bytes = |proof: &OrderProof| [&proof.terms, &proof.delivery, &proof.settlement][part].to_vec();
        // a prime step, so that every field is met somewhere
        for at in (part..bytes(&whole).len()).step_by(97) {
            let mut changed = bytes(&whole);
            changed[at] ^= 1;
            let refused = complaint(|proof| {
                *[&mut proof.terms, &mut proof.delivery, &mut proof.settlement][part] = changed.into();
            });
            assert!(["receipt_forged", "receipt_malformed"].contains(&refused.code()), "{part} {at}: {refused}");
        }
    }
}

#[test]
fn what_others_sign_proves_nothing() {
    let agreement = agreement(None);
    let terms = complaint(|proof| proof.terms = cose::sign(TERMS_KIND, agreement.payload(), &seller()).into());
    assert_eq!(terms, ProofError::BadSignature { part: "terms", by: "the buyer of the terms" });
    let delivery = complaint(|proof| proof.delivery = signed(RECEIPT_KIND, &delivery(&agreement), &buyer()));
    assert_eq!(delivery, ProofError::BadSignature { part: "delivery", by: "the seller of the terms" });
    let settled = complaint(|proof| proof.settlement = signed(SETTLEMENT_KIND, &settlement(&agreement), &stranger()));
    assert_eq!(settled, ProofError::BadSignature { part: "settlement", by: "a party of the terms" });
}

#[test]
fn parts_of_another_order_and_amounts_that_do_not_add_up_are_named() {
    let other = agreement(Some(arbitration()));
    let delivery = complaint(|proof| proof.delivery = signed(RECEIPT_KIND, &delivery(&other), &seller()));
    assert_eq!(delivery, ProofError::Mismatch { part: "delivery", field: "order" });
    let settled = complaint(|proof| proof.settlement = signed(SETTLEMENT_KIND, &settlement(&other), &seller()));
    assert_eq!(settled, ProofError::Mismatch { part: "settlement", field: "order" });
    let short = Settlement { paid: "4.0".parse().unwrap(), ..settlement(&agreement(None)) };
    let short = complaint(|proof| proof.settlement = signed(SETTLEMENT_KIND, &short, &buyer()));
    assert_eq!(short.code(), "receipt_mismatch");
}
