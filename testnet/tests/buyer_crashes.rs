//! The buyer is killed after each step it stores, and starts again: the work is done once and paid once, every time.

use haggle_base::Usdc;
use haggle_testnet::{BUYER_STEPS, Stage};

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");
/// A killed QUIC peer is noticed by its silence only; over TCP the other side knows at once.
const TCP_ALONE: (&str, &str) = ("HAGGLE_P2P__LISTEN", "[\"/ip4/127.0.0.1/tcp/0\"]");
/// Which node is killed.
const VICTIM: usize = 2;

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_killed_after_any_step_pays_and_works_exactly_once() {
    let mut stage = Stage::new(PROGRAM).await;
    for _ in 0..2 {
        stage.market.add_node_with(&[TCP_ALONE]).await.unwrap();
    }
    let seller = stage.serve(1, "digest", 1).await;
    let listing = stage.listing(2, "digest").await;
    let mut paid = 0;
    for step in BUYER_STEPS {
        stage.market.node_mut(VICTIM).restart(&[("HAGGLE_CRASH_AFTER", step)]).await.unwrap();
        let (_, had) = stage.buyer(2).await;
        let key = format!("crash-{step}");
        // it may be killed before it answers
        let _answer = stage.try_hire(2, &listing, &key).await;
        stage.until_dead(VICTIM).await;
        stage.market.node_mut(VICTIM).restart(&[]).await.unwrap();
        // whoever got no answer asks again with the same key, as whoever got one may
        let hired = stage.hire(2, &listing, &key).await;

        let order = stage.until_state(2, &hired.key, "settled").await;
        let id = order.id.unwrap();
        stage.until_step(1, &id, "attested").await;
        paid += 1;
        let spent = had.checked_sub(stage.buyer(2).await.1).unwrap();
        assert_eq!(spent, Usdc::from_units(20_500), "after {step}");
        assert_eq!(stage.balance(1, &seller.did).await, Usdc::from_units(20_000 * paid), "after {step}");
        assert_eq!(stage.runs(1, &id), 1, "after {step}");
        stage.assert_conserved();
    }
    stage.end().await;
}
