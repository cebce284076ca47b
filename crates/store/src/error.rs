//! What can go wrong with state on disk, and what to do about it.

use std::{io, path::PathBuf, sync::Arc};

use haggle_base::{Coded, cbor::CborError};

/// Failure of a store operation. Cloneable, because one failed flush answers every batch of its
/// group.
///
/// After [`Self::StorageFull`], [`Self::Io`] or [`Self::Engine`] from a commit its outcome is
/// unknown until the store is opened again: it is there wholly or not at all. Everything that
/// was acknowledged before is there.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process (or another handle) has the database open.
    #[error("the database at {path} is open elsewhere")]
    Locked {
        /// Folder of the database.
        path: PathBuf,
    },
    /// The files do not hold what was written.
    #[error("the database at {path} is damaged")]
    Corrupt {
        /// Folder of the database.
        path: PathBuf,
    },
    /// Written by a newer program.
    #[error("the data has schema {found}, this program reads up to {supported}")]
    SchemaNewer {
        /// Lowest schema a reader must know.
        found: u32,
        /// Highest schema this build knows.
        supported: u32,
    },
    /// No space left, or a file size limit or quota reached.
    #[error("no room left on the disk")]
    StorageFull,
    /// Another input or output failure.
    #[error("reading or writing the disk failed")]
    Io(#[source] Arc<io::Error>),
    /// The engine gave up: it panicked or reported a bug of its own.
    #[error("the storage engine failed")]
    Engine,
    /// A condition of the batch does not hold; nothing was written.
    #[error("a row of table {table} is not as the batch requires")]
    Precondition {
        /// Table of the row.
        table: String,
    },
    /// A value is above [`crate::MAX_VALUE_BYTES`].
    #[error("a value of {bytes} bytes for table {table} is above {max}")]
    ValueTooLarge {
        /// Table of the row.
        table: &'static str,
        /// Encoded size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// A key is above [`crate::MAX_KEY_BYTES`].
    #[error("a key of {bytes} bytes for table {table} is too long")]
    KeyTooLarge {
        /// Table of the row.
        table: String,
        /// Encoded size.
        bytes: usize,
    },
    /// A batch holds more than [`crate::MAX_BATCH_OPS`] operations.
    #[error("a batch of {ops} operations is too large")]
    BatchTooLarge {
        /// Operations and conditions in it.
        ops: usize,
    },
    /// A value has no canonical encoding.
    #[error("a value of table {table} cannot be encoded")]
    Encode {
        /// Table of the row.
        table: &'static str,
        /// Why.
        #[source]
        source: Arc<CborError>,
    },
    /// A stored row is not what its table says.
    #[error("a row of table {table} cannot be read")]
    Decode {
        /// Table of the row.
        table: String,
        /// Why, if the value is at fault; the key otherwise.
        #[source]
        source: Option<Arc<CborError>>,
    },
    /// Import wants an empty store.
    #[error("the store is not empty")]
    NotEmpty,
    /// An export file is cut short or changed.
    #[error("the export is damaged")]
    BadExport,
    /// A blob is above [`crate::MAX_BLOB_BYTES`].
    #[error("a blob of {bytes} bytes is too large")]
    BlobTooLarge {
        /// Its size.
        bytes: u64,
    },
    /// A blob's content does not match its name.
    #[error("a blob does not match its name")]
    BlobDamaged,
    /// The store was shut down.
    #[error("the store is closed")]
    Closed,
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::StorageFull
            }
            _ => Self::Io(Arc::new(error)),
        }
    }
}

impl StoreError {
    /// True if the store takes no more commits until it is opened again.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Locked { .. }
            | Self::Corrupt { .. }
            | Self::SchemaNewer { .. }
            | Self::StorageFull
            | Self::Io(_)
            | Self::Engine
            | Self::Closed => true,
            Self::Precondition { .. }
            | Self::ValueTooLarge { .. }
            | Self::KeyTooLarge { .. }
            | Self::BatchTooLarge { .. }
            | Self::Encode { .. }
            | Self::Decode { .. }
            | Self::NotEmpty
            | Self::BadExport
            | Self::BlobTooLarge { .. }
            | Self::BlobDamaged => false,
        }
    }
}

impl Coded for StoreError {
    fn code(&self) -> &'static str {
        match self {
            Self::Locked { .. } => "store_locked",
            Self::Corrupt { .. } => "store_corrupt",
            Self::SchemaNewer { .. } => "schema_newer",
            Self::StorageFull => "storage_full",
            Self::Io(_) => "store_io",
            Self::Engine => "store_engine",
            Self::Precondition { .. } => "precondition_failed",
            Self::ValueTooLarge { .. } => "value_too_large",
            Self::KeyTooLarge { .. } => "key_too_large",
            Self::BatchTooLarge { .. } => "batch_too_large",
            Self::Encode { .. } => "store_encode",
            Self::Decode { .. } => "store_decode",
            Self::NotEmpty => "store_not_empty",
            Self::BadExport => "export_damaged",
            Self::BlobTooLarge { .. } => "blob_too_large",
            Self::BlobDamaged => "blob_damaged",
            Self::Closed => "store_closed",
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Locked { .. } => "stop the other node that uses this home, or choose another home",
            Self::Corrupt { .. } => {
                "move the folder aside; restore the money database from its last export, market records come back from peers"
            }
            Self::SchemaNewer { .. } => "run the newer program that wrote this data",
            Self::StorageFull => {
                "free disk space or raise the limit, then start the node again; everything acknowledged is kept"
            }
            Self::Io(_) => "check the disk and its permissions, then start the node again",
            Self::Engine => "start the node again; if it fails again, restore from an export",
            Self::Precondition { .. } => "read the row again and decide anew",
            Self::ValueTooLarge { .. } => "keep the payload as a blob and store its hash",
            Self::KeyTooLarge { .. } => "use a shorter key, or its hash",
            Self::BatchTooLarge { .. } => "split the batch",
            Self::Encode { .. } => "store only integers, text, bytes, lists and maps; no floats",
            Self::Decode { .. } => "run verify; restore from an export if more rows are damaged",
            Self::NotEmpty => "import into a new home",
            Self::BadExport => "use another copy of the export",
            Self::BlobTooLarge { .. } => "split the payload",
            Self::BlobDamaged => "fetch the content again",
            Self::Closed => "open the store again",
        }
    }
}
