//! Finding on real nodes: what a search counts, how it explains itself, and what prices were.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use haggle::view::{AgentSummary, ListingPage, PricesView, Republish};
use haggle_testnet::Stage;
use serde_json::{Value, json};
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");
/// Generous: real processes beside other work.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a command prints that is run at the home of node `number`.
async fn typed(stage: &Stage, number: usize, words: &[&str]) -> String {
    let typed = stage.typed(number, words).await;
    assert!(typed.ok, "{words:?}: {}", typed.err);
    typed.out
}

/// The prices of an agent's one listing, as node `number` lists them once there are so many.
async fn prices(stage: &Stage, number: usize, agent: &str, count: usize) -> Vec<String> {
    let waiting = async {
        loop {
            let page: PricesView =
                stage.node(number).client().unwrap().get(&format!("/agents/{agent}/prices")).await.unwrap();
            let points = &page.listings[0].prices;
            if points.len() == count {
                let now = points.last().unwrap();
                assert_eq!((page.agent.as_str(), now.price), (agent, page.listings[0].price));
                assert!(points[0].seen.is_none() && points[1..].iter().all(|point| point.seen.is_some()), "{points:?}");
                assert!(points.windows(2).all(|pair| pair[0].version < pair[1].version), "{points:?}");
                return points.iter().map(|point| point.price.to_string()).collect();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("node {number} never lists {count} prices"))
}

/// The combined order goes by the owner's weights, or by the weight of reputation that a search asks for.
async fn weights_are_chosen_and_held_fast(stage: &Stage) {
    let client = stage.node(3).client().unwrap();
    let weights = |page: &ListingPage| {
        let parts = &page.items[0].explanation.as_ref().unwrap().parts;
        parts.iter().map(|part| (part.part.clone(), part.weight)).collect::<Vec<_>>()
    };
    let of = |shares: [f64; 3]| {
        ["reputation", "cost", "speed"].map(str::to_owned).into_iter().zip(shares).collect::<Vec<_>>()
    };
    let first: ListingPage = client.get("/v1/listings?sort=combined&explain=true&limit=1").await.unwrap();
    assert_eq!(weights(&first), of([0.3, 0.4, 0.3]));
    let asked: ListingPage = client.get("/v1/listings?reputation_weight=1&explain=true").await.unwrap();
    assert_eq!((asked.explained.as_ref().unwrap().sort.as_str(), weights(&asked)), ("combined", of([1.0, 0.0, 0.0])));
    let seeds: Value = stage.get(3, "/agents/search?sort=combined&reputation_weight=1&explain=true").await;
    assert_eq!(seeds["results"][0]["explanation"]["parts"][0]["weight"], 1.0, "{seeds}");
    let cursor = first.next.unwrap();
    for (query, code) in [
        (format!("sort=combined&reputation_weight=0.5&cursor={cursor}"), "other_weights"),
        (format!("sort=price_asc&cursor={cursor}"), "bad_cursor"),
        ("sort=price_asc&reputation_weight=0.5".to_owned(), "weight_not_used"),
        ("reputation_weight=1.5".to_owned(), "invalid_weight"),
    ] {
        let refused = client.get::<ListingPage>(&format!("/v1/listings?{query}")).await.unwrap_err();
        assert_eq!(refused.code, code, "{query}");
    }
    let second: ListingPage = client.get(&format!("/v1/listings?sort=combined&cursor={cursor}")).await.unwrap();
    assert_eq!((second.items.len(), second.next), (1, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_counts_and_explains_and_a_change_of_price_elsewhere_is_listed() {
    let stage = Stage::of(PROGRAM, 3).await;
    let digest = stage.serve(1, "digest", 1).await;
    stage.serve(2, "csv", 2).await;

    let plain = stage.get(3, "/v1/listings?q=digest&any=true").await;
    assert!(plain.get("facets").is_none() && plain.get("explained").is_none(), "{plain}");
    let path = "/v1/listings?q=digest%20csv%20document&any=true&sort=combined&limit=1&facets=true&explain=true";
    let page: ListingPage = stage.node(3).client().unwrap().get(path).await.unwrap();
    assert_eq!((page.total, page.items.len()), (2, 1));
    let facets = page.facets.unwrap();
    for facet in [&facets.category, &facets.skill] {
        assert_eq!(facet.values.iter().map(|seen| seen.count).sum::<u64>(), 2, "both, though one is shown: {facet:?}");
    }
    assert_eq!(facets.price.iter().map(|band| band.count).sum::<u64>(), 2);
    assert_eq!((facets.region.values.len(), facets.region.values[0].value.as_str()), (1, "*"));
    let explained = page.explained.unwrap();
    assert_eq!(explained.sort, "combined");
    assert_eq!(json!(explained.filters), json!({"q": "digest csv document", "any": "true"}));
    let why = page.items[0].explanation.as_ref().unwrap();
    let score: f64 = why.parts.iter().map(|part| part.value * part.weight).sum();
    let ranked = f64::from_bits(u64::MAX - u64::from_str_radix(&why.rank, 16).unwrap());
    // The last digit of a number in JSON may be read as its neighbour.
    assert!((why.score.unwrap() - score).abs() < 1e-12 && (ranked - score).abs() < 1e-12, "{why:?}");
    let (_, behind) = page.next.as_deref().unwrap().split_at(1);
    assert!(behind.starts_with(&why.rank), "a cursor names its order, and the next page begins behind the rank");
    let seeds: Value = stage.get(3, "/agents/search?facets=true&explain=true&sort=price_asc").await;
    assert_eq!(seeds["facets"]["skill"]["distinct"], 2);
    assert_eq!(seeds["results"][0]["explanation"].as_object().unwrap().len(), 1, "its rank is the price: {seeds}");
    weights_are_chosen_and_held_fast(&stage).await;

    let shown = typed(&stage, 3, &["find", "digest", "--facets", "--explain", "--sort", "relevance"]).await;
    for words in ["by category", "by price", " digest (title ", "sorted by relevance", "filtered by q=digest"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }

    assert_eq!(prices(&stage, 3, &digest.did, 1).await, ["0.02"]);
    let change = Republish { price: Some("0.03".parse().unwrap()) };
    let path = format!("/v1/agents/{}/publish", digest.did);
    let _signed: AgentSummary = stage.node(1).client().unwrap().post(&path, &change).await.unwrap();
    for number in [1, 2, 3] {
        assert_eq!(prices(&stage, number, &digest.did, 2).await, ["0.02", "0.03"]);
    }
    let told = typed(&stage, 3, &["listing", "prices", &digest.did]).await;
    assert!(told.contains("0.02 USDC  signed ") && told.contains(", seen "), "{told}");
    let nobody = format!("/agents/{}/prices", "0".repeat(64));
    let unknown = stage.node(3).client().unwrap().get::<PricesView>(&nobody).await.unwrap_err();
    assert_eq!(unknown.code, "listing_not_found");
    stage.end().await;
}
