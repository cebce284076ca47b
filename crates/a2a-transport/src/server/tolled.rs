//! A message before a toll: the task waits to be paid, goes to work, or ends as the toll says.

use std::sync::{Arc, atomic::Ordering};

use haggle_a2a::{
    A2aError, Kind, Task,
    task::{Finish, Step},
    types::TaskState,
};
use haggle_store::Batch;
use serde_json::{Map, Value};

use super::{
    Context, Server,
    live::Claim,
    outcome::{as_task, fail, finish_of},
    push::Wanted,
    seats::Seat,
    send::Asked,
    tasks::{result, whole},
    work::{Job, Paid},
};
use crate::{
    Call, Coming, Passage, Tendered, Toll,
    records::{Due, Left},
};

/// What a paid task says if its agent says nothing.
pub(super) const PAID_WORDS: &str = "paid";

/// A message that has come to a toll, with everything that is held for it.
pub(super) struct AtToll {
    pub(super) claim: Claim,
    pub(super) call: Call,
    pub(super) tendered: Option<Tendered>,
    pub(super) webhook: Option<Wanted>,
    pub(super) is_new: bool,
    pub(super) seat: Seat,
}

/// What is held of a task while the toll decides.
struct Held {
    claim: Claim,
    webhook: Option<Wanted>,
    is_new: bool,
}

/// A turn of a task in which no agent works.
struct Turn {
    /// The message that brought it about.
    said: Value,
    finish: Finish,
    /// Added to the task's last message.
    metadata: Map<String, Value>,
    due: Due,
}

impl Server {
    /// Shows the message to the toll, and does what it decides.
    pub(super) async fn pass(&self, context: &Context<'_>, toll: Arc<dyn Toll>, at: AtToll) -> Result<Asked, A2aError> {
        let AtToll { claim, call, tendered, webhook, is_new, seat } = at;
        let name = tendered.as_ref().map(|tendered| tendered.name.clone());
        let Due { asked, memo, .. } = claim.live.due.clone().unwrap_or_default();
        let patience = call.deadline;
        let mut coming = Coming { call, asked, tendered, memo };
        // in a task of its own: a toll that has begun to note something down is not cut off
        let asking = tokio::spawn(async move { (toll.pass(&mut coming).await, coming, seat) });
        let (passage, coming, seat) = match tokio::time::timeout(patience, asking).await {
            Ok(Ok((passage, coming, seat))) => (passage?, coming, seat),
            Ok(Err(_)) => return Err(A2aError::new(Kind::Internal, "the toll failed")),
            Err(_) => return Err(A2aError::new(Kind::DeadlineExceeded, "the payment was not decided in time")),
        };
        let Coming { mut call, asked, .. } = coming;
        let held = Held { claim, webhook, is_new };
        let turn = |said: Value, finish: Finish, due: Due| Turn { said, finish, metadata: Map::new(), due };
        match passage {
            Passage::Pay(fare) => {
                let reply = asked.map(|asked| std::mem::replace(&mut call.message, asked));
                call.resume = None;
                call.idempotency = call.idempotency.or_else(|| name.clone());
                let executor = Arc::clone(&context.served.executor);
                let Held { claim, webhook, is_new } = held;
                let paid = Some(Paid { fare, name: name.unwrap_or_default() });
                Ok(Asked::Run(Box::new(Job { claim, executor, call, reply, webhook, is_new, paid, _seat: seat })))
            }
            Passage::Ask { message, memo } => {
                let finish = Finish { message: Some(message), ..Finish::in_state(TaskState::InputRequired) };
                let (asked, said) = match asked {
                    Some(asked) => (asked, call.message),
                    None => (call.message, Value::Null),
                };
                let due = Due { asked: Some(asked), payment: None, memo };
                self.turn(held, turn(said, finish, due)).await.map(Asked::Stands)
            }
            Passage::End { state, message } => {
                let finish = Finish { message: Some(message), ..Finish::in_state(state) };
                let due = Due { payment: name, ..Due::default() };
                self.turn(held, turn(call.message, finish, due)).await.map(Asked::Stands)
            }
            Passage::Done { task, kept } => {
                let name = name.unwrap_or_default();
                if let Some(over) = self.shared.live.over(&task).filter(|_| task != call.task_id) {
                    // its end is being stored at this moment
                    let waited = tokio::time::timeout(patience, over.cancelled()).await;
                    waited.map_err(|_| A2aError::new(Kind::Busy, "the task is still at work; try again"))?;
                }
                let stored = self.shared.shelf.get(&task, &context.owner)?;
                if let Some(stored) = stored.filter(|stored| stored.due.as_ref().is_some_and(|due| due.is_of(&name))) {
                    return Ok(Asked::Stands(Box::new(stored.task)));
                }
                let Some(kept) = kept else {
                    let gone = "this payment was worked for, and its answer is not here any more";
                    return Err(A2aError::refused("answer_too_old", gone));
                };
                let (finish, _) = finish_of(as_task(kept.outcome));
                let due = Due { payment: Some(name), ..Due::default() };
                let turn = Turn { metadata: kept.metadata, ..turn(call.message, finish, due) };
                self.turn(held, turn).await.map(Asked::Stands)
            }
        }
    }

    /// Moves the task on, on disk first, and tells its followers.
    async fn turn(&self, held: Held, turn: Turn) -> Result<Box<Task>, A2aError> {
        let server = self.clone();
        whole(async move {
            let Held { claim, webhook, is_new } = held;
            let Turn { said, finish, metadata, due } = turn;
            let live = Arc::clone(&claim.live);
            let mut task = live.task.lock().await;
            server.hook_up(webhook, task.id(), &live.owner).await?;
            let (now, mut next) = (server.shared.clock.now(), task.clone());
            let step = if is_new { next.begin(now) } else { next.resume(said, now) };
            if !step.changed() {
                return Err(A2aError::new(Kind::UnsupportedOperation, "the task does not wait for a message"));
            }
            match next.finish(finish, now) {
                Step::Moved { .. } | Step::Updated => {}
                Step::AlreadyEnded(_) | Step::Illegal { .. } | Step::Full => {
                    fail(&mut next, "the task could not go on", now);
                }
            }
            if !metadata.is_empty() {
                next.note(&metadata, PAID_WORDS);
            }
            result(&next, None)?;
            let left = Left { resume: None, due: Some(&due) };
            server.shared.shelf.put(&live.owner, &next, left, Batch::new()).await?;
            let before = std::mem::replace(&mut *task, next.clone());
            live.announced.fetch_or(!is_new, Ordering::AcqRel);
            server.tell_end(&live, &before, &task, None);
            // Given back under the task's lock: whoever waits for the lock finds that this turn is over.
            drop(claim);
            Ok(Box::new(next))
        })
        .await
    }
}
