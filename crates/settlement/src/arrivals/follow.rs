//! Looking after words about transfers: what waits is looked for, what left the chain is taken back, what is old goes.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Mutex, PoisonError},
};

use alloy_primitives::B256;
use haggle_store::{Batch, Store, Table};

use super::{Ages, Arrival, ArrivalError, Arrivals, Fresh, Incoming, Inner, KEPT, SoldBefore, Waiting, book, unbook};
use crate::{
    SettlementError,
    ports::exact::{Mined, Standing},
    till::SpendKey,
};

/// Rows looked at in one step.
const AT_ONCE: usize = 256;
/// Words that wait for which the chain is asked in one step: whoever tells of many transfers that never come makes the others
/// wait, and the chain no work.
const ASKED_AT_ONCE: usize = 32;

impl Incoming {
    /// One step of looking after words; call it in a loop. Returns how many changed.
    ///
    /// # Errors
    /// `rpc_down` leaves the rest for the next step; the store failed.
    pub async fn follow_once(&self) -> Result<usize, SettlementError> {
        let inner = &self.inner;
        let changed = inner.watch_blocks().await? + inner.look_for_waiting().await?;
        inner.sweep().await?;
        inner.sweep_sold().await?;
        Ok(changed)
    }
}

impl Inner {
    fn arrival(&self, key: &SpendKey) -> Result<Option<Arrival>, SettlementError> {
        Ok(self.store().get::<Arrivals>(key)?)
    }

    /// Takes back transfers whose block left the chain, and stops looking after those that are deep enough.
    async fn watch_blocks(&self) -> Result<usize, SettlementError> {
        let fresh = self.store().range::<Fresh>(Bound::Unbounded, AT_ONCE)?;
        if fresh.is_empty() {
            return Ok(0);
        }
        let away = |_| SettlementError::RpcDown;
        let head = self.chain.head().await.map_err(away)?;
        let mut hashes: BTreeMap<u64, Option<B256>> = BTreeMap::new();
        let (mut changed, mut deep) = (0, Batch::new());
        for ((block, key), _) in fresh {
            let hash = match hashes.get(&block) {
                Some(hash) => *hash,
                None => self.chain.block_hash(block).await.map_err(away)?,
            };
            hashes.insert(block, hash);
            let arrival = self.arrival(&key)?;
            let Some((arrival, mined)) = arrival.and_then(|arrival| Some((arrival.clone(), arrival.mined?))) else {
                deep.delete::<Fresh>(&(block, key));
                continue;
            };
            if mined.block != block {
                deep.delete::<Fresh>(&(block, key));
            } else if hash != Some(mined.hash) {
                let now = match self.chain.standing(&arrival.transfer).await.map_err(away)? {
                    Standing::Paid(now) => Some(now),
                    Standing::Open | Standing::Void => None,
                };
                self.moved(key, mined, now).await?;
                changed += 1;
            } else if head.block >= block.saturating_add(self.confirmations) {
                deep.delete::<Fresh>(&(block, key));
            }
        }
        self.store().commit(deep).await?;
        Ok(changed)
    }

    /// The block of a booked transfer left the chain; `now` is where it stands instead.
    async fn moved(&self, key: SpendKey, was: Mined, now: Option<Mined>) -> Result<(), SettlementError> {
        self.settlement
            .change(move |inner, change| {
                let Some(mut arrival) = inner.store.get::<Arrivals>(&key)? else { return Ok(()) };
                if arrival.mined != Some(was) {
                    return Ok(());
                }
                match now {
                    None => {
                        tracing::warn!(payment.tx = %was.tx, "a transfer left the chain with block {}", was.block);
                        unbook(change, key, arrival, was)
                    }
                    Some(now) => {
                        arrival.mined = Some(now);
                        change.batch.delete::<Fresh>(&(was.block, key)).put::<Fresh>(&(now.block, key), &0)?;
                        change.batch.put::<Arrivals>(&key, &arrival)?;
                        Ok(())
                    }
                }
            })
            .await
    }

