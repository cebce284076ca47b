//! Two real nodes, one with a free agent, and how their gateways are called.

use super::crowd::connections;
use super::parts::failed;
use crate::cli::CliError;
use crate::devnet::{Devnet, NodeProcess, Options};
use haggle_bench::http::post;
use haggle_bench::load::{Load, Until};
use haggle_bench::pairs::TEXT_BYTES;
use serde_json::json;
use std::net::SocketAddr;
use tempfile::TempDir;

/// Seed of the keys.
const SEED: u64 = 7;
/// Calls before memory is read for the first time.
const WARM_UP: u64 = 50_000;

/// Where a server takes messages, and how.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) server: SocketAddr,
    pub(super) path: String,
    pub(super) token: String,
}

/// Whether the agent is to answer with a message or with a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Message,
    Task,
}

/// A devnet of two nodes; the first serves the conformance agent.
pub(super) struct Nodes {
    devnet: Devnet,
    agent: String,
    _folder: TempDir,
}

impl Nodes {
    pub(super) async fn start() -> Result<Self, CliError> {
        let folder = tempfile::Builder::new().prefix("haggle-bench-").tempdir().map_err(failed)?;
        let mut devnet = Devnet::start(Options::here(folder.path().join("devnet"), SEED)?).await?;
        devnet.add_nodes(2).await?;
        let agent = devnet.node(1).serve_builtin("conformance").await?.did;
        devnet.until_all_see(1).await?;
        Ok(Self { devnet, agent, _folder: folder })
    }

    pub(super) async fn end(self) {
        self.devnet.shutdown().await;
    }

    /// The agent at the gateway of its own node.
    pub(super) fn near(&self) -> Result<Place, CliError> {
        self.at(self.devnet.node(1))
    }

    /// The agent at the gateway of the other node.
    pub(super) fn afar(&self) -> Result<Place, CliError> {
        self.at(self.devnet.node(2))
    }

    fn at(&self, node: &NodeProcess) -> Result<Place, CliError> {
        let client = node.client()?;
        let server = client.base().trim_start_matches("http://").parse().map_err(failed)?;
        Ok(Place { server, path: format!("/a2a/{}", self.agent), token: client.token().to_owned() })
    }

    /// By how much the memory of the agent's node grows while it is called so often, in MiB.
    pub(super) async fn growth(&self, calls: u64, quick: bool) -> Result<f64, CliError> {
        let place = self.near()?;
        let pid = self.devnet.node(1).pid().unwrap_or_default();
        send(&place, Until::Calls(if quick { calls } else { WARM_UP }), Reply::Message).await?;
        let warm = memory_mib(pid, "VmRSS")?;
        let load = send(&place, Until::Calls(calls), Reply::Message).await?;
        if load.errors() > 0 {
            return Err(failed(format!("{} of {} calls failed", load.errors(), load.calls())));
        }
        Ok(memory_mib(pid, "VmRSS")? - warm)
    }
}

/// Sends messages from [`CALLERS`] callers.
pub(super) async fn send(place: &Place, until: Until, reply: Reply) -> Result<Load, CliError> {
    let text = match reply {
        Reply::Message => format!("message: {}", "x".repeat(TEXT_BYTES)),
        Reply::Task => "x".repeat(TEXT_BYTES),
    };
    let message = json!({"messageId": "m-1", "role": "ROLE_USER", "parts": [{"text": text}]});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}});
    let request = &post(place.server, &place.path, &place.token, &body.to_string());
    let expected: &[u8] = match reply {
        Reply::Message => b"\"message\":",
        Reply::Task => b"\"task\":",
    };
    let callers = connections(place.server).await?;
    let load = Load::run(callers, until, |mut caller, _| async move {
        let answer = caller.ask(request).await;
        let is_good = answer.is_ok_and(|(status, body)| status == 200 && holds(&body, expected));
        (caller, is_good)
    });
    Ok(load.await)
}

fn holds(body: &[u8], expected: &[u8]) -> bool {
    body.windows(expected.len()).any(|window| window == expected)
}

/// A figure of a process's memory, in MiB.
pub(super) fn memory_mib(pid: u32, figure: &str) -> Result<f64, CliError> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).map_err(failed)?;
    let line = status.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(':'));
    let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u32>().ok());
    kibibytes.map(|kibibytes| f64::from(kibibytes) / 1024.0).ok_or_else(|| failed(format!("{path} says no {figure}")))
}
