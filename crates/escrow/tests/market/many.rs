//! Many orders in one transaction.

use haggle_base::Coded as _;
use haggle_escrow::{EscrowError, MAX_BATCH, Row, ToFund, ToRelease};

use crate::town::{PURSE, Town};

fn to_fund(town: &Town, salt: u64) -> ToFund {
    let order = town.order(salt);
    let (buyer, provider) = (town.payment(&order, &town.alice), Some(town.consent(&order, &town.bob)));
    ToFund { order, buyer, provider }
}

#[tokio::test]
async fn a_bad_row_costs_the_others_nothing() {
    let town = Town::open().await;
    let bob = town.client(&town.bob).await;
    let mut rows: Vec<_> = (0..4).map(|salt| to_fund(&town, salt)).collect();
    rows[1].buyer = town.payment(&rows[1].order, &town.eve);
    let sent = bob.fund_batch(&rows).await.unwrap();
    assert!(matches!(sent.rows[..], [Row::Mined, Row::Skipped(_), Row::Mined, Row::Mined]), "{sent:?}");
    assert_eq!(town.held(), 15_000_000);
    let again = bob.fund_batch(&rows[2..]).await.unwrap();
    assert!(again.tx.is_none() && again.rows.iter().all(|row| matches!(row, Row::AlreadyDone(_))));

    let release = |row: &ToFund| ToRelease { order: row.order.clone(), buyer: town.release(&row.order, &town.alice) };
    let mut releases: Vec<_> = rows.iter().map(release).collect();
    releases.push(releases[0].clone());
    let sent = bob.release_batch(&releases).await.unwrap();
    assert_eq!(sent.rows.iter().filter(|row| **row == Row::Mined).count(), 4, "one of them twice in the batch");
    let Row::Skipped(reason) = sent.rows[1] else { panic!("an order nobody funded was released") };
    assert_eq!(reason.code(), "reverted_bad_state");
    assert_eq!(town.balance(town.bob.address()), PURSE + 3 * 4_500_000);
    town.assert_conserved();
}

#[tokio::test]
async fn fifty_orders_are_released_in_one_transaction() {
    let town = Town::open().await;
    let bob = town.client(&town.bob).await;
    town.chain.mint_usdc(town.alice.address(), 250_000_000).unwrap();
    let rows: Vec<_> = (0..50).map(|salt| to_fund(&town, salt)).collect();
    let sent = bob.fund_batch(&rows).await.unwrap();
    assert!(sent.rows.iter().all(|row| *row == Row::Mined));
    let releases: Vec<_> = rows
        .iter()
        .map(|row| ToRelease { order: row.order.clone(), buyer: town.release(&row.order, &town.alice) })
        .collect();
    let sent = bob.release_batch(&releases).await.unwrap();
    assert!(sent.tx.unwrap().gas_used < 50 * 25_000);
    assert_eq!(town.balance(town.bob.address()), PURSE + 50 * 4_500_000);
}

#[tokio::test]
async fn more_rows_than_fit_are_not_sent() {
    let town = Town::open().await;
    let row = to_fund(&town, 1);
    let rows = vec![row; MAX_BATCH + 1];
    let refused = town.client(&town.bob).await.fund_batch(&rows).await.unwrap_err();
    assert!(matches!(refused, EscrowError::BatchTooLarge { .. }) && !refused.is_retryable());
}
