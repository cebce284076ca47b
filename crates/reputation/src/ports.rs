//! What reputation needs to know from outside. The node answers from settlement and from the catalog.

use alloy_primitives::{Address, B256};

use haggle_base::{ClosedBy, Did, Hash, OrderId, Timestamp, Usdc};

/// The chain's word on an order's funding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FundedFact {
    /// Who paid.
    pub buyer: Address,
    /// Who works.
    pub provider: Address,
    /// The order's amount, without a fee on top.
    pub amount: Usdc,
    /// The hash of the terms.
    pub terms: Hash,
}

/// The chain's word on how an order ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SettledFact {
    /// What ended it.
    pub closed_by: ClosedBy,
    /// What the provider got.
    pub paid: Usdc,
    /// What the fee recipient is owed.
    pub fee: Usdc,
    /// What the buyer got back.
    pub refunded: Usdc,
    /// The transaction.
    pub tx: B256,
    /// The block.
    pub block: u64,
    /// The block's time.
    pub time: Timestamp,
}

/// What was read from the one escrow contract that the network file pins.
pub trait ChainFacts: Send + Sync + 'static {
    /// The order's funding, if it was read.
    fn funded(&self, order: &OrderId) -> Option<FundedFact>;
    /// The order's end, if it was read.
    fn settled(&self, order: &OrderId) -> Option<SettledFact>;
}

/// Which payment addresses agents have bound to themselves.
pub trait Bindings: Send + Sync + 'static {
    /// Whether this node knows a statement by both keys that the address is the agent's.
    fn is_bound(&self, did: &Did, address: &Address) -> bool;
}
