//! What the catalog costs: taking listings in, and finding them.

use crate::corpus::{Asked, Corpus, Past};
use crate::engines::{BareFts5, BareTantivy, HITS};
use crate::processor;
use futures::{StreamExt as _, stream};
use haggle_base::{Clock as _, NetworkId, PeerId, Seed, SystemClock, Usdc};
use haggle_catalog::{AnyRecord, Catalog, CatalogConfig, Origin, Query, Silent, Sort, Words};
use haggle_store::{Options, Store};
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::time::Instant;

/// Anything that can go wrong in a bench.
pub type Failure = Box<dyn Error + Send + Sync>;

/// Seed of the market.
const SEED: u64 = 7;
/// Shards of the network.
const SHARDS: u16 = 64;
/// Records on their way in at once, as gossip brings them.
const AT_ONCE: usize = 64;
/// Records given at once, as a sync does.
const GROUP: usize = 256;
/// Listings that are looked for as soon as they are taken in.
const LOOKED_FOR: u64 = 10;
/// Longest time until one of them has to be found.
const FOUND_WITHIN: Duration = Duration::from_secs(30);
/// How long a market rests before its memory is measured: what its start took and freed goes back to the system a second after.
const REST: Duration = Duration::from_secs(2);
/// How many listings are signed before they are taken in.
const BATCH: u64 = 8192;

fn network() -> Result<NetworkId, Failure> {
    Ok("devnet-7/1".parse()?)
}

fn stranger() -> PeerId {
    static STRANGER: LazyLock<PeerId> = LazyLock::new(|| Seed::devnet(SEED, 9).node_key().peer_id());
    *STRANGER
}

async fn catalog(folder: &Path, past: Past) -> Result<Catalog, Failure> {
    let config = CatalogConfig {
        shard_capacity: 1_000_000,
        index_dir: Some(folder.join("index")),
        ..CatalogConfig::with(network()?, 31_337, SHARDS)
    };
    let store = Store::open(&folder.join("market.db"), Options::default())?;
    Ok(Catalog::start(store, config, Arc::new(SystemClock), Arc::new(Silent), Arc::new(past)).await?)
}

/// Processor time of taking one listing in, over the time of one bare `verify_strict` of as many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ingest {
    /// Decoded and verified, and nothing more.
    pub verify_gate_ratio: f64,
    /// One at a time, as gossip brings them: decoded, verified, stored, indexed.
    pub ingest_ratio: f64,
    /// Many at once, as a sync brings them.
    pub bulk_ingest_ratio: f64,
}

/// Takes `count` listings in twice, in two catalogs on disk.
///
/// # Errors
/// The disk is full, or something is broken.
pub async fn ingest(count: u64) -> Result<Ingest, Failure> {
    let (corpus, network, now) = (Corpus::new(SEED), network()?, SystemClock.now());
    let records: Result<Vec<_>, _> = (0..count).map(|number| corpus.signed(number, &network, now)).collect();
    let records = records?;
    let signed: Vec<_> = (0..count)
        .zip(&records)
        .map(|(number, record)| {
            let author = corpus.author(number);
            (author.did(), author.sign(record))
        })
        .collect();
    let (mut bare, mut gate) = (Duration::ZERO, Duration::ZERO);
    for (records, signed) in records.chunks(GROUP).zip(signed.chunks(GROUP)) {
        let begun = processor::of_thread();
        for (record, (author, signature)) in records.iter().zip(signed) {
            black_box(author.verify(record, signature))?;
        }
        let verified = processor::of_thread();
        for record in records {
            black_box(AnyRecord::open(record.clone(), &network, now))?;
        }
        bare += verified - begun;
        gate += processor::of_thread() - verified;
    }

    let folder = tempfile::tempdir()?;
    let singly = catalog(&folder.path().join("singly"), Past::default()).await?;
    let begun = processor::of_process();
    let put = |record: Vec<u8>| singly.put(record, Origin::Gossip { peer: stranger() });
    let mut outcomes = stream::iter(records.iter().cloned()).map(put).buffer_unordered(AT_ONCE);
    while let Some(outcome) = outcomes.next().await {
        if !outcome?.is_new() {
            return Err("a listing was not taken in".into());
        }
    }
    drop(outcomes);
    singly.flush().await?;
    let single = processor::of_process() - begun;
    // the second one is measured alone, without what the first still sorts in the background
    end(singly, count).await?;
    let in_bulk = catalog(&folder.path().join("bulk"), Past::default()).await?;
    let begun = processor::of_process();
    for group in records.chunks(GROUP) {
        in_bulk.put_many(group.to_vec(), Origin::Sync { peer: stranger() }).await?;
    }
    in_bulk.flush().await?;
    let bulk = processor::of_process() - begun;
    end(in_bulk, count).await?;
    let [verify_gate_ratio, ingest_ratio, bulk_ingest_ratio] =
        [gate, single, bulk].map(|spent| spent.as_secs_f64() / bare.as_secs_f64());
    Ok(Ingest { verify_gate_ratio, ingest_ratio, bulk_ingest_ratio })
}

