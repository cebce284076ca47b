//! Five nodes, one paid call: the fifth finds a stranger of the second, pays through the escrow, and the third, who took
//! no part, sees the seller's record change from its own chain reads.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use haggle::view::AgentView;
use haggle_base::{Seed, Usdc};
use haggle_testnet::Stage;
use std::path::Path;
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");

/// Whether any file below `folder` holds `needle`.
fn holds(folder: &Path, needle: &str) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, needle);
        }
        let bytes = std::fs::read(&path).unwrap_or_default();
        bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_found_paid_and_remembered() {
    let mut stage = Stage::of(PROGRAM, 4).await;
    let seller = stage.serve(2, "digest", 1).await;

    // what node 5 is given before it starts names the first node and nothing of the seller
    let home = stage.market.make_next_home().unwrap();
    let seller_peer = Seed::devnet(7, 2).node_key().peer_id().to_string();
    let bootstrap_peer = Seed::devnet(7, 1).node_key().peer_id().to_string();
    assert!(holds(home.path(), &bootstrap_peer), "the home must name its bootstrap, or this check could not fail");
    let listing_id = seller.listing.clone().unwrap();
    let addresses = stage.node(2).addresses().unwrap();
    for secret in [&seller.did, &seller_peer, &listing_id].into_iter().chain(&addresses) {
        assert!(!holds(home.path(), secret), "node 5 knows {secret} before it searched");
    }

    stage.market.add_node().await.unwrap();
    stage.node(5).until_sees(1).await.unwrap();
    let listing = stage.listing(5, "digest").await;
    assert_eq!(listing.agent, seller.did);
    let before: AgentView = stage.node(3).client().unwrap().get(&format!("/v1/agents/{}", seller.did)).await.unwrap();
    assert_eq!(before.reputation.total_calls, 0);
    assert_eq!(before.reputation.success_rate, None);

    let (_, had) = stage.buyer(5).await;
    let hired = stage.hire(5, &listing, "paid-call").await;
    let order = stage.until_state(5, &hired.key, "settled").await;
    assert_eq!(order.price, Usdc::from_units(20_000));
    assert_eq!(order.fee, Usdc::from_units(500));
    assert_eq!(order.output.as_ref().unwrap()["words"], 15);
    let (_, has) = stage.buyer(5).await;
    assert_eq!(had.checked_sub(has).unwrap(), Usdc::from_units(20_500));
    assert_eq!(stage.balance(2, &seller.did).await, Usdc::from_units(20_000));

    // the fee lies in the escrow for the sink, and anybody may send it there
    let chain = stage.market.chain();
    let escrow = chain.deployment().unwrap().escrow;
    assert_eq!(chain.balance_usdc(escrow).unwrap(), 500);
    let sink = chain.deployment().unwrap().fee_sink;
    let config = haggle_escrow::EscrowConfig::for_network(stage.market.network(), vec![chain.rpc_url()]);
    let client = haggle_escrow::EscrowClient::connect(config, &Seed::devnet(7, 1).payment_key(0)).await.unwrap();
    client.withdraw(sink).await.unwrap().expect("there is a fee to withdraw");
    assert_eq!(chain.balance_usdc(escrow).unwrap(), 0);
    assert_eq!(chain.balance_usdc(sink).unwrap(), 500);

    // node 3 is neither party nor bootstrap
    let path = format!("/v1/agents/{}", seller.did);
    let watcher = stage.node(3).client().unwrap();
    let seen = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            let agent: AgentView = watcher.get(&path).await.unwrap();
            if agent.reputation.total_calls == 1 && agent.reputation.attestations >= 2 {
                return agent;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("node 3 hears of the trade");
    assert_eq!(seen.reputation.success_rate.as_deref(), Some("1"));

    // the same key again is the same order, not a second one
    let again = stage.hire(5, &listing, "paid-call").await;
    let same = stage.until_state(5, &again.key, "settled").await;
    assert_eq!(same.id, order.id);
    assert_eq!(stage.buyer(5).await.1, has);
    assert_eq!(stage.runs(2, order.id.as_deref().unwrap()), 1);
    stage.end().await;
}
