//! The market's listings, from this node's own copy.

use crate::error::ApiError;
use crate::extract::Query;
use crate::state::AppState;
use crate::view::{ListingDetail, ListingPage, ListingQuery, WhyView};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

pub(crate) async fn list_listings(
    State(state): State<AppState>,
    Query(query): Query<ListingQuery>,
) -> Result<Json<ListingPage>, ApiError> {
    state.api.find(query).await.map(Json)
}

pub(crate) async fn get_listing(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<ListingDetail>, ApiError> {
    state.api.listing(&id).await.map(Json)
}

pub(crate) async fn explain_listing(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<WhyView>, ApiError> {
    state.api.why(&id).await.map(Json)
}

pub(crate) async fn withdraw_listing(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    state.api.withdraw(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}
