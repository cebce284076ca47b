//! Stories and laws of the shelf.

use std::time::Duration;

use haggle_base::{Hash, Text};
use proptest::prelude::*;

use super::{event::Quota, *};
use crate::testing::{START, agent};

const CAPACITY: usize = 100;

pub(super) fn did(author: u32) -> Did {
    agent(author).did()
}

/// An entry that depends on nothing but what the shelf looks at.
pub(super) fn entry(kind: Kind, author: u32, slot: &str, seq: u64) -> Entry {
    let author = did(author);
    let place = match kind {
        Kind::Card => Place::card(&author),
        Kind::Listing | Kind::Tombstone => Place::listing(&author, slot, "text"),
        Kind::Attestation | Kind::Pointer => Place::listing(&author, slot, "attestation"),
    };
    let id = Hash::of_parts(&[kind.as_str().as_bytes(), author.public_key(), slot.as_bytes(), &seq.to_be_bytes()]);
    Entry {
        id: id.into(),
        kind,
        author,
        slot: Text::try_from(slot).unwrap(),
        place,
        subject: None,
        seq,
        created: START,
        expires: START.plus(Duration::from_secs(100 + seq)),
        shard: 0,
        payer: None,
    }
}

fn payer() -> Option<Box<Address>> {
    Some(Box::new(Address::repeat_byte(7)))
}

fn shelf() -> Shelf {
    Shelf::new(4, CAPACITY)
}

pub(super) fn put(shelf: &mut Shelf, entry: Entry) -> event::Put {
    shelf.put(command::Put { entry: Arc::new(entry) }, START)
}

pub(super) fn set_of(shelf: &Shelf) -> Vec<(Timestamp, RecordId)> {
    (0..shelf.shards()).flat_map(|shard| shelf.set(shard)).collect()
}

#[test]
fn the_higher_seq_stands() {
    let mut shelf = shelf();
    assert!(matches!(
        put(&mut shelf, entry(Kind::Listing, 0, "a", 5)),
        event::Put::Fresh { evicted: None, forgotten: None }
    ));
    assert!(matches!(put(&mut shelf, entry(Kind::Listing, 0, "a", 4)), event::Put::Stale { .. }));
    assert!(matches!(put(&mut shelf, entry(Kind::Listing, 0, "a", 6)), event::Put::Replaced { .. }));
    assert_eq!(put(&mut shelf, entry(Kind::Listing, 0, "a", 6)), event::Put::Known);
    assert_eq!(shelf.len(), 1);
}

#[test]
fn of_equal_seqs_the_lower_id_stands() {
    let (mut low, mut high) = (entry(Kind::Listing, 0, "a", 5), entry(Kind::Listing, 0, "a", 5));
    low.id = Hash::from_bytes([1; 32]).into();
    high.id = Hash::from_bytes([2; 32]).into();
    let mut one = shelf();
    assert!(put(&mut one, low.clone()).is_new());
    assert_eq!(put(&mut one, high.clone()), event::Put::Stale { held: low.id });
    let mut other = shelf();
    assert!(put(&mut other, high.clone()).is_new());
    assert_eq!(put(&mut other, low), event::Put::Replaced { old: Arc::new(high) });
    assert_eq!(set_of(&one), set_of(&other));
}

#[test]
fn an_expired_record_is_not_put() {
    let late = START.plus(Duration::from_secs(101));
    let card = Arc::new(entry(Kind::Card, 0, "card", 1));
    assert_eq!(shelf().put(command::Put { entry: card }, late), event::Put::Expired);
}

#[test]
fn a_sweep_removes_exactly_what_expired() {
    let mut shelf = shelf();
    for seq in 1..=4 {
        put(&mut shelf, entry(Kind::Listing, u32::try_from(seq).unwrap(), "a", seq)).is_new().then_some(()).unwrap();
    }
    let now = START.plus(Duration::from_secs(102));
    let swept = shelf.sweep(command::Sweep { limit: 1 }, now);
    assert_eq!(swept.expired.len(), 1);
    let swept = shelf.sweep(command::Sweep { limit: 10 }, now);
    assert_eq!(swept.expired.len(), 1);
    assert_eq!(shelf.sweep(command::Sweep { limit: 10 }, now).expired, []);
    assert_eq!((shelf.len(), set_of(&shelf).len()), (2, 2));
}

#[test]
fn a_free_author_has_four_listings_and_a_bounded_number_of_tombstones() {
    let mut shelf = shelf();
    for name in ["a", "b", "c", "d"] {
        assert!(put(&mut shelf, entry(Kind::Listing, 0, name, 1)).is_new());
    }
    let fifth = entry(Kind::Listing, 0, "e", 1);
    let refused = put(&mut shelf, fifth.clone());
    assert_eq!(refused, event::Put::OverQuota { quota: Quota::AuthorListings, forgotten: None });
    assert!(set_of(&shelf).contains(&(fifth.created, fifth.id)), "the id stays in the reconciliation set");
    assert!(matches!(put(&mut shelf, entry(Kind::Listing, 0, "a", 2)), event::Put::Replaced { .. }));
    assert!(put(&mut shelf, entry(Kind::Card, 0, "card", 1)).is_new(), "a card is no listing");
}

