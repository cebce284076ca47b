//! `receipt`.

use super::CliError;
use super::args::{Globals, ReceiptCommand};
use super::terminal;
use crate::receipt::{self, Checked};
use haggle_base::Coded;
use haggle_gateway::view::ChannelReceiptRequest;
use serde_json::Value;
use std::io::Read;
use std::path::Path;

pub(super) async fn run(globals: &Globals, command: ReceiptCommand) -> Result<(), CliError> {
    match command {
        ReceiptCommand::Order { id } => write(globals, &format!("/v1/orders/{id}/receipt")).await,
        ReceiptCommand::Payment { key } => write(globals, &format!("/v1/payments/{key}/receipt")).await,
        ReceiptCommand::Channel { channel, at } => {
            let request = ChannelReceiptRequest { at };
            print(globals, &globals.client()?.post(&format!("/v1/channels/{channel}/receipt"), &request).await?);
            Ok(())
        }
        ReceiptCommand::Verify { file } => verify(globals, &file),
    }
}

async fn write(globals: &Globals, path: &str) -> Result<(), CliError> {
    print(globals, &globals.client()?.get(path).await?);
    Ok(())
}

/// Prints a receipt as the file it is: with `--json` on one line, else for people too.
fn print(globals: &Globals, receipt: &Value) {
    if globals.json {
        terminal::json(receipt);
    } else {
        terminal::line(serde_json::to_string_pretty(receipt).unwrap_or_default());
    }
}

fn verify(globals: &Globals, file: &Path) -> Result<(), CliError> {
    let text = read(file)?;
    let checked =
        receipt::verify(&text).map_err(|error| CliError::failure(error.code(), error.to_string(), error.hint()))?;
    if globals.json {
        terminal::json(&checked);
    } else {
        show(&checked);
    }
    Ok(())
}

fn show(checked: &Checked) {
    terminal::heading("the receipt holds");
    terminal::pairs(checked.facts.iter().map(|(name, value)| (name.as_str(), plain(value))));
    for signature in &checked.signed {
        terminal::line(format!("the {} signed the {}: {}", signature.role, signature.what, signature.by));
    }
    terminal::aside(format!("not checked here: {}", checked.not_checked));
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Reads a receipt, and no more than one can be large.
fn read(file: &Path) -> Result<String, CliError> {
    let unreadable = |cause: std::io::Error| {
        CliError::failure(
            "invalid_input",
            format!("{}: {cause}", file.display()),
            "give a file, or - for standard input",
        )
    };
    let mut text = String::new();
    let read = if file.as_os_str() == "-" {
        std::io::stdin().lock().take(receipt::MAX_BYTES + 1).read_to_string(&mut text)
    } else {
        let opened = std::fs::File::open(file).map_err(unreadable)?;
        opened.take(receipt::MAX_BYTES + 1).read_to_string(&mut text)
    };
    read.map_err(unreadable)?;
    if text.len() as u64 > receipt::MAX_BYTES {
        return Err(CliError::failure("input_too_large", "no receipt is larger than 64 KiB", "give a receipt"));
    }
    Ok(text)
}
