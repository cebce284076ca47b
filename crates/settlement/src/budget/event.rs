//! What the budget machine answers: one enum per operation, every outcome named.

use haggle_base::{OrderId, Usdc};

use super::Reservation;

/// Outcome of [`Budget::reserve`](super::Budget::reserve).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Reserve {
    /// Set aside.
    Held,
    /// The same reservation was open already.
    AlreadyHeld,
    /// The key belongs to a different reservation.
    KeyTaken,
    /// Nothing was asked for: what is free needs no reservation.
    NothingToReserve,
    /// The agent has [`MAX_OPEN`](super::MAX_OPEN) open reservations.
    TooManyOpen,
    /// One order may not take that much.
    OverPerCall {
        /// The limit.
        limit: Usdc,
    },
    /// The orders of this day may not take that much together.
    OverPerDay {
        /// The limit.
        limit: Usdc,
        /// What is left of it.
        left: Usdc,
    },
    /// The wallet does not hold that much beside what is reserved.
    InsufficientFunds {
        /// What it could give.
        available: Usdc,
    },
}

/// Outcome of [`Budget::authorise`](super::Budget::authorise).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Authorise {
    /// Sign, and store the signature before it leaves.
    Granted,
    /// This order was signed on this reservation before.
    AlreadyGranted,
    /// The reservation has paid for another order; it never pays for a second one.
    OtherOrder {
        /// The order it paid for.
        order: OrderId,
    },
    /// There is no open reservation with this key.
    Unknown,
    /// The reservation ended before it was signed.
    Expired,
    /// The order takes more than was reserved.
    OverReserved {
        /// What was reserved.
        reserved: Usdc,
    },
    /// The limit for one order was lowered below this one since.
    OverPerCall {
        /// The limit.
        limit: Usdc,
    },
    /// The limit for the day was lowered, or a new day began that is already used up.
    OverPerDay {
        /// The limit.
        limit: Usdc,
        /// What is left of it.
        left: Usdc,
    },
}

/// Outcome of [`Budget::cancel`](super::Budget::cancel).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Cancel {
    /// Given back.
    Cancelled {
        /// How much.
        amount: Usdc,
    },
    /// A signature for this order is out; only the chain can end it.
    Signed {
        /// The order.
        order: OrderId,
    },
    /// There is no open reservation with this key.
    NotOpen,
}

/// Outcome of [`Budget::fund`](super::Budget::fund).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Fund {
    /// The money has left the wallet.
    Funded {
        /// What was reserved; the rest of it is free again.
        reserved: Usdc,
    },
    /// It had left before.
    AlreadyFunded,
    /// There is no signed reservation with this key.
    NotSigned,
}

/// Outcome of [`Budget::close`](super::Budget::close).
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Close {
    /// Over; this is how it ended.
    Closed(Reservation),
    /// There is no signed or funded reservation with this key.
    NotOpen,
}
