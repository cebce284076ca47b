//! The owner's A2A operations under `/api/v1/a2a`: discover, request, respond, messages.

use crate::error::ApiError;
use crate::extract::{Json, Query};
use crate::state::AppState;
use crate::view::{AgentProfile, Answered, Discover, MessageBody, MessageQuery, MessageView};
use axum::extract::State;
use axum::http::StatusCode;
use haggle_base::Usdc;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Agents of an answer when nobody says how many.
const DEFAULT_AGENTS: usize = 20;
/// Most agents of an answer.
const MAX_AGENTS: usize = 100;
/// Five stars, in millionths.
const BEST_RATING: u64 = 5_000_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DiscoverBody {
    capability: String,
    #[serde(default)]
    filters: Filters,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Filters {
    max_price: Option<Box<RawValue>>,
    min_rating: Option<Box<RawValue>>,
    max_response_time: Option<u64>,
    category: Option<String>,
    #[serde(default)]
    online: bool,
    limit: Option<usize>,
}

pub(crate) async fn discover(
    State(state): State<AppState>,
    Json(body): Json<DiscoverBody>,
) -> Result<axum::Json<Vec<AgentProfile>>, ApiError> {
    let filters = body.filters;
    let wanted = Discover {
        capability: body.capability,
        max_price: filters.max_price.as_deref().map(amount).transpose()?,
        min_rating: filters.min_rating.as_deref().map(stars).transpose()?,
        max_response_ms: filters.max_response_time,
        category: filters.category,
        online: filters.online,
        limit: filters.limit.unwrap_or(DEFAULT_AGENTS).clamp(1, MAX_AGENTS),
    };
    Ok(axum::Json(state.api.discover(wanted).await?))
}

pub(crate) async fn ask_service(
    State(state): State<AppState>,
    Json(body): Json<MessageBody>,
) -> Result<(StatusCode, axum::Json<MessageView>), ApiError> {
    let said = state.api.ask_service(body).await?;
    // the request itself comes back while it waits for its seller
    let status = if said.kind == "request" { StatusCode::ACCEPTED } else { StatusCode::OK };
    Ok((status, axum::Json(said)))
}

pub(crate) async fn answer_service(
    State(state): State<AppState>,
    Json(body): Json<MessageBody>,
) -> Result<axum::Json<Answered>, ApiError> {
    Ok(axum::Json(state.api.answer_service(body).await?))
}

pub(crate) async fn list_messages(
    State(state): State<AppState>,
    Query(query): Query<MessageQuery>,
) -> Result<axum::Json<Vec<MessageView>>, ApiError> {
    Ok(axum::Json(state.api.messages(query).await?))
}

/// An amount, read digit by digit from a JSON number or string.
pub(super) fn amount(raw: &RawValue) -> Result<Usdc, ApiError> {
    Usdc::from_json_text(raw.get()).map_err(|error| ApiError::from_coded(&error))
}

/// Stars with at most six decimals, in millionths.
fn stars(raw: &RawValue) -> Result<u32, ApiError> {
    let millionths = amount(raw).ok().map(Usdc::units).filter(|stars| *stars <= BEST_RATING);
    millionths.and_then(|stars| u32::try_from(stars).ok()).ok_or_else(|| {
        ApiError::bad_request("invalid_rating", format!("{} is no rating", raw.get()), "ask for 0 to 5 stars")
    })
}
