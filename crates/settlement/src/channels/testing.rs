//! The channel contract in memory, Alice's home that buys and Bob's that sells, each with a store of its own.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use alloy_primitives::{Address, B256};
use async_trait::async_trait;
use parking_lot::Mutex;
use tempfile::TempDir;

use haggle_base::{Did, Hash, ManualClock, Seed, Text, Timestamp, Usdc, eip712::channel::ChannelConfig};
use haggle_store::{Blobs, Store};
use haggle_x402::{
    ChannelFacts, Deposit, PaymentPayload, PaymentRequired, PaymentRequirements, Resource, SettleResponse,
    SignedVoucher,
};
use serde_json::Value;

use super::{Buying, ChannelSale, ChannelsConfig, Next, Refusal, Selling, Taken};
use crate::{
    Settlement, SettlementConfig, SettlementError,
    budget::Limits,
    ports::{Chain as _, ChainError, ChannelChain, ChannelOnChain, Claimed, ToClaim, TxRef, Wallet as _},
    testing::{Keys, MemoryChain, NOON, config, escrow, usdc},
};

pub(crate) const CONTRACT: Address = Address::repeat_byte(0x40);
/// Every price in these stories.
pub(crate) const PRICE: Usdc = Usdc::from_units(20);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3_600);

pub(crate) fn facts() -> ChannelFacts {
    ChannelFacts::new(31_337, CONTRACT, Address::repeat_byte(0xc0), escrow().token().clone())
}

#[derive(Debug, Default)]
struct Contract {
    channels: HashMap<B256, ChannelOnChain>,
    wanted: HashMap<B256, Usdc>,
    used: HashSet<B256>,
    log: Vec<(u64, B256)>,
    block: u64,
    down: bool,
    lose_answers: bool,
    refuse_transfer: bool,
    refuse_deposits: bool,
    sent: usize,
    unsent: HashMap<Address, Usdc>,
}

/// The channel contract and its collector, as `contracts/src/Channel.sol` has them.
#[derive(Debug)]
pub(crate) struct MemoryChannels {
    chain: Arc<MemoryChain>,
    authorizer: Address,
    state: Mutex<Contract>,
}

fn refused(reason: &str) -> ChainError {
    ChainError::Refused { reason: Text::try_from(reason).unwrap() }
}

impl MemoryChannels {
    pub(crate) fn new(chain: Arc<MemoryChain>, authorizer: Address) -> Self {
        Self { chain, authorizer, state: Mutex::default() }
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.state.lock().down = down;
    }

    /// Transactions are mined from now on, but nobody hears of it.
    pub(crate) fn lose_answers(&self, lose: bool) {
        self.state.lock().lose_answers = lose;
    }

    /// The token refuses to pay receivers.
    pub(crate) fn refuse_transfer(&self, refuse: bool) {
        self.state.lock().refuse_transfer = refuse;
    }

    /// The token refuses what payers signed.
    pub(crate) fn refuse_deposits(&self, refuse: bool) {
        self.state.lock().refuse_deposits = refuse;
    }

    pub(crate) fn sent(&self) -> usize {
        self.state.lock().sent
    }

    pub(crate) fn channel(&self, id: &B256) -> ChannelOnChain {
        self.state.lock().channels.get(id).copied().unwrap_or_default()
    }

    /// The chain takes a deposit back, or mines it again: the channel holds `balance` now, and its payer the difference.
    pub(crate) async fn reorganise(&self, channel: &ChannelConfig, balance: Usdc) {
        let before = self.channel(&facts().id(channel)).balance;
        let (more, less) = (balance.saturating_sub(before), before.saturating_sub(balance));
        assert!(less.is_zero() || self.chain.move_tokens(CONTRACT, channel.payer, less).await);
        assert!(more.is_zero() || self.chain.move_tokens(channel.payer, CONTRACT, more).await);
        self.state.lock().channels.entry(facts().id(channel)).or_default().balance = balance;
    }

    fn begin(&self) -> Result<(), ChainError> {
        if self.state.lock().down { Err(ChainError::Down) } else { Ok(()) }
    }

    fn mined(&self) -> Result<TxRef, ChainError> {
        let mut state = self.state.lock();
        state.block += 1;
        state.sent += 1;
        let tx = TxRef { hash: B256::with_last_byte(u8::try_from(state.block % 251).unwrap() + 1), block: state.block };
        if state.lose_answers { Err(ChainError::OutcomeUnknown) } else { Ok(tx) }
    }

    async fn pay_out(&self, to: Address, amount: Usdc) -> bool {
        !self.state.lock().refuse_transfer && self.chain.move_tokens(CONTRACT, to, amount).await
    }
}

