//! A dispute with bonds: whatever comes of it, the rows of both ledgers add up to what the chain did to both wallets.

use std::time::Duration;

use alloy_primitives::aliases::U96;

use super::*;
use crate::testing::{Home, NOON, usdc};

const EVIDENCE: B256 = B256::repeat_byte(7);
const BOND: u64 = 10;

/// Alice has 1,000 and Bob 50; her order for 100 with a bond is delivered, disputed, and countered if `countered`.
async fn disputed(countered: bool) -> (Home, Order) {
    let mut home = Home::with_balance(1_000).await;
    home.give_bob(50).await;
    let order = Order { bond: U96::from(BOND), ..home.order(1, 100) };
    home.fund("a", &order).await;
    home.settlement.submit_deliver(&order, B256::repeat_byte(1)).await.unwrap().tx().unwrap();
    let until = NOON.plus(Duration::from_secs(3600));
    let hers = home.settlement.sign_bond(&home.alice, &order, Side::Buyer, EVIDENCE, until).await.unwrap();
    home.settlement.submit_dispute(&order, EVIDENCE, &hers).await.unwrap().tx().unwrap();
    if countered {
        let his = home.settlement.sign_bond(&home.bob, &order, Side::Provider, EVIDENCE, until).await.unwrap();
        home.settlement.submit_counter(&order, &his).await.unwrap().tx().unwrap();
    }
    home.settlement.follow_once().await.unwrap();
    (home, order)
}

/// Why the bond of an agent moved, oldest first.
fn bonds(home: &Home, agent: &Did) -> Vec<EntryKind> {
    let is_bond = |kind: &EntryKind| {
        matches!(kind, EntryKind::BondPosted | EntryKind::BondReturned | EntryKind::BondLost | EntryKind::BondUndone)
    };
    let entries = home.settlement.history(agent, None, 100).unwrap();
    entries.into_iter().rev().map(|(_, entry)| entry.kind).filter(is_bond).collect()
}

/// The sum of the rows that changed what is in the wallet, in base units.
fn rows(home: &Home, agent: &Did) -> i64 {
    let inside = |account: &Account| matches!(account, Account::Available | Account::Reserved);
    let entries = home.settlement.history(agent, None, 100).unwrap();
    entries.iter().flat_map(|(_, entry)| &*entry.moves).filter(|(to, _)| inside(to)).map(|(_, units)| units).sum()
}

/// The rows of both add up to what the chain says: Alice began with 1,000, Bob with 50.
async fn has(home: &Home, alice: u64, bob: u64) {
    let on_chain = async |agent| home.settlement.wallet(agent).await.unwrap().on_chain;
    assert_eq!((on_chain(&home.alice).await, on_chain(&home.bob).await), (usdc(alice), usdc(bob)));
    let change = |now: u64, before: i64| i64::try_from(now).unwrap() - before;
    assert_eq!((rows(home, &home.alice), rows(home, &home.bob)), (change(alice, 1_000), change(bob, 50)));
    home.check_books(1_000).await;
}

#[tokio::test]
async fn the_bond_of_a_dispute_is_in_the_escrow_until_it_is_over() {
    let (home, _) = disputed(true).await;
    assert_eq!(bonds(&home, &home.alice), [EntryKind::BondPosted]);
    has(&home, 1_000 - 100 - BOND, 50 - BOND).await;
    let alice = home.settlement.wallet(&home.alice).await.unwrap().accounts;
    assert_eq!(alice.escrowed, i64::try_from(100 + BOND).unwrap());
}

