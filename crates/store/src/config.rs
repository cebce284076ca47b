//! How a store is opened.

/// Cache of one database in bytes unless told otherwise: 16 MiB. Resident memory peaks at about
/// three times this.
const DEFAULT_CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// Batches that may wait for the writer; the next committer waits for room.
const DEFAULT_QUEUE: usize = 256;

/// What the engine favours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Small files, at the price of more rewriting. The default: a node writes little.
    #[default]
    LowSpace,
    /// Fast writing, at the price of larger files.
    HighThroughput,
}

/// Options of [`crate::Store::open`].
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Page cache in bytes.
    pub cache_bytes: u64,
    /// What the engine favours.
    pub mode: Mode,
    /// Batches that may wait for the writer.
    pub queue: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { cache_bytes: DEFAULT_CACHE_BYTES, mode: Mode::default(), queue: DEFAULT_QUEUE }
    }
}
