//! What settlement is told about its network.

use std::time::Duration;

use alloy_primitives::B256;

use haggle_base::NetworkFile;
use haggle_x402::EscrowFacts;

use crate::{budget::Limits, facts::Cursor};

/// Settings of settlement. The chain's part comes from the network file.
#[derive(Debug, Clone)]
pub struct SettlementConfig {
    /// The chain, the escrow contract and the token.
    pub escrow: EscrowFacts,
    /// The limits of an agent that has none of its own.
    pub limits: Limits,
    /// How long a reservation without a signature stands.
    pub reservation_lives: Duration,
    /// Where to begin reading the chain: the block before the escrow was deployed.
    pub start: Cursor,
}

impl SettlementConfig {
    /// The network's chain, default limits, reservations of ten minutes, the chain read from its beginning.
    #[must_use]
    pub fn new(network: &NetworkFile) -> Self {
        Self {
            escrow: EscrowFacts::of(network),
            limits: Limits::default(),
            reservation_lives: Duration::from_secs(600),
            start: Cursor { block: 0, hash: B256::ZERO },
        }
    }
}
