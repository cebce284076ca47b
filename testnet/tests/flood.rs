//! A thousand authors who paid for nothing flood one shard by gossip, through twenty hostile peers of another process: so the
//! memory of this one is the swarm's. `HAGGLE_SWARM=200` takes as many nodes as that.

use haggle_base::{AgentKey, List, NetworkId, PeerId, Record, RecordId, Signed, Text, Timestamp, Usdc};
use haggle_bench::corpus::Corpus;
use haggle_bench::processor::memory_mib;
use haggle_catalog::{ListingBody, PricingModel, Sla, body::RECORD_TTL};
use haggle_testnet::{Crowd, Swarm};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;
use tokio::sync::oneshot;

/// As in the program: other allocators keep what they were given.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Nodes where nothing else is asked for.
const NODES: usize = 25;
/// Nodes with hostile peers at their sides.
const SURROUNDED: usize = 10;
/// Records that a shard is made for; a tenth of them for authors who paid for nothing.
const CAPACITY: usize = 400;
/// Authors of the flood.
const SYBILS: u64 = 1000;
/// What each of them lists.
const LISTINGS: u64 = 4;
/// How often each listing is said with other words, at all nodes together: each has to verify each.
const VERSIONS: usize = 15 * NODES;
/// Honest listings of the shard.
const HONEST: usize = 12;
/// What the flood may cost a node: its messages alone would take half as much again if they were kept. At more than [`NODES`]
/// nodes fewer are said, and this says less: what is checked there is that honest listings spread, and the disk.
const MOST_MEMORY_MIB: f64 = 100.0;
const MOST_DISK: u64 = 4 << 20;
/// The flood takes half a minute, and what 200 nodes verify of it longer.
const PATIENCE: Duration = Duration::from_secs(300);
/// What tells this program that it is the hostile peers.
const HOSTILE: &str = "HAGGLE_HOSTILE";
/// What that prints when it has said everything.
const SAID: &str = "all is said";

fn text<const N: usize>(words: &str) -> Text<N> {
    Text::try_from(words).expect("the words fit")
}

/// A listing nearly as long as they may be.
fn spam(key: &AgentKey, category: &str, slot: u64, version: u64, now: Timestamp) -> Vec<u8> {
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
    record.seq += version;
    Signed::sign(&record, key).expect("the record is within its bounds").bytes().to_vec()
}

/// Not a check but the hostile side, in a process of its own: what it is to do it reads, and it leaves at the end of its input.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_peers() {
    if std::env::var_os(HOSTILE).is_none() {
        return;
    }
    let mut told = String::new();
    std::io::stdin().read_line(&mut told).expect("the task is read");
    let told: Value = serde_json::from_str(&told).expect("the task is JSON");
    let word = |value: &Value| value.as_str().expect("a text").to_owned();
    let peer = |value: &Value| word(value).parse::<PeerId>().expect("a peer id");
    let crowd = Crowd::around(&peer(&told["around"])).await;
    let mut connected = 0;
    for node in told["nodes"].as_array().expect("nodes") {
        let addrs: Vec<String> = node["addrs"].as_array().expect("addresses").iter().map(word).collect();
        connected += crowd.surround_at(&peer(&node["peer"]), &addrs).await;
    }
    println!("{connected} connections of hostile peers");
    assert!(connected >= SURROUNDED * 10, "half of them are at each node");
    let (category, now) = (word(&told["category"]), Timestamp::from_millis(told["now"].as_u64().expect("a time")));
    let corpus = Corpus::new(1);
    let shard = told["shard"].as_u64().and_then(|shard| u16::try_from(shard).ok()).expect("a shard");
    for version in 0..told["versions"].as_u64().expect("a number") {
        let said = |author| {
            let key = corpus.author(author);
            (0..LISTINGS).map(|slot| spam(&key, &category, slot, version, now)).collect::<Vec<_>>()
        };
        crowd.flood(shard, (0..SYBILS).flat_map(said).collect()).await;
    }
    println!("{SAID}");
    let mut rest = String::new();
    let _end = std::io::stdin().read_line(&mut rest).expect("the input ends");
}

