//! The two streams to one peer: opened when needed, opened again when they die.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use haggle_a2a::{A2aError, Kind, binding::MAX_CALLS_PER_STREAM};
use haggle_base::PeerId;
use tokio::{sync::Semaphore, time::Instant};

use super::{
    breaker::{Breaker, Patience},
    connection::{Answers, Connection, SendError},
};
use crate::{ClientLimits, Dial};

/// Streams per peer: with two, a large answer on one does not hold up the other.
const STREAMS: usize = 2;
/// Calls on the first stream before the second is used.
const SPREAD_AT: usize = 8;
/// Most streams of events on one stream; the other places are for calls that end by themselves.
const FOLLOWED: usize = MAX_CALLS_PER_STREAM / 2;

/// One place for a stream.
#[derive(Debug, Default)]
struct Slot {
    connection: Mutex<Option<Arc<Connection>>>,
    opening: tokio::sync::Mutex<Option<(Instant, A2aError)>>,
    calls: AtomicUsize,
    followed: AtomicUsize,
}

/// A stream of events that is open at a peer. While it is, the peer's pool is kept.
#[derive(Debug)]
pub(super) struct Followed {
    pool: Arc<Pool>,
    slot: usize,
}

impl Drop for Followed {
    fn drop(&mut self) {
        let slot = &self.pool.slots[self.slot];
        slot.followed.fetch_sub(1, Ordering::Relaxed);
        slot.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug)]
pub(super) struct Pool {
    peer: PeerId,
    limits: ClientLimits,
    slots: [Slot; STREAMS],
    turns: Semaphore,
    waiting: AtomicUsize,
    pub(super) breaker: Breaker,
}

/// Counts up while it lives.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn up(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    pub(super) fn new(peer: PeerId, limits: ClientLimits) -> Self {
        let turns = Semaphore::new(limits.calls_per_peer);
        let patience = Patience { failures: limits.failures, rest: limits.rest, longest: limits.longest_rest };
        let breaker = Breaker::new(patience);
        Self { peer, limits, slots: Default::default(), turns, waiting: AtomicUsize::new(0), breaker }
    }

    /// Sends one call and waits for its answer.
    pub(super) async fn call(
        &self,
        dial: &dyn Dial,
        head: Bytes,
        body: Bytes,
        until: Instant,
    ) -> Result<Bytes, A2aError> {
        let _turn = self.turn(until).await?;
        let slot = self.slot();
        let _counted = Counted::up(&slot.calls);
        loop {
            let connection = self.connection(slot, dial, until).await?;
            match connection.call(head.clone(), body.clone(), until).await {
                Ok(answer) => return Ok(answer),
                Err(SendError::NotSent) => continue,
                Err(SendError::Failed(error)) => return Err(error),
            }
        }
    }

    /// Sends one call whose answers are read as they come.
    pub(super) async fn open(
        self: &Arc<Self>,
        dial: &dyn Dial,
        head: Bytes,
        body: Bytes,
        until: Instant,
    ) -> Result<Answers, A2aError> {
        let followed = Arc::new(self.follow()?);
        loop {
            let connection = self.connection(&self.slots[followed.slot], dial, until).await?;
            match connection.open(head.clone(), body.clone(), until, &followed).await {
                Ok(answers) => return Ok(answers),
                Err(SendError::NotSent) => continue,
                Err(SendError::Failed(error)) => return Err(error),
            }
        }
    }

    /// A place for one more stream of events.
    fn follow(self: &Arc<Self>) -> Result<Followed, A2aError> {
        let [first, second] = [0, 1].map(|slot: usize| self.slots[slot].followed.load(Ordering::Relaxed));
        let order = if first < SPREAD_AT || first <= second { [0, 1] } else { [1, 0] };
        let more = |count: usize| (count < FOLLOWED).then_some(count + 1);
        let taken =
            |slot: &usize| self.slots[*slot].followed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok();
        let slot = order.into_iter().find(taken);
        let slot = slot.ok_or_else(|| A2aError::new(Kind::Busy, "too many streams of events from this peer"))?;
        self.slots[slot].calls.fetch_add(1, Ordering::Relaxed);
        Ok(Followed { pool: Arc::clone(self), slot })
    }

    async fn turn(&self, until: Instant) -> Result<tokio::sync::SemaphorePermit<'_>, A2aError> {
        let busy = || A2aError::new(Kind::Busy, "too many calls to this peer");
        if let Ok(turn) = self.turns.try_acquire() {
            return Ok(turn);
        }
        if self.waiting.load(Ordering::Relaxed) >= self.limits.waiting_per_peer {
            return Err(busy());
        }
        let _counted = Counted::up(&self.waiting);
        match tokio::time::timeout_at(until, self.turns.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(busy()),
        }
    }

    fn slot(&self) -> &Slot {
        let [first, second] = &self.slots;
        let (busy, other) = (first.calls.load(Ordering::Relaxed), second.calls.load(Ordering::Relaxed));
        if busy < SPREAD_AT || busy <= other { first } else { second }
    }

    /// The slot's stream; opens one if there is none. Only one caller opens, the others wait for it.
    async fn connection(&self, slot: &Slot, dial: &dyn Dial, until: Instant) -> Result<Arc<Connection>, A2aError> {
        if let Some(open) = slot.open() {
            return Ok(open);
        }
        let unreachable = |text: &str| A2aError::new(Kind::Unreachable, text).with("peer", self.peer.to_string());
        let attempt = async {
            let mut failed = slot.opening.lock().await;
            if let Some(open) = slot.open() {
                return Ok(open);
            }
            if let Some((at, error)) = failed.as_ref().filter(|(at, _)| at.elapsed() < self.limits.redial) {
                tracing::trace!(peer.id = %self.peer, age = ?at.elapsed(), "not dialled again yet");
                return Err(error.clone());
            }
            match dial.open(&self.peer).await {
                Ok(stream) => {
                    *failed = None;
                    let connection = Arc::new(Connection::start(stream, self.limits.write));
                    slot.set(Some(Arc::clone(&connection)));
                    Ok(connection)
                }
                Err(error) => {
                    *failed = Some((Instant::now(), error.clone()));
                    Err(error)
                }
            }
        };
        match tokio::time::timeout_at(until, attempt).await {
            Ok(opened) => opened,
            Err(_) => Err(unreachable("no stream could be opened in time")),
        }
    }

    /// Gives up both streams.
    pub(super) fn close(&self) {
        for slot in &self.slots {
            if let Some(connection) = slot.set(None) {
                connection.close();
            }
        }
    }
}

impl Slot {
    fn open(&self) -> Option<Arc<Connection>> {
        let held = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().filter(|connection| !connection.is_dead()).cloned()
    }

    fn set(&self, connection: Option<Arc<Connection>>) -> Option<Arc<Connection>> {
        std::mem::replace(&mut self.connection.lock().unwrap_or_else(PoisonError::into_inner), connection)
    }
}
