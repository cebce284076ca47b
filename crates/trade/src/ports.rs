//! What a trade needs from the rest of the node: six small doors, joined to rooms by the node.

use std::{fmt::Debug, time::Duration};

use alloy_primitives::{Address, B256};
use async_trait::async_trait;
use haggle_base::{
    Did, EvmSignature, Hash, OrderId, PaymentBinding, Text, Timestamp, Usdc,
    attestation::{ClosedBy, Side},
    eip712::Order,
};
use serde::{Deserialize, Serialize};

use crate::{
    error::PortError,
    offer::Offer,
    wire::{TradeMessage, TradeReply},
};

/// The way to a provider: one message, one reply. Messages may be lost or repeated.
#[async_trait]
pub trait Counterparty: Send + Sync + Debug {
    /// Sends `message` to the provider and waits at most `deadline` for its reply.
    ///
    /// # Errors
    /// A retryable error when nobody answered in time.
    async fn send(&self, provider: &Did, message: TradeMessage, deadline: Duration) -> Result<TradeReply, PortError>;
}

/// What is sold: the node's view of the shelf.
#[async_trait]
pub trait Market: Send + Sync + Debug {
    /// The current version of an agent's listing in a slot, if there is one.
    async fn offer(&self, provider: &Did, slot: &str) -> Option<Offer>;

    /// The payment address that the agent's current card binds, if its binding is valid at `now`.
    async fn bound_address(&self, agent: &Did, now: Timestamp) -> Option<Address>;
}

/// The keys of this node's agents, for documents (money keys stay behind [`Money`]).
pub trait Signer: Send + Sync + Debug {
    /// Signs `payload` as an untagged `COSE_Sign1` of this kind with the agent's key.
    ///
    /// # Errors
    /// When the agent is not one of ours.
    fn sign(&self, agent: &Did, kind: &str, payload: &[u8]) -> Result<Vec<u8>, PortError>;

    /// The agent's own binding to its payment address, if it has one.
    fn binding(&self, agent: &Did) -> Option<PaymentBinding>;
}

/// A transaction on the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TxRef {
    /// The transaction's hash.
    pub hash: B256,
    /// The block that holds it.
    pub block: u64,
}

/// What the escrow says of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Never funded.
    Unfunded,
    /// Holding the buyer's money.
    Funded,
    /// Declared delivered; the review window ends then (chain time).
    Delivered {
        /// End of the review window.
        review_ends: Timestamp,
    },
    /// The buyer disputes what was delivered; the provider may stand against it until then (chain time).
    Disputed {
        /// End of the counter window.
        ends: Timestamp,
    },
    /// Both put up their bonds; the arbitrator may rule until then (chain time).
    Arbitrating {
        /// End of the ruling window.
        ends: Timestamp,
    },
    /// Paid out, for good.
    Settled {
        /// Which exit closed it.
        closed_by: ClosedBy,
        /// What the provider's side was paid of the price.
        paid: Usdc,
        /// The fee that was taken.
        fee: Usdc,
    },
}

/// An order's phase with the transaction that led to it, where the node knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnChain {
    /// The phase.
    pub phase: Phase,
    /// The transaction that made this phase, if the node has seen its event.
    pub tx: Option<TxRef>,
    /// What the provider said on chain that it delivered, if the node has seen it.
    pub deliverable: Option<Hash>,
    /// The evidence of the dispute, while there is one.
    pub evidence: Option<Hash>,
}

/// Budgets, payment keys and the chain. Everything is keyed so that a repeated call changes nothing.
#[async_trait]
pub trait Money: Send + Sync + Debug {
    /// The payment address of one of our agents.
    fn payment_address(&self, agent: &Did) -> Option<Address>;

    /// Reserves `total` of the agent's budget under `key`; the same key again is a no-op.
    ///
    /// # Errors
    /// Not retryable when the budget or the balance does not allow it.
    async fn reserve(&self, key: &str, agent: &Did, total: Usdc, now: Timestamp) -> Result<(), PortError>;

