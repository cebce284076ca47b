//! The handle: the one door for attestations, ours and a stranger's, and the figures.

use std::{collections::VecDeque, fmt, ops::Bound, sync::Arc};

use alloy_primitives::{Address, B256};
use parking_lot::RwLock;
use tokio::sync::{Mutex, broadcast};

use haggle_base::{
    Attestation, AttestationKind, Blob, Clock, Coded, Did, EvmSignature, NetworkFile, NetworkId, OrderId, Record,
    RecordId, Side, Signed, Timestamp, Verified,
};
use haggle_store::{Batch, Store};

use crate::{
    ReputationError,
    attest::{self, Revision, SettledOrder},
    book::{Book, Evidence, Put, Weight},
    bound::{BoundAddresses, MAX_BOUND},
    check::{Checked, Pin, Refusal, check},
    dials::Dials,
    ports::{Bindings, ChainFacts},
    records::{BindingsTable, EvidenceRow, EvidenceTable, key_of},
    score::Figures,
    waiting::Waiting,
};

/// Events kept for a subscriber that is behind.
const EVENTS: usize = 1024;
/// Refused attestations that are remembered, to be able to say why.
const MAX_REFUSED: usize = 1024;
/// Rows read from the store at once while opening.
const ROWS_AT_ONCE: usize = 1024;
/// Orders that are explained at once.
const MAX_EXPLAINED: usize = 1000;

/// What reputation is told about its network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReputationConfig {
    /// The network whose records count.
    pub network: NetworkId,
    /// The escrow whose orders count.
    pub pin: Pin,
}

impl ReputationConfig {
    /// The network and the escrow that a network file names.
    #[must_use]
    pub fn new(network: &NetworkFile) -> Self {
        Self { network: network.id.clone(), pin: Pin { chain_id: network.chain_id, escrow: network.escrow } }
    }
}

/// What came of an attestation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Accepted {
    /// It is evidence now.
    Added,
    /// It took the place of the one it corrects.
    Replaced,
    /// It was evidence before.
    Known,
    /// A newer one stands.
    Older,
    /// It waits until its settlement is read from the chain.
    Waiting,
    /// Its author has too many waiting. It may be brought again.
    WaitingFull,
    /// It never counts here.
    Refused(Refusal),
}

/// Something that changed an agent's figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReputationEvent {
    /// An attestation became evidence.
    Attested {
        /// Who is attested.
        subject: Did,
        /// Who attests.
        author: Did,
        /// Which order.
        order: OrderId,
        /// What is attested.
        kind: AttestationKind,
    },
    /// The chain took back how an order ended, and the evidence with it.
    Undone {
        /// Which order.
        order: OrderId,
    },
}

/// One attestation about or by an agent, and whether it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// The record.
    pub record: RecordId,
    /// Who says it.
    pub author: Did,
    /// Who it is about.
    pub subject: Did,
    /// What is attested.
    pub kind: AttestationKind,
    /// Which order.
    pub order: OrderId,
    /// Whether it moves the subject's figures.
    pub counts: bool,
    /// A stable word: `counts`, or why not (`agent_not_linked`, `no_consent`, `no_receipt`, `attestation_unbacked`,
    /// `attestation_...`).
    pub reason: &'static str,
    /// The evidence, if the chain agrees with it.
    pub evidence: Option<Evidence>,
}

/// The handle of reputation. Clones share everything.
#[derive(Clone)]
pub struct Reputation {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    config: ReputationConfig,
    clock: Arc<dyn Clock>,
    chain: Arc<dyn ChainFacts>,
    bindings: Arc<dyn Bindings>,
    memory: RwLock<Memory>,
    /// Held from checking to storing, so that memory and store change together.
    door: Mutex<()>,
    events: broadcast::Sender<ReputationEvent>,
}

#[derive(Default)]
struct Memory {
    book: Book,
    bound: BoundAddresses,
    waiting: Waiting,
    dials: Dials,
    refused: VecDeque<Explained>,
    /// See [`Reputation::version`].
    version: u64,
}

impl fmt::Debug for Reputation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reputation").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

