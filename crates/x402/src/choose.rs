//! Picking a way to pay within a budget, without paying it.

use alloy_primitives::Address;
use haggle_base::Usdc;

use crate::{ChainRef, PaymentFlow, PaymentRequired, PaymentRequirements, Scheme};

/// What the buyer is able and willing to do.
#[derive(Debug, Clone)]
pub struct Means {
    /// The chain the buyer has money on.
    pub network: ChainRef,
    /// The one token the buyer pays with.
    pub asset: Address,
    /// The most that may leave the buyer for this payment, fee included.
    pub budget: Usdc,
}

/// What came of choosing.
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub enum Choice<'a> {
    /// Pay this one: the cheapest that is understood and within the budget; of equal ones the first.
    Pay(&'a PaymentRequirements),
    /// There are entries that are understood, but the cheapest costs more than the budget.
    OverBudget {
        /// What the cheapest costs.
        cheapest: Usdc,
    },
    /// No entry is understood: other chains, other tokens, unknown schemes or flows.
    NothingKnown,
}

/// Picks an entry of `offer` that this node can pay.
///
/// Only `haggle-escrow` with flow `escrow` is paid; every other scheme or flow is skipped, as x402 asks of a client that
/// does not know it. A zero amount is skipped: what is free needs no payment.
pub fn choose<'a>(offer: &'a PaymentRequired, means: &Means) -> Choice<'a> {
    let cheapest = offer
        .accepts
        .iter()
        .filter_map(|entry| payable(entry, means).map(|cost| (cost, entry)))
        .min_by_key(|(cost, _)| *cost);
    match cheapest {
        None => Choice::NothingKnown,
        Some((cost, entry)) if cost <= means.budget => Choice::Pay(entry),
        Some((cheapest, _)) => Choice::OverBudget { cheapest },
    }
}

fn payable(entry: &PaymentRequirements, means: &Means) -> Option<Usdc> {
    let known = entry.scheme == Scheme::HaggleEscrow
        && entry.flow() == PaymentFlow::Escrow
        && entry.network == means.network
        && entry.asset.parse::<Address>().is_ok_and(|asset| asset == means.asset);
    entry.amount.to_usdc().filter(|cost| known && *cost > Usdc::ZERO)
}
