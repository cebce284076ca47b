//! The sender's side: letters of this node's agents, where each was left, and what became of it.

use std::{
    collections::BTreeMap,
    ops::Bound,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use haggle_base::pointer::MAX_POINTER_BYTES;
use haggle_base::{
    AgentKey, Blob, Coded, Did, Hash, List, NetworkId, PeerId, Pointer, Text, Timestamp, Verified, pointer,
};
use haggle_store::{Batch, Blobs, Store, StoreError};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::letter::{Content, Letter, LetterError, MAX_TOKEN_BYTES, Receipt, TOKEN_TTL, Token};
use super::records::{Body, Given, Seen, SeenRow, Sendings, SentLetters, SentNames, SentRow, TokenRow, Tokens};
use super::visit::bring;
use super::wire::{Call, Question};

/// Letters that may be under way.
const MOST_OPEN: usize = 1024;
/// Places of these for what our agents ask for: answers to others leave them free.
const RESERVED: usize = 256;
/// Letters under way to one recipient: those in which ours ask, and answers.
const REQUESTS_TO_ONE: usize = 32;
const ANSWERS_TO_ONE: usize = 8;
/// Letters remembered, those that arrived or are over included; of these the oldest go first.
const MOST: u64 = 8192;
/// Tokens kept, and pointers.
const MOST_WORDS: usize = 4096;
/// A token that was signed so little later is not worth a write.
const WORTH_A_WRITE: Duration = Duration::from_secs(3600);
/// Rows read at once.
const PORTION: usize = 512;

/// What a letter is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Our agent writes first: whom it writes to is known to it from then on.
    Asks,
    /// It answers somebody, perhaps a stranger.
    Answers,
}

/// How a letter ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Ending {
    /// Its recipient signed for it.
    Delivered {
        /// When, by the recipient's clock.
        at: Timestamp,
        /// How: `direct`, `punched`, `relayed` or `mailbox`.
        path: Text<16>,
    },
    /// Nobody signed for it in time.
    Expired,
    /// The recipient's node cannot use it.
    Refused {
        /// Its code.
        code: Text<64>,
    },
}

/// A letter of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its number here.
    pub number: u64,
    /// The agent of ours that wrote it.
    pub from: Did,
    /// The agent that it is for.
    pub to: Did,
    /// The sender's name for the message in it.
    pub name: String,
    /// The letter's id.
    pub letter: Hash,
    /// When it was written.
    pub created: Timestamp,
    /// When it is over.
    pub expires: Timestamp,
    /// Who keeps it.
    pub keepers: Vec<PeerId>,
    /// How it ended, unless it is under way.
    pub ending: Option<Ending>,
}

impl Sent {
    fn of(number: u64, row: SentRow) -> Self {
        let SentRow { from, to, name, letter, created, expires, keepers, ending, body: _ } = row;
        let (name, keepers) = (name.into_string(), keepers.into_vec());
        Self { number, from, to, name, letter, created, expires, keepers, ending }
    }
}

/// Why a letter is not taken for sending.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OutboxError {
    /// Too many are under way.
    #[error("{MOST_OPEN} letters are under way")]
    Full,
    /// Too many for this recipient are under way.
    #[error("too many letters to this recipient are under way")]
    RecipientFull,
    /// The message is too long for a letter.
    #[error("the message is too long for a letter")]
    TooLong,
    /// It cannot be written.
    #[error(transparent)]
    Letter(#[from] LetterError),
    /// State could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Coded for OutboxError {
    fn code(&self) -> &'static str {
        match self {
            Self::Full => "outbox_full",
            Self::RecipientFull => "outbox_recipient_full",
            Self::TooLong => "letter_too_long",
            Self::Letter(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Full | Self::RecipientFull => "wait until some have arrived or are over",
            Self::TooLong => "a letter holds 60 KiB: send less, or when the recipient is there",
            Self::Letter(error) => error.hint(),
            Self::Store(error) => error.hint(),
        }
    }
}

