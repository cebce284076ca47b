//! The seller's desk: answers buyers, does the work of funded orders, and gets paid.
//!
//! [`Desk::handle`] answers one message of a buyer; a repeated message gets the same answer from what
//! is stored. [`Desk::tick`] drives every open order: funding, the work, the receipt, the chain.

use std::{collections::HashMap, ops::Bound, sync::Arc, time::Duration};

use haggle_base::{Clock, Coded, Did, Hash, OrderId, Side, Text, Timestamp, Usdc};
use haggle_store::{Batch, Blobs, Store};
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, broadcast};
use tracing::{debug, info, warn};

use crate::{
    buyer::{moved, read_lines},
    config::{MAX_RUNNING, MAX_UNFUNDED_INPUT_BYTES, TradeConfig},
    error::{Refusal, TradeError},
    event::{EVENT_QUEUE, MAX_LINES, OrderEvent, OrderView},
    order::{command::Command, job::Step},
    ports::{Attestor, Faults, Market, Money, Signer, TxRef, Work},
    records::{Job, Jobs, Line, Lines, Negotiations, NegotiationsByExpiry, OpenJobs, line_key},
    rounds::{Progress, Rounds},
    terms::Agreement,
    wire::{TradeMessage, TradeReply},
};

mod by_hand;
mod disputes;
mod drive;
mod messages;

/// What the seller's side needs from the node.
#[derive(Clone, Debug)]
pub struct DeskPorts {
    /// What is sold.
    pub market: Arc<dyn Market>,
    /// Our agents' document keys.
    pub signer: Arc<dyn Signer>,
    /// Payment keys, the chain.
    pub money: Arc<dyn Money>,
    /// The agents.
    pub work: Arc<dyn Work>,
    /// The memory of the market.
    pub attestor: Arc<dyn Attestor>,
    /// Where crash tests stop us.
    pub faults: Arc<dyn Faults>,
}

/// How one listing is sold, beyond what it says in public.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SellingRules {
    /// The least that is accepted; `None` means the list price.
    pub floor: Option<Usdc>,
    /// How much each round takes off the list price.
    pub step: Usdc,
}

/// The seller's side of all our orders. Clones share it.
#[derive(Clone, Debug)]
pub struct Desk {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: TradeConfig,
    store: Store,
    blobs: Blobs,
    clock: Arc<dyn Clock>,
    ports: DeskPorts,
    rules: Mutex<HashMap<(Did, Text<64>), SellingRules>>,
    rounds: Arc<Rounds<OrderId>>,
    /// Orders that hold capacity.
    open: Mutex<HashMap<OrderId, Open>>,
    /// Held from counting negotiations until the new one is on disk; guards their number.
    quoting: tokio::sync::Mutex<usize>,
    /// Held while an order is taken in, gets its input, or is erased: from counting to the disk.
    intake: tokio::sync::Mutex<()>,
    /// Agents that may run at the same time.
    running: Arc<Semaphore>,
    /// Agents at work, each with the word that stops it.
    working: Mutex<HashMap<OrderId, Arc<Notify>>>,
    /// Orders whose last attempt to submit the release failed.
    release_failed: Mutex<HashMap<OrderId, ()>>,
    events: broadcast::Sender<OrderEvent>,
}

/// What an order that is not yet worked on holds of our capacity.
#[derive(Clone, Copy, Debug)]
struct Open {
    buyer: Did,
    /// Bytes of input, while unfunded.
    bytes: u64,
}

impl Open {
    fn of(job: &Job) -> Self {
        let held = job.step.is_unfunded() && job.input_blob.is_some();
        Self { buyer: job.buyer, bytes: if held { job.input_bytes } else { 0 } }
    }
}

/// What one step came to.
enum Flow {
    /// A new step is on disk.
    Moved,
    /// Nothing to do for now.
    Wait,
    /// Nothing to do for a long while.
    Idle,
    /// Nothing to do ever.
    Done,
}

