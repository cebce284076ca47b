//! Where other nodes' notes about transfers meet the books.

use crate::note::{self, NoteReply};
use haggle_base::{Clock, Coded as _, Did, NetworkFile};
use haggle_settlement::arrivals::{Heard, Incoming, Told};
use serde_json::Value;
use std::fmt;
use std::sync::Arc;

/// Takes notes for the agents of this node.
#[derive(Clone)]
pub(crate) struct NoteTaker {
    pub(crate) incoming: Incoming,
    pub(crate) file: Arc<NetworkFile>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl fmt::Debug for NoteTaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NoteTaker").finish_non_exhaustive()
    }
}

impl NoteTaker {
    /// Answers a message that carries a note.
    pub(crate) async fn answer(&self, agent: &Did, message: &Value) -> NoteReply {
        match note::open(message, agent, &self.file, self.clock.now()) {
            Ok(told) => self.take(told).await,
            Err(code) => NoteReply::Reject { code: code.to_owned(), retryable: false },
        }
    }

    /// Takes a word that was checked, or was said in this process.
    pub(crate) async fn take(&self, told: Told) -> NoteReply {
        match self.incoming.take(told).await {
            Ok(heard) => NoteReply::Taken { booked: heard == Heard::Booked },
            Err(error) => {
                tracing::debug!(error.code = error.code(), "a note about a transfer is not taken: {error}");
                NoteReply::Reject { code: error.code().to_owned(), retryable: error.is_retryable() }
            }
        }
    }
}
