//! A stream of events from another node, taken up again where it breaks.

use std::time::Duration;

use futures::StreamExt as _;
use haggle_a2a::{A2aError, Kind, ServiceParams, event, rpc, types::methods};
use haggle_base::{Did, PeerId};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Client, connection::Answers};
use crate::Events;

/// Times a stream is taken up again in a row.
const TRIES: u32 = 5;

struct Following {
    client: Client,
    peer: PeerId,
    agent: Did,
    params: ServiceParams,
    deadline: Duration,
    answers: Option<Answers>,
    /// The task that the stream is about, once it has said so.
    task: Option<String>,
    first: Option<Value>,
    /// When the stream that is open was opened.
    opened: Instant,
    /// Times in a row that the stream broke soon after it was opened, or could not be opened.
    tries: u32,
    /// The caller asked to follow the task, also while it waits for an answer.
    follows_on: bool,
    over: bool,
}

pub(super) async fn open(
    client: Client,
    peer: PeerId,
    agent: Did,
    request: Value,
    params: ServiceParams,
    deadline: Duration,
) -> Result<Events, A2aError> {
    let answers = client.open(&peer, &agent, &request, params.clone(), deadline).await?;
    let task = request.pointer("/params/message/taskId").or_else(|| request.pointer("/params/id"));
    let task = task.and_then(Value::as_str).filter(|id| !id.is_empty()).map(str::to_owned);
    let follows_on = request.get("method").and_then(Value::as_str) == Some(methods::SUBSCRIBE_TO_TASK);
    let answers = Some(answers);
    let (first, opened, tries, over) = (None, Instant::now(), 0, false);
    let mut following =
        Following { client, peer, agent, params, deadline, answers, task, first, opened, tries, follows_on, over };
    let first = following.heard_first().await?;
    following.first = Some(first);
    let events = futures::stream::unfold(following, |mut following| async move {
        let next = following.next().await?;
        Some((next, following))
    });
    Ok(events.boxed())
}

impl Following {
    /// The first event, or the error that came instead of a stream.
    async fn heard_first(&mut self) -> Result<Value, A2aError> {
        let heard = tokio::time::timeout(self.deadline, self.hear()).await;
        match heard {
            Ok(Some(event)) => event,
            Ok(None) => Err(A2aError::connection_lost()),
            Err(_) => Err(A2aError::new(Kind::DeadlineExceeded, "no answer in time: unknown whether processed")),
        }
    }

    async fn next(&mut self) -> Option<Result<Value, A2aError>> {
        if self.over {
            return None;
        }
        let next = match self.first.take() {
            Some(first) => Ok(first),
            None => match self.hear().await {
                Some(Err(error)) if error.kind() != Kind::ConnectionLost => Err(error),
                Some(Ok(event)) => Ok(event),
                Some(Err(_)) | None => self.resume().await,
            },
        };
        self.over = match &next {
            Ok(told) if self.follows_on && told.get("task").is_some() => {
                event::state(told).is_some_and(|state| state.is_terminal())
            }
            Ok(told) => event::ends_stream(told),
            Err(_) => true,
        };
        Some(next)
    }

    /// The next event of the stream that is open; `None` if it is gone.
    async fn hear(&mut self) -> Option<Result<Value, A2aError>> {
        let answer = self.answers.as_mut()?.next().await?;
        let event = answer.and_then(|body| {
            let broken = |_| A2aError::new(Kind::InvalidAgentResponse, "the peer's answer is not JSON");
            rpc::result(serde_json::from_slice(&body).map_err(broken)?)
        });
        if let Ok(told) = &event {
            let named = ["/task/id", "/statusUpdate/taskId", "/artifactUpdate/taskId"];
            let named = named.iter().find_map(|at| told.pointer(at)).and_then(Value::as_str);
            if let Some(id) = named {
                self.task = Some(id.to_owned());
            }
        }
        Some(event)
    }

    /// Takes the task up where it is by now. One that ended meanwhile is read, and that is the last event.
    ///
    /// A peer that opens streams only to break them is asked ever more slowly, and then no more.
    async fn resume(&mut self) -> Result<Value, A2aError> {
        self.answers = None;
        let Some(id) = self.task.clone() else { return Err(A2aError::connection_lost()) };
        let limits = &self.client.shared.limits;
        let wait = limits.resume;
        if self.opened.elapsed() >= limits.settled {
            self.tries = 0;
        }
        let mut last = A2aError::connection_lost();
        while self.tries < TRIES {
            tokio::time::sleep(wait * 2_u32.pow(self.tries)).await;
            self.tries += 1;
            match self.subscribe(&id).await {
                Ok(event) => return Ok(event),
                Err(error) if error.kind() == Kind::UnsupportedOperation => return self.read(&id).await,
                Err(error) if !error.is_retryable() && !error.is_outcome_unknown() => return Err(error),
                Err(error) => last = error,
            }
            tracing::debug!(task.id = id, error = %last, "the stream of task {id} is not open again yet: {last}");
        }
        Err(last)
    }

    async fn subscribe(&mut self, id: &str) -> Result<Value, A2aError> {
        let request = rpc::request(1, methods::SUBSCRIBE_TO_TASK, json!({ "id": id }));
        let opened = self.client.open(&self.peer, &self.agent, &request, self.params.clone(), self.deadline).await?;
        self.answers = Some(opened);
        self.opened = Instant::now();
        self.heard_first().await
    }

    async fn read(&self, id: &str) -> Result<Value, A2aError> {
        let request = rpc::request(1, methods::GET_TASK, json!({ "id": id }));
        let answer = self.client.call_with(&self.peer, &self.agent, request, self.params.clone(), self.deadline);
        rpc::result(answer.await?).map(event::task)
    }
}
