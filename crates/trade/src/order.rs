//! The order machine: which states an order passes through, and what may move it.
//!
//! ```text
//! proposed -> agreed -> funded -> delivered -> accepted -> settled
//!     |          |         |        |   |          ^ |
//!     |          |         |        |   disputed --+ |
//!     +-> cancelled        +--------+---+------------+--> refunded
//!     +-> expired <-+
//! ```
//! `settled`, `expired`, `refunded` and `cancelled` are final. All times are **chain time** (the time
//! of the latest block). The machine opens no socket and reads no clock; [`saga`] (the buyer) and
//! [`job`] (the provider) decide which step comes next, and drive it.

use std::fmt;

use haggle_base::{ClosedBy, Timestamp, Usdc};
use serde::{Deserialize, Serialize};

use crate::ports::Phase;

pub mod job;
pub mod saga;

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderState {
    /// Asked for; the terms are not yet signed by both.
    Proposed,
    /// Both signed the terms and the provider signed the on-chain order.
    Agreed,
    /// The buyer's money is in the escrow.
    Funded,
    /// The provider signed for a result, or declared delivery on chain.
    Delivered,
    /// The buyer disputes the on-chain delivery.
    Disputed,
    /// The buyer signed the release, the review window passed after an on-chain delivery, or it was decided so.
    Accepted,
    /// The escrow paid the provider.
    Settled,
    /// Never funded in time.
    Expired,
    /// The escrow paid the buyer back.
    Refunded,
    /// Given up before any money moved.
    Cancelled,
}

impl OrderState {
    /// The stable word for this state.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Agreed => "agreed",
            Self::Funded => "funded",
            Self::Delivered => "delivered",
            Self::Disputed => "disputed",
            Self::Accepted => "accepted",
            Self::Settled => "settled",
            Self::Expired => "expired",
            Self::Refunded => "refunded",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing can move the order any more.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Settled | Self::Expired | Self::Refunded | Self::Cancelled)
    }

    /// The states that may directly follow this one.
    pub fn successors(self) -> &'static [Self] {
        match self {
            Self::Proposed => &[Self::Agreed, Self::Cancelled, Self::Expired],
            Self::Agreed => &[Self::Funded, Self::Cancelled, Self::Expired],
            Self::Funded => &[Self::Delivered, Self::Refunded],
            Self::Delivered => &[Self::Accepted, Self::Disputed, Self::Refunded],
            Self::Disputed => &[Self::Accepted, Self::Refunded],
            Self::Accepted => &[Self::Settled, Self::Refunded],
            Self::Settled | Self::Expired | Self::Refunded | Self::Cancelled => &[],
        }
    }
}

impl fmt::Display for OrderState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The three clocks of an order, in chain time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clocks {
    /// The order can be funded while the chain's time is below this.
    pub fund_by: Timestamp,
    /// Delivery counts while the chain's time is below this.
    pub deliver_by: Timestamp,
    /// Seconds the buyer has to object after an on-chain delivery.
    pub review_secs: u32,
}

/// One order's state, with the rule for every move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderMachine {
    state: OrderState,
    clocks: Clocks,
    /// A payment signature has left the buyer, so only the chain can end this order.
    committed: bool,
    /// Set by an on-chain delivery: when the review window ends.
    review_ends: Option<Timestamp>,
}

/// What can be done to an order.
pub mod command {
    use haggle_base::Timestamp;

    /// Who or what accepted a delivery.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum AcceptBy {
        /// The buyer signed the release.
        Release,
        /// Nobody objected before the review window ended.
        Silence,
        /// Money was divided by both sides, the validator or the arbitrator, and the provider has a part.
        Decision,
    }

    /// Every command, with what it needs to be judged.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Command {
        /// Both signatures are on the terms and the provider's is on the order.
        Agree,
        /// The buyer's payment signature leaves the buyer (or has reached the provider).
        Commit,
        /// The chain shows the order funded.
        Fund,
        /// The provider's signed receipt is held.
        Receive,
        /// The chain shows a delivery whose review window ends then.
        Deliver {
            /// End of the review window, chain time.
            review_ends: Timestamp,
        },
        /// The chain shows that the buyer disputes the delivery.
        Dispute,
        /// The delivery is accepted.
        Accept(AcceptBy),
        /// The chain paid the provider.
        Settle,
        /// The chain paid the buyer back.
        Refund,
        /// Nothing was funded in time.
        Expire,
        /// One side gives up.
        Cancel,
    }
}

/// What a command led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Moved {
    /// The order is now in this state.
    To(OrderState),
    /// The order was already there (a repeated message or observation).
    Already,
    /// The clock forbids it (yet, or any more).
    WrongTime,
    /// This state does not allow the command.
    Refused(OrderState),
}

impl OrderMachine {
    /// A new order with these clocks.
    pub fn propose(clocks: Clocks) -> Self {
        Self { state: OrderState::Proposed, clocks, committed: false, review_ends: None }
    }

    /// Where the order stands.
    pub fn state(&self) -> OrderState {
        self.state
    }

    /// The order's clocks.
    pub fn clocks(&self) -> Clocks {
        self.clocks
    }

    /// Whether a payment signature has left, so that only the chain can end the order.
    pub fn is_committed(&self) -> bool {
        self.committed
    }

    /// When the on-chain review window ends, if a delivery is on chain.
    pub fn review_ends(&self) -> Option<Timestamp> {
        self.review_ends
    }

