//! Stories of wrapped servers: what comes through HTTP is what the server behind it says.

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    routing::{get as on_get, post as on_post},
};
use futures::StreamExt as _;
use haggle_a2a::{ServiceParams, params::A2A_VERSION};
use tokio::net::TcpListener;

use super::*;
use crate::{Answer, CallerScope, Events, HttpConfig, HttpExecutor, Reach, RemoteCall, ask_over_http, router, run};

/// Serves routes on a free port; the URL without a slash at its end.
async fn listen(routes: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    url
}

/// Two nodes: the one in front wraps the one behind.
struct Pair {
    front: Node,
    behind: Node,
    /// Told of every call that reaches the one behind.
    called: Arc<Notify>,
}

async fn pair(limits: Limits) -> Pair {
    let behind = node_with(Arc::new(OpenGate), limits).await;
    let called = Arc::new(Notify::new());
    let tells = Arc::clone(&called);
    let config =
        HttpConfig { server: behind.server.clone(), remote: None, base_url: None, bearer: false, signer: None };
    let routes = router(config).layer(axum::middleware::from_fn(move |mut request: Request, next: Next| {
        let tells = Arc::clone(&tells);
        async move {
            request.extensions_mut().insert(CallerScope("front".into()));
            if request.method() == "POST" {
                tells.notify_one();
            }
            next.run(request).await
        }
    }));
    let url = listen(routes).await;
    let wrapped = HttpExecutor::new(&format!("{url}/a2a/{}", *AGENT)).unwrap();
    let front = node().await;
    front.server.serve(*AGENT, agent_card(), Arc::new(wrapped));
    Pair { front, behind, called }
}

fn params() -> ServiceParams {
    ServiceParams::from_pairs([(A2A_VERSION, "1.0")]).unwrap()
}

impl Node {
    async fn stream(&self, text: &str) -> Events {
        let mut request = send(text);
        request["method"] = json!("SendStreamingMessage");
        match self.server.answer(alice(), &AGENT, request, &params(), None).await.1.unwrap() {
            Answer::Many(events) => events,
            Answer::One(result) => panic!("no stream but {result}"),
        }
    }
}

async fn next(events: &mut Events) -> Value {
    tokio::time::timeout(PATIENCE, events.next()).await.unwrap().unwrap().unwrap()
}

