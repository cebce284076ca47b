//! Choosing a channel and signing a voucher on it, stored before it leaves.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use alloy_primitives::{B256, aliases::U40, keccak256};

use haggle_base::{Did, EvmSignature, List, OrderId, Timestamp, Usdc, eip712::channel::ChannelConfig};
use haggle_store::{Batch, StoreError};
use haggle_x402::{
    BatchPayload, DepositTerms, PaymentRequired, PaymentRequirements, SignedVoucher, batch::PurchaseNumber,
};

use super::{Buying, Inner, Pair, Paying, Slot, Wanted};
use crate::{
    SettlementError,
    budget::{command, event},
    channels::records::{
        BuyerChannels, BuyerKeys, BuyerRow, BuyerSigned, BuyerVouchers, DepositRow, DepositStage, InFlight,
        MAX_DEPOSITS, PaidRow, Seen, Standing,
    },
    handle::reservation_key,
};

/// Longest key of a caller, in bytes.
const MAX_KEY: usize = 256;
/// Salts that are tried for a new channel, in case the home was restored from an old copy.
const SALTS: u64 = 64;

/// How long a payment waits for a free channel before it looks at the clock again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A free channel, held for a moment; dropping it lets others have it.
struct Hold {
    inner: Arc<Inner>,
    id: B256,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.inner.slot(&self.id, |slot| slot.taken = false);
        self.inner.freed.notify_waiters();
    }
}

/// A place for one more channel of a pair.
struct Place {
    inner: Arc<Inner>,
    pair: Pair,
    /// How many there are already.
    others: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(opening) = self.inner.memory.lock().opening.get_mut(&self.pair) {
            *opening = opening.saturating_sub(1);
        }
        self.inner.freed.notify_waiters();
    }
}

enum Choice {
    Use(Hold),
    Fill(Hold),
    Open(Place),
    Wait,
    /// No channel will come free that could pay.
    Full,
}

impl Buying {
    /// Pays what is asked on a channel with its receiver: on a free one with enough in it, else by filling one up, else by
    /// opening one within the agent's budget, else it waits until one comes free. The voucher is stored before this returns.
    ///
    /// The same key gives the same payment again, as long as it is not known how the first one ended, over the price of then.
    ///
    /// # Errors
    /// `payment_key_used` if the key has paid, or may have; `channel_terms`; `channels_full`; the budget's errors if a deposit is needed and
    /// not allowed; `rpc_down` ...
    pub async fn pay(
        &self,
        agent: &Did,
        key: &str,
        requirement: &PaymentRequirements,
        offer: Option<&PaymentRequired>,
    ) -> Result<Paying, SettlementError> {
        self.pay_beside(agent, key, requirement, offer, Batch::new()).await
    }

