//! The handle every room holds: direct reads, and commits through the one writer.

use std::{
    ops::Bound,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

use haggle_base::cbor;
use tokio::sync::{mpsc, oneshot};

use crate::{
    Batch, Key, MAX_VALUE_BYTES, Options, StoreError, Table,
    engine::{Engine, Row, Scan, memory::MemoryEngine, sled::SledEngine},
    table::{Meta, Rows, SCHEMA_KEY, SCHEMA_VERSION, Schema},
    writer::{self, Command, Exclusive},
};

/// An open database. Clones share it; it closes when the last clone is gone or on
/// [`Self::shutdown`].
///
/// Reads see what is applied, also in the moment before it is flushed. They block for the time
/// of a page read, so they may be called in async code.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
}

#[derive(Debug)]
struct Shared {
    /// Taken out on shutdown, so that the files are free even while clones live.
    engine: RwLock<Option<Arc<dyn Engine>>>,
}

impl Store {
    /// Opens or creates the database in the folder `path`.
    ///
    /// # Errors
    /// [`StoreError::Locked`] if it is open elsewhere, [`StoreError::Corrupt`] if its files are
    /// damaged, [`StoreError::SchemaNewer`] if a newer program wrote it,
    /// [`StoreError::StorageFull`] and [`StoreError::Io`] from the disk.
    pub fn open(path: &Path, options: Options) -> Result<Self, StoreError> {
        Self::start(Arc::new(SledEngine::open(path, options)?), options)
    }

    /// A database on sled that is deleted when the last handle is dropped.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn temporary() -> Result<Self, StoreError> {
        let options = Options { cache_bytes: 4 * 1024 * 1024, ..Options::default() };
        Self::start(Arc::new(SledEngine::temporary(options)?), options)
    }

    /// A database in memory.
    ///
    /// # Panics
    /// If the process can start no thread.
    #[must_use]
    #[expect(clippy::expect_used, reason = "memory cannot fail, and a process without threads cannot go on")]
    pub fn memory() -> Self {
        Self::start(Arc::new(MemoryEngine::default()), Options::default()).expect("an empty memory store opens")
    }

    fn start(engine: Arc<dyn Engine>, options: Options) -> Result<Self, StoreError> {
        check_schema(engine.as_ref())?;
        let (commands, inbox) = mpsc::channel(options.queue.max(1));
        writer::spawn(Arc::clone(&engine), inbox)?;
        Ok(Self { shared: Arc::new(Shared { engine: RwLock::new(Some(engine)) }), commands })
    }

    /// Commits a batch; returns after it is on disk. If the future is dropped before, the batch
    /// may or may not happen.
    ///
    /// # Errors
    /// [`StoreError::Precondition`] (nothing was written), the bounds of keys and batches, or a
    /// failure of the disk, after which the store takes no commit until it is opened again.
    pub async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        batch.check()?;
        if batch.is_empty() {
            return Ok(());
        }
        let (reply, answer) = oneshot::channel();
        self.send(Command::Commit { batch, reply }).await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Reads a row.
    ///
    /// # Errors
    /// [`StoreError::Decode`] for a damaged row, or a failure of the engine.
    pub fn get<T: Table>(&self, key: &T::Key) -> Result<Option<T::Value>, StoreError> {
        let bytes = self.engine()?.get(T::NAME, &key.encode())?;
        bytes.map(|bytes| decode_value::<T>(&bytes)).transpose()
    }

    /// True if the row is there.
    ///
    /// # Errors
    /// A failure of the engine.
    pub fn contains<T: Table>(&self, key: &T::Key) -> Result<bool, StoreError> {
        Ok(self.engine()?.get(T::NAME, &key.encode())?.is_some())
    }

    /// At most `limit` rows from `from` on, smallest key first.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn range<T: Table>(&self, from: Bound<&T::Key>, limit: usize) -> Result<Rows<T>, StoreError> {
        self.between::<T>(from, Bound::Unbounded, limit)
    }

    /// At most `limit` rows between two keys, smallest key first.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn between<T: Table>(
        &self,
        from: Bound<&T::Key>,
        to: Bound<&T::Key>,
        limit: usize,
    ) -> Result<Rows<T>, StoreError> {
        self.scan::<T>(&Scan { from: from.map(Key::encode), to: to.map(Key::encode), newest_first: false, limit })
    }

    /// At most `limit` rows up to `to`, largest key first.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn range_back<T: Table>(&self, to: Bound<&T::Key>, limit: usize) -> Result<Rows<T>, StoreError> {
        self.scan::<T>(&Scan { from: Bound::Unbounded, to: to.map(Key::encode), newest_first: true, limit })
    }

    /// At most `limit` rows whose encoded key starts with `prefix`, smallest key first.
    ///
    /// The encoding of the first part of a tuple key is a prefix of that tuple's encoding, and
    /// the bytes of a text without zero bytes are a prefix of all texts that start with it.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn prefix<T: Table>(&self, prefix: &[u8], limit: usize) -> Result<Rows<T>, StoreError> {
        self.scan::<T>(&Scan {
            from: Bound::Included(prefix.to_vec()),
            to: after_prefix(prefix),
            newest_first: false,
            limit,
        })
    }

    /// Number of rows in a table; walks it.
    ///
    /// # Errors
    /// A failure of the engine.
    pub fn count<T: Table>(&self) -> Result<u64, StoreError> {
        self.engine()?.count(T::NAME)
    }

    /// Finishes every waiting commit and frees the files, also if clones of this handle live on.
    ///
    /// # Errors
    /// The failure that stopped the store earlier, or one of the last flush.
    pub async fn shutdown(self) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Shutdown { reply }).await?;
        self.shared.engine.write().unwrap_or_else(PoisonError::into_inner).take();
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Runs work in the writer thread, between commits.
    pub(crate) async fn exclusive<R: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Engine) -> Result<R, StoreError> + Send + 'static,
    ) -> Result<R, StoreError> {
        let (reply, answer) = oneshot::channel();
        let work: Exclusive = Box::new(move |engine| {
            if reply.send(work(engine)).is_err() {
                tracing::debug!("nobody waits for the result any more");
            }
        });
        self.send(Command::Exclusive(work)).await?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    async fn send(&self, command: Command) -> Result<(), StoreError> {
        self.commands.send(command).await.map_err(|_| StoreError::Closed)
    }

    fn engine(&self) -> Result<Arc<dyn Engine>, StoreError> {
        let engine = self.shared.engine.read().unwrap_or_else(PoisonError::into_inner);
        engine.clone().ok_or(StoreError::Closed)
    }

    fn scan<T: Table>(&self, scan: &Scan) -> Result<Rows<T>, StoreError> {
        let rows = self.engine()?.scan(T::NAME, scan)?;
        rows.iter().map(decode_row::<T>).collect()
    }
}

