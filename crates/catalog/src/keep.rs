//! Which records of others a node keeps that does not hold the whole market.
//!
//! A pure machine. Such a node keeps what its own agents say, and of others what it looked up last.

use std::collections::{BTreeMap, HashMap, HashSet};

use haggle_base::{Did, RecordId};

use crate::door::Entry;

/// Records of others that a light node keeps unless told otherwise: about 16 MiB on disk if all of them are large.
pub const KEPT_RECORDS: usize = 4096;

/// What a node keeps that does not hold the whole market.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keep {
    /// Authors whose records are kept whatever happens; whoever publishes here is one.
    pub own: HashSet<Did>,
    /// Records of all others together.
    pub others: usize,
}

impl Keep {
    /// The defaults for a node of these agents.
    #[must_use]
    pub fn of(own: HashSet<Did>) -> Self {
        Self { own, others: KEPT_RECORDS }
    }
}

/// The records of others, in the order in which they were last looked up.
#[derive(Debug)]
pub(crate) struct Kept {
    keep: Keep,
    next: u64,
    turns: HashMap<RecordId, u64>,
    order: BTreeMap<u64, RecordId>,
}

impl Kept {
    pub(crate) fn new(keep: Keep) -> Self {
        Self { keep, next: 0, turns: HashMap::new(), order: BTreeMap::new() }
    }

    /// The authors whose records stay.
    pub(crate) const fn own(&self) -> &HashSet<Did> {
        &self.keep.own
    }

    /// This author publishes here.
    pub(crate) fn is_ours(&mut self, author: Did) {
        self.keep.own.insert(author);
    }

    /// The record came, once more or for the first time.
    pub(crate) fn came(&mut self, id: RecordId, author: &Did) {
        self.gone(&id);
        if !self.keep.own.contains(author) {
            self.turns.insert(id, self.next);
            self.order.insert(self.next, id);
            self.next += 1;
        }
    }

    /// The record left the shelf.
    pub(crate) fn gone(&mut self, id: &RecordId) {
        if let Some(turn) = self.turns.remove(id) {
            self.order.remove(&turn);
        }
    }

    /// The records that are too many, those first that were looked up longest ago; at most `limit` of them.
    pub(crate) fn excess(&self, limit: usize) -> Vec<RecordId> {
        let count = self.order.len().saturating_sub(self.keep.others).min(limit);
        self.order.values().take(count).copied().collect()
    }

    /// Notes what a shelf holds, the oldest records as those looked up longest ago.
    pub(crate) fn restore<'a>(&mut self, entries: impl Iterator<Item = &'a Entry>) {
        let mut held: Vec<_> = entries.map(|entry| (entry.created, entry.id, entry.author)).collect();
        held.sort_unstable();
        for (_, id, author) in held {
            self.came(id, &author);
        }
    }
}

#[cfg(test)]
mod tests {
    use haggle_base::Hash;

    use super::*;
    use crate::testing::agent;

    #[test]
    fn what_was_looked_up_longest_ago_goes_first_and_what_is_ours_stays() {
        let id = |byte| RecordId::from(Hash::from_bytes([byte; 32]));
        let (alice, bob) = (agent(0).did(), agent(1).did());
        let mut kept = Kept::new(Keep { own: HashSet::from([alice]), others: 2 });
        kept.came(id(0), &alice);
        (1..=3).for_each(|byte| kept.came(id(byte), &bob));
        assert_eq!(kept.excess(10), [id(1)]);
        kept.came(id(1), &bob);
        assert_eq!(kept.excess(10), [id(2)], "it was asked for again");
        kept.gone(&id(2));
        assert_eq!(kept.excess(10), []);
        kept.came(id(4), &bob);
        kept.came(id(5), &bob);
        assert_eq!((kept.excess(1), kept.excess(10)), (vec![id(3)], vec![id(3), id(1)]));
        kept.is_ours(bob);
        kept.came(id(3), &bob);
        assert_eq!(kept.excess(10), [id(1)], "bob publishes here now");
    }
}
