//! The handle: what the rest of the node asks of settlement.

use std::{fmt, ops::Bound, sync::Arc};

use alloy_primitives::Address;
use tokio::sync::{Mutex, broadcast};

use haggle_base::{
    Clock, Did, EvmSignature, Order, OrderId, Timestamp, Usdc,
    eip712::{Refund, Release, digest},
};
use haggle_store::Store;
use haggle_x402::{EscrowFacts, deposit_of};

use crate::{
    SettlementConfig, SettlementError,
    books::{Books, Change},
    budget::{Limits, ReservationKey, command, event},
    events::PaymentEvent,
    facts::{ClosedOrder, OrderFacts, SettledFact},
    ledger::{About, Account, Accounts, Entry, EntryKind, Side},
    payment::{Payment, PaymentState},
    ports::{Chain, OnChain, Wallet},
    records::{CursorRow, Deposits, Facts, FactsByOrder, Ledger, Payments},
};

/// Events kept for a subscriber that is behind; a slower one is told that it missed some.
const EVENTS: usize = 1024;
/// Facts of one order: funded, delivered, disputed, countered, settled, and room for what the chain says twice.
const FACTS_OF_ORDER: usize = 16;
/// How often a reservation reads the balance again because the chain moved meanwhile.
const BALANCE_READS: usize = 3;

/// Where an order stands on the chain, and what its events said as far as they were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnChainState {
    /// At the latest block.
    pub status: OnChain,
    /// Up to the cursor, which may be behind the latest block.
    pub facts: OrderFacts,
}

/// One agent's wallet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalletView {
    /// The payment address.
    pub address: Address,
    /// What the chain says it holds.
    pub on_chain: Usdc,
    /// What of it is set aside for orders that are not funded.
    pub reserved: Usdc,
    /// What is left for new orders.
    pub available: Usdc,
    /// The limits.
    pub limits: Limits,
    /// What counts against the limit of this day.
    pub committed_today: Usdc,
    /// The ledger's accounts.
    pub accounts: Accounts,
}

/// The handle of settlement. Clones share everything.
#[derive(Clone)]
pub struct Settlement {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) config: SettlementConfig,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) chain: Arc<dyn Chain>,
    pub(crate) wallet: Arc<dyn Wallet>,
    pub(crate) books: Mutex<Books>,
    /// Held while the chain is followed, so that two callers do not read the same blocks.
    pub(crate) following: Mutex<()>,
    events: broadcast::Sender<PaymentEvent>,
}

impl fmt::Debug for Settlement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settlement").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

