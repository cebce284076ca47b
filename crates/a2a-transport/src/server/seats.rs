//! Counted places: so many per caller, so many in all.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// The count.
#[derive(Debug)]
pub(super) struct Seats {
    per_caller: usize,
    all: usize,
    taken: Mutex<(HashMap<String, usize>, usize)>,
}

/// One taken place; free again when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    caller: String,
}

impl Seats {
    pub(super) fn new(per_caller: usize, all: usize) -> Self {
        Self { per_caller, all, taken: Mutex::default() }
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> usize {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    /// Whether nobody can enter.
    pub(super) fn is_full(&self) -> bool {
        self.taken() >= self.all
    }

    /// Takes a place, if there is one.
    pub(super) fn enter(self: &Arc<Self>, caller: &str) -> Option<Seat> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let (callers, all) = &mut *taken;
        let own = callers.get(caller).copied().unwrap_or(0);
        if own >= self.per_caller || *all >= self.all {
            return None;
        }
        callers.insert(caller.to_owned(), own + 1);
        *all += 1;
        Some(Seat { seats: Arc::clone(self), caller: caller.to_owned() })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let (callers, all) = &mut *taken;
        *all -= 1;
        if let Some(own) = callers.get_mut(&self.caller) {
            *own -= 1;
            if *own == 0 {
                callers.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_cannot_take_every_seat() {
        let seats = Arc::new(Seats::new(2, 3));
        let alice = [seats.enter("alice"), seats.enter("alice")];
        assert!(alice.iter().all(Option::is_some));
        assert!(seats.enter("alice").is_none());
        let bob = seats.enter("bob");
        assert!(bob.is_some());
        assert!(seats.enter("eve").is_none());
        drop(alice);
        let again = seats.enter("alice");
        assert!(again.is_some());
        drop((again, bob));
        assert_eq!(seats.taken(), 0);
    }
}
