//! The owner's typed messages at `/a2a/message`: a word says what is wanted, and each has its answer.

use crate::controllers::messages::amount;
use crate::controllers::seed::slug;
use crate::error::ApiError;
use crate::extract::Json;
use crate::state::AppState;
use crate::view::{Executor, Service, ServiceSearch, TypedAnswer, TypedMessage, TypedWish};
use axum::extract::State;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

/// What every typed message has; the rest depends on its type.
#[derive(Debug, Deserialize)]
struct Head {
    #[serde(rename = "type")]
    kind: String,
    from: Option<String>,
    #[serde(alias = "messageId")]
    message_id: Option<String>,
}

/// The same where the route says what is wanted.
#[derive(Debug, Deserialize)]
struct Untyped {
    #[serde(rename = "type")]
    kind: Option<String>,
    from: Option<String>,
    #[serde(alias = "messageId")]
    message_id: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ListService {
    service: ServiceBody,
}

#[derive(Debug, Deserialize)]
struct ServiceBody {
    #[serde(rename = "type")]
    category: String,
    name: String,
    #[serde(default)]
    description: String,
    price: Box<RawValue>,
    #[serde(default)]
    metadata: Metadata,
}

/// What runs the service; everything else that stands in the owner's metadata is for its reader.
#[derive(Debug, Default, Deserialize)]
struct Metadata {
    api_endpoint: Option<String>,
    builtin: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Search {
    query: Option<String>,
    service_type: Option<String>,
    min_price: Option<Box<RawValue>>,
    max_price: Option<Box<RawValue>>,
}

#[derive(Debug, Deserialize)]
struct Purchase {
    listing_id: String,
    #[serde(default = "nothing")]
    input: Value,
}

#[derive(Debug, Deserialize)]
struct OrderComplete {
    order_id: String,
    output: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Dispute {
    order_id: String,
    reason: String,
    #[serde(default)]
    evidence: Value,
}

fn nothing() -> Value {
    Value::Object(serde_json::Map::new())
}

pub(crate) async fn typed_message(
    State(state): State<AppState>,
    Json(said): Json<Box<RawValue>>,
) -> Result<axum::Json<TypedAnswer>, ApiError> {
    let head: Head = read(&said)?;
    let wish = match head.kind.as_str() {
        "list_service" => TypedWish::ListService(service(read::<ListService>(&said)?.service)?),
        "search_request" => TypedWish::Search(search(read(&said)?)?),
        "purchase_request" => {
            let Purchase { listing_id, input } = read(&said)?;
            TypedWish::Purchase { listing: listing_id, input }
        }
        "order_complete" => {
            let OrderComplete { order_id, output } = read(&said)?;
            TypedWish::OrderComplete { order: order_id, output }
        }
        "dispute_request" => {
            let Dispute { order_id, reason, evidence } = read(&said)?;
            TypedWish::Dispute { order: order_id, reason, evidence }
        }
        unknown => {
            return Err(ApiError::bad_request(
                "unknown_message_type",
                format!("no message has the type {unknown:?}"),
                "send list_service, search_request, purchase_request, order_complete or dispute_request",
            ));
        }
    };
    let message = TypedMessage { from: head.from, message_id: head.message_id, wish, said };
    Ok(axum::Json(state.api.typed_message(message).await?))
}

/// A `list_service` whose type may be left out.
pub(crate) async fn list_service(
    State(state): State<AppState>,
    Json(said): Json<Box<RawValue>>,
) -> Result<axum::Json<TypedAnswer>, ApiError> {
    let Untyped { kind, from, message_id } = read(&said)?;
    if let Some(other) = kind.filter(|kind| kind != "list_service") {
        return Err(ApiError::bad_request(
            "unknown_message_type",
            format!("a service is not listed by a message of the type {other:?}"),
            "leave the type out, or send the message to /a2a/message",
        ));
    }
    let wish = TypedWish::ListService(service(read::<ListService>(&said)?.service)?);
    state.api.typed_message(TypedMessage { from, message_id, wish, said }).await.map(axum::Json)
}

/// A `dispute_request` without its envelope.
pub(crate) async fn create_dispute(
    State(state): State<AppState>,
    Json(said): Json<Box<RawValue>>,
) -> Result<axum::Json<TypedAnswer>, ApiError> {
    let Dispute { order_id, reason, evidence } = read(&said)?;
    let wish = TypedWish::Dispute { order: order_id, reason, evidence };
    let message = TypedMessage { from: None, message_id: None, wish, said };
    state.api.typed_message(message).await.map(axum::Json)
}

fn read<T: DeserializeOwned>(said: &RawValue) -> Result<T, ApiError> {
    serde_json::from_str(said.get()).map_err(|error| {
        let hint = "send the fields that docs/protocols/messages.md lists for the type";
        ApiError::new(axum::http::StatusCode::UNPROCESSABLE_ENTITY, "invalid_body", error.to_string(), hint)
    })
}

fn service(body: ServiceBody) -> Result<Service, ApiError> {
    let Metadata { api_endpoint, builtin } = body.metadata;
    let executor = match (api_endpoint, builtin) {
        (Some(url), None) => Some(Executor::Http { url }),
        (None, Some(name)) => Some(Executor::Builtin { name }),
        (None, None) => None,
        (Some(_), Some(_)) => {
            let hint = "give one of metadata.api_endpoint and metadata.builtin";
            return Err(ApiError::bad_request("invalid_agent", "two things would run the service", hint));
        }
    };
    Ok(Service {
        category: body.category,
        name: slug(&body.name),
        description: body.description,
        price: amount(&body.price)?,
        executor,
    })
}

fn search(body: Search) -> Result<ServiceSearch, ApiError> {
    Ok(ServiceSearch {
        words: body.query,
        category: body.service_type,
        min_price: body.min_price.as_deref().map(amount).transpose()?,
        max_price: body.max_price.as_deref().map(amount).transpose()?,
    })
}
