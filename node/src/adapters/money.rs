//! Trade's money: settlement, method by method.

use async_trait::async_trait;
use haggle_base::{Address, B256, Did, EvmSignature, Hash, Order, OrderId, Side, Timestamp, Usdc};
use haggle_settlement::facts::ClosedOrder;
use haggle_settlement::ports::OnChain as Standing;
use haggle_settlement::{Settlement, SettlementError, Submission};
use haggle_trade::PortError;
use haggle_trade::ports::{Closing, Money, OnChain, Phase, TxRef};

/// Settlement behind trade's port.
#[derive(Clone, Debug)]
pub(crate) struct SettlementMoney(pub(crate) Settlement);

fn port(error: &SettlementError) -> PortError {
    PortError::new(error, error.is_retryable())
}

fn tx(at: haggle_settlement::ports::TxRef) -> TxRef {
    TxRef { hash: at.hash, block: at.block }
}

impl SettlementMoney {
    /// The transaction of a step; one that somebody else sent is read from the chain first.
    async fn tx_of(&self, order: &Order, done: Result<Submission, SettlementError>) -> Result<TxRef, PortError> {
        let done = done.map_err(|error| port(&error))?;
        if let Some(sent) = done.tx() {
            return Ok(tx(sent));
        }
        self.0.follow_once().await.map_err(|error| port(&error))?;
        let facts = self.0.facts_of(&self.0.escrow().order_id(order)).map_err(|error| port(&error))?;
        let place = match done {
            Submission::Already { status: Standing::Settled { .. }, .. } => facts.settled.map(|fact| fact.place),
            Submission::Already { status: Standing::Delivered { .. }, .. } => facts.delivered.map(|fact| fact.place),
            Submission::Already { .. } | Submission::Sent(_) => facts.funded.map(|fact| fact.place),
        };
        place.map(|place| TxRef { hash: place.tx, block: place.block }).ok_or_else(not_read_yet)
    }
}

/// The chain says more than this node has read of it; the next look knows.
fn not_read_yet() -> PortError {
    PortError {
        code: "chain_not_read",
        hint: "wait for the next look at the chain",
        retryable: true,
        detail: "the chain has moved on and its log is not read yet".to_owned(),
    }
}

#[async_trait]
impl Money for SettlementMoney {
    fn payment_address(&self, agent: &Did) -> Option<Address> {
        self.0.payment_address(agent)
    }

    async fn reserve(&self, key: &str, agent: &Did, total: Usdc, _now: Timestamp) -> Result<(), PortError> {
        self.0.reserve(key, agent, total).await.map_err(|error| port(&error))
    }

    async fn cancel_reservation(&self, key: &str) -> Result<(), PortError> {
        self.0.cancel_reservation(key).await.map_err(|error| port(&error))
    }

    async fn sign_order(&self, agent: &Did, order: &Order) -> Result<EvmSignature, PortError> {
        self.0.sign_order(agent, order).map_err(|error| port(&error))
    }

    async fn authorise(&self, key: &str, agent: &Did, order: &Order) -> Result<EvmSignature, PortError> {
        self.0.authorise(key, agent, order).await.map_err(|error| port(&error))
    }

    async fn sign_release(&self, agent: &Did, order: &Order) -> Result<EvmSignature, PortError> {
        self.0.sign_release(agent, order).map_err(|error| port(&error))
    }

    async fn submit_fund(
        &self,
        _agent: &Did,
        order: &Order,
        buyer: &EvmSignature,
        provider: &EvmSignature,
    ) -> Result<TxRef, PortError> {
        self.tx_of(order, self.0.submit_fund(order, buyer, provider).await).await
    }

    async fn submit_release(&self, _agent: &Did, order: &Order, buyer: &EvmSignature) -> Result<TxRef, PortError> {
        self.tx_of(order, self.0.submit_release(order, buyer).await).await
    }

