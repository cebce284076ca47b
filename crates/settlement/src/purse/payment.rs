//! One payment out of the purse.

use alloy_primitives::{Address, B256, Bytes};
use serde::{Deserialize, Serialize};

use haggle_base::{Did, EvmSignature, Hash, Text, Timestamp, Usdc};
use haggle_x402::{
    ExactFacts,
    exact::{ExactAuthorization, Transfer},
};

use super::PurchaseKey;
use crate::budget::ReservationKey;

/// How far a payment has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PurchaseState {
    /// Signed, stored, and perhaps out. It can still be used.
    Signed,
    /// The chain says that the money has moved.
    Paid,
    /// It was not used in time; the signature is worthless now.
    Lapsed,
}

/// The answer that was paid for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Its `content-type`, or nothing.
    pub content_type: Text<128>,
    /// Name of the body among the blobs.
    pub body: Hash,
}

/// One payment, named by its agent and key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Purchase {
    /// Who pays.
    pub agent: Did,
    /// Its name.
    pub key: PurchaseKey,
    /// Hash of what is asked for.
    pub request: Hash,
    /// Whom or what it pays, in words.
    pub about: Text<2048>,
    /// How often it was signed before; each time the one before could no longer be used.
    pub attempt: u32,
    /// How much.
    pub amount: Usdc,
    /// What is signed.
    pub authorization: ExactAuthorization,
    /// The payer's signature over the token's `TransferWithAuthorization`.
    pub signature: EvmSignature,
    /// From this chain time on it cannot be used.
    pub ends: Timestamp,
    /// What of the budget it holds.
    pub reservation: ReservationKey,
    /// When it was signed, in wall time.
    pub signed_at: Timestamp,
    /// Name of the seller's words among the blobs; none for a direct transfer.
    pub echo: Option<Hash>,
    /// How far it has come.
    pub state: PurchaseState,
    /// The transaction, as the seller named it or this node sent it.
    pub tx: Option<B256>,
    /// Name of the seller's `PAYMENT-RESPONSE` among the blobs.
    pub said: Option<Hash>,
    /// The answer that was paid for, once it was received.
    pub answer: Option<Answer>,
}

impl Purchase {
    /// Who is paid.
    #[must_use]
    pub const fn to(&self) -> Address {
        self.authorization.to
    }

    /// The payment's nonce, which is its name on the chain.
    #[must_use]
    pub const fn nonce(&self) -> B256 {
        self.authorization.nonce
    }

    /// What a chain is given.
    pub(super) fn transfer(&self, facts: &ExactFacts) -> Option<Transfer> {
        let message = self.authorization.message().ok()?;
        Some(Transfer {
            token: facts.token().address,
            contract: false,
            from: message.from,
            to: message.to,
            value: self.amount,
            valid_after: message.validAfter,
            valid_before: message.validBefore,
            nonce: message.nonce,
            signature: Bytes::copy_from_slice(self.signature.as_bytes()),
        })
    }

    /// The key of its row.
    pub(super) fn row(&self) -> (Did, String) {
        (self.agent, self.key.as_str().to_owned())
    }
}
