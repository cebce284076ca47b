//! What operations cost: measured by the tests in `contracts/test/gas`, compared with the committed snapshot.

use crate::run::{run as execute, say};
use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::forge;

/// The tests that measure.
pub(super) const TESTS: &str = "test/gas/*";

/// Percent by which a gas test may differ from the committed snapshot.
const TOLERANCE: &str = "1";

/// The figures, as the tests name them.
const FIGURES: [&str; 6] = [
    "fund_release",
    "release_batch_50_per_order",
    "channel_1000_per_call",
    "timeout_refund",
    "verdict_split",
    "exact_per_call",
];

/// Compares with the committed snapshot, or writes it anew.
pub(super) fn check(folder: &Path, write: bool) -> Result<()> {
    say("contracts: gas");
    let mut snapshot = forge(folder);
    snapshot.args(["snapshot", "--match-path", TESTS]);
    if !write {
        snapshot.args(["--check", "--tolerance", TOLERANCE]);
    }
    execute(&mut snapshot).context("gas moved by more than a percent: `cargo xtask contracts --write`, then commit")
}

/// Measures, and prints the figures.
pub(super) fn print(folder: &Path, json: bool) -> Result<()> {
    let figures = measured(folder)?;
    let shown = if json {
        Value::Object(figures).to_string()
    } else {
        let lines: Vec<String> = figures.iter().map(|(name, gas)| format!("{name:28} {gas:>8}")).collect();
        lines.join("\n")
    };
    writeln!(std::io::stdout(), "{shown}").context("standard output is closed")
}

/// Runs the tests and reads what they measured.
fn measured(folder: &Path) -> Result<Map<String, Value>> {
    let mut tests = forge(folder);
    // the committed snapshot is not touched
    tests.args(["test", "--json", "--match-path", TESTS]).env("FORGE_SNAPSHOT_EMIT", "false");
    let answer = answer(&mut tests)?;
    let mut figures = Map::new();
    for name in FIGURES {
        let gas = kept(&answer, name).with_context(|| format!("no test measured {name}"))?;
        figures.insert(name.to_owned(), gas.into());
    }
    Ok(figures)
}

/// Standard output of a forge that succeeded, as JSON.
fn answer(command: &mut Command) -> Result<Value> {
    let output = command.stderr(Stdio::inherit()).output().context("forge did not start")?;
    if !output.status.success() {
        bail!("the gas tests failed with {}; `forge test --match-path '{TESTS}'` shows them", output.status);
    }
    serde_json::from_slice(&output.stdout).context("forge's answer is not JSON")
}

/// The gas that a test kept under this name.
fn kept(answer: &Value, name: &str) -> Option<u64> {
    let suites = answer.as_object().into_iter().flat_map(Map::values);
    let mut tests = suites.filter_map(|suite| suite["test_results"].as_object()).flat_map(Map::values);
    tests.find_map(|test| test["gas_snapshots"]["gas"][name].as_str()?.parse().ok())
}
