//! What settlement needs from outside: a chain to act on and keys to sign with. The node joins them to the real ones.

pub mod channel;

pub use channel::{ChannelChain, ChannelOnChain, Claimed, ToClaim};

use alloy_primitives::{Address, B256};
use async_trait::async_trait;

use haggle_base::{ClosedBy, Did, EvmSignature, Order, Text, Timestamp, Usdc};

use crate::facts::{Cursor, Fact};

pub mod exact;

/// A transaction that was mined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TxRef {
    /// Its hash.
    pub hash: B256,
    /// The block it is in.
    pub block: u64,
}

/// Where an order stands on the chain, at the latest block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnChain {
    /// Never funded.
    None,
    /// The money is in the escrow.
    Funded,
    /// The provider posted a delivery.
    Delivered {
        /// From this chain time on anybody can have the provider paid.
        review_ends: Timestamp,
    },
    /// The buyer disputes, and the provider or the arbitrator has a say; not over.
    Disputed {
        /// From this chain time on anybody can have it settled by its terms.
        ends: Timestamp,
    },
    /// Over.
    Settled {
        /// How it ended.
        closed_by: ClosedBy,
    },
}

/// Why the chain did not do or tell something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// No RPC answers, or all answer nonsense. Nothing was sent.
    #[error("no chain RPC answers")]
    Down,
    /// A transaction was sent, and the connection was lost before its outcome was seen.
    #[error("a transaction was sent, its outcome is not known yet")]
    OutcomeUnknown,
    /// The contract or the node refused the call. Nothing changed.
    #[error("the chain refused the call: {reason}")]
    Refused {
        /// The contract's error name, or the node's reason, shortened.
        reason: Text<128>,
    },
}

/// News from the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// What happened in the blocks after the cursor, in order, and how far was read.
    Facts {
        /// The facts of whole blocks, in the order of the chain. May be empty.
        facts: Vec<Fact>,
        /// Everything up to here was read.
        next: Cursor,
    },
    /// The cursor's block is no longer part of the chain.
    Reorged,
}

/// The chain: the escrow contract, the token, the latest block's time.
///
/// Every method either has happened on the chain when it returns `Ok`, or says why not. Implementations bound their own
/// waiting.
#[async_trait]
pub trait Chain: Send + Sync + 'static {
    /// Calls `fund` with both signatures.
    async fn fund(&self, order: &Order, buyer: &EvmSignature, provider: &EvmSignature) -> Result<TxRef, ChainError>;
    /// Calls `release` with the buyer's signature.
    async fn release(&self, order: &Order, buyer: &EvmSignature) -> Result<TxRef, ChainError>;
    /// Calls `refund` with the provider's signature.
    async fn refund(&self, order: &Order, provider: &EvmSignature) -> Result<TxRef, ChainError>;
    /// Calls `deliver`, sent by `order.provider` itself.
    async fn deliver(&self, order: &Order, deliverable: B256) -> Result<TxRef, ChainError>;
    /// Calls `finalize`.
    async fn finalize(&self, order: &Order) -> Result<TxRef, ChainError>;
    /// Where the order stands at the latest block.
    async fn status(&self, order: &Order) -> Result<OnChain, ChainError>;
    /// The token balance of `account` at the latest block.
    async fn balance(&self, account: Address) -> Result<Usdc, ChainError>;
    /// The latest block's time.
    async fn now(&self) -> Result<Timestamp, ChainError>;
    /// What happened on the escrow after `from`. At most a few thousand facts at once, always of whole blocks.
    async fn poll(&self, from: &Cursor) -> Result<News, ChainError>;
}

/// The key of an agent cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the payment key of this agent is not in this home")]
pub struct NoKey;

/// The payment keys of the agents this node serves.
pub trait Wallet: Send + Sync + 'static {
    /// The agent's payment address, if its key is here.
    fn address(&self, agent: &Did) -> Option<Address>;
    /// The agent that is paid at this address, if its key is here.
    fn agent_at(&self, address: &Address) -> Option<Did>;
    /// Signs a digest with the agent's payment key. The same digest always gives the same signature (RFC 6979).
    ///
    /// # Errors
    /// [`NoKey`] if the key is not here.
    fn sign(&self, agent: &Did, digest: &B256) -> Result<EvmSignature, NoKey>;
}
