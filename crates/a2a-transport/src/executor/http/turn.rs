//! One turn of a wrapped agent: its answer, or its events put together until it does no more.

use haggle_a2a::{
    A2aError, Task, message,
    task::{Step, is_interrupted},
    types::TaskState,
};
use haggle_base::Timestamp;
use serde_json::{Map, Value, json};

use super::backend::invalid;
use crate::{Call, Outcome, Updates};

/// Most artifacts of one turn: half of a task's, as the end of the turn names them once more.
const MAX_ARTIFACTS: usize = 128;
/// Fields of a task that this node sets itself.
const OURS: [&str; 5] = ["id", "contextId", "status", "artifacts", "history"];

/// What the turn has brought so far.
pub(super) struct Turn {
    /// Puts artifacts together by the same rules as the task that they are shown in.
    held: Task,
    /// Artifacts of earlier turns, as the server's task has them: ours knows them.
    earlier: Vec<Value>,
    goes_on: bool,
    task: Option<String>,
    context: Value,
    extra: Map<String, Value>,
}

impl Turn {
    pub(super) fn of(call: &Call) -> Self {
        let held = Task::submitted(
            call.task_id.clone(),
            call.context_id.clone(),
            call.message.clone(),
            Timestamp::from_secs(0),
        );
        let named = |pointer: &str| call.resume.as_ref().and_then(|resume| resume.pointer(pointer)).cloned();
        Self {
            held,
            earlier: Vec::new(),
            goes_on: call.resume.is_some(),
            task: named("/task").and_then(|id| id.as_str().map(str::to_owned)),
            context: named("/context").unwrap_or_default(),
            extra: Map::new(),
        }
    }

    /// The server's id of the task, once it is known.
    pub(super) fn task(&self) -> Option<&str> {
        self.task.as_deref()
    }

    /// Takes in a result or an event; the outcome, if the turn is over with it.
    pub(super) async fn take(&mut self, event: Value, updates: &Updates) -> Result<Option<Outcome>, A2aError> {
        let Value::Object(mut event) = event else {
            return Err(invalid("the agent's result is no object"));
        };
        event.retain(|_, value| !value.is_null());
        let known = ["task", "message", "statusUpdate", "artifactUpdate"];
        let mut found = known.into_iter().filter_map(|kind| Some((kind, event.remove(kind)?)));
        match (found.next(), found.next()) {
            (Some(("message", reply)), None) => said(reply).map(Some),
            (Some(("task", Value::Object(task))), None) => self.see_task(task, updates).await,
            (Some(("statusUpdate", update)), None) => {
                self.name(update.get("taskId"), update.get("contextId"));
                let status = update.get("status").cloned().unwrap_or_default();
                self.see_status(&status, updates).await
            }
            (Some(("artifactUpdate", mut update)), None) => {
                self.name(update.get("taskId"), update.get("contextId"));
                let artifact = update.get_mut("artifact").map(Value::take).unwrap_or_default();
                let flag = |name: &str| update.get(name) == Some(&Value::Bool(true));
                self.see_artifact(artifact, flag("append"), flag("lastChunk"), updates).await?;
                Ok(None)
            }
            _ => Err(invalid("the agent's result holds neither a task nor a message, nor an update of one")),
        }
    }

    fn name(&mut self, task: Option<&Value>, context: Option<&Value>) {
        if let Some(Value::String(id)) = task {
            self.task = Some(id.clone());
        }
        if let Some(context @ Value::String(_)) = context {
            self.context = context.clone();
        }
    }

