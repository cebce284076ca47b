//! Settlement's chain: the escrow room, with the signer that each step asks for.

use super::refused::refused;
use crate::keyring::Keyring;
use async_trait::async_trait;
use haggle_base::{Address, B256, EvmSignature, Hash, Order, PaymentKey, Text, Timestamp, Usdc};
use haggle_escrow::{
    ChainFact, ChainReader, Cursor as ReadCursor, EscrowClient, EscrowEvent, Place as ReadPlace, Polled, Reach, Sent,
    Status, Watcher,
};
use haggle_settlement::facts::{
    CounteredFact, Cursor, DeliveredFact, DisputedFact, Fact, FundedFact, OwedFact, Place, SettledFact,
};
use haggle_settlement::ports::{Chain, ChainError, News, OnChain, TxRef};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The chain as settlement sees it.
pub(crate) struct ChainPort {
    reader: ChainReader,
    watcher: Watcher,
    reach: Reach,
    keys: Arc<Keyring>,
    gas: PaymentKey,
    clients: Mutex<BTreeMap<Address, EscrowClient>>,
}

impl ChainPort {
    /// `gas` pays for steps of orders in which no agent of this node takes part.
    pub(crate) fn new(reader: ChainReader, confirmations: u64, keys: Arc<Keyring>, gas: PaymentKey) -> Self {
        Self {
            watcher: Watcher::new(reader.clone()),
            reach: Reach { confirmations, ..Reach::default() },
            reader,
            keys,
            gas,
            clients: Mutex::default(),
        }
    }

    /// The client that signs with the provider's key if it is ours, else the buyer's, else the node's.
    fn client(&self, order: &Order) -> Result<EscrowClient, ChainError> {
        let key = [order.provider, order.buyer]
            .iter()
            .find_map(|address| self.keys.at(address))
            .map_or_else(|| self.gas.clone(), |(_, key)| key);
        let mut clients = self.clients.lock();
        if let Some(client) = clients.get(&key.address()) {
            return Ok(client.clone());
        }
        let client = EscrowClient::new(self.reader.clone(), &key).map_err(|error| refused(&error))?;
        clients.insert(key.address(), client.clone());
        Ok(client)
    }

    /// The transaction of a step; one that somebody else sent is looked up in the escrow's own log.
    async fn tx(&self, order: &Order, sent: Sent, is_it: fn(&EscrowEvent) -> bool) -> Result<TxRef, ChainError> {
        if let Sent::Mined(tx) = sent {
            return Ok(TxRef { hash: tx.hash, block: tx.block });
        }
        let id = self.client(order)?.order_id(order);
        let facts = self.watcher.facts_of(&id).await.map_err(|error| refused(&error))?;
        facts
            .iter()
            .find(|fact| is_it(&fact.event))
            .map(|fact| TxRef { hash: fact.at.tx, block: fact.at.block })
            .ok_or(ChainError::OutcomeUnknown)
    }
}

impl fmt::Debug for ChainPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChainPort").finish_non_exhaustive()
    }
}

const fn is_disputed(event: &EscrowEvent) -> bool {
    matches!(event, EscrowEvent::Disputed { .. })
}

const fn is_countered(event: &EscrowEvent) -> bool {
    matches!(event, EscrowEvent::Countered { .. })
}

const fn is_funded(event: &EscrowEvent) -> bool {
    matches!(event, EscrowEvent::Funded { .. })
}

const fn is_delivered(event: &EscrowEvent) -> bool {
    matches!(event, EscrowEvent::Delivered { .. })
}

const fn is_settled(event: &EscrowEvent) -> bool {
    matches!(event, EscrowEvent::Settled { .. })
}

#[async_trait]
impl Chain for ChainPort {
    async fn fund(&self, order: &Order, buyer: &EvmSignature, provider: &EvmSignature) -> Result<TxRef, ChainError> {
        let sent = self.client(order)?.fund(order, buyer, Some(provider)).await.map_err(|error| refused(&error))?;
        self.tx(order, sent, is_funded).await
    }

    async fn release(&self, order: &Order, buyer: &EvmSignature) -> Result<TxRef, ChainError> {
        let sent = self.client(order)?.release(order, buyer).await.map_err(|error| refused(&error))?;
        self.tx(order, sent, is_settled).await
    }

    async fn refund(&self, order: &Order, provider: &EvmSignature) -> Result<TxRef, ChainError> {
        let sent = self.client(order)?.refund(order, provider).await.map_err(|error| refused(&error))?;
        self.tx(order, sent, is_settled).await
    }

    async fn deliver(&self, order: &Order, deliverable: B256) -> Result<TxRef, ChainError> {
        let sent = self.client(order)?.deliver(order, deliverable).await.map_err(|error| refused(&error))?;
        self.tx(order, sent, is_delivered).await
    }

