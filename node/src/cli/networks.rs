//! `network`.

use super::CliError;
use super::args::{Globals, NetworkCommand};
use super::terminal;
use crate::network_check;

pub(super) fn run(globals: &Globals, command: &NetworkCommand) -> Result<(), CliError> {
    let NetworkCommand::Check { file } = command;
    let report = network_check::check(file)?;
    if globals.json {
        terminal::json(&report);
        return Ok(());
    }
    terminal::heading(format!("{} can be used", report.id));
    terminal::pairs([("chain", report.chain), ("token", report.token)]);
    for rail in &report.rails {
        let word = if rail.offered { "pays by" } else { "never by" };
        terminal::line(format!("{word} {}: {}", rail.scheme, rail.why));
    }
    for key in &report.unchecked {
        terminal::aside(format!("{key} is written without a checksum: compare it digit by digit"));
    }
    Ok(())
}
