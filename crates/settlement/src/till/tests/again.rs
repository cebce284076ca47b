//! Payments that come again when what they bought is not sold any more.

use super::super::Asked;
use super::*;

/// What Alice asked for, from her address.
fn asked(shop: &Shop) -> Asked {
    let Sale { resource, request, caller, .. } = shop.sale();
    Asked { resource, request, caller }
}

/// How often the chain took a payment, and what Bob has.
fn moved(shop: &Shop) -> (u64, u64) {
    (u64::try_from(shop.token.sent()).unwrap(), shop.token.balance(shop.bob_address()))
}

#[tokio::test]
async fn what_was_paid_for_is_answered_without_anything_on_sale() {
    for later in [false, true] {
        let shop = Shop::open().await;
        let payload = if later { shop.later(1) } else { shop.upfront(1) };
        let (answer, settlement) = shop.serve(&shop.sale(), &payload, &AtomicUsize::new(0)).await.unwrap();
        let shop = shop.restarted().await;
        let Ok(Some(Taken::Answered { answer: kept, settlement: said })) =
            shop.till.again(&asked(&shop), &payload).await
        else {
            panic!("it is answered")
        };
        assert_eq!((kept, said), (answer, settlement));
        assert_eq!(moved(&shop), (1, PRICE));

        let other = Asked { request: haggle_base::Hash::of(b"another"), ..asked(&shop) };
        assert!(shop.till.again(&other, &payload).await.unwrap().is_none(), "it paid for one request");
        let stranger = Asked { caller: shop.sale_by(9, "hello").caller, ..asked(&shop) };
        assert!(shop.till.again(&stranger, &payload).await.unwrap().is_none(), "what is on the chain opens no answer");
        shop.check_books().await;
    }
}

#[tokio::test]
async fn what_was_not_taken_is_not_taken_now() {
    for later in [false, true] {
        let shop = Shop::open().await;
        let payload = if later { shop.later(1) } else { shop.upfront(1) };
        assert!(shop.till.again(&asked(&shop), &payload).await.unwrap().is_none());
        assert_eq!(moved(&shop), (0, 0));
        assert_eq!(shop.store.count::<super::super::record::TillPayments>().unwrap(), 0, "nothing is stored of it");
    }
    // reserved, and let go by a process that died at work
    let shop = Shop::open().await;
    let payload = shop.later(1);
    drop(shop.ticket(&payload).await);
    let shop = shop.restarted().await;
    assert!(shop.till.again(&asked(&shop), &payload).await.unwrap().is_none());
    assert_eq!(moved(&shop), (0, 0));
}

#[tokio::test]
async fn what_is_paid_and_not_worked_for_is_owed() {
    let shop = Shop::open().await;
    let payload = shop.upfront(1);
    let ticket = shop.ticket(&payload).await;
    let Ok(Some(Taken::Busy(waiting))) = shop.till.again(&asked(&shop), &payload).await else {
        panic!("somebody is at work")
    };
    drop(ticket);
    waiting.done().await;
    let Ok(Some(Taken::Work(owed))) = shop.till.again(&asked(&shop), &payload).await else { panic!("it is owed") };
    assert_eq!((owed.is_paid(), owed.seller(), owed.amount()), (true, Some(shop.bob), amount(PRICE)));
    let paid = shop.till.failed(owed).await.unwrap().expect("it stays paid");
    assert!(paid.success);
    assert_eq!(moved(&shop), (1, PRICE));
}

#[tokio::test]
async fn what_may_have_been_sent_is_looked_up_and_not_sent() {
    let shop = Shop::open().await;
    let payload = shop.upfront(1);
    shop.token.lose_answers(true);
    assert_eq!(refused(&shop, &shop.sale(), &payload).await, Reason::Pending);
    shop.token.lose_answers(false);
    let Ok(Some(Taken::Work(owed))) = shop.till.again(&asked(&shop), &payload).await else { panic!("it was mined") };
    assert!(owed.is_paid());
    drop(owed);
    assert_eq!(moved(&shop), (1, PRICE));
    shop.token.reorganise(1, false);
    shop.till.follow_once().await.unwrap();
    let stands = shop.till.again(&asked(&shop), &payload).await.unwrap_err();
    assert_eq!((stands.reason, stands.transaction.is_some()), (Reason::Pending, true));
    assert_eq!(shop.token.balance(shop.bob_address()), 0, "it left the chain, and nobody sends it anew");
}

#[tokio::test]
async fn who_knows_the_identifier_gets_what_was_bought_under_it() {
    let shop = Shop::open().await;
    let done = AtomicUsize::new(0);
    let (answer, _) = shop.serve(&shop.sale(), &identified(shop.upfront(1), 7), &done).await.unwrap();
    let elsewhere = Asked { caller: shop.sale_by(9, "hello").caller, ..asked(&shop) };
    let second = identified(shop.upfront(2), 7);
    let Ok(Some(Taken::Answered { answer: kept, .. })) = shop.till.again(&elsewhere, &second).await else {
        panic!("it is answered")
    };
    assert_eq!((kept, moved(&shop)), (answer, (1, PRICE)), "the second signature is never sent");
    assert!(shop.till.again(&elsewhere, &identified(shop.upfront(3), 8)).await.unwrap().is_none());
}
