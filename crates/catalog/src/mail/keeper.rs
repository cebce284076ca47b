//! The keeper: answers `/haggle/<network>/mail/1`, and holds on disk what the ledger has room for.

use std::{collections::HashMap, fmt, ops::Bound, path::Path, sync::Arc, time::Duration};

use haggle_base::{Blob, Clock, Coded, Did, Hash, List, NetworkId, PeerId, Timestamp};
use haggle_store::{Batch, Blobs, Store, StoreError};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    sync::{Mutex, MutexGuard},
    time::{Instant, timeout_at},
};

use super::ledger::{Deposit, Held, Ledger, Limits, Place, RECEIPT_TTL};
use super::letter::{Letter, MAX_RECEIPT_BYTES, Pass, Receipt, Token};
use super::records::{Body, LetterRow, Letters, PlaceRow, Places, ReceiptRow, Receipts};
use super::wire::{Half, MAX_LETTERS, MAX_QUESTIONS, MAX_RECEIPTS, Question, Refusal, Reply};
use super::{LetterError, MailError};
use crate::{frames, wire::MAX_FRAME_BYTES};

/// How long a peer may take for a question, or to read its answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a stream may last.
const STREAM_PATIENCE: Duration = Duration::from_secs(120);
/// Bytes of letters that one peer may leave in an hour.
const BYTES_AN_HOUR: u64 = 8 * 1024 * 1024;
/// Peers whose share is remembered.
const MAX_PEERS: usize = 1024;
const HOUR: Duration = Duration::from_secs(3600);
/// Rows read or deleted at once.
const PORTION: usize = 512;
/// What of a frame is for letters.
const LETTER_BUDGET: usize = MAX_FRAME_BYTES - 512;
/// How long a place counts as seen before that is written down again.
const SEEN_EVERY: Duration = Duration::from_secs(3600);

/// What was done on one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Bytes of frames, both ways.
    pub bytes: u64,
    /// Letters that were kept.
    pub kept: usize,
    /// Letters that were given out.
    pub given: usize,
}

/// What a keeper holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeeperStatus {
    /// Bytes of letters.
    pub bytes: u64,
    /// Letters.
    pub letters: usize,
    /// Agents that letters are kept for.
    pub recipients: usize,
}

/// Keeps letters for agents of other nodes. Clones share everything.
#[derive(Clone)]
pub struct Keeper {
    inner: Arc<Inner>,
}

struct Inner {
    network: NetworkId,
    own: PeerId,
    store: Store,
    files: Blobs,
    clock: Arc<dyn Clock>,
    /// Held from a decision to its commit, so that disk and ledger say the same.
    ledger: Mutex<Ledger>,
    shares: parking_lot::Mutex<HashMap<PeerId, (Timestamp, u64)>>,
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("network", &self.inner.network).finish_non_exhaustive()
    }
}

/// The agent that a stream speaks for.
type Speaker = Option<Did>;

impl Keeper {
    /// Reads what is kept. `own` is this node's peer id; long letters are files in `folder`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(
        store: Store,
        folder: &Path,
        limits: Limits,
        network: NetworkId,
        own: PeerId,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StoreError> {
        let files = Blobs::open(folder)?;
        let mut ledger = Ledger::new(limits);
        each::<Places>(&store, |agent, row| ledger.seat(agent, row.node, row.seen))?;
        each::<Letters>(&store, |(to, number), row| {
            let size = Held::size_of(usize::try_from(row.bytes).unwrap_or(usize::MAX));
            ledger.add(to, number, Held { id: row.id, from: row.from, size, half: row.half, expires: row.expires });
        })?;
        each::<Receipts>(&store, |(sender, letter), row| {
            // the limits may be smaller than they were: what is too many goes with its end
            let _gone = ledger.add_receipt(sender, letter, row.expires);
        })?;
        let (ledger, shares) = (Mutex::new(ledger), parking_lot::Mutex::default());
        Ok(Self { inner: Arc::new(Inner { network, own, store, files, clock, ledger, shares }) })
    }

    /// What is held.
    pub async fn status(&self) -> KeeperStatus {
        let (bytes, letters, recipients) = self.inner.ledger.lock().await.sums();
        KeeperStatus { bytes, letters, recipients }
    }

