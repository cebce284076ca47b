//! The work is done: the voucher is charged in the transaction that stores it, alone or with whatever the caller stores.

use std::{fmt, sync::Arc};

use alloy_primitives::B256;
use haggle_base::{Blob, Hash};
use haggle_store::Batch;
use haggle_x402::SettleResponse;

use super::{Inner, Selling, Ticket, add};
use crate::{
    SettlementError,
    channels::records::{HeldVoucher, SellerVouchers},
};

/// Bytes of the mark in front of a file's answer.
const MARK: usize = 32;

/// A voucher that is charged once its batch is stored: say [`Charge::stored`] then. Dropping it charges nothing.
#[must_use]
pub struct Charge {
    inner: Arc<Inner>,
    ticket: Box<Ticket>,
    held: HeldVoucher,
    settled: SettleResponse,
}

impl fmt::Debug for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Charge").field("ticket", &self.ticket).finish_non_exhaustive()
    }
}

impl Charge {
    /// What is said about the payment once it stands.
    #[must_use]
    pub const fn settled(&self) -> &SettleResponse {
        &self.settled
    }

    /// The batch is on disk: the voucher is charged, and the channel free for the next one. Has to be called, in the same
    /// breath as the commit, in a task that is not stopped half-way: memory must not fall behind the store.
    pub fn stored(mut self) -> SettleResponse {
        let (price, held) = (self.held.price, self.held);
        let (payer, before) = {
            let mut slot = self.ticket.slot.lock();
            let before = slot.held.replace(held);
            (slot.row.channel.payer, before.and_then(|before| before.file))
        };
        self.inner.drop_file(before);
        add(&mut self.inner.unclaimed.lock(), payer, price);
        if let Some(over) = self.ticket.over.take() {
            self.ticket.slot.lock().at_work = None;
            drop(over);
        }
        self.settled
    }
}

impl Inner {
    /// The voucher with its answer's file, if that is too long for the row. The file is on disk when this returns. It begins
    /// with the voucher's own mark: two equal answers are two files, and the end of one leaves the other.
    fn filed(&self, held: HeldVoucher, channel: B256, answer: &[u8]) -> Result<HeldVoucher, SettlementError> {
        if held.answer.is_some() {
            return Ok(held);
        }
        let mark = Hash::of(&[channel.as_slice(), &held.charged.units().to_be_bytes()].concat());
        let file = self.blobs.put(&[mark.as_bytes().as_slice(), answer].concat())?;
        Ok(HeldVoucher { file: Some(file), ..held })
    }

    /// What was answered to the newest voucher.
    pub(super) fn answer_of(&self, held: &HeldVoucher) -> Result<Option<Vec<u8>>, SettlementError> {
        let Some(file) = held.file else { return Ok(held.answer.clone().map(Blob::into_vec)) };
        let kept = self.blobs.get(&file)?;
        Ok(kept.map(|kept| kept.get(MARK..).unwrap_or_default().to_vec()))
    }

    /// Deletes the answer of a voucher that is not the newest any more.
    fn drop_file(&self, file: Option<Hash>) {
        if let Some(Err(error)) = file.map(|file| self.blobs.delete(&file)) {
            tracing::warn!(%error, "the file of an old answer is left: {error}");
        }
    }
}

impl Selling {
    /// The work is done: adds the voucher and the answer to `batch`. Once that is stored, and not before, the payment stands
    /// and the answer may leave.
    ///
    /// # Errors
    /// The answer's settlement cannot be written; nothing is charged.
    pub fn charge(&self, ticket: Box<Ticket>, answer: &[u8], batch: &mut Batch) -> Result<Charge, SettlementError> {
        let inner = Arc::clone(&self.inner);
        let (voucher, sale) = (ticket.voucher, ticket.sale);
        let now = inner.settlement.inner.clock.now();
        let (waiting_since, settled) = {
            let slot = ticket.slot.lock();
            let waiting = slot.held.as_ref().filter(|_| !slot.unclaimed().is_zero());
            let settled = inner.settled(&slot, voucher.max_claimable, Some(sale.amount), ticket.deposit)?;
            (waiting.map_or(now, |held| held.waiting_since), settled)
        };
        let held = HeldVoucher {
            charged: voucher.max_claimable,
            signature: voucher.signature,
            request: sale.request,
            price: sale.amount,
            purchase: ticket.purchase,
            waiting_since,
            answer: answer.try_into().ok(),
            file: None,
        };
        let held = inner.filed(held, voucher.channel_id, answer)?;
        batch.put::<SellerVouchers>(&voucher.channel_id.0, &held)?;
        Ok(Charge { inner, ticket, held, settled })
    }

    /// The work is done: stores the voucher and the answer, and only then says that the payment stands.
    ///
    /// # Errors
    /// The store failed: nothing is charged, and the answer must not leave.
    pub async fn worked(&self, ticket: Box<Ticket>, answer: &[u8]) -> Result<SettleResponse, SettlementError> {
        let mut batch = Batch::new();
        let charge = self.charge(ticket, answer, &mut batch)?;
        let store = self.inner.store.clone();
        // Runs to its end also if the caller goes away, so that memory never falls behind the store.
        let stored = tokio::spawn(async move {
            store.commit(batch).await?;
            Ok(charge.stored())
        });
        stored.await.map_err(|_| SettlementError::Stopped)?
    }
}