/// The first key after all keys with this prefix.
fn after_prefix(prefix: &[u8]) -> Bound<Vec<u8>> {
    let Some(last) = prefix.iter().rposition(|byte| *byte != 0xff) else {
        return Bound::Unbounded;
    };
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Bound::Excluded(end)
}

fn decode_row<T: Table>((key, value): &Row) -> Result<(T::Key, T::Value), StoreError> {
    let key = T::Key::decode(key).ok_or_else(|| StoreError::Decode { table: T::NAME.to_owned(), source: None })?;
    Ok((key, decode_value::<T>(value)?))
}

fn decode_value<T: Table>(bytes: &[u8]) -> Result<T::Value, StoreError> {
    cbor::from_slice(bytes, MAX_VALUE_BYTES)
        .map_err(|source| StoreError::Decode { table: T::NAME.to_owned(), source: Some(Arc::new(source)) })
}

/// Refuses data of a newer program; marks a new database with our schema.
fn check_schema(engine: &dyn Engine) -> Result<(), StoreError> {
    let key = SCHEMA_KEY.to_owned();
    match engine.get(Meta::NAME, &key.encode())? {
        Some(bytes) => {
            let schema = decode_value::<Meta>(&bytes)?;
            if schema.min_reader > SCHEMA_VERSION {
                return Err(StoreError::SchemaNewer { found: schema.min_reader, supported: SCHEMA_VERSION });
            }
            Ok(())
        }
        None => {
            let mut batch = Batch::new();
            batch.put::<Meta>(&key, &Schema::current())?;
            engine.apply(&batch.ops)?;
            engine.flush()
        }
    }
}
