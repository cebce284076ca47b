//! Stories of served agents; here what they share: identities, agents with habits, requests.

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use haggle_a2a::{A2aError, Kind, card, message, rpc, types::TaskState};
use haggle_base::{Did, ManualClock, PeerId, Seed, Timestamp};
use haggle_store::Store;
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::sync::Notify;

use crate::{Call, Caller, Executor, Gate, Limits, OpenGate, Outcome, Server, Updates};

mod binding;
mod bounds;
mod cards;
mod command;
mod conformance;
mod door;
mod everywhere;
mod hostile;
mod page;
mod push;
mod rest;
mod sdk_cards;
mod sdks;
mod streams;
mod tasks;
mod toll;
mod turns;
mod wrapping;

/// The agent that is called, and the nodes of the callers. Derived once: it takes its time.
static AGENT: LazyLock<Did> = LazyLock::new(|| Seed::devnet(7, 1).agent_key(0).did());
static OTHER_AGENT: LazyLock<Did> = LazyLock::new(|| Seed::devnet(7, 1).agent_key(1).did());
static ALICE: LazyLock<PeerId> = LazyLock::new(|| Seed::devnet(7, 2).node_key().peer_id());
static EVE: LazyLock<PeerId> = LazyLock::new(|| Seed::devnet(7, 3).node_key().peer_id());

/// Longer than anything here should take, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn alice() -> Caller {
    Caller::peer(*ALICE, vec![])
}

fn eve() -> Caller {
    Caller::peer(*EVE, vec![])
}

/// An agent that does what its message says.
#[derive(Default)]
struct Obedient {
    /// Messages seen.
    runs: AtomicUsize,
    /// Told when "wait" has begun.
    begun: Notify,
    /// Lets "wait" go on.
    go: Notify,
    /// Told when "wait" was stopped before it could go on.
    stopped: Arc<Notify>,
}

struct TellsWhenDropped(Arc<Notify>);

impl Drop for TellsWhenDropped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

fn done(part: Value) -> Outcome {
    Outcome::Task {
        state: TaskState::Completed,
        artifacts: vec![message::object([("artifactId", "a-1".into()), ("parts", vec![part].into())])],
        message: None,
        extra: Map::new(),
        resume: None,
    }
}

#[async_trait]
impl Executor for Obedient {
    async fn execute(&self, call: Call, updates: Updates) -> Result<Outcome, A2aError> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        let text = message::text_of(&call.message).unwrap_or_default();
        if let Some(resume) = call.resume
            && !matches!(text.as_str(), "wait" | "refuse")
        {
            return Ok(done(json!({ "data": { "asked": resume, "answered": text } })));
        }
        match text.as_str() {
            "ask" => Ok(Outcome::Task {
                state: TaskState::InputRequired,
                artifacts: vec![],
                message: Some(message::agent("q-1", vec![message::text("which one?")])),
                extra: Map::new(),
                resume: Some(json!({ "step": 1 })),
            }),
            "say" => Ok(Outcome::Message(message::agent("r-1", vec![message::text("said")]))),
            "hello" => Ok(Outcome::Task {
                state: TaskState::Completed,
                artifacts: vec![],
                message: Some(message::agent("bfa3929d", vec![message::text("Hello")])),
                extra: Map::new(),
                resume: None,
            }),
            "wait" => {
                let stopped = TellsWhenDropped(Arc::clone(&self.stopped));
                assert!(updates.report("halfway").await);
                self.begun.notify_one();
                self.go.notified().await;
                std::mem::forget(stopped);
                Ok(done(message::text("waited")))
            }
            "pieces" => {
                for (text, last) in [("one", false), ("two", false), ("three", true)] {
                    let piece = json!({ "artifactId": "p-1", "parts": [{ "text": text }] });
                    assert!(updates.piece(piece, last).await);
                }
                Ok(Outcome::task(TaskState::Completed))
            }
            "heap" => {
                let mut shown = 0;
                for n in 0..8 {
                    let piece = json!({ "artifactId": "p-1", "parts": [{ "text": "x".repeat(300 * 1024) }] });
                    shown += usize::from(updates.piece(piece, n == 7).await);
                }
                let told = vec![message::text(&format!("{shown} pieces"))];
                Ok(Outcome::Task {
                    state: TaskState::Completed,
                    artifacts: vec![],
                    message: Some(message::agent("h-1", told)),
                    extra: Map::new(),
                    resume: None,
                })
            }
            "heap, then huge" => {
                for id in ["p-1", "p-2"] {
                    let piece = json!({ "artifactId": id, "parts": [{ "text": "x".repeat(400 * 1024) }] });
                    assert!(updates.artifact(piece).await);
                }
                Ok(done(message::text(&"x".repeat(600 * 1024))))
            }
            "big" => Ok(done(message::text(&"z".repeat(900 * 1024)))),
            "mutter" => {
                assert!(updates.report("hm").await);
                Err(A2aError::refused("not_today", "not today"))
            }
            "endless" => {
                while updates.report(&"on and on ".repeat(100)).await {
                    tokio::task::yield_now().await;
                }
                Ok(Outcome::task(TaskState::Completed))
            }
            "flood" => {
                self.begun.notify_one();
                self.go.notified().await;
                for n in 0..200 {
                    assert!(updates.report(&format!("step {n}")).await);
                }
                Ok(done(message::text("flooded")))
            }
            "panic" => panic!("told to"),
            "refuse" => Err(A2aError::refused("not_today", "not today")),
            "huge" => Ok(done(message::text(&"x".repeat(2 * 1024 * 1024)))),
            "long" => Ok(done(message::text(&"y".repeat(20 * 1024)))),
            other => Ok(done(message::text(other))),
        }
    }
}

