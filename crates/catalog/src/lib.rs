//! The market, public half: who sells what, known to every node without a server.
//!
//! Three nouns. A **record** is a signed statement that spreads: a card ([`CardBody`]), a
//! listing ([`ListingBody`]), its tombstone, an attestation. The [`shelf`] decides which record
//! stands in which place; it is a pure machine. The [`Catalog`] is the handle: one door
//! ([`Catalog::put`]) for bytes from anywhere, our own included, then a [`search`](Catalog::search)
//! over what stands on the shelf.
//!
//! # How news travels
//! Gossip brings news; [`Catalog::sync_with`] brings the truth: over one stream two nodes
//! compare all shards by negentropy and give each other what is missing, until both hold equal
//! sets. Bytes are carried as signed and verified by everyone.
//!
//! A node that does not hold the market ([`Keep`]) has its searches answered by others
//! ([`Catalog::look_up`]): with the same signed bytes, through the same door.
//!
//! # Bounds
//! An author who paid for nothing has four listings, and all such authors together a tenth of a
//! shard. What is refused for quota is remembered by id, so that syncs end.
//!
//! # Example
//! ```
//! # async fn story() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use haggle_base::SystemClock;
//! use haggle_catalog::{Catalog, CatalogConfig, Query, Silent, Unknown};
//! use haggle_store::Store;
//!
//! let config = CatalogConfig::with("devnet-7/1".parse()?, 31337, 4);
//! let clock = Arc::new(SystemClock);
//! let catalog = Catalog::start(Store::memory(), config, clock, Arc::new(Silent), Arc::new(Unknown)).await?;
//! assert_eq!(catalog.search(&Query::words("digest"))?.total, 0);
//! # Ok(()) }
//! ```
//!
//! # What it does not do
//! It moves no bytes by itself ([`Announce`] and streams are given to it), judges nobody
//! ([`Standing`] is given too), and hides nothing: policy filters what is shown elsewhere.

mod bindings;
pub mod body;
mod churn;
mod config;
mod door;
mod error;
mod frames;
mod handle;
mod index;
mod keep;
pub mod liveness;
pub mod look;
pub mod mail;
mod ports;
mod prices;
mod publish;
mod records;
pub mod remote;
mod search;
mod service;
mod shards;
pub mod shelf;
mod state;
pub mod sync;
#[cfg(test)]
mod testing;
pub mod wire;

pub use bindings::Binding;
pub use body::{CardBody, EscrowTerms, Host, ListingBody, PricingModel, Sla, TombstoneBody};
pub use config::CatalogConfig;
pub use door::{AnyRecord, Entry, Place, is_senders_fault, shard_of};
pub use error::{CatalogError, SyncError};
pub use handle::{Catalog, CatalogEvent, CatalogStatus, Origin};
pub use index::{
    explain::{Explanation, Part, TITLE_WEIGHT, WordMatch},
    facets::{Facet, Facets, MAX_COUNTED, MAX_COUNTED_TAGS, PriceBand},
    query::{DEFAULT_LIMIT, MAX_LIMIT, Query, Words},
    sort::{Sort, UnknownSort},
    weights::{InvalidWeight, Weight, Weights},
};
pub use keep::{KEPT_RECORDS, Keep};
pub use ports::{Announce, AnnounceError, Figures, PaidRoom, Silent, Standing, Unknown};
pub use prices::{MAX_PRICE_CHANGES, PriceHistory, PricePoint};
pub use remote::{Coverage, LookedUp, SearchError};
pub use search::{Answer, Hit};
pub use shards::Shards;
pub use sync::{
    Role, SyncReport,
    pace::{Ended, Pace, PaceSettings, Spent},
};
