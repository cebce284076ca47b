//! The in-process way to the endpoint: an alloy transport without a socket.

use std::task::{Context, Poll};

use alloy::rpc::json_rpc::{RequestPacket, ResponsePacket};
use alloy::transports::{TransportError, TransportFut};
use tower::Service;

use crate::rpc::Rpc;

/// An alloy transport that talks to the chain in the same process, through the same door as HTTP.
///
/// ```
/// # async fn demo(chain: haggle_devchain::DevChain) -> Result<(), Box<dyn std::error::Error>> {
/// use alloy::providers::{Provider, ProviderBuilder};
/// use alloy::rpc::client::RpcClient;
///
/// let provider = ProviderBuilder::new().connect_client(RpcClient::new(chain.transport(), true));
/// assert_eq!(provider.get_chain_id().await?, 31_337);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct DevTransport(pub(crate) Rpc);

impl Service<RequestPacket> for DevTransport {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: RequestPacket) -> Self::Future {
        let rpc = self.0.clone();
        Box::pin(async move {
            let body = request.serialize().map_err(TransportError::ser_err)?;
            let answer = rpc.answer(body.get().as_bytes());
            serde_json::from_slice(&answer)
                .map_err(|error| TransportError::deser_err(error, String::from_utf8_lossy(&answer)))
        })
    }
}
