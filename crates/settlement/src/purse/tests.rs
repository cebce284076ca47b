//! Stories of Alice who pays a stranger's shop.

use super::{
    testing::{PATIENCE, SHOP, Shopper, asks, facts},
    *,
};
use crate::{
    ledger::EntryKind,
    testing::{NOON, usdc},
};

/// Chain time at which a payment that was signed at noon counts as unused.
fn long_after() -> Timestamp {
    NOON.plus(PATIENCE + Duration::from_secs(60))
}

#[tokio::test]
async fn the_same_key_gives_the_same_payment_even_after_a_restart() {
    let alice = Shopper::with_balance(1_000).await;
    let first = alice.buy("k", 20).await.unwrap();
    let payload = alice.purse.payload(&first).unwrap();
    assert_eq!(alice.buy("k", 20).await.unwrap(), first);
    let alice = alice.restarted().await;
    let again = alice.buy("k", 20).await.unwrap();
    assert_eq!(alice.purse.payload(&again).unwrap(), payload);
    assert_eq!(alice.reserved().await, usdc(20));
    alice.home.check_books(1_000).await;
}

#[tokio::test]
async fn a_key_never_pays_for_something_else() {
    let alice = Shopper::with_balance(1_000).await;
    alice.buy("k", 20).await.unwrap();
    let offer = asks(20);
    let other = alice.purse.sign(&alice.wanted("k", "http://elsewhere/"), &offer, &offer.accepts[0]).await;
    assert!(matches!(other, Err(PurseError::KeyTaken)), "{other:?}");
    // a shop that asks for more the second time gets what was signed the first time
    assert_eq!(alice.buy("k", 500).await.unwrap().amount, usdc(20));
}

#[tokio::test]
async fn a_payload_repeats_the_shops_words_and_names_itself() {
    let alice = Shopper::with_balance(1_000).await;
    let purchase = alice.buy("k", 20).await.unwrap();
    let payload = alice.purse.payload(&purchase).unwrap();
    assert_eq!(payload.accepted, asks(20).accepts[0]);
    assert_eq!(payload.resource_url(), Some("http://shop/"));
    assert_eq!(payload.rest["extensions"]["unheard-of"]["info"]["kept"], 1);
    assert!(payment_identifier::of(&payload).unwrap().is_some());
    let transfer = alice.transfer_in(&payload);
    assert_eq!((transfer.to, transfer.value), (SHOP, usdc(20)));
    assert!(!transfer.contract, "Alice's own key signed it");
}

#[tokio::test]
async fn the_chain_alone_says_that_it_is_paid() {
    let alice = Shopper::with_balance(1_000).await;
    let purchase = alice.buy("k", 20).await.unwrap();
    let lie = SettleResponse::paid(facts().network(), B256::repeat_byte(1), SHOP, usdc(20));
    let purchase = alice.purse.heard(&purchase, &lie).await.unwrap();
    let purchase = alice.purse.settle_up(&purchase).await.unwrap();
    assert_eq!(purchase.state, PurchaseState::Signed);
    assert_eq!(alice.purse.said(&purchase).unwrap(), Some(lie));

    alice.submit(&alice.purse.payload(&purchase).unwrap()).await.unwrap();
    assert_eq!(alice.purse.settle_up_all().await.unwrap(), 1);
    assert_eq!(alice.purse.find(&alice.home.alice, "k").unwrap().unwrap().state, PurchaseState::Paid);
    assert_eq!(alice.purse.settle_up_all().await.unwrap(), 0);
    assert_eq!(alice.reserved().await, Usdc::ZERO);
    alice.home.check_books(1_000).await;
    let kinds: Vec<_> = alice.home.settlement.history(&alice.home.alice, None, 10).unwrap();
    assert_eq!(kinds.iter().filter(|(_, entry)| entry.kind == EntryKind::Paid).count(), 1);
    assert_eq!(alice.purse.find_nonce(&purchase.nonce()).unwrap().unwrap().key, purchase.key);
}

