//! The HTTP door: JSON-RPC and cards of every agent, local or remote, under one router.
//!
//! Who the caller is has been settled by a layer around this router, which leaves a
//! [`CallerScope`] in the request; without one nothing is called.

use std::{fmt, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::{Body, to_bytes},
    extract::{Path, RawQuery, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use haggle_a2a::{
    A2aError, Kind, MAX_BODY_BYTES, ServiceParams, card,
    params::{A2A_EXTENSIONS, A2A_VERSION, HAGGLE_CALLER},
    rpc,
};
use haggle_base::{Did, Hash};
use serde_json::Value;

use crate::{Caller, Remote, RemoteCall, Server};

/// How long a card may be kept, in seconds.
const CARD_MAX_AGE: &str = "max-age=60";
/// Longest wait for a remote agent.
const REMOTE_DEADLINE: Duration = Duration::from_secs(60);
/// Largest agent name in a path, in bytes.
const MAX_AGENT_BYTES: usize = 128;

/// The stable name of an authenticated caller; put into the request by the layer that checked it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerScope(pub String);

/// What the router works with.
#[derive(Clone)]
pub struct HttpConfig {
    /// The agents of this node.
    pub server: Server,
    /// Everybody else's; `None` serves local agents only.
    pub remote: Option<Arc<dyn Remote>>,
    /// The URL this gateway is reached under, without a trailing slash; `None` takes the request's
    /// Host header, which the layer around has checked.
    pub base_url: Option<String>,
    /// The gateway's cards say that a bearer token is needed.
    pub bearer: bool,
}

impl fmt::Debug for HttpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpConfig").field("server", &self.server).finish_non_exhaustive()
    }
}

/// The routes, with `config` as their state.
pub fn router(config: HttpConfig) -> Router {
    Router::new()
        .route("/a2a/{did}", post(call_agent))
        .route("/a2a/{did}/", post(call_agent))
        .route("/a2a/{did}/.well-known/agent-card.json", get(show_gateway_card))
        .route("/a2a/{did}/agent-card.json", get(show_original_card))
        .with_state(Arc::new(config))
}

