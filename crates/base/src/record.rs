//! Records: everything that spreads through the network, signed once and carried as received.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::bounded::Text;
use crate::cbor::{self, CborError};
use crate::clock::Timestamp;
use crate::cose::{self, CoseError, Envelope};
use crate::did::Did;
use crate::error::Coded;
use crate::ids::{NetworkId, RecordId};
use crate::keys::AgentKey;

/// The largest record of any kind, in bytes; a store row holds it.
pub const MAX_RECORD_BYTES: usize = 7 * 1024;

/// How far ahead of our clock an author's clock may be.
pub const MAX_CLOCK_SKEW: Duration = Duration::from_secs(600);

/// What a record is about. The kind stands in the payload and in the signature's purpose.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Who an agent is, where it is hosted, how it is paid.
    Card,
    /// What an agent sells.
    Listing,
    /// That a listing is gone.
    Tombstone,
    /// How a settled order went.
    Attestation,
    /// Where an agent is to be found, for the DHT.
    Pointer,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Card, Self::Listing, Self::Tombstone, Self::Attestation, Self::Pointer];

    /// The word in the payload and in `haggle/<kind>/v1`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::Listing => "listing",
            Self::Tombstone => "tombstone",
            Self::Attestation => "attestation",
            Self::Pointer => "pointer",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a record was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The envelope or its signature.
    #[error(transparent)]
    Cose(#[from] CoseError),
    /// The payload's encoding.
    #[error("payload: {0}")]
    Payload(CborError),
    /// Another kind of record than asked for.
    #[error("not a record of kind {expected}")]
    WrongKind {
        /// The kind that was asked for.
        expected: Kind,
    },
    /// A kind this version does not know.
    #[error("unknown kind of record")]
    UnknownKind,
    /// Of another network.
    #[error("belongs to another network")]
    WrongNetwork,
    /// Created more than [`MAX_CLOCK_SKEW`] ahead of our clock.
    #[error("created in the future")]
    CreatedInFuture,
    /// No longer valid.
    #[error("expired")]
    Expired,
    /// Valid for longer than its kind allows, or expires before it was created.
    #[error("valid for longer than its kind allows")]
    TtlTooLong,
    /// Expires before it was created.
    #[error("expires before it was created")]
    ExpiresBeforeCreated,
    /// Stands in a slot that its content or author does not belong to.
    #[error("does not belong in its slot")]
    WrongSlot,
    /// Signed by an agent that may not say this.
    #[error("signed by an agent that may not say this")]
    WrongAuthor,
    /// The body breaks a rule of its kind.
    #[error("{reason}")]
    BadBody {
        /// A stable code of the kind's own, such as `bad_category`.
        code: &'static str,
        /// What is wrong, in words.
        reason: &'static str,
    },
}

impl Coded for RecordError {
    fn code(&self) -> &'static str {
        match self {
            Self::Cose(error) => error.code(),
            Self::Payload(error) => error.code(),
            Self::WrongKind { .. } => "wrong_kind",
            Self::UnknownKind => "unknown_kind",
            Self::WrongNetwork => "wrong_network",
            Self::CreatedInFuture => "created_in_future",
            Self::Expired => "expired",
            Self::TtlTooLong => "ttl_too_long",
            Self::ExpiresBeforeCreated => "expires_before_created",
            Self::WrongSlot => "wrong_slot",
            Self::WrongAuthor => "wrong_author",
            Self::BadBody { code, .. } => code,
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Cose(error) => error.hint(),
            Self::Payload(error) => error.hint(),
            Self::WrongKind { .. } => "send the record to the place for its kind",
            Self::UnknownKind => "the sender may run a newer version: update this node",
            Self::WrongNetwork => "connect to peers of the network that the network file names",
            Self::CreatedInFuture => "set the clocks right: 10 minutes ahead are tolerated",
            Self::Expired => "ask the author for a fresh record",
            Self::TtlTooLong => "shorten the time to live to what the kind allows",
            Self::ExpiresBeforeCreated => "let the record expire after its creation",
            Self::WrongSlot => "use the slot that docs/protocols/records.md gives the kind",
            Self::WrongAuthor => "let the party itself sign what it attests",
            Self::BadBody { .. } => "correct the field that the message names and sign again",
        }
    }
}

