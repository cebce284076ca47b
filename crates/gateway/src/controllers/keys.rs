//! Keys that call one agent: bought as the owner's first routes have it, listed, revoked.

use crate::controllers::seed::number;
use crate::error::ApiError;
use crate::extract::Json;
use crate::state::AppState;
use crate::successor::PREFIX;
use crate::view::{KeyList, KeyView, NewKey, PurchaseRequest, Purchased};
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::HOST;
use haggle_base::Usdc;

pub(crate) async fn purchase(
    State(state): State<AppState>,
    headers: HeaderMap,
    Json(request): Json<PurchaseRequest>,
) -> Result<axum::Json<Purchased>, ApiError> {
    if request.plan != "per_call" {
        return Err(ApiError::bad_request(
            "unsupported_plan",
            format!("the plan {:?} is not sold", request.plan),
            "use the plan per_call",
        ));
    }
    let allowance = request.allowance.as_ref().map(|raw| Usdc::from_json_text(raw.get()));
    let allowance = allowance.transpose().map_err(|error| ApiError::from_coded(&error))?;
    let made = state.api.make_key(NewKey { buyer: request.buyer_id, agent: request.agent_id, allowance }).await?;
    // the guard let only this gateway's own names through
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    Ok(axum::Json(Purchased {
        api_key: made.secret,
        endpoint: format!("http://{host}{PREFIX}/agents/{}", made.agent),
        price_per_call: number(made.price.to_string())?,
    }))
}

pub(crate) async fn list_keys(State(state): State<AppState>) -> Result<axum::Json<KeyList>, ApiError> {
    state.api.keys().await.map(axum::Json)
}

pub(crate) async fn revoke_key(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<axum::Json<KeyView>, ApiError> {
    state.api.revoke_key(&id).await.map(axum::Json)
}
