//! Making a home, reading a network file, starting the log.

use crate::config::{Config, Log};
use crate::error::NodeError;
use crate::home::{Home, write_atomically};
use crate::secrets;
use haggle_base::{NetworkFile, Seed};
use std::io::IsTerminal;
use std::path::Path;
use tracing_subscriber::EnvFilter;

/// Largest network file read.
const MAX_NETWORK_FILE: u64 = 64 * 1024;

/// Reads and checks a network file.
///
/// # Errors
/// `bad_network` when it is no TOML, lacks a key or contradicts itself.
pub fn read_network(path: &Path) -> Result<NetworkFile, NodeError> {
    let size = std::fs::metadata(path).map_err(NodeError::file(path))?.len();
    let bad = |reason: String| NodeError::BadNetwork(path.to_owned(), reason);
    if size > MAX_NETWORK_FILE {
        return Err(bad(format!("{size} bytes are too many")));
    }
    let text = std::fs::read_to_string(path).map_err(NodeError::file(path))?;
    let network: NetworkFile = toml::from_str(&text).map_err(|cause| bad(cause.to_string()))?;
    network.check().map_err(|cause| bad(cause.to_string()))?;
    Ok(network)
}

/// Makes a home: configuration, network file, sealed seed, API token.
///
/// # Errors
/// `home_taken` when a node is there already, `devnet_seed` when a public seed meets a real chain; nothing is then
/// changed.
pub fn make_home(home: &Home, config: &Config, network: &NetworkFile, seed: &Seed) -> Result<(), NodeError> {
    if home.keys().exists() {
        return Err(NodeError::HomeTaken(home.path().to_owned()));
    }
    if seed.is_devnet() && !network.is_devnet() {
        return Err(NodeError::DevnetSeed(network.chain_id));
    }
    home.create()?;
    let network_text =
        toml::to_string_pretty(network).map_err(|cause| NodeError::BadNetwork(home.network(), cause.to_string()))?;
    write_atomically(&home.network(), network_text.as_bytes())?;
    write_atomically(&home.config(), config.to_toml().as_bytes())?;
    let _token = home.token()?;
    // the keys come last: a home without them counts as not made
    secrets::store(home, &config.unlock, seed)
}

/// Starts the log on standard error; a second start changes nothing.
pub fn start_logging(log: &Log) {
    let filter = EnvFilter::try_new(&log.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    // someone who embeds a node may have a subscriber of their own: it stays
    let _kept = if log.json { lines.json().try_init() } else { lines.compact().try_init() };
}
