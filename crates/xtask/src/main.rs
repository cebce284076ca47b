//! `cargo xtask`: the recipes of this repository, in Rust so that they run wherever haggle builds.

mod contracts;
mod npm;
mod python;
mod run;
mod test;
mod tools;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The recipes of this repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", arg_required_else_help = true)]
struct Xtask {
    #[command(subcommand)]
    recipe: Recipe,
}

#[derive(Debug, Subcommand)]
enum Recipe {
    /// Everything: Rust tests, doc tests, contracts, vectors in Python, scenarios; benches are built.
    Test,
    /// Format check, build, tests and committed artifacts of the Solidity contracts.
    Contracts(contracts::Contracts),
}

fn main() -> ExitCode {
    let outcome = match Xtask::parse().recipe {
        Recipe::Test => test::everything(),
        Recipe::Contracts(options) => contracts::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            run::say(&format!("error: {problem:#}"));
            ExitCode::FAILURE
        }
    }
}
