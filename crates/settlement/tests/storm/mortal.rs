//! A fuse that burns with every step of a home, and ports that burn it: a home dies before or after anything it asks of the
//! chain, and now and then the chain's answer is lost on the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::Sender;

use async_trait::async_trait;
use haggle_base::eip712::channel::ChannelConfig;
use haggle_base::{Address, B256, Did, EvmSignature, Order, Timestamp, Usdc};
use haggle_settlement::facts::Cursor;
use haggle_settlement::ports::exact::{ExactChain, Head, Mined, Standing, TransferError};
use haggle_settlement::ports::{
    Chain, ChainError, ChannelChain, ChannelOnChain, Claimed, News, OnChain, ToClaim, TxRef,
};
use haggle_settlement::purse::TokenChain;
use haggle_x402::{Deposit, exact::Transfer};

/// Whose home it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Buyer,
    Seller,
}

/// What the world hears of a run.
#[derive(Debug)]
pub(crate) enum Event {
    /// This home's process is gone.
    Died(Side),
    /// The buyer has all it wanted.
    Done,
    /// Something did not hold.
    Broken(String),
}

/// Numbers that look random and are the same for the same seed.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn throw(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % sides
    }
}

/// How long one life of a home lasts, in steps.
pub(crate) struct Fuse {
    side: Side,
    left: AtomicI64,
    /// Every so many answers of the chain one is lost; 0 loses none.
    lose_every: u64,
    answers: AtomicU64,
    tell: Sender<Event>,
}

impl Fuse {
    /// A life of so many steps, or without end.
    pub(crate) fn new(side: Side, steps: Option<u64>, lose_every: u64, tell: Sender<Event>) -> Arc<Self> {
        let left = steps.and_then(|steps| i64::try_from(steps).ok()).unwrap_or(i64::MAX);
        Arc::new(Self { side, left: AtomicI64::new(left), lose_every, answers: AtomicU64::new(0), tell })
    }

    /// One step. The last one never ends: from there on nothing of this life goes on.
    pub(crate) async fn burn(&self) {
        let left = self.left.fetch_sub(1, Ordering::SeqCst);
        if left == 0 {
            // nobody listens when the run is over
            drop(self.tell.send(Event::Died(self.side)));
        }
        if left <= 0 {
            std::future::pending::<()>().await;
        }
    }

    async fn around<T>(&self, asked: impl Future<Output = T>) -> T {
        self.burn().await;
        let answer = asked.await;
        self.burn().await;
        answer
    }

    /// Whether the answer to what was just sent is lost.
    fn loses(&self) -> bool {
        let answers = self.answers.fetch_add(1, Ordering::SeqCst) + 1;
        self.lose_every > 0 && answers.is_multiple_of(self.lose_every)
    }

    async fn sent<T>(&self, asked: impl Future<Output = Result<T, ChainError>>) -> Result<T, ChainError> {
        let answer = self.around(asked).await;
        if answer.is_ok() && self.loses() { Err(ChainError::OutcomeUnknown) } else { answer }
    }
}

/// A port of a home that can die.
pub(crate) struct Mortal<C> {
    pub(crate) port: C,
    pub(crate) fuse: Arc<Fuse>,
}

#[async_trait]
impl<C: Chain> Chain for Mortal<C> {
    async fn fund(&self, order: &Order, buyer: &EvmSignature, provider: &EvmSignature) -> Result<TxRef, ChainError> {
        self.fuse.sent(self.port.fund(order, buyer, provider)).await
    }
    async fn release(&self, order: &Order, buyer: &EvmSignature) -> Result<TxRef, ChainError> {
        self.fuse.sent(self.port.release(order, buyer)).await
    }
    async fn refund(&self, order: &Order, provider: &EvmSignature) -> Result<TxRef, ChainError> {
        self.fuse.sent(self.port.refund(order, provider)).await
    }
    async fn deliver(&self, order: &Order, deliverable: B256) -> Result<TxRef, ChainError> {
        self.fuse.sent(self.port.deliver(order, deliverable)).await
    }
    async fn finalize(&self, order: &Order) -> Result<TxRef, ChainError> {
        self.fuse.sent(self.port.finalize(order)).await
    }
    async fn dispute(&self, order: &Order, evidence: B256, bond: &EvmSignature) -> Result<TxRef, ChainError> {
        self.fuse.sent(self.port.dispute(order, evidence, bond)).await
    }
    async fn counter(&self, order: &Order, bond: &EvmSignature) -> Result<TxRef, ChainError> {
        self.fuse.sent(self.port.counter(order, bond)).await
    }
    async fn status(&self, order: &Order) -> Result<OnChain, ChainError> {
        self.fuse.around(self.port.status(order)).await
    }
    async fn balance(&self, account: Address) -> Result<Usdc, ChainError> {
        self.fuse.around(self.port.balance(account)).await
    }
    async fn now(&self) -> Result<Timestamp, ChainError> {
        self.port.now().await
    }
    async fn poll(&self, from: &Cursor) -> Result<News, ChainError> {
        self.fuse.around(self.port.poll(from)).await
    }
}

