//! The HTTP+JSON binding (A2A section 11): the same operations as paths and methods.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Extension, Router,
    body::to_bytes,
    extract::{Path, RawQuery, Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures::StreamExt as _;
use haggle_a2a::{A2aError, Kind, MAX_BODY_BYTES, types::methods};
use serde_json::{Map, Value, json};

use super::{Asked, CallerScope, HttpConfig, base_url, did, is_json, perform, service_params, sse, with_extensions};
use crate::Answer;

/// The media type of this binding; requests in plain JSON are answered in plain JSON.
const A2A_JSON: &str = "application/a2a+json";

type Segments = HashMap<String, String>;

/// The paths of the binding below an agent's URL, or below an agent's tenant.
pub(super) fn routes(below: &str) -> Router<Arc<HttpConfig>> {
    let at = |path: &str| format!("{below}{path}");
    Router::new()
        .route(&at("/message:send"), post(answer))
        .route(&at("/message:stream"), post(answer))
        .route(&at("/tasks"), get(answer))
        .route(&at("/tasks/{task}"), get(answer).post(answer))
        .route(&at("/tasks/{task}/pushNotificationConfigs"), get(answer).post(answer))
        .route(&at("/tasks/{task}/pushNotificationConfigs/{config}"), get(answer).delete(answer))
        .route(&at("/extendedAgentCard"), get(answer))
}

async fn answer(
    State(config): State<Arc<HttpConfig>>,
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
    let has_body = head.method == Method::POST && !is_action(&head);
    if has_body && !is_json(&head.headers) {
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
    let answer = match operation(&head, &segments, query.as_deref(), &body) {
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
    with_extensions(response, &config, &asked)
}

/// Which operation a path means, and its parameters.
fn operation(
    head: &Parts,
    segments: &Segments,
    query: Option<&str>,
    body: &[u8],
) -> Result<(&'static str, Value), A2aError> {
    let path = head.uri.path();
    let last = path.rsplit('/').next().unwrap_or_default();
    let is_get = head.method == Method::GET;
    let (method, mut params) = match last {
        "message:send" => (methods::SEND_MESSAGE, object(body)?),
        "message:stream" => (methods::SEND_STREAMING_MESSAGE, object(body)?),
        "tasks" => (methods::LIST_TASKS, from_query(query)),
        "extendedAgentCard" => (methods::GET_EXTENDED_AGENT_CARD, Map::new()),
        "pushNotificationConfigs" if is_get => (methods::LIST_PUSH_CONFIGS, from_query(query)),
        "pushNotificationConfigs" => (methods::CREATE_PUSH_CONFIG, object(body)?),
        _ if segments.contains_key("config") && is_get => (methods::GET_PUSH_CONFIG, Map::new()),
        _ if segments.contains_key("config") => (methods::DELETE_PUSH_CONFIG, Map::new()),
        _ if last.ends_with(":cancel") && !is_get => (methods::CANCEL_TASK, optional_object(body)?),
        _ if last.ends_with(":subscribe") => (methods::SUBSCRIBE_TO_TASK, Map::new()),
        _ if is_get => (methods::GET_TASK, from_query(query)),
        _ => return Err(A2aError::new(Kind::MethodNotFound, "no such operation; :cancel and :subscribe are known")),
    };
    if let Some(task) = segments.get("task") {
        let id = task.strip_suffix(":cancel").or_else(|| task.strip_suffix(":subscribe")).unwrap_or(task);
        let (name, config) = ("taskId", segments.get("config"));
        if path.contains("/pushNotificationConfigs") {
            params.insert(name.to_owned(), json!(id));
            params.extend(config.map(|config| ("id".to_owned(), json!(config))));
        } else {
            params.insert("id".to_owned(), json!(id));
        }
    }
    if let Some(tenant) = segments.get("tenant") {
        params.insert("tenant".to_owned(), json!(tenant));
    }
    Ok((method, Value::Object(params)))
}

/// Whether the path says everything there is to say.
fn is_action(head: &Parts) -> bool {
    [":cancel", ":subscribe"].iter().any(|action| head.uri.path().ends_with(action))
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
