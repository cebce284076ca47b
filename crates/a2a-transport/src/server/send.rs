//! `SendMessage`: past the checks and the gate into the agent's hands, and the answer back.

use std::sync::Arc;

use haggle_a2a::{A2aError, Kind, Task, message, task::is_interrupted};
use serde_json::Value;

use super::{
    Context, Server,
    live::Claim,
    outcome::bounded,
    seats::Seat,
    tasks::{history_length, result},
    tolled::AtToll,
    unsupported,
    work::Job,
};
use crate::{Admission, Call, Caller, Tendered, id, records::Due};

/// What the caller wants beside the answer.
pub(super) struct Wish {
    pub(super) history: Option<usize>,
    return_immediately: bool,
}

/// Who learns of the work as it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// The caller waits for the answer.
    Waits,
    /// Whoever asks for the task.
    Later,
    /// A stream, open from the beginning.
    Stream,
}

/// A message past its checks, and the place at work for it.
pub(super) enum Asked {
    /// The gate has dealt with it; this is the reply message.
    Handled(Value),
    /// The agent shall see it.
    Run(Box<Job>),
    /// There is nothing for the agent to do: the task as it stands.
    Stands(Box<Task>),
}

/// The task that a message belongs to.
enum Found {
    /// It may be acted on.
    Ours(Claim),
    /// It was decided by the very payment that came with the message.
    Decided(Box<Task>),
}

impl Server {
    pub(super) async fn send_message(&self, context: Context<'_>, mut body: Value) -> Result<Value, A2aError> {
        message::check(body.get("message"))?;
        let wish = wish(&body)?;
        let reader = if wish.return_immediately { Reader::Later } else { Reader::Waits };
        match self.ask(&context, &mut body, reader).await? {
            Asked::Handled(reply) => bounded(message::object([("message", reply)])),
            Asked::Stands(task) => Ok(message::object([("task", result(&task, wish.history)?)])),
            Asked::Run(job) if wish.return_immediately => self.run_behind(*job, wish.history).await,
            Asked::Run(job) => self.run_before(*job, wish.history).await,
        }
    }

    /// Takes a message past the gate.
    pub(super) async fn ask(&self, context: &Context<'_>, body: &mut Value, reader: Reader) -> Result<Asked, A2aError> {
        let webhook = self.webhook_with(context, body)?;
        let mut message = body.get_mut("message").map(Value::take).unwrap_or_default();
        let tendered = self.shared.gate.lift(&context.owner.agent, &mut message);
        let seat = self.shared.running.enter(&context.owner.root);
        let seat = seat.ok_or_else(|| A2aError::new(Kind::Busy, "too many calls at once"))?;
        let is_new = named(&message, "taskId").is_none();
        let claim = match self.task_for(context, &message, tendered.as_ref(), reader).await? {
            Found::Ours(claim) => claim,
            Found::Decided(task) => return Ok(Asked::Stands(task)),
        };
        let call = self.call_for(context, &claim, message, reader).await;
        let (admission, call, seat) = self.admit(context.caller, call, seat).await?;
        let is_paid = claim.live.due.as_ref().is_some_and(|due| due.payment.is_some());
        match admission {
            Admission::Handled(reply) => Ok(Asked::Handled(reply)),
            Admission::Toll(toll) if !is_paid => {
                self.pass(context, toll, AtToll { claim, call, tendered, webhook, is_new, seat }).await
            }
            Admission::Run | Admission::Toll(_) => {
                let executor = Arc::clone(&context.served.executor);
                let (reply, paid) = (None, None);
                Ok(Asked::Run(Box::new(Job { claim, executor, call, reply, webhook, is_new, paid, _seat: seat })))
            }
        }
    }

