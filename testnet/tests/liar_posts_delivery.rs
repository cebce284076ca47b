//! A seller delivers nonsense and posts it on chain as delivered, which would pay it after the review window. The buyer's
//! node disputes by itself and is made whole: whether the seller keeps silent, stands to its lie, or the buyer's node is
//! killed in between.

use haggle::view::{AgentSummary, OrderView};
use haggle_base::{Seed, Usdc};
use haggle_testnet::{Hired, Stage};
use serde_json::json;
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");
/// More than the window for a counter, in chain time.
const WINDOW: Duration = Duration::from_secs(3_700);
/// The seller's bond, and more.
const PURSE: Usdc = Usdc::from_units(10_000);

/// Node 1 serves the forger, node 2 has bought from it, and the result is known to be nonsense.
async fn bought(stage: &Stage) -> (AgentSummary, Hired, String) {
    let seller = stage.serve(1, "forger", 1).await;
    let listing = stage.listing(2, "forger").await;
    let hired = stage.hire(2, &listing, "forged").await;
    let order = stage.until_step(2, &hired.key, "checked").await;
    (seller, hired, order.id.expect("an order with terms"))
}

/// What the rows of a wallet say it gained, in base units, and how many there are.
async fn rows(stage: &Stage, number: usize, did: &str) -> (i64, usize) {
    let rows = stage.get(number, &format!("/api/v1/wallets/{did}/transactions?limit=100")).await;
    let rows = rows.as_array().expect("a list");
    let units = |change: String| {
        let (sign, digits) = change.strip_prefix('-').map_or((1, change.as_str()), |digits| (-1, digits));
        sign * i64::try_from(digits.parse::<Usdc>().expect("an amount").units()).expect("it fits")
    };
    (rows.iter().map(|row| units(row["balanceChange"].to_string())).sum(), rows.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_liar_that_keeps_silent_gets_nothing() {
    let stage = Stage::of(PROGRAM, 2).await;
    let (buyer, had) = stage.buyer(2).await;
    let (seller, hired, id) = bought(&stage).await;

    stage.forward(stage.until_near_deadline());
    let disputed = stage.until_state(2, &hired.key, "disputed").await;
    assert_eq!(disputed.problem.as_deref(), Some("schema_mismatch"));
    let bond = Usdc::from_units(500);
    assert_eq!(stage.buyer(2).await.1, had.checked_sub(disputed.total).unwrap().checked_sub(bond).unwrap());
    stage.until_state(1, &id, "disputed").await;

    stage.forward(WINDOW);
    let refunded = stage.until_state(2, &hired.key, "refunded").await;
    assert!(refunded.settle_tx.is_some());
    assert_eq!(stage.buyer(2).await.1, had, "price, fee and bond are back");
    assert_eq!(stage.balance(1, &seller.did).await, Usdc::ZERO);
    assert_eq!(rows(&stage, 2, &buyer).await, (0, 4), "deposit and bond, out and back");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_liar_that_stands_to_its_lie_loses_its_bond_by_the_arbitrators_ruling() {
    let stage = Stage::of(PROGRAM, 2).await;
    let (buyer, had) = stage.buyer(2).await;
    let (seller, hired, id) = bought(&stage).await;
    let purse = Seed::devnet(7, 1).payment_key(1).address();
    stage.market.chain().mint_usdc(purse, PURSE.units()).unwrap();
    assert_eq!(stage.balance(1, &seller.did).await, PURSE);

    stage.forward(stage.until_near_deadline());
    stage.until_state(1, &id, "disputed").await;
    let client = stage.node(1).client().unwrap();
    let _stands: OrderView = client.post(&format!("/v1/orders/{id}/counter"), &json!({})).await.unwrap();
    stage.until_step(1, &id, "counter_signed").await;

    // the arbitrator checks hash and schema again, and rules: maybe before the seller has seen its own bond land
    let refunded = stage.until_state(2, &hired.key, "refunded").await;
    assert!(refunded.settle_tx.is_some());
    assert_eq!(stage.buyer(2).await.1, had, "price, fee and bond are back");
    let left = PURSE.checked_sub(Usdc::from_units(500)).unwrap();
    assert_eq!(stage.balance(1, &seller.did).await, left, "the seller stood to its lie, and its bond is gone");
    stage.until_state(1, &id, "refunded").await;
    assert_eq!(rows(&stage, 2, &buyer).await, (0, 4), "deposit and bond, out and back");
    assert_eq!(rows(&stage, 1, &seller.did).await, (-500, 1), "its bond is gone");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_killed_before_its_dispute_leaves_is_made_whole_too() {
    let mut stage = Stage::new(PROGRAM).await;
    stage.market.add_node().await.unwrap();
    stage.market.add_node_with(&[("HAGGLE_CRASH_AFTER", "dispute_signed")]).await.unwrap();
    let (_, had) = stage.buyer(2).await;
    let (_, hired, _) = bought(&stage).await;

    stage.forward(stage.until_near_deadline());
    stage.until_dead(2).await;
    stage.market.node_mut(2).restart(&[]).await.unwrap();
    stage.until_state(2, &hired.key, "disputed").await;
    stage.forward(WINDOW);
    stage.until_state(2, &hired.key, "refunded").await;
    assert_eq!(stage.buyer(2).await.1, had);
    stage.end().await;
}
