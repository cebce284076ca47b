//! The document, its hash and the order that follows from it.

use alloy_primitives::{Address, B256, U256, aliases::U96};
use haggle_base::{
    AgentKey, Coded, Hash, Order, Parties, Seed, Usdc, cbor, cose, eip712,
    network_file::{FeePayer, FeeRule, TokenFacts},
    terms_hash_from,
};
use proptest::prelude::*;

use super::{Agreement, Fee, MAX_REST_BYTES, MAX_TERMS_BYTES, Scheme, ServiceLevel, TERMS_KIND, Terms, venue_fee};
use crate::{config::Venue, error::TradeError};

/// A way to spoil one field of an order.
type Change = fn(&mut Order);

fn agent(index: u32) -> AgentKey {
    Seed::devnet(7, index).agent_key(0)
}

fn venue() -> Venue {
    Venue {
        arbitration: None,
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
    }
}

fn parties() -> Parties {
    Parties {
        buyer: agent(1).did(),
        provider: agent(0).did(),
        buyer_address: Address::repeat_byte(0xB0),
        provider_address: Address::repeat_byte(0xA1),
    }
}

fn terms() -> Terms {
    Terms {
        network: venue().network,
        chain_id: 31_337,
        escrow: venue().escrow,
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
        fee: venue_fee(&venue()),
        fund_by: 1_000,
        deliver_by: 2_000,
        review_secs: 3_600,
        validator: Address::ZERO,
        arbiter: Address::ZERO,
        sla: ServiceLevel { deliver_within_secs: 600 },
        salt: B256::repeat_byte(3),
    }
}

fn agreement() -> Agreement {
    Agreement::new(&parties(), &terms(), &venue()).unwrap()
}

#[test]
fn the_order_says_what_the_terms_say() {
    let agreement = agreement();
    let order = &agreement.order;
    assert_eq!((order.buyer, order.provider), (Address::repeat_byte(0xB0), Address::repeat_byte(0xA1)));
    assert_eq!(order.amount, U96::from(5_000_000));
    assert_eq!((order.feeBps, order.flags, order.feeTo), (250, 1, Address::repeat_byte(0xFE)));
    assert_eq!(order.deposit().unwrap(), U96::from(5_125_000));
    assert_eq!(agreement.deposit().unwrap(), "5.125".parse().unwrap());
    assert_eq!((order.fundBy.to::<u64>(), order.deliverBy.to::<u64>(), order.reviewSecs), (1_000, 2_000, 3_600));
    assert_eq!(order.terms.0, *agreement.hash.as_bytes());
    assert_eq!(order.salt, U256::from_be_bytes([3; 32]));
    let domain = eip712::escrow_domain(31_337, venue().escrow);
    assert_eq!(agreement.id, eip712::order_id(order, &domain));
}

#[test]
fn the_dids_can_be_shown_without_the_rest() {
    let agreement = agreement();
    let parties = Hash::of(&agreement.parties_bytes);
    assert_eq!(terms_hash_from(&parties, &agreement.rest_hash), agreement.hash);
    let shown: Parties = cbor::from_slice(&agreement.parties_bytes, 512).unwrap();
    assert_eq!(shown, self::parties());
}

#[test]
fn a_seller_paid_fee_is_not_on_top() {
    let mut venue = venue();
    venue.fee = FeeRule { bps: 1_000, payer: FeePayer::Seller, recipient: Address::repeat_byte(0xFE) };
    let terms = Terms { fee: venue_fee(&venue), ..terms() };
    let agreement = Agreement::new(&parties(), &terms, &venue).unwrap();
    assert_eq!(agreement.order.flags, 0);
    assert_eq!(agreement.deposit().unwrap(), "5.0".parse().unwrap());
}

