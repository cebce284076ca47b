//! `SendStreamingMessage` and `SubscribeToTask`.

use futures::StreamExt as _;
use haggle_a2a::{A2aError, Kind, event, message};
use serde_json::Value;

use super::{
    Context, Server,
    send::{Asked, Reader, wish},
    tasks::{fits, result, task_id},
    unsupported,
};
use crate::Events;

impl Server {
    /// Works on a message and tells, as it goes, what happens to its task. The work goes on if the caller stops reading.
    ///
    /// Errors come before the first event: there is no stream then.
    pub(super) async fn send_streaming(&self, context: Context<'_>, mut body: Value) -> Result<Events, A2aError> {
        message::check(body.get("message"))?;
        let wish = wish(&body)?;
        let follower = self.follower(&context)?;
        match self.ask(&context, &mut body, Reader::Stream).await? {
            Asked::Handled(reply) => Ok(futures::stream::iter([Ok(event::message(reply))]).boxed()),
            Asked::Stands(task) => {
                let shown = event::task(result(&task, wish.history)?);
                Ok(futures::stream::iter([Ok(shown)]).boxed())
            }
            Asked::Run(job) => self.run_followed(*job, wish.history, follower).await,
        }
    }

    /// Follows a task from where it is: the task first, then whatever happens to it.
    pub(super) async fn subscribe(&self, context: &Context<'_>, body: &Value) -> Result<Events, A2aError> {
        let id = task_id(body)?;
        let follower = self.follower(context)?;
        loop {
            if let Some(live) = self.shared.live.get(id, &context.owner) {
                // Events are told under this lock, so none is missed and none comes twice.
                let task = live.task.lock().await;
                if !self.shared.live.holds(id, &live) {
                    continue;
                }
                if task.state().is_terminal() {
                    return Err(ended(id));
                }
                let ear = self.shared.hub.listen(id);
                let first = event::task(result(&task, None)?);
                return Ok(ear.events(Some(first), self.shared.limits.follow, follower));
            }
            let ear = self.shared.hub.listen(id);
            let stored = self.shared.shelf.get(id, &context.owner)?.ok_or_else(|| A2aError::task_not_found(id))?;
            if self.shared.live.get(id, &context.owner).is_some() || !ear.is_quiet() {
                // Somebody took it up in between: look again.
                continue;
            }
            if stored.task.state().is_terminal() {
                return Err(ended(id));
            }
            let first = event::task(result(&stored.task, None)?);
            return Ok(ear.events(Some(first), self.shared.limits.follow, follower));
        }
    }

    /// A place for one more stream of this caller.
    fn follower(&self, context: &Context<'_>) -> Result<super::seats::Seat, A2aError> {
        let enabled = context.served.card.pointer("/capabilities/streaming").and_then(Value::as_bool);
        if enabled != Some(true) {
            return Err(unsupported("SendStreamingMessage", "this agent does not stream"));
        }
        let seat = self.shared.followers.enter(&context.owner.root);
        seat.ok_or_else(|| A2aError::new(Kind::Busy, "too many streams at once"))
    }

    /// Tells followers of an update; false if it fits no binding.
    pub(super) fn tell(&self, task: &str, event: Value) -> bool {
        if !fits(&event) {
            return false;
        }
        self.shared.hub.tell(task, || event);
        true
    }
}

fn ended(id: &str) -> A2aError {
    unsupported("SubscribeToTask", "the task has ended; read it with GetTask").with("taskId", id)
}
