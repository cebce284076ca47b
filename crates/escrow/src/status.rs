//! Where an order stands on chain, and how it ended.

use haggle_base::{ClosedBy, Timestamp};
use serde::{Deserialize, Serialize};

/// Where an order stands; it only ever moves down this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Never funded: the chain does not know it.
    None,
    /// The buyer's money is held.
    Funded,
    /// The provider said on chain that it delivered; the review window runs or is over.
    Delivered,
    /// The buyer disputes; the provider may stand against it.
    Disputed,
    /// The provider stands against the dispute; the arbitrator may rule.
    Arbitrating,
    /// Over: the money is gone to whom it belongs.
    Settled,
    /// A status of a later contract.
    Unknown,
}

impl Status {
    pub(crate) const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::None,
            1 => Self::Funded,
            2 => Self::Delivered,
            3 => Self::Settled,
            4 => Self::Disputed,
            5 => Self::Arbitrating,
            _ => Self::Unknown,
        }
    }
}

/// What the chain says of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnChain {
    /// Where it stands.
    pub status: Status,
    /// What settled it, once it is; also `None` for an outcome of a later contract.
    pub closed_by: Option<ClosedBy>,
    /// Whether the provider agreed on chain: its signature was checked at funding, or it delivered.
    pub consented: bool,
    /// When the last window that was opened ends, be it for review, for the counter or for the ruling, chain time;
    /// `None` if none was.
    pub window_ends: Option<Timestamp>,
}

impl OnChain {
    /// Whether the money has left the escrow.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.status == Status::Settled
    }
}
