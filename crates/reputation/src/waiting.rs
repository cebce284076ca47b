//! Attestations whose settlement was not read from the chain yet. They come before the block as often as after it.

use std::collections::{BTreeMap, HashMap, VecDeque};

use haggle_base::{Attestation, Did, OrderId, RecordId, Verified};

/// Attestations that wait in all; each is at most 2 KiB, so 8 MiB. The oldest goes first, but of an order that the chain
/// has funded none goes for one of an order that nobody knows.
pub(crate) const MAX_WAITING: usize = 4096;
/// Attestations of one author that wait; one author cannot push the others out.
pub(crate) const MAX_PER_AUTHOR: usize = 64;

/// The waiting room.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    by_order: BTreeMap<OrderId, BTreeMap<RecordId, Verified<Attestation>>>,
    per_author: HashMap<Did, usize>,
    /// By arrival, of orders that were unknown when last asked for.
    unknown: VecDeque<(OrderId, RecordId)>,
    /// Of orders that the chain has funded.
    funded: VecDeque<(OrderId, RecordId)>,
    held: usize,
}

impl Waiting {
    /// Lets one wait. An author that has too many waiting already is not let in, nor is one of an unknown order when all
    /// that wait are of funded ones. `is_funded` asks the chain as it was read.
    pub(crate) fn enter(&mut self, record: Verified<Attestation>, is_funded: impl Fn(&OrderId) -> bool) -> bool {
        let (order, id, author) = (record.body().order, record.id(), record.author());
        if self.by_order.get(&order).is_some_and(|waiting| waiting.contains_key(&id)) {
            return true;
        }
        if self.per_author.get(&author).is_some_and(|held| *held >= MAX_PER_AUTHOR) {
            return false;
        }
        let known = is_funded(&order);
        while self.held >= MAX_WAITING {
            match self.unknown.pop_front() {
                // Its funding was read after it came. Each moves once, so this ends.
                Some(oldest) if is_funded(&oldest.0) => self.funded.push_back(oldest),
                Some((order, id)) => drop(self.drop_one(&order, &id)),
                None if known => {
                    let Some((order, id)) = self.funded.pop_front() else { return false };
                    self.drop_one(&order, &id);
                }
                None => return false,
            }
        }
        self.by_order.entry(order).or_default().insert(id, record);
        *self.per_author.entry(author).or_default() += 1;
        if known { &mut self.funded } else { &mut self.unknown }.push_back((order, id));
        self.held += 1;
        true
    }

    /// All that wait for this order.
    pub(crate) fn leave(&mut self, order: &OrderId) -> Vec<Verified<Attestation>> {
        let ids: Vec<RecordId> = self.by_order.get(order).into_iter().flat_map(BTreeMap::keys).copied().collect();
        let left: Vec<_> = ids.iter().filter_map(|id| self.drop_one(order, id)).collect();
        if !left.is_empty() {
            self.unknown.retain(|(waiting, _)| waiting != order);
            self.funded.retain(|(waiting, _)| waiting != order);
        }
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
