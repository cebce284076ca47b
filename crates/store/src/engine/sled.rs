//! sled 0.34.7, opened defensively: a panic or corruption inside it becomes a typed error.

use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock, mpsc},
    thread,
    time::Duration,
};

use sled::{
    Transactional,
    transaction::{ConflictableTransactionError, TransactionError, TransactionalTree},
};

use super::{Engine, Row, Scan};
use crate::{Mode, Options, StoreError, batch::Op};

/// The tree sled always has; we never use it.
const DEFAULT_TREE: &[u8] = b"__sled__default";

/// Longest wait for sled's own threads to let go of a closed database.
const RELEASE_WAIT: Duration = Duration::from_secs(5);

/// One database folder.
///
/// Its fields are dropped in the order they stand in: the database, then the wait for its lock.
pub(crate) struct SledEngine {
    path: PathBuf,
    trees: RwLock<BTreeMap<String, sled::Tree>>,
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
            other => other.map_err(|error| translate(path, error)),
        });
        match opened {
            Ok(db) => Ok(Self { path: path.to_owned(), trees: RwLock::default(), db, _release: release }),
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

    fn tree(&self, table: &str) -> Result<sled::Tree, StoreError> {
        let known = self.trees.read().unwrap_or_else(PoisonError::into_inner).get(table).cloned();
        if let Some(tree) = known {
            return Ok(tree);
        }
        let tree = self.db.open_tree(table).map_err(|error| self.translate(error))?;
        self.trees.write().unwrap_or_else(PoisonError::into_inner).insert(table.to_owned(), tree.clone());
        Ok(tree)
    }

    fn translate(&self, error: sled::Error) -> StoreError {
        translate(&self.path, error)
    }
}

impl Engine for SledEngine {
    fn get(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        shielded(|| {
            let value = self.tree(table)?.get(key).map_err(|error| self.translate(error))?;
            Ok(value.map(|bytes| bytes.to_vec()))
        })
    }

    fn scan(&self, table: &str, scan: &Scan) -> Result<Vec<Row>, StoreError> {
        if scan.is_empty() {
            return Ok(Vec::new());
        }
        shielded(|| {
            let rows = self.tree(table)?.range((scan.from.clone(), scan.to.clone()));
            let own = |row: sled::Result<(sled::IVec, sled::IVec)>| {
                let (key, value) = row.map_err(|error| self.translate(error))?;
                Ok((key.to_vec(), value.to_vec()))
            };
            if scan.newest_first {
                rows.rev().take(scan.limit).map(own).collect()
            } else {
                rows.take(scan.limit).map(own).collect()
            }
        })
    }

    fn count(&self, table: &str) -> Result<u64, StoreError> {
        shielded(|| Ok(self.tree(table)?.len() as u64))
    }

    fn tables(&self) -> Result<Vec<String>, StoreError> {
        shielded(|| {
            let names = self.db.tree_names().into_iter().filter(|name| name.as_ref() != DEFAULT_TREE);
            Ok(names.map(|name| String::from_utf8_lossy(&name).into_owned()).collect())
        })
    }

    fn apply(&self, ops: &[Op]) -> Result<(), StoreError> {
        let mut writes: BTreeMap<&str, sled::Batch> = BTreeMap::new();
        for op in ops {
            let batch = writes.entry(op.table.as_ref()).or_default();
            match &op.value {
                Some(value) => batch.insert(op.key.as_slice(), value.as_slice()),
                None => batch.remove(op.key.as_slice()),
            }
        }
        shielded(|| {
            let trees: Vec<sled::Tree> = writes.keys().map(|table| self.tree(table)).collect::<Result<_, _>>()?;
            let batches: Vec<&sled::Batch> = writes.values().collect();
            if let ([tree], [batch]) = (trees.as_slice(), batches.as_slice()) {
                return tree.apply_batch((*batch).clone()).map_err(|error| self.translate(error));
            }
            let outcome = trees.as_slice().transaction(|views: &Vec<TransactionalTree>| {
                for (view, batch) in views.iter().zip(&batches) {
                    view.apply_batch(batch)?;
                }
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

    fn flush(&self) -> Result<(), StoreError> {
        shielded(|| self.db.flush().map(drop).map_err(|error| self.translate(error)))
    }

    fn check(&self) -> Result<(), StoreError> {
        shielded(|| self.db.checksum().map(drop).map_err(|error| self.translate(error)))
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
