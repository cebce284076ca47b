//! Agents: ours to add, anyone's to read.

use crate::error::ApiError;
use crate::extract::Json;
use crate::state::AppState;
use crate::view::{AgentPage, AgentSummary, AgentView, NewAgent, Republish};
use axum::extract::{Path, State};
use axum::http::StatusCode;

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

pub(crate) async fn republish_agent(
    State(state): State<AppState>,
    Path(did): Path<String>,
    Json(change): Json<Republish>,
) -> Result<axum::Json<AgentSummary>, ApiError> {
    state.api.republish(&did, change).await.map(axum::Json)
}
