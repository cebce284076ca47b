//! Who may speak to the gateway: Host and Origin allow-lists, and the API token.

use crate::error::ApiError;
use crate::ports::NodeApi;
use crate::successor::PREFIX;
use crate::view::KeyScope;
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use haggle_a2a_transport::CallerScope;
use haggle_base::Hash;
use std::net::SocketAddr;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// The one caller that a gateway with one token knows; A2A tasks are scoped to it.
const OPERATOR: &str = "operator";
/// How a key that was bought for one agent begins.
pub const KEY_PREFIX: &str = "sk_live_";

/// Decides from a request's headers whether it may pass.
#[derive(Clone, Debug)]
pub struct Guard {
    token: Arc<Hash>,
    hosts: Arc<[String]>,
}

impl Guard {
    /// A guard for a gateway bound to `address`: only loopback names with that very port pass.
    ///
    /// `token` is the API token in clear; only its hash is kept.
    #[must_use]
    pub fn new(token: &str, address: SocketAddr) -> Self {
        let port = address.port();
        let mut hosts = vec![
            format!("127.0.0.1:{port}"),
            format!("localhost:{port}"),
            format!("[::1]:{port}"),
            address.to_string(),
        ];
        hosts.dedup();
        Self { token: Arc::new(Hash::of(token.as_bytes())), hosts: hosts.into() }
    }

    /// Checks Host and Origin: a page of another site must not reach the node through a browser.
    ///
    /// A request may name its host in the URI, too; whatever it names has to be this gateway.
    ///
    /// # Errors
    /// `wrong_host` or `wrong_origin`.
    pub fn check_site(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
        let given = headers.get_all(header::HOST).iter().map(|host| host.to_str().unwrap_or_default());
        let mut hosts = given.chain(uri.authority().map(Authority::as_str)).peekable();
        if hosts.peek().is_none() || !hosts.all(|host| self.allows(host)) {
            return Err(ApiError::new(
                StatusCode::FORBIDDEN,
                "wrong_host",
                "the Host header names no address of this gateway",
                "call the gateway by the address that `haggle status` prints",
            ));
        }
        match headers.get(header::ORIGIN).map(|origin| origin.to_str()) {
            None => Ok(()),
            Some(Ok(origin)) if self.is_own_origin(origin) => Ok(()),
            Some(_) => Err(ApiError::new(
                StatusCode::FORBIDDEN,
                "wrong_origin",
                "the Origin header names another site",
                "call the gateway from its own pages or from a program, not from another site",
            )),
        }
    }

    /// Checks `Authorization: Bearer <token>` in constant time.
    ///
    /// # Errors
    /// `unauthorized`.
    pub fn check_token(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        let given = text(headers, header::AUTHORIZATION)
            .and_then(|value| value.strip_prefix("Bearer "))
            .map(|token| Hash::of(token.trim().as_bytes()));
        match given {
            Some(hash) if bool::from(hash.as_bytes().ct_eq(self.token.as_bytes())) => Ok(()),
            _ => Err(ApiError::new(
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "the API token is missing or wrong",
                "send `Authorization: Bearer <token>` with the content of the file `token` in the node's home",
            )),
        }
    }

    fn allows(&self, host: &str) -> bool {
        self.hosts.iter().any(|known| known == host)
    }

