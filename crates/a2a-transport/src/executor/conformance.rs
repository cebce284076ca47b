//! An agent that does what a conformance suite's message asks for by its name, so that a whole node can be tested from
//! outside: directly, through a gateway, or across other nodes.
//!
//! The behaviour is chosen by the beginning of the message's id, or of its first text. Whatever is not known is completed.

use std::time::Duration;

use async_trait::async_trait;
use haggle_a2a::{A2aError, message, types::TaskState};
use serde_json::{Map, Value, json};

use crate::{Call, Executor, Outcome, Updates, id};

/// How long the agent works where a suite wants to find it at work, and comes back to it.
const LONG: Duration = Duration::from_millis(4_500);
/// How long it works where a suite wants to cancel it.
const VERY_LONG: Duration = Duration::from_secs(30);
/// How long it works for a caller that means to cancel it, at the most.
const PATIENT: Duration = Duration::from_secs(600);

/// What it does. The first that fits counts, so longer beginnings stand before shorter ones.
const HABITS: [(&str, Habit); 23] = [
    ("tck-stream-artifact-chunked", Habit::Pieces),
    ("tck-stream-artifact-text", Habit::Show(Shown::Text)),
    ("tck-stream-artifact-file", Habit::Show(Shown::File)),
    ("tck-stream-ordering", Habit::Show(Shown::Text)),
    ("tck-stream-001", Habit::Show(Shown::Text)),
    ("tck-stream-003", Habit::Show(Shown::Text)),
    ("tck-stream-002", Habit::Complete),
    ("tck-artifact-file-url", Habit::Give(Shown::FileUrl)),
    ("tck-artifact-file", Habit::Give(Shown::File)),
    ("tck-artifact-data", Habit::Give(Shown::Data)),
    ("tck-artifact-text", Habit::Give(Shown::Text)),
    ("tck-complete-task", Habit::Complete),
    ("tck-message-response", Habit::Message),
    ("tck-input-required", Habit::Ask),
    ("tck-multi-turn", Habit::Ask),
    ("tck-auth-required", Habit::AskWho),
    ("tck-reject-task", Habit::Reject),
    ("tck-fail-task", Habit::Fail),
    ("tck-long-running", Habit::Work(LONG)),
    ("test-resubscribe-message-id", Habit::Work(LONG)),
    ("tck-cancel", Habit::Work(VERY_LONG)),
    ("message: ", Habit::Repeat),
    ("wait: ", Habit::Work(PATIENT)),
];

#[derive(Debug, Clone, Copy)]
enum Habit {
    Complete,
    Give(Shown),
    Show(Shown),
    Pieces,
    Message,
    Repeat,
    Ask,
    AskWho,
    Reject,
    Fail,
    Work(Duration),
}

#[derive(Debug, Clone, Copy)]
enum Shown {
    Text,
    File,
    FileUrl,
    Data,
}

/// The conformance agent. It keeps nothing and costs nothing; no node serves it unless its operator adds it.
#[derive(Debug, Clone, Copy, Default)]
pub struct ConformanceExecutor;

#[async_trait]
impl Executor for ConformanceExecutor {
    async fn execute(&self, call: Call, updates: Updates) -> Result<Outcome, A2aError> {
        match habit(&call.message) {
            Habit::Complete => ended(TaskState::Completed, "Hello from TCK"),
            Habit::Give(shown) => Ok(with_artifact(artifact(&id::random()?, part(shown)))),
            Habit::Show(shown) => {
                // If the task has ended meanwhile, its end is not this one's any more.
                let _still_open = updates.report("working").await;
                let _still_open = updates.artifact(artifact(&id::random()?, part(shown))).await;
                Ok(Outcome::task(TaskState::Completed))
            }
            Habit::Pieces => {
                let artifact_id = id::random()?;
                let _still_open = updates.report("working").await;
                for (text, last) in [("first chunk", false), ("second chunk", true)] {
                    let _still_open = updates.piece(artifact(&artifact_id, message::text(text)), last).await;
                }
                Ok(Outcome::task(TaskState::Completed))
            }
            Habit::Message => {
                Ok(Outcome::Message(message::agent(&id::random()?, vec![message::text("Direct message response")])))
            }
            Habit::Repeat => {
                let text = message::text_of(&call.message).unwrap_or_default();
                Ok(Outcome::Message(message::agent(&id::random()?, vec![message::text(&text)])))
            }
            // an answer whose own id asks for more is asked again
            Habit::Ask if call.resume.is_some() && by_id(&call.message).is_none() => {
                ended(TaskState::Completed, "Thank you")
            }
            Habit::Ask => asked(TaskState::InputRequired, "What else?"),
            Habit::AskWho => asked(TaskState::AuthRequired, "Who are you?"),
            Habit::Reject => ended(TaskState::Rejected, "rejected, as asked"),
            Habit::Fail => ended(TaskState::Failed, "failed, as asked"),
            Habit::Work(long) => {
                let _still_open = updates.report("working").await;
                tokio::time::sleep(long).await;
                ended(TaskState::Completed, "done")
            }
        }
    }
}

fn habit(message: &Value) -> Habit {
    let text = message::text_of(message).unwrap_or_default();
    by_id(message).or_else(|| named(&text)).unwrap_or(Habit::Complete)
}

fn by_id(message: &Value) -> Option<Habit> {
    named(message.get("messageId").and_then(Value::as_str).unwrap_or_default())
}

fn named(text: &str) -> Option<Habit> {
    HABITS.iter().find(|(begins, _)| text.starts_with(begins)).map(|(_, habit)| *habit)
}

fn part(shown: Shown) -> Value {
    match shown {
        Shown::Text => message::text("Generated text content"),
        Shown::File => json!({ "raw": "R2VuZXJhdGVkIGZpbGU=", "filename": "output.txt", "mediaType": "text/plain" }),
        Shown::FileUrl => {
            json!({ "url": "https://example.com/output.txt", "filename": "output.txt", "mediaType": "text/plain" })
        }
        Shown::Data => json!({ "data": { "key": "value", "count": 42 } }),
    }
}

fn artifact(id: &str, part: Value) -> Value {
    message::object([("artifactId", id.into()), ("parts", vec![part].into())])
}

fn with_artifact(artifact: Value) -> Outcome {
    Outcome::Task {
        state: TaskState::Completed,
        artifacts: vec![artifact],
        message: None,
        extra: Map::new(),
        resume: None,
    }
}

fn ended(state: TaskState, text: &str) -> Result<Outcome, A2aError> {
    let message = Some(message::agent(&id::random()?, vec![message::text(text)]));
    Ok(Outcome::Task { state, artifacts: Vec::new(), message, extra: Map::new(), resume: None })
}

fn asked(state: TaskState, text: &str) -> Result<Outcome, A2aError> {
    let message = Some(message::agent(&id::random()?, vec![message::text(text)]));
    let resume = Some(json!({ "asked": text }));
    Ok(Outcome::Task { state, artifacts: Vec::new(), message, extra: Map::new(), resume })
}