    /// Answers one stream of `peer`. `kept` is told of a letter for an agent, and of the node that spoke for it last.
    ///
    /// # Errors
    /// [`MailError`]; [`MailError::is_peers_fault`] tells whether to penalise the peer.
    pub async fn serve<S>(
        &self,
        mut stream: S,
        peer: PeerId,
        kept: impl Fn(Did, PeerId) + Send + Sync,
    ) -> Result<Served, MailError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let mut served = Served::default();
        let mut speaker = None;
        // never while a question is answered: ledger and disk say the same
        let until = Instant::now() + STREAM_PATIENCE;
        for _ in 0..MAX_QUESTIONS {
            let reading = frames::read::<Question, _>(&mut stream, MAX_FRAME_BYTES);
            let (question, bytes) = match timeout_at(until.min(Instant::now() + PATIENCE), reading)
                .await
                .map_err(|_| MailError::Timeout)?
            {
                Ok(read) => read,
                // the end between two questions is how a stream ends
                Err(frames::FrameFault::Io(_)) => return Ok(served),
                Err(fault) => return Err(fault.into()),
            };
            served.bytes += bytes as u64;
            let reply = match self.answer(question, peer, &mut speaker, &mut served, &kept).await {
                Ok(reply) => reply,
                Err(MailError::Refused(why)) => Reply::Refused { why },
                Err(error) => {
                    tracing::warn!(error.code = error.code(), "a keeper's question is not answered: {error}");
                    Reply::Refused { why: Refusal::Failed }
                }
            };
            let writing = async {
                let bytes = frames::write(&mut stream, &reply).await?;
                stream.flush().await?;
                Ok::<_, MailError>(bytes as u64)
            };
            served.bytes +=
                timeout_at(until.min(Instant::now() + PATIENCE), writing).await.map_err(|_| MailError::Timeout)??;
        }
        // whoever has more to ask opens another stream
        Ok(served)
    }

    async fn answer(
        &self,
        question: Question,
        peer: PeerId,
        speaker: &mut Speaker,
        served: &mut Served,
        kept: &(impl Fn(Did, PeerId) + Send + Sync),
    ) -> Result<Reply, MailError> {
        let now = self.inner.clock.now();
        let open = |speaker: &Speaker| speaker.ok_or(MailError::Refused(Refusal::NotOpen));
        match question {
            Question::Deposit { letter, token } => {
                self.charge(peer, letter.len(), now)?;
                let letter = Letter::read(letter.into_vec(), &self.inner.network, now)
                    .map_err(|_| MailError::Refused(Refusal::BadLetter))?;
                if let Some(node) = self.keep(&letter, token.as_deref(), now).await? {
                    served.kept += 1;
                    kept(letter.to, node);
                }
                Ok(Reply::Kept)
            }
            Question::Open { pass, keep } => {
                let Inner { network, own, .. } = &*self.inner;
                let agent =
                    Pass::read(&pass, network, &peer, own, now).map_err(|_| MailError::Refused(Refusal::BadPass))?;
                let mut ledger = self.inner.ledger.lock().await;
                if keep {
                    self.greet(&mut ledger, agent, peer, now).await?;
                }
                *speaker = Some(agent);
                let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
                Ok(Reply::Opened {
                    letters: count(ledger.count(&agent)),
                    receipts: count(ledger.receipts(&agent).count()),
                })
            }
            Question::Collect { half } => {
                let letters = self.collect(&open(speaker)?, half).await?;
                served.given += letters.len();
                Ok(Reply::Letters { letters })
            }
            Question::Acknowledge { letter, receipt } => {
                self.acknowledge(open(speaker)?, &letter, receipt, now).await?;
                Ok(Reply::Done)
            }
            Question::Receipts => Ok(Reply::Receipts { receipts: self.receipts(&open(speaker)?).await? }),
            Question::Forget { letters } => {
                self.forget(open(speaker)?, letters.as_slice()).await?;
                Ok(Reply::Done)
            }
        }
    }

    /// Counts what a peer leaves.
    fn charge(&self, peer: PeerId, bytes: usize, now: Timestamp) -> Result<(), MailError> {
        let mut shares = self.inner.shares.lock();
        if shares.len() >= MAX_PEERS && !shares.contains_key(&peer) {
            let oldest = shares.iter().min_by_key(|(_, (since, _))| *since).map(|(peer, _)| *peer);
            oldest.map(|oldest| shares.remove(&oldest));
        }
        let (since, used) = shares.entry(peer).or_insert((now, 0));
        if now.since(*since) >= HOUR {
            (*since, *used) = (now, 0);
        }
        *used += Held::size_of(bytes);
        if *used > BYTES_AN_HOUR { Err(MailError::Refused(Refusal::TooOften)) } else { Ok(()) }
    }

    /// Keeps a letter; the recipient's node if it was not kept before.
    pub(super) async fn keep(
        &self,
        letter: &Letter,
        token: Option<&[u8]>,
        now: Timestamp,
    ) -> Result<Option<PeerId>, MailError> {
        let Inner { network, store, files, .. } = &*self.inner;
        let half = match token {
            None => Half::Open,
            Some(token) => match Token::read(token, network, &letter.to, &letter.from, now) {
                Ok(_) => Half::Known,
                Err(LetterError::Untimely) => Half::Open,
                Err(_) => return Err(MailError::Refused(Refusal::BadToken)),
            },
        };
        let bytes = letter.document().len();
        let held = Held { id: letter.id, from: letter.from, size: Held::size_of(bytes), half, expires: letter.expires };
        let mut ledger = self.inner.ledger.lock().await;
        let over = ledger.over(now, PORTION);
        self.remove(&mut ledger, &over).await?;
        let (number, evicted) = match ledger.room_for(&letter.to, &held) {
            Deposit::Room { number, evicted } => (number, evicted),
            Deposit::Known => return Ok(None),
            Deposit::Refused(why) => return Err(MailError::Refused(why)),
        };
        let body = Body::put(letter.document(), files).await?;
        let row = LetterRow {
            id: letter.id,
            from: letter.from,
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
            half,
            expires: letter.expires,
            body,
        };
        // evicted ones go first: a crash between the two loses what the rule gave up, never what has room
        self.remove(&mut ledger, &evicted).await?;
        let mut batch = Batch::new();
        batch.put::<Letters>(&(letter.to, number), &row)?;
        store.commit(batch).await?;
        ledger.add(letter.to, number, held);
        Ok(ledger.node_of(&letter.to))
    }

    async fn greet(
        &self,
        ledger: &mut MutexGuard<'_, Ledger>,
        agent: Did,
        node: PeerId,
        now: Timestamp,
    ) -> Result<(), MailError> {
        for agent in ledger.lapsed(now) {
            let mut batch = Batch::new();
            batch.delete::<Places>(&agent);
            self.inner.store.commit(batch).await?;
            ledger.leave(&agent);
        }
        if let Some(gone) = ledger.gives_way(&agent, node) {
            let mut batch = Batch::new();
            batch.delete::<Places>(&gone);
            self.inner.store.commit(batch).await?;
            ledger.leave(&gone);
        }
        ledger.greet(agent, node, now).map_err(MailError::Refused)?;
        let before = self.inner.store.get::<Places>(&agent)?;
        let is_fresh = |row: &PlaceRow| row.node == node && now.since(row.seen) < SEEN_EVERY;
        if !before.is_some_and(|row| is_fresh(&row)) {
            let mut batch = Batch::new();
            batch.put::<Places>(&agent, &PlaceRow { node, seen: now })?;
            self.inner.store.commit(batch).await?;
        }
        Ok(())
    }

    /// Deletes letters, rows before files.
    async fn remove(&self, ledger: &mut MutexGuard<'_, Ledger>, places: &[Place]) -> Result<(), StoreError> {
        if places.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new();
        let mut gone = Vec::new();
        for place in places {
            gone.extend(self.inner.store.get::<Letters>(place)?.and_then(|row| row.body.file));
            batch.delete::<Letters>(place);
        }
        self.inner.store.commit(batch).await?;
        for place in places {
            ledger.remove(place);
        }
        for file in gone {
            self.inner.files.delete(&file)?;
        }
        Ok(())
    }

    async fn collect<const N: usize>(&self, agent: &Did, half: Half) -> Result<List<Blob<N>, MAX_LETTERS>, MailError> {
        let now = self.inner.clock.now();
        let mut ledger = self.inner.ledger.lock().await;
        let over = ledger.over(now, PORTION);
        self.remove(&mut ledger, &over).await?;
        let numbers: Vec<u64> = ledger.letters(agent, half).map(|(number, _)| number).take(MAX_LETTERS).collect();
        let mut letters = List::new();
        let mut left = LETTER_BUDGET;
        for number in numbers {
            let Some(row) = self.inner.store.get::<Letters>(&(*agent, number))? else { continue };
            let document = match row.body.get(&self.inner.files) {
                Ok(Some(document)) => document,
                Ok(None) | Err(StoreError::BlobDamaged) => {
                    // it cannot be given out any more
                    self.remove(&mut ledger, &[(*agent, number)]).await?;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            // a frame writes a few bytes more for each
            let Some(rest) = left.checked_sub(document.len() + 8) else { break };
            let Ok(letter) = Blob::try_from(document) else { continue };
            if letters.push(letter).is_err() {
                break;
            }
            left = rest;
        }
        Ok(letters)
    }

    async fn acknowledge(
        &self,
        agent: Did,
        letter: &Hash,
        receipt: Option<Blob<MAX_RECEIPT_BYTES>>,
        now: Timestamp,
    ) -> Result<(), MailError> {
        let mut ledger = self.inner.ledger.lock().await;
        // said before, or over meanwhile
        let Some((number, held)) = ledger.find(&agent, letter) else { return Ok(()) };
        let sender = held.from;
        if let Some(receipt) = receipt {
            let fits = Receipt::read(&receipt, &self.inner.network, &agent)
                .is_ok_and(|read| read.letter == *letter && read.from == sender);
            if !fits {
                return Err(MailError::Refused(Refusal::BadReceipt));
            }
            let expires = now.plus(RECEIPT_TTL);
            let mut batch = Batch::new();
            batch.put::<Receipts>(&(sender, *letter), &ReceiptRow { receipt, expires })?;
            self.inner.store.commit(batch).await?;
            let gone = ledger.add_receipt(sender, *letter, expires);
            self.delete_receipts(&gone).await?;
        }
        Ok(self.remove(&mut ledger, &[(agent, number)]).await?)
    }

    async fn receipts<const N: usize>(&self, sender: &Did) -> Result<List<Blob<N>, MAX_RECEIPTS>, MailError> {
        let ledger = self.inner.ledger.lock().await;
        let mut receipts = List::new();
        for letter in ledger.receipts(sender).take(MAX_RECEIPTS) {
            let row = self.inner.store.get::<Receipts>(&(*sender, letter))?;
            let receipt = row.and_then(|row| Blob::try_from(row.receipt.into_vec()).ok());
            // not more than there is room for
            let _pushed = receipt.map(|receipt| receipts.push(receipt));
        }
        Ok(receipts)
    }

    async fn forget(&self, sender: Did, letters: &[Hash]) -> Result<(), MailError> {
        let mut ledger = self.inner.ledger.lock().await;
        let gone: Vec<(Did, Hash)> = letters.iter().map(|letter| (sender, *letter)).collect();
        for (sender, letter) in &gone {
            ledger.remove_receipt(sender, letter);
        }
        Ok(self.delete_receipts(&gone).await?)
    }

    async fn delete_receipts(&self, gone: &[(Did, Hash)]) -> Result<(), StoreError> {
        if gone.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new();
        for key in gone {
            batch.delete::<Receipts>(key);
        }
        self.inner.store.commit(batch).await
    }

    /// Lets go of what is over.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sweep(&self) -> Result<(), StoreError> {
        let now = self.inner.clock.now();
        let mut ledger = self.inner.ledger.lock().await;
        let over = ledger.over(now, PORTION);
        self.remove(&mut ledger, &over).await?;
        let gone = ledger.receipts_over(now, PORTION);
        for (sender, letter) in &gone {
            ledger.remove_receipt(sender, letter);
        }
        self.delete_receipts(&gone).await
    }
}

/// Goes through all rows of a table.
fn each<T: haggle_store::Table>(store: &Store, mut row: impl FnMut(T::Key, T::Value)) -> Result<(), StoreError>
where
    T::Key: Clone,
{
    let mut after: Option<T::Key> = None;
    loop {
        let rows = store.range::<T>(after.as_ref().map_or(Bound::Unbounded, Bound::Excluded), PORTION)?;
        let Some((last, _)) = rows.last() else { return Ok(()) };
        after = Some(last.clone());
        rows.into_iter().for_each(|(key, value)| row(key, value));
    }
}
