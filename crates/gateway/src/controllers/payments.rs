//! Paying strangers, direct transfers, and what the ledger says.

use crate::error::ApiError;
use crate::extract::{IdempotencyKey, Json, Query};
use crate::state::AppState;
use crate::view::{HistoryPage, HistoryQuery, PayRequest, PayView, PaymentView, TransferRequest};
use axum::extract::{Path, State};
use serde_json::Value;

pub(crate) async fn pay_url(
    State(state): State<AppState>,
    IdempotencyKey(key): IdempotencyKey,
    Json(request): Json<PayRequest>,
) -> Result<axum::Json<PayView>, ApiError> {
    state.api.pay(&key, request).await.map(axum::Json)
}

pub(crate) async fn get_payment(
    State(state): State<AppState>,
    Path(key): Path<String>,
) -> Result<axum::Json<PaymentView>, ApiError> {
    state.api.payment(&key).await.map(axum::Json)
}

pub(crate) async fn payment_receipt(
    State(state): State<AppState>,
    Path(key): Path<String>,
) -> Result<axum::Json<Value>, ApiError> {
    state.api.payment_receipt(&key).await.map(axum::Json)
}

pub(crate) async fn transfer(
    State(state): State<AppState>,
    IdempotencyKey(key): IdempotencyKey,
    Json(request): Json<TransferRequest>,
) -> Result<axum::Json<PaymentView>, ApiError> {
    state.api.transfer(&key, request).await.map(axum::Json)
}

pub(crate) async fn list_history(
    State(state): State<AppState>,
    Query(query): Query<HistoryQuery>,
) -> Result<axum::Json<HistoryPage>, ApiError> {
    state.api.history(query).await.map(axum::Json)
}
