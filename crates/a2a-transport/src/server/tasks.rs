//! `GetTask`, `ListTasks` and `CancelTask`.

use std::sync::Arc;

use haggle_a2a::{
    A2aError, Kind, MAX_BODY_BYTES, Task, event,
    list::{self, Cursor, ListQuery},
    task::Step,
    types::TaskState,
};
use haggle_store::Batch;
use serde_json::{Value, json};

use super::{Context, Server};
use crate::{
    Executor,
    records::{Left, Owner},
};

/// What the envelope around a result may take, in bytes.
const ENVELOPE_BYTES: usize = 1024;
/// Largest result that fits every binding.
const MAX_RESULT_BYTES: usize = MAX_BODY_BYTES - ENVELOPE_BYTES;
/// What a task may take besides its artifacts, in bytes: its ids, its status and the agent's own fields.
const STATUS_BYTES: usize = 128 * 1024;
/// Most bytes of artifacts that an agent shows while it works.
pub(super) const MAX_SHOWN_BYTES: usize = MAX_RESULT_BYTES - STATUS_BYTES;
/// Stored bytes read for one page of a list; the page ends early there.
const MAX_READ_BYTES: usize = 8 * MAX_BODY_BYTES;

impl Server {
    pub(super) async fn get_task(&self, context: &Context<'_>, body: &Value) -> Result<Value, A2aError> {
        let id = task_id(body)?;
        let history = history_length(body, "historyLength")?;
        if let Some(live) = self.shared.live.get(id, &context.owner) {
            return result(&*live.task.lock().await, history);
        }
        match self.shared.shelf.get(id, &context.owner)? {
            Some(stored) => result(&stored.task, history),
            None => Err(A2aError::task_not_found(id)),
        }
    }

    pub(super) async fn cancel_task(&self, context: &Context<'_>, body: &Value) -> Result<Value, A2aError> {
        let (server, id, owner) = (self.clone(), task_id(body)?.to_owned(), context.owner.clone());
        let executor = Arc::clone(&context.served.executor);
        whole(async move { server.cancel_whole(&id, owner, executor.as_ref()).await }).await
    }

    async fn cancel_whole(&self, id: &str, owner: Owner, executor: &dyn Executor) -> Result<Value, A2aError> {
        while let Some(live) = self.shared.live.get(id, &owner) {
            let mut task = live.task.lock().await;
            if !self.shared.live.holds(id, &live) {
                // The agent's turn ended while this waited: look again where the task is now.
                continue;
            }
            let answer = self.cancel(&owner, &mut task).await;
            if answer.is_ok() {
                live.stop();
            }
            return answer;
        }
        if !self.shared.shelf.owns(id, &owner) {
            return Err(A2aError::task_not_found(id));
        }
        let Some(place) = self.shared.live.reserve(id) else {
            return Err(A2aError::new(Kind::Busy, "the task is being changed; try again"));
        };
        let Some(stored) = self.shared.shelf.get(id, &owner)? else { return Err(A2aError::task_not_found(id)) };
        let claim = place.take(owner, (stored.task, None, None), false);
        let answer = self.cancel(&claim.live.owner, &mut *claim.live.task.lock().await).await?;
        executor.cancelled(stored.resume).await;
        Ok(answer)
    }

    /// Cancels a task, on disk first. Whoever calls holds its lock.
    async fn cancel(&self, owner: &Owner, task: &mut Task) -> Result<Value, A2aError> {
        let mut next = task.clone();
        match next.abandon(TaskState::Canceled, None, self.shared.clock.now()) {
            Step::Moved { .. } | Step::Updated => {}
            Step::AlreadyEnded(_) | Step::Illegal { .. } | Step::Full => {
                return Err(
                    A2aError::new(Kind::TaskNotCancelable, "the task has ended already").with("taskId", task.id())
                );
            }
        }
        self.shared.shelf.put(owner, &next, Left::default(), Batch::new()).await?;
        *task = next;
        self.shared.hub.tell(task.id(), || event::status(task));
        result(task, None)
    }

    /// The caller's tasks with this agent, newest status first, page by page.
    pub(super) async fn list_tasks(&self, context: &Context<'_>, body: &Value) -> Result<Value, A2aError> {
        let query = ListQuery::parse(body)?;
        let seat = self.shared.listing.enter(&context.owner.root);
        let seat = seat.ok_or_else(|| A2aError::new(Kind::Busy, "too many lists at once"))?;
        let (server, owner) = (self.clone(), context.owner.clone());
        // Reading a page from disk takes its time, and nobody else shall wait for it.
        let read = tokio::task::spawn_blocking(move || {
            let _seat = seat;
            server.list_page(&owner, &query)
        });
        read.await.unwrap_or_else(|_| Err(A2aError::new(Kind::Internal, "the list was not read")))
    }

