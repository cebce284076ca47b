//! What A2A 1.0 asks of a server, asked over every binding: JSON-RPC, HTTP+JSON and libp2p.
//!
//! `docs/protocols/a2a-conformance.md` names, for each requirement, the story here that shows it.

use std::collections::BTreeSet;

use axum::{
    Extension, Router,
    body::Body,
    http::{Method, Request},
};
use futures::StreamExt as _;
use haggle_a2a::{ServiceParams, types::methods};

use super::{
    door::{Answer as Http, answer},
    *,
};
use crate::{Answer, BoxStream, CallerScope, Client, ConformanceExecutor, Dial, HttpConfig, Reach, router};

mod errors;
mod operations;
mod streams;

/// A binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    JsonRpc,
    HttpJson,
    Libp2p,
}

const WAYS: [Way; 3] = [Way::JsonRpc, Way::HttpJson, Way::Libp2p];

/// One node, and two callers who can reach it in every way.
struct House {
    node: Node,
    routes: Router,
}

/// A caller's own connection.
struct Line {
    server: Server,
    caller: Caller,
}

#[async_trait]
impl Dial for Line {
    async fn open(&self, _: &PeerId) -> Result<BoxStream, A2aError> {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        tokio::spawn(self.server.serve_stream(self.caller.clone(), theirs));
        Ok(Box::new(ours))
    }
}

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Alice,
    Eve,
}

async fn house() -> House {
    let node = node_with(Arc::new(OpenGate), Limits { webhooks: Reach::Anywhere, ..Limits::default() }).await;
    node.server.serve(*OTHER_AGENT, agent_card(), Arc::new(ConformanceExecutor));
    let config = HttpConfig { server: node.server.clone(), remote: None, base_url: None, bearer: true, signer: None };
    House { routes: router(config), node }
}

fn params(text: &str) -> Value {
    send(text)["params"].take()
}

/// The same message with this configuration.
fn configured(text: &str, configuration: Value) -> Value {
    let mut params = params(text);
    params["configuration"] = configuration;
    params
}

impl House {
    /// One operation on the obedient agent; the reason if it is refused.
    async fn ask(&self, way: Way, who: Who, operation: &str, params: Value) -> Result<Value, String> {
        self.ask_agent(&AGENT, way, who, operation, params).await
    }

    async fn ask_agent(
        &self,
        agent: &Did,
        way: Way,
        who: Who,
        operation: &str,
        params: Value,
    ) -> Result<Value, String> {
        let version = [("a2a-version", "1.0")];
        match self.answer(agent, way, who, operation, params, &version).await? {
            Reply::One(value) => Ok(value),
            Reply::Many(events) => panic!("a stream: {events:?}"),
        }
    }

    /// All events of a stream.
    async fn follow(&self, way: Way, who: Who, operation: &str, params: Value) -> Result<Vec<Value>, String> {
        match self.answer(&AGENT, way, who, operation, params, &[("a2a-version", "1.0")]).await? {
            Reply::Many(events) => Ok(events),
            Reply::One(value) => panic!("no stream: {value}"),
        }
    }

    async fn answer(
        &self,
        agent: &Did,
        way: Way,
        who: Who,
        operation: &str,
        params: Value,
        service: &[(&str, &str)],
    ) -> Result<Reply, String> {
        let asked = async {
            match way {
                Way::JsonRpc => {
                    let body = rpc::request(1, operation, params).to_string();
                    let answer = self.http(who, Method::POST, &format!("/a2a/{agent}"), service, body).await;
                    read_rpc(&answer)
                }
                Way::HttpJson => {
                    let (method, path, body) = rest_of(operation, params);
                    let answer = self.http(who, method, &format!("/a2a/{agent}{path}"), service, body).await;
                    read_rest(&answer)
                }
                Way::Libp2p => self.libp2p(agent, who, rpc::request(1, operation, params), service).await,
            }
        };
        tokio::time::timeout(PATIENCE, asked).await.unwrap()
    }

    async fn http(&self, who: Who, method: Method, path: &str, service: &[(&str, &str)], body: String) -> Http {
        let scope = CallerScope(format!("{who:?}"));
        let request = Request::builder().method(method).uri(path).header("host", "127.0.0.1:7070");
        let request = request.header("content-type", "application/json");
        let request = service.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        answer(self.routes.clone().layer(Extension(scope)), request.body(Body::from(body)).unwrap()).await
    }

    async fn libp2p(&self, agent: &Did, who: Who, request: Value, service: &[(&str, &str)]) -> Result<Reply, String> {
        let reason = |error: A2aError| error.kind().reason().to_owned();
        let caller = if who == Who::Alice { alice() } else { eve() };
        let client = Client::new(Arc::new(Line { server: self.node.server.clone(), caller }));
        let params = ServiceParams::from_pairs(service.iter().copied()).map_err(reason)?;
        match client.perform(&ALICE, agent, request, params, PATIENCE).await.map_err(reason)? {
            Answer::One(value) => Ok(Reply::One(value)),
            Answer::Many(events) => {
                let events: Vec<_> = events.collect().await;
                Ok(Reply::Many(events.into_iter().collect::<Result<_, _>>().map_err(reason)?))
            }
        }
    }

    /// A task that waits for its caller.
    async fn asking(&self, way: Way, who: Who) -> String {
        let task = self.ask(way, who, methods::SEND_MESSAGE, params("ask")).await.unwrap();
        assert_eq!(state(&task["task"]), "TASK_STATE_INPUT_REQUIRED", "{way:?}");
        id_of(&task["task"])
    }

