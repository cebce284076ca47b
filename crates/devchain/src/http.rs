//! The HTTP side of the endpoint: one route that takes a POST.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::response::IntoResponse;
use axum::routing::post;
use tokio::net::TcpListener;

use crate::rpc::{MAX_BODY_BYTES, Rpc};

/// Serves until `stop` resolves; open connections then finish their request and close.
pub(crate) async fn serve(listener: TcpListener, rpc: Rpc, stop: impl Future<Output = ()> + Send + 'static) {
    let router = Router::new().route("/", post(answer)).layer(DefaultBodyLimit::max(MAX_BODY_BYTES)).with_state(rpc);
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stop).await {
        tracing::warn!(%error, "the chain's endpoint ended");
    }
}

async fn answer(State(rpc): State<Rpc>, body: Bytes) -> impl IntoResponse {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], rpc.answer(&body))
}
