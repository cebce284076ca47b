//! Answers of free calls, so that the same key gets the same one while it is remembered.
//!
//! Kept in memory: a free call that is repeated after a restart is asked again, and costs nothing again.

use haggle_base::Hash;
use haggle_gateway::view::{Invocation, Invoked, Target};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;

/// Most answers remembered; the oldest go first.
const MOST: usize = 256;
/// Most bytes of output remembered, as JSON text.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// The place of one key's answer: whoever holds it asks, and everybody after finds the answer.
pub(super) type Slot = Arc<tokio::sync::Mutex<Option<Kept>>>;

/// An answer, and what it answers.
#[derive(Debug)]
pub(super) struct Kept {
    target: Target,
    input: Hash,
    invoked: Invoked,
}

impl Kept {
    pub(super) fn new(wanted: &Invocation, input: &[u8], invoked: &Invoked) -> Self {
        Self { target: wanted.target.clone(), input: Hash::of(input), invoked: invoked.clone() }
    }

    /// The answer, if this is the same call.
    pub(super) fn repeated(&self, wanted: &Invocation, input: &[u8]) -> Option<Invoked> {
        (self.target == wanted.target && self.input == Hash::of(input)).then(|| self.invoked.clone())
    }
}

/// The answers of the latest free calls with a key.
#[derive(Debug, Default)]
pub(crate) struct Answers(Mutex<Past>);

#[derive(Debug, Default)]
struct Past {
    slots: VecDeque<(String, Slot, usize)>,
    bytes: usize,
}

impl Answers {
    /// The place of this key's answer.
    pub(super) fn slot(&self, key: &str) -> Slot {
        let mut past = self.0.lock();
        if let Some((_, slot, _)) = past.slots.iter().find(|(known, ..)| known == key) {
            return Arc::clone(slot);
        }
        let slot = Slot::default();
        past.slots.push_back((key.to_owned(), Arc::clone(&slot), 0));
        past.forget();
        slot
    }

    /// Counts an answer of so many bytes that was put into its place.
    pub(super) fn keep(&self, key: &str, bytes: usize) {
        let mut past = self.0.lock();
        let Some((.., counted)) = past.slots.iter_mut().find(|(known, ..)| known == key) else { return };
        *counted = bytes;
        past.bytes += bytes;
        past.forget();
    }
}

impl Past {
    fn forget(&mut self) {
        while self.slots.len() > MOST || self.bytes > MOST_BYTES {
            let Some((.., bytes)) = self.slots.pop_front() else { return };
            self.bytes -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_answers_are_forgotten_by_number_and_by_bytes() {
        let answers = Answers::default();
        let first = answers.slot("0");
        for key in 1..=MOST {
            let _slot = answers.slot(&key.to_string());
        }
        assert!(!Arc::ptr_eq(&first, &answers.slot("0")), "the first is forgotten");
        let newest = answers.slot("newest");
        answers.keep("0", MOST_BYTES);
        answers.keep("newest", 1);
        assert!(Arc::ptr_eq(&newest, &answers.slot("newest")));
        assert_eq!(answers.0.lock().slots.len(), 1, "one byte too many pushes out everything before it");
        assert_eq!(answers.0.lock().bytes, 1);
    }
}
