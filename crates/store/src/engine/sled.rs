//! sled 0.34.7, opened defensively: a panic or corruption inside it becomes a typed error.

use std::{
    fmt,
    fs::File,
    io,
    ops::Bound,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Duration,
};

use sled::{
    Transactional,
    transaction::{ConflictableTransactionError, TransactionError},
};

use super::{Engine, Row, Scan};
use crate::{Mode, Options, StoreError, Table as _, batch::Op, table::Meta};

/// The tree sled always has, in which all tables lie but one.
///
/// Each row's key begins with its table's name and a zero byte, which no name holds. A batch of one tree is written as it is;
/// one of several would be a transaction, which reads every row before it writes it.
const ROWS: &[u8] = b"__sled__default";

/// Rows moved at once from a table that had a tree of its own.
const MOVED_ROWS: usize = 1024;

/// Longest wait for sled's own threads to let go of a closed database.
const RELEASE_WAIT: Duration = Duration::from_secs(5);

/// One database folder.
///
/// Its fields are dropped in the order they stand in: the database, then the wait for its lock.
pub(crate) struct SledEngine {
    path: PathBuf,
    /// What [`Meta`] says of the rest, in a tree of its own: there every version of this program looks for it.
    meta: sled::Tree,
    db: sled::Db,
    _release: Option<Release>,
}

/// Waits, when dropped, until the file of a closed database is unlocked.
///
/// Dropping the last handle of a sled database does not close it: tasks of its thread pool share
/// the file, and with it the lock, until they have ended, and nothing of sled's tells when. So we
/// ask for the lock ourselves; without this, whoever opens the database next may find it locked.
struct Release {
    file: PathBuf,
}

impl Drop for Release {
    fn drop(&mut self) {
        // No file, no lock: opening failed before there was one.
        let Ok(file) = File::open(&self.file) else { return };
        let (free, freed) = mpsc::channel();
        let waiter = thread::Builder::new().name("haggle-store-release".to_owned()).spawn(move || {
            let outcome = file.lock();
            drop(file);
            if free.send(outcome).is_err() {
                tracing::debug!("the database was unlocked after all");
            }
        });
        if waiter.is_err() || !matches!(freed.recv_timeout(RELEASE_WAIT), Ok(Ok(()))) {
            tracing::warn!(file = %self.file.display(), "the closed database may still be locked");
        }
    }
}

impl fmt::Debug for SledEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SledEngine").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SledEngine {
    /// Opens or creates the database in `path`.
    pub(crate) fn open(path: &Path, options: Options) -> Result<Self, StoreError> {
        std::fs::create_dir_all(path)?;
        Self::start(path, &config(options).path(path), Some(Release { file: path.join("db") }))
    }

    /// A database in shared memory or the temporary folder that is deleted when dropped.
    pub(crate) fn temporary(options: Options) -> Result<Self, StoreError> {
        Self::start(Path::new("temporary"), &config(options).temporary(true), None)
    }

    fn start(path: &Path, config: &sled::Config, release: Option<Release>) -> Result<Self, StoreError> {
        let opened = shielded(|| match config.open() {
            Err(sled::Error::Io(error)) if is_lock_failure(&error) => Err(StoreError::Locked { path: path.to_owned() }),
            other => other.and_then(|db| Ok((db.open_tree(Meta::NAME)?, db))).map_err(|error| translate(path, error)),
        });
        match opened {
            Ok((meta, db)) => Ok(Self { path: path.to_owned(), meta, db, _release: release }),
            // Somebody else holds it, so there is nothing of ours to wait for.
            Err(error @ StoreError::Locked { .. }) => {
                std::mem::forget(release);
                Err(error)
            }
            // A panic while reading the log is damage, whatever else it is.
            Err(StoreError::Engine) => Err(StoreError::Corrupt { path: path.to_owned() }),
            Err(error) => Err(error),
        }
    }

    /// The tree of a table, and what its keys begin with there.
    fn place(&self, table: &str) -> (&sled::Tree, Vec<u8>) {
        if table == Meta::NAME { (&self.meta, Vec::new()) } else { (&self.db, prefix(table)) }
    }

    /// Moves the rows of a tree of its own to where all tables lie, and removes the tree. What was interrupted is done again.
    fn move_table(&self, table: &[u8]) -> sled::Result<()> {
        let tree = self.db.open_tree(table)?;
        let prefix = [table, &[0]].concat();
        let mut rows = tree.iter().peekable();
        while rows.peek().is_some() {
            let mut batch = sled::Batch::default();
            for row in rows.by_ref().take(MOVED_ROWS) {
                let (key, value) = row?;
                batch.insert([prefix.as_slice(), &key].concat(), value);
            }
            self.db.apply_batch(batch)?;
        }
        self.db.flush()?;
        self.db.drop_tree(table).map(drop)
    }

    fn translate(&self, error: sled::Error) -> StoreError {
        translate(&self.path, error)
    }
}

impl Engine for SledEngine {
    fn get(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        shielded(|| {
            let (tree, mut at) = self.place(table);
            at.extend_from_slice(key);
            let value = tree.get(at).map_err(|error| self.translate(error))?;
            Ok(value.map(|bytes| bytes.to_vec()))
        })
    }

