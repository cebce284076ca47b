//! Direct transfers that came in, with what their payers say they are for.
//!
//! Tokens that somebody sends say nothing about themselves. A payer's node tells of a transfer (`docs/protocols/messages.md`
//! section 7), before or after it is on the chain; what it says is kept here, and booked once this node's own chain shows
//! that very transfer. Whoever hands a word in has checked who speaks, and that the paying wallet is the speaker's.
//!
//! ```text
//! (nothing) -> waiting -> booked
//!         \        \----> forgotten: its time is over, or its nonce is gone
//!          \----> booked -> waiting   (a block left the chain)
//! ```
//!
//! What holds, whatever comes in whatever order:
//! - A transfer is one of chain, token, payer and nonce. The first word about it stands, and it is booked once.
//! - Row and booking are one transaction.
//! - What the [`till`] took as the price of a call is not booked a second time as a transfer, and the other
//!   way round: whoever had a row first books it.

mod error;
mod follow;

use std::{fmt, ops::Bound, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, Semaphore};

use haggle_base::{Did, Text, Timestamp};
use haggle_store::{Batch, Key as _, Store, StoreError, tables};
use haggle_x402::{ExactFacts, exact::Transfer};

use crate::{
    Settlement, SettlementError,
    books::{Change, Direct},
    events::PaymentEvent,
    ledger::{Account, EntryKind, MAX_MEMO, Side},
    ports::exact::{ExactChain, Head, Mined, Standing, TransferError},
    till::{self, SpendKey},
};

pub use error::ArrivalError;

/// How long after a transfer its payer may tell of it, in chain time.
pub const TOLD_WITHIN: Duration = Duration::from_secs(5 * 24 * 3600);
/// How long a word is kept, so that it is booked once; and that a payment was taken at the till.
const KEPT: Duration = Duration::from_secs(8 * 24 * 3600);
/// Longest time that a transfer of which is told may still be valid. No row is forgotten while its transfer is.
const LONGEST_VALID: Duration = Duration::from_secs(24 * 3600);
/// Words about transfers that the chain does not show.
const MOST_WAITING: usize = 1024;
/// Those of one payer among them.
const MOST_WAITING_OF_ONE: usize = 16;
/// Words kept of one paying wallet.
const MOST_OF_ONE: usize = 512;
/// Words kept.
const MOST: u64 = 65_536;
/// Words that are held against the chain at one time.
const LOOKS_AT_ONCE: usize = 8;

/// What a payer says of a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The agent of this home that is paid.
    pub payee: Did,
    /// The agent that pays, and whose wallet the transfer's is.
    pub payer: Did,
    /// The transfer; its signature plays no part.
    pub transfer: Transfer,
    /// What it is for.
    pub memo: Text<MAX_MEMO>,
}

/// What came of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Heard {
    /// The chain shows the transfer, and it is booked.
    Booked,
    /// The chain does not show it yet. It is looked for until it can no longer happen.
    Waiting,
}

/// One word as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arrival {
    payee: Did,
    payer: Did,
    transfer: Transfer,
    memo: Text<MAX_MEMO>,
    told_at: Timestamp,
    /// Where the chain shows it; it is booked then.
    mined: Option<Mined>,
}

tables! {
    /// What payers said of transfers.
    pub(crate) Arrivals = "settlement-arrivals-1": SpendKey => Arrival;
    /// Those that the chain does not show, with who pays.
    pub(crate) Waiting = "settlement-arrivals-waiting-1": SpendKey => Did;
    /// Those in blocks that may still be taken back.
    pub(crate) Fresh = "settlement-arrivals-fresh-1": (u64, SpendKey) => u8;
    /// All by when they were told.
    pub(crate) Ages = "settlement-arrival-ages-1": (Timestamp, SpendKey) => u8;
    /// Payments that the till took and has forgotten, and when it did.
    pub(crate) SoldBefore = "settlement-arrivals-sold-1": SpendKey => Timestamp;
}

/// Whether a transfer is booked here and not by the till.
pub(crate) fn owns(store: &Store, key: &SpendKey) -> Result<bool, StoreError> {
    store.contains::<Arrivals>(key)
}

/// The till forgets a payment that it booked.
pub(crate) fn remember_sold(batch: &mut Batch, key: &SpendKey, now: Timestamp) -> Result<(), StoreError> {
    batch.put::<SoldBefore>(key, &now).map(drop)
}

