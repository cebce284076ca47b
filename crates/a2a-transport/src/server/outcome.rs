//! What an agent's outcome makes of its task.

use haggle_a2a::{A2aError, Kind, Task, task::Finish, types::TaskState};
use serde_json::{Map, Value, json};

use super::tasks::fits;
use crate::{Outcome, id};

pub(super) fn failed(text: &str) -> Outcome {
    Outcome::Task {
        state: TaskState::Failed,
        artifacts: Vec::new(),
        message: Some(json!({ "role": "ROLE_AGENT", "parts": [{ "text": text }] })),
        extra: Map::new(),
        resume: None,
    }
}

/// A bare message, where a task has to be shown, is the closing word of a completed task.
pub(super) fn as_task(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Message(message) => Outcome::Task {
            state: TaskState::Completed,
            artifacts: Vec::new(),
            message: Some(message),
            extra: Map::new(),
            resume: None,
        },
        task @ Outcome::Task { .. } => task,
    }
}

pub(super) fn finish_of(outcome: Outcome) -> (Finish, Option<Value>) {
    match outcome {
        Outcome::Task { state, artifacts, message, extra, resume } => {
            let message = message.map(with_id);
            (Finish { state, message, artifacts, extra }, resume)
        }
        Outcome::Message(message) => {
            let done = Finish { message: Some(with_id(message)), ..Finish::in_state(TaskState::Completed) };
            (done, None)
        }
    }
}

fn with_id(mut message: Value) -> Value {
    if let (Some(map), Ok(id)) = (message.as_object_mut(), id::random()) {
        map.entry("messageId").or_insert(Value::String(id));
    }
    message
}

/// Fails a task. It keeps what the agent has shown, as far as that fits an answer.
pub(super) fn fail(task: &mut Task, text: &str, now: haggle_base::Timestamp) {
    let step = task.abandon(TaskState::Failed, Some(apology(text)), now);
    debug_assert!(step.changed(), "only open tasks are failed");
    for forget in [Task::forget_artifacts, Task::forget_extra] {
        if fits(&task.to_json(Some(0))) {
            return;
        }
        forget(task);
    }
}

pub(super) fn bounded(result: Value) -> Result<Value, A2aError> {
    if !fits(&result) {
        return Err(A2aError::new(Kind::InvalidAgentResponse, "the agent's answer is over 1 MiB"));
    }
    Ok(result)
}

pub(super) fn apology(text: &str) -> Value {
    with_id(json!({ "role": "ROLE_AGENT", "parts": [{ "text": text }] }))
}
