//! The one door for bytes: whatever its kind and wherever it comes from, a record is verified here.

use haggle_base::{
    Address, Attestation, AttestationKind, Body, Did, Hash, Kind, NetworkId, RecordError, RecordId, Side, Signed, Text,
    Timestamp, Unread, Verified,
};
use serde::{Deserialize, Serialize};

use crate::body::{CardBody, ListingBody, TombstoneBody, is_due};

/// Pointers stand in the DHT and never on a shelf: whoever sends one here has mistaken the place.
const NO_POINTERS: RecordError = RecordError::WrongKind { expected: Kind::Card };

/// A verified record of any kind that stands on a shelf.
#[derive(Debug, Clone)]
pub enum AnyRecord {
    /// Who an agent is.
    Card(Verified<CardBody>),
    /// What it sells.
    Listing(Verified<ListingBody>),
    /// That it no longer sells something.
    Tombstone(Verified<TombstoneBody>),
    /// How an order went.
    Attestation(Verified<Attestation>),
}

/// Which record this one replaces: the hash of what identifies the place on the shelf.
///
/// A card has one place per author. A listing and its tombstone share the place (author, slot,
/// category), so the category is fixed for a slot on every node, whatever order records come in.
/// An attestation's place is (chain, escrow, order, kind, side) and its author: a stranger
/// cannot take the place of the party.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place(Hash);

impl Place {
    /// The place of an author's card.
    #[must_use]
    pub fn card(author: &Did) -> Self {
        Self(Hash::of_parts(&[b"card\0", author.public_key()]))
    }

    /// What stands for it in a store.
    pub(crate) const fn hash(&self) -> Hash {
        self.0
    }

    /// The place of a listing and its tombstone.
    #[must_use]
    pub fn listing(author: &Did, slot: &str, category: &str) -> Self {
        // Bounded texts hold no zero byte, so the parts cannot run into each other.
        let parts: [&[u8]; 5] = [b"listing\0", author.public_key(), slot.as_bytes(), b"\0", category.as_bytes()];
        Self(Hash::of_parts(&parts))
    }

    /// The place of what one side attests of an order.
    #[must_use]
    pub fn attestation(author: &Did, body: &Attestation) -> Self {
        let chain = body.chain_id.to_be_bytes();
        let escrow: &Address = &body.escrow;
        let kind = match body.attestation {
            AttestationKind::Receipt => b"receipt\0".as_slice(),
            AttestationKind::Rating => b"rating\0",
        };
        let side = match body.side {
            Side::Buyer => b"buyer\0".as_slice(),
            Side::Provider => b"provider\0",
        };
        Self(Hash::of_parts(&[
            b"attestation\0",
            &chain,
            escrow.as_slice(),
            body.order.as_bytes(),
            kind,
            side,
            author.public_key(),
        ]))
    }
}

/// What the shelf knows of a record without its body. Fields stand in canonical order: what is stored of each record need not
/// be sorted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The record's id.
    pub id: RecordId,
    /// Higher replaces lower.
    pub seq: u64,
    /// Its kind.
    pub kind: Kind,
    /// The slot as signed.
    pub slot: Text<64>,
    /// Whose listing fees pay for its room, if anybody's do.
    pub payer: Option<Box<Address>>,
    /// What it replaces and is replaced by.
    pub place: Place,
    /// The shard it lies in.
    pub shard: u16,
    /// Who signed it.
    pub author: Did,
    /// When it was made.
    pub created: Timestamp,
    /// When it stops being valid.
    pub expires: Timestamp,
    /// Whom an attestation is about. Nearly no entry has one, so it lies apart.
    pub subject: Option<Box<Did>>,
}

impl Entry {
    /// Whether its author is to sign it anew, if it is still true.
    pub(crate) fn is_due(&self, at: Timestamp) -> bool {
        is_due(self.created, self.expires, at)
    }
}

impl AnyRecord {
    /// Verifies bytes of any kind.
    ///
    /// # Errors
    /// Any [`RecordError`].
    pub fn open(bytes: Vec<u8>, network: &NetworkId, now: Timestamp) -> Result<Self, RecordError> {
        fn pass<B: Body>(unread: Unread, network: &NetworkId, now: Timestamp) -> Result<Verified<B>, RecordError> {
            Signed::<B>::from_unread(unread)?.verify(network, now)
        }
        let unread = Unread::parse(bytes)?;
        match unread.kind() {
            Kind::Card => pass(unread, network, now).map(Self::Card),
            Kind::Listing => pass(unread, network, now).map(Self::Listing),
            Kind::Tombstone => pass(unread, network, now).map(Self::Tombstone),
            Kind::Attestation => pass(unread, network, now).map(Self::Attestation),
            Kind::Pointer => Err(NO_POINTERS),
        }
    }