    /// Takes the task this message belongs to: the one it names, or a new one. A message that pays waits for whoever acts
    /// on its task now: the same payment may have come before.
    async fn task_for(
        &self,
        context: &Context<'_>,
        message: &Value,
        tendered: Option<&Tendered>,
        reader: Reader,
    ) -> Result<Found, A2aError> {
        let owner = &context.owner;
        let streams = reader == Reader::Stream;
        let at_work = |id: &str| unsupported("SendMessage", "the agent is at work on this task").with("taskId", id);
        let Some(id) = named(message, "taskId") else {
            let context = match named(message, "contextId") {
                Some(context) => context.to_owned(),
                None => id::random()?,
            };
            let task = Task::submitted(id::random()?, context, message.clone(), self.shared.clock.now());
            let place = self.shared.live.reserve(task.id()).ok_or_else(|| at_work(task.id()))?;
            return Ok(Found::Ours(place.take(owner.clone(), (task, None, None), streams)));
        };
        let until = tokio::time::Instant::now() + self.shared.limits.blocking;
        // Taken first and read then: nobody changes it in between.
        let place = loop {
            if self.shared.live.get(id, owner).is_none() && !self.shared.shelf.owns(id, owner) {
                return Err(A2aError::task_not_found(id));
            }
            if let Some(place) = self.shared.live.reserve(id) {
                break place;
            }
            let busy = self.shared.live.over(id).filter(|_| tendered.is_some());
            match (busy, tendered) {
                (Some(over), _) => {
                    let waited = tokio::time::timeout_at(until, over.cancelled()).await;
                    waited.map_err(|_| A2aError::new(Kind::Busy, "the task is still at work; try again"))?;
                }
                // it was given back just now
                (None, Some(_)) => {}
                (None, None) => return Err(at_work(id)),
            }
        };
        let stored = self.shared.shelf.get(id, owner)?.ok_or_else(|| A2aError::task_not_found(id))?;
        let is_decided = |due: &Due| tendered.is_some_and(|tendered| due.is_of(&tendered.name));
        if stored.due.as_ref().is_some_and(is_decided) {
            return Ok(Found::Decided(Box::new(stored.task)));
        }
        if stored.task.state().is_terminal() {
            return Err(unsupported("SendMessage", "the task has ended").with("taskId", id));
        }
        if !is_interrupted(stored.task.state()) {
            return Err(unsupported("SendMessage", "the task does not wait for a message").with("taskId", id));
        }
        if named(message, "contextId").is_some_and(|context| context != stored.task.context()) {
            return Err(A2aError::invalid_params("message.contextId", "is not the context of the task"));
        }
        Ok(Found::Ours(place.take(owner.clone(), (stored.task, stored.resume, stored.due), streams)))
    }

    async fn call_for(&self, context: &Context<'_>, claim: &Claim, message: Value, reader: Reader) -> Call {
        let limits = &self.shared.limits;
        let deadline = match reader {
            Reader::Waits => context.deadline.unwrap_or(limits.blocking).min(limits.blocking),
            Reader::Later | Reader::Stream => limits.background,
        };
        let task = claim.live.task.lock().await;
        Call {
            caller: context.caller.clone(),
            agent: context.owner.agent,
            task_id: task.id().to_owned(),
            context_id: task.context().to_owned(),
            message,
            deadline,
            idempotency: context.params.idempotency.clone(),
            extensions: context.params.extensions.clone(),
            resume: claim.live.resume.clone(),
        }
    }

    /// Asks the gate, in a task of its own: a gate that has begun to note something down is not
    /// cut off because the caller hangs up. It keeps the place at work until it has answered.
    async fn admit(&self, caller: &Caller, call: Call, seat: Seat) -> Result<(Admission, Call, Seat), A2aError> {
        let (gate, caller, patience) = (Arc::clone(&self.shared.gate), caller.clone(), call.deadline);
        let asked = tokio::spawn(async move { (gate.admit(&caller, &call.agent, &call.message).await, call, seat) });
        match tokio::time::timeout(patience, asked).await {
            Ok(Ok((admission, call, seat))) => Ok((admission?, call, seat)),
            Ok(Err(_)) => Err(A2aError::new(Kind::Internal, "the gate failed")),
            Err(_) => Err(A2aError::new(Kind::DeadlineExceeded, "the gate did not answer in time")),
        }
    }
}

fn named<'a>(message: &'a Value, key: &str) -> Option<&'a str> {
    message.get(key).and_then(Value::as_str).filter(|id| !id.is_empty())
}

pub(super) fn wish(body: &Value) -> Result<Wish, A2aError> {
    let configuration = match body.get("configuration") {
        None | Some(Value::Null) => return Ok(Wish { history: None, return_immediately: false }),
        Some(configuration) if configuration.is_object() => configuration,
        Some(_) => return Err(A2aError::invalid_params("configuration", "must be an object")),
    };
    let return_immediately = match configuration.get("returnImmediately") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(flag)) => *flag,
        Some(_) => {
            return Err(A2aError::invalid_params("configuration.returnImmediately", "must be true or false"));
        }
    };
    let history = history_length(configuration, "configuration.historyLength")?;
    Ok(Wish { history, return_immediately })
}
