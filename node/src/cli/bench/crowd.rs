//! A crowd on one node: every agent is called, tasks stay open, and everybody else is served meanwhile.

use super::parts::{failed, serving};
use crate::cli::CliError;
use haggle_bench::crowd::{WAIT, agents};
use haggle_bench::http::{Connection, post};
use haggle_bench::load::{Load, Until};
use haggle_bench::pairs::CALLERS;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};

/// How long others are served while all tasks are open.
const MEANWHILE: Duration = Duration::from_secs(10);
/// Longest time until the crowd is there.
const GATHERING: Duration = Duration::from_secs(120);

/// What a crowd showed.
#[derive(Debug)]
pub(super) struct Seen {
    /// Every call: opening the tasks, reading them, calling others meanwhile, cancelling them.
    pub(super) load: Load,
    /// The most memory the serving process had.
    pub(super) peak_mib: f64,
}

pub(super) async fn run(count: u32, open: u32, quick: bool) -> Result<Seen, CliError> {
    let (agents_text, open_text) = (count.to_string(), open.to_string());
    let mut command = serving(&["crowd", "--agents", &agents_text, "--concurrent", &open_text])?;
    let mut child = command.spawn().map_err(failed)?;
    let mut lines = BufReader::new(child.stdout.take().ok_or_else(|| failed("no output"))?).lines();
    let line = tokio::time::timeout(GATHERING, lines.next_line()).await.map_err(failed)?.map_err(failed)?;
    let line: Value = serde_json::from_str(&line.unwrap_or_default()).map_err(failed)?;
    let server: SocketAddr = line["address"].as_str().unwrap_or_default().parse().map_err(failed)?;
    let paths: Vec<String> = agents(count).iter().map(|did| format!("/a2a/{did}")).collect();
    let path = |number: u64| &paths[usize::try_from(number).unwrap_or_default() % paths.len()];

    let callers = connections(server).await?;
    let ids = Mutex::new(vec![String::new(); open as usize]);
    let opening = Load::run(callers, Until::Calls(u64::from(open)), |mut caller, number| {
        let params = json!({"message": say(number, WAIT), "configuration": {"returnImmediately": true}});
        let request = post(server, path(number), "", &rpc("SendMessage", &params));
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
            let scattered = number.wrapping_mul(7919);
            let request = match number % 2 {
                0 => post(server, path(scattered), "", &rpc("GetTask", &json!({"id": id_of(scattered)}))),
                _ => post(server, path(scattered), "", &rpc("SendMessage", &json!({"message": say(number, "hello")}))),
            };
            async move {
                let answer = result(&mut caller, &request).await;
                let is_good = answer.is_some_and(|answer| match number % 2 {
                    0 => answer["status"]["state"] == "TASK_STATE_WORKING",
                    _ => answer["message"]["parts"][0]["text"] == "hello",
                });
                (caller, is_good)
            }
        })
        .await;

    let callers = connections(server).await?;
    let ending = Load::run(callers, Until::Calls(u64::from(open)), |mut caller, number| {
        let request = post(server, path(number), "", &rpc("CancelTask", &json!({"id": id_of(number)})));
        async move {
            let answer = result(&mut caller, &request).await;
            (caller, answer.is_some_and(|answer| answer["status"]["state"] == "TASK_STATE_CANCELED"))
        }
    })
    .await;
    let peak_mib = super::nodes::memory_mib(child.id().unwrap_or_default(), "VmHWM")?;
    child.kill().await.map_err(failed)?;
    Ok(Seen { load: opening.and(meanwhile).and(ending), peak_mib })
}

pub(super) async fn connections(server: SocketAddr) -> Result<Vec<Connection>, CliError> {
    let mut callers = Vec::new();
    for _ in 0..CALLERS {
        callers.push(Connection::open(server).await.map_err(failed)?);
    }
    Ok(callers)
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
