//! The command line as a person or a program meets it: help, errors with the next command, exit codes, JSON.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const NETWORK: &str = r#"
id = "devnet-7/1"
chain_id = 31337
shards = 4
escrow = "0x85ec45e5286ccff83ee107c6d162b85fa606de20"
fee_sinks = ["0x00000000000000000000000000000000000000f1"]
bootstrap = []

[token]
address = "0x05b9a9571f92c3137e518733605652d44525d39a"
name = "USD Coin"
version = "2"
symbol = "USDC"
decimals = 6

[fee]
bps = 250
payer = "buyer"
recipient = "0x00000000000000000000000000000000000000f1"
"#;

fn haggle(home: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_haggle"))
        .args(arguments)
        .env("HAGGLE_HOME", home)
        .env_remove("HAGGLE_API")
        .env_remove("HAGGLE_TOKEN")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stdout)))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn made() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("net.toml"), NETWORK).unwrap();
    let home = dir.path().join("home");
    let network = dir.path().join("net.toml");
    let output = haggle(&home, &["init", "--json", "--network", network.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output.stdout));
    dir
}

#[test]
fn the_help_teaches() {
    let dir = tempfile::tempdir().unwrap();
    let help = text(&haggle(dir.path(), &["--help"]).stdout);
    insta::assert_snapshot!(help);
}

#[test]
fn nothing_typed_shows_the_help_and_is_a_usage_error() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(haggle(dir.path(), &[]).status.code(), Some(2));
    assert_eq!(haggle(dir.path(), &["sell"]).status.code(), Some(2));
}

#[test]
fn a_home_is_made_once_and_says_who_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let network = dir.path().join("net.toml");
    std::fs::write(&network, NETWORK).unwrap();
    let home = dir.path().join("home");
    let arguments = ["init", "--json", "--network", network.to_str().unwrap()];
    let first = json(&haggle(&home, &arguments));
    assert!(first["did"].as_str().unwrap().starts_with("did:key:z6Mk"), "{first}");
    let again = haggle(&home, &arguments);
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(json(&again)["error"]["code"], "home_taken");
}

#[test]
fn a_seed_comes_back_from_its_phrase() {
    let dir = tempfile::tempdir().unwrap();
    let (network, phrase) = (dir.path().join("net.toml"), dir.path().join("phrase"));
    std::fs::write(&network, NETWORK).unwrap();
    let words = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";
    std::fs::write(&phrase, words).unwrap();
    let init = |home: &str| {
        let arguments =
            ["init", "--json", "--network", network.to_str().unwrap(), "--restore", phrase.to_str().unwrap()];
        json(&haggle(&dir.path().join(home), &arguments))
    };
    let (one, two) = (init("one"), init("two"));
    assert_eq!(one["did"], two["did"]);
    assert_eq!(one["payment_address"], "0x9858EfFD232B4033E47d90003D41EC34EcaEda94");
    let bad = dir.path().join("bad");
    std::fs::write(&bad, "abandon ship").unwrap();
    let refused = haggle(
        &dir.path().join("three"),
        &["init", "--json", "--network", network.to_str().unwrap(), "--restore", bad.to_str().unwrap()],
    );
    assert_eq!(json(&refused)["error"]["code"], "bad_phrase");
}

#[test]
fn without_a_node_the_next_command_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let output = haggle(&dir.path().join("nowhere"), &["find", "digest"]);
    assert_eq!(output.status.code(), Some(8));
    assert!(text(&output.stderr).contains("haggle up"), "{}", text(&output.stderr));
    let output = haggle(&dir.path().join("nowhere"), &["up", "--json"]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(json(&output)["error"]["code"], "no_home");
}

#[test]
fn settings_are_read_changed_and_explained() {
    let dir = made();
    let home = dir.path().join("home");
    assert_eq!(text(&haggle(&home, &["config", "get", "budget.per_call"]).stdout).trim(), "0.25");
    assert!(haggle(&home, &["config", "set", "budget.per_call", "0.5"]).status.success());
    assert_eq!(text(&haggle(&home, &["config", "get", "budget.per_call"]).stdout).trim(), "0.5");
    let wrong = haggle(&home, &["config", "set", "--json", "budget.per_call", "0.1234567"]);
    assert_eq!(json(&wrong)["error"]["code"], "bad_config");
    assert_eq!(text(&haggle(&home, &["config", "get", "budget.per_call"]).stdout).trim(), "0.5");
    let unknown = haggle(&home, &["config", "explain", "--json", "p2p.warp"]);
    assert_eq!(unknown.status.code(), Some(3));
    let rows = json(&haggle(&home, &["config", "explain", "--json"]));
    assert!(rows["items"].as_array().unwrap().len() >= 17);
}

#[test]
fn a_devnet_seed_is_refused_on_a_real_chain() {
    let dir = made();
    let home = dir.path().join("home");
    let network = NETWORK.replace("devnet-7/1", "base/1").replace("31337", "8453");
    std::fs::write(home.join("network.toml"), network).unwrap();
    let phrase = haggle_base::Seed::devnet(7, 1).phrase();
    std::fs::write(dir.path().join("phrase"), phrase.as_bytes()).unwrap();
    std::fs::remove_file(home.join("keys.age")).unwrap();
    let output = haggle(
        &home,
        &[
            "init",
            "--json",
            "--network",
            home.join("network.toml").to_str().unwrap(),
            "--restore",
            dir.path().join("phrase").to_str().unwrap(),
        ],
    );
    assert!(!output.status.success());
    assert_eq!(json(&output)["error"]["code"], "devnet_seed");
}

#[test]
fn completions_name_the_commands() {
    let dir = tempfile::tempdir().unwrap();
    let script = text(&haggle(dir.path(), &["completions", "bash"]).stdout);
    assert!(script.contains("devnet") && script.contains("hire"));
}