/// The part of a record that is particular to its kind.
pub trait Body: Serialize + DeserializeOwned + Clone + fmt::Debug + Send + Sync + 'static {
    /// The kind this body belongs to.
    const KIND: Kind;
    /// The largest signed record of this kind, in bytes.
    const MAX_BYTES: usize;
    /// The longest time from creation to expiry.
    const MAX_TTL: Duration;

    /// The rules of the kind, beyond what the types already say.
    ///
    /// # Errors
    /// Usually [`RecordError::BadBody`].
    fn check(&self) -> Result<(), RecordError>;

    /// The rules that tie the body to who signed it and where it stands.
    ///
    /// # Errors
    /// Usually [`RecordError::WrongAuthor`] or [`RecordError::WrongSlot`].
    fn check_place(&self, author: &Did, slot: &str) -> Result<(), RecordError> {
        let _unrestricted = (author, slot);
        Ok(())
    }
}

/// What an author says. The fields stand in canonical order, which makes writing it cheap.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Record<B> {
    /// Higher replaces lower in the same slot; by custom the creation time in milliseconds.
    pub seq: u64,
    /// The content.
    pub body: B,
    /// The kind, which also stands in the signature's purpose.
    pub kind: Kind,
    /// Which of the author's records this replaces.
    pub slot: Text<64>,
    /// When it was made, by the author's clock.
    pub created: Timestamp,
    /// When it stops being valid.
    pub expires: Timestamp,
    /// The network it belongs to.
    pub network: NetworkId,
}

impl<B: Body> Record<B> {
    /// A record made now that lives for `ttl`; `seq` is the creation time in milliseconds.
    #[must_use]
    pub fn new(network: NetworkId, slot: Text<64>, now: Timestamp, ttl: Duration, body: B) -> Self {
        Self { seq: now.as_millis(), body, kind: B::KIND, slot, created: now, expires: now.plus(ttl), network }
    }

    fn check(&self, author: &Did) -> Result<(), RecordError> {
        if self.kind != B::KIND {
            return Err(RecordError::WrongKind { expected: B::KIND });
        }
        if self.expires <= self.created {
            return Err(RecordError::ExpiresBeforeCreated);
        }
        if self.expires.since(self.created) > B::MAX_TTL {
            return Err(RecordError::TtlTooLong);
        }
        self.body.check()?;
        self.body.check_place(author, &self.slot)
    }
}

/// A record as it came: of the right size, form and kind, but nobody has verified it.
///
/// There is no way to its content except [`Signed::verify`].
#[derive(Clone)]
pub struct Signed<B> {
    bytes: Arc<[u8]>,
    envelope: Envelope,
    record: Arc<Record<B>>,
}

impl<B: Body> Signed<B> {
    /// Signs a record as its author. Its network and clock are checked by [`Signed::verify`], the
    /// same door that a stranger's record goes through.
    ///
    /// # Errors
    /// [`RecordError`] if the record breaks a rule of its kind or is too large.
    pub fn sign(record: &Record<B>, key: &AgentKey) -> Result<Self, RecordError> {
        record.check(&key.did())?;
        let payload = cbor::to_vec(record).map_err(RecordError::Payload)?;
        let bytes = cose::sign(B::KIND.as_str(), &payload, key);
        Self::from_bytes(bytes)
    }

    /// Takes bytes from anywhere: checks their size, form and kind, not yet the signature.
    ///
    /// # Errors
    /// [`RecordError`] with code `too_large`, `not_canonical`, `bad_cbor`, `too_deep`,
    /// `bad_envelope`, `bad_did`, `unknown_kind`, `wrong_kind`, `wrong_shape` or `unknown_fields`.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, RecordError> {
        let envelope = Envelope::parse(&bytes, B::MAX_BYTES)?;
        Self::read(bytes, envelope)
    }

    /// Takes a record whose kind was looked at.
    ///
    /// # Errors
    /// As [`Signed::from_bytes`].
    pub fn from_unread(unread: Unread) -> Result<Self, RecordError> {
        cbor::check_length(&unread.bytes, B::MAX_BYTES).map_err(CoseError::from)?;
        Self::read(unread.bytes, unread.envelope)
    }

    fn read(bytes: Vec<u8>, envelope: Envelope) -> Result<Self, RecordError> {
        let record = match cbor::from_slice::<Record<B>>(envelope.payload(), B::MAX_BYTES) {
            Ok(record) if record.kind == B::KIND => record,
            Ok(_) => return Err(RecordError::WrongKind { expected: B::KIND }),
            // A body that cannot be read is most often one of another kind.
            Err(error) if kind_of(&envelope)? == B::KIND => return Err(RecordError::Payload(error)),
            Err(_) => return Err(RecordError::WrongKind { expected: B::KIND }),
        };
        Ok(Self { bytes: bytes.into(), envelope, record: Arc::new(record) })
    }

    /// The only way to a record's content: verifies the signature, the network, the times at
    /// `now` and the rules of the kind.
    ///
    /// # Errors
    /// Any [`RecordError`].
    pub fn verify(self, network: &NetworkId, now: Timestamp) -> Result<Verified<B>, RecordError> {
        let opened = self.envelope.verify(B::KIND.as_str())?;
        let id = RecordId::from(opened.id);
        Verified { id, author: opened.author, record: self.record, bytes: self.bytes }.admitted(network, now)
    }

    /// Who the record says has signed it.
    pub(crate) const fn claimed_author(&self) -> &Did {
        &self.envelope.author
    }

    /// The bytes as received or signed.
    #[must_use]
    pub const fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }
}

