//! What reputation asks of the node: the chain's word from settlement, bindings from the catalog.

use haggle_base::{Address, Did, OrderId};
use haggle_catalog::Catalog;
use haggle_reputation::ports::{Bindings, ChainFacts, FundedFact, SettledFact};
use haggle_settlement::Settlement;
use haggle_settlement::facts::OrderFacts;

/// Facts that settlement has read and booked.
pub(crate) struct BookedFacts(pub(crate) Settlement);

impl BookedFacts {
    fn of(&self, order: &OrderId) -> OrderFacts {
        self.0.facts_of(order).unwrap_or_else(|error| {
            tracing::warn!(order.id = %order, error.cause = %error, "facts of {order} cannot be read: {error}");
            OrderFacts::default()
        })
    }
}

impl ChainFacts for BookedFacts {
    fn funded(&self, order: &OrderId) -> Option<FundedFact> {
        let fact = self.of(order).funded?;
        Some(FundedFact { buyer: fact.buyer, provider: fact.provider, amount: fact.amount, terms: fact.terms })
    }

    fn settled(&self, order: &OrderId) -> Option<SettledFact> {
        let fact = self.of(order).settled?;
        Some(SettledFact {
            closed_by: fact.closed_by,
            paid: fact.paid,
            fee: fact.fee,
            refunded: fact.refunded,
            tx: fact.place.tx,
            block: fact.place.block,
            time: fact.place.time,
        })
    }
}

/// Bindings of the cards this node holds.
pub(crate) struct CardBindings(pub(crate) Catalog);

impl Bindings for CardBindings {
    fn is_bound(&self, did: &Did, address: &Address) -> bool {
        self.0.binding(did).address() == Some(*address)
    }
}
