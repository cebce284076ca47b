//! How an executor tells, while it works, how far it is.

use std::sync::Arc;

use haggle_a2a::{message, task::Step};
use haggle_base::Clock;
use serde_json::Value;

use super::live::Live;

/// News from an agent at work; `GetTask` shows them at once. They are not stored until the work ends.
#[derive(Debug, Clone)]
pub struct Updates(Option<(Arc<Live>, Arc<dyn Clock>)>);

impl Updates {
    pub(super) fn of(live: Arc<Live>, clock: Arc<dyn Clock>) -> Self {
        Self(Some((live, clock)))
    }

    /// Updates that nobody reads, for work outside a task.
    pub fn unheard() -> Self {
        Self(None)
    }

    /// Says in one line how it goes. False if the task has ended meanwhile.
    pub async fn report(&self, text: &str) -> bool {
        let Some((live, clock)) = &self.0 else { return true };
        let mut task = live.task.lock().await;
        let id = format!("{}-progress", task.id());
        heard(&task.report(message::agent(&id, vec![message::text(text)]), clock.now()))
    }

    /// Shows an artifact before the work has ended; the same `artifactId` replaces it. False if the
    /// task has ended meanwhile or has too many.
    pub async fn artifact(&self, artifact: Value) -> bool {
        let Some((live, _)) = &self.0 else { return true };
        heard(&live.task.lock().await.artifact(artifact))
    }
}

fn heard(step: &Step) -> bool {
    step.changed()
}
