//! Sending transactions so that sending again is safe: the chain is read first, and again when the outcome is unclear.

use alloy_primitives::B256;

use haggle_base::{
    EvmSignature, Order, Timestamp,
    eip712::{Refund, Release, digest},
};

use crate::{
    SettlementError,
    handle::Settlement,
    ports::{ChainError, OnChain, TxRef},
};

/// What came of a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Submission {
    /// It was sent now, and mined.
    Sent(TxRef),
    /// The order was there already, by whomever.
    Already {
        /// Where the order stands.
        status: OnChain,
        /// The transaction that did it, if its event was read.
        tx: Option<TxRef>,
    },
}

impl Submission {
    /// The transaction, if it is known.
    #[must_use]
    pub fn tx(&self) -> Option<TxRef> {
        match self {
            Self::Sent(tx) => Some(*tx),
            Self::Already { tx, .. } => *tx,
        }
    }
}

/// Which step is submitted.
#[derive(Debug, Clone, Copy)]
enum Step {
    Fund,
    Deliver,
    Dispute,
    Counter,
    Settle,
}

impl Step {
    /// Whether an order that stands here is past the step.
    fn is_done_at(self, status: &OnChain) -> bool {
        match (self, status) {
            (_, OnChain::None) => false,
            (Self::Deliver | Self::Dispute | Self::Counter | Self::Settle, OnChain::Funded) => false,
            (Self::Dispute | Self::Counter | Self::Settle, OnChain::Delivered { .. }) => false,
            (Self::Counter, OnChain::Disputed { is_countered: false, .. }) => false,
            (Self::Settle, OnChain::Disputed { .. }) => false,
            (Self::Fund | Self::Deliver | Self::Dispute | Self::Counter | Self::Settle, _) => true,
        }
    }
}

impl Settlement {
    /// Funds the order with both signatures, unless it is funded.
    ///
    /// # Errors
    /// `payment_signature_invalid`, `order_past_step` if it can no longer be funded, `chain_refused`, `rpc_down`,
    /// `chain_outcome_unknown`.
    pub async fn submit_fund(
        &self,
        order: &Order,
        buyer: &EvmSignature,
        provider: &EvmSignature,
    ) -> Result<Submission, SettlementError> {
        let deposit = self.escrow().deposit_digest(order).map_err(|_| SettlementError::OrderAmountInvalid)?;
        signed(buyer, &deposit, order.buyer, "buyer")?;
        signed(provider, self.escrow().order_id(order).as_b256(), order.provider, "provider")?;
        if let Some(done) = self.done(order, Step::Fund).await? {
            return Ok(done);
        }
        if self.chain_now().await? >= Timestamp::from_u40(order.fundBy) {
            return Err(SettlementError::TooLate);
        }
        let sent = self.inner.chain.fund(order, buyer, provider).await;
        self.outcome(order, Step::Fund, sent).await
    }

    /// Releases the money to the provider on the buyer's signature, unless the order is over.
    ///
    /// # Errors
    /// `order_not_funded`, `payment_signature_invalid`, `chain_refused`, `rpc_down`, `chain_outcome_unknown`.
    pub async fn submit_release(&self, order: &Order, buyer: &EvmSignature) -> Result<Submission, SettlementError> {
        let release = Release { orderId: *self.escrow().order_id(order).as_b256() };
        signed(buyer, &digest(&release, self.escrow().escrow_domain()), order.buyer, "buyer")?;
        if let Some(done) = self.done(order, Step::Settle).await? {
            return Ok(done);
        }
        let sent = self.inner.chain.release(order, buyer).await;
        self.outcome(order, Step::Settle, sent).await
    }

    /// Returns the money to the buyer on the provider's signature, unless the order is over.
    ///
    /// # Errors
    /// `order_not_funded`, `payment_signature_invalid`, `chain_refused`, `rpc_down`, `chain_outcome_unknown`.
    pub async fn submit_refund(&self, order: &Order, provider: &EvmSignature) -> Result<Submission, SettlementError> {
        let refund = Refund { orderId: *self.escrow().order_id(order).as_b256() };
        signed(provider, &digest(&refund, self.escrow().escrow_domain()), order.provider, "provider")?;
        if let Some(done) = self.done(order, Step::Settle).await? {
            return Ok(done);
        }
        let sent = self.inner.chain.refund(order, provider).await;
        self.outcome(order, Step::Settle, sent).await
    }

