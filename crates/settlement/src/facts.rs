//! What the chain says happened, as settlement keeps it.

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};

use haggle_base::{ClosedBy, Hash, OrderId, Timestamp, Usdc};

/// How far the chain was read: everything up to and including this block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    /// The block's number.
    pub block: u64,
    /// Its hash, by which a reorganisation is noticed.
    pub hash: B256,
}

/// Where on the chain a fact stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The block's number.
    pub block: u64,
    /// The block's hash.
    pub hash: B256,
    /// The log's index in the block.
    pub index: u32,
    /// The transaction.
    pub tx: B256,
    /// The block's time.
    pub time: Timestamp,
}

/// The buyer's deposit is in the escrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FundedFact {
    /// The order.
    pub order: OrderId,
    /// Who paid.
    pub buyer: Address,
    /// Who works.
    pub provider: Address,
    /// The order's amount, without a fee on top.
    pub amount: Usdc,
    /// The hash of the terms both sides signed.
    pub terms: Hash,
    /// Where it stands.
    pub place: Place,
}

/// A delivery was posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliveredFact {
    /// The order.
    pub order: OrderId,
    /// The hash of what was delivered, as the provider says.
    pub deliverable: B256,
    /// From this chain time on anybody can have the provider paid.
    pub review_ends: Timestamp,
    /// Where it stands.
    pub place: Place,
}

/// The buyer disputes what was delivered. Its bond, if the order has one, is in the escrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisputedFact {
    /// The order.
    pub order: OrderId,
    /// Hash of what the buyer says went wrong.
    pub evidence: B256,
    /// Where it stands.
    pub place: Place,
}

/// The provider stands against the dispute. Its bond, if the order has one, is in the escrow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CounteredFact {
    /// The order.
    pub order: OrderId,
    /// Where it stands.
    pub place: Place,
}

/// The order is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettledFact {
    /// The order.
    pub order: OrderId,
    /// Who paid.
    pub buyer: Address,
    /// Who worked.
    pub provider: Address,
    /// What the provider got, after a fee taken from it.
    pub paid: Usdc,
    /// What the fee recipient is owed.
    pub fee: Usdc,
    /// What the buyer got back.
    pub refunded: Usdc,
    /// How it ended.
    pub closed_by: ClosedBy,
    /// Where it stands.
    pub place: Place,
}

/// Money that moved outside of an order's own life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwedFact {
    /// Whose it is.
    pub account: Address,
    /// How much.
    pub amount: Usdc,
    /// Where it stands.
    pub place: Place,
}

/// One event of the escrow contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// An order was funded.
    Funded(FundedFact),
    /// A delivery was posted.
    Delivered(DeliveredFact),
    /// The buyer disputes a delivery.
    Disputed(DisputedFact),
    /// The provider stands against a dispute.
    Countered(CounteredFact),
    /// An order is over.
    Settled(SettledFact),
    /// A transfer failed; the money waits in the escrow.
    Credited(OwedFact),
    /// Money that waited was sent.
    Withdrawn(OwedFact),
}

impl Fact {
    /// Where it stands on the chain.
    #[must_use]
    pub fn place(&self) -> &Place {
        match self {
            Self::Funded(fact) => &fact.place,
            Self::Delivered(fact) => &fact.place,
            Self::Disputed(fact) => &fact.place,
            Self::Countered(fact) => &fact.place,
            Self::Settled(fact) => &fact.place,
            Self::Credited(fact) | Self::Withdrawn(fact) => &fact.place,
        }
    }

    /// The order it is about, if it is about one.
    #[must_use]
    pub fn order(&self) -> Option<OrderId> {
        match self {
            Self::Funded(fact) => Some(fact.order),
            Self::Delivered(fact) => Some(fact.order),
            Self::Disputed(fact) => Some(fact.order),
            Self::Countered(fact) => Some(fact.order),
            Self::Settled(fact) => Some(fact.order),
            Self::Credited(_) | Self::Withdrawn(_) => None,
        }
    }
}

/// How an order ended, in the numbers both sides go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClosedOrder {
    /// What ended it.
    pub closed_by: ClosedBy,
    /// What the provider got.
    pub paid: Usdc,
    /// What the fee recipient is owed.
    pub fee: Usdc,
}

/// All that the chain said about one order so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OrderFacts {
    /// Its funding.
    pub funded: Option<FundedFact>,
    /// The posted delivery.
    pub delivered: Option<DeliveredFact>,
    /// Its end.
    pub settled: Option<SettledFact>,
}

impl OrderFacts {
    /// Adds a fact about this order.
    pub(crate) fn add(&mut self, fact: Fact) {
        match fact {
            Fact::Funded(fact) => self.funded = Some(fact),
            Fact::Delivered(fact) => self.delivered = Some(fact),
            Fact::Settled(fact) => self.settled = Some(fact),
            Fact::Disputed(_) | Fact::Countered(_) | Fact::Credited(_) | Fact::Withdrawn(_) => {}
        }
    }
}