    /// Gives a reservation back; unknown or closed keys are a no-op.
    ///
    /// # Errors
    /// When the books cannot be written.
    async fn cancel_reservation(&self, key: &str) -> Result<(), PortError>;

    /// Signs the order as its provider.
    ///
    /// # Errors
    /// When the agent is not the order's provider.
    async fn sign_order(&self, agent: &Did, order: &Order) -> Result<EvmSignature, PortError>;

    /// Signs the payment of the order as its buyer (EIP-3009, nonce = order id, valid before
    /// `fundBy`), drawn from the reservation `key`. The signature is on disk before it is returned,
    /// and one key never signs two different orders.
    ///
    /// # Errors
    /// When the reservation does not cover it, or the key signed another order.
    async fn authorise(&self, key: &str, agent: &Did, order: &Order) -> Result<EvmSignature, PortError>;

    /// Signs the release as the order's buyer.
    ///
    /// # Errors
    /// When the agent is not the order's buyer.
    async fn sign_release(&self, agent: &Did, order: &Order) -> Result<EvmSignature, PortError>;

    /// Puts the buyer's money into the escrow, with gas of `agent`.
    ///
    /// # Errors
    /// Retryable when the chain is away; otherwise what the escrow answered.
    async fn submit_fund(
        &self,
        agent: &Did,
        order: &Order,
        buyer: &EvmSignature,
        provider: &EvmSignature,
    ) -> Result<TxRef, PortError>;

    /// Releases the money to the provider with the buyer's signature.
    ///
    /// # Errors
    /// As [`Money::submit_fund`].
    async fn submit_release(&self, agent: &Did, order: &Order, buyer: &EvmSignature) -> Result<TxRef, PortError>;

    /// Declares delivery of `deliverable`; only the order's provider can.
    ///
    /// # Errors
    /// As [`Money::submit_fund`].
    async fn submit_deliver(&self, agent: &Did, order: &Order, deliverable: &Hash) -> Result<TxRef, PortError>;

    /// Signs and submits the provider's refund of everything.
    ///
    /// # Errors
    /// As [`Money::submit_fund`].
    async fn submit_refund(&self, agent: &Did, order: &Order) -> Result<TxRef, PortError>;

    /// Takes the timed exit of the order.
    ///
    /// # Errors
    /// As [`Money::submit_fund`].
    async fn submit_finalize(&self, agent: &Did, order: &Order) -> Result<TxRef, PortError>;

    /// Signs the agent's bond for its side of a dispute about `evidence`, good until the open window ends. The same
    /// dispute always takes the same money: a second signature cannot be used beside the first.
    ///
    /// # Errors
    /// When the agent is not that side of the order, or its wallet does not hold the bond.
    async fn sign_bond(
        &self,
        agent: &Did,
        order: &Order,
        side: Side,
        evidence: &Hash,
        until: Timestamp,
    ) -> Result<EvmSignature, PortError>;

    /// Opens the dispute with the buyer's bond.
    ///
    /// # Errors
    /// As [`Money::submit_fund`].
    async fn submit_dispute(
        &self,
        agent: &Did,
        order: &Order,
        evidence: &Hash,
        bond: &EvmSignature,
    ) -> Result<TxRef, PortError>;

    /// Stands against the dispute with the provider's bond.
    ///
    /// # Errors
    /// As [`Money::submit_fund`].
    async fn submit_counter(&self, agent: &Did, order: &Order, bond: &EvmSignature) -> Result<TxRef, PortError>;

    /// What the escrow says of the order now.
    ///
    /// # Errors
    /// Retryable when the chain is away.
    async fn on_chain(&self, id: &OrderId, order: &Order) -> Result<OnChain, PortError>;

    /// The time of the latest block.
    ///
    /// # Errors
    /// Retryable when the chain is away.
    async fn chain_now(&self) -> Result<Timestamp, PortError>;

    /// Closes the books of a settled order; the same order again is a no-op. `key` is the buyer's
    /// reservation, or `None` on the provider's side.
    ///
    /// # Errors
    /// `order_not_settled` and `settlement_mismatch` if the chain took that end back; when the books cannot be written.
    async fn settled(&self, key: Option<&str>, closing: &Closing) -> Result<(), PortError>;
}

