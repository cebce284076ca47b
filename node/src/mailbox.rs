//! The messages this node keeps: what was said between agents, and where each service request stands.
//!
//! A row is on disk before the answer it belongs to leaves. Messages are numbered as they come; of the bounded number
//! that is kept the oldest go first, and with a request goes what is known of it.

use haggle_a2a::envelope::{Message, MessageType, SignedMessage};
use haggle_base::{Blob, Did, Hash, RecordId, Text, Timestamp, Usdc};
use haggle_store::{Batch, Blobs, Store, StoreError, tables};
use serde::{Deserialize, Serialize};
use std::ops::Bound;
use std::path::Path;
use tokio::sync::{Mutex, MutexGuard};

/// Most messages kept.
const MOST: u64 = 10_000;
/// Longest document that stands in its row; longer ones are files.
const IN_ROW: usize = 4096;
/// Requests that may be worked on at the same time, unless they share a door.
const DOORS: usize = 64;
/// Rows read at once when messages of one type are looked for.
const PORTION: usize = 256;

tables! {
    /// Messages by number.
    pub(crate) Messages = "node-messages-1": u64 => MessageRow;
    /// Numbers by sender and the sender's own name for the message.
    pub(crate) MessageNames = "node-message-names-1": (Did, String) => u64;
    /// Service requests by buyer and message.
    pub(crate) Requests = "node-requests-1": (Did, String) => RequestRow;
    /// Service requests that went by letter and have no response yet, by buyer and message.
    pub(crate) Asked = "node-letter-requests-1": (Did, String) => AskedRow;
    /// Requests that came by letter and are to be answered, by number, with the agent that was asked.
    pub(crate) ToAnswer = "node-letters-to-answer-1": u64 => Did;
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MessageRow {
    from: Did,
    id: Text<64>,
    kind: MessageType,
    /// The signed document, unless it is a file.
    document: Option<Blob<IN_ROW>>,
    file: Option<Hash>,
}

/// Where a service request stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestRow {
    /// What was asked of whom, to notice another request under the same name.
    pub(crate) content: Hash,
    /// Number of the request.
    pub(crate) request: u64,
    /// Number of its response.
    pub(crate) response: u64,
    /// What can be taken.
    pub(crate) offer: Offered,
    /// Whether it was taken (or turned down).
    pub(crate) taken: Option<bool>,
}

/// A service request that went by letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AskedRow {
    /// As in [`RequestRow`].
    pub(crate) content: Hash,
    /// Number of the request.
    pub(crate) request: u64,
    /// Who was asked.
    pub(crate) seller: Did,
    /// For what, unless the request names the seller itself: no other offer is one to this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) listing: Option<Chosen>,
    /// What may leave the buyer's wallet at most.
    pub(crate) budget: Usdc,
    /// After which nobody waits for the result.
    pub(crate) deadline: Option<Timestamp>,
}

/// The listing that a request was put to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Chosen {
    /// As it was then.
    pub(crate) id: RecordId,
    /// Its slot: what the seller publishes there anew is the same service.
    pub(crate) slot: Text<64>,
}

/// What a seller offered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Offered {
    /// Nothing.
    Nothing,
    /// The work, for nothing.
    Free,
    /// The work, for money.
    Order(Offer),
}

/// A price that may be taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Offer {
    /// The listing that was asked.
    pub(crate) listing: RecordId,
    /// Who was asked: a listing of anybody else is not bought by this offer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) seller: Option<Did>,
    /// What leaves the buyer's wallet at most.
    pub(crate) total: Usdc,
    /// Whether that is below the list price, so that it has to be bargained for again.
    pub(crate) bargained: bool,
    /// After which nobody waits for the result.
    pub(crate) deadline: Option<Timestamp>,
}

/// The kept messages.
#[derive(Debug)]
pub(crate) struct Mailbox {
    store: Store,
    files: Blobs,
    /// The next number; held from writing a message to its commit.
    next: Mutex<u64>,
    doors: Vec<Mutex<()>>,
}

impl Mailbox {
    pub(crate) fn open(store: Store, folder: &Path) -> Result<Self, StoreError> {
        let files = Blobs::open(folder)?;
        let last = store.range_back::<Messages>(Bound::Unbounded, 1)?;
        let next = last.first().map_or(1, |(number, _)| number + 1);
        let doors = std::iter::repeat_with(Mutex::default).take(DOORS).collect();
        Ok(Self { store, files, next: Mutex::new(next), doors })
    }

