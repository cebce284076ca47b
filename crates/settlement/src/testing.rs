//! A small market for the tests of this room: an escrow in memory, Alice and Bob in one home, and a clock moved by hand.

use std::{collections::HashMap, sync::Arc, time::Duration};

use alloy_primitives::{Address, B256, U256, aliases::U96};
use async_trait::async_trait;
use tokio::sync::Mutex;

use haggle_base::{
    ClosedBy, Did, EvmSignature, Hash, ManualClock, Order, OrderId, PaymentKey, Seed, Text, Timestamp, TokenFacts,
    Usdc, eip712::FLAG_FEE_ON_TOP,
};
use haggle_store::Store;
use haggle_x402::{EscrowFacts, deposit_of, exact::Transfer};

use crate::{
    Settlement, SettlementConfig,
    budget::Limits,
    facts::{ClosedOrder, CounteredFact, Cursor, DeliveredFact, DisputedFact, Fact, FundedFact, Place, SettledFact},
    ports::{Chain, ChainError, News, NoKey, OnChain, TxRef, Wallet},
    purse::TokenChain,
};

pub(crate) const NOON: Timestamp = Timestamp::from_secs(1_800_014_400);

pub(crate) fn usdc(units: u64) -> Usdc {
    Usdc::from_units(units)
}

/// The escrow contract and its token, as far as settlement sees them. A block for each transaction.
#[derive(Debug)]
pub(crate) struct MemoryChain {
    escrow: EscrowFacts,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    blocks: Vec<(B256, Vec<Fact>)>,
    time: Timestamp,
    minted: HashMap<Address, Usdc>,
    orders: HashMap<OrderId, Order>,
    sent: usize,
    forks: u64,
    down: bool,
    lose_answers: bool,
    /// Signed transfers of the token, each with its block.
    transfers: Vec<(u64, Transfer)>,
}

impl MemoryChain {
    pub(crate) fn new(escrow: EscrowFacts) -> Self {
        let state = State {
            blocks: vec![(B256::ZERO, Vec::new())],
            time: NOON,
            minted: HashMap::new(),
            orders: HashMap::new(),
            sent: 0,
            forks: 0,
            down: false,
            lose_answers: false,
            transfers: Vec::new(),
        };
        Self { escrow, state: Mutex::new(state) }
    }

    pub(crate) async fn mint(&self, account: Address, amount: Usdc) {
        let mut state = self.state.lock().await;
        let balance = state.minted.entry(account).or_default();
        *balance = balance.checked_add(amount).unwrap();
    }

    /// Tokens that move outside the escrow. Nothing moves, and the answer is no, if there are not enough.
    pub(crate) async fn move_tokens(&self, from: Address, to: Address, amount: Usdc) -> bool {
        let mut state = self.state.lock().await;
        if state.balance(from) < amount {
            return false;
        }
        let given = state.minted.entry(from).or_default();
        *given = given.checked_sub(amount).unwrap();
        let taken = state.minted.entry(to).or_default();
        *taken = taken.checked_add(amount).unwrap();
        true
    }

    pub(crate) async fn set_time(&self, time: Timestamp) {
        self.state.lock().await.time = time;
    }

    pub(crate) async fn set_down(&self, down: bool) {
        self.state.lock().await.down = down;
    }

    /// From now on transactions are mined, but nobody hears of it.
    pub(crate) async fn lose_answers(&self) {
        self.state.lock().await.lose_answers = true;
    }

    /// Whether a transfer is on the chain, RPC or not.
    pub(crate) async fn has(&self, transfer: &Transfer) -> bool {
        self.state.lock().await.is_used(transfer.from, transfer.nonce)
    }

    /// How many transactions were sent.
    pub(crate) async fn sent(&self) -> usize {
        self.state.lock().await.sent
    }

    pub(crate) async fn mine_empty(&self, blocks: usize) {
        let mut state = self.state.lock().await;
        for _ in 0..blocks {
            state.mine(|_| None);
        }
    }

    pub(crate) async fn head(&self) -> Cursor {
        self.state.lock().await.head()
    }

