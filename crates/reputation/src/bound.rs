//! Payment addresses that agents were ever seen to bind. An agent cannot leave what it did behind by binding another.

use std::collections::{BTreeMap, HashMap};

use alloy_primitives::Address;

use haggle_base::Did;

/// Addresses remembered of one agent. The one seen longest ago goes first.
pub(crate) const MAX_PER_AGENT: usize = 16;
/// Addresses remembered in all, about 200 bytes each, so 13 MiB. The one seen longest ago goes first.
pub(crate) const MAX_BOUND: usize = 65_536;

/// What was seen, numbered in the order of the latest sights.
#[derive(Debug, Default)]
pub(crate) struct BoundAddresses {
    by_agent: HashMap<Did, BTreeMap<u64, Address>>,
    by_number: BTreeMap<u64, (Did, Address)>,
    next: u64,
}

/// A sight that changes what is remembered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Its number.
    pub(crate) number: u64,
    /// What is forgotten for it.
    pub(crate) forgotten: Vec<(Did, Address)>,
}

impl BoundAddresses {
    /// As it was stored.
    pub(crate) fn restored(rows: Vec<((Did, [u8; 20]), u64)>) -> Self {
        let mut bound = Self::default();
        for ((did, address), number) in rows {
            bound.insert(did, Address::from(address), number);
        }
        bound
    }

    /// Whether the agent was seen to bind the address.
    pub(crate) fn contains(&self, did: &Did, address: &Address) -> bool {
        self.number_of(did, address).is_some()
    }

    /// What seeing this changes; nothing if it is the agent's latest already.
    pub(crate) fn would_see(&self, did: &Did, address: &Address) -> Option<Seen> {
        let own = self.by_agent.get(did);
        if own.and_then(BTreeMap::last_key_value).is_some_and(|(_, latest)| latest == address) {
            return None;
        }
        let mut forgotten = Vec::new();
        if !self.contains(did, address) {
            let full = own.filter(|own| own.len() >= MAX_PER_AGENT);
            if let Some((_, oldest)) = full.and_then(BTreeMap::first_key_value) {
                forgotten.push((*did, *oldest));
            } else if self.by_number.len() >= MAX_BOUND {
                forgotten.extend(self.by_number.first_key_value().map(|(_, oldest)| *oldest));
            }
        }
        Some(Seen { number: self.next, forgotten })
    }

    /// Takes over what [`Self::would_see`] said, once it is stored.
    pub(crate) fn see(&mut self, did: Did, address: Address, seen: Seen) {
        for (did, address) in seen.forgotten {
            self.remove(&did, &address);
        }
        self.remove(&did, &address);
        self.insert(did, address, seen.number);
    }

    fn number_of(&self, did: &Did, address: &Address) -> Option<u64> {
        self.by_agent.get(did)?.iter().find(|(_, bound)| *bound == address).map(|(number, _)| *number)
    }

    fn insert(&mut self, did: Did, address: Address, number: u64) {
        self.by_agent.entry(did).or_default().insert(number, address);
        self.by_number.insert(number, (did, address));
        self.next = self.next.max(number.saturating_add(1));
    }

    fn remove(&mut self, did: &Did, address: &Address) {
        let Some(number) = self.number_of(did, address) else { return };
        self.by_number.remove(&number);
        if let Some(own) = self.by_agent.get_mut(did) {
            own.remove(&number);
            if own.is_empty() {
                self.by_agent.remove(did);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use haggle_base::Seed;

    use super::*;

    #[test]
    fn of_one_agent_the_sixteen_latest_sights_are_remembered() {
        let bob = Seed::devnet(7, 1).agent_key(0).did();
        let mut bound = BoundAddresses::default();
        let mut rows = BTreeMap::new();
        let address = |n: u8| Address::repeat_byte(n);
        // The first is seen again before the last, so the second is the one that goes.
        for n in (0..16).chain([0, 16, 16]) {
            let Some(seen) = bound.would_see(&bob, &address(n)) else { continue };
            for (did, gone) in &seen.forgotten {
                rows.remove(&(*did, *gone.0));
            }
            rows.insert((bob, *address(n).0), seen.number);
            bound.see(bob, address(n), seen);
        }
        for bound in [&bound, &BoundAddresses::restored(rows.clone().into_iter().collect())] {
            let known: Vec<u8> = (0..=16).filter(|n| bound.contains(&bob, &address(*n))).collect();
            assert_eq!(known, [0].into_iter().chain(2..=16).collect::<Vec<_>>());
            assert_eq!(bound.next, 18);
        }
        assert_eq!(rows.len(), MAX_PER_AGENT);
    }
}