#[async_trait]
impl ChannelChain for MemoryChannels {
    fn authorizer(&self) -> Address {
        self.authorizer
    }

    async fn channels(&self, ids: &[B256]) -> Result<Vec<ChannelOnChain>, ChainError> {
        self.begin()?;
        Ok(ids.iter().map(|id| self.channel(id)).collect())
    }

    async fn deposit(&self, channel: &ChannelConfig, deposit: &Deposit) -> Result<Option<TxRef>, ChainError> {
        self.begin()?;
        let id = facts().id(channel);
        let nonce = facts().deposit_nonce(&id, deposit.terms.salt);
        if self.state.lock().used.contains(&nonce) {
            return Ok(None);
        }
        let digest = facts().deposit_digest(channel.payer, &id, &deposit.terms);
        if deposit.signature.verify(&digest, channel.payer).is_err() {
            return Err(refused("InvalidSignature"));
        }
        if self.state.lock().refuse_deposits {
            return Err(refused("Blacklisted"));
        }
        if self.chain.now().await? >= deposit.terms.valid_before {
            return Err(refused("AuthorizationExpired"));
        }
        if !self.chain.move_tokens(channel.payer, CONTRACT, deposit.terms.amount).await {
            return Err(refused("InsufficientBalance"));
        }
        {
            let mut state = self.state.lock();
            state.used.insert(nonce);
            let held = state.channels.entry(id).or_default();
            held.balance = held.balance.checked_add(deposit.terms.amount).unwrap();
        }
        self.mined().map(Some)
    }

    async fn deposit_used(&self, _: Address, nonce: B256) -> Result<bool, ChainError> {
        self.begin()?;
        Ok(self.state.lock().used.contains(&nonce))
    }

    async fn claim(&self, claims: &[ToClaim]) -> Result<Claimed, ChainError> {
        self.begin()?;
        let receiver = claims[0].channel.receiver;
        for claim in claims {
            assert_eq!(claim.channel.receiver, receiver, "one receiver");
            let id = facts().id(&claim.channel);
            let voucher = SignedVoucher { channel_id: id, max_claimable: claim.max, signature: claim.signature };
            assert!(facts().is_signed_by(&voucher, claim.channel.payerAuthorizer), "nobody claims on a bad voucher");
            assert!(claim.total <= claim.max, "nobody claims above what was signed");
            let mut state = self.state.lock();
            let held = state.channels.entry(id).or_default();
            if claim.total > held.balance || claim.total <= held.claimed {
                continue;
            }
            let more = claim.total.checked_sub(held.claimed).unwrap();
            held.claimed = claim.total;
            let unsent = state.unsent.entry(receiver).or_default();
            *unsent = unsent.checked_add(more).unwrap();
        }
        let unsent = self.state.lock().unsent.get(&receiver).copied().unwrap_or_default();
        let sent = self.pay_out(receiver, unsent).await;
        if sent {
            self.state.lock().unsent.remove(&receiver);
        }
        self.mined().map(|tx| Claimed { tx, sent })
    }

    async fn settle(&self, receiver: Address) -> Result<Option<TxRef>, ChainError> {
        self.begin()?;
        let Some(unsent) = self.state.lock().unsent.get(&receiver).copied() else { return Ok(None) };
        if !self.pay_out(receiver, unsent).await {
            return Err(refused("TransferFailed"));
        }
        self.state.lock().unsent.remove(&receiver);
        self.mined().map(Some)
    }

    async fn refund(&self, channel: &ChannelConfig, amount: Usdc) -> Result<TxRef, ChainError> {
        self.begin()?;
        let id = facts().id(channel);
        let back = {
            let mut state = self.state.lock();
            let held = state.channels.entry(id).or_default();
            let back = amount.min(held.balance.saturating_sub(held.claimed));
            held.balance = held.balance.checked_sub(back).unwrap();
            held.refunds += 1;
            back
        };
        assert!(self.pay_out(channel.payer, back).await);
        self.mined()
    }

    async fn start_withdrawal(&self, channel: &ChannelConfig, amount: Usdc) -> Result<TxRef, ChainError> {
        self.begin()?;
        let (id, now) = (facts().id(channel), self.chain.now().await?);
        {
            let mut state = self.state.lock();
            let held = state.channels.entry(id).or_default();
            if held.withdrawal.is_some() || amount > held.balance.saturating_sub(held.claimed) {
                return Err(refused("WithdrawalAlreadyPending"));
            }
            held.withdrawal = Some(now);
            state.wanted.insert(id, amount);
            let block = state.block + 1;
            state.log.push((block, id));
        }
        self.mined()
    }

