//! Who follows which task: everybody gets the same events in the same order, and nobody waits for a slow one.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures::StreamExt as _;
use haggle_a2a::{A2aError, Kind, event};
use serde_json::Value;
use tokio::{sync::Notify, task::AbortHandle};

use super::seats::Seat;
use crate::Events;

#[cfg(test)]
mod tests;

/// Events of one task that may wait for a follower; one that is further behind is cut off.
const BEHIND: usize = 64;
/// Bytes of events of one task that may wait.
const BEHIND_BYTES: usize = 2 * 1024 * 1024;
/// Bytes of events that may wait in all.
const ALL_BYTES: usize = 128 * 1024 * 1024;

/// An event as it is sent, or why no more come.
type Told = Result<Bytes, A2aError>;

type Channels = Mutex<HashMap<String, Arc<Channel>>>;

#[derive(Debug, Default)]
struct Table {
    channels: Channels,
    /// Bytes of events that wait in all channels.
    bytes: AtomicUsize,
}

/// All followed tasks.
#[derive(Debug, Default)]
pub(super) struct Hub(Arc<Table>);

/// The followers of one task, and what not all of them have heard yet.
#[derive(Debug, Default)]
struct Channel {
    ring: Mutex<Ring>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Ring {
    told: VecDeque<Told>,
    /// The number of the first of `told`.
    first: u64,
    /// The number of the event that is told next.
    next: u64,
    bytes: usize,
    /// The number of the event that each ear hears next.
    ears: HashMap<u64, u64>,
    /// Ears that were ever here.
    named: u64,
    /// Nothing more is told here.
    closed: bool,
}

/// What an ear hears now.
enum Heard {
    Event(Told),
    Missed(u64),
    Nothing,
    Over,
}

/// One follower's ear; the task is forgotten here when the last one goes.
#[derive(Debug)]
pub(super) struct Ear(Place);

/// Where an ear is.
#[derive(Debug, Clone)]
struct Place {
    table: Arc<Table>,
    task: String,
    channel: Arc<Channel>,
    ear: u64,
}

fn weight(told: &Told) -> usize {
    told.as_ref().map_or(0, Bytes::len)
}

impl Ring {
    fn pop(&mut self, all: &AtomicUsize) -> bool {
        let Some(oldest) = self.told.pop_front() else { return false };
        self.first += 1;
        self.bytes -= weight(&oldest);
        all.fetch_sub(weight(&oldest), Ordering::Relaxed);
        true
    }

    fn push(&mut self, told: Told, all: &AtomicUsize) {
        if self.ears.is_empty() || self.closed {
            return;
        }
        self.bytes += weight(&told);
        all.fetch_add(weight(&told), Ordering::Relaxed);
        self.told.push_back(told);
        self.next += 1;
        while self.told.len() > BEHIND || self.bytes > BEHIND_BYTES || all.load(Ordering::Relaxed) > ALL_BYTES {
            if !self.pop(all) {
                break;
            }
        }
    }

    /// Drops what everybody has heard.
    fn trim(&mut self, all: &AtomicUsize) {
        let next = self.ears.values().copied().min();
        while next.is_none_or(|next| self.first < next) && self.pop(all) {}
    }

