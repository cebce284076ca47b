//! a2a-x402: the x402 objects in the metadata of A2A messages (`docs/protocols/a2a-x402.md`).
//!
//! The seller's task waits in `input-required` with a [`PaymentRequired`] in its status message; the buyer answers with a
//! [`PaymentPayload`]; the last message of the task carries every [`SettleResponse`] there was.

use haggle_base::Hash;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    PaymentPayload, PaymentRequired, SettleResponse,
    batch::{PurchaseNumber, code},
};

/// The extension, version 0.2, which is spoken first.
pub const URI: &str = "https://github.com/google-agentic-commerce/a2a-x402/blob/main/spec/v0.2";
/// Version 0.1, whose messages are the same for what is spoken here.
pub const URI_0_1: &str = "https://github.com/google-a2a/a2a-x402/v0.1";
/// Both, as the card of an agent with a price lists them.
pub const URIS: [&str; 2] = [URI, URI_0_1];

/// Where in the payment a message stands.
pub const STATUS: &str = "x402.payment.status";
/// What is asked for: a [`PaymentRequired`].
pub const REQUIRED: &str = "x402.payment.required";
/// What is paid with: a [`PaymentPayload`].
pub const PAYLOAD: &str = "x402.payment.payload";
/// Every [`SettleResponse`] of the task, oldest first.
pub const RECEIPTS: &str = "x402.payment.receipts";
/// Why a payment failed, in one of the extension's words.
pub const ERROR: &str = "x402.payment.error";

/// Most settlements kept in the history of one task; the oldest go first.
const MAX_RECEIPTS: usize = 16;

/// Where in the payment a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The seller asks for a payment.
    Required,
    /// The buyer pays.
    Submitted,
    /// The buyer does not want to pay.
    Rejected,
    /// The payment is good, and the work has begun.
    Verified,
    /// The payment stands.
    Completed,
    /// The payment does not stand.
    Failed,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 6] =
        [Self::Required, Self::Submitted, Self::Rejected, Self::Verified, Self::Completed, Self::Failed];

    /// The word on the wire.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Required => "payment-required",
            Self::Submitted => "payment-submitted",
            Self::Rejected => "payment-rejected",
            Self::Verified => "payment-verified",
            Self::Completed => "payment-completed",
            Self::Failed => "payment-failed",
        }
    }

    /// The status that a message's metadata tells, if it tells one that is known.
    #[must_use]
    pub fn of(message: &Value) -> Option<Self> {
        let word = message.get("metadata")?.get(STATUS)?.as_str()?;
        Self::ALL.into_iter().find(|status| status.word() == word)
    }
}

/// Whether the extension is among these URIs, in either version.
pub fn is_named<'a>(uris: impl IntoIterator<Item = &'a str>) -> bool {
    uris.into_iter().any(|uri| URIS.contains(&uri))
}

/// Metadata of a message that asks for a payment.
#[must_use]
pub fn required(offer: &PaymentRequired) -> Map<String, Value> {
    metadata(Status::Required, [(REQUIRED, json(offer))])
}

/// Metadata of a message that pays.
#[must_use]
pub fn submitted(payload: &PaymentPayload) -> Map<String, Value> {
    metadata(Status::Submitted, [(PAYLOAD, json(payload))])
}

/// Metadata of the last message of a task whose payment stands.
#[must_use]
pub fn completed(receipts: Vec<Value>) -> Map<String, Value> {
    metadata(Status::Completed, [(RECEIPTS, Value::Array(receipts))])
}

/// Metadata of the last message of a task whose payment does not stand; `word` is one of the extension's.
#[must_use]
pub fn failed(word: &str, receipts: Vec<Value>) -> Map<String, Value> {
    metadata(Status::Failed, [(ERROR, word.into()), (RECEIPTS, Value::Array(receipts))])
}

/// Metadata that is only a status.
#[must_use]
pub fn bare(status: Status) -> Map<String, Value> {
    metadata(status, [])
}

/// One more settlement in the history of a task.
#[must_use]
pub fn with_receipt(mut history: Vec<Value>, settled: &SettleResponse) -> Vec<Value> {
    if history.len() >= MAX_RECEIPTS {
        history.remove(0);
    }
    history.push(json(settled));
    history
}

