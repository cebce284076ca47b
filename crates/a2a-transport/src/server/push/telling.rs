//! Telling webhooks: every event at least once and in order, until the webhook says that it will not hear.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use haggle_a2a::{A2aError, Kind, Task, VERSION, event};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Server, book::Row};
use crate::{
    guarded::{self, Target},
    server::{hub::Ear, tasks::result},
};

/// Longest time one delivery may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often an event is delivered before it is given up.
const TRIES: u32 = 5;
/// Most webhooks of one caller that are told of something at once.
const AT_ONCE: usize = 4;
/// The header with the caller's token, as the Python SDK has it, and as the Rust one has it.
const TOKEN_HEADERS: [HeaderName; 2] =
    [HeaderName::from_static("x-a2a-notification-token"), HeaderName::from_static("a2a-notification-token")];

/// Whose turn it is to be told: so many at once, and so many of one caller.
#[derive(Debug)]
pub(in crate::server) struct Turns {
    all: Arc<Semaphore>,
    callers: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// How an attempt to tell a webhook went.
enum Told {
    Yes,
    /// It will not want to hear this the next time either.
    Never(String),
    NotNow(String),
}

impl Turns {
    pub(in crate::server) fn new(all: usize) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), callers: Mutex::default() }
    }

    async fn take(&self, caller: &str) -> Option<[OwnedSemaphorePermit; 2]> {
        let of_caller = {
            let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
            callers.retain(|_, turns| Arc::strong_count(turns) > 1);
            let turns = callers.entry(caller.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE)));
            Arc::clone(turns)
        };
        // The caller's own queue first: nobody waits in everybody's queue behind one caller's many.
        let own = of_caller.acquire_owned().await.ok()?;
        Some([own, Arc::clone(&self.all).acquire_owned().await.ok()?])
    }
}

impl Server {
    /// After a restart: goes on telling of tasks that are still open, tells the end of those that ended unheard, and
    /// forgets the webhooks of tasks that are gone.
    pub(in crate::server) async fn resume_telling(&self) -> Result<(), A2aError> {
        let mut orphans = Vec::new();
        for row in self.shared.pushes.all() {
            if self.shared.shelf.get(&row.task, &row.owner())?.is_none() {
                orphans.push(row);
            } else if !row.is_over {
                let server = self.clone();
                tokio::spawn(async move {
                    let ear = server.shared.hub.listen(&row.task);
                    if server.catch_up(&row).await {
                        server.tell_all(&row, ear).await;
                    }
                });
            }
        }
        self.shared.pushes.remove(orphans).await
    }

    /// Tells a webhook what happens to its task, beginning with what the ear has not heard yet. If the task has ended
    /// already, that is told.
    pub(super) fn tell_from_now(&self, row: Arc<Row>, ear: Ear) {
        let server = self.clone();
        tokio::spawn(async move {
            let stands = server.as_it_stands(&row).await;
            let has_ended = stands.is_ok_and(|task| task.is_some_and(|task| task.state().is_terminal()));
            if !has_ended || server.catch_up(&row).await {
                server.tell_all(&row, ear).await;
            }
        });
    }

    /// One event after the other, until the task has ended or the webhook is gone.
    async fn tell_all(&self, row: &Arc<Row>, mut ear: Ear) {
        loop {
            let heard = tokio::select! {
                heard = ear.next() => heard,
                () = row.gone.cancelled() => return,
            };
            match heard {
                Some(Ok(event)) => {
                    self.deliver(row, &event).await;
                    if event.get("message").is_some() {
                        // There is no task, and will never be.
                        self.log_failure(row, self.shared.pushes.remove(vec![Arc::clone(row)]).await);
                        return;
                    }
                    if event::state(&event).is_some_and(|state| state.is_terminal()) {
                        self.log_failure(row, self.shared.pushes.finish(row).await);
                        return;
                    }
                }
                // Something was missed, or the stream of events broke off.
                Some(Err(_)) | None => {
                    ear = self.shared.hub.listen(&row.task);
                    if !self.catch_up(row).await {
                        return;
                    }
                }
            }
        }
    }

