//! An agent that somebody else's A2A 1.0 server runs: messages are passed on over HTTP, streams as streams.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::StreamExt as _;
use haggle_a2a::{A2aError, Kind, card::Fault, event, types::methods};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::{Call, Events, Executor, Outcome, Updates};
use backend::Backend;
use turn::Turn;

mod backend;
mod turn;

/// Longest cancellation.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(5);
/// Times that a broken stream is taken up again without an event in between.
const TRIES: u32 = 4;
/// The wait before a broken stream is taken up again, and before a task is looked at again; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest such wait.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Wraps the A2A server at a URL that **the operator has typed**: it may be on loopback. The card
/// found there may name no other host, and redirects are not followed.
///
/// A server whose card says that it streams is asked for streams, so that callers see its work as it goes.
#[derive(Debug)]
pub struct HttpExecutor {
    backend: Arc<Backend>,
}

impl HttpExecutor {
    /// Wraps the server at this URL (the card is expected below it, at
    /// `.well-known/agent-card.json`, unless the URL names a `.json` file itself).
    ///
    /// # Errors
    /// [`Kind::InvalidParams`] if it is no http or https URL.
    pub fn new(url: &str) -> Result<Self, A2aError> {
        Ok(Self { backend: Arc::new(Backend::new(url)?) })
    }

    /// The server's own card, to build the agent's card from ([`haggle_a2a::card::adopt`]). It is believed for five minutes.
    ///
    /// # Errors
    /// [`Kind::Unreachable`], or [`Kind::InvalidAgentResponse`] if there is no A2A 1.0 card with a
    /// JSON-RPC interface on the same host.
    pub async fn card(&self) -> Result<Arc<Value>, A2aError> {
        Ok(self.backend.known().await?.card)
    }

    /// The server's card as it is now, of at most 64 KiB, whether or not it can be used.
    ///
    /// # Errors
    /// [`Kind::Unreachable`], or [`Kind::InvalidAgentResponse`] if there is no JSON.
    pub async fn look(&self) -> Result<Value, A2aError> {
        self.backend.look().await
    }

    /// Where the card is.
    ///
    /// # Errors
    /// [`Kind::InvalidAgentResponse`] if the URL cannot be completed.
    pub fn card_url(&self) -> Result<String, A2aError> {
        self.backend.card_url().map(String::from)
    }

    /// Every reason why a card that was found here cannot be used.
    #[must_use]
    pub fn faults(&self, card: &Value) -> Vec<Fault> {
        self.backend.faults(card)
    }

    async fn whole(
        &self,
        params: Value,
        call: &Call,
        turn: &mut Turn,
        leave: &mut Leave,
        updates: &Updates,
    ) -> Result<Outcome, A2aError> {
        let result = self.backend.ask(methods::SEND_MESSAGE, params, Some(call), call.deadline).await?;
        match turn.take(result, updates).await? {
            Some(outcome) => Ok(outcome),
            // some servers answer at once, whatever they are asked
            None => {
                leave.task = turn.task().map(str::to_owned);
                self.watch(call, turn, updates).await
            }
        }
    }

    /// Looks at a task until it is the caller's turn; whoever called bounds the time.
    async fn watch(&self, call: &Call, turn: &mut Turn, updates: &Updates) -> Result<Outcome, A2aError> {
        let mut pause = FIRST_PAUSE;
        loop {
            let Some(id) = turn.task() else { return Err(backend::invalid("the agent's unfinished task has no id")) };
            let params = json!({ "id": id });
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            let task = self.backend.ask(methods::GET_TASK, params, Some(call), call.deadline).await?;
            if let Some(outcome) = turn.take(event::task(task), updates).await? {
                return Ok(outcome);
            }
        }
    }

    async fn follow(
        &self,
        mut events: Events,
        call: &Call,
        turn: &mut Turn,
        leave: &mut Leave,
        updates: &Updates,
    ) -> Result<Outcome, A2aError> {
        let mut broken = 0;
        loop {
            match events.next().await {
                Some(Ok(told)) => {
                    broken = 0;
                    let outcome = turn.take(told, updates).await?;
                    leave.task = turn.task().map(str::to_owned);
                    if let Some(outcome) = outcome {
                        return Ok(outcome);
                    }
                }
                Some(Err(error)) if error.kind() != Kind::ConnectionLost => return Err(error),
                Some(Err(_)) | None => {
                    let Some(id) = turn.task() else { return Err(A2aError::connection_lost()) };
                    let params = json!({ "id": id });
                    if broken >= TRIES {
                        return Err(A2aError::connection_lost());
                    }
                    tokio::time::sleep(FIRST_PAUSE * 2u32.pow(broken)).await;
                    broken += 1;
                    events = match self.backend.stream(methods::SUBSCRIBE_TO_TASK, params, call).await {
                        Ok(events) => events,
                        Err(error) if error.is_retryable() || error.kind() == Kind::ConnectionLost => {
                            futures::stream::empty().boxed()
                        }
                        // it has ended, or cannot be followed: it can still be read
                        Err(_) => return self.watch(call, turn, updates).await,
                    };
                }
            }
        }
    }
}

#[async_trait]
impl Executor for HttpExecutor {
    async fn execute(&self, call: Call, updates: Updates) -> Result<Outcome, A2aError> {
        let mut message = call.message.clone();
        if let Some(map) = message.as_object_mut() {
            // The backend knows its own task and context ids, not ours.
            for (key, pointer) in [("taskId", "/task"), ("contextId", "/context")] {
                let theirs = call.resume.as_ref().and_then(|resume| resume.pointer(pointer));
                match theirs {
                    Some(theirs) => map.insert(key.to_owned(), theirs.clone()),
                    None => map.remove(key),
                };
            }
        }
        let streams = self.backend.known().await?.streams();
        let params = json!({ "message": message, "configuration": { "returnImmediately": false } });
        let mut turn = Turn::of(&call);
        let mut leave = Leave { backend: Arc::clone(&self.backend), task: turn.task().map(str::to_owned) };
        let outcome = match streams {
            false => self.whole(params, &call, &mut turn, &mut leave, &updates).await,
            true => match self.backend.stream(methods::SEND_STREAMING_MESSAGE, params.clone(), &call).await {
                Ok(events) => self.follow(events, &call, &mut turn, &mut leave, &updates).await,
                // its card says too much
                Err(error) if matches!(error.kind(), Kind::UnsupportedOperation | Kind::MethodNotFound) => {
                    self.whole(params, &call, &mut turn, &mut leave, &updates).await
                }
                Err(error) => Err(error),
            },
        };
        leave.task = None;
        outcome
    }

    async fn cancelled(&self, resume: Option<Value>) {
        let Some(task) = resume.as_ref().and_then(|resume| resume.get("task")) else { return };
        cancel(&self.backend, task.clone()).await;
    }
}

async fn cancel(backend: &Backend, task: Value) {
    let params = json!({ "id": task });
    if let Err(error) = backend.ask(methods::CANCEL_TASK, params, None, CANCEL_TIMEOUT).await {
        tracing::debug!(error = %error, "the backend did not cancel its task: {error}");
    }
}

/// Cancels the server's task if nobody waits for it any more; disarmed by taking the task's id away.
struct Leave {
    backend: Arc<Backend>,
    task: Option<String>,
}

impl Drop for Leave {
    fn drop(&mut self) {
        if let (Some(task), Ok(runtime)) = (self.task.take(), Handle::try_current()) {
            let backend = Arc::clone(&self.backend);
            runtime.spawn(async move { cancel(&backend, Value::String(task)).await });
        }
    }
}
