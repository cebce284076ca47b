//! Binding, serving and stopping.
//!
//! The gateway speaks HTTP/1.1 alone. `axum::serve` also answers HTTP/2 as soon as any crate of the program switches it on
//! in hyper, and what the guard and the limits say is said of HTTP/1.1.

use crate::guard::Guard;
use crate::ports::NodeApi;
use crate::router::router;
use crate::state::AppState;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::serve::Listener;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use std::fmt;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

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
        let serving = tokio::spawn(serve(self.listener, app, stopping.clone()));
        Gateway { address: self.address, stopping, serving: Some(serving) }
    }
}

/// Takes connections until the gateway stops, then waits for the requests that are under way.
async fn serve(mut listener: TcpListener, app: Router, stopping: CancellationToken) {
    let open = TaskTracker::new();
    loop {
        // axum's listener waits and tries again where the system refuses a connection
        let (stream, from) = tokio::select! {
            () = stopping.cancelled() => break,
            taken = Listener::accept(&mut listener) => taken,
        };
        open.spawn(answer(stream, from, app.clone(), stopping.clone()));
    }
    drop(listener);
    open.close();
    open.wait().await;
}

/// Answers what comes over one connection.
async fn answer(stream: TcpStream, from: SocketAddr, app: Router, stopping: CancellationToken) {
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(from));
        app.clone().oneshot(request)
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(cause) = ended {
        tracing::debug!(error.cause = %cause, "a connection of {from} ended: {cause}");
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
