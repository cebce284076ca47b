//! Channels on the real contract: the embedded chain, the node's own adapter, Alice's home and Bob's.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a story that cannot go on stops")]

mod port;
mod street;

use haggle_base::Usdc;
use haggle_settlement::channels::{Next, Taken};
use street::{DAY, PRICE, PURSE, Street};

#[tokio::test]
async fn a_hundred_calls_of_two_cents_cost_three_transactions_and_the_seller_ends_with_two_dollars() {
    let street = Street::open(true).await;
    let before = street.mined();
    for call in 0..100 {
        street.call(&format!("call {call}")).await;
    }
    assert_eq!(street.mined() - before, 1, "the deposit");
    let ticked = street.selling.claim(None).await.unwrap();
    assert_eq!(ticked.claimed, Usdc::from_units(2_000_000));
    let channel = street.buying.channels(None).remove(0);
    let refund = street.buying.refund(&street.alice, &channel.id, &street.requirement(), None).await.unwrap();
    let Taken::Returned(settled) = street.selling.take(&street.sale("close"), &refund).await.unwrap() else {
        panic!("a refund")
    };
    street.buying.refunded(&channel.id, &settled).await.unwrap();
    assert!(street.mined() - before <= 4);
    assert_eq!(street.balance(&street.bob), PURSE + 2_000_000);
    assert_eq!(street.balance(&street.alice), PURSE - 2_000_000);
    assert!(street.buying.channels(None)[0].closed);
    let books = street.homes[0].wallet(&street.alice).await.unwrap().accounts;
    assert_eq!((books.sum(), books.spent, books.channels), (0, 2_000_000, 0));
    let books = street.homes[1].wallet(&street.bob).await.unwrap().accounts;
    assert_eq!((books.sum(), books.earned, books.available), (0, -2_000_000, 2_000_000));
}

#[tokio::test]
async fn a_payer_that_withdraws_cannot_take_back_what_it_owes() {
    let street = Street::open(true).await;
    street.call("first").await;
    street.call("second").await;
    let id = street.buying.channels(None)[0].id;
    street.buying.withdraw(&street.alice, &id).await.unwrap();
    let ticked = street.selling.tick().await.unwrap();
    assert_eq!((ticked.withdrawals, ticked.claimed), (1, Usdc::from_units(2 * PRICE.units())));
    street.chain.increase_time(DAY.as_secs());
    let ticked = street.buying.tick().await.unwrap();
    assert_eq!((ticked.withdrawn, ticked.closed), (1, 1));
    assert_eq!(street.balance(&street.alice), PURSE - 2 * PRICE.units());
    assert_eq!(street.balance(&street.bob), PURSE + 2 * PRICE.units());
}

#[tokio::test]
async fn a_contract_with_only_the_standards_calls_is_claimed_from_too() {
    let street = Street::open(false).await;
    for call in 0..3 {
        street.call(&format!("call {call}")).await;
    }
    assert_eq!(street.selling.claim(None).await.unwrap().claims.len(), 1);
    assert_eq!(street.balance(&street.bob), PURSE + 3 * PRICE.units());
}

#[tokio::test]
async fn one_deposit_delivered_at_once_by_many_is_one_transaction() {
    let street = Street::open(true).await;
    let before = street.mined();
    let key = "storm";
    let paying = street.buying.pay(&street.alice, key, &street.requirement(), None).await.unwrap();
    let deliveries = (0..20).map(|_| async {
        loop {
            match street.selling.take(&street.sale(key), &paying.payment).await.unwrap() {
                Taken::Work(ticket) => return Some(street.selling.worked(ticket, b"done").await.unwrap()),
                Taken::AtWork(waiting) => waiting.over().await,
                Taken::Answered { .. } => return None,
                Taken::Returned(_) | Taken::Receipt(_) => panic!("no wish"),
            }
        }
    });
    let settled: Vec<_> = futures::future::join_all(deliveries).await.into_iter().flatten().collect();
    assert_eq!((settled.len(), street.mined() - before), (1, 1));
    assert!(settled[0].transaction.starts_with("0x"));
    let next = street.buying.answered(&street.alice, key, &settled[0]).await.unwrap();
    assert_eq!(next, Next::Charged(PRICE));
}