/// Stops a catalog that is to hold so many listings.
async fn end(catalog: Catalog, count: u64) -> Result<(), Failure> {
    if catalog.status().listings as u64 != count {
        return Err("listings were lost".into());
    }
    Ok(catalog.shutdown().await?)
}

/// Fills a market on disk.
///
/// # Errors
/// The disk is full, or something is broken.
pub async fn fill(folder: &Path, count: u64) -> Result<(), Failure> {
    let (corpus, network, now) = (Corpus::new(SEED), network()?, SystemClock.now());
    let market = catalog(folder, Past::default()).await?;
    for first in (0..count).step_by(usize::try_from(BATCH)?) {
        let numbers = first..(first + BATCH).min(count);
        let records: Result<Vec<_>, _> = numbers.map(|number| corpus.signed(number, &network, now)).collect();
        market.put_many(records?, Origin::Sync { peer: stranger() }).await?;
    }
    market.flush().await?;
    market.shutdown().await?;
    Ok(())
}

/// A market that a node holds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// Anonymous memory of the process that holds it, at rest, in MiB.
    pub anon_mib: f64,
    /// Longest time from receipt of a listing until a search finds it, in milliseconds.
    pub searchable_ms: f64,
}

/// Opens a filled market of `count` listings as a node that starts does, searches it in each order that keeps something, lets it
/// rest, then takes a few more in and looks for each.
///
/// # Errors
/// Something is broken, or a listing is not found within half a minute.
pub async fn held(folder: &Path, count: u64) -> Result<Held, Failure> {
    let (corpus, network) = (Corpus::new(SEED), network()?);
    let market = catalog(folder, Past::default()).await?;
    if market.status().listings as u64 != count {
        return Err("listings were lost".into());
    }
    // what searches keep between them is held, too
    for sort in [Sort::CostPerSuccess, Sort::TrustScoreDesc, Sort::ResponseTimeAsc] {
        market.search(&Query { sort, limit: HITS, ..Query::default() })?;
    }
    tokio::time::sleep(REST).await;
    // as a node does every few seconds: the allocator gives back what was freed when it sees a large block go
    drop(black_box(Vec::<u8>::with_capacity(1 << 20)));
    let anon_mib = processor::memory_mib("RssAnon").ok_or("the system does not tell a process's memory")?;
    let mut longest = Duration::ZERO;
    for number in count..count + LOOKED_FOR {
        let record = corpus.signed(number, &network, SystemClock.now())?;
        let id = AnyRecord::open(record.clone(), &network, SystemClock.now())?.id();
        let author = Some(corpus.author(number).did());
        let query = Query { author, limit: HITS, ..Query::words(&corpus.plain(number).title) };
        let begun = Instant::now();
        if !market.put(record, Origin::Gossip { peer: stranger() }).await?.is_new() {
            return Err("a listing was not taken in".into());
        }
        while !market.search(&query)?.items.iter().any(|hit| hit.listing.id() == id) {
            if begun.elapsed() > FOUND_WITHIN {
                return Err("a listing is not found".into());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        longest = longest.max(begun.elapsed());
    }
    market.shutdown().await?;
    Ok(Held { anon_mib, searchable_ms: longest.as_secs_f64() * 1e3 })
}

/// Milliseconds that so many hundredths of the queries do not exceed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Half of them.
    pub p50: f64,
    /// All but one in a hundred.
    pub p99: f64,
}

impl Spread {
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_unstable_by(f64::total_cmp);
        let at = |hundredths: usize| times.get((times.len() * hundredths / 100).min(times.len().saturating_sub(1)));
        Self { p50: at(50).copied().unwrap_or_default(), p99: at(99).copied().unwrap_or_default() }
    }
}

