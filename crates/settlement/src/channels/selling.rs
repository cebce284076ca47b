//! The seller's side: vouchers in, claims out.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    ops::Bound,
    sync::Arc,
};

use alloy_primitives::{Address, B256};
use parking_lot::{Mutex, RwLock};
use serde_json::Map;
use tokio::sync::{Notify, Semaphore, watch};

use haggle_base::{Did, EvmSignature, Hash, Timestamp, Usdc, eip712::channel::ChannelConfig};
use haggle_store::{Blobs, Store};
use haggle_x402::{
    BatchExtra, BatchPayload, BatchSettled, ChannelState, Deposit, PaymentPayload, PaymentRequirements, SettleResponse,
    SignedVoucher,
    batch::{self, PurchaseNumber, code, purchase, receipt},
};

use super::{
    config::ChannelsConfig,
    records::{HeldVoucher, SellerChannels, SellerRow, SellerVouchers},
    refusal::{Refusal, atomic},
};
use crate::{Settlement, SettlementError, ports::ChannelChain};
use slot::{Admit, Asked, AtWork, Slot};

mod charge;
mod claim;
mod deposit;
mod receipts;
mod refund;
pub(crate) mod slot;

pub use charge::Charge;
pub use claim::Ticked;

/// Channels that can pay this home at once, each behind a deposit. About 700 bytes of memory each.
const MAX_CHANNELS: usize = 100_000;
/// Strangers' channels that are looked up on the chain at once.
const LOOKUPS: usize = 4;

/// What is sold in one call.
#[derive(Debug, Clone, Copy)]
pub struct ChannelSale {
    /// Who sells.
    pub seller: Did,
    /// The price.
    pub amount: Usdc,
    /// What was asked for: method, path and body. A repeat of the payment with another request is refused.
    pub request: Hash,
}

/// What becomes of a payment.
#[derive(Debug)]
#[must_use]
pub enum Taken {
    /// It is good and nobody else is working on it: do the work, then say [`Selling::worked`].
    Work(Box<Ticket>),
    /// The work was done and paid for. The answer is there, unless its file was lost.
    Answered {
        /// What was answered.
        answer: Option<Vec<u8>>,
        /// What was said about the payment.
        settled: Box<SettleResponse>,
    },
    /// The same payment is being worked on: wait, then take it again.
    AtWork(Waiting),
    /// The payer wanted its money back, and has it. There is no work to do.
    Returned(Box<SettleResponse>),
    /// The payer wanted a receipt of the channel, which is in the settlement. There is no work to do.
    Receipt(Box<SettleResponse>),
}

/// Waits for work that somebody else is doing.
#[derive(Debug)]
pub struct Waiting(watch::Receiver<()>);

impl Waiting {
    /// Returns when the work is over, however it ended.
    pub async fn over(mut self) {
        while self.0.changed().await.is_ok() {}
    }
}

/// A voucher whose work is being done. Letting it go frees the channel, and charges nothing.
#[derive(Debug)]
#[must_use]
pub struct Ticket {
    slot: Arc<Mutex<Slot>>,
    voucher: SignedVoucher,
    sale: ChannelSale,
    purchase: Option<PurchaseNumber>,
    /// The deposit that came with it, and its transaction if it is known.
    deposit: Option<(Usdc, Option<B256>)>,
    over: Option<watch::Sender<()>>,
}

impl Ticket {
    /// The channel.
    #[must_use]
    pub const fn channel(&self) -> B256 {
        self.voucher.channel_id
    }

    /// What the voucher allows in all, which with the channel names it.
    #[must_use]
    pub fn allowed(&self) -> Usdc {
        self.voucher.max_claimable
    }

    /// Who pays.
    #[must_use]
    pub fn payer(&self) -> Address {
        self.slot.lock().row.channel.payer
    }

