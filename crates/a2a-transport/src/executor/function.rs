//! An agent from a closure.

use std::{fmt, pin::Pin};

use async_trait::async_trait;
use haggle_a2a::{A2aError, message, types::TaskState};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use crate::{Call, Executor, Outcome, Updates, id};

/// What a closure is asked.
#[derive(Debug, Clone)]
pub struct Input {
    call: Call,
    updates: Updates,
}

impl Input {
    /// The text of the message.
    ///
    /// # Errors
    /// [`Failure`] if it holds none; a task that fails with it tells the caller so.
    pub fn text(&self) -> Result<String, Failure> {
        let in_data = || message::data_of(&self.call.message)?.as_str().map(str::to_owned);
        message::text_of(&self.call.message)
            .or_else(in_data)
            .ok_or_else(|| Failure::new("send the input as a text part"))
    }

    /// The JSON of the message: its data part, or its text read as JSON.
    ///
    /// # Errors
    /// [`Failure`] if it holds neither.
    pub fn json(&self) -> Result<Value, Failure> {
        if let Some(data) = message::data_of(&self.call.message) {
            return Ok(data.clone());
        }
        let text = message::text_of(&self.call.message);
        text.and_then(|text| serde_json::from_str(&text).ok())
            .ok_or_else(|| Failure::new("send the input as a data part, or as JSON in a text part"))
    }

    /// The JSON of the message as a type.
    ///
    /// # Errors
    /// [`Failure`] naming the field that does not fit.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_value(self.json()?).map_err(|cause| Failure::new(format!("the input does not fit: {cause}")))
    }

    /// Everything about the call: who asks, which task, the raw message.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// Says how far the work is.
    pub fn updates(&self) -> &Updates {
        &self.updates
    }
}

/// What a closure answers: one part.
#[derive(Debug, Clone, PartialEq)]
pub struct Output(Value);

impl Output {
    /// A text.
    pub fn text(text: impl AsRef<str>) -> Self {
        Self(message::text(text.as_ref()))
    }

    /// Any JSON.
    pub fn json(data: Value) -> Self {
        Self(message::data(data))
    }

    /// A value of a type, as JSON.
    ///
    /// # Errors
    /// [`Failure`] if it has no JSON form.
    pub fn of<T: Serialize>(value: &T) -> Result<Self, Failure> {
        Ok(Self::json(serde_json::to_value(value)?))
    }
}

/// Why a piece of work failed, in words for the caller. Any error turns into one by `?`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(String);

impl Failure {
    /// In these words.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(cause: E) -> Self {
        Self(cause.to_string())
    }
}

type Working = Pin<Box<dyn Future<Output = Result<Output, Failure>> + Send>>;
type Work = Box<dyn Fn(Input) -> Working + Send + Sync>;

/// An agent from a closure: every message is one piece of work, its output one artifact.
pub struct FnExecutor {
    work: Work,
    as_message: bool,
}

impl fmt::Debug for FnExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FnExecutor").field("as_message", &self.as_message).finish_non_exhaustive()
    }
}

impl FnExecutor {
    /// An agent that answers with a task and its artifact.
    pub fn new<F, R>(work: F) -> Self
    where
        F: Fn(Input) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Output, Failure>> + Send + 'static,
    {
        Self { work: Box::new(move |input| Box::pin(work(input))), as_message: false }
    }

    /// Answers with plain messages instead of tasks: nothing is stored, so nothing can be asked for
    /// again. Work that failed is a failed task all the same.
    #[must_use]
    pub fn answering_with_messages(mut self) -> Self {
        self.as_message = true;
        self
    }
}

#[async_trait]
impl Executor for FnExecutor {
    async fn execute(&self, call: Call, updates: Updates) -> Result<Outcome, A2aError> {
        let output = (self.work)(Input { call, updates }).await;
        let id = id::random()?;
        Ok(match output {
            Ok(Output(part)) if self.as_message => Outcome::Message(message::agent(&id, vec![part])),
            Ok(Output(part)) => Outcome::Task {
                state: TaskState::Completed,
                artifacts: vec![json!({ "artifactId": id, "name": "output", "parts": [part] })],
                message: None,
                extra: Map::new(),
                resume: None,
            },
            Err(Failure(text)) => Outcome::Task {
                state: TaskState::Failed,
                artifacts: Vec::new(),
                message: Some(message::agent(&id, vec![message::text(&text)])),
                extra: Map::new(),
                resume: None,
            },
        })
    }
}
