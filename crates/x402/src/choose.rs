//! Picking a way to pay within a budget, without paying it.

use alloy_primitives::Address;
use haggle_base::Usdc;

use crate::{
    PaymentFlow, PaymentRequired, PaymentRequirements, Scheme,
    exact::{self, ExactFacts},
};

/// What the buyer is able and willing to do.
#[derive(Debug, Clone)]
pub struct Means {
    /// The chain the buyer has money on, and the one token it pays with.
    pub facts: ExactFacts,
    /// The schemes the buyer is able to pay with now. Of two entries that cost the same, the scheme that stands first is
    /// taken.
    pub schemes: Vec<Scheme>,
    /// The most that may leave the buyer for this payment, fee included.
    pub budget: Usdc,
}

/// What came of choosing.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub enum Choice<'a> {
    /// Pay this one: the cheapest that is understood and within the budget. Of equal ones the buyer's preferred scheme,
    /// then the flow `authorization`, then the first.
    Pay(&'a PaymentRequirements),
    /// There are entries that are understood, but the cheapest costs more than the budget.
    OverBudget {
        /// What the cheapest costs.
        cheapest: Usdc,
    },
    /// No entry is understood: other chains, other tokens, unknown schemes or flows.
    NothingKnown,
}

/// Picks an entry of `offer` that the buyer can pay.
///
/// Schemes the buyer is not able to do, and flows that a scheme does not have, are skipped, as x402 asks of a client that
/// does not know them. A zero amount is skipped: what is free needs no payment.
pub fn choose<'a>(offer: &'a PaymentRequired, means: &Means) -> Choice<'a> {
    let cheapest = offer
        .accepts
        .iter()
        .filter_map(|entry| {
            let (cost, rank) = payable(entry, means)?;
            Some((cost, rank, entry.flow() != PaymentFlow::Authorization, entry))
        })
        .min_by_key(|(cost, rank, later, _)| (*cost, *rank, *later));
    match cheapest {
        None => Choice::NothingKnown,
        Some((cost, _, _, entry)) if cost <= means.budget => Choice::Pay(entry),
        Some((cheapest, ..)) => Choice::OverBudget { cheapest },
    }
}

/// What an entry costs and how far behind its scheme stands, if it can be paid.
fn payable(entry: &PaymentRequirements, means: &Means) -> Option<(Usdc, usize)> {
    let rank = means.schemes.iter().position(|scheme| *scheme == entry.scheme)?;
    let known = entry.network == means.facts.network()
        && entry.asset.parse::<Address>().is_ok_and(|asset| asset == means.facts.token().address)
        && match entry.scheme {
            Scheme::HaggleEscrow => entry.flow() == PaymentFlow::Escrow,
            Scheme::Exact => exact::is_payable(entry, &means.facts),
            Scheme::BatchSettlement => matches!(entry.flow(), PaymentFlow::Authorization | PaymentFlow::Escrow),
            Scheme::Other(_) => false,
        };
    let cost = entry.amount.to_usdc().filter(|cost| known && *cost > Usdc::ZERO)?;
    Some((cost, rank))
}
