//! A program of a few lines is an agent of the market: called from another node, kept over a restart, and only where the
//! node's configuration takes programs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use haggle::view::{AgentSummary, Executor, LogView, NewAgent, PriceFor, Probe, ProbeView};
use haggle_base::Usdc;
use haggle_testnet::Stage;
use serde_json::{Value, json};
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");

/// Says what it hears, louder; and on the side that it did.
const SHOUT: &str = r#"
import json, sys

for line in sys.stdin:
    ask = json.loads(line)
    print("heard", ask["text"], file=sys.stderr, flush=True)
    print(json.dumps({"id": ask["id"], "text": ask["text"].upper()}), flush=True)
"#;

fn shout(stage: &Stage) -> NewAgent {
    std::fs::write(stage.dir().join("shout.py"), SHOUT).unwrap();
    NewAgent {
        name: "shout".to_owned(),
        description: "Says a text louder.".to_owned(),
        category: "text".to_owned(),
        tags: Vec::new(),
        price: Usdc::ZERO,
        input_schema: None,
        output_schema: None,
        deliver_within_seconds: 300,
        extended: None,
        draft: false,
        regions: Vec::new(),
        pricing: PriceFor::PerCall,
        executor: Executor::Command {
            argv: ["python3", "shout.py"].map(str::to_owned).to_vec(),
            dir: Some(stage.dir().display().to_string()),
            env: Vec::new(),
            call_seconds: 60,
        },
    }
}

/// Longest time until a node that came back is reached again.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is tried.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Asks an agent through the gateway of node `number`, as any A2A client would.
async fn ask(stage: &Stage, number: usize, did: &str, text: &str) -> Value {
    let client = stage.node(number).client().unwrap();
    let message = json!({"messageId": "m-1", "role": "ROLE_USER", "parts": [{"text": text}]});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}});
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = http.post(format!("{}/a2a/{did}", client.base())).bearer_auth(client.token());
    let response = request.header("A2A-Version", "1.0").json(&body).send().await.unwrap();
    response.json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_called_from_another_node_and_is_there_again_after_a_restart() {
    let mut stage = Stage::of(PROGRAM, 2).await;
    let new = shout(&stage);
    let seller = stage.node(1).client().unwrap().clone();
    let agent: AgentSummary = seller.post("/v1/agents", &new).await.unwrap();
    assert_eq!(agent.executor, new.executor);
    stage.market.until_all_see(1).await.unwrap();
    let answer = ask(&stage, 2, &agent.did, "can you hear me?").await;
    let task = &answer["result"]["task"];
    assert_eq!(task["artifacts"][0]["parts"][0]["text"], "CAN YOU HEAR ME?", "{answer}");
    let log: LogView = seller.get("/v1/agents/shout/logs?lines=1").await.unwrap();
    assert_eq!((log.items[0].from.as_str(), log.items[0].text.as_str()), ("program", "heard can you hear me?"));

    stage.market.node_mut(1).restart(&[]).await.unwrap();
    // a call on a connection that the restart cut is in doubt; this one may happen twice, so it is made again
    let answered = async {
        loop {
            let answer = ask(&stage, 2, &agent.did, "and now?").await;
            let reason = &answer["error"]["data"][0]["reason"];
            if reason != "CONNECTION_LOST" && reason != "UNREACHABLE" {
                return answer;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let answer = tokio::time::timeout(PATIENCE, answered).await.unwrap();
    assert_eq!(answer["result"]["task"]["artifacts"][0]["parts"][0]["text"], "AND NOW?", "{answer}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_looked_at_before_it_is_served_and_programs_can_be_forbidden() {
    let mut stage = Stage::of(PROGRAM, 1).await;
    let client = stage.node(1).client().unwrap().clone();
    let probe = |executor: Executor| Probe { executor, input: Some(json!("hello")) };
    let found: ProbeView = client.post("/v1/agents/probe", &probe(shout(&stage).executor)).await.unwrap();
    assert_eq!(found.reply.unwrap()["task"]["artifacts"][0]["parts"][0]["text"], "HELLO");
    let silent = Executor::Command { argv: vec!["false".to_owned()], dir: None, env: Vec::new(), call_seconds: 60 };
    let found: ProbeView = client.post("/v1/agents/probe", &probe(silent)).await.unwrap();
    assert!(found.failure.is_some() && found.reply.is_none(), "{found:?}");
    assert!(found.log.iter().any(|line| line.text.contains("it ended with exit status: 1")), "{found:?}");

    stage.node(1).serve_builtin("echo").await.unwrap();
    let refusal = client.get::<Value>("/v1/agents/echo/logs").await.unwrap_err();
    assert_eq!(refusal.code, "no_log");
    let refusal = client.get::<Value>("/v1/agents/nobody/logs").await.unwrap_err();
    assert_eq!(refusal.code, "agent_not_found");

    stage.market.add_node_with(&[("HAGGLE_AGENTS__COMMANDS", "false")]).await.unwrap();
    let careful = stage.node(2).client().unwrap();
    for refusal in [
        careful.post::<_, Value>("/v1/agents", &shout(&stage)).await.unwrap_err(),
        careful.post::<_, Value>("/v1/agents/probe", &probe(shout(&stage).executor)).await.unwrap_err(),
    ] {
        assert_eq!(refusal.code, "commands_off", "{refusal}");
    }
    stage.end().await;
}