fn agent_card() -> Value {
    let draft = card::Draft {
        name: "Obedient".into(),
        description: "Does what it is told.".into(),
        version: "1.0.0".into(),
        skills: vec![card::Skill {
            id: "obey".into(),
            name: "Obey".into(),
            description: "Obeys.".into(),
            tags: vec!["test".into()],
        }],
        modes: vec!["text/plain".into()],
        extensions: vec!["urn:known".into()],
        extended: false,
    };
    card::own(&draft, &AGENT, &card::Places { http: vec![], peers: vec![*ALICE] })
}

/// A server with one obedient agent.
struct Node {
    server: Server,
    agent: Arc<Obedient>,
    clock: ManualClock,
    _folder: TempDir,
}

async fn node_with(gate: Arc<dyn Gate>, limits: Limits) -> Node {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(Timestamp::from_secs(1_795_000_000));
    let server = open(Store::memory(), folder.path(), gate, &clock, limits).await;
    let agent = Arc::new(Obedient::default());
    server.serve(*AGENT, agent_card(), Arc::clone(&agent) as Arc<dyn Executor>);
    Node { server, agent, clock, _folder: folder }
}

async fn node() -> Node {
    node_with(Arc::new(OpenGate), Limits::default()).await
}

async fn open(store: Store, folder: &Path, gate: Arc<dyn Gate>, clock: &ManualClock, limits: Limits) -> Server {
    Server::open(store, &folder.join("bodies"), gate, Arc::new(clock.clone()), limits).await.unwrap()
}

fn send(text: &str) -> Value {
    let params = json!({ "message": message::user("m-1", vec![message::text(text)]) });
    rpc::request(1, "SendMessage", params)
}

fn send_behind(text: &str) -> Value {
    let mut request = send(text);
    request["params"]["configuration"] = json!({ "returnImmediately": true });
    request
}

fn get(id: &str) -> Value {
    rpc::request(2, "GetTask", json!({ "id": id }))
}

fn cancel(id: &str) -> Value {
    rpc::request(3, "CancelTask", json!({ "id": id }))
}

impl Node {
    async fn ask(&self, caller: Caller, request: Value) -> Result<Value, A2aError> {
        rpc::result(self.server.call(caller, &AGENT, request).await)
    }

    async fn ask_kind(&self, caller: Caller, request: Value) -> Kind {
        self.ask(caller, request).await.unwrap_err().kind()
    }

    /// Waits until a task has left the agent's hands.
    async fn settled(&self, id: &str) -> Value {
        self.settled_of(id, alice()).await
    }

    async fn settled_of(&self, id: &str, caller: Caller) -> Value {
        let poll = async {
            loop {
                let task = self.ask(caller.clone(), get(id)).await.unwrap();
                if task["status"]["state"] != "TASK_STATE_WORKING" {
                    return task;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, poll).await.unwrap()
    }
}

async fn soon(notify: &Notify) {
    tokio::time::timeout(PATIENCE, notify.notified()).await.unwrap();
}

fn state(task: &Value) -> &str {
    task["status"]["state"].as_str().unwrap()
}
