//! The messages of a trade as they travel: JSON inside one data part of an A2A message.
//!
//! Signed documents travel as base64url of their bytes, never re-encoded. Every type refuses unknown
//! fields and oversize payloads while reading. `docs/protocols/negotiate.md` describes them.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use haggle_base::{Did, EvmSignature, Hash, Order, OrderId, PaymentBinding, RecordId, Text, Usdc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Value, json};

use crate::{
    config::MAX_PAYLOAD_BYTES,
    document::{MAX_QUOTE_BYTES, MAX_RECEIPT_BYTES},
    error::{Refusal, TradeError},
    order::OrderState,
    terms::MAX_TERMS_BYTES,
};

/// The A2A extension that carries these messages.
pub const EXTENSION_URI: &str = "urn:haggle:a2a:negotiate:1";

/// Bytes that travel as base64url text, at most `N` of them.
#[derive(Clone, PartialEq, Eq)]
pub struct Bytes<const N: usize>(Vec<u8>);

/// A signed quote.
pub type QuoteDocument = Bytes<MAX_QUOTE_BYTES>;
/// Signed terms.
pub type TermsDocument = Bytes<MAX_TERMS_BYTES>;
/// A signed delivery receipt.
pub type ReceiptDocument = Bytes<MAX_RECEIPT_BYTES>;
/// An input or an output.
pub type Payload = Bytes<MAX_PAYLOAD_BYTES>;

impl<const N: usize> Bytes<N> {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, moved out.
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }
}

impl<const N: usize> TryFrom<Vec<u8>> for Bytes<N> {
    type Error = TradeError;

    fn try_from(bytes: Vec<u8>) -> Result<Self, TradeError> {
        if bytes.len() > N { Err(Refusal::InputTooLarge.into()) } else { Ok(Self(bytes)) }
    }
}

impl<const N: usize> fmt::Debug for Bytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl<const N: usize> Serialize for Bytes<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode(&self.0))
    }
}

impl<'de, const N: usize> Deserialize<'de> for Bytes<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.len() / 4 > N / 3 + 1 {
            return Err(de::Error::custom(format_args!("more than {N} bytes")));
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| de::Error::custom("not base64url"))?;
        Self::try_from(bytes).map_err(|_| de::Error::custom(format_args!("more than {N} bytes")))
    }
}

/// What a buyer asks a price for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuoteRequest {
    /// The buyer's name for this negotiation: 32 random-looking bytes, never used twice.
    pub request: Hash,
    /// The buyer; the channel must have proved it.
    pub buyer: Did,
    /// Ties the buyer to the address it pays from.
    pub binding: PaymentBinding,
    /// The listing's slot.
    pub slot: Text<64>,
    /// The listing's record.
    pub listing: RecordId,
    /// The listing's version.
    pub seq: u64,
    /// blake3 of the input.
    pub input: Hash,
    /// Size of the input in bytes.
    pub input_bytes: u64,
    /// The first bid.
    pub bid: Usdc,
}

/// From the buyer to the provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "snake_case", deny_unknown_fields)]
pub enum TradeMessage {
    /// Opens a negotiation.
    QuoteRequest(QuoteRequest),
    /// Bids again.
    Counter {
        /// The negotiation.
        request: Hash,
        /// Which bid this is; the quote-request was 1.
        round: u8,
        /// The new bid.
        bid: Usdc,
    },
    /// Sends the terms, signed by the buyer.
    Terms {
        /// The negotiation.
        request: Hash,
        /// The signed terms.
        document: TermsDocument,
    },
    /// Hands over the input.
    Input {
        /// The order.
        order: OrderId,
        /// The input.
        input: Payload,
    },
    /// Asks for the provider's signature over the on-chain order.
    Countersign {
        /// The order's id.
        order: OrderId,
        /// The order, to be checked field by field.
        fields: Box<Order>,
    },
    /// Hands over the signed payment.
    Fund {
        /// The order.
        order: OrderId,
        /// The buyer's EIP-3009 signature.
        authorisation: EvmSignature,
    },
    /// Asks for the result.
    Collect {
        /// The order.
        order: OrderId,
    },
    /// Hands over the release.
    Release {
        /// The order.
        order: OrderId,
        /// The buyer's signature over the release.
        signature: EvmSignature,
    },
    /// Gives up an order that is not paid.
    Cancel {
        /// The order.
        order: OrderId,
    },
}