    fn list_page(&self, owner: &Owner, query: &ListQuery) -> Result<Value, A2aError> {
        let found = self.shared.shelf.list(owner, query);
        let mut tasks = Vec::new();
        let (mut shown_bytes, mut read_bytes) = (0, 0);
        let mut last: Option<Cursor> = None;
        for place in found.places {
            let Some(stored) = self.shared.shelf.get(&place.id, owner)? else { continue };
            let task = listed(stored.task, query);
            shown_bytes += size(&task);
            read_bytes += stored.bytes;
            // A page ends early where it would be over a bound, but never empty.
            if last.is_some() && (shown_bytes > MAX_RESULT_BYTES || read_bytes > MAX_READ_BYTES) {
                return Ok(list::page(tasks, last.as_ref(), query.page_size, found.total));
            }
            tasks.push(task);
            last = Some(place);
        }
        let next = last.filter(|_| found.more);
        Ok(list::page(tasks, next.as_ref(), query.page_size, found.total))
    }
}

/// One task of a list. One that is too large for any answer shows where it stands and nothing else.
fn listed(mut task: Task, query: &ListQuery) -> Value {
    if !query.artifacts {
        task.forget_artifacts();
    }
    let (id, context) = (task.id().to_owned(), task.context().to_owned());
    let status = json!({ "state": task.state(), "timestamp": task.changed().to_rfc3339() });
    result(&task, query.history).unwrap_or_else(|_| json!({ "id": id, "contextId": context, "status": status }))
}

/// Runs this to its end, even if whoever waits for it is stopped: half of it would be wrong.
pub(super) async fn whole<T: Send + 'static>(
    work: impl Future<Output = Result<T, A2aError>> + Send + 'static,
) -> Result<T, A2aError> {
    let done = tokio::spawn(work).await;
    done.unwrap_or_else(|_| Err(A2aError::new(Kind::Internal, "the server broke down in this call")))
}

pub(super) fn task_id(body: &Value) -> Result<&str, A2aError> {
    body.get("id")
        .and_then(Value::as_str)
        .filter(|id| !id.is_empty())
        .ok_or_else(|| A2aError::invalid_params("id", "is required and must be a text"))
}

/// Reads a `historyLength`; `None` means all.
pub(super) fn history_length(holder: &Value, field: &str) -> Result<Option<usize>, A2aError> {
    match holder.get("historyLength") {
        None | Some(Value::Null) => Ok(None),
        Some(length) => match length.as_u64().map(usize::try_from) {
            Some(Ok(length)) => Ok(Some(length)),
            _ => Err(A2aError::invalid_params(field, "must be a whole number that is not negative")),
        },
    }
}

/// Bytes counted and not kept.
struct Counter {
    bytes: usize,
    most: usize,
}

impl std::io::Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.bytes += bytes.len();
        if self.bytes > self.most { Err(std::io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// True if a result fits every binding.
pub(super) fn fits(result: &Value) -> bool {
    fits_within(result, 0)
}

fn fits_within(result: &Value, room: usize) -> bool {
    serde_json::to_writer(Counter { bytes: 0, most: MAX_RESULT_BYTES - room }, result).is_ok()
}

/// How many bytes a value takes as JSON.
pub(super) fn size(value: &Value) -> usize {
    let mut counter = Counter { bytes: 0, most: usize::MAX };
    match serde_json::to_writer(&mut counter, value) {
        Ok(()) => counter.bytes,
        Err(_) => usize::MAX,
    }
}

/// The task as a result; without its history if it is over the body limit with it.
pub(super) fn result(task: &Task, history: Option<usize>) -> Result<Value, A2aError> {
    result_within(task, history, 0)
}

/// The same, with room for so many bytes more.
pub(super) fn result_within(task: &Task, history: Option<usize>, room: usize) -> Result<Value, A2aError> {
    let json = task.to_json(history);
    if fits_within(&json, room) {
        return Ok(json);
    }
    let json = task.to_json(Some(0));
    if fits_within(&json, room) {
        return Ok(json);
    }
    Err(A2aError::new(Kind::TooLarge, "the task is over 1 MiB").with("taskId", task.id()))
}

#[cfg(test)]
mod tests {
    use haggle_base::Timestamp;

    use super::*;

    #[test]
    fn a_task_that_fits_no_answer_is_still_listed_with_its_state() {
        let huge = "x".repeat(MAX_BODY_BYTES);
        let task = |field: &str| {
            let mut task = json!({ "id": "t", "contextId": "c", "status": { "state": "TASK_STATE_WORKING" } });
            task[field] = json!([{ "parts": [{ "text": huge }] }]);
            Task::from_json(task, Timestamp::from_secs(1)).unwrap()
        };
        let query = ListQuery::parse(&json!({})).unwrap();
        let bare = json!({ "id": "t", "contextId": "c", "status": {
            "state": "TASK_STATE_WORKING", "timestamp": "1970-01-01T00:00:01.000Z" } });
        assert_eq!(listed(task("metadata"), &query), bare);
        assert_eq!(listed(task("artifacts"), &query), bare, "artifacts that are not shown are not measured");
        let all = ListQuery::parse(&json!({ "includeArtifacts": true })).unwrap();
        assert_eq!(listed(task("artifacts"), &all), bare);
    }
}