/// The handle of what came in. Clones share everything.
#[derive(Clone)]
pub struct Incoming {
    inner: Arc<Inner>,
}

struct Inner {
    settlement: Settlement,
    chain: Arc<dyn ExactChain>,
    facts: ExactFacts,
    /// Blocks after which a transfer is no longer looked after.
    confirmations: u64,
    /// How many words are kept; held while that changes.
    kept: Mutex<u64>,
    looks: Semaphore,
    /// Where the last sweep of what the till has forgotten ended.
    swept: std::sync::Mutex<Option<SpendKey>>,
    /// Up to which word that waits the chain was asked last.
    asked: std::sync::Mutex<Option<SpendKey>>,
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("facts", &self.inner.facts).finish_non_exhaustive()
    }
}

impl Incoming {
    /// Opens what came in on the books of `settlement`.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn open(
        settlement: Settlement,
        chain: Arc<dyn ExactChain>,
        facts: ExactFacts,
        confirmations: u64,
    ) -> Result<Self, SettlementError> {
        let kept = Mutex::new(settlement.inner.store.count::<Arrivals>()?);
        let looks = Semaphore::new(LOOKS_AT_ONCE);
        let (swept, asked) = Default::default();
        Ok(Self { inner: Arc::new(Inner { settlement, chain, facts, confirmations, kept, looks, swept, asked }) })
    }

    /// Takes a payer's word about a transfer. The same word again changes nothing.
    ///
    /// # Errors
    /// Why it is not taken; [`ArrivalError::is_retryable`] says whether the same word may be taken later.
    pub async fn take(&self, told: Told) -> Result<Heard, ArrivalError> {
        let inner = &self.inner;
        let key = inner.key(&told.transfer);
        if let Some(known) = inner.store().get::<Arrivals>(&key).map_err(SettlementError::from)? {
            return known.heard_again(&told);
        }
        inner.check(&told)?;
        let Ok(look) = inner.looks.try_acquire() else { return Err(ArrivalError::Busy) };
        let mined = inner.look(&told.transfer).await?;
        drop(look);
        let mut kept = inner.kept.lock().await;
        inner.check_room(&told, mined.is_none(), *kept)?;
        let (heard, is_new) = inner.keep(key, told, mined).await?;
        *kept += u64::from(is_new);
        Ok(heard)
    }
}

impl Arrival {
    fn heard(&self) -> Heard {
        if self.mined.is_some() { Heard::Booked } else { Heard::Waiting }
    }

    /// What a second word about the transfer gets.
    fn heard_again(&self, told: &Told) -> Result<Heard, ArrivalError> {
        let same = (self.payee, self.payer, &self.memo) == (told.payee, told.payer, &told.memo)
            && self.transfer.message() == told.transfer.message();
        if same { Ok(self.heard()) } else { Err(ArrivalError::ToldBefore) }
    }
}

impl Inner {
    fn store(&self) -> &Store {
        &self.settlement.inner.store
    }

    fn key(&self, transfer: &Transfer) -> SpendKey {
        till::spend_key(self.facts.chain_id(), transfer)
    }

    /// Everything that shows without the chain.
    fn check(&self, told: &Told) -> Result<(), ArrivalError> {
        let transfer = &told.transfer;
        if self.settlement.payment_address(&told.payee) != Some(transfer.to) {
            return Err(ArrivalError::NotOurs);
        }
        if transfer.token != self.facts.token().address || transfer.value.is_zero() || transfer.from == transfer.to {
            return Err(ArrivalError::NoTransfer);
        }
        Ok(())
    }

    /// Where the chain shows the transfer; nothing while it can still happen.
    async fn look(&self, transfer: &Transfer) -> Result<Option<Mined>, ArrivalError> {
        let head = self.chain.head().await.map_err(|error| away(&error))?;
        self.look_at(head, transfer).await
    }

    async fn look_at(&self, head: Head, transfer: &Transfer) -> Result<Option<Mined>, ArrivalError> {
        if transfer.ends() > head.time.plus(LONGEST_VALID) {
            return Err(ArrivalError::NoTransfer);
        }
        match self.chain.standing(transfer).await.map_err(|error| away(&error))? {
            Standing::Paid(mined) if head.time.since(mined.time) > TOLD_WITHIN => Err(ArrivalError::TooLate),
            Standing::Paid(mined) => Ok(Some(mined)),
            Standing::Open if head.time < transfer.ends() => Ok(None),
            Standing::Open | Standing::Void => Err(ArrivalError::NoTransfer),
        }
    }

