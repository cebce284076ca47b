//! What a payer tells of a transfer, as it travels: a signed message in the data part of an A2A message.
//!
//! As specified in `docs/protocols/messages.md` section 7. The agent's signature says who speaks, the binding that the
//! wallet is its own; whether the transfer was made only the chain says.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use haggle_a2a::envelope::{EnvelopeError, Message, MessageType, SignedMessage};
use haggle_base::{Address, B256, Coded, Did, Hash, NetworkFile, PaymentBinding, Text, Timestamp, Usdc};
use haggle_settlement::arrivals::Told;
use haggle_settlement::ledger::MAX_MEMO;
use haggle_x402::exact::{ExactAuthorization, Transfer};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The A2A extension that carries notes and their answers.
pub(crate) const EXTENSION_URI: &str = "urn:haggle:a2a:transfer-note:1";
/// Largest signed document, in bytes.
const MAX_DOCUMENT_BYTES: usize = 4096;

/// The payload of the signed message.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Payload {
    TransferSent(Note),
}

/// What is said of a transfer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Note {
    /// The chain, as in CAIP-2.
    pub(crate) network: String,
    /// The token's contract.
    pub(crate) token: Address,
    /// What was signed: who pays whom how much, and the nonce that names it on the chain.
    pub(crate) authorization: ExactAuthorization,
    /// The transaction, if the payer knows it.
    pub(crate) tx: Option<B256>,
    /// What it is for.
    pub(crate) memo: Text<MAX_MEMO>,
    /// That the paying wallet is the speaker's.
    pub(crate) binding: PaymentBinding,
}

/// How the data part begins.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Carried {
    document: String,
}

/// What the receiving node answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum NoteReply {
    /// It is kept; `booked` if the receiver's own chain shows the transfer already.
    Taken {
        /// Whether it stands in the receiver's ledger.
        booked: bool,
    },
    /// It is not kept.
    Reject {
        /// Why.
        code: String,
        /// Whether the same note may be taken later.
        retryable: bool,
    },
}

/// Why a note is none, by code.
pub(crate) type Refused = &'static str;

impl Note {
    /// The note as its payer's agent signs it.
    ///
    /// # Errors
    /// The message cannot be written, which bounded fields rule out.
    pub(crate) fn message(&self, payer: Did, payee: &Did, now: Timestamp) -> Result<Message, EnvelopeError> {
        let nonce = self.authorization.nonce;
        let name = format!("transfer-{}", &Hash::of(nonce.as_slice()).to_string()[..32]);
        let payload = serde_json::to_string(&Payload::TransferSent(self.clone())).unwrap_or_default();
        let to = payee.to_string();
        Message::new(&name, payer, Some(&to), MessageType::Notification, now, &payload)
    }
}

/// The A2A message that carries a signed note.
pub(crate) fn carry(signed: &SignedMessage) -> Value {
    let document = URL_SAFE_NO_PAD.encode(signed.document());
    envelope("ROLE_USER", signed.message().id.as_str(), &Carried { document })
}

impl NoteReply {
    /// The answer to the message of this id.
    pub(crate) fn to_a2a(&self, message_id: &str) -> Value {
        envelope("ROLE_AGENT", message_id, self)
    }

    /// Reads an answer; `None` if the other node does not speak of notes.
    pub(crate) fn from_a2a(message: &Value) -> Option<Self> {
        Self::deserialize(data(message)?).ok()
    }
}

fn envelope<T: Serialize>(role: &str, message_id: &str, body: &T) -> Value {
    json!({"messageId": message_id, "role": role, "extensions": [EXTENSION_URI], "parts": [{"data": body}]})
}

/// Whether a message is meant to carry a note.
pub(crate) fn is_note(message: &Value) -> bool {
    let names = message.get("extensions").and_then(Value::as_array);
    names.is_some_and(|names| names.iter().any(|name| name == EXTENSION_URI))
}

fn data(message: &Value) -> Option<&Value> {
    let parts = message.get("parts").and_then(Value::as_array)?;
    match parts.as_slice() {
        [part] if is_note(message) => part.get("data"),
        _ => None,
    }
}

/// Opens the note in a message to `agent`, with everything checked that shows without the chain.
///
/// # Errors
/// `bad_document`, `forged_sender`, `wrong_receiver`, `wrong_network`, `binding_invalid`, `binding_expired`.
pub(crate) fn open(message: &Value, agent: &Did, file: &NetworkFile, now: Timestamp) -> Result<Told, Refused> {
    const BAD: Refused = "bad_document";
    let carried = Carried::deserialize(data(message).ok_or(BAD)?).map_err(|_| BAD)?;
    if carried.document.len() / 4 > MAX_DOCUMENT_BYTES / 3 {
        return Err(BAD);
    }
    let document = URL_SAFE_NO_PAD.decode(carried.document).map_err(|_| BAD)?;
    let signed = SignedMessage::open(document).map_err(|error| error.code())?;
    let said = signed.message();
    if !signed.is_by_sender() {
        return Err("forged_sender");
    }
    if said.kind != MessageType::Notification {
        return Err(BAD);
    }
    if said.to.as_ref().is_none_or(|to| to.as_str() != agent.to_string()) {
        return Err("wrong_receiver");
    }
    let Payload::TransferSent(note) = serde_json::from_str(said.payload()).map_err(|_| BAD)?;
    if note.network != format!("eip155:{}", file.chain_id) || note.token != file.token.address {
        return Err("wrong_network");
    }
    let wallet = note.binding.verify(&file.id, &said.from, file.chain_id, now).map_err(|error| error.code())?;
    if wallet != note.authorization.from {
        return Err("binding_invalid");
    }
    let transfer = transfer(&note.authorization, note.token).ok_or(BAD)?;
    Ok(Told { payee: *agent, payer: said.from, transfer, memo: note.memo })
}

/// The transfer of an authorisation, without its signature; `None` for an amount that no USDC has.
pub(crate) fn transfer(authorization: &ExactAuthorization, token: Address) -> Option<Transfer> {
    let message = authorization.message().ok()?;
    Some(Transfer {
        token,
        from: message.from,
        to: message.to,
        value: Usdc::try_from(message.value).ok()?,
        valid_after: message.validAfter,
        valid_before: message.validBefore,
        nonce: message.nonce,
        signature: Default::default(),
        contract: false,
    })
}

#[cfg(test)]
mod tests;
