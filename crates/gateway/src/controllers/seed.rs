//! The owner's first routes, with their exact bodies: `/agents/search` and `/agents/register`.

use crate::error::ApiError;
use crate::extract::{Json, Query};
use crate::state::AppState;
use crate::view::{CoverageView, Executor, ExplanationView, FacetsView, ListingQuery, ListingView, NewAgent, PriceFor};
use axum::extract::State;
use haggle_base::Usdc;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

#[derive(Debug, Deserialize)]
pub(crate) struct SearchQuery {
    category: Option<String>,
    sort: Option<String>,
    reputation_weight: Option<String>,
    facets: Option<bool>,
    explain: Option<bool>,
}

#[derive(Debug, Serialize)]
pub(crate) struct SearchAnswer {
    results: Vec<SearchRow>,
    /// Only where it is asked for: the owner's body has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    facets: Option<FacetsView>,
    /// Only at a light node.
    #[serde(skip_serializing_if = "Option::is_none")]
    coverage: Option<CoverageView>,
}

#[derive(Debug, Serialize)]
struct SearchRow {
    agent_id: String,
    name: String,
    price_per_call: Box<RawValue>,
    success_rate: Option<Box<RawValue>>,
    avg_response_time_ms: Option<u64>,
    cost_per_success: Box<RawValue>,
    /// Only where it is asked for, as the counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    explanation: Option<ExplanationView>,
}

pub(crate) async fn search_agents(
    State(state): State<AppState>,
    Query(query): Query<SearchQuery>,
) -> Result<axum::Json<SearchAnswer>, ApiError> {
    let SearchQuery { category, sort, reputation_weight, facets, explain } = query;
    let limit = Some(100);
    let query = ListingQuery { category, sort, reputation_weight, facets, explain, limit, ..ListingQuery::default() };
    let page = state.api.find(query).await?;
    let results = page.items.iter().map(row).collect::<Result<_, _>>()?;
    Ok(axum::Json(SearchAnswer { results, facets: page.facets, coverage: page.coverage }))
}

fn row(listing: &ListingView) -> Result<SearchRow, ApiError> {
    let rate = listing.reputation.success_rate.clone();
    Ok(SearchRow {
        agent_id: listing.agent.clone(),
        name: listing.name.clone(),
        price_per_call: number(listing.price.to_string())?,
        success_rate: rate.map(number).transpose()?,
        avg_response_time_ms: listing.reputation.avg_response_ms,
        cost_per_success: number(listing.cost_per_success.to_string())?,
        explanation: listing.explanation.clone(),
    })
}

/// A decimal text as a JSON number, digit by digit: no float comes near it.
pub(super) fn number(decimal: String) -> Result<Box<RawValue>, ApiError> {
    RawValue::from_string(decimal).map_err(|cause| ApiError::internal(&cause))
}

#[derive(Debug, Deserialize)]
pub(crate) struct Register {
    name: String,
    #[serde(default)]
    description: String,
    category: String,
    #[serde(default)]
    tags: Vec<String>,
    api_endpoint: String,
    pricing: Pricing,
}

#[derive(Debug, Deserialize)]
struct Pricing {
    model: String,
    price_per_call: Box<RawValue>,
    /// A dollar is a USDC here.
    currency: Option<String>,
    /// Calls that are bought at least.
    min_calls: Option<u64>,
}

impl Pricing {
    /// What the price is for; what nobody here could keep to is not promised.
    fn price_for(&self) -> Result<PriceFor, ApiError> {
        let unsupported = |told: String, hint| Err(ApiError::bad_request("unsupported_pricing", told, hint));
        if let Some(currency) = self.currency.as_deref().filter(|currency| !matches!(*currency, "USD" | "USDC")) {
            return unsupported(format!("nobody is paid in {currency:?}"), "use the currency USDC, or leave it out");
        }
        if let Some(calls) = self.min_calls.filter(|calls| *calls != 1) {
            let told = format!("calls are sold one by one, not {calls} at least");
            return unsupported(
                told,
                "use min_calls 1, or leave it out; what has to be worth it can cost more per call",
            );
        }
        PriceFor::of(&self.model).map_or_else(
            || unsupported(format!("pricing model {:?} is not sold", self.model), "use the model per_call or outcome"),
            Ok,
        )
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Registered {
    agent_id: String,
    status: &'static str,
}

pub(crate) async fn register_agent(
    State(state): State<AppState>,
    Json(body): Json<Register>,
) -> Result<axum::Json<Registered>, ApiError> {
    let agent = state.api.add_agent(draft(body)?).await?;
    Ok(axum::Json(Registered { agent_id: agent.did, status: "registered" }))
}

fn draft(body: Register) -> Result<NewAgent, ApiError> {
    let pricing = body.pricing.price_for()?;
    let price =
        Usdc::from_json_text(body.pricing.price_per_call.get()).map_err(|error| ApiError::from_coded(&error))?;
    Ok(NewAgent {
        name: slug(&body.name),
        description: body.description,
        category: body.category,
        tags: body.tags,
        price,
        input_schema: None,
        output_schema: None,
        deliver_within_seconds: 300,
        executor: Executor::Http { url: body.api_endpoint },
        extended: None,
        draft: false,
        regions: Vec::new(),
        pricing,
    })
}

/// `My Agent!` becomes `my-agent`.
pub(super) fn slug(name: &str) -> String {
    let words: Vec<String> = name
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    words.join("-")
}