impl Settlement {
    /// Opens the books as they were stored. A rewind that was cut short is finished first.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn open(
        store: Store,
        config: SettlementConfig,
        clock: Arc<dyn Clock>,
        chain: Arc<dyn Chain>,
        wallet: Arc<dyn Wallet>,
    ) -> Result<Self, SettlementError> {
        let cursor = store.get::<CursorRow>(&())?.unwrap_or(config.start);
        let books = Books::load(&store, config.limits, cursor)?;
        let (events, _) = broadcast::channel(EVENTS);
        let inner =
            Inner { store, config, clock, chain, wallet, books: Mutex::new(books), following: Mutex::new(()), events };
        let settlement = Self { inner: Arc::new(inner) };
        settlement.undo_beyond_cursor().await?;
        Ok(settlement)
    }

    /// Decides on a change under the lock, stores it, and only then believes and tells it.
    ///
    /// Runs to its end also if the caller goes away, so that memory never falls behind the store.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        decide: impl FnOnce(&Inner, &mut Change<'_>) -> Result<T, SettlementError> + Send + 'static,
    ) -> Result<T, SettlementError> {
        let inner = Arc::clone(&self.inner);
        let change = tokio::spawn(async move {
            let mut books = inner.books.lock().await;
            let mut change = Change::new(&books, &inner.store, inner.clock.now());
            let answer = decide(&inner, &mut change)?;
            let ready = change.finish()?;
            if !ready.batch.is_empty() {
                inner.store.commit(ready.batch).await?;
            }
            ready.memory.remember(&mut books);
            for event in ready.events {
                inner.tell(event);
            }
            Ok(answer)
        });
        change.await.map_err(|_| SettlementError::Stopped)?
    }

    /// The agent's payment address, if its key is in this home.
    #[must_use]
    pub fn payment_address(&self, agent: &Did) -> Option<Address> {
        self.inner.wallet.address(agent)
    }

    /// The chain, escrow and token that money moves on.
    #[must_use]
    pub fn escrow(&self) -> &EscrowFacts {
        &self.inner.config.escrow
    }

    /// What happens to money from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<PaymentEvent> {
        self.inner.events.subscribe()
    }

    /// Sets `total` aside for one order, within the agent's limits and what its wallet holds. Asking for the same again
    /// changes nothing.
    ///
    /// # Errors
    /// `budget_per_call`, `budget_per_day`, `insufficient_funds`, `reservation_taken`, `rpc_down` ...
    pub async fn reserve(&self, key: &str, agent: &Did, total: Usdc) -> Result<(), SettlementError> {
        let (agent, key) = (*agent, reservation_key(key)?);
        let address = self.payment_address(&agent).ok_or(SettlementError::WalletMissing)?;
        for read in 1.. {
            let moved = self.inner.books.lock().await.chain_changes;
            let balance = self.inner.chain.balance(address).await?;
            let key = key.clone();
            let reserved = self.change(move |inner, change| {
                if change.chain_changes() != moved && read < BALANCE_READS {
                    return Ok(false);
                }
                reserve_now(inner, change, key, agent, total, balance)?;
                Ok(true)
            });
            if reserved.await? {
                break;
            }
        }
        Ok(())
    }

    /// Frees a reservation that cannot be used any more: nothing was signed on it, or what was signed can no longer be
    /// funded. One that does not exist is free already.
    ///
    /// # Errors
    /// `already_authorised` if a payment was signed on it that can still be used, or was: only the chain can end it now.
    pub async fn cancel_reservation(&self, key: &str) -> Result<(), SettlementError> {
        let key = reservation_key(key)?;
        let cancelled = self.cancel_unsigned(key.clone()).await;
        if let Err(SettlementError::AlreadyAuthorised { order }) = cancelled {
            self.abandon_if_over(order).await?;
            return self.cancel_unsigned(key).await;
        }
        cancelled
    }

    async fn cancel_unsigned(&self, key: ReservationKey) -> Result<(), SettlementError> {
        self.change(move |_, change| {
            let Some(agent) = change.reservation_row(&key)?.map(|row| row.agent) else { return Ok(()) };
            match change.agent(&agent).budget.cancel(&key) {
                event::Cancel::NotOpen => Ok(()),
                event::Cancel::Signed { order } => Err(SettlementError::AlreadyAuthorised { order }),
                event::Cancel::Cancelled { amount } => {
                    change.post_release(&agent, &key, amount)?;
                    change.keep_reservation(&agent, &key);
                    Ok(())
                }
            }
        })
        .await
    }

    /// The provider's signature over an order: it consents to be bound by it.
    ///
    /// # Errors
    /// `wallet_missing`, or `not_a_party` if the order names another provider.
    pub fn sign_order(&self, agent: &Did, order: &Order) -> Result<EvmSignature, SettlementError> {
        self.own(agent, order.provider)?;
        Ok(self.inner.wallet.sign(agent, self.escrow().order_id(order).as_b256())?)
    }

    /// The buyer's payment of an order, on its reservation. The signature is stored before it is returned; the same order
    /// gives the same signature again, another order on the same reservation is refused for ever.
    ///
    /// # Errors
    /// `already_authorised`, `reservation_unknown`, `reservation_expired`, `reservation_too_small`, `budget_per_call`,
    /// `budget_per_day`, `not_a_party` ...
    pub async fn authorise(&self, key: &str, agent: &Did, order: &Order) -> Result<EvmSignature, SettlementError> {
        self.own(agent, order.buyer)?;
        let (key, agent, order) = (reservation_key(key)?, *agent, order.clone());
        self.change(move |inner, change| authorise_now(inner, change, key, agent, &order)).await
    }

    /// The buyer's word that the provider is to be paid. Only for an order this node has paid for.
    ///
    /// # Errors
    /// `order_unknown`, `not_a_party`, `wallet_missing`.
    pub fn sign_release(&self, agent: &Did, order: &Order) -> Result<EvmSignature, SettlementError> {
        self.own(agent, order.buyer)?;
        let id = self.escrow().order_id(order);
        let payment = self.payment(&id)?.ok_or(SettlementError::OrderUnknown)?;
        if payment.agent != *agent {
            return Err(SettlementError::NotParty);
        }
        let release = Release { orderId: *id.as_b256() };
        Ok(self.inner.wallet.sign(agent, &digest(&release, self.escrow().escrow_domain()))?)
    }

    /// The provider's word that the buyer is to get everything back.
    ///
    /// # Errors
    /// `not_a_party`, `wallet_missing`.
    pub fn sign_refund(&self, agent: &Did, order: &Order) -> Result<EvmSignature, SettlementError> {
        self.own(agent, order.provider)?;
        let refund = Refund { orderId: *self.escrow().order_id(order).as_b256() };
        Ok(self.inner.wallet.sign(agent, &digest(&refund, self.escrow().escrow_domain()))?)
    }

    /// Where the order stands at the latest block, and what its events said.
    ///
    /// # Errors
    /// `rpc_down`.
    pub async fn on_chain(&self, order: &Order) -> Result<OnChainState, SettlementError> {
        let status = self.inner.chain.status(order).await?;
        Ok(OnChainState { status, facts: self.facts_of(&self.escrow().order_id(order))? })
    }

    /// The latest block's time: what the order's deadlines are compared with.
    ///
    /// # Errors
    /// `rpc_down`.
    pub async fn chain_now(&self) -> Result<Timestamp, SettlementError> {
        Ok(self.inner.chain.now().await?)
    }

    /// What the agent can still spend: the chain's balance less reservations.
    ///
    /// # Errors
    /// `wallet_missing`, `rpc_down`.
    pub async fn balance(&self, agent: &Did) -> Result<Usdc, SettlementError> {
        Ok(self.wallet(agent).await?.available)
    }

    /// The agent's whole wallet.
    ///
    /// # Errors
    /// `wallet_missing`, `rpc_down`.
    pub async fn wallet(&self, agent: &Did) -> Result<WalletView, SettlementError> {
        let address = self.payment_address(agent).ok_or(SettlementError::WalletMissing)?;
        let on_chain = self.inner.chain.balance(address).await?;
        let now = self.inner.clock.now();
        let books = self.inner.books.lock().await;
        let (budget, accounts) = match books.agents.get(agent) {
            Some(own) => (own.budget.clone(), own.accounts),
            None => (crate::budget::Budget::new(books.limits), Accounts::default()),
        };
        let reserved = budget.held();
        Ok(WalletView {
            address,
            on_chain,
            reserved,
            available: on_chain.saturating_sub(reserved),
            limits: budget.limits(),
            committed_today: budget.committed_on_day_of(now),
            accounts,
        })
    }

    /// What stands on an agent's accounts, without a question to the chain.
    pub async fn accounts(&self, agent: &Did) -> Accounts {
        let books = self.inner.books.lock().await;
        books.agents.get(agent).map_or_else(Accounts::default, |own| own.accounts)
    }

    /// Gives an agent limits of its own, which stand before the config's from now on. Payments that are signed already
    /// stand.
    ///
    /// # Errors
    /// The store failed.
    pub async fn set_limits(&self, agent: &Did, limits: Limits) -> Result<(), SettlementError> {
        let agent = *agent;
        self.change(move |_, change| {
            let books = change.agent(&agent);
            books.budget.set_limits(limits);
            books.own_limits = Some(limits);
            Ok(())
        })
        .await
    }

    /// Books money that came in from outside, such as from the devnet's faucet. The same name is booked once.
    ///
    /// # Errors
    /// `ledger_refused` for more than the ledger holds.
    pub async fn record_deposit(&self, agent: &Did, name: &str, amount: Usdc) -> Result<(), SettlementError> {
        let (agent, name) = (*agent, reservation_key(name)?);
        self.change(move |inner, change| {
            let row = (agent, name.as_str().to_owned());
            if inner.store.contains::<Deposits>(&row)? {
                return Ok(());
            }
            change.batch.put::<Deposits>(&row, &amount)?;
            let about = About { kind: EntryKind::Deposited, order: None, key: None };
            change.post(&agent, about, &[(Account::Outside, Side::Out, amount), (Account::Available, Side::In, amount)])
        })
        .await
    }

    /// Confirms that an order ended as the caller believes. Its reservation and ledger were closed by the chain's own
    /// fact, in the transaction that stored the fact; if that was not read yet it is read now.
    ///
    /// # Errors
    /// `order_not_settled` (retry), `settlement_mismatch` if the chain says otherwise, `rpc_down`.
    pub async fn settled(&self, order: &OrderId, end: ClosedOrder) -> Result<SettledFact, SettlementError> {
        if self.facts_of(order)?.settled.is_none() {
            self.follow_once().await?;
        }
        let fact = self.facts_of(order)?.settled.ok_or(SettlementError::NotSettled)?;
        if end == (ClosedOrder { closed_by: fact.closed_by, paid: fact.paid, fee: fact.fee }) {
            Ok(fact)
        } else {
            Err(SettlementError::SettlementMismatch)
        }
    }

    /// The payment this node signed for an order.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn payment(&self, order: &OrderId) -> Result<Option<Payment>, SettlementError> {
        Ok(self.inner.store.get::<Payments>(order)?)
    }

    /// The state of the payment this node signed for an order.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn payment_state(&self, order: &OrderId) -> Result<Option<PaymentState>, SettlementError> {
        Ok(self.payment(order)?.map(|payment| payment.state))
    }

    /// What the chain said about an order, as far as it was read. Any order on the escrow, not only this node's.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn facts_of(&self, order: &OrderId) -> Result<OrderFacts, SettlementError> {
        let mut facts = OrderFacts::default();
        for ((_, block, index), _) in self.inner.store.prefix::<FactsByOrder>(order.as_bytes(), FACTS_OF_ORDER)? {
            if let Some(fact) = self.inner.store.get::<Facts>(&(block, index))? {
                facts.add(fact);
            }
        }
        Ok(facts)
    }

    /// Orders that ended, oldest first, from just after `after` (block and log index), of the next `limit` facts.
    /// The second value is where to go on; it is `None` at the end.
    ///
    /// # Errors
    /// The store cannot be read.
    #[expect(clippy::type_complexity, reason = "a page and where the next one begins")]
    pub fn settled_orders(
        &self,
        after: Option<(u64, u32)>,
        limit: usize,
    ) -> Result<(Vec<SettledFact>, Option<(u64, u32)>), SettlementError> {
        let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let facts = self.inner.store.range::<Facts>(from, limit)?;
        let next = if facts.len() < limit { None } else { facts.last().map(|(place, _)| *place) };
        let settled = facts.into_iter().filter_map(|(_, fact)| match fact {
            crate::facts::Fact::Settled(settled) => Some(settled),
            _ => None,
        });
        Ok((settled.collect(), next))
    }

    /// The agent's ledger, newest first: entries numbered below `before`, at most `limit`.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn history(
        &self,
        agent: &Did,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<(u64, Entry)>, SettlementError> {
        let end = (*agent, before.unwrap_or(u64::MAX));
        let rows = self.inner.store.range_back::<Ledger>(Bound::Excluded(&end), limit)?;
        Ok(rows
            .into_iter()
            .take_while(|((owner, _), _)| owner == agent)
            .map(|((_, number), entry)| (number, entry))
            .collect())
    }

    /// Checks that the agent's key is here and that it is the one the order names.
    pub(crate) fn own(&self, agent: &Did, address: Address) -> Result<(), SettlementError> {
        match self.payment_address(agent) {
            None => Err(SettlementError::WalletMissing),
            Some(own) if own == address => Ok(()),
            Some(_) => Err(SettlementError::NotParty),
        }
    }
}

