//! What people see: text on a terminal, JSON for programs, progress only where someone watches.

use super::CliError;
use anstream::{eprintln, println};
use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::io::{IsTerminal, Write};
use std::time::Duration;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const RED: Style = AnsiColor::Red.on_default().bold();
const GREEN: Style = AnsiColor::Green.on_default();

/// Environment variables by which coding agents announce themselves: they get plain text.
const AGENT_VARIABLES: [&str; 5] = ["CLAUDECODE", "CODEX_SANDBOX", "CURSOR_AGENT", "GEMINI_CLI", "OPENCODE"];

/// Prints one JSON object for programs.
pub fn json<T: Serialize>(value: &T) {
    println!("{}", serde_json::to_string_pretty(value).unwrap_or_default());
}

/// Prints a line.
pub fn line(text: impl AsRef<str>) {
    println!("{}", text.as_ref());
}

/// Prints a heading.
pub fn heading(text: impl AsRef<str>) {
    println!("{BOLD}{}{BOLD:#}", text.as_ref());
}

/// Prints a line that stands back.
pub fn aside(text: impl AsRef<str>) {
    println!("{DIM}{}{DIM:#}", text.as_ref());
}

/// Prints a remark on standard error, beside an answer that may be piped.
pub fn remark(text: impl AsRef<str>) {
    eprintln!("{DIM}{}{DIM:#}", text.as_ref());
}

/// Prints a thing that is done.
pub fn done(text: impl AsRef<str>) {
    println!("{GREEN}✓{GREEN:#} {}", text.as_ref());
}

/// Prints `key  value` with the values in one column.
pub fn pairs<'a>(rows: impl IntoIterator<Item = (&'a str, String)>) {
    let rows: Vec<_> = rows.into_iter().collect();
    let width = rows.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    for (key, value) in rows {
        println!("  {DIM}{key:width$}{DIM:#}  {value}");
    }
}

/// Prints the commands to go on with.
pub fn next(quiet: bool, commands: &[(String, &str)]) {
    if quiet {
        return;
    }
    println!();
    let width = commands.iter().map(|(command, _)| command.len()).max().unwrap_or(0);
    for (command, why) in commands {
        println!("{DIM}next:{DIM:#} {command:width$}  {DIM}{why}{DIM:#}");
    }
}

/// Prints why a command failed: on standard error, or as the one JSON object.
pub fn error(as_json: bool, problem: &CliError) {
    if as_json {
        json(&serde_json::json!({"error": problem}));
    } else {
        eprintln!("{RED}error{RED:#}: {problem}");
        eprintln!(" {DIM}hint{DIM:#}: {}", problem.hint);
    }
}

/// A spinner, where someone watches; silence elsewhere.
#[derive(Debug)]
pub struct Progress(Option<ProgressBar>);

impl Progress {
    /// Starts a spinner with a first message.
    #[must_use]
    pub fn start(silent: bool, message: &str) -> Self {
        if silent || !someone_watches() {
            return Self(None);
        }
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        bar.set_message(message.to_owned());
        Self(Some(bar))
    }

    /// Changes the message.
    pub fn say(&self, message: &str) {
        if let Some(bar) = &self.0 {
            bar.set_message(message.to_owned());
        }
    }

    /// Prints a line above the spinner.
    pub fn above(&self, text: &str) {
        match &self.0 {
            Some(bar) => bar.suspend(|| println!("{text}")),
            None => println!("{text}"),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

fn someone_watches() -> bool {
    std::io::stderr().is_terminal() && AGENT_VARIABLES.iter().all(|name| std::env::var_os(name).is_none())
}

/// Asks for a secret on the terminal; refuses where there is none.
///
/// # Errors
/// Standard input is no terminal, or cannot be read.
pub fn ask_secret(what: &str) -> std::io::Result<String> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        return Err(std::io::Error::other(
            "there is no terminal to ask on: set `unlock` in config.toml to an identity file, a variable or a credential",
        ));
    }
    let mut terminal = console::Term::stderr();
    write!(terminal, "{what}: ")?;
    terminal.read_secure_line()
}

/// A long id, short enough for a line: `z6MknSL…BU8Vi`.
#[must_use]
pub fn short(id: &str) -> String {
    let bare = id.strip_prefix("did:key:").unwrap_or(id);
    let letters: Vec<char> = bare.chars().collect();
    if letters.len() <= 16 {
        return bare.to_owned();
    }
    let head: String = letters[..8].iter().collect();
    let tail: String = letters[letters.len() - 5..].iter().collect();
    format!("{head}…{tail}")
}