    /// As [`Buying::pay`], and stores `beside` in the commit that stores the voucher, if one is signed now.
    ///
    /// # Errors
    /// As [`Buying::pay`].
    pub async fn pay_beside(
        &self,
        agent: &Did,
        key: &str,
        requirement: &PaymentRequirements,
        offer: Option<&PaymentRequired>,
        beside: Batch,
    ) -> Result<Paying, SettlementError> {
        let wanted = Wanted { beside, ..self.wanted(agent, requirement)? };
        if key.is_empty() || key.len() > MAX_KEY {
            return Err(SettlementError::ReservationKeyInvalid);
        }
        let (mut may_open, mut refused) = (true, None);
        loop {
            let freed = self.inner.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            let choice = match self.inner.store.get::<BuyerKeys>(&(*agent, key.to_owned()))? {
                Some(paid) => match self.again(key, &paid, requirement, offer)? {
                    Some(again) => return Ok(again),
                    None => Choice::Wait,
                },
                None => self.choose(&wanted, may_open),
            };
            let tried = match choice {
                Choice::Wait => {
                    // a channel comes free by a word, or by the clock when its answer is overdue
                    let _woken = tokio::time::timeout(LOOK_AGAIN, freed).await;
                    continue;
                }
                Choice::Full => return Err(refused.unwrap_or(SettlementError::ChannelsFull)),
                Choice::Use(hold) => self.voucher(&hold, key, &wanted).await,
                Choice::Fill(hold) => self.fill(hold, key, &wanted).await,
                Choice::Open(place) => self.open_channel(place, key, &wanted).await,
            };
            match tried {
                Ok(signed) => return Ok(signed.paying(requirement, offer, false)),
                // somebody else paid with this key meanwhile
                Err(SettlementError::Store(StoreError::Precondition { .. }) | SettlementError::KeyUsed) => {
                    if self.inner.store.get::<BuyerKeys>(&(*agent, key.to_owned()))?.is_none() {
                        return Err(SettlementError::KeyUsed);
                    }
                }
                // no more money for a deposit: another channel may come free
                Err(error) if is_budget(&error) && may_open && self.inner.is_any_busy(&wanted) => {
                    (may_open, refused) = (false, Some(error));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The payment a key stands for, as it was stored; its channel waits for its answer again. `None` while somebody else
    /// is at the channel.
    fn again(
        &self,
        key: &str,
        paid: &PaidRow,
        requirement: &PaymentRequirements,
        offer: Option<&PaymentRequired>,
    ) -> Result<Option<Paying>, SettlementError> {
        let now = self.inner.settlement.inner.clock.now();
        let shown = self.inner.slot(&paid.channel, |slot| {
            let out = slot.vouchers.in_flight.as_mut().filter(|out| out.key == key)?;
            if !slot.taken {
                out.since = now;
            }
            Some(slot.clone())
        });
        let slot = shown.flatten().ok_or(SettlementError::KeyUsed)?;
        let out = slot.vouchers.in_flight.as_ref().ok_or(SettlementError::KeyUsed)?;
        if slot.taken {
            return Ok(None);
        }
        // whatever it costs by now: this is what it was asked for, and a seller that took it answers it
        let then = PaymentRequirements { amount: out.price.into(), ..requirement.clone() };
        Ok(Some(Signed::of(&slot, paid.channel, out).paying(&then, offer, true)))
    }

    fn choose(&self, wanted: &Wanted, may_open: bool) -> Choice {
        let inner = &self.inner;
        let now = inner.settlement.inner.clock.now();
        let mut memory = inner.memory.lock();
        let open = memory.open_of(&wanted.pair);
        let free = |slot: &Slot| slot.is_free(now, inner.config.answer_within);
        let enough = open.iter().find(|(_, slot)| free(slot) && slot.left() >= wanted.price);
        let fillable = open
            .iter()
            .find(|(_, slot)| free(slot) && slot.row.pending().is_none() && slot.row.deposits.len() < MAX_DEPOSITS);
        let hold = |id| Hold { inner: Arc::clone(inner), id };
        let (choice, taken) = match (enough, fillable) {
            (Some((id, _)), _) => (Choice::Use(hold(*id)), Some(*id)),
            (None, Some((id, _))) if may_open => (Choice::Fill(hold(*id)), Some(*id)),
            (None, _) => {
                let others = open.len() + memory.opening.get(&wanted.pair).copied().unwrap_or_default();
                if may_open && others < inner.config.channels_per_pair {
                    *memory.opening.entry(wanted.pair.clone()).or_default() += 1;
                    let place = Place { inner: Arc::clone(inner), pair: wanted.pair.clone(), others };
                    return Choice::Open(place);
                }
                let is_opening = memory.opening.get(&wanted.pair).is_some_and(|opening| *opening > 0);
                let may_help = |slot: &Slot| slot.is_busy(now, inner.config.answer_within);
                let waits = is_opening || open.iter().any(|(_, slot)| may_help(slot));
                (if waits { Choice::Wait } else { Choice::Full }, None)
            }
        };
        if let Some(slot) = taken.and_then(|id| memory.slots.get_mut(&id)) {
            slot.taken = true;
        }
        choice
    }

    /// Signs the next voucher of a channel that has enough.
    async fn voucher(&self, hold: &Hold, key: &str, wanted: &Wanted) -> Result<Signed, SettlementError> {
        let slot = self.inner.slot(&hold.id, |slot| slot.clone()).ok_or(SettlementError::ChannelUnknown)?;
        let vouchers = self.next(&slot, hold.id, key, wanted.price, slot.base(), None)?;
        let beside = Some(wanted.beside.clone());
        self.inner.keep(hold.id, &wanted.pair.agent, key, vouchers.clone(), beside).await?;
        let slot = Slot { vouchers, ..slot };
        let out = slot.vouchers.in_flight.as_ref().ok_or(SettlementError::ChannelUnknown)?;
        Ok(Signed::of(&slot, hold.id, out))
    }

    /// The vouchers of a channel with one more, over `base` and the price: for a new purchase, or to correct the one that is out.
    pub(super) fn next(
        &self,
        slot: &Slot,
        id: B256,
        key: &str,
        price: Usdc,
        base: Usdc,
        corrected: Option<&InFlight>,
    ) -> Result<BuyerVouchers, SettlementError> {
        let max = base.checked_add(price).ok_or(SettlementError::OrderAmountInvalid)?;
        let digest = self.inner.config.facts.voucher_digest(&id, max);
        let signature = self.inner.settlement.inner.wallet.sign(&slot.row.agent, &digest)?;
        let since = self.inner.settlement.inner.clock.now();
        let purchase = match corrected {
            Some(out) => out.purchase,
            None => PurchaseNumber::after(slot.vouchers.purchase, since),
        };
        let out = InFlight {
            key: key.to_owned(),
            max,
            price,
            signature,
            purchase,
            since,
            deposit: false,
            first: max > slot.vouchers.signed,
            highest: corrected.map_or(max, |out| out.highest.max(max)),
            corrections: corrected.map_or(0, |out| out.corrections.saturating_add(1)),
        };
        Ok(BuyerVouchers {
            charged: base,
            signed: slot.vouchers.signed.max(max),
            purchase: purchase.or(slot.vouchers.purchase),
            in_flight: Some(out),
        })
    }

    async fn fill(&self, hold: Hold, key: &str, wanted: &Wanted) -> Result<Signed, SettlementError> {
        let slot = self.inner.slot(&hold.id, |slot| slot.clone()).ok_or(SettlementError::ChannelUnknown)?;
        let missing = wanted.price.saturating_sub(slot.left());
        let amount = self.affordable(wanted, missing, 0).await?;
        self.deposit(hold.id, slot.row, slot.vouchers, key, wanted, amount).await
    }

    async fn open_channel(&self, place: Place, key: &str, wanted: &Wanted) -> Result<Signed, SettlementError> {
        let amount = self.affordable(wanted, wanted.price, place.others).await?;
        let channel = self.new_channel(wanted).await?;
        let id = self.inner.config.facts.id(&channel);
        let row = BuyerRow {
            agent: wanted.pair.agent,
            channel,
            standing: Standing::Open,
            seen: Seen::default(),
            deposits: List::new(),
            retired: Usdc::ZERO,
            booked: Usdc::ZERO,
            returned: Usdc::ZERO,
        };
        let opened = self.deposit(id, row, BuyerVouchers::default(), key, wanted, amount).await;
        drop(place);
        opened
    }

    /// What is paid in: what the seller would like, within what the operator and the budget allow. Each further channel with
    /// the same receiver gets half as much as the one before, but never less than what is needed.
    async fn affordable(&self, wanted: &Wanted, needed: Usdc, others: usize) -> Result<Usdc, SettlementError> {
        let config = &self.inner.config;
        let wallet = self.inner.settlement.wallet(&wanted.pair.agent).await?;
        let today = wallet.limits.per_day.saturating_sub(wallet.committed_today);
        let may = wallet.limits.per_call.min(today).min(wallet.available).min(config.deposit_at_most);
        let wish = wanted.wish.unwrap_or_else(|| config.deposit_wish(wanted.price));
        let share = wish.units() >> others.min(4);
        Ok(Usdc::from_units(share).min(may).max(needed))
    }

    /// A channel that the chain has never heard of.
    async fn new_channel(&self, wanted: &Wanted) -> Result<ChannelConfig, SettlementError> {
        let (inner, pair) = (&self.inner, &wanted.pair);
        let first = inner.memory.lock().pairs.get(pair).map_or(0, Vec::len) as u64;
        let now = inner.settlement.inner.clock.now().as_millis();
        for number in first..first + SALTS {
            let made = inner.made.fetch_add(1, Ordering::Relaxed);
            let seed = format!("haggle channel {} {} {number} {now} {made}", pair.agent, pair.receiver);
            let channel = ChannelConfig {
                payer: wanted.payer,
                payerAuthorizer: wanted.payer,
                receiver: pair.receiver,
                receiverAuthorizer: pair.authorizer,
                token: inner.config.facts.token().address,
                withdrawDelay: U40::from(pair.delay),
                salt: keccak256(seed),
            };
            let id = inner.config.facts.id(&channel);
            let unknown = !inner.memory.lock().slots.contains_key(&id);
            if unknown && inner.chain.channels(&[id]).await?.first() == Some(&crate::ports::ChannelOnChain::default()) {
                return Ok(channel);
            }
        }
        Err(SettlementError::ChannelUnknown)
    }

    /// Signs a deposit and the voucher that goes with it, on a reservation of its own, and stores both.
    async fn deposit(
        &self,
        id: B256,
        mut row: BuyerRow,
        vouchers: BuyerVouchers,
        key: &str,
        wanted: &Wanted,
        amount: Usdc,
    ) -> Result<Signed, SettlementError> {
        let (inner, agent) = (&self.inner, wanted.pair.agent);
        // no two are the same: each deposit adds to the list, and leaves it for the sum
        let number = format!("{}+{}", row.deposits.len(), row.retired.units());
        let now = inner.settlement.inner.clock.now();
        let valid_before = inner.settlement.chain_now().await?.plus(wanted.timeout);
        let salt = keccak256(format!("haggle deposit {id} {number} {}", now.as_millis()));
        let name = format!("channel/{id}/{number}/{}", now.as_millis());
        inner.settlement.reserve(&name, &agent, amount).await?;
        let reservation = reservation_key(&name)?;
        let terms = DepositTerms { amount, valid_after: Timestamp::ZERO, valid_before, salt: salt.into() };
        let digest = inner.config.facts.deposit_digest(wanted.payer, &id, &terms);
        let signature = inner.settlement.inner.wallet.sign(&agent, &digest)?;
        let stage = DepositStage::Signed;
        let deposit = DepositRow { key: reservation.clone(), amount, valid_before, salt, signature, stage };
        row.deposits.push(deposit).map_err(|_| SettlementError::ChannelUnknown)?;
        let slot = Slot { row, vouchers, taken: false };
        let mut vouchers = self.next(&slot, id, key, wanted.price, slot.base(), None)?;
        if let Some(out) = &mut vouchers.in_flight {
            out.deposit = true;
        }
        let nonce = OrderId::new(inner.config.facts.deposit_nonce(&id, salt.into()));
        let (row, signed, paid) = (slot.row.clone(), vouchers.clone(), PaidRow::new(id, &vouchers, now));
        let paid_key = (agent, key.to_owned());
        let beside = wanted.beside.clone();
        let stored = inner.settlement.change(move |inner, change| {
            if inner.store.contains::<BuyerKeys>(&paid_key)? {
                return Err(SettlementError::KeyUsed);
            }
            let at = change.now();
            let command = command::Authorise { key: reservation.clone(), order: nonce, deposit: amount };
            granted(change.agent(&agent).budget.authorise(&command, at))?;
            change.keep_reservation(&agent, &reservation);
            change.batch.put::<BuyerChannels>(&id.0, &row)?;
            change.batch.put::<BuyerSigned>(&id.0, &signed)?;
            change.batch.extend(beside);
            change.batch.require_absent::<BuyerKeys>(&paid_key).put::<BuyerKeys>(&paid_key, &paid)?;
            Ok(())
        });
        if let Err(error) = stored.await {
            inner.settlement.cancel_reservation(&name).await?;
            return Err(error);
        }
        let slot = Slot { vouchers, ..slot };
        let out = slot.vouchers.in_flight.as_ref().ok_or(SettlementError::ChannelUnknown)?;
        let signed = Signed::of(&slot, id, out);
        inner.memory.lock().keep(id, slot);
        Ok(signed)
    }
}

impl PaidRow {
    pub(super) fn new(channel: B256, vouchers: &BuyerVouchers, at: Timestamp) -> Self {
        let max = vouchers.in_flight.as_ref().map_or(vouchers.charged, |out| out.max);
        Self { channel, max, at }
    }
}

impl Inner {
    /// Stores what was signed on a channel, and for which key, and only then believes it. A key's first voucher comes with
    /// what is to be stored beside it.
    pub(super) async fn keep(
        self: &Arc<Self>,
        id: B256,
        agent: &Did,
        key: &str,
        vouchers: BuyerVouchers,
        beside: Option<Batch>,
    ) -> Result<(), SettlementError> {
        let now = self.settlement.inner.clock.now();
        let paid_key = (*agent, key.to_owned());
        let mut batch = Batch::new();
        if let Some(beside) = beside {
            batch.extend(beside).require_absent::<BuyerKeys>(&paid_key);
        }
        batch.put::<BuyerKeys>(&paid_key, &PaidRow::new(id, &vouchers, now))?;
        batch.put::<BuyerSigned>(&id.0, &vouchers)?;
        let inner = Arc::clone(self);
        // Runs to its end also if the caller goes away, so that memory never falls behind the store.
        let stored = tokio::spawn(async move {
            inner.store.commit(batch).await?;
            inner.slot(&id, |slot| slot.vouchers = vouchers);
            Ok(())
        });
        stored.await.map_err(|_| SettlementError::Stopped)?
    }

    /// Whether waiting for a channel of the pair can help.
    fn is_any_busy(&self, wanted: &Wanted) -> bool {
        let now = self.settlement.inner.clock.now();
        let memory = self.memory.lock();
        let open = memory.open_of(&wanted.pair);
        open.iter().any(|(_, slot)| !slot.is_free(now, self.config.answer_within) && slot.left() >= wanted.price)
    }
}

/// The voucher that is out on a channel, to be sent.
pub(super) struct Signed {
    channel: B256,
    payload: BatchPayload,
    deposit: Option<Usdc>,
    purchase: Option<PurchaseNumber>,
}

impl Signed {
    pub(super) fn of(slot: &Slot, id: B256, out: &InFlight) -> Self {
        let voucher = signed(id, out.max, out.signature);
        let channel = slot.row.channel.clone();
        let (payload, deposit) = match slot.row.deposits.last().filter(|_| out.deposit) {
            Some(row) => (BatchPayload::Deposit { channel, voucher, deposit: row.to_wire() }, Some(row.amount)),
            None => (BatchPayload::Voucher { channel, voucher }, None),
        };
        Self { channel: id, payload, deposit, purchase: out.purchase }
    }

    /// The payment of what is asked for.
    pub(super) fn paying(
        self,
        requirement: &PaymentRequirements,
        offer: Option<&PaymentRequired>,
        again: bool,
    ) -> Paying {
        let mut payment = self.payload.into_payment(requirement.clone(), offer);
        if let Some(purchase) = self.purchase {
            purchase.attach(&mut payment);
        }
        Paying { payment, channel: self.channel, deposit: self.deposit, again }
    }
}

pub(super) const fn signed(channel_id: B256, max_claimable: Usdc, signature: EvmSignature) -> SignedVoucher {
    SignedVoucher { channel_id, max_claimable, signature }
}

fn granted(event: event::Authorise) -> Result<(), SettlementError> {
    match event {
        event::Authorise::Granted => Ok(()),
        event::Authorise::AlreadyGranted => Err(SettlementError::KeyUsed),
        event::Authorise::OtherOrder { order } => Err(SettlementError::AlreadyAuthorised { order }),
        event::Authorise::Unknown => Err(SettlementError::ReservationUnknown),
        event::Authorise::Expired => Err(SettlementError::ReservationExpired),
        event::Authorise::OverReserved { reserved } => Err(SettlementError::ReservationTooSmall { reserved }),
        event::Authorise::OverPerCall { limit } => Err(SettlementError::BudgetPerCall { limit }),
        event::Authorise::OverPerDay { limit, left } => Err(SettlementError::BudgetPerDay { limit, left }),
    }
}

fn is_budget(error: &SettlementError) -> bool {
    matches!(
        error,
        SettlementError::BudgetPerCall { .. }
            | SettlementError::BudgetPerDay { .. }
            | SettlementError::InsufficientFunds { .. }
            | SettlementError::TooManyReservations
    )
}
