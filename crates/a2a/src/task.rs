//! The task machine: what a task is, and which steps it may take.
//!
//! ```text
//! SUBMITTED -> WORKING -> COMPLETED | FAILED | CANCELED | REJECTED      (terminal: nothing follows)
//!                 ^  \--> INPUT_REQUIRED | AUTH_REQUIRED -> WORKING     (interrupted: the caller's turn)
//! ```

use haggle_base::Timestamp;
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value, json};

use crate::{message, types::TaskState};

#[cfg(test)]
mod tests;

/// Most messages kept in a task's history; the oldest go first.
pub const MAX_HISTORY: usize = 256;
/// Most artifacts of one task.
pub const MAX_ARTIFACTS: usize = 256;
/// Most parts of one artifact that comes in pieces.
pub const MAX_PIECES: usize = 4096;
const FIELDS: [&str; 5] = ["id", "contextId", "status", "artifacts", "history"];

/// What one command did to a task.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Step {
    /// The state changed.
    Moved {
        /// Before.
        from: TaskState,
        /// Now.
        to: TaskState,
    },
    /// The state stayed, something else changed.
    Updated,
    /// The task had ended; nothing changed.
    AlreadyEnded(TaskState),
    /// No such step from here; nothing changed.
    Illegal {
        /// The state it is in.
        from: TaskState,
        /// The state that was asked for.
        to: TaskState,
    },
    /// A bound of the task is reached; nothing changed.
    Full,
}

impl Step {
    /// True if the task is different now.
    pub fn changed(&self) -> bool {
        matches!(self, Self::Moved { .. } | Self::Updated)
    }
}

/// How a piece of work came out.
#[derive(Debug, Clone, PartialEq)]
pub struct Finish {
    /// A terminal or an interrupted state.
    pub state: TaskState,
    /// The closing status message.
    pub message: Option<Value>,
    /// Artifacts to add; the same `artifactId` replaces.
    pub artifacts: Vec<Value>,
    /// Other fields of the task (`metadata`, and what newer versions know), set verbatim.
    pub extra: Map<String, Value>,
}

impl Finish {
    /// Ends in this state with nothing to say.
    pub fn in_state(state: TaskState) -> Self {
        Self { state, message: None, artifacts: Vec::new(), extra: Map::new() }
    }
}

/// One task. Messages, artifacts and unknown fields are kept as raw JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    id: String,
    context: String,
    state: TaskState,
    message: Option<Value>,
    changed: Timestamp,
    artifacts: Vec<Value>,
    history: Vec<Value>,
    extra: Map<String, Value>,
}

/// True for a state in which the task waits for its caller.
pub fn is_interrupted(state: &TaskState) -> bool {
    matches!(state, TaskState::InputRequired | TaskState::AuthRequired)
}

/// True if a task may go from one state straight to the other.
pub fn is_legal(from: &TaskState, to: &TaskState) -> bool {
    match from {
        TaskState::Submitted | TaskState::Working => !matches!(to, TaskState::Unspecified | TaskState::Submitted),
        TaskState::InputRequired | TaskState::AuthRequired => {
            matches!(to, TaskState::Working | TaskState::Failed | TaskState::Canceled | TaskState::Rejected)
        }
        TaskState::Completed
        | TaskState::Failed
        | TaskState::Canceled
        | TaskState::Rejected
        | TaskState::Unspecified => false,
    }
}

impl Task {
    /// A new task for this message. The id is the server's choice, the context the caller's if it
    /// named one.
    pub fn submitted(id: String, context: String, message: Value, now: Timestamp) -> Self {
        let mut task = Self {
            id,
            context,
            state: TaskState::Submitted,
            message: None,
            changed: now,
            artifacts: Vec::new(),
            history: Vec::new(),
            extra: Map::new(),
        };
        task.remember(message);
        task
    }

    /// The task's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The context (conversation) it belongs to.
    pub fn context(&self) -> &str {
        &self.context
    }

    /// The state it is in.
    pub fn state(&self) -> &TaskState {
        &self.state
    }

    /// When the state last changed.
    pub fn changed(&self) -> Timestamp {
        self.changed
    }

    /// The agent takes it up.
    ///
    /// # State transition
    /// SUBMITTED -> WORKING.
    pub fn begin(&mut self, now: Timestamp) -> Step {
        if self.state == TaskState::Working {
            return Step::Illegal { from: TaskState::Working, to: TaskState::Working };
        }
        if is_interrupted(&self.state) {
            return Step::Illegal { from: self.state.clone(), to: TaskState::Working };
        }
        self.enter(TaskState::Working, None, now)
    }

