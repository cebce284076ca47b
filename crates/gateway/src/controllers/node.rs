//! The node, its peers, its wallets.

use crate::error::ApiError;
use crate::extract::{Json, Query};
use crate::state::AppState;
use crate::view::{ChecksView, NodeStatus, PeerList, PingView, TicketView, VisibilityView, WalletList};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;

pub(crate) async fn get_node(State(state): State<AppState>) -> Result<axum::Json<NodeStatus>, ApiError> {
    state.api.status().await.map(axum::Json)
}

pub(crate) async fn list_checks(State(state): State<AppState>) -> axum::Json<ChecksView> {
    axum::Json(state.api.checks().await)
}

pub(crate) async fn list_peers(State(state): State<AppState>) -> Result<axum::Json<PeerList>, ApiError> {
    state.api.peers().await.map(axum::Json)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Connect {
    address: String,
}

pub(crate) async fn connect_peer(
    State(state): State<AppState>,
    Json(body): Json<Connect>,
) -> Result<axum::Json<PeerList>, ApiError> {
    state.api.connect(&body.address).await?;
    state.api.peers().await.map(axum::Json)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TicketQuery {
    agent: Option<String>,
}

pub(crate) async fn get_ticket(
    State(state): State<AppState>,
    Query(query): Query<TicketQuery>,
) -> Result<axum::Json<TicketView>, ApiError> {
    state.api.ticket(query.agent.as_deref()).await.map(axum::Json)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pings {
    count: Option<u32>,
}

pub(crate) async fn ping_peer(
    State(state): State<AppState>,
    Path(peer): Path<String>,
    Query(pings): Query<Pings>,
) -> Result<axum::Json<PingView>, ApiError> {
    state.api.ping(&peer, pings.count).await.map(axum::Json)
}

pub(crate) async fn get_visibility(State(state): State<AppState>) -> Result<axum::Json<VisibilityView>, ApiError> {
    state.api.visibility().await.map(axum::Json)
}

pub(crate) async fn list_wallets(State(state): State<AppState>) -> Result<axum::Json<WalletList>, ApiError> {
    state.api.wallets().await.map(axum::Json)
}

pub(crate) async fn stop_node(State(state): State<AppState>) -> StatusCode {
    state.api.stop().await;
    StatusCode::ACCEPTED
}
