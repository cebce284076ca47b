//! Channels that are new to us: a deposit brought to the chain, or a channel that was funded elsewhere.

use std::{sync::Arc, time::Duration};

use alloy_primitives::B256;
use parking_lot::Mutex;

use haggle_base::eip712::channel::ChannelConfig;
use haggle_x402::{
    Deposit, SignedVoucher,
    batch::{PurchaseNumber, code},
};

use super::{Admit, Asked, ChannelSale, Selling, Slot, Taken, Ticket, Waiting, at_work, new_row};
use crate::{
    SettlementError,
    channels::{
        records::{Seen, SellerChannels, WithdrawalsRead},
        refusal::Refusal,
    },
    ports::{ChainError, ChannelOnChain},
};

/// Time that has to be left to bring a deposit to the chain.
const TO_SUBMIT: Duration = Duration::from_secs(6);

impl Selling {
    /// A channel with money in it that we never saw, or forgot: takes it up as the chain has it.
    pub(super) async fn look_up(
        &self,
        sale: &ChannelSale,
        channel: &ChannelConfig,
        voucher: &SignedVoucher,
    ) -> Result<Arc<Mutex<Slot>>, Refusal> {
        self.acceptable(sale, channel, voucher)?;
        let inner = &self.inner;
        let _lookup = inner.lookups.try_acquire().map_err(|_| Refusal::later(code::CHANNEL_BUSY))?;
        let seen = inner.seen(voucher.channel_id).await?;
        if seen.balance.is_zero() {
            return Err(Refusal::of(code::CHANNEL_NOT_FOUND));
        }
        let slot = self.slot_of(sale, channel, voucher.channel_id).await?;
        self.update(vec![(voucher.channel_id, Some(seen))], |_, _| {}).await?;
        Ok(slot)
    }

    /// The slot of a channel; a new one is stored first.
    async fn slot_of(
        &self,
        sale: &ChannelSale,
        channel: &ChannelConfig,
        id: B256,
    ) -> Result<Arc<Mutex<Slot>>, SettlementError> {
        if let Some(slot) = self.inner.slots.read().get(&id).cloned() {
            return Ok(slot);
        }
        // Withdrawals are watched from the first channel on.
        let watched = match self.inner.store.get::<WithdrawalsRead>(&())? {
            Some(read) => read,
            None => self.inner.chain.withdrawals(None).await?.1,
        };
        let stored = new_row(sale, channel.clone());
        let row = self.inner.settlement.change(move |inner, change| {
            if !inner.store.contains::<WithdrawalsRead>(&())? {
                change.batch.put::<WithdrawalsRead>(&(), &watched)?;
            }
            if let Some(row) = inner.store.get::<SellerChannels>(&id.0)? {
                return Ok(row);
            }
            change.batch.put::<SellerChannels>(&id.0, &stored)?;
            Ok(stored)
        });
        let slot = Arc::new(Mutex::new(Slot { id, row: row.await?, held: None, at_work: None }));
        Ok(Arc::clone(self.inner.slots.write().entry(id).or_insert(slot)))
    }

    pub(super) async fn take_deposit(
        &self,
        sale: &ChannelSale,
        channel: ChannelConfig,
        voucher: SignedVoucher,
        deposit: Deposit,
        purchase: Option<PurchaseNumber>,
    ) -> Result<Taken, Refusal> {
        let inner = Arc::clone(&self.inner);
        let id = voucher.channel_id;
        let slot = match inner.known(&channel, &voucher)? {
            Some(slot) => slot,
            None => {
                self.acceptable(sale, &channel, &voucher)?;
                self.check_deposit(sale, &channel, &id, &deposit).await?;
                let seen = inner.seen(id).await?;
                if seen.balance.is_zero()
                    && inner.settlement.inner.chain.balance(channel.payer).await? < deposit.terms.amount
                {
                    return Err(Refusal::of(code::DEPOSIT_FAILED));
                }
                let slot = self.slot_of(sale, &channel, id).await?;
                self.update(vec![(id, Some(seen))], |_, _| {}).await?;
                slot
            }
        };
        if slot.lock().row.agent != sale.seller {
            return Err(Refusal::of(code::RECEIVER_MISMATCH));
        }
        if !inner.config.facts.is_signed_by(&voucher, channel.payerAuthorizer) {
            return Err(Refusal::of(code::VOUCHER_SIGNATURE));
        }
        let asked = Asked { max: voucher.max_claimable, request: sale.request, price: sale.amount, purchase };
        let admitted = slot.lock().admit(&asked, deposit.terms.amount);
        match admitted {
            Admit::Refuse(refusal) => return Err(refusal),
            Admit::AtWork(over) => return Ok(Taken::AtWork(Waiting(over))),
            Admit::Repeat(held) => {
                let open = slot.lock();
                return inner.repeat(&open, &held, Some(&deposit));
            }
            Admit::Work => {}
        }
        self.check_deposit(sale, &channel, &id, &deposit).await?;
        let over = {
            let mut open = slot.lock();
            match open.admit(&asked, deposit.terms.amount) {
                Admit::Work => {
                    inner.exposed(open.row.channel.payer, sale.amount)?;
                    at_work(&mut open, asked)
                }
                Admit::AtWork(over) => return Ok(Taken::AtWork(Waiting(over))),
                Admit::Refuse(refusal) => return Err(refusal),
                Admit::Repeat(held) => return inner.repeat(&open, &held, Some(&deposit)),
            }
        };
        let mut ticket = Box::new(Ticket { slot, voucher, sale: *sale, purchase, deposit: None, over: Some(over) });
        let this = self.clone();
        // Runs to its end also if the caller goes away: what was sent is followed, and the channel is freed after it.
        let brought = tokio::spawn(async move {
            let tx = match this.bring(id, &channel, &deposit).await {
                Ok(tx) => tx,
                Err(refusal) => {
                    // nobody else is at work on it until the ticket goes
                    this.forget_if_empty(&ticket.slot, id).await?;
                    return Err(refusal);
                }
            };
            let open = ticket.slot.lock();
            if asked.max > open.row.seen.balance || open.row.seen.withdrawal.is_some() {
                return Err(Refusal::of(code::EXCEEDS_BALANCE));
            }
            drop(open);
            ticket.deposit = Some((deposit.terms.amount, tx));
            Ok(Taken::Work(ticket))
        });
        brought.await.map_err(|_| SettlementError::Stopped)?
    }

