//! The catalog's tables, and one commit for each thing that happens to the shelf.

use std::{ops::Bound, sync::Arc};

use haggle_base::{Blob, Kind, RecordId, Timestamp, record::MAX_RECORD_BYTES};
use haggle_store::{Batch, Store, StoreError, Table, tables};

use crate::{
    config::CatalogConfig,
    door::Entry,
    keep::Kept,
    prices::Changes,
    shelf::{Refused, Shelf, command, event},
};

mod earlier;

/// Rows read at once when the shelf is loaded.
const PAGE: usize = 1024;

/// Room for any record's bytes with its CBOR head.
pub(crate) type RecordBytes = Blob<{ MAX_RECORD_BYTES - 4 }>;

tables! {
    /// The signed bytes, alone.
    pub(crate) Bytes = "record-bytes-1": RecordId => RecordBytes;
    /// What the shelf keeps.
    pub(crate) Entries = "record-entries-2": RecordId => Entry;
    /// Ids refused for quota.
    pub(crate) RefusedIds = "record-refused-2": RecordId => Refused;
}

/// Adds a record that now stands on the shelf.
pub(crate) fn keep(batch: &mut Batch, entry: &Entry, bytes: &[u8]) -> Result<(), StoreError> {
    let bytes = RecordBytes::try_from(bytes).map_err(|_| StoreError::ValueTooLarge {
        table: Bytes::NAME,
        bytes: bytes.len(),
        max: RecordBytes::MAX,
    })?;
    batch.put::<Bytes>(&entry.id, &bytes)?;
    batch.put::<Entries>(&entry.id, entry)?;
    Ok(())
}

/// Changes what the shelf keeps of a record that stands on it.
pub(crate) fn change(batch: &mut Batch, entry: &Entry) -> Result<(), StoreError> {
    batch.put::<Entries>(&entry.id, entry).map(drop)
}

/// Removes a record that left the shelf.
pub(crate) fn drop_entry(batch: &mut Batch, entry: &Entry) {
    batch.delete::<Bytes>(&entry.id);
    batch.delete::<Entries>(&entry.id);
}

/// Remembers a refused id as the shelf does.
pub(crate) fn refuse(batch: &mut Batch, shelf: &Shelf, id: &RecordId) -> Result<(), StoreError> {
    shelf.refused(id).map_or(Ok(()), |refused| batch.put::<RefusedIds>(id, refused).map(drop))
}

/// Forgets a refused id.
pub(crate) fn forget(batch: &mut Batch, id: &RecordId) {
    batch.delete::<RefusedIds>(id);
}

/// Loads the shelf, and removes what expired while the node was down.
pub(crate) async fn load(store: &Store, config: &CatalogConfig, now: Timestamp) -> Result<Shelf, StoreError> {
    earlier::carry_over(store).await?;
    let mut shelf = Shelf::new(config.shards, config.shard_capacity);
    let mut from = None;
    loop {
        let page = store.range::<Entries>(from.as_ref().map_or(Bound::Unbounded, Bound::Excluded), PAGE)?;
        let Some((last, _)) = page.last() else { break };
        from = Some(*last);
        let (mut batch, mut prices) = (Batch::new(), Changes::to(store));
        for (_, entry) in page {
            if entry.expires > now {
                shelf.restore(entry);
                continue;
            }
            if entry.kind == Kind::Listing {
                prices.forget(entry.place);
            }
            drop_entry(&mut batch, &entry);
        }
        prices.write(&mut batch)?;
        store.commit(batch).await?;
    }
    let mut forgotten = Vec::new();
    each::<RefusedIds>(store, |id, refused| forgotten.extend(shelf.restore_refused(id, refused)))?;
    for page in forgotten.chunks(PAGE) {
        let mut batch = Batch::new();
        page.iter().for_each(|id| forget(&mut batch, id));
        store.commit(batch).await?;
    }
    Ok(shelf)
}

/// Lets go of records that are more than a node keeps, at most a page of them; gives those that are gone.
pub(crate) async fn let_go(store: &Store, shelf: &mut Shelf, kept: &mut Kept) -> Result<Vec<Arc<Entry>>, StoreError> {
    let (gone, batch) = take_out(store, shelf, kept)?;
    store.commit(batch).await?;
    Ok(gone)
}

/// The first half of [`let_go`]: what leaves the shelf, and the rows to be deleted.
pub(crate) fn take_out(
    store: &Store,
    shelf: &mut Shelf,
    kept: &mut Kept,
) -> Result<(Vec<Arc<Entry>>, Batch), StoreError> {
    let (mut gone, mut batch) = (Vec::new(), Batch::new());
    let mut prices = Changes::to(store);
    for id in kept.excess(PAGE) {
        kept.gone(&id);
        // the card of whoever sells in a shard that is held stays as long as it is valid
        if shelf.get(&id).is_some_and(|entry| entry.kind == Kind::Card && kept.sells_here(shelf, &entry.author)) {
            continue;
        }
        if let event::Discard::Gone(entry) = shelf.discard(command::Discard { id }) {
            drop_entry(&mut batch, &entry);
            if entry.kind == Kind::Listing {
                prices.forget(entry.place);
            }
            gone.push(entry);
        }
    }
    prices.write(&mut batch)?;
    Ok((gone, batch))
}

/// Walks a table a page at a time.
fn each<T: Table>(store: &Store, mut row: impl FnMut(T::Key, T::Value)) -> Result<(), StoreError>
where
    T::Key: Clone,
{
    let mut from = None;
    loop {
        let page = store.range::<T>(from.as_ref().map_or(Bound::Unbounded, Bound::Excluded), PAGE)?;
        let Some((last, _)) = page.last() else {
            return Ok(());
        };
        from = Some(last.clone());
        for (key, value) in page {
            row(key, value);
        }
    }
}
