//! Who follows which task: everybody gets the same events in the same order, and nobody waits for a slow one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::StreamExt as _;
use haggle_a2a::{A2aError, Kind, event};
use serde_json::Value;
use tokio::sync::broadcast::{self, error::RecvError};

use super::seats::Seat;
use crate::Events;

/// Events that may wait for one follower; one that is further behind is cut off.
const BEHIND: usize = 64;

type Channels = Arc<Mutex<HashMap<String, broadcast::Sender<Arc<Value>>>>>;

/// All followed tasks.
#[derive(Debug, Default)]
pub(super) struct Hub(Channels);

/// One follower's ear; the task is forgotten here when the last one goes.
#[derive(Debug)]
pub(super) struct Ear {
    channels: Channels,
    task: String,
    heard: Option<broadcast::Receiver<Arc<Value>>>,
}

impl Hub {
    /// Follows a task from now on.
    pub(super) fn listen(&self, task: &str) -> Ear {
        let mut channels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = channels.entry(task.to_owned()).or_insert_with(|| broadcast::channel(BEHIND).0);
        Ear { channels: Arc::clone(&self.0), task: task.to_owned(), heard: Some(sender.subscribe()) }
    }

    /// Tells everybody who follows the task. The event is made only if somebody does. Whoever tells holds the task's
    /// lock, which puts events in order.
    pub(super) fn tell(&self, task: &str, event: impl FnOnce() -> Value) {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(task).cloned();
        if let Some(sender) = sender
            && sender.send(Arc::new(event())).is_err()
        {
            tracing::trace!(task.id = task, "the last follower has left");
        }
    }

    /// Ends all streams of the task without a last word: whoever follows it has to ask for it.
    pub(super) fn close(&self, task: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(task);
    }

    /// How many tasks are followed.
    #[cfg(test)]
    pub(super) fn followed(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Ear {
    /// Whether nothing was told since it listens.
    pub(super) fn is_quiet(&self) -> bool {
        self.heard.as_ref().is_none_or(broadcast::Receiver::is_empty)
    }

    /// The next event; an error says that some were missed.
    pub(super) async fn next(&mut self) -> Option<Result<Arc<Value>, A2aError>> {
        match self.heard.as_mut()?.recv().await {
            Ok(event) => Some(Ok(event)),
            Err(RecvError::Closed) => None,
            Err(RecvError::Lagged(missed)) => {
                let slow = A2aError::new(Kind::Busy, "the stream was read too slowly; subscribe to the task again");
                Some(Err(slow.with("missedEvents", missed.to_string())))
            }
        }
    }

    /// The events as a stream: `first`, then what is told, until the agent does no more by itself, or `longest` is over
    /// (the follower may subscribe again). The seat is free when the stream is dropped.
    pub(super) fn events(self, first: Option<Value>, longest: Duration, seat: Seat) -> Events {
        let until = tokio::time::Instant::now() + longest;
        let told = futures::stream::unfold((self, seat, false), move |(mut ear, seat, over)| async move {
            if over {
                return None;
            }
            let next = tokio::time::timeout_at(until, ear.next()).await.ok()??;
            let over = next.as_ref().map_or(true, |event| event::ends_stream(event));
            Some((next.map(|event| Value::clone(&event)), (ear, seat, over)))
        });
        futures::stream::iter(first.map(Ok)).chain(told).boxed()
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        self.heard = None;
        if channels.get(&self.task).is_some_and(|sender| sender.receiver_count() == 0) {
            channels.remove(&self.task);
        }
    }
}