    /// Blocks in which nothing happens.
    pub(crate) async fn pass(&self, blocks: u64) {
        let mut state = self.state.lock().await;
        for _ in 0..blocks {
            state.mine(|_| None);
        }
    }

    /// Throws away every block after `block` and mines one empty block in their place.
    pub(crate) async fn reorganise(&self, block: u64) {
        let mut state = self.state.lock().await;
        state.blocks.truncate(usize::try_from(block).unwrap() + 1);
        state.transfers.retain(|(mined, _)| *mined <= block);
        state.forks += 1;
        state.mine(|_| None);
    }

    async fn holds(&self, account: Address, amount: U96) -> bool {
        self.state.lock().await.balance(account) >= Usdc::try_from(amount).unwrap()
    }

    /// The arbitrator gives the provider `pay` of the amount, and takes the loser's bond.
    pub(crate) async fn rule(&self, order: &Order, pay: u64) -> Result<TxRef, ChainError> {
        self.send(order, |id, status, time, place| match status {
            OnChain::Disputed { ends, is_countered: true, .. } if time < ends => {
                Ok(award(id, order, ClosedBy::Ruling, usdc(pay).to_u96(), place))
            }
            _ => Err("BadState"),
        })
        .await
    }

    async fn send(
        &self,
        order: &Order,
        make: impl FnOnce(OrderId, OnChain, Timestamp, Place) -> Result<Fact, &'static str>,
    ) -> Result<TxRef, ChainError> {
        let mut state = self.state.lock().await;
        if state.down {
            return Err(ChainError::Down);
        }
        let id = self.escrow.order_id(order);
        let (status, time) = (state.status(&id), state.time);
        let place = state.next_place();
        state.sent += 1;
        let fact = make(id, status, time, place)
            .map_err(|reason| ChainError::Refused { reason: Text::try_from(reason).unwrap() })?;
        state.orders.insert(id, order.clone());
        state.mine(|_| Some(fact));
        if state.lose_answers {
            Err(ChainError::OutcomeUnknown)
        } else {
            Ok(TxRef { hash: place.tx, block: place.block })
        }
    }
}

impl State {
    fn head(&self) -> Cursor {
        let (hash, _) = self.blocks.last().unwrap();
        Cursor { block: self.blocks.len() as u64 - 1, hash: *hash }
    }

    fn next_place(&self) -> Place {
        let block = self.blocks.len() as u64;
        let seed = [self.head().hash.0.as_slice(), &block.to_be_bytes(), &self.forks.to_be_bytes()].concat();
        let hash = B256::from(*Hash::of(&seed).as_bytes());
        let tx = B256::from(*Hash::of(hash.as_slice()).as_bytes());
        Place { block, hash, index: 0, tx, time: self.time }
    }

    fn mine(&mut self, fact: impl FnOnce(Place) -> Option<Fact>) {
        let place = self.next_place();
        self.blocks.push((place.hash, fact(place).into_iter().collect()));
    }

    fn facts(&self) -> impl Iterator<Item = &Fact> {
        self.blocks.iter().flat_map(|(_, facts)| facts)
    }

    fn status(&self, id: &OrderId) -> OnChain {
        let mut status = OnChain::None;
        for fact in self.facts().filter(|fact| fact.order() == Some(*id)) {
            status = match fact {
                Fact::Funded(_) => OnChain::Funded,
                Fact::Delivered(fact) => OnChain::Delivered { review_ends: fact.review_ends },
                Fact::Disputed(fact) => {
                    let ends = fact.place.time.plus(Duration::from_secs(self.orders[id].counterSecs.into()));
                    OnChain::Disputed { ends, is_countered: false, evidence: fact.evidence }
                }
                Fact::Countered(fact) => {
                    let ends = fact.place.time.plus(Duration::from_secs(self.orders[id].ruleSecs.into()));
                    let OnChain::Disputed { evidence, .. } = status else { panic!("countered before disputed") };
                    OnChain::Disputed { ends, is_countered: true, evidence }
                }
                Fact::Settled(fact) => OnChain::Settled { closed_by: fact.closed_by },
                Fact::Credited(_) | Fact::Withdrawn(_) => status,
            };
        }
        status
    }