#[test]
fn every_field_of_the_order_is_compared() {
    let agreement = agreement();
    agreement.check_order(&agreement.order).unwrap();
    let cases: [(&str, Change); 18] = [
        ("buyer", |order| order.buyer = Address::ZERO),
        ("provider", |order| order.provider = Address::ZERO),
        ("validator", |order| order.validator = Address::repeat_byte(1)),
        ("arbitrator", |order| order.arbitrator = Address::repeat_byte(1)),
        ("feeTo", |order| order.feeTo = Address::ZERO),
        ("amount", |order| order.amount = U96::from(1)),
        ("bond", |order| order.bond = U96::from(1)),
        ("stake", |order| order.stake = U96::from(1)),
        ("feeBps", |order| order.feeBps = 1),
        ("silentBps", |order| order.silentBps = 1),
        ("flags", |order| order.flags = 3),
        ("fundBy", |order| order.fundBy += alloy_primitives::aliases::U40::from(1)),
        ("deliverBy", |order| order.deliverBy += alloy_primitives::aliases::U40::from(1)),
        ("reviewSecs", |order| order.reviewSecs += 1),
        ("counterSecs", |order| order.counterSecs += 1),
        ("ruleSecs", |order| order.ruleSecs += 1),
        ("terms", |order| order.terms = B256::ZERO),
        ("salt", |order| order.salt = U256::ZERO),
    ];
    for (name, change) in cases {
        let mut order = agreement.order.clone();
        change(&mut order);
        match agreement.check_order(&order) {
            Err(TradeError::TermsMismatch { field }) => assert_eq!(field, name),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn signed_terms_open_only_for_the_party_that_signed() {
    let agreement = agreement();
    let by = |key: &AgentKey| cose::sign(TERMS_KIND, agreement.payload(), key);
    let (alice, bob, eve) = (agent(0), agent(1), agent(2));
    assert_eq!(Agreement::open(&by(&bob), &bob.did(), &venue()).unwrap(), agreement);
    assert_eq!(Agreement::open(&by(&alice), &alice.did(), &venue()).unwrap(), agreement);
    assert_eq!(Agreement::open(&by(&bob), &alice.did(), &venue()).unwrap_err().code(), "bad_signature");
    assert_eq!(Agreement::open(&by(&eve), &eve.did(), &venue()).unwrap_err().code(), "bad_signature");
    assert_eq!(Agreement::open_from_buyer(&by(&alice), &venue()).unwrap_err().code(), "terms_mismatch");
    let other_kind = cose::sign("quote", agreement.payload(), &bob);
    assert!(Agreement::open(&other_kind, &bob.did(), &venue()).is_err(), "a quote is not a terms document");
}

#[test]
fn one_agent_cannot_trade_with_itself() {
    let same_did = Parties { provider: parties().buyer, ..parties() };
    assert!(Agreement::new(&same_did, &terms(), &venue()).is_err());
    let same_purse = Parties { provider_address: parties().buyer_address, ..parties() };
    assert!(Agreement::new(&same_purse, &terms(), &venue()).is_err());
}

#[test]
fn the_longest_terms_fit_their_bounds() {
    let long = "x".repeat(64);
    let text = || long.as_str().try_into().unwrap();
    let mut venue = venue();
    venue.network = format!("{}/1", "n".repeat(62)).parse().unwrap();
    venue.chain_id = u64::MAX;
    let terms = Terms {
        network: venue.network.clone(),
        chain_id: u64::MAX,
        slot: text(),
        skill: text(),
        capability: text(),
        seq: u64::MAX,
        output_schema: Some(Hash::of(b"schema")),
        price: Usdc::from_units(u64::MAX / 2),
        deliver_by: 1_000 + 365 * 24 * 3_600,
        ..terms()
    };
    assert!(cbor::to_vec(&terms).unwrap().len() <= MAX_REST_BYTES);
    let agreement = Agreement::new(&parties(), &terms, &venue).unwrap();
    assert!(cose::sign(TERMS_KIND, agreement.payload(), &agent(1)).len() <= MAX_TERMS_BYTES);
}

proptest! {
    /// The deposit is the price and the floor of the fee, and what the order says.
    #[test]
    fn fees_round_down_and_the_order_agrees(units in 1_u64..1 << 53, bps in 0_u16..=1_000) {
        let mut venue = venue();
        venue.fee.bps = bps;
        let price = Usdc::from_units(units);
        let terms = Terms { price, fee: venue_fee(&venue), ..terms() };
        let agreement = Agreement::new(&parties(), &terms, &venue).unwrap();
        let fee = u64::try_from(u128::from(units) * u128::from(bps) / 10_000).unwrap();
        prop_assert_eq!(agreement.deposit().unwrap().units(), units + fee);
        prop_assert_eq!(agreement.order.deposit().unwrap(), U96::from(units + fee));
    }

    /// Amounts near the top overflow into an error, never around.
    #[test]
    fn a_deposit_never_wraps(units in u64::MAX - 1_000_000..=u64::MAX) {
        let fee = Fee { bps: 250, payer: FeePayer::Buyer, recipient: Address::ZERO };
        prop_assert!(fee.deposit(Usdc::from_units(units)).is_err());
    }

    /// Whatever bytes come, opening ends in an error and not in a panic.
    #[test]
    fn random_and_mutated_documents_do_not_open(
        noise in prop::collection::vec(any::<u8>(), 0..400), at in any::<prop::sample::Index>(), flip in 1_u8..=255,
    ) {
        prop_assert!(Agreement::open(&noise, &agent(1).did(), &venue()).is_err());
        let mut signed = cose::sign(TERMS_KIND, agreement().payload(), &agent(1));
        let at = at.index(signed.len());
        signed[at] ^= flip;
        prop_assert!(Agreement::open(&signed, &agent(1).did(), &venue()).is_err());
        signed.truncate(at);
        prop_assert!(Agreement::open(&signed, &agent(1).did(), &venue()).is_err());
    }
}
