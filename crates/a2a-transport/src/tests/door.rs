//! The HTTP door, asked as a stock HTTP client asks.

use axum::{
    Extension, Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode},
};
use tower::ServiceExt;

use super::*;
use crate::{CallerScope, HttpConfig, Remote, RemoteCall, router};

/// Somebody else's agents: remembers what was passed on.
#[derive(Default)]
struct Elsewhere(Mutex<Vec<RemoteCall>>);

#[async_trait]
impl Remote for Elsewhere {
    async fn card(&self, agent: &Did) -> Option<Value> {
        (agent == &*OTHER_AGENT).then(agent_card)
    }

    async fn call(&self, agent: &Did, call: RemoteCall) -> Result<crate::Answer, A2aError> {
        if agent != &*OTHER_AGENT {
            return Err(A2aError::new(Kind::AgentNotFound, "nobody knows this agent"));
        }
        self.0.lock().unwrap().push(call);
        Ok(crate::Answer::One(json!({"message": {"from": "afar"}})))
    }
}

pub(super) struct Door {
    routes: Router,
    elsewhere: Arc<Elsewhere>,
    _node: Node,
}

pub(super) async fn door() -> Door {
    let node = node().await;
    let elsewhere = Arc::new(Elsewhere::default());
    let remote: Arc<dyn Remote> = Arc::clone(&elsewhere) as Arc<dyn Remote>;
    let config =
        HttpConfig { server: node.server.clone(), remote: Some(remote), base_url: None, bearer: true, signer: None };
    Door { routes: router(config), elsewhere, _node: node }
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(super) fn code(&self) -> i64 {
        self.json()["error"]["code"].as_i64().unwrap()
    }
}

impl Door {
    pub(super) async fn ask(&self, request: Request<Body>) -> Answer {
        let routes = self.routes.clone().layer(Extension(CallerScope("alice".into())));
        answer(routes, request).await
    }

    pub(super) async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = Request::post(path).header("host", "127.0.0.1:7070");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.ask(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    /// Reads a path as the caller.
    pub(super) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::get(path).header("host", "127.0.0.1:7070");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.ask(request.body(Body::empty()).unwrap()).await
    }

    async fn get(&self, path: &str, etag: Option<&str>) -> Answer {
        let request = Request::get(path).header("host", "127.0.0.1:7070");
        let request = match etag {
            Some(etag) => request.header("if-none-match", etag),
            None => request,
        };
        answer(self.routes.clone(), request.body(Body::empty()).unwrap()).await
    }
}

pub(super) async fn answer(routes: Router, request: Request<Body>) -> Answer {
    let response = routes.oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = to_bytes(body, 4 * 1024 * 1024).await.unwrap();
    Answer { status: head.status, headers: head.headers, body: String::from_utf8(body.to_vec()).unwrap() }
}

pub(super) const JSON: (&str, &str) = ("content-type", "application/json");
pub(super) const V1: (&str, &str) = ("A2A-Version", "1.0");

pub(super) fn path(agent: &Did) -> String {
    format!("/a2a/{agent}")
}

#[tokio::test]
async fn a_local_agent_answers_with_and_without_a_trailing_slash() {
    let door = door().await;
    for path in [path(&AGENT), format!("{}/", path(&AGENT))] {
        let answer = door.post(&path, &[JSON, V1], &send("hi").to_string()).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.json()["result"]["task"]["artifacts"][0]["parts"][0]["text"], "hi");
    }
    let query = format!("{}?A2A-Version=1.0", path(&AGENT));
    let charset = ("content-type", "application/json; charset=utf-8");
    assert!(door.post(&query, &[charset], &send("hi").to_string()).await.json().get("result").is_some());
}

