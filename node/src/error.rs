//! What can go wrong in the node itself, each with a stable code and the next thing to do.

use haggle_base::Coded;
use haggle_gateway::ApiError;
use std::borrow::Cow;
use std::path::PathBuf;

/// A failure of the node or of its command line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The home directory holds no node yet.
    #[error("{} holds no node yet", .0.display())]
    NoHome(PathBuf),
    /// The home directory already holds a node.
    #[error("{} already holds a node", .0.display())]
    HomeTaken(PathBuf),
    /// The configuration cannot be used.
    #[error("the configuration {} cannot be used: {}", .0.display(), .1)]
    BadConfig(PathBuf, String),
    /// The network file cannot be used.
    #[error("the network file {} cannot be used: {}", .0.display(), .1)]
    BadNetwork(PathBuf, String),
    /// The keys could not be unlocked.
    #[error("the keys in {} could not be unlocked: {}", .0.display(), .1)]
    Locked(PathBuf, String),
    /// A deterministic devnet seed was used on a real chain.
    #[error("a devnet seed is public and is refused on chain {0}")]
    DevnetSeed(u64),
    /// Another process runs this node.
    #[error("a node already runs from {}", .0.display())]
    AlreadyRunning(PathBuf),
    /// A file could not be read or written.
    #[error("{}: {}", .0.display(), .1)]
    File(PathBuf, std::io::Error),
    /// The node refused something of its own.
    #[error("{}", .0.detail)]
    Api(Box<ApiError>),
    /// A room of the node failed.
    #[error("{detail}")]
    Room {
        /// The room's stable code.
        code: &'static str,
        /// The room's hint.
        hint: &'static str,
        /// The room's words.
        detail: String,
    },
}

impl NodeError {
    /// Wraps the error of any room.
    #[must_use]
    pub fn room(error: &dyn Coded) -> Self {
        Self::Room { code: error.code(), hint: error.hint(), detail: error.to_string() }
    }

    /// Wraps a failure to read or write `path`.
    pub fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |cause| Self::File(path, cause)
    }
}

impl Coded for NodeError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoHome(_) => "no_home",
            Self::HomeTaken(_) => "home_taken",
            Self::BadConfig(..) => "bad_config",
            Self::BadNetwork(..) => "bad_network",
            Self::Locked(..) => "locked",
            Self::DevnetSeed(_) => "devnet_seed",
            Self::AlreadyRunning(_) => "already_running",
            Self::File(_, cause) if is_full(cause) => "storage_full",
            Self::File(..) => "file_error",
            // an error that was read from JSON has no words of this process
            Self::Api(problem) => match &problem.code {
                Cow::Borrowed(code) => code,
                Cow::Owned(_) => "internal_error",
            },
            Self::Room { code, .. } => code,
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::NoHome(_) => "make one with `haggle init --network FILE`, or try `haggle demo` first",
            Self::HomeTaken(_) => "start it with `haggle up`, or give another directory with --home",
            Self::BadConfig(..) => {
                "`haggle config explain KEY` says what a key takes; config/default.toml has every key"
            }
            Self::BadNetwork(..) => "take a network file from config/networks, or the one your devnet wrote",
            Self::Locked(..) => {
                "`unlock` in config.toml names the identity file, variable or credential that opens the keys"
            }
            Self::DevnetSeed(_) => "make keys of your own with `haggle init`",
            Self::AlreadyRunning(_) => "use the running node, or stop it with `haggle down`",
            Self::File(_, cause) if is_full(cause) => "free some space; nothing that was acknowledged is lost",
            Self::File(..) => "check that the path exists and belongs to you",
            Self::Api(problem) => match &problem.hint {
                Cow::Borrowed(hint) => hint,
                Cow::Owned(_) => "look at the node's log",
            },
            Self::Room { hint, .. } => hint,
        }
    }
}

fn is_full(cause: &std::io::Error) -> bool {
    matches!(
        cause.kind(),
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded | std::io::ErrorKind::FileTooLarge
    )
}
