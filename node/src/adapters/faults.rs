//! Where crash tests stop this process: `HAGGLE_CRASH_AFTER=<point>[:<time>]`, on chain 31337 only.
//!
//! A point is a step of an order or one of [`points`]; `any` is every one of them. The process is killed (SIGKILL) when
//! the point is reached for the given time, the first if none is given.

use async_trait::async_trait;
use haggle_base::eip712::channel::ChannelConfig;
use haggle_base::{Address, B256, NetworkFile};
use haggle_settlement::ports::exact::{ExactChain, Head, Mined, Standing, TransferError};
use haggle_settlement::ports::{ChainError, ChannelChain, ChannelOnChain, Claimed, ToClaim, TxRef};
use haggle_trade::ports::Faults;
use haggle_x402::{Deposit, exact::Transfer};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Names the point at which the process dies.
pub(crate) const CRASH_AFTER: &str = "HAGGLE_CRASH_AFTER";
/// The name that stands for every point.
const ANY: &str = "any";

/// The points of the rails without orders, and of following the chain. `docs/crash-safety.md` says what is on disk at each.
pub(crate) mod points {
    /// Seller, `exact`: the payment is reserved, its transfer is not sent.
    pub(crate) const EXACT_SENDING: &str = "exact_sending";
    /// Seller, `exact`: the transfer is mined, the till has not heard.
    pub(crate) const EXACT_MINED: &str = "exact_mined";
    /// Seller, `exact`: the payment is taken, the work has not begun.
    pub(crate) const EXACT_TAKEN: &str = "exact_taken";
    /// Seller, `exact`: the work is done, its answer is not stored.
    pub(crate) const EXACT_WORKED: &str = "exact_worked";
    /// Seller, `exact`: the answer is stored and paid for, and has not left.
    pub(crate) const EXACT_ANSWERED: &str = "exact_answered";
    /// Seller, vouchers: the deposit is stored, not sent.
    pub(crate) const DEPOSIT_SENDING: &str = "deposit_sending";
    /// Seller, vouchers: the deposit is mined, and not heard of.
    pub(crate) const DEPOSIT_MINED: &str = "deposit_mined";
    /// Seller, vouchers: the voucher is good, the work has not begun.
    pub(crate) const VOUCHER_TAKEN: &str = "voucher_taken";
    /// Seller, vouchers: the work is done, nothing is charged.
    pub(crate) const VOUCHER_WORKED: &str = "voucher_worked";
    /// Seller, vouchers: voucher and answer are stored, the answer has not left.
    pub(crate) const VOUCHER_KEPT: &str = "voucher_kept";
    /// Seller, vouchers: a claim is about to be sent.
    pub(crate) const CLAIM_SENDING: &str = "claim_sending";
    /// Seller, vouchers: the claim is mined, and not booked.
    pub(crate) const CLAIM_MINED: &str = "claim_mined";
    /// Buyer, `exact`: the payment is signed and stored, and has not left.
    pub(crate) const PAYMENT_SIGNED: &str = "payment_signed";
    /// Buyer, `exact`: the seller has answered, nothing of it is stored.
    pub(crate) const PAYMENT_SENT: &str = "payment_sent";
    /// Buyer, `exact`: what the seller says of the payment is stored, its answer is not.
    pub(crate) const PAYMENT_HEARD: &str = "payment_heard";
    /// Buyer, `exact`: the answer is stored, the caller has not got it.
    pub(crate) const PAYMENT_ANSWERED: &str = "payment_answered";
    /// Buyer, vouchers: the voucher is signed and stored, and has not left.
    pub(crate) const VOUCHER_SIGNED: &str = "voucher_signed";
    /// Buyer, vouchers: the seller has answered, nothing of it is stored.
    pub(crate) const VOUCHER_SENT: &str = "voucher_sent";
    /// Buyer, vouchers: the answer is stored, the channel is not free yet.
    pub(crate) const VOUCHER_ANSWERED: &str = "voucher_answered";
    /// Buyer, vouchers: the charge is taken note of, the caller has no answer yet.
    pub(crate) const VOUCHER_CHARGED: &str = "voucher_charged";
    /// Seller: the listing fee is paid, the listing is not out.
    pub(crate) const LISTING_FEE_PAID: &str = "listing_fee_paid";
    /// Both sides, escrow: the chain took an order's end back, and the order is not open again.
    pub(crate) const ORDER_TAKEN_BACK: &str = "order_taken_back";
}

/// Kills the process at a point.
#[derive(Debug, Default)]
pub(crate) struct CrashPoint(Option<Armed>);

#[derive(Debug)]
struct Armed {
    point: String,
    /// Times it may still be reached and passed.
    passes: AtomicU64,
}

impl CrashPoint {
    /// Reads the environment; a real chain ignores it.
    pub(crate) fn from_env(network: &NetworkFile) -> Self {
        let asked = std::env::var(CRASH_AFTER).ok().filter(|_| network.is_devnet());
        Self(asked.as_deref().and_then(Armed::read))
    }

    /// The process is at this point, and may end here.
    pub(crate) fn at(&self, point: &'static str) {
        if self.0.as_ref().is_some_and(|armed| armed.is_hit(point)) {
            tracing::warn!(point, "killed at {point}, as {CRASH_AFTER} asks");
            die();
        }
    }

