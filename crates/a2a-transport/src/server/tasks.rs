//! `GetTask` and `CancelTask`.

use haggle_a2a::{
    A2aError, Kind, MAX_BODY_BYTES, Task, event,
    list::{self, Cursor, ListQuery},
    task::Step,
    types::TaskState,
};
use serde_json::Value;

use super::{Context, Server};

/// What the envelope around a result may take, in bytes.
const ENVELOPE_BYTES: usize = 1024;
/// Largest result that fits every binding.
const MAX_RESULT_BYTES: usize = MAX_BODY_BYTES - ENVELOPE_BYTES;

impl Server {
    pub(super) async fn get_task(&self, context: &Context<'_>, body: &Value) -> Result<Value, A2aError> {
        let id = task_id(body)?;
        let history = history_length(body, "historyLength")?;
        if let Some(live) = self.shared.live.get(id, &context.owner) {
            let task = live.task.lock().await.clone();
            return result(task, history);
        }
        match self.shared.shelf.get(id, &context.owner)? {
            Some(stored) => result(stored.task, history),
            None => Err(A2aError::task_not_found(id)),
        }
    }

    pub(super) async fn cancel_task(&self, context: &Context<'_>, body: &Value) -> Result<Value, A2aError> {
        let id = task_id(body)?;
        if let Some(live) = self.shared.live.get(id, &context.owner) {
            let mut task = live.task.lock().await;
            self.cancel(&mut task)?;
            self.shared.shelf.put(&live.owner, &task, None).await?;
            self.shared.hub.tell(task.id(), || event::status(&task));
            live.stop();
            return result(task.clone(), None);
        }
        let Some(stored) = self.shared.shelf.get(id, &context.owner)? else {
            return Err(A2aError::task_not_found(id));
        };
        let Some(claim) = self.shared.live.claim(context.owner.clone(), stored.task) else {
            return Err(A2aError::new(Kind::Busy, "the task is being changed; try again"));
        };
        let mut task = claim.live.task.lock().await;
        self.cancel(&mut task)?;
        self.shared.shelf.put(&claim.live.owner, &task, None).await?;
        self.shared.hub.tell(task.id(), || event::status(&task));
        context.served.executor.cancelled(stored.resume).await;
        result(task.clone(), None)
    }

    /// The caller's tasks with this agent, newest status first, page by page.
    pub(super) fn list_tasks(&self, context: &Context<'_>, body: &Value) -> Result<Value, A2aError> {
        let query = ListQuery::parse(body)?;
        let found = self.shared.shelf.list(&context.owner, &query);
        let mut tasks = Vec::new();
        let mut bytes = 0;
        let mut shown: Option<Cursor> = None;
        for place in found.places {
            let Some(stored) = self.shared.shelf.get(&place.id, &context.owner)? else { continue };
            let mut task = result(stored.task, query.history)?;
            if let (false, Some(map)) = (query.artifacts, task.as_object_mut()) {
                map.remove("artifacts");
            }
            bytes += task.to_string().len();
            // A page ends early where it would be over the body limit, but never empty.
            if bytes > MAX_RESULT_BYTES && shown.is_some() {
                return Ok(list::page(tasks, shown.as_ref(), query.page_size, found.total));
            }
            tasks.push(task);
            shown = Some(place);
        }
        let next = shown.filter(|_| found.more);
        Ok(list::page(tasks, next.as_ref(), query.page_size, found.total))
    }

    fn cancel(&self, task: &mut Task) -> Result<(), A2aError> {
        match task.abandon(TaskState::Canceled, None, self.shared.clock.now()) {
            Step::Moved { .. } | Step::Updated => Ok(()),
            Step::AlreadyEnded(_) | Step::Illegal { .. } | Step::Full => {
                Err(A2aError::new(Kind::TaskNotCancelable, "the task has ended already").with("taskId", task.id()))
            }
        }
    }
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

/// True if a result fits every binding; counts its bytes without keeping them.
pub(super) fn fits(result: &Value) -> bool {
    struct Counter(usize);
    impl std::io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            if self.0 > MAX_RESULT_BYTES { Err(std::io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes.len()) }
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    serde_json::to_writer(Counter(0), result).is_ok()
}

/// The task as a result; without its history if it is over the body limit with it.
pub(super) fn result(mut task: Task, history: Option<usize>) -> Result<Value, A2aError> {
    let json = task.to_json(history);
    if fits(&json) {
        return Ok(json);
    }
    task.forget_history();
    let json = task.to_json(None);
    if fits(&json) {
        return Ok(json);
    }
    Err(A2aError::new(Kind::TooLarge, "the task is over 1 MiB").with("taskId", task.id()))
}
