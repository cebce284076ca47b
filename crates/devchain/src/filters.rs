//! Polling filters: what `eth_newFilter` remembers between two questions.

use std::collections::BTreeMap;

use alloy::rpc::types::Filter;

/// Filters kept at once; the one not asked for longest is dropped for a new one.
const MAX_FILTERS: usize = 256;

/// What a filter reports.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// Hashes of new blocks.
    Blocks,
    /// Logs that match.
    Logs(Box<Filter>),
}

#[derive(Debug)]
struct Entry {
    kind: Kind,
    /// First block not reported yet.
    next: u64,
    used: u64,
}

/// All filters of one chain.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    entries: BTreeMap<u64, Entry>,
    last_id: u64,
    uses: u64,
}

impl Filters {
    /// Remembers a filter that reports from block `next` on; returns its id.
    pub(crate) fn add(&mut self, kind: Kind, next: u64) -> u64 {
        if self.entries.len() >= MAX_FILTERS
            && let Some(idle) = self.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(id, _)| *id)
        {
            self.entries.remove(&idle);
        }
        self.last_id += 1;
        self.uses += 1;
        self.entries.insert(self.last_id, Entry { kind, next, used: self.uses });
        self.last_id
    }

    /// The filter and the first block it has not reported; the next call starts after `latest`.
    pub(crate) fn take(&mut self, id: u64, latest: u64) -> Option<(Kind, u64)> {
        self.uses += 1;
        let entry = self.entries.get_mut(&id)?;
        entry.used = self.uses;
        let from = entry.next;
        entry.next = latest + 1;
        Some((entry.kind.clone(), from))
    }

    /// The filter, without moving it.
    pub(crate) fn get(&self, id: u64) -> Option<&Kind> {
        self.entries.get(&id).map(|entry| &entry.kind)
    }

    pub(crate) fn remove(&mut self, id: u64) -> bool {
        self.entries.remove(&id).is_some()
    }
}
