//! The gateway over real HTTP: who may pass, what a refusal looks like, how events resume.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod keys;
mod registry;
mod services;
mod shop;
mod versions;
mod wallets;

use shop::{Rig, TOKEN, problem};

use axum::response::sse::{Event, Sse};
use futures::{StreamExt as _, stream};
use haggle_gateway::Bound;
use haggle_gateway::view::{CloseRequest, Discover, EventView, Executor, MessageQuery, Target, Topic, TypedWish};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::test]
async fn nobody_passes_without_the_token() {
    let rig = Rig::start().await;
    let response = rig.http.get(rig.url("/v1/listings")).send().await.unwrap();
    assert_eq!(problem(response).await, (401, "unauthorized".to_owned()));
    let response = rig.http.get(rig.url("/v1/listings")).bearer_auth("hgl_wrong").send().await.unwrap();
    assert_eq!(problem(response).await, (401, "unauthorized".to_owned()));
}

#[tokio::test]
async fn a_page_of_another_site_is_turned_away_even_with_the_token() {
    let rig = Rig::start().await;
    let rebound = rig.http.get(rig.url("/v1/listings")).bearer_auth(TOKEN).header("host", "evil.example");
    assert_eq!(problem(rebound.send().await.unwrap()).await, (403, "wrong_host".to_owned()));
    let foreign = rig.http.get(rig.url("/v1/listings")).bearer_auth(TOKEN).header("origin", "https://evil.example");
    assert_eq!(problem(foreign.send().await.unwrap()).await, (403, "wrong_origin".to_owned()));
}

#[tokio::test]
async fn http_2_is_not_spoken_even_where_it_is_compiled_in() {
    let rig = Rig::start().await;
    let mut stream = tokio::net::TcpStream::connect(rig.address()).await.unwrap();
    // the preface of a client that knows what the server speaks, and its settings
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    // closed without a word, or reset, for it has not read everything
    let answer = stream.read(&mut [0; 64]).await;
    assert!(matches!(answer, Ok(0) | Err(_)), "{answer:?}");
}

#[tokio::test]
async fn health_needs_no_token_and_names_what_is_wrong() {
    let rig = Rig::start().await;
    assert_eq!(rig.http.get(rig.url("/livez")).send().await.unwrap().status(), 200);
    let ready = rig.http.get(rig.url("/readyz")).send().await.unwrap();
    assert_eq!(ready.status(), 503);
    assert_eq!(ready.text().await.unwrap(), "[!] chain no RPC endpoint answers\n");
}

#[tokio::test]
async fn the_seeds_search_answers_with_numbers_digit_by_digit() {
    let rig = Rig::start().await;
    let text = rig.get("/agents/search?category=text&sort=price_asc").await.text().await.unwrap();
    assert_eq!(
        text,
        r#"{"results":[{"agent_id":"did:key:z6MkexampleSeller","name":"digest","price_per_call":0.02,"success_rate":0.998,"avg_response_time_ms":150,"cost_per_success":0.02004}]}"#
    );
}

#[tokio::test]
async fn counts_come_with_a_search_only_where_they_are_asked_for() {
    let rig = Rig::start().await;
    for path in ["/v1/listings", "/agents/search"] {
        let plain: Value = rig.get(path).await.json().await.unwrap();
        assert_eq!(plain.get("facets"), None, "{path}");
        let not: Value = rig.get(&format!("{path}?facets=false")).await.json().await.unwrap();
        assert_eq!(not, plain);
        let counted: Value = rig.get(&format!("{path}?facets=true")).await.json().await.unwrap();
        let band = json!({"min_price": "0.010001", "max_price": null, "count": 1});
        assert_eq!(counted["facets"]["price"], json!([band]), "{path}");
        assert_eq!(counted["facets"]["tag"], json!({"values": [], "distinct": 0}));
    }
    let unread = rig.get("/v1/listings?facets=maybe").await;
    assert_eq!(problem(unread).await, (400, "invalid_query".to_owned()));
}

