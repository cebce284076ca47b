//! What a seller answered to a voucher: charged, corrected, or not taken.

use alloy_primitives::{Address, B256};

use haggle_base::{Did, EvmSignature, Timestamp, Usdc};
use haggle_x402::{
    BatchExtra, BatchSettled, ChannelState, PaymentRequired, PaymentRequirements, Scheme, SettleResponse, VoucherState,
    batch::code,
};

use super::{
    Buying, Paying, Slot,
    pay::{self, Signed},
};
use crate::{
    SettlementError,
    channels::records::{BuyerKeys, BuyerVouchers, InFlight, PaidRow},
};

/// How often a seller's state is believed for one key.
const CORRECTIONS: u8 = 2;

/// What to do after an answer.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub enum Next {
    /// The payment stands: this much was charged.
    Charged(Usdc),
    /// Send this one: the sum of the first was wrong, and the seller has proven it by our own signature or by the chain.
    Again(Box<Paying>),
    /// Send the same payment again a little later.
    Later,
    /// The first voucher is worth nothing any more: call [`Buying::pay`] with the same key again.
    Anew,
    /// Not taken, for good. The channel is free; the voucher may still be charged until a higher one is, so the key does not
    /// pay again.
    Over,
    /// The seller shows that it has charged this very voucher. The call is paid for; its answer is the seller's to give.
    Paid,
}

/// The voucher that a key stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaidByVoucher {
    /// On which channel.
    pub channel: B256,
    /// Who is paid from it.
    pub receiver: Address,
    /// What the voucher allows of the channel in all.
    pub max: Usdc,
    /// What the seller may charge for it, while its answer is not known here.
    pub waiting: Option<Usdc>,
    /// When it was signed.
    pub at: Timestamp,
}

impl Buying {
    /// The seller says how the payment of a key was settled.
    ///
    /// # Errors
    /// `rpc_down` if a deposit could not be looked up: say it again.
    pub async fn answered(&self, agent: &Did, key: &str, settled: &SettleResponse) -> Result<Next, SettlementError> {
        let Some((id, out)) = self.out(agent, key)? else { return Ok(Next::Over) };
        if !settled.success {
            let reason = settled.rest.get("errorReason").and_then(serde_json::Value::as_str).unwrap_or_default();
            return Ok(match reason {
                code::CHANNEL_BUSY | "settlement_pending" => Next::Later,
                _ => self.let_go(id, &out),
            });
        }
        if out.deposit || self.inner.slot(&id, |slot| slot.row.pending().is_some()) == Some(true) {
            self.look(id).await?;
        }
        let said = BatchSettled::of(settled).ok();
        let amount = said.as_ref().and_then(|said| said.charged_amount.as_ref()?.to_usdc());
        let charged = amount.unwrap_or(out.price).min(out.price);
        let base = out.max.saturating_sub(out.price);
        // It may have taken another voucher of this purchase than the newest: any sum that was signed is believed.
        let in_all = said.and_then(|said| said.channel_state?.charged_cumulative_amount?.to_usdc());
        self.inner.slot(&id, |slot| {
            if slot.vouchers.in_flight.as_ref().is_some_and(|now| now.key == out.key) {
                let in_all = in_all.filter(|in_all| *in_all <= slot.vouchers.signed);
                slot.vouchers.charged = in_all.or(base.checked_add(charged)).unwrap_or(out.max);
                slot.vouchers.in_flight = None;
            }
        });
        self.inner.freed.notify_waiters();
        Ok(Next::Charged(charged))
    }

    /// The seller answered the payment of a key with another 402.
    ///
    /// # Errors
    /// `rpc_down` if the chain has to be asked and does not answer: say it again.
    pub async fn refused(
        &self,
        agent: &Did,
        key: &str,
        requirement: &PaymentRequirements,
        answer: &PaymentRequired,
    ) -> Result<Next, SettlementError> {
        let Some((id, out)) = self.out(agent, key)? else { return Ok(Next::Over) };
        match answer.rest.get("error").and_then(serde_json::Value::as_str).unwrap_or_default() {
            code::CHANNEL_BUSY | "settlement_pending" => Ok(Next::Later),
            code::CUMULATIVE_MISMATCH | code::BELOW_CLAIMED => {
                let same = |entry: &&PaymentRequirements| {
                    entry.scheme == Scheme::BatchSettlement
                        && entry.network == requirement.network
                        && entry.pay_to.eq_ignore_ascii_case(&requirement.pay_to)
                };
                let extra = answer.accepts.iter().find(same).and_then(|entry| BatchExtra::of(entry).ok());
                let (state, proof) = extra.map_or((None, None), |extra| (extra.channel_state, extra.voucher_state));
                self.correct(agent, id, &out, requirement, answer, state, proof).await
            }
            code::EXCEEDS_BALANCE | code::CHANNEL_NOT_FOUND if !out.deposit => self.emptied(agent, id, &out).await,
            _ => Ok(self.let_go(id, &out)),
        }
    }

