//! Messages, tasks, and the operations on them, as one caller sees them.

use super::*;
use crate::Admission;
use haggle_a2a::ServiceParams;

#[tokio::test]
async fn a_message_is_answered_as_in_the_golden_json() {
    let node = node().await;
    let answer = node.server.call(alice(), &AGENT, send("hello")).await;
    let task = answer["result"]["task"]["id"].clone();
    let context = answer["result"]["task"]["contextId"].clone();
    let golden = json!({"jsonrpc":"2.0","id":1,"result":{"task":{"id":task,"contextId":context,"status":{"state":"TASK_STATE_COMPLETED","message":{"messageId":"bfa3929d","contextId":context,"taskId":task,"role":"ROLE_AGENT","parts":[{"text":"Hello"}]},"timestamp":node.clock_text()},"history":[{"messageId":"m-1","contextId":context,"taskId":task,"role":"ROLE_USER","parts":[{"text":"hello"}]}]}}});
    assert_eq!(answer, golden);
}

impl Node {
    fn clock_text(&self) -> String {
        use haggle_base::Clock;
        self.clock.now().to_rfc3339()
    }
}

#[tokio::test]
async fn a_missing_task_is_answered_as_in_the_golden_json() {
    let node = node().await;
    let golden: Value = serde_json::from_str(r#"{"jsonrpc":"2.0","id":2,"error":{"code":-32001,"message":"Task not found","data":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"TASK_NOT_FOUND","domain":"a2a-protocol.org","metadata":{"taskId":"nope"}}]}}"#).unwrap();
    assert_eq!(node.server.call(alice(), &AGENT, get("nope")).await, golden);
}

#[tokio::test]
async fn a_foreign_task_looks_like_a_missing_one() {
    let node = node().await;
    let asked = node.ask(alice(), send("ask")).await.unwrap();
    let id = asked["task"]["id"].as_str().unwrap();
    let missing = node.ask(eve(), get("nope")).await.unwrap_err().to_json().to_string();
    let foreign = node.ask(eve(), get(id)).await.unwrap_err().to_json().to_string();
    assert_eq!(foreign, missing.replace("nope", id));
    assert_eq!(node.ask_kind(eve(), cancel(id)).await, Kind::TaskNotFound);
    let mut answer = send("the red one");
    answer["params"]["message"]["taskId"] = json!(id);
    assert_eq!(node.ask_kind(eve(), answer).await, Kind::TaskNotFound);

    node.server.serve(*OTHER_AGENT, agent_card(), Arc::new(Obedient::default()));
    let elsewhere = node.server.call(alice(), &OTHER_AGENT, get(id)).await;
    assert_eq!(rpc::result(elsewhere).unwrap_err().kind(), Kind::TaskNotFound);

    let behind = ServiceParams { sub_caller: Some("guest".into()), ..ServiceParams::for_request(&json!({})) };
    let guest = node.server.call_with(alice(), &AGENT, get(id), &behind, None).await;
    assert_eq!(rpc::result(guest).unwrap_err().kind(), Kind::TaskNotFound);
    assert_eq!(state(&node.ask(alice(), get(id)).await.unwrap()), "TASK_STATE_INPUT_REQUIRED");
}

#[tokio::test]
async fn a_task_that_asks_goes_on_with_the_answer() {
    let node = node().await;
    let asked = node.ask(alice(), send("ask")).await.unwrap()["task"].clone();
    let mut answer = send("the red one");
    answer["params"]["message"]["taskId"] = asked["id"].clone();
    let mut wrong = answer.clone();
    wrong["params"]["message"]["contextId"] = json!("another");
    assert_eq!(node.ask_kind(alice(), wrong).await, Kind::InvalidParams);
    let task = node.ask(alice(), answer.clone()).await.unwrap()["task"].clone();
    assert_eq!(state(&task), "TASK_STATE_COMPLETED");
    assert_eq!(task["artifacts"][0]["parts"][0]["data"], json!({"asked": {"step": 1}, "answered": "the red one"}));
    assert_eq!(task["history"].as_array().unwrap().len(), 3);
    assert_eq!(node.ask_kind(alice(), answer).await, Kind::UnsupportedOperation, "it has ended");
    let id = asked["id"].as_str().unwrap();
    let short = rpc::request(4, "GetTask", json!({"id": id, "historyLength": 1}));
    assert_eq!(node.ask(alice(), short).await.unwrap()["history"].as_array().unwrap().len(), 1);
    let wrong = rpc::request(4, "GetTask", json!({"id": id, "historyLength": -1}));
    assert_eq!(node.ask_kind(alice(), wrong).await, Kind::InvalidParams);
}

#[tokio::test]
async fn work_left_running_is_seen_and_can_be_cancelled() {
    let node = node().await;
    let begun = node.ask(alice(), send_behind("wait")).await.unwrap()["task"].clone();
    assert_eq!(state(&begun), "TASK_STATE_WORKING");
    soon(&node.agent.begun).await;
    let id = begun["id"].as_str().unwrap();
    let seen = node.ask(alice(), get(id)).await.unwrap();
    assert_eq!(seen["status"]["message"]["parts"][0]["text"], "halfway");
    assert_eq!(node.ask_kind(eve(), cancel(id)).await, Kind::TaskNotFound);
    let cancelled = node.ask(alice(), cancel(id)).await.unwrap();
    assert_eq!(state(&cancelled), "TASK_STATE_CANCELED");
    soon(&node.agent.stopped).await;
    assert_eq!(node.ask_kind(alice(), cancel(id)).await, Kind::TaskNotCancelable);
    assert_eq!(state(&node.ask(alice(), get(id)).await.unwrap()), "TASK_STATE_CANCELED");
}

#[tokio::test]
async fn work_left_running_ends_by_itself() {
    let node = node().await;
    let begun = node.ask(alice(), send_behind("wait")).await.unwrap();
    node.agent.go.notify_one();
    let task = node.settled(begun["task"]["id"].as_str().unwrap()).await;
    assert_eq!(task["artifacts"][0]["parts"][0]["text"], "waited");
    let refused = node.ask(alice(), send_behind("refuse")).await.unwrap();
    let task = node.settled(refused["task"]["id"].as_str().unwrap()).await;
    assert_eq!(state(&task), "TASK_STATE_FAILED");
    assert_eq!(task["status"]["message"]["parts"][0]["text"], "not today");
}

#[tokio::test]
async fn tasks_survive_a_restart_and_cut_off_work_is_failed() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(Timestamp::from_secs(1_795_000_000));
    let gate: Arc<dyn Gate> = Arc::new(OpenGate);
    let mut ids = HashMap::new();
    {
        let store = Store::open(&folder.path().join("db"), haggle_store::Options::default()).unwrap();
        let server = open(store.clone(), folder.path(), Arc::clone(&gate), &clock, Limits::default()).await;
        let agent = Arc::new(Obedient::default());
        server.serve(*AGENT, agent_card(), Arc::clone(&agent) as Arc<dyn Executor>);
        for (text, request) in
            [("short", send("short")), ("long", send("long")), ("ask", send("ask")), ("wait", send_behind("wait"))]
        {
            let answer = rpc::result(server.call(alice(), &AGENT, request).await).unwrap();
            ids.insert(text, answer["task"]["id"].as_str().unwrap().to_owned());
        }
        soon(&agent.begun).await;
        store.shutdown().await.unwrap();
    }
    let store = Store::open(&folder.path().join("db"), haggle_store::Options::default()).unwrap();
    let server = open(store, folder.path(), gate, &clock, Limits::default()).await;
    server.serve(*AGENT, agent_card(), Arc::new(Obedient::default()));
    let read = async |text: &str| rpc::result(server.call(alice(), &AGENT, get(&ids[text])).await).unwrap();
    assert_eq!(read("short").await["artifacts"][0]["parts"][0]["text"], "short");
    assert_eq!(read("long").await["artifacts"][0]["parts"][0]["text"].as_str().unwrap().len(), 20 * 1024);
    assert_eq!(state(&read("wait").await), "TASK_STATE_FAILED");
    let mut answer = send("the red one");
    answer["params"]["message"]["taskId"] = json!(ids["ask"]);
    let task = rpc::result(server.call(alice(), &AGENT, answer).await).unwrap()["task"].clone();
    assert_eq!(task["artifacts"][0]["parts"][0]["data"]["asked"]["step"], 1, "what the agent left is kept");
}

