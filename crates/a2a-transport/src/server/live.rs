//! The tasks that somebody acts on right now: one actor at a time per task.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
};

use haggle_a2a::Task;
use tokio::task::AbortHandle;

use crate::records::Owner;

/// A task in someone's hands. Its machine is the truth until it is stored.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) owner: Owner,
    pub(crate) task: tokio::sync::Mutex<Task>,
    work: Mutex<Option<AbortHandle>>,
    /// Whether its caller knows that there is a task: a message may still be all that comes of it.
    pub(super) announced: AtomicBool,
}

impl Live {
    /// Names the work that a cancellation stops.
    pub(super) fn works(&self, handle: AbortHandle) {
        *self.work.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle);
    }

    pub(super) fn stop(&self) {
        if let Some(work) = self.work.lock().unwrap_or_else(PoisonError::into_inner).take() {
            work.abort();
        }
    }
}

type Table = Arc<Mutex<HashMap<String, Arc<Live>>>>;

/// All of them.
#[derive(Debug, Default)]
pub(super) struct LiveTasks(Table);

/// The right to act on a task; given back when dropped.
#[derive(Debug)]
pub(super) struct Claim {
    table: Table,
    id: String,
    pub(super) live: Arc<Live>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.table.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

impl LiveTasks {
    /// Takes the task; `None` if somebody else acts on it.
    pub(super) fn claim(&self, owner: Owner, task: Task) -> Option<Claim> {
        let id = task.id().to_owned();
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if table.contains_key(&id) {
            return None;
        }
        let live = Arc::new(Live {
            owner,
            task: tokio::sync::Mutex::new(task),
            work: Mutex::default(),
            announced: AtomicBool::new(false),
        });
        table.insert(id.clone(), Arc::clone(&live));
        Some(Claim { table: Arc::clone(&self.0), id, live })
    }

    /// The task, if somebody acts on it and it is this owner's.
    pub(super) fn get(&self, id: &str, owner: &Owner) -> Option<Arc<Live>> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.get(id).filter(|live| live.owner.scope == owner.scope && live.owner.agent == owner.agent).cloned()
    }
}
