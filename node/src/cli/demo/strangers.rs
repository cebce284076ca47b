//! Listings of strangers for a demo's market: one more peer brings them, as any peer would.

use super::super::CliError;
use crate::devnet::NodeProcess;
use crate::market::Market;
use haggle_base::{Clock, NetworkFile, NodeKey, SystemClock};
use haggle_bench::corpus::Corpus;
use haggle_catalog::{CatalogConfig, Origin, Unknown};
use haggle_network::{NetworkConfig, topic};
use haggle_store::Store;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

/// Listings that are put on the shelf at one time.
const BATCH: usize = 1000;
/// Time between two of its reconciliations: what it brings is wanted soon.
const SYNC_EVERY: Duration = Duration::from_secs(5);

/// A peer that runs no agents and holds listings of many authors.
pub(super) struct Strangers {
    market: Market,
}

impl Strangers {
    /// A peer that holds so many listings, each of another author, and is connected with these nodes.
    ///
    /// # Errors
    /// It does not start, or a node does not let it in.
    pub(super) async fn bring(
        file: &NetworkFile,
        seed: u64,
        listings: u64,
        to: &[NodeProcess],
    ) -> Result<Self, CliError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let key = NodeKey::from_bytes(&[0x5e; 32]);
        let network = NetworkConfig {
            topics: (0..file.shards).map(|shard| topic(&file.id, shard)).collect(),
            target_peers: 0,
            ..NetworkConfig::loopback(file.id.clone())
        };
        let (catalog, store, nobody) = (CatalogConfig::new(file), Store::memory(), Arc::new(Unknown));
        let market = Market::start(network, catalog, store, &key, Arc::clone(&clock), nobody, SYNC_EVERY);
        let market = market.await.map_err(failed)?;
        let (corpus, now) = (Corpus::new(seed), clock.now());
        let numbers: Vec<u64> = (0..listings).collect();
        for batch in numbers.chunks(BATCH) {
            let records: Result<_, _> = batch.iter().map(|number| corpus.signed(*number, &file.id, now)).collect();
            let origin = Origin::Sync { peer: key.peer_id() };
            for outcome in market.catalog().put_many(records.map_err(failed)?, origin).await.map_err(failed)? {
                drop(outcome.map_err(failed)?);
            }
        }
        for node in to {
            let addresses = node.addresses()?;
            let named = addresses.iter().find_map(|address| address.rsplit_once("/p2p/"));
            let (_, peer) = named.ok_or_else(|| failed("a node does not say which peer it is"))?;
            let peer = peer.parse().map_err(failed)?;
            market.network().connect(&peer, &addresses).await.map_err(failed)?;
        }
        Ok(Self { market })
    }

    /// It leaves; what it brought stays.
    pub(super) async fn leave(self) -> Result<(), CliError> {
        self.market.shutdown().await.map_err(failed)
    }
}

fn failed(cause: impl Display) -> CliError {
    CliError::failure("demo_failed", cause.to_string(), "look at the nodes' logs with --dir")
}
