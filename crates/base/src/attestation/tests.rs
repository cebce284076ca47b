//! Alice bought from Bob; both say how it went, and nobody else can.

use crate::clock::Timestamp;
use crate::error::Coded;
use crate::keys::Seed;
use crate::record::{Record, Signed};

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

struct Market {
    alice: Seed,
    bob: Seed,
    eve: Seed,
}

impl Market {
    fn open() -> Self {
        Self { alice: Seed::devnet(7, 0), bob: Seed::devnet(7, 1), eve: Seed::devnet(7, 2) }
    }

    fn parties(&self) -> Parties {
        Parties {
            buyer: self.alice.agent_key(0).did(),
            provider: self.bob.agent_key(0).did(),
            buyer_address: self.alice.payment_key(0).address(),
            provider_address: self.bob.payment_key(0).address(),
        }
    }

    /// Alice's receipt, not signed yet.
    fn receipt(&self) -> Attestation {
        let parties = self.parties();
        let order = OrderId::new(B256::repeat_byte(0x77));
        Attestation {
            fee: "0.0005".parse().unwrap(),
            paid: "0.02".parse().unwrap(),
            side: Side::Buyer,
            buyer: parties.buyer,
            order,
            amount: "0.02".parse().unwrap(),
            escrow: Address::repeat_byte(0xee),
            rating: None,
            chain_id: 31_337,
            parties: parties.to_bytes().unwrap().try_into().unwrap(),
            subject: parties.provider,
            provider: parties.provider,
            closed_by: ClosedBy::Release,
            signature: self.alice.payment_key(0).sign_digest(&B256::ZERO),
            capability: "digest".try_into().unwrap(),
            latency_ms: 120,
            terms_rest: Hash::of(b"the rest of the terms"),
            attestation: AttestationKind::Receipt,
            request_hash: Hash::of(b"input"),
            response_hash: Some(Hash::of(b"output")),
            provider_consent: Some(self.bob.payment_key(0).sign_digest(order.as_b256())),
        }
    }

    fn code(&self, change: impl FnOnce(&mut Attestation)) -> &'static str {
        let mut attestation = self.receipt();
        change(&mut attestation);
        attestation.signed(&self.alice.payment_key(0)).check().unwrap_err().code()
    }
}

fn record(body: Attestation) -> Record<Attestation> {
    let (slot, ttl) = (body.slot(), Attestation::MAX_TTL);
    Record::new("devnet-7/1".parse().unwrap(), slot, NOW, ttl, body)
}

#[test]
fn both_sides_attest_and_a_stranger_can_check_it() {
    let market = Market::open();
    let alices = market.receipt().signed(&market.alice.payment_key(0));
    let mut bobs = Attestation {
        side: Side::Provider,
        subject: market.parties().buyer,
        attestation: AttestationKind::Rating,
        rating: Some(5),
        ..market.receipt()
    };
    bobs = bobs.signed(&market.bob.payment_key(0));
    for (body, author) in [(alices, &market.alice), (bobs, &market.bob)] {
        let signed = Signed::sign(&record(body.clone()), &author.agent_key(0)).unwrap();
        assert!(signed.bytes().len() <= Attestation::MAX_BYTES);
        let verified = signed.verify(&"devnet-7/1".parse().unwrap(), NOW).unwrap();
        assert_eq!(verified.body(), &body);
    }
}

#[test]
fn only_the_side_itself_may_attest_and_only_in_its_slot() {
    let market = Market::open();
    let body = market.receipt().signed(&market.alice.payment_key(0));
    let by_eve = Signed::sign(&record(body.clone()), &market.eve.agent_key(0)).unwrap_err();
    assert_eq!(by_eve, RecordError::WrongAuthor);
    let by_bob = Signed::sign(&record(body.clone()), &market.bob.agent_key(0)).unwrap_err();
    assert_eq!(by_bob, RecordError::WrongAuthor);
    let mut elsewhere = record(body);
    elsewhere.slot = "receipt/again".try_into().unwrap();
    let twice = Signed::sign(&elsewhere, &market.alice.agent_key(0)).unwrap_err();
    assert_eq!(twice, RecordError::WrongSlot);
}

