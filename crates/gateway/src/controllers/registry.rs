//! The owner's routes for agents: create, read, change, publish, suspend, delete.

use crate::error::ApiError;
use crate::extract::Json;
use crate::state::AppState;
use crate::view::{AgentChange, AgentListing, NewAgent, Republish};
use axum::extract::{Path, State};
use axum::http::StatusCode;

pub(crate) async fn create_agent(
    State(state): State<AppState>,
    Json(new): Json<NewAgent>,
) -> Result<(StatusCode, axum::Json<AgentListing>), ApiError> {
    let agent = state.api.add_agent(new).await?;
    Ok((StatusCode::CREATED, shown(&state, &agent.did).await?))
}

pub(crate) async fn list_agents(State(state): State<AppState>) -> Result<axum::Json<Vec<AgentListing>>, ApiError> {
    state.api.agent_listings().await.map(axum::Json)
}

pub(crate) async fn get_agent(
    State(state): State<AppState>,
    Path(agent): Path<String>,
) -> Result<axum::Json<AgentListing>, ApiError> {
    shown(&state, &agent).await
}

pub(crate) async fn change_agent(
    State(state): State<AppState>,
    Path(agent): Path<String>,
    Json(change): Json<AgentChange>,
) -> Result<axum::Json<AgentListing>, ApiError> {
    let agent = state.api.change_agent(&agent, change).await?;
    shown(&state, &agent.did).await
}

pub(crate) async fn publish_agent(
    State(state): State<AppState>,
    Path(agent): Path<String>,
) -> Result<axum::Json<AgentListing>, ApiError> {
    let agent = state.api.republish(&agent, Republish::default()).await?;
    shown(&state, &agent.did).await
}

pub(crate) async fn suspend_agent(
    State(state): State<AppState>,
    Path(agent): Path<String>,
) -> Result<axum::Json<AgentListing>, ApiError> {
    let agent = state.api.suspend_agent(&agent).await?;
    shown(&state, &agent.did).await
}

pub(crate) async fn delete_agent(
    State(state): State<AppState>,
    Path(agent): Path<String>,
) -> Result<StatusCode, ApiError> {
    state.api.delete_agent(&agent).await.map(|()| StatusCode::NO_CONTENT)
}

/// The agent as it is now.
async fn shown(state: &AppState, agent: &str) -> Result<axum::Json<AgentListing>, ApiError> {
    state.api.agent_listing(agent).await.map(axum::Json)
}