/// A letter that is written and on its way into a batch.
#[derive(Debug)]
pub struct Prepared {
    number: u64,
    letter: Letter,
    row: SentRow,
}

impl Prepared {
    /// The questions that bring it: to a keeper, and to the recipient's own node.
    ///
    /// # Errors
    /// Never for a letter that was written.
    pub fn questions(&self, token: Option<Blob<MAX_TOKEN_BYTES>>) -> Result<(Question, Call), LetterError> {
        bring(&self.letter, token)
    }

    /// When it is over.
    #[must_use]
    pub const fn expires(&self) -> Timestamp {
        self.row.expires
    }

    /// Adds to a batch that it goes again, for nobody has it.
    pub fn unwrite(&self, batch: &mut Batch) {
        let name = (self.row.from, self.row.name.as_str().to_owned());
        batch.delete::<SentNames>(&name).delete::<SentLetters>(&self.row.letter).delete::<Sendings>(&self.number);
    }

    /// Adds it to a batch, which fails if the sender's message of this name was sent before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn write(&self, batch: &mut Batch) -> Result<(), StoreError> {
        let name = (self.row.from, self.row.name.as_str().to_owned());
        batch.require_absent::<SentNames>(&name).put::<SentNames>(&name, &self.number)?;
        batch.put::<SentLetters>(&self.row.letter, &self.number)?;
        batch.put::<Sendings>(&self.number, &self.row).map(drop)
    }
}

/// Letters of this node's agents.
#[derive(Debug)]
pub struct Outbox {
    network: NetworkId,
    store: Store,
    files: Blobs,
    next: AtomicU64,
    /// Those under way.
    open: Mutex<BTreeMap<u64, Sent>>,
    /// One change of the rows at a time.
    turn: tokio::sync::Mutex<()>,
}