    /// What one side's bond of the order did to its account: nothing, taken, given back, or lost.
    fn bond_moved(&self, order: &Order, id: OrderId, account: Address) -> i128 {
        let bond = i128::try_from(order.bond.to::<u128>()).unwrap();
        let mut moved = 0;
        for fact in self.facts().filter(|fact| fact.order() == Some(id)) {
            match fact {
                Fact::Disputed(_) if order.buyer == account => moved -= bond,
                Fact::Countered(_) if order.provider == account => moved -= bond,
                Fact::Settled(fact) if moved != 0 => {
                    let fee = if order.flags & FLAG_FEE_ON_TOP != 0 { Usdc::ZERO } else { fact.fee };
                    let awarded = fact.paid.checked_add(fee).unwrap();
                    let buyer_lost = 2 * u128::from(awarded.units()) >= order.amount.to::<u128>();
                    let lost = fact.closed_by == ClosedBy::Ruling && buyer_lost == (order.buyer == account);
                    moved += if lost { 0 } else { bond };
                }
                _ => {}
            }
        }
        moved
    }

    fn balance(&self, account: Address) -> Usdc {
        let mut balance = i128::from(self.minted.get(&account).copied().unwrap_or_default().units());
        for fact in self.facts() {
            match fact {
                Fact::Funded(fact) if fact.buyer == account => {
                    balance -= i128::from(deposit_of(&self.orders[&fact.order]).unwrap().units());
                }
                Fact::Settled(fact) => {
                    let mine = |who: Address, amount: Usdc| if who == account { i128::from(amount.units()) } else { 0 };
                    balance += mine(fact.provider, fact.paid) + mine(fact.buyer, fact.refunded);
                }
                _ => {}
            }
        }
        for (id, order) in &self.orders {
            balance += self.bond_moved(order, *id, account);
        }
        for (_, transfer) in &self.transfers {
            let value = i128::from(transfer.value.units());
            balance -= if transfer.from == account { value } else { 0 };
            balance += if transfer.to == account { value } else { 0 };
        }
        usdc(u64::try_from(balance).unwrap())
    }

    fn is_used(&self, payer: Address, nonce: B256) -> bool {
        self.transfers.iter().any(|(_, made)| (made.from, made.nonce) == (payer, nonce))
    }
}

#[async_trait]
impl TokenChain for MemoryChain {
    async fn is_used(&self, payer: Address, nonce: B256) -> Result<bool, ChainError> {
        let state = self.state.lock().await;
        if state.down { Err(ChainError::Down) } else { Ok(state.is_used(payer, nonce)) }
    }

    async fn transfer(&self, _: &Did, transfer: &Transfer) -> Result<TxRef, ChainError> {
        let mut state = self.state.lock().await;
        if state.down {
            return Err(ChainError::Down);
        }
        let reason = if U256::from(state.time.as_secs()) >= transfer.valid_before {
            Some("expired")
        } else if state.is_used(transfer.from, transfer.nonce) {
            Some("used")
        } else if state.balance(transfer.from) < transfer.value {
            Some("poor")
        } else {
            None
        };
        if let Some(reason) = reason {
            return Err(ChainError::Refused { reason: Text::try_from(reason).unwrap() });
        }
        state.sent += 1;
        let place = state.next_place();
        state.mine(|_| None);
        state.transfers.push((place.block, transfer.clone()));
        if state.lose_answers {
            Err(ChainError::OutcomeUnknown)
        } else {
            Ok(TxRef { hash: place.tx, block: place.block })
        }
    }
}

fn settle(id: OrderId, order: &Order, closed_by: ClosedBy, place: Place) -> Fact {
    let pays = matches!(closed_by, ClosedBy::Release | ClosedBy::Timeout | ClosedBy::UndeliveredPaid);
    award(id, order, closed_by, if pays { order.amount } else { U96::ZERO }, place)
}

/// The end of an order that gives the provider `pay` of its amount.
fn award(id: OrderId, order: &Order, closed_by: ClosedBy, pay: U96, place: Place) -> Fact {
    let deposit = deposit_of(order).unwrap();
    let fee = Usdc::try_from(order.fee_on(pay)).unwrap();
    let pay = Usdc::try_from(pay).unwrap();
    let on_top = order.flags & FLAG_FEE_ON_TOP != 0;
    let paid = if on_top { pay } else { pay.checked_sub(fee).unwrap() };
    let refunded = deposit.checked_sub(paid).and_then(|rest| rest.checked_sub(fee)).unwrap();
    let (buyer, provider) = (order.buyer, order.provider);
    Fact::Settled(SettledFact { order: id, buyer, provider, paid, fee, refunded, closed_by, place })
}

