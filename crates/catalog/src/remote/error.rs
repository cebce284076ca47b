//! Why a search at another node failed, on either side.

use std::{io, sync::Arc};

use haggle_base::{CborError, Coded, RecordError};

use super::wire::Refusal;
use crate::{error::CatalogError, frames::FrameFault};

/// Failure of a search between two nodes.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SearchError {
    /// The words or labels of the search are too long for a question, or hold control characters.
    #[error("the search cannot be asked of other nodes")]
    Unaskable,
    /// The peer cannot be reached, or does not answer searches.
    #[error("the peer cannot be asked: {code}")]
    Unreachable {
        /// What the network says.
        code: &'static str,
    },
    /// The peer answers nothing now.
    #[error("the peer answers no search now: {}", .0.as_str())]
    Refused(Refusal),
    /// The peer said nothing for too long.
    #[error("the peer did not answer in time")]
    Timeout,
    /// The stream broke.
    #[error("the stream broke")]
    Io(#[source] Arc<io::Error>),
    /// A frame above the limit.
    #[error("a frame of {bytes} bytes is above the limit")]
    FrameTooLarge {
        /// Its announced size.
        bytes: u64,
    },
    /// A frame that is no frame.
    #[error("a frame cannot be read")]
    BadFrame(#[source] CborError),
    /// More records or bytes than an answer may have.
    #[error("the answer is longer than allowed")]
    TooMuch,
    /// A record that was not asked for, or an end that does not fit what was sent.
    #[error("the answer does not fit the question")]
    NotAsked,
    /// A record that an honest peer would not have sent.
    #[error("the peer sent a bad record: {0}")]
    BadRecord(#[source] RecordError),
    /// Our own side failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl SearchError {
    /// True if the peer broke the protocol and should be penalised.
    #[must_use]
    pub const fn is_peers_fault(&self) -> bool {
        match self {
            Self::FrameTooLarge { .. } | Self::BadFrame(_) | Self::TooMuch | Self::NotAsked | Self::BadRecord(_) => {
                true
            }
            Self::Unaskable
            | Self::Unreachable { .. }
            | Self::Refused(_)
            | Self::Timeout
            | Self::Io(_)
            | Self::Catalog(_) => false,
        }
    }
}

impl From<FrameFault> for SearchError {
    fn from(fault: FrameFault) -> Self {
        match fault {
            FrameFault::Io(error) => error.into(),
            FrameFault::TooLarge { bytes } => Self::FrameTooLarge { bytes },
            FrameFault::Bad(error) => Self::BadFrame(error),
        }
    }
}

impl From<io::Error> for SearchError {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}

impl Coded for SearchError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unaskable => "search_too_long",
            Self::Unreachable { .. } => "index_node_unreachable",
            Self::Refused(why) => why.as_str(),
            Self::Timeout => "search_timeout",
            Self::Io(_) => "search_stream_broke",
            Self::FrameTooLarge { .. } => "frame_too_large",
            Self::BadFrame(_) => "bad_frame",
            Self::TooMuch => "search_answer_too_long",
            Self::NotAsked => "search_answer_unfit",
            Self::BadRecord(error) => error.code(),
            Self::Catalog(error) => error.code(),
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Unaskable => "search with at most 256 bytes of words and 16 tags, without control characters",
            Self::Unreachable { .. } | Self::Timeout | Self::Io(_) => "search again: others may be asked then",
            Self::Refused(Refusal::TooOften) => "wait a minute before the next search",
            Self::Refused(Refusal::Busy | Refusal::Failed) => "search again in a moment",
            Self::FrameTooLarge { .. } | Self::BadFrame(_) | Self::TooMuch | Self::NotAsked | Self::BadRecord(_) => {
                "the peer breaks the protocol: drop it and ask another"
            }
            Self::Catalog(error) => error.hint(),
        }
    }
}
