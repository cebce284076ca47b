//! The life of an agent's listing: a draft nobody else knows of, published, changed, suspended, published again, deleted.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use haggle_base::Seed;
use haggle_testnet::Stage;
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");

/// Asks node 1, whose agent it is.
async fn owner(stage: &Stage, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let gateway = stage.node(1).client().unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = http.request(method.parse().unwrap(), format!("{}{path}", gateway.base()));
    let request = request.bearer_auth(gateway.token()).header("A2A-Version", "1.0");
    let response = request.json(body).send().await.unwrap();
    let status = response.status().as_u16();
    (status, response.json().await.unwrap_or_default())
}

/// What somebody at node 1's machine who lacks its token sees of the agent's cards; and what its owner sees.
async fn cards(stage: &Stage, did: &str) -> [(u16, String); 4] {
    let gateway = stage.node(1).client().unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let see = async |path: &str, is_owner: bool| {
        let request = http.get(format!("{}/a2a/{did}/{path}", gateway.base()));
        let request = if is_owner { request.bearer_auth(gateway.token()) } else { request };
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (card, gateways) = ("agent-card.json", ".well-known/agent-card.json");
    [see(card, false).await, see(gateways, false).await, see(card, true).await, see(gateways, true).await]
}

/// Waits until node 2 finds the agent, or finds it no more.
async fn until_found(stage: &Stage, did: &str, wanted: bool) -> Value {
    let has = |page: &Value| page["items"].as_array().unwrap().iter().any(|item| item["agent"] == did);
    stage.until_answer(2, "/v1/listings?limit=100", |page| page["items"].is_array() && has(page) == wanted).await
}

/// Everything by which somebody at node 2 could learn of the agent.
async fn assert_unknown_at_the_peer(stage: &Stage, did: &str) {
    until_found(stage, did, false).await;
    let peer = stage.node(2).client().unwrap();
    for path in [format!("/api/v1/agents/{did}"), format!("/v1/agents/{did}")] {
        assert_eq!(peer.get::<Value>(&path).await.unwrap_err().code, "agent_not_found", "{path}");
    }
    let found = peer.post::<_, Value>("/api/v1/a2a/discover", &json!({"capability": "words"})).await.unwrap();
    assert_eq!(found, json!([]));
}

async fn restart(stage: &mut Stage) {
    stage.market.node_mut(1).stop().await;
    stage.market.node_mut(1).restart(&[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_drafted_published_changed_suspended_and_deleted() {
    let mut stage = Stage::of(PROGRAM, 2).await;
    let add = ["agent", "add", "words", "--builtin", "digest", "--price", "0.02", "--draft", "--json"];
    let added = stage.typed(1, &add).await;
    assert!(added.ok, "{}", added.err);
    let added: Value = serde_json::from_str(&added.out).unwrap();
    assert_eq!((&added["status"], added.get("listing")), (&json!("draft"), None));
    let did = added["did"].as_str().unwrap().to_owned();

    // it is there for its owner: shown, and at work
    let (status, draft) = owner(&stage, "GET", "/api/v1/agents/words", &Value::Null).await;
    assert_eq!((status, &draft["status"], &draft["visibility"]), (200, &json!("draft"), &json!("private")), "{draft}");
    assert_eq!((&draft["id"], &draft["metadata"]["version"]), (&json!(did), &json!("0")));
    let (_, invoked) = owner(&stage, "POST", "/api/v1/agents/words/invoke", &json!({"input": {"text": "a b c"}})).await;
    assert_eq!(invoked["output"]["words"], 3, "{invoked}");
    let (status, early) = owner(&stage, "POST", "/api/v1/agents/words/suspend", &Value::Null).await;
    assert_eq!((status, &early["code"]), (409, &json!("not_published")));

    let nobody = Seed::devnet(7, 9).agent_key(9).did().to_string();
    let (unknown, drafted) = (cards(&stage, &nobody).await, cards(&stage, &did).await);
    assert_eq!((unknown[0].0, &drafted[..2]), (404, &unknown[..2]), "as an agent that nobody has");
    assert!(drafted[2..].iter().all(|(status, card)| *status == 200 && card.contains("words")), "{drafted:?}");

    // what its node says later has come, and nothing of the draft with it; nor after a restart
    stage.serve(1, "echo", 1).await;
    assert_unknown_at_the_peer(&stage, &did).await;
    restart(&mut stage).await;
    let (_, after) = owner(&stage, "GET", "/api/v1/agents/words", &Value::Null).await;
    assert_eq!((&after["status"], &after["createdAt"]), (&json!("draft"), &draft["createdAt"]));
    stage.serve(1, "csv", 2).await;
    assert_unknown_at_the_peer(&stage, &did).await;

    // published: the peer has it with every field of the profile
    let (status, approved) = owner(&stage, "POST", "/api/v1/agents/words/publish", &Value::Null).await;
    assert_eq!((status, &approved["status"], &approved["visibility"]), (200, &json!("approved"), &json!("public")));
    until_found(&stage, &did, true).await;
    assert!(cards(&stage, &did).await.iter().all(|(status, _)| *status == 200));
    let path = format!("/api/v1/agents/{did}");
    let seen = stage.until_answer(2, &path, |agent| agent["status"] == "approved").await;
    for field in ["id", "name", "description", "category", "tags", "capabilities", "pricing", "visibility"] {
        assert_eq!(seen[field], approved[field], "{field}");
    }
    assert_eq!(seen["pricing"], json!({"model": "per-use", "price": 0.02, "currency": "USDC"}));
    assert_eq!(
        seen["reputation"],
        json!({"rating": null, "completedTasks": 0, "successRate": null, "avgResponseTime": null})
    );
    assert_eq!((&seen["creatorId"], &seen["stats"]["revenue"]), (&Value::Null, &Value::Null), "its owner's alone");
    let (status, again) = owner(&stage, "POST", "/api/v1/agents", &draft_of("words", "digest")).await;
    assert_eq!((status, &again["code"]), (409, &json!("already_published")), "what is known cannot be a draft");

    // another price: a new version that the peer sees
    let change = json!({"price": "0.03", "description": "Counts words, dearly.", "tags": ["words"]});
    let (status, dearer) = owner(&stage, "PUT", &path, &change).await;
    assert_eq!((status, &dearer["pricing"]["price"]), (200, &json!(0.03)), "{dearer}");
    let seen = stage.until_answer(2, &path, |agent| agent["pricing"]["price"] == json!(0.03)).await;
    assert_eq!((&seen["description"], &seen["tags"]), (&change["description"], &change["tags"]));
    let version = |agent: &Value| agent["metadata"]["version"].as_str().unwrap().parse::<u64>().unwrap();
    assert!(version(&seen) > version(&approved) && version(&seen) == version(&dearer), "{seen}");
    let (status, refused) = owner(&stage, "PUT", &path, &json!({"category": "No Label"})).await;
    assert_eq!((status, &refused["code"]), (400, &json!("bad_category")));

    // suspended: hidden at the peer, also after a restart; what is changed meanwhile waits
    let suspended = stage.typed(1, &["agent", "suspend", "words", "--json"]).await;
    assert!(suspended.ok, "{}", suspended.err);
    assert_eq!(serde_json::from_str::<Value>(&suspended.out).unwrap()["status"], "suspended");
    until_found(&stage, &did, false).await;
    let (status, _) = owner(&stage, "POST", "/api/v1/agents/words/suspend", &Value::Null).await;
    assert_eq!(status, 200, "twice is once");
    restart(&mut stage).await;
    let (_, cheaper) = owner(&stage, "PUT", &path, &json!({"price": "0.01"})).await;
    assert_eq!((&cheaper["status"], &cheaper["pricing"]["price"]), (&json!("suspended"), &json!(0.01)));
    stage.serve(1, "slow", 3).await;
    until_found(&stage, &did, false).await;
    let (_, back) = owner(&stage, "POST", &format!("{path}/publish"), &Value::Null).await;
    assert_eq!(back["status"], "approved");
    until_found(&stage, &did, true).await;
    stage.until_answer(2, &path, |agent| agent["pricing"]["price"] == json!(0.01)).await;

    // deleted: gone everywhere, for good; its wallet stays, and nobody gets its keys again
    assert_eq!(owner(&stage, "DELETE", &path, &Value::Null).await, (204, Value::Null));
    until_found(&stage, &did, false).await;
    for round in ["at once", "after a restart"] {
        let (status, gone) = owner(&stage, "GET", &path, &Value::Null).await;
        assert_eq!((status, &gone["code"]), (404, &json!("agent_not_found")), "{round}");
        let (_, all) = owner(&stage, "GET", "/api/v1/agents", &Value::Null).await;
        let names: Vec<_> = all.as_array().unwrap().iter().map(|agent| agent["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["echo", "csv", "slow"], "{round}");
        let wallets = stage.node(1).wallets().await.unwrap();
        assert!(wallets.items.iter().any(|wallet| wallet.agent == did), "{round}");
        restart(&mut stage).await;
    }
    assert_eq!(owner(&stage, "DELETE", &path, &Value::Null).await.0, 404);
    let (status, successor) = owner(&stage, "POST", "/api/v1/agents", &draft_of("words", "digest")).await;
    assert_eq!(status, 201, "{successor}");
    assert_ne!(successor["id"], json!(did));
    until_found(&stage, &did, false).await;
    stage.end().await;
}

/// Hears what it is asked, and never answers.
const SILENT: &str = "
import sys, time

for line in sys.stdin:
    print('heard', file=sys.stderr, flush=True)
    time.sleep(3600)
";

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_deleted_at_work_stops_and_its_buyer_is_refunded() {
    let stage = Stage::of(PROGRAM, 2).await;
    std::fs::write(stage.dir().join("silent.py"), SILENT).unwrap();
    let program = json!({"kind": "command", "argv": ["python3", "silent.py"], "dir": stage.dir()});
    let new = json!({"name": "silent", "category": "text", "price": "0.02", "executor": program});
    let (status, agent) = owner(&stage, "POST", "/api/v1/agents", &new).await;
    assert_eq!(status, 201, "{agent}");
    let did = agent["id"].as_str().unwrap().to_owned();
    until_found(&stage, &did, true).await;
    let (_, had) = stage.buyer(2).await;
    let hired = stage.hire(2, &stage.listing(2, "silent").await, "cut-short").await;
    stage.until_answer(1, "/v1/agents/silent/logs", |log| log.to_string().contains("heard")).await;

    assert_eq!(owner(&stage, "DELETE", &format!("/api/v1/agents/{did}"), &Value::Null).await.0, 204);
    // at once: its deadline is an hour away
    stage.until_state(2, &hired.key, "refunded").await;
    assert_eq!(stage.buyer(2).await.1, had);
    // its owner still reads what became of the order
    let sold = |page: &Value| page["items"][0]["state"] == "refunded" && page["items"][0]["seller"] == json!(did);
    stage.until_answer(1, "/v1/orders?role=provider", sold).await;
    stage.end().await;
}

/// What a client that pays inside the task is told by the agent, at node 1 itself.
async fn refusal_of_a_task(stage: &Stage, did: &str) -> Value {
    let message = json!({"messageId": "m-1", "role": "ROLE_USER", "parts": [{"data": {"text": "a b c"}}]});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}});
    owner(stage, "POST", &format!("/a2a/{did}"), &body).await.1["error"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_offered_in_its_regions_and_paid_for_its_outcome_by_order_alone() {
    let mut stage = Stage::of(PROGRAM, 2).await;
    let without = ["agent", "add", "vague", "--builtin", "echo", "--price", "0.02", "--pricing", "outcome", "--json"];
    let refused = stage.typed(1, &without).await;
    assert!(!refused.ok && refused.out.contains("outcome_without_schema"), "{}", refused.out);
    let add = [
        "agent",
        "add",
        "words",
        "--builtin",
        "digest",
        "--price",
        "0.02",
        "--pricing",
        "outcome-based",
        "--region",
        "eu",
        "--region",
        "kr",
        "--json",
    ];
    let added = stage.typed(1, &add).await;
    assert!(added.ok, "{}", added.err);
    let did = serde_json::from_str::<Value>(&added.out).unwrap()["did"].as_str().unwrap().to_owned();
    until_found(&stage, &did, true).await;

    let found = stage.get(2, "/v1/listings?region=kr").await;
    let listing = &found["items"][0];
    assert_eq!((&listing["regions"], &listing["pricing"]), (&json!(["eu", "kr"]), &json!("outcome")));
    assert_eq!(stage.get(2, "/v1/listings?region=us").await["total"], 0);
    let (_, own) = owner(&stage, "GET", "/api/v1/agents/words", &Value::Null).await;
    assert_eq!(own["pricing"]["model"], "outcome-based");

    // a payment that comes before the outcome is taken nowhere, an order is
    let (status, early) = owner(&stage, "POST", "/x402/words", &json!({"text": "a b c"})).await;
    assert_eq!((status, &early["code"]), (400, &json!("sold_by_outcome")));
    let told = refusal_of_a_task(&stage, &did).await;
    assert!(told.to_string().contains("sold_by_outcome"), "{told}");
    let listing = stage.listing(2, "words").await;
    stage.hire(2, &listing, "by-outcome").await;
    stage.until_state(2, "by-outcome", "settled").await;

    // it moves, and what it is stays over a restart
    let path = format!("/api/v1/agents/{did}");
    let (status, _) = owner(&stage, "PUT", &path, &json!({"regions": ["global"], "pricing": "per-use"})).await;
    assert_eq!(status, 200);
    stage.until_answer(2, "/v1/listings?region=us", |page| page["total"] == 1).await;
    restart(&mut stage).await;
    let everywhere = stage.get(1, "/v1/listings?region=us").await;
    assert_eq!((&everywhere["total"], &everywhere["items"][0]["pricing"]), (&json!(1), &json!("per_call")));
    let (status, asked) = owner(&stage, "POST", "/x402/words", &json!({"text": "a b c"})).await;
    assert_eq!(status, 402, "{asked}");
    stage.end().await;
}

fn draft_of(name: &str, builtin: &str) -> Value {
    json!({"name": name, "category": "text", "price": "0.02", "draft": true,
        "executor": {"kind": "builtin", "name": builtin}})
}
