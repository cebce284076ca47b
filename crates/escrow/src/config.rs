//! Which chain, which contracts, and how patient to be.

use std::time::Duration;

use haggle_base::{Address, NetworkFile};

/// Gas one of our transactions may use; the dearest, a first `fund`, uses about 130,000.
pub const DEFAULT_GAS_CAP: u64 = 1_000_000;

/// Wei per gas above which the client waits rather than pays: 500 gwei.
pub const DEFAULT_MAX_GAS_PRICE: u128 = 500_000_000_000;

/// RPC endpoints used for one chain.
pub const MAX_RPC_URLS: usize = 8;

/// Settings of an [`EscrowClient`](crate::EscrowClient) and a [`Watcher`](crate::Watcher).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EscrowConfig {
    /// RPC endpoints, the preferred first. With three or more, two must say the same for it to be believed.
    pub rpc_urls: Vec<String>,
    /// The chain all of them must serve.
    pub chain_id: u64,
    /// The escrow contract.
    pub escrow: Address,
    /// The token it holds.
    pub token: Address,
    /// Block from which logs are read when all of an order's are wanted: the escrow's own.
    pub deployed_at: u64,
    /// How often a receipt is asked for.
    pub poll_interval: Duration,
    /// How long an endpoint may take to answer one request.
    pub request_timeout: Duration,
    /// How long an endpoint may let others wait before the next is asked too.
    pub slow_after: Duration,
    /// How long a transaction may lie about before it is sent again with a higher price.
    pub stuck_after: Duration,
    /// How long a sent transaction is waited for before its outcome counts as unknown.
    pub receipt_timeout: Duration,
    /// Most gas a transaction may use.
    pub gas_cap: u64,
    /// Most wei per gas that is paid.
    pub max_gas_price: u128,
}

impl EscrowConfig {
    /// The settings for a network, with the given endpoints of its chain.
    #[must_use]
    pub fn for_network(network: &NetworkFile, rpc_urls: Vec<String>) -> Self {
        let local = network.is_devnet();
        Self {
            rpc_urls,
            chain_id: network.chain_id,
            escrow: network.escrow,
            token: network.token.address,
            deployed_at: 0,
            poll_interval: if local { Duration::from_millis(100) } else { Duration::from_secs(1) },
            request_timeout: Duration::from_secs(10),
            slow_after: Duration::from_secs(if local { 1 } else { 2 }),
            stuck_after: Duration::from_secs(if local { 5 } else { 30 }),
            receipt_timeout: if local { Duration::from_secs(20) } else { Duration::from_secs(90) },
            gas_cap: DEFAULT_GAS_CAP,
            max_gas_price: DEFAULT_MAX_GAS_PRICE,
        }
    }
}
