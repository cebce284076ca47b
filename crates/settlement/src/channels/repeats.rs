//! Stories of payments that come again when the price is another, or nothing is sold any more.

use haggle_base::Hash;
use haggle_x402::{PaymentRequirements, batch::code};

use super::{
    ChannelSale, Next, Taken,
    testing::{PRICE, Street},
};
use crate::{SettlementError, testing::usdc};

#[tokio::test]
async fn what_was_paid_for_is_answered_whatever_it_costs_by_now() {
    let street = Street::open().await;
    street.charged("first").await;
    let paid = street.pay("second").await.unwrap().payment;
    let settled = street.serve("second", &paid).await.unwrap();
    let dearer = ChannelSale { amount: usdc(30), ..street.sale("second") };
    let Ok(Taken::Answered { answer, settled: again }) = street.selling.take(&dearer, &paid).await else {
        panic!("it is answered")
    };
    assert_eq!((answer.as_deref(), *again), (Some(b"second".as_slice()), settled));
    let unpaid = ChannelSale { amount: usdc(30), ..street.sale("third") };
    assert_eq!(street.selling.take(&unpaid, &paid).await.unwrap_err().code, code::REQUIREMENTS);
}

#[tokio::test]
async fn a_key_that_comes_again_when_the_price_is_another_gets_what_it_paid_for() {
    let street = Street::open().await;
    street.charged("first").await;
    let paid = street.pay("second").await.unwrap().payment;
    street.serve("second", &paid).await.unwrap();
    let dearer = PaymentRequirements { amount: usdc(30).into(), ..street.requirement() };
    let again = street.buying.pay(&street.alice, "second", &dearer, None).await.unwrap();
    assert!(again.again && again.deposit.is_none());
    assert_eq!((&again.payment.payload, &again.payment.accepted), (&paid.payload, &paid.accepted));
    let sale = ChannelSale { amount: usdc(30), ..street.sale("second") };
    let Ok(Taken::Answered { settled, .. }) = street.selling.take(&sale, &again.payment).await else {
        panic!("it is answered")
    };
    let next = street.buying.answered(&street.alice, "second", &settled).await.unwrap();
    assert_eq!(next, Next::Charged(PRICE), "at the price of then");
    street.check().await;
}

#[tokio::test]
async fn a_key_whose_payment_never_arrived_is_not_sold_to_at_the_old_price() {
    let street = Street::open().await;
    street.charged("first").await;
    street.pay("second").await.unwrap();
    let dearer = PaymentRequirements { amount: usdc(30).into(), ..street.requirement() };
    let again = street.buying.pay(&street.alice, "second", &dearer, None).await.unwrap().payment;
    let sale = ChannelSale { amount: usdc(30), ..street.sale("second") };
    let refusal = street.selling.take(&sale, &again).await.unwrap_err();
    assert_eq!(refusal.code, code::REQUIREMENTS);
    let next = street.buying.refused(&street.alice, "second", &dearer, &street.refusal(&refusal)).await.unwrap();
    assert_eq!(next, Next::Over);
    let later = street.buying.pay(&street.alice, "second", &dearer, None).await;
    assert!(matches!(later, Err(SettlementError::KeyUsed)), "its voucher is out: {later:?}");
    assert_eq!(street.selling.channels(None)[0].charged, PRICE);
    street.charged("the channel goes on").await;
    street.check().await;
}

#[tokio::test]
async fn what_was_paid_for_is_answered_when_nothing_is_sold() {
    let mut street = Street::open().await;
    let (first, second) = (Hash::of(b"first"), Hash::of(b"second"));
    let deposit = street.pay("first").await.unwrap().payment;
    assert!(street.selling.again(first, &deposit).unwrap().is_none(), "nothing is kept for what was not taken");
    assert!(street.selling.channels(None).is_empty(), "and nothing is stored of it");
    let settled = street.serve("first", &deposit).await.unwrap();
    let Ok(Some(Taken::Answered { settled: again, .. })) = street.selling.again(first, &deposit) else {
        panic!("it is answered")
    };
    assert_eq!(*again, settled, "with the deposit that came with it");
    let next = street.buying.answered(&street.alice, "first", &settled).await.unwrap();
    assert_eq!(next, Next::Charged(PRICE));

    let voucher = street.pay("second").await.unwrap().payment;
    let Ok(Taken::Work(ticket)) = street.selling.take(&street.sale("second"), &voucher).await else {
        panic!("it is new")
    };
    let Ok(Some(Taken::AtWork(waiting))) = street.selling.again(second, &voucher) else { panic!("it is worked on") };
    let settled = street.selling.worked(ticket, b"done").await.unwrap();
    waiting.over().await;
    street.restart_bob().await;
    let Ok(Some(Taken::Answered { answer, settled: again })) = street.selling.again(second, &voucher) else {
        panic!("it is answered")
    };
    assert_eq!((answer.as_deref(), *again), (Some(b"done".as_slice()), settled));
    assert!(street.selling.again(first, &voucher).unwrap().is_none(), "it paid for one request");
    let mut forged = voucher.clone();
    forged.payload["voucher"]["signature"] = deposit.payload["voucher"]["signature"].clone();
    assert!(street.selling.again(second, &forged).unwrap().is_none(), "the answer is for who can sign");
    assert_eq!(street.selling.seller_of(&voucher), Some(street.bob));
    street.check().await;
}