    /// The seller says that the channel does not hold what was signed. If the chain says so too, the channel is used no more,
    /// and nothing is paid into it again. The key pays anew elsewhere if nothing of its price is in the channel: a seller can
    /// claim a part of what a voucher allows, so what is there may still be taken for this key.
    async fn emptied(&self, agent: &Did, id: B256, out: &InFlight) -> Result<Next, SettlementError> {
        let seen = self.look(id).await?;
        if seen.balance >= out.max {
            // without a withdrawal of ours the seller has not seen yet what we see
            return Ok(if seen.withdrawal.is_none() { Next::Later } else { self.let_go(id, out) });
        }
        tracing::warn!(channel.id = %id, "a channel holds less than was signed: it was sent back, or taken back by the chain");
        self.end(id).await?;
        if seen.balance > out.max.saturating_sub(out.price) {
            return Ok(self.let_go(id, out));
        }
        self.free(id, out, None);
        self.forget(agent, &out.key).await?;
        Ok(Next::Anew)
    }

    /// No answer will come, as far as the caller can tell: others may use the channel. Until they do, the key still gives the
    /// same payment again.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn give_up(&self, agent: &Did, key: &str) -> Result<(), SettlementError> {
        if let Some((id, out)) = self.out(agent, key)? {
            self.inner.slot(&id, |slot| {
                if let Some(now) = slot.vouchers.in_flight.as_mut().filter(|now| now.key == out.key) {
                    now.since = Timestamp::ZERO;
                }
            });
            self.inner.freed.notify_waiters();
        }
        Ok(())
    }

    /// The seller refused to give back what is left, because it was charged something else: believes what it proves, as for a
    /// call. Ask for the refund again after this.
    ///
    /// # Errors
    /// `channel_unknown`; `rpc_down` if the chain has to be asked and does not answer.
    pub async fn refund_refused(&self, channel: &B256, answer: &PaymentRequired) -> Result<(), SettlementError> {
        if let Some((charged, _)) = self.shown(*channel, answer).await? {
            self.inner.slot(channel, |slot| {
                slot.vouchers.charged = charged;
                slot.vouchers.in_flight = None;
            });
        }
        Ok(())
    }

    /// What an answer proves to have been charged on a channel, and the voucher that proves it.
    pub(super) async fn shown(
        &self,
        channel: B256,
        answer: &PaymentRequired,
    ) -> Result<Option<(Usdc, Usdc)>, SettlementError> {
        let extras = answer.accepts.iter().filter_map(|entry| BatchExtra::of(entry).ok());
        let extra = extras.into_iter().find(|extra| extra.channel_state.is_some());
        let (state, proof) = extra.map_or((None, None), |extra| (extra.channel_state, extra.voucher_state));
        self.proven(channel, state, proof).await
    }

    /// The voucher of a key that is not answered.
    fn out(&self, agent: &Did, key: &str) -> Result<Option<(B256, InFlight)>, SettlementError> {
        let Some(paid) = self.inner.store.get::<BuyerKeys>(&(*agent, key.to_owned()))? else { return Ok(None) };
        let out = self.inner.slot(&paid.channel, |slot| slot.vouchers.in_flight.clone()).flatten();
        Ok(out.filter(|out| out.key == key).map(|out| (paid.channel, out)))
    }

    /// Charged nothing, as far as we know. What is stored stays as it is: the next voucher takes its place.
    fn let_go(&self, id: B256, out: &InFlight) -> Next {
        self.free(id, out, None);
        Next::Over
    }

    fn free(&self, id: B256, out: &InFlight, charged: Option<Usdc>) {
        self.inner.slot(&id, |slot| {
            if slot.vouchers.in_flight.as_ref().is_some_and(|now| now.key == out.key) {
                slot.vouchers.charged = charged.unwrap_or(slot.vouchers.charged);
                slot.vouchers.in_flight = None;
            }
        });
        self.inner.freed.notify_waiters();
    }

    /// The seller says that the channel stands elsewhere. It is believed on our own signature, or on the chain's word.
    #[expect(clippy::too_many_arguments, reason = "what was sent and what came back, each as it is")]
    async fn correct(
        &self,
        agent: &Did,
        id: B256,
        out: &InFlight,
        requirement: &PaymentRequirements,
        answer: &PaymentRequired,
        state: Option<ChannelState>,
        proof: Option<VoucherState>,
    ) -> Result<Next, SettlementError> {
        let Some(slot) = self.inner.slot(&id, |slot| slot.clone()) else { return Ok(Next::Over) };
        if out.deposit || slot.row.pending().is_some() {
            self.look(id).await?;
        }
        let Some((charged, shown)) = self.proven(id, state, proof).await? else { return Ok(self.let_go(id, out)) };
        if charged == out.max && shown == out.max {
            // the proof is this very voucher, unless another key signed the same sum before and was let go
            self.free(id, out, Some(charged));
            return Ok(if out.first { Next::Paid } else { Next::Over });
        }
        if out.corrections >= CORRECTIONS {
            self.free(id, out, Some(charged));
            return Ok(Next::Over);
        }
        let Some(slot) = self.inner.slot(&id, |slot| slot.clone()) else { return Ok(Next::Over) };
        let fits = charged.checked_add(out.price).is_some_and(|max| max <= slot.row.seen.balance);
        if !fits {
            // what was signed for this key is worth nothing if the seller holds a higher one
            self.free(id, out, Some(charged));
            if out.highest.max(out.max) > shown {
                return Ok(Next::Over);
            }
            self.forget(agent, &out.key).await?;
            return Ok(Next::Anew);
        }
        let slot = self.with_shown(slot, shown);
        let vouchers = self.next(&slot, id, &out.key, out.price, charged, Some(out))?;
        self.inner.keep(id, agent, &out.key, vouchers.clone(), None).await?;
        let slot = Slot { vouchers, ..slot };
        let Some(out) = slot.vouchers.in_flight.as_ref() else { return Ok(Next::Over) };
        Ok(Next::Again(Box::new(Signed::of(&slot, id, out).paying(requirement, Some(answer), false))))
    }

    /// What a seller proves to have charged, and the voucher that proves it: ours, over at least as much. Without a voucher
    /// it is what the chain says was claimed.
    async fn proven(
        &self,
        id: B256,
        state: Option<ChannelState>,
        proof: Option<VoucherState>,
    ) -> Result<Option<(Usdc, Usdc)>, SettlementError> {
        let (Some(state), Some(proof)) = (state, proof) else {
            let seen = self.look(id).await?;
            return Ok(Some((seen.claimed, seen.claimed)));
        };
        let authorizer = self.inner.slot(&id, |slot| slot.row.channel.payerAuthorizer);
        let authorizer = authorizer.ok_or(SettlementError::ChannelUnknown)?;
        let read = || {
            let charged = state.charged_cumulative_amount.as_ref()?.to_usdc()?;
            let shown = proof.signed_max_claimable.as_ref()?.to_usdc()?;
            let signature: EvmSignature = proof.signature.as_deref()?.parse().ok()?;
            Some((charged, shown, pay::signed(id, shown, signature)))
        };
        let Some((charged, shown, voucher)) = read() else { return Ok(None) };
        let ours = self.inner.config.facts.is_signed_by(&voucher, authorizer);
        Ok((state.channel_id == id && charged <= shown && ours).then_some((charged, shown)))
    }

    fn with_shown(&self, slot: Slot, shown: Usdc) -> Slot {
        let signed = slot.vouchers.signed.max(shown);
        Slot { vouchers: BuyerVouchers { signed, ..slot.vouchers }, ..slot }
    }

    async fn forget(&self, agent: &Did, key: &str) -> Result<(), SettlementError> {
        let mut batch = haggle_store::Batch::new();
        batch.delete::<BuyerKeys>(&(*agent, key.to_owned()));
        Ok(self.inner.store.commit(batch).await?)
    }

    /// What a key paid for on a channel, if it is remembered.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn paid(&self, agent: &Did, key: &str) -> Result<Option<PaidByVoucher>, SettlementError> {
        let paid: Option<PaidRow> = self.inner.store.get::<BuyerKeys>(&(*agent, key.to_owned()))?;
        let Some(PaidRow { at, max, channel }) = paid else { return Ok(None) };
        let found = self.inner.slot(&channel, |slot| {
            let out = slot.vouchers.in_flight.as_ref().filter(|out| out.key == key);
            (slot.row.channel.receiver, out.map(|out| out.price))
        });
        Ok(found.map(|(receiver, waiting)| PaidByVoucher { channel, receiver, max, waiting, at }))
    }
}
