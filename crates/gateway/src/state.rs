//! What every handler shares.

use crate::ports::NodeApi;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Shared state of the handlers; clones are cheap.
#[derive(Clone)]
pub(crate) struct AppState {
    /// The node behind the gateway.
    pub(crate) api: Arc<dyn NodeApi>,
    /// Every metric of the process.
    pub(crate) registry: Arc<Mutex<Registry>>,
    /// Ends when the gateway stops; streams of events end with it.
    pub(crate) stopping: CancellationToken,
}

impl fmt::Debug for AppState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppState").finish_non_exhaustive()
    }
}
