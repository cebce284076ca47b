//! What can go wrong in the catalog, and what to do about it.

use std::{io, sync::Arc};

use haggle_base::{CborError, Coded, RecordError};
use haggle_store::StoreError;

use crate::{door::is_senders_fault, frames::FrameFault, shelf::event::Quota};

/// Failure of a catalog operation.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// The record does not verify.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// State could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The search index failed.
    #[error("the search index failed")]
    Index(#[source] Arc<tantivy::TantivyError>),
    /// Our own record finds no room on our own shelf.
    #[error("there is no room for another record of this agent")]
    OverQuota(Quota),
    /// Our own record lost against a newer one of the same agent, published elsewhere.
    #[error("a newer record of this agent stands in its place")]
    Superseded,
    /// The author failed too many more of its buyers than it served well.
    #[error("Insufficient reputation")]
    InsufficientReputation {
        /// See [`Figures::net`](crate::Figures::net).
        net: i64,
        /// What it has to be at least.
        least: i64,
    },
    /// The agent has no such listing.
    #[error("the agent has no listing of this name")]
    NotListed,
    /// A cursor that no answer gave.
    #[error("the cursor is not one of ours")]
    BadCursor,
    /// A cursor of the combined order, with other weights than those of the search.
    #[error("the cursor is of a search with other weights")]
    OtherWeights,
    /// The catalog was shut down.
    #[error("the catalog is closed")]
    Closed,
}

impl CatalogError {
    /// True if an honest sender could not have sent the bytes that caused this.
    #[must_use]
    pub fn is_senders_fault(&self) -> bool {
        matches!(self, Self::Record(error) if is_senders_fault(error))
    }
}

impl From<tantivy::TantivyError> for CatalogError {
    fn from(error: tantivy::TantivyError) -> Self {
        Self::Index(Arc::new(error))
    }
}

impl Coded for CatalogError {
    fn code(&self) -> &'static str {
        match self {
            Self::Record(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Index(_) => "index_failed",
            Self::OverQuota(_) => "over_quota",
            Self::Superseded => "superseded",
            Self::InsufficientReputation { .. } => "insufficient_reputation",
            Self::NotListed => "not_listed",
            Self::BadCursor => "bad_cursor",
            Self::OtherWeights => "other_weights",
            Self::Closed => "catalog_closed",
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Record(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Index(_) => "restart the node: the index is built anew from the records",
            Self::OverQuota(_) => {
                "withdraw a listing first, or pay a listing fee for each above the 4 free ones; `haggle status` names the fee and where it goes"
            }
            Self::Superseded => "read the record again and publish a change of that",
            Self::InsufficientReputation { .. } => {
                "it failed more of its buyers than it served well: serve others well, or lower market.min_reputation, which others need not"
            }
            Self::NotListed => "list the agent's listings to see their names",
            Self::BadCursor => "use the cursor of the answer before, unchanged, or start from the first page",
            Self::OtherWeights => "ask with the weights of the page before, or start from the first page",
            Self::Closed => "restart the node",
        }
    }
}

/// Why a sync ended early.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SyncError {
    /// The stream broke.
    #[error("the stream broke")]
    Io(#[source] Arc<io::Error>),
    /// The peer said nothing for too long.
    #[error("the peer did not answer in time")]
    Timeout,
    /// A frame above the limit.
    #[error("a frame of {bytes} bytes is above the limit")]
    FrameTooLarge {
        /// Its announced size.
        bytes: u64,
    },
    /// A frame that is no frame.
    #[error("a frame cannot be read")]
    BadFrame(#[source] CborError),
    /// The peer is of another network.
    #[error("the peer belongs to another network")]
    WrongNetwork,
    /// The peer counts other shards, or names one that does not exist.
    #[error("the peer has other shards")]
    WrongShard,
    /// A frame that may not come now.
    #[error("a frame came out of turn")]
    OutOfTurn,
    /// A reconciliation message that is none.
    #[error("a reconciliation message cannot be read")]
    BadMessage,
    /// More turns or bytes than a session may take.
    #[error("the session is longer than allowed")]
    TooLong,
    /// A record that an honest peer would not have sent.
    #[error("the peer sent a bad record: {0}")]
    BadRecord(#[source] RecordError),
    /// Our own side failed.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl SyncError {
    /// True if the peer broke the protocol and should be penalised.
    #[must_use]
    pub const fn is_peers_fault(&self) -> bool {
        match self {
            Self::FrameTooLarge { .. }
            | Self::BadFrame(_)
            | Self::WrongShard
            | Self::OutOfTurn
            | Self::BadMessage
            | Self::BadRecord(_) => true,
            Self::Io(_) | Self::Timeout | Self::WrongNetwork | Self::TooLong | Self::Catalog(_) => false,
        }
    }
}

impl From<FrameFault> for SyncError {
    fn from(fault: FrameFault) -> Self {
        match fault {
            FrameFault::Io(error) => error.into(),
            FrameFault::TooLarge { bytes } => Self::FrameTooLarge { bytes },
            FrameFault::Bad(error) => Self::BadFrame(error),
        }
    }
}

impl From<io::Error> for SyncError {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}

impl Coded for SyncError {
    fn code(&self) -> &'static str {
        match self {
            Self::Io(_) => "sync_stream_broke",
            Self::Timeout => "sync_timeout",
            Self::FrameTooLarge { .. } => "frame_too_large",
            Self::BadFrame(_) => "bad_frame",
            Self::WrongNetwork => "wrong_network",
            Self::WrongShard => "wrong_shard",
            Self::OutOfTurn => "frame_out_of_turn",
            Self::BadMessage => "bad_sync_message",
            Self::TooLong => "sync_too_long",
            Self::BadRecord(error) => error.code(),
            Self::Catalog(error) => error.code(),
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Io(_) | Self::Timeout => "sync again with this or another peer",
            Self::FrameTooLarge { .. }
            | Self::BadFrame(_)
            | Self::WrongShard
            | Self::OutOfTurn
            | Self::BadMessage
            | Self::BadRecord(_) => "the peer breaks the protocol: drop it and sync with another",
            Self::WrongNetwork => "connect to peers of the network that the network file names",
            Self::TooLong => "sync again: each session goes on where the sets still differ",
            Self::Catalog(error) => error.hint(),
        }
    }
}
