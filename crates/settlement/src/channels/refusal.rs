//! Why a payment on a channel was not taken, in the standard's words, with what a payer needs to correct itself.

use serde_json::Value;

use haggle_base::Usdc;
use haggle_x402::{
    Atomic, BatchExtra, ChannelState, PaymentRequirements, SettleResponse, VoucherState, X402Error, batch::code,
};

use crate::{SettlementError, ports::ChainError};

/// A payment that was not taken. Nothing was charged for it.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The standard's word: the `error` of the 402 that answers.
    pub code: &'static str,
    /// Whether the very same payment may be taken later.
    pub later: bool,
    /// Where the channel stands, if that helps the payer to correct itself.
    pub state: Option<Box<(ChannelState, Option<VoucherState>)>>,
    /// What went wrong on our side, if something did.
    pub cause: Option<SettlementError>,
}

impl Refusal {
    /// Refused for good.
    pub(crate) const fn of(code: &'static str) -> Self {
        Self { code, later: false, state: None, cause: None }
    }

    /// Refused for now.
    pub(crate) const fn later(code: &'static str) -> Self {
        Self { code, later: true, state: None, cause: None }
    }

    pub(crate) fn with(code: &'static str, state: (ChannelState, Option<VoucherState>)) -> Self {
        Self { code, later: false, state: Some(Box::new(state)), cause: None }
    }

    /// The requirement of the 402 that answers: with the channel's state in its extra if that helps.
    ///
    /// # Errors
    /// `payment_malformed` if the requirement is not of this scheme.
    pub fn correct(&self, mut requirement: PaymentRequirements) -> Result<PaymentRequirements, X402Error> {
        let Some(state) = &self.state else { return Ok(requirement) };
        let mut extra = BatchExtra::of(&requirement)?;
        extra.channel_state = Some(state.0.clone());
        extra.voucher_state.clone_from(&state.1);
        requirement.rest.insert("extra".to_owned(), serde_json::to_value(extra)?);
        Ok(requirement)
    }

    /// The settlement that tells of it, where one is asked for.
    #[must_use]
    pub fn settlement(&self, requirement: &PaymentRequirements) -> SettleResponse {
        let mut rest = serde_json::Map::new();
        rest.insert("errorReason".to_owned(), Value::String(self.code.to_owned()));
        SettleResponse { success: false, transaction: "".into(), network: requirement.network.clone(), rest }
    }
}

impl From<SettlementError> for Refusal {
    fn from(cause: SettlementError) -> Self {
        Self { code: code::STATE_UNAVAILABLE, later: cause.is_retryable(), state: None, cause: Some(cause) }
    }
}

impl From<ChainError> for Refusal {
    fn from(error: ChainError) -> Self {
        SettlementError::from(error).into()
    }
}

impl From<X402Error> for Refusal {
    fn from(error: X402Error) -> Self {
        Self::of(match error {
            X402Error::BadSignature { field: "deposit.signature", .. } => code::DEPOSIT_SIGNATURE,
            X402Error::BadSignature { .. } => code::VOUCHER_SIGNATURE,
            X402Error::Mismatch { field: "assetTransferMethod" } => code::DEPOSIT_METHOD,
            _ => code::PAYLOAD_TYPE,
        })
    }
}

pub(crate) fn atomic(amount: Usdc) -> Atomic {
    Atomic::from(amount)
}
