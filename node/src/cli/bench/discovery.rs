//! `bench discovery`: what taking listings in, spreading, finding and holding them costs.

use super::nodes::memory_mib;
use super::parts::{self, failed};
use crate::cli::CliError;
use crate::cli::args::{BenchDiscovery, Globals};
use crate::cli::terminal::{self, Progress};
use crate::config::Chain;
use crate::devnet::{Devnet, Options};
use haggle_bench::discovery::{Searches, Spread};
use haggle_bench::simulator::Traffic;
use serde::Serialize;
use std::time::Duration;

/// Seed of the idle node's keys.
const SEED: u64 = 7;
/// Ticks of a second in the system's figures of processor time.
const TICKS: f64 = 100.0;
/// Listings that two nodes do not have in common.
const DIFFERENCES: [u64; 3] = [0, 20, 2_000];
/// What is published in the simulated market.
const PUBLICATIONS: u64 = 300;

/// The one object of `bench discovery --json`.
#[derive(Debug, Serialize)]
struct Report {
    verify_gate_ratio: f64,
    ingest_ratio: f64,
    bulk_ingest_ratio: f64,
    search_1m_p99_ms: f64,
    /// The worse of two: queries that want both words, and queries that want either.
    search_vs_tantivy: f64,
    /// Queries that want either word.
    search_vs_fts5: f64,
    /// Median time to a node, over that of bare gossipsub.
    propagation_50_ratio: f64,
    /// Processor time of a delivery, verified, over that of bare gossipsub.
    delivery_cpu_ratio: f64,
    copies_per_delivery: f64,
    /// Both ways, without the records.
    sync_bytes_20_of_100k: u64,
    /// Memory of a node at rest, over that of a bare libp2p node.
    idle_rss_ratio: f64,
    /// Anonymous memory of a catalog that holds the smaller market.
    anon_200k_mib: f64,
}

/// A node of ours at rest, which asks its chain at the pace of a node that is set up for the open network, where a devnet's
/// nodes ask ten times a second: its memory in MiB, and how many hundredths of a core it takes.
async fn idle_node(rest: Duration) -> Result<(f64, f64), CliError> {
    let folder = tempfile::Builder::new().prefix("haggle-bench-").tempdir().map_err(failed)?;
    let mut devnet = Devnet::start(Options::here(folder.path().join("devnet"), SEED)?).await?;
    let pace = format!("{}ms", Chain::default().poll.as_millis());
    devnet.add_node_with(&[("HAGGLE_CHAIN__POLL", &pace)]).await?;
    let pid = devnet.node(1).pid().unwrap_or_default();
    tokio::time::sleep(rest).await;
    let before = ticks(pid)?;
    tokio::time::sleep(rest).await;
    let busy = (ticks(pid)? - before) / TICKS / rest.as_secs_f64() * 100.0;
    let memory = memory_mib(pid, "VmRSS")?;
    devnet.shutdown().await;
    Ok((memory, busy))
}

/// Processor time of a process so far, in ticks.
fn ticks(pid: u32) -> Result<f64, CliError> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).map_err(failed)?;
    // the name of the program, in brackets, may hold anything
    let (_, figures) = stat.rsplit_once(')').ok_or_else(|| failed("no figures of a process"))?;
    let figures: Vec<f64> = figures.split_whitespace().filter_map(|figure| figure.parse().ok()).collect();
    // the state is no number: user time stands at 10, system time behind it
    figures.get(10..12).map(|times| times.iter().sum()).ok_or_else(|| failed("no figures of a process"))
}

