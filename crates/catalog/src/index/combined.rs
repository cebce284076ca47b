//! The combined order: its formula as it is specified, its weights, and cursors that hold fast to them.

use haggle_base::{Coded, Did, Usdc};
use haggle_store::Store;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{explain, sort::Sort};
use crate::{
    CatalogConfig, Figures, Origin, Query, Weight, Weights,
    testing::{Node, agent, config, listing, node, node_with, peer, signed_listing, usdc},
};

fn weight(text: &str) -> Weight {
    text.parse().unwrap()
}

fn weights(reputation: &str, cost: &str, speed: &str) -> Weights {
    Weights::new(weight(reputation), weight(cost), weight(speed)).unwrap()
}

async fn shelve(node: &Node, author: u32, price: &str, figures: Figures) -> Did {
    let bytes = signed_listing(&agent(author), "digest", 1, listing("Digest of words", "text", price));
    assert!(node.catalog.put(bytes, Origin::Gossip { peer: peer(9) }).await.unwrap().is_new());
    node.ledger.0.lock().insert(agent(author).did(), figures);
    agent(author).did()
}

const GOOD: Figures = Figures {
    attestations: 4,
    total_calls: 4,
    successes: 4,
    net: 4,
    avg_response_ms: Some(500),
    uptime: 1.0,
    trust_score: 0.5,
};

/// Five sellers that are alike but for one thing each: dear, slow, unreachable, trusted, and none of it.
async fn shelve_five(node: &Node) -> [Did; 5] {
    let sellers = [
        ("0.4", GOOD),
        ("0.1", Figures { avg_response_ms: Some(5_000), ..GOOD }),
        ("0.1", Figures { uptime: 0.0, ..GOOD }),
        ("0.1", Figures { trust_score: 0.9, ..GOOD }),
        ("0.1", GOOD),
    ];
    let mut dids = Vec::new();
    for (author, (price, figures)) in (0..).zip(sellers) {
        dids.push(shelve(node, author, price, figures).await);
    }
    node.catalog.flush().await.unwrap();
    dids.try_into().unwrap()
}

fn authors(node: &Node, query: &Query) -> Vec<Did> {
    node.catalog.search(query).unwrap().items.iter().map(|hit| hit.listing.author()).collect()
}

#[tokio::test]
async fn the_combined_order_weighs_trust_cost_and_speed() {
    let node = node().await;
    let [dear, slow, unreachable, trusted, plain] = shelve_five(&node).await;
    let query = Query { sort: Sort::Combined, ..Query::default() };
    assert_eq!(authors(&node, &query), [trusted, plain, slow, dear, unreachable]);
    let explained = node.catalog.search(&Query { explain: true, ..query.clone() }).unwrap();
    let why = explained.items[0].explanation.as_ref().unwrap();
    let parts: Vec<_> = why.parts.iter().map(|part| (part.name, part.value, part.weight)).collect();
    let fast = (1_000.0 / 1_500.0 + 1.0) / 2.0;
    assert_eq!(parts, [("reputation", 0.9, 0.3), ("cost", 0.5, 0.4), ("speed", fast, 0.3)]);
    assert_eq!((why.words.len(), why.text), (0, 0.0), "how well words match does not count");

    let by_cost = Query { weights: Some(weights("0", "1", "0")), ..query.clone() };
    assert_eq!(authors(&node, &by_cost).last(), Some(&dear));
    let by_speed = Query { weights: Some(weights("0", "0", "1")), ..query.clone() };
    assert_eq!(authors(&node, &by_speed)[3..], [slow, unreachable]);
    let by_trust = Query { weights: Some(Weights::default().with_reputation(Weight::ONE)), ..query.clone() };
    assert_eq!(authors(&node, &by_trust)[0], trusted);
    assert_eq!(authors(&node, &query), [trusted, plain, slow, dear, unreachable], "what was kept is of these weights");
}

#[tokio::test]
async fn a_catalog_has_weights_of_its_own() {
    let own = weights("0", "1", "0");
    let node = node_with(Store::memory(), CatalogConfig { weights: own, ..config() }).await;
    let [dear, ..] = shelve_five(&node).await;
    let query = Query { sort: Sort::Combined, explain: true, ..Query::default() };
    let answer = node.catalog.search(&query).unwrap();
    assert_eq!(answer.items[4].listing.author(), dear);
    let used: Vec<_> = answer.items[0].explanation.as_ref().unwrap().parts.iter().map(|part| part.weight).collect();
    assert_eq!(used, [0.0, 1.0, 0.0]);
    let owners = Query { weights: Some(Weights::default()), ..query };
    assert_eq!(node.catalog.search(&owners).unwrap().items[4].listing.author(), agent(2).did());
}

