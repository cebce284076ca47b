//! What the chain says about our channels: deposits that arrived or expired, money that came back.

use alloy_primitives::B256;

use haggle_base::{Did, List, Usdc};
use haggle_store::Batch;
use haggle_x402::{BatchPayload, PaymentPayload, PaymentRequired, PaymentRequirements, SettleResponse};

use super::{Buying, Slot, pay};
use crate::{
    SettlementError,
    books::Change,
    budget::event,
    channels::records::{BuyerChannels, BuyerKeys, BuyerRow, DepositRow, DepositStage, MAX_DEPOSITS, Standing},
    events::PaymentEvent,
    ledger::{About, Account, EntryKind, Side},
    ports::ChannelOnChain,
};

/// Old keys that are looked at in one tick.
const SWEEP: usize = 500;

/// What a look at our channels brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelTicked {
    /// Withdrawals that were finished.
    pub withdrawn: usize,
    /// Channels that are closed now, and were not before.
    pub closed: usize,
    /// Keys that were forgotten because of their age, with their agents.
    pub forgotten: Vec<(Did, String)>,
}

/// What the chain says, and what follows for one channel.
#[derive(Debug, Clone, Copy)]
struct Look {
    said: ChannelOnChain,
    /// Whether the deposit that is out was used; `None` if none is out or it is too early to tell.
    used: Option<bool>,
    charged: Usdc,
}

impl Buying {
    /// Asks the seller for what is left of a channel, or a part of it. The channel is not used any more after this.
    ///
    /// # Errors
    /// `channel_unknown`; `channel_busy` while a voucher is out.
    pub async fn refund(
        &self,
        agent: &Did,
        channel: &B256,
        requirement: &PaymentRequirements,
        offer: Option<&PaymentRequired>,
    ) -> Result<PaymentPayload, SettlementError> {
        let id = *channel;
        let slot = self.close_to_calls(agent, id).await?;
        let charged = slot.base();
        let digest = self.inner.config.facts.voucher_digest(&id, charged);
        let signature = self.inner.settlement.inner.wallet.sign(agent, &digest)?;
        let voucher = pay::signed(id, charged, signature);
        let payload = BatchPayload::Refund { channel: slot.row.channel, voucher, amount: None };
        Ok(payload.into_payment(requirement.clone(), offer))
    }

    /// Asks the seller for a receipt of a channel. Nothing is stored and nothing is paid: the voucher that goes with it is over
    /// what was charged already. `corrected` is the seller's answer to the last wish, if it charged something else: it is
    /// believed for this wish if it shows our voucher over just that. `None` if it does not, or names less than it charged
    /// before.
    ///
    /// # Errors
    /// `channel_unknown`; `wallet_missing`; `rpc_down` if the chain has to be asked and does not answer.
    pub async fn receipt_wish(
        &self,
        agent: &Did,
        channel: &B256,
        requirement: &PaymentRequirements,
        offer: Option<&PaymentRequired>,
        corrected: Option<&PaymentRequired>,
    ) -> Result<Option<PaymentPayload>, SettlementError> {
        let slot = self.inner.slot(channel, |slot| slot.clone()).filter(|slot| slot.row.agent == *agent);
        let slot = slot.ok_or(SettlementError::ChannelUnknown)?;
        // what is out may never have arrived: the seller gets no voucher from us here that it does not have
        let mut charged = slot.vouchers.charged;
        if let Some(answer) = corrected {
            match self.shown(*channel, answer).await? {
                Some((said, shown)) if said == shown && said >= charged => charged = said,
                _ => return Ok(None),
            }
        }
        let digest = self.inner.config.facts.voucher_digest(channel, charged);
        let signature = self.inner.settlement.inner.wallet.sign(agent, &digest)?;
        let voucher = pay::signed(*channel, charged, signature);
        let payload = BatchPayload::Receipt { channel: slot.row.channel, voucher };
        Ok(Some(payload.into_payment(requirement.clone(), offer)))
    }

