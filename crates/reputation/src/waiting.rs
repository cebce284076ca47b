//! Attestations whose settlement was not read from the chain yet. They come before the block as often as after it.

use std::collections::{BTreeMap, HashMap, VecDeque};

use haggle_base::{Attestation, Did, OrderId, RecordId, Verified};

/// Attestations that wait in all; each is at most 2 KiB, so 8 MiB. The oldest goes first.
pub(crate) const MAX_WAITING: usize = 4096;
/// Attestations of one author that wait; one author cannot push the others out.
pub(crate) const MAX_PER_AUTHOR: usize = 64;

/// The waiting room.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    by_order: BTreeMap<OrderId, BTreeMap<RecordId, Verified<Attestation>>>,
    per_author: HashMap<Did, usize>,
    arrival: VecDeque<(OrderId, RecordId)>,
    held: usize,
}

impl Waiting {
    /// Lets one wait. An author that has too many waiting already is not let in.
    pub(crate) fn enter(&mut self, record: Verified<Attestation>) -> bool {
        let (order, id, author) = (record.body().order, record.id(), record.author());
        if self.by_order.get(&order).is_some_and(|waiting| waiting.contains_key(&id)) {
            return true;
        }
        if self.per_author.get(&author).is_some_and(|held| *held >= MAX_PER_AUTHOR) {
            return false;
        }
        while self.held >= MAX_WAITING {
            let Some((order, id)) = self.arrival.pop_front() else { return false };
            self.drop_one(&order, &id);
        }
        self.by_order.entry(order).or_default().insert(id, record);
        *self.per_author.entry(author).or_default() += 1;
        self.arrival.push_back((order, id));
        self.held += 1;
        true
    }

    /// All that wait for this order.
    pub(crate) fn leave(&mut self, order: &OrderId) -> Vec<Verified<Attestation>> {
        let ids: Vec<RecordId> = self.by_order.get(order).into_iter().flat_map(BTreeMap::keys).copied().collect();
        let left = ids.iter().filter_map(|id| self.drop_one(order, id)).collect();
        self.arrival.retain(|(waiting, _)| waiting != order);
        left
    }

    /// The orders that something waits for.
    pub(crate) fn orders(&self) -> Vec<OrderId> {
        self.by_order.keys().copied().collect()
    }

    /// What waits about this agent.
    pub(crate) fn about<'a>(&'a self, did: &'a Did) -> impl Iterator<Item = &'a Verified<Attestation>> {
        self.by_order.values().flat_map(BTreeMap::values).filter(move |record| record.body().subject == *did)
    }

    fn drop_one(&mut self, order: &OrderId, id: &RecordId) -> Option<Verified<Attestation>> {
        let waiting = self.by_order.get_mut(order)?;
        let record = waiting.remove(id)?;
        if waiting.is_empty() {
            self.by_order.remove(order);
        }
        self.held -= 1;
        if let Some(held) = self.per_author.get_mut(&record.author()) {
            *held -= 1;
            if *held == 0 {
                self.per_author.remove(&record.author());
            }
        }
        Some(record)
    }
}
