//! What can be wrong with an x402 object.

use haggle_base::Coded;

/// Why an x402 object was refused.
///
/// Every variant is the sender's fault and final: the same object will be refused again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum X402Error {
    /// The header is longer than any object needs.
    #[error("the payment header is {length} bytes long, the limit is {limit}")]
    HeaderTooLong {
        /// Length received, in bytes of base64.
        length: usize,
        /// The limit, in the same unit.
        limit: usize,
    },
    /// The header is not base64.
    #[error("the payment header is not base64")]
    HeaderNotBase64,
    /// The text is not JSON, or lacks a required field, or holds a wrong word.
    #[error("the payment object is malformed at line {line}, column {column}")]
    Malformed {
        /// Line in the JSON text, from 1; 0 if the object did not come from text.
        line: usize,
        /// Column in the JSON text, from 1; 0 if the object did not come from text.
        column: usize,
    },
    /// A field does not say what the order says.
    #[error("the payment does not match the order: `{field}` differs")]
    Mismatch {
        /// Name of the field, as x402 writes it.
        field: &'static str,
    },
    /// A signature in the payload is not by whom it has to be.
    #[error("the payment's `{field}` is not signed by {by}")]
    BadSignature {
        /// Name of the field that holds the signature.
        field: &'static str,
        /// Whose signature it has to be.
        by: &'static str,
    },
    /// The order's amounts do not fit what a payment can carry.
    #[error("the order's amount cannot be paid: it is zero or too large")]
    BadAmount,
}

impl Coded for X402Error {
    fn code(&self) -> &'static str {
        match self {
            Self::HeaderTooLong { .. } => "payment_header_too_long",
            Self::HeaderNotBase64 => "payment_header_invalid",
            Self::Malformed { .. } => "payment_malformed",
            Self::Mismatch { .. } => "payment_mismatch",
            Self::BadSignature { .. } => "payment_signature_invalid",
            Self::BadAmount => "payment_amount_invalid",
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::HeaderTooLong { .. } => "send only the payment object, without attachments",
            Self::HeaderNotBase64 => "encode the JSON object with standard base64",
            Self::Malformed { .. } => "send an x402 version 2 object with every required field",
            Self::Mismatch { .. } => "build the payment from the order both sides signed, and change nothing",
            Self::BadSignature { .. } => "sign with the payment key of the address named in the order",
            Self::BadAmount => "agree on an amount above zero that fits 64 bits of base units",
        }
    }
}

impl From<serde_json::Error> for X402Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Malformed { line: error.line(), column: error.column() }
    }
}