#[tokio::test]
async fn a_cursor_holds_fast_to_the_weights_of_its_first_page() {
    let node = node().await;
    shelve_five(&node).await;
    let query = Query { sort: Sort::Combined, limit: 2, ..Query::words("digest") };
    let next = node.catalog.search(&query).unwrap().next;
    let code = |query: &Query| node.catalog.search(query).unwrap_err().code();
    let after = |query: Query| Query { cursor: next.clone(), ..query };
    assert!(node.catalog.search(&after(query.clone())).is_ok());
    // the same weights, by whatever name
    let doubled = Some(weights("0.6", "0.8", "0.6"));
    assert!(node.catalog.search(&after(Query { weights: doubled, ..query.clone() })).is_ok());
    let other = Query { weights: Some(Weights::default().with_reputation(weight("0.4"))), ..query.clone() };
    assert_eq!(code(&after(other)), "other_weights");
    assert_eq!(code(&after(Query { sort: Sort::PriceAsc, ..query.clone() })), "bad_cursor");
    let by_price = node.catalog.search(&Query { sort: Sort::PriceAsc, ..query.clone() }).unwrap().next;
    assert_eq!(code(&Query { cursor: by_price, ..query.clone() }), "bad_cursor");
    let cursor = next.clone().unwrap();
    for broken in [cursor.replacen("00003", "fffff", 1), cursor.replacen("000030000400003", "000000000000000", 1)] {
        assert_ne!(broken, cursor);
        assert_eq!(code(&Query { cursor: Some(broken), ..query.clone() }), "bad_cursor");
    }
}

fn figures(row: &Value) -> Figures {
    let number = |key: &str| row[key].as_u64();
    let share = |key: &str| row[key].as_str().unwrap().parse().unwrap();
    Figures {
        total_calls: number("total_calls").unwrap(),
        successes: number("successes").unwrap(),
        avg_response_ms: number("avg_response_ms"),
        uptime: share("uptime_24h"),
        trust_score: share("trust_score"),
        ..Figures::default()
    }
}

#[test]
fn the_formula_is_that_of_the_specification() {
    let written: Value = serde_json::from_str(include_str!("../../../../docs/protocols/vectors/ranking.json")).unwrap();
    for row in written["rows"].as_array().unwrap() {
        let text = |key: &str| row[key].as_str().unwrap();
        let given = &row["weights"];
        let weights = weights(given[0].as_str().unwrap(), given[1].as_str().unwrap(), given[2].as_str().unwrap());
        let (price, figures) = (usdc(text("price")), figures(row));
        let cost = figures.cost_per_success(price).map(|cost| cost.to_string());
        assert_eq!(json!(cost), row["cost_per_success"], "{row}");
        let parts = explain::parts(price, &figures, &weights.shares());
        assert_eq!(json!(parts.map(|part| format!("{:.6}", part.value))), row["parts"], "{row}");
        assert_eq!(format!("{:.6}", explain::combined(&parts)), text("score"), "{row}");
        let rank = Sort::Combined.rank(price, 0.0, &figures, &weights.shares());
        assert_eq!(format!("{rank:016x}"), text("rank"), "{row}");
    }
}

proptest! {
    #[test]
    fn a_better_seller_never_ranks_behind(
        price in 0..u64::MAX, dearer in 0..1_000_000_u64, time in 0..100_000_u64, slower in 0..100_000_u64,
        trust in 0.0..=1.0_f64, less in 0.0..=1.0_f64, given in [0..=1_000_000_u32, 0..=1_000_000, 0..=1_000_000],
    ) {
        let [reputation, cost, speed] = given.map(|millionths| Weight::from_millionths(millionths).unwrap());
        let Some(weights) = Weights::new(reputation, cost, speed) else { return Ok(()) };
        let rank = |price, figures: Figures| {
            Sort::Combined.rank(Usdc::from_units(price), 0.0, &figures, &weights.shares())
        };
        let seen = Figures { avg_response_ms: Some(time), trust_score: trust, ..GOOD };
        let best = rank(price, seen);
        let score = f64::from_bits(u64::MAX - best);
        prop_assert!((0.0..=1.0 + 1e-12).contains(&score) || best == u64::MAX, "{}", score);
        for worse in [
            Figures { avg_response_ms: Some(time + slower), ..seen },
            Figures { avg_response_ms: None, ..seen },
            Figures { uptime: 0.0, ..seen },
            Figures { trust_score: trust * less, ..seen },
            Figures { successes: 3, ..seen },
        ] {
            prop_assert!(best <= rank(price, worse), "{:?}", worse);
        }
        prop_assert!(best <= rank(price.saturating_add(dearer), seen));
    }
}
