//! The till as a facilitator: payments to anybody, verified and settled for servers that do not do it themselves.
//!
//! Who may ask is decided before: settling spends this node's gas.

use std::sync::Arc;

use alloy_primitives::Address;
use haggle_store::Batch;
use haggle_x402::{
    FacilitatorRequest, Reason, Scheme, SettleResponse, SupportedKind, SupportedResponse, VerifyResponse,
    exact::Transfer,
    extensions::{bazaar, offer_receipt, payment_identifier},
};

use super::{
    Inner, Till,
    money::{Before, Unpaid, write},
    record::{Money, TillPayment, TillPayments},
    refused::{Refused, simulated},
    seats::Sit,
};
use crate::SettlementError;

impl Till {
    /// Whether the payment would be settled as things stand. Nothing moves and nothing is reserved: two that ask at the
    /// same time are both told yes, and one of them will not settle.
    pub async fn verify(&self, request: &FacilitatorRequest) -> VerifyResponse {
        let transfer = match self.inner.transfer_of(request) {
            Ok(transfer) => transfer,
            Err(refused) => return VerifyResponse::invalid(refused.reason, &refused.message, None),
        };
        let payer = transfer.from.to_string();
        match self.inner.verify_for_other(&transfer).await {
            Ok(()) => VerifyResponse::valid(&payer),
            Err(refused) => VerifyResponse::invalid(refused.reason, &refused.message, Some(&payer)),
        }
    }

    /// Settles the payment. A payment is told to be settled once: asked again, this answers
    /// `invalid_exact_evm_nonce_already_used` with the transaction, since a server that works for what is settled would
    /// work twice. After `settlement_pending` the same request is to be sent again.
    ///
    /// Runs to its end also if the caller goes away.
    pub async fn settle(&self, request: &FacilitatorRequest) -> SettleResponse {
        let network = self.inner.network();
        let transfer = match self.inner.transfer_of(request) {
            Ok(transfer) => transfer,
            Err(refused) => return refused.response(network),
        };
        let (inner, payer) = (Arc::clone(&self.inner), transfer.from);
        let settled = tokio::spawn(async move { inner.settle_for_other(transfer).await }).await;
        settled
            .unwrap_or_else(|_| Err(SettlementError::Stopped.into()))
            .unwrap_or_else(|refused| refused.by(payer).response(network))
    }

    /// What is settled here. `others` are the kinds of rails beside this one.
    #[must_use]
    pub fn supported(&self, others: Vec<SupportedKind>) -> SupportedResponse {
        let mut kinds = vec![SupportedKind::new(Scheme::Exact, self.inner.network())];
        kinds.extend(others);
        let senders = self.inner.chain.senders().iter().map(|sender: &Address| sender.to_string().into()).collect();
        SupportedResponse {
            kinds,
            extensions: [bazaar::KEY, offer_receipt::KEY, payment_identifier::KEY].map(Box::from).to_vec(),
            signers: [("eip155:*".into(), senders)].into(),
            ..SupportedResponse::default()
        }
    }
}

impl Inner {
    fn transfer_of(&self, request: &FacilitatorRequest) -> Result<Transfer, Refused> {
        let asked = &request.payment_requirements;
        Ok(Transfer::of(&request.payment_payload, asked, &self.config.facts)?)
    }

    fn for_other(&self, transfer: Transfer) -> TillPayment {
        let (chain, money) = (self.config.facts.chain_id(), Money::Sent { tx: None });
        TillPayment { chain, transfer, sold: None, taken_at: self.now(), money, told: false }
    }

    /// Everything that can be known of a payment that is not stored here.
    async fn verify_for_other(&self, transfer: &Transfer) -> Result<(), Refused> {
        let key = super::record::spend_key(self.config.facts.chain_id(), transfer);
        if let Some(stored) = self.payment(&key)? {
            return Err(Refused::from(Reason::Replay).with_tx(stored.tx()));
        }
        transfer.check_time(self.now(), self.config.margin)?;
        self.chain.simulate(transfer).await.map_err(|error| simulated(&error))
    }

    async fn settle_for_other(self: Arc<Self>, transfer: Transfer) -> Result<SettleResponse, Refused> {
        let payment = self.for_other(transfer);
        let key = payment.key();
        let busy = || Refused::because(Reason::Pending, "the payment is being settled");
        let _seat = match self.seats.sit(key, self.config.most_at_once) {
            Sit::Seated(seat) => seat,
            Sit::Taken(_) => return Err(busy()),
            Sit::Full => return Err(Refused::because(Reason::SettleFailed, "too many payments at this moment")),
        };
        let (payment, before) = match self.payment(&key)? {
            // Ours to settle, and not told yet: it was pending.
            Some(stored) if stored.sold.is_none() && !stored.told && stored.transfer == payment.transfer => {
                (stored, Before::Perhaps)
            }
            Some(stored) => return Err(Refused::from(Reason::Replay).with_tx(stored.tx())),
            None => {
                self.verify_for_other(&payment.transfer).await?;
                let mut batch = Batch::new();
                batch.require_absent::<TillPayments>(&key);
                write(&mut batch, None, &payment)?;
                self.store().commit(batch).await?;
                (payment, Before::Nothing)
            }
        };
        let paid = match payment.mined() {
            Some(_) => Ok(payment.clone()),
            None => self.bring(&payment, before).await,
        };
        match paid {
            Ok(paid) => {
                let told = TillPayment { told: true, ..paid.clone() };
                self.write(Some(&paid), &told).await?;
                self.settled(&told).ok_or_else(busy)
            }
            Err(unpaid) if before == Before::Nothing && unpaid.nothing_was_sent() => {
                self.let_go(&payment).await?;
                Err(unpaid.told())
            }
            Err(Unpaid::Never(reason)) => {
                self.forget(&payment).await?;
                Err(reason.into())
            }
            Err(unpaid) => Err(unpaid.told()),
        }
    }
}
