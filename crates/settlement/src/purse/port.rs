//! What the purse asks of the chain, beside what settlement asks anyway.

use alloy_primitives::{Address, B256};
use async_trait::async_trait;

use haggle_base::Did;
use haggle_x402::exact::Transfer;

use crate::ports::{ChainError, TxRef};

/// The token's signed transfers.
///
/// Every method either has happened on the chain when it returns `Ok`, or says why not. Implementations bound their own
/// waiting.
#[async_trait]
pub trait TokenChain: Send + Sync + 'static {
    /// Whether a transfer with this nonce was made, at the latest block.
    async fn is_used(&self, payer: Address, nonce: B256) -> Result<bool, ChainError>;
    /// Sends a signed transfer; `agent` pays the gas.
    async fn transfer(&self, agent: &Did, transfer: &Transfer) -> Result<TxRef, ChainError>;
}