    /// A task that the agent is at work on, until it is told to go on.
    async fn at_work(&self, way: Way, who: Who) -> String {
        let behind = configured("wait", json!({ "returnImmediately": true }));
        let task = self.ask(way, who, methods::SEND_MESSAGE, behind).await.unwrap();
        soon(&self.node.agent.begun).await;
        id_of(&task["task"])
    }
}

enum Reply {
    One(Value),
    Many(Vec<Value>),
}

fn id_of(task: &Value) -> String {
    task["id"].as_str().unwrap().to_owned()
}

fn reason_in(details: &Value) -> String {
    let info = details.as_array().unwrap().iter().find(|detail| detail["reason"].is_string()).unwrap();
    assert_eq!(info["@type"], "type.googleapis.com/google.rpc.ErrorInfo");
    assert!(info["domain"].is_string());
    info["reason"].as_str().unwrap().to_owned()
}

fn sse(answer: &Http) -> Vec<Value> {
    let lines = answer.body.lines().filter_map(|line| line.strip_prefix("data: "));
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn is_stream(answer: &Http) -> bool {
    answer.headers.get("content-type").is_some_and(|kind| kind == "text/event-stream")
}

fn read_rpc(answer: &Http) -> Result<Reply, String> {
    assert_eq!(answer.status, 200, "JSON-RPC errors are no HTTP errors");
    if is_stream(answer) {
        let results = sse(answer).into_iter().map(|mut event| {
            assert_eq!((&event["jsonrpc"], &event["id"]), (&json!("2.0"), &json!(1)));
            event["result"].take()
        });
        return Ok(Reply::Many(results.collect()));
    }
    let mut body = answer.json();
    assert_eq!((&body["jsonrpc"], &body["id"]), (&json!("2.0"), &json!(1)));
    match body.get("error") {
        None => Ok(Reply::One(body["result"].take())),
        Some(error) => {
            assert!(error["code"].is_i64() && error["message"].is_string());
            Err(reason_in(&error["data"]))
        }
    }
}

fn read_rest(answer: &Http) -> Result<Reply, String> {
    if answer.status == 200 {
        return Ok(if is_stream(answer) { Reply::Many(sse(answer)) } else { Reply::One(answer.json()) });
    }
    let error = &answer.json()["error"];
    assert_eq!(error["code"], answer.status.as_u16());
    assert!(error["message"].is_string() && error["status"].is_string());
    Err(reason_in(&error["details"]))
}

/// An operation as HTTP+JSON has it (A2A section 11.3).
fn rest_of(operation: &str, mut params: Value) -> (Method, String, String) {
    let mut taken = |name: &str| {
        let value = params.as_object_mut().and_then(|fields| fields.remove(name));
        value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    };
    let post = |path: String, params: &Value| (Method::POST, path, params.to_string());
    let plain = |method: Method, path: String| (method, path, String::new());
    match operation {
        methods::SEND_MESSAGE => post("/message:send".into(), &params),
        methods::SEND_STREAMING_MESSAGE => post("/message:stream".into(), &params),
        methods::GET_TASK => {
            let id = taken("id");
            plain(Method::GET, format!("/tasks/{id}?{}", query(&params)))
        }
        methods::LIST_TASKS => plain(Method::GET, format!("/tasks?{}", query(&params))),
        methods::CANCEL_TASK => plain(Method::POST, format!("/tasks/{}:cancel", taken("id"))),
        methods::SUBSCRIBE_TO_TASK => plain(Method::POST, format!("/tasks/{}:subscribe", taken("id"))),
        methods::CREATE_PUSH_CONFIG => {
            let task = taken("taskId");
            post(format!("/tasks/{task}/pushNotificationConfigs"), &params)
        }
        methods::LIST_PUSH_CONFIGS => plain(Method::GET, format!("/tasks/{}/pushNotificationConfigs", taken("taskId"))),
        methods::GET_PUSH_CONFIG | methods::DELETE_PUSH_CONFIG => {
            let method = if operation == methods::GET_PUSH_CONFIG { Method::GET } else { Method::DELETE };
            let (task, config) = (taken("taskId"), taken("id"));
            plain(method, format!("/tasks/{task}/pushNotificationConfigs/{config}"))
        }
        methods::GET_EXTENDED_AGENT_CARD => plain(Method::GET, "/extendedAgentCard".into()),
        other => panic!("{other}"),
    }
}

fn query(params: &Value) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in params.as_object().into_iter().flatten() {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        query.append_pair(name, &text);
    }
    query.finish()
}

/// Every name, state and time in an answer is as JSON has them in A2A (sections 5.5, 5.6).
fn is_well_formed(value: &Value) {
    match value {
        Value::Object(fields) => {
            for (name, held) in fields {
                if ["metadata", "data"].contains(&name.as_str()) {
                    continue;
                }
                assert!(!name.contains('_'), "{name} is no camelCase");
                if name == "timestamp" {
                    let text = held.as_str().unwrap();
                    let shape: String = text.chars().map(|at| if at.is_ascii_digit() { '0' } else { at }).collect();
                    assert_eq!(shape, "0000-00-00T00:00:00.000Z");
                }
                if name == "state" {
                    assert!(held.as_str().unwrap().starts_with("TASK_STATE_"), "{held}");
                }
                if name == "role" {
                    assert!(held.as_str().unwrap().starts_with("ROLE_"), "{held}");
                }
                is_well_formed(held);
            }
        }
        Value::Array(items) => items.iter().for_each(is_well_formed),
        _ => {}
    }
}

/// Ids of the tasks on a page.
fn ids(page: &Value) -> Vec<String> {
    page["tasks"].as_array().unwrap().iter().map(id_of).collect()
}

fn distinct(ids: &[String]) -> usize {
    ids.iter().collect::<BTreeSet<_>>().len()
}