async fn call_agent(
    State(config): State<Arc<HttpConfig>>,
    Path(agent): Path<String>,
    RawQuery(query): RawQuery,
    scope: Option<Extension<CallerScope>>,
    request: Request,
) -> Response {
    let Some(agent) = did(&agent) else { return StatusCode::NOT_FOUND.into_response() };
    let Some(Extension(CallerScope(scope))) = scope else { return StatusCode::UNAUTHORIZED.into_response() };
    let (head, body) = request.into_parts();
    if !is_json(&head.headers) {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else {
        let error = A2aError::new(Kind::TooLarge, "the request is over 1 MiB");
        return (StatusCode::PAYLOAD_TOO_LARGE, json_answer(&rpc::response(Value::Null, Err(error)))).into_response();
    };
    let request = match rpc::value_from_slice(&body) {
        Ok(request) => request,
        Err(unreadable) => return json_answer(&rpc::response(unreadable.id, Err(unreadable.error))),
    };
    let id = answerable_id(&request);
    let params = match service_params(&head.headers, query.as_deref()) {
        Ok(params) => params,
        Err(error) => return json_answer(&rpc::response(id, Err(error))),
    };
    match config.server.card(&agent) {
        Some(card) => {
            let answer = config.server.call_with(Caller::http(&scope), &agent, request, &params, None).await;
            with_extensions(json_answer(&answer), &card, &params)
        }
        None => call_remote(&config, &agent, scope, id, request, params).await,
    }
}

async fn call_remote(
    config: &HttpConfig,
    agent: &Did,
    scope: String,
    id: Value,
    request: Value,
    mut params: ServiceParams,
) -> Response {
    let request = match rpc::Request::parse(request.clone()) {
        Ok(_) => request,
        Err(unreadable) => return json_answer(&rpc::response(unreadable.id, Err(unreadable.error))),
    };
    if let Err(error) = params.check_version() {
        return json_answer(&rpc::response(id, Err(error)));
    }
    let Some(remote) = &config.remote else {
        let error = A2aError::new(Kind::AgentNotFound, "no such agent here");
        return json_answer(&rpc::response(id, Err(error)));
    };
    // The other node knows only this node; the hash keeps this node's callers apart there.
    params.sub_caller = Some(Hash::of(scope.as_bytes()).to_string());
    let call = RemoteCall { request, params, scope, deadline: REMOTE_DEADLINE };
    match remote.call(agent, call).await {
        Ok(answer) => json_answer(&answer),
        Err(error) => json_answer(&rpc::response(id, Err(error))),
    }
}

async fn show_gateway_card(
    State(config): State<Arc<HttpConfig>>,
    Path(agent): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Some(agent) = did(&agent) else { return StatusCode::NOT_FOUND.into_response() };
    let Some(original) = original_card(&config, &agent).await else { return StatusCode::NOT_FOUND.into_response() };
    let Some(base) = base_url(&config, &headers) else { return StatusCode::BAD_REQUEST.into_response() };
    let card = card::gateway(&original, &format!("{base}/a2a/{agent}"), config.bearer);
    card_answer(&card, &headers)
}

async fn show_original_card(
    State(config): State<Arc<HttpConfig>>,
    Path(agent): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Some(agent) = did(&agent) else { return StatusCode::NOT_FOUND.into_response() };
    match original_card(&config, &agent).await {
        Some(card) => card_answer(&card, &headers),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn original_card(config: &HttpConfig, agent: &Did) -> Option<Arc<Value>> {
    match config.server.card(agent) {
        Some(card) => Some(card),
        None => config.remote.as_ref()?.card(agent).await.map(Arc::new),
    }
}

fn did(text: &str) -> Option<Did> {
    if text.len() > MAX_AGENT_BYTES { None } else { text.parse().ok() }
}

fn base_url(config: &HttpConfig, headers: &HeaderMap) -> Option<String> {
    if let Some(base) = &config.base_url {
        return Some(base.trim_end_matches('/').to_owned());
    }
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let plain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".:-[]".contains(&byte));
    plain.then(|| format!("http://{host}"))
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let essence = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
    essence.is_some_and(|kind| {
        ["application/json", "application/a2a+json"].iter().any(|known| kind.eq_ignore_ascii_case(known))
    })
}

/// The id to answer under when the envelope has not been judged yet.
fn answerable_id(request: &Value) -> Value {
    match rpc::Request::parse(request.clone()) {
        Ok(request) => request.id,
        Err(unreadable) => unreadable.id,
    }
}

fn service_params(headers: &HeaderMap, query: Option<&str>) -> Result<ServiceParams, A2aError> {
    let from_query = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .find(|(name, _)| name.eq_ignore_ascii_case(A2A_VERSION));
    let pairs = headers
        .iter()
        .filter(|(name, _)| !name.as_str().eq_ignore_ascii_case(HAGGLE_CALLER))
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let in_query = from_query.iter().map(|(name, value)| (name.as_ref(), value.as_ref()));
    ServiceParams::from_pairs(in_query.chain(pairs))
}

fn json_answer(body: &Value) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body.to_string()).into_response()
}

/// Echoes the extensions that are active: named by the caller and listed in the card.
fn with_extensions(mut response: Response, card: &Value, params: &ServiceParams) -> Response {
    let known = card::extensions(card, false);
    let active: Vec<&str> =
        params.extensions.iter().map(String::as_str).filter(|named| known.contains(named)).collect();
    if let Ok(value) = HeaderValue::from_str(&active.join(","))
        && !active.is_empty()
    {
        response.headers_mut().insert(header::HeaderName::from_static("a2a-extensions"), value);
    }
    debug_assert!(A2A_EXTENSIONS.eq_ignore_ascii_case("a2a-extensions"));
    response
}

fn card_answer(card: &Value, asked: &HeaderMap) -> Response {
    let body = card.to_string();
    let etag = format!("\"{}\"", Hash::of(body.as_bytes()));
    let held = asked.get(header::IF_NONE_MATCH).and_then(|held| held.to_str().ok());
    let fresh = held.is_some_and(|held| held == "*" || held.split(',').any(|tag| tag.trim() == etag));
    let headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::CACHE_CONTROL, CARD_MAX_AGE.to_owned()),
        (header::ETAG, etag),
    ];
    if fresh {
        (StatusCode::NOT_MODIFIED, headers, Body::empty()).into_response()
    } else {
        (headers, body).into_response()
    }
}