impl Desk {
    /// Opens the seller's side on its store and takes up every order that is not over.
    ///
    /// # Errors
    /// When the store fails.
    pub fn open(
        config: TradeConfig,
        store: Store,
        blobs: Blobs,
        clock: Arc<dyn Clock>,
        ports: DeskPorts,
    ) -> Result<Self, TradeError> {
        let ids: Vec<OrderId> =
            store.range::<OpenJobs>(Bound::Unbounded, usize::MAX)?.into_iter().map(|(id, ())| id).collect();
        let mut open = HashMap::new();
        for id in &ids {
            if let Some(job) = store.get::<Jobs>(id)?
                && job.step.is_open()
            {
                open.insert(*id, Open::of(&job));
            }
        }
        let negotiations = usize::try_from(store.count::<Negotiations>()?).unwrap_or(usize::MAX);
        let inner = Inner {
            config,
            store,
            blobs,
            clock,
            ports,
            rules: Mutex::new(HashMap::new()),
            rounds: Arc::new(Rounds::new(ids)),
            open: Mutex::new(open),
            quoting: tokio::sync::Mutex::new(negotiations),
            intake: tokio::sync::Mutex::new(()),
            running: Arc::new(Semaphore::new(MAX_RUNNING)),
            working: Mutex::new(HashMap::new()),
            release_failed: Mutex::new(HashMap::new()),
            events: broadcast::Sender::new(EVENT_QUEUE),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Sets how a listing is sold; without this it is sold at its list price.
    pub fn set_rules(&self, agent: Did, slot: Text<64>, rules: SellingRules) {
        self.inner.rules.lock().insert((agent, slot), rules);
    }

    /// Answers one message to `agent` from a caller whose channel proved the DIDs in `proven`.
    pub async fn handle(&self, proven: &[Did], agent: &Did, message: TradeMessage) -> TradeReply {
        Box::pin(self.inner.handle(proven, agent, message)).await
    }

    /// Makes every open order due at once; returns how many there are.
    pub fn resume_all(&self) -> usize {
        self.inner.rounds.add_all()
    }

    /// Drives every order that is due, each in its own task.
    pub fn tick(&self) {
        self.inner.rounds.tick(self.inner.clock.now(), |id| {
            let inner = Arc::clone(&self.inner);
            async move { inner.advance(id).await }
        });
    }

    /// Waits until an order became due before its time, or for `pace` while any is open.
    pub async fn turn(&self, pace: Duration) {
        self.inner.rounds.turn(pace).await;
    }

    /// Drives one order as far as it goes now.
    pub async fn advance(&self, id: OrderId) -> Progress {
        self.inner.advance(id).await
    }

    /// The ids of the orders that are not over.
    pub fn open_orders(&self) -> Vec<OrderId> {
        self.inner.rounds.all()
    }

    /// Our sales in the order of their ids, at most `limit`, after `after`.
    ///
    /// # Errors
    /// A failure of the store.
    pub fn list(&self, after: Option<OrderId>, limit: usize) -> Result<Vec<OrderView>, TradeError> {
        let from = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let rows = self.inner.store.range::<Jobs>(from, limit)?;
        rows.iter().map(|(id, job)| self.inner.view(*id, job, false)).collect()
    }

    /// One sale, with its life line.
    ///
    /// # Errors
    /// `order_not_found`, or a failure of the store.
    pub fn show(&self, id: &OrderId) -> Result<OrderView, TradeError> {
        let job = self.inner.store.get::<Jobs>(id)?.ok_or(Refusal::OrderNotFound)?;
        self.inner.view(*id, &job, true)
    }

    /// The output of one of our orders.
    ///
    /// # Errors
    /// A failure of the store.
    pub fn payload(&self, hash: &Hash) -> Result<Option<Vec<u8>>, TradeError> {
        Ok(self.inner.blobs.get(hash)?)
    }

    /// Every step of every sale from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<OrderEvent> {
        self.inner.events.subscribe()
    }

    /// Starts no further drive and waits for those under way.
    pub async fn shutdown(&self) {
        self.inner.rounds.close().await;
    }
}

impl Inner {
    fn rules(&self, agent: &Did, slot: &Text<64>) -> SellingRules {
        self.rules.lock().get(&(*agent, slot.clone())).copied().unwrap_or_default()
    }

