//! The agent at work on a message, and what becomes of its task.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use haggle_a2a::{
    A2aError, Task, event, message,
    task::{Finish, Step},
    types::TaskState,
};
use haggle_store::Batch;
use serde_json::{Map, Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{
    Server,
    live::{Claim, Live},
    outcome::{apology, as_task, bounded, fail, failed, finish_of},
    push::Wanted,
    seats::Seat,
    tasks::{result, result_within, whole},
    tolled::PAID_WORDS,
    unsupported,
    updates::Updates,
};
use crate::{
    Call, Events, Executor, Fare, Outcome,
    records::{Due, Left},
};

/// What the metadata of a payment may take, in bytes.
const PAID_BYTES: usize = 16 * 1024;

/// Said of a result that fits no answer.
const TOO_LARGE: &str = "the agent's result is over 1 MiB";

/// A payment that is good for this piece of work.
pub(super) struct Paid {
    pub(super) fare: Box<dyn Fare>,
    pub(super) name: String,
}

/// What is stored with the end of a turn, and done once it is.
#[derive(Default)]
struct Settled {
    due: Option<Due>,
    batch: Batch,
    stands: Option<Box<dyn FnOnce() + Send>>,
}

/// A message that is admitted: everything that is needed to work on it.
pub(super) struct Job {
    pub(super) claim: Claim,
    pub(super) executor: Arc<dyn Executor>,
    pub(super) call: Call,
    /// The message that let the work begin, if it is not the one that the agent sees.
    pub(super) reply: Option<Value>,
    /// What pays for the work.
    pub(super) paid: Option<Paid>,
    /// The webhook that came with the message.
    pub(super) webhook: Option<Wanted>,
    /// A new task that nobody has been told of is not worth storing if it fails before its answer.
    pub(super) is_new: bool,
    pub(super) _seat: Seat,
}

impl Job {
    /// Gives the claim back while the task's lock is still held: whoever waits for the lock finds that this turn is over.
    fn given_back(self, error: A2aError) -> A2aError {
        drop(self);
        error
    }
}

impl Server {
    /// Makes the webhook before any work on the task begins.
    async fn hook_first(&self, job: &mut Job) -> Result<(), A2aError> {
        self.hook_up(job.webhook.take(), &job.call.task_id, &job.claim.live.owner).await
    }

    /// The agent's turn begins. Whoever calls holds the task's lock.
    fn take_up(&self, job: &Job, task: &mut Task) -> Result<(), A2aError> {
        let now = self.shared.clock.now();
        let said = || job.reply.as_ref().unwrap_or(&job.call.message).clone();
        let step = if job.is_new { task.begin(now) } else { task.resume(said(), now) };
        if step.changed() {
            return Ok(());
        }
        Err(unsupported("SendMessage", "the task does not wait for a message").with("taskId", task.id()))
    }

    /// Says in the status that the payment is good, for whoever follows.
    fn verified(job: &Job, task: &mut Task) {
        if let Some(paid) = &job.paid {
            task.note(&paid.fare.verified(), PAID_WORDS);
        }
    }

    /// Works while the caller waits; the work stops when the caller goes away, unless it is paid for.
    pub(super) async fn run_before(&self, mut job: Job, history: Option<usize>) -> Result<Value, A2aError> {
        let waited_for = CancellationToken::new();
        let (server, hung_up) = (self.clone(), waited_for.clone());
        let _hangs_up = waited_for.drop_guard();
        whole(async move {
            server.hook_first(&mut job).await?;
            let live = Arc::clone(&job.claim.live);
            {
                let mut task = live.task.lock().await;
                server.take_up(&job, &mut task)?;
                server.shared.hub.tell(task.id(), || event::status(&task));
            }
            let (work, deadline) = server.start(&mut job);
            let is_paid = job.paid.is_some();
            tokio::select! {
                outcome = wait(work, deadline, &live) => server.finish(job, outcome, history).await,
                () = hung_up.cancelled(), if !is_paid => {
                    live.stop();
                    server.give_up(job).await;
                    Err(A2aError::connection_lost())
                }
            }
        })
        .await
    }

    /// Tells the caller the task's id, then works.
    pub(super) async fn run_behind(&self, mut job: Job, history: Option<usize>) -> Result<Value, A2aError> {
        let server = self.clone();
        whole(async move {
            server.hook_first(&mut job).await?;
            let live = Arc::clone(&job.claim.live);
            let mut task = live.task.lock().await;
            let shown = match server.take_up_on_disk(&job, &mut task, history).await {
                Ok(shown) => shown,
                Err(error) => return Err(job.given_back(error)),
            };
            drop(task);
            server.work_for(job, None);
            Ok(message::object([("task", shown)]))
        })
        .await
    }

    /// Works while the caller follows. The work goes on if it leaves.
    pub(super) async fn run_followed(
        &self,
        mut job: Job,
        history: Option<usize>,
        follower: Seat,
    ) -> Result<Events, A2aError> {
        let server = self.clone();
        whole(async move {
            server.hook_first(&mut job).await?;
            let live = Arc::clone(&job.claim.live);
            let mut task = live.task.lock().await;
            let first = if job.is_new {
                // A message may be all that comes of it: it is not stored before there is something to tell.
                server.take_up(&job, &mut task)?;
                Self::verified(&job, &mut task);
                server.shared.hub.tell(task.id(), || event::status(&task));
                None
            } else {
                match server.take_up_on_disk(&job, &mut task, history).await {
                    Ok(shown) => Some(event::task(shown)),
                    Err(error) => return Err(job.given_back(error)),
                }
            };
            let ear = server.shared.hub.listen(task.id());
            drop(task);
            server.work_for(job, Some(history));
            Ok(ear.events(first, server.shared.limits.follow, follower))
        })
        .await
    }

    /// The agent's turn begins, on disk first. Whoever calls holds the task's lock. The task as it is shown now.
    async fn take_up_on_disk(&self, job: &Job, task: &mut Task, history: Option<usize>) -> Result<Value, A2aError> {
        let live = &job.claim.live;
        let mut next = task.clone();
        self.take_up(job, &mut next)?;
        Self::verified(job, &mut next);
        let shown = result(&next, history)?;
        if let Err(error) = self.shared.shelf.put(&live.owner, &next, live.left(), Batch::new()).await {
            if job.is_new {
                self.shared.hub.fail(task.id(), &error);
            }
            return Err(error);
        }
        *task = next;
        live.announced.store(true, Ordering::Release);
        self.shared.hub.tell(task.id(), || event::status(task));
        Ok(shown)
    }

    /// Works while nobody waits; a stream that is open, if there is one, is told of a new task when the agent is silent.
    fn work_for(&self, mut job: Job, stream: Option<Option<usize>>) {
        let server = self.clone();
        tokio::spawn(async move {
            let (work, deadline) = server.start(&mut job);
            let waiting = wait(work, deadline, &job.claim.live);
            let outcome = match stream {
                None => waiting.await,
                Some(history) => {
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
        if live.is_announced() || task.state().is_terminal() {
            return true;
        }
        if let Err(error) = self.shared.shelf.put(&live.owner, task, live.left(), Batch::new()).await {
            tracing::warn!(task.id = task.id(), error = %error, "a task is not announced: {error}");
            return false;
        }
        live.announced.store(true, Ordering::Release);
        self.shared.hub.tell(task.id(), || event::task(task.to_json(history)));
        true
    }

    /// The agent gets the message for good; the rest of the call stays with the job.
    fn start(&self, job: &mut Job) -> (JoinHandle<Result<Outcome, A2aError>>, Duration) {
        let updates = Updates::of(self.clone(), Arc::clone(&job.claim.live));
        let message = job.call.message.take();
        let (executor, call) = (Arc::clone(&job.executor), Call { message, ..job.call.clone() });
        let work = tokio::spawn(async move { executor.execute(call, updates).await });
        job.claim.live.works(work.abort_handle());
        (work, job.call.deadline)
    }

    /// Takes the outcome into the task, stores it, and tells it.
    async fn finish(
        &self,
        mut job: Job,
        outcome: Result<Outcome, A2aError>,
        history: Option<usize>,
    ) -> Result<Value, A2aError> {
        let live = Arc::clone(&job.claim.live);
        let mut task = live.task.lock().await;
        if task.state().is_terminal() {
            return Ok(message::object([("task", result(&task, history)?)]));
        }
        let answer = match outcome {
            Ok(outcome) => self.end(&mut job, &mut task, outcome, history).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &answer {
            self.undo(&job, &task, error).await;
        }
        // Given back under the task's lock: whoever waits for the lock finds that this turn is over.
        drop(job);
        answer
    }

    async fn end(
        &self,
        job: &mut Job,
        task: &mut Task,
        outcome: Outcome,
        history: Option<usize>,
    ) -> Result<Value, A2aError> {
        if let Some(paid) = job.paid.take() {
            return self.end_paid(job, task, paid, as_task(outcome), history).await;
        }
        let live = Arc::clone(&job.claim.live);
        let (finish, resume) = match outcome {
            Outcome::Message(mut reply) if job.is_new && !live.is_announced() => {
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
        let mut next = self.ended(task, finish);
        let settled = match &live.due {
            // an earlier turn was paid: the last message of the task tells so
            Some(due) if due.payment.is_some() => {
                next.note(&due.memo, PAID_WORDS);
                Settled { due: Some(due.clone()), ..Settled::default() }
            }
            _ => Settled::default(),
        };
        let shown = match result(&next, history) {
            Ok(shown) => shown,
            Err(_) => {
                next = self.too_large(task);
                result(&next, history)?
            }
        };
        self.store_end(&live, task, next, (resume, settled), history).await?;
        Ok(message::object([("task", shown)]))
    }

    /// The end of work that is paid for: the fare is charged in the commit that stores the task.
    async fn end_paid(
        &self,
        job: &Job,
        task: &mut Task,
        paid: Paid,
        outcome: Outcome,
        history: Option<usize>,
    ) -> Result<Value, A2aError> {
        let live = &job.claim.live;
        let Paid { fare, name } = paid;
        let (finish, resume) = finish_of(outcome.clone());
        let mut next = self.ended(task, finish);
        let mut outcome = outcome;
        let mut shown = result_within(&next, history, PAID_BYTES);
        if shown.is_err() {
            next = self.too_large(task);
            outcome = failed(TOO_LARGE);
            shown = result(&next, history);
        }
        let charged = fare.done(task.id(), task.context(), &outcome).await;
        if let Some(why) = &charged.withheld {
            next = task.clone();
            fail(&mut next, why, self.shared.clock.now());
            shown = result(&next, history);
        }
        next.note(&charged.metadata, PAID_WORDS);
        let mut shown = shown?;
        if let Some(fields) = shown.as_object_mut() {
            fields.insert("status".to_owned(), next.status_json());
        }
        // a task that goes on has to tell of its payment at its end
        let memo = if next.state().is_terminal() { Map::new() } else { charged.metadata };
        let due = Some(Due { asked: None, payment: Some(name), memo });
        let settled = Settled { due, batch: charged.batch, stands: charged.stands };
        self.store_end(live, task, next, (resume, settled), history).await?;
        Ok(message::object([("task", shown)]))
    }

    /// The task as the agent's turn ends it.
    fn ended(&self, task: &Task, finish: Finish) -> Task {
        let (now, mut next) = (self.shared.clock.now(), task.clone());
        match next.finish(finish, now) {
            Step::Moved { .. } | Step::Updated => {}
            Step::AlreadyEnded(_) | Step::Illegal { .. } | Step::Full => {
                fail(&mut next, "the agent ended its task in no legal way", now);
            }
        }
        next
    }

    fn too_large(&self, task: &Task) -> Task {
        let mut next = task.clone();
        fail(&mut next, TOO_LARGE, self.shared.clock.now());
        next
    }

    /// Stores the end of a turn with what it was paid by, and tells it.
    async fn store_end(
        &self,
        live: &Live,
        task: &mut Task,
        next: Task,
        (resume, settled): (Option<Value>, Settled),
        history: Option<usize>,
    ) -> Result<(), A2aError> {
        let left = Left { resume: resume.as_ref(), due: settled.due.as_ref() };
        self.shared.shelf.put(&live.owner, &next, left, settled.batch).await?;
        if let Some(stands) = settled.stands {
            stands();
        }
        let before = std::mem::replace(task, next);
        self.tell_end(live, &before, task, history);
        Ok(())
    }

    /// The agent's turn came to nothing: a task that was there before is where it was, on disk and for its followers.
    async fn undo(&self, job: &Job, task: &Task, error: &A2aError) {
        let live = &job.claim.live;
        if !job.is_new && !live.is_announced() {
            match self.shared.shelf.get(task.id(), &live.owner) {
                Ok(Some(stored)) => self.shared.hub.tell(task.id(), || event::status(&stored.task)),
                Ok(None) | Err(_) => self.shared.hub.fail(task.id(), error),
            }
        } else if live.is_announced() {
            self.shared.hub.fail(task.id(), error);
        } else {
            self.fail_if_known(live, task.clone(), &error.to_string()).await;
        }
    }

    /// The caller went away, and the agent was stopped in the middle of its work.
    async fn give_up(&self, job: Job) {
        let live = Arc::clone(&job.claim.live);
        let mut task = live.task.lock().await;
        if !task.state().is_terminal() {
            let told = "the caller went away while the agent worked";
            if job.is_new {
                self.fail_if_known(&live, task.clone(), told).await;
            } else {
                self.fail_on_disk(&live, &mut task, told).await;
            }
        }
        drop(job);
    }

    /// Fails a new task that somebody follows; one that nobody knows is forgotten.
    async fn fail_if_known(&self, live: &Live, mut task: Task, text: &str) {
        if self.shared.hub.is_followed(task.id()) {
            self.fail_on_disk(live, &mut task, text).await;
        }
    }

    async fn fail_on_disk(&self, live: &Live, task: &mut Task, text: &str) {
        fail(task, text, self.shared.clock.now());
        match self.shared.shelf.put(&live.owner, task, Left::default(), Batch::new()).await {
            Ok(()) => self.shared.hub.tell(task.id(), || event::status(task)),
            Err(error) => {
                tracing::warn!(task.id = task.id(), error = %error, "a failed task is not stored: {error}");
                self.shared.hub.fail(task.id(), &error);
            }
        }
    }

    /// Tells followers how the agent's turn ended: the task if they do not know it yet, artifacts they have not seen,
    /// and the status.
    pub(super) fn tell_end(&self, live: &Live, before: &Task, task: &Task, history: Option<usize>) {
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