    /// A channel that never held anything leaves no row: strangers could fill the table with them.
    async fn forget_if_empty(&self, slot: &Mutex<Slot>, id: B256) -> Result<(), SettlementError> {
        let inner = &self.inner;
        let is_empty = {
            let slot = slot.lock();
            slot.held.is_none() && slot.row.seen == Seen::default() && slot.row.returning.is_none()
        };
        if !is_empty {
            return Ok(());
        }
        // what the chain has by now counts, not what was read before: the deposit's answer may have been lost
        if inner.seen(id).await? != ChannelOnChain::default() {
            return Ok(());
        }
        let gone = inner.settlement.change(move |_, change| {
            change.batch.delete::<SellerChannels>(&id.0);
            Ok(())
        });
        gone.await?;
        inner.slots.write().remove(&id);
        Ok(())
    }

    async fn check_deposit(
        &self,
        sale: &ChannelSale,
        channel: &ChannelConfig,
        id: &B256,
        deposit: &Deposit,
    ) -> Result<(), Refusal> {
        let config = &self.inner.config;
        if deposit.terms.amount < config.deposit_least(sale.amount) {
            return Err(Refusal::of(code::DEPOSIT_TOO_SMALL));
        }
        let digest = config.facts.deposit_digest(channel.payer, id, &deposit.terms);
        if deposit.signature.verify(&digest, channel.payer).is_err() {
            return Err(Refusal::of(code::DEPOSIT_SIGNATURE));
        }
        let now = self.inner.settlement.chain_now().await?;
        if deposit.terms.valid_before < now.plus(TO_SUBMIT) {
            // an expired one may be in the channel already; then it is as good as any
            let nonce = config.facts.deposit_nonce(id, deposit.terms.salt);
            let used = self.inner.chain.deposit_used(channel.payer, nonce).await?;
            return if used { Ok(()) } else { Err(Refusal::of(code::DEPOSIT_EXPIRED)) };
        }
        if deposit.terms.valid_after > now {
            return Err(Refusal::of(code::DEPOSIT_EARLY));
        }
        Ok(())
    }

    /// Brings a deposit to the chain and reads the channel again. The transaction is unknown if it was there before.
    async fn bring(&self, id: B256, channel: &ChannelConfig, deposit: &Deposit) -> Result<Option<B256>, Refusal> {
        let inner = &self.inner;
        let nonce = inner.config.facts.deposit_nonce(&id, deposit.terms.salt);
        let before = self.update(vec![(id, None)], move |_, row| {
            if row.deposit.is_none_or(|(known, _)| known != nonce) {
                row.deposit = Some((nonce, None));
            }
        });
        before.await?;
        let tx = match inner.chain.deposit(channel, deposit).await {
            Ok(tx) => tx.map(|tx| tx.hash),
            Err(ChainError::Refused { reason }) => {
                tracing::info!(channel.id = %id, %reason, "the chain refused a deposit: {reason}");
                return Err(Refusal::of(code::DEPOSIT_FAILED));
            }
            Err(error) => return Err(Refusal { code: code::CHANNEL_BUSY, later: true, ..error.into() }),
        };
        let seen = inner.seen(id).await?;
        let known = self.update(vec![(id, Some(seen))], move |_, row| {
            if tx.is_some() {
                row.deposit = Some((nonce, tx));
            }
        });
        known.await?;
        let slot = inner.slots.read().get(&id).cloned();
        Ok(slot.and_then(|slot| slot.lock().row.deposit).and_then(|(_, tx)| tx))
    }
}

impl super::Inner {
    /// What the chain says about one channel.
    pub(super) async fn seen(&self, id: B256) -> Result<crate::ports::ChannelOnChain, ChainError> {
        let said = self.chain.channels(&[id]).await?;
        said.first().copied().ok_or(ChainError::Down)
    }
}
