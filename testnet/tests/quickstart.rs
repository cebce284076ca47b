//! Every command of the quickstart for agents is run, with the two agents that stand in it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use haggle_testnet::Terminal;
use serde_json::Value;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");
const PAGE: &str = include_str!("../../docs/quickstart-agent.md");
/// The port that the page names.
const PORT: &str = "9101";
/// Longest wait until a listing has spread.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The blocks of one language.
fn blocks(language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open: Option<String> = None;
    for line in PAGE.lines() {
        match (&mut open, line) {
            (None, line) if line.strip_prefix("```") == Some(language) => open = Some(String::new()),
            (Some(_), "```") => found.extend(open.take()),
            (Some(block), line) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, _) => {}
        }
    }
    found
}

/// Saves the page's programs under the names in their first lines.
fn save_programs(terminal: &Terminal) -> usize {
    let programs = blocks("python");
    for program in &programs {
        let name = program.lines().next().unwrap().strip_prefix("# ").expect("the first line names the file");
        std::fs::write(terminal.dir().join(name), program).unwrap();
    }
    programs.len()
}

/// Starts an HTTP agent on a free port, and says which.
async fn start(terminal: &Terminal, line: &str) -> (Child, String) {
    let line = line.replace(PORT, "0");
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().unwrap());
    command.args(words).current_dir(terminal.dir()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut agent = command.spawn().expect("python3 is installed");
    let mut lines = BufReader::new(agent.stdout.take().unwrap()).lines();
    let port = lines.next_line().await.unwrap().expect("the agent prints its port");
    (agent, port)
}

/// Searches until the listing has come, as a person would.
async fn found(terminal: &Terminal, line: &str, name: &str) -> String {
    let search = async {
        loop {
            let page = terminal.json(line).await;
            let listing = page["items"].as_array().unwrap().iter().find(|item| item["name"] == name).cloned();
            if let Some(listing) = listing {
                return listing["id"].as_str().unwrap().to_owned();
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(PATIENCE, search).await.expect("the listing spreads")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_quickstart_works() {
    let mut terminal = Terminal::new(PROGRAM);
    assert_eq!(save_programs(&terminal), 2);
    let commands: Vec<String> = blocks("sh").iter().flat_map(|block| block.lines()).map(str::to_owned).collect();
    assert_eq!(commands.first().map(String::as_str), Some("haggle devnet up"));
    assert_eq!(commands.last().map(String::as_str), Some("haggle devnet down"));
    let market = terminal.market_up().await;
    let (mut agents, mut port, mut did) = (Vec::new(), String::new(), String::new());
    let (mut sold, mut added) = (Vec::new(), Vec::new());
    for line in &commands[1..] {
        if line.starts_with("python3 ") {
            let (agent, its_port) = start(&terminal, line).await;
            agents.push(agent);
            port = its_port;
            continue;
        }
        let line = line.replace(PORT, &port).replace(" DID", &format!(" {did}"));
        if line.contains(" agent add ") {
            let agent = terminal.json(&line).await;
            assert!(!agent["self_test"].as_array().unwrap().is_empty(), "{agent}");
            did = agent["did"].as_str().unwrap().to_owned();
            added.push(agent);
        } else if line.contains(" find ") {
            let name = added.last().unwrap()["name"].as_str().unwrap();
            terminal.listing = found(&terminal, &line, name).await;
            terminal.run_well(&line).await;
        } else if line.contains(" hire ") {
            sold.push(terminal.json(&line).await);
        } else {
            let shown = terminal.run_well(&line).await;
            if line.contains(" logs ") {
                assert!(shown.contains("started \"python3\""), "{shown}");
            }
            if line.ends_with(&did) && !did.is_empty() {
                assert!(shown.contains("payment_needed"), "{shown}");
            }
        }
    }
    let names: Vec<_> = added.iter().map(|agent| agent["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["shout", "word-count"]);
    let outputs: Vec<&Value> = sold.iter().map(|order| &order["output"]).collect();
    assert_eq!(outputs, ["TO BE OR NOT TO BE!", "6 words"]);
    assert!(sold.iter().all(|order| order["state"] == "settled"), "{sold:#?}");
    Terminal::until_ended(market).await;
}
