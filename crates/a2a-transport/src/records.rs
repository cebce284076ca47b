//! Durable tasks: bounded, owned by their caller, bodies too large for a row as files beside it.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Bound,
    sync::{Mutex, PoisonError},
};

use haggle_a2a::{
    A2aError, Kind, Task,
    list::{Cursor, ListQuery},
    message,
    task::Finish,
    types::TaskState,
};
use haggle_base::{Blob, Clock, Did, Hash, Timestamp};
use haggle_store::{Batch, Blobs, Store, StoreError, tables};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Limits;

/// Largest body kept inside its row, in bytes; the row's other fields need the rest of the 7 KiB.
const MAX_INLINE_BYTES: usize = 5 * 1024;
/// Rows read at a time when the store is opened.
const PAGE: usize = 256;

tables! {
    Tasks = "a2a-tasks-1": String => Row;
}

/// Fields stand in the order in which they are written, so that writing sorts nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Row {
    body: Body,
    root: String,
    agent: Did,
    /// Whether it may make room: it has ended, or waits to be paid.
    ended: bool,
    scope: String,
    #[serde(default)]
    state: TaskState,
    changed: Timestamp,
    #[serde(default)]
    context: String,
}

/// What a body holds.
#[derive(Debug, Serialize)]
struct Written<'a> {
    task: &'a Task,
    #[serde(skip_serializing_if = "Option::is_none")]
    resume: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<&'a Due>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Body {
    Inline(Blob<MAX_INLINE_BYTES>),
    File(Hash),
}

/// Whose task it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    /// The agent that works on it.
    pub(crate) agent: Did,
    /// The authenticated caller, which the bounds count.
    pub(crate) root: String,
    /// The caller, or one of several behind it; only this one sees the task.
    pub(crate) scope: String,
}

/// How a task stands with its toll.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Due {
    /// The message it began with, as long as it waits to be paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) asked: Option<Value>,
    /// The payment that it was worked for with, or that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) payment: Option<String>,
    /// What the toll wants to see with the next message; for a paid task, what its last message has to tell.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub(crate) memo: Map<String, Value>,
}

impl Due {
    /// Whether the task was decided by this payment.
    pub(crate) fn is_of(&self, payment: &str) -> bool {
        self.payment.as_deref() == Some(payment)
    }
}

/// What is stored beside a task.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Left<'a> {
    pub(crate) resume: Option<&'a Value>,
    pub(crate) due: Option<&'a Due>,
}

/// A task as it is stored.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) task: Task,
    pub(crate) resume: Option<Value>,
    pub(crate) due: Option<Due>,
    /// How many bytes were read for it.
    pub(crate) bytes: usize,
}

#[derive(Debug)]
struct Entry {
    root: String,
    owner: (Did, String),
    changed: Timestamp,
    ended: bool,
    context: String,
    state: TaskState,
    /// The file that holds the body, if it did not fit the row.
    file: Option<Hash>,
}

impl Entry {
    fn of(row: &Row) -> Self {
        Self {
            root: row.root.clone(),
            owner: (row.agent, row.scope.clone()),
            changed: row.changed,
            ended: row.ended,
            context: row.context.clone(),
            state: row.state.clone(),
            file: file_of(row),
        }
    }
}

/// One page of a caller's tasks.
#[derive(Debug)]
pub(crate) struct Found {
    /// Where the tasks of the page stand, newest first.
    pub(crate) places: Vec<Cursor>,
    /// Whether more follow.
    pub(crate) more: bool,
    /// How many there are on all pages.
    pub(crate) total: usize,
}

/// Which tasks exist and which of them may go, oldest first.
#[derive(Debug, Default)]
struct Index {
    tasks: HashMap<String, Entry>,
    ended: BTreeSet<(Timestamp, String)>,
    by_root: HashMap<String, (usize, BTreeSet<(Timestamp, String)>)>,
    by_owner: HashMap<(Did, String), BTreeSet<Cursor>>,
}

impl Index {
    fn insert(&mut self, id: String, entry: Entry) {
        self.remove(&id);
        let (count, ended) = self.by_root.entry(entry.root.clone()).or_default();
        *count += 1;
        if entry.ended {
            ended.insert((entry.changed, id.clone()));
            self.ended.insert((entry.changed, id.clone()));
        }
        let place = Cursor { changed: entry.changed, id: id.clone() };
        self.by_owner.entry(entry.owner.clone()).or_default().insert(place);
        self.tasks.insert(id, entry);
    }

    fn remove(&mut self, id: &str) -> Option<Entry> {
        let entry = self.tasks.remove(id)?;
        let key = (entry.changed, id.to_owned());
        self.ended.remove(&key);
        if let Some(places) = self.by_owner.get_mut(&entry.owner) {
            places.remove(&Cursor { changed: entry.changed, id: id.to_owned() });
            if places.is_empty() {
                self.by_owner.remove(&entry.owner);
            }
        }
        if let Some((count, ended)) = self.by_root.get_mut(&entry.root) {
            *count -= 1;
            ended.remove(&key);
            if *count == 0 {
                self.by_root.remove(&entry.root);
            }
        }
        Some(entry)
    }

