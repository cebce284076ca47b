//! A set of writes that happens wholly or not at all.

use std::{borrow::Cow, sync::Arc};

use haggle_base::cbor;

use crate::{Key, MAX_KEY_BYTES, MAX_VALUE_BYTES, StoreError, Table};

/// Most operations and conditions in one batch.
pub const MAX_BATCH_OPS: usize = 4096;

/// One write: a value, or `None` to delete.
#[derive(Debug, Clone)]
pub(crate) struct Op {
    pub(crate) table: Cow<'static, str>,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Option<Vec<u8>>,
}

/// One condition: the exact value, or `None` for absent.
pub(crate) type Condition = Op;

/// Writes and conditions, applied atomically by [`crate::Store::commit`].
///
/// Two writes of one key happen in order, so the last one stays.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    pub(crate) ops: Vec<Op>,
    pub(crate) conditions: Vec<Condition>,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a row.
    ///
    /// # Errors
    /// [`StoreError::ValueTooLarge`], or [`StoreError::Encode`] for a value without a canonical
    /// encoding.
    pub fn put<T: Table>(&mut self, key: &T::Key, value: &T::Value) -> Result<&mut Self, StoreError> {
        let value = encode_value::<T>(value)?;
        self.ops.push(Op { table: Cow::Borrowed(T::NAME), key: key.encode(), value: Some(value) });
        Ok(self)
    }

    /// Deletes a row; one that is not there stays absent.
    pub fn delete<T: Table>(&mut self, key: &T::Key) -> &mut Self {
        self.ops.push(Op { table: Cow::Borrowed(T::NAME), key: key.encode(), value: None });
        self
    }

    /// Commits only if the row is absent.
    pub fn require_absent<T: Table>(&mut self, key: &T::Key) -> &mut Self {
        self.conditions.push(Condition { table: Cow::Borrowed(T::NAME), key: key.encode(), value: None });
        self
    }

    /// Commits only if the row holds exactly this value.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub fn require_equals<T: Table>(&mut self, key: &T::Key, value: &T::Value) -> Result<&mut Self, StoreError> {
        let value = encode_value::<T>(value)?;
        self.conditions.push(Condition { table: Cow::Borrowed(T::NAME), key: key.encode(), value: Some(value) });
        Ok(self)
    }

    /// Appends the writes and conditions of another batch.
    pub fn extend(&mut self, other: Self) -> &mut Self {
        self.ops.extend(other.ops);
        self.conditions.extend(other.conditions);
        self
    }

    /// True if it neither writes nor requires anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty() && self.conditions.is_empty()
    }

    /// Checks the bounds that hold for a batch as a whole.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let ops = self.ops.len() + self.conditions.len();
        if ops > MAX_BATCH_OPS {
            return Err(StoreError::BatchTooLarge { ops });
        }
        match self.ops.iter().find(|op| op.key.len() > MAX_KEY_BYTES) {
            Some(op) => Err(StoreError::KeyTooLarge { table: op.table.clone().into_owned(), bytes: op.key.len() }),
            None => Ok(()),
        }
    }
}

/// Canonical bytes of a value, within the bound.
fn encode_value<T: Table>(value: &T::Value) -> Result<Vec<u8>, StoreError> {
    let bytes =
        cbor::to_vec(value).map_err(|source| StoreError::Encode { table: T::NAME, source: Arc::new(source) })?;
    if bytes.len() > MAX_VALUE_BYTES {
        return Err(StoreError::ValueTooLarge { table: T::NAME, bytes: bytes.len(), max: MAX_VALUE_BYTES });
    }
    Ok(bytes)
}
