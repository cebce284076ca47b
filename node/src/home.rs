//! The node's home directory: where everything it keeps lies, and how a file gets there whole.

use crate::error::NodeError;
use haggle_base::Hash;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A node's home directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home(PathBuf);

/// What a running node writes so that the command line finds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Process id.
    pub pid: u32,
    /// Base URL of the gateway.
    pub api: String,
    /// Libp2p id.
    pub peer_id: String,
    /// Addresses that peers may dial.
    pub addresses: Vec<String>,
}

impl Home {
    /// The home at `path`.
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where a home lies when nobody says: `$HAGGLE_HOME`, else `$XDG_DATA_HOME/haggle`, else
    /// `~/.local/share/haggle`, else `.haggle` here.
    #[must_use]
    pub fn by_default() -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let path = set("HAGGLE_HOME")
            .or_else(|| set("XDG_DATA_HOME").map(|data| data.join("haggle")))
            .or_else(|| set("HOME").map(|home| home.join(".local/share/haggle")));
        Self(path.unwrap_or_else(|| PathBuf::from(".haggle")))
    }

    /// The directory itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// `config.toml`.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.0.join("config.toml")
    }

    /// `network.toml`, the network file.
    #[must_use]
    pub fn network(&self) -> PathBuf {
        self.0.join("network.toml")
    }

    /// `keys.age`, the encrypted seed.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.0.join("keys.age")
    }

    /// `token`, the API token (0600).
    #[must_use]
    pub fn token_file(&self) -> PathBuf {
        self.0.join("token")
    }

    /// `run.json`, there while the node runs.
    #[must_use]
    pub fn running_file(&self) -> PathBuf {
        self.0.join("run.json")
    }

    /// `money.db`: keys' counters, budgets, orders, ledger; never rebuilt.
    #[must_use]
    pub fn money_db(&self) -> PathBuf {
        self.0.join("money.db")
    }

    /// `market.db`: records of others; can be rebuilt from peers.
    #[must_use]
    pub fn market_db(&self) -> PathBuf {
        self.0.join("market.db")
    }

    /// `documents`: what listings name by hash, this node's and others'.
    #[must_use]
    pub fn documents(&self) -> PathBuf {
        self.0.join("documents")
    }

    /// `blobs`: payloads too large for the database.
    #[must_use]
    pub fn blobs(&self) -> PathBuf {
        self.0.join("blobs")
    }

    /// Whether a node was made here.
    #[must_use]
    pub fn is_made(&self) -> bool {
        self.keys().is_file() && self.config().is_file() && self.network().is_file()
    }

    /// Creates the directory, readable by its owner only.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn create(&self) -> Result<(), NodeError> {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0).map_err(NodeError::file(&self.0))
    }

    /// The API token; made on first use.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn token(&self) -> Result<String, NodeError> {
        let path = self.token_file();
        match std::fs::read_to_string(&path) {
            Ok(token) if !token.trim().is_empty() => return Ok(token.trim().to_owned()),
            Ok(_) => {}
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {}
            Err(cause) => return Err(NodeError::File(path, cause)),
        }
        let mut random = [0_u8; 32];
        getrandom::fill(&mut random)
            .map_err(|cause| NodeError::File(path.clone(), std::io::Error::other(cause.to_string())))?;
        let token = format!("hgl_{}", Hash::of(&random));
        write_private(&path, token.as_bytes())?;
        Ok(token)
    }

    /// What the running node wrote, if one runs or stopped without tidying up.
    #[must_use]
    pub fn running(&self) -> Option<Running> {
        let text = std::fs::read_to_string(self.running_file()).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Takes the home for this process until the guard is dropped.
    ///
    /// # Errors
    /// `already_running` when another process holds it.
    pub fn lock(&self) -> Result<HomeLock, NodeError> {
        let path = self.0.join("lock");
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(NodeError::file(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(HomeLock { _file: file }),
            Err(std::fs::TryLockError::WouldBlock) => Err(NodeError::AlreadyRunning(self.0.clone())),
            Err(std::fs::TryLockError::Error(cause)) => Err(NodeError::File(path, cause)),
        }
    }
}

/// Holds a home for one process; the lock goes with it, even when the process is killed.
#[derive(Debug)]
pub struct HomeLock {
    _file: File,
}

/// Writes a file whole or not at all: temporary file, fsync, rename, fsync of the folder.
///
/// # Errors
/// The file cannot be written; what was there before is then unchanged.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), NodeError> {
    write_with_mode(path, bytes, 0o644)
}

/// [`write_atomically`] for secrets: mode 0600 from the first byte on.
///
/// # Errors
/// As [`write_atomically`].
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), NodeError> {
    write_with_mode(path, bytes, 0o600)
}

fn write_with_mode(path: &Path, bytes: &[u8], mode: u32) -> Result<(), NodeError> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let temporary = path.with_extension(format!("tmp{}", std::process::id()));
    let written = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(mode)
        .open(&temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&temporary, path))
        .and_then(|()| File::open(folder)?.sync_all());
    written.map_err(|cause| {
        // what is left of the temporary file is worth nothing, whether or not it can be removed
        let _gone = std::fs::remove_file(&temporary);
        NodeError::File(path.to_owned(), cause)
    })
}
