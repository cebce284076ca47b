//! A running dev chain: what its owner can ask of it, and how it ends.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use alloy::primitives::{Address, B256, U256};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::chain::{Chain, Taken};
use crate::config::Config;
use crate::deployment::{self, Deployment};
use crate::error::DevChainError;
use crate::http;
use crate::rpc::Rpc;
use crate::transport::DevTransport;

/// A chain that runs until it is dropped or shut down.
#[derive(Debug)]
pub struct DevChain {
    rpc: Rpc,
    addr: Option<SocketAddr>,
    stop: watch::Sender<()>,
    tasks: JoinSet<()>,
}

impl DevChain {
    /// Builds genesis, opens the endpoint and starts the ticking.
    ///
    /// # Errors
    /// [`DevChainError::NotLoopback`] or [`DevChainError::Listen`] if the address is not to be had,
    /// [`DevChainError::Genesis`] if a committed contract does not deploy.
    pub async fn start(config: Config) -> Result<Self, DevChainError> {
        Self::launch(config).await
    }

    /// Boxed in a plain function, so that this crate compiles the chain, once, and not every crate that awaits it.
    fn launch(config: Config) -> Pin<Box<dyn Future<Output = Result<Self, DevChainError>> + Send>> {
        Box::pin(Self::set_up(config))
    }

    async fn set_up(config: Config) -> Result<Self, DevChainError> {
        let mut chain = Chain::new(config.chain_id, config.base_fee, (config.now)());
        let deployment = if config.contracts { Some(Arc::new(deployment::install(&mut chain)?)) } else { None };
        let rpc = Rpc::new(chain, config.now, deployment);
        let (stop, stopped) = watch::channel(());
        let mut tasks = JoinSet::new();
        let mut addr = None;
        if let Some(asked) = config.listen {
            if !asked.ip().is_loopback() {
                return Err(DevChainError::NotLoopback(asked));
            }
            let listen = |source| DevChainError::Listen { addr: asked, source };
            let listener = TcpListener::bind(asked).await.map_err(listen)?;
            addr = Some(listener.local_addr().map_err(listen)?);
            tasks.spawn(http::serve(listener, rpc.clone(), until(stopped.clone())));
        }
        if let Some(pace) = config.block_time {
            tasks.spawn(tick(rpc.clone(), pace, until(stopped)));
        }
        Ok(Self { rpc, addr, stop, tasks })
    }

    /// Where the endpoint listens; `None` if it serves only in process.
    #[must_use]
    pub const fn addr(&self) -> Option<SocketAddr> {
        self.addr
    }

    /// The endpoint's URL; empty if it serves only in process.
    #[must_use]
    pub fn rpc_url(&self) -> String {
        self.addr.map(|addr| format!("http://{addr}")).unwrap_or_default()
    }

    /// A way to the chain without a socket, for an alloy provider in this process.
    #[must_use]
    pub fn transport(&self) -> DevTransport {
        DevTransport(self.rpc.clone())
    }

    /// The contracts.
    ///
    /// # Errors
    /// [`DevChainError::NoContracts`] if the chain was started without.
    pub fn deployment(&self) -> Result<&Deployment, DevChainError> {
        self.rpc.deployment().ok_or(DevChainError::NoContracts)
    }

    /// Adds wei to an account, from nothing.
    pub fn fund_eth(&self, to: Address, wei: U256) {
        self.rpc.fund_eth(to, wei);
    }

    /// Mints base units of the test token to an account, in a block of its own; returns the transaction.
    ///
    /// # Errors
    /// [`DevChainError::Rpc`] if there is no token or it refuses.
    pub fn mint_usdc(&self, to: Address, units: u64) -> Result<B256, DevChainError> {
        Ok(self.rpc.mint(to, units)?)
    }

    /// Base units of the test token an account has.
    ///
    /// # Errors
    /// [`DevChainError::Rpc`] if there is no token.
    pub fn balance_usdc(&self, account: Address) -> Result<u64, DevChainError> {
        Ok(self.rpc.balance_usdc(account)?)
    }

    /// Base units of the test token that exist: what was ever minted.
    ///
    /// # Errors
    /// [`DevChainError::Rpc`] if there is no token.
    pub fn total_supply_usdc(&self) -> Result<u64, DevChainError> {
        Ok(self.rpc.supply_usdc()?)
    }

    /// Moves chain time ahead and mines a block that shows it. The wall clock is not touched.
    pub fn increase_time(&self, secs: u64) {
        let now = self.rpc.now();
        self.rpc.with(|world| {
            world.chain.time().increase(secs);
            world.chain.mine(now);
        });
    }

    /// Mines `blocks` empty blocks, ten thousand at most.
    pub fn mine(&self, blocks: u64) {
        let now = self.rpc.now();
        self.rpc.with(|world| {
            for _ in 0..blocks.min(crate::chain::MAX_MINE) {
                world.chain.mine(now);
            }
        });
    }

    /// Number and Unix time of the latest block.
    #[must_use]
    pub fn head(&self) -> (u64, u64) {
        self.rpc.with(|world| {
            let latest = world.chain.history().latest();
            (latest.number, latest.timestamp)
        })
    }

    /// Remembers state and height; returns the id for [`Self::revert`].
    ///
    /// # Errors
    /// [`DevChainError::Rpc`] if too many are held.
    pub fn snapshot(&self) -> Result<u64, DevChainError> {
        Ok(self.rpc.with(|world| world.chain.snapshot())?)
    }

    /// Goes back to a snapshot, forgetting the blocks since; false if there is none of that id.
    #[must_use]
    pub fn revert(&self, id: u64) -> bool {
        self.rpc.with(|world| world.chain.revert(id))
    }

    /// Takes the latest `depth` blocks back and builds another branch that is one block longer; answers how many
    /// transactions were not mined again. What was set without a transaction stays.
    ///
    /// # Errors
    /// [`DevChainError::Rpc`] for more blocks than there are, or than [`MAX_REORG`](crate::MAX_REORG).
    pub fn reorg(&self, depth: u64, taken: Taken) -> Result<u64, DevChainError> {
        let now = self.rpc.now();
        Ok(self.rpc.with(|world| world.chain.reorg(depth, taken, now))?)
    }

    /// Stops ticking and serving, and waits until both have ended.
    pub async fn shutdown(self) {
        let Self { stop, mut tasks, .. } = self;
        drop(stop);
        while tasks.join_next().await.is_some() {}
    }
}

/// Resolves when the owner has let go.
async fn until(mut stopped: watch::Receiver<()>) {
    while stopped.changed().await.is_ok() {}
}

async fn tick(rpc: Rpc, pace: std::time::Duration, stop: impl Future<Output = ()>) {
    let mut beat = tokio::time::interval(pace);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => return,
            _ = beat.tick() => {
                let now = rpc.now();
                rpc.with(|world| world.chain.mine(now));
            }
        }
    }
}