#[tokio::test]
async fn who_loses_a_ruling_loses_its_bond_and_the_other_gets_its_own_back() {
    // half and more is for the provider; a fee of a tenth comes out of what it gets
    for (pay, buyer_lost) in [(100, true), (50, true), (49, false), (0, false)] {
        let (home, order) = disputed(true).await;
        home.chain.rule(&order, pay).await.unwrap();
        home.settlement.follow_once().await.unwrap();
        let (lost, kept) =
            ([EntryKind::BondPosted, EntryKind::BondLost], [EntryKind::BondPosted, EntryKind::BondReturned]);
        let (hers, his) = if buyer_lost { (lost, kept) } else { (kept, lost) };
        assert_eq!((bonds(&home, &home.alice), bonds(&home, &home.bob)), (hers.to_vec(), his.to_vec()), "{pay}");
        let (alice, bob) = if buyer_lost { (BOND, 0) } else { (0, BOND) };
        has(&home, 1_000 - pay - alice, 50 + pay - pay / 10 - bob).await;
        let forfeited = async |agent| home.settlement.wallet(agent).await.unwrap().accounts.forfeited;
        let units = |bond: u64| i64::try_from(bond).unwrap();
        assert_eq!((forfeited(&home.alice).await, forfeited(&home.bob).await), (units(alice), units(bob)));
        let home = home.restarted().await;
        has(&home, 1_000 - pay - alice, 50 + pay - pay / 10 - bob).await;
    }
}

#[tokio::test]
async fn without_a_ruling_every_bond_goes_back() {
    // nobody stood against it; the arbitrator was silent; the provider gave in; the buyer gave in
    let (home, order) = disputed(false).await;
    home.chain.set_time(NOON.plus(Duration::from_secs(3600))).await;
    home.settlement.submit_finalize(&order).await.unwrap().tx().unwrap();
    home.settlement.follow_once().await.unwrap();
    assert_eq!(bonds(&home, &home.bob), []);
    has(&home, 1_000, 50).await;

    let (home, order) = disputed(true).await;
    home.chain.set_time(NOON.plus(Duration::from_secs(3600))).await;
    home.settlement.submit_finalize(&order).await.unwrap().tx().unwrap();
    home.settlement.follow_once().await.unwrap();
    has(&home, 1_000, 50).await;

    let (home, order) = disputed(true).await;
    let refund = home.settlement.sign_refund(&home.bob, &order).unwrap();
    home.settlement.submit_refund(&order, &refund).await.unwrap().tx().unwrap();
    home.settlement.follow_once().await.unwrap();
    has(&home, 1_000, 50).await;

    let (home, order) = disputed(true).await;
    home.release(&order).await;
    home.settlement.follow_once().await.unwrap();
    assert_eq!(bonds(&home, &home.bob), [EntryKind::BondPosted, EntryKind::BondReturned]);
    has(&home, 900, 140).await;
}

#[tokio::test]
async fn what_happened_to_a_bond_is_taken_back_with_its_block() {
    let (home, order) = disputed(true).await;
    let disputed_at = home.chain.head().await.block - 1;
    let countered_at = home.chain.head().await.block;
    home.chain.rule(&order, 100).await.unwrap();
    home.settlement.follow_once().await.unwrap();
    has(&home, 890, 140).await;

    home.chain.reorganise(countered_at).await;
    home.settlement.follow_once().await.unwrap();
    home.settlement.follow_once().await.unwrap();
    has(&home, 890, 40).await;
    home.chain.rule(&order, 0).await.unwrap();
    home.settlement.follow_once().await.unwrap();
    let again = [EntryKind::BondPosted, EntryKind::BondLost, EntryKind::BondUndone, EntryKind::BondReturned];
    assert_eq!(bonds(&home, &home.alice), again);
    has(&home, 1_000, 40).await;

    home.chain.reorganise(disputed_at - 1).await;
    home.settlement.follow_once().await.unwrap();
    home.settlement.follow_once().await.unwrap();
    assert_eq!(bonds(&home, &home.bob).last(), Some(&EntryKind::BondUndone));
    has(&home, 900, 50).await;
}

#[tokio::test]
async fn a_bond_that_was_signed_twice_is_one() {
    let (home, order) = disputed(true).await;
    home.chain.rule(&order, 0).await.unwrap();
    home.settlement.follow_once().await.unwrap();
    // a second signature after the end changes nothing that was booked
    let until = NOON.plus(Duration::from_secs(3600));
    home.settlement.sign_bond(&home.alice, &order, Side::Buyer, EVIDENCE, until).await.unwrap();
    let home = home.restarted().await;
    home.settlement.follow_once().await.unwrap();
    has(&home, 1_000, 50 - BOND).await;
}
