//! Rows of the mailbox: what a keeper holds for others, and what this node sends.

use haggle_base::{Blob, Did, Hash, List, PeerId, Text, Timestamp};
use haggle_store::{Blobs, StoreError, tables};
use serde::{Deserialize, Serialize};

use super::letter::{MAX_RECEIPT_BYTES, MAX_TOKEN_BYTES};
use super::outbox::Ending;
use super::wire::Half;

/// Longest letter that stands in its row; longer ones are files.
const IN_ROW: usize = 4096;

tables! {
    /// Letters kept for others, by recipient and number.
    pub(super) Letters = "catalog-letters-1": (Did, u64) => LetterRow;
    /// Agents that letters are kept for.
    pub(super) Places = "catalog-letter-places-1": Did => PlaceRow;
    /// Receipts that wait for the senders of letters.
    pub(super) Receipts = "catalog-letter-receipts-1": (Did, Hash) => ReceiptRow;
    /// Letters of this node's agents, by number.
    pub(super) Sendings = "catalog-outbox-1": u64 => SentRow;
    /// Numbers of letters by sender and name of the message.
    pub(super) SentNames = "catalog-outbox-names-1": (Did, String) => u64;
    /// Numbers of letters by their ids.
    pub(super) SentLetters = "catalog-outbox-letters-1": Hash => u64;
    /// What other agents gave to ours, by ours and theirs.
    pub(super) Tokens = "catalog-mail-tokens-1": (Did, Did) => TokenRow;
    /// Agents that ours gave a token to, by ours and theirs, and until when it holds.
    pub(super) Given = "catalog-mail-given-1": (Did, Did) => Timestamp;
    /// The newest pointer seen of an agent that was written to.
    pub(super) Seen = "catalog-mail-pointers-1": Did => SeenRow;
}

/// A letter's bytes: in the row, in a file, or gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Body {
    document: Option<Blob<IN_ROW>>,
    pub(super) file: Option<Hash>,
}

impl Body {
    pub(super) async fn put(document: &[u8], files: &Blobs) -> Result<Self, StoreError> {
        if let Ok(document) = Blob::try_from(document) {
            return Ok(Self { document: Some(document), file: None });
        }
        let (files, bytes) = (files.clone(), document.to_vec());
        let put = tokio::task::spawn_blocking(move || files.put(&bytes)).await;
        Ok(Self { document: None, file: Some(put.map_err(|_| StoreError::Closed)??) })
    }

    pub(super) fn get(self, files: &Blobs) -> Result<Option<Vec<u8>>, StoreError> {
        match (self.document, self.file) {
            (Some(document), _) => Ok(Some(document.into_vec())),
            (None, Some(file)) => files.get(&file),
            (None, None) => Ok(None),
        }
    }
}

/// A letter that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LetterRow {
    pub(super) id: Hash,
    pub(super) from: Did,
    pub(super) bytes: u32,
    pub(super) half: Half,
    pub(super) expires: Timestamp,
    pub(super) body: Body,
}

/// An agent that letters are kept for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlaceRow {
    pub(super) node: PeerId,
    pub(super) seen: Timestamp,
}

/// A receipt that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReceiptRow {
    pub(super) receipt: Blob<MAX_RECEIPT_BYTES>,
    pub(super) expires: Timestamp,
}

/// A letter of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SentRow {
    pub(super) from: Did,
    pub(super) to: Did,
    pub(super) name: Text<64>,
    pub(super) letter: Hash,
    pub(super) created: Timestamp,
    pub(super) expires: Timestamp,
    pub(super) keepers: List<PeerId, 4>,
    pub(super) ending: Option<Ending>,
    pub(super) body: Body,
}

/// A token that another agent gave to one of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenRow {
    pub(super) token: Blob<MAX_TOKEN_BYTES>,
    pub(super) expires: Timestamp,
}

/// A pointer as it was signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SeenRow {
    pub(super) pointer: Blob<1024>,
}