#[tokio::test]
async fn a_search_explains_itself_only_where_it_is_asked_to() {
    let rig = Rig::start().await;
    for (path, rows) in [("/v1/listings", "items"), ("/agents/search", "results")] {
        let plain: Value = rig.get(path).await.json().await.unwrap();
        assert_eq!((plain.get("explained"), plain[rows][0].get("explanation")), (None, None), "{path}");
        let explained: Value = rig.get(&format!("{path}?explain=true&sort=combined")).await.json().await.unwrap();
        let part = json!({"part": "reputation", "value": 0.25, "weight": 0.4});
        let expected = json!({"rank": "c01c28f5c28f5c28", "text": 0.5, "parts": [part], "score": 0.1});
        assert_eq!(explained[rows][0]["explanation"], expected, "{path}: what the order does not go by is absent");
    }
}

#[tokio::test]
async fn prices_are_listed_under_three_names() {
    let rig = Rig::start().await;
    for prefix in ["/v1", "", "/api/v1"] {
        let path = format!("{prefix}/agents/did:key:z6MkexampleSeller/prices");
        let prices: Value = rig.get(&path).await.json().await.unwrap();
        assert_eq!(prices, json!({"agent": "did:key:z6MkexampleSeller", "listings": []}), "{path}");
        let stranger = rig.http.get(rig.url(&path)).send().await.unwrap();
        assert_eq!(problem(stranger).await, (401, "unauthorized".to_owned()));
    }
}

#[tokio::test]
async fn the_seeds_register_reads_its_price_without_a_float() {
    let rig = Rig::start().await;
    let body = |price: &str| {
        format!(
            r#"{{"name":"My Agent","description":"d","category":"crypto","tags":["news"],"api_endpoint":"http://127.0.0.1:9/","pricing":{{"model":"per_call","price_per_call":{price}}}}}"#
        )
    };
    let answer: Value = rig.post("/agents/register", &body("0.02")).await.json().await.unwrap();
    assert_eq!(answer, json!({"agent_id": "did:key:z6MkexampleNew", "status": "registered"}));
    {
        let added = rig.shop.added.lock();
        assert_eq!(added[0].name, "my-agent");
        assert_eq!(added[0].price.units(), 20_000);
        assert_eq!(added[0].executor, Executor::Http { url: "http://127.0.0.1:9/".to_owned() });
    }
    let refused = rig.post("/agents/register", &body("0.0000001")).await;
    assert_eq!(problem(refused).await, (400, "too_many_decimals".to_owned()));
    assert_eq!(rig.shop.added.lock().len(), 1);
}

