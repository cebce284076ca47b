//! `doctor`: what can be wrong with a node, looked at from its home and from inside.

use super::CliError;
use super::args::Globals;
use super::client::Client;
use super::terminal;
use crate::config::Config;
use crate::home::Home;
use crate::setup;
use haggle_gateway::view::{CheckView, ChecksView, NodeStatus, Verdict};
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;

/// Less room than this is an error.
const LEAST_ROOM: u64 = 256 * 1024 * 1024;
/// Less room than this is worth a word.
const LITTLE_ROOM: u64 = 2 * 1024 * 1024 * 1024;

pub(super) async fn run(globals: &Globals) -> Result<(), CliError> {
    let mut items = at_home(&globals.home);
    match within(globals).await {
        Ok((status, inside)) => {
            let same = status.version == env!("CARGO_PKG_VERSION");
            let verdict = if same { Verdict::Ok } else { Verdict::Warn };
            let detail = format!("{} is up at {}, version {}", status.name, status.gateway, status.version);
            items.push(one("node", verdict, detail, "restart the node: it is of another version than this program"));
            items.extend(inside.items);
        }
        Err(error) => items.push(one("node", Verdict::Fail, error.detail, &error.hint)),
    }
    let failed = items.iter().filter(|item| item.verdict == Verdict::Fail).count();
    if globals.json {
        terminal::json(&json!({ "failed": failed, "items": items }));
    } else {
        show(&items);
    }
    if failed == 0 {
        return Ok(());
    }
    let problem =
        CliError::failure("unwell", format!("{failed} of {} checks failed", items.len()), "the lines say what to do");
    Err(CliError { told: globals.json, ..problem })
}

async fn within(globals: &Globals) -> Result<(NodeStatus, ChecksView), CliError> {
    let client: Client = globals.client()?;
    let status = client.get("/v1/node").await?;
    Ok((status, client.get("/v1/checks").await?))
}

fn one(name: &str, verdict: Verdict, detail: impl Into<String>, hint: &str) -> CheckView {
    let hint = if verdict == Verdict::Ok { String::new() } else { hint.to_owned() };
    CheckView { name: name.to_owned(), verdict, detail: detail.into(), hint }
}

/// What can be seen without a node.
fn at_home(home: &Home) -> Vec<CheckView> {
    let path = home.path().display();
    if !home.is_made() {
        let hint = "`haggle init --network FILE` makes a node there, --home names another place";
        return vec![one("home", Verdict::Fail, format!("there is no node in {path}"), hint)];
    }
    let made = one("home", Verdict::Ok, path.to_string(), "");
    let config = match Config::load(&home.config()) {
        Ok(_) => one("config", Verdict::Ok, "it can be read", ""),
        Err(error) => one("config", Verdict::Fail, error.to_string(), "`haggle config show` names every key"),
    };
    let network = match setup::read_network(&home.network()) {
        Ok(file) => one("network file", Verdict::Ok, file.id.to_string(), ""),
        Err(error) => one("network file", Verdict::Fail, error.to_string(), "copy the market's own file there again"),
    };
    vec![made, config, network, secrets(home), room(home)]
}

/// Keys and token are for their owner alone.
fn secrets(home: &Home) -> CheckView {
    let open = [home.keys(), home.token_file()].into_iter().filter(|path| {
        let mode = std::fs::metadata(path).map(|file| file.permissions().mode());
        mode.is_ok_and(|mode| mode & 0o077 != 0)
    });
    let open: Vec<String> = open.map(|path| path.display().to_string()).collect();
    if !home.keys().exists() {
        return one("keys", Verdict::Fail, "keys.age is gone", "`haggle init --restore FILE` makes it from the phrase");
    }
    match open.as_slice() {
        [] => one("keys", Verdict::Ok, "nobody else can read them", ""),
        open => one("keys", Verdict::Warn, format!("others can read {}", open.join(" and ")), "chmod 600 them"),
    }
}

fn room(home: &Home) -> CheckView {
    let hint = "make room: the node stops taking orders when it cannot write";
    match nix::sys::statvfs::statvfs(home.path()) {
        Ok(seen) => {
            let free = seen.blocks_available().saturating_mul(seen.fragment_size());
            let verdict = match free {
                free if free < LEAST_ROOM => Verdict::Fail,
                free if free < LITTLE_ROOM => Verdict::Warn,
                _ => Verdict::Ok,
            };
            one("disk", verdict, format!("{} MiB free", free / 1_048_576), hint)
        }
        Err(cause) => one("disk", Verdict::Skipped, cause.to_string(), hint),
    }
}

fn show(items: &[CheckView]) {
    for item in items {
        let mark = match item.verdict {
            Verdict::Ok => "ok  ",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
            Verdict::Skipped => "skip",
        };
        terminal::line(format!("{mark}  {:<13} {}", item.name, item.detail));
        if !item.hint.is_empty() {
            terminal::aside(format!("      {:<13} {}", "", item.hint));
        }
    }
}