pub(super) async fn run(globals: &Globals, args: &BenchDiscovery) -> Result<(), CliError> {
    let progress = Progress::start(globals.quiet || globals.json, "listings taken in, beside bare signatures");
    let ingest = parts::ingest(args.taken_in).await?;
    progress.say(&format!("{} listings filled in and searched", args.listings));
    let some = parts::search(args.listings, args.queries).await?;
    progress.say(&format!("{} listings filled in and searched, some minutes", args.many));
    let many = parts::search(args.many, args.queries).await?;
    progress.say(&format!("{} listings held", args.listings));
    let folder = tempfile::Builder::new().prefix("haggle-bench-").tempdir().map_err(failed)?;
    let held = parts::held(folder.path(), args.listings).await?;
    drop(folder);
    progress.say(&format!("{} listings spread through {} nodes, beside bare gossipsub", args.messages, args.crowd));
    let bare = parts::crowd(true, args.crowd, args.messages).await?;
    let ours = parts::crowd(false, args.crowd, args.messages).await?;
    progress.say(&format!("two nodes of {} listings find out what differs", args.common));
    let mut costs = Vec::new();
    for differences in DIFFERENCES {
        costs.push(parts::sync_cost(args.common, differences).await?);
    }
    progress.say("a node at rest, beside a bare one");
    let rest = Duration::from_secs(args.rest_seconds);
    let bare_idle = parts::idle(rest * 2).await?;
    let (idle, busy) = idle_node(rest).await?;
    progress.say("an hour of simulated markets");
    let mut traffics: Vec<Traffic> = Vec::new();
    for listings in [10_000, 100_000, 1_000_000].map(|listings: u64| listings.min(args.many)) {
        traffics.push(parts::traffic(listings).await?);
    }
    progress.say(&format!("a simulated market of {} nodes", args.simulated));
    let law = parts::law(args.simulated, PUBLICATIONS).await?;
    drop(progress);
    let worst = |found: &Searches| {
        let all = found.ours_all.p50 / found.tantivy_all.p50;
        all.max(found.ours_any.p50 / found.tantivy_any.p50)
    };
    let report = Report {
        verify_gate_ratio: ingest.verify_gate_ratio,
        ingest_ratio: ingest.ingest_ratio,
        bulk_ingest_ratio: ingest.bulk_ingest_ratio,
        search_1m_p99_ms: many.ours_all.p99.max(many.ours_any.p99),
        search_vs_tantivy: worst(&some).max(worst(&many)),
        search_vs_fts5: (some.ours_any.p50 / some.fts5_any.p50).max(many.ours_any.p50 / many.fts5_any.p50),
        propagation_50_ratio: ours.p50_ms / bare.p50_ms,
        delivery_cpu_ratio: ours.cpu_micros / bare.cpu_micros,
        copies_per_delivery: ours.copies,
        sync_bytes_20_of_100k: costs[1].bytes,
        idle_rss_ratio: idle / bare_idle,
        anon_200k_mib: held.anon_mib,
    };
    if globals.json {
        terminal::json(&report);
        return Ok(());
    }
    terminal::heading("One listing taken in, to one bare signature check");
    terminal::pairs([
        ("decoded and verified", format!("{:.2}x", report.verify_gate_ratio)),
        ("and stored and indexed", format!("{:.2}x", report.ingest_ratio)),
        ("the same, many at once", format!("{:.2}x", report.bulk_ingest_ratio)),
    ]);
    let spread = |spread: Spread| format!("p50 {:.2} ms, p99 {:.2} ms", spread.p50, spread.p99);
    for (count, found) in [(args.listings, some), (args.many, many)] {
        terminal::heading(format!("Searching {count} listings"));
        terminal::pairs([
            ("both words", spread(found.ours_all)),
            ("tantivy", spread(found.tantivy_all)),
            ("either word", spread(found.ours_any)),
            ("tantivy", spread(found.tantivy_any)),
            ("SQLite FTS5", spread(found.fts5_any)),
        ]);
    }
    terminal::heading(format!("{} listings held", args.listings));
    terminal::pairs([
        ("anonymous memory", format!("{:.0} MiB", held.anon_mib)),
        ("found after receipt", format!("{:.0} ms at most", held.searchable_ms)),
        ("a node at rest", format!("{idle:.0} MiB, bare {bare_idle:.0} MiB; {busy:.2} % of a core")),
    ]);
    terminal::heading(format!("A listing spreads through {} nodes", args.crowd));
    for (name, spread) in [("haggle", ours), ("bare gossipsub", bare)] {
        let times = format!("p50 {:.1} ms, p99 {:.1} ms", spread.p50_ms, spread.p99_ms);
        let cost = format!("{:.0} us each, {:.1} copies", spread.cpu_micros, spread.copies);
        let judged = format!(
            "{:.1} % delivered, judged {:.3} times, {:.1} connections a node",
            spread.delivered * 100.0,
            spread.judged,
            spread.connections
        );
        terminal::pairs([(name, format!("{times}; {cost}; {judged}"))]);
    }
    terminal::heading(format!("Two nodes of {} listings find out what differs", args.common));
    let rows = costs.iter().map(|cost| {
        (format!("{} differences", cost.differences), format!("{} bytes, {} round trips", cost.bytes, cost.rounds))
    });
    table(&rows.collect::<Vec<_>>());
    terminal::heading("What each node receives in a simulated market, bytes a second");
    let rows = traffics.iter().map(|traffic| {
        let Traffic { gossip, offers, sync, copies, .. } = traffic;
        let parts = format!("records {gossip:.0} ({copies:.1} copies), offers {offers:.0}, sync {sync:.0}");
        (format!("{} listings", traffic.listings), format!("{:.0}: {parts}", traffic.total()))
    });
    table(&rows.collect::<Vec<_>>());
    terminal::heading(format!("{} simulated nodes, 5 % loss, 30 % churn, after 15 minutes", args.simulated));
    terminal::pairs([
        ("equal", format!("{} of {} nodes", law.equal, law.nodes)),
        ("records", format!("{}, {} missing over all nodes", law.held, law.missing)),
    ]);
    Ok(())
}

fn table(rows: &[(String, String)]) {
    terminal::pairs(rows.iter().map(|(name, value)| (name.as_str(), value.clone())));
}
