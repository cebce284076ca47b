//! What is published: records signed as agents sign them, and records made up where only their number matters.

use super::START;
use crate::corpus::Corpus;
use haggle_base::{Address, Body as _, Did, Hash, Kind, NetworkId, Record, RecordError, Signed, Text, Timestamp};
use haggle_catalog::{AnyRecord, Entry, Place, TombstoneBody, shard_of};
use std::sync::Arc;
use std::time::Duration;

/// Life of a made-up record.
const TTL: Duration = Duration::from_secs(7 * 24 * 3600);

/// One record on its way.
#[derive(Debug)]
pub(super) struct News {
    pub(super) entry: Arc<Entry>,
    pub(super) bytes: u64,
    /// Its author has said it.
    pub(super) published: bool,
    /// A bit for each node that has seen the message.
    heard: Vec<u64>,
}

impl News {
    pub(super) fn new(entry: Entry, bytes: u64, nodes: u32) -> Self {
        Self { entry: Arc::new(entry), bytes, published: false, heard: vec![0; nodes as usize / 64 + 1] }
    }

    /// True the first time.
    pub(super) fn hear(&mut self, node: u32) -> bool {
        let (word, bit) = (node as usize / 64, 1 << (node % 64));
        let new = self.heard[word] & bit == 0;
        self.heard[word] |= bit;
        new
    }
}

/// Makes records.
#[derive(Debug)]
pub struct Press {
    corpus: Corpus,
    network: NetworkId,
    shards: u16,
    nodes: u32,
}

impl Press {
    /// For a world of so many shards and nodes.
    ///
    /// # Errors
    /// Never: the network's name is one.
    pub fn new(seed: u64, shards: u16, nodes: u32) -> Result<Self, RecordError> {
        let network = "devnet-7/1".parse().map_err(|_| RecordError::WrongNetwork)?;
        Ok(Self { corpus: Corpus::new(seed), network, shards, nodes })
    }

    /// Listing `number` as its author signs it at a time; again and later for a change. It goes through the door once,
    /// for all nodes.
    pub(super) fn listing(&self, number: u64, at: Timestamp, costed: bool) -> Result<News, RecordError> {
        self.enter(self.corpus.signed(number, &self.network, at)?, at, costed)
    }

    /// The withdrawal of listing `number`.
    pub(super) fn withdrawal(&self, number: u64, at: Timestamp, costed: bool) -> Result<News, RecordError> {
        let category = self.corpus.category(number);
        let body = TombstoneBody { category: Text::try_from(category.as_str()).unwrap_or_default() };
        let slot = Text::try_from("listing/made-up").unwrap_or_default();
        let record = Record::new(self.network.clone(), slot, at, TombstoneBody::MAX_TTL, body);
        self.enter(Signed::sign(&record, &self.corpus.author(number))?.bytes().to_vec(), at, costed)
    }

    fn enter(&self, bytes: Vec<u8>, at: Timestamp, costed: bool) -> Result<News, RecordError> {
        let size = bytes.len() as u64;
        let record = AnyRecord::open(bytes, &self.network, at)?;
        let entry = Entry { payer: costed.then(|| payer(&record.author())), ..record.entry(self.shards) };
        Ok(News::new(entry, size, self.nodes))
    }

    /// A listing of 1,024 bytes that nobody signed, of `author` in a category, for where only counts matter.
    pub(super) fn made_up(&self, author: u64, slot: &str, category: &str, at: Timestamp, costed: bool) -> News {
        let author = self.corpus.author(author).did();
        let seq = at.as_millis();
        let parts: [&[u8]; 4] = [author.public_key(), slot.as_bytes(), category.as_bytes(), &seq.to_be_bytes()];
        let entry = Entry {
            id: Hash::of_parts(&parts).into(),
            kind: Kind::Listing,
            author,
            slot: Text::try_from(slot).unwrap_or_default(),
            place: Place::listing(&author, slot, category),
            subject: None,
            seq,
            created: at,
            expires: at.plus(TTL),
            shard: shard_of(category.as_bytes(), self.shards),
            payer: costed.then(|| payer(&author)),
        };
        News::new(entry, 1024, self.nodes)
    }
}

/// The wallet that paid for an author's room: each has another.
fn payer(author: &Did) -> Box<Address> {
    Box::new(Address::from_slice(&author.public_key()[..20]))
}

/// The moment so many milliseconds after the beginning.
pub(super) fn at(millis: u64) -> Timestamp {
    START.plus(Duration::from_millis(millis))
}
