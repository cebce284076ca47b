//! What a stream carries: one `StreamResponse` each (A2A section 4.2).
//!
//! A stream begins with the task (or is a single message and nothing else), goes on with status and artifact updates,
//! and is over when it is closed: there is no "final" mark on the wire.

use serde_json::{Value, json};

use crate::{Task, message::object, task::is_interrupted, types::TaskState};

/// The whole task.
pub fn task(task: Value) -> Value {
    object([("task", task)])
}

/// A message; nothing follows it.
pub fn message(message: Value) -> Value {
    object([("message", message)])
}

/// The task's status as it is now.
pub fn status(task: &Task) -> Value {
    let update =
        object([("taskId", task.id().into()), ("contextId", task.context().into()), ("status", task.status_json())]);
    object([("statusUpdate", update)])
}

/// An artifact, or a piece of one: `append` adds its parts to those before, `last` says that no more follow.
pub fn artifact(task: &Task, artifact: Value, append: bool, last: bool) -> Value {
    let mut update =
        object([("taskId", task.id().into()), ("contextId", task.context().into()), ("artifact", artifact)]);
    if let Some(map) = update.as_object_mut() {
        // false is not written, as ProtoJSON has it
        for (name, flag) in [("append", append), ("lastChunk", last)] {
            if flag {
                map.insert(name.to_owned(), json!(true));
            }
        }
    }
    object([("artifactUpdate", update)])
}

/// The state that a status update, or a task, tells; `None` for other events.
pub fn state(event: &Value) -> Option<TaskState> {
    let told = event.pointer("/statusUpdate/status/state").or_else(|| event.pointer("/task/status/state"))?;
    serde_json::from_value(told.clone()).ok()
}

/// Whether the stream is over after this event: a message, or a state in which the agent does no more by itself.
pub fn ends_stream(event: &Value) -> bool {
    event.get("message").is_some() || state(event).is_some_and(|state| state.is_terminal() || is_interrupted(&state))
}

#[cfg(test)]
mod tests {
    use haggle_base::Timestamp;

    use super::*;
    use crate::task::Finish;

    fn working() -> Task {
        let asked = json!({"messageId":"m","role":"ROLE_USER","parts":[{"text":"hi"}]});
        let mut task = Task::submitted("t-1".to_owned(), "c-1".to_owned(), asked, Timestamp::from_secs(1));
        assert!(task.begin(Timestamp::from_secs(2)).changed());
        task
    }

    #[test]
    fn updates_carry_both_ids_and_no_default_flags() {
        let update = artifact(&working(), json!({"artifactId":"a","parts":[{"text":"x"}]}), false, true);
        let golden = r#"{"artifactUpdate":{"taskId":"t-1","contextId":"c-1","artifact":{"artifactId":"a","parts":[{"text":"x"}]},"lastChunk":true}}"#;
        assert_eq!(update, serde_json::from_str::<Value>(golden).unwrap());
        assert_eq!(
            status(&working()),
            json!({"statusUpdate":{"taskId":"t-1","contextId":"c-1","status":{
                "state":"TASK_STATE_WORKING","timestamp":"1970-01-01T00:00:02.000Z"}}})
        );
    }

    #[test]
    fn a_stream_is_over_when_the_agent_does_no_more() {
        let mut done = working();
        assert!(!ends_stream(&status(&done)));
        assert!(!ends_stream(&artifact(&done, json!({}), true, true)));
        assert!(done.finish(Finish::in_state(TaskState::InputRequired), Timestamp::from_secs(3)).changed());
        assert!(ends_stream(&status(&done)));
        assert!(ends_stream(&task(done.to_json(None))));
        assert!(ends_stream(&message(json!({}))));
    }
}
