//! Packages from npm, as lock files have them.

use crate::run::{run, say};
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Installs what package-lock.json names, unless that was done for this very lock.
pub(crate) fn packages(folder: &Path) -> Result<()> {
    let lock = folder.join("package-lock.json");
    let wanted = fs::read_to_string(&lock).with_context(|| lock.display().to_string())?;
    let stamp = folder.join("node_modules/.installed-lock.json");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    say(&format!("{}: installing the locked npm packages", folder.file_name().unwrap_or_default().display()));
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(folder);
    run(&mut npm).context("npm comes with Node.js: `apt-get install nodejs npm`, or `brew install node`")?;
    fs::write(&stamp, wanted).with_context(|| stamp.display().to_string())
}