#[tokio::test]
async fn a_new_signature_is_made_only_when_the_last_one_is_worthless() {
    let alice = Shopper::with_balance(1_000).await;
    let first = alice.buy("k", 20).await.unwrap();
    let payload = alice.purse.payload(&first).unwrap();
    alice.home.chain.set_time(long_after().minus(Duration::from_secs(1))).await;
    alice.purse.settle_up_all().await.unwrap();
    assert_eq!(alice.buy("k", 20).await.unwrap().nonce(), first.nonce());

    alice.home.chain.set_time(long_after()).await;
    assert_eq!(alice.purse.settle_up_all().await.unwrap(), 1);
    assert_eq!(alice.reserved().await, Usdc::ZERO);
    let second = alice.buy("k", 20).await.unwrap();
    assert_ne!(second.nonce(), first.nonce());
    alice.submit(&payload).await.unwrap_err();
    alice.submit(&alice.purse.payload(&second).unwrap()).await.unwrap();
    alice.purse.settle_up_all().await.unwrap();
    alice.home.check_books(1_000).await;
}

#[tokio::test]
async fn what_the_budget_refuses_is_not_signed() {
    let alice = Shopper::with_balance(900).await;
    for (units, code) in [(1_001, "budget_per_call"), (950, "insufficient_funds")] {
        let refused = alice.buy("k", units).await.unwrap_err();
        assert_eq!(haggle_base::Coded::code(&refused), code);
        assert_eq!(alice.purse.find(&alice.home.alice, "k").unwrap(), None);
    }
    assert!(matches!(alice.purse.choose(&asks(21), usdc(20)), Err(PurseError::AboveMax { .. })));
    alice.home.check_books(900).await;
}

#[tokio::test]
async fn a_payment_that_the_chain_takes_back_can_still_be_made_once() {
    let alice = Shopper::with_balance(1_000).await;
    let purchase = alice.buy("k", 20).await.unwrap();
    let payload = alice.purse.payload(&purchase).unwrap();
    let before = alice.home.chain.head().await.block;
    alice.submit(&payload).await.unwrap();
    alice.purse.settle_up_all().await.unwrap();
    alice.home.chain.reorganise(before).await;
    assert_eq!(alice.purse.look_again().await.unwrap(), 1);
    assert_eq!(alice.reserved().await, usdc(20));
    alice.home.check_books(1_000).await;
    assert_eq!(alice.buy("k", 20).await.unwrap().nonce(), purchase.nonce());
    alice.submit(&payload).await.unwrap();
    alice.purse.settle_up_all().await.unwrap();
    alice.home.check_books(1_000).await;
}

#[tokio::test]
async fn a_transfer_is_sent_once_although_nobody_heard_of_it() {
    let alice = Shopper::with_balance(1_000).await;
    alice.home.chain.lose_answers().await;
    let wanted = alice.wanted("gift", "for the lamp");
    for _ in 0..2 {
        let sent = alice.purse.transfer(&wanted, SHOP, usdc(70)).await.unwrap();
        assert_eq!(sent.state, PurchaseState::Paid);
    }
    assert_eq!(alice.home.chain.sent().await, 1);
    assert!(matches!(
        alice.purse.payload(&alice.purse.find(&alice.home.alice, "gift").unwrap().unwrap()),
        Err(PurseError::NotForSale)
    ));
    alice.home.check_books(1_000).await;
}

#[tokio::test]
async fn an_answer_that_was_paid_for_is_kept() {
    let alice = Shopper::with_balance(1_000).await;
    let purchase = alice.buy("k", 20).await.unwrap();
    alice.purse.answered(&purchase, 200, Text::try_from("text/plain").unwrap(), b"the goods").await.unwrap();
    let alice = alice.restarted().await;
    let answer = alice.purse.find(&alice.home.alice, "k").unwrap().unwrap().answer.unwrap();
    assert_eq!((answer.status, alice.purse.body(&answer).unwrap()), (200, b"the goods".to_vec()));
}
