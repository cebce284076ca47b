//! Describing a node before it starts, for programs that embed one.

use super::{Node, compose};
use crate::config::Config;
use crate::error::NodeError;
use crate::home::Home;
use crate::setup;
use haggle_base::{NetworkFile, Seed};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What a node is to be like; [`NodeBuilder::start`] makes it so.
#[derive(Debug)]
pub struct NodeBuilder {
    home: Home,
    config: Option<Config>,
    network: Option<NetworkSource>,
    chain: Option<String>,
    seed: Option<Seed>,
    local: bool,
}

#[derive(Debug)]
enum NetworkSource {
    Path(PathBuf),
    File(Box<NetworkFile>),
}

impl NodeBuilder {
    pub(super) const fn new(home: Home) -> Self {
        Self { home, config: None, network: None, chain: None, seed: None, local: false }
    }

    /// Takes this configuration instead of the home's, or of the default in a new home.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = Some(config);
        self
    }

    /// Reads the network file at `path` when the home is new.
    #[must_use]
    pub fn network_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.network = Some(NetworkSource::Path(path.into()));
        self
    }

    /// Takes this network file when the home is new.
    #[must_use]
    pub fn network(mut self, network: NetworkFile) -> Self {
        self.network = Some(NetworkSource::File(Box::new(network)));
        self
    }

    /// The JSON-RPC URL of the chain; several with commas between them.
    #[must_use]
    pub fn chain(mut self, rpc: &str) -> Self {
        self.chain = Some(rpc.to_owned());
        self
    }

    /// The seed of a new home; a fresh one when none is given.
    #[must_use]
    pub fn seed(mut self, seed: Seed) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Listens on free loopback ports only and looks at the chain often: for markets on one machine.
    #[must_use]
    pub const fn local(mut self) -> Self {
        self.local = true;
        self
    }

    /// Makes the home if it is new, and starts the node.
    ///
    /// # Errors
    /// As [`Node::from_home`]; `no_home` when the home is new and no network was given.
    pub async fn start(self) -> Result<Node, NodeError> {
        let mut config = match self.config {
            Some(config) => config,
            None if self.home.is_made() => Config::load(&self.home.config())?,
            None => Config::default(),
        };
        if self.local {
            config.p2p.listen = vec!["/ip4/127.0.0.1/tcp/0".to_owned(), "/ip4/127.0.0.1/udp/0/quic-v1".to_owned()];
            config.p2p.mdns = false;
            config.p2p.upnp = false;
            config.gateway.listen = SocketAddr::from(([127, 0, 0, 1], 0));
            config.chain.poll = Duration::from_millis(100);
        }
        if let Some(rpc) = self.chain {
            config.chain.rpc = rpc.into();
        }
        if !self.home.is_made() {
            let network = match self.network {
                Some(NetworkSource::Path(path)) => setup::read_network(&path)?,
                Some(NetworkSource::File(network)) => *network,
                None => return Err(NodeError::NoHome(self.home.path().to_owned())),
            };
            let seed = match self.seed {
                Some(seed) => seed,
                None => Seed::generate().map_err(|error| NodeError::room(&error))?,
            };
            setup::make_home(&self.home, &config, &network, &seed)?;
        }
        compose::start(self.home, config).await
    }
}