fn live(status: OnChain) -> Result<(), &'static str> {
    match status {
        OnChain::Funded | OnChain::Delivered { .. } | OnChain::Disputed { .. } => Ok(()),
        OnChain::None | OnChain::Settled { .. } => Err("BadState"),
    }
}

#[async_trait]
impl Chain for MemoryChain {
    async fn fund(&self, order: &Order, _: &EvmSignature, _: &EvmSignature) -> Result<TxRef, ChainError> {
        self.send(order, |id, status, time, place| match status {
            _ if time >= Timestamp::from_u40(order.fundBy) => Err("TooLate"),
            OnChain::None => Ok(Fact::Funded(FundedFact {
                order: id,
                buyer: order.buyer,
                provider: order.provider,
                amount: Usdc::try_from(order.amount).unwrap(),
                terms: Hash::from_bytes(order.terms.0),
                place,
            })),
            _ => Err("BadState"),
        })
        .await
    }

    async fn release(&self, order: &Order, _: &EvmSignature) -> Result<TxRef, ChainError> {
        self.send(order, |id, status, _, place| live(status).map(|()| settle(id, order, ClosedBy::Release, place)))
            .await
    }

    async fn refund(&self, order: &Order, _: &EvmSignature) -> Result<TxRef, ChainError> {
        self.send(order, |id, status, _, place| live(status).map(|()| settle(id, order, ClosedBy::Refund, place))).await
    }

    async fn deliver(&self, order: &Order, deliverable: B256) -> Result<TxRef, ChainError> {
        self.send(order, |id, status, time, place| {
            if status != OnChain::Funded || time >= Timestamp::from_u40(order.deliverBy) {
                return Err("BadState");
            }
            let review_ends = time.plus(Duration::from_secs(order.reviewSecs.into()));
            Ok(Fact::Delivered(DeliveredFact { order: id, deliverable, review_ends, place }))
        })
        .await
    }

    async fn dispute(&self, order: &Order, evidence: B256, _: &EvmSignature) -> Result<TxRef, ChainError> {
        let is_rich = self.holds(order.buyer, order.bond).await;
        self.send(order, |order, status, time, place| match status {
            _ if !is_rich => Err("poor"),
            OnChain::Delivered { review_ends } if time < review_ends => {
                Ok(Fact::Disputed(DisputedFact { order, evidence, place }))
            }
            OnChain::Delivered { .. } => Err("TooLate"),
            _ => Err("BadState"),
        })
        .await
    }

    async fn counter(&self, order: &Order, _: &EvmSignature) -> Result<TxRef, ChainError> {
        let is_rich = self.holds(order.provider, order.bond).await;
        self.send(order, |order, status, time, place| match status {
            _ if !is_rich => Err("poor"),
            OnChain::Disputed { ends, is_countered: false, .. } if time < ends => {
                Ok(Fact::Countered(CounteredFact { order, place }))
            }
            OnChain::Disputed { is_countered: false, .. } => Err("TooLate"),
            _ => Err("BadState"),
        })
        .await
    }

    async fn finalize(&self, order: &Order) -> Result<TxRef, ChainError> {
        self.send(order, |id, status, time, place| match status {
            OnChain::Funded if time >= Timestamp::from_u40(order.deliverBy) => {
                Ok(settle(id, order, ClosedBy::Expired, place))
            }
            OnChain::Delivered { review_ends } if time >= review_ends => {
                Ok(settle(id, order, ClosedBy::Timeout, place))
            }
            OnChain::Disputed { ends, is_countered, .. } if time >= ends => {
                let closed_by = if is_countered { ClosedBy::Silent } else { ClosedBy::Uncountered };
                Ok(settle(id, order, closed_by, place))
            }
            OnChain::Funded | OnChain::Delivered { .. } | OnChain::Disputed { .. } => Err("TooEarly"),
            OnChain::None | OnChain::Settled { .. } => Err("BadState"),
        })
        .await
    }