    /// The seller says that it sent back what was left: reads what the chain says, and books it. Returns what came back in
    /// all.
    ///
    /// # Errors
    /// `channel_unknown`, `rpc_down`.
    pub async fn refunded(&self, channel: &B256, _settled: &SettleResponse) -> Result<Usdc, SettlementError> {
        self.look(*channel).await?;
        self.inner.slot(channel, |slot| slot.row.returned).ok_or(SettlementError::ChannelUnknown)
    }

    /// Takes back what is not claimed without the seller's help: starts the withdrawal. [`Self::tick`] finishes it when the
    /// delay is over. The channel is not used any more after this.
    ///
    /// # Errors
    /// `channel_unknown`; `channel_busy` while a voucher is out; `rpc_down`, `chain_refused` ...
    pub async fn withdraw(&self, agent: &Did, channel: &B256) -> Result<(), SettlementError> {
        let id = *channel;
        let slot = self.close_to_calls(agent, id).await?;
        let seen = self.look(id).await?;
        let left = seen.balance.saturating_sub(seen.claimed);
        if left.is_zero() || seen.withdrawal.is_some() {
            return Ok(());
        }
        let sent = self.inner.chain.start_withdrawal(&slot.row.channel, left).await;
        let seen = self.look(id).await?;
        if seen.withdrawal.is_none() {
            sent?;
        }
        Ok(())
    }

    /// Stores that a channel is used no more.
    async fn close_to_calls(&self, agent: &Did, id: B256) -> Result<Slot, SettlementError> {
        let now = self.inner.settlement.inner.clock.now();
        let slot = self.inner.slot(&id, |slot| slot.clone()).filter(|slot| slot.row.agent == *agent);
        let slot = slot.ok_or(SettlementError::ChannelUnknown)?;
        if slot.row.standing != Standing::Open {
            return Ok(slot);
        }
        let taken = self.inner.slot(&id, |slot| {
            let free = slot.is_free(now, self.inner.config.answer_within);
            slot.taken |= free;
            free
        });
        if taken != Some(true) {
            return Err(SettlementError::ChannelBusy);
        }
        let stored = self.end(id).await;
        self.inner.slot(&id, |slot| slot.taken = false);
        self.inner.freed.notify_waiters();
        stored?;
        self.inner.slot(&id, |slot| slot.clone()).ok_or(SettlementError::ChannelUnknown)
    }

    /// A channel is used no more: no vouchers, no deposits.
    pub(super) async fn end(&self, id: B256) -> Result<(), SettlementError> {
        self.change_row(id, None, |row| row.standing = Standing::Closing).await
    }

    /// Looks after our channels: deposits that were lost on the way, charges to be booked, withdrawals to be finished, old
    /// keys to be forgotten. Call it at the chain's pace or slower.
    ///
    /// # Errors
    /// `rpc_down` ...: what was seen is booked, the next call goes on.
    pub async fn tick(&self) -> Result<ChannelTicked, SettlementError> {
        let mut ticked = ChannelTicked::default();
        let mut failed = None;
        for (id, row) in self.inner.rows() {
            let charged = self.inner.slot(&id, |slot| slot.vouchers.charged).unwrap_or_default();
            let is_full = row.deposits.len() >= MAX_DEPOSITS;
            let idle = row.standing == Standing::Open && row.pending().is_none() && row.booked >= charged && !is_full;
            if row.standing == Standing::Closed || idle {
                continue;
            }
            match self.tend(id, &row).await {
                Ok((withdrawn, closed)) => {
                    ticked.withdrawn += usize::from(withdrawn);
                    ticked.closed += usize::from(closed);
                }
                Err(error) => {
                    tracing::warn!(channel.id = %id, %error, "looking after a channel failed: {error}");
                    failed = Some(error);
                }
            }
        }
        ticked.forgotten = self.sweep().await?;
        failed.map_or(Ok(ticked), Err)
    }

