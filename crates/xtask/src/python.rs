//! Python environments of the repository's own, made from pinned requirements.

use crate::run::{root, run, say};
use crate::tools;
use anyhow::{Context, Result};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Pinned requirements of every Python check.
const REQUIREMENTS: [&str; 3] = [
    "docs/protocols/vectors/requirements.txt",
    "testnet/peers/a2a-python/requirements.txt",
    "testnet/peers/x402-python/requirements.txt",
];
/// Pinned requirements of the proofs about the contracts.
const PROOF_REQUIREMENTS: [&str; 1] = ["contracts/test/halmos/requirements.txt"];

/// The interpreter of the environment that the Python checks run in.
pub(crate) fn environment() -> Result<PathBuf> {
    made("python", &REQUIREMENTS)
}

/// The interpreter of the environment that halmos is installed in.
pub(crate) fn proofs() -> Result<PathBuf> {
    made("halmos", &PROOF_REQUIREMENTS)
}

/// Makes the environment, or keeps it while the requirements are the same; gives its interpreter.
fn made(name: &str, requirements: &[&str]) -> Result<PathBuf> {
    let root = root();
    let folder = root.join("target").join(name);
    let interpreter = folder.join("bin/python");
    let stamp = folder.join("requirements.stamp");
    let mut wanted = String::new();
    for name in requirements {
        wanted.push_str(&fs::read_to_string(root.join(name)).with_context(|| (*name).to_owned())?);
    }
    if interpreter.is_file() && fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) {
        return Ok(interpreter);
    }
    say("making a Python environment");
    let python = tools::need_python()?;
    run(Command::new(python).args(["-m", "venv", "--clear"]).arg(&folder))?;
    let mut install = Command::new(&interpreter);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    for name in requirements {
        install.arg("-r").arg(root.join(name));
    }
    run(&mut install)?;
    fs::write(stamp, wanted)?;
    Ok(interpreter)
}
