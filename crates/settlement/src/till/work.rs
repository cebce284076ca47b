//! The right to work on a payment, and what happens when the work is done or not.

use std::{fmt, sync::Arc};

use alloy_primitives::{Address, B256};
use haggle_base::{Did, Usdc};
use haggle_store::{Batch, MAX_BLOB_BYTES};
use haggle_x402::{Reason, SettleResponse, extensions::offer_receipt};

use super::{
    Inner, Till,
    money::{Before, Unpaid, write},
    record::{IdKey, Money, SpendKey, TillPayment},
    refused::Refused,
    seats::Seat,
};
use crate::SettlementError;

/// Longest answer, in bytes.
pub const MAX_ANSWER: usize = 4 * 1024 * 1024 - 64;
const _: () = assert!(MAX_ANSWER as u64 + 64 == MAX_BLOB_BYTES);

/// The right, and the duty, to do the work for one payment. Nobody else has it while this one lives. Dropping it is giving
/// up: the same payment may be taken again.
pub struct Ticket {
    payment: Box<TillPayment>,
    _seats: (Seat<SpendKey>, Option<Seat<IdKey>>),
    held: Option<Held>,
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("payment", &self.payment).finish_non_exhaustive()
    }
}

impl Ticket {
    pub(super) fn new(payment: TillPayment, seats: (Seat<SpendKey>, Option<Seat<IdKey>>), held: Option<Held>) -> Self {
        Self { payment: Box::new(payment), _seats: seats, held }
    }

    /// Who pays.
    #[must_use]
    pub fn payer(&self) -> Address {
        self.payment.transfer.from
    }

    /// Who is paid.
    #[must_use]
    pub fn seller(&self) -> Option<Did> {
        self.payment.sold.as_ref().map(|sold| sold.seller)
    }

    /// The payment's nonce, its name for the payer: the same payment shown again has the same one.
    #[must_use]
    pub fn nonce(&self) -> B256 {
        self.payment.transfer.nonce
    }

    /// How much.
    #[must_use]
    pub fn amount(&self) -> Usdc {
        self.payment.transfer.value
    }

    /// Whether the money is with the seller already.
    #[must_use]
    pub fn is_paid(&self) -> bool {
        self.payment.mined().is_some()
    }
}

/// Credit that is taken while work goes on. Given back when dropped, unless the work was done.
#[derive(Debug)]
pub(super) struct Held {
    inner: Option<Arc<Inner>>,
    key: SpendKey,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").finish_non_exhaustive()
    }
}

impl Held {
    pub(super) fn new(inner: &Arc<Inner>, key: SpendKey) -> Self {
        Self { inner: Some(Arc::clone(inner)), key }
    }

    /// From now on the debt ends only with its payment, or as a loss.
    fn owe(mut self) {
        self.inner = None;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(inner) = &self.inner {
            inner.credit().release(&self.key);
        }
    }
}

impl Till {
    /// Hands in the answer. It is stored, and in the flow `authorization` the payment is settled after that, before this
    /// returns. The settlement carries the seller's receipt.
    ///
    /// Runs to its end also if the caller goes away.
    ///
    /// # Errors
    /// Why the payment is not settled; then the answer is not to be given away. It stays stored, and the same payment gets
    /// it once it is settled. [`Reason::Payload`] if the answer is longer than [`MAX_ANSWER`].
    pub async fn worked(&self, ticket: Ticket, answer: Vec<u8>) -> Result<SettleResponse, Refused> {
        let (inner, payer) = (Arc::clone(&self.inner), ticket.payer());
        let done = tokio::spawn(async move { inner.worked(ticket, answer).await }).await;
        done.unwrap_or_else(|_| Err(SettlementError::Stopped.into())).map_err(|refused| refused.by(payer))
    }

    /// Gives the work up. What was not settled is let go; what was settled stays paid, and the same payment may be taken
    /// again for the same request. Returns that settlement, without a receipt.
    ///
    /// # Errors
    /// The store failed; the ticket is given up all the same.
    pub async fn failed(&self, ticket: Ticket) -> Result<Option<SettleResponse>, Refused> {
        if ticket.is_paid() {
            return Ok(self.inner.settled(&ticket.payment));
        }
        self.inner.let_go(&ticket.payment).await?;
        Ok(None)
    }
}

impl Inner {
    async fn worked(self: Arc<Self>, mut ticket: Ticket, answer: Vec<u8>) -> Result<SettleResponse, Refused> {
        if answer.len() > MAX_ANSWER {
            return Err(Refused::because(Reason::Payload, "the answer is too long to be kept"));
        }
        let before = (*ticket.payment).clone();
        let mut after = before.clone();
        if let Some(sold) = &mut after.sold {
            sold.answered = true;
        }
        if before.mined().is_none() {
            after.money = Money::Sent { tx: None };
        }
        let mut batch = Batch::new();
        self.keep_answer(&after.key(), &answer, &mut batch).await?;
        write(&mut batch, Some(&before), &after)?;
        self.store().commit(batch).await?;
        if let Some(held) = ticket.held.take() {
            held.owe();
        }
        *ticket.payment = after;
        if ticket.is_paid() {
            return self.receipt(&ticket.payment);
        }
        match self.bring(&ticket.payment, Before::Nothing).await {
            Ok(paid) => self.receipt(&paid),
            Err(unpaid) => Err(self.owed(&ticket.payment, unpaid).await?),
        }
    }

    /// What the buyer is told of work that is done and not paid. What the token refuses is a loss from now on; the answer
    /// waits for the payment all the same, as long as the payment can happen.
    pub(super) async fn owed(&self, payment: &TillPayment, unpaid: Unpaid) -> Result<Refused, Refused> {
        match unpaid {
            Unpaid::Never(reason) => {
                self.forget(payment).await?;
                Ok(reason.into())
            }
            Unpaid::Refused(refused) => {
                let unsent = TillPayment { money: Money::Unsent, ..payment.clone() };
                let mut batch = Batch::new();
                write(&mut batch, Some(payment), &unsent)?;
                self.lose(&unsent, &mut batch)?;
                self.store().commit(batch).await?;
                Ok(refused)
            }
            other => Ok(other.told()),
        }
    }

    /// The settlement of a payment that is on the chain.
    pub(super) fn settled(&self, payment: &TillPayment) -> Option<SettleResponse> {
        let (mined, transfer) = (payment.mined()?, &payment.transfer);
        Some(SettleResponse::paid(self.network(), mined.tx, transfer.from, transfer.value))
    }

    /// The same with the seller's receipt. It is the same to the byte each time.
    pub(super) fn receipt(&self, payment: &TillPayment) -> Result<SettleResponse, Refused> {
        let missing = || Refused::because(Reason::SettleFailed, "the payment is not settled");
        let (Some(mined), Some(sold)) = (payment.mined(), &payment.sold) else { return Err(missing()) };
        let mut answer = self.settled(payment).ok_or_else(missing)?;
        let payer = payment.transfer.from;
        let receipt = offer_receipt::Receipt::new(&self.network(), &sold.resource, payer, mined.time, mined.tx);
        let digest = offer_receipt::Statement::digest(&receipt);
        let signature = self
            .settlement
            .inner
            .wallet
            .sign(&sold.seller, &digest)
            .map_err(|_| Refused::because(Reason::SettleFailed, "the seller's payment key is not in this home"))?;
        offer_receipt::put_receipt(&mut answer, &offer_receipt::Signed::new(receipt, &signature))
            .map_err(|_| missing())?;
        Ok(answer)
    }
}