    fn hear(&mut self, ear: u64, all: &AtomicUsize) -> Heard {
        let (first, closed) = (self.first, self.closed);
        let Some(next) = self.ears.get_mut(&ear) else { return Heard::Over };
        if *next < first {
            let missed = first - *next;
            *next = first;
            return Heard::Missed(missed);
        }
        let told = usize::try_from(*next - first).ok().and_then(|at| self.told.get(at)).cloned();
        match told {
            Some(told) => {
                *next += 1;
                self.trim(all);
                Heard::Event(told)
            }
            None if closed => Heard::Over,
            None => Heard::Nothing,
        }
    }
}

impl Channel {
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hub {
    fn channels(&self) -> MutexGuard<'_, HashMap<String, Arc<Channel>>> {
        self.0.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows a task from now on.
    pub(super) fn listen(&self, task: &str) -> Ear {
        let mut channels = self.channels();
        let channel = Arc::clone(channels.entry(task.to_owned()).or_default());
        let mut ring = channel.ring();
        ring.named += 1;
        let (ear, next) = (ring.named, ring.next);
        ring.ears.insert(ear, next);
        drop(ring);
        Ear(Place { table: Arc::clone(&self.0), task: task.to_owned(), channel, ear })
    }

    /// Whether anybody follows the task.
    pub(super) fn is_followed(&self, task: &str) -> bool {
        self.channels().contains_key(task)
    }

    /// Tells everybody who follows the task. The event is made only if somebody does. Whoever tells holds the task's
    /// lock, which puts events in order.
    pub(super) fn tell(&self, task: &str, event: impl FnOnce() -> Value) {
        let channel = self.channels().get(task).cloned();
        if let Some(channel) = channel {
            let told = Bytes::from(event().to_string());
            channel.ring().push(Ok(told), &self.0.bytes);
            channel.news.notify_waiters();
        }
    }

    /// Ends all streams of the task with this error: whoever follows it has to ask for it.
    pub(super) fn fail(&self, task: &str, error: &A2aError) {
        let channel = self.channels().remove(task);
        if let Some(channel) = channel {
            let mut ring = channel.ring();
            ring.push(Err(error.clone()), &self.0.bytes);
            ring.closed = true;
            drop(ring);
            channel.news.notify_waiters();
        }
    }

    /// How many tasks are followed.
    #[cfg(test)]
    pub(super) fn followed(&self) -> usize {
        self.channels().len()
    }

    /// Bytes of events that wait.
    #[cfg(test)]
    pub(super) fn waiting_bytes(&self) -> usize {
        self.0.bytes.load(Ordering::Relaxed)
    }
}

impl Place {
    /// Hears no more.
    fn leave(&self) {
        let mut channels = self.table.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ring = self.channel.ring();
        ring.ears.remove(&self.ear);
        ring.trim(&self.table.bytes);
        let is_last = ring.ears.is_empty();
        drop(ring);
        if is_last && channels.get(&self.task).is_some_and(|held| Arc::ptr_eq(held, &self.channel)) {
            channels.remove(&self.task);
        }
        drop(channels);
        self.channel.news.notify_waiters();
    }
}

impl Ear {
    /// Whether nothing was told since it listens.
    pub(super) fn is_quiet(&self) -> bool {
        let ring = self.0.channel.ring();
        ring.ears.get(&self.0.ear).is_some_and(|next| *next == ring.next)
    }

    /// The next event; an error says that some were missed, or why there are no more. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Result<Arc<Value>, A2aError>> {
        loop {
            let news = self.0.channel.news.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            let heard = self.0.channel.ring().hear(self.0.ear, &self.0.table.bytes);
            match heard {
                Heard::Event(told) => return Some(told.and_then(|body| read(&body))),
                Heard::Missed(missed) => {
                    let slow = A2aError::new(Kind::Busy, "the stream was read too slowly; subscribe to the task again");
                    return Some(Err(slow.with("missedEvents", missed.to_string())));
                }
                Heard::Over => return None,
                Heard::Nothing => news.await,
            }
        }
    }

    /// The events as a stream: `first`, then what is told, until the agent does no more by itself, or `longest` is over
    /// (the follower may subscribe again). The seat is free when the stream is dropped or its time is over, whether
    /// somebody reads it or not.
    pub(super) fn events(self, first: Option<Value>, longest: Duration, seat: Seat) -> Events {
        // A task that waits for its caller may go on; one that has ended does not.
        let over = first.as_ref().and_then(event::state).is_some_and(|state| state.is_terminal());
        let told =
            futures::stream::unfold((Follower::new(self, longest, seat), over), |(mut follower, over)| async move {
                if over {
                    return None;
                }
                let next = follower.ear.next().await?;
                let over = next.as_ref().map_or(true, |event| event::ends_stream(event));
                Some((next.map(Arc::unwrap_or_clone), (follower, over)))
            });
        futures::stream::iter(first.map(Ok)).chain(told).boxed()
    }
}

fn read(body: &[u8]) -> Result<Arc<Value>, A2aError> {
    let event = serde_json::from_slice(body).map_err(|_| A2aError::new(Kind::Internal, "an event was kept badly"))?;
    Ok(Arc::new(event))
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// An ear with a seat, for as long as it may stay.
struct Follower {
    ear: Ear,
    seat: Arc<Mutex<Option<Seat>>>,
    timer: AbortHandle,
}

impl Follower {
    fn new(ear: Ear, longest: Duration, seat: Seat) -> Self {
        let seat = Arc::new(Mutex::new(Some(seat)));
        let (place, held) = (ear.0.clone(), Arc::clone(&seat));
        let timer = tokio::spawn(async move {
            tokio::time::sleep(longest).await;
            place.leave();
            rise(&held);
        });
        Self { ear, seat, timer: timer.abort_handle() }
    }
}

/// Gives a seat back, once.
fn rise(seat: &Mutex<Option<Seat>>) {
    drop(seat.lock().unwrap_or_else(PoisonError::into_inner).take());
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.timer.abort();
        rise(&self.seat);
    }
}
