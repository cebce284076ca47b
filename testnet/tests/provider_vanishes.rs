//! The provider takes the order and is never heard of again: the buyer gets its money back, fee included, and nobody is shown
//! that provider any more.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use haggle::view::{AgentSummary, ListingPage, Republish, WhyView};
use haggle_testnet::Stage;
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");

#[tokio::test(flavor = "multi_thread")]
async fn the_buyer_of_a_provider_that_vanishes_is_refunded() {
    let mut stage = Stage::new(PROGRAM).await;
    stage.market.add_node_with(&[("HAGGLE_CRASH_AFTER", "funded")]).await.unwrap();
    stage.market.add_node().await.unwrap();
    let seller = stage.serve(1, "digest", 1).await;
    let (_, had) = stage.buyer(2).await;

    let listing = stage.listing(2, "digest").await;
    let hired = stage.hire(2, &listing, "vanishes").await;
    stage.until_dead(1).await;
    let funded = stage.until_state(2, &hired.key, "funded").await;
    assert!(funded.fund_tx.is_some());
    let (_, during) = stage.buyer(2).await;
    assert!(during < had, "the money is in the escrow");

    stage.forward(Duration::from_secs(3600));
    let order = stage.until_state(2, &hired.key, "refunded").await;
    assert!(order.settle_tx.is_some());
    assert_eq!(stage.buyer(2).await.1, had);

    // the provider signed the order and paid nothing back by itself: that is a failure on its record
    let path = format!("/v1/agents/{}", seller.did);
    let rated = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            let agent = stage.get(2, &path).await;
            if agent["reputation"]["total_calls"] == 1 {
                return agent;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert_eq!(rated.await.expect("the failure is remembered")["reputation"]["success_rate"], "0");
    nobody_is_shown_it(&stage, &listing.id).await;
    its_node_publishes_nothing_new(&mut stage, &seller).await;
    stage.end().await;
}

/// More buyers failed than served well: node 2 holds the listing, shows it in no search, and says why.
async fn nobody_is_shown_it(stage: &Stage, id: &str) {
    let client = stage.node(2).client().unwrap();
    for query in ["", "?q=digest", "?min_reputation=-5", "?sort=combined"] {
        let page: ListingPage = client.get(&format!("/v1/listings{query}")).await.unwrap();
        assert_eq!((page.items.len(), page.total), (0, 0), "{query}");
    }
    let why: WhyView = client.get(&format!("/v1/listings/{id}/why")).await.unwrap();
    assert_eq!((why.here.as_str(), why.hidden.as_deref()), ("held", Some("Insufficient reputation")), "{why:?}");
    let typed = stage.typed(2, &["listing", "why", id]).await;
    assert!(typed.out.contains("shows it in no search: Insufficient reputation"), "{}", typed.out);
}

/// The seller's node publishes nothing new for it, unless its owner will have it otherwise: then others do not show that either.
async fn its_node_publishes_nothing_new(stage: &mut Stage, seller: &AgentSummary) {
    let publish = format!("/v1/agents/{}/publish", seller.did);
    let dearer = Republish { price: Some("0.07".parse().unwrap()) };
    stage.market.node_mut(1).restart(&[]).await.unwrap();
    let own = format!("/v1/agents/{}", seller.did);
    stage.until_answer(1, &own, |agent| agent["reputation"]["net"] == -1).await;
    let refused = stage.node(1).client().unwrap().post::<_, AgentSummary>(&publish, &dearer).await.unwrap_err();
    assert_eq!(
        (refused.code.as_str(), refused.detail.as_str()),
        ("insufficient_reputation", "Insufficient reputation")
    );
    // what is out stays as it is
    let same: AgentSummary = stage.node(1).client().unwrap().post(&publish, &Republish { price: None }).await.unwrap();
    assert_eq!((&same.listing, same.price), (&seller.listing, seller.price));

    stage.market.node_mut(1).restart(&[("HAGGLE_MARKET__MIN_REPUTATION", "-1")]).await.unwrap();
    let published: AgentSummary = stage.node(1).client().unwrap().post(&publish, &dearer).await.unwrap();
    let id = published.listing.unwrap();
    let own: ListingPage = stage.node(1).client().unwrap().get("/v1/listings").await.unwrap();
    assert_eq!(own.total, 1, "its own node shows it as its owner will have it");
    let why = format!("/v1/listings/{id}/why");
    stage.until_answer(2, &why, |why| why["here"] == "held" && why["hidden"] == "Insufficient reputation").await;
    let page: ListingPage = stage.node(2).client().unwrap().get("/v1/listings").await.unwrap();
    assert_eq!(page.total, 0, "others do not");
}