    async fn status(&self, order: &Order) -> Result<OnChain, ChainError> {
        let state = self.state.lock().await;
        if state.down { Err(ChainError::Down) } else { Ok(state.status(&self.escrow.order_id(order))) }
    }

    async fn balance(&self, account: Address) -> Result<Usdc, ChainError> {
        let state = self.state.lock().await;
        if state.down { Err(ChainError::Down) } else { Ok(state.balance(account)) }
    }

    async fn now(&self) -> Result<Timestamp, ChainError> {
        let state = self.state.lock().await;
        if state.down { Err(ChainError::Down) } else { Ok(state.time) }
    }

    async fn poll(&self, from: &Cursor) -> Result<News, ChainError> {
        let state = self.state.lock().await;
        if state.down {
            return Err(ChainError::Down);
        }
        let at = usize::try_from(from.block).unwrap();
        match state.blocks.get(at) {
            Some((hash, _)) if *hash == from.hash => {
                let facts = state.blocks[at + 1..].iter().flat_map(|(_, facts)| facts).copied().collect();
                Ok(News::Facts { facts, next: state.head() })
            }
            Some(_) | None => Ok(News::Reorged),
        }
    }
}

/// The payment keys of Alice and Bob.
#[derive(Debug)]
pub(crate) struct Keys(pub(crate) Vec<(Did, PaymentKey)>);

impl Wallet for Keys {
    fn address(&self, agent: &Did) -> Option<Address> {
        self.0.iter().find(|(did, _)| did == agent).map(|(_, key)| key.address())
    }

    fn agent_at(&self, address: &Address) -> Option<Did> {
        self.0.iter().find(|(_, key)| key.address() == *address).map(|(did, _)| *did)
    }

    fn sign(&self, agent: &Did, digest: &B256) -> Result<EvmSignature, NoKey> {
        self.0.iter().find(|(did, _)| did == agent).map(|(_, key)| key.sign_digest(digest)).ok_or(NoKey)
    }
}

/// One home with Alice, who buys, and Bob, who sells, on a chain of their own.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) settlement: Settlement,
    pub(crate) chain: Arc<MemoryChain>,
    pub(crate) clock: ManualClock,
    pub(crate) store: Store,
    keys: Arc<Keys>,
    pub(crate) alice: Did,
    pub(crate) bob: Did,
    /// What Bob was given from outside.
    gift: u64,
}

pub(crate) fn escrow() -> EscrowFacts {
    let token = TokenFacts {
        address: Address::repeat_byte(0x70),
        name: "USD Coin".to_owned(),
        version: "2".to_owned(),
        symbol: "USDC".to_owned(),
        decimals: 6,
    };
    EscrowFacts::new(31_337, Address::repeat_byte(0xe5), token)
}

pub(crate) fn config() -> SettlementConfig {
    SettlementConfig {
        escrow: escrow(),
        limits: Limits { per_call: usdc(1_000), per_day: usdc(10_000) },
        reservation_lives: Duration::from_secs(600),
        start: Cursor { block: 0, hash: B256::ZERO },
    }
}

impl Home {
    /// A home with Alice's wallet holding `balance` units.
    pub(crate) async fn with_balance(balance: u64) -> Self {
        let seeds = [Seed::devnet(7, 0), Seed::devnet(7, 1)];
        let keys = seeds.map(|seed| (seed.agent_key(0).did(), seed.payment_key(0)));
        let (alice, bob) = (keys[0].0, keys[1].0);
        let keys = Arc::new(Keys(keys.into()));
        let chain = Arc::new(MemoryChain::new(escrow()));
        chain.mint(keys.address(&alice).unwrap(), usdc(balance)).await;
        let (clock, store) = (ManualClock::new(NOON), Store::memory());
        let settlement =
            Settlement::open(store.clone(), config(), Arc::new(clock.clone()), chain.clone(), keys.clone())
                .await
                .unwrap();
        Self { settlement, chain, clock, store, keys, alice, bob, gift: 0 }
    }