    /// Forgets negotiations whose time is over, a few at a time; gives how many were forgotten.
    async fn sweep(&self, now: Timestamp) -> Result<usize, TradeError> {
        const AT_ONCE: usize = 64;
        let rows = self.store.range::<NegotiationsByExpiry>(Bound::Unbounded, AT_ONCE)?;
        let mut batch = Batch::new();
        let mut forgotten = 0;
        for ((expires, buyer, request), ()) in rows {
            if expires > now {
                break;
            }
            batch.delete::<NegotiationsByExpiry>(&(expires, buyer, request));
            // The row may have been renewed since; then its newer expiry has an entry of its own.
            if self.store.get::<Negotiations>(&(buyer, request))?.is_some_and(|row| row.expires <= now) {
                batch.delete::<Negotiations>(&(buyer, request));
                forgotten += 1;
            }
        }
        if !batch.is_empty() {
            self.store.commit(batch).await?;
        }
        Ok(forgotten)
    }

    /// Refuses an order beyond what we hold open for one caller, under all its DIDs, and in total.
    fn check_capacity(&self, proven: &[Did]) -> Result<(), TradeError> {
        let open = self.open.lock();
        let of_caller = open.values().filter(|open| proven.contains(&open.buyer)).count();
        if open.len() >= self.config.max_open || of_caller >= self.config.max_open_per_buyer {
            return Err(Refusal::CapacityFull.into());
        }
        Ok(())
    }

    /// Refuses an input beyond what we hold for orders that nobody has paid.
    fn check_room(&self, bytes: u64) -> Result<(), TradeError> {
        let held: u64 = self.open.lock().values().map(|open| open.bytes).sum();
        if held.saturating_add(bytes) > MAX_UNFUNDED_INPUT_BYTES {
            return Err(Refusal::CapacityFull.into());
        }
        Ok(())
    }

    /// Ends an order that was never funded, and keeps nothing of it: strangers could fill the disk else.
    async fn erase(
        &self,
        id: OrderId,
        job: &Job,
        by: Command,
        now: Timestamp,
        failure: &str,
    ) -> Result<(), TradeError> {
        let mut last = job.clone();
        moved(last.machine.apply(by, now))?;
        last.failure = Text::try_from(failure).ok();
        last.step = Step::Closed;
        let mut batch = Batch::new();
        batch.require_equals::<Jobs>(&id, job)?.delete::<Jobs>(&id).delete::<OpenJobs>(&id);
        let name = id.to_string();
        for line in 0..job.lines {
            batch.delete::<Lines>(&line_key(Side::Provider, &name, line));
        }
        self.store.commit(batch).await?;
        self.open.lock().remove(&id);
        if let Some(blob) = &job.input_blob
            && let Err(error) = self.blobs.delete(blob)
        {
            warn!(order.id = %id, error.code = error.code(), "the input of order {id} stays on disk: {error}");
        }
        self.announce(last.step.as_str(), id, &last, None).await;
        Ok(())
    }

    /// Writes a row with its life line and everything in `batch`, then tells everybody.
    async fn commit(
        &self,
        id: OrderId,
        job: &mut Job,
        batch: Batch,
        chain: Option<Timestamp>,
        tx: Option<TxRef>,
    ) -> Result<(), TradeError> {
        self.commit_as(job.step.as_str(), id, job, batch, chain, tx).await
    }