    /// Applies one command at chain time `now`.
    ///
    /// # State transition
    /// Moves along one edge of [`OrderState::successors`], or not at all.
    pub fn apply(&mut self, command: command::Command, now: Timestamp) -> Moved {
        use OrderState as S;
        use command::{AcceptBy, Command as C};
        match (command, self.state) {
            (C::Agree, S::Proposed) if now < self.clocks.fund_by => self.go(S::Agreed),
            (C::Agree, S::Proposed) => Moved::WrongTime,
            (C::Agree, S::Agreed) => Moved::Already,

            (C::Commit, S::Agreed) if self.committed => Moved::Already,
            (C::Commit, S::Agreed) if now < self.clocks.fund_by => {
                self.committed = true;
                Moved::To(S::Agreed)
            }
            (C::Commit, S::Agreed) => Moved::WrongTime,

            (C::Fund, S::Agreed) => {
                self.committed = true;
                self.go(S::Funded)
            }
            (C::Fund, S::Funded) => Moved::Already,

            (C::Receive, S::Funded) if now < self.clocks.deliver_by => self.go(S::Delivered),
            (C::Receive, S::Funded) => Moved::WrongTime,
            (C::Receive, S::Delivered) => Moved::Already,

            (C::Deliver { review_ends }, S::Funded) => {
                self.review_ends = Some(review_ends);
                self.go(S::Delivered)
            }
            (C::Deliver { review_ends }, S::Delivered | S::Disputed | S::Accepted) => {
                self.review_ends = Some(review_ends);
                Moved::Already
            }

            (C::Dispute, S::Delivered) => self.go(S::Disputed),
            (C::Dispute, S::Disputed) => Moved::Already,

            (C::Accept(AcceptBy::Release | AcceptBy::Decision), S::Delivered | S::Disputed) => self.go(S::Accepted),
            (C::Accept(AcceptBy::Silence), S::Delivered) => match self.review_ends {
                Some(end) if now >= end => self.go(S::Accepted),
                Some(_) | None => Moved::WrongTime,
            },
            (C::Accept(_), S::Accepted) => Moved::Already,

            (C::Settle, S::Accepted) => self.go(S::Settled),
            (C::Settle, S::Settled) => Moved::Already,

            (C::Refund, S::Funded | S::Delivered | S::Disputed | S::Accepted) => self.go(S::Refunded),
            (C::Refund, S::Refunded) => Moved::Already,

            (C::Expire, S::Proposed | S::Agreed) if now >= self.clocks.fund_by => self.go(S::Expired),
            (C::Expire, S::Proposed | S::Agreed) => Moved::WrongTime,
            (C::Expire, S::Expired) => Moved::Already,

            (C::Cancel, S::Proposed | S::Agreed) if !self.committed => self.go(S::Cancelled),
            (C::Cancel, S::Cancelled) => Moved::Already,

            (
                C::Agree
                | C::Commit
                | C::Fund
                | C::Receive
                | C::Deliver { .. }
                | C::Dispute
                | C::Accept(_)
                | C::Settle
                | C::Refund
                | C::Expire
                | C::Cancel,
                state,
            ) => Moved::Refused(state),
        }
    }

    /// Walks to where the chain already is, through every state between: facts of the chain are not
    /// judged by the clock again.
    pub fn catch_up(&mut self, phase: &Phase, now: Timestamp) {
        use command::{AcceptBy, Command as C};
        let path: &[C] = match phase {
            Phase::Unfunded => &[],
            Phase::Funded => &[C::Fund],
            Phase::Delivered { review_ends } => &[C::Fund, C::Deliver { review_ends: *review_ends }],
            Phase::Disputed { .. } | Phase::Arbitrating { .. } => {
                &[C::Fund, C::Deliver { review_ends: now }, C::Dispute]
            }
            Phase::Settled { closed_by, paid, .. } => match closed_by {
                ClosedBy::Release => {
                    &[C::Fund, C::Deliver { review_ends: now }, C::Accept(AcceptBy::Release), C::Settle]
                }
                ClosedBy::Timeout | ClosedBy::UndeliveredPaid => {
                    &[C::Fund, C::Deliver { review_ends: now }, C::Accept(AcceptBy::Silence), C::Settle]
                }
                ClosedBy::Split | ClosedBy::Verdict | ClosedBy::Ruling | ClosedBy::Silent if *paid != Usdc::ZERO => {
                    &[C::Fund, C::Deliver { review_ends: now }, C::Accept(AcceptBy::Decision), C::Settle]
                }
                ClosedBy::Refund
                | ClosedBy::Expired
                | ClosedBy::Uncountered
                | ClosedBy::Split
                | ClosedBy::Verdict
                | ClosedBy::Ruling
                | ClosedBy::Silent => &[C::Fund, C::Refund],
            },
        };
        for command in path {
            // Steps that lie behind us are refused, which is right.
            let _behind_or_moved = self.apply(*command, now);
        }
    }

    /// Goes back to where the order stood before blocks that the chain has taken back. Nothing but a reorganisation does
    /// this.
    pub fn take_back(&mut self, to: OrderState) {
        self.state = to;
        if matches!(to, OrderState::Proposed | OrderState::Agreed | OrderState::Funded) {
            self.review_ends = None;
        }
    }

    fn go(&mut self, to: OrderState) -> Moved {
        self.state = to;
        Moved::To(to)
    }
}

#[cfg(test)]
mod tests;
