//! A provider that listens on no address of its own is called through a relay: by the unmodified A2A Python SDK client
//! at the gateway of a buyer that nobody can dial either.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use haggle::view::{AgentSummary, PeerList};
use haggle_testnet::Stage;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");
/// Generous: real processes beside other work.
const PATIENCE: Duration = Duration::from_secs(60);

fn python(script: &str) -> Command {
    let interpreter = std::env::var("HAGGLE_PYTHON")
        .expect("HAGGLE_PYTHON names a Python with testnet/peers/a2a-python/requirements.txt: run `cargo xtask test`");
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/a2a-python");
    let mut command = Command::new(PathBuf::from(interpreter));
    command.arg(peers.join(script)).kill_on_drop(true);
    command
}

/// Waits until `look` finds something.
async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, look: impl Fn() -> F) -> T {
    let waiting = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// The addresses that node `number` tells others.
async fn addresses(stage: &Stage, number: usize) -> Vec<String> {
    let status = stage.get(number, "/v1/node").await;
    status["addresses"].as_array().unwrap().iter().map(|address| address.as_str().unwrap().to_owned()).collect()
}

/// How node `from` is connected with node `to`.
async fn path(stage: &Stage, from: usize, to: usize) -> Option<String> {
    let peer = stage.get(to, "/v1/node").await["peer_id"].as_str().unwrap().to_owned();
    let peers: PeerList = stage.node(from).client().unwrap().get("/v1/peers").await.unwrap();
    peers.items.into_iter().find(|known| known.peer == peer).and_then(|known| known.path)
}

/// What the SDK's client saw.
async fn say(url: &str, token: &str, more: &[&str]) -> Value {
    let output = python("client.py").args([url, "--token", token, "--get"]).args(more).output().await.unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(printed.trim()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the Python A2A SDK: `cargo xtask test` makes the environment and runs this"]
async fn a_python_client_calls_an_agent_that_only_a_relay_reaches() {
    let mut stage = Stage::new(PROGRAM).await;
    stage.market.add_node_with(&[("HAGGLE_P2P__RELAY", "true")]).await.unwrap();
    let relays = serde_json::to_string(&stage.node(1).addresses().unwrap()).unwrap();
    let hidden = [("HAGGLE_P2P__LISTEN", "[]"), ("HAGGLE_P2P__RELAYS", relays.as_str())];
    stage.market.add_node_with(&hidden).await.unwrap();
    stage.market.add_node_with(&[("HAGGLE_P2P__LISTEN", "[]")]).await.unwrap();
    let circuits = eventually("a place at the relay", async || {
        Some(addresses(&stage, 2).await).filter(|addresses| !addresses.is_empty())
    })
    .await;
    assert!(circuits.iter().all(|address| address.contains("/p2p-circuit/")), "{circuits:?}");
    assert!(addresses(&stage, 3).await.is_empty(), "the buyer listens nowhere and reserves nothing");

    let agent: AgentSummary = stage.serve(2, "conformance", 1).await;
    let buyer = stage.node(3).client().unwrap();
    let url = format!("{}/a2a/{}", buyer.base(), agent.did);
    let whole = say(&url, buyer.token(), &["--whole", "--text", "tck-artifact-text"]).await;
    assert_eq!(whole["got"]["status"]["state"], "TASK_STATE_COMPLETED", "{whole}");
    assert_eq!(whole["got"]["artifacts"][0]["parts"][0]["text"], "Generated text content", "{whole}");

    let streamed = say(&url, buyer.token(), &["--text", "tck-stream-artifact-chunked"]).await;
    let events = streamed["events"].as_array().unwrap();
    let pieces: Vec<_> =
        events.iter().filter_map(|event| event["artifactUpdate"]["artifact"]["parts"][0]["text"].as_str()).collect();
    assert_eq!(pieces, ["first chunk", "second chunk"], "{streamed}");
    assert_eq!(streamed["got"]["status"]["state"], "TASK_STATE_COMPLETED", "{streamed}");

    assert_eq!(path(&stage, 3, 2).await.as_deref(), Some("relayed"));
    assert_eq!(path(&stage, 2, 3).await.as_deref(), Some("relayed"));
    assert_eq!(path(&stage, 3, 1).await.as_deref(), Some("direct"));
    stage.end().await;
}
