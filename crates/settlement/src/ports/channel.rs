//! The channel contract, as settlement needs it: what a channel holds, and the few calls that move its money.

use alloy_primitives::{Address, B256};
use async_trait::async_trait;

use haggle_base::{EvmSignature, Timestamp, Usdc, eip712::channel::ChannelConfig};
use haggle_x402::Deposit;

use super::{ChainError, TxRef};

/// What the chain says about a channel. One that nobody ever paid into holds nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChannelOnChain {
    /// Deposits less refunds and withdrawals.
    pub balance: Usdc,
    /// What was claimed in all; never goes down unless the chain is rewritten.
    pub claimed: Usdc,
    /// How many refunds there were.
    pub refunds: u64,
    /// Since when the payer's withdrawal is under way, chain time.
    pub withdrawal: Option<Timestamp>,
}

/// A channel's newest voucher, and how much of it to claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToClaim {
    /// The channel.
    pub channel: ChannelConfig,
    /// What the voucher allows in all.
    pub max: Usdc,
    /// What is to be claimed in all after this: not above `max`, nor above what the channel holds.
    pub total: Usdc,
    /// By the payer's authoriser, over the voucher.
    pub signature: EvmSignature,
}

/// A claim that was mined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claimed {
    /// The transaction.
    pub tx: TxRef,
    /// Whether what was claimed was sent to the receiver too. If the token refused it waits in the contract.
    pub sent: bool,
}

/// The channel contract and its collector.
///
/// Every method either has happened on the chain when it returns `Ok`, or says why not. Implementations bound their own
/// waiting. All of them may be called again: a deposit is used once by its nonce, a claim claims no more than its voucher.
#[async_trait]
pub trait ChannelChain: Send + Sync + 'static {
    /// Who sends claims and refunds: the receiver authoriser of every channel this node sells on.
    fn authorizer(&self) -> Address;
    /// What channels hold, at the latest block, in the order asked for.
    async fn channels(&self, ids: &[B256]) -> Result<Vec<ChannelOnChain>, ChainError>;
    /// Brings a deposit into its channel; `None` if this very payment was used before.
    async fn deposit(&self, channel: &ChannelConfig, deposit: &Deposit) -> Result<Option<TxRef>, ChainError>;
    /// Whether a payment with this nonce was used or cancelled by its payer.
    async fn deposit_used(&self, payer: Address, nonce: B256) -> Result<bool, ChainError>;
    /// Claims channels that pay the same receiver, and sends it what is claimed. A channel that cannot be claimed costs the
    /// others nothing. At most [`MAX_CLAIMS`].
    async fn claim(&self, claims: &[ToClaim]) -> Result<Claimed, ChainError>;
    /// Sends a receiver what is claimed for it and was not sent; `None` if nothing is.
    async fn settle(&self, receiver: Address) -> Result<Option<TxRef>, ChainError>;
    /// Returns `amount` of what is not claimed to the payer, sent by [`Self::authorizer`].
    async fn refund(&self, channel: &ChannelConfig, amount: Usdc) -> Result<TxRef, ChainError>;
    /// Starts a withdrawal, sent by the payer or its authoriser.
    async fn start_withdrawal(&self, channel: &ChannelConfig, amount: Usdc) -> Result<TxRef, ChainError>;
    /// Finishes it; `None` if none is under way.
    async fn finish_withdrawal(&self, channel: &ChannelConfig) -> Result<Option<TxRef>, ChainError>;
    /// Channels in which a withdrawal was started after block `after`, and the block up to which was read. At most a few
    /// thousand blocks at once.
    async fn withdrawals(&self, after: u64) -> Result<(Vec<B256>, u64), ChainError>;
}

/// Channels in one claim: what fits a transaction with room.
pub const MAX_CLAIMS: usize = 100;
