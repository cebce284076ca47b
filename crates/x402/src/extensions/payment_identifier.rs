//! `payment-identifier`: a key of the buyer's own that makes a repeated purchase the same purchase.

use haggle_base::{Hash, Text};
use serde_json::{Map, Value, json};

use super::{DIALECT, info, set};
use crate::{PaymentPayload, PaymentRequirements, Reason};

/// The extension's key.
pub const KEY: &str = "payment-identifier";
/// Shortest identifier, in characters.
pub const MIN_ID: usize = 16;
/// Longest identifier, in characters.
pub const MAX_ID: usize = 128;

/// A buyer's identifier: 16 to 128 letters, digits, hyphens and underscores.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PaymentId(Text<MAX_ID>);

impl PaymentId {
    /// The identifier's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for PaymentId {
    type Error = Reason;

    fn try_from(text: &str) -> Result<Self, Reason> {
        let right = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        let id = Text::try_from(text).map_err(|_| Reason::Payload)?;
        if right && text.len() >= MIN_ID { Ok(Self(id)) } else { Err(Reason::Payload) }
    }
}

/// Says in a 402 answer that identifiers are understood, and whether one is required.
pub fn announce(rest: &mut Map<String, Value>, required: bool) {
    let schema = json!({
        "$schema": DIALECT,
        "type": "object",
        "properties": {
            "required": { "type": "boolean" },
            "id": { "type": "string", "minLength": MIN_ID, "maxLength": MAX_ID },
        },
        "required": ["required"],
    });
    set(rest, KEY, json!({ "required": required }), Some(schema));
}

/// Adds an identifier to a payment. Whatever else the extension says is echoed as it was asked.
pub fn attach(payload: &mut PaymentPayload, id: &PaymentId) {
    let mut said = info(&payload.rest, KEY).and_then(Value::as_object).cloned().unwrap_or_default();
    said.entry("required").or_insert(Value::Bool(false));
    said.insert("id".to_owned(), id.as_str().into());
    let schema = payload.rest.get("extensions").and_then(|all| all.get(KEY)?.get("schema")).cloned();
    set(&mut payload.rest, KEY, Value::Object(said), schema);
}

/// The identifier a payment carries.
///
/// # Errors
/// [`Reason::Payload`] if there is one and it is not of the right form.
pub fn of(payload: &PaymentPayload) -> Result<Option<PaymentId>, Reason> {
    match info(&payload.rest, KEY).and_then(|info| info.get("id")) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => PaymentId::try_from(text.as_str()).map(Some),
        Some(_) => Err(Reason::Payload),
    }
}

/// What has to be equal for two payments with the same identifier to be the same purchase: how much of what goes where,
/// and the hash of what was asked (method, path, body or order).
#[must_use]
pub fn fingerprint(accepted: &PaymentRequirements, request: &Hash) -> Hash {
    let network = accepted.network.to_string();
    let (asset, pay_to) = (accepted.asset.to_ascii_lowercase(), accepted.pay_to.to_ascii_lowercase());
    let parts = [accepted.scheme.as_str(), network.as_str(), asset.as_str(), accepted.amount.as_str(), pay_to.as_str()];
    let mut bytes = Vec::with_capacity(256);
    for part in parts {
        // Each part's length first, so that no two lists of parts are the same bytes.
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes.extend_from_slice(request.as_bytes());
    Hash::of(&bytes)
}
