//! The frames of `/haggle/<network>/sync/1`: a u32 big-endian length and one canonical CBOR item.

use haggle_base::{Blob, CborError, List, NetworkId, RecordId, cbor, record::MAX_RECORD_BYTES};
use serde::{Deserialize, Serialize};

pub use crate::frames::MAX_FRAME_BYTES;
use crate::{frames, sync::digest::DIGEST_BYTES};

/// Largest reconciliation message inside a frame.
pub const MAX_MESSAGE_BYTES: usize = 60_000;

/// Ids in one request.
pub const MAX_WANTED: usize = 1024;

/// Records in one frame; their bytes are bounded by the frame.
pub const MAX_RECORDS: usize = 256;

/// Most shards of a network.
pub const MAX_SHARDS: usize = 64;

/// Bytes of a digest of every shard.
const MAX_DIGESTS: usize = MAX_SHARDS * DIGEST_BYTES;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Frame {
    /// First frame of each side.
    Hello {
        /// Network of the records.
        network: NetworkId,
        /// Its number of shards.
        shards: u16,
        /// The shards that this side holds, in ascending order; left out by whoever holds all. Only where both sides
        /// may say it (`sync/2`): a node of an earlier version cannot read it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        holds: Option<List<u16, MAX_SHARDS>>,
    },
    /// The leader's digests of all shards, one after the other.
    Digests {
        /// 16 bytes for each shard.
        digests: Blob<MAX_DIGESTS>,
    },
    /// The follower's answer: the shards whose digests are not its own.
    Differ {
        /// Their numbers.
        shards: List<u16, MAX_SHARDS>,
    },
    /// A negentropy message about one shard.
    Reconcile {
        /// The shard.
        shard: u16,
        /// The message.
        message: Blob<MAX_MESSAGE_BYTES>,
    },
    /// Send me these records.
    Want {
        /// Their ids.
        ids: List<RecordId, MAX_WANTED>,
    },
    /// Signed records, wanted or given unasked.
    Records {
        /// Their bytes as signed.
        records: List<Blob<MAX_RECORD_BYTES>, MAX_RECORDS>,
    },
    /// Your turn.
    Turn,
    /// The sets are equal as far as this session can make them.
    Done,
}

impl Frame {
    /// Canonical bytes without the length.
    ///
    /// # Errors
    /// [`CborError`] if the frame is above [`MAX_FRAME_BYTES`].
    pub fn encode(&self) -> Result<Vec<u8>, CborError> {
        frames::encode(self)
    }

    /// Reads a frame from all of `bytes`.
    ///
    /// # Errors
    /// [`CborError`] unless `bytes` are the canonical encoding of a frame.
    pub fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        cbor::from_slice(bytes, MAX_FRAME_BYTES)
    }
}

/// Packs records into frames.
pub(crate) fn pack(records: Vec<Vec<u8>>) -> Vec<Frame> {
    lists(records).into_iter().map(|records| Frame::Records { records }).collect()
}

/// The records of one frame.
type Packed = List<Blob<MAX_RECORD_BYTES>, MAX_RECORDS>;

/// Shares records out to lists that each fit into a frame.
pub(crate) fn lists(records: Vec<Vec<u8>>) -> Vec<Packed> {
    /// Room for the frame's own head.
    const BUDGET: usize = MAX_FRAME_BYTES - 64;
    /// Head of one byte string.
    const HEAD: usize = 3;
    let mut lists = Vec::new();
    let mut current = List::new();
    let mut size = 0;
    for record in records {
        let Ok(blob) = Blob::try_from(record) else {
            continue;
        };
        let cost = blob.len() + HEAD;
        if size + cost > BUDGET || current.len() == MAX_RECORDS {
            lists.push(std::mem::take(&mut current));
            size = 0;
        }
        if current.push(blob).is_ok() {
            size += cost;
        }
    }
    if !current.is_empty() {
        lists.push(current);
    }
    lists
}

#[cfg(test)]
mod tests;
