//! A node that holds a large market is killed, and has the same market when it starts again.
//!
//! 12,000 listings by default; `HAGGLE_LISTINGS=250000` takes as many.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use haggle_base::{Clock as _, Kind, NetworkId, PeerId, RecordId, Seed, SystemClock};
use haggle_bench::corpus::Corpus;
use haggle_catalog::{Catalog, CatalogConfig, Origin, Query, Silent, Unknown, Words};
use haggle_store::{Options, Store};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use tokio::time::Instant;

/// Seed of the market, and how many listings it has where nothing else is asked for.
const SEED: u64 = 7;
const LISTINGS: u64 = 12_000;
/// Listings that are signed before they are taken in.
const BATCH: u64 = 4096;
/// Where the child finds the market's folder.
const FOLDER: &str = "HAGGLE_RESTART_FOLDER";
/// What the child says when everything was acknowledged.
const FULL: &str = "every listing was acknowledged";

fn listings() -> u64 {
    std::env::var("HAGGLE_LISTINGS").ok().and_then(|count| count.parse().ok()).unwrap_or(LISTINGS)
}

fn network() -> NetworkId {
    "devnet-7/1".parse().unwrap()
}

fn stranger() -> PeerId {
    Seed::devnet(SEED, 9).node_key().peer_id()
}

async fn market(folder: &Path) -> (Catalog, Store) {
    let config = CatalogConfig {
        shard_capacity: 1_000_000,
        index_dir: Some(folder.join("index")),
        ..CatalogConfig::with(network(), 31_337, 64)
    };
    let store = Store::open(&folder.join("market.db"), Options::default()).unwrap();
    let clock = Arc::new(SystemClock);
    let market = Catalog::start(store.clone(), config, clock, Arc::new(Silent), Arc::new(Unknown)).await.unwrap();
    (market, store)
}

/// What a search finds: how many in all, and the first page.
fn found(market: &Catalog, words: &[String; 2]) -> (usize, Vec<RecordId>) {
    let query = Query { text: Some(words.join(" ")), words: Words::Any, limit: 20, ..Query::default() };
    let answer = market.search(&query).unwrap();
    (answer.total, answer.items.iter().map(|hit| hit.listing.id()).collect())
}

/// Not a story of its own but the child of the other one: takes the market in, says so, and waits to be killed.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_takes_a_market_in() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let (corpus, network, now) = (Corpus::new(SEED), network(), SystemClock.now());
    let (market, _) = market(Path::new(&folder)).await;
    for first in (0..listings()).step_by(usize::try_from(BATCH).unwrap()) {
        let numbers = first..(first + BATCH).min(listings());
        let records = numbers.map(|number| corpus.signed(number, &network, now).unwrap()).collect();
        market.put_many(records, Origin::Sync { peer: stranger() }).await.unwrap();
    }
    println!("\n{FULL}");
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_killed_has_its_whole_market_when_it_starts_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_node_that_takes_a_market_in", "--nocapture"])
        .env(FOLDER, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stdout.take().unwrap());
    let is_full = said.lines().map_while(Result::ok).any(|line| line == FULL);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(is_full, "the child stopped before it held the market");

    let begun = Instant::now();
    let (again, store) = market(folder.path()).await;
    println!("a killed node held {} listings again after {:?}", again.status().listings, begun.elapsed());
    let held = again.ids(Kind::Listing);
    assert_eq!(held.len() as u64, listings(), "what was acknowledged is there");
    assert_eq!(again.status().listings as u64, listings(), "and can be found");
    let corpus = Corpus::new(SEED);
    let asked = corpus.queries(20);
    let answers: Vec<_> = asked.iter().map(|asked| found(&again, &asked.words)).collect();
    assert!(answers.iter().filter(|(total, _)| *total > 0).count() > 10, "{answers:?}");
    for (number, id) in held.iter().enumerate().step_by(held.len().div_ceil(50)) {
        let listing = again.listing(id).unwrap();
        assert!(listing.is_some(), "listing {number} can be read");
    }

    again.shutdown().await.unwrap();
    store.shutdown().await.unwrap();
    let (third, _) = market(folder.path()).await;
    assert_eq!(third.ids(Kind::Listing), held);
    assert_eq!(asked.iter().map(|asked| found(&third, &asked.words)).collect::<Vec<_>>(), answers);
    third.shutdown().await.unwrap();
}
