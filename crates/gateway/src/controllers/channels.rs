//! Prepaid channels: what they hold, and their end.

use crate::error::ApiError;
use crate::extract::{Json, Query};
use crate::state::AppState;
use crate::view::{ChannelPage, ChannelQuery, ChannelReceiptRequest, CloseRequest, ClosingView};
use axum::extract::{Path, State};
use serde_json::Value;

pub(crate) async fn list_channels(
    State(state): State<AppState>,
    Query(query): Query<ChannelQuery>,
) -> Result<axum::Json<ChannelPage>, ApiError> {
    state.api.channels(query).await.map(axum::Json)
}

/// Needs no key: a channel that is closed twice is closed once.
pub(crate) async fn close_channel(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Json(request): Json<CloseRequest>,
) -> Result<axum::Json<ClosingView>, ApiError> {
    state.api.close_channel(&id, request).await.map(axum::Json)
}

/// Needs no key: nothing is paid.
pub(crate) async fn channel_receipt(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Json(request): Json<ChannelReceiptRequest>,
) -> Result<axum::Json<Value>, ApiError> {
    state.api.channel_receipt(&id, request).await.map(axum::Json)
}
