//! The command line as a person or a program meets it: help, errors with the next command, exit codes, JSON.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
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

fn printed(output: &Output) -> Value {
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
    let first = printed(&haggle(&home, &arguments));
    assert!(first["did"].as_str().unwrap().starts_with("did:key:z6Mk"), "{first}");
    let again = haggle(&home, &arguments);
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(printed(&again)["error"]["code"], "home_taken");
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
        printed(&haggle(&dir.path().join(home), &arguments))
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
    assert_eq!(printed(&refused)["error"]["code"], "bad_phrase");
}

#[test]
fn without_a_node_the_next_command_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let output = haggle(&dir.path().join("nowhere"), &["find", "digest"]);
    assert_eq!(output.status.code(), Some(8));
    assert!(text(&output.stderr).contains("haggle up"), "{}", text(&output.stderr));
    let output = haggle(&dir.path().join("nowhere"), &["up", "--json"]);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(printed(&output)["error"]["code"], "no_home");
}

#[test]
fn the_doctor_looks_at_a_home_without_a_node() {
    let dir = tempfile::tempdir().unwrap();
    let seen = |home: &Path| {
        let output = haggle(home, &["doctor", "--json"]);
        let report = printed(&output);
        let of = |item: &Value| (text(item["name"].as_str().unwrap().as_bytes()), item["verdict"].clone());
        let items: Vec<_> = report["items"].as_array().unwrap().iter().map(of).collect();
        assert_eq!(output.status.code(), Some(1), "{report}");
        items
    };
    let nowhere = seen(&dir.path().join("nowhere"));
    assert_eq!(nowhere, [("home".to_owned(), json!("fail")), ("node".to_owned(), json!("fail"))]);

    let made = made();
    let home = made.path().join("home");
    let token = home.join("token");
    std::fs::write(&token, "hgl_open").unwrap();
    std::fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let found = seen(&home);
    let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["home", "config", "network file", "keys", "disk", "node"]);
    assert_eq!((&found[3].1, &found[5].1), (&json!("warn"), &json!("fail")), "an open token, and no node");
}

#[test]
fn settings_are_read_changed_and_explained() {
    let dir = made();
    let home = dir.path().join("home");
    assert_eq!(text(&haggle(&home, &["config", "get", "budget.per_call"]).stdout).trim(), "0.25");
    assert!(haggle(&home, &["config", "set", "budget.per_call", "0.5"]).status.success());
    assert_eq!(text(&haggle(&home, &["config", "get", "budget.per_call"]).stdout).trim(), "0.5");
    let wrong = haggle(&home, &["config", "set", "--json", "budget.per_call", "0.1234567"]);
    assert_eq!(printed(&wrong)["error"]["code"], "bad_config");
    assert_eq!(text(&haggle(&home, &["config", "get", "budget.per_call"]).stdout).trim(), "0.5");
    let unknown = haggle(&home, &["config", "explain", "--json", "p2p.warp"]);
    assert_eq!(unknown.status.code(), Some(3));
    let rows = printed(&haggle(&home, &["config", "explain", "--json"]));
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
    assert_eq!(printed(&output)["error"]["code"], "devnet_seed");
}

#[test]
fn a_network_file_is_checked_without_a_network() {
    let dir = tempfile::tempdir().unwrap();
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/base.toml");
    let report = printed(&haggle(dir.path(), &["network", "check", "--json", base.to_str().unwrap()]));
    assert_eq!((&report["id"], &report["chain"]), (&json!("base/1"), &json!("eip155:8453")));
    assert_eq!(report["rails"][2]["offered"], false, "{report}");
    let told = text(&haggle(dir.path(), &["network", "check", base.to_str().unwrap()]).stdout);
    assert!(told.contains("never by haggle-escrow: haggle's escrow is not deployed"), "{told}");
    let slip = dir.path().join("slip.toml");
    std::fs::write(&slip, std::fs::read_to_string(&base).unwrap().replace("bdA02913", "bdA02914")).unwrap();
    let refused = haggle(dir.path(), &["network", "check", "--json", slip.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    assert_eq!(printed(&refused)["error"]["code"], "bad_network");
}

#[test]
fn what_is_no_receipt_is_told_without_a_node() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("receipt.json");
    let verify = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let output = haggle(dir.path(), &["receipt", "verify", "--json", file.to_str().unwrap()]);
        (output.status.code(), printed(&output)["error"]["code"].clone())
    };
    assert_eq!(verify("{}"), (Some(1), json!("receipt_malformed")));
    assert_eq!(verify(&"x".repeat(64 * 1024 + 1)), (Some(2), json!("input_too_large")));
    let missing = haggle(dir.path(), &["receipt", "verify", "--json", "/nowhere/at-all"]);
    assert_eq!(missing.status.code(), Some(2));
}

