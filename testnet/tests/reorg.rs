//! The chain takes twenty blocks back under a settled order, and mines their transactions again or forgets them: both nodes
//! follow, put back what is lost, and the work is neither done nor paid twice.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use haggle::view::OrderView;
use haggle_devchain::Taken;
use haggle_testnet::Stage;
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");
/// A killed QUIC peer is noticed by its silence only; over TCP the other side knows at once.
const TCP_ALONE: (&str, &str) = ("HAGGLE_P2P__LISTEN", "[\"/ip4/127.0.0.1/tcp/0\"]");

#[tokio::test(flavor = "multi_thread")]
async fn twenty_blocks_whose_transactions_are_mined_again_change_only_their_place() {
    follows(20, Taken::MinedAgain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_blocks_that_are_lost_are_made_good() {
    follows(20, Taken::Lost).await;
}

async fn follows(depth: u64, taken: Taken) {
    let stage = Stage::of(PROGRAM, 2).await;
    let seller = stage.serve(1, "digest", 1).await;
    let listing = stage.listing(2, "digest").await;
    // what was minted for the market lies deeper than what is taken back
    stage.market.chain().mine(depth);
    let (_, had) = stage.buyer(2).await;
    let hired = stage.hire(2, &listing, "reorganised").await;
    let settled = stage.until(2, &hired.key, |order| order.steps.iter().any(|line| line.step == "attested")).await;
    let id = settled.id.clone().unwrap();
    stage.until_step(1, &id, "attested").await;

    stage.market.chain().reorg(depth, taken).unwrap();

    // where all is mined again, nobody may notice more than other blocks
    if taken == Taken::Lost {
        until_made_good(&stage, &hired.key, &id).await;
    }
    until_read(&stage, stage.market.chain().head().0).await;
    stage.until_state(2, &hired.key, "settled").await;
    stage.until_state(1, &id, "settled").await;
    assert_eq!(stage.buyer(2).await.1, had.checked_sub(settled.total).unwrap());
    assert_eq!(stage.balance(1, &seller.did).await, settled.price);
    assert_eq!(stage.runs(1, &id), 1, "the work is done once");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_killed_before_they_open_an_order_again_do_so_when_they_are_back() {
    let mut stage = Stage::new(PROGRAM).await;
    for _ in 0..2 {
        stage.market.add_node_with(&[TCP_ALONE]).await.expect("the node starts");
    }
    let seller = stage.serve(1, "digest", 1).await;
    let listing = stage.listing(2, "digest").await;
    stage.market.chain().mine(20);
    let (_, had) = stage.buyer(2).await;
    let hired = stage.hire(2, &listing, "killed").await;
    let settled = stage.until_step(2, &hired.key, "attested").await;
    let id = settled.id.clone().unwrap();
    stage.until_step(1, &id, "attested").await;

    for node in [1, 2] {
        let armed = [TCP_ALONE, ("HAGGLE_CRASH_AFTER", "order_taken_back")];
        stage.market.node_mut(node).restart(&armed).await.expect("it starts");
    }
    stage.market.chain().reorg(20, Taken::Lost).unwrap();
    for node in [1, 2] {
        stage.until_dead(node).await;
    }
    for node in [1, 2] {
        stage.market.node_mut(node).restart(&[TCP_ALONE]).await.expect("it starts again");
    }

    stage.until(2, &hired.key, is_made_good).await;
    stage.until(1, &id, is_made_good).await;
    assert_eq!(stage.buyer(2).await.1, had.checked_sub(settled.total).unwrap());
    assert_eq!(stage.balance(1, &seller.did).await, settled.price);
    assert_eq!(stage.runs(1, &id), 1, "the work is done once");
    stage.end().await;
}

/// Whether the order was open again, and was carried through once more.
fn is_made_good(order: &OrderView) -> bool {
    let back = order.steps.iter().rposition(|line| line.step == "taken_back");
    back.is_some_and(|back| order.steps[back..].iter().any(|line| line.step == "attested"))
}

/// Waits until one of the two nodes has made the order good. Whoever sees first what is lost does so, and the other may come
/// to look when it stands again.
async fn until_made_good(stage: &Stage, key: &str, id: &str) {
    tokio::select! {
        _ = stage.until(2, key, is_made_good) => {}
        _ = stage.until(1, id, is_made_good) => {}
    }
}

/// Waits until both nodes have read the chain up to there.
async fn until_read(stage: &Stage, height: u64) {
    for node in [1, 2] {
        while stage.get(node, "/v1/node").await["chain"]["block"].as_u64() < Some(height) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
