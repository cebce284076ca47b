//! A provider that listens on no address of its own is called through a relay: by the unmodified A2A SDK clients of Python
//! and JavaScript at the gateway of a buyer that nobody can dial either.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use haggle::view::{AgentSummary, PeerList};
use haggle_base::Did;
use haggle_testnet::Stage;
use serde_json::Value;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::mpsc;

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");
/// Generous: real processes beside other work.
const PATIENCE: Duration = Duration::from_secs(60);

/// The clients of both SDKs: the same arguments, the same output.
const CLIENTS: [&str; 2] = ["a2a-python/client.py", "a2a-js/client.mjs"];
/// What reads and verifies cards with them.
const CARDS: [&str; 2] = ["a2a-python/cards.py", "a2a-js/cards.mjs"];

fn script(name: &str) -> Command {
    let program = match name.ends_with(".mjs") {
        true => "node".to_owned(),
        false => std::env::var("HAGGLE_PYTHON").expect(
            "HAGGLE_PYTHON names a Python with testnet/peers/a2a-python/requirements.txt: run `cargo xtask test`",
        ),
    };
    let mut command = Command::new(program);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(name)).kill_on_drop(true);
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

/// What an SDK's client saw.
async fn say(client: &str, url: &str, token: &str, more: &[&str]) -> Value {
    let output = script(client).args([url, "--token", token]).args(more).output().await.unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{client} {more:?}: {printed}\n{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(printed.trim()).unwrap()
}

/// A webhook; every body that is posted to it comes out of the receiver.
async fn hook() -> (String, mpsc::Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (told, events) = mpsc::channel(64);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = BufReader::new(stream);
            let (mut line, mut length) = (String::new(), 0);
            while stream.read_line(&mut line).await.is_ok_and(|read| read > 2) {
                if let Some((name, value)) = line.split_once(':')
                    && name.eq_ignore_ascii_case("content-length")
                {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await.unwrap();
            told.send(serde_json::from_slice(&body).unwrap()).await.unwrap();
        }
    });
    (url, events)
}

/// Everything a client can ask of the agent, in turn.
async fn everything(client: &str, url: &str, token: &str) {
    let whole = say(client, url, token, &["--get", "--whole", "--text", "tck-artifact-text"]).await;
    assert_eq!(whole["got"]["status"]["state"], "TASK_STATE_COMPLETED", "{client}: {whole}");
    assert_eq!(whole["got"]["artifacts"][0]["parts"][0]["text"], "Generated text content", "{client}: {whole}");

    let streamed = say(client, url, token, &["--get", "--text", "tck-stream-artifact-chunked"]).await;
    let events = streamed["events"].as_array().unwrap();
    let pieces: Vec<_> =
        events.iter().filter_map(|event| event["artifactUpdate"]["artifact"]["parts"][0]["text"].as_str()).collect();
    assert_eq!(pieces, ["first chunk", "second chunk"], "{client}: {streamed}");
    assert_eq!(streamed["got"]["status"]["state"], "TASK_STATE_COMPLETED", "{client}: {streamed}");

    let asked = say(client, url, token, &["--text", "tck-input-required", "--answer", "this", "--get"]).await;
    assert_eq!(asked["got"]["status"]["state"], "TASK_STATE_COMPLETED", "{client}: {asked}");

    let ended = say(client, url, token, &["--text", "tck-input-required", "--cancel", "--list"]).await;
    assert_eq!(ended["cancelled"]["status"]["state"], "TASK_STATE_CANCELED", "{client}: {ended}");
    let listed = ended["listed"].as_array().unwrap().iter().find(|task| task["id"] == ended["cancelled"]["id"]);
    assert_eq!(listed.unwrap()["status"]["state"], "TASK_STATE_CANCELED", "{client}: {ended}");

    let (hook_url, mut pushed) = hook().await;
    let hooked = say(client, url, token, &["--text", "tck-input-required", "--push", &hook_url]).await;
    assert_eq!(hooked["hooks"]["listed"], 2, "{client}: {hooked}");
    let told = async {
        while let Some(event) = pushed.recv().await {
            if event["statusUpdate"]["status"]["state"] == "TASK_STATE_INPUT_REQUIRED" {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, told).await.unwrap_or_else(|_| panic!("{client}: the webhook was told nothing"));
}

/// Both SDKs verify the agent's signature on the card that the buyer's gateway shows beside its own.
async fn the_card_is_verified(card: &Value, did: &str) {
    let key: Did = did.parse().unwrap();
    let public = URL_SAFE_NO_PAD.encode(key.public_key());
    for tool in CARDS {
        let mut command = script(tool);
        command.args(["verify", "--kid", did, "--public", &public]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(card.to_string().as_bytes()).await.unwrap();
        let output = child.wait_with_output().await.unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "verified", "{tool}: {card}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the A2A SDKs: `cargo xtask test` installs them and runs this"]
async fn the_sdks_clients_call_an_agent_that_only_a_relay_reaches() {
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
    for client in CLIENTS {
        everything(client, &url, buyer.token()).await;
    }
    let card: Value = buyer.get(&format!("/a2a/{}/agent-card.json", agent.did)).await.unwrap();
    the_card_is_verified(&card, &agent.did).await;

    assert_eq!(path(&stage, 3, 2).await.as_deref(), Some("relayed"));
    assert_eq!(path(&stage, 2, 3).await.as_deref(), Some("relayed"));
    assert_eq!(path(&stage, 3, 1).await.as_deref(), Some("direct"));
    stage.end().await;
}
