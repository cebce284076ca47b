//! `SendMessage`: past the checks and the gate into the agent's hands, and the answer back.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use haggle_a2a::{
    A2aError, Kind, Task, event, message,
    task::{Finish, Step},
    types::TaskState,
};
use serde_json::{Map, Value, json};
use tokio::task::{AbortHandle, JoinHandle};

use super::{
    Context, Server,
    live::{Claim, Live},
    seats::Seat,
    tasks::{fits, history_length, result},
    unsupported,
    updates::Updates,
};
use crate::{Admission, Call, Caller, Executor, Outcome, id};

/// What the caller wants beside the answer.
pub(super) struct Wish {
    pub(super) history: Option<usize>,
    return_immediately: bool,
}

/// Who learns of the work that nobody waits for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reader {
    /// Whoever asks for the task.
    Later,
    /// A stream that is open already, and may not have been told of the task yet.
    Stream { history: Option<usize> },
}

/// A message that is admitted: everything that is needed to work on it.
pub(super) struct Job {
    pub(super) claim: Claim,
    pub(super) executor: Arc<dyn Executor>,
    pub(super) call: Call,
    /// A new task that nobody has been told of is not worth storing if it fails before its answer.
    pub(super) is_new: bool,
    pub(super) _seat: Seat,
}

impl Server {
    pub(super) async fn send_message(&self, context: Context<'_>, mut body: Value) -> Result<Value, A2aError> {
        message::check(body.get("message"))?;
        let wish = wish(&body)?;
        let webhook = self.webhook_with(&context, &body)?;
        let message = body.get_mut("message").map(Value::take).unwrap_or_default();
        let (seat, task, resume, is_new) = self.begin(&context, &message)?;
        let (claim, call) = self.prepare(&context, task, message, resume, wish.return_immediately)?;
        match self.admit(context.caller, &call).await? {
            Admission::Handled(reply) => return bounded(message::object([("message", reply)])),
            Admission::Run => {}
        }
        let executor = Arc::clone(&context.served.executor);
        let job = Job { claim, executor, call, is_new, _seat: seat };
        self.hook_up(webhook, &job.call.task_id, &context.owner).await?;
        self.take_up(&job).await;
        if wish.return_immediately {
            self.run_behind(job, wish.history).await
        } else {
            self.run_before(job, wish.history).await
        }
    }

    /// A place at work for the message, and the task it belongs to; `true` if that is new.
    pub(super) fn begin(
        &self,
        context: &Context<'_>,
        message: &Value,
    ) -> Result<(Seat, Task, Option<Value>, bool), A2aError> {
        let seat = self
            .shared
            .running
            .enter(&context.owner.root)
            .ok_or_else(|| A2aError::new(Kind::Busy, "too many calls at once"))?;
        let (task, resume, is_new) = self.task_for(context, message)?;
        Ok((seat, task, resume, is_new))
    }

    /// The agent's turn begins.
    pub(super) async fn take_up(&self, job: &Job) {
        let now = self.shared.clock.now();
        let mut task = job.claim.live.task.lock().await;
        let step = if job.is_new { task.begin(now) } else { task.resume(job.call.message.clone(), now) };
        debug_assert!(step.changed(), "a new task can begin, and task_for lets only interrupted ones through");
        self.shared.hub.tell(task.id(), || event::status(&task));
    }

    /// The task this message belongs to: the one it names, or a new one.
    fn task_for(&self, context: &Context<'_>, message: &Value) -> Result<(Task, Option<Value>, bool), A2aError> {
        let named = |key: &str| message.get(key).and_then(Value::as_str).filter(|id| !id.is_empty());
        let Some(id) = named("taskId") else {
            let context = match named("contextId") {
                Some(context) => context.to_owned(),
                None => id::random()?,
            };
            let task = Task::submitted(id::random()?, context, message.clone(), self.shared.clock.now());
            return Ok((task, None, true));
        };
        if self.shared.live.get(id, &context.owner).is_some() {
            return Err(unsupported("SendMessage", "the agent is at work on this task").with("taskId", id));
        }
        let stored = self.shared.shelf.get(id, &context.owner)?;
        let stored = stored.ok_or_else(|| A2aError::task_not_found(id))?;
        if stored.task.state().is_terminal() {
            return Err(unsupported("SendMessage", "the task has ended").with("taskId", id));
        }
        if named("contextId").is_some_and(|context| context != stored.task.context()) {
            return Err(A2aError::invalid_params("message.contextId", "is not the context of the task"));
        }
        Ok((stored.task, stored.resume, false))
    }

