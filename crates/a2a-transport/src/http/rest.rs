//! The HTTP+JSON binding (A2A section 11): the same operations as paths and methods.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Extension, Router,
    body::to_bytes,
    extract::{Path, RawQuery, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use futures::StreamExt as _;
use haggle_a2a::{A2aError, Kind, MAX_BODY_BYTES, types::methods};
use serde_json::{Map, Value, json};

use super::{Asked, CallerScope, HttpConfig, base_url, did, is_json, perform, service_params, sse, with_extensions};
use crate::Answer;

/// The media type of this binding; requests in plain JSON are answered in plain JSON.
const A2A_JSON: &str = "application/a2a+json";

type Segments = HashMap<String, String>;

/// What a path and a method ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Send,
    Stream,
    Tasks,
    /// Reads a task, or follows it.
    ReadTask,
    /// Does something to a task.
    ActOnTask,
    ListConfigs,
    CreateConfig,
    GetConfig,
    DeleteConfig,
    ExtendedCard,
}

/// The paths of the binding below an agent's URL, or below an agent's tenant.
pub(super) fn routes(below: &str) -> Router<Arc<HttpConfig>> {
    let at = |path: &str| format!("{below}{path}");
    let reads = |route: Route| get(answer).layer(Extension(route));
    let writes = |route: Route| post(answer).layer(Extension(route));
    let deletes = |route: Route| delete(answer).layer(Extension(route));
    let configs = "/tasks/{task}/pushNotificationConfigs";
    Router::new()
        .route(&at("/message:send"), writes(Route::Send))
        .route(&at("/message:stream"), writes(Route::Stream))
        .route(&at("/tasks"), reads(Route::Tasks))
        .route(&at("/tasks/{task}"), reads(Route::ReadTask).merge(writes(Route::ActOnTask)))
        .route(&at(configs), reads(Route::ListConfigs).merge(writes(Route::CreateConfig)))
        .route(&at(&format!("{configs}/{{config}}")), reads(Route::GetConfig).merge(deletes(Route::DeleteConfig)))
        .route(&at("/extendedAgentCard"), reads(Route::ExtendedCard))
}

