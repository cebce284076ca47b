//! Strangers at the door: wrong network, mutated bytes, random bytes, wrong slots.

use std::time::Duration;

use haggle_base::{Coded, List, Record, cbor};
use proptest::prelude::*;

use super::*;
use crate::{
    body::RECORD_TTL,
    testing::{
        START, agent, card, list, listing, network, signed, signed_attestation, signed_card, signed_listing,
        signed_tombstone, text,
    },
};

fn open(bytes: Vec<u8>) -> Result<AnyRecord, RecordError> {
    AnyRecord::open(bytes, &network(), START)
}

#[test]
fn every_kind_comes_in_through_the_same_door() {
    let alice = agent(0);
    let records = [
        signed_card(&alice, 1, card("alice", None)),
        signed_listing(&alice, "digest", 1, listing("Digest", "text", "0.25")),
        signed_tombstone(&alice, "digest", 2, "text"),
        signed_attestation(1, 0, 7),
    ];
    let kinds = records.map(|bytes| {
        let record = open(bytes.clone()).unwrap();
        assert_eq!(record.bytes(), bytes);
        record.entry(4).kind
    });
    assert_eq!(kinds, [Kind::Card, Kind::Listing, Kind::Tombstone, Kind::Attestation]);
}

#[test]
fn what_every_record_holds_is_declared_in_the_order_it_is_written_in() {
    for bytes in valid() {
        let opened = open(bytes).unwrap();
        assert!(cbor::is_in_order(&opened.entry(4)), "storing it would sort its fields each time");
        let is_in_order = match opened {
            AnyRecord::Card(record) => cbor::is_in_order(record.record()),
            AnyRecord::Listing(record) => cbor::is_in_order(record.record()),
            AnyRecord::Tombstone(record) => cbor::is_in_order(record.record()),
            AnyRecord::Attestation(record) => cbor::is_in_order(record.record()),
        };
        assert!(is_in_order, "verifying it would sort its fields each time");
    }
}

#[test]
fn a_pointer_belongs_in_the_dht_and_on_no_shelf() {
    let network = "devnet-7/1".parse().unwrap();
    let pointer = haggle_base::Pointer::withdrawn().sign(&network, 1, START, &agent(0)).unwrap();
    let refused = open(pointer.bytes().to_vec()).unwrap_err();
    assert_eq!(refused.code(), "wrong_kind");
    assert!(is_senders_fault(&refused));
}

#[test]
fn a_record_of_another_network_is_refused() {
    let bytes = signed_card(&agent(0), 1, card("alice", None));
    let other = "devnet-8/1".parse().unwrap();
    let refused = AnyRecord::open(bytes, &other, START).unwrap_err();
    assert_eq!(refused.code(), "wrong_network");
    assert!(is_senders_fault(&refused));
}

#[test]
fn clocks_are_nobodys_fault() {
    let bytes = signed_card(&agent(0), 1, card("alice", None));
    let late = AnyRecord::open(bytes.clone(), &network(), START.plus(RECORD_TTL)).unwrap_err();
    assert_eq!(late.code(), "expired");
    let early = AnyRecord::open(bytes, &network(), START.minus(Duration::from_secs(700))).unwrap_err();
    assert_eq!(early.code(), "created_in_future");
    assert!(!is_senders_fault(&late) && !is_senders_fault(&early));
}

#[test]
fn a_listing_keeps_to_its_rules() {
    let alice = agent(0);
    let code = |change: &dyn Fn(&mut ListingBody)| {
        let mut body = listing("Digest", "text", "0.25");
        change(&mut body);
        let record = Record::new(network(), text("listing/digest"), START, RECORD_TTL, body);
        Signed::sign(&record, &alice).map(drop).map_err(|error| error.code()).err()
    };
    assert_eq!(code(&|_| {}), None);
    assert_eq!(code(&|body| body.title = text(" ")), Some("bad_title"));
    assert_eq!(code(&|body| body.category = text("Text")), Some("bad_category"));
    assert_eq!(code(&|body| body.tags = list(vec![text("a"), text("a")])), Some("bad_tags"));
    assert_eq!(code(&|body| body.input_schema = Some(text("[1]"))), Some("bad_schema"));
    assert_eq!(code(&|body| body.sla.deliver_within_secs = 0), Some("bad_sla"));
    assert_eq!(code(&|body| body.schemes = List::new()), Some("no_schemes"));
    assert_eq!(code(&|body| body.escrow = Some(crate::EscrowTerms { review_secs: 60 })), Some("bad_escrow_terms"));
    assert_eq!(code(&|body| body.regions = list(vec![text("*")])), Some("bad_regions"));
}