impl Inner {
    /// Tells the subscribers, if there are any.
    pub(crate) fn tell(&self, event: PaymentEvent) {
        tracing::debug!(?event, "payment event");
        drop(self.events.send(event));
    }
}

/// Checks and shortens a caller's key.
pub(crate) fn reservation_key(key: &str) -> Result<ReservationKey, SettlementError> {
    ReservationKey::try_from(key).map_err(|_| SettlementError::ReservationKeyInvalid)
}

pub(crate) fn reserve_now(
    inner: &Inner,
    change: &mut Change<'_>,
    key: ReservationKey,
    agent: Did,
    amount: Usdc,
    balance: Usdc,
) -> Result<(), SettlementError> {
    change.expire(&agent)?;
    let row = change.reservation_row(&key)?;
    if row.is_some_and(|row| row.agent != agent || change.agent(&agent).budget.reservation(&key).is_none()) {
        return Err(SettlementError::ReservationTaken);
    }
    let now = change.now();
    let lives = inner.config.reservation_lives;
    let command = command::Reserve { key: key.clone(), agent, amount, lives, balance };
    match change.agent(&agent).budget.reserve(command, now) {
        event::Reserve::AlreadyHeld => Ok(()),
        event::Reserve::KeyTaken => Err(SettlementError::ReservationTaken),
        event::Reserve::NothingToReserve => Err(SettlementError::NothingToReserve),
        event::Reserve::TooManyOpen => Err(SettlementError::TooManyReservations),
        event::Reserve::OverPerCall { limit } => Err(SettlementError::BudgetPerCall { limit }),
        event::Reserve::OverPerDay { limit, left } => Err(SettlementError::BudgetPerDay { limit, left }),
        event::Reserve::InsufficientFunds { available } => Err(SettlementError::InsufficientFunds { available }),
        event::Reserve::Held => {
            let about = About { kind: EntryKind::Reserved, order: None, key: Some(key.clone()) };
            let moves = [(Account::Available, Side::Out, amount), (Account::Reserved, Side::In, amount)];
            change.post(&agent, about, &moves)?;
            change.keep_reservation(&agent, &key);
            change.events.push(PaymentEvent::Reserved { agent, key, amount });
            Ok(())
        }
    }
}