#[tokio::test]
async fn broken_requests_get_their_standard_errors() {
    let door = door().await;
    let here = path(&AGENT);
    let text = door.post(&here, &[("content-type", "text/plain"), V1], "{}").await;
    assert_eq!((text.status, text.body.as_str()), (StatusCode::UNSUPPORTED_MEDIA_TYPE, ""));
    assert_eq!(door.post(&here, &[JSON, V1], "{nope").await.code(), -32700);
    assert_eq!(door.post(&here, &[JSON, V1], "[]").await.code(), -32600);
    assert_eq!(door.post(&here, &[JSON, V1], r#"{"jsonrpc":"2.0","id":1,"method":"X"}"#).await.code(), -32601);
    assert_eq!(
        door.post(&here, &[JSON, V1], r#"{"jsonrpc":"2.0","id":1,"method":"SendMessage","params":{}}"#).await.code(),
        -32602
    );
    for version in ["", "0.3", "99.0"] {
        assert_eq!(door.post(&here, &[JSON, ("A2A-Version", version)], &send("x").to_string()).await.code(), -32009);
    }
    assert_eq!(door.post(&here, &[JSON], &send("x").to_string()).await.code(), -32009);
    assert_eq!(door.post(&path(&OTHER_AGENT), &[JSON], &send("x").to_string()).await.code(), -32009);
    let huge = "x".repeat(1024 * 1024);
    let large = door.post(&here, &[JSON, V1], &send(&huge).to_string()).await;
    assert_eq!((large.status, large.code()), (StatusCode::PAYLOAD_TOO_LARGE, -32000));
    assert_eq!(door.post("/a2a/somebody", &[JSON, V1], "{}").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn nobody_calls_without_a_scope() {
    let door = door().await;
    let request = Request::post(path(&AGENT)).header(JSON.0, JSON.1).body(Body::from(send("x").to_string()));
    let unknown = answer(door.routes.clone(), request.unwrap()).await;
    assert_eq!(unknown.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn active_extensions_are_echoed() {
    let door = door().await;
    let headers = [JSON, V1, ("X-A2A-Extensions", "urn:known, urn:unknown")];
    let answer = door.post(&path(&AGENT), &headers, &send("hi").to_string()).await;
    assert_eq!(answer.headers["a2a-extensions"], "urn:known");
}

#[tokio::test]
async fn remote_agents_are_called_as_if_they_were_here() {
    let door = door().await;
    let forged = ("Haggle-Caller", "bob");
    let answer = door.post(&path(&OTHER_AGENT), &[JSON, V1, forged], &send("hi").to_string()).await;
    assert_eq!(answer.json(), json!({"jsonrpc": "2.0", "id": 1, "result": {"message": {"from": "afar"}}}));
    let passed = door.elsewhere.0.lock().unwrap().pop().unwrap();
    assert_eq!((passed.scope.as_str(), &passed.request["params"]), ("alice", &send("hi")["params"]));
    let scope = haggle_base::Hash::of(b"alice").to_string();
    assert_eq!(passed.params.sub_caller, Some(scope), "callers are kept apart, and cannot choose");
    let stranger = Seed::devnet(7, 9).agent_key(0).did();
    assert_eq!(door.post(&path(&stranger), &[JSON, V1], &send("x").to_string()).await.code(), -32000);
}

#[tokio::test]
async fn cards_are_shown_to_everybody_with_an_etag() {
    let door = door().await;
    for agent in [*AGENT, *OTHER_AGENT] {
        let place = format!("{}/.well-known/agent-card.json", path(&agent));
        let card = door.get(&place, None).await;
        let shown = card.json();
        card::check(&shown).unwrap();
        assert_eq!(shown["supportedInterfaces"][0]["url"], format!("http://127.0.0.1:7070{}", path(&agent)));
        assert_eq!(shown["capabilities"]["streaming"], true);
        assert_eq!(shown["securitySchemes"]["bearer"]["httpAuthSecurityScheme"]["scheme"], "Bearer");
        assert_eq!(card.headers["cache-control"], "max-age=60");
        assert_eq!(card.headers["last-modified"], "Wed, 18 Nov 2026 11:06:40 GMT");
        let etag = card.headers["etag"].to_str().unwrap();
        assert_eq!(door.get(&place, Some(etag)).await.status, StatusCode::NOT_MODIFIED);
        let original = door.get(&format!("{}/agent-card.json", path(&agent)), None).await;
        assert_eq!(original.json(), agent_card());
    }
    let stranger = Seed::devnet(7, 9).agent_key(0).did();
    let place = format!("{}/.well-known/agent-card.json", path(&stranger));
    assert_eq!(door.get(&place, None).await.status, StatusCode::NOT_FOUND);
}
