//! A newcomer's terminal: the program, run as a user runs it, in a directory of its own.

use serde_json::Value;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::{Child, Command};

/// Longest wait for a market of five nodes to come up or to end.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a waiting terminal looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Nodes of a devnet that nobody said otherwise of.
const NODES: usize = 5;
/// Listings of the demo agents.
const LISTINGS: u64 = 6;

/// An empty directory and the program to run in it.
#[derive(Debug)]
pub struct Terminal {
    program: &'static str,
    dir: TempDir,
    /// What the word `LISTING` in a command line stands for.
    pub listing: String,
}

impl Terminal {
    /// Opens one.
    ///
    /// # Panics
    /// There is no room for a temporary directory.
    #[must_use]
    pub fn new(program: &'static str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        Self { program, dir, listing: String::new() }
    }

    /// The directory it is in.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Runs a command line to its end.
    ///
    /// # Panics
    /// The program cannot be started.
    pub async fn run(&self, line: &str) -> Output {
        self.command(line).output().await.expect("the program starts")
    }

    /// Runs a command line that must succeed, and gives what it printed.
    ///
    /// # Panics
    /// It fails.
    pub async fn run_well(&self, line: &str) -> String {
        let output = self.run(line).await;
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{line}\n{shown}\n{}", String::from_utf8_lossy(&output.stderr));
        shown
    }

    /// The object that a command line prints with `--json`.
    ///
    /// # Panics
    /// It fails, or prints something else.
    pub async fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.run_well(&format!("{line} --json")).await).expect("one JSON object")
    }

    /// Starts `devnet up` and waits until each of its five nodes sees every listing.
    ///
    /// # Panics
    /// It does not come up.
    pub async fn market_up(&self) -> Child {
        let mut market = self.command("devnet up").stdout(Stdio::null()).spawn().expect("the program starts");
        let up = async {
            while self.nodes_that_see_all().await < NODES {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::select! {
            came_up = tokio::time::timeout(PATIENCE, up) => came_up.expect("the market comes up"),
            ended = market.wait() => panic!("the market ended by itself: {ended:?}"),
        }
        market
    }

    /// Waits for a market to end.
    ///
    /// # Panics
    /// It goes on, or ends with an error.
    pub async fn until_ended(mut market: Child) {
        let ended = tokio::time::timeout(PATIENCE, market.wait()).await.expect("the market ends");
        assert!(ended.is_ok_and(|status| status.success()), "the market ends well");
    }

    async fn nodes_that_see_all(&self) -> usize {
        let output = self.run("devnet status --json").await;
        let status: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let sees_all = |node: &&Value| node["status"]["market"]["listings"] == LISTINGS;
        status["nodes"].as_array().map_or(0, |nodes| nodes.iter().filter(sees_all).count())
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(self.program);
        command.args(self.words(line)).current_dir(self.dir()).stdin(Stdio::null()).kill_on_drop(true);
        command.env_remove("HAGGLE_HOME").env_remove("HAGGLE_API").env_remove("HAGGLE_TOKEN");
        command
    }

    /// The words after `haggle`, quotes respected, LISTING filled in.
    fn words(&self, line: &str) -> Vec<String> {
        let line = line.strip_prefix("haggle ").unwrap_or(line);
        let mut words = Vec::new();
        for (index, part) in line.split('"').enumerate() {
            if index % 2 == 1 {
                words.push(part.to_owned());
            } else {
                words.extend(part.split_whitespace().map(|word| word.replace("LISTING", &self.listing)));
            }
        }
        words
    }
}