    /// The right to work on what this sender calls by this name; whoever comes after finds what was done.
    pub(crate) async fn turn(&self, from: &Did, name: &str) -> MutexGuard<'_, ()> {
        let door = usize::from(Hash::of_parts(&[from.to_string().as_bytes(), b" ", name.as_bytes()]).as_bytes()[0]);
        self.doors[door % DOORS].lock().await
    }

    /// Writes messages down, and what `also` adds once their numbers are known, all or nothing.
    ///
    /// # Errors
    /// [`StoreError::Precondition`] if a message of that name is kept already, or a failure of the store.
    pub(crate) async fn keep<F>(&self, messages: &[&SignedMessage], also: F) -> Result<Vec<u64>, StoreError>
    where
        F: FnOnce(&mut Batch, &[u64]) -> Result<(), StoreError> + Send,
    {
        let mut next = self.next.lock().await;
        let mut batch = Batch::new();
        let mut numbers = Vec::with_capacity(messages.len());
        let mut number = *next;
        for signed in messages {
            let message = signed.message();
            let row = self.row(signed).await?;
            let name = (message.from, message.id.as_str().to_owned());
            batch.require_absent::<MessageNames>(&name).put::<MessageNames>(&name, &number)?;
            batch.put::<Messages>(&number, &row)?;
            numbers.push(number);
            number += 1;
        }
        also(&mut batch, &numbers)?;
        let gone =
            self.store.between::<Messages>(Bound::Unbounded, Bound::Excluded(&number.saturating_sub(MOST)), PORTION)?;
        for (old, row) in &gone {
            let name = (row.from, row.id.as_str().to_owned());
            batch.delete::<Messages>(old).delete::<MessageNames>(&name).delete::<Requests>(&name);
            batch.delete::<Asked>(&name).delete::<ToAnswer>(old);
        }
        self.store.commit(batch).await?;
        *next = number;
        for file in gone.iter().filter_map(|(_, row)| row.file) {
            self.files.delete(&file)?;
        }
        Ok(numbers)
    }

    /// Takes back a request that nobody has: its message, what was asked, and what `also` adds.
    pub(crate) async fn take_back<F>(&self, number: u64, also: F) -> Result<(), StoreError>
    where
        F: FnOnce(&mut Batch) + Send,
    {
        let Some(row) = self.store.get::<Messages>(&number)? else { return Ok(()) };
        let name = (row.from, row.id.as_str().to_owned());
        let mut batch = Batch::new();
        batch.delete::<Messages>(&number).delete::<MessageNames>(&name).delete::<Asked>(&name);
        also(&mut batch);
        self.store.commit(batch).await?;
        row.file.map_or(Ok(()), |file| self.files.delete(&file))
    }

    async fn row(&self, signed: &SignedMessage) -> Result<MessageRow, StoreError> {
        let message = signed.message();
        let (from, id, kind) = (message.from, message.id.clone(), message.kind);
        if let Ok(document) = Blob::try_from(signed.document()) {
            return Ok(MessageRow { from, id, kind, document: Some(document), file: None });
        }
        let (files, bytes) = (self.files.clone(), signed.document().to_vec());
        let put = tokio::task::spawn_blocking(move || files.put(&bytes)).await;
        let file = put.map_err(|_| StoreError::Closed)??;
        Ok(MessageRow { from, id, kind, document: None, file: Some(file) })
    }

    /// One message; `None` if it is not kept any more.
    pub(crate) fn read(&self, number: u64) -> Result<Option<SignedMessage>, StoreError> {
        let row = self.store.get::<Messages>(&number)?;
        row.map_or(Ok(None), |row| self.open_row(row))
    }

    fn open_row(&self, row: MessageRow) -> Result<Option<SignedMessage>, StoreError> {
        let document = match (row.document, row.file) {
            (Some(document), _) => Some(document.into_vec()),
            (None, Some(file)) => self.files.get(&file)?,
            (None, None) => None,
        };
        let damaged = |_| StoreError::Decode { table: "node-messages-1".to_owned(), source: None };
        document.map(SignedMessage::open).transpose().map_err(damaged)
    }

    /// The number of what this sender said under this name.
    pub(crate) fn find(&self, from: &Did, name: &str) -> Result<Option<u64>, StoreError> {
        self.store.get::<MessageNames>(&(*from, name.to_owned()))
    }

    /// Where a request stands.
    pub(crate) fn request(&self, from: &Did, name: &str) -> Result<Option<RequestRow>, StoreError> {
        self.store.get::<Requests>(&(*from, name.to_owned()))
    }

    /// A service request that went by letter and has no response yet.
    pub(crate) fn asked(&self, from: &Did, name: &str) -> Result<Option<AskedRow>, StoreError> {
        self.store.get::<Asked>(&(*from, name.to_owned()))
    }

    /// Requests that came by letter and are to be answered, the oldest first, a portion of those behind a number.
    pub(crate) fn to_answer(&self, after: Option<u64>) -> Result<Vec<(u64, Did)>, StoreError> {
        self.store.range::<ToAnswer>(after.as_ref().map_or(Bound::Unbounded, Bound::Excluded), PORTION)
    }

    /// A request that came by letter needs no answer.
    pub(crate) async fn leave_unanswered(&self, number: u64) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        batch.delete::<ToAnswer>(&number);
        self.store.commit(batch).await
    }

    /// At most `limit` messages, newest first, from before the number `after`, of one type if one is named.
    pub(crate) fn list(
        &self,
        after: Option<u64>,
        kind: Option<MessageType>,
        limit: usize,
    ) -> Result<Vec<(u64, SignedMessage)>, StoreError> {
        let mut found = Vec::new();
        let mut before = after;
        while found.len() < limit {
            let to = before.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let rows = self.store.range_back::<Messages>(to, PORTION)?;
            let was_last = rows.len() < PORTION;
            before = rows.last().map(|(number, _)| *number);
            for (number, row) in rows {
                if found.len() < limit
                    && kind.is_none_or(|kind| kind == row.kind)
                    && let Some(message) = self.open_row(row)?
                {
                    found.push((number, message));
                }
            }
            if was_last {
                break;
            }
        }
        Ok(found)
    }
}

