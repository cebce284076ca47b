//! Who is there, who holds what, and how far they are: as nodes see it that look, without any heartbeat.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use haggle::view::{
    AgentSummary, ChecksView, Executor, NewAgent, PingView, PriceFor, Verdict, VisibilityView, WhyView,
};
use haggle_base::Usdc;
use haggle_testnet::Stage;
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::Instant;

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");
/// Generous: real processes beside other work, and the ten seconds before the second look.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a search waits for those it looks for: beside much other work somebody may answer later.
const LOOKED_FOR: Duration = Duration::from_secs(2);

/// What a search of node `number`, which looks for agents first, says of the agent of a listing.
async fn found(stage: &Stage, number: usize, name: &str) -> Value {
    let page = stage.get(number, &format!("/v1/listings?q={name}&live=true")).await;
    page["items"].as_array().unwrap().iter().find(|item| item["name"] == name).cloned().unwrap_or_default()
}

/// Searches at node `number` until the agent is in one of these states; gives every other state that was seen.
async fn until_state(stage: &Stage, number: usize, name: &str, wanted: &str) -> Vec<String> {
    let mut before = Vec::new();
    let waiting = async {
        loop {
            let listing = found(stage, number, name).await;
            let state = listing["liveness"]["state"].as_str().unwrap_or("none").to_owned();
            assert_eq!(listing["online"], json!(matches!(&*state, "live" | "busy" | "degraded")), "{listing}");
            if state == wanted {
                return;
            }
            if before.last() != Some(&state) {
                before.push(state);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{name} is never {wanted}"));
    before
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_tells_who_answers_and_a_dead_provider_is_offline_to_everybody() {
    let mut stage = Stage::of(PROGRAM, 3).await;
    stage.serve(1, "digest", 1).await;
    // nothing listens behind this agent: its node is there, and what runs it is not
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", closed.local_addr().unwrap());
    drop(closed);
    let broken = NewAgent {
        name: "broken".to_owned(),
        description: "Answers to nobody.".to_owned(),
        category: "text".to_owned(),
        tags: Vec::new(),
        price: Usdc::ZERO,
        input_schema: None,
        output_schema: None,
        deliver_within_seconds: 60,
        executor: Executor::Http { url },
        extended: None,
        draft: false,
        regions: Vec::new(),
        pricing: PriceFor::PerCall,
    };
    let _added: AgentSummary = stage.node(1).client().unwrap().post("/v1/agents", &broken).await.unwrap();
    stage.market.until_all_see(2).await.unwrap();

    for number in [2, 3] {
        let begun = Instant::now();
        let state = found(&stage, number, "digest").await["liveness"]["state"].clone();
        assert!(state == "live" || begun.elapsed() >= LOOKED_FOR, "looked for before the answer: {state}");
        until_state(&stage, number, "digest", "live").await;
        until_state(&stage, number, "broken", "degraded").await;
    }
    assert_eq!(found(&stage, 1, "digest").await["liveness"], Value::Null, "a node does not look for its own");

    let checks: ChecksView = stage.node(1).client().unwrap().get("/v1/checks").await.unwrap();
    let names: Vec<_> = checks.items.iter().map(|check| check.name.as_str()).collect();
    // with the six that `haggle doctor` makes in the home, eighteen
    assert_eq!(
        names,
        [
            "chain",
            "rpc trust",
            "clock",
            "gas",
            "usdc",
            "payable",
            "peers",
            "bootstrap",
            "reach",
            "records",
            "outside",
            "agents"
        ]
    );
    let failed: Vec<_> = checks.items.iter().filter(|check| check.verdict == Verdict::Fail).collect();
    assert_eq!(failed.iter().map(|check| check.name.as_str()).collect::<Vec<_>>(), ["agents"], "{failed:?}");
    assert_eq!(failed[0].detail, "no answer from what runs broken");
    assert!(checks.items.iter().all(|check| check.hint.is_empty() == (check.verdict == Verdict::Ok)), "{checks:?}");

    // nobody waits for what runs an agent off the market
    let _suspended: Value =
        stage.node(1).client().unwrap().post("/api/v1/agents/broken/suspend", &Value::Null).await.unwrap();
    let checks: ChecksView = stage.node(1).client().unwrap().get("/v1/checks").await.unwrap();
    let agents = checks.items.iter().find(|check| check.name == "agents").unwrap();
    assert_eq!((agents.verdict, agents.detail.as_str()), (Verdict::Ok, "what runs all 1 of them answers"));

    stage.market.node_mut(1).kill().await;
    for number in [2, 3] {
        let before = until_state(&stage, number, "digest", "down").await;
        assert!(before.iter().all(|state| matches!(&**state, "live" | "probation")), "{before:?}");
    }
    let gone = found(&stage, 2, "digest").await;
    assert!(gone["liveness"]["answered_seconds_ago"].is_u64(), "when it was there last is known: {gone}");

    stage.market.node_mut(1).restart(&[]).await.unwrap();
    stage.end().await;
}

/// Answers when somebody opens the other end of a pipe.
const WAITS: &str = r#"
import json, sys

for line in sys.stdin:
    ask = json.loads(line)
    print("heard", file=sys.stderr, flush=True)
    open("go").read()
    print(json.dumps({"id": ask["id"], "text": "done"}), flush=True)
"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_at_its_limit_is_busy_to_everybody_until_it_has_room_again() {
    let mut stage = Stage::of(PROGRAM, 1).await;
    let env = [("HAGGLE_A2A__OPEN_CALLS", "1"), ("HAGGLE_A2A__OPEN_CALLS_PER_CALLER", "1")];
    stage.market.add_node_with(&env).await.unwrap();
    std::fs::write(stage.dir().join("waits.py"), WAITS).unwrap();
    let go = stage.dir().join("go");
    assert!(Command::new("mkfifo").arg(&go).status().unwrap().success());
    let waits = NewAgent {
        name: "waits".to_owned(),
        description: "Answers when it is told to.".to_owned(),
        category: "text".to_owned(),
        tags: Vec::new(),
        price: Usdc::ZERO,
        input_schema: None,
        output_schema: None,
        deliver_within_seconds: 60,
        executor: Executor::Command {
            argv: ["python3", "waits.py"].map(str::to_owned).to_vec(),
            dir: Some(stage.dir().display().to_string()),
            env: Vec::new(),
            call_seconds: 60,
        },
        extended: None,
        draft: false,
        regions: Vec::new(),
        pricing: PriceFor::PerCall,
    };
    let seller = stage.node(2).client().unwrap().clone();
    let agent: AgentSummary = seller.post("/v1/agents", &waits).await.unwrap();
    let message = json!({"messageId": "m-1", "role": "ROLE_USER", "parts": [{"text": "work"}]});
    let params = json!({"message": message, "configuration": {"returnImmediately": true}});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": params});
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = http.post(format!("{}/a2a/{}", seller.base(), agent.did)).bearer_auth(seller.token());
    let begun: Value = request.header("A2A-Version", "1.0").json(&body).send().await.unwrap().json().await.unwrap();
    assert!(begun["result"]["task"].is_object(), "{begun}");

    stage.market.until_all_see(1).await.unwrap();
    until_state(&stage, 1, "waits", "busy").await;
    let wanted = json!({"capability": "waits"});
    let profiles: Value = stage.node(1).client().unwrap().post("/api/v1/a2a/discover", &wanted).await.unwrap();
    assert_eq!(profiles[0]["availability"], json!({"status": "busy"}), "{profiles}");
    let checks: ChecksView = seller.get("/v1/checks").await.unwrap();
    assert!(checks.items.iter().all(|check| check.verdict != Verdict::Fail), "busy is well: {checks:?}");

    drop(tokio::task::spawn_blocking(move || std::fs::OpenOptions::new().write(true).open(go)).await.unwrap().unwrap());
    let before = until_state(&stage, 1, "waits", "live").await;
    assert_eq!(before, ["busy"]);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_learns_where_its_listing_stands_and_how_far_its_peers_are() {
    let mut stage = Stage::of(PROGRAM, 3).await;
    let agent = stage.serve(1, "digest", 1).await;
    let listing = stage.listing(2, "digest").await;
    let client = stage.node(1).client().unwrap();

    let why: WhyView = client.get(&format!("/v1/listings/{}/why", listing.id)).await.unwrap();
    assert_eq!((why.here.as_str(), why.peers.len()), ("held", 2), "{why:?}");
    for peer in &why.peers {
        assert_eq!((peer.holding.as_deref(), peer.path.as_deref()), (Some("held"), Some("direct")), "{why:?}");
    }
    assert_eq!(why.because, "This node holds it; 2 of 2 peers that answered and could hold it do (2 were asked).");
    let outside: VisibilityView = client.get("/v1/visibility").await.unwrap();
    assert_eq!(outside.words(), "the listing is held by 2 of 2 peers asked");
    let status = stage.get(1, "/v1/node").await;
    assert_eq!(status["outside"], serde_json::to_value(&outside).unwrap(), "the status has it too");

    let unheard: WhyView = client.get(&format!("/v1/listings/{}/why", "0".repeat(64))).await.unwrap();
    assert_eq!(unheard.here, "unknown");
    assert!(unheard.peers.iter().all(|peer| peer.holding.as_deref() == Some("unknown")), "{unheard:?}");
    let nonsense = client.get::<WhyView>("/v1/listings/digest/why").await.unwrap_err();
    assert_eq!(nonsense.code, "invalid_listing");

    let far = stage.node(2).client().unwrap();
    let path = format!("/v1/peers/{}/ping?count=3", agent.did);
    let ping: PingView = far.post(&path, &json!({})).await.unwrap();
    assert_eq!((ping.path.as_deref(), ping.micros.len()), (Some("direct"), 3), "{ping:?}");
    assert!(ping.micros.iter().all(|took| *took > 0), "{ping:?}");
    let peer = stage.get(1, "/v1/node").await["peer_id"].as_str().unwrap().to_owned();
    assert_eq!(ping.peer, peer);

    stage.market.node_mut(1).kill().await;
    let far = stage.node(2).client().unwrap();
    let unreachable = far.post::<_, PingView>(&path, &json!({})).await.unwrap_err();
    assert_eq!(unreachable.code, "peer_unreachable");
    stage.market.node_mut(1).restart(&[]).await.unwrap();
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_peers_is_not_ready_and_says_so_until_they_are_back() {
    let mut stage = Stage::of(PROGRAM, 2).await;
    let lines = stage.until_ready_is(2, 200).await;
    assert!(lines.lines().all(|line| line.starts_with("[+] ")), "{lines}");
    stage.market.node_mut(1).kill().await;
    let lines = stage.until_ready_is(2, 503).await;
    let wrong: Vec<_> = lines.lines().filter(|line| line.starts_with("[!] ")).collect();
    assert_eq!(wrong, ["[!] network 0 peers connected"]);
    stage.market.node_mut(1).restart(&[]).await.unwrap();
    stage.until_ready_is(2, 200).await;
    stage.end().await;
}
