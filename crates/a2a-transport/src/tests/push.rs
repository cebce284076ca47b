//! Webhooks: who may have one, what it is told, and what happens when it does not answer.

use std::collections::VecDeque;

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use tokio::sync::mpsc;

use super::*;
use crate::Reach;

/// What a webhook was told, and with which headers.
pub(super) type Call = (HeaderMap, Value);

#[derive(Clone)]
struct Receiver {
    told: mpsc::Sender<Call>,
    answers: Arc<Mutex<VecDeque<u16>>>,
}

/// A web server that is told things; it answers with these statuses, then with 200.
pub(super) struct Hook {
    pub(super) url: String,
    told: mpsc::Receiver<Call>,
}

impl Hook {
    pub(super) async fn open(answers: &[u16]) -> Self {
        let (sender, told) = mpsc::channel(64);
        let receiver = Receiver { told: sender, answers: Arc::new(Mutex::new(answers.iter().copied().collect())) };
        let answer = async |State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes| {
            receiver.told.send((headers, serde_json::from_slice(&body).unwrap())).await.unwrap();
            let status = receiver.answers.lock().unwrap().pop_front().unwrap_or(200);
            http::StatusCode::from_u16(status).unwrap()
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let app = Router::new().route("/hook", post(answer)).with_state(receiver);
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, told }
    }

    pub(super) async fn next(&mut self) -> Call {
        tokio::time::timeout(PATIENCE, self.told.recv()).await.unwrap().unwrap()
    }

    /// The kinds and states of events until the task has ended.
    async fn until_the_end(&mut self) -> Vec<String> {
        let mut events = Vec::new();
        loop {
            let (_, event) = self.next().await;
            let name = event.as_object().unwrap().keys().next().unwrap().clone();
            let state = event.pointer("/statusUpdate/status/state").or_else(|| event.pointer("/task/status/state"));
            let state = state.and_then(Value::as_str).unwrap_or_default().trim_start_matches("TASK_STATE_").to_owned();
            let is_over = matches!(state.as_str(), "COMPLETED" | "FAILED" | "CANCELED");
            events.push(format!("{name} {state}"));
            if is_over {
                return events;
            }
        }
    }
}

fn limits() -> Limits {
    Limits { webhooks: Reach::Anywhere, redeliver: Duration::from_millis(1), ..Limits::default() }
}

pub(super) async fn open_node() -> Node {
    node_with(Arc::new(OpenGate), limits()).await
}

fn with_hook(mut request: Value, config: Value) -> Value {
    request["params"]["configuration"]["taskPushNotificationConfig"] = config;
    request
}

fn create(task: &str, config: Value) -> Value {
    let mut request = rpc::request(6, "CreateTaskPushNotificationConfig", config);
    request["params"]["taskId"] = json!(task);
    request
}

fn of_config(method: &str, task: &str, config: &str) -> Value {
    rpc::request(7, method, json!({ "taskId": task, "id": config }))
}

fn list(task: &str) -> Value {
    rpc::request(8, "ListTaskPushNotificationConfigs", json!({ "taskId": task }))
}