    pub(super) fn prepare(
        &self,
        context: &Context<'_>,
        task: Task,
        message: Value,
        resume: Option<Value>,
        in_background: bool,
    ) -> Result<(Claim, Call), A2aError> {
        let limits = &self.shared.limits;
        let bound = if in_background { limits.background } else { limits.blocking };
        let asked = if in_background { bound } else { context.deadline.unwrap_or(bound) };
        let call = Call {
            caller: context.caller.clone(),
            agent: context.owner.agent,
            task_id: task.id().to_owned(),
            context_id: task.context().to_owned(),
            message,
            deadline: asked.min(bound),
            idempotency: context.params.idempotency.clone(),
            extensions: context.params.extensions.clone(),
            resume,
        };
        match self.shared.live.claim(context.owner.clone(), task) {
            Some(claim) => Ok((claim, call)),
            None => Err(unsupported("SendMessage", "the agent is at work on this task")),
        }
    }

    /// Asks the gate, in a task of its own: a gate that has begun to note something down is not
    /// cut off because the caller hangs up.
    pub(super) async fn admit(&self, caller: &Caller, call: &Call) -> Result<Admission, A2aError> {
        let gate = Arc::clone(&self.shared.gate);
        let (caller, agent, message) = (caller.clone(), call.agent, call.message.clone());
        let asked = tokio::spawn(async move { gate.admit(&caller, &agent, &message).await });
        match tokio::time::timeout(call.deadline, asked).await {
            Ok(Ok(admission)) => admission,
            Ok(Err(_)) => Err(A2aError::new(Kind::Internal, "the gate failed")),
            Err(_) => Err(A2aError::new(Kind::DeadlineExceeded, "the gate did not answer in time")),
        }
    }

    /// Works while the caller waits; the work stops when the caller goes away.
    async fn run_before(&self, job: Job, history: Option<usize>) -> Result<Value, A2aError> {
        let (work, deadline) = self.start(&job);
        let _stops = AbortOnDrop(work.abort_handle());
        let outcome = wait(work, deadline, &job.claim.live).await;
        self.finish(job, outcome, history).await
    }

    /// Tells the caller the task's id, then works.
    async fn run_behind(&self, job: Job, history: Option<usize>) -> Result<Value, A2aError> {
        let task = job.claim.live.task.lock().await.clone();
        self.shared.shelf.put(&job.claim.live.owner, &task, job.call.resume.as_ref()).await?;
        job.claim.live.announced.store(true, Ordering::Release);
        self.work_for(job, Reader::Later);
        Ok(message::object([("task", result(task, history)?)]))
    }

    /// Works while nobody waits.
    pub(super) fn work_for(&self, job: Job, reader: Reader) {
        let server = self.clone();
        tokio::spawn(async move {
            let (work, deadline) = server.start(&job);
            let waiting = wait(work, deadline, &job.claim.live);
            let outcome = match reader {
                Reader::Later => waiting.await,
                Reader::Stream { history } => {
                    tokio::pin!(waiting);
                    match tokio::time::timeout(server.shared.limits.silence, &mut waiting).await {
                        Ok(outcome) => outcome,
                        Err(_) => {
                            server.announce(&job.claim.live, history).await;
                            waiting.await
                        }
                    }
                }
            };
            let outcome = Ok(outcome.unwrap_or_else(|error| failed(&error.to_string())));
            let task = job.call.task_id.clone();
            if let Err(error) = server.finish(job, outcome, None).await {
                server.shared.hub.close(&task);
                tracing::warn!(task.id = task, error = %error, "task {task} ended, but its end is not stored: {error}");
            }
        });
    }

    /// Tells followers for the first time that there is a task, once it is on disk.
    async fn announce(&self, live: &Live, history: Option<usize>) {
        let task = live.task.lock().await;
        let announced = self.announce_locked(live, &task, history).await;
        tracing::trace!(task.id = task.id(), announced, "the agent is still at work");
    }

    /// The same for whoever holds the task's lock.
    /// False if it could not be stored: then nothing was told.
    pub(super) async fn announce_locked(&self, live: &Live, task: &Task, history: Option<usize>) -> bool {
        if live.announced.load(Ordering::Acquire) || task.state().is_terminal() {
            return true;
        }
        if let Err(error) = self.shared.shelf.put(&live.owner, task, None).await {
            tracing::warn!(task.id = task.id(), error = %error, "a task is not announced: {error}");
            return false;
        }
        live.announced.store(true, Ordering::Release);
        self.shared.hub.tell(task.id(), || event::task(task.to_json(history)));
        true
    }

