//! What one node asks another about what it sees: the frames of `/haggle/<network>/look/1`.
//!
//! A stream carries at most [`MAX_QUESTIONS`] questions, each answered before the next one is asked. Both are a u32
//! big-endian length and one canonical CBOR item, like the frames of a sync.

use haggle_base::{CborError, Did, RecordId, cbor};
use serde::{Deserialize, Serialize};

use crate::{
    door::{Entry, Place},
    shelf::Shelf,
};

/// Largest question or reply without its length, in bytes.
pub const MAX_LOOK_BYTES: usize = 512;

/// Questions on one stream; the one who answers closes it after them.
pub const MAX_QUESTIONS: usize = 16;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Question {
    /// Are you there? Asked to measure the way.
    Ping,
    /// Do you hold this record?
    Record {
        /// The record.
        id: RecordId,
        /// Its place, if the asker knows it: then the answer can name what stands there instead.
        place: Option<Place>,
    },
    /// Do you serve this agent, and is it well?
    Agent {
        /// The agent.
        did: Did,
    },
}

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Reply {
    /// I am here.
    Pong,
    /// How the record stands here.
    Record {
        /// How.
        holding: Holding,
    },
    /// How the agent is.
    Agent {
        /// How.
        health: Health,
    },
}

/// How a record stands on a shelf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Holding {
    /// It is held, and a search finds it unless its author stands too low.
    Held,
    /// A newer record stands in its place.
    Replaced {
        /// The newer record.
        by: RecordId,
    },
    /// Its author has withdrawn it.
    Withdrawn {
        /// The tombstone.
        by: RecordId,
    },
    /// It came, and there was no room for it: its author's quota, or its shard's, is used up.
    Refused,
    /// It never came, or has expired.
    Unknown,
    /// It is not held, and neither is the whole market here: nothing follows from that.
    NotHeld,
}

/// How an agent is at a node that is asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Health {
    /// It is served, and what runs it answers.
    Serving,
    /// It is served, and has as many calls to work on as it takes at once: another one would be refused now.
    Busy,
    /// It is served, and what runs it does not answer.
    Failing,
    /// It is not served here.
    Absent,
}

macro_rules! frame {
    ($kind:ty) => {
        impl $kind {
            /// Canonical bytes without the length.
            ///
            /// # Errors
            /// [`CborError`]; not for a value of this version.
            pub fn encode(&self) -> Result<Vec<u8>, CborError> {
                cbor::to_vec(self)
            }

            /// Reads it from all of `bytes`.
            ///
            /// # Errors
            /// [`CborError`] unless `bytes` are its canonical encoding, at most [`MAX_LOOK_BYTES`] long.
            pub fn decode(bytes: &[u8]) -> Result<Self, CborError> {
                cbor::from_slice(bytes, MAX_LOOK_BYTES)
            }
        }
    };
}

frame!(Question);
frame!(Reply);

impl Holding {
    /// The word for it: `held`, `replaced`, `withdrawn`, `refused`, `unknown` or `not_held`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Replaced { .. } => "replaced",
            Self::Withdrawn { .. } => "withdrawn",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
            Self::NotHeld => "not_held",
        }
    }

    /// The record that stands instead.
    #[must_use]
    pub const fn by(self) -> Option<RecordId> {
        match self {
            Self::Replaced { by } | Self::Withdrawn { by } => Some(by),
            Self::Held | Self::Refused | Self::Unknown | Self::NotHeld => None,
        }
    }

    /// How a record stands on `shelf`.
    pub(crate) fn on(shelf: &Shelf, id: &RecordId, place: Option<&Place>) -> Self {
        if shelf.get(id).is_some() {
            return Self::Held;
        }
        match place.and_then(|place| shelf.at(place)) {
            Some(Entry { id: by, kind: haggle_base::Kind::Tombstone, .. }) => Self::Withdrawn { by: *by },
            Some(Entry { id: by, .. }) => Self::Replaced { by: *by },
            None if shelf.is_refused(id) => Self::Refused,
            None => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests;