    /// Tokens for Bob that his books do not know of.
    pub(crate) async fn give_bob(&mut self, units: u64) {
        self.chain.mint(self.keys.address(&self.bob).unwrap(), usdc(units)).await;
        self.gift += units;
    }

    /// The same home after a restart: only what was stored is left.
    pub(crate) async fn restarted(self) -> Self {
        self.restarted_with(config()).await
    }

    /// The same home after a restart with another config.
    pub(crate) async fn restarted_with(self, config: SettlementConfig) -> Self {
        let Self { chain, clock, store, keys, alice, bob, gift, .. } = self;
        let settlement = Settlement::open(store.clone(), config, Arc::new(clock.clone()), chain.clone(), keys.clone())
            .await
            .unwrap();
        Self { settlement, chain, clock, store, keys, alice, bob, gift }
    }

    /// Alice's order from Bob for `amount`, a fee of 10 % taken from Bob.
    pub(crate) fn order(&self, salt: u64, amount: u64) -> Order {
        Order {
            buyer: self.keys.address(&self.alice).unwrap(),
            provider: self.keys.address(&self.bob).unwrap(),
            feeTo: Address::repeat_byte(0xfe),
            amount: usdc(amount).to_u96(),
            feeBps: 1000,
            fundBy: NOON.plus(Duration::from_secs(300)).to_u40(),
            deliverBy: NOON.plus(Duration::from_secs(7200)).to_u40(),
            reviewSecs: 3600,
            counterSecs: 3600,
            ruleSecs: 3600,
            terms: B256::repeat_byte(0x7e),
            salt: U256::from(salt),
            ..Order::default()
        }
    }

    pub(crate) fn id(&self, order: &Order) -> OrderId {
        self.settlement.escrow().order_id(order)
    }

    /// Reserves and signs, and returns both signatures that fund the order.
    pub(crate) async fn authorise(&self, key: &str, order: &Order) -> (EvmSignature, EvmSignature) {
        let total = deposit_of(order).unwrap();
        self.settlement.reserve(key, &self.alice, total).await.unwrap();
        let buyer = self.settlement.authorise(key, &self.alice, order).await.unwrap();
        (buyer, self.settlement.sign_order(&self.bob, order).unwrap())
    }

    /// Goes all the way to an order that is funded and seen so.
    pub(crate) async fn fund(&self, key: &str, order: &Order) {
        let (buyer, provider) = self.authorise(key, order).await;
        self.settlement.submit_fund(order, &buyer, &provider).await.unwrap().tx().unwrap();
        self.settlement.follow_once().await.unwrap();
    }

    /// Releases a funded order.
    pub(crate) async fn release(&self, order: &Order) {
        let release = self.settlement.sign_release(&self.alice, order).unwrap();
        self.settlement.submit_release(order, &release).await.unwrap().tx().unwrap();
    }

    pub(crate) async fn confirm(&self, order: &Order, closed_by: ClosedBy, paid: u64, fee: u64) {
        let end = ClosedOrder { closed_by, paid: usdc(paid), fee: usdc(fee) };
        self.settlement.settled(&self.id(order), end).await.unwrap();
    }

    /// The accounts of both agents sum to zero, and what the ledger says moved is what the chain says moved.
    pub(crate) async fn check_books(&self, minted: u64) {
        let (alice, bob) =
            (self.settlement.wallet(&self.alice).await.unwrap(), self.settlement.wallet(&self.bob).await.unwrap());
        assert_eq!((alice.accounts.sum(), bob.accounts.sum()), (0, 0));
        let moved = |units: u64, minted: u64| i64::try_from(units).unwrap() - i64::try_from(minted).unwrap();
        assert_eq!(alice.accounts.available + alice.accounts.reserved, moved(alice.on_chain.units(), minted));
        assert_eq!(bob.accounts.available, moved(bob.on_chain.units(), self.gift));
        assert_eq!(alice.accounts.reserved, i64::try_from(alice.reserved.units()).unwrap());
        let entries = self.settlement.history(&self.alice, None, 10_000).unwrap();
        for (_, entry) in entries {
            assert_eq!(entry.moves.iter().map(|(_, delta)| delta).sum::<i64>(), 0);
        }
    }
}
