//! Bringing a payment to the chain, and booking what came of it.

use std::sync::Arc;

use alloy_primitives::B256;

use haggle_store::{Batch, StoreError};
use haggle_x402::Reason;

use super::{
    Inner,
    record::{
        Money, TillAges, TillAnswers, TillIds, TillLosses, TillOpen, TillPayment, TillPayments, TillProven,
        TillUnconfirmed,
    },
    refused::{Refused, refused_by_token},
};
use crate::{
    SettlementError, arrivals,
    books::Direct,
    events::PaymentEvent,
    ledger::{Account, EntryKind, Side},
    ports::exact::{Mined, Standing, TransferError},
};

/// Why a payment is not on the chain.
#[derive(Debug)]
pub(super) enum Unpaid {
    /// It was sent; what became of it shows later.
    Pending(Option<B256>),
    /// This side could not send it now. It may be tried again.
    NotNow(String),
    /// The token refuses it as things stand.
    Refused(Refused),
    /// It can never happen: its nonce is gone, or its time is over.
    Never(Reason),
    /// Storing what happened failed; it is looked up again.
    Failed(SettlementError),
}

impl From<SettlementError> for Unpaid {
    fn from(error: SettlementError) -> Self {
        Self::Failed(error)
    }
}

impl From<StoreError> for Unpaid {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl Unpaid {
    /// Of a payment that was tried for the first time: whether nothing was sent, so that it may be let go. The buyer can
    /// come again with it, or go elsewhere.
    pub(super) const fn nothing_was_sent(&self) -> bool {
        match self {
            Self::NotNow(_) | Self::Refused(_) | Self::Never(_) => true,
            Self::Pending(_) | Self::Failed(_) => false,
        }
    }

    /// As the buyer is told.
    pub(super) fn told(self) -> Refused {
        match self {
            Self::Pending(tx) => Refused::from(Reason::Pending).with_tx(tx),
            Self::NotNow(why) => Refused::because(Reason::SettleFailed, &why),
            Self::Refused(refused) => refused,
            Self::Never(reason) => reason.into(),
            Self::Failed(error) => error.into(),
        }
    }
}

/// Whether anything can have been sent for a payment before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Before {
    /// Its row was written just now.
    Nothing,
    /// Perhaps: the chain is looked at first.
    Perhaps,
}

impl Inner {
    /// Brings a payment to the chain unless it is there, and books it. The caller sits on it.
    pub(super) async fn bring(self: &Arc<Self>, payment: &TillPayment, before: Before) -> Result<TillPayment, Unpaid> {
        if before == Before::Perhaps
            && let Some(mined) = self.look(payment).await?
        {
            return Ok(self.book(payment, mined).await?);
        }
        let error = match self.chain.transfer(&payment.transfer).await {
            Ok(mined) => return Ok(self.book(payment, mined).await?),
            Err(error) => error,
        };
        tracing::info!(
            payment.nonce = %payment.transfer.nonce, payment.payer = %payment.transfer.from, %error,
            "a payment is not settled: {error}"
        );
        match error {
            TransferError::Down | TransferError::NotNow { .. } => Err(Unpaid::NotNow(error.to_string())),
            TransferError::OutcomeUnknown { tx } => {
                let sent = TillPayment { money: Money::Sent { tx }, ..payment.clone() };
                self.write(Some(payment), &sent).await?;
                Err(Unpaid::Pending(tx))
            }
            // Somebody may have been faster with the same payment.
            TransferError::Refused(refusal) => match self.look(payment).await? {
                Some(mined) => Ok(self.book(payment, mined).await?),
                None => Err(Unpaid::Refused(refused_by_token(&refusal))),
            },
        }
    }

    /// Books a payment if it is on the chain; sends nothing. The caller sits on it. Says whether it was there.
    pub(super) async fn reconcile(&self, payment: &TillPayment) -> Result<bool, Unpaid> {
        match self.look(payment).await? {
            Some(mined) => Ok(self.book(payment, mined).await.map(|_| true)?),
            None => Ok(false),
        }
    }

    /// Where the chain says the payment stands; nothing while it can still happen.
    pub(super) async fn look(&self, payment: &TillPayment) -> Result<Option<Mined>, Unpaid> {
        match self.chain.standing(&payment.transfer).await {
            Ok(Standing::Paid(mined)) => Ok(Some(mined)),
            Ok(Standing::Void) => Err(Unpaid::Never(Reason::Replay)),
            Ok(Standing::Open) => match self.chain.head().await {
                Ok(head) if head.time >= payment.transfer.ends() => Err(Unpaid::Never(Reason::Expired)),
                Ok(_) => Ok(None),
                Err(error) => Err(Unpaid::NotNow(error.to_string())),
            },
            Err(error) => Err(Unpaid::NotNow(error.to_string())),
        }
    }