    /// Posts a delivery as the provider, unless one is posted.
    ///
    /// # Errors
    /// `wallet_missing` if the provider's key is not here, `order_not_funded`, `chain_refused`, `rpc_down`,
    /// `chain_outcome_unknown`.
    pub async fn submit_deliver(&self, order: &Order, deliverable: B256) -> Result<Submission, SettlementError> {
        if self.inner.wallet.agent_at(&order.provider).is_none() {
            return Err(SettlementError::WalletMissing);
        }
        if let Some(done) = self.done(order, Step::Deliver).await? {
            return Ok(done);
        }
        let sent = self.inner.chain.deliver(order, deliverable).await;
        self.outcome(order, Step::Deliver, sent).await
    }

    /// Opens the dispute of an order with the buyer's bond, unless it is open.
    ///
    /// # Errors
    /// `order_not_funded`, `chain_refused` (also if nothing was delivered, or the bond is not there), `rpc_down`,
    /// `chain_outcome_unknown`.
    pub async fn submit_dispute(
        &self,
        order: &Order,
        evidence: B256,
        bond: &EvmSignature,
    ) -> Result<Submission, SettlementError> {
        if let Some(done) = self.done(order, Step::Dispute).await? {
            return Ok(done);
        }
        let sent = self.inner.chain.dispute(order, evidence, bond).await;
        self.outcome(order, Step::Dispute, sent).await
    }

    /// Stands against the dispute of an order with the provider's bond, unless that is done.
    ///
    /// # Errors
    /// As [`Self::submit_dispute`].
    pub async fn submit_counter(&self, order: &Order, bond: &EvmSignature) -> Result<Submission, SettlementError> {
        if let Some(done) = self.done(order, Step::Counter).await? {
            return Ok(done);
        }
        let sent = self.inner.chain.counter(order, bond).await;
        self.outcome(order, Step::Counter, sent).await
    }

    /// Settles an order whose time is up, unless it is over.
    ///
    /// # Errors
    /// `order_not_funded`, `chain_refused` (also while its time is not up), `rpc_down`, `chain_outcome_unknown`.
    pub async fn submit_finalize(&self, order: &Order) -> Result<Submission, SettlementError> {
        if let Some(done) = self.done(order, Step::Settle).await? {
            return Ok(done);
        }
        let sent = self.inner.chain.finalize(order).await;
        self.outcome(order, Step::Settle, sent).await
    }

    /// The submission that is not needed any more, if so.
    async fn done(&self, order: &Order, step: Step) -> Result<Option<Submission>, SettlementError> {
        let status = self.inner.chain.status(order).await?;
        if step.is_done_at(&status) {
            let facts = self.facts_of(&self.escrow().order_id(order))?;
            let place = match step {
                Step::Fund => facts.funded.map(|fact| fact.place),
                Step::Deliver => facts.delivered.map(|fact| fact.place),
                Step::Dispute | Step::Counter => None,
                Step::Settle => facts.settled.map(|fact| fact.place),
            };
            let tx = place.map(|place| TxRef { hash: place.tx, block: place.block });
            return Ok(Some(Submission::Already { status, tx }));
        }
        match (step, status) {
            (Step::Deliver | Step::Dispute | Step::Counter | Step::Settle, OnChain::None) => {
                Err(SettlementError::NotFunded)
            }
            _ => Ok(None),
        }
    }

    /// Turns what sending said into what is true: a refusal or a lost answer may mean that somebody was faster.
    async fn outcome(
        &self,
        order: &Order,
        step: Step,
        sent: Result<TxRef, ChainError>,
    ) -> Result<Submission, SettlementError> {
        let error = match sent {
            Ok(tx) => return Ok(Submission::Sent(tx)),
            Err(error) => error,
        };
        if error != ChainError::Down
            && let Ok(Some(done)) = self.done(order, step).await
        {
            return Ok(done);
        }
        tracing::warn!(order.id = %self.escrow().order_id(order), ?step, %error, "submitting {step:?} failed: {error}");
        Err(error.into())
    }
}

fn signed(
    signature: &EvmSignature,
    digest: &B256,
    signer: alloy_primitives::Address,
    by: &'static str,
) -> Result<(), SettlementError> {
    signature.verify(digest, signer).map_err(|_| SettlementError::BadSignature { by })
}

#[cfg(test)]
mod tests;