#[test]
fn withdrawn_slots_count_too() {
    let mut shelf = Shelf::new(1, 10_000);
    for name in 0..FREE_SLOTS {
        assert!(put(&mut shelf, entry(Kind::Tombstone, 0, &name.to_string(), 2)).is_new());
    }
    let one_more = put(&mut shelf, entry(Kind::Tombstone, 0, "more", 2));
    assert!(matches!(one_more, event::Put::OverQuota { quota: Quota::AuthorSlots, .. }));
    assert!(matches!(put(&mut shelf, entry(Kind::Listing, 0, "0", 3)), event::Put::Replaced { .. }));
}

#[test]
fn free_authors_together_have_a_tenth_of_a_shard() {
    let mut shelf = shelf();
    for author in 0..10 {
        assert!(put(&mut shelf, entry(Kind::Card, author, "card", 1)).is_new());
    }
    let refused = put(&mut shelf, entry(Kind::Card, 10, "card", 1));
    assert!(matches!(refused, event::Put::OverQuota { quota: Quota::FreeShare, .. }));
    let mut elsewhere = entry(Kind::Card, 11, "card", 1);
    elsewhere.shard = 1;
    assert!(put(&mut shelf, elsewhere).is_new());
    let paying = Entry { payer: payer(), ..entry(Kind::Card, 12, "card", 1) };
    assert!(put(&mut shelf, paying).is_new());
}

#[test]
fn in_a_full_shard_who_paid_pushes_out_the_oldest_who_did_not() {
    let mut shelf = shelf();
    let mut oldest = entry(Kind::Card, 0, "card", 1);
    oldest.created = START.minus(Duration::from_secs(60));
    assert!(put(&mut shelf, oldest.clone()).is_new());
    assert!(put(&mut shelf, entry(Kind::Card, 1, "card", 1)).is_new());
    for slot in 0..CAPACITY - 2 {
        let paying = Entry { payer: payer(), ..entry(Kind::Listing, 2, &slot.to_string(), 1) };
        assert!(put(&mut shelf, paying).is_new());
    }
    let free = put(&mut shelf, entry(Kind::Card, 3, "card", 1));
    assert!(matches!(free, event::Put::OverQuota { quota: Quota::ShardFull, .. }));
    let paying = Entry { payer: payer(), ..entry(Kind::Listing, 2, "one more", 1) };
    assert_eq!(put(&mut shelf, paying), event::Put::Fresh { evicted: Some(Arc::new(oldest.clone())), forgotten: None });
    assert!(set_of(&shelf).contains(&(oldest.created, oldest.id)));
    assert_eq!(shelf.len(), CAPACITY);
}

#[test]
fn attestations_are_outside_the_slots_but_bounded_per_author() {
    let mut shelf = shelf();
    for order in 0..10 {
        assert!(put(&mut shelf, entry(Kind::Attestation, 0, &order.to_string(), 1)).is_new());
    }
    let flood = put(&mut shelf, entry(Kind::Attestation, 0, "flood", 1));
    assert!(matches!(flood, event::Put::OverQuota { quota: Quota::AuthorAttestations, .. }));
    assert!(put(&mut shelf, entry(Kind::Attestation, 1, "0", 1)).is_new());
    assert!(put(&mut shelf, entry(Kind::Listing, 0, "a", 1)).is_new());
}

