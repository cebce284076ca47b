//! What the catalog asks of others: to announce a record, and how an agent has done so far.

use std::{fmt::Debug, num::NonZeroU64};

use async_trait::async_trait;
use haggle_base::{Address, Coded, Did, Usdc};

/// Success assumed of an agent without any finished call, in percent.
const NEWCOMER_SUCCESS_PERCENT: u64 = 50;

/// Carries news to the network.
#[async_trait]
pub trait Announce: Send + Sync + Debug {
    /// Publishes a record's bytes on the topic of its shard.
    ///
    /// # Errors
    /// [`AnnounceError`]; the catalog keeps the announcement and tries again.
    async fn announce(&self, shard: u16, bytes: Vec<u8>) -> Result<(), AnnounceError>;
}

/// Why an announcement did not go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnnounceError {
    /// Nobody listens yet.
    #[error("no peer listens on the shard's topic")]
    NoPeers,
    /// The network is stopped or overloaded.
    #[error("the network took no message")]
    Unavailable,
}

impl Coded for AnnounceError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoPeers => "no_peers",
            Self::Unavailable => "network_unavailable",
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::NoPeers => "connect to a peer; the record is announced then",
            Self::Unavailable => "look at the node's network status",
        }
    }
}

/// Announces nothing: for tests and for nodes with gossip off.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

#[async_trait]
impl Announce for Silent {
    async fn announce(&self, _shard: u16, _bytes: Vec<u8>) -> Result<(), AnnounceError> {
        Ok(())
    }
}

/// How agents have done so far, from attestations.
pub trait Standing: Send + Sync + Debug {
    /// The figures of an agent; [`Figures::default`] for one nobody has dealt with.
    fn figures(&self, agent: &Did) -> Figures;

    /// A number that is another one whenever any figures have changed but by the passing of time; `None` if nobody counts,
    /// and figures are asked for anew by each search.
    fn version(&self) -> Option<u64> {
        None
    }

    /// Agents whose [net](Figures::net) is below `least`, which is nought or less: of a newcomer nobody knows any harm.
    /// Nobody, if nobody counts.
    fn behind(&self, least: i64) -> Vec<Did> {
        let _nobody = least;
        Vec::new()
    }

    /// The room on the shelf that the listing fees of this wallet pay for; `None` if it paid for nothing. `agent` is whose
    /// record it is for: of an agent of its own a node may know the wallet before its card is there.
    fn room(&self, agent: &Did, wallet: Option<Address>) -> Option<PaidRoom> {
        let _nobody = (agent, wallet);
        None
    }
}

/// Room that the listing fees of one wallet pay for. It is charged to the wallet and not to the agent: who binds it to one
/// agent after the other has no more of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaidRoom {
    /// Who paid.
    pub payer: Address,
    /// Listings that are paid for, and as many cards.
    pub listings: u64,
}

/// Knows nothing of anyone.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unknown;

impl Standing for Unknown {
    fn figures(&self, _agent: &Did) -> Figures {
        Figures::default()
    }

    fn version(&self) -> Option<u64> {
        Some(0)
    }
}

/// What attestations say of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Figures {
    /// Attestations that count.
    pub attestations: u64,
    /// Finished calls.
    pub total_calls: u64,
    /// Finished calls that the buyer released the payment for.
    pub successes: u64,
    /// Counterparties that had more successes of it than failures, less those that had more failures.
    pub net: i64,
    /// Mean time to an answer in milliseconds, if any is known.
    pub avg_response_ms: Option<u64>,
    /// 0 to 1: how much of the last day the agent could be reached, as far as anybody looked.
    pub uptime: f64,
    /// 0 to 1.
    pub trust_score: f64,
}

impl Figures {
    /// What one success costs at this price: price / success rate, rounded up. For an agent
    /// without a finished call half of its calls are taken to succeed; without any success there
    /// is no figure.
    #[must_use]
    pub fn cost_per_success(&self, price: Usdc) -> Option<Usdc> {
        let (calls, successes) = match self.total_calls {
            0 => (100, NEWCOMER_SUCCESS_PERCENT),
            calls => (calls, self.successes.min(calls)),
        };
        let successes = NonZeroU64::new(successes)?.get();
        let units = match price.units().checked_mul(calls) {
            Some(product) => product.div_ceil(successes),
            None => {
                let cost = (u128::from(price.units()) * u128::from(calls)).div_ceil(successes.into());
                u64::try_from(cost).unwrap_or(u64::MAX)
            }
        };
        Some(Usdc::from_units(units))
    }
}
