//! Taking what vouchers promise: on a timer well inside the withdraw delay, and at once when a payer withdraws.

use std::{collections::BTreeMap, sync::Arc};

use alloy_primitives::{Address, B256};
use parking_lot::Mutex;

use haggle_base::{Did, Timestamp, Usdc};

use super::{Inner, Selling, Slot, add, take_off};
use crate::{
    SettlementError,
    channels::records::{SellerChannels, SellerRow, WithdrawalsRead},
    events::PaymentEvent,
    ledger::{About, Account, EntryKind, Side},
    ports::{ChannelOnChain, ToClaim, TxRef, channel::MAX_CLAIMS},
};

/// Blocks that are read again, in case the chain was rewritten meanwhile.
const READ_AGAIN: u64 = 64;

/// Stretches of blocks that are read in one look; the next one goes on.
const READS: usize = 32;

/// What a look at the channels brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ticked {
    /// Claims that were mined, and how many channels each was for.
    pub claims: Vec<(TxRef, usize)>,
    /// What they and earlier claims brought, as the chain says.
    pub claimed: Usdc,
    /// Withdrawals that were seen for the first time.
    pub withdrawals: usize,
}

/// A channel with something to claim.
struct Due {
    urgent: bool,
    receiver: Address,
    id: B256,
}

impl Selling {
    /// Looks for withdrawals, and claims what is due, many channels at once. Call it at the chain's pace, and when
    /// [`Self::hurried`] says so.
    ///
    /// # Errors
    /// `rpc_down`, `chain_refused`, `chain_outcome_unknown`: everything that was seen is booked, and the next call goes on.
    pub async fn tick(&self) -> Result<Ticked, SettlementError> {
        let _moving = self.inner.moving.lock().await;
        let mut ticked = Ticked { withdrawals: self.see_withdrawals().await?, ..Ticked::default() };
        self.send_unsent().await?;
        let hurried = std::mem::take(&mut *self.inner.hurried.lock());
        let now = self.inner.settlement.inner.clock.now();
        let due = self.inner.due(now, |slot| hurried.contains_key(&slot.row.channel.payer));
        let claimed = self.claim_due(due, &mut ticked).await;
        if claimed.is_err() {
            self.inner.hurried.lock().extend(hurried);
        }
        claimed.map(|()| ticked)
    }

    /// Returns when a payer owes so much that its channels should be claimed before it may go on.
    pub async fn hurried(&self) {
        self.inner.hurry.notified().await;
    }

    /// Claims everything now, for one agent or for all of this home.
    ///
    /// # Errors
    /// As [`Self::tick`].
    pub async fn claim(&self, agent: Option<&Did>) -> Result<Ticked, SettlementError> {
        let _moving = self.inner.moving.lock().await;
        let mut ticked = Ticked::default();
        let now = self.inner.settlement.inner.clock.now();
        let due = self.inner.due(now, |slot| agent.is_none_or(|agent| *agent == slot.row.agent));
        self.claim_due(due, &mut ticked).await.map(|()| ticked)
    }

    /// Reads which channels are being withdrawn from, and what they hold now.
    async fn see_withdrawals(&self) -> Result<usize, SettlementError> {
        let mut seen = 0;
        for _ in 0..READS {
            let Some(read) = self.inner.store.get::<WithdrawalsRead>(&())? else { break };
            let (ids, until) = self.inner.chain.withdrawals(Some(read.saturating_sub(READ_AGAIN))).await?;
            let new = |id: &B256| {
                let slot = self.inner.slots.read().get(id).cloned();
                slot.is_some_and(|slot| slot.lock().row.seen.withdrawal.is_none())
            };
            let ids: Vec<B256> = ids.into_iter().filter(new).collect();
            self.read_again(&ids).await?;
            seen += ids.len();
            if until <= read {
                break;
            }
            let keep = self.inner.settlement.change(move |_, change| {
                change.batch.put::<WithdrawalsRead>(&(), &until)?;
                Ok(())
            });
            keep.await?;
        }
        Ok(seen)
    }

    async fn send_unsent(&self) -> Result<(), SettlementError> {
        let receivers: Vec<Address> = self.inner.unsent.lock().keys().copied().collect();
        for receiver in receivers {
            self.inner.chain.settle(receiver).await?;
            self.inner.unsent.lock().remove(&receiver);
        }
        Ok(())
    }

