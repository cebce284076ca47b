//! Parts that run in processes of their own: this program again, with a hidden command.

use super::paid::{self, Paid};
use crate::cli::CliError;
use crate::cli::args::BenchPart;
use crate::cli::terminal;
use haggle_bench::discovery::{self, Held, Ingest, Searches};
use haggle_bench::idle;
use haggle_bench::pairs::{self, Effort, Lost, Pair};
use haggle_bench::propagation::{self, Spread};
use haggle_bench::simulator::{self, Converged, Law, SyncCost, Traffic};
use haggle_bench::vouchers::{VoucherRates, Vouchers};
use haggle_devchain::DevChain;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// How long each way to verify a voucher has a core.
const LONG: Duration = Duration::from_secs(3);
/// The same where figures mean nothing.
const SHORT: Duration = Duration::from_millis(20);
/// Seed of what is simulated.
const SEED: u64 = 7;
/// Longest time a part may take beside the time it was asked to take.
const PATIENCE: Duration = Duration::from_secs(300);

/// The same for parts that fill large markets.
const LONG_PATIENCE: Duration = Duration::from_secs(3600);

pub(super) async fn run(part: BenchPart) -> Result<(), CliError> {
    match part {
        BenchPart::Vouchers { quick } => {
            let time = if quick { SHORT } else { LONG };
            terminal::json(&tokio::task::spawn_blocking(move || Vouchers::sign().rates(time)).await.map_err(failed)?);
        }
        BenchPart::Paid { quick, rpc, network } => terminal::json(&paid::run(quick, &rpc, &network).await?),
        BenchPart::Ingest { listings } => terminal::json(&discovery::ingest(listings).await.map_err(failed)?),
        BenchPart::Search { listings, queries } => {
            terminal::json(&discovery::search(listings, queries).await.map_err(failed)?);
        }
        BenchPart::Fill { folder, listings } => {
            discovery::fill(&folder, listings).await.map_err(failed)?;
            terminal::json(&());
        }
        BenchPart::Held { folder, listings } => {
            terminal::json(&discovery::held(&folder, listings).await.map_err(failed)?);
        }
        BenchPart::Crowd { bare: true, nodes, messages } => {
            terminal::json(&propagation::bare(nodes, messages).await.map_err(failed)?);
        }
        BenchPart::Crowd { bare: false, nodes, messages } => {
            terminal::json(&propagation::ours(nodes, messages).await.map_err(failed)?);
        }
        BenchPart::SyncCost { common, differences } => {
            terminal::json(&simulator::sync_cost(common, differences, SEED).map_err(failed)?);
        }
        BenchPart::Traffic { listings } => terminal::json(&simulator::traffic(listings, SEED).map_err(failed)?),
        BenchPart::Law { nodes, publications } => {
            terminal::json(&simulator::law(Law::of(SEED, nodes, publications)).map_err(failed)?.0);
        }
        BenchPart::Idle { seconds } => {
            terminal::json(&idle::bare(Duration::from_secs(seconds)).await.map_err(failed)?);
        }
        BenchPart::Latency { quick } => terminal::json(&pairs::latency(effort(quick)).await),
        BenchPart::Rate { quick } => terminal::json(&pairs::rate(effort(quick)).await),
        BenchPart::Lost { seconds } => terminal::json(&pairs::lost(Duration::from_secs(seconds)).await),
    }
    Ok(())
}

const fn effort(quick: bool) -> Effort {
    if quick { Effort::QUICK } else { Effort::FULL }
}