    /// As [`Self::commit`], for what is worth a line without being a step.
    async fn commit_as(
        &self,
        step: &'static str,
        id: OrderId,
        job: &mut Job,
        mut batch: Batch,
        chain: Option<Timestamp>,
        tx: Option<TxRef>,
    ) -> Result<(), TradeError> {
        let at = self.clock.now();
        let state = job.machine.state();
        if job.lines < MAX_LINES {
            let line = Line { step: Text::try_from(step).map_err(|_| Refusal::BadDocument)?, state, at, chain, tx };
            batch.put::<Lines>(&line_key(Side::Provider, &id.to_string(), job.lines), &line)?;
            job.lines += 1;
        }
        if job.step.is_final() {
            batch.delete::<OpenJobs>(&id);
        }
        batch.put::<Jobs>(&id, job)?;
        self.store.commit(batch).await?;
        if job.step.is_open() {
            self.open.lock().insert(id, Open::of(job));
        } else {
            self.open.lock().remove(&id);
        }
        self.announce(step, id, job, tx).await;
        Ok(())
    }

    /// Tells everybody about a step that is on disk.
    async fn announce(&self, step: &'static str, id: OrderId, job: &Job, tx: Option<TxRef>) {
        let state = job.machine.state();
        info!(order.id = %id, job.step = step, order.state = %state, "order {id} is at {step}");
        let event = OrderEvent {
            side: Side::Provider,
            agent: job.agent,
            counterparty: job.buyer,
            hire: None,
            order: Some(id),
            step,
            state,
            at: self.clock.now(),
            tx,
            failure: job.failure.clone(),
            is_final: job.step.is_final(),
        };
        if self.events.send(event).is_err() {
            debug!(order.id = %id, "nobody listens to order events");
        }
        self.ports.faults.reached(step).await;
    }

    /// Replaces `old` by `new`, unless somebody else changed the row in between.
    async fn replace(
        &self,
        id: OrderId,
        old: &Job,
        mut new: Job,
        chain: Option<Timestamp>,
        tx: Option<TxRef>,
    ) -> Result<(), TradeError> {
        let mut batch = Batch::new();
        batch.require_equals::<Jobs>(&id, old)?;
        self.commit(id, &mut new, batch, chain, tx).await
    }

    /// Writes down that the buyer no longer waits, and stops the agent if it is at work.
    async fn note_stopped(&self, id: OrderId, old: &Job) -> Result<(), TradeError> {
        let mut new = Job { stopped: Some(self.clock.now()), ..old.clone() };
        let mut batch = Batch::new();
        batch.require_equals::<Jobs>(&id, old)?;
        self.commit_as("stopped", id, &mut new, batch, None, None).await?;
        if let Some(work) = self.working.lock().get(&id) {
            work.notify_one();
        }
        self.rounds.add(id);
        Ok(())
    }

    fn agreement(&self, job: &Job) -> Result<Agreement, TradeError> {
        Agreement::open(&job.their_terms, &job.buyer, &self.config.venue)
    }

    fn view(&self, id: OrderId, job: &Job, with_lines: bool) -> Result<OrderView, TradeError> {
        let agreement = self.agreement(job)?;
        let terms = &agreement.terms;
        let lines = if with_lines {
            read_lines(&self.store, &line_key(Side::Provider, &id.to_string(), 0).0)?
        } else {
            Vec::new()
        };
        Ok(OrderView {
            side: Side::Provider,
            hire: None,
            id: Some(id),
            buyer: job.buyer,
            provider: job.agent,
            listing: Some(terms.listing),
            slot: job.slot.clone(),
            title: job.title.clone(),
            state: job.machine.state(),
            step: job.step.as_str(),
            is_final: job.step.is_final(),
            awaits_output: self.awaits_output(job),
            price: Some(terms.price),
            fee: Some(terms.fee.of(terms.price)),
            deposit: Some(terms.deposit()?),
            clocks: Some(terms.clocks()),
            input: job.input,
            output: job.output,
            verdict: None,
            ending: job.ending,
            fund_tx: job.fund_tx,
            failure: job.failure.clone(),
            reason: None,
            deadline: None,
            started: job.started,
            lines,
        })
    }
}

/// Whether the row's step allows what the message asks; the step's state tells the buyer.
fn wrong_state(job: &Job) -> TradeError {
    TradeError::WrongState { state: job.machine.state() }
}

/// Steps at which a release may still arrive and be of use.
fn awaits_release(step: Step) -> bool {
    matches!(step, Step::ReceiptSigned | Step::DeliveredOnChain)
}