impl Reputation {
    /// Opens the book as it was stored. Evidence whose settlement is no longer on the chain waits again.
    ///
    /// # Errors
    /// The store cannot be read or written.
    pub async fn open(
        store: Store,
        config: ReputationConfig,
        clock: Arc<dyn Clock>,
        chain: Arc<dyn ChainFacts>,
        bindings: Arc<dyn Bindings>,
    ) -> Result<Self, ReputationError> {
        let mut book = Book::new();
        let mut gone = Vec::new();
        let mut after = None;
        loop {
            let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let rows = store.range::<EvidenceTable>(from, ROWS_AT_ONCE)?;
            let Some((last, _)) = rows.last() else { break };
            after = Some(*last);
            for (_, row) in rows {
                let evidence = row.evidence;
                match chain.settled(&evidence.order) {
                    Some(_) => drop_put(book.put(evidence)),
                    None => gone.push(evidence.order),
                }
            }
        }
        let (events, _) = broadcast::channel(EVENTS);
        let bound = BoundAddresses::restored(store.range::<BindingsTable>(Bound::Unbounded, MAX_BOUND)?);
        let memory = RwLock::new(Memory { book, bound, ..Memory::default() });
        let inner = Inner { store, config, clock, chain, bindings, memory, door: Mutex::new(()), events };
        let reputation = Self { inner: Arc::new(inner) };
        for order in gone {
            reputation.facts_undone(&order).await?;
        }
        Ok(reputation)
    }

    /// The one door: holds a verified attestation against the chain and, if it is true, keeps it.
    ///
    /// # Errors
    /// The store failed; then nothing changed.
    pub async fn accept(&self, record: Verified<Attestation>) -> Result<Accepted, ReputationError> {
        let inner = Arc::clone(&self.inner);
        let accepted = tokio::spawn(async move {
            let _door = inner.door.lock().await;
            inner.accept(record).await
        });
        accepted.await.map_err(|_| ReputationError::Stopped)?
    }

    /// Looks again at what waits for this order, because its settlement was read. Returns how many became evidence.
    ///
    /// # Errors
    /// The store failed.
    pub async fn facts_arrived(&self, order: &OrderId) -> Result<usize, ReputationError> {
        let (inner, order) = (Arc::clone(&self.inner), *order);
        let looked = tokio::spawn(async move {
            // Behind the door: one that was checked before the fact was stored has entered the waiting room by now.
            let _door = inner.door.lock().await;
            let waiting = inner.memory.write().waiting.leave(&order);
            let mut added = 0;
            for record in waiting {
                if matches!(inner.accept(record).await?, Accepted::Added | Accepted::Replaced) {
                    added += 1;
                }
            }
            Ok(added)
        });
        looked.await.map_err(|_| ReputationError::Stopped)?
    }

    /// Looks again at everything that waits and can be decided now. Returns how many became evidence.
    ///
    /// # Errors
    /// The store failed.
    pub async fn recheck(&self) -> Result<usize, ReputationError> {
        let orders = self.inner.memory.read().waiting.orders();
        let mut added = 0;
        for order in orders {
            if self.inner.chain.settled(&order).is_some() {
                added += self.facts_arrived(&order).await?;
            }
        }
        Ok(added)
    }

    /// Takes the evidence about an order back, because the chain took back how it ended. It waits for the chain again.
    ///
    /// # Errors
    /// The store failed.
    pub async fn facts_undone(&self, order: &OrderId) -> Result<(), ReputationError> {
        let (inner, order) = (Arc::clone(&self.inner), *order);
        let undone = tokio::spawn(async move {
            let _door = inner.door.lock().await;
            inner.undo(&order).await
        });
        undone.await.map_err(|_| ReputationError::Stopped)?
    }

