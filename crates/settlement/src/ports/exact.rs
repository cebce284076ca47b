//! What the till needs from the chain: the token's own transfers, simulated, sent, and looked up afterwards.

use alloy_primitives::{Address, B256};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use haggle_base::{Text, Timestamp};
use haggle_x402::exact::Transfer;

/// A transfer that stands on the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mined {
    /// The transaction.
    pub tx: B256,
    /// The block's number.
    pub block: u64,
    /// The block's hash, by which a reorganisation is noticed.
    pub hash: B256,
    /// The block's time.
    pub time: Timestamp,
}

/// What became of a transfer, at the latest block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Its nonce is unused: it can still happen.
    Open,
    /// The money moved as the transfer says, whoever sent it.
    Paid(Mined),
    /// Its nonce was cancelled, or used for something else: it can never happen.
    Void,
}

/// Why the token would not do, or did not do, a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransferRefusal {
    /// The nonce was used or cancelled.
    Used,
    /// By the chain's clock it is over.
    Expired,
    /// By the chain's clock it has not begun.
    NotYetValid,
    /// The payer has not enough.
    Funds,
    /// The signature is nobody's, or not the payer's.
    Signature,
    /// Anything else the token said, shortened.
    Other(Text<128>),
}

/// Why a transfer was not looked at or not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// No RPC answers. Nothing was sent.
    #[error("no chain RPC answers")]
    Down,
    /// This side cannot send now, for example for want of gas money. Nothing was sent.
    #[error("nothing can be sent now: {reason}")]
    NotNow {
        /// Why, shortened.
        reason: Text<128>,
    },
    /// It was sent, and its outcome was not seen.
    #[error("a transfer was sent, its outcome is not known yet")]
    OutcomeUnknown {
        /// The transaction, if it is known.
        tx: Option<B256>,
    },
    /// The token refuses. Nothing moved.
    #[error("the token refuses the transfer: {0:?}")]
    Refused(TransferRefusal),
}

/// The latest block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its number.
    pub block: u64,
    /// Its time.
    pub time: Timestamp,
}

/// The token on its chain. Implementations bound their own waiting.
#[async_trait]
pub trait ExactChain: Send + Sync + 'static {
    /// Runs the transfer at the latest block without sending it.
    async fn simulate(&self, transfer: &Transfer) -> Result<(), TransferError>;
    /// Simulates, sends, and waits until it is mined.
    async fn transfer(&self, transfer: &Transfer) -> Result<Mined, TransferError>;
    /// What became of it.
    async fn standing(&self, transfer: &Transfer) -> Result<Standing, TransferError>;
    /// The hash of a block; `None` if the chain is not so long.
    async fn block_hash(&self, block: u64) -> Result<Option<B256>, TransferError>;
    /// The latest block.
    async fn head(&self) -> Result<Head, TransferError>;
    /// The addresses that send.
    fn senders(&self) -> Vec<Address>;
}
