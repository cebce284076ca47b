//! The HTTP headers of x402: an object as JSON in base64, bounded.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Serialize, de::DeserializeOwned};

use crate::X402Error;

/// Carries a [`PaymentRequired`](crate::PaymentRequired) in a 402 response.
pub const PAYMENT_REQUIRED: &str = "PAYMENT-REQUIRED";
/// Carries a [`PaymentPayload`](crate::PaymentPayload) in a request.
pub const PAYMENT_SIGNATURE: &str = "PAYMENT-SIGNATURE";
/// Carries a [`SettleResponse`](crate::SettleResponse) in a response.
pub const PAYMENT_RESPONSE: &str = "PAYMENT-RESPONSE";

/// Longest header value read or written, in bytes of base64. Common servers refuse more than 16 KiB of headers.
pub const MAX_HEADER: usize = 16 * 1024;

/// Writes an object as a header value.
///
/// # Errors
/// [`X402Error::HeaderTooLong`] if the value would pass [`MAX_HEADER`].
pub fn encode<T: Serialize>(object: &T) -> Result<String, X402Error> {
    let text = STANDARD.encode(serde_json::to_vec(object)?);
    bounded(&text)?;
    Ok(text)
}

/// Reads an object from a header value.
///
/// # Errors
/// The value is too long, not base64, or not the object.
pub fn decode<T: DeserializeOwned>(value: &str) -> Result<T, X402Error> {
    bounded(value)?;
    let json = STANDARD.decode(value.trim()).map_err(|_| X402Error::HeaderNotBase64)?;
    Ok(serde_json::from_slice(&json)?)
}

fn bounded(value: &str) -> Result<(), X402Error> {
    if value.len() > MAX_HEADER {
        return Err(X402Error::HeaderTooLong { length: value.len(), limit: MAX_HEADER });
    }
    Ok(())
}
