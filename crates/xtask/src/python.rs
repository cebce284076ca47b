//! A Python environment of the repository's own, made from pinned requirements.

use crate::run::{root, run, say};
use crate::tools;
use anyhow::{Context, Result};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// Pinned requirements of every Python check.
const REQUIREMENTS: [&str; 2] =
    ["docs/protocols/vectors/requirements.txt", "testnet/peers/a2a-python/requirements.txt"];

/// Makes the environment, or keeps it while the requirements are the same; gives its interpreter.
pub(crate) fn environment() -> Result<PathBuf> {
    let root = root();
    let folder = root.join("target/python");
    let interpreter = folder.join("bin/python");
    let stamp = folder.join("requirements.stamp");
    let mut wanted = String::new();
    for name in REQUIREMENTS {
        wanted.push_str(&fs::read_to_string(root.join(name)).with_context(|| name.to_owned())?);
    }
    if interpreter.is_file() && fs::read_to_string(&stamp).is_ok_and(|made| made == wanted) {
        return Ok(interpreter);
    }
    say("making a Python environment");
    let python = tools::need_python()?;
    run(Command::new(python).args(["-m", "venv", "--clear"]).arg(&folder))?;
    let mut install = Command::new(&interpreter);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    for name in REQUIREMENTS {
        install.arg("-r").arg(root.join(name));
    }
    run(&mut install)?;
    fs::write(stamp, wanted)?;
    Ok(interpreter)
}
