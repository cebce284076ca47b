//! The four signed documents of the mailbox: letter, receipt, token and pass.

use std::time::Duration;

use haggle_base::{
    AgentKey, Blob, CborError, Coded, CoseError, Did, Hash, NetworkId, PeerId, Timestamp, cbor, cose,
    pointer::MAX_POINTER_BYTES,
    record::MAX_CLOCK_SKEW,
    seal::{self, SealError, Sealed},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Largest letter as signed, in bytes: one frame holds it with a token.
pub const MAX_LETTER_BYTES: usize = 63 * 1024;
/// Largest message in a letter, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 60 * 1024;
/// Largest receipt, in bytes.
pub const MAX_RECEIPT_BYTES: usize = 1024;
/// Largest token, in bytes.
pub const MAX_TOKEN_BYTES: usize = 512;
/// Largest pass, in bytes.
pub const MAX_PASS_BYTES: usize = 512;
/// Longest life of a letter.
pub const LETTER_TTL: Duration = Duration::from_secs(72 * 3600);
/// Longest life of a token.
pub const TOKEN_TTL: Duration = Duration::from_secs(90 * 24 * 3600);
/// How long a pass may be shown after it was signed.
pub const PASS_TTL: Duration = Duration::from_secs(60);

const LETTER: &str = "letter";
const RECEIPT: &str = "mail-receipt";
const TOKEN: &str = "mail-token";
const PASS: &str = "mail-pass";
/// What HPKE's `info` begins with; a zero byte and the network's id follow.
const SEAL_INFO: &[u8] = b"haggle/letter/v1\0";

/// Why a document of the mailbox is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LetterError {
    /// The envelope or its signature.
    #[error(transparent)]
    Cose(#[from] CoseError),
    /// The payload's encoding.
    #[error("payload: {0}")]
    Payload(CborError),
    /// It is for another network.
    #[error("it is for another network")]
    WrongNetwork,
    /// It is over, of a clock ahead, or would live for too long.
    #[error("its times are not within the bounds")]
    Untimely,
    /// It is for somebody else.
    #[error("it is for somebody else")]
    WrongParties,
    /// It cannot be sealed or opened.
    #[error(transparent)]
    Seal(#[from] SealError),
}

impl Coded for LetterError {
    fn code(&self) -> &'static str {
        match self {
            Self::Cose(error) => error.code(),
            Self::Payload(error) => error.code(),
            Self::WrongNetwork => "wrong_network",
            Self::Untimely => "letter_untimely",
            Self::WrongParties => "wrong_receiver",
            Self::Seal(error) => error.code(),
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Cose(error) => error.hint(),
            Self::Payload(error) => error.hint(),
            Self::WrongNetwork => "letters stay in the network that they were written in",
            Self::Untimely => "check the clocks; a letter lives for 72 hours at most",
            Self::WrongParties => "address it to the agent that is to read it",
            Self::Seal(error) => error.hint(),
        }
    }
}

fn sign<T: Serialize>(kind: &str, said: &T, key: &AgentKey) -> Result<Vec<u8>, LetterError> {
    Ok(cose::sign(kind, &cbor::to_vec(said).map_err(LetterError::Payload)?, key))
}

fn read<T: Serialize + DeserializeOwned>(kind: &str, bytes: &[u8], max: usize) -> Result<(Did, Hash, T), LetterError> {
    let opened = cose::verify(kind, bytes, max)?;
    let said = cbor::from_slice(&opened.payload, max).map_err(LetterError::Payload)?;
    Ok((opened.author, opened.id, said))
}

fn on_network(said: &NetworkId, network: &NetworkId) -> Result<(), LetterError> {
    if said == network { Ok(()) } else { Err(LetterError::WrongNetwork) }
}

fn in_time(is_in_time: bool) -> Result<(), LetterError> {
    if is_in_time { Ok(()) } else { Err(LetterError::Untimely) }
}

/// What is sealed in a letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// The signed message.
    pub message: Blob<MAX_MESSAGE_BYTES>,
    /// The sender's word that the recipient may write back into the half for known senders.
    pub token: Option<Blob<MAX_TOKEN_BYTES>>,
    /// The sender's pointer: where an answer finds it.
    pub pointer: Option<Blob<MAX_POINTER_BYTES>>,
}

/// The payload of a letter.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    network: NetworkId,
    to: Did,
    created: Timestamp,
    expires: Timestamp,
    enc: Hash,
    sealed: Blob<MAX_LETTER_BYTES>,
}

/// When a letter is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    /// Not yet: it was written by a clock that is ahead.
    Early,
    /// Now.
    Now,
    /// It is over.
    Over,
}