    /// The till's chain, with the points around its transfers.
    pub(crate) fn exact(self: &Arc<Self>, chain: impl ExactChain) -> Arc<dyn ExactChain> {
        if self.0.is_none() { Arc::new(chain) } else { Arc::new(Watched { chain, crash: Arc::clone(self) }) }
    }

    /// The channels' chain, with the points around its deposits and claims.
    pub(crate) fn channels(self: &Arc<Self>, chain: impl ChannelChain) -> Arc<dyn ChannelChain> {
        if self.0.is_none() { Arc::new(chain) } else { Arc::new(Watched { chain, crash: Arc::clone(self) }) }
    }
}

impl Armed {
    fn read(asked: &str) -> Option<Self> {
        let (point, time) = asked.split_once(':').unwrap_or((asked, "1"));
        let passes = AtomicU64::new(time.parse::<u64>().ok()?.checked_sub(1)?);
        (!point.is_empty()).then(|| Self { point: point.to_owned(), passes })
    }

    fn is_hit(&self, point: &str) -> bool {
        let is_meant = self.point == point || self.point == ANY;
        is_meant && self.passes.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_err()
    }
}

/// No destructor runs, no buffer is written: as `kill -9` does it.
fn die() -> ! {
    #[cfg(unix)]
    let _sent = nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::Signal::SIGKILL);
    std::process::abort()
}

#[async_trait]
impl Faults for CrashPoint {
    async fn reached(&self, step: &'static str) {
        self.at(step);
    }
}

/// A chain with points around what is sent.
#[derive(Debug)]
struct Watched<C> {
    chain: C,
    crash: Arc<CrashPoint>,
}

#[async_trait]
impl<C: ExactChain> ExactChain for Watched<C> {
    async fn simulate(&self, transfer: &Transfer) -> Result<(), TransferError> {
        self.chain.simulate(transfer).await
    }

    async fn transfer(&self, transfer: &Transfer) -> Result<Mined, TransferError> {
        self.crash.at(points::EXACT_SENDING);
        let mined = self.chain.transfer(transfer).await;
        self.crash.at(points::EXACT_MINED);
        mined
    }

    async fn standing(&self, transfer: &Transfer) -> Result<Standing, TransferError> {
        self.chain.standing(transfer).await
    }

    async fn block_hash(&self, block: u64) -> Result<Option<B256>, TransferError> {
        self.chain.block_hash(block).await
    }

    async fn head(&self) -> Result<Head, TransferError> {
        self.chain.head().await
    }

    fn senders(&self) -> Vec<Address> {
        self.chain.senders()
    }
}

#[async_trait]
impl<C: ChannelChain> ChannelChain for Watched<C> {
    fn authorizer(&self) -> Address {
        self.chain.authorizer()
    }

    async fn channels(&self, ids: &[B256]) -> Result<Vec<ChannelOnChain>, ChainError> {
        self.chain.channels(ids).await
    }

    async fn deposit(&self, channel: &ChannelConfig, deposit: &Deposit) -> Result<Option<TxRef>, ChainError> {
        self.crash.at(points::DEPOSIT_SENDING);
        let mined = self.chain.deposit(channel, deposit).await;
        self.crash.at(points::DEPOSIT_MINED);
        mined
    }

    async fn deposit_used(&self, payer: Address, nonce: B256) -> Result<bool, ChainError> {
        self.chain.deposit_used(payer, nonce).await
    }

    async fn claim(&self, claims: &[ToClaim]) -> Result<Claimed, ChainError> {
        self.crash.at(points::CLAIM_SENDING);
        let mined = self.chain.claim(claims).await;
        self.crash.at(points::CLAIM_MINED);
        mined
    }

    async fn settle(&self, receiver: Address) -> Result<Option<TxRef>, ChainError> {
        self.chain.settle(receiver).await
    }

    async fn refund(&self, channel: &ChannelConfig, amount: haggle_base::Usdc) -> Result<TxRef, ChainError> {
        self.chain.refund(channel, amount).await
    }

    async fn start_withdrawal(&self, channel: &ChannelConfig, amount: haggle_base::Usdc) -> Result<TxRef, ChainError> {
        self.chain.start_withdrawal(channel, amount).await
    }

    async fn finish_withdrawal(&self, channel: &ChannelConfig) -> Result<Option<TxRef>, ChainError> {
        self.chain.finish_withdrawal(channel).await
    }

    async fn withdrawals(&self, after: Option<u64>) -> Result<(Vec<B256>, u64), ChainError> {
        self.chain.withdrawals(after).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_hit_at_the_time_that_was_asked_for() {
        let armed = Armed::read("claim_mined:3").unwrap();
        let hits = ["claim_mined", "exact_taken", "claim_mined", "claim_mined"].map(|point| armed.is_hit(point));
        assert_eq!(hits, [false, false, false, true]);
        assert!(Armed::read("funded").unwrap().is_hit("funded"));
        let any = Armed::read("any:2").unwrap();
        assert_eq!([any.is_hit("funded"), any.is_hit("exact_taken")], [false, true]);
    }

    #[test]
    fn what_is_no_time_arms_nothing() {
        for asked in ["", ":2", "funded:", "funded:0", "funded:x"] {
            assert!(Armed::read(asked).is_none(), "{asked:?}");
        }
        CrashPoint::default().at("funded");
    }
}