#[tokio::test]
async fn the_seeds_invoke_answers_with_output_cost_and_metrics() {
    let rig = Rig::start().await;
    let response = rig.post("/agents/digest/invoke", r#"{"input":{"text":"a b"},"timeout_ms":5000}"#).await;
    assert_eq!(response.headers()["idempotency-key"], "fresh");
    assert_eq!(
        response.text().await.unwrap(),
        r#"{"output":{"words":15},"cost":0.02,"metrics":{"response_time_ms":150,"seller_id":"did:key:z6MkexampleSeller"},"fee":0.0005,"order":"fresh","reason":"named by the caller"}"#
    );
    let asked = rig.shop.invoked.lock();
    assert_eq!(asked[0].target, Target::Agent("digest".to_owned()));
    assert_eq!(asked[0].timeout, std::time::Duration::from_millis(5_000));
    assert_eq!((asked[0].max_cost, &asked[0].key), (None, &None));
}

#[tokio::test]
async fn an_agent_is_invoked_by_capability_under_both_names() {
    let rig = Rig::start().await;
    for (path, max_cost) in [("/v1/invoke", "5.0"), ("/agents/invoke", "\"5.0\"")] {
        let body = format!(r#"{{"capability":"word count","input":{{}},"max_cost":{max_cost}}}"#);
        let request = rig.http.post(rig.url(path)).bearer_auth(TOKEN).header("idempotency-key", "k-7");
        let response = request.header("content-type", "application/json").body(body).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.headers()["idempotency-key"], "k-7");
        let asked = rig.shop.invoked.lock().pop().unwrap();
        assert_eq!(asked.target, Target::Capability("word count".to_owned()));
        assert_eq!(asked.max_cost.map(|cost| cost.units()), Some(5_000_000));
        assert_eq!(asked.key.as_deref(), Some("k-7"));
        assert_eq!(asked.timeout, std::time::Duration::from_secs(5), "the default");
    }
}

#[tokio::test]
async fn agents_are_discovered_by_the_owners_filters_without_a_float() {
    let rig = Rig::start().await;
    let discover = async |filters: &str| {
        rig.post("/api/v1/a2a/discover", &format!(r#"{{"capability":"word count","filters":{filters}}}"#)).await
    };
    let answer = discover(r#"{"maxPrice":0.1,"minRating":4.5,"maxResponseTime":2000,"limit":500}"#).await;
    assert_eq!(answer.text().await.unwrap(), "[]");
    let asked = rig.shop.discovered.lock().pop().unwrap();
    let expected = Discover {
        capability: "word count".to_owned(),
        max_price: Some("0.1".parse().unwrap()),
        min_rating: Some(4_500_000),
        max_response_ms: Some(2000),
        category: None,
        online: false,
        limit: 100,
    };
    assert_eq!(asked, expected);
    assert_eq!(problem(discover(r#"{"minRating":5.1}"#).await).await, (400, "invalid_rating".to_owned()));
    assert_eq!(problem(discover(r#"{"maxPrice":"x"}"#).await).await, (400, "bad_amount".to_owned()));
    assert_eq!(problem(discover(r#"{"maxprice":1}"#).await).await, (422, "invalid_body".to_owned()));
    let stranger = rig.http.post(rig.url("/api/v1/a2a/discover")).body("{}").send().await.unwrap();
    assert_eq!(problem(stranger).await, (401, "unauthorized".to_owned()));
    assert!(rig.shop.discovered.lock().is_empty());
}

#[tokio::test]
async fn a_service_request_travels_whole_and_its_response_has_the_owners_names() {
    let rig = Rig::start().await;
    let body = r#"{"messageId":"r-1","from":"did:key:z6MkexampleBuyer","to":"digest","type":"request","timestamp":"2026-11-21T12:00:00Z","payload":{"capability":"word count","input":{"text":"a b"},"budget":0.10,"expectedOutcome":"a number"},"signature":"c2ln"}"#;
    let text = rig.post("/api/v1/a2a/request", body).await.text().await.unwrap();
    assert!(
        text.starts_with(
            r#"{"messageId":"answer-1","from":"did:key:z6MkexampleSeller","to":"did:key:z6MkexampleBuyer","type":"response","timestamp":"t","payload":{"estimatedCost":0.0205,"requestId":"r-1","status":"accepted"},"signature":"c2ln","signedBy":"#
        ),
        "{text}"
    );
    let asked = rig.shop.asked.lock().pop().unwrap();
    assert!(asked.payload.get().contains(r#""budget":0.10"#), "not one digit is touched on the way");
    assert_eq!((asked.message_id.as_deref(), asked.kind.as_deref()), (Some("r-1"), Some("request")));
    let unknown = rig.post("/api/v1/a2a/request", r#"{"messageId":"r-1","payload":{},"sender":"x"}"#).await;
    assert_eq!(problem(unknown).await, (422, "invalid_body".to_owned()));
    let answer = r#"{"type":"response","payload":{"requestId":"r-1","status":"rejected"}}"#;
    let answer: Value = rig.post("/api/v1/a2a/respond", answer).await.json().await.unwrap();
    assert_eq!(answer, json!({"requestId": "r-1", "status": "rejected"}));
    assert_eq!(rig.get("/api/v1/a2a/messages?after=7&limit=2&type=request").await.text().await.unwrap(), "[]");
    let listed = rig.shop.listed.lock().pop().unwrap();
    assert_eq!(listed, MessageQuery { after: Some(7), limit: Some(2), kind: Some("request".to_owned()) });
    assert_eq!(problem(rig.get("/api/v1/a2a/messages?page=2").await).await, (400, "invalid_query".to_owned()));
}

#[tokio::test]
async fn each_typed_message_is_read_and_an_unknown_one_is_named() {
    let rig = Rig::start().await;
    let say = async |body: Value| rig.post("/a2a/message", &body.to_string()).await;
    let service = json!({"type": "data-processing", "name": "CSV Analyzer", "description": "Analyze CSV files", "price": "5.0", "metadata": {"builtin": "csv", "region": "global"}});
    let seeds = [
        json!({"type": "list_service", "from": "did:provider", "service": service}),
        json!({"type": "search_request", "service_type": "data-processing", "max_price": 5.0}),
        json!({"type": "purchase_request", "from": "did:buyer", "listing_id": "l-1"}),
        json!({"type": "order_complete", "from": "did:provider", "order_id": "o-1"}),
        json!({"type": "dispute_request", "from": "did:buyer", "order_id": "o-1", "reason": "late", "evidence": {"logs": []}}),
        json!({"type": "order_complete", "order_id": "o-1", "output": {"rows": 2}}),
        json!({"type": "list_service", "from": "did:provider", "service": {
            "type": "data-processing", "name": "CSV Analyzer", "description": "Analyze CSV files", "price": "5.0"}}),
    ];
    for body in &seeds {
        let answer: Value = say(body.clone()).await.json().await.unwrap();
        assert_eq!(
            answer,
            json!({"type": "order_complete_response", "status": "success", "order_id": "o-1", "state": "settled"})
        );
    }
    {
        let typed = rig.shop.typed.lock();
        let TypedWish::ListService(listed) = &typed[0].wish else { panic!("{:?}", typed[0]) };
        assert_eq!((listed.name.as_str(), listed.price.units()), ("csv-analyzer", 5_000_000));
        assert_eq!(listed.executor, Some(Executor::Builtin { name: "csv".to_owned() }));
        assert!(matches!(&typed[1].wish, TypedWish::Search(search) if search.max_price == "5".parse().ok()));
        assert!(matches!(&typed[2].wish, TypedWish::Purchase { input, .. } if *input == json!({})));
        assert_eq!(typed[2].from.as_deref(), Some("did:buyer"));
        assert!(matches!(&typed[3].wish, TypedWish::OrderComplete { order, output: None } if order == "o-1"));
        let TypedWish::OrderComplete { output, .. } = &typed[5].wish else { panic!("{:?}", typed[5]) };
        assert_eq!(*output, Some(json!({"rows": 2})));
        let TypedWish::ListService(by_hand) = &typed[6].wish else { panic!("{:?}", typed[6]) };
        assert_eq!((by_hand.name.as_str(), &by_hand.executor), ("csv-analyzer", &None));
        assert!(matches!(&typed[4].wish, TypedWish::Dispute { reason, .. } if reason == "late"));
    }
    let unknown = say(json!({"type": "barter_request", "whatever": 1})).await;
    let body: Value = unknown.json().await.unwrap();
    assert_eq!((&body["code"], &body["status"]), (&json!("unknown_message_type"), &json!(400)));
    assert!(body["detail"].as_str().unwrap().contains("barter_request"));
    let missing = say(json!({"type": "purchase_request"})).await;
    assert_eq!(problem(missing).await, (422, "invalid_body".to_owned()));
    assert_eq!(rig.shop.typed.lock().len(), seeds.len());
}

#[tokio::test]
async fn what_makes_no_call_is_refused_before_the_node_is_asked() {
    let rig = Rig::start().await;
    let invoke = async |body: &str| problem(rig.post("/agents/digest/invoke", body).await).await;
    for timeout in ["0", "300001"] {
        let refused = invoke(&format!(r#"{{"input":1,"timeout_ms":{timeout}}}"#)).await;
        assert_eq!(refused, (400, "invalid_timeout".to_owned()));
    }
    assert_eq!(invoke(r#"{"input":1,"max_cost":0.0000001}"#).await, (400, "too_many_decimals".to_owned()));
    assert_eq!(
        invoke(r#"{"input":1,"maxcost":1}"#).await,
        (422, "invalid_body".to_owned()),
        "a ceiling is not ignored"
    );
    assert_eq!(invoke("{}").await, (422, "invalid_body".to_owned()));
    let bad_key = rig.http.post(rig.url("/v1/invoke")).bearer_auth(TOKEN).header("idempotency-key", "a/b");
    let bad_key = bad_key.header("content-type", "application/json").body(r#"{"capability":"x","input":1}"#);
    assert_eq!(problem(bad_key.send().await.unwrap()).await, (400, "idempotency_key_invalid".to_owned()));
    let stranger = rig.http.post(rig.url("/agents/digest/invoke")).body("{}").send().await.unwrap();
    assert_eq!(problem(stranger).await, (401, "unauthorized".to_owned()));
    assert!(rig.shop.invoked.lock().is_empty());
}

#[tokio::test]
async fn a_call_that_took_too_long_names_its_order_and_the_next_call() {
    let rig = Rig::start().await;
    let response = rig.post("/agents/digest/invoke", r#"{"input":"too slow"}"#).await;
    assert_eq!(response.status(), 504);
    let body: Value = response.json().await.unwrap();
    assert_eq!((&body["code"], &body["order"]), (&json!("timeout"), &json!("k-1")));
    assert_eq!(body["hint"], "GET /v1/orders/k-1 shows how it ends");
    assert_eq!(body["type"], "/errors/timeout");
}

#[tokio::test]
async fn an_order_needs_a_key_and_nothing_happens_without_one() {
    let rig = Rig::start().await;
    let body = r#"{"listing":"x","input":{}}"#;
    assert_eq!(problem(rig.post("/v1/orders", body).await).await, (400, "idempotency_key_missing".to_owned()));
    assert!(rig.shop.hired.lock().is_empty());
}

#[tokio::test]
async fn an_output_is_given_as_one_field_by_the_owner_alone() {
    let rig = Rig::start().await;
    let refused = rig.post("/v1/orders/o-1/output", r#"{"output":{"rows":2}}"#).await;
    assert_eq!(problem(refused).await, (409, "output_given".to_owned()), "as the node says");
    assert_eq!(*rig.shop.given.lock(), [("o-1".to_owned(), json!({"rows": 2}))]);
    for unread in ["{}", r#"{"rows":2}"#, r#"{"output":1,"order":"o-1"}"#] {
        let refused = rig.post("/v1/orders/o-1/output", unread).await;
        assert_eq!(problem(refused).await, (422, "invalid_body".to_owned()), "{unread}");
    }
    let stranger = rig.http.post(rig.url("/v1/orders/o-1/output")).body(r#"{"output":1}"#).send().await.unwrap();
    assert_eq!(problem(stranger).await, (401, "unauthorized".to_owned()));
    assert_eq!(rig.shop.given.lock().len(), 1);
}

#[tokio::test]
async fn a_key_that_could_not_stand_in_a_path_is_refused() {
    let rig = Rig::start().await;
    let hire = async |key: &str| {
        let request = rig.http.post(rig.url("/v1/orders")).bearer_auth(TOKEN).header("idempotency-key", key);
        let request = request.header("content-type", "application/json").body(r#"{"listing":"x","input":{}}"#);
        problem(request.send().await.unwrap()).await
    };
    for key in ["", "..", "../x", "a b", "a/b", "a?b", &"k".repeat(65)] {
        assert_eq!(hire(key).await, (400, "idempotency_key_invalid".to_owned()), "{key:?}");
    }
    assert!(rig.shop.hired.lock().is_empty());
    let longest = "k".repeat(64);
    for key in ["a", "Order-7_b.c:d", longest.as_str()] {
        assert_ne!(hire(key).await.1, "idempotency_key_invalid");
    }
    assert_eq!(rig.shop.hired.lock().len(), 3);
}

#[tokio::test]
async fn nonsense_is_refused_with_a_code() {
    let rig = Rig::start().await;
    assert_eq!(problem(rig.post("/v1/quotes", "{").await).await, (400, "invalid_body".to_owned()));
    assert_eq!(problem(rig.post("/v1/quotes", r#"{"listing":1}"#).await).await, (422, "invalid_body".to_owned()));
    assert_eq!(problem(rig.get("/v1/listings?max_price=1.1234567").await).await, (400, "invalid_query".to_owned()));
    assert_eq!(problem(rig.get("/v2/listings").await).await, (404, "route_not_found".to_owned()));
    assert_eq!(problem(rig.post("/v1/listings", "{}").await).await, (405, "method_not_allowed".to_owned()));
    let huge = "x".repeat(haggle_gateway::BODY_LIMIT + 1);
    assert_eq!(problem(rig.post("/v1/quotes", &huge).await).await, (413, "body_too_large".to_owned()));
}

#[tokio::test]
async fn events_resume_after_the_last_one_seen() {
    let rig = Rig::start().await;
    let request = rig.http.get(rig.url("/v1/events")).bearer_auth(TOKEN).header("last-event-id", "1");
    let mut response = request.send().await.unwrap();
    let mut seen = String::new();
    while seen.matches("\n\n").count() < 2 {
        seen.push_str(std::str::from_utf8(&response.chunk().await.unwrap().unwrap()).unwrap());
    }
    rig.shop.live.send(event(4, Topic::TaskUpdates)).unwrap();
    while seen.matches("\n\n").count() < 3 {
        seen.push_str(std::str::from_utf8(&response.chunk().await.unwrap().unwrap()).unwrap());
    }
    let ids: Vec<&str> = seen.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
    assert_eq!(ids, ["2", "3", "4"]);
    rig.gateway.shutdown().await;
}

fn event(id: u64, topic: Topic) -> EventView {
    EventView { id, at: "t".to_owned(), topic, kind: "order.step".to_owned(), data: json!({"agent": id % 2}) }
}

/// The ids of the first `count` events of a stream that follows `query`, while these are sent.
async fn followed(rig: &Rig, query: &str, count: usize, sent: &[EventView]) -> Vec<u64> {
    let request = rig.http.get(rig.url(&format!("/v1/events{query}"))).bearer_auth(TOKEN).header("last-event-id", "1");
    let mut response = request.send().await.unwrap();
    assert_eq!(response.status(), 200, "{query}");
    for event in sent {
        rig.shop.live.send(event.clone()).unwrap();
    }
    let mut seen = String::new();
    while seen.matches("\n\n").count() < count {
        seen.push_str(std::str::from_utf8(&response.chunk().await.unwrap().unwrap()).unwrap());
    }
    let views = seen.lines().filter_map(|line| line.strip_prefix("data: "));
    views.map(|data| serde_json::from_str::<EventView>(data).unwrap().id).collect()
}

#[tokio::test]
async fn whoever_follows_a_topic_sees_its_events_alone_and_in_order() {
    let rig = Rig::start().await;
    let [agents, tasks, workflows, system] = Topic::ALL;
    let sent: Vec<EventView> = [agents, tasks, system, workflows, agents, tasks, system, tasks, agents, system]
        .into_iter()
        .zip(4..)
        .map(|(topic, id)| event(id, topic))
        .collect();
    // the shop remembers 2 and 3, of tasks
    for (query, ids) in [
        ("?topic=agent-events", &[4, 8, 12][..]),
        ("?topic=system-notifications", &[6, 10, 13]),
        ("?topic=workflow-progress", &[7]),
        ("?topic=task-updates", &[2, 3, 5, 9, 11]),
        ("?topic=task-updates,agent-events", &[2, 3, 4, 5, 8, 9, 11, 12]),
        ("?topic=system-notifications&topic=workflow-progress", &[6, 7, 10, 13]),
        ("", &[2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]),
    ] {
        assert_eq!(followed(&rig, query, ids.len(), &sent).await, ids, "{query}");
    }
    for query in ["?topic=orders", "?topic=", "?topic=agent-events,orders", "?topic=agent-events&topic=orders"] {
        assert_eq!(problem(rig.get(&format!("/v1/events{query}")).await).await, (400, "unknown_topic".to_owned()));
    }
    rig.gateway.shutdown().await;
}

#[tokio::test]
async fn a_gateway_that_stops_ends_every_stream_also_one_that_would_never_end() {
    let endless = || async {
        let begun = stream::iter([Ok::<_, Infallible>(Event::default().data("begun"))]);
        Sse::new(begun.chain(stream::pending()))
    };
    let rig = Rig::start_with(axum::Router::new().route("/a2a/endless", axum::routing::get(endless))).await;
    let mut response = rig.get("/a2a/endless").await;
    assert_eq!(response.chunk().await.unwrap().unwrap(), "data: begun\n\n");
    rig.gateway.shutdown().await;
    assert_eq!(response.chunk().await.unwrap(), None, "it ended properly");
}

#[tokio::test]
async fn metrics_are_open_metrics() {
    let rig = Rig::start().await;
    let response = rig.get("/metrics").await;
    assert!(response.headers()["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    assert!(response.text().await.unwrap().ends_with("# EOF\n"));
}

#[tokio::test]
async fn the_gateway_binds_loopback_only() {
    let refused = Bound::bind(SocketAddr::from(([0, 0, 0, 0], 0))).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn a_log_is_asked_for_in_bounded_portions() {
    let rig = Rig::start().await;
    for (query, lines) in [("", 100), ("?lines=5", 5), ("?lines=0", 1), ("?lines=99999", 1000)] {
        let view: Value = rig.get(&format!("/v1/agents/shout/logs{query}")).await.json().await.unwrap();
        assert_eq!(view["forgotten"], lines, "{query}");
    }
    assert_eq!(problem(rig.get("/v1/agents/shout/logs?lines=many").await).await, (400, "invalid_query".to_owned()));
}

#[tokio::test]
async fn paying_needs_a_key_and_hands_the_request_on() {
    let rig = Rig::start().await;
    let body = r#"{"url": "http://shop.example/exact", "max_price": "0.05"}"#;
    assert_eq!(problem(rig.post("/v1/pay", body).await).await, (400, "idempotency_key_missing".to_owned()));
    assert!(rig.shop.paid.lock().is_empty());
    let request = rig.http.post(rig.url("/v1/pay")).bearer_auth(TOKEN).header("idempotency-key", "pay-1");
    let _asked = request.header("content-type", "application/json").body(body).send().await.unwrap();
    let paid = rig.shop.paid.lock();
    assert_eq!((paid[0].0.as_str(), paid[0].1.max_price), ("pay-1", Some("0.05".parse().unwrap())));
}

#[tokio::test]
async fn a_channel_is_closed_as_it_was_asked_for() {
    let rig = Rig::start().await;
    let page: Value = rig.get("/v1/channels?agent=a&after=buys/0x01&limit=5").await.json().await.unwrap();
    assert_eq!(page, json!({"items": [], "next": "buys/0x01"}));
    assert_eq!(problem(rig.get("/v1/channels?side=buys").await).await, (400, "invalid_query".to_owned()));
    let close = async |body: &str| problem(rig.post("/v1/channels/0x01/close", body).await).await;
    assert_eq!(close(r#"{"at": "http://shop.example/x", "force": 1}"#).await, (422, "invalid_body".to_owned()));
    assert_eq!(close(r#"{"amount": "1"}"#).await, (422, "invalid_body".to_owned()), "a channel is closed as a whole");
    assert!(rig.shop.closed.lock().is_empty());
    assert_eq!(close(r#"{"at": "http://shop.example/x"}"#).await, (503, "channel_busy".to_owned()));
    assert_eq!(close(r#"{"at": null, "force": true}"#).await, (503, "channel_busy".to_owned()));
    let closed = rig.shop.closed.lock();
    let asked = CloseRequest { at: Some("http://shop.example/x".to_owned()), force: false };
    assert_eq!(closed[0], ("0x01".to_owned(), asked));
    assert_eq!(closed[1].1, CloseRequest { at: None, force: true });
}

#[tokio::test]
async fn a_channels_receipt_is_asked_for_at_a_place_or_at_none() {
    let rig = Rig::start().await;
    let asked = rig.post("/v1/channels/0x01/receipt", r#"{"at": "did:key:z6Mk"}"#).await;
    assert_eq!(asked.json::<Value>().await.unwrap(), json!({"channel": "0x01", "at": "did:key:z6Mk"}));
    let own = rig.post("/v1/channels/0x01/receipt", "{}").await;
    assert_eq!(own.json::<Value>().await.unwrap(), json!({"channel": "0x01", "at": null}));
    let wrong = rig.post("/v1/channels/0x01/receipt", r#"{"force": true}"#).await;
    assert_eq!(problem(wrong).await, (422, "invalid_body".to_owned()));
}

#[tokio::test]
async fn whoever_pays_needs_no_token_and_gets_what_the_node_says() {
    let rig = Rig::start().await;
    let url = rig.url("/x402/digest?deep=1");
    let asked = rig.http.get(&url).send().await.unwrap();
    assert_eq!((asked.status().as_u16(), asked.headers()["cache-control"].to_str().unwrap()), (402, "no-store"));
    assert_eq!(asked.headers()["payment-required"], "b2ZmZXI=");
    let paid = rig.http.post(&url).header("PAYMENT-SIGNATURE", "cGFpZA==").body("text").send().await.unwrap();
    assert_eq!((paid.status().as_u16(), paid.headers()["payment-response"].to_str().unwrap()), (200, "cGFpZA=="));
    assert_eq!(paid.json::<Value>().await.unwrap(), json!(["digest", "POST", "deep=1", "text"]));
}

#[tokio::test]
async fn the_facilitator_tells_everybody_what_it_does_and_does_it_for_those_with_a_token() {
    let rig = Rig::start().await;
    for base in [rig.url(""), rig.url("/facilitator")] {
        let open = rig.http.get(format!("{base}/supported")).send().await.unwrap();
        assert_eq!(open.json::<Value>().await.unwrap(), json!({"kinds": []}));
        let found = rig.http.get(format!("{base}/discovery/resources?limit=5&payTo=0x1")).send().await.unwrap();
        assert_eq!(found.json::<Value>().await.unwrap(), json!({"limit": 5, "payTo": "0x1"}));
        let request = rig.http.post(format!("{base}/verify")).json(&json!({"x402Version": 2}));
        let refused = request.try_clone().unwrap().send().await.unwrap();
        assert_eq!(refused.status().as_u16(), 401);
        let verified = request.bearer_auth(TOKEN).send().await.unwrap();
        assert_eq!(verified.json::<Value>().await.unwrap(), json!({"isValid": true}));
    }
}