async fn answer(
    State(config): State<Arc<HttpConfig>>,
    Extension(route): Extension<Route>,
    Path(segments): Path<Segments>,
    RawQuery(query): RawQuery,
    scope: Option<Extension<CallerScope>>,
    request: Request,
) -> Response {
    let Some(agent) = segments.get("did").and_then(|agent| did(agent)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let Some(Extension(CallerScope(scope))) = scope else { return StatusCode::UNAUTHORIZED.into_response() };
    let (head, body) = request.into_parts();
    let media = media_type(&head.headers);
    if route.has_body() && !is_json(&head.headers) {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else {
        return refused(&A2aError::new(Kind::TooLarge, "the request is over 1 MiB"), media);
    };
    let params = match service_params(&head.headers, query.as_deref()) {
        Ok(params) => params,
        Err(error) => return refused(&error, media),
    };
    let asked = Asked { agent, scope, params, base: base_url(&config, &head.headers) };
    let answer = match operation(route, &segments, query.as_deref(), &body) {
        Err(error) => Err(error),
        Ok((method, body)) => perform(&config, &asked, method, body).await.map(|answer| (method, answer)),
    };
    let response = match answer {
        Err(error) => refused(&error, media),
        Ok((methods::GET_EXTENDED_AGENT_CARD, Answer::One(card))) => {
            // it is the caller's own, so no cache on the way may keep it
            ([(header::CACHE_CONTROL, "private, max-age=60")], typed(StatusCode::OK, &card, media)).into_response()
        }
        Ok((_, Answer::One(result))) => typed(StatusCode::OK, &result, media),
        Ok((_, Answer::Many(events))) => {
            sse(events.map(|event| event.unwrap_or_else(|error| error.to_status_json())).boxed())
        }
    };
    with_extensions(response, &config, &asked).await
}

impl Route {
    /// Whether the path does not say everything there is to say.
    fn has_body(self) -> bool {
        matches!(self, Self::Send | Self::Stream | Self::CreateConfig)
    }
}

/// Which operation is meant, and its parameters.
fn operation(
    route: Route,
    segments: &Segments,
    query: Option<&str>,
    body: &[u8],
) -> Result<(&'static str, Value), A2aError> {
    let task = segments.get("task").map(String::as_str).unwrap_or_default();
    let (id, verb) = match task.rsplit_once(':') {
        Some((id, verb @ ("cancel" | "subscribe"))) => (id, Some(verb)),
        _ => (task, None),
    };
    let (method, mut params) = match (route, verb) {
        (Route::Send, _) => (methods::SEND_MESSAGE, object(body)?),
        (Route::Stream, _) => (methods::SEND_STREAMING_MESSAGE, object(body)?),
        (Route::Tasks, _) => (methods::LIST_TASKS, from_query(query)),
        (Route::ExtendedCard, _) => (methods::GET_EXTENDED_AGENT_CARD, Map::new()),
        (Route::ReadTask | Route::ActOnTask, Some("subscribe")) => (methods::SUBSCRIBE_TO_TASK, named("id", id)),
        (Route::ActOnTask, Some(_)) => (methods::CANCEL_TASK, with(optional_object(body)?, "id", id)),
        (Route::ReadTask, _) => (methods::GET_TASK, with(from_query(query), "id", task)),
        (Route::ActOnTask, None) => {
            return Err(A2aError::new(Kind::MethodNotFound, "no such operation; :cancel and :subscribe are known"));
        }
        (Route::ListConfigs, _) => (methods::LIST_PUSH_CONFIGS, with(from_query(query), "taskId", task)),
        (Route::CreateConfig, _) => (methods::CREATE_PUSH_CONFIG, with(object(body)?, "taskId", task)),
        (Route::GetConfig, _) => (methods::GET_PUSH_CONFIG, named("taskId", task)),
        (Route::DeleteConfig, _) => (methods::DELETE_PUSH_CONFIG, named("taskId", task)),
    };
    for (name, held) in [("id", segments.get("config")), ("tenant", segments.get("tenant"))] {
        params.extend(held.map(|held| (name.to_owned(), json!(held))));
    }
    Ok((method, Value::Object(params)))
}

fn named(name: &str, value: &str) -> Map<String, Value> {
    with(Map::new(), name, value)
}

fn with(mut params: Map<String, Value>, name: &str, value: &str) -> Map<String, Value> {
    params.insert(name.to_owned(), json!(value));
    params
}

fn object(body: &[u8]) -> Result<Map<String, Value>, A2aError> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(body)) => Ok(body),
        Ok(_) => Err(A2aError::new(Kind::InvalidRequest, "the body is one JSON object")),
        Err(cause) => Err(A2aError::new(Kind::Parse, format!("not JSON: {cause}"))),
    }
}

fn optional_object(body: &[u8]) -> Result<Map<String, Value>, A2aError> {
    if body.is_empty() { Ok(Map::new()) } else { object(body) }
}

/// The parameters of a query: numbers and flags by their names, everything else as text.
fn from_query(query: Option<&str>) -> Map<String, Value> {
    let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let read = |(name, text): (std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)| {
        let typed = match name.as_ref() {
            "pageSize" | "historyLength" | "includeArtifacts" => serde_json::from_str(&text).ok(),
            _ => None,
        };
        (name.into_owned(), typed.unwrap_or_else(|| json!(text)))
    };
    pairs.map(read).collect()
}

/// The media type to answer in: that of the request, or the one it asks for.
fn media_type(headers: &HeaderMap) -> &'static str {
    let names = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let asked = [names(header::CONTENT_TYPE), names(header::ACCEPT)];
    let is_a2a = asked.into_iter().flatten().any(|value| value.to_ascii_lowercase().contains(A2A_JSON));
    if is_a2a { A2A_JSON } else { "application/json" }
}

fn refused(error: &A2aError, media: &'static str) -> Response {
    let status = StatusCode::from_u16(error.kind().http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    typed(status, &error.to_status_json(), media)
}

fn typed(status: StatusCode, body: &Value, media: &'static str) -> Response {
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static(media))], body.to_string()).into_response()
}