    async fn tend(&self, id: B256, row: &BuyerRow) -> Result<(bool, bool), SettlementError> {
        let seen = self.look(id).await?;
        let mut withdrawn = false;
        if let Some(since) = seen.withdrawal {
            let delay = std::time::Duration::from_secs(row.channel.withdrawDelay.to::<u64>());
            if self.inner.settlement.chain_now().await? >= since.plus(delay) {
                let finished = self.inner.chain.finish_withdrawal(&row.channel).await;
                self.look(id).await?;
                withdrawn = finished?.is_some();
            }
        }
        let closed = self.inner.slot(&id, |slot| slot.row.standing == Standing::Closed).unwrap_or_default();
        Ok((withdrawn, closed))
    }

    /// Forgets keys that are older than they have to be kept. One whose answer is still waited for is kept: the same key must
    /// not pay again.
    async fn sweep(&self) -> Result<Vec<(Did, String)>, SettlementError> {
        let inner = &self.inner;
        let oldest = inner.settlement.inner.clock.now().minus(inner.config.keys_kept);
        let from = inner.swept.lock().clone();
        let from = from.as_ref().map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        let rows = inner.store.range::<BuyerKeys>(from, SWEEP)?;
        *inner.swept.lock() = rows.last().filter(|_| rows.len() == SWEEP).map(|(key, _)| key.clone());
        let mut batch = Batch::new();
        let mut forgotten = Vec::new();
        for (key, paid) in rows.into_iter().filter(|(_, paid)| paid.at < oldest) {
            let is_out = |slot: &mut Slot| slot.vouchers.in_flight.as_ref().is_some_and(|out| out.key == key.1);
            if inner.slot(&paid.channel, is_out) != Some(true) {
                batch.delete::<BuyerKeys>(&key);
                forgotten.push(key);
            }
        }
        if !forgotten.is_empty() {
            inner.store.commit(batch).await?;
        }
        Ok(forgotten)
    }

    /// Reads a channel from the chain and books what follows.
    pub(super) async fn look(&self, id: B256) -> Result<ChannelOnChain, SettlementError> {
        let inner = &self.inner;
        let _moving = inner.moving.lock().await;
        let Some(slot) = inner.slot(&id, |slot| slot.clone()) else { return Err(SettlementError::ChannelUnknown) };
        let used = match slot.row.pending() {
            None => None,
            Some(pending) => {
                let nonce = inner.config.facts.deposit_nonce(&id, pending.salt.into());
                // The time is read first: what is not used after its end never will be.
                let now = inner.settlement.chain_now().await?;
                let used = inner.chain.deposit_used(slot.row.channel.payer, nonce).await?;
                (used || now >= pending.valid_before).then_some(used)
            }
        };
        let said = inner.chain.channels(&[id]).await?.first().copied().ok_or(SettlementError::RpcDown)?;
        let look = Look { said, used, charged: slot.vouchers.charged };
        self.change_row(id, Some(look), |_| {}).await?;
        Ok(said)
    }

    async fn change_row(
        &self,
        id: B256,
        look: Option<Look>,
        edit: impl FnOnce(&mut BuyerRow) + Send + 'static,
    ) -> Result<(), SettlementError> {
        let inner = &self.inner;
        let changed = inner.settlement.change(move |inner, change| {
            let Some(before) = inner.store.get::<BuyerChannels>(&id.0)? else { return Ok(None) };
            let mut row = before.clone();
            if let Some(look) = look {
                book(change, &id, &mut row, look)?;
            }
            edit(&mut row);
            if row != before {
                change.batch.put::<BuyerChannels>(&id.0, &row)?;
            }
            Ok(Some(row))
        });
        if let Some(row) = changed.await? {
            inner.slot(&id, |slot| slot.row = row);
        }
        Ok(())
    }
}

