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

/// Figures of the escrow's operations, as the tests name them.
const ORDERS: [&str; 5] =
    ["fund_release", "release_batch_50_per_order", "timeout_refund", "verdict_split", "exact_per_call"];

/// The figure of a thousand calls in one channel, deposit and claim included: our name and the test's.
const CHANNEL: (&str, &str) = ("channel_1000_per_call", "per call of a thousand");

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
    // logs are told from -vv on; the committed snapshot is not touched
    tests.args(["test", "-vv", "--json", "--match-path", TESTS]).env("FORGE_SNAPSHOT_EMIT", "false");
    let answer = answer(&mut tests)?;
    let mut figures = Map::new();
    for name in ORDERS {
        let gas = kept(&answer, name).with_context(|| format!("no test measured {name}"))?;
        figures.insert(name.to_owned(), gas.into());
    }
    let (name, operation) = CHANNEL;
    let gas = said(&answer, operation).with_context(|| format!("no test measured {name}"))?;
    figures.insert(name.to_owned(), gas.into());
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

/// What forge tells of every test.
fn tests(answer: &Value) -> impl Iterator<Item = &Value> {
    let suites = answer.as_object().into_iter().flat_map(Map::values);
    suites.filter_map(|suite| suite["test_results"].as_object()).flat_map(Map::values)
}

/// The gas that a test kept under this name.
fn kept(answer: &Value, name: &str) -> Option<u64> {
    tests(answer).find_map(|test| test["gas_snapshots"]["gas"][name].as_str()?.parse().ok())
}

/// The gas that a test said in an event `GasUsed(string operation, uint256 gas)`.
fn said(answer: &Value, operation: &str) -> Option<u64> {
    let logs = tests(answer).filter_map(|test| test["logs"].as_array()).flatten();
    logs.filter_map(|log| log["data"].as_str()).find_map(|data| gas_used(data, operation))
}

/// The gas in an event's data, if it is about `operation`: words of offset, gas, length, then the text.
fn gas_used(data: &str, operation: &str) -> Option<u64> {
    let word = |at: usize| data.strip_prefix("0x")?.get(64 * at..64 * (at + 1));
    let number = |at| u64::from_str_radix(word(at)?, 16).ok();
    let text: String = operation.bytes().map(|byte| format!("{byte:02x}")).collect();
    let is_it = number(0)? == 64
        && number(2)? == u64::try_from(operation.len()).ok()?
        && data.get(2 + 3 * 64..)?.starts_with(&text);
    if is_it { number(1) } else { None }
}

#[cfg(test)]
mod tests {
    use super::gas_used;

    #[test]
    fn gas_is_read_from_the_event_that_names_the_operation() {
        let text = "6162".to_owned() + &"0".repeat(60);
        let data = format!("0x{:064x}{:064x}{:064x}{text}", 64, 233, 2);
        assert_eq!(gas_used(&data, "ab"), Some(233));
        assert_eq!(gas_used(&data, "abc"), None);
        assert_eq!(gas_used("0x", "ab"), None);
    }
}
