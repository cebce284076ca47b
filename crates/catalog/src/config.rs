//! What the catalog needs to know about the network and this node.

use std::{path::PathBuf, time::Duration};

use haggle_base::{NetworkFile, NetworkId};

use crate::{index::weights::Weights, keep::Keep};

/// Records that a shard is made for.
const SHARD_CAPACITY: usize = 100_000;

/// Settings of a [`crate::Catalog`].
#[derive(Debug, Clone)]
pub struct CatalogConfig {
    /// Records of other networks are refused.
    pub network: NetworkId,
    /// Chain of the payment bindings.
    pub chain_id: u64,
    /// Number of shards of the network.
    pub shards: u16,
    /// Records per shard; a tenth of it is for authors who paid for nothing.
    pub shard_capacity: usize,
    /// Folder of the search index; in memory if none.
    pub index_dir: Option<PathBuf>,
    /// What is put is found by a search after at most this time.
    pub commit_every: Duration,
    /// How often announcements that nobody took are tried again.
    pub retry_every: Duration,
    /// How often expired records are removed.
    pub sweep_every: Duration,
    /// How long one sync waits for a frame.
    pub sync_patience: Duration,
    /// What the parts of the combined order weigh where a search does not say.
    pub weights: Weights,
    /// Least [net](crate::Figures::net) of an author whose listings are shown, and published here; nought or less.
    pub min_net: i64,
    /// What is kept, if not everything that comes.
    pub keep: Option<Keep>,
}

impl CatalogConfig {
    /// The defaults for a network.
    #[must_use]
    pub fn new(network: &NetworkFile) -> Self {
        Self::with(network.id.clone(), network.chain_id, network.shards)
    }

    /// The defaults for a network of these facts.
    #[must_use]
    pub fn with(network: NetworkId, chain_id: u64, shards: u16) -> Self {
        Self {
            network,
            chain_id,
            shards,
            shard_capacity: SHARD_CAPACITY,
            index_dir: None,
            commit_every: Duration::from_millis(500),
            retry_every: Duration::from_secs(1),
            sweep_every: Duration::from_secs(60),
            sync_patience: Duration::from_secs(20),
            weights: Weights::default(),
            min_net: 0,
            keep: None,
        }
    }
}