#[tokio::test]
async fn a_broken_agent_fails_its_task_and_nothing_else() {
    let node = node().await;
    for text in ["panic", "huge"] {
        let task = node.ask(alice(), send(text)).await.unwrap()["task"].clone();
        assert_eq!(state(&task), "TASK_STATE_FAILED", "{text}");
        let id = task["id"].as_str().unwrap();
        assert_eq!(state(&node.ask(alice(), get(id)).await.unwrap()), "TASK_STATE_FAILED");
    }
    let refused = node.ask(alice(), send("refuse")).await.unwrap_err();
    assert_eq!(refused.metadata("code"), Some("not_today"));
    assert_eq!(node.ask(alice(), send("say")).await.unwrap()["message"]["parts"][0]["text"], "said");
}

#[tokio::test]
async fn the_same_message_id_is_no_reason_to_answer_from_memory() {
    let node = node().await;
    let first = node.ask(alice(), send("one")).await.unwrap();
    let second = node.ask(alice(), send("two")).await.unwrap();
    assert_eq!(node.agent.runs.load(Ordering::SeqCst), 2);
    assert_ne!(first["task"]["id"], second["task"]["id"]);
}

#[tokio::test]
async fn what_the_server_does_not_do_gets_its_proper_error() {
    let node = node().await;
    let message = send("x")["params"].clone();
    let table = [
        ("CreateTaskPushNotificationConfig", json!({}), Kind::InvalidParams),
        ("GetTaskPushNotificationConfig", json!({}), Kind::InvalidParams),
        ("ListTaskPushNotificationConfigs", json!({}), Kind::InvalidParams),
        ("DeleteTaskPushNotificationConfig", json!({}), Kind::InvalidParams),
        ("GetExtendedAgentCard", json!({}), Kind::UnsupportedOperation),
        ("message/send", message, Kind::MethodNotFound),
        ("SendMessage", json!({}), Kind::InvalidParams),
        ("SendMessage", json!({"message": {"messageId": "m", "role": "ROLE_USER", "parts": []}}), Kind::InvalidParams),
        ("GetTask", json!({}), Kind::InvalidParams),
        ("GetTask", json!({"id": "x".repeat(100_000)}), Kind::TaskNotFound),
        ("CancelTask", json!({"id": 7}), Kind::InvalidParams),
        ("GetTask", json!({"id": "t", "tenant": "someone else"}), Kind::InvalidParams),
    ];
    for (method, params, kind) in table {
        let answer = node.ask_kind(alice(), rpc::request(1, method, params)).await;
        assert_eq!(answer, kind, "{method}");
    }
    let stranger = node.server.call(alice(), &OTHER_AGENT, send("x")).await;
    assert_eq!(rpc::result(stranger).unwrap_err().kind(), Kind::AgentNotFound);
    for version in [None, Some(""), Some("0.3"), Some("99.0")] {
        let params = ServiceParams { version: version.map(str::to_owned), ..ServiceParams::default() };
        let answer = node.server.call_with(alice(), &AGENT, send("x"), &params, None).await;
        assert_eq!(rpc::result(answer).unwrap_err().kind(), Kind::VersionNotSupported);
    }
    assert_eq!(node.agent.runs.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_media_type_that_the_card_does_not_name_is_refused() {
    let node = node().await;
    let mut request = send("hi");
    for (kind, refused) in [("text/plain", false), ("TEXT/plain;charset=utf-8", false), ("image/png", true)] {
        request["params"]["message"]["parts"][0]["mediaType"] = json!(kind);
        let answer = node.ask(alice(), request.clone()).await;
        assert_eq!(answer.err().map(|error| error.kind()), refused.then_some(Kind::ContentTypeNotSupported), "{kind}");
    }
}

#[tokio::test]
async fn a_required_extension_must_be_named() {
    let node = node().await;
    let mut card = agent_card();
    card["capabilities"]["extensions"] = json!([{"uri": "urn:pay", "required": true}]);
    node.server.serve(*AGENT, card, Arc::clone(&node.agent) as Arc<dyn Executor>);
    assert_eq!(node.ask_kind(alice(), send("x")).await, Kind::ExtensionSupportRequired);
    let mut named = send("x");
    named["params"]["message"] = message::with_extension(named["params"]["message"].take(), "urn:pay");
    assert!(node.ask(alice(), named).await.is_ok());
}

/// Lets "pay" through, answers "quote" itself, refuses the rest.
struct Shop;

#[async_trait]
impl Gate for Shop {
    async fn admit(&self, caller: &Caller, agent: &Did, message: &Value) -> Result<Admission, A2aError> {
        assert_eq!((caller.peer, agent), (Some(*ALICE), &*AGENT));
        match message::text_of(message).as_deref() {
            Some("pay") => Ok(Admission::Run),
            Some("quote") => Ok(Admission::Handled(message::agent("q", vec![message::data(json!({"price": "0.25"}))]))),
            _ => Err(A2aError::refused("payment_required", "pay first")),
        }
    }
}

#[tokio::test]
async fn the_gate_runs_answers_or_refuses() {
    let node = node_with(Arc::new(Shop), Limits::default()).await;
    let quote = node.ask(alice(), send("quote")).await.unwrap();
    assert_eq!(message::data_of(&quote["message"]), Some(&json!({"price": "0.25"})));
    let refused = node.ask(alice(), send("work for free")).await.unwrap_err();
    assert_eq!((refused.kind(), refused.metadata("code")), (Kind::Refused, Some("payment_required")));
    assert_eq!(node.agent.runs.load(Ordering::SeqCst), 0);
    assert!(node.ask(alice(), send("pay")).await.is_ok());
    assert_eq!(node.agent.runs.load(Ordering::SeqCst), 1);
}
