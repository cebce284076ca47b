//! A payment that comes again when what it paid for may not be sold any more: what was kept for it is given, and nothing
//! that was not taken before is taken.

use std::sync::Arc;

use serde::Deserialize;

use haggle_base::{Hash, Text};
use haggle_x402::{PaymentPayload, Reason, exact::ExactPayload};

use super::{
    Inner, Sale, Taken, Till,
    money::{Unpaid, id_key},
    record::{Next, TillIds, TillPayment},
    refused::Refused,
    sale::{Caller, MAX_RESOURCE},
    seats::{Seat, Sit},
    take::{Presented, Seated, Went, full, is_same_purchase},
};
use crate::SettlementError;

/// What was asked for with a payment, whoever sold it at whatever price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// As in [`Sale::resource`].
    pub resource: Text<MAX_RESOURCE>,
    /// As in [`Sale::request`].
    pub request: Hash,
    /// Who calls.
    pub caller: Caller,
}

/// Where a payment was found.
enum Found {
    Nowhere,
    Busy(Taken),
    Here(Box<TillPayment>, Seated),
}

impl Till {
    /// What is kept for a payment that was taken before: its answer, or the work that it paid for and that was not done.
    /// Nothing is kept for a payment that moved no money and that nobody worked for: it may be taken with [`Till::take`],
    /// if it still buys something.
    ///
    /// Only what was worked for is brought to the chain. Runs to its end also if the caller goes away.
    ///
    /// # Errors
    /// Where its settlement stands: [`Reason::Pending`] if it may have been sent, before any work, and the chain does not
    /// show it.
    pub async fn again(&self, asked: &Asked, payload: &PaymentPayload) -> Result<Option<Taken>, Refused> {
        let presented = self.inner.sale_of(asked, payload).and_then(|sale| self.inner.read(&sale, payload).ok());
        let Some(presented) = presented else { return Ok(None) };
        let payer = presented.payment.transfer.from;
        let inner = Arc::clone(&self.inner);
        let again = tokio::spawn(async move { inner.again(presented).await }).await;
        again.unwrap_or_else(|_| Err(SettlementError::Stopped.into())).map_err(|refused| refused.by(payer))
    }
}

impl Inner {
    /// The sale that a payment would be for: by the agent of this home that it pays, at the price that it pays.
    fn sale_of(&self, asked: &Asked, payload: &PaymentPayload) -> Option<Sale> {
        let paid = ExactPayload::deserialize(&payload.payload).ok()?.authorization;
        let Asked { resource, request, caller } = asked.clone();
        let seller = self.settlement.inner.wallet.agent_at(&paid.to)?;
        Some(Sale { seller, listing: Text::default(), resource, amount: paid.value.to_usdc()?, request, caller })
    }

    async fn again(self: Arc<Self>, presented: Presented) -> Result<Option<Taken>, Refused> {
        let (stored, seated) = match self.find(&presented)? {
            Found::Nowhere => return Ok(None),
            Found::Busy(taken) => return Ok(Some(taken)),
            Found::Here(stored, seated) => (stored, seated),
        };
        let is_answered = stored.sold.as_ref().is_some_and(|sold| sold.answered);
        let stored = match stored.next() {
            Next::Work if stored.mined().is_none() => return Ok(None),
            Next::Settle if !is_answered => match self.look(&stored).await {
                Ok(Some(mined)) => self.book(&stored, mined).await?,
                Ok(None) => return Err(Refused::from(Reason::Pending).with_tx(stored.tx())),
                Err(Unpaid::Never(_)) => {
                    self.forget(&stored).await?;
                    return Ok(None);
                }
                Err(unpaid) => return Err(unpaid.told()),
            },
            Next::Work | Next::Settle | Next::Answer => *stored,
        };
        match self.go_on(stored, seated).await? {
            Went::To(taken) => Ok(Some(*taken)),
            Went::Nowhere(refused, _) => Err(refused),
        }
    }

    /// The row of a payment, or of the one that was signed first under the same identifier, and the right to decide about
    /// it.
    fn find(&self, presented: &Presented) -> Result<Found, Refused> {
        let most = self.config.most_at_once;
        let (mut key, mut id_seat) = (presented.payment.key(), None);
        let mut is_known = false;
        if let Some(id) = id_key(&presented.payment) {
            match self.ids.sit(id.clone(), most) {
                Sit::Seated(seat) => id_seat = Some(seat),
                Sit::Taken(waiting) => return Ok(Found::Busy(Taken::Busy(waiting))),
                Sit::Full => return Err(full()),
            }
            let known = self.store().get::<TillIds>(&id)?;
            if let Some(known) = known.filter(|known| known.fingerprint == presented.fingerprint) {
                is_known = known.nonce != presented.payment.transfer.nonce;
                key.3 = known.nonce.0;
            }
        }
        let seat: Seat<_> = match self.sit(key, most)? {
            Ok(seat) => seat,
            Err(waiting) => return Ok(Found::Busy(Taken::Busy(waiting))),
        };
        let stored = self.payment(&key)?.filter(|stored| is_known || is_same_purchase(stored, presented));
        Ok(stored.map_or(Found::Nowhere, |stored| Found::Here(Box::new(stored), (seat, id_seat))))
    }
}