/// The hostile side, and what keeps it there.
struct Hostile {
    process: Child,
    input: Option<ChildStdin>,
    all_is_said: oneshot::Receiver<()>,
}

impl Hostile {
    fn start(task: &Value) -> Self {
        let program = std::env::current_exe().expect("this program has a name");
        let mut command = Command::new(program);
        command.args(["--exact", "hostile_peers", "--nocapture"]).env(HOSTILE, "1");
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the hostile side starts");
        let mut input = process.stdin.take().expect("its input is piped");
        writeln!(input, "{task}").expect("it is told its task");
        let output = BufReader::new(process.stdout.take().expect("its output is piped"));
        let (said, all_is_said) = oneshot::channel();
        std::thread::spawn(move || {
            let mut lines = output.lines().map_while(Result::ok);
            if lines.any(|line| line.contains(SAID)) {
                // whoever waited may have failed
                let _heard = said.send(());
            }
        });
        Self { process, input: Some(input), all_is_said }
    }

    /// Returns when everything is said.
    async fn until_all_is_said(&mut self) {
        let said = tokio::time::timeout(PATIENCE, &mut self.all_is_said).await;
        said.expect("the hostile side is done in time").expect("it does not end early");
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        drop(self.input.take());
        // it may hang
        let _killed = self.process.kill();
        let _ended = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_one_shard_costs_little_and_honest_listings_spread_through_it() {
    if std::env::var_os(HOSTILE).is_some() {
        return;
    }
    let asked = std::env::var("HAGGLE_SWARM").ok().and_then(|nodes| nodes.parse().ok());
    let nodes = asked.unwrap_or(NODES);
    let mut swarm = Swarm::on_disk(nodes, CAPACITY, 0..1000).await;
    swarm.be_patient(PATIENCE);
    let (shard, honest) = swarm.of_one_shard(0);
    let honest: Vec<u64> = honest.take(HONEST).collect();
    let early = swarm.publish(0, honest[0]).await;
    swarm.until_all("an honest listing", |node| swarm.holds(node, &early)).await;
    let memory = memory_mib("RssAnon").expect("the system tells");

    let network = |node: usize| swarm.market(node).network();
    // who came last has room: it dialled the others
    let places = (nodes.saturating_sub(SURROUNDED)..nodes)
        .map(|node| json!({ "peer": network(node).peer_id().to_string(), "addrs": network(node).listen_addrs() }));
    let mut hostile = Hostile::start(&json!({
        "around": swarm.next_peer().to_string(),
        "nodes": places.collect::<Vec<_>>(),
        "shard": shard,
        "versions": (VERSIONS / nodes).max(1),
        "category": swarm.category(honest[0]),
        "now": swarm.now(0).as_millis(),
    }));
    let share = CAPACITY / 10;
    let held = |node: usize| swarm.market(node).catalog().status().listings;
    swarm.until_all("the flood", |node| held(node) > share).await;
    let mut published: Vec<RecordId> = vec![early];
    for (at, number) in honest.iter().enumerate().skip(1) {
        if at == HONEST - 1 {
            hostile.until_all_is_said().await;
        }
        published.push(swarm.publish(at % nodes, *number).await);
        let last = published[at];
        swarm.until_all("an honest listing", |node| swarm.holds(node, &last)).await;
    }
    assert!((0..nodes).all(|node| held(node) == share + HONEST), "a tenth of a shard is theirs, and no more");
    let grown = (memory_mib("RssAnon").expect("the system tells") - memory) / nodes as f64;
    let written = (0..nodes).map(|node| swarm.on_disk_at(node)).max().unwrap_or_default();
    println!("{grown:.1} MiB of memory for each node, {written} bytes on disk");
    drop(hostile);
    assert!(grown < MOST_MEMORY_MIB, "{grown} MiB for each node");
    assert!(written < MOST_DISK, "{written} bytes on disk");
    swarm.end().await;
}