/// Books what the chain says about a channel, measured against the stored row: each unit once.
fn book(change: &mut Change<'_>, id: &B256, row: &mut BuyerRow, look: Look) -> Result<(), SettlementError> {
    let agent = row.agent;
    if let (Some(used), Some(pending)) = (look.used, row.pending().cloned()) {
        let stage = if used { DepositStage::Confirmed } else { DepositStage::Void };
        row.deposits = with_last(&row.deposits, stage);
        let about = About { kind: EntryKind::ChannelFunded, order: None, key: Some(pending.key.clone()) };
        if used {
            let event::Fund::Funded { reserved } = change.agent(&agent).budget.fund(&pending.key) else {
                return Err(SettlementError::FactsInconsistent);
            };
            let moves = [(Account::Reserved, Side::Out, reserved), (Account::Channels, Side::In, reserved)];
            change.post(&agent, about, &moves)?;
            change.keep_reservation(&agent, &pending.key);
            change.events.push(PaymentEvent::ChannelFunded { agent, channel: *id, amount: pending.amount });
        } else if let event::Close::Closed(closed) = change.agent(&agent).budget.close(&pending.key, Usdc::ZERO) {
            change.post_release(&agent, &pending.key, closed.amount)?;
            change.keep_closed(pending.key, closed);
        }
    }
    row.seen = look.said.into();
    retire(change, row);
    let key = || format!("channel/{id}").try_into().ok();
    let paid_in = row.paid_in();
    // less than before if the chain took back what returned it, or mined a deposit again that it had taken back
    let returned = paid_in.saturating_sub(row.seen.balance);
    let (back, undone) = (returned.saturating_sub(row.returned), row.returned.saturating_sub(returned));
    let about = || About { kind: EntryKind::ChannelReturned, order: None, key: key() };
    change.post(&agent, about(), &[(Account::Channels, Side::Out, back), (Account::Available, Side::In, back)])?;
    change.post(&agent, about(), &[(Account::Channels, Side::In, undone), (Account::Available, Side::Out, undone)])?;
    if !back.is_zero() {
        change.events.push(PaymentEvent::ChannelReturned { agent, channel: *id, amount: back });
    }
    row.returned = returned;
    let nothing_left = row.seen.balance == row.seen.claimed && row.pending().is_none();
    let over = row.standing == Standing::Closing && nothing_left;
    // What is neither claimed nor returned in the end was never charged.
    let owed = look.charged.max(row.seen.claimed).min(row.seen.balance);
    let charged = if over { row.seen.claimed } else { owed.max(row.booked) };
    let (more, less) = (charged.saturating_sub(row.booked), row.booked.saturating_sub(charged));
    let about = || About { kind: EntryKind::ChannelCharged, order: None, key: key() };
    change.post(&agent, about(), &[(Account::Channels, Side::Out, more), (Account::Spent, Side::In, more)])?;
    change.post(&agent, about(), &[(Account::Channels, Side::In, less), (Account::Spent, Side::Out, less)])?;
    row.booked = charged;
    if over {
        row.standing = Standing::Closed;
        let mut spent = row.seen.claimed.saturating_sub(row.retired);
        for deposit in row.deposits.iter().filter(|deposit| deposit.stage == DepositStage::Confirmed) {
            let part = spent.min(deposit.amount);
            spent = spent.saturating_sub(part);
            if let event::Close::Closed(closed) = change.agent(&agent).budget.close(&deposit.key, part) {
                change.keep_closed(deposit.key.clone(), closed);
            }
        }
    }
    Ok(())
}

/// Takes the oldest deposits off the list that nothing more will come of: those that were claimed to the last unit, and those
/// that were never used. The newest stays, because a voucher that is out may need it.
fn retire(change: &mut Change<'_>, row: &mut BuyerRow) {
    let mut rows = row.deposits.clone().into_vec();
    while let [oldest, _, ..] = rows.as_slice() {
        if oldest.stage != DepositStage::Void {
            let gone = row.retired.checked_add(oldest.amount).filter(|gone| *gone <= row.seen.claimed);
            let Some(gone) = gone else { break };
            if let event::Close::Closed(closed) = change.agent(&row.agent).budget.close(&oldest.key, oldest.amount) {
                change.keep_closed(oldest.key.clone(), closed);
            }
            row.retired = gone;
        }
        rows.remove(0);
    }
    row.deposits = List::try_from(rows).unwrap_or_default();
}

fn with_last(deposits: &List<DepositRow, MAX_DEPOSITS>, stage: DepositStage) -> List<DepositRow, MAX_DEPOSITS> {
    let mut rows = deposits.clone().into_vec();
    if let Some(last) = rows.last_mut() {
        last.stage = stage;
    }
    List::try_from(rows).unwrap_or_default()
}
