//! The peer book behind one lock, with a way to wait until it changes.

use std::time::Duration;

use haggle_base::{Did, PeerId};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::book::{Book, Limits, Proving};
use crate::reach::Reach;

/// The book as the worker, the handle and the tasks share it. The lock is never held across an
/// await.
#[derive(Debug)]
pub(crate) struct Shared {
    book: Mutex<Book>,
    version: watch::Sender<u64>,
    started: Instant,
    listen: Mutex<Vec<String>>,
    reach: Mutex<Reach>,
}

impl Shared {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            book: Mutex::new(Book::new(limits)),
            version: watch::Sender::new(0),
            started: Instant::now(),
            listen: Mutex::new(Vec::new()),
            reach: Mutex::default(),
        }
    }

    /// Time since the network started: what the book's buckets count in.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Reads or changes the book without waking anybody.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Book) -> T) -> T {
        work(&mut self.book.lock())
    }

    /// Changes the book and wakes those who wait for a change.
    pub(crate) fn change<T>(&self, work: impl FnOnce(&mut Book) -> T) -> T {
        let out = work(&mut self.book.lock());
        self.version.send_modify(|version| *version += 1);
        out
    }

    pub(crate) fn listen(&self) -> Vec<String> {
        self.listen.lock().clone()
    }

    pub(crate) fn set_listen(&self, addrs: Vec<String>) {
        *self.listen.lock() = addrs;
    }

    pub(crate) fn reach(&self) -> Reach {
        *self.reach.lock()
    }

    /// Notes whether others can dial this node. Returns what was noted before.
    pub(crate) fn set_reach(&self, reach: Reach) -> Reach {
        std::mem::replace(&mut *self.reach.lock(), reach)
    }

    /// Waits until `ready` says something about the book; the caller bounds the wait.
    async fn until<T>(&self, mut ready: impl FnMut(&Book) -> Option<T>) -> T {
        let mut changes = self.version.subscribe();
        loop {
            if let Some(out) = ready(&self.book.lock()) {
                return out;
            }
            // The sender lives in `self`, so this cannot fail while we are here.
            let _alive = changes.changed().await;
        }
    }

    /// Waits until the peer is admitted; `false` after `patience`. A stream may arrive before the
    /// worker has heard of its connection, so an unknown peer is waited for as well.
    pub(crate) async fn admitted(&self, peer: &PeerId, patience: Duration) -> bool {
        let admitted = self.until(|book| book.is_admitted(peer).then_some(()));
        tokio::time::timeout(patience, admitted).await.is_ok()
    }

    /// Waits until the peer has no relayed connection any more, or no other one.
    pub(crate) async fn lane_gone(&self, peer: &PeerId, relayed: bool) {
        self.until(|book| (!book.has_lane(peer, relayed)).then_some(())).await;
    }

    /// Waits until the exchange of proofs with the peer is done, for at most `patience`.
    pub(crate) async fn proven(&self, peer: &PeerId, patience: Duration) -> Vec<Did> {
        let done = self.until(|book| match book.dids(peer) {
            _ if book.is_linked(peer) && !book.is_admitted(peer) => None,
            (dids, Proving::Done) => Some(dids),
            (_, Proving::Pending) => None,
        });
        match tokio::time::timeout(patience, done).await {
            Ok(dids) => dids,
            Err(_) => self.with(|book| book.dids(peer).0),
        }
    }
}