    /// A name for the work: the same for every voucher of a purchase that has a number, and for every copy of one that has
    /// none with the same request.
    #[must_use]
    pub fn purchase(&self) -> String {
        match self.purchase {
            Some(number) => format!("{}:p{number}", self.voucher.channel_id),
            None => format!("{}:{}:{}", self.voucher.channel_id, self.voucher.max_claimable.units(), self.sale.request),
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(over) = self.over.take() {
            self.slot.lock().at_work = None;
            drop(over);
        }
    }
}

/// A channel that pays an agent of this home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoldChannel {
    /// Its id.
    pub id: B256,
    /// Who is paid.
    pub agent: Did,
    /// Its parties and terms.
    pub channel: ChannelConfig,
    /// What the chain last said it holds.
    pub balance: Usdc,
    /// What was charged in all.
    pub charged: Usdc,
    /// What of it was claimed.
    pub claimed: Usdc,
    /// Since when the payer withdraws.
    pub withdrawal: Option<Timestamp>,
    /// The newest voucher's signature: with `charged`, the proof of what is owed.
    pub voucher: Option<EvmSignature>,
}

/// The seller's side of channels. Clones share everything.
#[derive(Clone)]
pub struct Selling {
    inner: Arc<Inner>,
}

struct Inner {
    settlement: Settlement,
    store: Store,
    chain: Arc<dyn ChannelChain>,
    /// Long answers.
    blobs: Blobs,
    config: ChannelsConfig,
    slots: RwLock<HashMap<B256, Arc<Mutex<Slot>>>>,
    /// Unclaimed value by payer.
    unclaimed: Mutex<HashMap<Address, Usdc>>,
    /// Payers whose channels are to be claimed at the next tick.
    hurried: Mutex<BTreeMap<Address, ()>>,
    hurry: Notify,
    lookups: Semaphore,
    /// Held while money moves on the chain, so that two do not claim the same.
    moving: tokio::sync::Mutex<()>,
    /// Receivers for whom something was claimed and not sent.
    unsent: Mutex<BTreeMap<Address, ()>>,
}

impl fmt::Debug for Selling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Selling").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

