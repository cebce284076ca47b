//! Looking after payments: what was on its way is brought to its end, what left the chain is taken back, what is old goes.

use std::{collections::BTreeMap, ops::Bound, sync::PoisonError};

use alloy_primitives::B256;
use haggle_store::Batch;

use super::{
    Inner, Till,
    money::{Before, Unpaid},
    record::{SpendKey, TillAges, TillLosses, TillOpen, TillPayment, TillUnconfirmed},
    seats::{Seat, Sit},
};
use crate::{
    SettlementError,
    ports::exact::{Standing, TransferError},
};

/// Payments looked at in one step.
const AT_ONCE: usize = 256;

impl Till {
    /// One step of looking after payments; call it in a loop, at the chain's pace, and once after a start. Returns how many
    /// payments changed.
    ///
    /// What was sent is looked up before it is sent again, so that the step may be cut short anywhere. Payments that
    /// somebody sits on are passed over.
    ///
    /// # Errors
    /// `rpc_down` leaves the rest for the next step; the store failed.
    pub async fn follow_once(&self) -> Result<usize, SettlementError> {
        let inner = &self.inner;
        let _alone = inner.following.lock().await;
        let changed = inner.watch_blocks().await? + inner.bring_open().await?;
        inner.sweep().await?;
        Ok(changed)
    }
}

impl Inner {
    fn seat(&self, key: SpendKey) -> Option<Seat<SpendKey>> {
        match self.seats.sit(key, usize::MAX) {
            Sit::Seated(seat) => Some(seat),
            Sit::Taken(_) | Sit::Full => None,
        }
    }

    /// Takes back payments whose block left the chain, and stops looking after those that are deep enough.
    async fn watch_blocks(&self) -> Result<usize, SettlementError> {
        let unconfirmed = self.store().range::<TillUnconfirmed>(Bound::Unbounded, AT_ONCE)?;
        if unconfirmed.is_empty() {
            return Ok(0);
        }
        let head = self.chain.head().await.map_err(|error| down(&error))?;
        let mut hashes: BTreeMap<u64, Option<B256>> = BTreeMap::new();
        let (mut changed, mut deep) = (0, Batch::new());
        for ((block, key), _) in unconfirmed {
            let hash = match hashes.get(&block) {
                Some(hash) => *hash,
                None => self.chain.block_hash(block).await.map_err(|error| down(&error))?,
            };
            hashes.insert(block, hash);
            let Some(_seat) = self.seat(key) else { continue };
            let Some(payment) = self.payment(&key)? else {
                deep.delete::<TillUnconfirmed>(&(block, key));
                continue;
            };
            let Some(mined) = payment.mined().filter(|mined| mined.block == block) else {
                deep.delete::<TillUnconfirmed>(&(block, key));
                continue;
            };
            if hash != Some(mined.hash) {
                match self.chain.standing(&payment.transfer).await.map_err(|error| down(&error))? {
                    Standing::Paid(now) => drop(self.book(&payment, now).await?),
                    Standing::Open | Standing::Void => {
                        tracing::warn!(payment.tx = %mined.tx, "a payment left the chain with block {block}");
                        self.unbook(&payment, mined).await?;
                    }
                }
                changed += 1;
            } else if head.block >= block.saturating_add(self.config.confirmations) {
                deep.delete::<TillUnconfirmed>(&(block, key));
            }
        }
        self.store().commit(deep).await?;
        Ok(changed)
    }

    /// Brings what may have been sent, or was worked for, to its end.
    async fn bring_open(self: &std::sync::Arc<Self>) -> Result<usize, SettlementError> {
        let from = *self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let bound = from.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let open = self.store().range::<TillOpen>(bound, AT_ONCE)?;
        let next = if open.len() < AT_ONCE { None } else { open.last().map(|(key, _)| *key) };
        *self.looked.lock().unwrap_or_else(PoisonError::into_inner) = next;
        let mut changed = 0;
        for (key, _) in open {
            let Some(_seat) = self.seat(key) else { continue };
            let Some(payment) = self.payment(&key)?.filter(TillPayment::is_open) else { continue };
            let worked = payment.sold.as_ref().is_some_and(|sold| sold.answered);
            let brought = if worked {
                self.bring(&payment, Before::Perhaps).await.map(|_| true)
            } else {
                // Nobody waits for it: the money moves when the buyer comes again, or not at all.
                self.reconcile(&payment).await
            };
            changed += usize::from(match brought {
                Ok(there) => there,
                Err(unpaid) => self.unpaid(&payment, unpaid).await?,
            });
        }
        Ok(changed)
    }

    /// What becomes of a payment that did not get to the chain in this step. Says whether anything changed.
    async fn unpaid(&self, payment: &TillPayment, unpaid: Unpaid) -> Result<bool, SettlementError> {
        match unpaid {
            Unpaid::Never(_) => self.forget(payment).await.map(|()| true),
            Unpaid::Refused(_) => {
                let mut batch = Batch::new();
                self.lose(payment, &mut batch)?;
                Ok(self.store().commit(batch).await.map(|()| false)?)
            }
            Unpaid::Pending(_) | Unpaid::NotNow(_) => Ok(false),
            Unpaid::Failed(error) => Err(error),
        }
    }

    /// Deletes payments that are older than answers are kept, and losses that count no more.
    async fn sweep(&self) -> Result<(), SettlementError> {
        let (now, keep) = (self.now(), self.config.keep);
        for ((taken, key), _) in self.store().range::<TillAges>(Bound::Unbounded, AT_ONCE)? {
            if now.since(taken) < keep {
                break;
            }
            let Some(_seat) = self.seat(key) else { continue };
            match self.payment(&key)? {
                Some(payment) if payment.is_open() => {}
                Some(payment) => self.forget(&payment).await?,
                None => {
                    let mut batch = Batch::new();
                    batch.delete::<TillAges>(&(taken, key));
                    self.store().commit(batch).await?;
                }
            }
        }
        let mut batch = Batch::new();
        for ((at, key), _) in self.store().range::<TillLosses>(Bound::Unbounded, AT_ONCE)? {
            if now.since(at) < self.config.credit.window {
                break;
            }
            batch.delete::<TillLosses>(&(at, key));
        }
        Ok(self.store().commit(batch).await?)
    }
}

fn down(error: &TransferError) -> SettlementError {
    tracing::debug!(%error, "the chain was not read: {error}");
    SettlementError::RpcDown
}