/// What a message asks for, if it does and it can be read.
#[must_use]
pub fn offer_in(message: &Value) -> Option<PaymentRequired> {
    read(message.get("metadata")?.get(REQUIRED)?)
}

/// The settlements that a message shows, those that cannot be read left out.
#[must_use]
pub fn receipts_in(message: &Value) -> Vec<SettleResponse> {
    let shown = message.get("metadata").and_then(|said| said.get(RECEIPTS)).and_then(Value::as_array);
    shown.into_iter().flatten().filter_map(read).collect()
}

/// The word that a message gives for a payment that failed.
#[must_use]
pub fn error_in(message: &Value) -> Option<&str> {
    message.get("metadata")?.get(ERROR)?.as_str()
}

/// Takes the payload out of a message that pays.
pub fn take_payload(message: &mut Value) -> Option<Value> {
    let mut payload = message.get_mut("metadata")?.as_object_mut()?.remove(PAYLOAD)?;
    whole(&mut payload);
    Some(payload)
}

/// A name for a payload, read or not: the same payment has the same one. A transfer is named by its nonce, a voucher by its
/// channel and the number of the purchase, or without one by channel and sum, anything else by its hash.
#[must_use]
pub fn name_of(payload: &Value) -> String {
    let part = payload.get("payload");
    let text = |holder: Option<&Value>, key: &str| holder?.get(key)?.as_str().map(str::to_ascii_lowercase);
    if let Some(nonce) = text(part.and_then(|part| part.get("authorization")), "nonce").filter(|nonce| is_short(nonce))
    {
        return nonce;
    }
    let voucher = part.and_then(|part| part.get("voucher"));
    let number = part.and_then(|part| PurchaseNumber::of(part).ok().flatten());
    match (text(voucher, "channelId"), text(voucher, "maxClaimableAmount")) {
        (Some(channel), _) if is_short(&channel) && number.is_some() => {
            number.map_or_else(String::new, |number| format!("{channel}:p{number}"))
        }
        (Some(channel), Some(max)) if is_short(&channel) && is_short(&max) => format!("{channel}:{max}"),
        _ => Hash::of(payload.to_string().as_bytes()).to_string(),
    }
}

/// The extension's word for a refusal of the scheme `batch-settlement`.
#[must_use]
pub fn channel_word(reason: &str) -> &'static str {
    match reason {
        code::EXCEEDS_BALANCE | code::CHANNEL_NOT_FOUND => "INSUFFICIENT_FUNDS",
        code::VOUCHER_SIGNATURE | code::DEPOSIT_SIGNATURE => "INVALID_SIGNATURE",
        code::DEPOSIT_EXPIRED | code::DEPOSIT_EARLY => "EXPIRED_PAYMENT",
        code::NETWORK_MISMATCH => "NETWORK_MISMATCH",
        code::CUMULATIVE_MISMATCH | code::BELOW_CLAIMED | code::REQUIREMENTS | code::DEPOSIT_TOO_SMALL => {
            "INVALID_AMOUNT"
        }
        _ => "SETTLEMENT_FAILED",
    }
}

fn read<T: DeserializeOwned>(object: &Value) -> Option<T> {
    let mut object = object.clone();
    whole(&mut object);
    serde_json::from_value(object).ok()
}

/// Writes whole numbers as such: A2A's official SDKs keep metadata in protobuf's `Struct`, which has floating numbers only,
/// and send `2.0` where x402 says 2. Amounts are texts and never touched.
fn whole(value: &mut Value) {
    match value {
        Value::Number(number) if !number.is_i64() && !number.is_u64() => {
            let written = number.to_string();
            let digits = written.strip_suffix(".0").and_then(|digits| digits.parse::<i64>().ok());
            if let Some(digits) = digits {
                *value = digits.into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole),
        Value::Object(fields) => fields.values_mut().for_each(whole),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Longest part of a payment's name that is taken as it came.
fn is_short(text: &str) -> bool {
    (1..=80).contains(&text.len())
}

fn json(object: &impl Serialize) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}

fn metadata<const N: usize>(status: Status, more: [(&str, Value); N]) -> Map<String, Value> {
    let first = std::iter::once((STATUS.to_owned(), Value::from(status.word())));
    first.chain(more.into_iter().map(|(key, value)| (key.to_owned(), value))).collect()
}
