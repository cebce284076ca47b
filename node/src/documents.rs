//! Documents that listings name by hash and size: this node's own, and those of others that it needed, on disk.

use haggle_base::Hash;
use haggle_catalog::body::{BlobRef, MAX_SCHEMA_BYTES};
use haggle_store::{Blobs, StoreError};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Files looked at when a node starts; there cannot be more unless somebody put them there.
const MOST_FILES: usize = 1 << 20;

/// The documents of a node. Clones share them.
#[derive(Clone)]
pub(crate) struct Documents {
    blobs: Blobs,
    /// Bytes of others' documents that are kept.
    most: u64,
    held: Arc<Mutex<Held>>,
}

/// What lies in the folder.
#[derive(Debug, Default)]
struct Held {
    /// This node's own, which stay.
    own: HashSet<Hash>,
    /// Those of others: size, and when each was needed last.
    others: HashMap<Hash, (u64, u64)>,
    order: BTreeMap<u64, Hash>,
    bytes: u64,
    next: u64,
}

impl fmt::Debug for Documents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Documents").field("most", &self.most).finish_non_exhaustive()
    }
}

impl Documents {
    /// Opens the folder, in which `most` bytes of others' documents are kept. What lies there already is one of others until
    /// [`Self::pin`] says that it is our own.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub(crate) fn open(folder: &Path, most: u64) -> Result<Self, StoreError> {
        let blobs = Blobs::open(folder)?;
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder)?.take(MOST_FILES) {
            let entry = entry?;
            let Some(hash) = entry.file_name().to_str().and_then(|name| name.parse::<Hash>().ok()) else { continue };
            let facts = entry.metadata()?;
            found.push((facts.modified().ok(), hash, facts.len()));
        }
        found.sort_unstable();
        let mut held = Held::default();
        found.into_iter().for_each(|(_, hash, size)| held.came(hash, size));
        Ok(Self { blobs, most, held: Arc::new(Mutex::new(held)) })
    }

    /// What stands for a schema in a record: the schema, or what names it where it is too long. It is on disk then, and stays.
    ///
    /// # Errors
    /// It cannot be stored; `None` if it is too large for a document.
    pub(crate) fn shorten(&self, schema: &str) -> Result<Option<String>, StoreError> {
        if schema.len() <= MAX_SCHEMA_BYTES {
            return Ok(Some(schema.to_owned()));
        }
        let Some(named) = BlobRef::of(schema.as_bytes()) else { return Ok(None) };
        self.pin(named.hash);
        self.blobs.put(schema.as_bytes())?;
        Ok(Some(named.to_text()))
    }

    /// A document of this node's own, which is not let go of.
    pub(crate) fn pin(&self, hash: Hash) {
        let mut held = self.held.lock();
        held.gone(&hash);
        held.own.insert(hash);
    }

    /// A document that is held. Reads from disk.
    pub(crate) fn get(&self, wanted: &BlobRef) -> Option<Vec<u8>> {
        let found = self.blobs.get(&wanted.hash).unwrap_or_else(|error| {
            tracing::warn!(error = %error, "a document cannot be read: {error}");
            if matches!(error, StoreError::BlobDamaged)
                && let Err(left) = self.blobs.delete(&wanted.hash)
            {
                tracing::warn!(error = %left, "a damaged document stays: {left}");
            }
            None
        });
        let found = found.filter(|bytes| wanted.is_of(bytes))?;
        self.held.lock().needed(&wanted.hash);
        Some(found)
    }

    /// As [`Self::get`], off the tasks that carry messages.
    pub(crate) async fn read(&self, wanted: BlobRef) -> Option<Vec<u8>> {
        let this = self.clone();
        tokio::task::spawn_blocking(move || this.get(&wanted)).await.ok().flatten()
    }

    /// Keeps a document of somebody else, at the cost of those that were needed longest ago.
    ///
    /// # Errors
    /// It cannot be stored.
    pub(crate) async fn keep(&self, bytes: Vec<u8>) -> Result<(), StoreError> {
        let this = self.clone();
        let keeping = tokio::task::spawn_blocking(move || {
            let (size, hash) = (bytes.len() as u64, Hash::of(&bytes));
            // counted before it is written: two at once make room for both
            let mut held = this.held.lock();
            held.came(hash, size);
            // deleted under the lock: what becomes our own meanwhile is written after that
            for old in held.excess(this.most, &hash) {
                this.blobs.delete(&old)?;
            }
            drop(held);
            this.blobs.put(&bytes).map(drop)
        });
        keeping.await.unwrap_or(Ok(()))
    }
}

