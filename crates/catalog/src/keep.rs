//! Which records of others a node keeps that does not hold the whole market.
//!
//! A pure machine. Such a node keeps what its own agents say, every record of the shards that it holds, if any, and of
//! others what it looked up last.

use std::collections::{BTreeMap, HashMap, HashSet};

use haggle_base::{Did, Kind, RecordId};

use crate::{
    door::Entry,
    handle::Origin,
    shards::Shards,
    shelf::{Shelf, event},
};

/// Records of others that a light node keeps unless told otherwise: about 16 MiB on disk if all of them are large.
pub const KEPT_RECORDS: usize = 4096;

/// What a node keeps that does not hold the whole market.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keep {
    /// Authors whose records are kept whatever happens; whoever publishes here is one.
    pub own: HashSet<Did>,
    /// Shards whose records are kept, whoever they are of.
    pub shards: Shards,
    /// Records of all others together.
    pub others: usize,
}

impl Keep {
    /// The defaults for a node of these agents that holds these shards.
    #[must_use]
    pub const fn of(own: HashSet<Did>, shards: Shards) -> Self {
        Self { own, shards, others: KEPT_RECORDS }
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

    /// Whether a record is kept that came from there: of what nobody here asked for, what is our own or lies in a shard
    /// that is held, and what a record that was looked up has to give way to.
    pub(crate) fn takes(&self, shelf: &Shelf, entry: &Entry, origin: Origin) -> bool {
        match origin {
            Origin::Local | Origin::Search { .. } => true,
            Origin::Gossip { .. } | Origin::Sync { .. } => self.stays(entry) || shelf.at(&entry.place).is_some(),
        }
    }

    /// What of an author's was looked up longest ago and is in the way of a record of the same author. That others of its
    /// records were withdrawn is not heard of outside the shards that are held, so what was looked up refuses nothing.
    pub(crate) fn in_the_way(&self, shelf: &Shelf, entry: &Entry, quota: event::Quota) -> Option<RecordId> {
        let counted = shelf.by_author(&entry.author).filter(|own| own.place != entry.place && quota.counts(own));
        let passing = counted.filter_map(|own| Some((*self.turns.get(&own.id)?, own.id)));
        passing.min().map(|(_, id)| id)
    }

    /// Whether it is kept whatever else comes.
    fn stays(&self, entry: &Entry) -> bool {
        self.keep.shards.contains(entry.shard) || self.keep.own.contains(&entry.author)
    }

    /// Whether an author sells something in a shard that is held.
    pub(crate) fn sells_here(&self, shelf: &Shelf, author: &Did) -> bool {
        let sells = |entry: &Entry| entry.kind == Kind::Listing && self.keep.shards.contains(entry.shard);
        !self.keep.shards.is_empty() && shelf.by_author(author).any(sells)
    }

    /// The record came, once more or for the first time.
    pub(crate) fn came(&mut self, entry: &Entry) {
        self.gone(&entry.id);
        if !self.stays(entry) {
            self.turns.insert(entry.id, self.next);
            self.order.insert(self.next, entry.id);
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
        let mut held: Vec<_> = entries.collect();
        held.sort_unstable_by_key(|entry| (entry.created, entry.id));
        held.into_iter().for_each(|entry| self.came(entry));
    }
}

#[cfg(test)]
mod tests {
    use haggle_base::{Hash, Text};

    use super::*;
    use crate::{
        door::Place,
        testing::{START, agent, peer},
    };

    fn entry(id: RecordId, author: Did, shard: u16) -> Entry {
        Entry {
            id,
            kind: Kind::Card,
            author,
            slot: Text::try_from("card").unwrap(),
            place: Place::card(&author),
            subject: None,
            seq: 1,
            created: START,
            expires: START,
            shard,
            payer: None,
        }
    }

    #[test]
    fn what_nobody_asked_for_is_taken_only_where_it_stays() {
        let id = |byte| RecordId::from(Hash::from_bytes([byte; 32]));
        let (alice, bob) = (agent(0).did(), agent(1).did());
        let mut kept = Kept::new(Keep { own: HashSet::from([alice]), shards: [2].into_iter().collect(), others: 0 });
        let shelf = Shelf::new(4, 100);
        let (gossip, asked) = (Origin::Gossip { peer: peer(1) }, Origin::Search { peer: peer(1) });
        for (author, shard, is_taken) in [(alice, 0, true), (bob, 2, true), (bob, 0, false)] {
            let entry = entry(id(1), author, shard);
            assert_eq!(kept.takes(&shelf, &entry, gossip), is_taken, "{shard}");
            assert!(kept.takes(&shelf, &entry, asked) && kept.takes(&shelf, &entry, Origin::Local));
            kept.came(&entry);
            assert_eq!(kept.excess(9).is_empty(), is_taken, "what stays is not let go of");
        }
    }

    #[test]
    fn what_was_looked_up_longest_ago_goes_first_and_what_is_ours_stays() {
        let id = |byte| RecordId::from(Hash::from_bytes([byte; 32]));
        let (alice, bob) = (agent(0).did(), agent(1).did());
        let entry = |byte, author| entry(id(byte), author, 0);
        let mut kept = Kept::new(Keep { own: HashSet::from([alice]), shards: Shards::NONE, others: 2 });
        kept.came(&entry(0, alice));
        (1..=3).for_each(|byte| kept.came(&entry(byte, bob)));
        assert_eq!(kept.excess(10), [id(1)]);
        kept.came(&entry(1, bob));
        assert_eq!(kept.excess(10), [id(2)], "it was asked for again");
        kept.gone(&id(2));
        assert_eq!(kept.excess(10), []);
        kept.came(&entry(4, bob));
        kept.came(&entry(5, bob));
        assert_eq!((kept.excess(1), kept.excess(10)), (vec![id(3)], vec![id(3), id(1)]));
        kept.is_ours(bob);
        kept.came(&entry(3, bob));
        assert_eq!(kept.excess(10), [id(1)], "bob publishes here now");
    }
}