    /// Reads the record of an entry that this node verified before it kept it.
    ///
    /// # Errors
    /// Any [`RecordError`]; `bad_signature` if the bytes are not those of the entry's id.
    pub fn recall(bytes: Vec<u8>, entry: &Entry, network: &NetworkId, now: Timestamp) -> Result<Self, RecordError> {
        let (id, author) = (&entry.id, entry.author);
        match entry.kind {
            Kind::Card => Verified::recall(bytes, id, author, network, now).map(Self::Card),
            Kind::Listing => Verified::recall(bytes, id, author, network, now).map(Self::Listing),
            Kind::Tombstone => Verified::recall(bytes, id, author, network, now).map(Self::Tombstone),
            Kind::Attestation => Verified::recall(bytes, id, author, network, now).map(Self::Attestation),
            Kind::Pointer => Err(NO_POINTERS),
        }
    }

    /// The record's id.
    #[must_use]
    pub fn id(&self) -> RecordId {
        match self {
            Self::Card(record) => record.id(),
            Self::Listing(record) => record.id(),
            Self::Tombstone(record) => record.id(),
            Self::Attestation(record) => record.id(),
        }
    }

    /// Whether it is a card.
    pub(crate) const fn is_card(&self) -> bool {
        matches!(self, Self::Card(_))
    }

    /// The bytes as signed.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Card(record) => record.bytes(),
            Self::Listing(record) => record.bytes(),
            Self::Tombstone(record) => record.bytes(),
            Self::Attestation(record) => record.bytes(),
        }
    }

    /// Who signed it.
    #[must_use]
    pub fn author(&self) -> Did {
        match self {
            Self::Card(record) => record.author(),
            Self::Listing(record) => record.author(),
            Self::Tombstone(record) => record.author(),
            Self::Attestation(record) => record.author(),
        }
    }

    /// When it was made, as its author says.
    pub(crate) fn created(&self) -> Timestamp {
        match self {
            Self::Card(record) => record.record().created,
            Self::Listing(record) => record.record().created,
            Self::Tombstone(record) => record.record().created,
            Self::Attestation(record) => record.record().created,
        }
    }

    /// Whether another record, of another time perhaps, has the same body.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Card(one), Self::Card(other)) => one.body() == other.body(),
            (Self::Listing(one), Self::Listing(other)) => one.body() == other.body(),
            (Self::Tombstone(one), Self::Tombstone(other)) => one.body() == other.body(),
            (Self::Attestation(one), Self::Attestation(other)) => one.body() == other.body(),
            _ => false,
        }
    }

    /// The wallet that a card claims, whether that is true or not.
    pub(crate) fn wallet(&self) -> Option<Address> {
        match self {
            Self::Card(card) => card.body().binding.as_ref().map(|binding| binding.address),
            Self::Listing(_) | Self::Tombstone(_) | Self::Attestation(_) => None,
        }
    }

    /// What the shelf keeps of it, in a network of so many shards, with nobody paying for it.
    #[must_use]
    pub fn entry(&self, shards: u16) -> Entry {
        match self {
            Self::Card(record) => {
                let author = record.author();
                entry(record, Place::card(&author), shard_of(author.public_key(), shards), None)
            }
            Self::Listing(record) => listing_entry(record, &record.body().category, shards),
            Self::Tombstone(record) => listing_entry(record, &record.body().category, shards),
            Self::Attestation(record) => {
                let body = record.body();
                let place = Place::attestation(&record.author(), body);
                let shard = shard_of(body.subject.public_key(), shards);
                entry(record, place, shard, Some(body.subject))
            }
        }
    }
}

fn listing_entry<B: Body>(record: &Verified<B>, category: &str, shards: u16) -> Entry {
    let place = Place::listing(&record.author(), &record.record().slot, category);
    entry(record, place, shard_of(category.as_bytes(), shards), None)
}

fn entry<B: Body>(record: &Verified<B>, place: Place, shard: u16, subject: Option<Did>) -> Entry {
    let signed = record.record();
    Entry {
        id: record.id(),
        kind: B::KIND,
        author: record.author(),
        slot: signed.slot.clone(),
        place,
        subject: subject.map(Box::new),
        seq: signed.seq,
        created: signed.created,
        expires: signed.expires,
        shard,
        payer: None,
    }
}

/// The shard of a shard key (an author's or subject's public key, or a category) in a network of
/// so many shards: the first 8 bytes of its blake3, big-endian, modulo their number.
#[must_use]
pub fn shard_of(key: &[u8], shards: u16) -> u16 {
    let mut head = [0; 8];
    head.copy_from_slice(&Hash::of(key).as_bytes()[..8]);
    // The remainder of a division by a u16 is a u16.
    u16::try_from(u64::from_be_bytes(head) % u64::from(shards.max(1))).unwrap_or(0)
}

/// True if an honest sender could not have sent this record. Clocks differ and programs age, so
/// an expired record, one from the near future, or one of an unknown kind is nobody's fault.
#[must_use]
pub fn is_senders_fault(error: &RecordError) -> bool {
    !matches!(error, RecordError::Expired | RecordError::CreatedInFuture | RecordError::UnknownKind)
}

#[cfg(test)]
mod tests;
