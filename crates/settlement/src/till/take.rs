//! Taking a payment: everything is verified and reserved on disk before anybody works.

use std::sync::Arc;

use haggle_base::{Hash, Text};
use haggle_store::{Batch, StoreError};
use haggle_x402::{
    PaymentFlow, PaymentPayload, Reason, SettleResponse,
    exact::Transfer,
    extensions::payment_identifier::{self, PaymentId},
};

use super::{
    Inner, Till,
    credit::Hold,
    debt_of,
    money::{Before, Unpaid, erase, id_key, write},
    record::{Flow, IdKey, Identified, Money, Next, Sold, SpendKey, TillIds, TillPayment, TillPayments, TillProven},
    refused::{Refused, simulated},
    sale::Sale,
    seats::{Seat, Sit, Waiting},
    work::{Held, Ticket},
};
use crate::SettlementError;

/// What came of taking a payment.
#[derive(Debug)]
#[must_use]
pub enum Taken {
    /// It is good, and this caller alone does the work.
    Work(Ticket),
    /// It was worked for before: the stored answer, and its settlement with the receipt.
    Answered {
        /// The bytes handed in with the work.
        answer: Vec<u8>,
        /// What the buyer is told about its payment.
        settlement: SettleResponse,
    },
    /// Somebody is at work on it. Wait, then take it again.
    Busy(Waiting),
}

/// A payment as it came, read and checked as far as that goes without a clock and a chain.
#[derive(Debug)]
pub(super) struct Presented {
    pub(super) payment: TillPayment,
    pub(super) fingerprint: Hash,
    id: Option<PaymentId>,
}

/// The right to decide about a payment, and about the buyer's identifier.
pub(super) type Seated = (Seat<SpendKey>, Option<Seat<IdKey>>);

/// A payment that was gone on with.
pub(super) enum Went {
    To(Box<Taken>),
    /// The stored payment can never happen and is forgotten. The seats come back.
    Nowhere(Refused, Box<Seated>),
}

impl Till {
    /// Takes a payment for a sale.
    ///
    /// Runs to its end also if the caller goes away: a ticket that nobody takes is free again, and what was paid stays
    /// paid for the next try with the same payment.
    ///
    /// # Errors
    /// Why it is not taken. After [`Reason::Pending`], and whatever else [`Refused::is_retryable`] says, the same payment
    /// is to be sent again; nothing is to be signed anew.
    pub async fn take(&self, sale: &Sale, payload: &PaymentPayload) -> Result<Taken, Refused> {
        let presented = self.inner.read(sale, payload)?;
        let payer = presented.payment.transfer.from;
        let inner = Arc::clone(&self.inner);
        let taken = tokio::spawn(async move { inner.take(presented).await }).await;
        taken.unwrap_or_else(|_| Err(SettlementError::Stopped.into())).map_err(|refused| refused.by(payer))
    }
}

impl Inner {
    /// Everything that shows without a clock and a chain.
    pub(super) fn read(&self, sale: &Sale, payload: &PaymentPayload) -> Result<Presented, Refused> {
        let flow = match payload.accepted.flow() {
            PaymentFlow::Upfront => Flow::Upfront,
            PaymentFlow::Authorization => Flow::Authorization,
            _ => return Err(Reason::Flow.into()),
        };
        let asked = self.requirement(sale, flow)?;
        if payload.resource_url().is_some_and(|url| url != sale.resource.as_str()) {
            return Err(Reason::Resource.into());
        }
        let transfer = Transfer::of(payload, &asked, &self.config.facts)?;
        let id = payment_identifier::of(payload)?;
        let fingerprint = payment_identifier::fingerprint(&asked, &sale.request);
        let text = id.as_ref().map(|id| Text::try_from(id.as_str())).transpose();
        let sold = Sold {
            seller: sale.seller,
            listing: sale.listing.clone(),
            resource: sale.resource.clone(),
            request: sale.request,
            caller: sale.caller.clone(),
            flow,
            id: text.map_err(|_| Reason::Payload)?,
            answered: false,
        };
        let money = match flow {
            Flow::Upfront => Money::Sent { tx: None },
            Flow::Authorization => Money::Unsent,
        };
        let (chain, taken_at) = (self.config.facts.chain_id(), self.now());
        let payment = TillPayment { chain, transfer, sold: Some(sold), taken_at, money, told: false };
        Ok(Presented { payment, fingerprint, id })
    }

    async fn take(self: Arc<Self>, presented: Presented) -> Result<Taken, Refused> {
        let most = self.config.most_at_once;
        let mut id_seat = None;
        if let Some(id) = id_key(&presented.payment) {
            match self.ids.sit(id.clone(), most) {
                Sit::Seated(seat) => id_seat = Some(seat),
                Sit::Taken(waiting) => return Ok(Taken::Busy(waiting)),
                Sit::Full => return Err(full()),
            }
            let known = self.store().get::<TillIds>(&id)?;
            if known.as_ref().is_some_and(|known| known.fingerprint != presented.fingerprint) {
                return Err(Reason::IdentifierConflict.into());
            }
            // The same purchase with another nonce: what was signed first is what counts, and is never paid twice.
            if let Some(known) = known.filter(|known| known.nonce != presented.payment.transfer.nonce) {
                let mut key = presented.payment.key();
                key.3 = known.nonce.0;
                let seat = match self.sit(key, most)? {
                    Ok(seat) => seat,
                    Err(waiting) => return Ok(Taken::Busy(waiting)),
                };
                if let Some(stored) = self.payment(&key)? {
                    match self.go_on(stored, (seat, id_seat.take())).await? {
                        Went::To(taken) => return Ok(*taken),
                        Went::Nowhere(_, seats) => id_seat = seats.1,
                    }
                }
            }
        }
        let key = presented.payment.key();
        let seat = match self.sit(key, most)? {
            Ok(seat) => seat,
            Err(waiting) => return Ok(Taken::Busy(waiting)),
        };
        match self.payment(&key)? {
            Some(stored) if is_same_purchase(&stored, &presented) => match self.go_on(stored, (seat, id_seat)).await? {
                Went::To(taken) => Ok(*taken),
                Went::Nowhere(refused, _) => Err(refused),
            },
            Some(stored) => Err(Refused::from(Reason::Replay).with_tx(stored.tx())),
            None => self.admit(presented, (seat, id_seat)).await,
        }
    }

