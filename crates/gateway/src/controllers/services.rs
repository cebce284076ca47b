//! The owner's search for services, `GET /api/v1/services/search`.

use crate::error::ApiError;
use crate::extract::Query;
use crate::state::AppState;
use crate::view::{ListingQuery, ServiceRow};
use axum::Json;
use axum::extract::State;
use haggle_base::Usdc;
use serde::{Deserialize, Serialize};

/// Services of one answer.
const MAX_RESULTS: u32 = 100;
/// The owner's service types. A listing's type is its category.
const SERVICE_TYPES: [&str; 5] = ["data-processing", "computation", "storage", "analysis", "custom"];
/// Longest type taken: a category has no more bytes.
const MAX_TYPE: usize = 64;

#[derive(Debug, Deserialize)]
pub(crate) struct ServiceQuery {
    service_type: Option<String>,
    min_price: Option<Usdc>,
    max_price: Option<Usdc>,
    min_reputation: Option<i64>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ServicesFound {
    results: Vec<ServiceRow>,
    count: usize,
}

pub(crate) async fn search_services(
    State(state): State<AppState>,
    Query(asked): Query<ServiceQuery>,
) -> Result<Json<ServicesFound>, ApiError> {
    let ServiceQuery { service_type, min_price, max_price, min_reputation } = asked;
    if let Some(unknown) = service_type.as_deref().filter(|word| !is_service_type(word)) {
        return Err(ApiError::bad_request(
            "unknown_service_type",
            format!("no service has the type {unknown:?}"),
            "take data-processing, computation, storage, analysis, custom or custom: and a word of your own",
        ));
    }
    let limit = Some(MAX_RESULTS);
    let category = service_type;
    let query = ListingQuery { category, min_price, max_price, min_reputation, limit, ..ListingQuery::default() };
    let page = state.api.find(query).await?;
    let results: Vec<_> = page.items.into_iter().map(ServiceRow::from).collect();
    Ok(Json(ServicesFound { count: results.len(), results }))
}

/// One of the owner's types, or a subtype of `custom` that a listing's category can have.
fn is_service_type(word: &str) -> bool {
    let is_label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.:/".contains(&byte);
    let subtype = word.strip_prefix("custom:").filter(|rest| !rest.is_empty() && rest.bytes().all(is_label));
    SERVICE_TYPES.contains(&word) || (subtype.is_some() && word.len() <= MAX_TYPE)
}