/// How an order ended on chain, for the books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    /// The order.
    pub id: OrderId,
    /// The order's on-chain form.
    pub order: Order,
    /// Our agent in this order.
    pub agent: Did,
    /// Our side.
    pub side: Side,
    /// Which exit closed it.
    pub closed_by: ClosedBy,
    /// What the provider's side was paid of the price.
    pub paid: Usdc,
    /// The fee that was taken.
    pub fee: Usdc,
    /// The closing transaction, where known.
    pub tx: Option<TxRef>,
}

/// Why an executor gave no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkError {
    /// It may work later.
    #[error("the agent is not ready: {0}")]
    NotNow(String),
    /// It will not work for this input.
    #[error("the agent failed: {0}")]
    Failed(String),
}

/// The agent that does the work.
#[async_trait]
pub trait Work: Send + Sync + Debug {
    /// Runs the agent on the input (JSON) of a funded order and gives its output (JSON).
    ///
    /// A provider that is killed in the middle of a run starts it again: `order` is the same then.
    ///
    /// # Errors
    /// [`WorkError::NotNow`] is tried again until the deadline, [`WorkError::Failed`] refunds.
    async fn run(&self, agent: &Did, order: &OrderId, input: &[u8]) -> Result<Vec<u8>, WorkError>;

    /// Whether nobody runs this agent: its owner gives the output of each order ([`crate::Desk::give`]).
    fn is_by_hand(&self, _agent: &Did) -> bool {
        false
    }

    /// Whether this agent's deliveries are declared on chain when no release comes in time. An honest
    /// agent's are, or a sleeping buyer would never pay it.
    fn posts_delivery(&self, _agent: &Did) -> bool {
        true
    }

    /// Whether this agent's output is held against its own schema before it is delivered. An honest agent's is.
    fn checks_itself(&self, agent: &Did) -> bool {
        self.posts_delivery(agent)
    }
}

/// Everything an attestation of a settled order needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettledFacts {
    /// The order.
    pub id: OrderId,
    /// The order's on-chain form.
    pub order: Order,
    /// The buyer's DID.
    pub buyer: Did,
    /// The provider's DID.
    pub provider: Did,
    /// Canonical CBOR of the parties, which proves the DIDs against `order.terms`.
    pub parties: Vec<u8>,
    /// blake3 of the rest of the terms.
    pub terms_rest: Hash,
    /// The capability that was bought.
    pub capability: Text<64>,
    /// The price.
    pub amount: Usdc,
    /// Which exit closed it.
    pub closed_by: ClosedBy,
    /// What the provider's side was paid of the price.
    pub paid: Usdc,
    /// The fee that was taken.
    pub fee: Usdc,
    /// From funding to receipt, in milliseconds of wall time; zero if there was no receipt.
    pub latency_ms: u32,
    /// blake3 of the input.
    pub request_hash: Hash,
    /// blake3 of the output, if a receipt is held.
    pub response_hash: Option<Hash>,
    /// The provider's signature over the order: its consent.
    pub provider_consent: EvmSignature,
    /// The buyer's rating of 1 to 5, if it gave one.
    pub rating: Option<u8>,
    /// The closing transaction, where known.
    pub tx: Option<TxRef>,
}

/// The memory of the market.
#[async_trait]
pub trait Attestor: Send + Sync + Debug {
    /// Publishes our side's attestation of a settled order; the same order again changes nothing.
    ///
    /// # Errors
    /// Retryable when it cannot be published now.
    async fn attest(&self, facts: SettledFacts, own_side: Side) -> Result<(), PortError>;
}

/// Where crash tests stop a node: called after each stored step, before its effect.
///
/// In production it does nothing. The node aborts the process here when told to (chain 31337 only);
/// a test may never return.
#[async_trait]
pub trait Faults: Send + Sync + Debug {
    /// The step of this name is on disk.
    async fn reached(&self, step: &'static str);
}

/// No faults: every step goes on.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFaults;

#[async_trait]
impl Faults for NoFaults {
    async fn reached(&self, _step: &'static str) {}
}