    /// A page of an owner's tasks.
    fn list(&self, owner: &Owner, query: &ListQuery) -> Found {
        let mut found = Found { places: Vec::new(), more: false, total: 0 };
        let places = self.by_owner.get(&(owner.agent, owner.scope.clone())).into_iter().flatten().rev();
        for place in places {
            let Some(entry) = self.tasks.get(&place.id) else { continue };
            let wanted = query.context.as_ref().is_none_or(|context| *context == entry.context)
                && query.state.as_ref().is_none_or(|state| *state == entry.state)
                && query.changed_since.is_none_or(|since| entry.changed >= since);
            if !wanted {
                continue;
            }
            found.total += 1;
            if query.after.as_ref().is_some_and(|after| place >= after) {
                continue;
            }
            if found.places.len() < query.page_size {
                found.places.push(place.clone());
            } else {
                found.more = true;
            }
        }
        found
    }

    /// Makes room for one more task of this caller: the tasks that have to go, or `None` if all of
    /// them are still open.
    fn make_room(&mut self, root: &str, limits: &Limits) -> Option<Vec<(String, Entry)>> {
        let mut gone = Vec::new();
        let own = self.by_root.get(root);
        if own.is_some_and(|(count, _)| *count >= limits.tasks_per_caller) {
            let oldest = own.and_then(|(_, ended)| ended.first()).map(|(_, id)| id.clone())?;
            gone.push(oldest);
        }
        if self.tasks.len() - gone.len() >= limits.tasks {
            let oldest = self.ended.iter().find(|(_, id)| !gone.contains(id));
            gone.push(oldest.map(|(_, id)| id.clone())?);
        }
        let take = |id: String| self.remove(&id).map(|entry| (id, entry));
        Some(gone.into_iter().filter_map(take).collect())
    }
}

/// All stored tasks.
#[derive(Debug)]
pub(crate) struct Shelf {
    store: Store,
    blobs: Blobs,
    index: Mutex<Index>,
    limits: Limits,
}

pub(crate) fn storage(error: &StoreError) -> A2aError {
    use haggle_base::Coded;
    tracing::warn!(error = %error, "a task could not be stored or read: {error}");
    A2aError::new(Kind::Storage, "the task could not be stored or read").with("code", error.code())
}

impl Shelf {
    /// Opens the tasks; those that were at work when the node stopped are failed now.
    pub(crate) async fn open(store: Store, blobs: Blobs, limits: Limits, clock: &dyn Clock) -> Result<Self, A2aError> {
        let shelf = Self { store, blobs, index: Mutex::default(), limits };
        let mut cut_off = Vec::new();
        let mut from: Option<String> = None;
        loop {
            let bound = from.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let page = shelf.store.range::<Tasks>(bound, PAGE).map_err(|e| storage(&e))?;
            let Some((last, _)) = page.last() else { break };
            from = Some(last.clone());
            for (id, mut row) in page {
                if row.context.is_empty()
                    && let Some(stored) = shelf.read(&row)?
                {
                    // Written before rows carried these.
                    row.context = stored.task.context().to_owned();
                    row.state = stored.task.state().clone();
                }
                if !row.ended {
                    cut_off.push((id.clone(), row.clone()));
                }
                shelf.index().insert(id, Entry::of(&row));
            }
        }
        for (id, row) in cut_off {
            shelf.fail_if_cut_off(&id, row, clock.now()).await?;
        }
        Ok(shelf)
    }

    async fn fail_if_cut_off(&self, id: &str, row: Row, now: Timestamp) -> Result<(), A2aError> {
        let Some(mut stored) = self.read(&row)? else { return Ok(()) };
        if !matches!(stored.task.state(), TaskState::Submitted | TaskState::Working) {
            return Ok(());
        }
        let owner = Owner { agent: row.agent, root: row.root, scope: row.scope };
        if stored.due.as_ref().is_some_and(|due| due.asked.is_some()) {
            // its payment did not come to an end: it waits again, and the same payment may be shown again
            let message = stored.task.last_asked().cloned();
            let waits = Finish { message, ..Finish::in_state(TaskState::InputRequired) };
            if stored.task.finish(waits, now).changed() {
                let left = Left { resume: stored.resume.as_ref(), due: stored.due.as_ref() };
                self.put(&owner, &stored.task, left, Batch::new()).await?;
            }
        } else {
            let told = message::agent(
                &format!("{id}-restart"),
                vec![message::text("the node restarted while the agent worked")],
            );
            if stored.task.abandon(TaskState::Failed, Some(told), now).changed() {
                self.put(&owner, &stored.task, Left::default(), Batch::new()).await?;
            }
        }
        Ok(())
    }

    fn index(&self) -> std::sync::MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many tasks are stored.
    pub(crate) fn len(&self) -> usize {
        self.index().tasks.len()
    }