impl Held {
    fn came(&mut self, hash: Hash, size: u64) {
        if self.own.contains(&hash) {
            return;
        }
        self.gone(&hash);
        self.others.insert(hash, (size, self.next));
        self.order.insert(self.next, hash);
        self.bytes += size;
        self.next += 1;
    }

    fn needed(&mut self, hash: &Hash) {
        if let Some((size, _)) = self.others.get(hash).copied() {
            self.came(*hash, size);
        }
    }

    fn gone(&mut self, hash: &Hash) {
        if let Some((size, turn)) = self.others.remove(hash) {
            self.order.remove(&turn);
            self.bytes = self.bytes.saturating_sub(size);
        }
    }

    /// Takes out those that are too many, the one that just came last of all.
    fn excess(&mut self, most: u64, newest: &Hash) -> Vec<Hash> {
        let mut gone = Vec::new();
        while self.bytes > most
            && let Some(oldest) = self.order.values().next().copied()
            && oldest != *newest
        {
            self.gone(&oldest);
            gone.push(oldest);
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(number: u8) -> Vec<u8> {
        vec![number; 2_000]
    }

    fn named(number: u8) -> BlobRef {
        BlobRef::of(&document(number)).unwrap()
    }

    #[tokio::test]
    async fn what_was_needed_longest_ago_goes_and_our_own_stays_also_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let documents = Documents::open(dir.path(), 5_000).unwrap();
        let own = format!(r#"{{"title":"{}"}}"#, "o".repeat(4_000));
        let shown = documents.shorten(&own).unwrap().unwrap();
        let named_own = BlobRef::read(&shown).unwrap();
        for number in 1..=2 {
            documents.keep(document(number)).await.unwrap();
        }
        assert!(documents.get(&named(1)).is_some(), "it is needed now");
        documents.keep(document(3)).await.unwrap();
        let here = |documents: &Documents| [1, 2, 3].map(|number| documents.get(&named(number)).is_some());
        assert_eq!(here(&documents), [true, false, true]);
        assert_eq!(documents.get(&named_own), Some(own.clone().into_bytes()));

        let documents = Documents::open(dir.path(), 5_000).unwrap();
        documents.pin(named_own.hash);
        assert_eq!(here(&documents), [true, false, true]);
        documents.keep(document(4)).await.unwrap();
        assert!(documents.get(&named(4)).is_some() && documents.get(&named_own).is_some());
        assert_eq!(here(&documents).into_iter().filter(|held| *held).count(), 1);
    }

    #[test]
    fn a_short_schema_stands_for_itself_and_one_that_is_too_large_for_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let documents = Documents::open(dir.path(), 0).unwrap();
        assert_eq!(documents.shorten("{}").unwrap().as_deref(), Some("{}"));
        let huge = format!(r#"{{"title":"{}"}}"#, "h".repeat(65_536));
        assert_eq!(documents.shorten(&huge).unwrap(), None);
    }

    #[tokio::test]
    async fn a_damaged_file_is_no_document() {
        let dir = tempfile::tempdir().unwrap();
        let documents = Documents::open(dir.path(), 5_000).unwrap();
        documents.keep(document(1)).await.unwrap();
        std::fs::write(dir.path().join(named(1).hash.to_string()), document(2)).unwrap();
        assert_eq!(documents.get(&named(1)), None);
        documents.keep(document(1)).await.unwrap();
        assert!(documents.get(&named(1)).is_some(), "fetched anew it is whole again");
        documents.keep(document(2)).await.unwrap();
        let other_size = BlobRef { size: 1_999, ..named(2) };
        assert_eq!(documents.get(&other_size), None, "the size is part of the name");
    }
}
