//! An agent that somebody else's A2A 1.0 server runs: messages are passed on over HTTP.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use haggle_a2a::{
    A2aError, Kind, MAX_BODY_BYTES, VERSION, card, message,
    params::{A2A_EXTENSIONS, A2A_VERSION},
    rpc,
    task::is_interrupted,
    types::{TaskState, methods},
};
use http::header::CONTENT_TYPE;
use reqwest::{Client, Response, redirect::Policy};
use serde_json::{Map, Value, json};
use tokio::{sync::Mutex, time::Instant};
use url::{Host, Url};

use crate::{Call, Executor, Outcome, Updates};

/// How long the backend's card is believed.
const CARD_TTL: Duration = Duration::from_secs(300);
/// Longest fetch of the card.
const CARD_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest cancellation.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time until the backend accepts a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest card of a backend, in bytes.
const MAX_CARD_BYTES: usize = 64 * 1024;
/// What the request that asks for a task is called in JSON-RPC; one call per HTTP request.
const CALL_ID: u64 = 1;
/// Fields of a task that this node sets itself.
const OURS: [&str; 5] = ["id", "contextId", "status", "artifacts", "history"];

/// Wraps the A2A server at a URL that **the operator has typed**: it may be on loopback. The card
/// found there may name no other host, and redirects are not followed.
#[derive(Debug)]
pub struct HttpExecutor {
    base: Url,
    client: Client,
    known: Mutex<Option<(Instant, Backend)>>,
}

/// What the backend's card says.
#[derive(Debug, Clone)]
struct Backend {
    card: Arc<Value>,
    url: Url,
    tenant: Option<String>,
}

fn invalid(text: impl Into<String>) -> A2aError {
    A2aError::new(Kind::InvalidAgentResponse, text)
}

impl HttpExecutor {
    /// Wraps the server at this URL (the card is expected below it, at
    /// `.well-known/agent-card.json`, unless the URL names a `.json` file itself).
    ///
    /// # Errors
    /// [`Kind::InvalidParams`] if it is no http or https URL.
    pub fn new(url: &str) -> Result<Self, A2aError> {
        let wrong = || A2aError::invalid_params("url", "must be an http or https URL");
        let base = Url::parse(url).map_err(|_| wrong())?;
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(wrong());
        }
        let client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .build()
            .map_err(|cause| A2aError::new(Kind::Internal, format!("no HTTP client: {cause}")))?;
        Ok(Self { base, client, known: Mutex::new(None) })
    }

    /// The backend's own card, to build the agent's card from ([`haggle_a2a::card::adopt`]).
    ///
    /// # Errors
    /// [`Kind::Unreachable`], or [`Kind::InvalidAgentResponse`] if there is no A2A 1.0 card with a
    /// JSON-RPC interface on the same host.
    pub async fn card(&self) -> Result<Arc<Value>, A2aError> {
        Ok(self.backend().await?.card)
    }

    async fn backend(&self) -> Result<Backend, A2aError> {
        let mut known = self.known.lock().await;
        if let Some((at, backend)) = known.as_ref()
            && at.elapsed() < CARD_TTL
        {
            return Ok(backend.clone());
        }
        let backend = self.fetch_card().await?;
        *known = Some((Instant::now(), backend.clone()));
        Ok(backend)
    }

    async fn fetch_card(&self) -> Result<Backend, A2aError> {
        let asked = self.client.get(self.card_url()?).timeout(CARD_TIMEOUT).send();
        let response = asked.await.map_err(|cause| not_sent(&cause))?;
        let card = json_body(response, MAX_CARD_BYTES).await?;
        card::check(&card).map_err(|fault| invalid(fault.to_string()))?;
        let Some(interface) = card::interface(&card, card::JSONRPC) else {
            return Err(invalid("the agent's card lists no JSONRPC interface for A2A 1.0"));
        };
        let url = Url::parse(interface.url).map_err(|_| invalid("the card's JSONRPC interface has no valid URL"))?;
        if !same_place(&url, &self.base) {
            return Err(invalid("the card's JSONRPC interface is on another host").with("url", url.to_string()));
        }
        let url = self.reachable(url);
        let tenant = interface.tenant.map(str::to_owned);
        Ok(Backend { card: Arc::new(card), url, tenant })
    }

    fn card_url(&self) -> Result<Url, A2aError> {
        if self.base.path().ends_with(".json") {
            return Ok(self.base.clone());
        }
        let mut base = self.base.clone();
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        base.join(card::WELL_KNOWN).map_err(|_| invalid("the URL cannot be completed to a card's"))
    }

    /// The interface under the host that the operator typed: `0.0.0.0` in a card is no address.
    fn reachable(&self, mut url: Url) -> Url {
        let host = self.base.host_str().map(str::to_owned);
        if url.set_host(host.as_deref()).is_err() {
            tracing::debug!("the backend's URL keeps its own host");
        }
        url
    }

    async fn ask(
        &self,
        method: &str,
        params: Value,
        call: Option<&Call>,
        deadline: Duration,
    ) -> Result<Value, A2aError> {
        let backend = self.backend().await?;
        let mut params = params;
        if let (Some(tenant), Some(map)) = (backend.tenant, params.as_object_mut()) {
            map.insert("tenant".to_owned(), Value::String(tenant));
        }
        let body = rpc::request(CALL_ID, method, params).to_string();
        let mut request = self
            .client
            .post(backend.url)
            .header(CONTENT_TYPE, "application/json")
            .header(A2A_VERSION, VERSION)
            .timeout(deadline)
            .body(body);
        let extensions = call.map(|call| call.extensions.join(",")).unwrap_or_default();
        if !extensions.is_empty() {
            request = request.header(A2A_EXTENSIONS, extensions);
        }
        let response = request.send().await.map_err(|cause| not_sent(&cause))?;
        rpc::result(json_body(response, MAX_BODY_BYTES).await?)
    }
}