#[test]
fn completions_name_the_commands() {
    let dir = tempfile::tempdir().unwrap();
    let script = text(&haggle(dir.path(), &["completions", "bash"]).stdout);
    assert!(script.contains("devnet") && script.contains("hire"));
}

#[test]
fn adding_an_agent_is_taught_by_its_help() {
    let dir = tempfile::tempdir().unwrap();
    insta::assert_snapshot!(text(&haggle(dir.path(), &["agent", "add", "--help"]).stdout));
}

#[test]
fn inspecting_an_agent_is_taught_by_its_help() {
    let dir = tempfile::tempdir().unwrap();
    insta::assert_snapshot!(text(&haggle(dir.path(), &["a2a", "inspect", "--help"]).stdout));
}

#[test]
fn closing_a_channel_is_taught_by_its_help() {
    let dir = tempfile::tempdir().unwrap();
    insta::assert_snapshot!(text(&haggle(dir.path(), &["wallet", "close", "--help"]).stdout));
    let both = haggle(dir.path(), &["wallet", "close", "0x00", "--force", "--at", "http://shop.example/"]);
    assert_eq!(both.status.code(), Some(2), "either the seller is asked, or nobody");
}

#[test]
fn an_agent_of_no_kind_or_of_two_is_a_usage_error() {
    let dir = tempfile::tempdir().unwrap();
    for arguments in [
        &["agent", "add", "shout", "--json"][..],
        &["agent", "add", "shout", "--json", "--command", "python3 'shout.py"],
        &["agent", "add", "shout", "--json", "--command", " "],
        &["agent", "add", "shout", "--json", "--command", "x", "--input-schema", "{"],
    ] {
        let refused = haggle(dir.path(), arguments);
        // the last one is noticed only once the node is asked
        let expected = if arguments.len() > 6 { "not_running" } else { "usage" };
        assert_eq!(printed(&refused)["error"]["code"], expected, "{arguments:?}");
    }
    let two = haggle(dir.path(), &["agent", "add", "shout", "--command", "x", "--builtin", "echo"]);
    assert_eq!(two.status.code(), Some(2));
}

/// Answers every request with what `answer` says to its method and path, and says where.
fn serve(answer: fn(&str, &str, &str) -> (u16, String)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let base = url.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map(Result::unwrap) {
            let (mut asked, mut piece) = (Vec::new(), [0; 4096]);
            let whole = |asked: &[u8]| {
                let asked = String::from_utf8_lossy(asked).to_lowercase();
                let Some((head, body)) = asked.split_once("\r\n\r\n") else { return false };
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                body.len() >= length.unwrap_or(0)
            };
            while !whole(&asked) {
                let read = stream.read(&mut piece).unwrap();
                asked.extend_from_slice(&piece[..read]);
            }
            let asked = text(&asked);
            let mut words = asked.split_whitespace();
            let (method, path) = (words.next().unwrap(), words.next().unwrap());
            let (status, body) = answer(method, path, &base);
            let kind = if body.starts_with("data:") { "text/event-stream" } else { "application/json" };
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            )
            .unwrap();
        }
    });
    url
}