    pub(super) fn sit(&self, key: SpendKey, most: usize) -> Result<Result<Seat<SpendKey>, Waiting>, Refused> {
        match self.seats.sit(key, most) {
            Sit::Seated(seat) => Ok(Ok(seat)),
            Sit::Taken(waiting) => Ok(Err(waiting)),
            Sit::Full => Err(full()),
        }
    }

    /// A payment that was never seen: verified, reserved, and in the flow `upfront` settled.
    async fn admit(self: Arc<Self>, presented: Presented, seated: Seated) -> Result<Taken, Refused> {
        let Presented { payment, fingerprint, id } = presented;
        if id.is_none() && self.config.require_id {
            return Err(Reason::IdentifierMissing.into());
        }
        let held = self.verify(&payment).await?;
        let mut batch = Batch::new();
        batch.require_absent::<TillPayments>(&payment.key());
        write(&mut batch, None, &payment)?;
        if let Some(id) = id_key(&payment) {
            batch.put::<TillIds>(&id, &Identified { fingerprint, nonce: payment.transfer.nonce })?;
        }
        self.store().commit(batch).await?;
        if payment.next() == Next::Work {
            return Ok(Taken::Work(Ticket::new(payment, seated, held)));
        }
        match self.bring(&payment, Before::Nothing).await {
            Ok(paid) => Ok(Taken::Work(Ticket::new(paid, seated, held))),
            Err(unpaid) => {
                if unpaid.nothing_was_sent() {
                    self.let_go(&payment).await?;
                }
                Err(unpaid.told())
            }
        }
    }

    /// Time, credit and chain: what can change between two tries with the same payment.
    async fn verify(self: &Arc<Self>, payment: &TillPayment) -> Result<Option<Held>, Refused> {
        payment.transfer.check_time(self.now(), self.config.margin)?;
        let proven = self.store().contains::<TillProven>(&payment.transfer.from.into_array())?;
        let held = match debt_of(payment, proven) {
            None => None,
            Some(debt) => {
                let (limits, now) = (&self.config.credit, self.now());
                match self.credit().hold(limits, payment.key(), debt, now) {
                    Hold::Held => Some(Held::new(self, payment.key())),
                    Hold::Full => return Err(Reason::Flow.into()),
                }
            }
        };
        self.chain.simulate(&payment.transfer).await.map_err(|error| simulated(&error))?;
        Ok(held)
    }

    /// Goes on with a payment that is stored, from where it stands.
    pub(super) async fn go_on(self: &Arc<Self>, stored: TillPayment, seated: Seated) -> Result<Went, Refused> {
        let mut payment = stored;
        if payment.next() == Next::Settle {
            payment = match self.bring(&payment, Before::Perhaps).await {
                Ok(paid) => paid,
                Err(Unpaid::Never(reason)) => {
                    self.forget(&payment).await?;
                    return Ok(Went::Nowhere(reason.into(), Box::new(seated)));
                }
                // Something may have been sent: the row stays until the chain has decided.
                Err(unpaid) => return Err(unpaid.told()),
            };
        }
        let taken = match payment.next() {
            Next::Answer => {
                let answer = self.answer(&payment.key()).await?;
                Taken::Answered { answer, settlement: self.receipt(&payment)? }
            }
            Next::Work | Next::Settle => {
                let held = if payment.mined().is_some() { None } else { self.verify(&payment).await? };
                Taken::Work(Ticket::new(payment, seated, held))
            }
        };
        Ok(Went::To(Box::new(taken)))
    }

    /// Deletes a payment that nothing was sent or worked for.
    pub(super) async fn let_go(&self, payment: &TillPayment) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        erase(&mut batch, payment);
        self.store().commit(batch).await?;
        self.credit().release(&payment.key());
        Ok(())
    }
}

/// Whether a payment is presented for what it was presented for before, by whom it may be.
///
/// Once it is settled, everything in a payment can be read on the chain, so it alone does not open the stored answer: it
/// takes the buyer's identifier, which is not on the chain, or the same caller.
pub(super) fn is_same_purchase(stored: &TillPayment, presented: &Presented) -> bool {
    let (Some(was), Some(is)) = (&stored.sold, &presented.payment.sold) else { return false };
    let known = was.id == is.id && (is.id.is_some() || was.caller == is.caller);
    let same = (&was.seller, &was.resource, &was.request, was.flow) == (&is.seller, &is.resource, &is.request, is.flow);
    same && known && stored.transfer == presented.payment.transfer
}

pub(super) fn full() -> Refused {
    Refused::because(Reason::VerifyFailed, "too many payments are worked on at this moment")
}
