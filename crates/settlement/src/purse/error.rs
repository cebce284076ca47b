//! What the purse refuses.

use haggle_base::{Coded, Usdc};

use crate::SettlementError;

/// Why nothing was paid. Unless a variant says otherwise, nothing changed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PurseError {
    /// The key was used for another request.
    #[error("this key already paid for something else")]
    KeyTaken,
    /// The seller asks for nothing this node can pay: other chains, tokens, schemes or flows.
    #[error("the seller takes no payment that this node can make")]
    NothingPayable,
    /// The cheapest offer costs more than the caller allows.
    #[error("the cheapest offer costs {cheapest} USDC, the most allowed is {max} USDC")]
    AboveMax {
        /// What it costs.
        cheapest: Usdc,
        /// What is allowed.
        max: Usdc,
    },
    /// A direct transfer has no payload for a seller.
    #[error("this payment is a direct transfer")]
    NotForSale,
    /// What was kept with the payment is damaged or gone.
    #[error("what was kept of this payment cannot be read")]
    Lost,
    /// The budget, the wallet, the chain or the store.
    #[error(transparent)]
    Settlement(#[from] SettlementError),
}

impl PurseError {
    /// Whether the same call can succeed later without anything being changed by the caller.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Settlement(error) => error.is_retryable(),
            Self::KeyTaken | Self::NothingPayable | Self::AboveMax { .. } | Self::NotForSale | Self::Lost => false,
        }
    }
}

impl Coded for PurseError {
    fn code(&self) -> &'static str {
        match self {
            Self::KeyTaken => "idempotency_conflict",
            Self::NothingPayable => "nothing_payable",
            Self::AboveMax { .. } => "above_max_price",
            Self::NotForSale => "not_a_purchase",
            Self::Lost => "payment_record_lost",
            Self::Settlement(error) => error.code(),
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::KeyTaken => "take a new key for a new payment; keep the key only when you repeat the same one",
            Self::NothingPayable => "ask the seller for exact payments in this network's token",
            Self::AboveMax { .. } => "raise the ceiling, or leave it",
            Self::NotForSale => "use the key of a purchase",
            Self::Lost => "restore the home's blobs from a backup",
            Self::Settlement(error) => error.hint(),
        }
    }
}