#[test]
fn a_record_stands_only_in_a_slot_of_its_kind() {
    let alice = agent(0);
    let code = |slot: &str| {
        let body = listing("Digest", "text", "0.25");
        let record = Record::new(network(), text(slot), START, RECORD_TTL, body);
        Signed::sign(&record, &alice).map(drop).map_err(|error| error.code()).err()
    };
    assert_eq!(code("listing/digest"), None);
    for slot in ["card", "digest", "listing/", "listing/Digest", "listing/a b"] {
        assert_eq!(code(slot), Some("wrong_slot"), "{slot}");
    }
}

#[test]
fn a_listing_that_is_too_large_is_refused() {
    let mut body = listing("Digest", "text", "0.25");
    body.description = text(&"d".repeat(1_500));
    body.input_schema = Some(text(&format!(r#"{{"title":"{}"}}"#, "i".repeat(1_000))));
    body.output_schema = body.input_schema.clone();
    body.tags = list((0..16).map(|tag| text(&format!("{tag:032}"))).collect());
    let record = Record::new(network(), text("listing/digest"), START, RECORD_TTL, body);
    assert_eq!(Signed::sign(&record, &agent(0)).unwrap_err().code(), "too_large");
}

#[test]
fn a_card_of_the_largest_size_fits() {
    let mut body = card("alice", None);
    body.agent_card = text(&format!(r#"{{"name":"{}"}}"#, "n".repeat(crate::body::MAX_AGENT_CARD_BYTES - 11)));
    assert_eq!(body.agent_card.len(), crate::body::MAX_AGENT_CARD_BYTES);
    signed(&agent(0), "card", 1, START, RECORD_TTL, body);
}

#[test]
fn shards_spread_evenly_over_4_and_over_64() {
    for shards in [4_u16, 64] {
        let mut counts = vec![0_u32; usize::from(shards)];
        for index in 0..6_400_u32 {
            let shard = shard_of(&index.to_be_bytes(), shards);
            assert_eq!(shard, shard_of(&index.to_be_bytes(), shards));
            counts[usize::from(shard)] += 1;
        }
        let expected = 6_400 / u32::from(shards);
        assert!(counts.iter().all(|count| (expected / 2..expected * 2).contains(count)), "{shards}: {counts:?}");
    }
}

#[test]
fn a_shard_is_found_by_the_rule_that_others_can_follow() {
    // First eight bytes, big-endian, modulo the number of shards.
    let head = u64::from_be_bytes(blake3_of("text")[..8].try_into().unwrap());
    for shards in [1, 4, 64, u16::MAX] {
        assert_eq!(u64::from(shard_of(b"text", shards)), head % u64::from(shards));
    }
}

fn blake3_of(words: &str) -> [u8; 32] {
    *Hash::of(words.as_bytes()).as_bytes()
}

#[test]
fn records_lie_in_the_shard_of_author_subject_or_category() {
    let (alice, bob) = (agent(0), agent(1));
    let shard = |bytes| open(bytes).unwrap().entry(64).shard;
    assert_eq!(shard(signed_card(&alice, 1, card("alice", None))), shard_of(alice.did().public_key(), 64));
    assert_eq!(shard(signed_listing(&alice, "a", 1, listing("A", "text", "1"))), shard_of(b"text", 64));
    assert_eq!(shard(signed_tombstone(&bob, "a", 1, "text")), shard_of(b"text", 64));
    assert_eq!(shard(signed_attestation(1, 0, 7)), shard_of(alice.did().public_key(), 64));
}

#[test]
fn a_stranger_cannot_take_the_place_of_a_party() {
    let of_bob = open(signed_attestation(1, 0, 7)).unwrap();
    let of_eve = open(signed_attestation(2, 0, 7)).unwrap();
    assert_ne!(of_bob.entry(4).place, of_eve.entry(4).place);
}

/// The valid records that mutations start from.
fn valid() -> Vec<Vec<u8>> {
    let alice = agent(0);
    vec![
        signed_card(&alice, 1, card("alice", None)),
        signed_listing(&alice, "digest", 1, listing("Digest", "text", "0.25")),
        signed_tombstone(&alice, "digest", 2, "text"),
        signed_attestation(1, 0, 7),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100_000))]

    #[test]
    fn random_bytes_are_refused_with_a_code(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let refused = open(bytes).unwrap_err();
        prop_assert!(!refused.code().is_empty());
    }
}

/// Flips one byte, cuts, or repeats a stretch, 100,000 times over all kinds: never a panic, never
/// a record that was not signed.
#[test]
fn mutated_and_truncated_records_are_refused() {
    let valid = valid();
    let config = ProptestConfig::with_cases(100_000);
    let mutation = (0..valid.len(), any::<prop::sample::Index>(), 1..=255_u8, 0..3_u8);
    proptest!(config, |((which, at, flip, how) in mutation)| {
        let mut bytes = valid[which].clone();
        let at = at.index(bytes.len());
        match how {
            0 => bytes[at] ^= flip,
            1 => bytes.truncate(at),
            _ => bytes.insert(at, flip),
        }
        prop_assert!(open(bytes).is_err());
    });
}