    /// Learns that an agent has bound a payment address (its card was read), and counts what waited for that. It is
    /// remembered: binding another address later does not undo what was done with this one.
    ///
    /// # Errors
    /// The store failed; then nothing changed.
    pub async fn binding_seen(&self, did: &Did, address: &Address) -> Result<(), ReputationError> {
        let (inner, did, address) = (Arc::clone(&self.inner), *did, *address);
        let seen = tokio::spawn(async move {
            let _door = inner.door.lock().await;
            let (changed, seen) = {
                let memory = inner.memory.read();
                (memory.book.would_bind(&did, &address), memory.bound.would_see(&did, &address))
            };
            let mut batch = Batch::new();
            if let Some(seen) = &seen {
                batch.put::<BindingsTable>(&(did, *address.0), &seen.number)?;
                for (did, address) in &seen.forgotten {
                    batch.delete::<BindingsTable>(&(*did, *address.0));
                }
            }
            for evidence in &changed {
                let key = key_of(evidence);
                if let Some(row) = inner.store.get::<EvidenceTable>(&key)? {
                    batch.put::<EvidenceTable>(&key, &EvidenceRow { evidence: evidence.clone(), ..row })?;
                }
            }
            inner.store.commit(batch).await?;
            let mut memory = inner.memory.write();
            memory.book.bind(&did, &address);
            memory.version += 1;
            if let Some(seen) = seen {
                memory.bound.see(did, address, seen);
            }
            Ok(())
        });
        seen.await.map_err(|_| ReputationError::Stopped)?
    }

    /// Remembers whether a dial reached the agent.
    pub fn note_dial(&self, did: &Did, reached: bool, now: Timestamp) {
        let mut memory = self.inner.memory.write();
        let before = memory.dials.last(did, now);
        memory.dials.note(*did, reached, now);
        if memory.dials.last(did, now) != before {
            memory.version += 1;
        }
    }

    /// Whether this node's last dial of the agent reached it; `None` if there was none within 24 hours.
    #[must_use]
    pub fn last_dial(&self, did: &Did) -> Option<bool> {
        self.inner.memory.read().dials.last(did, self.inner.clock.now())
    }

    /// The agent's figures as this node sees them now.
    #[must_use]
    pub fn figures(&self, did: &Did) -> Figures {
        let now = self.inner.clock.now();
        let memory = self.inner.memory.read();
        memory.book.figures(did, memory.dials.uptime_24h(did, now))
    }

    /// Agents whose [net](Figures::net) is below `least`, which is nought or less.
    #[must_use]
    pub fn behind(&self, least: i64) -> Vec<Did> {
        self.inner.memory.read().book.behind(least)
    }

    /// A number that is another one whenever the figures of any agent have changed but by the passing of time.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.inner.memory.read().version
    }

    /// The agent's evidence, in either role, newest settlement first: of at most `orders` orders that ended before
    /// `before`.
    #[must_use]
    pub fn history(&self, did: &Did, before: Option<(Timestamp, OrderId)>, orders: usize) -> Vec<(Evidence, Weight)> {
        self.inner.memory.read().book.history(did, before, orders)
    }

    /// Every attestation about the agent that this node knows of, and whether it counts: its newest thousand orders, then
    /// what waits, then what was refused lately.
    #[must_use]
    pub fn explain(&self, did: &Did) -> Vec<Explained> {
        let memory = self.inner.memory.read();
        let held = memory.book.history(did, None, MAX_EXPLAINED);
        let held =
            held.into_iter().filter(|(evidence, _)| evidence.subject() == *did).map(|(evidence, weight)| Explained {
                record: evidence.record,
                author: evidence.author(),
                subject: evidence.subject(),
                kind: evidence.kind,
                order: evidence.order,
                counts: weight == Weight::Counts,
                reason: weight.code(),
                evidence: Some(evidence),
            });
        let waiting = memory.waiting.about(did).map(|record| unheld(record, ReputationError::Unbacked.code()));
        let refused = memory.refused.iter().filter(|refused| refused.subject == *did).cloned();
        held.chain(waiting).chain(refused).collect()
    }

    /// What this node's side of a settled order attests, as records ready to be signed with the agent's key and brought
    /// through the one door. `sign` signs digests with the side's payment key.
    ///
    /// # Errors
    /// `attestation_unbacked` (retry), `attestation_mismatch`, `rating_out_of_range`, `wallet_missing`.
    pub fn attest(
        &self,
        settled: &SettledOrder,
        side: Side,
        rating: Option<u8>,
        sign: impl Fn(&B256) -> Option<EvmSignature>,
    ) -> Result<Vec<Record<Attestation>>, ReputationError> {
        let now = self.inner.clock.now();
        let bodies = attest::attest(settled, side, rating, &*self.inner.chain, sign)?;
        // Made as of the settlement, so that attesting again after a crash makes the very same record.
        let made = self.inner.chain.settled(&settled.order).map_or(now, |fact| fact.time.min(now));
        let network = &self.inner.config.network;
        Ok(bodies.into_iter().map(|body| attest::record(network, body, Revision::First, made)).collect())
    }

    /// What changes figures from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<ReputationEvent> {
        self.inner.events.subscribe()
    }
}