/// A letter whose signature was checked. Only its recipient can open it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The agent that wrote it.
    pub from: Did,
    /// The agent that it is for.
    pub to: Did,
    /// When it was written, by the sender's clock.
    pub created: Timestamp,
    /// When it is thrown away.
    pub expires: Timestamp,
    /// blake3-256 of what the signature covers: its name.
    pub id: Hash,
    sealed: Sealed,
    document: Vec<u8>,
}

/// What the sealed text is bound to: the outer header, so that nobody can send it on as a letter of its own.
fn bound(from: &Did, to: &Did, created: Timestamp, expires: Timestamp) -> Result<Vec<u8>, LetterError> {
    cbor::to_vec(&(from, to, created, expires)).map_err(LetterError::Payload)
}

fn info(network: &NetworkId) -> Vec<u8> {
    [SEAL_INFO, network.as_str().as_bytes()].concat()
}

impl Letter {
    /// Writes, seals and signs a letter that lives for [`LETTER_TTL`].
    ///
    /// # Errors
    /// [`LetterError::Seal`]; others only for what bounded fields rule out.
    pub fn write(
        network: &NetworkId,
        key: &AgentKey,
        to: &Did,
        content: &Content,
        now: Timestamp,
    ) -> Result<Self, LetterError> {
        Self::sealed_by(network, key, to, content, now, |info, bound, plain| seal::seal(to, info, bound, plain))
    }

    /// The same with given randomness, for golden vectors.
    #[cfg(test)]
    pub(crate) fn write_with(
        random: &[u8; 32],
        network: &NetworkId,
        key: &AgentKey,
        to: &Did,
        content: &Content,
        now: Timestamp,
    ) -> Result<Self, LetterError> {
        let sealed = |info: &[u8], bound: &[u8], plain: &[u8]| seal::seal_with(random, to, info, bound, plain);
        Self::sealed_by(network, key, to, content, now, sealed)
    }

    fn sealed_by(
        network: &NetworkId,
        key: &AgentKey,
        to: &Did,
        content: &Content,
        now: Timestamp,
        sealing: impl FnOnce(&[u8], &[u8], &[u8]) -> Result<Sealed, SealError>,
    ) -> Result<Self, LetterError> {
        let (from, expires) = (key.did(), now.plus(LETTER_TTL));
        let plain = cbor::to_vec(content).map_err(LetterError::Payload)?;
        let sealed = sealing(&info(network), &bound(&from, to, now, expires)?, &plain)?;
        let too_long = |_| LetterError::Payload(CborError::TooLarge { len: plain.len(), max: MAX_MESSAGE_BYTES });
        let written = Written {
            network: network.clone(),
            to: *to,
            created: now,
            expires,
            enc: Hash::from(sealed.enc),
            sealed: Blob::try_from(sealed.text).map_err(too_long)?,
        };
        Self::read(sign(LETTER, &written, key)?, network, now)
    }

    /// Reads a letter: its size, form, signature, network and times.
    ///
    /// # Errors
    /// [`LetterError`].
    pub fn read(document: Vec<u8>, network: &NetworkId, now: Timestamp) -> Result<Self, LetterError> {
        let letter = Self::read_late(document, network)?;
        in_time(letter.created <= now.plus(MAX_CLOCK_SKEW) && now < letter.expires)?;
        Ok(letter)
    }

    /// Reads a letter that was brought, whenever it is: [`Self::timing`] says whether it is to be taken.
    ///
    /// # Errors
    /// [`LetterError`].
    pub fn read_late(document: Vec<u8>, network: &NetworkId) -> Result<Self, LetterError> {
        let (from, id, written) = read::<Written>(LETTER, &document, MAX_LETTER_BYTES)?;
        on_network(&written.network, network)?;
        let Written { created, expires, to, .. } = written;
        in_time(created < expires && expires.since(created) <= LETTER_TTL)?;
        let sealed = Sealed { enc: *written.enc.as_bytes(), text: written.sealed.into_vec() };
        Ok(Self { from, to, created, expires, id, sealed, document })
    }

    /// Whether it is to be taken now by its recipient, whose clock may differ from that of who brings it.
    #[must_use]
    pub fn timing(&self, now: Timestamp) -> Timing {
        if self.created > now.plus(MAX_CLOCK_SKEW * 2) {
            Timing::Early
        } else if now >= self.expires.plus(MAX_CLOCK_SKEW) {
            Timing::Over
        } else {
            Timing::Now
        }
    }