impl Outbox {
    /// Reads what is under way; long letters are files in `folder`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(store: Store, folder: &Path, network: NetworkId) -> Result<Self, StoreError> {
        let files = Blobs::open(folder)?;
        let last = store.range_back::<Sendings>(Bound::Unbounded, 1)?;
        let next = AtomicU64::new(last.first().map_or(1, |(number, _)| number + 1));
        let mut open = BTreeMap::new();
        let mut after = None;
        loop {
            let rows = store.range::<Sendings>(after.as_ref().map_or(Bound::Unbounded, Bound::Excluded), PORTION)?;
            let Some((last, _)) = rows.last() else { break };
            after = Some(*last);
            let under_way = rows.into_iter().filter(|(_, row)| row.ending.is_none());
            open.extend(under_way.map(|(number, row)| (number, Sent::of(number, row))));
        }
        Ok(Self { network, store, files, next, open: Mutex::new(open), turn: tokio::sync::Mutex::default() })
    }

    /// Writes a letter with a message, and with a token and the sender's pointer for the recipient to answer by.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub async fn prepare(
        &self,
        key: &AgentKey,
        to: &Did,
        (name, purpose): (&str, Purpose),
        message: &[u8],
        pointer: Option<Blob<MAX_POINTER_BYTES>>,
        now: Timestamp,
    ) -> Result<Prepared, OutboxError> {
        self.has_room(to, purpose)?;
        let message = Blob::try_from(message).map_err(|_| OutboxError::TooLong)?;
        if purpose == Purpose::Asks {
            self.know(&key.did(), to, now).await?;
        }
        let token = self.token_for(key, to, now)?;
        let letter = match Letter::write(&self.network, key, to, &Content { message, token, pointer }, now) {
            Err(LetterError::Cose(_) | LetterError::Payload(_)) => return Err(OutboxError::TooLong),
            letter => letter?,
        };
        let row = SentRow {
            from: letter.from,
            to: letter.to,
            name: Text::try_from(name).map_err(|_| OutboxError::TooLong)?,
            letter: letter.id,
            created: letter.created,
            expires: letter.expires,
            keepers: List::new(),
            ending: None,
            body: Body::put(letter.document(), &self.files).await?,
        };
        Ok(Prepared { number: self.next.fetch_add(1, Ordering::Relaxed), letter, row })
    }

    /// Whether another letter to this recipient may be under way.
    ///
    /// # Errors
    /// [`OutboxError::Full`], [`OutboxError::RecipientFull`].
    pub fn has_room(&self, to: &Did, purpose: Purpose) -> Result<(), OutboxError> {
        let (most, to_one) = match purpose {
            Purpose::Asks => (MOST_OPEN, REQUESTS_TO_ONE),
            Purpose::Answers => (MOST_OPEN - RESERVED, ANSWERS_TO_ONE),
        };
        let open = self.open.lock();
        if open.len() >= most {
            return Err(OutboxError::Full);
        }
        if open.values().filter(|sent| sent.to == *to).count() >= to_one {
            return Err(OutboxError::RecipientFull);
        }
        Ok(())
    }

    /// An agent of ours knows another one, for as long as a token holds: it wrote to it first, or took its offer.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn know(&self, own: &Did, other: &Did, now: Timestamp) -> Result<(), StoreError> {
        let _turn = self.turn.lock().await;
        let (held, expires) = (self.store.get::<Given>(&(*own, *other))?, now.plus(TOKEN_TTL));
        if held.is_some_and(|held| expires.since(held) <= WORTH_A_WRITE) {
            return Ok(());
        }
        let mut batch = Batch::new();
        if held.is_none() {
            self.make_room::<Given>(&mut batch, |until| *until)?;
        }
        batch.put::<Given>(&(*own, *other), &expires)?;
        self.store.commit(batch).await
    }

    /// Makes room for one row more: the one that ends first goes.
    fn make_room<T: haggle_store::Table>(
        &self,
        batch: &mut Batch,
        end: impl Fn(&T::Value) -> Timestamp,
    ) -> Result<(), StoreError> {
        if self.store.count::<T>()? >= MOST_WORDS as u64 {
            let rows = self.store.range::<T>(Bound::Unbounded, MOST_WORDS)?;
            if let Some((key, _)) = rows.into_iter().min_by_key(|(_, row)| end(row)) {
                batch.delete::<T>(&key);
            }
        }
        Ok(())
    }

    /// Lets go of a prepared letter that nobody wants.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn discard(&self, prepared: &Prepared) -> Result<(), StoreError> {
        prepared.row.body.file.map_or(Ok(()), |file| self.files.delete(&file))
    }

    /// What one of our agents gives to whom it knows; nothing for a stranger.
    ///
    /// # Errors
    /// [`OutboxError`]; not for a token of this version.
    pub fn token_for(
        &self,
        key: &AgentKey,
        sender: &Did,
        now: Timestamp,
    ) -> Result<Option<Blob<MAX_TOKEN_BYTES>>, OutboxError> {
        if !self.knows(&key.did(), sender, now)? {
            return Ok(None);
        }
        let token = Token { network: self.network.clone(), sender: *sender, expires: now.plus(TOKEN_TTL) };
        Ok(Blob::try_from(token.sign(key)?).ok())
    }

    /// A prepared letter is on disk: it is under way, unless somebody signed for it already. Says its number. Old ones that
    /// ended are forgotten.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn posted(&self, prepared: Prepared) -> Result<u64, StoreError> {
        let _turn = self.turn.lock().await;
        let row = self.store.get::<Sendings>(&prepared.number)?;
        if let Some(row) = row.filter(|row| row.ending.is_none()) {
            self.open.lock().insert(prepared.number, Sent::of(prepared.number, row));
        }
        let before = prepared.number.saturating_sub(MOST);
        let old = self.store.between::<Sendings>(Bound::Unbounded, Bound::Excluded(&before), 16)?;
        let mut batch = Batch::new();
        for (number, row) in old.into_iter().filter(|(_, row)| row.ending.is_some()) {
            batch.delete::<Sendings>(&number).delete::<SentLetters>(&row.letter);
            batch.delete::<SentNames>(&(row.from, row.name.into_string()));
        }
        if !batch.is_empty() {
            self.store.commit(batch).await?;
        }
        Ok(prepared.number)
    }

    /// Those under way, the oldest first.
    #[must_use]
    pub fn under_way(&self) -> Vec<Sent> {
        self.open.lock().values().cloned().collect()
    }

    /// The letter with what its sender called so.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn find(&self, from: &Did, name: &str) -> Result<Option<Sent>, StoreError> {
        let number = self.store.get::<SentNames>(&(*from, name.to_owned()))?;
        let Some(number) = number else { return Ok(None) };
        Ok(self.store.get::<Sendings>(&number)?.map(|row| Sent::of(number, row)))
    }

    /// The letter with this id.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn of_letter(&self, letter: &Hash) -> Result<Option<Sent>, StoreError> {
        let Some(number) = self.store.get::<SentLetters>(letter)? else { return Ok(None) };
        Ok(self.store.get::<Sendings>(&number)?.map(|row| Sent::of(number, row)))
    }

    /// The questions that bring a letter: to a keeper, and to the recipient's own node. `None` if it is not held any more.
    ///
    /// # Errors
    /// [`OutboxError`]; a letter that is over is `letter_untimely`.
    pub fn questions(&self, number: u64, now: Timestamp) -> Result<Option<(Question, Call)>, OutboxError> {
        let Some(row) = self.store.get::<Sendings>(&number)? else { return Ok(None) };
        let token = self.token_of(&row.from, &row.to, now)?;
        let Some(document) = row.body.get(&self.files)? else { return Ok(None) };
        let letter = Letter::read(document, &self.network, now)?;
        Ok(Some(bring(&letter, token)?))
    }

    /// Writes down that a keeper has a letter.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn left_at(&self, number: u64, keeper: PeerId) -> Result<(), StoreError> {
        let _turn = self.turn.lock().await;
        let Some(mut row) = self.store.get::<Sendings>(&number)? else { return Ok(()) };
        if row.keepers.contains(&keeper) || row.keepers.push(keeper).is_err() {
            return Ok(());
        }
        let mut batch = Batch::new();
        batch.put::<Sendings>(&number, &row)?;
        self.store.commit(batch).await?;
        if let Some(sent) = self.open.lock().get_mut(&number) {
            sent.keepers.push(keeper);
        }
        Ok(())
    }

    /// Ends a letter; its bytes are let go.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end(&self, number: u64, ending: Ending) -> Result<(), StoreError> {
        let _turn = self.turn.lock().await;
        let Some(mut row) = self.store.get::<Sendings>(&number)? else { return Ok(()) };
        if row.ending.is_none() {
            let file = row.body.file.take();
            (row.body, row.ending) = (Body::default(), Some(ending));
            let mut batch = Batch::new();
            batch.put::<Sendings>(&number, &row)?;
            self.store.commit(batch).await?;
            file.map_or(Ok(()), |file| self.files.delete(&file))?;
        }
        self.open.lock().remove(&number);
        Ok(())
    }

    /// Takes a receipt, if it is one for a letter of ours; true if it ended one.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub async fn signed_for(&self, receipt: &[u8], path: &str, now: Timestamp) -> Result<bool, OutboxError> {
        let Some(letter) = Receipt::claimed_letter(receipt) else { return Ok(false) };
        let Some(sent) = self.of_letter(&letter)? else { return Ok(false) };
        let read = Receipt::read(receipt, &self.network, &sent.to)?;
        if read.from != sent.from {
            return Err(LetterError::WrongParties.into());
        }
        if let Some(token) = &read.token {
            self.keep_token(&sent.from, &sent.to, token, now).await?;
        }
        if sent.ending.is_some() {
            return Ok(false);
        }
        let path = Text::try_from(path).unwrap_or_default();
        self.end(sent.number, Ending::Delivered { at: read.at, path }).await?;
        Ok(true)
    }

    /// Ends what nobody signed for in time.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn sweep(&self, now: Timestamp) -> Result<(), StoreError> {
        let over: Vec<u64> =
            self.open.lock().values().filter(|sent| sent.expires <= now).map(|sent| sent.number).collect();
        for number in over {
            self.end(number, Ending::Expired).await?;
        }
        Ok(())
    }

    /// Keeps what another agent gave to one of ours, if it is good and lasts longer than what is held.
    ///
    /// # Errors
    /// [`StoreError`]; a token that does not stand the checks is passed over.
    pub async fn keep_token(&self, own: &Did, other: &Did, token: &[u8], now: Timestamp) -> Result<(), StoreError> {
        let (Ok(read), Ok(token)) = (Token::read(token, &self.network, other, own, now), Blob::try_from(token)) else {
            return Ok(());
        };
        let _turn = self.turn.lock().await;
        let held = self.store.get::<Tokens>(&(*own, *other))?;
        let is_newer = |row: &TokenRow| read.expires.since(row.expires) > WORTH_A_WRITE;
        if !held.as_ref().is_none_or(is_newer) {
            return Ok(());
        }
        let mut batch = Batch::new();
        if held.is_none() {
            self.make_room::<Tokens>(&mut batch, |row| row.expires)?;
        }
        batch.put::<Tokens>(&(*own, *other), &TokenRow { token, expires: read.expires })?;
        self.store.commit(batch).await
    }

    /// What `other` gave to our agent, if it still counts.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn token_of(
        &self,
        own: &Did,
        other: &Did,
        now: Timestamp,
    ) -> Result<Option<Blob<MAX_TOKEN_BYTES>>, StoreError> {
        let row = self.store.get::<Tokens>(&(*own, *other))?;
        Ok(row.filter(|row| now < row.expires).map(|row| row.token))
    }

    /// Whether our agent knows another one, by its own record: what a keeper says of a letter proves nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn knows(&self, own: &Did, other: &Did, now: Timestamp) -> Result<bool, StoreError> {
        Ok(self.store.get::<Given>(&(*own, *other))?.is_some_and(|until| now < until))
    }

    /// Remembers an agent's pointer, for the day on which the DHT has none.
    ///
    /// # Errors
    /// [`StoreError`]; what is no pointer of the agent, or an older one, is passed over.
    pub async fn saw(&self, agent: &Did, pointer: &[u8], now: Timestamp) -> Result<(), StoreError> {
        let key = pointer::key(&self.network, agent);
        let read = pointer::check(&self.network, key.as_bytes(), pointer, now);
        let (Ok(read), Ok(pointer)) = (read, Blob::try_from(pointer)) else { return Ok(()) };
        if self.seen(agent, now)?.is_some_and(|seen| pointer::newness(&seen) >= pointer::newness(&read)) {
            return Ok(());
        }
        let row = SeenRow { pointer };
        let _turn = self.turn.lock().await;
        let mut batch = Batch::new();
        if self.store.get::<Seen>(agent)?.is_none() && self.store.count::<Seen>()? >= MOST_WORDS as u64 {
            // those that are over, and of the others the oldest, which sorts behind whatever is over
            let of = |agent: &Did, row: &SeenRow| {
                let key = pointer::key(&self.network, agent);
                pointer::check(&self.network, key.as_bytes(), &row.pointer, now)
                    .ok()
                    .map(|seen| pointer::newness(&seen))
            };
            let rows = self.store.range::<Seen>(Bound::Unbounded, MOST_WORDS)?;
            if let Some((oldest, _)) = rows.into_iter().min_by_key(|(agent, row)| of(agent, row)) {
                batch.delete::<Seen>(&oldest);
            }
        }
        batch.put::<Seen>(agent, &row)?;
        self.store.commit(batch).await
    }

    /// The remembered pointer of an agent; none if it is over.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn seen(&self, agent: &Did, now: Timestamp) -> Result<Option<Verified<Pointer>>, StoreError> {
        let Some(row) = self.store.get::<Seen>(agent)? else { return Ok(None) };
        let key = pointer::key(&self.network, agent);
        Ok(pointer::check(&self.network, key.as_bytes(), &row.pointer, now).ok())
    }
}