    fn check_room(&self, told: &Told, is_waiting: bool, kept: u64) -> Result<(), ArrivalError> {
        let of_wallet = (self.facts.chain_id(), told.transfer.token.into_array(), told.transfer.from.into_array());
        let prefix = of_wallet.encode();
        let of_wallet = self.store().prefix::<Arrivals>(&prefix, MOST_OF_ONE).map_err(SettlementError::from)?;
        if kept >= MOST || of_wallet.len() >= MOST_OF_ONE {
            return Err(ArrivalError::Full);
        }
        if is_waiting {
            let waiting = self.store().range::<Waiting>(Bound::Unbounded, MOST_WAITING);
            let waiting = waiting.map_err(SettlementError::from)?;
            let of_payer = waiting.iter().filter(|(_, payer)| *payer == told.payer).count();
            if waiting.len() >= MOST_WAITING || of_payer >= MOST_WAITING_OF_ONE {
                return Err(ArrivalError::Full);
            }
        }
        Ok(())
    }

    /// Stores the word, and books the transfer if the chain shows it. Says whether the word is new.
    async fn keep(&self, key: SpendKey, told: Told, mined: Option<Mined>) -> Result<(Heard, bool), ArrivalError> {
        let kept = self.settlement.change(move |inner, change| {
            if let Some(known) = inner.store.get::<Arrivals>(&key)? {
                return Ok(Err(known.heard_again(&told)));
            }
            if till::has_row(&inner.store, &key)? || inner.store.contains::<SoldBefore>(&key)? {
                return Ok(Err(Err(ArrivalError::Sold)));
            }
            let Told { payee, payer, transfer, memo } = told;
            let arrival = Arrival { payee, payer, transfer, memo, told_at: change.now(), mined: None };
            change.batch.put::<Ages>(&(arrival.told_at, key), &0)?;
            match mined {
                Some(mined) => book(change, key, arrival, mined)?,
                None => {
                    change.batch.put::<Waiting>(&key, &payer)?;
                    change.batch.put::<Arrivals>(&key, &arrival)?;
                }
            }
            Ok(Ok(if mined.is_some() { Heard::Booked } else { Heard::Waiting }))
        });
        match kept.await? {
            Ok(heard) => Ok((heard, true)),
            Err(known) => known.map(|heard| (heard, false)),
        }
    }
}

fn away(error: &TransferError) -> ArrivalError {
    tracing::debug!(%error, "a transfer cannot be looked up: {error}");
    ArrivalError::ChainAway
}

/// The chain shows the transfer: row, ledger and event.
fn book(change: &mut Change<'_>, key: SpendKey, mut arrival: Arrival, mined: Mined) -> Result<(), SettlementError> {
    arrival.mined = Some(mined);
    change.batch.delete::<Waiting>(&key);
    change.batch.put::<Fresh>(&(mined.block, key), &0)?;
    change.batch.put::<Arrivals>(&key, &arrival)?;
    let (agent, amount) = (arrival.payee, arrival.transfer.value);
    let moves = [(Account::Outside, Side::Out, amount), (Account::Available, Side::In, amount)];
    change.post_direct(&agent, EntryKind::Received, &moves, &arrival.direct(mined))?;
    let payer = arrival.transfer.from;
    change.events.push(PaymentEvent::Received { agent, payer, amount, tx: mined.tx });
    Ok(())
}

/// The chain no longer shows it: it waits again.
fn unbook(change: &mut Change<'_>, key: SpendKey, mut arrival: Arrival, was: Mined) -> Result<(), SettlementError> {
    arrival.mined = None;
    change.batch.delete::<Fresh>(&(was.block, key));
    change.batch.put::<Waiting>(&key, &arrival.payer)?;
    change.batch.put::<Arrivals>(&key, &arrival)?;
    let (agent, amount) = (arrival.payee, arrival.transfer.value);
    let moves = [(Account::Available, Side::Out, amount), (Account::Outside, Side::In, amount)];
    change.post_direct(&agent, EntryKind::EarningUndone, &moves, &arrival.direct(was))?;
    change.events.push(PaymentEvent::ReceivedUndone { agent, amount, tx: was.tx });
    Ok(())
}

impl Arrival {
    fn direct(&self, mined: Mined) -> Direct<'_> {
        Direct { tx: mined.tx, memo: self.memo.as_str(), party: Some(self.payer) }
    }
}

#[cfg(test)]
mod tests;