    fn scan(&self, table: &str, scan: &Scan) -> Result<Vec<Row>, StoreError> {
        if scan.is_empty() {
            return Ok(Vec::new());
        }
        shielded(|| {
            let (tree, prefix) = self.place(table);
            let within = |key: &Vec<u8>| [prefix.as_slice(), key].concat();
            let from = match scan.from.as_ref().map(within) {
                Bound::Unbounded => Bound::Included(prefix.clone()),
                from => from,
            };
            let to = match scan.to.as_ref().map(within) {
                Bound::Unbounded => end(&prefix),
                to => to,
            };
            let rows = tree.range((from, to));
            let own = |row: sled::Result<(sled::IVec, sled::IVec)>| {
                let (key, value) = row.map_err(|error| self.translate(error))?;
                Ok((key[prefix.len()..].to_vec(), value.to_vec()))
            };
            if scan.newest_first {
                rows.rev().take(scan.limit).map(own).collect()
            } else {
                rows.take(scan.limit).map(own).collect()
            }
        })
    }

    fn count(&self, table: &str) -> Result<u64, StoreError> {
        shielded(|| {
            let (tree, prefix) = self.place(table);
            let rows = tree.scan_prefix(prefix).keys();
            rows.map(|row| row.map(|_| 1).map_err(|error| self.translate(error))).sum()
        })
    }

    fn tables(&self) -> Result<Vec<String>, StoreError> {
        shielded(|| {
            let mut names = Vec::new();
            if !self.meta.is_empty() {
                names.push(Meta::NAME.to_owned());
            }
            let mut from = Vec::new();
            while let Some(row) = self.db.range(from.as_slice()..).next() {
                let (key, _) = row.map_err(|error| self.translate(error))?;
                let name = key.split(|byte| *byte == 0).next().unwrap_or_default();
                names.push(String::from_utf8_lossy(name).into_owned());
                from = [name, &[1]].concat();
            }
            Ok(names)
        })
    }

    fn apply(&self, ops: &[Op]) -> Result<(), StoreError> {
        let (mut rows, mut meta) = (sled::Batch::default(), sled::Batch::default());
        let mut has_meta = false;
        let mut at = Vec::new();
        for op in ops {
            at.clear();
            let batch = if op.table == Meta::NAME {
                has_meta = true;
                &mut meta
            } else {
                at.extend_from_slice(op.table.as_bytes());
                at.push(0);
                &mut rows
            };
            at.extend_from_slice(&op.key);
            match &op.value {
                Some(value) => batch.insert(at.as_slice(), value.as_slice()),
                None => batch.remove(at.as_slice()),
            }
        }
        shielded(|| {
            if !has_meta {
                return self.db.apply_batch(rows).map_err(|error| self.translate(error));
            }
            let outcome = (&*self.db, &self.meta).transaction(|(in_rows, in_meta)| {
                in_rows.apply_batch(&rows)?;
                in_meta.apply_batch(&meta)?;
                Ok::<(), ConflictableTransactionError<()>>(())
            });
            match outcome {
                Ok(()) => Ok(()),
                Err(TransactionError::Storage(error)) => Err(self.translate(error)),
                // Our closure never aborts.
                Err(TransactionError::Abort(())) => Err(StoreError::Engine),
            }
        })
    }

    /// Before version 2 of the schema each table had a tree of its own.
    fn upgrade(&self) -> Result<(), StoreError> {
        shielded(|| {
            for table in self.db.tree_names() {
                if table != ROWS && table != Meta::NAME.as_bytes() {
                    self.move_table(&table).map_err(|error| self.translate(error))?;
                }
            }
            Ok(())
        })
    }

    fn flush(&self) -> Result<(), StoreError> {
        shielded(|| self.db.flush().map(drop).map_err(|error| self.translate(error)))
    }

    fn check(&self) -> Result<(), StoreError> {
        shielded(|| self.db.checksum().map(drop).map_err(|error| self.translate(error)))
    }
}

/// What the keys of a table begin with.
fn prefix(table: &str) -> Vec<u8> {
    let mut prefix = Vec::with_capacity(table.len() + 1 + 32);
    prefix.extend_from_slice(table.as_bytes());
    prefix.push(0);
    prefix
}

/// The end of the keys that begin with it.
fn end(prefix: &[u8]) -> Bound<Vec<u8>> {
    match prefix.split_last() {
        Some((_, name)) => Bound::Excluded([name, &[1]].concat()),
        None => Bound::Unbounded,
    }
}

fn config(options: Options) -> sled::Config {
    sled::Config::new()
        .cache_capacity(options.cache_bytes)
        .mode(match options.mode {
            Mode::LowSpace => sled::Mode::LowSpace,
            Mode::HighThroughput => sled::Mode::HighThroughput,
        })
        // Durability comes from our own flush; this only starts the collection of garbage.
        .flush_every_ms(Some(500))
}

/// Runs engine code; a panic inside becomes [`StoreError::Engine`].
fn shielded<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        tracing::error!("the storage engine panicked");
        Err(StoreError::Engine)
    })
}

/// sled names a held file lock only in its text.
fn is_lock_failure(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.to_string().contains("could not acquire lock")
}

fn translate(path: &Path, error: sled::Error) -> StoreError {
    match error {
        sled::Error::Io(error) => StoreError::from(error),
        sled::Error::Corruption { .. } => StoreError::Corrupt { path: path.to_owned() },
        other @ (sled::Error::Unsupported(_) | sled::Error::ReportableBug(_) | sled::Error::CollectionNotFound(_)) => {
            tracing::error!(error = %other, "the storage engine refused: {other}");
            StoreError::Engine
        }
    }
}