impl<B: Body> fmt::Debug for Signed<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signed<{}>({} bytes, unverified)", B::KIND, self.bytes.len())
    }
}

/// A record that [`Signed::verify`] let through. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Verified<B> {
    id: RecordId,
    author: Did,
    record: Arc<Record<B>>,
    bytes: Arc<[u8]>,
}

impl<B: Body> Verified<B> {
    /// A record that this node verified before it kept its bytes under `id` for `author`. The id names header and content
    /// byte for byte, so it stands for the signature, which is not looked at again.
    ///
    /// # Errors
    /// `bad_signature` if the bytes are not those of `id`; what time and network say at `now`, as [`Signed::verify`].
    pub fn recall(
        bytes: Vec<u8>,
        id: &RecordId,
        author: Did,
        network: &NetworkId,
        now: Timestamp,
    ) -> Result<Self, RecordError> {
        let payload = cose::recall(B::KIND.as_str(), &bytes, id.as_hash())?;
        let record: Record<B> = cbor::read(&payload).map_err(RecordError::Payload)?;
        Self { id: *id, author, record: Arc::new(record), bytes: bytes.into() }.admitted(network, now)
    }

    /// What has to hold beside the signature.
    fn admitted(self, network: &NetworkId, now: Timestamp) -> Result<Self, RecordError> {
        let record = &self.record;
        if record.network != *network {
            return Err(RecordError::WrongNetwork);
        }
        if record.created > now.plus(MAX_CLOCK_SKEW) {
            return Err(RecordError::CreatedInFuture);
        }
        if record.expires <= now {
            return Err(RecordError::Expired);
        }
        record.check(&self.author)?;
        Ok(self)
    }

    /// The record's id.
    #[must_use]
    pub const fn id(&self) -> RecordId {
        self.id
    }

    /// Who signed it.
    #[must_use]
    pub const fn author(&self) -> Did {
        self.author
    }

    /// The record.
    #[must_use]
    pub fn record(&self) -> &Record<B> {
        &self.record
    }

    /// The part particular to the kind.
    #[must_use]
    pub fn body(&self) -> &B {
        &self.record.body
    }

    /// The bytes as signed: carry these, never write the record again.
    #[must_use]
    pub const fn bytes(&self) -> &Arc<[u8]> {
        &self.bytes
    }
}

/// Bytes whose envelope is well-formed, and the kind that they say they are. Nothing is verified.
#[derive(Clone)]
pub struct Unread {
    bytes: Vec<u8>,
    envelope: Envelope,
    kind: Kind,
}

impl Unread {
    /// Takes bytes from anywhere.
    ///
    /// # Errors
    /// As for [`Signed::from_bytes`], with the bound [`MAX_RECORD_BYTES`].
    pub fn parse(bytes: Vec<u8>) -> Result<Self, RecordError> {
        let envelope = Envelope::parse(&bytes, MAX_RECORD_BYTES)?;
        let kind = kind_of(&envelope)?;
        Ok(Self { bytes, envelope, kind })
    }

    /// The kind it says it has.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }
}

impl fmt::Debug for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unread({} of {} bytes)", self.kind, self.bytes.len())
    }
}

fn kind_of(envelope: &Envelope) -> Result<Kind, RecordError> {
    #[derive(Deserialize)]
    struct KindOnly {
        kind: Text<64>,
    }
    cbor::check(envelope.payload(), MAX_RECORD_BYTES).map_err(RecordError::Payload)?;
    let word = cbor::read::<KindOnly>(envelope.payload()).map_err(RecordError::Payload)?.kind;
    Kind::ALL.into_iter().find(|kind| word == kind.as_str()).ok_or(RecordError::UnknownKind)
}

/// The gossip message id: the first 20 bytes of blake3 of **all** received bytes.
///
/// It covers the signature on purpose: an id without it would let a forged copy, seen first,
/// suppress the real record.
#[must_use]
pub fn gossip_id(bytes: &[u8]) -> [u8; 20] {
    let mut id = [0; 20];
    id.copy_from_slice(&blake3::hash(bytes).as_bytes()[..20]);
    id
}

#[cfg(test)]
mod tests;
