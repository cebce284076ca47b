//! A document that a record names by hash and size: the exchange of `/haggle/<network>/blob/1`.
//!
//! The question is a [`BlobRef`], the answer its bytes in parts. Whoever asks knows beforehand how many bytes there are and what
//! they hash to, so a peer can only keep a document back: what is longer or other counts for nothing, and against the peer.

use std::time::Duration;

use haggle_base::Blob;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use super::wire::Refusal;
use super::{Answered, QUESTION_PATIENCE, READING_PATIENCE, SearchError};
use crate::{body::BlobRef, frames};

/// Largest question without its length, in bytes.
pub const MAX_BLOB_QUESTION_BYTES: usize = 128;

/// Bytes of a document in one frame.
pub const MAX_PART_BYTES: usize = 32 * 1024;

/// Largest reply without its length, in bytes.
const MAX_REPLY_BYTES: usize = MAX_PART_BYTES + 64;

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum BlobReply {
    /// The next bytes; the last part ends where the size says.
    Part {
        /// One to [`MAX_PART_BYTES`].
        bytes: Blob<MAX_PART_BYTES>,
    },
    /// It is not held here.
    Absent,
    /// Nothing is answered now.
    Refused {
        /// Why.
        why: Refusal,
    },
}

/// Asks a peer for a document; `None` if it does not hold it. What is given is the document.
///
/// # Errors
/// [`SearchError`]; [`SearchError::is_peers_fault`] tells whether to penalise the peer.
pub async fn ask_for_blob<S>(
    mut stream: S,
    wanted: &BlobRef,
    patience: Duration,
) -> Result<Option<Vec<u8>>, SearchError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    if !wanted.is_possible() {
        return Err(SearchError::Unaskable);
    }
    let size = usize::try_from(wanted.size).map_err(|_| SearchError::Unaskable)?;
    let asking = async {
        frames::write(&mut stream, wanted).await?;
        stream.flush().await?;
        let mut bytes = Vec::with_capacity(size);
        while bytes.len() < size {
            match frames::read::<BlobReply, _>(&mut stream, MAX_REPLY_BYTES).await?.0 {
                // a part that says nothing would only keep us here
                BlobReply::Part { bytes: part } if part.is_empty() => return Err(SearchError::NotAsked),
                BlobReply::Part { bytes: part } if part.len() > size - bytes.len() => return Err(SearchError::TooMuch),
                BlobReply::Part { bytes: part } => bytes.extend_from_slice(&part),
                BlobReply::Absent if bytes.is_empty() => return Ok(None),
                BlobReply::Refused { why } if bytes.is_empty() => return Err(SearchError::Refused(why)),
                BlobReply::Absent | BlobReply::Refused { .. } => return Err(SearchError::NotAsked),
            }
        }
        if wanted.is_of(&bytes) { Ok(Some(bytes)) } else { Err(SearchError::NotAsked) }
    };
    timeout(patience, asking).await.map_err(|_| SearchError::Timeout)?
}

/// Answers the question of one stream with what `find` finds.
///
/// # Errors
/// [`SearchError`]; [`SearchError::is_peers_fault`] tells whether to penalise the peer.
pub async fn answer_with_blob<S, F>(
    mut stream: S,
    find: impl FnOnce(BlobRef) -> F + Send,
) -> Result<Answered, SearchError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    F: Future<Output = Option<Vec<u8>>> + Send,
{
    let reading = frames::read::<BlobRef, _>(&mut stream, MAX_BLOB_QUESTION_BYTES);
    let (wanted, _) = timeout(QUESTION_PATIENCE, reading).await.map_err(|_| SearchError::Timeout)??;
    if !wanted.is_possible() {
        return Err(SearchError::NotAsked);
    }
    let found = find(wanted).await;
    let mut answered = Answered { records: usize::from(found.is_some()), bytes: 0 };
    let replies: Vec<BlobReply> = match &found {
        None => vec![BlobReply::Absent],
        Some(bytes) => {
            let parts = bytes.chunks(MAX_PART_BYTES).filter_map(|part| Blob::try_from(part).ok());
            parts.map(|bytes| BlobReply::Part { bytes }).collect()
        }
    };
    let writing = async {
        for reply in &replies {
            answered.bytes += frames::write(&mut stream, reply).await? as u64;
        }
        stream.shutdown().await?;
        Ok(answered)
    };
    timeout(READING_PATIENCE, writing).await.map_err(|_| SearchError::Timeout)?
}

/// Says on a stream why its question is not answered.
///
/// # Errors
/// [`SearchError::Io`] and [`SearchError::Timeout`].
pub async fn refuse_blob<S>(mut stream: S, why: Refusal) -> Result<(), SearchError>
where
    S: AsyncWrite + Unpin + Send,
{
    let refusing = async {
        frames::write(&mut stream, &BlobReply::Refused { why }).await?;
        Ok(stream.shutdown().await?)
    };
    timeout(READING_PATIENCE, refusing).await.map_err(|_| SearchError::Timeout)?
}

#[cfg(test)]
mod tests;