    async fn finish_withdrawal(&self, channel: &ChannelConfig) -> Result<Option<TxRef>, ChainError> {
        self.begin()?;
        let (id, now) = (facts().id(channel), self.chain.now().await?);
        let Some(since) = self.channel(&id).withdrawal else { return Ok(None) };
        if now < since.plus(Duration::from_secs(channel.withdrawDelay.to())) {
            return Err(refused("WithdrawDelayNotElapsed"));
        }
        let back = {
            let mut state = self.state.lock();
            let wanted = state.wanted.remove(&id).unwrap_or_default();
            let held = state.channels.entry(id).or_default();
            let back = wanted.min(held.balance.saturating_sub(held.claimed));
            held.balance = held.balance.checked_sub(back).unwrap();
            held.withdrawal = None;
            back
        };
        assert!(self.pay_out(channel.payer, back).await);
        self.mined().map(Some)
    }

    async fn withdrawals(&self, after: Option<u64>) -> Result<(Vec<B256>, u64), ChainError> {
        self.begin()?;
        let state = self.state.lock();
        let Some(after) = after else { return Ok((Vec::new(), state.block)) };
        let ids = state.log.iter().filter(|(block, _)| *block > after).map(|(_, id)| *id);
        Ok((ids.collect(), state.block))
    }
}

/// Alice buys in her home, Bob sells in his.
#[derive(Debug)]
pub(crate) struct Street {
    pub(crate) alice: Did,
    pub(crate) bob: Did,
    pub(crate) keys: Arc<Keys>,
    pub(crate) chain: Arc<MemoryChain>,
    pub(crate) contract: Arc<MemoryChannels>,
    pub(crate) clock: ManualClock,
    pub(crate) stores: [Store; 2],
    pub(crate) homes: [Settlement; 2],
    pub(crate) buying: Buying,
    pub(crate) selling: Selling,
    pub(crate) purse: Usdc,
    /// Bob's long answers.
    pub(crate) blobs: Blobs,
    pub(crate) files: TempDir,
}

pub(crate) fn channels_config() -> ChannelsConfig {
    ChannelsConfig { claim_at: usdc(100_000), claim_at_least: usdc(1), ..ChannelsConfig::new(facts()) }
}

fn money() -> SettlementConfig {
    SettlementConfig { limits: Limits { per_call: usdc(5_000), per_day: usdc(1_000_000) }, ..config() }
}

impl Street {
    /// A street on which Alice's purse holds ten dollars.
    pub(crate) async fn open() -> Self {
        let seeds = [Seed::devnet(7, 0), Seed::devnet(7, 1)];
        let keys = seeds.map(|seed| (seed.agent_key(0).did(), seed.payment_key(0)));
        let (alice, bob) = (keys[0].0, keys[1].0);
        let keys = Arc::new(Keys(keys.into()));
        let (chain, purse) = (Arc::new(MemoryChain::new(escrow())), usdc(10_000_000));
        chain.mint(keys.address(&alice).unwrap(), purse).await;
        let contract = Arc::new(MemoryChannels::new(Arc::clone(&chain), Address::repeat_byte(0xaa)));
        let (clock, stores) = (ManualClock::new(NOON), [Store::memory(), Store::memory()]);
        let homes =
            [Self::home(&stores[0], &clock, &chain, &keys).await, Self::home(&stores[1], &clock, &chain, &keys).await];
        let buying = Buying::open(homes[0].clone(), contract.clone(), channels_config()).unwrap();
        let files = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(files.path()).unwrap();
        let selling = Selling::open(homes[1].clone(), contract.clone(), blobs.clone(), channels_config()).unwrap();
        Self { files, blobs, alice, bob, keys, chain, contract, clock, stores, homes, buying, selling, purse }
    }

    async fn home(store: &Store, clock: &ManualClock, chain: &Arc<MemoryChain>, keys: &Arc<Keys>) -> Settlement {
        let (clock, chain, keys) = (Arc::new(clock.clone()), Arc::clone(chain), Arc::clone(keys));
        Settlement::open(store.clone(), money(), clock, chain, keys).await.unwrap()
    }

    /// Alice's home stops and starts: only what was stored is left.
    pub(crate) async fn restart_alice(&mut self) {
        self.homes[0] = Self::home(&self.stores[0], &self.clock, &self.chain, &self.keys).await;
        self.buying = Buying::open(self.homes[0].clone(), self.contract.clone(), channels_config()).unwrap();
    }

