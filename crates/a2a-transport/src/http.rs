//! The HTTP door: JSON-RPC, HTTP+JSON and cards of every agent, local or remote, under one router.
//!
//! Who the caller is has been settled by a layer around this router, which leaves a
//! [`CallerScope`] in the request; without one nothing is called.

use std::{convert::Infallible, fmt, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::to_bytes,
    extract::{Path, RawQuery, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::post,
};
use futures::{StreamExt as _, stream::BoxStream};
use haggle_a2a::{
    A2aError, Kind, MAX_BODY_BYTES, ServiceParams, card,
    params::{A2A_EXTENSIONS, A2A_VERSION, HAGGLE_CALLER, X_A2A_EXTENSIONS},
    rpc,
    types::methods,
};
use haggle_base::{Did, Hash};
use serde_json::Value;

use crate::{Answer, Caller, CardSigner, Remote, RemoteCall, Server};

mod cards;
mod rest;

/// Longest wait for a remote agent.
const REMOTE_DEADLINE: Duration = Duration::from_secs(60);
/// The id of the requests that go to other nodes; one call each.
const CALL_ID: u64 = 1;
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
    /// Signs the gateway's cards of the agents of this node; without one they are unsigned.
    pub signer: Option<Arc<dyn CardSigner>>,
}

impl fmt::Debug for HttpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpConfig").field("server", &self.server).finish_non_exhaustive()
    }
}

/// The routes, with `config` as their state.
pub fn router(config: HttpConfig) -> Router {
    let config = Arc::new(config);
    Router::new()
        .route("/a2a/{did}", post(call_agent))
        .route("/a2a/{did}/", post(call_agent))
        .merge(cards::routes())
        .merge(rest::routes("/a2a/{did}"))
        .merge(rest::routes("/a2a/{did}/{tenant}"))
        .with_state(config)
}

/// One call that has passed the door.
struct Asked {
    agent: Did,
    scope: String,
    params: ServiceParams,
    /// The URL that the caller reached the gateway under.
    base: Option<String>,
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
    let rpc::Request { id, method, params: body } = match rpc::Request::from_slice(&body) {
        Ok(request) => request,
        Err(unreadable) => return json_answer(&rpc::response(unreadable.id, Err(unreadable.error))),
    };
    let params = match service_params(&head.headers, query.as_deref()) {
        Ok(params) => params,
        Err(error) => return json_answer(&rpc::response(id, Err(error))),
    };
    let asked = Asked { agent, scope, params, base: base_url(&config, &head.headers) };
    let answer = match perform(&config, &asked, &method, body).await {
        Err(error) => json_answer(&rpc::response(id, Err(error))),
        Ok(Answer::One(result)) => json_answer(&rpc::response(id, Ok(result))),
        Ok(Answer::Many(events)) => sse(events.map(move |event| rpc::response(id.clone(), event)).boxed()),
    };
    with_extensions(answer, &config, &asked).await
}

/// Runs one operation, here or at the node that has the agent. Extended cards name the gateway as its own cards do.
async fn perform(config: &HttpConfig, asked: &Asked, method: &str, body: Value) -> Result<Answer, A2aError> {
    match operate(config, asked, method, body).await? {
        Answer::One(card) if method == methods::GET_EXTENDED_AGENT_CARD => {
            Ok(Answer::One(gateway_card(config, &asked.agent, &card, asked.base.as_deref())?))
        }
        answer => Ok(answer),
    }
}

async fn operate(config: &HttpConfig, asked: &Asked, method: &str, body: Value) -> Result<Answer, A2aError> {
    let Asked { agent, scope, params, .. } = asked;
    if config.server.answers_for(agent) {
        return config.server.operate(&Caller::http(scope), agent, method, body, params, None).await;
    }
    params.check_version()?;
    let remote = config.remote.as_ref().ok_or_else(|| A2aError::new(Kind::AgentNotFound, "no such agent here"))?;
    // The other node knows only this node; the hash keeps this node's callers apart there.
    let sub_caller = Some(Hash::of(scope.as_bytes()).to_string());
    let params = ServiceParams { sub_caller, ..params.clone() };
    let request = rpc::request(CALL_ID, method, body);
    remote.call(agent, RemoteCall { request, params, scope: scope.clone(), deadline: REMOTE_DEADLINE }).await
}

/// The agent's card as it can be used from here: signed anew if the agent is ours, unsigned if it is somebody else's.
fn gateway_card(config: &HttpConfig, agent: &Did, original: &Value, base: Option<&str>) -> Result<Value, A2aError> {
    let base = base.ok_or_else(|| A2aError::new(Kind::InvalidRequest, "the request names no host"))?;
    let card = card::gateway(original, &format!("{base}/a2a/{agent}"), config.bearer);
    match &config.signer {
        Some(signer) if config.server.card(agent).is_some() => Ok(signer.sign(agent, card)),
        _ => Ok(card),
    }
}

/// The card that the agent signed itself, for a caller of this scope or for one who does not say who it is.
async fn original_card(config: &HttpConfig, scope: Option<&str>, agent: &Did) -> Option<Arc<Value>> {
    match config.server.card(agent) {
        Some(card) => config.server.shows(scope.map(Caller::http).as_ref(), agent).then_some(card),
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

/// A stream of server-sent events, one JSON object each. It ends where the events end.
fn sse(events: BoxStream<'static, Value>) -> Response {
    let events = events.map(|event| Ok::<_, Infallible>(Event::default().data(event.to_string())));
    Sse::new(events).keep_alive(KeepAlive::default()).into_response()
}

/// Echoes the extensions that are active: named by the caller and listed in the card. Under both names of the header, for
/// a2a-x402 asks for the older one.
async fn with_extensions(mut response: Response, config: &HttpConfig, asked: &Asked) -> Response {
    if asked.params.extensions.is_empty() {
        return response;
    }
    let Some(card) = original_card(config, Some(&asked.scope), &asked.agent).await else { return response };
    let known = card::extensions(&card, false);
    let named = asked.params.extensions.iter().map(String::as_str);
    let active: Vec<&str> = named.filter(|named| known.contains(named)).collect();
    if let Ok(value) = HeaderValue::from_str(&active.join(","))
        && !active.is_empty()
    {
        for name in [A2A_EXTENSIONS, X_A2A_EXTENSIONS] {
            if let Ok(name) = header::HeaderName::try_from(name) {
                response.headers_mut().insert(name, value.clone());
            }
        }
    }
    response
}
