//! What the catalog asks of the node: carrying news, and how agents have done so far.

use async_trait::async_trait;
use haggle_base::{Did, NetworkId};
use haggle_catalog::{Announce, AnnounceError, Figures, Standing};
use haggle_network::{Network, NetworkError, topic};
use haggle_reputation::{Reputation, Score};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Announces records by gossip.
pub(crate) struct Gossip {
    pub(crate) network: Network,
    pub(crate) id: NetworkId,
}

impl fmt::Debug for Gossip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gossip").field("network", &self.id).finish_non_exhaustive()
    }
}

#[async_trait]
impl Announce for Gossip {
    async fn announce(&self, shard: u16, bytes: Vec<u8>) -> Result<(), AnnounceError> {
        match self.network.publish(&topic(&self.id, shard), bytes).await {
            Ok(()) => Ok(()),
            Err(NetworkError::NoPeers { .. }) => Err(AnnounceError::NoPeers),
            Err(_) => Err(AnnounceError::Unavailable),
        }
    }
}

/// Figures from the reputation room, which opens after the catalog because it reads bindings from it.
#[derive(Clone, Default)]
pub(crate) struct LateReputation(Arc<OnceLock<Reputation>>);

impl LateReputation {
    /// Makes the figures known; the first call counts.
    pub(crate) fn set(&self, reputation: Reputation) {
        // a second start of the same node would be a defect of `compose`, and changes nothing here
        let _first = self.0.set(reputation);
    }
}

impl fmt::Debug for LateReputation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LateReputation").field("open", &self.0.get().is_some()).finish()
    }
}

impl Standing for LateReputation {
    fn figures(&self, agent: &Did) -> Figures {
        let Some(reputation) = self.0.get() else {
            return Figures::default();
        };
        let seen = reputation.figures(agent);
        let share = |score: Score| f64::from(score.millionths()) / 1_000_000.0;
        Figures {
            attestations: seen.attestations,
            total_calls: seen.total_calls,
            successes: seen.successes,
            net: seen.net,
            avg_response_ms: seen.avg_response_ms,
            uptime: share(seen.uptime_24h),
            trust_score: share(seen.trust_score),
        }
    }

    fn behind(&self, least: i64) -> Vec<Did> {
        self.0.get().map_or_else(Vec::new, |reputation| reputation.behind(least))
    }

    fn version(&self) -> Option<u64> {
        self.0.get().map(Reputation::version)
    }
}
