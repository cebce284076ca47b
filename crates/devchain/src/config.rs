//! What a dev chain is started with: ids, pace, price of gas, and where it listens.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Chain id of every dev chain. Tools know it as a chain whose money is worth nothing.
pub const DEV_CHAIN_ID: u64 = 31_337;

/// Wei per gas of every block. It never moves, so that costs in tests never do.
pub const DEFAULT_BASE_FEE: u64 = 1_000_000_000;

/// Most gas one block, and so one transaction, may use.
pub const BLOCK_GAS_LIMIT: u64 = 30_000_000;

/// Tells the wall clock's time in Unix seconds.
pub type NowSecs = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Settings of a dev chain.
#[derive(Clone)]
pub struct Config {
    /// Chain id, 31337 unless a test wants to see two chains kept apart.
    pub chain_id: u64,
    /// Where the JSON-RPC endpoint listens; port 0 takes a free one. `None` serves only in process.
    pub listen: Option<SocketAddr>,
    /// An empty block is mined this often; `None` mines only for transactions and when asked.
    pub block_time: Option<Duration>,
    /// Wei per gas of every block.
    pub base_fee: u64,
    /// Whether the market's contracts are part of genesis.
    pub contracts: bool,
    /// The wall clock. Chain time is this plus what the time controls added.
    pub now: NowSecs,
}

impl Config {
    /// No ticking: a block only per transaction or on request. Listens on a free loopback port.
    #[must_use]
    pub fn for_testing() -> Self {
        Self { block_time: None, ..Self::default() }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            chain_id: DEV_CHAIN_ID,
            listen: Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)),
            block_time: Some(Duration::from_secs(1)),
            base_fee: DEFAULT_BASE_FEE,
            contracts: true,
            now: wall_clock(),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("chain_id", &self.chain_id)
            .field("listen", &self.listen)
            .field("block_time", &self.block_time)
            .field("base_fee", &self.base_fee)
            .field("contracts", &self.contracts)
            .finish_non_exhaustive()
    }
}

/// The machine's own clock.
#[must_use]
pub fn wall_clock() -> NowSecs {
    Arc::new(|| {
        #[expect(clippy::disallowed_methods, reason = "the dev chain stands alone; this is the clock others inject")]
        let now = std::time::SystemTime::now();
        now.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
    })
}
