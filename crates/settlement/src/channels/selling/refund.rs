//! A payer asks for what is left: what it owes is claimed, the rest is sent back.

use haggle_base::{Usdc, eip712::channel::ChannelConfig};
use haggle_x402::{SettleResponse, SignedVoucher, batch::code};

use super::{Asked, ChannelSale, Inner, Selling, Slot, Taken, Ticket, at_work};
use crate::{
    SettlementError,
    channels::{records::Returning, refusal::Refusal},
    ports::ChainError,
};

impl Selling {
    pub(super) async fn refund(
        &self,
        sale: &ChannelSale,
        channel: &ChannelConfig,
        voucher: &SignedVoucher,
        wanted: Option<Usdc>,
    ) -> Result<Taken, Refusal> {
        let inner = &self.inner;
        let slot = match inner.known(channel, voucher)? {
            Some(slot) => slot,
            None => self.look_up(sale, channel, voucher).await?,
        };
        if !inner.config.facts.is_signed_by(voucher, channel.payerAuthorizer) {
            return Err(Refusal::of(code::VOUCHER_SIGNATURE));
        }
        let over = {
            let mut open = slot.lock();
            if open.row.agent != sale.seller {
                return Err(Refusal::of(code::RECEIVER_MISMATCH));
            }
            if open.at_work.is_some() {
                return Err(Refusal::later(code::CHANNEL_BUSY));
            }
            if voucher.max_claimable != open.charged() {
                return Err(Refusal::with(code::CUMULATIVE_MISMATCH, (open.state(), open.proof())));
            }
            let (max, request, price) = (voucher.max_claimable, sale.request, sale.amount);
            at_work(&mut open, Asked { max, request, price, purchase: None })
        };
        // Frees the channel when it is dropped.
        let ticket = Ticket { slot, voucher: *voucher, sale: *sale, purchase: None, deposit: None, over: Some(over) };
        let (this, channel) = (self.clone(), channel.clone());
        // Runs to its end also if the caller goes away.
        let returned = tokio::spawn(async move { this.give_back(&ticket, &channel, wanted).await });
        let settled = returned.await.map_err(|_| SettlementError::Stopped)??;
        Ok(Taken::Returned(Box::new(settled)))
    }

    async fn give_back(
        &self,
        ticket: &Ticket,
        channel: &ChannelConfig,
        wanted: Option<Usdc>,
    ) -> Result<SettleResponse, Refusal> {
        let inner = &self.inner;
        let (id, charged) = (ticket.voucher.channel_id, ticket.voucher.max_claimable);
        let _moving = inner.moving.lock().await;
        self.read_again(&[id]).await?;
        if let Some(done) = inner.returned(&ticket.slot.lock(), charged, wanted) {
            return Ok(done?);
        }
        // The voucher of a refund can be read on the chain once it is claimed, so anybody may send it: gas is spent on one
        // refund for each sum that was charged, and not on crumbs.
        let was_done = {
            let slot = ticket.slot.lock();
            slot.row.returning.is_some_and(|known| known.charged == charged && slot.row.seen.refunds > known.refunds)
        };
        if was_done || wanted.is_some_and(|wanted| wanted < inner.config.claim_at_least) {
            return Err(Refusal::of(code::REFUND_NOTHING));
        }
        self.claim_one(id).await?;
        let (left, refunds) = {
            let slot = ticket.slot.lock();
            (slot.row.seen.balance.saturating_sub(charged), slot.row.seen.refunds)
        };
        let amount = wanted.map_or(left, |wanted| wanted.min(left));
        if amount.is_zero() {
            return Err(Refusal::of(code::REFUND_NOTHING));
        }
        let decided = Returning { charged, wanted, amount, refunds, tx: None };
        self.update(vec![(id, None)], move |_, row| row.returning = Some(decided)).await?;
        let sent = inner.chain.refund(channel, amount).await;
        let seen = inner.seen(id).await?;
        let tx = sent.as_ref().ok().map(|tx| tx.hash);
        let decided = Returning { tx, ..decided };
        self.update(vec![(id, Some(seen))], move |_, row| row.returning = Some(decided)).await?;
        let done = inner.returned(&ticket.slot.lock(), charged, wanted);
        match (done, sent) {
            (Some(done), _) => Ok(done?),
            (None, Err(ChainError::Refused { .. })) => Err(Refusal::of(code::REFUND_FAILED)),
            (None, _) => Err(Refusal::later(code::CHANNEL_BUSY)),
        }
    }
}

impl Inner {
    /// The answer to a refund that the chain shows to have happened.
    fn returned(
        &self,
        slot: &Slot,
        charged: Usdc,
        wanted: Option<Usdc>,
    ) -> Option<Result<SettleResponse, SettlementError>> {
        let known = slot.row.returning.filter(|known| {
            known.charged == charged && known.wanted == wanted && slot.row.seen.refunds > known.refunds
        })?;
        Some(self.settled(slot, slot.charged(), None, Some((known.amount, known.tx))))
    }
}
