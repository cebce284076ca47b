//! The order as base knows it and as the generated binding wants it: the same fields, one by one.

use haggle_base::Order;

use crate::bindings::IEscrow;

/// The binding's order. That no field is lost or swapped shows in the id the contract computes, which a test compares.
pub(crate) fn to_binding(order: &Order) -> IEscrow::Order {
    IEscrow::Order {
        buyer: order.buyer,
        provider: order.provider,
        validator: order.validator,
        arbitrator: order.arbitrator,
        feeTo: order.feeTo,
        amount: order.amount,
        bond: order.bond,
        stake: order.stake,
        feeBps: order.feeBps,
        silentBps: order.silentBps,
        flags: order.flags,
        fundBy: order.fundBy,
        deliverBy: order.deliverBy,
        reviewSecs: order.reviewSecs,
        counterSecs: order.counterSecs,
        ruleSecs: order.ruleSecs,
        terms: order.terms,
        salt: order.salt,
    }
}

#[cfg(test)]
mod tests;
