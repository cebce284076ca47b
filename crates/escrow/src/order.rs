//! The order as base knows it and as the generated binding wants it: the same fields, one by one.

use haggle_base::Order;

use crate::bindings::{IEscrow, panel};

/// Each contract's binding has an order type of its own; the fields are the same ones.
macro_rules! bound {
    ($order:ident => $($binding:ident)::+) => {
        $($binding)::+ {
            buyer: $order.buyer,
            provider: $order.provider,
            validator: $order.validator,
            arbitrator: $order.arbitrator,
            feeTo: $order.feeTo,
            amount: $order.amount,
            bond: $order.bond,
            stake: $order.stake,
            feeBps: $order.feeBps,
            silentBps: $order.silentBps,
            flags: $order.flags,
            fundBy: $order.fundBy,
            deliverBy: $order.deliverBy,
            reviewSecs: $order.reviewSecs,
            counterSecs: $order.counterSecs,
            ruleSecs: $order.ruleSecs,
            terms: $order.terms,
            salt: $order.salt,
        }
    };
}

/// The binding's order. That no field is lost or swapped shows in the id the contract computes, which a test compares.
pub(crate) fn to_binding(order: &Order) -> IEscrow::Order {
    bound!(order => IEscrow::Order)
}

/// The same for the panel's binding.
pub(crate) fn to_panel_binding(order: &Order) -> panel::IEscrow::Order {
    bound!(order => panel::IEscrow::Order)
}

#[cfg(test)]
mod tests;