    /// Opens it with the recipient's key.
    ///
    /// # Errors
    /// [`LetterError::Seal`], [`LetterError::WrongParties`], [`LetterError::Payload`].
    pub fn open(&self, network: &NetworkId, key: &AgentKey) -> Result<Content, LetterError> {
        if key.did() != self.to {
            return Err(LetterError::WrongParties);
        }
        let bound = bound(&self.from, &self.to, self.created, self.expires)?;
        let plain = seal::open(key, &info(network), &bound, &self.sealed)?;
        cbor::from_slice(&plain, MAX_LETTER_BYTES).map_err(LetterError::Payload)
    }

    /// The letter as signed.
    #[must_use]
    pub fn document(&self) -> &[u8] {
        &self.document
    }
}

/// That a letter arrived: signed by its recipient once its message is on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Where.
    pub network: NetworkId,
    /// The letter.
    pub letter: Hash,
    /// Who wrote it.
    pub from: Did,
    /// When it was written down, by the recipient's clock.
    pub at: Timestamp,
    /// The recipient's word that the sender may write again into the half for known senders.
    pub token: Option<Blob<MAX_TOKEN_BYTES>>,
}

impl Receipt {
    /// Signs it.
    ///
    /// # Errors
    /// Only for what bounded fields rule out.
    pub fn sign(&self, key: &AgentKey) -> Result<Vec<u8>, LetterError> {
        sign(RECEIPT, self, key)
    }

    /// Reads the receipt of a letter to `recipient`.
    ///
    /// # Errors
    /// [`LetterError`].
    pub fn read(bytes: &[u8], network: &NetworkId, recipient: &Did) -> Result<Self, LetterError> {
        let (author, _, receipt) = read::<Self>(RECEIPT, bytes, MAX_RECEIPT_BYTES)?;
        on_network(&receipt.network, network)?;
        if author == *recipient { Ok(receipt) } else { Err(LetterError::WrongParties) }
    }

    /// The letter that a receipt names, with nothing checked: to find whose it is.
    #[must_use]
    pub fn claimed_letter(bytes: &[u8]) -> Option<Hash> {
        read::<Self>(RECEIPT, bytes, MAX_RECEIPT_BYTES).ok().map(|(_, _, receipt)| receipt.letter)
    }
}

/// A recipient's word that a sender is known to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Where it holds.
    pub network: NetworkId,
    /// Who may write.
    pub sender: Did,
    /// Until when.
    pub expires: Timestamp,
}

impl Token {
    /// Signs it with the recipient's key.
    ///
    /// # Errors
    /// Only for what bounded fields rule out.
    pub fn sign(&self, key: &AgentKey) -> Result<Vec<u8>, LetterError> {
        sign(TOKEN, self, key)
    }

    /// Reads the token that `recipient` gave to `sender`.
    ///
    /// # Errors
    /// [`LetterError`].
    pub fn read(
        bytes: &[u8],
        network: &NetworkId,
        recipient: &Did,
        sender: &Did,
        now: Timestamp,
    ) -> Result<Self, LetterError> {
        let (author, _, token) = read::<Self>(TOKEN, bytes, MAX_TOKEN_BYTES)?;
        on_network(&token.network, network)?;
        if author != *recipient || token.sender != *sender {
            return Err(LetterError::WrongParties);
        }
        in_time(now < token.expires && token.expires <= now.plus(TOKEN_TTL + MAX_CLOCK_SKEW))?;
        Ok(token)
    }
}

/// That an agent speaks through a node, to a keeper: shown by this node, to this keeper, for a minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pass {
    /// Where.
    pub network: NetworkId,
    /// The node that shows it.
    pub node: PeerId,
    /// The keeper that it is shown to.
    pub keeper: PeerId,
    /// Until when.
    pub expires: Timestamp,
}

impl Pass {
    /// Signs it with the agent's key.
    ///
    /// # Errors
    /// Only for what bounded fields rule out.
    pub fn sign(&self, key: &AgentKey) -> Result<Vec<u8>, LetterError> {
        sign(PASS, self, key)
    }

    /// Reads the pass that `node` shows to `keeper`, and says whose it is.
    ///
    /// # Errors
    /// [`LetterError`].
    pub fn read(
        bytes: &[u8],
        network: &NetworkId,
        node: &PeerId,
        keeper: &PeerId,
        now: Timestamp,
    ) -> Result<Did, LetterError> {
        let (agent, _, pass) = read::<Self>(PASS, bytes, MAX_PASS_BYTES)?;
        on_network(&pass.network, network)?;
        if pass.node != *node || pass.keeper != *keeper {
            return Err(LetterError::WrongParties);
        }
        in_time(now < pass.expires && pass.expires <= now.plus(PASS_TTL + MAX_CLOCK_SKEW))?;
        Ok(agent)
    }
}
