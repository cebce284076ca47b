//! Several RPC endpoints behind one transport: when one does not answer, the next is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use alloy::rpc::json_rpc::{RequestPacket, ResponsePacket, RpcError};
use alloy::transports::http::{Client, Http};
use alloy::transports::{TransportError, TransportErrorKind, TransportFut};
use tower::{Service, ServiceExt as _};
use url::Url;

use crate::config::MAX_RPC_URLS;
use crate::error::EscrowError;

/// A transport over one or more endpoints of the same chain.
///
/// Asking again is safe for everything this room asks: a transaction has the same hash at every endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Failover {
    endpoints: Arc<[Http<Client>]>,
    preferred: Arc<AtomicUsize>,
}

impl Failover {
    /// A transport over `urls`, each given `timeout` to answer.
    pub(crate) fn new(urls: &[String], timeout: Duration) -> Result<Self, EscrowError> {
        if urls.is_empty() || urls.len() > MAX_RPC_URLS {
            return Err(EscrowError::BadUrl(format!("{} URLs", urls.len())));
        }
        let builder =
            if urls.iter().all(|url| is_loopback(url)) { Client::builder().no_proxy() } else { Client::builder() };
        let client = builder
            .timeout(timeout)
            .redirect(alloy::transports::http::reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| EscrowError::RpcDown { source: Box::new(TransportErrorKind::Custom(Box::new(error))) })?;
        let endpoints: Result<Vec<_>, EscrowError> =
            urls.iter().map(|url| Ok(Http::with_client(client.clone(), checked(url)?))).collect();
        Ok(Self { endpoints: endpoints?.into(), preferred: Arc::default() })
    }

    async fn ask(self, request: RequestPacket) -> Result<ResponsePacket, TransportError> {
        let first = self.preferred.load(Ordering::Relaxed);
        let mut last = RpcError::Transport(TransportErrorKind::BackendGone);
        for turn in 0..self.endpoints.len() {
            let index = (first + turn) % self.endpoints.len();
            let Some(endpoint) = self.endpoints.get(index) else { continue };
            match endpoint.clone().oneshot(request.clone()).await {
                Err(error @ (RpcError::Transport(_) | RpcError::DeserError { .. })) => {
                    tracing::warn!(rpc.endpoint = index, %error, "an RPC endpoint does not answer");
                    last = error;
                }
                answered => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return answered;
                }
            }
        }
        Err(last)
    }
}

impl Service<RequestPacket> for Failover {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: RequestPacket) -> Self::Future {
        Box::pin(self.clone().ask(request))
    }
}

/// Whether a URL names this machine: a proxy of the environment would not find it.
fn is_loopback(url: &str) -> bool {
    let host = url.parse::<Url>().ok().and_then(|url| url.host_str().map(str::to_owned));
    host.is_some_and(|host| host == "localhost" || host.starts_with("127.") || host == "[::1]")
}

fn checked(text: &str) -> Result<Url, EscrowError> {
    let bad = || EscrowError::BadUrl(text.chars().take(128).collect());
    let url = Url::parse(text).map_err(|_| bad())?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(bad());
    }
    Ok(url)
}
