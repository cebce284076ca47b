//! Which orders are due for another look, so that a node can drive many of them without sleeping in any.

use std::{collections::HashMap, fmt::Debug, hash::Hash, sync::Arc, time::Duration};

use haggle_base::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

/// Orders of one side that are driven at the same time; far more than agents that run at the same time
/// ([`crate::config::MAX_RUNNING`]), so that slow agents hold up nobody else's order.
pub(crate) const MAX_DRIVEN: u32 = 256;
/// Longest pause between two looks at an order whose counterparty or chain is away.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// What one look at an order came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Progress {
    /// Nothing is left to do.
    Finished,
    /// Nothing to do until something changes.
    Waiting,
    /// Something it needs is away; look again, later each time.
    Troubled,
    /// Somebody else is driving it right now.
    Busy,
}

#[derive(Debug)]
struct Entry {
    due: Timestamp,
    troubles: u32,
    busy: bool,
    /// Woken while busy: look again at once.
    again: bool,
}

/// The open orders of one side, each with the time of its next look.
#[derive(Debug)]
pub(crate) struct Rounds<K> {
    entries: Mutex<HashMap<K, Entry>>,
    wake: Notify,
    permits: Arc<Semaphore>,
}

impl<K: Copy + Eq + Hash + Ord + Debug> Rounds<K> {
    pub(crate) fn new(open: impl IntoIterator<Item = K>) -> Self {
        let rounds = Self {
            entries: Mutex::new(HashMap::new()),
            wake: Notify::new(),
            permits: Arc::new(Semaphore::new(MAX_DRIVEN as usize)),
        };
        for key in open {
            rounds.add(key);
        }
        rounds
    }

    /// Adds an order, due at once, or makes it due at once.
    pub(crate) fn add(&self, key: K) {
        let mut entries = self.entries.lock();
        let entry =
            entries.entry(key).or_insert(Entry { due: Timestamp::default(), troubles: 0, busy: false, again: false });
        entry.due = Timestamp::default();
        entry.troubles = 0;
        entry.again = entry.busy;
        drop(entries);
        self.wake.notify_one();
    }

    /// Makes every order due at once; returns how many there are.
    pub(crate) fn add_all(&self) -> usize {
        let open = self.all();
        for key in &open {
            self.add(*key);
        }
        open.len()
    }

    /// Drives every order that is due, each in its own task, as far as there are free places.
    pub(crate) fn tick<F: Future<Output = Progress> + Send + 'static>(&self, now: Timestamp, drive: impl Fn(K) -> F) {
        for key in self.due(now) {
            let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else { return };
            let look = drive(key);
            tokio::spawn(async move {
                // The rounds themselves remember what the look came to.
                let _progress = look.await;
                drop(permit);
            });
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.lock().len()
    }

    pub(crate) fn all(&self) -> Vec<K> {
        let mut keys: Vec<K> = self.entries.lock().keys().copied().collect();
        keys.sort_unstable();
        keys
    }

    /// The orders that are due and that nobody drives.
    pub(crate) fn due(&self, now: Timestamp) -> Vec<K> {
        let entries = self.entries.lock();
        let mut keys: Vec<K> =
            entries.iter().filter(|(_, entry)| !entry.busy && entry.due <= now).map(|(key, _)| *key).collect();
        keys.sort_unstable();
        keys
    }

    /// Takes an order to drive it, unless somebody does already.
    pub(crate) fn take(self: &Arc<Self>, key: K) -> Option<Drive<K>> {
        let mut entries = self.entries.lock();
        let entry = entries.get_mut(&key)?;
        if entry.busy {
            entry.again = true;
            return None;
        }
        entry.busy = true;
        entry.again = false;
        Some(Drive { rounds: Arc::clone(self), key })
    }

    /// Waits until an order became due at once, or for the pace of those that wait for their time. With no order open there is
    /// no pace: a node at rest is not woken.
    pub(crate) async fn turn(&self, pace: Duration) {
        let woken = self.wake.notified();
        if self.len() == 0 {
            woken.await;
        } else {
            // either will do
            let _in_time = tokio::time::timeout(pace, woken).await;
        }
    }

    /// Lets no new drive begin and waits for those under way.
    pub(crate) async fn close(&self) {
        if let Ok(all) = self.permits.acquire_many(MAX_DRIVEN).await {
            all.forget();
        }
    }
}

/// The right to drive one order; given back when dropped.
#[derive(Debug)]
pub(crate) struct Drive<K: Copy + Eq + Hash + Ord + Debug> {
    rounds: Arc<Rounds<K>>,
    key: K,
}

impl<K: Copy + Eq + Hash + Ord + Debug> Drive<K> {
    /// Says what the look came to, and when the next one is due.
    pub(crate) fn done(self, progress: Progress, now: Timestamp, pause: Duration) {
        let mut entries = self.rounds.entries.lock();
        if progress == Progress::Finished {
            entries.remove(&self.key);
            return;
        }
        let Some(entry) = entries.get_mut(&self.key) else { return };
        entry.troubles = match progress {
            Progress::Troubled => (entry.troubles + 1).min(8),
            Progress::Finished | Progress::Waiting | Progress::Busy => 0,
        };
        let pause = pause.saturating_mul(1 << entry.troubles).min(MAX_PAUSE.max(pause));
        if entry.again {
            entry.due = Timestamp::default();
        } else {
            entry.due = now.plus(pause);
        }
    }
}

impl<K: Copy + Eq + Hash + Ord + Debug> Drop for Drive<K> {
    fn drop(&mut self) {
        let again = {
            let mut entries = self.rounds.entries.lock();
            match entries.get_mut(&self.key) {
                Some(entry) => {
                    entry.busy = false;
                    std::mem::take(&mut entry.again)
                }
                None => false,
            }
        };
        if again {
            self.rounds.wake.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn only_open_orders_have_a_pace_and_a_new_one_is_taken_up_at_once() {
        let rounds = Arc::new(Rounds::new(None));
        assert!(timeout(SHORT * 5, rounds.turn(SHORT)).await.is_err(), "nothing is open");
        rounds.add(1);
        rounds.turn(LONG).await;
        rounds.turn(SHORT).await;
        assert!(timeout(SHORT, rounds.turn(LONG)).await.is_err(), "its time has not come");
        let drive = rounds.take(1).unwrap();
        drive.done(Progress::Finished, Timestamp::default(), SHORT);
        assert!(timeout(SHORT * 5, rounds.turn(SHORT)).await.is_err(), "it is over");
    }
}
