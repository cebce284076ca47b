//! Every command of the README is run, in the order in which a newcomer would type them.

use haggle_testnet::Terminal;
use serde_json::Value;
use std::path::PathBuf;
use tokio::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");
const README: &str = include_str!("../../README.md");

/// The commands of the README's shell blocks.
fn commands() -> Vec<String> {
    let mut commands = Vec::new();
    let mut inside = false;
    for line in README.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            _ if inside && !line.trim().is_empty() => commands.push(line.to_owned()),
            _ => {}
        }
    }
    commands
}

#[test]
fn the_two_commands_stand_first() {
    assert_eq!(commands()[..2], ["cargo run --release -- demo", "cargo xtask test"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_keeps_its_promises() {
    let terminal = Terminal::new(PROGRAM);
    let report = terminal.json("haggle demo").await;
    assert_eq!(report["nodes"], 5);
    assert_eq!(report["order"]["state"], "settled");
    assert_eq!(report["order"]["price"], "0.02");
    assert_eq!(report["order"]["fee"], "0.0005");
    assert_eq!(report["buyer"]["paid"], "0.0205");
    assert_eq!(report["seller"]["received"], "0.02");
    assert_eq!(report["conservation"]["issued"], report["conservation"]["accounted"]);
    assert_eq!(report["late_joiner"]["listings_seen"], report["late_joiner"]["listings_total"]);
    assert_eq!(report["third_node"]["success_rate"], "1");
    assert!(report["result"]["words"].as_u64().unwrap() > 100);
    for tx in ["fund_tx", "release_tx"] {
        assert_eq!(report["escrow"][tx].as_str().unwrap().len(), 66, "{report}");
    }
}

#[tokio::test]
async fn a_document_too_large_for_a_call_is_refused_before_anything_starts() {
    let terminal = Terminal::new(PROGRAM);
    std::fs::write(terminal.dir().join("large.txt"), vec![b'x'; 512 * 1024 + 1]).unwrap();
    let output = terminal.run("demo large.txt --json").await;
    assert_eq!(output.status.code(), Some(2));
    let refusal: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(refusal["error"]["code"], "input_too_large");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_tour_works() {
    let mut terminal = Terminal::new(PROGRAM);
    let market = terminal.market_up().await;
    let mut ran = 0;
    for line in commands() {
        if line == "haggle devnet up" || line.starts_with("cargo ") || line.starts_with("export ") {
            continue;
        }
        if line.starts_with("curl ") {
            check_curl(&line);
        } else {
            terminal.run_well(&line).await;
            if line.contains(" find ") {
                let page = terminal.json(&line).await;
                let digest = page["items"].as_array().unwrap().iter().find(|item| item["name"] == "digest");
                terminal.listing = digest.expect("the tour finds the digest agent")["id"].as_str().unwrap().to_owned();
            }
        }
        if line == "haggle devnet down" {
            Terminal::until_ended(market).await;
            break;
        }
        ran += 1;
    }
    assert!(ran >= 10, "only {ran} commands of the tour ran");
}

/// The README's curl lines are the requests that `the_gateway_lines_and_the_example_work` sends.
fn check_curl(line: &str) {
    let known = line.contains("/v1/listings?q=digest") || line.contains("/v1/invoke") && line.contains("--json '");
    assert!(line.contains("Authorization: Bearer") && known, "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_lines_and_the_example_work() {
    let lines: Vec<String> = commands().into_iter().filter(|line| line.starts_with("curl ")).collect();
    assert_eq!(lines.len(), 2, "the README shows the gateway");
    lines.iter().for_each(|line| check_curl(line));
    let terminal = Terminal::new(PROGRAM);
    let market = terminal.market_up().await;
    let home = terminal.dir().join("haggle-devnet/node5");
    let token = std::fs::read_to_string(home.join("token")).unwrap();
    let running: Value = serde_json::from_slice(&std::fs::read(home.join("run.json")).unwrap()).unwrap();
    let url = format!("{}/v1/listings?q=digest", running["api"].as_str().unwrap());
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let page: Value = http.get(url).bearer_auth(token.trim()).send().await.unwrap().json().await.unwrap();
    assert!(page["total"].as_u64().unwrap() >= 1);
    let body = lines[1].split('\'').nth(1).unwrap().to_owned();
    let url = format!("{}/v1/invoke", running["api"].as_str().unwrap());
    let call = http.post(url).bearer_auth(token.trim()).header("content-type", "application/json").body(body);
    let answer: Value = call.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["output"]["words"], 2, "{answer}");
    assert!(answer["reason"].as_str().unwrap().contains("word count"), "{answer}");

    terminal.run_well("haggle devnet down").await;
    Terminal::until_ended(market).await;

    let example = PathBuf::from(PROGRAM).parent().unwrap().join("examples/market");
    assert!(example.is_file(), "build it first: cargo build --release --workspace --all-targets");
    let output = Command::new(example).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("SOLD"));
}
