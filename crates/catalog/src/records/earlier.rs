//! Rows as they were before listings could be paid for: carried over once, when a store is opened.

use std::ops::Bound;

use haggle_base::{Did, Kind, RecordId, Text, Timestamp};
use haggle_store::{Batch, Store, StoreError, tables};
use serde::{Deserialize, Serialize};

use super::{Entries, PAGE};
use crate::door::{Entry, Place};

/// What the shelf kept of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OldEntry {
    id: RecordId,
    seq: u64,
    kind: Kind,
    slot: Text<64>,
    place: Place,
    shard: u16,
    author: Did,
    /// No node ever took an author for one who paid.
    costed: bool,
    created: Timestamp,
    expires: Timestamp,
    subject: Option<Box<Did>>,
}

/// A refused id without its author.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OldRefused {
    shard: u16,
    created: Timestamp,
    expires: Timestamp,
}

tables! {
    /// What the shelf kept.
    pub(crate) OldEntries = "record-entries-1": RecordId => OldEntry;
    /// Ids refused for quota.
    pub(crate) OldRefusedIds = "record-refused-1": RecordId => OldRefused;
}

/// Writes what an earlier version left as this one has it, without the refused ids. A stop half-way goes on at the next start.
pub(super) async fn carry_over(store: &Store) -> Result<(), StoreError> {
    loop {
        let entries = store.range::<OldEntries>(Bound::Unbounded, PAGE)?;
        let refused = store.range::<OldRefusedIds>(Bound::Unbounded, PAGE)?;
        if entries.is_empty() && refused.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new();
        for (key, old) in entries {
            let OldEntry { id, seq, kind, slot, place, shard, author, created, expires, subject, costed: _ } = old;
            let entry = Entry { id, seq, kind, slot, payer: None, place, shard, author, created, expires, subject };
            batch.put::<Entries>(&key, &entry)?;
            batch.delete::<OldEntries>(&key);
        }
        // whose they are is not known: a reconciliation brings them once more
        refused.iter().for_each(|(key, _)| {
            batch.delete::<OldRefusedIds>(key);
        });
        store.commit(batch).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Origin,
        testing::{START, agent, config, listing, node_with, peer, signed_listing},
    };
    use haggle_base::Hash;

    #[tokio::test]
    async fn a_market_that_an_earlier_version_kept_is_all_there() {
        let store = Store::memory();
        let before = node_with(store.clone(), config()).await;
        for author in 0..5 {
            let bytes = signed_listing(&agent(author), "digest", 1, listing("Digest", "text", "0.25"));
            drop(before.catalog.put(bytes, Origin::Gossip { peer: peer(9) }).await.unwrap());
        }
        before.catalog.shutdown().await.unwrap();
        let refused: RecordId = Hash::of(b"refused").into();
        let mut batch = Batch::new();
        for (id, entry) in store.range::<Entries>(Bound::Unbounded, PAGE).unwrap() {
            let Entry { seq, kind, slot, place, shard, author, created, expires, subject, .. } = entry;
            let costed = false;
            let old = OldEntry { id, seq, kind, slot, place, shard, author, costed, created, expires, subject };
            batch.put::<OldEntries>(&id, &old).unwrap();
            batch.delete::<Entries>(&id);
        }
        let expires = START.plus(std::time::Duration::from_secs(100));
        batch.put::<OldRefusedIds>(&refused, &OldRefused { shard: 1, created: START, expires }).unwrap();
        store.commit(batch).await.unwrap();

        let after = node_with(store.clone(), config()).await;
        assert_eq!(after.catalog.listings(10).unwrap().len(), 5);
        assert_eq!(store.count::<OldEntries>().unwrap() + store.count::<OldRefusedIds>().unwrap(), 0);
    }
}