impl Inner {
    async fn accept(&self, record: Verified<Attestation>) -> Result<Accepted, ReputationError> {
        let evidence = match check(&record, &self.config.pin, &*self.chain, &*self.bindings) {
            Checked::True(mut evidence) => {
                let other = evidence.side.other();
                let (did, address) = (evidence.parties.did(other), evidence.parties.address(other));
                evidence.other_bound |= self.memory.read().bound.contains(&did, &address);
                *evidence
            }
            Checked::Unbacked => {
                let waits = self.memory.write().waiting.enter(record, |order| self.is_funded(order));
                return Ok(if waits { Accepted::Waiting } else { Accepted::WaitingFull });
            }
            Checked::Refused(refusal) => {
                tracing::debug!(
                    record.id = %record.id(),
                    reason = refusal.code(),
                    "attestation {} does not count: {refusal}",
                    record.id()
                );
                self.refuse(&record, refusal);
                return Ok(Accepted::Refused(refusal));
            }
        };
        let accepted = match self.memory.read().book.would_put(&evidence) {
            Put::Known => return Ok(Accepted::Known),
            Put::Older => return Ok(Accepted::Older),
            Put::Added => Accepted::Added,
            Put::Replaced => Accepted::Replaced,
        };
        let bytes = Blob::try_from(record.bytes().to_vec());
        let Ok(bytes) = bytes else { return Ok(Accepted::Refused(Refusal::OtherTerms)) };
        let mut batch = Batch::new();
        batch.put::<EvidenceTable>(&key_of(&evidence), &EvidenceRow { evidence: evidence.clone(), record: bytes })?;
        self.store.commit(batch).await?;
        let (subject, author, order, kind) = (evidence.subject(), evidence.author(), evidence.order, evidence.kind);
        {
            let mut memory = self.memory.write();
            drop_put(memory.book.put(evidence));
            memory.version += 1;
        }
        drop(self.events.send(ReputationEvent::Attested { subject, author, order, kind }));
        Ok(accepted)
    }

    async fn undo(&self, order: &OrderId) -> Result<(), ReputationError> {
        let rows = self.store.prefix::<EvidenceTable>(order.as_bytes(), 8)?;
        let mut batch = Batch::new();
        for (key, _) in &rows {
            batch.delete::<EvidenceTable>(key);
        }
        self.store.commit(batch).await?;
        let now = self.clock.now();
        let mut memory = self.memory.write();
        drop(memory.book.remove(order));
        memory.version += 1;
        for (_, row) in rows {
            let signed = Signed::<Attestation>::from_bytes(row.record.into_vec());
            if let Ok(record) = signed.and_then(|signed| signed.verify(&self.config.network, now)) {
                memory.waiting.enter(record, |order| self.is_funded(order));
            }
        }
        drop(memory);
        drop(self.events.send(ReputationEvent::Undone { order: *order }));
        Ok(())
    }

    fn is_funded(&self, order: &OrderId) -> bool {
        self.chain.funded(order).is_some()
    }

    fn refuse(&self, record: &Verified<Attestation>, refusal: Refusal) {
        let mut memory = self.memory.write();
        if memory.refused.iter().any(|refused| refused.record == record.id()) {
            return;
        }
        if memory.refused.len() >= MAX_REFUSED {
            memory.refused.pop_front();
        }
        memory.refused.push_back(unheld(record, refusal.code()));
    }
}

fn unheld(record: &Verified<Attestation>, reason: &'static str) -> Explained {
    let body = record.body();
    Explained {
        record: record.id(),
        author: record.author(),
        subject: body.subject,
        kind: body.attestation,
        order: body.order,
        counts: false,
        reason,
        evidence: None,
    }
}

/// The outcome was asked for before; putting it in cannot end differently.
fn drop_put(_: Put) {}

#[cfg(test)]
mod tests;
