//! Stories and laws of room that is paid for.

use haggle_base::{Address, Kind};
use proptest::prelude::*;

use super::super::{
    FREE_LISTINGS, FREE_SLOTS, SLOTS_OF_PAID, Shelf, command,
    event::{self, Put, Quota},
    tests::{did, entry, put, set_of},
};
use crate::{door::Entry, ports::PaidRoom};

fn room(payer: u8, listings: u64) -> PaidRoom {
    PaidRoom { payer: Address::repeat_byte(payer), listings }
}

/// Puts a record whose author has this room.
fn put_with(shelf: &mut Shelf, room: PaidRoom, entry: Entry) -> Put {
    let payer = shelf.payer_of(&entry, room).map(Box::new);
    put(shelf, Entry { payer, ..entry })
}

fn listing(author: u32, slot: &str, seq: u64) -> Entry {
    entry(Kind::Listing, author, slot, seq)
}

fn paid(shelf: &Shelf, kind: Kind) -> usize {
    shelf.iter().filter(|entry| entry.is_paid() && entry.kind == kind).count()
}

#[test]
fn each_fee_makes_room_for_one_listing_more_than_the_free_ones() {
    let mut shelf = Shelf::new(4, 1_000);
    let of_two = room(7, 2);
    for slot in 0..FREE_LISTINGS + 2 {
        assert!(put_with(&mut shelf, of_two, listing(0, &slot.to_string(), 1)).is_new());
    }
    let refused = put_with(&mut shelf, of_two, listing(0, "one more", 1));
    assert!(matches!(refused, Put::OverQuota { quota: Quota::AuthorListings, .. }));
    assert_eq!(paid(&shelf, Kind::Listing), 2);
    assert!(put_with(&mut shelf, of_two, listing(0, "0", 2)).is_new(), "what is paid for can be changed");
    assert_eq!(paid(&shelf, Kind::Listing), 2);
}

#[test]
fn a_wallet_bound_to_one_agent_after_the_other_has_no_more_room() {
    let mut shelf = Shelf::new(4, 100);
    let once = room(7, 1);
    for author in 0..5 {
        assert!(put_with(&mut shelf, once, entry(Kind::Card, author, "card", 1)).is_new());
        assert!(put_with(&mut shelf, once, listing(author, "a", 1)).is_new());
    }
    assert_eq!((paid(&shelf, Kind::Card), paid(&shelf, Kind::Listing)), (1, 1));
    assert!(put_with(&mut shelf, once, entry(Kind::Tombstone, 0, "a", 2)).is_new());
    assert!(put_with(&mut shelf, once, listing(1, "a", 2)).is_new());
    assert_eq!(paid(&shelf, Kind::Listing), 1, "a listing that was withdrawn gives its room back");
}

#[test]
fn what_was_paid_for_and_is_no_longer_comes_in_like_anything_that_nobody_pays_for() {
    let mut shelf = Shelf::new(4, 100);
    let once = room(7, 1);
    assert!(put_with(&mut shelf, once, listing(99, "a", 1)).is_new());
    for author in 0..10 {
        assert!(put(&mut shelf, entry(Kind::Card, author, "card", 1)).is_new());
    }
    let unpaid = listing(99, "a", 2);
    assert_eq!(shelf.payer_before(&unpaid), Some(once.payer), "who paid goes on paying");
    assert!(matches!(put(&mut shelf, unpaid), Put::OverQuota { quota: Quota::FreeShare, .. }), "else it finds no room");
    assert_eq!(paid(&shelf, Kind::Listing), 1);
    assert!(put_with(&mut shelf, once, listing(99, "a", 3)).is_new());
    let withdrawn = put_with(&mut shelf, once, entry(Kind::Tombstone, 99, "a", 4));
    assert!(withdrawn.is_new());
    assert_eq!(
        (paid(&shelf, Kind::Listing), paid(&shelf, Kind::Tombstone)),
        (0, 1),
        "the listing's room is free again"
    );
    assert!(put_with(&mut shelf, once, listing(99, "b", 1)).is_new());
}

#[test]
fn one_fee_does_not_pay_for_slots_without_end() {
    let mut shelf = Shelf::new(1, 10_000);
    let once = room(7, 1);
    let mut slots = 0;
    for slot in 0..1_000 {
        if !put_with(&mut shelf, once, listing(0, &slot.to_string(), 1)).is_new() {
            break;
        }
        assert!(put_with(&mut shelf, once, entry(Kind::Tombstone, 0, &slot.to_string(), 2)).is_new());
        slots += 1;
    }
    assert_eq!(slots, FREE_SLOTS + FREE_SLOTS / FREE_LISTINGS);
}

