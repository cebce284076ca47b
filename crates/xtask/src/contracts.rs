//! `cargo xtask contracts`: the Solidity contracts checked from packages to committed artifacts.

mod gas;

use crate::run::{root, run as execute, say};
use crate::{npm, python, tools};
use anyhow::{Context, Result};
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Options of the recipe.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Contracts {
    /// Update the committed artifacts instead of failing when they differ.
    #[arg(long)]
    write: bool,
    /// Only measure what the operations cost, against the goals.
    #[arg(long)]
    gas: bool,
    /// With --gas: print the figures as one JSON object.
    #[arg(long, requires = "gas")]
    json: bool,
    /// After everything else, run the invariant campaigns with ten million calls each; takes hours.
    #[arg(long, conflicts_with = "gas")]
    long: bool,
    /// Only prove, with halmos, what has to hold for every order and every argument at once.
    #[arg(long, conflicts_with_all = ["write", "gas", "long"])]
    prove: bool,
}

/// Where the proofs are compiled to, apart from what the tests deploy.
const PROOFS: &str = "cache/halmos";

/// Invariant runs of `--long`: at the depth of the `ci` profile, 500, each campaign makes ten million calls.
const LONG_RUNS: u32 = 20_000;

/// Installs the locked packages if they changed, then checks format, compiles, compares the artifacts with the
/// committed ones (or writes them), runs the tests in forge's `ci` profile and compares what operations cost with the
/// committed `.gas-snapshot`.
pub(crate) fn run(opts: &Contracts) -> Result<()> {
    tools::need_node()?;
    let folder = root().join("contracts");
    npm::packages(&folder)?;
    if opts.prove {
        return prove(&folder);
    }
    say("contracts: format");
    execute(forge(&folder).args(["fmt", "--check"]))?;
    say("contracts: compiling, up to two minutes from nothing");
    execute(forge(&folder).arg("build"))?;
    if opts.gas {
        return gas::print(&folder, opts.json);
    }
    artifacts(&folder, opts.write)?;
    say("contracts: tests, some minutes");
    execute(forge(&folder).args(["test", "--no-match-path", gas::TESTS]))?;
    gas::check(&folder, opts.write)?;
    if opts.long {
        say("contracts: invariant campaigns with ten million calls each, hours");
        let mut long = forge(&folder);
        long.env("FOUNDRY_INVARIANT_RUNS", LONG_RUNS.to_string());
        execute(long.args(["test", "--match-path", "test/invariant/*", "--match-test", "invariant_"]))?;
    }
    Ok(())
}

/// Compiles the proofs and runs them. halmos wants forge on the path.
fn prove(folder: &Path) -> Result<()> {
    let halmos = python::proofs()?.with_file_name("halmos");
    let forge = forge_binary(folder);
    let mut path: Vec<PathBuf> = forge.parent().map(Path::to_path_buf).into_iter().collect();
    path.extend(env::var_os("PATH").iter().flat_map(env::split_paths));
    let out = format!("{PROOFS}/out");
    say("contracts: proofs, some minutes from nothing");
    let mut command = Command::new(halmos);
    command.env("PATH", env::join_paths(path)?).env("NO_COLOR", "1").current_dir(folder);
    command.env("FOUNDRY_TEST", "test/halmos").env("FOUNDRY_OUT", &out).env("FOUNDRY_CACHE_PATH", PROOFS);
    execute(command.args(["--no-status", "--forge-build-out", &out]))
}

/// Compares, or writes, the trimmed artifacts that Rust reads.
fn artifacts(folder: &Path, write: bool) -> Result<()> {
    say("contracts: artifacts");
    let mut script = Command::new("node");
    script.arg("tools/artifacts.js").current_dir(folder);
    if write {
        script.arg("--write");
    }
    execute(&mut script)
        .context("the committed artifacts are not those of the sources: `cargo xtask contracts --write`, then commit")
}

/// The locked forge, in the profile that CI uses.
fn forge(folder: &Path) -> Command {
    let mut command = Command::new(forge_binary(folder));
    command.env("FOUNDRY_PROFILE", "ci").env("NO_COLOR", "1").current_dir(folder);
    command
}

/// Where npm put forge. Not the launcher in `.bin`: that one answers success whatever happened.
fn forge_binary(folder: &Path) -> PathBuf {
    let system = match env::consts::OS {
        "macos" => "darwin",
        "windows" => "win32",
        other => other,
    };
    let machine = match env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let mut binary = folder.join(format!("node_modules/@foundry-rs/forge-{system}-{machine}/bin/forge"));
    binary.set_extension(env::consts::EXE_EXTENSION);
    binary
}