    async fn submit_deliver(&self, _agent: &Did, order: &Order, deliverable: &Hash) -> Result<TxRef, PortError> {
        self.tx_of(order, self.0.submit_deliver(order, B256::from(*deliverable.as_bytes())).await).await
    }

    async fn submit_refund(&self, agent: &Did, order: &Order) -> Result<TxRef, PortError> {
        let signature = self.0.sign_refund(agent, order).map_err(|error| port(&error))?;
        self.tx_of(order, self.0.submit_refund(order, &signature).await).await
    }

    async fn submit_finalize(&self, _agent: &Did, order: &Order) -> Result<TxRef, PortError> {
        self.tx_of(order, self.0.submit_finalize(order).await).await
    }

    async fn sign_bond(
        &self,
        agent: &Did,
        order: &Order,
        side: Side,
        evidence: &Hash,
        until: Timestamp,
    ) -> Result<EvmSignature, PortError> {
        let evidence = B256::from(*evidence.as_bytes());
        self.0.sign_bond(agent, order, side, evidence, until).await.map_err(|error| port(&error))
    }

    async fn submit_dispute(
        &self,
        _agent: &Did,
        order: &Order,
        evidence: &Hash,
        bond: &EvmSignature,
    ) -> Result<TxRef, PortError> {
        self.tx_of(order, self.0.submit_dispute(order, B256::from(*evidence.as_bytes()), bond).await).await
    }

    async fn submit_counter(&self, _agent: &Did, order: &Order, bond: &EvmSignature) -> Result<TxRef, PortError> {
        self.tx_of(order, self.0.submit_counter(order, bond).await).await
    }

    async fn on_chain(&self, id: &OrderId, order: &Order) -> Result<OnChain, PortError> {
        let seen = self.0.on_chain(order).await.map_err(|error| port(&error))?;
        let mut facts = seen.facts;
        let behind = match seen.status {
            Standing::None => false,
            Standing::Funded => facts.funded.is_none(),
            Standing::Delivered { .. } => facts.delivered.is_none(),
            Standing::Disputed { .. } => facts.delivered.is_none(),
            Standing::Settled { .. } => facts.settled.is_none(),
        };
        if behind {
            self.0.follow_once().await.map_err(|error| port(&error))?;
            facts = self.0.facts_of(id).map_err(|error| port(&error))?;
        }
        // what the escrow says now counts when it was read at the depth at which facts are booked
        let (phase, place) = match seen.status {
            Standing::None => (Phase::Unfunded, None),
            Standing::Funded => (Phase::Funded, Some(facts.funded.ok_or_else(not_read_yet)?.place)),
            Standing::Delivered { review_ends } => {
                (Phase::Delivered { review_ends }, Some(facts.delivered.ok_or_else(not_read_yet)?.place))
            }
            Standing::Disputed { ends, is_countered: false, .. } => (Phase::Disputed { ends }, None),
            Standing::Disputed { ends, is_countered: true, .. } => (Phase::Arbitrating { ends }, None),
            Standing::Settled { closed_by } => {
                let fact = facts.settled.ok_or_else(not_read_yet)?;
                (Phase::Settled { closed_by, paid: fact.paid, fee: fact.fee }, Some(fact.place))
            }
        };
        let evidence = match seen.status {
            Standing::Disputed { evidence, .. } => Some(Hash::from_bytes(evidence.0)),
            _ => None,
        };
        Ok(OnChain {
            phase,
            tx: place.map(|place| TxRef { hash: place.tx, block: place.block }),
            deliverable: facts.delivered.map(|fact| Hash::from_bytes(fact.deliverable.0)),
            evidence,
        })
    }

    async fn chain_now(&self) -> Result<Timestamp, PortError> {
        self.0.chain_now().await.map_err(|error| port(&error))
    }

    async fn settled(&self, _key: Option<&str>, closing: &Closing) -> Result<(), PortError> {
        let end = ClosedOrder { closed_by: closing.closed_by, paid: closing.paid, fee: closing.fee };
        self.0.settled(&closing.id, end).await.map(drop).map_err(|error| port(&error))
    }
}
