//! What a storage engine must do; the writer and the handle know no more about it.

use std::{fmt::Debug, ops::Bound};

use crate::{StoreError, batch::Op};

pub(crate) mod memory;
pub(crate) mod sled;

/// A row as bytes.
pub(crate) type Row = (Vec<u8>, Vec<u8>);

/// A stretch of keys, which way to walk it and how far.
#[derive(Debug, Clone)]
pub(crate) struct Scan {
    pub(crate) from: Bound<Vec<u8>>,
    pub(crate) to: Bound<Vec<u8>>,
    pub(crate) newest_first: bool,
    pub(crate) limit: usize,
}

impl Scan {
    /// True if no key can lie inside (engines may panic on such a stretch).
    pub(crate) fn is_empty(&self) -> bool {
        match (&self.from, &self.to) {
            (Bound::Included(from), Bound::Included(to)) => from > to,
            (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => from >= to,
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        }
    }
}

/// Named trees of sorted bytes. `apply` is atomic; what was applied is durable after `flush`.
pub(crate) trait Engine: Send + Sync + Debug {
    fn get(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;
    fn scan(&self, table: &str, scan: &Scan) -> Result<Vec<Row>, StoreError>;
    fn count(&self, table: &str) -> Result<u64, StoreError>;
    fn tables(&self) -> Result<Vec<String>, StoreError>;
    fn apply(&self, ops: &[Op]) -> Result<(), StoreError>;
    fn flush(&self) -> Result<(), StoreError>;
    fn check(&self) -> Result<(), StoreError>;
}