#[async_trait]
impl Executor for HttpExecutor {
    async fn execute(&self, call: Call, _updates: Updates) -> Result<Outcome, A2aError> {
        let mut message = call.message.clone();
        if let Some(map) = message.as_object_mut() {
            // The backend knows its own task and context ids, not ours.
            for (key, pointer) in [("taskId", "/task"), ("contextId", "/context")] {
                let theirs = call.resume.as_ref().and_then(|resume| resume.pointer(pointer));
                match theirs {
                    Some(theirs) => map.insert(key.to_owned(), theirs.clone()),
                    None => map.remove(key),
                };
            }
        }
        let params = json!({ "message": message, "configuration": { "returnImmediately": false } });
        let result = self.ask(methods::SEND_MESSAGE, params, Some(&call), call.deadline).await?;
        outcome(result)
    }

    async fn cancelled(&self, resume: Option<Value>) {
        let Some(task) = resume.as_ref().and_then(|resume| resume.get("task")) else { return };
        let params = json!({ "id": task });
        if let Err(error) = self.ask(methods::CANCEL_TASK, params, None, CANCEL_TIMEOUT).await {
            tracing::debug!(error = %error, "the backend did not cancel its task: {error}");
        }
    }
}

/// Reads the backend's reply: exactly one of task and message.
fn outcome(result: Value) -> Result<Outcome, A2aError> {
    let Value::Object(mut result) = result else {
        return Err(invalid("the agent's result is no object"));
    };
    match (result.remove("task"), result.remove("message")) {
        (None | Some(Value::Null), Some(mut reply)) => {
            check_parts(&reply)?;
            if let Some(map) = reply.as_object_mut() {
                map.remove("taskId");
                map.remove("contextId");
            }
            Ok(Outcome::Message(reply))
        }
        (Some(Value::Object(task)), None | Some(Value::Null)) => task_outcome(task),
        _ => Err(invalid("the agent's result holds neither a task nor a message")),
    }
}

fn task_outcome(mut task: Map<String, Value>) -> Result<Outcome, A2aError> {
    let status = task.get("status");
    let state: TaskState = status
        .and_then(|status| status.get("state"))
        .and_then(|state| serde_json::from_value(state.clone()).ok())
        .ok_or_else(|| invalid("the agent's task has no known state"))?;
    if !state.is_terminal() && !is_interrupted(&state) {
        return Err(invalid("the agent answered a blocking call with an unfinished task"));
    }
    let said = status.and_then(|status| status.get("message")).filter(|said| !said.is_null()).cloned();
    if let Some(said) = &said {
        check_parts(said)?;
    }
    let artifacts = match task.remove("artifacts") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(artifacts)) => artifacts,
        Some(_) => return Err(invalid("the agent's artifacts are no list")),
    };
    for artifact in &artifacts {
        check_parts(artifact)?;
    }
    let theirs = |key: &str| task.get(key).cloned().unwrap_or_default();
    let resume = is_interrupted(&state).then(|| json!({ "task": theirs("id"), "context": theirs("contextId") }));
    let extra = task.into_iter().filter(|(key, _)| !OURS.contains(&key.as_str())).collect();
    Ok(Outcome::Task { state, artifacts, message: said, extra, resume })
}

fn check_parts(holder: &Value) -> Result<(), A2aError> {
    let parts = holder.get("parts").and_then(Value::as_array);
    let good =
        parts.is_some_and(|parts| !parts.is_empty() && parts.iter().all(|part| message::check_part(part).is_ok()));
    if good { Ok(()) } else { Err(invalid("the agent answered without valid parts")) }
}

/// Reads a JSON body of at most `max` bytes.
async fn json_body(mut response: Response, max: usize) -> Result<Value, A2aError> {
    let status = response.status();
    if !status.is_success() {
        return Err(invalid(format!("the agent's server answered HTTP {}", status.as_u16())));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|cause| lost(&cause))? {
        if body.len() + chunk.len() > max {
            return Err(invalid(format!("the agent's answer is over {max} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).map_err(|_| invalid("the agent's answer is not JSON"))
}

fn not_sent(cause: &reqwest::Error) -> A2aError {
    if cause.is_connect() {
        A2aError::new(Kind::Unreachable, "the agent's server does not accept connections")
    } else {
        lost(cause)
    }
}

fn lost(cause: &reqwest::Error) -> A2aError {
    if cause.is_timeout() {
        A2aError::new(Kind::DeadlineExceeded, "the agent's server did not answer in time")
    } else {
        A2aError::connection_lost()
    }
}

/// True if both name the same port of the same host; all names of this machine are one host.
fn same_place(one: &Url, other: &Url) -> bool {
    let host = |url: &Url| match url.host() {
        Some(Host::Domain(name)) if name != "localhost" => Some(name.to_owned()),
        Some(Host::Ipv4(ip)) if !ip.is_loopback() && !ip.is_unspecified() => Some(ip.to_string()),
        Some(Host::Ipv6(ip)) if !ip.is_loopback() && !ip.is_unspecified() => Some(ip.to_string()),
        Some(_) => Some("localhost".to_owned()),
        None => None,
    };
    one.scheme() == other.scheme()
        && host(one) == host(other)
        && one.port_or_known_default() == other.port_or_known_default()
}
