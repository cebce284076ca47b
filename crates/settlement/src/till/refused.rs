//! Why the till did not take a payment, as the buyer is told.

use std::fmt;

use alloy_primitives::{Address, B256};

use haggle_base::Coded;
use haggle_store::StoreError;
use haggle_x402::{ChainRef, Reason, SettleResponse};

use crate::{
    SettlementError,
    ports::exact::{TransferError, TransferRefusal},
};

/// A payment that is not taken, or not settled. Its code is x402's word for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The class.
    pub reason: Reason,
    /// More, for people.
    pub message: Box<str>,
    /// Who pays, if it was read.
    pub payer: Option<Address>,
    /// What was sent, if anything was: with [`Reason::Pending`], and with [`Reason::Replay`] if this node settled it.
    pub transaction: Option<B256>,
}

impl Refused {
    /// A refusal with a text of its own.
    #[must_use]
    pub fn because(reason: Reason, message: &str) -> Self {
        Self { reason, message: message.into(), payer: None, transaction: None }
    }

    pub(crate) fn by(mut self, payer: Address) -> Self {
        self.payer = Some(payer);
        self
    }

    pub(crate) fn with_tx(mut self, tx: Option<B256>) -> Self {
        self.transaction = tx;
        self
    }

    /// Whether the very same payment can be taken later. Nothing is to be signed again before.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        self.reason.is_retryable()
    }

    /// The refusal as a settlement that did not happen.
    #[must_use]
    pub fn response(&self, network: ChainRef) -> SettleResponse {
        SettleResponse::refused(network, self.reason, &self.message, self.payer, self.transaction)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refused {}

impl Coded for Refused {
    fn code(&self) -> &'static str {
        self.reason.code()
    }

    fn hint(&self) -> &'static str {
        self.reason.hint()
    }
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        Self::because(reason, &reason.to_string())
    }
}

impl From<SettlementError> for Refused {
    fn from(error: SettlementError) -> Self {
        tracing::error!(%error, "the till could not go on: {error}");
        Self::because(Reason::SettleFailed, "the payment could not be stored; nothing was lost")
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        SettlementError::from(error).into()
    }
}

/// The class of what the token says.
pub(crate) fn class_of(refusal: &TransferRefusal) -> Reason {
    match refusal {
        TransferRefusal::Used => Reason::Replay,
        TransferRefusal::Expired => Reason::Expired,
        TransferRefusal::NotYetValid => Reason::NotYetValid,
        TransferRefusal::Funds => Reason::Funds,
        TransferRefusal::Signature => Reason::Signature,
        TransferRefusal::Other(_) => Reason::Simulation,
    }
}

/// What a simulation said, as a refusal.
pub(crate) fn simulated(error: &TransferError) -> Refused {
    match error {
        TransferError::Refused(refusal) => refused_by_token(refusal),
        TransferError::Down | TransferError::NotNow { .. } | TransferError::OutcomeUnknown { .. } => {
            Refused::because(Reason::VerifyFailed, &error.to_string())
        }
    }
}

/// What the token said, as a refusal.
pub(crate) fn refused_by_token(refusal: &TransferRefusal) -> Refused {
    let reason = class_of(refusal);
    match refusal {
        TransferRefusal::Other(said) => Refused::because(reason, &format!("the token refuses the payment: {said}")),
        _ => reason.into(),
    }
}