    /// Stores a task; it is on disk when this returns. A task that this caller has more of than
    /// allowed pushes out the oldest ended one. `batch` is stored with it, or neither is.
    pub(crate) async fn put(
        &self,
        owner: &Owner,
        task: &Task,
        left: Left<'_>,
        mut batch: Batch,
    ) -> Result<(), A2aError> {
        let id = task.id().to_owned();
        let Left { resume, due } = left;
        let json = serde_json::to_vec(&Written { task, resume, due });
        let json = json.map_err(|_| A2aError::new(Kind::Internal, "the task could not be written"))?;
        let body = self.spill(json).await?;
        // nothing was done yet for a task that waits to be paid: it may go, or strangers would fill the shelf with them
        let unpaid = left.due.is_some_and(|due| due.asked.is_some()) && *task.state() == TaskState::InputRequired;
        let ended = task.state().is_terminal() || unpaid;
        let row = Row {
            agent: owner.agent,
            root: owner.root.clone(),
            scope: owner.scope.clone(),
            changed: task.changed(),
            ended,
            context: task.context().to_owned(),
            state: task.state().clone(),
            body,
        };
        let (before, evicted) = {
            let mut index = self.index();
            let before = index.remove(&id);
            let gone = if before.is_some() {
                Vec::new()
            } else {
                index
                    .make_room(&owner.root, &self.limits)
                    .ok_or_else(|| A2aError::new(Kind::Busy, "too many open tasks: end or cancel some first"))?
            };
            index.insert(id.clone(), Entry::of(&row));
            (before, gone)
        };
        let replaced = before.iter().filter_map(|entry| entry.file).filter(|old| Some(*old) != file_of(&row));
        let leftover: Vec<Hash> = replaced.chain(evicted.iter().filter_map(|(_, entry)| entry.file)).collect();
        for (gone, _) in &evicted {
            batch.delete::<Tasks>(gone);
        }
        let written = match batch.put::<Tasks>(&id, &row) {
            Ok(_) => self.store.commit(batch).await,
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            let mut index = self.index();
            index.remove(&id);
            if let Some(old) = before {
                index.insert(id, old);
            }
            for (gone, entry) in evicted {
                index.insert(gone, entry);
            }
            return Err(storage(&error));
        }
        self.sweep(leftover).await;
        Ok(())
    }

    async fn spill(&self, json: Vec<u8>) -> Result<Body, A2aError> {
        if let Ok(inline) = Blob::try_from(json.as_slice()) {
            return Ok(Body::Inline(inline));
        }
        let blobs = self.blobs.clone();
        let put = tokio::task::spawn_blocking(move || blobs.put(&json)).await;
        match put {
            Ok(hash) => Ok(Body::File(hash.map_err(|error| storage(&error))?)),
            Err(_) => Err(A2aError::new(Kind::Internal, "the task's body was not written")),
        }
    }

    /// Removes files that no row names any more. A file that stays costs space, nothing else.
    async fn sweep(&self, files: Vec<Hash>) {
        if files.is_empty() {
            return;
        }
        let blobs = self.blobs.clone();
        let swept =
            tokio::task::spawn_blocking(move || files.iter().filter(|file| blobs.delete(file).is_err()).count());
        if let Ok(failed @ 1..) = swept.await {
            tracing::debug!(files = failed, "{failed} files of old tasks could not be removed");
        }
    }

    fn row(&self, id: &String) -> Result<Option<Row>, A2aError> {
        self.store.get::<Tasks>(id).map_err(|error| storage(&error))
    }

    fn read(&self, row: &Row) -> Result<Option<Stored>, A2aError> {
        let bytes = match &row.body {
            Body::Inline(bytes) => Some(bytes.as_bytes().to_vec()),
            Body::File(hash) => self.blobs.get(hash).map_err(|error| storage(&error))?,
        };
        let Some(bytes) = bytes else { return Ok(None) };
        let Ok(Value::Object(mut body)) = serde_json::from_slice(&bytes) else { return Ok(None) };
        let resume = body.remove("resume").filter(|resume| !resume.is_null());
        let due = body.remove("due").and_then(|due| serde_json::from_value(due).ok());
        let task = body.remove("task").and_then(|task| Task::from_json(task, row.changed));
        Ok(task.map(|task| Stored { task, resume, due, bytes: bytes.len() }))
    }

    /// A page of this owner's tasks.
    pub(crate) fn list(&self, owner: &Owner, query: &ListQuery) -> Found {
        self.index().list(owner, query)
    }

    /// Whether there is a task with this id, and it is this owner's.
    pub(crate) fn owns(&self, id: &str, owner: &Owner) -> bool {
        let index = self.index();
        index.tasks.get(id).is_some_and(|entry| entry.owner.0 == owner.agent && entry.owner.1 == owner.scope)
    }

    /// The task with this id, if it is this owner's.
    pub(crate) fn get(&self, id: &str, owner: &Owner) -> Result<Option<Stored>, A2aError> {
        if id.len() > haggle_a2a::message::MAX_ID_BYTES {
            return Ok(None);
        }
        match self.row(&id.to_owned())? {
            Some(row) if row.scope == owner.scope && row.agent == owner.agent => self.read(&row),
            _ => Ok(None),
        }
    }
}

fn file_of(row: &Row) -> Option<Hash> {
    match &row.body {
        Body::File(hash) => Some(*hash),
        Body::Inline(_) => None,
    }
}
