//! Agents: ours to add, anyone's to read.

use crate::error::ApiError;
use crate::extract::{Json, Query};
use crate::state::AppState;
use crate::view::{
    AgentPage, AgentSummary, AgentView, LogQuery, LogView, NewAgent, PricesView, Probe, ProbeView, Republish,
};
use axum::extract::{Path, State};
use axum::http::StatusCode;

/// Lines of a log when nobody says how many.
const DEFAULT_LOG_LINES: u32 = 100;
/// Most lines of a log.
const MAX_LOG_LINES: u32 = 1000;

pub(crate) async fn list_agents(State(state): State<AppState>) -> Result<axum::Json<AgentPage>, ApiError> {
    state.api.agents().await.map(axum::Json)
}

pub(crate) async fn add_agent(
    State(state): State<AppState>,
    Json(new): Json<NewAgent>,
) -> Result<(StatusCode, axum::Json<AgentSummary>), ApiError> {
    let agent = state.api.add_agent(new).await?;
    Ok((StatusCode::CREATED, axum::Json(agent)))
}

pub(crate) async fn get_agent(
    State(state): State<AppState>,
    Path(did): Path<String>,
) -> Result<axum::Json<AgentView>, ApiError> {
    state.api.agent(&did).await.map(axum::Json)
}

pub(crate) async fn list_prices(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<axum::Json<PricesView>, ApiError> {
    state.api.prices(&id).await.map(axum::Json)
}

pub(crate) async fn republish_agent(
    State(state): State<AppState>,
    Path(did): Path<String>,
    Json(change): Json<Republish>,
) -> Result<axum::Json<AgentSummary>, ApiError> {
    state.api.republish(&did, change).await.map(axum::Json)
}

pub(crate) async fn probe_agent(
    State(state): State<AppState>,
    Json(probe): Json<Probe>,
) -> Result<axum::Json<ProbeView>, ApiError> {
    state.api.probe_agent(probe).await.map(axum::Json)
}

pub(crate) async fn read_log(
    State(state): State<AppState>,
    Path(agent): Path<String>,
    Query(query): Query<LogQuery>,
) -> Result<axum::Json<LogView>, ApiError> {
    let lines = query.lines.unwrap_or(DEFAULT_LOG_LINES).clamp(1, MAX_LOG_LINES);
    state.api.agent_log(&agent, usize::try_from(lines).unwrap_or(usize::MAX)).await.map(axum::Json)
}