#[test]
fn refused_ids_are_bounded_and_expire() {
    let mut shelf = shelf();
    for author in 0..10 {
        assert!(put(&mut shelf, entry(Kind::Card, author, "card", 1)).is_new());
    }
    let mut forgotten_ids = 0;
    for author in 10..40 {
        match put(&mut shelf, entry(Kind::Card, author, "card", u64::from(author))) {
            event::Put::OverQuota { forgotten, .. } => forgotten_ids += usize::from(forgotten.is_some()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(forgotten_ids, 20);
    assert_eq!(set_of(&shelf).len(), 20);
    let later = START.plus(Duration::from_secs(1_000));
    let swept = shelf.sweep(command::Sweep { limit: 100 }, later);
    assert_eq!((swept.expired.len(), swept.forgotten.len()), (10, 10));
    assert!(set_of(&shelf).is_empty() && shelf.is_empty());
}

#[test]
fn refused_ids_that_have_no_room_any_more_are_named_when_they_are_put_back() {
    let mut shelf = shelf();
    let card = |author: u32| entry(Kind::Card, author, "card", author.into());
    let held = card(0);
    shelf.restore(held.clone());
    assert_eq!(shelf.restore_refused(held.id, Refused::of(&held)), Some(held.id), "it is held");
    let refused = (1..=30).map(card).map(|card| shelf.restore_refused(card.id, Refused::of(&card)));
    let forgotten: Vec<_> = refused.flatten().collect();
    assert_eq!(forgotten, (1..=20).map(|author| card(author).id).collect::<Vec<_>>(), "those that expire first");
    assert_eq!(set_of(&shelf).len(), 11);
}

/// Two identities whose keys begin with the same bytes.
fn alike() -> [Did; 2] {
    let dids = (0..=u8::MAX).filter_map(|last| {
        let mut key = [7; 32];
        key[31] = last & 0x7f;
        Did::from_public_key(key).ok()
    });
    let mut dids = dids.collect::<BTreeSet<_>>().into_iter();
    [dids.next().unwrap(), dids.next().unwrap()]
}

#[test]
fn authors_and_subjects_whose_keys_begin_alike_are_kept_apart() {
    let (mut shelf, [one, other]) = (shelf(), alike());
    assert_eq!(mark(&one), mark(&other));
    for (number, author, subject) in
        [(1, one, Some(other)), (2, other, None), (3, one, Some(one)), (4, other, Some(one))]
    {
        let slot = number.to_string();
        let (id, subject) = (Hash::from_bytes([number; 32]).into(), subject.map(Box::new));
        let place = Place::listing(&author, &slot, "text");
        assert!(
            put(&mut shelf, Entry { id, author, subject, place, ..entry(Kind::Attestation, 0, &slot, 1) }).is_new()
        );
    }
    let of = |found: Vec<&Entry>| found.iter().map(|entry| entry.id.as_bytes()[0]).collect::<Vec<_>>();
    assert_eq!((of(shelf.by_author(&one).collect()), of(shelf.by_author(&other).collect())), (vec![1, 3], vec![2, 4]));
    assert_eq!((of(shelf.about(&one).collect()), of(shelf.about(&other).collect())), (vec![3, 4], vec![1]));
    assert!(shelf.by_author(&did(0)).next().is_none());
    let id = Hash::from_bytes([3; 32]).into();
    assert!(matches!(shelf.discard(command::Discard { id }), event::Discard::Gone(_)));
    assert_eq!((of(shelf.by_author(&one).collect()), of(shelf.about(&one).collect())), (vec![1], vec![4]));
}

/// Records of three authors who stay below quota, some of them in one place.
fn below_quota() -> impl Strategy<Value = Vec<Entry>> {
    let one = (0..4_usize, 0..3_u32, 0..3_usize, 1..5_u64).prop_map(|(kind, author, slot, seq)| {
        let slot = ["a", "b", "c"][slot];
        entry([Kind::Card, Kind::Listing, Kind::Tombstone, Kind::Attestation][kind], author, slot, seq)
    });
    prop::collection::vec(one, 0..60)
}

proptest! {
    #[test]
    fn below_quota_the_order_of_arrival_does_not_matter(
        (records, shuffled) in below_quota().prop_flat_map(|records| (Just(records.clone()), Just(records).prop_shuffle())),
    ) {
        let (mut one, mut other) = (Shelf::new(4, 10_000), Shelf::new(4, 10_000));
        for record in records {
            let outcome = put(&mut one, record);
            prop_assert!(!matches!(outcome, event::Put::OverQuota { .. }), "{outcome:?}");
        }
        for record in shuffled {
            drop(put(&mut other, record));
        }
        prop_assert_eq!(set_of(&one), set_of(&other));
    }

    #[test]
    fn counts_and_indexes_stay_in_step(records in below_quota(), seconds in 0..300_u64) {
        let mut shelf = Shelf::new(4, 30);
        for record in records {
            drop(put(&mut shelf, record));
        }
        drop(shelf.sweep(command::Sweep { limit: 1_000 }, START.plus(Duration::from_secs(seconds))));
        let held: usize = shelf.shards.iter().map(|shard| shard.held).sum();
        prop_assert_eq!(held, shelf.len());
        prop_assert_eq!(shelf.by_expiry.len(), shelf.len());
        prop_assert_eq!(shelf.places.len(), shelf.len());
        prop_assert_eq!(shelf.by_author.len(), shelf.len());
        for (shard, digest) in (0..).zip(shelf.digests()) {
            prop_assert_eq!(digest, Sum::of(Sets::set(&shelf, shard).iter().map(|(_, id)| id)).digest());
        }
        prop_assert_eq!(set_of(&shelf).len(), shelf.len() + shelf.refused.len());
        prop_assert_eq!(shelf.refused_by.len(), shelf.refused.len());
    }
}
