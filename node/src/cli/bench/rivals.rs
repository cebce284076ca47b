//! Our gateway beside the servers that somebody would run instead: the Python SDK's and the official Rust crate's.

use super::nodes::{Nodes, Place, Reply, send};
use super::parts::failed;
use crate::cli::CliError;
use crate::cli::terminal::Progress;
use haggle_bench::load::{Until, median};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Turns of each server.
const ROUNDS: usize = 3;
/// Length of one turn.
const TURN: Duration = Duration::from_secs(3);
/// Calls before anything is measured.
const WARM_UP: u64 = 500;
/// Longest time until a server is there.
const STARTING: Duration = Duration::from_secs(30);

/// Calls a second of each.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Beside {
    pub(super) http: f64,
    pub(super) hop: f64,
    pub(super) durable: f64,
    pub(super) python: f64,
    pub(super) rust: f64,
    pub(super) rust_tasks: f64,
}

pub(super) async fn run(nodes: &Nodes, folder: &Path, python: &Path, progress: &Progress) -> Result<Beside, CliError> {
    progress.say("building the official Rust crate's server, some minutes from nothing");
    let project = folder.join("a2a-rust");
    let built = Command::new("cargo")
        .args(["build", "--release", "--locked", "--quiet", "--manifest-path"])
        .arg(project.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(project.join("target"))
        .stdin(Stdio::null())
        .output();
    let built = built.await.map_err(failed)?;
    if !built.status.success() {
        return Err(failed(String::from_utf8_lossy(&built.stderr)));
    }
    let mut program = Command::new(python);
    program.arg(folder.join("a2a-python/server.py")).args(["--port", "0"]);
    let (_python, python) = start(program).await?;
    let (_rust, rust) = start(Command::new(project.join("target/release/a2a-rust"))).await?;
    let [python, rust] = [python, rust].map(|server| Place { server, path: "/".to_owned(), token: String::new() });

    progress.say("our gateway beside other servers, in turns");
    let turns = [
        (nodes.near()?, Reply::Message),
        (nodes.afar()?, Reply::Message),
        (nodes.near()?, Reply::Task),
        (python, Reply::Message),
        (rust.clone(), Reply::Message),
        (rust, Reply::Task),
    ];
    let mut rates: [Vec<f64>; 6] = Default::default();
    for (place, reply) in &turns {
        send(place, Until::Calls(WARM_UP), *reply).await?;
    }
    for _ in 0..ROUNDS {
        for ((place, reply), rates) in turns.iter().zip(&mut rates) {
            let load = send(place, Until::Over(TURN), *reply).await?;
            if load.errors() > 0 {
                return Err(failed(format!("{} of {} calls to {place:?} failed", load.errors(), load.calls())));
            }
            rates.push(load.rate());
        }
    }
    let [http, hop, durable, python, rust, rust_tasks] = rates.map(median);
    Ok(Beside { http, hop, durable, python, rust, rust_tasks })
}

/// Starts a server that prints the port it listens on.
pub(super) async fn start(mut command: Command) -> Result<(Child, SocketAddr), CliError> {
    let shown = format!("{:?}", command.as_std());
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true).spawn().map_err(failed)?;
    let mut lines = BufReader::new(child.stdout.take().ok_or_else(|| failed("no output"))?).lines();
    let line = tokio::time::timeout(STARTING, lines.next_line()).await.map_err(failed)?.map_err(failed)?;
    let port: u16 = line.unwrap_or_default().trim().parse().map_err(|_| failed(format!("{shown} says no port")))?;
    Ok((child, ([127, 0, 0, 1], port).into()))
}