impl Node {
    /// A task that the agent is at work on.
    async fn at_work(&self) -> String {
        let task = self.ask(alice(), send_behind("wait")).await.unwrap();
        soon(&self.agent.begun).await;
        task["task"]["id"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_webhook_that_comes_with_a_message_is_told_all_in_order_with_its_credentials() {
    let (node, mut hook) = (open_node().await, Hook::open(&[]).await);
    let config = json!({
        "url": hook.url, "token": "t-1", "authentication": { "scheme": "Bearer", "credentials": "secret" },
    });
    let task = node.ask(alice(), with_hook(send_behind("pieces"), config)).await.unwrap();
    let (headers, event) = hook.next().await;
    assert_eq!(event["statusUpdate"]["taskId"], task["task"]["id"]);
    assert_eq!(event["statusUpdate"]["status"]["state"], "TASK_STATE_WORKING");
    for (name, value) in [
        ("content-type", "application/json"),
        ("authorization", "Bearer secret"),
        ("x-a2a-notification-token", "t-1"),
        ("a2a-notification-token", "t-1"),
        ("a2a-version", "1.0"),
    ] {
        assert_eq!(headers[name], value, "{name}");
    }
    let events = hook.until_the_end().await;
    assert_eq!(events, ["artifactUpdate ", "artifactUpdate ", "artifactUpdate ", "statusUpdate COMPLETED"]);
}

#[tokio::test]
async fn a_webhook_made_while_the_agent_works_is_told_what_comes_after() {
    let (node, mut hook) = (open_node().await, Hook::open(&[]).await);
    let id = node.at_work().await;
    let made = node.ask(alice(), create(&id, json!({ "url": hook.url }))).await.unwrap();
    assert_eq!((&made["taskId"], &made["url"]), (&json!(id), &json!(hook.url)));
    assert!(made["id"].as_str().is_some_and(|id| !id.is_empty()), "it gets an id");
    node.agent.go.notify_one();
    assert_eq!(hook.until_the_end().await, ["artifactUpdate ", "statusUpdate COMPLETED"]);
}

#[tokio::test]
async fn a_webhook_that_comes_too_late_is_told_of_the_end() {
    let (node, mut hook) = (open_node().await, Hook::open(&[]).await);
    let done = node.ask(alice(), send("hi")).await.unwrap();
    node.ask(alice(), create(done["task"]["id"].as_str().unwrap(), json!({ "url": hook.url }))).await.unwrap();
    assert_eq!(hook.until_the_end().await, ["task COMPLETED"]);
}

#[tokio::test]
async fn webhooks_are_read_listed_and_deleted_by_their_caller_alone() {
    let node = open_node().await;
    let id = node.at_work().await;
    let config = |name: &str| json!({ "id": name, "url": "http://127.0.0.1:9/", "token": name });
    for name in ["one", "two"] {
        node.ask(alice(), create(&id, config(name))).await.unwrap();
    }
    let two = node.ask(alice(), of_config("GetTaskPushNotificationConfig", &id, "two")).await.unwrap();
    assert_eq!(two, json!({ "id": "two", "taskId": id, "url": "http://127.0.0.1:9/", "token": "two" }));
    for request in [
        create(&id, config("three")),
        of_config("GetTaskPushNotificationConfig", &id, "two"),
        of_config("DeleteTaskPushNotificationConfig", &id, "two"),
        list(&id),
    ] {
        assert_eq!(node.ask_kind(eve(), request).await, Kind::TaskNotFound);
    }
    let both = node.ask(alice(), list(&id)).await.unwrap();
    assert_eq!(both["configs"].as_array().unwrap().len(), 2);
    for _ in 0..2 {
        let gone = node.ask(alice(), of_config("DeleteTaskPushNotificationConfig", &id, "two")).await.unwrap();
        assert_eq!(gone, json!({}), "deleting twice is deleting once");
    }
    let kind = node.ask_kind(alice(), of_config("GetTaskPushNotificationConfig", &id, "two")).await;
    assert_eq!(kind, Kind::TaskNotFound);
    let left = node.ask(alice(), list(&id)).await.unwrap();
    assert_eq!(left["configs"][0]["id"], "one");
    assert_eq!(left["configs"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_webhook_that_stumbles_is_told_again_and_misses_nothing() {
    let (node, mut hook) = (open_node().await, Hook::open(&[503, 429, 200, 500]).await);
    let request = with_hook(send_behind("hello there"), json!({ "url": hook.url }));
    node.ask(alice(), request).await.unwrap();
    let events = hook.until_the_end().await;
    let (working, artifact) = ("statusUpdate WORKING", "artifactUpdate ");
    assert_eq!(events, [working, working, working, artifact, artifact, "statusUpdate COMPLETED"]);
}

#[tokio::test]
async fn a_webhook_that_refuses_or_leads_elsewhere_is_not_asked_twice() {
    let (node, mut hook) = (open_node().await, Hook::open(&[404, 302]).await);
    let request = with_hook(send_behind("hello there"), json!({ "url": hook.url }));
    node.ask(alice(), request).await.unwrap();
    let events = hook.until_the_end().await;
    assert_eq!(events, ["statusUpdate WORKING", "artifactUpdate ", "statusUpdate COMPLETED"]);
}

#[tokio::test]
async fn a_deleted_webhook_is_told_nothing_more() {
    let node = open_node().await;
    let (mut kept, mut deleted) = (Hook::open(&[]).await, Hook::open(&[]).await);
    let id = node.at_work().await;
    for (name, hook) in [("kept", &kept), ("deleted", &deleted)] {
        node.ask(alice(), create(&id, json!({ "id": name, "url": hook.url }))).await.unwrap();
    }
    node.ask(alice(), of_config("DeleteTaskPushNotificationConfig", &id, "deleted")).await.unwrap();
    node.agent.go.notify_one();
    kept.until_the_end().await;
    assert!(deleted.told.try_recv().is_err());
}

#[tokio::test]
async fn the_end_of_a_task_that_a_restart_cut_off_is_told_after_it() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), ManualClock::new(Timestamp::from_secs(1_795_000_000)));
    let (store, mut hook) = (Store::memory(), Hook::open(&[]).await);
    let gate = || Arc::new(OpenGate) as Arc<dyn Gate>;
    let server = open(store.clone(), folder.path(), gate(), &clock, limits()).await;
    let agent = Arc::new(Obedient::default());
    server.serve(*AGENT, agent_card(), Arc::clone(&agent) as Arc<dyn Executor>);
    let request = with_hook(send_behind("wait"), json!({ "url": hook.url }));
    rpc::result(server.call(alice(), &AGENT, request).await).unwrap();
    soon(&agent.begun).await;
    assert_eq!(hook.next().await.1["statusUpdate"]["status"]["state"], "TASK_STATE_WORKING");

    let again = open(store.clone(), folder.path(), gate(), &clock, limits()).await;
    let told = hook.until_the_end().await;
    assert_eq!(told.last().unwrap(), "task FAILED");
    drop((server, again));
}

#[tokio::test]
async fn a_webhook_at_a_private_address_is_refused_unless_the_node_allows_it() {
    let node = node_with(Arc::new(OpenGate), Limits::default()).await;
    let config = json!({ "url": "http://169.254.169.254/latest" });
    let error = node.ask(alice(), with_hook(send("hello"), config)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidParams);
    assert!(error.to_json().to_string().contains("configuration.taskPushNotificationConfig.url"), "{error}");
    assert_eq!(node.agent.runs.load(Ordering::SeqCst), 0, "nothing was done");
}

#[tokio::test]
async fn webhooks_that_cannot_be_sent_are_refused() {
    let node = open_node().await;
    let id = node.at_work().await;
    let url = "http://127.0.0.1:9/";
    for config in [
        json!({}),
        json!({ "url": 7 }),
        json!({ "url": "nonsense" }),
        json!({ "url": url, "token": "two\nlines" }),
        json!({ "url": url, "token": "x".repeat(2000) }),
        json!({ "url": url, "id": "x".repeat(2000) }),
        json!({ "url": url, "authentication": { "scheme": "Bearer", "credentials": "a\rb" } }),
    ] {
        assert_eq!(node.ask_kind(alice(), create(&id, config.clone())).await, Kind::InvalidParams, "{config}");
    }
    assert_eq!(node.ask_kind(alice(), create("no-such-task", json!({ "url": url }))).await, Kind::TaskNotFound);
}

#[tokio::test]
async fn a_task_has_so_many_webhooks_and_an_agent_that_says_it_tells_nobody_has_none() {
    let node = open_node().await;
    let id = node.at_work().await;
    let config = |n: usize| json!({ "id": format!("c-{n}"), "url": "http://127.0.0.1:9/" });
    for n in 0..8 {
        node.ask(alice(), create(&id, config(n))).await.unwrap();
    }
    assert_eq!(node.ask_kind(alice(), create(&id, config(8))).await, Kind::Busy);
    node.ask(alice(), create(&id, config(0))).await.unwrap();

    let mut card = agent_card();
    card["capabilities"]["pushNotifications"] = json!(false);
    node.server.serve(*AGENT, card, Arc::clone(&node.agent) as Arc<dyn Executor>);
    for request in [create(&id, config(1)), list(&id), with_hook(send("hi"), config(1))] {
        assert_eq!(node.ask_kind(alice(), request).await, Kind::PushNotificationNotSupported);
    }
}
