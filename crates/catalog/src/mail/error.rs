//! Why mail did not go through, on either side.

use std::{io, sync::Arc};

use haggle_base::{CborError, Coded};
use haggle_store::StoreError;

use super::letter::LetterError;
use super::wire::Refusal;
use crate::frames::FrameFault;

/// Failure of an exchange of mail between two nodes.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum MailError {
    /// The peer cannot be reached, or does not speak the protocol.
    #[error("the peer cannot be reached: {code}")]
    Unreachable {
        /// What the network says.
        code: &'static str,
    },
    /// The peer does not do it.
    #[error("the peer refuses: {}", .0.as_str())]
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
    /// An answer to another question, or more questions than a stream may carry.
    #[error("the answer does not fit the question")]
    NotAsked,
    /// A letter or receipt that an honest peer would not have sent.
    #[error("the peer sent a bad document: {0}")]
    Document(#[from] LetterError),
    /// State could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl MailError {
    /// True if the peer broke the protocol and should be penalised.
    #[must_use]
    pub const fn is_peers_fault(&self) -> bool {
        match self {
            Self::FrameTooLarge { .. } | Self::BadFrame(_) | Self::NotAsked => true,
            // clocks differ, and a keeper cannot see what is in a letter
            Self::Document(_)
            | Self::Unreachable { .. }
            | Self::Refused(_)
            | Self::Timeout
            | Self::Io(_)
            | Self::Store(_) => false,
        }
    }
}

impl From<FrameFault> for MailError {
    fn from(fault: FrameFault) -> Self {
        match fault {
            FrameFault::Io(error) => error.into(),
            FrameFault::TooLarge { bytes } => Self::FrameTooLarge { bytes },
            FrameFault::Bad(error) => Self::BadFrame(error),
        }
    }
}

impl From<io::Error> for MailError {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}

impl Coded for MailError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "mail_unreachable",
            Self::Refused(why) => why.as_str(),
            Self::Timeout => "mail_timeout",
            Self::Io(_) => "mail_stream_broke",
            Self::FrameTooLarge { .. } => "frame_too_large",
            Self::BadFrame(_) => "bad_frame",
            Self::NotAsked => "mail_answer_unfit",
            Self::Document(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } | Self::Timeout | Self::Io(_) => "the node tries again by itself",
            Self::Refused(Refusal::MailboxFull | Refusal::SenderFull | Refusal::KeeperFull) => {
                "wait until the recipient has collected its letters; one that it knows has room of its own"
            }
            Self::Refused(_) => "the node tries another keeper, and this one again later",
            Self::FrameTooLarge { .. } | Self::BadFrame(_) | Self::NotAsked => {
                "the peer breaks the protocol: drop it and ask another"
            }
            Self::Document(error) => error.hint(),
            Self::Store(error) => error.hint(),
        }
    }
}
