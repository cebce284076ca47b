//! How an executor tells, while it works, how far it is.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
};

use haggle_a2a::{A2aError, event, message, task::Step};
use serde_json::Value;

use super::{
    Server,
    live::Live,
    tasks::{MAX_SHOWN_BYTES, fits, size, whole},
};

/// Longest report, in bytes.
const MAX_REPORT_BYTES: usize = 16 * 1024;

/// News from an agent at work; `GetTask` and streams show them at once. They are not stored until the work ends.
#[derive(Clone)]
pub struct Updates(Option<(Server, Arc<Live>)>);

impl fmt::Debug for Updates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Updates").field(&self.0.is_some()).finish()
    }
}

impl Updates {
    pub(super) fn of(server: Server, live: Arc<Live>) -> Self {
        Self(Some((server, live)))
    }

    /// Updates that nobody reads, for work outside a task.
    pub fn unheard() -> Self {
        Self(None)
    }

    /// Says in one line how it goes. False if the task has ended meanwhile, or cannot be stored, or the text is over
    /// 16 KiB.
    pub async fn report(&self, text: &str) -> bool {
        let Some((server, live)) = self.0.clone() else { return true };
        if text.len() > MAX_REPORT_BYTES {
            return false;
        }
        let said = vec![message::text(text)];
        stands(async move { server.report(&live, said).await }).await
    }

    /// Shows an artifact before the work has ended; the same `artifactId` replaces it. False if the
    /// task has ended meanwhile, has too many, or its artifacts would be over 895 KiB together.
    pub async fn artifact(&self, artifact: Value) -> bool {
        self.show(artifact, false, true).await
    }

    /// Shows a piece of an artifact: its parts follow those of the pieces before with the same `artifactId`. `last` says
    /// that no more follow. False as for [`Updates::artifact`].
    pub async fn piece(&self, piece: Value, last: bool) -> bool {
        self.show(piece, true, last).await
    }

    async fn show(&self, artifact: Value, is_piece: bool, last: bool) -> bool {
        let Some((server, live)) = self.0.clone() else { return true };
        stands(async move { server.show(&live, artifact, is_piece, last).await }).await
    }
}

/// What is said is stored and told, or neither, even if the agent is stopped while it says it.
async fn stands(told: impl Future<Output = bool> + Send + 'static) -> bool {
    whole(async move { Ok::<_, A2aError>(told.await) }).await.unwrap_or(false)
}

impl Server {
    async fn report(&self, live: &Live, said: Vec<Value>) -> bool {
        let mut task = live.task.lock().await;
        if live.streams && !self.announce_locked(live, &task, None).await {
            return false;
        }
        let id = format!("{}-progress", task.id());
        let step = task.report(message::agent(&id, said), self.shared.clock.now());
        if step.changed() {
            self.tell(task.id(), event::status(&task));
        }
        step.changed()
    }

    async fn show(&self, live: &Live, artifact: Value, is_piece: bool, last: bool) -> bool {
        if !fits(&artifact) {
            return false;
        }
        let mut task = live.task.lock().await;
        if live.streams && !self.announce_locked(live, &task, None).await {
            return false;
        }
        let id = artifact.get("artifactId").filter(|id| !id.is_null());
        let held = task.artifacts().iter().find(|held| id.is_some() && held.get("artifactId") == id);
        let append = is_piece && held.is_some();
        let replaced = held.filter(|_| !is_piece).map_or(0, size);
        let shown = live.shown.load(Ordering::Relaxed).saturating_sub(replaced).saturating_add(size(&artifact));
        if shown > MAX_SHOWN_BYTES {
            return false;
        }
        let step = if is_piece { task.append(artifact.clone()) } else { task.artifact(artifact.clone()) };
        match step {
            Step::Moved { .. } | Step::Updated => {
                live.shown.store(shown, Ordering::Relaxed);
                self.tell(task.id(), event::artifact(&task, artifact, append, last))
            }
            Step::AlreadyEnded(_) | Step::Illegal { .. } | Step::Full => false,
        }
    }
}
