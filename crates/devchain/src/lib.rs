//! An Ethereum chain for one machine: the EVM behind JSON-RPC, with the market's contracts in genesis.
//!
//! The local market and the tests need a chain that starts in milliseconds, costs nothing and can be told what time it
//! is. This is one: revm runs the transactions, every transaction gets a block of its own at once, and an empty block
//! follows each second. Any wallet or library talks to it over HTTP; code in the same process can use
//! [`DevChain::transport`] and needs no socket.
//!
//! # What is like a real chain
//! The rules are Prague's, pinned in [`HARDFORK`]; gas, logs, receipts, revert data and addresses come out as on anvil
//! with the same hardfork (a differential test compares them). Headers carry true roots of transactions and receipts.
//!
//! # What is not
//! - State is only ever the latest: block tags on state queries are ignored.
//! - There is no pool: a transaction whose nonce leaves a gap is refused, not kept.
//! - The base fee never moves, two blocks may share a second, and the state root is zero.
//! - Anybody may mint, set balances and move time: the endpoint listens on loopback only.
//!
//! # Reorganisations
//! [`DevChain::reorg`] (`haggle_reorg` over RPC) takes up to [`MAX_REORG`] blocks back and builds a longer branch, with
//! their transactions mined again or lost.
//!
//! # Time
//! A block's time is the wall clock plus an offset that only `evm_increaseTime` and its relatives move, never back.
//!
//! # Example
//! ```
//! # #[tokio::main] async fn main() -> Result<(), haggle_devchain::DevChainError> {
//! use haggle_devchain::{Config, DevAccount, DevChain};
//!
//! let chain = DevChain::start(Config::for_testing()).await?;
//! let alice = DevAccount::numbered(0).address();
//! chain.mint_usdc(alice, 5_000_000)?;
//! assert_eq!(chain.balance_usdc(alice)?, 5_000_000);
//! chain.shutdown().await;
//! # Ok(()) }
//! ```

mod accounts;
mod chain;
mod config;
mod deployment;
mod error;
mod faucet;
mod filters;
mod handle;
mod http;
mod rpc;
mod transport;

pub use accounts::{DEV_ACCOUNTS, DevAccount};
pub use chain::{HARDFORK, MAX_REORG, Taken};
pub use config::{BLOCK_GAS_LIMIT, Config, DEFAULT_BASE_FEE, DEV_CHAIN_ID, NowSecs, wall_clock};
pub use deployment::{
    CHANNEL_ADDRESS, COLLECTOR_ADDRESS, Deployment, ESCROW_ADDRESS, MULTICALL_ADDRESS, TOKEN_ADDRESS,
};
pub use error::{DevChainError, RpcError};
pub use handle::DevChain;
pub use rpc::{MAX_BATCH, MAX_BODY_BYTES};
pub use transport::DevTransport;