    fn is_own_origin(&self, origin: &str) -> bool {
        origin.strip_prefix("http://").is_some_and(|host| self.allows(host))
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Paths that need no token: health, agent cards, calls that are paid for, and what the facilitator says of itself. The
/// whole shape is looked at: a task, too, may be called "agent-card.json".
fn is_open(path: &str) -> bool {
    let segments: Vec<&str> = path.split('/').skip(1).take(5).collect();
    matches!(
        segments[..],
        ["livez" | "readyz" | "supported"]
            | ["a2a", _, "agent-card.json"]
            | ["a2a", _, ".well-known", "agent-card.json"]
            | ["x402", _]
            | ["discovery", "resources"]
            | ["facilitator", "supported"]
            | ["facilitator", "discovery", "resources"]
    )
}

/// Whether a request is one that a bought key may make at all; whether the agent is the key's own, the handler asks.
fn is_for_keys(method: &Method, path: &str) -> bool {
    let path = path.strip_prefix(PREFIX).unwrap_or(path);
    let segments: Vec<&str> = path.split('/').take(5).collect();
    *method == Method::POST && matches!(segments[..], ["", "agents", agent, "invoke"] if !agent.is_empty())
}

/// Who stands at the door, and whom it asks about bought keys.
#[derive(Clone)]
pub(crate) struct Watch {
    pub(crate) guard: Guard,
    pub(crate) api: Arc<dyn NodeApi>,
}

impl Watch {
    /// Lets a request in, or says which bought key it shows.
    fn look_at(&self, request: &Request) -> Result<Option<String>, ApiError> {
        self.guard.check_site(request.uri(), request.headers())?;
        if is_open(request.uri().path()) {
            return Ok(None);
        }
        let given = text(request.headers(), header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        match given.map(str::trim).filter(|key| key.starts_with(KEY_PREFIX)) {
            Some(key) => Ok(Some(key.to_owned())),
            None => self.guard.check_token(request.headers()).map(|()| None),
        }
    }

    /// Who calls; nobody says so where no token is needed and none is shown.
    fn caller(&self, request: &Request, scope: Option<&KeyScope>) -> Option<String> {
        match scope {
            Some(scope) => Some(format!("key {}", scope.id)),
            None if is_open(request.uri().path()) && self.guard.check_token(request.headers()).is_err() => None,
            None => Some(OPERATOR.to_owned()),
        }
    }

    /// Lets a bought key in, if it may make this request. One that is unknown or revoked is told nothing of what others
    /// may do.
    async fn admit(&self, key: &str, is_call: bool) -> Result<KeyScope, ApiError> {
        let scope = self.api.key_scope(key).await?;
        if is_call { Ok(scope) } else { Err(out_of_scope(&scope)) }
    }
}

/// A bought key does one thing only.
pub(crate) fn out_of_scope(scope: &KeyScope) -> ApiError {
    ApiError::new(
        StatusCode::FORBIDDEN,
        "key_scope",
        format!("this key calls {} and does nothing else", scope.agent),
        "send the key only to POST /api/v1/agents/{id}/invoke of the agent it was bought for",
    )
}

/// Middleware that turns strangers away before any handler runs.
pub(crate) async fn guard(State(watch): State<Watch>, mut request: Request, next: Next) -> Response {
    let admitted = match watch.look_at(&request) {
        Ok(None) => Ok(None),
        Ok(Some(key)) => {
            let is_call = is_for_keys(request.method(), request.uri().path());
            watch.admit(&key, is_call).await.map(Some)
        }
        Err(problem) => Err(problem),
    };
    match admitted {
        Ok(scope) => {
            if let Some(caller) = watch.caller(&request, scope.as_ref()) {
                request.extensions_mut().insert(CallerScope(caller));
            }
            if let Some(scope) = scope {
                request.extensions_mut().insert(scope);
            }
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Guard, is_for_keys, is_open};
    use axum::http::{HeaderMap, Method, Uri, header};

    #[test]
    fn every_host_that_a_request_names_has_to_be_the_gateway_and_one_is_named() {
        let guard = Guard::new("hgl_token", ([127, 0, 0, 1], 7411).into());
        let passes = |uri: &'static str, hosts: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, host.parse().unwrap());
            }
            guard.check_site(&Uri::from_static(uri), &headers).is_ok()
        };
        assert!(passes("/livez", &["localhost:7411"]));
        assert!(passes("http://127.0.0.1:7411/livez", &[]));
        assert!(passes("http://127.0.0.1:7411/livez", &["localhost:7411"]));
        assert!(!passes("/livez", &[]));
        assert!(!passes("/livez", &["localhost:7411", "evil.example"]));
        assert!(!passes("http://evil.example/livez", &["localhost:7411"]));
        assert!(!passes("http://localhost:7411/livez", &["evil.example"]));
        assert!(!passes("http://user@localhost:7411/livez", &[]));
    }

    #[test]
    fn a_bought_key_gets_no_further_than_a_call_of_an_agent() {
        assert!(is_for_keys(&Method::POST, "/agents/did:key:z6Mk/invoke"));
        assert!(is_for_keys(&Method::POST, "/api/v1/agents/did:key:z6Mk/invoke"));
        for (method, path) in [
            (Method::DELETE, "/api/v1/agents/did:key:z6Mk"),
            (Method::POST, "/api/v1/agents/did:key:z6Mk/publish"),
            (Method::POST, "/api/v1/agents//invoke"),
            (Method::POST, "/api/v1/api/v1/agents/x/invoke"),
            (Method::POST, "/api/v1agents/x/invoke"),
            (Method::GET, "/agents/did:key:z6Mk/invoke"),
            (Method::POST, "/agents//invoke"),
            (Method::POST, "/agents/invoke"),
            (Method::POST, "/agents/x/invoke/y"),
            (Method::POST, "/v1/invoke"),
            (Method::POST, "/purchase"),
            (Method::GET, "/v1/keys"),
        ] {
            assert!(!is_for_keys(&method, path), "{method} {path}");
        }
    }

    #[test]
    fn only_health_cards_and_what_is_paid_for_are_open_and_nothing_that_looks_like_them() {
        for open in [
            "/livez",
            "/readyz",
            "/a2a/did:key:z6Mk/agent-card.json",
            "/a2a/x/.well-known/agent-card.json",
            "/x402/digest",
            "/supported",
            "/discovery/resources",
            "/facilitator/supported",
            "/facilitator/discovery/resources",
        ] {
            assert!(is_open(open), "{open}");
        }
        for closed in [
            "/",
            "/livez/x",
            "/v1/node",
            "/a2a/x",
            "/a2a/x/tasks/agent-card.json",
            "/a2a/x/y/tasks/agent-card.json",
            "/a2a/x/tasks/t/pushNotificationConfigs/agent-card.json",
            "/a2a/x/y/.well-known/agent-card.json",
            "/v1/x/agent-card.json",
            "/x402",
            "/x402/digest/x",
            "/verify",
            "/settle",
            "/facilitator/verify",
            "/facilitator/settle",
            "/v1/pay",
            "/v1/channels",
            "/v1/channels/0x00/close",
            "/v1/channels/0x00/receipt",
        ] {
            assert!(!is_open(closed), "{closed}");
        }
    }
}