    fn start(&self, job: &Job) -> (JoinHandle<Result<Outcome, A2aError>>, Duration) {
        let updates = Updates::of(self.clone(), Arc::clone(&job.claim.live));
        let (executor, call) = (Arc::clone(&job.executor), job.call.clone());
        let work = tokio::spawn(async move { executor.execute(call, updates).await });
        job.claim.live.works(work.abort_handle());
        (work, job.call.deadline)
    }

    /// Takes the outcome into the task, stores it, and tells it.
    async fn finish(
        &self,
        job: Job,
        outcome: Result<Outcome, A2aError>,
        history: Option<usize>,
    ) -> Result<Value, A2aError> {
        let live = &job.claim.live;
        let mut task = live.task.lock().await;
        if task.state().is_terminal() {
            return Ok(message::object([("task", result(task.clone(), history)?)]));
        }
        let (finish, resume) = match outcome? {
            Outcome::Message(mut reply) if job.is_new && !live.announced.load(Ordering::Acquire) => {
                if let Some(map) = reply.as_object_mut() {
                    map.entry("contextId").or_insert_with(|| json!(task.context()));
                }
                let answer = bounded(message::object([("message", reply)]));
                self.shared.hub.tell(task.id(), || match &answer {
                    Ok(reply) => reply.clone(),
                    Err(error) => event::message(apology(&error.to_string())),
                });
                return answer;
            }
            outcome => finish_of(as_task(outcome)),
        };
        let now = self.shared.clock.now();
        let before = task.clone();
        match task.finish(finish, now) {
            Step::Moved { .. } | Step::Updated => {}
            Step::AlreadyEnded(_) | Step::Illegal { .. } | Step::Full => {
                fail(&mut task, "the agent ended its task in no legal way", now);
            }
        }
        if result(task.clone(), Some(0)).is_err() {
            *task = before.clone();
            fail(&mut task, "the agent's result is over 1 MiB", now);
        }
        self.shared.shelf.put(&live.owner, &task, resume.as_ref()).await?;
        self.tell_end(live, &before, &task, history);
        Ok(message::object([("task", result(task.clone(), history)?)]))
    }

    /// Tells followers how the agent's turn ended: the task if they do not know it yet, artifacts they have not seen,
    /// and the status.
    fn tell_end(&self, live: &Live, before: &Task, task: &Task, history: Option<usize>) {
        if !live.announced.swap(true, Ordering::AcqRel) {
            self.shared.hub.tell(task.id(), || event::task(before.to_json(history)));
        }
        for artifact in task.artifacts().iter().filter(|artifact| !before.artifacts().contains(artifact)) {
            self.shared.hub.tell(task.id(), || event::artifact(task, artifact.clone(), false, true));
        }
        self.shared.hub.tell(task.id(), || event::status(task));
    }
}

/// Waits for the work. A panic, the deadline and a cancellation are failed tasks, not errors.
async fn wait(
    work: JoinHandle<Result<Outcome, A2aError>>,
    deadline: Duration,
    live: &Live,
) -> Result<Outcome, A2aError> {
    match tokio::time::timeout(deadline, work).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(broken)) if broken.is_panic() => {
            tracing::warn!(agent.id = %live.owner.agent, "agent {} panicked", live.owner.agent);
            Ok(failed("the agent broke down"))
        }
        Ok(Err(_)) => Ok(Outcome::task(TaskState::Canceled)),
        Err(_) => {
            live.stop();
            let seconds = deadline.as_secs_f32();
            Ok(failed(&format!("the agent did not answer within {seconds} s")))
        }
    }
}

fn failed(text: &str) -> Outcome {
    Outcome::Task {
        state: TaskState::Failed,
        artifacts: Vec::new(),
        message: Some(json!({ "role": "ROLE_AGENT", "parts": [{ "text": text }] })),
        extra: Map::new(),
        resume: None,
    }
}

/// A bare message, where a task has to be shown, is the closing word of a completed task.
fn as_task(outcome: Outcome) -> Outcome {
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

fn finish_of(outcome: Outcome) -> (Finish, Option<Value>) {
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

fn fail(task: &mut Task, text: &str, now: haggle_base::Timestamp) {
    let step = task.abandon(TaskState::Failed, Some(apology(text)), now);
    debug_assert!(step.changed(), "only open tasks are failed");
}

fn bounded(result: Value) -> Result<Value, A2aError> {
    if !fits(&result) {
        return Err(A2aError::new(Kind::InvalidAgentResponse, "the agent's answer is over 1 MiB"));
    }
    Ok(result)
}

fn apology(text: &str) -> Value {
    with_id(json!({ "role": "ROLE_AGENT", "parts": [{ "text": text }] }))
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

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