fn arguments(part: &'static str, quick: bool) -> Vec<&'static str> {
    if quick { vec![part, "--quick"] } else { vec![part] }
}

/// One caller's latency, with everything on one core where the system allows to say so: across cores a virtual machine's
/// wake-ups are measured, not the program.
pub(super) async fn latency(quick: bool) -> Result<Pair, CliError> {
    let pinned = Command::new("taskset").args(["-c", "0", "true"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let command = match pinned.await {
        Ok(status) if status.success() => {
            let mut command = Command::new("taskset");
            command.args(["-c", "0"]).arg(own()?);
            command
        }
        _ => Command::new(own()?),
    };
    ask(command, &arguments("latency", quick), PATIENCE).await
}

pub(super) async fn rate(quick: bool) -> Result<Pair, CliError> {
    ask(Command::new(own()?), &arguments("rate", quick), PATIENCE).await
}

pub(super) async fn vouchers(quick: bool) -> Result<VoucherRates, CliError> {
    ask(Command::new(own()?), &arguments("vouchers", quick), PATIENCE).await
}

pub(super) async fn paid(quick: bool) -> Result<Paid, CliError> {
    // the chain stays in this process: what is counted in the other one is the two ends alone
    let chain = DevChain::start(haggle_devchain::Config::default()).await.map_err(failed)?;
    let network = serde_json::to_string(&paid::market(&chain)?).map_err(failed)?;
    let mut arguments = arguments("paid", quick);
    let rpc = chain.rpc_url();
    arguments.extend(["--rpc", &rpc, "--network", &network]);
    let paid = ask(Command::new(own()?), &arguments, PATIENCE).await;
    chain.shutdown().await;
    paid
}

pub(super) async fn ingest(listings: u64) -> Result<Ingest, CliError> {
    ask(Command::new(own()?), &["ingest", "--listings", &listings.to_string()], LONG_PATIENCE).await
}

pub(super) async fn search(listings: u64, queries: usize) -> Result<Searches, CliError> {
    let (listings, queries) = (listings.to_string(), queries.to_string());
    let arguments = ["search", "--listings", &listings, "--queries", &queries];
    ask(Command::new(own()?), &arguments, LONG_PATIENCE).await
}

/// Fills a market in a folder with one process, and holds it in another.
pub(super) async fn held(folder: &Path, listings: u64) -> Result<Held, CliError> {
    let (folder, listings) = (folder.display().to_string(), listings.to_string());
    let () = ask(Command::new(own()?), &["fill", &folder, "--listings", &listings], LONG_PATIENCE).await?;
    ask(Command::new(own()?), &["held", &folder, "--listings", &listings], LONG_PATIENCE).await
}

pub(super) async fn crowd(bare: bool, nodes: usize, messages: usize) -> Result<Spread, CliError> {
    let (nodes, messages) = (nodes.to_string(), messages.to_string());
    let mut arguments = vec!["crowd", "--nodes", &nodes, "--messages", &messages];
    if bare {
        arguments.push("--bare");
    }
    ask(Command::new(own()?), &arguments, LONG_PATIENCE).await
}

pub(super) async fn sync_cost(common: u64, differences: u64) -> Result<SyncCost, CliError> {
    let (common, differences) = (common.to_string(), differences.to_string());
    let arguments = ["sync-cost", "--common", &common, "--differences", &differences];
    ask(Command::new(own()?), &arguments, PATIENCE).await
}

pub(super) async fn traffic(listings: u64) -> Result<Traffic, CliError> {
    ask(Command::new(own()?), &["traffic", "--listings", &listings.to_string()], LONG_PATIENCE).await
}

pub(super) async fn law(nodes: u32, publications: u64) -> Result<Converged, CliError> {
    let (nodes, publications) = (nodes.to_string(), publications.to_string());
    let arguments = ["law", "--nodes", &nodes, "--publications", &publications];
    ask(Command::new(own()?), &arguments, LONG_PATIENCE).await
}

pub(super) async fn idle(time: Duration) -> Result<f64, CliError> {
    ask(Command::new(own()?), &["idle", "--seconds", &time.as_secs().to_string()], PATIENCE).await
}

pub(super) async fn lost(time: Duration) -> Result<Lost, CliError> {
    let seconds = time.as_secs().to_string();
    ask(Command::new(own()?), &["lost", "--seconds", &seconds], PATIENCE + time).await
}

async fn ask<T: DeserializeOwned>(mut command: Command, arguments: &[&str], patience: Duration) -> Result<T, CliError> {
    let output = command.args(["bench", "part"]).args(arguments).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(patience, output).await.map_err(failed)?.map_err(failed)?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr)));
    }
    serde_json::from_slice(&output.stdout).map_err(failed)
}

fn own() -> Result<std::path::PathBuf, CliError> {
    std::env::current_exe().map_err(failed)
}

pub(super) fn failed(cause: impl std::fmt::Display) -> CliError {
    CliError::failure("bench_failed", cause.to_string(), "close other programs, then try again")
}