/// What a request asks of whom, in one hash: the time at which it was said is no part of it.
pub(crate) fn content(message: &Message) -> Hash {
    let to = message.to.as_ref().map_or("", Text::as_str);
    Hash::of_parts(&[to.as_bytes(), b"\0", message.payload().as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use haggle_base::AgentKey;

    fn key() -> AgentKey {
        AgentKey::from_bytes(&[1; 32])
    }

    fn said(name: u64, kind: MessageType, text: &str) -> SignedMessage {
        let payload = serde_json::json!({"text": text}).to_string();
        let at = Timestamp::from_secs(1_795_000_000);
        Message::new(&format!("m-{name}"), key().did(), None, kind, at, &payload).unwrap().sign(&key()).unwrap()
    }

    async fn keep(mailbox: &Mailbox, message: &SignedMessage) -> Result<Vec<u64>, StoreError> {
        mailbox.keep(&[message], |_, _| Ok(())).await
    }

    #[tokio::test]
    async fn messages_are_read_back_newest_first_by_type_and_page_also_after_a_restart() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::memory();
        let mailbox = Mailbox::open(store.clone(), home.path()).unwrap();
        let long = said(2, MessageType::Request, &"x".repeat(3 * IN_ROW));
        keep(&mailbox, &said(1, MessageType::Request, "a")).await.unwrap();
        keep(&mailbox, &long).await.unwrap();
        keep(&mailbox, &said(3, MessageType::Notification, "b")).await.unwrap();
        let again = Mailbox::open(store, home.path()).unwrap();
        assert_eq!(keep(&again, &said(4, MessageType::Request, "c")).await.unwrap(), [4]);
        let numbers = |after, kind, limit| -> Vec<u64> {
            again.list(after, kind, limit).unwrap().into_iter().map(|(number, _)| number).collect()
        };
        assert_eq!(numbers(None, None, 10), [4, 3, 2, 1]);
        assert_eq!(numbers(None, None, 2), [4, 3]);
        assert_eq!(numbers(Some(3), None, 10), [2, 1]);
        assert_eq!(numbers(None, Some(MessageType::Request), 2), [4, 2]);
        assert_eq!(again.read(2).unwrap().unwrap(), long, "a long one is a file");
        let twice = keep(&again, &said(1, MessageType::Error, "another")).await.unwrap_err();
        assert!(matches!(twice, StoreError::Precondition { .. }), "{twice}");
        assert_eq!(numbers(None, None, 10), [4, 3, 2, 1]);
    }

    #[tokio::test]
    async fn the_oldest_go_with_their_files_and_what_is_known_of_them() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::memory();
        let mailbox = Mailbox::open(store.clone(), home.path()).unwrap();
        let first = said(1, MessageType::Request, &"x".repeat(2 * IN_ROW));
        let row = RequestRow {
            content: content(first.message()),
            request: 1,
            response: 1,
            offer: Offered::Free,
            taken: None,
        };
        let name = (key().did(), "m-1".to_owned());
        mailbox.keep(&[&first], |batch, _| batch.put::<Requests>(&name, &row).map(drop)).await.unwrap();
        *mailbox.next.lock().await = MOST + 1;
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
        keep(&mailbox, &said(2, MessageType::Request, "b")).await.unwrap();
        assert_eq!(mailbox.read(1).unwrap(), None);
        assert_eq!(mailbox.find(&key().did(), "m-1").unwrap(), None);
        assert_eq!(mailbox.request(&key().did(), "m-1").unwrap(), None);
        assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
        assert_eq!(store.count::<Messages>().unwrap(), 1);
    }
}
