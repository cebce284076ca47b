//! An unmodified A2A Python SDK client talks through node 5's gateway to a free agent that runs behind node 1 as an
//! unmodified A2A Python SDK server.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use haggle::view::{AgentSummary, Executor, NewAgent, PriceFor};
use haggle_base::Usdc;
use haggle_testnet::Stage;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");

fn python(script: &str) -> Command {
    let interpreter = std::env::var("HAGGLE_PYTHON")
        .expect("HAGGLE_PYTHON names a Python with testnet/peers/a2a-python/requirements.txt: run `cargo xtask test`");
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/a2a-python");
    let mut command = Command::new(PathBuf::from(interpreter));
    command.arg(peers.join(script)).kill_on_drop(true);
    command
}

/// Starts the SDK's server and reads the port it prints once it can be called.
async fn start_server() -> (Child, u16) {
    let mut server = python("server.py").args(["--port", "0"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let port = lines.next_line().await.unwrap().expect("the server prints its port").parse().unwrap();
    (server, port)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the Python A2A SDK: `cargo xtask test` makes the environment and runs this"]
async fn a_python_client_reaches_a_python_agent_across_the_network() {
    let (_server, port) = start_server().await;
    let stage = Stage::of(PROGRAM, 5).await;
    let new = NewAgent {
        name: "python-echo".to_owned(),
        description: "An echo on the Python SDK.".to_owned(),
        category: "tools".to_owned(),
        tags: Vec::new(),
        price: Usdc::ZERO,
        input_schema: None,
        output_schema: None,
        deliver_within_seconds: 300,
        executor: Executor::Http { url: format!("http://127.0.0.1:{port}/") },
        extended: None,
        draft: false,
        regions: Vec::new(),
        pricing: PriceFor::PerCall,
    };
    let agent: AgentSummary = stage.node(1).client().unwrap().post("/v1/agents", &new).await.unwrap();
    stage.market.until_all_see(1).await.unwrap();

    let gateway = stage.node(5).client().unwrap();
    let url = format!("{}/a2a/{}", gateway.base(), agent.did);
    let output = python("client.py")
        .args([&url, "--token", gateway.token(), "--text", "hello across the network", "--get"])
        .output()
        .await
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_str(printed.trim()).unwrap();
    let task = &seen["got"];
    assert_eq!(task["status"]["state"], "TASK_STATE_COMPLETED", "{task}");
    assert_eq!(task["artifacts"][0]["parts"][0]["text"], "hello across the network", "{task}");

    // without the token the same client is turned away
    let refused = python("client.py").args([&url, "--text", "hello"]).output().await.unwrap();
    assert!(!refused.status.success());
    stage.end().await;
}
