//! Content-addressed files for payloads that are too large for a row.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use haggle_base::Hash;

use crate::StoreError;

/// Largest blob in bytes: 4 MiB.
pub const MAX_BLOB_BYTES: u64 = 4 * 1024 * 1024;

/// Files named by the blake3 of their content. Clones share the folder.
///
/// Put the blob first and commit the row that names it after: then every name in a row has its
/// file.
#[derive(Debug, Clone)]
pub struct Blobs {
    folder: Arc<PathBuf>,
    /// Makes the names of temporary files distinct within the process.
    next: Arc<AtomicU64>,
}

impl Blobs {
    /// Uses `folder`, which is created if needed; removes what an interrupted put left.
    ///
    /// # Errors
    /// [`StoreError::Io`] and [`StoreError::StorageFull`].
    pub fn open(folder: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(folder)?;
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "partial") {
                fs::remove_file(path)?;
            }
        }
        Ok(Self { folder: Arc::new(folder.to_owned()), next: Arc::default() })
    }

    /// Stores `bytes` and returns their name; they are on disk when this returns.
    ///
    /// # Errors
    /// [`StoreError::BlobTooLarge`], [`StoreError::Io`], [`StoreError::StorageFull`].
    pub fn put(&self, bytes: &[u8]) -> Result<Hash, StoreError> {
        let size = bytes.len() as u64;
        if size > MAX_BLOB_BYTES {
            return Err(StoreError::BlobTooLarge { bytes: size });
        }
        let hash = Hash::of(bytes);
        let path = self.path(&hash);
        if fs::metadata(&path).is_ok_and(|found| found.len() == size) {
            return Ok(hash);
        }
        let serial = self.next.fetch_add(1, Ordering::Relaxed);
        let temporary = self.folder.join(format!("{}-{serial}.partial", std::process::id()));
        let written = write_new(&temporary, bytes).and_then(|()| fs::rename(&temporary, &path));
        if let Err(error) = written {
            if let Err(left) = fs::remove_file(&temporary) {
                tracing::debug!(error = %left, "a temporary blob stays until the next start");
            }
            return Err(error.into());
        }
        sync_folder(&path)?;
        Ok(hash)
    }

    /// Reads a blob and checks it against its name.
    ///
    /// # Errors
    /// [`StoreError::BlobDamaged`], [`StoreError::BlobTooLarge`], [`StoreError::Io`].
    pub fn get(&self, hash: &Hash) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(hash);
        let size = match fs::metadata(&path) {
            Ok(found) => found.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if size > MAX_BLOB_BYTES {
            return Err(StoreError::BlobTooLarge { bytes: size });
        }
        let bytes = fs::read(&path)?;
        if Hash::of(&bytes) == *hash { Ok(Some(bytes)) } else { Err(StoreError::BlobDamaged) }
    }

    /// Deletes a blob; one that is not there stays absent. Delete its row first.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn delete(&self, hash: &Hash) -> Result<(), StoreError> {
        match fs::remove_file(self.path(hash)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn path(&self, hash: &Hash) -> PathBuf {
        self.folder.join(hash.to_string())
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes a rename in the folder of `path` durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}