    /// The caller answers an interrupted task.
    ///
    /// # State transition
    /// INPUT_REQUIRED | AUTH_REQUIRED -> WORKING; what the agent asked and the answer join the history.
    pub fn resume(&mut self, message: Value, now: Timestamp) -> Step {
        if !is_interrupted(&self.state) && !self.state.is_terminal() {
            return Step::Illegal { from: self.state.clone(), to: TaskState::Working };
        }
        let asked = self.message.clone();
        let step = self.enter(TaskState::Working, None, now);
        if step.changed() {
            if let Some(asked) = asked {
                self.remember(asked);
            }
            self.remember(message);
        }
        step
    }

    /// The agent says how it goes.
    ///
    /// # State transition
    /// SUBMITTED | WORKING -> WORKING.
    pub fn report(&mut self, message: Value, now: Timestamp) -> Step {
        if is_interrupted(&self.state) {
            return Step::Illegal { from: self.state.clone(), to: TaskState::Working };
        }
        self.enter(TaskState::Working, Some(message), now)
    }

    /// Adds an artifact, or replaces the one with the same `artifactId`, while the agent works.
    pub fn artifact(&mut self, artifact: Value) -> Step {
        if self.state.is_terminal() {
            return Step::AlreadyEnded(self.state.clone());
        }
        let id = artifact.get("artifactId").filter(|id| !id.is_null());
        let same = self.artifacts.iter().position(|held| id.is_some() && held.get("artifactId") == id);
        match same {
            Some(at) => self.artifacts[at] = artifact,
            None if self.artifacts.len() >= MAX_ARTIFACTS => return Step::Full,
            None => self.artifacts.push(artifact),
        }
        Step::Updated
    }

    /// Adds a piece to the artifact with the same `artifactId`: its parts follow those before. The first piece makes the
    /// artifact.
    pub fn append(&mut self, mut piece: Value) -> Step {
        if self.state.is_terminal() {
            return Step::AlreadyEnded(self.state.clone());
        }
        let id = piece.get("artifactId").filter(|id| !id.is_null()).cloned();
        let same = self.artifacts.iter_mut().find(|held| id.is_some() && held.get("artifactId") == id.as_ref());
        let Some(held) = same else { return self.artifact(piece) };
        let more = match piece.get_mut("parts").map(Value::take) {
            Some(Value::Array(more)) => more,
            _ => Vec::new(),
        };
        match held.get_mut("parts").and_then(Value::as_array_mut) {
            Some(parts) if parts.len() + more.len() <= MAX_PIECES => parts.extend(more),
            _ => return Step::Full,
        }
        Step::Updated
    }

    /// The agent ends its turn.
    ///
    /// # State transition
    /// SUBMITTED | WORKING -> any terminal or interrupted state.
    pub fn finish(&mut self, finish: Finish, now: Timestamp) -> Step {
        if finish.state == TaskState::Working || is_interrupted(&self.state) {
            return Step::Illegal { from: self.state.clone(), to: finish.state };
        }
        if self.artifacts.len() + finish.artifacts.len() > MAX_ARTIFACTS {
            return Step::Full;
        }
        let step = self.enter(finish.state, finish.message, now);
        if step.changed() {
            for artifact in finish.artifacts {
                let same = artifact.get("artifactId");
                self.artifacts.retain(|held| same.is_none() || held.get("artifactId") != same);
                self.artifacts.push(artifact);
            }
            self.extra.extend(finish.extra.into_iter().filter(|(key, _)| !FIELDS.contains(&key.as_str())));
        }
        step
    }

    /// Somebody gives it up: the caller by `CancelTask`, or the server after a restart (as FAILED).
    ///
    /// # State transition
    /// anything not terminal -> CANCELED or FAILED.
    pub fn abandon(&mut self, state: TaskState, message: Option<Value>, now: Timestamp) -> Step {
        if !matches!(state, TaskState::Canceled | TaskState::Failed) {
            return Step::Illegal { from: self.state.clone(), to: state };
        }
        self.enter(state, message, now)
    }

    fn enter(&mut self, to: TaskState, message: Option<Value>, now: Timestamp) -> Step {
        if self.state.is_terminal() {
            return Step::AlreadyEnded(self.state.clone());
        }
        if !is_legal(&self.state, &to) {
            return Step::Illegal { from: self.state.clone(), to };
        }
        let from = std::mem::replace(&mut self.state, to.clone());
        self.message = message.map(|message| self.own(message));
        self.changed = now;
        if from == to { Step::Updated } else { Step::Moved { from, to } }
    }

    fn remember(&mut self, message: Value) {
        let message = self.own(message::standard(message));
        if self.history.len() >= MAX_HISTORY {
            self.history.remove(0);
        }
        self.history.push(message);
    }