fn authorise_now(
    inner: &Inner,
    change: &mut Change<'_>,
    key: ReservationKey,
    agent: Did,
    order: &Order,
) -> Result<EvmSignature, SettlementError> {
    let escrow = &inner.config.escrow;
    let id = escrow.order_id(order);
    let deposit = deposit_of(order).map_err(|_| SettlementError::OrderAmountInvalid)?;
    if let Some(payment) = change.payment(&id)? {
        let same = payment.key == key && payment.agent == agent;
        return if same { Ok(payment.signature) } else { Err(SettlementError::AlreadyAuthorised { order: id }) };
    }
    let now = change.now();
    let command = command::Authorise { key: key.clone(), order: id, deposit };
    match change.agent(&agent).budget.authorise(&command, now) {
        event::Authorise::OtherOrder { order } => Err(SettlementError::AlreadyAuthorised { order }),
        event::Authorise::AlreadyGranted => Err(SettlementError::AlreadyAuthorised { order: id }),
        event::Authorise::Expired => Err(SettlementError::ReservationExpired),
        event::Authorise::OverReserved { reserved } => Err(SettlementError::ReservationTooSmall { reserved }),
        event::Authorise::OverPerCall { limit } => Err(SettlementError::BudgetPerCall { limit }),
        event::Authorise::OverPerDay { limit, left } => Err(SettlementError::BudgetPerDay { limit, left }),
        event::Authorise::Unknown => match change.reservation_row(&key)?.and_then(|row| row.order()) {
            Some(order) => Err(SettlementError::AlreadyAuthorised { order }),
            None => Err(SettlementError::ReservationUnknown),
        },
        event::Authorise::Granted => {
            let digest = escrow.deposit_digest(order).map_err(|_| SettlementError::OrderAmountInvalid)?;
            let signature = inner.wallet.sign(&agent, &digest)?;
            change.keep_reservation(&agent, &key);
            change.put_payment(Payment {
                order: id,
                key,
                agent,
                deposit,
                fund_by: Timestamp::from_u40(order.fundBy),
                authorised_at: now,
                signature,
                signed: order.clone(),
                state: PaymentState::Authorised,
                funded: None,
                settled: None,
            });
            change.events.push(PaymentEvent::Authorised { agent, order: id, deposit });
            Ok(signature)
        }
    }
}

#[cfg(test)]
mod tests;
