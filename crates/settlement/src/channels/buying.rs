//! The payer's side: channels within the agent's budget, one voucher at a time on each.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    ops::Bound,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use alloy_primitives::{Address, B256};
use parking_lot::Mutex;
use tokio::sync::Notify;

use haggle_base::{Did, Timestamp, Usdc, eip712::channel::ChannelConfig};
use haggle_store::{Batch, Store};
use haggle_x402::{
    BatchExtra, PaymentFlow, PaymentPayload, PaymentRequirements,
    batch::{MAX_WITHDRAW_DELAY, MIN_WITHDRAW_DELAY},
};

use super::{
    config::ChannelsConfig,
    records::{BuyerChannels, BuyerRow, BuyerSigned, BuyerVouchers, Standing},
};
use crate::{Settlement, SettlementError, ports::ChannelChain};

mod answer;
mod money;
mod pay;

pub use answer::{Next, PaidByVoucher};
pub use money::ChannelTicked;

/// A payment that is stored and may leave.
#[derive(Debug, Clone, PartialEq)]
pub struct Paying {
    /// To be sent as it is.
    pub payment: PaymentPayload,
    /// On which channel.
    pub channel: B256,
    /// What is paid into the channel with it.
    pub deposit: Option<Usdc>,
    /// Whether it was stored before: the same bytes may have left already.
    pub again: bool,
}

/// A channel that an agent of this home pays with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoughtChannel {
    /// Its id.
    pub id: B256,
    /// Who pays.
    pub agent: Did,
    /// Its parties and terms.
    pub channel: ChannelConfig,
    /// What the chain last said it holds.
    pub balance: Usdc,
    /// What the seller charged, as far as we know.
    pub charged: Usdc,
    /// The highest voucher ever signed: the most that can be owed.
    pub signed: Usdc,
    /// Since when our withdrawal is under way.
    pub withdrawal: Option<Timestamp>,
    /// Whether it may still be used.
    pub open: bool,
    /// Whether nothing is left in it.
    pub closed: bool,
}

/// Whom a channel is with, and on what terms.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Pair {
    agent: Did,
    receiver: Address,
    authorizer: Address,
    delay: u64,
}

/// What a seller asks for, checked.
#[derive(Debug, Clone)]
struct Wanted {
    pair: Pair,
    payer: Address,
    price: Usdc,
    /// What it would like to see deposited.
    wish: Option<Usdc>,
    /// How long a deposit's authorisation should be good.
    timeout: Duration,
    /// What the caller stores together with the voucher.
    beside: Batch,
}

/// One channel, in memory.
#[derive(Debug, Clone)]
struct Slot {
    row: BuyerRow,
    vouchers: BuyerVouchers,
    /// Somebody is preparing a voucher on it.
    taken: bool,
}

impl Slot {
    /// What the next voucher builds on. One whose answer never came is taken for charged: if it was not, the seller says so
    /// and proves it, and no other key ever signs the same sum.
    fn base(&self) -> Usdc {
        self.vouchers.in_flight.as_ref().map_or(self.vouchers.charged, |out| out.max)
    }

    /// What can still be charged.
    fn left(&self) -> Usdc {
        self.row.seen.balance.saturating_sub(self.base())
    }

    /// Whether it may soon be free again, or get a deposit: somebody is at it, an answer is being waited for, or a deposit is
    /// on its way.
    fn is_busy(&self, now: Timestamp, answer_within: Duration) -> bool {
        let waiting = self.vouchers.in_flight.as_ref().is_some_and(|out| now.since(out.since) < answer_within);
        self.taken || waiting || self.row.pending().is_some()
    }

    /// Whether a voucher may be signed on it: nobody else is at it, and no answer is being waited for.
    fn is_free(&self, now: Timestamp, answer_within: Duration) -> bool {
        let waiting = self.vouchers.in_flight.as_ref().is_some_and(|out| now.since(out.since) < answer_within);
        self.row.standing == Standing::Open && self.row.seen.withdrawal.is_none() && !self.taken && !waiting
    }
}

