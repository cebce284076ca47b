//! The price machine: two automatic policies exchange offers for a bounded number of rounds.
//!
//! Both sides are pure. The buyer speaks first with a bid; the seller answers with a quote (agreed),
//! a counter (its next ask) or no agreement. A side accepts as soon as the other side's number is at
//! least as good as the number it would have said next, so two policies with equal steps meet in the
//! middle: a buyer that starts at 4.0 and a seller that starts at 6.0 meet at 5.0.

use haggle_base::{Timestamp, Usdc};
use serde::{Deserialize, Serialize};

/// Bids one request may carry before it ends with `no_agreement`.
pub const MAX_ROUNDS: u8 = 8;

/// How a buyer bids: from `bid` upwards by `step`, never above `ceiling`, never after `deadline`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuyerPolicy {
    /// The first bid.
    pub bid: Usdc,
    /// The most that is ever offered (the price alone, without the fee).
    pub ceiling: Usdc,
    /// How much each round adds; zero means one fixed bid.
    pub step: Usdc,
    /// Wall time after which no bid is made.
    pub deadline: Timestamp,
}

/// How a seller asks: from `ask` downwards by `step`, never below `floor`, never after `deadline`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SellerPolicy {
    /// The list price, and the first ask.
    pub ask: Usdc,
    /// The least that is ever accepted.
    pub floor: Usdc,
    /// How much each round takes off; zero means a fixed price.
    pub step: Usdc,
    /// Wall time after which nothing is agreed.
    pub deadline: Timestamp,
}

/// The buyer's half of one negotiation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bidding {
    policy: BuyerPolicy,
    bid: Usdc,
    rounds: u8,
}

/// The seller's half of one negotiation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asking {
    policy: SellerPolicy,
    ask: Usdc,
    rounds: u8,
    agreed: Option<Usdc>,
}

/// What each operation can lead to.
pub mod event {
    use haggle_base::Usdc;

    /// Why a negotiation ended without a price.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Ended {
        /// The rounds are used up.
        RoundLimit,
        /// The deadline of the policy passed.
        Deadline,
        /// The other side's last number is beyond our limit and ours does not move any more.
        TooFar,
    }

    /// What the buyer says next.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[must_use]
    pub enum Bid {
        /// Offer this price.
        Offered(Usdc),
        /// Stop: there will be no agreement.
        Ended(Ended),
    }

    /// What the buyer makes of a quoted price.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[must_use]
    pub enum Judge {
        /// The quote is no higher than our last bid.
        Taken(Usdc),
        /// The quote asks more than we offered.
        AboveBid {
            /// What we offered.
            bid: Usdc,
            /// What the quote asks.
            quoted: Usdc,
        },
    }

    /// What the seller answers to a bid.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[must_use]
    pub enum Ask {
        /// Agreed at this price: sign a quote.
        Quoted(Usdc),
        /// Not enough; this is what we ask now.
        Countered(Usdc),
        /// Stop: there will be no agreement.
        Ended(Ended),
    }
}

impl Bidding {
    /// Opens with the policy's first bid (never above the ceiling).
    pub fn open(policy: BuyerPolicy) -> Self {
        let bid = policy.bid.min(policy.ceiling);
        Self { policy, bid, rounds: 0 }
    }

    /// The current bid.
    pub fn bid(&self) -> Usdc {
        self.bid
    }

    /// The most this side ever offers.
    pub fn ceiling(&self) -> Usdc {
        self.policy.ceiling
    }

    /// Says the opening bid.
    pub fn start(&mut self, now: Timestamp) -> event::Bid {
        if now >= self.policy.deadline {
            return event::Bid::Ended(event::Ended::Deadline);
        }
        self.rounds = 1;
        event::Bid::Offered(self.bid)
    }

    /// Answers a counter: takes it if it is within the next bid, else bids one step more.
    pub fn countered(&mut self, ask: Usdc, now: Timestamp) -> event::Bid {
        if now >= self.policy.deadline {
            return event::Bid::Ended(event::Ended::Deadline);
        }
        if self.rounds >= MAX_ROUNDS {
            return event::Bid::Ended(event::Ended::RoundLimit);
        }
        let next = self.bid.checked_add(self.policy.step).unwrap_or(self.policy.ceiling).min(self.policy.ceiling);
        let offer = if ask <= next { ask } else { next };
        if offer <= self.bid {
            return event::Bid::Ended(event::Ended::TooFar);
        }
        self.rounds += 1;
        self.bid = offer;
        event::Bid::Offered(offer)
    }

    /// Judges a quote against what we last offered.
    pub fn quoted(&self, price: Usdc) -> event::Judge {
        if price <= self.bid {
            event::Judge::Taken(price)
        } else {
            event::Judge::AboveBid { bid: self.bid, quoted: price }
        }
    }
}

impl Asking {
    /// Opens at the list price.
    pub fn open(policy: SellerPolicy) -> Self {
        let ask = policy.ask;
        Self { policy, ask, rounds: 0, agreed: None }
    }

    /// The price agreed so far, if any.
    pub fn agreed(&self) -> Option<Usdc> {
        self.agreed
    }

    /// Answers a bid.
    ///
    /// The first bid is measured against the list price, each later one against an ask that is one
    /// step lower. Once agreed, the same price is quoted again whatever is bid.
    pub fn bid(&mut self, bid: Usdc, now: Timestamp) -> event::Ask {
        if let Some(price) = self.agreed {
            return event::Ask::Quoted(price);
        }
        if now >= self.policy.deadline {
            return event::Ask::Ended(event::Ended::Deadline);
        }
        if self.rounds >= MAX_ROUNDS {
            return event::Ask::Ended(event::Ended::RoundLimit);
        }
        let next = if self.rounds == 0 {
            self.ask
        } else {
            self.ask.checked_sub(self.policy.step).unwrap_or(Usdc::ZERO).max(self.policy.floor.min(self.policy.ask))
        };
        self.rounds += 1;
        self.ask = next;
        if bid >= next {
            // A bid above the list price is not taken from a careless buyer.
            let price = bid.min(self.policy.ask);
            self.agreed = Some(price);
            return event::Ask::Quoted(price);
        }
        if self.rounds >= MAX_ROUNDS {
            return event::Ask::Ended(event::Ended::RoundLimit);
        }
        event::Ask::Countered(next)
    }
}

#[cfg(test)]
mod tests;
