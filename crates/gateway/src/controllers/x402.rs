//! Calls that anybody may make who pays for them, and the facilitator.

use crate::error::ApiError;
use crate::extract::{Json, Query};
use crate::ports::PaidCall;
use crate::state::AppState;
use crate::view::DiscoveryQuery;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, RawQuery, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use std::net::SocketAddr;

/// The header a payment comes in.
const PAYMENT: &str = "payment-signature";

pub(crate) async fn sell(
    State(state): State<AppState>,
    Path(listing): Path<String>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    method: Method,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let payment = headers.get(PAYMENT).map(|value| value.to_str().unwrap_or_default().to_owned());
    let call = PaidCall { listing, method: method.to_string(), query, body, payment, from: from.ip() };
    let answer = state.api.sell(call).await?;
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, answer.body).into_response();
    let fields = response.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in answer.headers {
        let value = HeaderValue::try_from(value).map_err(|cause| ApiError::internal(&cause))?;
        fields.insert(HeaderName::from_static(name), value);
    }
    Ok(response)
}

pub(crate) async fn verify(
    State(state): State<AppState>,
    Json(request): Json<Value>,
) -> Result<axum::Json<Value>, ApiError> {
    state.api.verify_payment(request).await.map(axum::Json)
}

pub(crate) async fn settle(
    State(state): State<AppState>,
    Json(request): Json<Value>,
) -> Result<axum::Json<Value>, ApiError> {
    state.api.settle_payment(request).await.map(axum::Json)
}

pub(crate) async fn supported(State(state): State<AppState>) -> Result<axum::Json<Value>, ApiError> {
    state.api.supported_payments().await.map(axum::Json)
}

pub(crate) async fn discover(
    State(state): State<AppState>,
    Query(query): Query<DiscoveryQuery>,
) -> Result<axum::Json<Value>, ApiError> {
    state.api.paid_resources(query).await.map(axum::Json)
}
