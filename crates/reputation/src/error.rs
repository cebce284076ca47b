//! What can go wrong with remembering.

use haggle_base::Coded;
use haggle_store::StoreError;

/// Why reputation did not do something.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ReputationError {
    /// The order's end is not on the chain, as far as it was read: there is nothing to attest yet. Retry.
    #[error("the order's end is not on the chain yet")]
    Unbacked,
    /// What is to be attested is not what the chain says.
    #[error("the chain says something else about this order")]
    NotAsSettled,
    /// A rating is a whole number from 1 to 5.
    #[error("a rating is a whole number from 1 to 5")]
    RatingOutOfRange,
    /// The payment key of the side is not here.
    #[error("the payment key of this agent is not in this home")]
    KeyMissing,
    /// The parties cannot be written.
    #[error("the parties of the order cannot be encoded")]
    PartiesInvalid,
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopped,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ReputationError {
    /// Whether the same call can succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unbacked => true,
            Self::NotAsSettled
            | Self::RatingOutOfRange
            | Self::KeyMissing
            | Self::PartiesInvalid
            | Self::Stopped
            | Self::Store(_) => false,
        }
    }
}

impl Coded for ReputationError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unbacked => "attestation_unbacked",
            Self::NotAsSettled => "attestation_mismatch",
            Self::RatingOutOfRange => "rating_out_of_range",
            Self::KeyMissing => "wallet_missing",
            Self::PartiesInvalid => "parties_invalid",
            Self::Stopped => "node_stopping",
            Self::Store(error) => error.code(),
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Unbacked => "try again when the settlement was read from the chain",
            Self::NotAsSettled => "attest what the escrow settled",
            Self::RatingOutOfRange => "rate with 1, 2, 3, 4 or 5",
            Self::KeyMissing => "attest with an agent of this home",
            Self::PartiesInvalid => "use the parties of the signed terms",
            Self::Stopped => "start the node again; what was stored stands",
            Self::Store(error) => error.hint(),
        }
    }
}
