//! Typed, versioned, durable tables: everything haggle remembers goes through here.
//!
//! Three nouns. A [`Table`] is a name with a version (`orders-1`), a key type whose bytes sort
//! as the keys do, and a value type kept as canonical CBOR of at most [`MAX_VALUE_BYTES`].
//! A [`Batch`] is a set of writes, with preconditions, that happens wholly or not at all. A
//! [`Store`] is the handle: reads are direct and short, and every [`Store::commit`] goes to one
//! writer thread that applies the waiting batches, flushes once for all of them, and only then
//! answers. **A commit that returned is on disk.**
//!
//! ```
//! # async fn story() -> Result<(), haggle_store::StoreError> {
//! use haggle_store::{Batch, Store};
//!
//! haggle_store::tables! {
//!     Orders = "orders-1": u64 => String;
//! }
//!
//! let store = Store::memory();
//! let mut batch = Batch::new();
//! batch.require_absent::<Orders>(&7).put::<Orders>(&7, &"agreed".to_owned())?;
//! store.commit(batch).await?;
//! assert_eq!(store.get::<Orders>(&7)?.as_deref(), Some("agreed"));
//! # Ok(()) }
//! ```
//!
//! Larger payloads are [`Blobs`]: files named by their blake3, on disk before the row that
//! names them. The engine is sled 0.34.7, opened defensively (a panic or corruption inside it
//! becomes a typed error), or plain memory behind the same door; one conformance suite runs on
//! both. A full disk answers `storage_full`, and nothing acknowledged is lost.
//!
//! What this room does not do: it knows no record kinds, keeps no clock, and evicts nothing by
//! itself. Rooms keep an index by time or size and sweep it.

mod batch;
mod blobs;
mod config;
mod engine;
mod error;
mod export;
mod handle;
mod key;
mod table;
mod writer;

pub use batch::{Batch, MAX_BATCH_OPS};
pub use blobs::{Blobs, MAX_BLOB_BYTES};
pub use config::{Mode, Options};
pub use error::StoreError;
pub use export::{Summary, Verification};
pub use handle::Store;
pub use key::{Key, MAX_KEY_BYTES};
pub use table::{MAX_VALUE_BYTES, Rows, SCHEMA_VERSION, Table};