    /// Bob's does.
    pub(crate) async fn restart_bob(&mut self) {
        self.homes[1] = Self::home(&self.stores[1], &self.clock, &self.chain, &self.keys).await;
        let (home, contract) = (self.homes[1].clone(), self.contract.clone());
        self.selling = Selling::open(home, contract, self.blobs.clone(), channels_config()).unwrap();
    }

    pub(crate) async fn pass(&self, time: Duration) {
        let now: Timestamp = self.clock.advance(time);
        self.chain.set_time(now).await;
    }

    pub(crate) fn sale(&self, request: &str) -> ChannelSale {
        ChannelSale { seller: self.bob, amount: PRICE, request: Hash::of(request.as_bytes()) }
    }

    pub(crate) fn requirement(&self) -> PaymentRequirements {
        self.selling.requirement(&self.bob, PRICE).unwrap()
    }

    pub(crate) fn offer(&self) -> PaymentRequired {
        PaymentRequired::new(Resource::new("haggle:listing/words"), vec![self.requirement()])
    }

    /// The 402 that answers a payment that was not taken.
    pub(crate) fn refusal(&self, refusal: &Refusal) -> PaymentRequired {
        let mut offer = self.offer();
        offer.accepts = vec![refusal.correct(self.requirement()).unwrap()];
        offer.rest.insert("error".to_owned(), Value::String(refusal.code.to_owned()));
        offer
    }

    pub(crate) async fn pay(&self, key: &str) -> Result<super::Paying, SettlementError> {
        self.buying.pay(&self.alice, key, &self.requirement(), Some(&self.offer())).await
    }

    /// Bob takes a payment and does the work, or answers as before.
    pub(crate) async fn serve(&self, key: &str, payment: &PaymentPayload) -> Result<SettleResponse, Refusal> {
        match self.selling.take(&self.sale(key), payment).await? {
            Taken::Work(ticket) => Ok(self.selling.worked(ticket, key.as_bytes()).await?),
            Taken::Answered { answer, settled } => {
                assert_eq!(answer.as_deref(), Some(key.as_bytes()), "a repeat gets its own answer");
                Ok(*settled)
            }
            Taken::Returned(settled) | Taken::Receipt(settled) => Ok(*settled),
            Taken::AtWork(_) => panic!("nobody else is at work"),
        }
    }

    /// One whole call. Returns what Alice thinks of it in the end.
    pub(crate) async fn call(&self, key: &str) -> Next {
        let mut payment = self.pay(key).await.unwrap().payment;
        for _ in 0..4 {
            let next = match self.serve(key, &payment).await {
                Ok(settled) => self.buying.answered(&self.alice, key, &settled).await.unwrap(),
                Err(refusal) => {
                    let answer = self.refusal(&refusal);
                    self.buying.refused(&self.alice, key, &self.requirement(), &answer).await.unwrap()
                }
            };
            payment = match next {
                Next::Again(paying) => paying.payment,
                Next::Anew => self.pay(key).await.unwrap().payment,
                over => return over,
            };
        }
        panic!("the call comes to no end")
    }

    /// A whole call that is charged.
    pub(crate) async fn charged(&self, key: &str) {
        assert_eq!(self.call(key).await, Next::Charged(PRICE), "{key}");
    }

    pub(crate) async fn on_chain(&self, agent: &Did) -> Usdc {
        self.chain.balance(self.keys.address(agent).unwrap()).await.unwrap()
    }

    /// The same as [`Self::check`], after the chain is back.
    pub(crate) async fn check_when_up(&self) {
        self.contract.set_down(false);
        self.chain.set_down(false).await;
        self.check().await;
    }

    /// Everybody's money adds up, on the chain and in the books.
    pub(crate) async fn check(&self) {
        let (alice, bob) = (self.on_chain(&self.alice).await, self.on_chain(&self.bob).await);
        let held = self.chain.balance(CONTRACT).await.unwrap();
        assert_eq!(alice.units() + bob.units() + held.units(), self.purse.units(), "no money is made or lost");
        let books = [
            self.homes[0].wallet(&self.alice).await.unwrap().accounts,
            self.homes[1].wallet(&self.bob).await.unwrap().accounts,
        ];
        assert_eq!((books[0].sum(), books[1].sum()), (0, 0));
        for sold in self.selling.channels(None) {
            assert!(sold.claimed <= sold.charged.max(sold.claimed));
            assert!(self.contract.channel(&sold.id).claimed <= sold.charged, "nothing is claimed above a voucher held");
        }
        for bought in self.buying.channels(None) {
            assert!(
                self.contract.channel(&bought.id).claimed <= bought.signed,
                "nothing is claimed above what was signed"
            );
        }
    }
}
