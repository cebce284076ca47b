//! The owner's `A2AMessage`: one signed envelope for requests, responses, notifications and errors between agents.
//!
//! As specified in `docs/protocols/messages.md`: canonical CBOR inside a `COSE_Sign1` of kind `message`; in JSON the
//! fields stand by themselves and `signature` is the document's. The payload is any JSON, kept as canonical JSON text
//! (RFC 8785), so that its signature survives every reader and writer of JSON.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use haggle_base::{AgentKey, Coded, CoseError, Did, Hash, Text, Timestamp, cbor, cose};
use serde::{Deserialize, Serialize};

use crate::card::{SignatureError, raw};

/// COSE kind of a message.
pub const MESSAGE_KIND: &str = "message";
/// Largest payload, in bytes of canonical JSON.
pub const MAX_PAYLOAD_BYTES: usize = 1024 * 1024;
/// Largest signed document, in bytes.
pub const MAX_DOCUMENT_BYTES: usize = MAX_PAYLOAD_BYTES + 1024;

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageType {
    /// Somebody wants something done.
    Request,
    /// What it would cost, or whether that is taken.
    Response,
    /// Something happened.
    Notification,
    /// A request could not be read or done.
    Error,
}

impl MessageType {
    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Response => "response",
            Self::Notification => "notification",
            Self::Error => "error",
        }
    }

    /// The type that a word names.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        [Self::Request, Self::Response, Self::Notification, Self::Error].into_iter().find(|of| of.as_str() == word)
    }
}

/// Why something is not a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// A field is missing, too long or of another shape.
    #[error("{field}: {problem}")]
    Field {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The payload is larger than [`MAX_PAYLOAD_BYTES`].
    #[error("the payload is larger than 1 MiB as canonical JSON")]
    TooLarge,
    /// The signature is not that of `from` over these fields.
    #[error("the signature is not that of the agent in `from`")]
    Forged,
    /// The document is not the signed form of a message.
    #[error(transparent)]
    Document(#[from] CoseError),
}

impl Coded for EnvelopeError {
    fn code(&self) -> &'static str {
        match self {
            Self::Field { .. } => "invalid_message",
            Self::TooLarge => "body_too_large",
            Self::Forged => "forged_sender",
            Self::Document(error) => error.code(),
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Field { .. } => "write the message as docs/protocols/messages.md says",
            Self::TooLarge => "send at most 1 MiB; give large documents by reference",
            Self::Forged => "sign the message with the key of `from`, over exactly the fields that are sent",
            Self::Document(error) => error.hint(),
        }
    }
}

fn field(field: &'static str, problem: impl Into<String>) -> EnvelopeError {
    EnvelopeError::Field { field, problem: problem.into() }
}

/// The canonical text (RFC 8785) of a payload. Two payloads that say the same have the same one.
///
/// # Errors
/// [`EnvelopeError::TooLarge`]; [`EnvelopeError::Field`] for what is no JSON object, names something twice, is nested
/// deeper than 32 levels, or holds an integer beyond 2^53, which not every reader takes for the same number.
pub fn canonical(payload: &str) -> Result<String, EnvelopeError> {
    if payload.len() > MAX_PAYLOAD_BYTES {
        return Err(EnvelopeError::TooLarge);
    }
    let text = exactly(payload).map_err(|error| {
        let problem = match error {
            SignatureError::TooDeep => "it is nested more than 32 deep".to_owned(),
            SignatureError::Number => "it has an integer beyond 2^53".to_owned(),
            SignatureError::NotJson(cause) => cause,
            other => other.to_string(),
        };
        field("payload", problem)
    })?;
    if text.len() > MAX_PAYLOAD_BYTES { Err(EnvelopeError::TooLarge) } else { Ok(text) }
}

fn exactly(payload: &str) -> Result<String, SignatureError> {
    let value = raw::strictly(payload.as_bytes())?;
    if !value.is_object() {
        return Err(SignatureError::NotJson("it is no JSON object".to_owned()));
    }
    raw::check(&value, 0)?;
    serde_json_canonicalizer::to_string(&value).map_err(|_| SignatureError::Number)
}

/// What one agent says to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// The sender's name for the message; the same name again is the same message.
    pub id: Text<64>,
    /// The agent that speaks.
    pub from: Did,
    /// Whom it speaks to: a DID, a listing, a name; nobody in particular if absent.
    pub to: Option<Text<128>>,
    /// What it is for.
    pub kind: MessageType,
    /// When it was said, by the sender's clock.
    pub at: Timestamp,
    /// A JSON object, as canonical text.
    payload: String,
}

