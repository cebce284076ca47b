//! Alice sends Bob money and says what it is for, before or after Bob's chain shows it.

use std::sync::atomic::AtomicUsize;

use alloy_primitives::{Address, B256};
use haggle_base::{AgentKey, Coded};
use haggle_x402::PaymentFlow;

use super::*;
use crate::till::testing::{PRICE, Shop, facts, key};

const CONFIRMATIONS: u64 = 3;

fn alice() -> Did {
    AgentKey::from_bytes(&[0xa1; 32]).did()
}

fn incoming(shop: &Shop) -> Incoming {
    Incoming::open(shop.settlement.clone(), shop.token.clone(), facts(), CONFIRMATIONS).unwrap()
}

/// Alice's signed transfer to Bob with the nonce of this number.
fn transfer(shop: &Shop, nonce: u8) -> Transfer {
    let asked = shop.entry(&shop.sale(), &PaymentFlow::Upfront);
    Transfer::of(&shop.upfront(nonce), &asked, &facts()).unwrap()
}

fn told(shop: &Shop, transfer: &Transfer, memo: &str) -> Told {
    let transfer = Transfer { signature: alloy_primitives::Bytes::new(), ..transfer.clone() };
    Told { payee: shop.bob, payer: alice(), transfer, memo: memo.try_into().unwrap() }
}

/// What Bob's ledger says, oldest first: why, what for, from whom.
fn ledger(shop: &Shop) -> Vec<(EntryKind, Option<String>, Option<Did>)> {
    let entries = shop.settlement.history(&shop.bob, None, 100).unwrap();
    let said = |memo: Text<MAX_MEMO>| memo.as_str().to_owned();
    entries.into_iter().rev().map(|(_, entry)| (entry.kind, entry.memo.map(said), entry.party)).collect()
}

fn lamp(kind: EntryKind) -> (EntryKind, Option<String>, Option<Did>) {
    (kind, Some("for the lamp".to_owned()), Some(alice()))
}

/// What Bob has is what his books say.
async fn check(shop: &Shop) {
    let accounts = shop.accounts().await;
    let has = i64::try_from(shop.token.balance(shop.bob_address())).unwrap();
    assert_eq!((accounts.available, accounts.sum()), (has, 0));
}

#[tokio::test]
async fn a_word_after_the_transfer_is_booked_at_once_and_only_once() {
    let shop = Shop::open().await;
    let lent = transfer(&shop, 1);
    shop.token.transfer(&lent).await.unwrap();
    let word = told(&shop, &lent, "for the lamp");
    for _ in 0..2 {
        assert_eq!(incoming(&shop).take(word.clone()).await.unwrap(), Heard::Booked);
    }
    assert_eq!(ledger(&shop), [lamp(EntryKind::Received)]);
    let shop = shop.restarted().await;
    assert_eq!(incoming(&shop).take(word).await.unwrap(), Heard::Booked);
    assert_eq!(ledger(&shop), [lamp(EntryKind::Received)]);
    let other = told(&shop, &lent, "for the table");
    assert_eq!(incoming(&shop).take(other).await.unwrap_err().code(), "transfer_told_before");
    check(&shop).await;
}

#[tokio::test]
async fn a_word_before_the_transfer_waits_for_it_or_is_forgotten() {
    let shop = Shop::open().await;
    let (lent, never) = (transfer(&shop, 1), transfer(&shop, 2));
    let bob = incoming(&shop);
    for transfer in [&lent, &never] {
        assert_eq!(bob.take(told(&shop, transfer, "for the lamp")).await.unwrap(), Heard::Waiting);
    }
    assert_eq!((bob.follow_once().await.unwrap(), ledger(&shop).len()), (0, 0));
    shop.token.transfer(&lent).await.unwrap();
    let shop = shop.restarted().await;
    let bob = incoming(&shop);
    assert_eq!(bob.follow_once().await.unwrap(), 1);
    assert_eq!(ledger(&shop), [lamp(EntryKind::Received)]);
    shop.wait(3600);
    assert_eq!(bob.follow_once().await.unwrap(), 1, "the other one cannot happen any more");
    assert_eq!(shop.store.count::<Waiting>().unwrap(), 0);
    check(&shop).await;
}

#[tokio::test]
async fn a_transfer_that_leaves_the_chain_is_taken_back_and_can_come_again() {
    let shop = Shop::open().await;
    let bob = incoming(&shop);
    let lent = transfer(&shop, 1);
    shop.token.mine_empty(2);
    shop.token.transfer(&lent).await.unwrap();
    assert_eq!(bob.take(told(&shop, &lent, "for the lamp")).await.unwrap(), Heard::Booked);
    // in another block: nothing is booked anew
    shop.token.reorganise(1, true);
    bob.follow_once().await.unwrap();
    assert_eq!(ledger(&shop), [lamp(EntryKind::Received)]);
    shop.token.reorganise(2, false);
    bob.follow_once().await.unwrap();
    assert_eq!(ledger(&shop), [lamp(EntryKind::Received), lamp(EntryKind::EarningUndone)]);
    check(&shop).await;
    shop.token.transfer(&lent).await.unwrap();
    bob.follow_once().await.unwrap();
    assert_eq!(ledger(&shop).len(), 3);
    check(&shop).await;
    shop.token.mine_empty(3);
    bob.follow_once().await.unwrap();
    assert_eq!(shop.store.count::<Fresh>().unwrap(), 0, "deep enough");
}