#[test]
fn what_came_before_its_fee_is_charged_to_it_and_what_was_refused_may_come_again() {
    let mut shelf = Shelf::new(4, 1_000);
    assert!(put(&mut shelf, entry(Kind::Card, 0, "card", 1)).is_new());
    for slot in ["a", "b", "c", "d"] {
        assert!(put(&mut shelf, listing(0, slot, 1)).is_new());
    }
    let refused = listing(0, "e", 1);
    assert!(matches!(put(&mut shelf, refused.clone()), Put::OverQuota { .. }));
    assert!(matches!(put(&mut shelf, listing(1, "of another", 1)), Put::Fresh { .. }));
    let before = set_of(&shelf);
    let author = did(0);

    let event::Pay { raised, forgotten } = shelf.pay(command::Pay { author, room: room(7, 2) });
    assert_eq!((raised.len(), forgotten), (3, vec![refused.id]), "the card and two listings, and two more are free");
    let without = before.into_iter().filter(|(_, id)| *id != refused.id).collect::<Vec<_>>();
    assert_eq!(set_of(&shelf), without, "nobody sees another difference");
    assert!(put_with(&mut shelf, room(7, 2), refused).is_new());
    let again = shelf.pay(command::Pay { author, room: room(7, 2) });
    assert_eq!(again, event::Pay { raised: vec![], forgotten: vec![] });
    let event::Pay { raised, .. } = shelf.pay(command::Pay { author, room: room(7, 9) });
    assert_eq!(raised.len(), 3, "what was free is charged as soon as it can be");
}

#[test]
fn what_is_charged_later_leaves_the_share_of_those_who_paid_for_nothing() {
    let mut shelf = Shelf::new(4, 100);
    for author in 0..10 {
        assert!(put(&mut shelf, entry(Kind::Card, author, "card", 1)).is_new());
    }
    let next = entry(Kind::Card, 10, "card", 1);
    assert!(matches!(put(&mut shelf, next), Put::OverQuota { quota: Quota::FreeShare, .. }));
    let event::Pay { raised, .. } = shelf.pay(command::Pay { author: did(3), room: room(7, 1) });
    assert_eq!(raised.len(), 1);
    assert!(put(&mut shelf, entry(Kind::Card, 11, "card", 1)).is_new());
}

proptest! {
    #[test]
    fn no_wallet_ever_has_more_on_the_shelf_than_it_paid_for(
        steps in prop::collection::vec((0..4_usize, 0..4_u32, 0..6_usize, 1..6_u64, 0..3_u8, 0..4_u64), 0..80),
    ) {
        let mut shelf = Shelf::new(2, 60);
        // fees only ever come in here: what a wallet paid for grows
        let mut paid_for = [0_u64; 3];
        for (kind, author, slot, seq, payer, more) in steps {
            let of = usize::from(payer);
            paid_for[of] = paid_for[of].max(more);
            let room = room(payer, paid_for[of]);
            let slot = ["a", "b", "c", "d", "e", "f"][slot];
            let kind = [Kind::Card, Kind::Listing, Kind::Tombstone, Kind::Attestation][kind];
            if seq == 5 {
                drop(shelf.pay(command::Pay { author: did(author), room }));
            } else if more == 3 {
                drop(put(&mut shelf, entry(kind, author, slot, seq)));
            } else {
                drop(put_with(&mut shelf, room, entry(kind, author, slot, seq)));
            }
            for payer in 0..3_u8 {
                let wallet = Address::repeat_byte(payer);
                for kind in [Kind::Card, Kind::Listing, Kind::Tombstone] {
                    let held = shelf.iter().filter(|entry| entry.kind == kind && entry.payer.as_deref() == Some(&wallet));
                    let held = held.count() as u64;
                    let most = if kind == Kind::Tombstone { SLOTS_OF_PAID as u64 } else { 1 };
                    prop_assert!(held <= most * paid_for[usize::from(payer)]);
                    prop_assert_eq!(held, shelf.charged.count(&wallet, kind));
                }
            }
            prop_assert!(shelf.shards.iter().all(|shard| shard.free.len() <= 6), "a tenth of the shard");
            let free = shelf.shards.iter().map(|shard| shard.free.len()).sum::<usize>();
            prop_assert_eq!(free, shelf.iter().filter(|entry| entry.is_free()).count());
        }
    }
}