#[derive(Debug, Default)]
struct Memory {
    slots: HashMap<B256, Slot>,
    pairs: HashMap<Pair, Vec<B256>>,
    /// Channels that are being opened.
    opening: HashMap<Pair, usize>,
}

/// The payer's side of channels. Clones share everything.
#[derive(Clone)]
pub struct Buying {
    inner: Arc<Inner>,
}

struct Inner {
    settlement: Settlement,
    store: Store,
    chain: Arc<dyn ChannelChain>,
    config: ChannelsConfig,
    memory: Mutex<Memory>,
    /// A channel came free.
    freed: Notify,
    /// Held while rows are changed after what the chain says.
    moving: tokio::sync::Mutex<()>,
    /// Channels made since the start, so that two made at once differ.
    made: AtomicU64,
    /// Where the sweep of old keys goes on.
    swept: Mutex<Option<(Did, String)>>,
}

impl fmt::Debug for Buying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buying").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

impl Buying {
    /// Opens the channels as they were stored. A channel whose voucher was out when the node stopped waits for that voucher's
    /// key to pay again, as long as for an answer: the seller may have charged it, and keeps only its newest answer. Say
    /// [`Buying::give_up`] for each of [`Buying::unanswered`] that is not going to.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn open(
        settlement: Settlement,
        chain: Arc<dyn ChannelChain>,
        config: ChannelsConfig,
    ) -> Result<Self, SettlementError> {
        let store = settlement.inner.store.clone();
        let mut memory = Memory::default();
        let now = settlement.inner.clock.now();
        for (id, row) in store.range::<BuyerChannels>(Bound::Unbounded, usize::MAX)? {
            let mut vouchers = store.get::<BuyerSigned>(&id)?.unwrap_or_default();
            if let Some(out) = &mut vouchers.in_flight {
                out.since = now;
            }
            memory.keep(id.into(), Slot { row, vouchers, taken: false });
        }
        let inner = Inner {
            settlement,
            store,
            chain,
            config,
            memory: Mutex::new(memory),
            freed: Notify::new(),
            moving: tokio::sync::Mutex::default(),
            made: AtomicU64::new(0),
            swept: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The channels an agent pays with, or all of this home, also closed ones.
    #[must_use]
    pub fn channels(&self, agent: Option<&Did>) -> Vec<BoughtChannel> {
        let memory = self.inner.memory.lock();
        let ours = memory.slots.iter().filter(|(_, slot)| agent.is_none_or(|agent| *agent == slot.row.agent));
        ours.map(|(id, slot)| BoughtChannel {
            id: *id,
            agent: slot.row.agent,
            channel: slot.row.channel.clone(),
            balance: slot.row.seen.balance,
            charged: slot.vouchers.charged,
            signed: slot.vouchers.signed,
            withdrawal: slot.row.seen.withdrawal,
            open: slot.row.standing == Standing::Open,
            closed: slot.row.standing == Standing::Closed,
        })
        .collect()
    }

    /// The keys whose vouchers are out, as far as is stored: an answer is not, so some may have been answered before the node
    /// was started.
    #[must_use]
    pub fn unanswered(&self) -> Vec<(Did, String)> {
        let memory = self.inner.memory.lock();
        let out = memory.slots.values().filter_map(|slot| Some((slot.row.agent, slot.vouchers.in_flight.as_ref()?)));
        out.map(|(agent, out)| (agent, out.key.clone())).collect()
    }

    /// Whether an agent has an open channel with a receiver.
    #[must_use]
    pub fn has_channel(&self, agent: &Did, receiver: &Address) -> bool {
        let memory = self.inner.memory.lock();
        let open = |slot: &Slot| slot.row.standing == Standing::Open && slot.row.channel.receiver == *receiver;
        memory.slots.values().any(|slot| slot.row.agent == *agent && open(slot))
    }

    /// Whether this node could pay what is asked, apart from whether it may.
    ///
    /// # Errors
    /// `channel_terms` says what it does not agree to; `wallet_missing`.
    pub fn could_pay(&self, agent: &Did, requirement: &PaymentRequirements) -> Result<(), SettlementError> {
        self.wanted(agent, requirement).map(|_| ())
    }

    fn wanted(&self, agent: &Did, requirement: &PaymentRequirements) -> Result<Wanted, SettlementError> {
        let config = &self.inner.config;
        let terms = |what| SettlementError::ChannelTerms { what };
        let payer = self.inner.settlement.payment_address(agent).ok_or(SettlementError::WalletMissing)?;
        let extra = BatchExtra::of(requirement).map_err(|_| terms("its extra is not that of a channel"))?;
        if requirement.flow() != PaymentFlow::Authorization {
            return Err(terms("its payment flow is not `authorization`"));
        }
        if extra.asset_transfer_method.as_deref().is_some_and(|method| method != "eip3009") {
            return Err(terms("its deposits are not by EIP-3009"));
        }
        if requirement.network.evm_chain_id() != Some(config.facts.chain_id()) {
            return Err(terms("it is on another chain"));
        }
        if requirement.asset.parse::<Address>().ok() != Some(config.facts.token().address) {
            return Err(terms("it asks for another token"));
        }
        let receiver = requirement.pay_to.parse::<Address>().map_err(|_| terms("its receiver is no address"))?;
        if receiver.is_zero() || extra.receiver_authorizer.is_zero() || receiver == payer {
            return Err(terms("its receiver or receiver authoriser cannot be"));
        }
        let delay = extra.withdraw_delay;
        let longest = config.withdraw_delay_at_most.as_secs().min(MAX_WITHDRAW_DELAY);
        if !(MIN_WITHDRAW_DELAY..=longest).contains(&delay) {
            return Err(terms("its withdraw delay is too short or too long"));
        }
        let price = requirement.amount.to_usdc().filter(|price| !price.is_zero());
        let price = price.ok_or_else(|| terms("its price is zero or too large"))?;
        Ok(Wanted {
            pair: Pair { agent: *agent, receiver, authorizer: extra.receiver_authorizer, delay },
            payer,
            price,
            wish: extra.min_deposit.as_ref().and_then(haggle_x402::Atomic::to_usdc),
            timeout: Duration::from_secs(requirement.max_timeout_seconds.clamp(60, 3_600)),
            beside: Batch::new(),
        })
    }
}

impl Memory {
    fn keep(&mut self, id: B256, slot: Slot) {
        let channel = &slot.row.channel;
        let pair = Pair {
            agent: slot.row.agent,
            receiver: channel.receiver,
            authorizer: channel.receiverAuthorizer,
            delay: channel.withdrawDelay.to::<u64>(),
        };
        let ids = self.pairs.entry(pair).or_default();
        if !ids.contains(&id) {
            ids.push(id);
        }
        self.slots.insert(id, slot);
    }

    /// The open channels of a pair, fullest first.
    fn open_of(&self, pair: &Pair) -> Vec<(B256, &Slot)> {
        let ids = self.pairs.get(pair).map(Vec::as_slice).unwrap_or_default();
        let slots = ids.iter().filter_map(|id| self.slots.get(id).map(|slot| (*id, slot)));
        let mut open: Vec<_> = slots.filter(|(_, slot)| slot.row.standing == Standing::Open).collect();
        open.sort_by_key(|(id, slot)| (std::cmp::Reverse(slot.left()), *id));
        open
    }
}

impl Inner {
    fn slot<T>(&self, id: &B256, look: impl FnOnce(&mut Slot) -> T) -> Option<T> {
        self.memory.lock().slots.get_mut(id).map(look)
    }

    /// The rows of many channels, sorted so that every run goes through them alike.
    fn rows(&self) -> BTreeMap<B256, BuyerRow> {
        self.memory.lock().slots.iter().map(|(id, slot)| (*id, slot.row.clone())).collect()
    }
}