#[tokio::test]
async fn words_about_what_is_not_so_are_refused() {
    let shop = Shop::open().await;
    let bob = incoming(&shop);
    let lent = transfer(&shop, 1);
    shop.token.transfer(&lent).await.unwrap();
    let refused = async |transfer: Transfer| bob.take(told(&shop, &transfer, "x")).await.unwrap_err().code();
    let to_another = Transfer { to: Address::repeat_byte(9), ..lent.clone() };
    assert_eq!(refused(to_another).await, "transfer_not_ours");
    let more = Transfer { value: haggle_base::Usdc::from_units(PRICE + 1), ..lent.clone() };
    assert_eq!(refused(more).await, "transfer_unknown");
    let other_token = Transfer { token: Address::repeat_byte(9), ..lent.clone() };
    assert_eq!(refused(other_token).await, "transfer_unknown");
    let for_ever = Transfer { valid_before: alloy_primitives::U256::MAX, ..lent.clone() };
    assert_eq!(refused(for_ever).await, "transfer_unknown");
    shop.token.set_down(true);
    let away = bob.take(told(&shop, &lent, "x")).await.unwrap_err();
    assert_eq!((away.code(), away.is_retryable()), ("rpc_down", true));
    shop.token.set_down(false);
    shop.wait(TOLD_WITHIN.as_secs() + 1);
    assert_eq!(refused(lent).await, "transfer_too_old");
    assert_eq!((ledger(&shop).len(), shop.store.count::<Arrivals>().unwrap()), (0, 0));
}

#[tokio::test]
async fn what_paid_for_a_call_is_no_gift_also_after_the_till_forgot_it() {
    let shop = Shop::open().await;
    let bob = incoming(&shop);
    let sold = transfer(&shop, 1);
    shop.serve(&shop.sale(), &shop.upfront(1), &AtomicUsize::new(0)).await.unwrap();
    let word = told(&shop, &sold, "a gift");
    assert_eq!(bob.take(word.clone()).await.unwrap_err().code(), "transfer_was_a_sale");
    shop.token.mine_empty(9);
    shop.wait(shop.config.keep.as_secs());
    shop.till.follow_once().await.unwrap();
    assert!(!till::has_row(&shop.store, &bob.inner.key(&sold)).unwrap());
    assert_eq!(bob.take(word.clone()).await.unwrap_err().code(), "transfer_was_a_sale");
    shop.wait(KEPT.as_secs());
    bob.follow_once().await.unwrap();
    assert_eq!(shop.store.count::<SoldBefore>().unwrap(), 0);
    assert_eq!(bob.take(word).await.unwrap_err().code(), "transfer_too_old");
    check(&shop).await;
}

#[tokio::test]
async fn a_gift_that_is_then_shown_at_the_till_is_booked_once_and_taken_back_once() {
    let shop = Shop::open().await;
    let bob = incoming(&shop);
    let (gift, made) = (transfer(&shop, 1), transfer(&shop, 2));
    shop.token.transfer(&made).await.unwrap();
    assert_eq!(bob.take(told(&shop, &made, "made")).await.unwrap(), Heard::Booked);
    let used = shop.till.take(&shop.sale(), &shop.upfront(2)).await.unwrap_err();
    assert_eq!(used.reason, haggle_x402::Reason::Replay);

    assert_eq!(bob.take(told(&shop, &gift, "for the lamp")).await.unwrap(), Heard::Waiting);
    shop.serve(&shop.sale(), &shop.upfront(1), &AtomicUsize::new(0)).await.unwrap();
    bob.follow_once().await.unwrap();
    assert_eq!(ledger(&shop)[1..], [lamp(EntryKind::Received)], "the till books nothing");
    check(&shop).await;
    shop.token.reorganise(1, false);
    shop.till.follow_once().await.unwrap();
    bob.follow_once().await.unwrap();
    check(&shop).await;
}

#[tokio::test]
async fn a_payer_that_only_talks_fills_its_own_room_and_no_more() {
    let shop = Shop::open().await;
    let bob = incoming(&shop);
    let mut wait = told(&shop, &transfer(&shop, 1), "soon");
    for number in 0..MOST_WAITING_OF_ONE {
        wait.transfer.nonce = B256::with_last_byte(u8::try_from(number).unwrap());
        assert_eq!(bob.take(wait.clone()).await.unwrap(), Heard::Waiting);
    }
    wait.transfer.nonce = B256::repeat_byte(0xee);
    let full = bob.take(wait.clone()).await.unwrap_err();
    assert_eq!((full.code(), full.is_retryable()), ("transfer_notes_full", true));
    // another payer's word is still taken, and so is one about what the chain shows
    wait.payer = AgentKey::from_bytes(&[0xc1; 32]).did();
    wait.transfer.from = key(0xc1).address();
    assert_eq!(bob.take(wait).await.unwrap(), Heard::Waiting);
    let lent = transfer(&shop, 7);
    shop.token.transfer(&lent).await.unwrap();
    assert_eq!(bob.take(told(&shop, &lent, "for the lamp")).await.unwrap(), Heard::Booked);
    shop.clock.advance(KEPT + Duration::from_secs(1));
    bob.follow_once().await.unwrap();
    assert_eq!((shop.store.count::<Arrivals>().unwrap(), *bob.inner.kept.lock().await), (0, 0));
    check(&shop).await;
}
