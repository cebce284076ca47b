//! Quotes and orders.

use crate::error::ApiError;
use crate::extract::{IdempotencyKey, Json, Query};
use crate::state::AppState;
use crate::view::{
    CaseView, DisputeRequest, GivenOutput, HireRequest, OrderPage, OrderQuery, OrderView, QuoteRequest, QuoteView,
};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::Value;

pub(crate) async fn ask_quote(
    State(state): State<AppState>,
    Json(request): Json<QuoteRequest>,
) -> Result<axum::Json<QuoteView>, ApiError> {
    state.api.quote(request).await.map(axum::Json)
}

pub(crate) async fn hire(
    State(state): State<AppState>,
    IdempotencyKey(key): IdempotencyKey,
    Json(request): Json<HireRequest>,
) -> Result<(StatusCode, axum::Json<OrderView>), ApiError> {
    let order = state.api.hire(&key, request).await?;
    Ok((StatusCode::ACCEPTED, axum::Json(order)))
}

pub(crate) async fn list_orders(
    State(state): State<AppState>,
    Query(query): Query<OrderQuery>,
) -> Result<axum::Json<OrderPage>, ApiError> {
    state.api.orders(query).await.map(axum::Json)
}

pub(crate) async fn get_order(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<axum::Json<OrderView>, ApiError> {
    state.api.order(&id).await.map(axum::Json)
}

pub(crate) async fn order_receipt(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<axum::Json<Value>, ApiError> {
    state.api.order_receipt(&id).await.map(axum::Json)
}

pub(crate) async fn cancel_order(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<axum::Json<OrderView>, ApiError> {
    state.api.cancel(&id).await.map(axum::Json)
}

pub(crate) async fn dispute_order(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Json(request): Json<DisputeRequest>,
) -> Result<axum::Json<OrderView>, ApiError> {
    state.api.dispute(&id, request).await.map(axum::Json)
}

pub(crate) async fn counter_order(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<axum::Json<OrderView>, ApiError> {
    state.api.counter(&id).await.map(axum::Json)
}

pub(crate) async fn give_output(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Json(given): Json<GivenOutput>,
) -> Result<axum::Json<OrderView>, ApiError> {
    state.api.give_output(&id, given.output).await.map(axum::Json)
}

pub(crate) async fn show_case(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<axum::Json<CaseView>, ApiError> {
    state.api.case(&id).await.map(axum::Json)
}
