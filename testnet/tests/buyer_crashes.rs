//! The buyer is killed after each step it stores, and starts again: the work is done once and paid once, every time.

use haggle_base::Side;
use haggle_trade::order::saga::Step;

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_killed_after_any_step_pays_and_works_exactly_once() {
    let steps = Step::PAID_WAY.map(Step::as_str);
    haggle_testnet::killed_after_each(env!("CARGO_BIN_EXE_haggle-testnet"), Side::Buyer, &steps).await;
}