#[test]
fn every_field_is_under_the_payment_keys_signature() {
    let market = Market::open();
    let signed = market.receipt().signed(&market.alice.payment_key(0));
    type Change = fn(&mut Attestation);
    let changes: [Change; 12] = [
        |a| a.fee = Usdc::from_units(1),
        |a| a.paid = Usdc::from_units(1),
        |a| a.amount = Usdc::from_units(20_001),
        |a| a.order = OrderId::new(B256::repeat_byte(0x78)),
        |a| a.escrow = Address::repeat_byte(0xef),
        |a| a.chain_id = 8453,
        |a| a.closed_by = ClosedBy::Timeout,
        |a| a.capability = "csv".try_into().unwrap(),
        |a| a.latency_ms = 1,
        |a| a.terms_rest = Hash::of(b"other terms"),
        |a| a.request_hash = Hash::of(b"other input"),
        |a| a.response_hash = None,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut changed = signed.clone();
        change(&mut changed);
        changed.provider_consent = None;
        assert_eq!(changed.check().unwrap_err().code(), "bad_signature", "change {number}");
    }
}

#[test]
fn statements_that_contradict_themselves_are_refused() {
    let market = Market::open();
    let (alice, eve) = (market.parties().buyer, market.eve.agent_key(0).did());
    assert_eq!(market.code(|a| a.subject = alice), "bad_subject");
    assert_eq!(market.code(|a| a.provider = eve), "bad_parties");
    assert_eq!(market.code(|a| a.parties = Blob::default()), "bad_parties");
    assert_eq!(market.code(|a| a.rating = Some(5)), "bad_rating");
    let rate = |stars| {
        market.code(|a| {
            a.attestation = AttestationKind::Rating;
            a.rating = stars;
        })
    };
    assert_eq!([rate(None), rate(Some(0)), rate(Some(6))], ["bad_rating"; 3]);
    assert_eq!(market.code(|a| a.paid = Usdc::MAX), "bad_amount");
    let eves = market.eve.payment_key(0).sign_digest(market.receipt().order.as_b256());
    assert_eq!(market.code(|a| a.provider_consent = Some(eves)), "bad_consent");
    let mut alone = market.parties();
    alone.provider = alone.buyer;
    let alone = alone.to_bytes().unwrap();
    let with_herself = market.code(|a| {
        a.parties = alone.try_into().unwrap();
        (a.provider, a.subject) = (a.buyer, a.buyer);
    });
    assert_eq!(with_herself, "bad_parties");
}

#[test]
fn the_terms_hash_shows_the_parties_without_the_rest() {
    let market = Market::open();
    let parties = market.parties().to_bytes().unwrap();
    let rest = b"the rest of the terms";
    let whole = terms_hash(&parties, rest);
    assert_eq!(terms_hash_from(&Hash::of(&parties), &Hash::of(rest)), whole);
    assert_eq!(market.receipt().terms(), whole);
    assert_ne!(terms_hash(rest, &parties), whole);
    assert_eq!(Parties::from_bytes(&parties).unwrap(), market.parties());
}

#[test]
fn outcomes_are_the_contracts_codes() {
    let codes: Vec<u8> = ClosedBy::ALL.into_iter().map(ClosedBy::outcome).collect();
    assert_eq!(codes, (1..=10).collect::<Vec<_>>());
    for closed in ClosedBy::ALL {
        assert_eq!(ClosedBy::from_outcome(closed.outcome()), Some(closed));
    }
    assert_eq!(ClosedBy::from_outcome(0), None);
    assert_eq!(ClosedBy::from_outcome(11), None);
}
