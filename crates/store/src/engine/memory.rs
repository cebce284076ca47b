//! Trees in memory, for swarms in one process and for tests.

use std::{
    collections::BTreeMap,
    sync::{PoisonError, RwLock, RwLockReadGuard},
};

use super::{Engine, Row, Scan};
use crate::{StoreError, batch::Op};

type Trees = BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>;

/// Forgets everything when dropped.
#[derive(Debug, Default)]
pub(crate) struct MemoryEngine {
    trees: RwLock<Trees>,
}

impl MemoryEngine {
    fn read(&self) -> RwLockReadGuard<'_, Trees> {
        // No writer panics while it holds the lock, so the trees are whole even then.
        self.trees.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine for MemoryEngine {
    fn get(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.read().get(table).and_then(|tree| tree.get(key).cloned()))
    }

    fn scan(&self, table: &str, scan: &Scan) -> Result<Vec<Row>, StoreError> {
        if scan.is_empty() {
            return Ok(Vec::new());
        }
        let trees = self.read();
        let Some(tree) = trees.get(table) else {
            return Ok(Vec::new());
        };
        let rows = tree.range((scan.from.clone(), scan.to.clone()));
        let own = |(key, value): (&Vec<u8>, &Vec<u8>)| (key.clone(), value.clone());
        Ok(if scan.newest_first {
            rows.rev().take(scan.limit).map(own).collect()
        } else {
            rows.take(scan.limit).map(own).collect()
        })
    }

    fn count(&self, table: &str) -> Result<u64, StoreError> {
        Ok(self.read().get(table).map_or(0, |tree| tree.len() as u64))
    }

    fn tables(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.read().keys().cloned().collect())
    }

    fn apply(&self, ops: &[Op]) -> Result<(), StoreError> {
        let mut trees = self.trees.write().unwrap_or_else(PoisonError::into_inner);
        for op in ops {
            let tree = trees.entry(op.table.clone().into_owned()).or_default();
            match &op.value {
                Some(value) => tree.insert(op.key.clone(), value.clone()),
                None => tree.remove(&op.key),
            };
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }

    fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
