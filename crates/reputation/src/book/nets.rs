//! For and against each provider: whoever paid is heard once, however many orders it had.

use std::collections::{
    HashMap, HashSet,
    hash_map::Entry::{Occupied, Vacant},
};

use alloy_primitives::Address;

use haggle_base::Did;

/// The most that one counterparty adds to a provider's net, or takes from it.
///
/// At one, an agent that did well by some buyers cannot be hidden by another one's failed orders, however many, and no
/// buyer makes a provider stand higher by buying from it again and again.
pub const MAX_PER_COUNTERPARTY: i64 = 1;

/// The net of every provider.
///
/// A counterparty is the address that funded the order, because the chain saw that one pay. The agent the order names as
/// its buyer is no key: it is free to make, and a provider's word alone can name anybody's.
#[derive(Debug, Clone, Default)]
pub(super) struct Nets {
    /// Successes less failures by provider and counterparty, where that is not nought.
    said: HashMap<(Did, Address), i64>,
    /// What these are together once each is clamped, where that is not nought.
    nets: HashMap<Did, i64>,
    /// Providers whose net is below nought: few of all.
    behind: HashSet<Did>,
}

impl Nets {
    /// Counts what a counterparty's orders say more, or less, of a provider.
    pub(super) fn hear(&mut self, provider: Did, counterparty: Address, signal: i64) {
        let said = add(&mut self.said, (provider, counterparty), signal);
        let moved = clamped(said) - clamped(said - signal);
        if moved != 0 {
            if add(&mut self.nets, provider, moved) < 0 {
                self.behind.insert(provider);
            } else {
                self.behind.remove(&provider);
            }
        }
    }

    /// The provider's net.
    pub(super) fn of(&self, provider: &Did) -> i64 {
        self.nets.get(provider).copied().unwrap_or_default()
    }

    /// Providers whose net is below `least`, which is nought or less.
    pub(super) fn behind(&self, least: i64) -> Vec<Did> {
        self.behind.iter().filter(|provider| self.of(provider) < least).copied().collect()
    }
}

fn clamped(said: i64) -> i64 {
    said.clamp(-MAX_PER_COUNTERPARTY, MAX_PER_COUNTERPARTY)
}

/// Adds to the number under a key, where none stands for nought; tells what it is then.
fn add<K: Eq + std::hash::Hash>(numbers: &mut HashMap<K, i64>, key: K, more: i64) -> i64 {
    match numbers.entry(key) {
        Occupied(mut held) if *held.get() + more != 0 => {
            *held.get_mut() += more;
            *held.get()
        }
        Occupied(held) => {
            held.remove();
            0
        }
        Vacant(free) if more != 0 => *free.insert(more),
        Vacant(_) => 0,
    }
}

#[cfg(test)]
impl Nets {
    /// How many numbers are held.
    pub(super) fn held(&self) -> usize {
        self.said.len() + self.nets.len() + self.behind.len()
    }
}
