//! The unmodified A2A SDKs: Python's server behind our node, Python's and JavaScript's clients before it.
//!
//! `HAGGLE_PYTHON` names the interpreter of an environment with `testnet/peers/a2a-python/requirements.txt`; the
//! packages of `testnet/peers/a2a-js` are installed beside its script.

use std::process::Stdio;

use axum::Router;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    process::{Child, Command},
};

use super::{
    binding::Cable,
    push::{Hook, open_node},
    *,
};
use crate::{Answer, CallerScope, Client, Dial, HttpConfig, HttpExecutor, Remote, RemoteCall, router, run};

pub(super) fn script(name: &str) -> Command {
    let program = match name.ends_with(".mjs") {
        true => "node".to_owned(),
        false => std::env::var("HAGGLE_PYTHON").expect("HAGGLE_PYTHON names the interpreter"),
    };
    let path = format!("{}/../../testnet/peers/{name}", env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(program);
    command.arg(path).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// The SDK's server, and its URL.
async fn sdk_server(also: &[&str]) -> (Child, String) {
    let mut child = script("a2a-python/server.py").args(["--port", "0"]).args(also).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let port = tokio::time::timeout(2 * PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
    (child, format!("http://127.0.0.1:{port}"))
}

/// The clients of both SDKs: the same arguments, the same output.
const CLIENTS: [&str; 2] = ["a2a-python/client.py", "a2a-js/client.mjs"];

/// Asks with an SDK's client.
async fn sdk_client(client: &str, url: &str, text: &str, also: &[&str]) -> Value {
    let asked = script(client).arg(url).args(["--text", text, "--token", "secret"]).args(also).output();
    let output = tokio::time::timeout(2 * PATIENCE, asked).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Serves the routes behind a layer that takes the token of the SDK's client; the base URL.
pub(super) async fn listen(routes: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let guarded = routes.layer(axum::middleware::from_fn(
        async |mut request: axum::extract::Request, next: axum::middleware::Next| {
            if request.headers().get("authorization").is_some_and(|token| token == "Bearer secret") {
                request.extensions_mut().insert(CallerScope("alice".into()));
            }
            next.run(request).await
        },
    ));
    tokio::spawn(async move { axum::serve(listener, guarded).await });
    url
}

#[tokio::test]
#[ignore = "needs the A2A SDKs; cargo xtask test runs it"]
async fn an_sdk_server_is_wrapped() {
    let (_child, url) = sdk_server(&[]).await;
    let wrapped = HttpExecutor::new(&url).unwrap();
    let card = wrapped.card().await.unwrap();
    assert_eq!(card["name"], "Python Echo");
    let echoed = run(&wrapped, *AGENT, "hello".into(), PATIENCE).await.unwrap();
    assert_eq!(echoed, "hello");

    let node = node().await;
    let own = card::adopt(&card, &AGENT, &card::Places { http: vec![], peers: vec![*ALICE] });
    card::check(&own).unwrap();
    node.server.serve(*AGENT, own, Arc::new(wrapped));
    let task = node.ask(alice(), send("hi")).await.unwrap()["task"].clone();
    assert_eq!(task["artifacts"][0]["name"], "echo");
    let said = node.ask(alice(), send("message: yo")).await.unwrap();
    assert_eq!(said["message"]["parts"][0]["text"], "message: yo");
    let broken = node.ask(alice(), send("break")).await.unwrap_err();
    assert_eq!(broken.kind(), Kind::Internal);

    let asked = node.ask(alice(), send("ask: which?")).await.unwrap()["task"].clone();
    assert_eq!(state(&asked), "TASK_STATE_INPUT_REQUIRED");
    let mut answer = send("the red one");
    answer["params"]["message"]["taskId"] = asked["id"].clone();
    let task = node.ask(alice(), answer).await.unwrap()["task"].clone();
    assert_eq!(state(&task), "TASK_STATE_COMPLETED");
    assert_eq!(task["id"], asked["id"], "our id, whatever the backend calls it");
    assert_eq!(task["artifacts"][0]["parts"][0]["text"], "the red one");

    let again = node.ask(alice(), send("ask: which?")).await.unwrap()["task"].clone();
    let gone = node.ask(alice(), cancel(again["id"].as_str().unwrap())).await.unwrap();
    assert_eq!(state(&gone), "TASK_STATE_CANCELED");
}

#[tokio::test]
#[ignore = "needs the A2A SDKs; cargo xtask test runs it"]
async fn an_sdk_server_that_streams_is_wrapped_with_its_streams() {
    let (_child, url) = sdk_server(&["--streams"]).await;
    let node = node().await;
    node.server.serve(*AGENT, agent_card(), Arc::new(HttpExecutor::new(&url).unwrap()));
    let task = node.ask(alice(), send("hi")).await.unwrap()["task"].clone();
    assert_eq!(state(&task), "TASK_STATE_COMPLETED");
    assert_eq!(task["artifacts"][0]["parts"][0]["text"], "hi");
    let said = node.ask(alice(), send("message: yo")).await.unwrap();
    assert_eq!(said["message"]["parts"][0]["text"], "message: yo");
    let asked = node.ask(alice(), send("ask: which?")).await.unwrap()["task"].clone();
    assert_eq!(state(&asked), "TASK_STATE_INPUT_REQUIRED");
    let mut answer = send("the red one");
    answer["params"]["message"]["taskId"] = asked["id"].clone();
    let task = node.ask(alice(), answer).await.unwrap()["task"].clone();
    assert_eq!(state(&task), "TASK_STATE_COMPLETED");
    assert_eq!(task["artifacts"][0]["parts"][0]["text"], "the red one");
}

/// Every way in which an SDK's client can speak HTTP: the arguments that choose it.
const WAYS: [&[&str]; 4] = [
    &["--binding", "JSONRPC"],
    &["--binding", "JSONRPC", "--whole"],
    &["--binding", "HTTP+JSON"],
    &["--binding", "HTTP+JSON", "--whole"],
];

/// Every client in every way.
fn everybody() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    CLIENTS.into_iter().flat_map(|client| WAYS.map(|way| (client, way)))
}

/// What an SDK client sees of an obedient agent, whichever way it speaks and wherever the agent is.
async fn an_sdk_client_is_served_well_at(url: &str) {
    for (client, way) in everybody() {
        let is_whole = way.contains(&"--whole");
        let ask = |text: &'static str, also: &[&'static str]| {
            let also = [way, also].concat();
            async move { sdk_client(client, url, text, &also).await }
        };
        let said = ask("say", &[]).await;
        assert_eq!(said["events"][0]["message"]["parts"][0]["text"], "said", "{client} {way:?}");
        let hello = ask("hello", &["--get"]).await;
        assert_eq!(hello["got"]["status"]["message"]["parts"][0]["text"], "Hello", "{client} {way:?}");
        let pieces = ask("pieces", &["--get"]).await;
        assert_eq!(
            pieces["events"].as_array().unwrap().len(),
            if is_whole { 1 } else { 5 },
            "{client} {way:?}: {pieces}"
        );
        assert_eq!(pieces["got"]["artifacts"][0]["parts"].as_array().unwrap().len(), 3, "{client} {way:?}");
        let asked = ask("ask", &["--answer", "the red one", "--get"]).await;
        assert_eq!(state(&asked["got"]), "TASK_STATE_COMPLETED", "{client} {way:?}");
        assert_eq!(asked["got"]["artifacts"][0]["parts"][0]["data"]["answered"], "the red one", "{client} {way:?}");
        assert_eq!(asked["got"]["history"].as_array().unwrap().len(), 3, "{client} {way:?}");
        let mut hook = Hook::open(&[]).await;
        let url_of_hook = hook.url.clone();
        let pushed = sdk_client(client, url, "ask", &[way, &["--push", &url_of_hook]].concat()).await;
        assert_eq!(pushed["hooks"]["listed"], 2, "{client} {way:?}: {pushed}");
        assert_eq!(pushed["hooks"]["left"], json!(["first"]), "{client} {way:?}: {pushed}");
        assert_eq!(pushed["hooks"]["read"]["token"], "t-2", "{client} {way:?}: {pushed}");
        assert_eq!(pushed["hooks"]["read"]["url"], json!(hook.url), "{client} {way:?}: {pushed}");
        loop {
            let (headers, event) = hook.next().await;
            assert_eq!(headers["x-a2a-notification-token"], "t-1", "{client} {way:?}");
            if event["statusUpdate"]["status"]["state"] == "TASK_STATE_INPUT_REQUIRED" {
                break;
            }
        }
        let listed = ask("ask", &["--cancel", "--list"]).await;
        assert_eq!(state(&listed["cancelled"]), "TASK_STATE_CANCELED", "{client} {way:?}");
        let tasks = listed["listed"].as_array().unwrap();
        assert!(tasks.len() >= 4, "{client} {way:?}: {} tasks", tasks.len());
        let gone = tasks.iter().filter(|task| task["id"] == listed["cancelled"]["id"]);
        assert_eq!(gone.map(state).collect::<Vec<_>>(), ["TASK_STATE_CANCELED"], "{client} {way:?}");
    }
}

#[tokio::test]
#[ignore = "needs the A2A SDKs; cargo xtask test runs it"]
async fn an_sdk_client_calls_a_local_agent() {
    let node = open_node().await;
    let config = HttpConfig { server: node.server.clone(), remote: None, base_url: None, bearer: true, signer: None };
    let base = listen(router(config)).await;
    an_sdk_client_is_served_well_at(&format!("{base}/a2a/{}", *AGENT)).await;
}

/// A gateway on one node that reaches the agent on another over the libp2p binding.
struct Afar {
    client: Client,
    card: Value,
}

#[async_trait]
impl Remote for Afar {
    async fn card(&self, _: &Did) -> Option<Value> {
        Some(self.card.clone())
    }

    async fn call(&self, agent: &Did, call: RemoteCall) -> Result<Answer, A2aError> {
        self.client.perform(&ALICE, agent, call.request, call.params, call.deadline).await
    }
}

#[tokio::test]
#[ignore = "needs the A2A SDKs; cargo xtask test runs it"]
async fn an_sdk_client_reaches_an_sdk_server_through_two_nodes() {
    let (_child, backend) = sdk_server(&[]).await;
    let wrapped = HttpExecutor::new(&backend).unwrap();
    let card = card::adopt(&wrapped.card().await.unwrap(), &AGENT, &card::Places { http: vec![], peers: vec![*ALICE] });
    let provider = node().await;
    provider.server.serve(*AGENT, card.clone(), Arc::new(wrapped));

    let near = node().await;
    near.server.remove(&AGENT);
    let client = Client::new(Cable::to(&provider) as Arc<dyn Dial>);
    let remote: Arc<dyn Remote> = Arc::new(Afar { client, card });
    let config =
        HttpConfig { server: near.server.clone(), remote: Some(remote), base_url: None, bearer: true, signer: None };
    let url = format!("{}/a2a/{}", listen(router(config)).await, *AGENT);
    for (client, way) in everybody() {
        let seen = sdk_client(client, &url, "across", &[way, &["--get"]].concat()).await;
        assert_eq!(seen["got"]["artifacts"][0]["parts"][0]["text"], "across", "{client} {way:?}");
    }
}

#[tokio::test]
#[ignore = "needs the A2A SDKs; cargo xtask test runs it"]
async fn an_sdk_client_is_served_as_well_by_an_agent_on_another_node() {
    let provider = open_node().await;
    let near = node().await;
    near.server.remove(&AGENT);
    let client = Client::new(Cable::to(&provider) as Arc<dyn Dial>);
    let remote: Arc<dyn Remote> = Arc::new(Afar { client, card: agent_card() });
    let config =
        HttpConfig { server: near.server.clone(), remote: Some(remote), base_url: None, bearer: true, signer: None };
    let base = listen(router(config)).await;
    an_sdk_client_is_served_well_at(&format!("{base}/a2a/{}", *AGENT)).await;
}
