//! The tasks that somebody acts on right now: one actor at a time per task.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use haggle_a2a::Task;
use serde_json::Value;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::tasks::size;
use crate::records::{Due, Left, Owner};

/// A task in someone's hands. Its machine is the truth until it is stored.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) owner: Owner,
    pub(crate) task: tokio::sync::Mutex<Task>,
    work: Mutex<Work>,
    /// Whether its caller knows that there is a task: a message may still be all that comes of it.
    pub(super) announced: AtomicBool,
    /// Whether a stream is open for it, which is told of the task as soon as there is something to tell.
    pub(super) streams: bool,
    /// What the agent left when it asked for input; kept with the task until the work ends.
    pub(super) resume: Option<Value>,
    /// How the task stands with its toll, as it is stored.
    pub(super) due: Option<Due>,
    /// Bytes of the artifacts shown so far. Changed only under the task's lock.
    pub(super) shown: AtomicUsize,
}

/// The work that a cancellation stops.
#[derive(Debug, Default)]
enum Work {
    #[default]
    None,
    At(AbortHandle),
    /// Whatever begins after it was stopped is stopped at once.
    Stopped,
}

impl Live {
    /// Names the work that a cancellation stops.
    pub(super) fn works(&self, handle: AbortHandle) {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*work, Work::Stopped) {
            handle.abort();
        } else {
            *work = Work::At(handle);
        }
    }

    /// Stops the work, now or as soon as it begins.
    pub(super) fn stop(&self) {
        let mut work = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        if let Work::At(handle) = std::mem::replace(&mut *work, Work::Stopped) {
            handle.abort();
        }
    }

    /// What is stored beside the task while the work goes on: what was there before it.
    pub(super) fn left(&self) -> Left<'_> {
        Left { resume: self.resume.as_ref(), due: self.due.as_ref() }
    }

    pub(super) fn is_announced(&self) -> bool {
        self.announced.load(Ordering::Acquire)
    }
}

/// Who acts on a task; a place without a task is only just being taken.
#[derive(Debug, Default)]
struct Held {
    live: Option<Arc<Live>>,
    /// Cancelled when the place is given back.
    over: CancellationToken,
}

type Table = Arc<Mutex<HashMap<String, Held>>>;

/// All of them.
#[derive(Debug, Default)]
pub(super) struct LiveTasks(Table);

/// The right to act on a task that is still to be read; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    table: Table,
    id: String,
}

/// The right to act on a task; given back when dropped.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) live: Arc<Live>,
    _place: Place,
}

impl Drop for Place {
    fn drop(&mut self) {
        let held = self.table.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
        if let Some(held) = held {
            held.over.cancel();
        }
    }
}

impl Place {
    /// Begins to act on the task that has this place.
    pub(super) fn take(self, owner: Owner, stored: (Task, Option<Value>, Option<Due>), streams: bool) -> Claim {
        let (task, resume, due) = stored;
        debug_assert_eq!(task.id(), self.id, "a place is for its own task");
        let live = Arc::new(Live {
            owner,
            shown: AtomicUsize::new(task.artifacts().iter().map(size).sum()),
            task: tokio::sync::Mutex::new(task),
            work: Mutex::default(),
            announced: AtomicBool::new(false),
            streams,
            resume,
            due,
        });
        if let Some(held) = self.table.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&self.id) {
            held.live = Some(Arc::clone(&live));
        }
        Claim { live, _place: self }
    }
}

impl LiveTasks {
    /// Keeps everybody else from acting on a task; `None` if somebody does already.
    pub(super) fn reserve(&self, id: &str) -> Option<Place> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if table.contains_key(id) {
            return None;
        }
        table.insert(id.to_owned(), Held::default());
        Some(Place { table: Arc::clone(&self.0), id: id.to_owned() })
    }

    /// The task, if somebody acts on it and it is this owner's.
    pub(super) fn get(&self, id: &str, owner: &Owner) -> Option<Arc<Live>> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let live = table.get(id)?.live.as_ref()?;
        (live.owner.scope == owner.scope && live.owner.agent == owner.agent).then(|| Arc::clone(live))
    }

    /// Whether this is still the truth about its task. Whoever has waited for a task's lock asks: the turn it waited
    /// for may be over, and somebody else's may have begun.
    pub(super) fn holds(&self, id: &str, live: &Arc<Live>) -> bool {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.get(id).and_then(|held| held.live.as_ref()).is_some_and(|held| Arc::ptr_eq(held, live))
    }

    /// The end of whoever acts on a task now, to be waited for.
    pub(super) fn over(&self, id: &str) -> Option<CancellationToken> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.get(id).map(|held| held.over.clone())
    }
}

#[cfg(test)]
mod tests {
    use haggle_base::{Seed, Timestamp};

    use super::*;

    #[tokio::test]
    async fn work_that_begins_after_it_was_stopped_is_stopped_at_once() {
        let agent = Seed::devnet(7, 1).agent_key(0).did();
        let owner = Owner { agent, root: "alice".into(), scope: "alice".into() };
        let tasks = LiveTasks::default();
        let task = Task::submitted("t".into(), "c".into(), Value::Null, Timestamp::from_secs(1));
        let place = tasks.reserve("t").unwrap();
        assert!(tasks.reserve("t").is_none() && tasks.get("t", &owner).is_none(), "taken, and not shown yet");
        let claim = place.take(owner.clone(), (task, None, None), false);
        let live = tasks.get("t", &owner).unwrap();
        live.stop();
        let work = tokio::spawn(std::future::pending::<()>());
        live.works(work.abort_handle());
        assert!(work.await.unwrap_err().is_cancelled());
        assert!(tasks.holds("t", &live));
        drop(claim);
        assert!(!tasks.holds("t", &live) && tasks.reserve("t").is_some());
    }
}
