//! Why a payer's word about a transfer is not taken.

use haggle_base::Coded;

use crate::SettlementError;

/// Why a payer's word about a transfer is not taken. Nothing changed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ArrivalError {
    /// The address that is paid is not that of the agent that was told.
    #[error("the transfer does not pay the agent that was told of it")]
    NotOurs,
    /// The chain will never show such a transfer: another token, no amount, a nonce that is gone, a time that is over.
    #[error("there is no such transfer, and there will not be")]
    NoTransfer,
    /// The transfer is too old to be told of.
    #[error("the transfer was made more than five days ago")]
    TooLate,
    /// Something else was said of the transfer before.
    #[error("something else was said of this transfer before")]
    ToldBefore,
    /// It was the price of a call.
    #[error("the transfer paid for a call")]
    Sold,
    /// There is no room for another word of this payer's, or of anybody's.
    #[error("too many transfers were told of")]
    Full,
    /// Others are looked up now.
    #[error("too many transfers are looked up now")]
    Busy,
    /// The chain cannot be asked now.
    #[error("the chain cannot be asked now")]
    ChainAway,
    /// The books or the store.
    #[error(transparent)]
    Settlement(#[from] SettlementError),
}

impl ArrivalError {
    /// Whether the same word may be taken later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Full | Self::Busy | Self::ChainAway => true,
            Self::NotOurs | Self::NoTransfer | Self::TooLate | Self::ToldBefore | Self::Sold => false,
            // a store that fails may be well again
            Self::Settlement(_) => true,
        }
    }
}

impl Coded for ArrivalError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotOurs => "transfer_not_ours",
            Self::NoTransfer => "transfer_unknown",
            Self::TooLate => "transfer_too_old",
            Self::ToldBefore => "transfer_told_before",
            Self::Sold => "transfer_was_a_sale",
            Self::Full => "transfer_notes_full",
            Self::Busy => "transfer_notes_busy",
            Self::ChainAway => "rpc_down",
            Self::Settlement(error) => error.code(),
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::NotOurs => "tell the agent whose payment address the transfer names",
            Self::NoTransfer => "tell of transfers of this network's token, as the chain shows them",
            Self::TooLate => "tell of a transfer soon after it is made",
            Self::ToldBefore => "the first word about a transfer stands",
            Self::Sold => "what pays for a call is in the seller's ledger already",
            Self::Full | Self::Busy | Self::ChainAway => "tell again later",
            Self::Settlement(error) => error.hint(),
        }
    }
}
