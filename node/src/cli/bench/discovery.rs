//! `bench discovery`: what taking listings in and finding them costs.

use super::parts;
use crate::cli::CliError;
use crate::cli::args::{BenchDiscovery, Globals};
use crate::cli::terminal::{self, Progress};
use haggle_bench::discovery::{Searches, Spread};
use serde::Serialize;

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
}

pub(super) async fn run(globals: &Globals, args: &BenchDiscovery) -> Result<(), CliError> {
    let progress = Progress::start(globals.quiet || globals.json, "listings taken in, beside bare signatures");
    let ingest = parts::ingest(args.taken_in).await?;
    progress.say(&format!("{} listings filled in and searched", args.listings));
    let some = parts::search(args.listings, args.queries).await?;
    progress.say(&format!("{} listings filled in and searched, some minutes", args.many));
    let many = parts::search(args.many, args.queries).await?;
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
    Ok(())
}