#[async_trait]
impl<C: ExactChain> ExactChain for Mortal<C> {
    async fn simulate(&self, transfer: &Transfer) -> Result<(), TransferError> {
        self.fuse.around(self.port.simulate(transfer)).await
    }
    async fn transfer(&self, transfer: &Transfer) -> Result<Mined, TransferError> {
        let mined = self.fuse.around(self.port.transfer(transfer)).await?;
        if self.fuse.loses() { Err(TransferError::OutcomeUnknown { tx: Some(mined.tx) }) } else { Ok(mined) }
    }
    async fn standing(&self, transfer: &Transfer) -> Result<Standing, TransferError> {
        self.fuse.around(self.port.standing(transfer)).await
    }
    async fn block_hash(&self, block: u64) -> Result<Option<B256>, TransferError> {
        self.port.block_hash(block).await
    }
    async fn head(&self) -> Result<Head, TransferError> {
        self.port.head().await
    }
    fn senders(&self) -> Vec<Address> {
        self.port.senders()
    }
}

#[async_trait]
impl<C: TokenChain> TokenChain for Mortal<C> {
    async fn is_used(&self, payer: Address, nonce: B256) -> Result<bool, ChainError> {
        self.fuse.around(self.port.is_used(payer, nonce)).await
    }
    async fn transfer(&self, agent: &Did, transfer: &Transfer) -> Result<TxRef, ChainError> {
        self.fuse.sent(self.port.transfer(agent, transfer)).await
    }
}

#[async_trait]
impl<C: ChannelChain> ChannelChain for Mortal<C> {
    fn authorizer(&self) -> Address {
        self.port.authorizer()
    }
    async fn channels(&self, ids: &[B256]) -> Result<Vec<ChannelOnChain>, ChainError> {
        self.fuse.around(self.port.channels(ids)).await
    }
    async fn deposit(&self, channel: &ChannelConfig, deposit: &Deposit) -> Result<Option<TxRef>, ChainError> {
        self.fuse.sent(self.port.deposit(channel, deposit)).await
    }
    async fn deposit_used(&self, payer: Address, nonce: B256) -> Result<bool, ChainError> {
        self.fuse.around(self.port.deposit_used(payer, nonce)).await
    }
    async fn claim(&self, claims: &[ToClaim]) -> Result<Claimed, ChainError> {
        self.fuse.sent(self.port.claim(claims)).await
    }
    async fn settle(&self, receiver: Address) -> Result<Option<TxRef>, ChainError> {
        self.fuse.sent(self.port.settle(receiver)).await
    }
    async fn refund(&self, channel: &ChannelConfig, amount: Usdc) -> Result<TxRef, ChainError> {
        self.fuse.sent(self.port.refund(channel, amount)).await
    }
    async fn start_withdrawal(&self, channel: &ChannelConfig, amount: Usdc) -> Result<TxRef, ChainError> {
        self.fuse.sent(self.port.start_withdrawal(channel, amount)).await
    }
    async fn finish_withdrawal(&self, channel: &ChannelConfig) -> Result<Option<TxRef>, ChainError> {
        self.fuse.sent(self.port.finish_withdrawal(channel)).await
    }
    async fn withdrawals(&self, after: Option<u64>) -> Result<(Vec<B256>, u64), ChainError> {
        self.fuse.around(self.port.withdrawals(after)).await
    }
}