    /// Stores that a payment is on the chain, and books it for the agent of this home that it pays. All in one.
    pub(super) async fn book(&self, payment: &TillPayment, mined: Mined) -> Result<TillPayment, SettlementError> {
        let paid = TillPayment { money: Money::Paid(mined), ..payment.clone() };
        let (before, after) = (payment.clone(), paid.clone());
        self.settlement
            .change(move |inner, change| {
                write(&mut change.batch, Some(&before), &after)?;
                if after.sold.is_some() {
                    change.batch.put::<TillProven>(&after.transfer.from.into_array(), &0)?;
                }
                if before.mined().is_none()
                    && !arrivals::owns(&inner.store, &after.key())?
                    && let Some(agent) = inner.wallet.agent_at(&after.transfer.to)
                {
                    let amount = after.transfer.value;
                    let moves = [(Account::Available, Side::In, amount), (Account::Earned, Side::Out, amount)];
                    change.post_direct(&agent, EntryKind::Earned, &moves, &direct(&after, mined.tx))?;
                    let payer = after.transfer.from;
                    change.events.push(PaymentEvent::Received { agent, payer, amount, tx: mined.tx });
                }
                Ok(())
            })
            .await?;
        self.credit().release(&payment.key());
        Ok(paid)
    }

    /// Stores that a payment is no longer on the chain, and takes its booking back.
    pub(super) async fn unbook(&self, payment: &TillPayment, was: Mined) -> Result<TillPayment, SettlementError> {
        let open = TillPayment { money: Money::Sent { tx: Some(was.tx) }, ..payment.clone() };
        let (before, after) = (payment.clone(), open.clone());
        self.settlement
            .change(move |inner, change| {
                write(&mut change.batch, Some(&before), &after)?;
                if !arrivals::owns(&inner.store, &after.key())?
                    && let Some(agent) = inner.wallet.agent_at(&after.transfer.to)
                {
                    let amount = after.transfer.value;
                    let moves = [(Account::Available, Side::Out, amount), (Account::Earned, Side::In, amount)];
                    change.post_direct(&agent, EntryKind::EarningUndone, &moves, &direct(&after, was.tx))?;
                    change.events.push(PaymentEvent::ReceivedUndone { agent, amount, tx: was.tx });
                }
                Ok(())
            })
            .await?;
        Ok(open)
    }

    /// Stores a payment as it is now.
    pub(super) async fn write(&self, before: Option<&TillPayment>, after: &TillPayment) -> Result<(), StoreError> {
        let mut batch = Batch::new();
        write(&mut batch, before, after)?;
        self.store().commit(batch).await
    }

    /// Forgets a payment. If it was worked for and is not paid, that is a loss from now on.
    pub(super) async fn forget(&self, payment: &TillPayment) -> Result<(), SettlementError> {
        let mut batch = Batch::new();
        erase(&mut batch, payment);
        if payment.mined().is_some() {
            arrivals::remember_sold(&mut batch, &payment.key(), self.now())?;
        }
        self.lose(payment, &mut batch)?;
        let answer = self.store().get::<TillAnswers>(&payment.key())?;
        self.store().commit(batch).await?;
        self.drop_file(answer).await
    }

    /// Counts a payment that was worked for and cannot be had as a loss, if it is not one already.
    pub(super) fn lose(&self, payment: &TillPayment, batch: &mut Batch) -> Result<(), SettlementError> {
        let worked = payment.sold.as_ref().is_some_and(|sold| sold.answered) && payment.mined().is_none();
        let now = self.now();
        let mut credit = self.credit();
        if !worked {
            credit.release(&payment.key());
        } else if let Some(loss) = credit.lose(&payment.key(), now) {
            tracing::warn!(
                payment.payer = %payment.transfer.from, payment.amount = %payment.transfer.value,
                "work was done for a payment that cannot be had"
            );
            batch.put::<TillLosses>(&(now, payment.key()), &loss)?;
        }
        Ok(())
    }
}

/// What a ledger entry says of a payment.
fn direct(payment: &TillPayment, tx: B256) -> Direct<'_> {
    Direct { tx, memo: payment.sold.as_ref().map_or("", |sold| sold.listing.as_str()), party: None }
}

/// Writes a payment's row and the indexes that follow from it.
pub(super) fn write(batch: &mut Batch, before: Option<&TillPayment>, after: &TillPayment) -> Result<(), StoreError> {
    let key = after.key();
    batch.put::<TillPayments>(&key, after)?;
    if after.is_open() {
        batch.put::<TillOpen>(&key, &0)?;
    } else {
        batch.delete::<TillOpen>(&key);
    }
    if before.is_none() {
        batch.put::<TillAges>(&(after.taken_at, key), &0)?;
    }
    let stood = before.and_then(TillPayment::mined);
    if stood != after.mined() {
        if let Some(mined) = stood {
            batch.delete::<TillUnconfirmed>(&(mined.block, key));
        }
        if let Some(mined) = after.mined() {
            batch.put::<TillUnconfirmed>(&(mined.block, key), &0)?;
        }
    }
    Ok(())
}

/// Deletes a payment's row and all that hangs on it.
pub(super) fn erase(batch: &mut Batch, payment: &TillPayment) {
    let key = payment.key();
    batch.delete::<TillPayments>(&key);
    batch.delete::<TillOpen>(&key);
    batch.delete::<TillAges>(&(payment.taken_at, key));
    batch.delete::<TillAnswers>(&key);
    if let Some(mined) = payment.mined() {
        batch.delete::<TillUnconfirmed>(&(mined.block, key));
    }
    if let Some(id) = id_key(payment) {
        batch.delete::<TillIds>(&id);
    }
}

/// The identifier's key of a payment that has one.
pub(super) fn id_key(payment: &TillPayment) -> Option<super::record::IdKey> {
    let sold = payment.sold.as_ref()?;
    let id = sold.id.as_ref()?;
    Some((sold.seller, payment.transfer.from.into_array(), id.as_str().to_owned()))
}
