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
    /// Whether the provider's signature over the order was checked when it was funded.
    pub consented: bool,
    /// When the review window ends, chain time; `None` if no delivery was posted.
    pub review_ends: Option<Timestamp>,
}

impl OnChain {
    /// Whether the money has left the escrow.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.status == Status::Settled
    }
}
