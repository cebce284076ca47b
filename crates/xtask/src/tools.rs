//! What must be on the machine, and the command that installs what is not.

use anyhow::{Context, Result, bail};
use std::process::Command;

/// Least major version of Node.js.
const NODE_MAJOR: u32 = 20;
/// Least minor version of Python 3.
const PYTHON_MINOR: u32 = 11;

/// Fails unless Node.js is there and new enough.
pub(crate) fn need_node() -> Result<()> {
    let help = "install Node.js 20 or newer: `apt-get install nodejs npm`, or `brew install node`";
    let printed = output("node", &["--version"]).context(help)?;
    let major = printed.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(major) if major >= NODE_MAJOR => Ok(()),
        _ => bail!("Node.js {printed} is too old: {help}"),
    }
}

/// A Python interpreter that is new enough.
pub(crate) fn need_python() -> Result<String> {
    let asked = std::env::var("PYTHON").ok();
    let candidates = asked.iter().map(String::as_str).chain(["python3.11", "python3", "python"]);
    for name in candidates {
        let Ok(printed) = output(name, &["--version"]) else {
            continue;
        };
        let minor = printed
            .strip_prefix("Python 3.")
            .and_then(|rest| rest.split('.').next())
            .and_then(|minor| minor.parse::<u32>().ok());
        if minor.is_some_and(|minor| minor >= PYTHON_MINOR) {
            return Ok(name.to_owned());
        }
    }
    bail!("no Python 3.11 or newer: `apt-get install python3 python3-venv`, or `brew install python@3.11`")
}

fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let output =
        Command::new(program).args(arguments).output().with_context(|| format!("{program} is not installed"))?;
    if !output.status.success() {
        bail!("{program} {} failed", arguments.join(" "));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
