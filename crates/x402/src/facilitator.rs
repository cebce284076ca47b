//! What a facilitator is asked and answers: verify, settle, supported, discovery.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{ChainRef, PaymentPayload, PaymentRequirements, Reason, Scheme, X402Version};

/// The body of `POST /verify` and `POST /settle`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FacilitatorRequest {
    /// Always 2.
    pub x402_version: X402Version,
    /// What the buyer sent.
    pub payment_payload: PaymentPayload,
    /// What the seller asked for.
    pub payment_requirements: PaymentRequirements,
    /// Everything else, as it came.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// The answer to verify. Nothing moved, whatever it says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifyResponse {
    /// Whether the payment would be settled as things stand.
    pub is_valid: bool,
    /// Everything else, as it came (`invalidReason`, `invalidMessage`, `payer`, `extra` ...).
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl VerifyResponse {
    /// The payment is good.
    #[must_use]
    pub fn valid(payer: &str) -> Self {
        let mut rest = Map::new();
        rest.insert("payer".to_owned(), payer.into());
        Self { is_valid: true, rest }
    }

    /// The payment is not taken. `payer` if it could be read.
    #[must_use]
    pub fn invalid(reason: Reason, message: &str, payer: Option<&str>) -> Self {
        let mut rest = Map::new();
        rest.insert("invalidReason".to_owned(), reason.word().into());
        rest.insert("invalidMessage".to_owned(), message.into());
        if let Some(payer) = payer {
            rest.insert("payer".to_owned(), payer.into());
        }
        Self { is_valid: false, rest }
    }

    /// Why it is not taken, as the facilitator wrote it.
    #[must_use]
    pub fn invalid_reason(&self) -> Option<&str> {
        self.rest.get("invalidReason")?.as_str()
    }

    /// Who would pay, if it was said.
    #[must_use]
    pub fn payer(&self) -> Option<&str> {
        self.rest.get("payer")?.as_str()
    }
}

/// One way to pay that a facilitator settles.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SupportedKind {
    /// Always 2.
    pub x402_version: X402Version,
    /// How money moves.
    pub scheme: Scheme,
    /// On which chain.
    pub network: ChainRef,
    /// Everything else, as it came (`extra` ...).
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl SupportedKind {
    /// A scheme on a chain, without extra.
    #[must_use]
    pub fn new(scheme: Scheme, network: ChainRef) -> Self {
        Self { x402_version: X402Version, scheme, network, rest: Map::new() }
    }
}

/// The answer to `GET /supported`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SupportedResponse {
    /// What is settled.
    pub kinds: Vec<SupportedKind>,
    /// Keys of the extensions that are understood.
    #[serde(default)]
    pub extensions: Vec<Box<str>>,
    /// Addresses that send transactions, by CAIP-2 pattern such as `eip155:*`.
    #[serde(default)]
    pub signers: BTreeMap<Box<str>, Vec<Box<str>>>,
    /// Everything else, as it came.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}
