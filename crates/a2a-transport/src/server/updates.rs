//! How an executor tells, while it works, how far it is.

use std::{fmt, sync::Arc};

use haggle_a2a::{event, message, task::Step};
use serde_json::Value;

use super::{Server, live::Live, tasks::fits};

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

    /// Says in one line how it goes. False if the task has ended meanwhile, or cannot be stored.
    pub async fn report(&self, text: &str) -> bool {
        let Some((server, live)) = &self.0 else { return true };
        let mut task = live.task.lock().await;
        if !server.announce_locked(live, &task, None).await {
            return false;
        }
        let id = format!("{}-progress", task.id());
        let step = task.report(message::agent(&id, vec![message::text(text)]), server.shared.clock.now());
        if step.changed() {
            server.tell(task.id(), event::status(&task));
        }
        step.changed()
    }

    /// Shows an artifact before the work has ended; the same `artifactId` replaces it. False if the
    /// task has ended meanwhile, has too many, or the artifact is over the body limit.
    pub async fn artifact(&self, artifact: Value) -> bool {
        self.show(artifact, false, true).await
    }

    /// Shows a piece of an artifact: its parts follow those of the pieces before with the same `artifactId`. `last` says
    /// that no more follow. False as for [`Updates::artifact`].
    pub async fn piece(&self, piece: Value, last: bool) -> bool {
        self.show(piece, true, last).await
    }

    async fn show(&self, artifact: Value, is_piece: bool, last: bool) -> bool {
        let Some((server, live)) = &self.0 else { return true };
        if !fits(&artifact) {
            return false;
        }
        let mut task = live.task.lock().await;
        if !server.announce_locked(live, &task, None).await {
            return false;
        }
        let id = artifact.get("artifactId").cloned();
        let append = is_piece && task.artifacts().iter().any(|held| held.get("artifactId") == id.as_ref());
        let step = if is_piece { task.append(artifact.clone()) } else { task.artifact(artifact.clone()) };
        match step {
            Step::Moved { .. } | Step::Updated => {
                server.tell(task.id(), event::artifact(&task, artifact, append, last))
            }
            Step::AlreadyEnded(_) | Step::Illegal { .. } | Step::Full => false,
        }
    }
}