    /// Books what the chain shows by now, and forgets what it will never show.
    async fn look_for_waiting(&self) -> Result<usize, SettlementError> {
        let rows = next_rows::<Waiting>(self.store(), &self.asked, ASKED_AT_ONCE)?;
        if rows.is_empty() {
            return Ok(0);
        }
        let head = self.chain.head().await.map_err(|_| SettlementError::RpcDown)?;
        let mut changed = 0;
        for (key, _) in rows {
            let Some(arrival) = self.arrival(&key)? else { continue };
            match self.look_at(head, &arrival.transfer).await {
                Ok(None) => {}
                Ok(Some(mined)) => {
                    self.appeared(key, mined).await?;
                    changed += 1;
                }
                Err(ArrivalError::ChainAway) => return Err(SettlementError::RpcDown),
                Err(ArrivalError::Settlement(error)) => return Err(error),
                Err(_) => {
                    self.forget(&[(arrival.told_at, key)]).await?;
                    changed += 1;
                }
            }
        }
        Ok(changed)
    }

    async fn appeared(&self, key: SpendKey, mined: Mined) -> Result<(), SettlementError> {
        self.settlement
            .change(move |inner, change| match inner.store.get::<Arrivals>(&key)? {
                Some(arrival) if arrival.mined.is_none() => book(change, key, arrival, mined),
                _ => Ok(()),
            })
            .await
    }

    /// Deletes words that are older than they are kept. What is booked stays booked.
    async fn sweep(&self) -> Result<(), SettlementError> {
        let now = self.settlement.inner.clock.now();
        let oldest = self.store().range::<Ages>(Bound::Unbounded, AT_ONCE)?;
        let old: Vec<_> =
            oldest.into_iter().map(|(row, _)| row).take_while(|(told, _)| now.since(*told) >= KEPT).collect();
        if old.is_empty() { Ok(()) } else { self.forget(&old).await }
    }

    async fn forget(&self, rows: &[(haggle_base::Timestamp, SpendKey)]) -> Result<(), SettlementError> {
        let mut kept = self.kept.lock().await;
        let (mut batch, mut gone) = (Batch::new(), 0);
        for (told, key) in rows {
            batch.delete::<Ages>(&(*told, *key)).delete::<Waiting>(key).delete::<Arrivals>(key);
            if let Some(arrival) = self.arrival(key)? {
                gone += 1;
                if let Some(mined) = arrival.mined {
                    batch.delete::<Fresh>(&(mined.block, *key));
                }
            }
        }
        self.store().commit(batch).await?;
        *kept = kept.saturating_sub(gone);
        Ok(())
    }

    /// Deletes what the till has forgotten so long ago that nobody may tell of it any more.
    async fn sweep_sold(&self) -> Result<(), SettlementError> {
        let rows = next_rows::<SoldBefore>(self.store(), &self.swept, AT_ONCE)?;
        let now = self.settlement.inner.clock.now();
        let mut batch = Batch::new();
        for (key, _) in rows.iter().filter(|(_, at)| now.since(*at) >= KEPT) {
            batch.delete::<SoldBefore>(key);
        }
        if !batch.is_empty() {
            self.store().commit(batch).await?;
        }
        Ok(())
    }
}

/// The rows after where the last step ended; from the beginning once it came to the end.
fn next_rows<T: Table<Key = SpendKey>>(
    store: &Store,
    ended: &Mutex<Option<SpendKey>>,
    most: usize,
) -> Result<Vec<(SpendKey, T::Value)>, SettlementError> {
    let mut ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
    let rows = store.range::<T>(ended.as_ref().map_or(Bound::Unbounded, Bound::Excluded), most)?;
    *ended = if rows.len() < most { None } else { rows.last().map(|(key, _)| *key) };
    Ok(rows)
}