/// From the provider to the buyer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "snake_case", deny_unknown_fields)]
pub enum TradeReply {
    /// Agreed: a signed price.
    Quote {
        /// The signed quote.
        document: QuoteDocument,
    },
    /// Not enough: what the provider asks now.
    Counter {
        /// Its ask.
        ask: Usdc,
    },
    /// Refused.
    Reject {
        /// Why.
        code: Refusal,
        /// The first field that differs, for `terms_mismatch`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        field: Option<Text<32>>,
    },
    /// The terms, signed by the provider too.
    TermsSigned {
        /// The order that follows from them.
        order: OrderId,
        /// The provider's signed copy.
        document: TermsDocument,
    },
    /// The input is on the provider's disk and fits.
    InputHeld {
        /// The order.
        order: OrderId,
    },
    /// The provider's consent.
    Countersigned {
        /// The order.
        order: OrderId,
        /// The provider's signature over the order.
        signature: EvmSignature,
    },
    /// Where the order stands.
    Status {
        /// The order.
        order: OrderId,
        /// Its state at the provider.
        state: OrderState,
    },
    /// The result with its signed receipt.
    Receipt {
        /// The order.
        order: OrderId,
        /// The signed receipt.
        document: ReceiptDocument,
        /// The output.
        output: Payload,
    },
}

impl TradeMessage {
    /// The order this is about, once there is one.
    pub fn order(&self) -> Option<&OrderId> {
        match self {
            Self::QuoteRequest(_) | Self::Counter { .. } | Self::Terms { .. } => None,
            Self::Input { order, .. }
            | Self::Countersign { order, .. }
            | Self::Fund { order, .. }
            | Self::Collect { order }
            | Self::Release { order, .. }
            | Self::Cancel { order } => Some(order),
        }
    }

    /// The message as an A2A 1.0 message of the buyer.
    pub fn to_a2a(&self, message_id: &str) -> Value {
        envelope("ROLE_USER", message_id, self)
    }

    /// Reads an A2A message, if it carries this extension's data part.
    ///
    /// # Errors
    /// [`Refusal::BadDocument`] if the part is there but malformed.
    pub fn from_a2a(message: &Value) -> Result<Option<Self>, TradeError> {
        open(message)
    }
}

impl TradeReply {
    /// The reply as an A2A 1.0 message of the agent.
    pub fn to_a2a(&self, message_id: &str) -> Value {
        envelope("ROLE_AGENT", message_id, self)
    }

    /// Reads an A2A message, if it carries this extension's data part.
    ///
    /// # Errors
    /// [`Refusal::BadDocument`] if the part is there but malformed.
    pub fn from_a2a(message: &Value) -> Result<Option<Self>, TradeError> {
        open(message)
    }

    /// The refusal that tells the other side of an error.
    pub fn reject(error: &TradeError) -> Self {
        let field = match error {
            TradeError::TermsMismatch { field } => Text::try_from(*field).ok(),
            _ => None,
        };
        Self::Reject { code: error.refusal(), field }
    }
}

fn envelope<T: Serialize>(role: &str, message_id: &str, body: &T) -> Value {
    json!({
        "messageId": message_id,
        "role": role,
        "extensions": [EXTENSION_URI],
        "parts": [{ "data": body }],
    })
}

fn open<T: de::DeserializeOwned>(message: &Value) -> Result<Option<T>, TradeError> {
    let names = message.get("extensions").and_then(Value::as_array);
    if !names.is_some_and(|names| names.iter().any(|name| name == EXTENSION_URI)) {
        return Ok(None);
    }
    let parts = message.get("parts").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let [part] = parts else { return Err(Refusal::BadDocument.into()) };
    let data = part.get("data").ok_or(Refusal::BadDocument)?;
    T::deserialize(data).map(Some).map_err(|_| Refusal::BadDocument.into())
}

#[cfg(test)]
mod tests;
