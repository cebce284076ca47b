//! Light and interest nodes among index nodes: they find what they do not hold, say how far that goes, and buy it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use haggle::view::NodeStatus;
use haggle_testnet::Stage;
use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");
const INDEX: [(&str, &str); 1] = [("HAGGLE_MARKET__ROLE", "index")];
const LIGHT: [(&str, &str); 1] = [("HAGGLE_MARKET__ROLE", "light")];
const INTEREST: [(&str, &str); 2] = [("HAGGLE_MARKET__ROLE", "interest"), ("HAGGLE_MARKET__INTERESTS", "[\"text\"]")];

async fn status(stage: &Stage, number: usize) -> NodeStatus {
    stage.node(number).client().unwrap().get("/v1/node").await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_light_node_finds_and_buys_what_three_index_nodes_hold() {
    let mut stage = Stage::new(PROGRAM).await;
    for _ in 0..3 {
        stage.market.add_node_with(&INDEX).await.unwrap();
    }
    stage.market.add_node().await.unwrap();
    let digest = stage.serve(4, "digest", 1).await;
    let csv = stage.serve(4, "csv", 2).await;
    stage.market.add_node_with(&LIGHT).await.unwrap();
    // found by the network itself: nobody told the light node who answers searches
    let path = "/v1/listings?q=digest";
    let page = stage.until_answer(5, path, |page| page["complete"] == true).await;
    assert_eq!((&page["coverage"]["asked"], &page["coverage"]["answered"]), (&3.into(), &3.into()), "{page}");
    assert_eq!((&page["total"], &page["items"][0]["agent"]), (&1.into(), &digest.did.into()), "{page}");
    assert_eq!(page["items"][0]["payable"], true, "its card came with it: {page}");

    let light = status(&stage, 5).await.market;
    assert_eq!(
        (light.role.as_str(), light.listings, light.cards),
        ("light", 1, 2),
        "its own card, and not the rest of the market"
    );
    assert_eq!((light.index_nodes, light.reconciled_peers), (3, 0));
    assert_eq!(status(&stage, 1).await.market.role, "index");
    let full = status(&stage, 4).await.market;
    assert_eq!((full.role.as_str(), full.listings), ("full", 2));
    assert!(stage.get(4, path).await.get("coverage").is_none(), "a full node asks nobody");
    let shown = stage.typed(5, &["find", "digest"]).await.all();
    assert!(shown.contains("1 of 1 listings, complete"), "{shown}");
    assert!(stage.typed(5, &["status"]).await.all().contains("light: it asks index nodes and knows 3"));

    let checks = stage.get(5, "/v1/checks").await;
    let records = checks["items"].as_array().unwrap().iter().find(|check| check["name"] == "records").unwrap();
    let detail = records["detail"].as_str().unwrap();
    assert!(records["verdict"] == "ok" && detail.contains("asks index nodes and knows 3"), "{records}");

    let seller = stage.get(5, &format!("/v1/agents/{}", csv.did)).await;
    assert_eq!(
        (&seller["name"], &seller["listings"][0]["name"]),
        (&"csv".into(), &"csv".into()),
        "looked up by its DID"
    );
    let seeds = stage.get(5, "/agents/search?sort=price_asc").await;
    assert_eq!((seeds["results"].as_array().unwrap().len(), &seeds["coverage"]["answered"]), (2, &3.into()), "{seeds}");

    stage.market.node_mut(5).restart(&LIGHT).await.unwrap();
    let kept = status(&stage, 5).await.market;
    assert_eq!((kept.listings, kept.cards), (2, 3), "what was looked up is still there after a restart");

    let page = stage.until_answer(5, path, |page| page["complete"] == true).await;
    assert_eq!(page["total"], 1, "{page}");
    let listing = stage.listing(5, "digest").await;
    let hired = stage.hire(5, &listing, "light-1").await;
    stage.until(5, &hired.key, |order| order.is_final() && order.output.is_some()).await;

    // what a light node sells reaches the others
    let own = stage.node(5).serve_builtin("echo").await.unwrap();
    stage.until_answer(1, "/v1/listings?q=echo", |page| page["items"][0]["agent"] == own.did.as_str()).await;
    let page = stage.get(5, "/v1/listings?q=echo").await;
    assert_eq!(page["total"], 1, "{page}");

    stage.market.node_mut(2).kill().await;
    let page = stage.until_answer(5, path, |page| page["complete"] == false).await;
    assert_eq!((&page["total"], &page["coverage"]["answered"]), (&1.into(), &2.into()), "{page}");
    let why = page["coverage"]["why_partial"].as_str().unwrap();
    assert!(why.starts_with("2 of "), "{why}");
    let shown = stage.typed(5, &["find", "digest"]).await.all();
    assert!(shown.contains("1 of 1 listings, partial: 2 of "), "{shown}");
    let text = stage.metrics(5).await;
    assert!(text.contains("haggle_search_asked_total{outcome=\"ok\"}"), "{text}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_light_node_that_knows_no_index_node_says_so() {
    let mut stage = Stage::of(PROGRAM, 1).await;
    stage.market.add_node_with(&LIGHT).await.unwrap();
    let refused = stage.node(2).client().unwrap().get::<Value>("/v1/listings?q=digest").await.unwrap_err();
    assert_eq!(refused.code, "no_index_node");
    assert!(refused.hint.contains("p2p.bootstrap"), "{}", refused.hint);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interest_node_holds_its_category_and_finds_the_rest_through_an_index_node() {
    let mut stage = Stage::new(PROGRAM).await;
    stage.market.add_node_with(&INDEX).await.unwrap();
    stage.market.add_node().await.unwrap();
    let digest = stage.serve(2, "digest", 1).await;
    let csv = stage.serve(2, "csv", 2).await;
    let csv_listing = stage.listing(2, "csv").await;
    stage.market.add_node_with(&INTEREST).await.unwrap();

    // its own category it holds, card and all, and asks nobody
    let held = "/v1/listings?q=digest&category=text";
    let page =
        stage.until_answer(3, held, |page| page["complete"] == true && page["items"][0]["payable"] == true).await;
    assert_eq!((&page["total"], &page["items"][0]["agent"]), (&1.into(), &digest.did.clone().into()), "{page}");
    assert!(page.get("coverage").is_none(), "{page}");
    let market = status(&stage, 3).await.market;
    assert_eq!((market.role.as_str(), market.interests.as_slice()), ("interest", ["text".to_owned()].as_slice()));
    assert_eq!(
        (market.listings, market.shards_held, market.complete),
        (1, 1, true),
        "no listing of another shard came"
    );
    let shown = stage.typed(3, &["status"]).await.all();
    assert!(shown.contains("interest: it holds text in 1 shard, reconciled; for the rest"), "{shown}");

    // that it does not hold the rest is no sign that the rest is missing
    let why = stage.get(2, &format!("/v1/listings/{}/why", csv_listing.id)).await;
    let word = |peer: &Value| peer["holding"].as_str().unwrap_or_default().to_owned();
    let mut words: Vec<_> = why["peers"].as_array().unwrap().iter().map(word).collect();
    words.sort_unstable();
    assert_eq!(words, ["held", "not_held"], "{why}");
    assert!(why["because"].as_str().unwrap().contains("1 of 1 peers"), "{why}");
    let here = stage.get(3, &format!("/v1/listings/{}/why", csv_listing.id)).await;
    assert_eq!(here["here"], "not_held", "{here}");
    let shown = stage.typed(3, &["listing", "why", &csv_listing.id]).await.all();
    assert!(shown.contains("holds only a part of the market"), "{shown}");

    // another category it finds at the index node, of which there is one only
    let page = stage.until_answer(3, "/v1/listings?category=data", |page| page["total"] == 1).await;
    assert_eq!(
        (&page["items"][0]["agent"], &page["items"][0]["payable"], &page["complete"]),
        (&csv.did.into(), &true.into(), &false.into()),
        "{page}"
    );
    assert_eq!((&page["coverage"]["asked"], &page["coverage"]["answered"]), (&1.into(), &1.into()), "{page}");
    let page = stage.get(3, "/v1/listings").await;
    assert_eq!(page["total"], 2, "what it holds, and what was answered: {page}");

    // of index nodes it knows too few, and asks the DHT for others
    stage.until_counted(1, "haggle_rendezvous_declared_total{outcome=\"ok\"}").await;
    stage.until_counted(3, "haggle_rendezvous_declared_total{outcome=\"ok\"}").await;
    stage.until_counted(3, "haggle_rendezvous_sought_total{outcome=\"found\"}").await;

    // what it sells lies in a shard that it does not hold, and others find it
    let own = stage.node(3).serve_builtin("echo").await.unwrap();
    for number in [1, 2] {
        stage.until_answer(number, "/v1/listings?q=echo", |page| page["items"][0]["agent"] == own.did.as_str()).await;
    }

    stage.market.node_mut(3).restart(&INTEREST).await.unwrap();
    let page = stage.until_answer(3, held, |page| page["complete"] == true).await;
    assert_eq!(page["total"], 1, "{page}");
    let listing = stage.listing(3, "digest").await;
    let hired = stage.hire(3, &listing, "interest-1").await;
    stage.until(3, &hired.key, |order| order.is_final() && order.output.is_some()).await;

    // and without an index node it says what it has
    stage.market.node_mut(1).kill().await;
    let page = stage.until_answer(3, "/v1/listings?category=tools", |page| page["coverage"]["answered"] == 0).await;
    assert_eq!((&page["total"], &page["complete"]), (&1.into(), &false.into()), "its own: {page}");
    assert_eq!(stage.get(3, held).await["complete"], true);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_this_version_does_not_know_is_refused_at_the_start() {
    let mut stage = Stage::new(PROGRAM).await;
    let refused = stage.market.add_node_with(&[("HAGGLE_MARKET__ROLE", "heavy")]).await.unwrap_err();
    let said = refused.to_string();
    assert!(said.contains("bad_config") && said.contains("full, index, interest or light"), "{said}");
    let refused = stage.market.add_node_with(&[("HAGGLE_MARKET__ROLE", "interest")]).await.unwrap_err();
    let said = refused.to_string();
    assert!(said.contains("bad_config") && said.contains("market.interests"), "{said}");
    stage.market.shutdown().await;
}
