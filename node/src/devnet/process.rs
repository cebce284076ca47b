//! One node of a devnet as a process of its own.

use super::{PATIENCE, eventually, listings_seen};
use crate::cli::CliError;
use crate::cli::agents::from_builtin;
use crate::cli::client::Client;
use crate::config::ENV_PREFIX;
use crate::home::Home;
use haggle_gateway::view::{AgentPage, AgentSummary, NodeStatus, OrderView, WalletList};
use serde_json::json;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

/// How long an orderly stop may take before the process is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(10);
/// Lines of log that an error shows.
const LOG_LINES: usize = 12;

/// A node process; dropping it kills the process.
#[derive(Debug)]
pub struct NodeProcess {
    program: PathBuf,
    home: Home,
    child: Child,
    client: Option<Client>,
}

impl NodeProcess {
    /// Starts `program --home HOME up` with `env` on top of this process's environment.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn spawn(program: &Path, home: Home, env: &[(&str, &str)]) -> Result<Self, CliError> {
        let child = start(program, &home, env)?;
        Ok(Self { program: program.to_owned(), home, child, client: None })
    }

    /// The node's home.
    #[must_use]
    pub const fn home(&self) -> &Home {
        &self.home
    }

    /// A client of its gateway.
    ///
    /// # Errors
    /// `not_running` before [`NodeProcess::until_up`] or after a kill.
    pub fn client(&self) -> Result<&Client, CliError> {
        self.client.as_ref().ok_or_else(|| CliError::not_running(format!("{} is not up", self.home.path().display())))
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Addresses that peers may dial.
    ///
    /// # Errors
    /// `not_running`.
    pub fn addresses(&self) -> Result<Vec<String>, CliError> {
        self.home
            .running()
            .map(|running| running.addresses)
            .ok_or_else(|| CliError::not_running(format!("{} is not up", self.home.path().display())))
    }

    /// Waits until the node answers and is ready.
    ///
    /// # Errors
    /// `node_ended` with the end of its log, or `timeout`.
    pub async fn until_up(&mut self) -> Result<(), CliError> {
        let pid = self.child.id();
        let what = format!("{} to come up", self.home.path().display());
        let waiting = async {
            loop {
                if let Ok(Some(status)) = self.child.try_wait() {
                    return Err(CliError::failure(
                        "node_ended",
                        format!("{what}: it ended with {status}\n{}", self.log_end()),
                        "read the whole log in its home",
                    ));
                }
                if let Some(running) = self.home.running().filter(|running| Some(running.pid) == pid) {
                    let client = Client::for_home(&self.home, Some(&running.api), None)?;
                    if client.get::<NodeStatus>("/v1/node").await.is_ok() {
                        return Ok(client);
                    }
                }
                tokio::time::sleep(super::LOOK_EVERY).await;
            }
        };
        let client = tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| {
            Err(CliError::failure("timeout", format!("waited {PATIENCE:?} for {what}"), "read the log in its home"))
        })?;
        self.client = Some(client);
        Ok(())
    }

    /// Waits until the process has ended by itself.
    pub async fn until_ended(&mut self) {
        // an error here means that the process is gone already
        let _status = self.child.wait().await;
        self.client = None;
    }

    /// Kills the process as a power cut would (SIGKILL).
    pub async fn kill(&mut self) {
        // an error here means that the process is gone already
        let _gone = self.child.kill().await;
        self.client = None;
    }

    /// Starts the node again from its home, on the addresses it had.
    ///
    /// # Errors
    /// As [`NodeProcess::until_up`].
    pub async fn restart(&mut self, env: &[(&str, &str)]) -> Result<(), CliError> {
        let listen = self.listen_again();
        let gateway = self.home.running().and_then(|running| running.api.strip_prefix("http://").map(str::to_owned));
        self.kill().await;
        let mut env = env.to_vec();
        // what was paid for is bound to its URL
        env.extend(gateway.as_ref().map(|gateway| ("HAGGLE_GATEWAY__LISTEN", gateway.as_str())));
        env.extend(listen.as_ref().map(|listen| ("HAGGLE_P2P__LISTEN", listen.as_str())));
        self.child = start(&self.program, &self.home, &env)?;
        self.until_up().await
    }

    /// The addresses it listened on, as a value of the configuration: peers know it by them.
    fn listen_again(&self) -> Option<String> {
        let addresses = self.home.running()?.addresses;
        // where a relay listens is not ours to listen on
        let own = addresses.iter().filter(|address| !address.contains("/p2p-circuit"));
        let bare: Vec<&str> = own.filter_map(|address| address.split("/p2p/").next()).collect();
        serde_json::to_string(&bare).ok()
    }

    /// Takes another program from the next restart on.
    pub fn run_from_now_on(&mut self, program: &Path) {
        program.clone_into(&mut self.program);
    }

    /// Asks the node to stop and waits; kills it when it takes too long.
    pub async fn stop(&mut self) {
        if let Some(client) = &self.client {
            // a node that does not answer is killed below
            let _asked: Result<serde_json::Value, _> = client.post("/v1/node/stop", &json!({})).await;
        }
        if tokio::time::timeout(STOP_PATIENCE, self.child.wait()).await.is_err() {
            self.kill().await;
        }
        self.client = None;
    }

    /// Serves a built-in agent with its own draft.
    ///
    /// # Errors
    /// The node refuses it.
    pub async fn serve_builtin(&self, name: &str) -> Result<AgentSummary, CliError> {
        let new = from_builtin(name).ok_or_else(|| {
            CliError::failure("agent_not_found", format!("there is no built-in agent {name:?}"), "take a built-in name")
        })?;
        self.client()?.post("/v1/agents", &new).await
    }

    /// Waits until this node sees `count` listings.
    ///
    /// # Errors
    /// `timeout`.
    pub async fn until_sees(&self, count: u64) -> Result<(), CliError> {
        let client = self.client()?;
        let what = format!("{} to see {count} listings", self.home.path().display());
        eventually(&what, || async { Ok((listings_seen(client).await? >= count).then_some(())) }).await
    }

    /// The order `key`, as this node sees it.
    ///
    /// # Errors
    /// The node does not know it.
    pub async fn order(&self, key: &str) -> Result<OrderView, CliError> {
        self.client()?.get(&format!("/v1/orders/{key}")).await
    }

    /// The agents it serves.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn agents(&self) -> Result<AgentPage, CliError> {
        self.client()?.get("/v1/agents").await
    }

    /// Its wallets.
    ///
    /// # Errors
    /// The node does not answer.
    pub async fn wallets(&self) -> Result<WalletList, CliError> {
        self.client()?.get("/v1/wallet").await
    }

    /// Its log so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(log_path(&self.home)).unwrap_or_default()
    }

    fn log_end(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }
}

fn log_path(home: &Home) -> PathBuf {
    home.path().join("node.log")
}

fn start(program: &Path, home: &Home, env: &[(&str, &str)]) -> Result<Child, CliError> {
    let failed = |cause: std::io::Error| {
        CliError::failure("file_error", format!("{}: {cause}", program.display()), "check that the program can be run")
    };
    let log: File = OpenOptions::new().create(true).append(true).open(log_path(home)).map_err(failed)?;
    let mut command = Command::new(program);
    // what the person set for a node of their own is not meant for these
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with(ENV_PREFIX) {
            command.env_remove(name);
        }
    }
    command
        .arg("--home")
        .arg(home.path())
        .arg("--json")
        .arg("up")
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(failed)?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)
}
