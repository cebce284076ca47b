//! The payment machine: what became of one signed payment, keyed by its order.
//!
//! A payment begins when it is signed; before that there is only a reservation. From then on the chain decides: facts
//! move it forward, and a reorganisation moves it back.

use serde::{Deserialize, Serialize};

use haggle_base::{Did, EvmSignature, Order, OrderId, Timestamp, Usdc};

use crate::{
    budget::ReservationKey,
    facts::{FundedFact, SettledFact},
};

/// How far a payment has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentState {
    /// The buyer's signature is stored and may be out.
    Authorised,
    /// The deposit is in the escrow.
    Funded,
    /// The provider was paid.
    Settled,
    /// The buyer got everything back.
    Refunded,
    /// The order was not funded in time; the signature is worthless now.
    Abandoned,
}

/// One payment this node signed as a buyer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payment {
    /// The order it pays.
    pub order: OrderId,
    /// The reservation it was made on.
    pub key: ReservationKey,
    /// Who pays.
    pub agent: Did,
    /// What leaves the buyer, fee included.
    pub deposit: Usdc,
    /// From this chain time on it can no longer be funded.
    pub fund_by: Timestamp,
    /// When it was signed, in wall time.
    pub authorised_at: Timestamp,
    /// The buyer's signature over the token's `ReceiveWithAuthorization`.
    pub signature: EvmSignature,
    /// The order itself.
    pub signed: Order,
    /// How far it has come.
    pub state: PaymentState,
    /// The chain's word on its funding.
    pub funded: Option<FundedFact>,
    /// The chain's word on its end.
    pub settled: Option<SettledFact>,
}

/// Outcome of [`Payment::fund`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Fund {
    /// The deposit has left the wallet.
    Funded,
    /// It left although the payment was given up before: the chain was rewritten.
    Revived,
    /// It had left before.
    AlreadyFunded,
}

/// Outcome of [`Payment::close`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Close {
    /// The provider was paid.
    Settled,
    /// The buyer got everything back.
    Refunded,
    /// It was over before.
    AlreadyClosed,
    /// It was never funded, or the parts do not make up the deposit.
    Inconsistent,
}

/// Outcome of [`Payment::abandon`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Abandon {
    /// Given up: it cannot be funded any more.
    Abandoned,
    /// It still can be funded.
    TooEarly,
    /// It was funded, or is over.
    NotPending,
}

impl Payment {
    /// The chain funded the order.
    ///
    /// # State Transition
    /// authorised -> funded; abandoned -> funded.
    pub fn fund(&mut self, fact: FundedFact) -> Fund {
        let outcome = match self.state {
            PaymentState::Authorised => Fund::Funded,
            PaymentState::Abandoned => Fund::Revived,
            PaymentState::Funded | PaymentState::Settled | PaymentState::Refunded => return Fund::AlreadyFunded,
        };
        self.state = PaymentState::Funded;
        self.funded = Some(fact);
        outcome
    }

    /// The chain ended the order.
    ///
    /// # State Transition
    /// funded -> settled, or funded -> refunded if the provider and the fee recipient got nothing.
    pub fn close(&mut self, fact: SettledFact) -> Close {
        match self.state {
            PaymentState::Settled | PaymentState::Refunded => return Close::AlreadyClosed,
            PaymentState::Authorised | PaymentState::Abandoned => return Close::Inconsistent,
            PaymentState::Funded => {}
        }
        let whole = fact.paid.checked_add(fact.fee).and_then(|out| out.checked_add(fact.refunded));
        if whole != Some(self.deposit) {
            return Close::Inconsistent;
        }
        self.settled = Some(fact);
        if fact.refunded == self.deposit {
            self.state = PaymentState::Refunded;
            Close::Refunded
        } else {
            self.state = PaymentState::Settled;
            Close::Settled
        }
    }

    /// The chain's clock says `chain_now`, and the order is not funded at the latest block.
    ///
    /// # State Transition
    /// authorised -> abandoned, from `fund_by` on.
    pub fn abandon(&mut self, chain_now: Timestamp) -> Abandon {
        if self.state != PaymentState::Authorised {
            return Abandon::NotPending;
        }
        if chain_now < self.fund_by {
            return Abandon::TooEarly;
        }
        self.state = PaymentState::Abandoned;
        Abandon::Abandoned
    }

    /// The chain took back how the order ended.
    ///
    /// # State Transition
    /// settled | refunded -> funded. Returns what is no longer true; `None` changes nothing.
    pub fn reopen(&mut self) -> Option<SettledFact> {
        match self.state {
            PaymentState::Settled | PaymentState::Refunded => {
                self.state = PaymentState::Funded;
                self.settled.take()
            }
            PaymentState::Authorised | PaymentState::Funded | PaymentState::Abandoned => None,
        }
    }

    /// The chain took back the funding.
    ///
    /// # State Transition
    /// funded -> authorised. Returns what is no longer true; `None` changes nothing.
    pub fn unfund(&mut self) -> Option<FundedFact> {
        if self.state != PaymentState::Funded {
            return None;
        }
        self.state = PaymentState::Authorised;
        self.funded.take()
    }
}

#[cfg(test)]
mod tests;