/// The same queries, put to three engines over the same listings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Searches {
    /// Ours, both words: filtered, ranked by cost per success, twenty verified records in hand.
    pub ours_all: Spread,
    /// Ours, either word.
    pub ours_any: Spread,
    /// Bare tantivy, both words.
    pub tantivy_all: Spread,
    /// Bare tantivy, either word.
    pub tantivy_any: Spread,
    /// FTS5, either word, over fewer queries.
    pub fts5_any: Spread,
}

/// Searches a market of `count` listings. The engines take turns, query by query.
///
/// # Errors
/// The disk is full, or something is broken.
pub async fn search(count: u64, queries: usize) -> Result<Searches, Failure> {
    let (corpus, network, now) = (Corpus::new(SEED), network()?, SystemClock.now());
    let folder = tempfile::tempdir()?;
    let ours = catalog(folder.path(), Past::of(&corpus, count)).await?;
    let (mut tantivy, fts5) = (BareTantivy::new()?, BareFts5::new()?);
    for first in (0..count).step_by(usize::try_from(BATCH)?) {
        let numbers = first..(first + BATCH).min(count);
        let records: Result<Vec<_>, _> = numbers.clone().map(|number| corpus.signed(number, &network, now)).collect();
        ours.put_many(records?, Origin::Sync { peer: stranger() }).await?;
        for number in numbers {
            let plain = corpus.plain(number);
            tantivy.add(number, &plain)?;
            fts5.add(number, &plain)?;
        }
    }
    ours.flush().await?;
    tantivy.commit()?;
    fts5.commit()?;

    let mut times: [Vec<f64>; 5] = Default::default();
    let asked = corpus.queries(queries);
    for round in 0..2 {
        for (number, asked) in asked.iter().enumerate() {
            let mut timed = |which: usize, run: &dyn Fn() -> Result<usize, Failure>| {
                let begun = Instant::now();
                black_box(run()?);
                // the first round warms everybody up
                if round > 0 {
                    times[which].push(begun.elapsed().as_secs_f64() * 1e3);
                }
                Ok::<_, Failure>(())
            };
            for (which, words) in [(0, Words::All), (1, Words::Any)] {
                let query = query_of(asked, words);
                timed(which, &|| Ok(ours.search(&query)?.items.len()))?;
            }
            timed(2, &|| Ok(tantivy.search(asked, true)?.len()))?;
            timed(3, &|| Ok(tantivy.search(asked, false)?.len()))?;
            if number % 5 == 0 {
                timed(4, &|| Ok(fts5.search(asked, false)?.len()))?;
            }
        }
    }
    ours.shutdown().await?;
    let [ours_all, ours_any, tantivy_all, tantivy_any, fts5_any] = times.map(Spread::of);
    Ok(Searches { ours_all, ours_any, tantivy_all, tantivy_any, fts5_any })
}

fn query_of(asked: &Asked, words: Words) -> Query {
    Query {
        text: Some(asked.words.join(" ")),
        words,
        min_price: Some(Usdc::from_units(asked.prices.0)),
        max_price: Some(Usdc::from_units(asked.prices.1)),
        limit: HITS,
        ..Query::default()
    }
}