impl Selling {
    /// Opens the channels as they were stored. Long answers are kept in `blobs`.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn open(
        settlement: Settlement,
        chain: Arc<dyn ChannelChain>,
        blobs: Blobs,
        config: ChannelsConfig,
    ) -> Result<Self, SettlementError> {
        let store = settlement.inner.store.clone();
        let (mut slots, mut unclaimed) = (HashMap::new(), HashMap::new());
        for (id, row) in store.range::<SellerChannels>(Bound::Unbounded, usize::MAX)? {
            let held = store.get::<SellerVouchers>(&id)?;
            let slot = Slot { id: id.into(), row, held, at_work: None };
            add(&mut unclaimed, slot.row.channel.payer, slot.unclaimed());
            slots.insert(slot.id, Arc::new(Mutex::new(slot)));
        }
        let inner = Inner {
            settlement,
            store,
            chain,
            blobs,
            config,
            slots: RwLock::new(slots),
            unclaimed: Mutex::new(unclaimed),
            hurried: Mutex::default(),
            hurry: Notify::new(),
            lookups: Semaphore::new(LOOKUPS),
            moving: tokio::sync::Mutex::default(),
            unsent: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// What a call that costs `amount` is asked for, to be put into the 402.
    ///
    /// # Errors
    /// `wallet_missing` if the seller's key is not here; `order_amount_invalid` for nothing.
    pub fn requirement(&self, seller: &Did, amount: Usdc) -> Result<PaymentRequirements, SettlementError> {
        let inner = &self.inner;
        let pay_to = inner.settlement.payment_address(seller).ok_or(SettlementError::WalletMissing)?;
        let token = inner.config.facts.token();
        let extra = BatchExtra {
            receiver_authorizer: inner.chain.authorizer(),
            withdraw_delay: inner.config.withdraw_delay.as_secs(),
            min_deposit: Some(atomic(inner.config.deposit_wish(amount))),
            name: token.name.as_str().into(),
            version: token.version.as_str().into(),
            asset_transfer_method: None,
            channel_state: None,
            voucher_state: None,
            rest: [purchase::ANNOUNCED, receipt::ANNOUNCED]
                .map(|word| (word.to_owned(), true.into()))
                .into_iter()
                .collect(),
        };
        let timeout = inner.config.deposit_timeout.as_secs();
        batch::batch_requirement(&inner.config.facts, pay_to, amount, &extra, timeout)
            .map_err(|_| SettlementError::OrderAmountInvalid)
    }

    /// Decides about a payment. A voucher on a known channel is decided without the chain; a deposit is brought to the chain
    /// first; a refund is sent; a receipt is signed.
    ///
    /// # Errors
    /// A [`Refusal`], in the standard's words.
    pub async fn take(&self, sale: &ChannelSale, payment: &PaymentPayload) -> Result<Taken, Refusal> {
        let payload = BatchPayload::read(&payment.payload)?;
        let purchase = PurchaseNumber::of(&payment.payload)?;
        self.accepted(&payment.accepted)?;
        let price = payment.accepted.amount.to_usdc();
        let is_wish = matches!(payload, BatchPayload::Refund { .. } | BatchPayload::Receipt { .. });
        if !is_wish && (price != Some(sale.amount) || sale.amount.is_zero()) {
            // it may have been paid for when it cost something else
            return self
                .inner
                .answered(sale.request, &payload, purchase)
                .unwrap_or_else(|| Err(Refusal::of(code::REQUIREMENTS)));
        }
        match payload {
            BatchPayload::Voucher { channel, voucher } => {
                let slot = match self.inner.known(&channel, &voucher)? {
                    Some(slot) => slot,
                    None => self.look_up(sale, &channel, &voucher).await?,
                };
                self.inner.take_voucher(slot, sale, &voucher, purchase)
            }
            BatchPayload::Deposit { channel, voucher, deposit } => {
                self.take_deposit(sale, channel, voucher, deposit, purchase).await
            }
            BatchPayload::Refund { channel, voucher, amount } => self.refund(sale, &channel, &voucher, amount).await,
            BatchPayload::Receipt { channel, voucher } => self.inner.receipt(sale, &channel, &voucher),
        }
    }

    /// What is kept for a payment that was taken before, whatever is sold to whom by now: its answer, or the work on it that
    /// somebody does at this moment. Nothing is kept for a wish, and for what was not worked for: [`Self::take`] decides
    /// about them.
    ///
    /// # Errors
    /// A [`Refusal`] with what went wrong on our side.
    pub fn again(&self, request: Hash, payment: &PaymentPayload) -> Result<Option<Taken>, Refusal> {
        let payload = BatchPayload::read(&payment.payload).and_then(|payload| {
            let purchase = PurchaseNumber::of(&payment.payload)?;
            Ok((payload, purchase))
        });
        let Ok((payload, purchase)) = payload else { return Ok(None) };
        self.inner.answered(request, &payload, purchase).transpose()
    }

    /// The agent of this home that the channel of a payment pays: for who can sign on a channel that is known here. To
    /// anybody else it is not said whose an address is.
    #[must_use]
    pub fn seller_of(&self, payment: &PaymentPayload) -> Option<Did> {
        let payload = BatchPayload::read(&payment.payload).ok()?;
        let slot = self.inner.known(payload.channel(), payload.voucher()).ok()??;
        let (agent, authorizer) = {
            let slot = slot.lock();
            (slot.row.agent, slot.row.channel.payerAuthorizer)
        };
        self.inner.config.facts.is_signed_by(payload.voucher(), authorizer).then_some(agent)
    }

    /// The entry that the payer says it chose has to be one that is asked for here.
    fn accepted(&self, accepted: &PaymentRequirements) -> Result<(), Refusal> {
        let facts = &self.inner.config.facts;
        if accepted.network.evm_chain_id() != Some(facts.chain_id()) {
            return Err(Refusal::of(code::NETWORK_MISMATCH));
        }
        if accepted.asset.parse::<Address>().ok() != Some(facts.token().address) {
            return Err(Refusal::of(code::TOKEN_MISMATCH));
        }
        Ok(())
    }

    /// Whether a channel that was not seen before may pay the seller.
    fn acceptable(&self, sale: &ChannelSale, channel: &ChannelConfig, voucher: &SignedVoucher) -> Result<(), Refusal> {
        let inner = &self.inner;
        let facts = &inner.config.facts;
        let receiver = inner.settlement.payment_address(&sale.seller).ok_or(SettlementError::WalletMissing)?;
        let refuse = |wrong: bool, code| if wrong { Err(Refusal::of(code)) } else { Ok(()) };
        refuse(channel.receiver != receiver, code::RECEIVER_MISMATCH)?;
        refuse(channel.receiverAuthorizer != inner.chain.authorizer(), code::AUTHORIZER_MISMATCH)?;
        refuse(channel.token != facts.token().address, code::TOKEN_MISMATCH)?;
        let delay = inner.config.withdraw_delay.as_secs();
        refuse(channel.withdrawDelay.to::<u64>() != delay, code::DELAY_MISMATCH)?;
        refuse(channel.payerAuthorizer.is_zero(), code::PAYER_AUTHORIZER_MISSING)?;
        refuse(facts.id(channel) != voucher.channel_id, code::CHANNEL_ID_MISMATCH)?;
        refuse(!facts.is_signed_by(voucher, channel.payerAuthorizer), code::VOUCHER_SIGNATURE)?;
        refuse(inner.slots.read().len() >= MAX_CHANNELS, code::STATE_UNAVAILABLE)
    }

    /// The channels that pay an agent, or all of this home.
    #[must_use]
    pub fn channels(&self, agent: Option<&Did>) -> Vec<SoldChannel> {
        let slots: Vec<_> = self.inner.slots.read().values().cloned().collect();
        let view = |slot: &Arc<Mutex<Slot>>| {
            let slot = slot.lock();
            agent.is_none_or(|agent| *agent == slot.row.agent).then(|| SoldChannel {
                id: slot.id,
                agent: slot.row.agent,
                channel: slot.row.channel.clone(),
                balance: slot.row.seen.balance,
                charged: slot.charged(),
                claimed: slot.row.seen.claimed,
                withdrawal: slot.row.seen.withdrawal,
                voucher: slot.held.as_ref().map(|held| held.signature),
            })
        };
        slots.iter().filter_map(view).collect()
    }
}

impl Inner {
    /// The slot of a channel we know. Its configuration is compared, not hashed.
    fn known(&self, channel: &ChannelConfig, voucher: &SignedVoucher) -> Result<Option<Arc<Mutex<Slot>>>, Refusal> {
        let Some(slot) = self.slots.read().get(&voucher.channel_id).cloned() else { return Ok(None) };
        if slot.lock().row.channel != *channel {
            return Err(Refusal::of(code::CHANNEL_ID_MISMATCH));
        }
        Ok(Some(slot))
    }

    /// Decides about a voucher on a known channel.
    fn take_voucher(
        &self,
        slot: Arc<Mutex<Slot>>,
        sale: &ChannelSale,
        voucher: &SignedVoucher,
        purchase: Option<PurchaseNumber>,
    ) -> Result<Taken, Refusal> {
        let asked = Asked { max: voucher.max_claimable, request: sale.request, price: sale.amount, purchase };
        let authorizer = {
            let slot = slot.lock();
            if slot.row.agent != sale.seller {
                return Err(Refusal::of(code::RECEIVER_MISMATCH));
            }
            slot.row.channel.payerAuthorizer
        };
        // A refusal tells what the channel was charged, so even that is only for who can sign on it.
        if !self.config.facts.is_signed_by(voucher, authorizer) {
            return Err(Refusal::of(code::VOUCHER_SIGNATURE));
        }
        let mut open = slot.lock();
        match open.admit(&asked, Usdc::ZERO) {
            Admit::Refuse(refusal) => Err(refusal),
            Admit::AtWork(over) => Ok(Taken::AtWork(Waiting(over))),
            Admit::Repeat(held) => self.repeat(&open, &held, None),
            Admit::Work => {
                self.exposed(open.row.channel.payer, sale.amount)?;
                let over = at_work(&mut open, asked);
                drop(open);
                let ticket = Ticket { slot, voucher: *voucher, sale: *sale, purchase, deposit: None, over: Some(over) };
                Ok(Taken::Work(Box::new(ticket)))
            }
        }
    }

    /// The answer to a payment that was worked for, or is at this moment, whatever the work costs by now.
    fn answered(
        &self,
        request: Hash,
        payload: &BatchPayload,
        purchase: Option<PurchaseNumber>,
    ) -> Option<Result<Taken, Refusal>> {
        let (channel, voucher, deposit) = match payload {
            BatchPayload::Voucher { channel, voucher } => (channel, voucher, None),
            BatchPayload::Deposit { channel, voucher, deposit } => (channel, voucher, Some(deposit)),
            BatchPayload::Refund { .. } | BatchPayload::Receipt { .. } => return None,
        };
        let slot = self.known(channel, voucher).ok().flatten()?;
        let asked = Asked { max: voucher.max_claimable, request, price: Usdc::ZERO, purchase };
        let open = slot.lock();
        let held = open.held.as_ref().filter(|held| asked.is_held(held));
        let at_work = open.at_work.as_ref().filter(|at_work| asked.is_at(at_work));
        if held.is_none() && at_work.is_none() || !self.config.facts.is_signed_by(voucher, channel.payerAuthorizer) {
            return None;
        }
        match (held, at_work) {
            (Some(held), _) => Some(self.repeat(&open, held, deposit)),
            (None, at_work) => at_work.map(|at_work| Ok(Taken::AtWork(Waiting(at_work.over.clone())))),
        }
    }

    /// What was answered then, and said of the payment, with the deposit that came with it.
    fn repeat(&self, slot: &Slot, held: &HeldVoucher, deposit: Option<&Deposit>) -> Result<Taken, Refusal> {
        let tx = slot.row.deposit.and_then(|(_, tx)| tx);
        let deposited = deposit.map(|deposit| (deposit.terms.amount, tx));
        let settled = self.settled(slot, slot.charged(), Some(held.price), deposited)?;
        Ok(Taken::Answered { answer: self.answer_of(held)?, settled: Box::new(settled) })
    }

    /// Refuses what a payer would owe beyond the limit, and has its channels claimed.
    fn exposed(&self, payer: Address, price: Usdc) -> Result<(), Refusal> {
        let owed = self.unclaimed.lock().get(&payer).copied().unwrap_or_default();
        if owed.checked_add(price).is_some_and(|sum| sum <= self.config.unclaimed_per_payer) {
            return Ok(());
        }
        self.hurried.lock().insert(payer, ());
        self.hurry.notify_one();
        Err(Refusal::later(code::CHANNEL_BUSY))
    }

    /// What is said about a payment after which `in_all` is charged on the channel.
    fn settled(
        &self,
        slot: &Slot,
        in_all: Usdc,
        charged: Option<Usdc>,
        deposit: Option<(Usdc, Option<B256>)>,
    ) -> Result<SettleResponse, SettlementError> {
        let state = ChannelState { charged_cumulative_amount: Some(atomic(in_all)), ..slot.state() };
        let extra = BatchSettled { charged_amount: charged.map(atomic), channel_state: Some(state), rest: Map::new() };
        let (moved, tx) = deposit.map_or((None, None), |(amount, tx)| (Some(amount), tx));
        batch::batch_settled(&self.config.facts, slot.row.channel.payer, tx, moved, &extra)
            .map_err(|_| SettlementError::OrderAmountInvalid)
    }
}

/// Marks a voucher as being worked on; dropping what is returned ends it for those who wait.
fn at_work(slot: &mut Slot, asked: Asked) -> watch::Sender<()> {
    let (sender, over) = watch::channel(());
    slot.at_work = Some(AtWork { asked, over });
    sender
}

fn add(sums: &mut HashMap<Address, Usdc>, payer: Address, amount: Usdc) {
    if !amount.is_zero() {
        let sum = sums.entry(payer).or_default();
        *sum = sum.checked_add(amount).unwrap_or(Usdc::MAX);
    }
}

fn take_off(sums: &mut HashMap<Address, Usdc>, payer: Address, amount: Usdc) {
    if let Some(sum) = sums.get_mut(&payer) {
        *sum = sum.saturating_sub(amount);
        if sum.is_zero() {
            sums.remove(&payer);
        }
    }
}

/// The row of a channel that is new to us.
fn new_row(sale: &ChannelSale, channel: ChannelConfig) -> SellerRow {
    SellerRow { agent: sale.seller, channel, seen: super::records::Seen::default(), deposit: None, returning: None }
}
