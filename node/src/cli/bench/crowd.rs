//! A crowd on one node: every agent is called, tasks stay open, and everybody else is served meanwhile.

use super::parts::failed;
use crate::cli::CliError;
use crate::cli::agents::from_builtin;
use crate::cli::terminal::Progress;
use crate::config::A2a;
use crate::devnet::{Devnet, Options};
use haggle_bench::http::{Connection, post};
use haggle_bench::load::{Load, Until};
use haggle_bench::pairs::CALLERS;
use haggle_gateway::view::{AgentSummary, NewAgent};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

/// How long others are served while all tasks are open.
const MEANWHILE: Duration = Duration::from_secs(10);
/// Seed of the keys.
const SEED: u64 = 7;
/// Tasks that may be open or kept beside those that stay open.
const SPARE: usize = 1000;
/// Categories of their listings.
const CATEGORIES: u32 = 64;
/// What the agents work on until it is cancelled.
const WAIT: &str = "wait: ";
/// What they give back at once.
const HELLO: &str = "message: hello";

/// What a crowd showed.
#[derive(Debug)]
pub(super) struct Seen {
    /// Every call: opening the tasks, reading them, calling others meanwhile, cancelling them.
    pub(super) load: Load,
    /// The most memory the serving process had.
    pub(super) peak_mib: f64,
}

pub(super) async fn run(count: u32, open: u32, quick: bool, progress: &Progress) -> Result<Seen, CliError> {
    let folder = tempfile::Builder::new().prefix("haggle-bench-").tempdir().map_err(failed)?;
    let bound = open as usize + SPARE;
    let a2a = A2a {
        open_calls: bound,
        open_calls_per_caller: bound,
        kept_tasks: bound,
        kept_tasks_per_caller: bound,
        ..A2a::default()
    };
    let mut devnet = Devnet::start(Options { a2a, ..Options::here(folder.path().join("devnet"), SEED)? }).await?;
    devnet.add_nodes(1).await?;
    let node = devnet.node(1);
    let client = node.client()?;
    let server: SocketAddr = client.base().trim_start_matches("http://").parse().map_err(failed)?;
    let token = client.token();
    let mut paths = Vec::new();
    for number in 1..=count {
        let name = format!("agent-{number}");
        let new = NewAgent {
            name,
            category: category(number),
            ..from_builtin("conformance").ok_or_else(|| failed("no such agent"))?
        };
        let agent: AgentSummary = client.post("/v1/agents", &new).await?;
        paths.push(format!("/a2a/{}", agent.did));
        if number % 100 == 0 {
            progress.say(&format!("{number} of {count} agents are on one node"));
        }
    }
    progress.say(&format!("{count} agents and {open} open tasks on one node"));
    let path = |number: u64| &paths[usize::try_from(number).unwrap_or_default() % paths.len()];

    let callers = connections(server).await?;
    let ids = Mutex::new(vec![String::new(); open as usize]);
    let opening = Load::run(callers, Until::Calls(u64::from(open)), |mut caller, number| {
        let params = json!({"message": say(number, WAIT), "configuration": {"returnImmediately": true}});
        let request = post(server, path(number), token, &rpc("SendMessage", &params));
        let ids = &ids;
        async move {
            let answer = result(&mut caller, &request).await;
            let id = answer.as_ref().and_then(|answer| answer["task"]["id"].as_str());
            if let (Some(id), Ok(at), Ok(mut ids)) = (id, usize::try_from(number), ids.lock()) {
                id.clone_into(&mut ids[at]);
            }
            let is_open = id.is_some();
            (caller, is_open)
        }
    })
    .await;
    let ids = ids.into_inner().unwrap_or_default();
    let id_of = |number: u64| &ids[usize::try_from(number).unwrap_or_default() % ids.len()];

    let callers = connections(server).await?;
    let meanwhile =
        Load::run(callers, Until::Over(if quick { MEANWHILE / 20 } else { MEANWHILE }), |mut caller, number| {
            // numbers apart enough that neighbours in time are not neighbours in the crowd
            let scattered = number.wrapping_mul(7919) % u64::from(open.max(1));
            let request = match number % 2 {
                0 => post(server, path(scattered), token, &rpc("GetTask", &json!({"id": id_of(scattered)}))),
                _ => post(server, path(scattered), token, &rpc("SendMessage", &json!({"message": say(number, HELLO)}))),
            };
            async move {
                let answer = result(&mut caller, &request).await;
                let is_good = answer.is_some_and(|answer| match number % 2 {
                    0 => answer["status"]["state"] == "TASK_STATE_WORKING",
                    _ => answer["message"]["parts"][0]["text"] == HELLO,
                });
                (caller, is_good)
            }
        })
        .await;

    let callers = connections(server).await?;
    let ending = Load::run(callers, Until::Calls(u64::from(open)), |mut caller, number| {
        let request = post(server, path(number), token, &rpc("CancelTask", &json!({"id": id_of(number)})));
        async move {
            let answer = result(&mut caller, &request).await;
            (caller, answer.is_some_and(|answer| answer["status"]["state"] == "TASK_STATE_CANCELED"))
        }
    })
    .await;
    let peak_mib = super::nodes::memory_mib(node.pid().unwrap_or_default(), "VmHWM")?;
    devnet.shutdown().await;
    Ok(Seen { load: opening.and(meanwhile).and(ending), peak_mib })
}

pub(super) async fn connections(server: SocketAddr) -> Result<Vec<Connection>, CliError> {
    let mut callers = Vec::new();
    for _ in 0..CALLERS {
        callers.push(Connection::open(server).await.map_err(failed)?);
    }
    Ok(callers)
}

/// Categories that lie in all shards, so that what is free has room in each.
fn category(number: u32) -> String {
    format!("crowd-{}", number % CATEGORIES)
}

fn say(number: u64, text: &str) -> Value {
    json!({"messageId": format!("m-{number}"), "role": "ROLE_USER", "parts": [{"text": text}]})
}

fn rpc(method: &str, params: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string()
}

/// The result of a JSON-RPC call; nothing if there is none.
async fn result(caller: &mut Connection, request: &[u8]) -> Option<Value> {
    let (status, body) = caller.ask(request).await.ok()?;
    let mut answer: Value = serde_json::from_slice(&body).ok()?;
    (status == 200).then(|| answer["result"].take()).filter(|result| !result.is_null())
}
