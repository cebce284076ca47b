//! What the catalog asks of the node: carrying news, and how agents have done so far.

use crate::fees::FeeBook;
use async_trait::async_trait;
use haggle_base::{Address, Did, NetworkId};
use haggle_catalog::{Announce, AnnounceError, Figures, PaidRoom, Standing};
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

/// Figures from the reputation room, which opens after the catalog because it reads bindings from it; and room from the
/// fees that were seen.
#[derive(Clone)]
pub(crate) struct LateStanding {
    reputation: Arc<OnceLock<Reputation>>,
    fees: FeeBook,
}

impl LateStanding {
    /// Nobody's figures yet.
    pub(crate) fn new(fees: FeeBook) -> Self {
        Self { reputation: Arc::default(), fees }
    }

    /// Makes the figures known; the first call counts.
    pub(crate) fn set(&self, reputation: Reputation) {
        // a second start of the same node would be a defect of `compose`, and changes nothing here
        let _first = self.reputation.set(reputation);
    }
}

impl fmt::Debug for LateStanding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LateStanding").field("open", &self.reputation.get().is_some()).finish_non_exhaustive()
    }
}

impl Standing for LateStanding {
    fn figures(&self, agent: &Did) -> Figures {
        let Some(reputation) = self.reputation.get() else {
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
        self.reputation.get().map_or_else(Vec::new, |reputation| reputation.behind(least))
    }

    fn version(&self) -> Option<u64> {
        self.reputation.get().map(Reputation::version)
    }

    fn room(&self, agent: &Did, wallet: Option<Address>) -> Option<PaidRoom> {
        self.fees.room(agent, wallet)
    }
}
