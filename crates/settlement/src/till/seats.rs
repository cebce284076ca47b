//! Who is at work on which payment: one at a time, in memory only.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// Seats, one for each name.
#[derive(Debug)]
pub(crate) struct Seats<K: Eq + Hash + Clone>(Arc<Mutex<HashMap<K, watch::Receiver<()>>>>);

/// A taken seat. Free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Seat<K: Eq + Hash + Clone> {
    seats: Seats<K>,
    name: K,
    /// Its end is what others wait for.
    _free: watch::Sender<()>,
}

/// What came of asking for a seat.
#[derive(Debug)]
#[must_use]
pub(crate) enum Sit<K: Eq + Hash + Clone> {
    /// It is ours.
    Seated(Seat<K>),
    /// Somebody sits there.
    Taken(Waiting),
    /// There are as many seats taken as there may be.
    Full,
}

/// Somebody else is at work on the same payment.
#[derive(Debug)]
pub struct Waiting(watch::Receiver<()>);

impl Waiting {
    /// Returns when the other one is through, however it ended. Take the payment again then.
    pub async fn done(mut self) {
        while self.0.changed().await.is_ok() {}
    }
}

impl<K: Eq + Hash + Clone> Default for Seats<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Eq + Hash + Clone> Clone for Seats<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Eq + Hash + Clone> Seats<K> {
    /// Takes the seat of this name, unless it is taken or `most` are.
    pub(crate) fn sit(&self, name: K, most: usize) -> Sit<K> {
        let mut taken = self.lock();
        if let Some(other) = taken.get(&name) {
            return Sit::Taken(Waiting(other.clone()));
        }
        if taken.len() >= most {
            return Sit::Full;
        }
        let (free, wait) = watch::channel(());
        taken.insert(name.clone(), wait);
        Sit::Seated(Seat { seats: self.clone(), name, _free: free })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, watch::Receiver<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash + Clone> Drop for Seat<K> {
    fn drop(&mut self) {
        self.seats.lock().remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_seat_is_for_one_and_the_next_one_waits() {
        let seats = Seats::default();
        let Sit::Seated(seat) = seats.sit(7, 2) else { panic!("free") };
        let Sit::Taken(waiting) = seats.sit(7, 2) else { panic!("taken") };
        let Sit::Seated(_other) = seats.sit(8, 2) else { panic!("free") };
        assert!(matches!(seats.sit(9, 2), Sit::Full));
        drop(seat);
        waiting.done().await;
        assert!(matches!(seats.sit(7, 2), Sit::Seated(_)));
    }
}
