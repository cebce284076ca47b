//! What happened on chain, as plain facts without anything of alloy in them.

use alloy::primitives::{Address, B256, U256};
use alloy::rpc::types::Log;
use alloy::sol_types::SolEventInterface as _;
use haggle_base::{ClosedBy, OrderId, Timestamp, Usdc};
use serde::{Deserialize, Serialize};

use crate::bindings::Escrow::EscrowEvents as E;
use crate::error::Skip;

/// Where on the chain a fact stands. `(tx, log_index)` names it for ever; a reorg may move it to another block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Block number.
    pub block: u64,
    /// Block hash.
    pub block_hash: B256,
    /// The block's time: chain time.
    pub time: Timestamp,
    /// The transaction.
    pub tx: B256,
    /// Which of the block's logs.
    pub log_index: u64,
}

/// One thing the escrow said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainFact {
    /// Where it says so.
    pub at: Place,
    /// What it says.
    pub event: EscrowEvent,
}

/// What the escrow can say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EscrowEvent {
    /// The buyer's money for an order is held.
    Funded {
        /// The order.
        order: OrderId,
        /// Who paid.
        buyer: Address,
        /// Who is to be paid.
        provider: Address,
        /// The order's amount, without a fee on top.
        amount: Usdc,
        /// Hash of the terms both signed.
        terms: B256,
    },
    /// The provider says it delivered.
    Delivered {
        /// The order.
        order: OrderId,
        /// Hash of what was delivered.
        deliverable: B256,
        /// From then on anybody can have the provider paid.
        review_ends: Timestamp,
    },
    /// The buyer disputes what was delivered.
    Disputed {
        /// The order.
        order: OrderId,
        /// The buyer.
        by: Address,
        /// Hash of what it says went wrong.
        evidence: B256,
    },
    /// The provider stands against the dispute: the arbitrator has to rule.
    Countered {
        /// The order.
        order: OrderId,
    },
    /// A row of a batch did not fund its order.
    FundSkipped {
        /// The order.
        order: OrderId,
        /// Why.
        reason: Skip,
    },
    /// A row of a batch did not release its order.
    ReleaseSkipped {
        /// The order.
        order: OrderId,
        /// Why.
        reason: Skip,
    },
    /// The order is over, but what the provider had at stake for it stays locked.
    StakeStuck {
        /// The order.
        order: OrderId,
    },
    /// The buyer's feedback was written to the registry.
    FeedbackPublished {
        /// The order.
        order: OrderId,
        /// The provider's agent there.
        agent_id: U256,
        /// The rating.
        value: i128,
    },
    /// The order is over. The three sums are the whole deposit.
    Settled {
        /// The order.
        order: OrderId,
        /// Who had paid.
        buyer: Address,
        /// Who worked.
        provider: Address,
        /// To the provider.
        paid: Usdc,
        /// To the fee recipient, who has to withdraw it.
        fee: Usdc,
        /// Back to the buyer.
        refunded: Usdc,
        /// What settled it; `None` for an outcome of a later contract.
        closed_by: Option<ClosedBy>,
    },
    /// A transfer failed, so the money waits.
    Credited {
        /// For whom.
        account: Address,
        /// How much.
        amount: Usdc,
    },
    /// What waited was sent.
    Withdrawn {
        /// To whom.
        account: Address,
        /// How much.
        amount: Usdc,
    },
}

impl EscrowEvent {
    /// The order it is about, if it is about one.
    #[must_use]
    pub const fn order(&self) -> Option<&OrderId> {
        match self {
            Self::Funded { order, .. }
            | Self::Delivered { order, .. }
            | Self::Disputed { order, .. }
            | Self::Countered { order }
            | Self::FundSkipped { order, .. }
            | Self::ReleaseSkipped { order, .. }
            | Self::StakeStuck { order }
            | Self::FeedbackPublished { order, .. }
            | Self::Settled { order, .. } => Some(order),
            Self::Credited { .. } | Self::Withdrawn { .. } => None,
        }
    }
}

/// Where a log stands, but for its time, which not every endpoint tells.
pub(crate) struct Placed {
    pub(crate) block: u64,
    pub(crate) block_hash: B256,
    pub(crate) time: Option<Timestamp>,
    pub(crate) tx: B256,
    pub(crate) log_index: u64,
}

/// Where a log stands; `None` for one that is not in a block.
pub(crate) fn placed(log: &Log) -> Option<Placed> {
    Some(Placed {
        block: log.block_number?,
        block_hash: log.block_hash?,
        time: log.block_timestamp.map(Timestamp::from_secs),
        tx: log.transaction_hash?,
        log_index: log.log_index?,
    })
}

/// What a log of the escrow says; `None` for an event of a later contract, or a sum no USDC can have.
pub(crate) fn event(log: &Log) -> Option<EscrowEvent> {
    Some(match E::decode_log(&log.inner).ok()?.data {
        E::Funded(e) => EscrowEvent::Funded {
            order: OrderId::new(e.id),
            buyer: e.buyer,
            provider: e.provider,
            amount: Usdc::try_from(e.amount).ok()?,
            terms: e.terms,
        },
        E::Delivered(e) => EscrowEvent::Delivered {
            order: OrderId::new(e.id),
            deliverable: e.deliverable,
            review_ends: Timestamp::from_secs(e.reviewEnds.to()),
        },
        E::Disputed(e) => EscrowEvent::Disputed { order: OrderId::new(e.id), by: e.by, evidence: e.evidence },
        E::Countered(e) => EscrowEvent::Countered { order: OrderId::new(e.id) },
        E::FundSkipped(e) => EscrowEvent::FundSkipped { order: OrderId::new(e.id), reason: Skip(e.reason) },
        E::ReleaseSkipped(e) => EscrowEvent::ReleaseSkipped { order: OrderId::new(e.id), reason: Skip(e.reason) },
        E::StakeStuck(e) => EscrowEvent::StakeStuck { order: OrderId::new(e.id) },
        E::FeedbackPublished(e) => {
            EscrowEvent::FeedbackPublished { order: OrderId::new(e.id), agent_id: e.agentId, value: e.value }
        }
        E::Settled(e) => EscrowEvent::Settled {
            order: OrderId::new(e.id),
            buyer: e.buyer,
            provider: e.provider,
            paid: Usdc::try_from(e.paid).ok()?,
            fee: Usdc::try_from(e.fee).ok()?,
            refunded: Usdc::try_from(e.refunded).ok()?,
            closed_by: ClosedBy::from_outcome(e.outcome),
        },
        E::Credited(e) => EscrowEvent::Credited { account: e.account, amount: Usdc::try_from(e.amount).ok()? },
        E::Withdrawn(e) => EscrowEvent::Withdrawn { account: e.account, amount: Usdc::try_from(e.amount).ok()? },
    })
}