impl Message {
    /// A message with this payload, which is brought into canonical form.
    ///
    /// # Errors
    /// As [`canonical`]; [`EnvelopeError::Field`] for an id that is not 1 to 64 of `A-Z a-z 0-9 - _ . :` or begins with
    /// none of the letters and digits, and for a `to` of more than 128 bytes.
    pub fn new(
        id: &str,
        from: Did,
        to: Option<&str>,
        kind: MessageType,
        at: Timestamp,
        payload: &str,
    ) -> Result<Self, EnvelopeError> {
        if !is_plain(id) {
            return Err(field(
                "messageId",
                "it is not 1 to 64 letters, digits and -_.: that begin with a letter or digit",
            ));
        }
        let id = Text::try_from(id).map_err(|error| field("messageId", error.to_string()))?;
        let to = to.map(Text::try_from).transpose().map_err(|error| field("to", error.to_string()))?;
        Ok(Self { id, from, to, kind, at, payload: canonical(payload)? })
    }

    /// The payload, as canonical JSON text.
    #[must_use]
    pub fn payload(&self) -> &str {
        &self.payload
    }

    /// Signs it. A signer other than `from` vouches for having written it down, not for `from` having said it:
    /// [`SignedMessage::is_by_sender`] tells them apart.
    ///
    /// # Errors
    /// [`EnvelopeError::Document`] if it cannot be written, which bounded fields rule out.
    pub fn sign(self, key: &AgentKey) -> Result<SignedMessage, EnvelopeError> {
        let document = cose::sign(MESSAGE_KIND, &self.bytes()?, key);
        SignedMessage::open(document)
    }

    /// Puts the signature that came with it to it, and checks that it is that of `from`.
    ///
    /// # Errors
    /// [`EnvelopeError::Forged`], also for a signature that is not 64 bytes in base64url.
    pub fn signed_with(self, signature: &str) -> Result<SignedMessage, EnvelopeError> {
        let bytes = URL_SAFE_NO_PAD.decode(signature).ok().and_then(|bytes| <[u8; 64]>::try_from(bytes).ok());
        let signature = bytes.ok_or(EnvelopeError::Forged)?;
        let document = cose::assemble(&self.bytes()?, &self.from, &signature);
        SignedMessage::open(document).map_err(|_| EnvelopeError::Forged)
    }

    fn bytes(&self) -> Result<Vec<u8>, EnvelopeError> {
        cbor::to_vec(self).map_err(|error| CoseError::from(error).into())
    }
}

/// Whether an id can stand in a path as it is.
fn is_plain(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    id.starts_with(|first: char| first.is_ascii_alphanumeric()) && id.len() <= 64 && id.bytes().all(allowed)
}

/// A message whose signature was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedMessage {
    message: Message,
    signer: Did,
    id: Hash,
    document: Vec<u8>,
}

impl SignedMessage {
    /// Opens the signed document of a message.
    ///
    /// # Errors
    /// [`EnvelopeError::Document`], and as [`Message::new`]; [`EnvelopeError::Field`] if the payload is not in
    /// canonical form.
    pub fn open(document: Vec<u8>) -> Result<Self, EnvelopeError> {
        let opened = cose::verify(MESSAGE_KIND, &document, MAX_DOCUMENT_BYTES)?;
        let read: Message = cbor::from_slice(&opened.payload, MAX_DOCUMENT_BYTES).map_err(CoseError::from)?;
        let to = read.to.as_ref().map(Text::as_str);
        let message = Message::new(&read.id, read.from, to, read.kind, read.at, &read.payload)?;
        if message != read {
            return Err(field("payload", "it is not canonical JSON"));
        }
        Ok(Self { message, signer: opened.author, id: opened.id, document })
    }

    /// What was said.
    #[must_use]
    pub const fn message(&self) -> &Message {
        &self.message
    }

    /// Who signed.
    #[must_use]
    pub const fn signer(&self) -> Did {
        self.signer
    }

    /// Whether the agent in `from` signed; otherwise the signer only vouches for what it wrote down.
    #[must_use]
    pub fn is_by_sender(&self) -> bool {
        self.signer == self.message.from
    }

    /// blake3-256 of what the signature covers: names signer and content.
    #[must_use]
    pub const fn id(&self) -> Hash {
        self.id
    }

    /// The signature, base64url without padding.
    #[must_use]
    pub fn signature(&self) -> String {
        // a document of the one allowed form ends with its signature
        URL_SAFE_NO_PAD.encode(&self.document[self.document.len().saturating_sub(64)..])
    }

    /// The signed document.
    #[must_use]
    pub fn document(&self) -> &[u8] {
        &self.document
    }
}

#[cfg(test)]
mod tests;