    /// Tells the webhook how the task stands, and whether there is more to come.
    async fn catch_up(&self, row: &Arc<Row>) -> bool {
        let task = match self.as_it_stands(row).await {
            Ok(Some(task)) => task,
            Ok(None) => {
                self.log_failure(row, self.shared.pushes.remove(vec![Arc::clone(row)]).await);
                return false;
            }
            Err(error) => {
                self.log_failure(row, Err(error));
                return false;
            }
        };
        let is_over = task.state().is_terminal();
        match result(&task, Some(0)) {
            Ok(task) => self.deliver(row, &event::task(task)).await,
            Err(error) => self.log_failure(row, Err(error)),
        }
        if is_over {
            self.log_failure(row, self.shared.pushes.finish(row).await);
        }
        !is_over
    }

    async fn as_it_stands(&self, row: &Row) -> Result<Option<Task>, A2aError> {
        let owner = row.owner();
        if let Some(live) = self.shared.live.get(&row.task, &owner) {
            return Ok(Some(live.task.lock().await.clone()));
        }
        Ok(self.shared.shelf.get(&row.task, &owner)?.map(|stored| stored.task))
    }

    async fn deliver(&self, row: &Arc<Row>, event: &Value) {
        // Judged again: what may be called can be configured otherwise since the webhook was made.
        let target = match guarded::target(&row.url, "url", self.shared.limits.webhooks) {
            Ok(target) => target,
            Err(error) => return self.log_failure(row, Err(error)),
        };
        let body = Bytes::from(event.to_string());
        let mut wait = self.shared.limits.redeliver;
        let mut cause = String::new();
        for attempt in 1..=TRIES {
            let Some(turn) = self.shared.turns.take(&row.root).await else { return };
            if !self.shared.pushes.stands(row) {
                return;
            }
            match self.attempt(row, &target, body.clone()).await {
                Told::Yes => return,
                Told::Never(why) => {
                    cause = why;
                    break;
                }
                Told::NotNow(why) => cause = why,
            }
            drop(turn);
            if attempt < TRIES {
                tokio::select! {
                    () = tokio::time::sleep(wait) => wait *= 2,
                    () = row.gone.cancelled() => return,
                }
            }
        }
        let task = &row.task;
        tracing::info!(task.id = task, "the webhook of task {task} was not told of an event: {cause}");
    }

    async fn attempt(&self, row: &Row, target: &Target, body: Bytes) -> Told {
        match guarded::post(target, headers(row), body, self.shared.limits.webhooks, PATIENCE).await {
            Ok(200..=299) => Told::Yes,
            Ok(status @ (408 | 429)) => Told::NotNow(format!("it answered {status}")),
            Ok(status @ 300..=499) => Told::Never(format!("it answered {status}")),
            Ok(status) => Told::NotNow(format!("it answered {status}")),
            Err(error) if error.kind() == Kind::Refused => Told::Never(error.to_string()),
            Err(error) => Told::NotNow(error.to_string()),
        }
    }

    fn log_failure(&self, row: &Row, outcome: Result<(), A2aError>) {
        if let Err(error) = outcome {
            let task = &row.task;
            tracing::warn!(task.id = task, error = %error, "the webhook of task {task}: {error}");
        }
    }
}

fn headers(row: &Row) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(HeaderName::from_static("a2a-version"), HeaderValue::from_static(VERSION));
    let mut put = |name: HeaderName, text: &str| {
        // what cannot be a header was refused when the webhook was made
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    };
    if !row.scheme.is_empty() {
        put(header::AUTHORIZATION, format!("{} {}", row.scheme, row.credentials).trim_end());
    }
    if !row.token.is_empty() {
        TOKEN_HEADERS.into_iter().for_each(|name| put(name, &row.token));
    }
    headers
}