    /// Writes this task's ids into a message.
    fn own(&self, mut message: Value) -> Value {
        if let Some(map) = message.as_object_mut() {
            map.insert("taskId".to_owned(), json!(self.id));
            map.insert("contextId".to_owned(), json!(self.context));
        }
        message
    }

    /// The status as A2A JSON.
    pub fn status_json(&self) -> Value {
        let mut status = json!({ "state": self.state, "timestamp": self.changed.to_rfc3339() });
        if let (Some(message), Some(map)) = (&self.message, status.as_object_mut()) {
            map.insert("message".to_owned(), message.clone());
        }
        status
    }

    /// Adds fields to the metadata of the status message; one with these words is made if there is none.
    pub fn note(&mut self, metadata: &Map<String, Value>, words: &str) {
        let message = match self.message.take() {
            Some(message) if message.is_object() => message,
            _ => self.own(message::agent(&format!("{}-note", self.id), vec![message::text(words)])),
        };
        let message = self.message.insert(message);
        if let Some(map) = message.as_object_mut() {
            let said = map.entry("metadata").or_insert_with(|| json!({}));
            if !said.is_object() {
                *said = json!({});
            }
            if let Some(said) = said.as_object_mut() {
                said.extend(metadata.clone());
            }
        }
    }

    /// The agent's last message in the history: what it asked when it waited for its caller.
    pub fn last_asked(&self) -> Option<&Value> {
        let is_agents = |message: &&Value| message.get("role").and_then(Value::as_str) == Some("ROLE_AGENT");
        self.history.iter().rev().find(is_agents)
    }

    /// The artifacts so far.
    pub fn artifacts(&self) -> &[Value] {
        &self.artifacts
    }

    /// The task as A2A JSON, with the last `history` messages (`None`: all of them, 0: no field).
    pub fn to_json(&self, history: Option<usize>) -> Value {
        let mut task = self.extra.clone();
        task.insert("id".to_owned(), json!(self.id));
        task.insert("contextId".to_owned(), json!(self.context));
        task.insert("status".to_owned(), self.status_json());
        if !self.artifacts.is_empty() {
            task.insert("artifacts".to_owned(), Value::Array(self.artifacts.clone()));
        }
        let skip = history.map_or(0, |keep| self.history.len().saturating_sub(keep));
        let kept = self.history.get(skip..).unwrap_or_default();
        if !kept.is_empty() {
            task.insert("history".to_owned(), Value::Array(kept.to_vec()));
        }
        Value::Object(task)
    }

    /// Reads a task that this room wrote, by [`Task::to_json`] or serde; `changed` is kept beside it by whoever stored it.
    /// `None` if it is no task.
    pub fn from_json(task: Value, changed: Timestamp) -> Option<Self> {
        let Value::Object(mut extra) = task else { return None };
        let id = extra.remove("id")?.as_str()?.to_owned();
        let context = extra.remove("contextId")?.as_str()?.to_owned();
        let mut status = extra.remove("status")?;
        let state = serde_json::from_value(status.get("state")?.clone()).ok()?;
        let message = status.as_object_mut()?.remove("message");
        let list = |value: Option<Value>| match value {
            Some(Value::Array(list)) => list,
            _ => Vec::new(),
        };
        let artifacts = list(extra.remove("artifacts"));
        let history = list(extra.remove("history"));
        Some(Self { id, context, state, message, changed, artifacts, history, extra })
    }

    /// Drops the history, for an answer that would be over the body limit.
    pub fn forget_history(&mut self) {
        self.history.clear();
    }

    /// Drops the artifacts, for an answer that shall not hold them.
    pub fn forget_artifacts(&mut self) {
        self.artifacts.clear();
    }

    /// Drops the fields that the agent added, for a task that would be over the body limit.
    pub fn forget_extra(&mut self) {
        self.extra.clear();
    }
}

/// As [`Task::to_json`] with the whole history, without building it.
impl Serialize for Task {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut task = serializer.serialize_map(None)?;
        for (name, value) in self.extra.iter().filter(|(name, _)| !FIELDS.contains(&name.as_str())) {
            task.serialize_entry(name, value)?;
        }
        task.serialize_entry("id", &self.id)?;
        task.serialize_entry("contextId", &self.context)?;
        let (state, timestamp, message) = (&self.state, self.changed.to_rfc3339(), self.message.as_ref());
        task.serialize_entry("status", &Status { state, timestamp, message })?;
        if !self.artifacts.is_empty() {
            task.serialize_entry("artifacts", &self.artifacts)?;
        }
        if !self.history.is_empty() {
            task.serialize_entry("history", &self.history)?;
        }
        task.end()
    }
}

#[derive(Serialize)]
struct Status<'a> {
    state: &'a TaskState,
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a Value>,
}
