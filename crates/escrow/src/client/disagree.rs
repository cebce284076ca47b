//! How orders go on where buyer and provider do not simply pay or refund, and what is said about paid ones.

use alloy::primitives::aliases::{U40, U96};
use alloy::primitives::{B256, Bytes, U256};
use alloy::sol_types::SolCall as _;
use haggle_base::{EvmSignature, Order, Timestamp};

use super::{EscrowClient, Sent, bytes};
use crate::bindings::Escrow;
use crate::chain::contract_answer;
use crate::error::{EscrowError, FeedbackRefusal, Revert};
use crate::order::to_binding;
use crate::status::Status;

/// What a split or a verdict says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Base units of the order's amount for the provider, before the fee if that comes from it.
    pub pay: U96,
    /// The signatures are good strictly before this, chain time.
    pub valid_until: Timestamp,
}

impl Decision {
    /// The time as the contract takes it; the end of time stands for whatever is later.
    pub(crate) fn valid_until(&self) -> U40 {
        U40::saturating_from(self.valid_until.as_secs())
    }
}

impl EscrowClient {
    /// Divides the deposit, on both parties' signatures over `Split`.
    ///
    /// # Errors
    /// As [`Self::fund`].
    pub async fn split(
        &self,
        order: &Order,
        decision: Decision,
        buyer: &EvmSignature,
        provider: &EvmSignature,
    ) -> Result<Sent, EscrowError> {
        let call = Escrow::splitCall {
            order: to_binding(order),
            pay: decision.pay,
            validUntil: decision.valid_until(),
            buyerSig: bytes(buyer),
            providerSig: bytes(provider),
        };
        self.step(order, call.abi_encode(), |status| status >= Status::Settled).await
    }

    /// Divides the deposit on the validator's signature over `Verdict`: 65 bytes, or whatever a contract that validates
    /// takes for one. Not while the order is disputed.
    ///
    /// # Errors
    /// As [`Self::fund`].
    pub async fn verdict(
        &self,
        order: &Order,
        decision: Decision,
        evidence: B256,
        validator: Bytes,
    ) -> Result<Sent, EscrowError> {
        let call = Escrow::verdictCall {
            order: to_binding(order),
            pay: decision.pay,
            evidence,
            validUntil: decision.valid_until(),
            validatorSig: validator,
        };
        self.step(order, call.abi_encode(), |status| status >= Status::Settled).await
    }

    /// Opens a dispute with the buyer's bond: its signature over a payment of `order.bond` whose nonce is the digest of
    /// `Bond`, or over that digest if the bond is zero.
    ///
    /// # Errors
    /// As [`Self::fund`]; [`Revert::NoArbitrator`], [`Revert::NotConsented`], [`Revert::TooLate`].
    pub async fn dispute(&self, order: &Order, evidence: B256, bond: &EvmSignature) -> Result<Sent, EscrowError> {
        let call = Escrow::disputeCall { order: to_binding(order), evidence, bondAuth: bytes(bond) };
        self.step(order, call.abi_encode(), |status| status >= Status::Disputed).await
    }

    /// Stands against a dispute with the provider's bond, signed as the buyer's.
    ///
    /// # Errors
    /// As [`Self::fund`].
    pub async fn counter(&self, order: &Order, bond: &EvmSignature) -> Result<Sent, EscrowError> {
        let call = Escrow::counterCall { order: to_binding(order), bondAuth: bytes(bond) };
        self.step(order, call.abi_encode(), |status| status >= Status::Arbitrating).await
    }

    /// Rules what the provider gets of a disputed order. Only the arbitrator's own client can.
    ///
    /// # Errors
    /// As [`Self::fund`].
    pub async fn rule(&self, order: &Order, pay: U96) -> Result<Sent, EscrowError> {
        let call = Escrow::ruleCall { order: to_binding(order), pay };
        self.step(order, call.abi_encode(), |status| status >= Status::Settled).await
    }

    /// The evidence of the order's dispute; `None` if there was none.
    ///
    /// # Errors
    /// That nobody answers.
    pub async fn evidence_of(&self, order: &Order) -> Result<Option<B256>, EscrowError> {
        let id = self.order_id(order);
        let evidence = contract_answer(self.escrow().evidenceOf(*id.as_b256()).call().await)?;
        Ok((!evidence.is_zero()).then_some(evidence))
    }

    /// Writes the buyer's feedback on a paid order to the registry, on its signature over `Feedback`.
    ///
    /// # Errors
    /// As [`Self::fund`]; [`Revert::Feedback`].
    pub async fn publish_feedback(
        &self,
        order: &Order,
        agent_id: U256,
        value: i128,
        buyer: &EvmSignature,
    ) -> Result<Sent, EscrowError> {
        let call =
            Escrow::publishFeedbackCall { order: to_binding(order), agentId: agent_id, value, buyerSig: bytes(buyer) };
        match self.sender.send(self.escrow_address(), call).await {
            Ok(tx) => Ok(Sent::Mined(tx)),
            Err(EscrowError::Reverted(Revert::Feedback(FeedbackRefusal::Given))) => {
                Ok(Sent::AlreadyDone(self.status(&self.order_id(order)).await?))
            }
            Err(error) => Err(error),
        }
    }
}
