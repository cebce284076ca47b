//! Binding, serving and stopping: the one place that calls `axum::serve`.

use crate::guard::Guard;
use crate::ports::NodeApi;
use crate::router::router;
use crate::state::AppState;
use axum::Router;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A bound gateway that does not serve yet: its address is known, its node is not needed.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// Binds a loopback address; port 0 takes a free one.
    ///
    /// # Errors
    /// The address is taken, or is not a loopback address (`PermissionDenied`).
    pub async fn bind(address: SocketAddr) -> std::io::Result<Self> {
        if !address.ip().is_loopback() {
            return Err(std::io::Error::new(
                std::io::ErrorKind::PermissionDenied,
                "the gateway binds loopback addresses only",
            ));
        }
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    /// The address bound.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the returned [`Gateway`] is shut down or dropped.
    ///
    /// `token` is the API token in clear, `a2a` the router of the A2A room.
    #[must_use]
    pub fn serve(self, api: Arc<dyn NodeApi>, registry: Arc<Mutex<Registry>>, token: &str, a2a: Router) -> Gateway {
        let stopping = CancellationToken::new();
        let state = AppState { api, registry, stopping: stopping.clone() };
        let app = router(state, Guard::new(token, self.address), a2a);
        let until = stopping.clone();
        let serving = tokio::spawn(async move {
            let stop = until.cancelled_owned();
            let app = app.into_make_service_with_connect_info::<SocketAddr>();
            if let Err(cause) = axum::serve(self.listener, app).with_graceful_shutdown(stop).await {
                tracing::error!(error.cause = %cause, "the gateway stopped serving: {cause}");
            }
        });
        Gateway { address: self.address, stopping, serving: Some(serving) }
    }
}

/// A serving gateway; dropping it stops it.
pub struct Gateway {
    address: SocketAddr,
    stopping: CancellationToken,
    serving: Option<JoinHandle<()>>,
}

impl Gateway {
    /// The address it serves at.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops taking requests and waits until the open ones are answered.
    pub async fn shutdown(mut self) {
        self.stopping.cancel();
        if let Some(serving) = self.serving.take() {
            // a panic in the serving task has been logged by its hook; nothing is left to stop
            let _ended = serving.await;
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("address", &self.address).finish_non_exhaustive()
    }
}