    async fn see_task(&mut self, mut task: Map<String, Value>, updates: &Updates) -> Result<Option<Outcome>, A2aError> {
        self.name(task.get("id"), task.get("contextId"));
        let artifacts = match task.remove("artifacts") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(artifacts)) => artifacts,
            Some(_) => return Err(invalid("the agent's artifacts are no list")),
        };
        let status = task.remove("status").unwrap_or_default();
        self.extra = task.into_iter().filter(|(key, _)| !OURS.contains(&key.as_str())).collect();
        let ends = ends(&status)?;
        for artifact in artifacts {
            check_parts(&artifact)?;
            if self.held.artifacts().contains(&artifact) {
                continue;
            }
            let id = artifact.get("artifactId").cloned();
            let is_held = self.held.artifacts().iter().any(|held| held.get("artifactId") == id.as_ref());
            if self.goes_on && !is_held {
                self.earlier.retain(|held| held.get("artifactId") != id.as_ref());
                self.earlier.push(artifact);
            } else if ends {
                // it is shown with the end
                self.hold(artifact, false)?;
            } else {
                self.see_artifact(artifact, false, true, updates).await?;
            }
        }
        self.see_status(&status, updates).await
    }

    async fn see_status(&mut self, status: &Value, updates: &Updates) -> Result<Option<Outcome>, A2aError> {
        let state = state(status)?;
        let said = status.get("message").filter(|said| !said.is_null()).cloned();
        if let Some(said) = &said {
            check_parts(said)?;
        }
        if !state.is_terminal() && !is_interrupted(&state) {
            if let Some(text) = said.as_ref().and_then(message::text_of) {
                // a task that has ended meanwhile ends this call too
                let _still_open = updates.report(&text).await;
            }
            return Ok(None);
        }
        let mut artifacts = std::mem::take(&mut self.earlier);
        artifacts.retain(|earlier| {
            self.held.artifacts().iter().all(|held| held.get("artifactId") != earlier.get("artifactId"))
        });
        artifacts.extend(self.held.artifacts().iter().cloned());
        let resume = is_interrupted(&state).then(|| json!({ "task": self.task, "context": self.context }));
        Ok(Some(Outcome::Task { state, artifacts, message: said, extra: std::mem::take(&mut self.extra), resume }))
    }

    async fn see_artifact(
        &mut self,
        artifact: Value,
        append: bool,
        last: bool,
        updates: &Updates,
    ) -> Result<(), A2aError> {
        check_parts(&artifact)?;
        let id = artifact.get("artifactId").cloned();
        if let Some(at) = self.earlier.iter().position(|held| held.get("artifactId") == id.as_ref()) {
            let held = self.earlier.swap_remove(at);
            self.hold(held, false)?;
        }
        let is_held = self.held.artifacts().iter().any(|held| held.get("artifactId") == id.as_ref());
        let is_piece = append || (!last && !is_held);
        self.hold(artifact.clone(), append)?;
        let _still_open = match is_piece {
            true => updates.piece(artifact, last).await,
            false => updates.artifact(artifact).await,
        };
        Ok(())
    }

    fn hold(&mut self, artifact: Value, append: bool) -> Result<(), A2aError> {
        let step = if append { self.held.append(artifact) } else { self.held.artifact(artifact) };
        if step == Step::Full || self.held.artifacts().len() > MAX_ARTIFACTS {
            return Err(invalid("the agent's task has too many artifacts, or too many pieces of one"));
        }
        Ok(())
    }
}

fn said(mut reply: Value) -> Result<Outcome, A2aError> {
    check_parts(&reply)?;
    if let Some(map) = reply.as_object_mut() {
        map.remove("taskId");
        map.remove("contextId");
    }
    Ok(Outcome::Message(reply))
}

fn state(status: &Value) -> Result<TaskState, A2aError> {
    let state = status.get("state").and_then(|state| serde_json::from_value(state.clone()).ok());
    state.ok_or_else(|| invalid("the agent's task has no known state"))
}

fn ends(status: &Value) -> Result<bool, A2aError> {
    state(status).map(|state| state.is_terminal() || is_interrupted(&state))
}

fn check_parts(holder: &Value) -> Result<(), A2aError> {
    let parts = holder.get("parts").and_then(Value::as_array);
    let good =
        parts.is_some_and(|parts| !parts.is_empty() && parts.iter().all(|part| message::check_part(part).is_ok()));
    if good { Ok(()) } else { Err(invalid("the agent answered without valid parts")) }
}