    /// Claims what is urgent, and takes along what is worth it for the same receivers.
    async fn claim_due(&self, due: Vec<Due>, ticked: &mut Ticked) -> Result<(), SettlementError> {
        let mut by_receiver: BTreeMap<Address, Vec<Due>> = BTreeMap::new();
        for one in due {
            by_receiver.entry(one.receiver).or_default().push(one);
        }
        let mut failed = None;
        for (receiver, mut due) in by_receiver {
            let urgent = due.iter().filter(|one| one.urgent).count();
            if urgent == 0 {
                continue;
            }
            due.sort_by_key(|one| !one.urgent);
            due.truncate(urgent.next_multiple_of(MAX_CLAIMS));
            for chunk in due.chunks(MAX_CLAIMS) {
                if let Err(error) = self.claim_some(receiver, chunk, ticked).await {
                    tracing::warn!(%receiver, channels = chunk.len(), %error, "a claim failed: {error}");
                    failed = Some(error);
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Reads what the chain says first: somebody, or a claim whose answer was lost, may have been faster.
    async fn claim_some(&self, receiver: Address, due: &[Due], ticked: &mut Ticked) -> Result<(), SettlementError> {
        let ids: Vec<B256> = due.iter().map(|one| one.id).collect();
        ticked.claimed = plus(ticked.claimed, self.read_again(&ids).await?);
        let claims: Vec<ToClaim> = ids.iter().filter_map(|id| self.inner.to_claim(id)).collect();
        if claims.is_empty() {
            return Ok(());
        }
        let claimed = self.inner.chain.claim(&claims).await;
        ticked.claimed = plus(ticked.claimed, self.read_again(&ids).await?);
        let claimed = claimed?;
        if !claimed.sent {
            self.inner.unsent.lock().insert(receiver, ());
        }
        ticked.claims.push((claimed.tx, claims.len()));
        Ok(())
    }

    /// Claims one channel; the caller holds the right to move money.
    pub(super) async fn claim_one(&self, id: B256) -> Result<(), SettlementError> {
        let Some(claim) = self.inner.to_claim(&id) else { return Ok(()) };
        let receiver = claim.channel.receiver;
        let due = [Due { urgent: true, receiver, id }];
        self.claim_some(receiver, &due, &mut Ticked::default()).await
    }

    /// Reads channels from the chain and books what was claimed since. Returns how much that was.
    pub(in crate::channels) async fn read_again(&self, ids: &[B256]) -> Result<Usdc, SettlementError> {
        if ids.is_empty() {
            return Ok(Usdc::ZERO);
        }
        let said = self.inner.chain.channels(ids).await?;
        self.update(ids.iter().copied().zip(said.into_iter().map(Some)).collect(), |_, _| {}).await
    }

    /// Changes rows: what the chain says about them, and what `edit` says. The difference in what is claimed is booked in
    /// the same transaction; the stored row is what it is measured against, so each unit is booked once. Returns how much
    /// more is claimed.
    pub(super) async fn update(
        &self,
        said: Vec<(B256, Option<ChannelOnChain>)>,
        edit: impl Fn(&B256, &mut SellerRow) + Send + 'static,
    ) -> Result<Usdc, SettlementError> {
        let changed = self.inner.settlement.change(move |inner, change| {
            let (mut rows, mut claimed) = (Vec::new(), Usdc::ZERO);
            for (id, said) in said {
                let Some(mut row) = inner.store.get::<SellerChannels>(&id.0)? else { continue };
                let before = row.clone();
                if let Some(said) = said {
                    row.seen = said.into();
                }
                edit(&id, &mut row);
                let (more, less) = (
                    row.seen.claimed.saturating_sub(before.seen.claimed),
                    before.seen.claimed.saturating_sub(row.seen.claimed),
                );
                let about = |kind| About { kind, order: None, key: channel_key(&id) };
                if !more.is_zero() {
                    let moves = [(Account::Available, Side::In, more), (Account::Earned, Side::Out, more)];
                    change.post(&row.agent, about(EntryKind::ChannelClaimed), &moves)?;
                    change.events.push(PaymentEvent::ChannelClaimed { agent: row.agent, channel: id, amount: more });
                    claimed = plus(claimed, more);
                }
                if !less.is_zero() {
                    let moves = [(Account::Available, Side::Out, less), (Account::Earned, Side::In, less)];
                    change.post(&row.agent, about(EntryKind::EarningUndone), &moves)?;
                }
                if row != before {
                    change.batch.put::<SellerChannels>(&id.0, &row)?;
                }
                rows.push((id, row));
            }
            Ok((rows, claimed))
        });
        let (rows, claimed) = changed.await?;
        for (id, row) in rows {
            self.inner.remember(id, row);
        }
        Ok(claimed)
    }
}

impl Inner {
    fn remember(&self, id: B256, row: SellerRow) {
        let Some(slot) = self.slots.read().get(&id).cloned() else { return };
        let (payer, before, after) = {
            let mut slot = slot.lock();
            let before = slot.unclaimed();
            slot.row = row;
            (slot.row.channel.payer, before, slot.unclaimed())
        };
        let mut unclaimed = self.unclaimed.lock();
        take_off(&mut unclaimed, payer, before);
        add(&mut unclaimed, payer, after);
    }

    /// The channels with something to claim that is worth it.
    fn due(&self, now: Timestamp, hurried: impl Fn(&Slot) -> bool) -> Vec<Due> {
        let slots: Vec<Arc<Mutex<Slot>>> = self.slots.read().values().cloned().collect();
        let due = |slot: &Arc<Mutex<Slot>>| {
            let slot = slot.lock();
            let claim = to_claim(&slot)?;
            let gain = claim.total.saturating_sub(slot.row.seen.claimed);
            let since = slot.held.as_ref().map_or(now, |held| held.waiting_since);
            let worth = gain >= self.config.claim_at_least;
            let late = now.since(since) >= self.config.claim_within();
            let leaving = slot.row.seen.withdrawal.is_some();
            let urgent = leaving || hurried(&slot) || (worth && (late || gain >= self.config.claim_at));
            (urgent || worth).then(|| Due { urgent, receiver: slot.row.channel.receiver, id: slot.id })
        };
        slots.iter().filter_map(due).collect()
    }

    fn to_claim(&self, id: &B256) -> Option<ToClaim> {
        let slot = self.slots.read().get(id).cloned()?;
        let slot = slot.lock();
        to_claim(&slot)
    }
}

/// What can be claimed of a channel, if anything: up to the voucher and up to what the channel holds.
fn to_claim(slot: &Slot) -> Option<ToClaim> {
    let held = slot.held.as_ref()?;
    let total = held.charged.min(slot.row.seen.balance);
    (total > slot.row.seen.claimed).then(|| ToClaim {
        channel: slot.row.channel.clone(),
        max: held.charged,
        total,
        signature: held.signature,
    })
}

fn channel_key(id: &B256) -> Option<crate::budget::ReservationKey> {
    format!("channel/{id}").try_into().ok()
}

fn plus(one: Usdc, other: Usdc) -> Usdc {
    one.checked_add(other).unwrap_or(Usdc::MAX)
}
