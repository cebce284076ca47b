//! `bench`: what haggle costs on this machine, beside what else there is, in one run.
//!
//! Figures of time differ from machine to machine and from hour to hour; ratios of things that took turns do not.
//! Each part runs in processes of its own, so that neither memory nor time of one counts for another.

mod crowd;
mod discovery;
mod facilitators;
mod nodes;
mod paid;
mod parts;
mod pay;
mod rivals;

use super::CliError;
use super::args::{BenchA2a, BenchCommand, Globals};
use super::terminal::{self, Progress};
use serde::Serialize;
use std::time::Duration;

/// The one object of `bench a2a --json`.
#[derive(Debug, Serialize)]
struct Report {
    agents: u32,
    concurrent: u32,
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    rss_mib: f64,
    errors: u64,
    libp2p_p50_ratio: f64,
    libp2p_rate_ratio: f64,
    lost: u64,
    /// Our gateway's SendMessage against the Python SDK's server; null without rivals, as the next four.
    http_vs_python: Option<f64>,
    http_vs_rust: Option<f64>,
    hop_vs_python: Option<f64>,
    hop_vs_rust: Option<f64>,
    durable_vs_rust: Option<f64>,
    growth_mib_500k: f64,
}

pub(super) async fn run(globals: &Globals, command: BenchCommand) -> Result<(), CliError> {
    match command {
        BenchCommand::A2a(args) => a2a(globals, args).await,
        BenchCommand::Pay(args) => pay::run(globals, args).await,
        BenchCommand::Discovery(args) => discovery::run(globals, &args).await,
        BenchCommand::Part(part) => parts::run(part).await,
    }
}

async fn a2a(globals: &Globals, args: BenchA2a) -> Result<(), CliError> {
    let progress = Progress::start(globals.quiet || globals.json, "a call over libp2p beside a raw request");
    let latency = parts::latency(args.quick).await?;
    let rate = parts::rate(args.quick).await?;
    progress.say(&format!("counting lost calls over libp2p for {} s", args.seconds));
    let lost = parts::lost(Duration::from_secs(args.seconds)).await?;
    progress.say(&format!("{} agents and {} open tasks on one node", args.agents, args.concurrent));
    let crowd = crowd::run(args.agents, args.concurrent, args.quick, &progress).await?;
    progress.say("two nodes come up");
    let nodes = nodes::Nodes::start().await?;
    let beside = match &args.peers {
        Some(folder) => Some(rivals::run(&nodes, folder, &args.python, &progress).await?),
        None => None,
    };
    progress.say(&format!("memory of a node over {} calls", args.calls));
    let growth = nodes.growth(args.calls, args.quick).await?;
    nodes.end().await;
    drop(progress);

    let millis = |hundredths| crowd.load.percentile(hundredths).as_secs_f64() * 1e3;
    let report = Report {
        agents: args.agents,
        concurrent: args.concurrent,
        p50_ms: millis(50),
        p95_ms: millis(95),
        p99_ms: millis(99),
        rss_mib: crowd.peak_mib,
        errors: crowd.load.errors(),
        libp2p_p50_ratio: latency.a2a / latency.raw,
        libp2p_rate_ratio: rate.a2a / rate.raw,
        lost: lost.lost,
        http_vs_python: beside.map(|beside| beside.http / beside.python),
        http_vs_rust: beside.map(|beside| beside.http / beside.rust),
        hop_vs_python: beside.map(|beside| beside.hop / beside.python),
        hop_vs_rust: beside.map(|beside| beside.hop / beside.rust),
        durable_vs_rust: beside.map(|beside| beside.durable / beside.rust_tasks),
        growth_mib_500k: growth,
    };
    if globals.json {
        terminal::json(&report);
        return Ok(());
    }
    terminal::heading("A crowd on one node, calls over HTTP");
    terminal::pairs([
        ("agents", report.agents.to_string()),
        ("open tasks", report.concurrent.to_string()),
        ("calls", crowd.load.calls().to_string()),
        ("latency", format!("p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms", report.p50_ms, report.p95_ms, report.p99_ms)),
        ("memory", format!("{:.0} MiB at most", report.rss_mib)),
        ("errors", report.errors.to_string()),
    ]);
    terminal::heading("A call over libp2p, beside a raw libp2p request of equal bytes");
    terminal::pairs([
        (
            "one caller, p50",
            format!("{:.1} us, raw {:.1} us: {:.2}x", latency.a2a, latency.raw, report.libp2p_p50_ratio),
        ),
        ("64 callers", format!("{:.0}/s, raw {:.0}/s: {:.2}x", rate.a2a, rate.raw, report.libp2p_rate_ratio)),
        ("lost", format!("{} of {} in {} s", lost.lost, lost.calls, args.seconds)),
    ]);
    if let Some(beside) = beside {
        terminal::heading("SendMessage over HTTP with 64 callers, calls a second");
        terminal::pairs([
            ("our gateway", format!("{:.0}", beside.http)),
            ("through two nodes", format!("{:.0}", beside.hop)),
            ("Python SDK", format!("{:.0}", beside.python)),
            ("official Rust crate", format!("{:.0}", beside.rust)),
            ("our gateway, a task on disk", format!("{:.0}", beside.durable)),
            ("official Rust crate, a task in memory", format!("{:.0}", beside.rust_tasks)),
        ]);
    }
    terminal::heading("Memory");
    terminal::pairs([("growth", format!("{growth:.1} MiB over {} calls", args.calls))]);
    Ok(())
}
