//! A thousand authors who paid for nothing flood one shard by gossip, through twenty hostile peers.
//!
//! One process runs the swarm and nothing else, so that its memory is the swarm's. `HAGGLE_SWARM=200` takes as many nodes as that.

use haggle_base::{AgentKey, List, NetworkId, Record, RecordId, Signed, Text, Timestamp, Usdc};
use haggle_bench::processor::memory_mib;
use haggle_catalog::{ListingBody, PricingModel, Sla, body::RECORD_TTL};
use haggle_testnet::{Crowd, Swarm};
use std::time::Duration;

/// Nodes where nothing else is asked for.
const NODES: usize = 10;
/// Records that a shard is made for; a tenth of them for authors who paid for nothing.
const CAPACITY: usize = 400;
/// Authors of the flood.
const SYBILS: u64 = 1000;
/// What each of them may list, and how often each listing is said anew.
const LISTINGS: u64 = 4;
const VERSIONS: u64 = 5;
/// Honest listings of the shard.
const HONEST: usize = 12;
/// Where the numbers of the hostile authors begin.
const FIRST_SYBIL: u64 = 1_000_000;
/// What the flood may cost a node: it is a tenth of what keeping all of it would take.
const MOST_MEMORY_MIB: f64 = 4.0;
const MOST_DISK: u64 = 4 << 20;

/// A listing as long as they may be, in a category of the shard.
fn spam(key: &AgentKey, category: &str, slot: u64, version: u64, now: Timestamp) -> Vec<u8> {
    fn text<const N: usize>(words: &str) -> Text<N> {
        Text::try_from(words).expect("the words fit")
    }
    let body = ListingBody {
        title: text(&format!("Cheap {slot} {version}")),
        description: text(&format!("{version} {}", "cheap ".repeat(240))),
        skill: text("cheap"),
        category: text(category),
        tags: List::default(),
        input_schema: None,
        output_schema: None,
        pricing: PricingModel::PerCall,
        price: Usdc::from_units(0),
        sla: Sla { deliver_within_secs: 60 },
        schemes: List::default(),
        escrow: None,
        regions: List::default(),
    };
    let network: NetworkId = "devnet-7/1".parse().expect("a network id");
    let mut record = Record::new(network, text(&format!("listing/cheap-{slot}")), now, RECORD_TTL, body);
    record.seq = now.as_millis() + version;
    Signed::sign(&record, key).expect("the record is within its bounds").bytes().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_one_shard_costs_little_and_honest_listings_spread_through_it() {
    let asked = std::env::var("HAGGLE_SWARM").ok().and_then(|nodes| nodes.parse().ok());
    let nodes = asked.unwrap_or(NODES);
    let swarm = Swarm::on_disk(nodes, CAPACITY, 0..1000).await;
    let (shard, honest) = swarm.of_one_shard(0);
    let honest: Vec<u64> = honest.take(HONEST).collect();
    let category = swarm.category(honest[0]);
    let crowd = Crowd::around(&swarm.next_peer()).await;
    for node in 0..nodes.min(20) {
        crowd.surround(swarm.market(node).network()).await;
    }
    let early = swarm.publish(0, honest[0]).await;
    swarm.until_all("an honest listing", |node| swarm.holds(node, &early)).await;
    let (memory, disk) = (memory_mib("RssAnon").expect("the system tells"), swarm.on_disk_at(1));

    let mut messages = Vec::new();
    for version in 0..VERSIONS {
        for author in FIRST_SYBIL..FIRST_SYBIL + SYBILS {
            let key = swarm.author(author);
            messages.extend((0..LISTINGS).map(|slot| spam(&key, &category, slot, version, swarm.now(0))));
        }
    }
    let said = messages.len();
    let mut published: Vec<RecordId> = vec![early];
    let publishing = async {
        for (at, number) in honest.iter().enumerate().skip(1) {
            published.push(swarm.publish(at % nodes, *number).await);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::join!(crowd.flood(shard, messages), publishing);
    swarm.until_all("the honest listings", |node| published.iter().all(|id| swarm.holds(node, id))).await;
    let share = CAPACITY / 10;
    let held = |node: usize| swarm.market(node).catalog().status().listings;
    swarm.until_all("the flood", |node| held(node) == share + HONEST).await;

    let grown = (memory_mib("RssAnon").expect("the system tells") - memory) / nodes as f64;
    let written = (0..nodes).map(|node| swarm.on_disk_at(node)).max().unwrap_or_default();
    println!(
        "{said} messages: {grown:.1} MiB of memory for each node, {disk} bytes on disk before and {written} after"
    );
    assert!(grown < MOST_MEMORY_MIB, "{grown} MiB for each node");
    assert!(written < MOST_DISK, "{written} bytes on disk");
    swarm.end().await;
}