#[tokio::test]
async fn a_stream_behind_is_a_stream_in_front_piece_by_piece() {
    let pair = pair(Limits::default()).await;
    let events: Vec<Value> = pair.front.stream("pieces").await.map(|event| event.unwrap()).collect().await;
    let pieces: Vec<_> = events.iter().filter_map(|event| event.get("artifactUpdate")).collect();
    let texts: Vec<_> = pieces.iter().map(|piece| piece["artifact"]["parts"][0]["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["one", "two", "three"], "{events:#?}");
    let flags: Vec<_> = pieces.iter().map(|piece| (piece.get("append"), piece.get("lastChunk"))).collect();
    let yes = Some(&Value::Bool(true));
    assert_eq!(flags, [(None, None), (yes, None), (yes, yes)]);
    let last = events.last().unwrap();
    assert_eq!(last["statusUpdate"]["status"]["state"], "TASK_STATE_COMPLETED");

    let whole = pair.front.ask(alice(), send("pieces")).await.unwrap()["task"].clone();
    assert_eq!(whole["artifacts"].as_array().unwrap().len(), 1, "{whole}");
    assert_eq!(whole["artifacts"][0]["parts"].as_array().unwrap().len(), 3);
    let said = pair.front.ask(alice(), send("say")).await.unwrap();
    assert_eq!(said["message"]["parts"][0]["text"], "said");
}

#[tokio::test]
async fn work_outside_a_task_has_every_piece_too() {
    let pair = pair(Limits::default()).await;
    let config =
        HttpConfig { server: pair.behind.server.clone(), remote: None, base_url: None, bearer: false, signer: None };
    let open = router(config).layer(axum::middleware::from_fn(|mut request: Request, next: Next| async move {
        request.extensions_mut().insert(CallerScope("order".into()));
        next.run(request).await
    }));
    let url = listen(open).await;
    let wrapped = HttpExecutor::new(&format!("{url}/a2a/{}", *AGENT)).unwrap();
    assert_eq!(run(&wrapped, *AGENT, "pieces".into(), PATIENCE).await.unwrap(), "one\ntwo\nthree");
}

#[tokio::test]
async fn progress_is_shown_and_a_cancellation_reaches_the_server_behind() {
    let pair = pair(Limits::default()).await;
    let mut events = pair.front.stream("wait").await;
    let id = next(&mut events).await["task"]["id"].as_str().unwrap().to_owned();
    loop {
        let event = next(&mut events).await;
        if event["statusUpdate"]["status"]["message"]["parts"][0]["text"] == "halfway" {
            break;
        }
    }
    soon(&pair.behind.agent.begun).await;
    assert_eq!(state(&pair.front.ask(alice(), cancel(&id)).await.unwrap()), "TASK_STATE_CANCELED");
    soon(&pair.behind.agent.stopped).await;
}

#[tokio::test]
async fn a_question_is_asked_and_its_answer_goes_to_the_same_task() {
    let pair = pair(Limits::default()).await;
    let asked = pair.front.ask(alice(), send("ask")).await.unwrap()["task"].clone();
    assert_eq!(state(&asked), "TASK_STATE_INPUT_REQUIRED");
    let mut answer = send("the red one");
    answer["params"]["message"]["taskId"] = asked["id"].clone();
    let task = pair.front.ask(alice(), answer).await.unwrap()["task"].clone();
    assert_eq!(state(&task), "TASK_STATE_COMPLETED");
    assert_eq!(task["id"], asked["id"], "our id, whatever the server behind calls it");
    assert_eq!(task["artifacts"][0]["parts"][0]["data"], json!({"asked": {"step": 1}, "answered": "the red one"}));
}

#[tokio::test]
async fn a_stream_that_breaks_is_taken_up_again() {
    // the server behind ends every stream soon: whoever wants more subscribes again
    let pair = pair(Limits { follow: Duration::from_millis(20), ..Limits::default() }).await;
    let mut events = pair.front.stream("wait").await;
    soon(&pair.behind.agent.begun).await;
    soon(&pair.called).await;
    soon(&pair.called).await;
    pair.behind.agent.go.notify_one();
    let mut last = Value::Null;
    while let Some(event) = tokio::time::timeout(PATIENCE, events.next()).await.unwrap() {
        last = event.unwrap();
    }
    assert_eq!(last["statusUpdate"]["status"]["state"], "TASK_STATE_COMPLETED", "{last}");
}

/// A server that answers blocking calls at once, with a task that is not done before it has been asked twice.
async fn hasty() -> String {
    let looked = Arc::new(AtomicUsize::new(0));
    async fn card(headers: HeaderMap) -> Json<Value> {
        let host = headers[header::HOST].to_str().unwrap();
        let mut card = agent_card();
        card["supportedInterfaces"] =
            json!([{ "url": format!("http://{host}/"), "protocolBinding": "JSONRPC", "protocolVersion": "1.0" }]);
        card["capabilities"] = json!({ "streaming": false });
        Json(card)
    }
    async fn call(State(looked): State<Arc<AtomicUsize>>, Json(request): Json<Value>) -> Json<Value> {
        let task = |state: &str| json!({ "id": "theirs", "contextId": "c", "status": { "state": state } });
        let result = match request["method"].as_str().unwrap() {
            "SendMessage" => json!({ "task": task("TASK_STATE_WORKING") }),
            _ if looked.fetch_add(1, Ordering::SeqCst) == 0 => task("TASK_STATE_WORKING"),
            _ => {
                let mut done = task("TASK_STATE_COMPLETED");
                done["artifacts"] = json!([{ "artifactId": "a", "parts": [{ "text": "at last" }] }]);
                done
            }
        };
        Json(json!({ "jsonrpc": "2.0", "id": request["id"], "result": result }))
    }
    let well_known = format!("/{}", card::WELL_KNOWN);
    listen(Router::new().route(&well_known, on_get(card)).route("/", on_post(call)).with_state(looked)).await
}

#[tokio::test]
async fn a_server_that_does_not_wait_is_waited_for() {
    let wrapped = HttpExecutor::new(&hasty().await).unwrap();
    assert_eq!(run(&wrapped, *AGENT, "hello".into(), PATIENCE).await.unwrap(), "at last");
}

#[tokio::test]
async fn every_fault_of_a_card_is_told_with_its_place() {
    let mut wrong = agent_card();
    wrong["name"] = json!("");
    wrong["supportedInterfaces"] = json!([
        { "url": "http://example.org/", "protocolBinding": "JSONRPC", "protocolVersion": "1.0" },
    ]);
    wrong["skills"][0].as_object_mut().unwrap().remove("tags");
    let routes = Router::new()
        .route("/card.json", on_get(|| async move { Json(wrong) }))
        .route("/old.json", on_get(|| async { Json(json!({"url": "http://x/", "supportedInterfaces": []})) }))
        .route("/moved.json", on_get(|| async { (StatusCode::FOUND, [(header::LOCATION, "http://10.0.0.1/")]) }))
        .route("/huge.json", on_get(|| async { "x".repeat(100 * 1024) }));
    let url = listen(routes).await;
    let looked = |path: &str| HttpExecutor::new(&format!("{url}{path}")).unwrap();
    let executor = looked("/card.json");
    let card = executor.look().await.unwrap();
    let faults = executor.faults(&card);
    let places: Vec<_> = faults.iter().map(|fault| fault.path.as_str()).collect();
    assert_eq!(places, ["/name", "/skills/0/tags", "/supportedInterfaces/0/url"]);
    let error = executor.card().await.unwrap_err();
    assert!(error.message().contains("/skills/0/tags"), "{error}");
    for (path, words) in [("/moved.json", "points elsewhere"), ("/huge.json", "over 65536 bytes")] {
        let error = looked(path).look().await.unwrap_err();
        assert!(error.message().contains(words), "{error}");
    }
    assert!(looked("/old.json").card().await.unwrap_err().message().contains("/capabilities"));
}

/// A card that names `url` alone.
fn card_at(url: &str) -> Value {
    let mut card = agent_card();
    card["supportedInterfaces"] = json!([{"url": url, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}]);
    card
}

fn remote_call(method: &str, text: &str, deadline: Duration) -> RemoteCall {
    let mut request = send(text);
    request["method"] = json!(method);
    RemoteCall { request, params: params(), scope: "a".to_owned(), deadline }
}

#[tokio::test]
async fn an_agent_whose_nodes_are_gone_is_asked_at_its_cards_url_whole_and_as_a_stream() {
    let behind = node_with(Arc::new(OpenGate), Limits::default()).await;
    let config =
        HttpConfig { server: behind.server.clone(), remote: None, base_url: None, bearer: false, signer: None };
    let routes = router(config).layer(axum::middleware::from_fn(|mut request: Request, next: Next| async move {
        request.extensions_mut().insert(CallerScope("stranger".into()));
        next.run(request).await
    }));
    let card = card_at(&format!("{}/a2a/{}", listen(routes).await, *AGENT));

    let call = remote_call("SendMessage", "hello", PATIENCE);
    let Answer::One(result) = ask_over_http(&card, call, Reach::Anywhere).await.unwrap() else { panic!("a stream") };
    assert!(result.get("task").or_else(|| result.get("message")).is_some(), "{result}");

    let call = remote_call("SendStreamingMessage", "pieces", PATIENCE);
    let Answer::Many(events) = ask_over_http(&card, call, Reach::Anywhere).await.unwrap() else { panic!("no stream") };
    let events: Vec<Value> = events.map(|event| event.unwrap()).collect().await;
    assert!(events.iter().any(|event| event.get("artifactUpdate").is_some()), "{events:?}");
}

#[tokio::test]
async fn a_cards_url_is_called_only_where_strangers_urls_may_point_and_nothing_is_sent_in_vain() {
    let refused = async |card: &Value, reach: Reach| {
        ask_over_http(card, remote_call("SendMessage", "hello", PATIENCE), reach).await.unwrap_err().kind()
    };
    let private = card_at("http://127.0.0.1:9/a2a");
    assert_eq!(refused(&private, Reach::Public).await, Kind::InvalidParams);
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(refused(&card_at(&format!("http://{nobody}/a2a")), Reach::Anywhere).await, Kind::Unreachable);
    assert_eq!(refused(&agent_card(), Reach::Anywhere).await, Kind::Unreachable, "this card names nodes only");

    let silent = listen(Router::new().fallback(std::future::pending::<StatusCode>)).await;
    let call = remote_call("SendMessage", "hello", Duration::from_millis(50));
    let error = ask_over_http(&card_at(&silent), call, Reach::Anywhere).await.unwrap_err();
    assert_eq!(error.kind(), Kind::DeadlineExceeded);
    let rude = listen(Router::new().fallback(async || "no JSON")).await;
    assert_eq!(refused(&card_at(&rude), Reach::Anywhere).await, Kind::InvalidAgentResponse);
}