    async fn dispute(&self, order: &Order, evidence: B256, bond: &EvmSignature) -> Result<TxRef, ChainError> {
        let sent = self.client(order)?.dispute(order, evidence, bond).await.map_err(|error| refused(&error))?;
        self.tx(order, sent, is_disputed).await
    }

    async fn counter(&self, order: &Order, bond: &EvmSignature) -> Result<TxRef, ChainError> {
        let sent = self.client(order)?.counter(order, bond).await.map_err(|error| refused(&error))?;
        self.tx(order, sent, is_countered).await
    }

    async fn finalize(&self, order: &Order) -> Result<TxRef, ChainError> {
        let sent = self.client(order)?.finalize(order).await.map_err(|error| refused(&error))?;
        self.tx(order, sent, is_settled).await
    }

    async fn status(&self, order: &Order) -> Result<OnChain, ChainError> {
        let client = self.client(order)?;
        let seen = self.reader.status(&client.order_id(order)).await.map_err(|error| refused(&error))?;
        match (seen.status, seen.window_ends, seen.closed_by) {
            (Status::None, ..) => Ok(OnChain::None),
            (Status::Funded, ..) => Ok(OnChain::Funded),
            (Status::Delivered, Some(review_ends), _) => Ok(OnChain::Delivered { review_ends }),
            (Status::Disputed | Status::Arbitrating, Some(ends), _) => {
                let evidence = client.evidence_of(order).await.map_err(|error| refused(&error))?;
                let is_countered = seen.status == Status::Arbitrating;
                Ok(OnChain::Disputed { ends, is_countered, evidence: evidence.unwrap_or_default() })
            }
            (Status::Settled, _, Some(closed_by)) => Ok(OnChain::Settled { closed_by }),
            (Status::Delivered | Status::Disputed | Status::Arbitrating | Status::Settled | Status::Unknown, ..) => {
                Err(ChainError::Refused { reason: Text::try_from("status_of_a_later_contract").unwrap_or_default() })
            }
        }
    }

    async fn balance(&self, account: Address) -> Result<Usdc, ChainError> {
        self.reader.balance_of(account).await.map_err(|error| refused(&error))
    }

    async fn now(&self) -> Result<Timestamp, ChainError> {
        Ok(self.reader.latest().await.map_err(|error| refused(&error))?.time)
    }

    async fn poll(&self, from: &Cursor) -> Result<News, ChainError> {
        let from = if from.hash.is_zero() {
            self.watcher.beginning().await.map_err(|error| refused(&error))?
        } else {
            ReadCursor { block: from.block, hash: from.hash }
        };
        match self.watcher.poll(from, self.reach).await.map_err(|error| refused(&error))? {
            Polled::Facts { facts, next } => Ok(News::Facts {
                facts: facts.iter().filter_map(fact).collect(),
                next: Cursor { block: next.block, hash: next.hash },
            }),
            Polled::Rewind { .. } => Ok(News::Reorged),
        }
    }
}

fn place(at: &ReadPlace) -> Option<Place> {
    Some(Place {
        block: at.block,
        hash: at.block_hash,
        index: u32::try_from(at.log_index).ok()?,
        tx: at.tx,
        time: at.time,
    })
}

/// A fact in settlement's words; `None` for what moves no money of an order, and for an outcome of a later contract.
fn fact(read: &ChainFact) -> Option<Fact> {
    let place = place(&read.at)?;
    Some(match &read.event {
        EscrowEvent::Funded { order, buyer, provider, amount, terms } => Fact::Funded(FundedFact {
            order: *order,
            buyer: *buyer,
            provider: *provider,
            amount: *amount,
            terms: Hash::from(terms.0),
            place,
        }),
        EscrowEvent::Delivered { order, deliverable, review_ends } => Fact::Delivered(DeliveredFact {
            order: *order,
            deliverable: *deliverable,
            review_ends: *review_ends,
            place,
        }),
        EscrowEvent::Settled { order, buyer, provider, paid, fee, refunded, closed_by } => Fact::Settled(SettledFact {
            order: *order,
            buyer: *buyer,
            provider: *provider,
            paid: *paid,
            fee: *fee,
            refunded: *refunded,
            closed_by: (*closed_by)?,
            place,
        }),
        EscrowEvent::Disputed { order, evidence, by: _ } => {
            Fact::Disputed(DisputedFact { order: *order, evidence: *evidence, place })
        }
        EscrowEvent::Countered { order } => Fact::Countered(CounteredFact { order: *order, place }),
        EscrowEvent::FundSkipped { .. }
        | EscrowEvent::ReleaseSkipped { .. }
        | EscrowEvent::StakeStuck { .. }
        | EscrowEvent::FeedbackPublished { .. } => return None,
        EscrowEvent::Credited { account, amount } => {
            Fact::Credited(OwedFact { account: *account, amount: *amount, place })
        }
        EscrowEvent::Withdrawn { account, amount } => {
            Fact::Withdrawn(OwedFact { account: *account, amount: *amount, place })
        }
    })
}