fn good_card(base: &str) -> Value {
    json!({
        "name": "Echo", "description": "Echoes.", "version": "1.0.0", "capabilities": {"streaming": true},
        "supportedInterfaces": [{"url": base, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
        "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
        "skills": [{"id": "echo", "name": "Echo", "description": "Echoes.", "tags": ["echo"], "examples": ["hi"]}],
    })
}

fn result(result: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": 1, "result": result}).to_string()
}

#[test]
fn an_agent_without_a_fault_passes_the_inspection() {
    let dir = tempfile::tempdir().unwrap();
    let url = serve(|method, _, base| match method {
        "GET" => (200, good_card(base).to_string()),
        _ => {
            let said = json!({"message": {"messageId": "m", "role": "ROLE_AGENT", "parts": [{"text": "hi yourself"}]}});
            (200, result(&said))
        }
    });
    let output = haggle(dir.path(), &["a2a", "inspect", &url, "--json"]);
    let report = printed(&output);
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    assert_eq!(report["problems"], json!([]));
    assert_eq!(report["reply"]["message"]["parts"][0]["text"], "hi yourself");
    assert!(report["exchanges"][1]["request"].as_str().unwrap().contains("\"text\":\"hi\""), "the card's example");
    let told = text(&haggle(dir.path(), &["a2a", "inspect", &url]).stdout);
    assert!(told.contains("hi yourself") && told.contains("nothing is wrong"), "{told}");
}

#[test]
fn the_signature_of_an_agents_card_is_checked() {
    let dir = tempfile::tempdir().unwrap();
    let signer = haggle_base::Seed::devnet(7, 1).agent_key(1).did();
    let look = |url: &str| printed(&haggle(dir.path(), &["a2a", "inspect", url, "--json"]));
    let signed = serve(|_, _, base| {
        let key = haggle_base::Seed::devnet(7, 1).agent_key(1);
        (200, haggle_a2a::card::sign(good_card(base), &key).unwrap().to_string())
    });
    let told = format!("/signatures/0 verifies: {signer} signed this card");
    let report = look(&signed);
    assert_eq!(report["notes"][0], told, "{report:#}");
    let changed = serve(|_, _, base| {
        let key = haggle_base::Seed::devnet(7, 1).agent_key(1);
        let mut card = haggle_a2a::card::sign(good_card(base), &key).unwrap();
        card["name"] = json!("Somebody else");
        (200, card.to_string())
    });
    let report = look(&changed);
    assert_eq!(report["problems"][0]["path"], "/signatures/0", "{report:#}");
}

#[test]
fn every_fault_of_an_agent_is_named_by_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let url = serve(|method, _, base| match method {
        "GET" => {
            let mut card = good_card(base);
            card["url"] = json!("http://old/");
            card["skills"][0]["tags"] = json!([]);
            (200, card.to_string())
        }
        _ => {
            let task = json!({"task": {"id": "t", "contextId": "c", "status": {"state": "TASK_STATE_WORKING"}}});
            let update = json!({"statusUpdate": {"taskId": "t", "contextId": "c", "status": {"state": "done"}}});
            (200, format!("data: {}\n\ndata: {}\n\n", result(&task), result(&update)))
        }
    });
    let output = haggle(dir.path(), &["a2a", "inspect", &url, "--stream", "--text", "hello", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let report = printed(&output);
    let places: Vec<_> = report["problems"].as_array().unwrap().iter().map(|fault| &fault["path"]).collect();
    assert_eq!(places, ["/skills/0/tags", "/1/result/statusUpdate/status/state"], "{report:#}");
    assert!(report["notes"][0].as_str().unwrap().contains("/url is a field of A2A 0.3"), "{report:#}");
    let told = haggle(dir.path(), &["a2a", "inspect", &url]);
    assert_eq!(told.status.code(), Some(1));
    assert!(text(&told.stdout).contains("✗ card /skills/0/tags must be"), "{}", text(&told.stdout));
    assert!(text(&told.stderr).contains("JSON pointer"), "{}", text(&told.stderr));
}

#[test]
fn what_cannot_be_inspected_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let empty = serve(|_, _, _| (404, "{}".to_owned()));
    for (target, code, exit) in [
        (nobody.as_str(), "unreachable", 6),
        (&empty, "card_not_found", 3),
        ("echo", "usage", 2),
        ("did:key:z6MkexampleSeller", "not_running", 8),
    ] {
        let output = haggle(dir.path(), &["a2a", "inspect", target, "--json"]);
        assert_eq!(printed(&output)["error"]["code"], code, "{target}");
        assert_eq!(output.status.code(), Some(exit), "{target}");
    }
}
