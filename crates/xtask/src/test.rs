//! `cargo xtask test`: every check there is, in the release profile throughout.

use crate::contracts::{self, Contracts};
use crate::run::{root, run, say};
use crate::{npm, python, tools};
use anyhow::Result;
use std::process::Command;

/// Runs everything; the first failure ends it.
pub(crate) fn everything() -> Result<()> {
    tools::need_node()?;
    say("== contracts");
    contracts::run(&Contracts::default())?;
    let interpreter = python::environment()?;
    for peer in ["a2a-js", "x402-js"] {
        npm::packages(&root().join("testnet/peers").join(peer))?;
    }

    say("== the peer in Rust");
    // A project of its own: its folder tells the scenarios where the program is, wherever the workspace is built.
    let peer = root().join("testnet/peers/x402-rust");
    let mut built = cargo(&["build", "--locked", "--manifest-path"]);
    built.arg(peer.join("Cargo.toml")).arg("--target-dir").arg(peer.join("target"));
    run(built.current_dir(root()))?;

    say("== build");
    run(cargo(&["build", "--release", "--workspace", "--all-targets"]).current_dir(root()))?;

    say("== Rust tests and scenarios, those that need Node.js or Python included");
    let mut tests =
        cargo(&["test", "--release", "--workspace", "--lib", "--bins", "--tests", "--", "--include-ignored"]);
    run(tests.env("HAGGLE_PYTHON", &interpreter).current_dir(root()))?;
    say("== doc tests");
    run(cargo(&["test", "--release", "--workspace", "--doc"]).current_dir(root()))?;

    say("== vectors in Python");
    run(Command::new(&interpreter).arg(root().join("docs/protocols/vectors/verify.py")))?;
    say("everything passed");
    Ok(())
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    command
}
