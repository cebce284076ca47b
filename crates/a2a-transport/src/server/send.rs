//! `SendMessage`: past the checks and the gate into the agent's hands, and the answer back.

use std::{sync::Arc, time::Duration};

use haggle_a2a::{
    A2aError, Kind, Task, message,
    task::{Finish, Step},
    types::TaskState,
};
use serde_json::{Map, Value, json};
use tokio::task::{AbortHandle, JoinHandle};

use super::{
    Context, Server,
    live::{Claim, Live},
    no_push,
    seats::Seat,
    tasks::{fits, history_length, result},
    unsupported,
    updates::Updates,
};
use crate::{Admission, Call, Caller, Executor, Outcome, id};

/// What the caller wants beside the answer.
struct Wish {
    history: Option<usize>,
    return_immediately: bool,
}

/// A message that is admitted: everything that is needed to work on it.
struct Job {
    claim: Claim,
    executor: Arc<dyn Executor>,
    call: Call,
    /// A new task that nobody has been told of is not worth storing if it fails before its answer.
    is_new: bool,
    _seat: Seat,
}

impl Server {
    pub(super) async fn send_message(&self, context: Context<'_>, mut body: Value) -> Result<Value, A2aError> {
        message::check(body.get("message"))?;
        let wish = wish(&body)?;
        let message = body.get_mut("message").map(Value::take).unwrap_or_default();
        let seat = self
            .shared
            .running
            .enter(&context.owner.root)
            .ok_or_else(|| A2aError::new(Kind::Busy, "too many calls at once"))?;
        let (task, resume, is_new) = self.task_for(&context, &message)?;
        let (claim, call) = self.prepare(&context, task, message, resume, &wish)?;
        match self.admit(context.caller, &call).await? {
            Admission::Handled(reply) => return bounded(message::object([("message", reply)])),
            Admission::Run => {}
        }
        if !is_new {
            let step = claim.live.task.lock().await.resume(call.message.clone(), self.shared.clock.now());
            debug_assert!(step.changed(), "task_for lets only interrupted tasks through");
        } else {
            let step = claim.live.task.lock().await.begin(self.shared.clock.now());
            debug_assert!(step.changed(), "a new task can begin");
        }
        let executor = Arc::clone(&context.served.executor);
        let job = Job { claim, executor, call, is_new, _seat: seat };
        if wish.return_immediately {
            self.run_behind(job, wish.history).await
        } else {
            self.run_before(job, wish.history).await
        }
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

    fn prepare(
        &self,
        context: &Context<'_>,
        task: Task,
        message: Value,
        resume: Option<Value>,
        wish: &Wish,
    ) -> Result<(Claim, Call), A2aError> {
        let limits = &self.shared.limits;
        let bound = if wish.return_immediately { limits.background } else { limits.blocking };
        let asked = if wish.return_immediately { bound } else { context.deadline.unwrap_or(bound) };
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
    async fn admit(&self, caller: &Caller, call: &Call) -> Result<Admission, A2aError> {
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
        let server = self.clone();
        tokio::spawn(async move {
            let mut job = job;
            job.is_new = false;
            let (work, deadline) = server.start(&job);
            let outcome = match wait(work, deadline, &job.claim.live).await {
                Err(error) => Ok(failed(&error.to_string())),
                Ok(outcome) => Ok(as_task(outcome)),
            };
            let task = job.call.task_id.clone();
            if let Err(error) = server.finish(job, outcome, None).await {
                tracing::warn!(task.id = task, error = %error, "task {task} ended, but its end is not stored: {error}");
            }
        });
        Ok(message::object([("task", result(task, history)?)]))
    }

    fn start(&self, job: &Job) -> (JoinHandle<Result<Outcome, A2aError>>, Duration) {
        let updates = Updates::of(Arc::clone(&job.claim.live), Arc::clone(&self.shared.clock));
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
            Outcome::Message(mut reply) if job.is_new => {
                if let Some(map) = reply.as_object_mut() {
                    map.entry("contextId").or_insert_with(|| json!(task.context()));
                }
                return bounded(message::object([("message", reply)]));
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
            *task = before;
            fail(&mut task, "the agent's result is over 1 MiB", now);
        }
        self.shared.shelf.put(&live.owner, &task, resume.as_ref()).await?;
        Ok(message::object([("task", result(task.clone(), history)?)]))
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
    let told = with_id(json!({ "role": "ROLE_AGENT", "parts": [{ "text": text }] }));
    let step = task.abandon(TaskState::Failed, Some(told), now);
    debug_assert!(step.changed(), "only open tasks are failed");
}

fn bounded(result: Value) -> Result<Value, A2aError> {
    if !fits(&result) {
        return Err(A2aError::new(Kind::InvalidAgentResponse, "the agent's answer is over 1 MiB"));
    }
    Ok(result)
}

fn wish(body: &Value) -> Result<Wish, A2aError> {
    let configuration = match body.get("configuration") {
        None | Some(Value::Null) => return Ok(Wish { history: None, return_immediately: false }),
        Some(configuration) if configuration.is_object() => configuration,
        Some(_) => return Err(A2aError::invalid_params("configuration", "must be an object")),
    };
    if configuration.get("taskPushNotificationConfig").is_some_and(|push| !push.is_null()) {
        return Err(no_push());
    }
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
