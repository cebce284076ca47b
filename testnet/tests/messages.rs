//! Agents talk: one finds another, asks what a service costs, takes the offer or not; a forged sender is refused, what is
//! said twice is done once, and what was said is still there after a restart.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use haggle_base::Usdc;
use haggle_testnet::{DOCUMENT, Stage};
use serde_json::{Value, json};
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");
/// The price of a digest with its fee.
const TOTAL: Usdc = Usdc::from_units(20_500);

async fn post(stage: &Stage, number: usize, path: &str, body: &Value) -> (u16, Value) {
    let gateway = stage.node(number).client().unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = http.post(format!("{}{path}", gateway.base())).bearer_auth(gateway.token());
    let request = request.header("content-type", "application/json").body(body.to_string());
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

fn wanted(id: &str, budget: &Value) -> Value {
    json!({"messageId": id, "type": "request", "payload": {
        "capability": "word count", "input": {"text": DOCUMENT}, "budget": budget, "expectedOutcome": "the words counted",
    }})
}

async fn ask(stage: &Stage, request: &Value) -> (u16, Value) {
    post(stage, 2, "/api/v1/a2a/request", request).await
}

async fn respond(stage: &Stage, request: &str, status: &str) -> (u16, Value) {
    let body = json!({"type": "response", "payload": {"requestId": request, "status": status}});
    post(stage, 2, "/api/v1/a2a/respond", &body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_find_each_other_agree_on_a_price_and_pay_once() {
    let mut stage = Stage::of(PROGRAM, 2).await;
    let seller = stage.serve(1, "digest", 1).await;
    let (buyer, had) = stage.buyer(2).await;

    // found with the owner's fields; nobody has rated it
    let (status, found) =
        post(&stage, 2, "/api/v1/a2a/discover", &json!({"capability": "word count", "filters": {"maxPrice": 0.02}}))
            .await;
    assert_eq!((status, found.as_array().map(Vec::len)), (200, Some(1)), "{found}");
    assert_eq!(found[0]["id"], seller.did);
    assert_eq!(found[0]["capabilities"][0]["pricing"], json!({"model": "per-use", "price": 0.02, "currency": "USDC"}));
    assert_eq!(
        (&found[0]["reputation"]["rating"], &found[0]["availability"]["status"]),
        (&Value::Null, &json!("online"))
    );
    for filters in [json!({"maxPrice": 0.019}), json!({"minRating": 0.1}), json!({"maxResponseTime": 1000})] {
        let none =
            post(&stage, 2, "/api/v1/a2a/discover", &json!({"capability": "word count", "filters": filters})).await;
        assert_eq!(none, (200, json!([])), "{filters}");
    }

    // enough money: accepted, with the seller's own quote; the same message again is the same answer
    let (status, accepted) = ask(&stage, &wanted("r-1", &json!(0.5))).await;
    assert_eq!((status, &accepted["payload"]["status"]), (200, &json!("accepted")), "{accepted}");
    assert_eq!(accepted["payload"]["estimatedCost"].to_string(), "0.0205");
    assert_eq!((&accepted["from"], &accepted["to"]), (&json!(seller.did), &json!(buyer)));
    assert_eq!((&accepted["signedBy"], &accepted["payload"]["requestId"]), (&json!(buyer), &json!("r-1")));
    assert!(accepted["payload"]["quote"].is_string());
    assert_eq!(ask(&stage, &wanted("r-1", &json!(0.5))).await, (200, accepted));
    let (status, refusal) = ask(&stage, &wanted("r-1", &json!(0.6))).await;
    assert_eq!((status, &refusal["code"]), (422, &json!("idempotency_conflict")));

    // one unit short: never accepted, the seller's price is offered instead
    let (_, short) = ask(&stage, &wanted("r-2", &json!("0.020499"))).await;
    assert_eq!(short["payload"]["status"], "counter-offer", "{short}");
    assert_eq!(short["payload"]["counterOffer"], json!({"price": 0.0205, "timeline": 300_000}));
    // what the seller does not take, and whom nobody knows
    let mut unfit = wanted("r-3", &json!(1));
    unfit["to"] = json!(seller.did);
    unfit["payload"]["input"] = json!({"page": 1});
    let (_, rejected) = ask(&stage, &unfit).await;
    assert_eq!(
        (&rejected["payload"]["status"], &rejected["payload"]["code"]),
        (&json!("rejected"), &json!("invalid_input"))
    );
    let (status, nothing) = respond(&stage, "r-3", "accepted").await;
    assert_eq!((status, &nothing["code"]), (409, &json!("nothing_offered")));
    let (status, unknown) = respond(&stage, "r-9", "accepted").await;
    assert_eq!((status, &unknown["code"]), (404, &json!("request_not_found")));

    // a signature that is not the sender's, and no signature of a stranger's
    let mut forged = wanted("r-4", &json!(1));
    forged["from"] = json!(buyer);
    forged["timestamp"] = json!("2026-11-21T12:00:00Z");
    forged["signature"] = json!("A".repeat(86));
    let (status, refusal) = ask(&stage, &forged).await;
    assert_eq!((status, &refusal["code"]), (403, &json!("forged_sender")));
    let mut unsigned = wanted("r-4", &json!(1));
    unsigned["from"] = json!(seller.did);
    let (status, refusal) = ask(&stage, &unsigned).await;
    assert_eq!((status, &refusal["code"]), (403, &json!("unsigned_sender")));

    // the counter-offer is turned down, the offer taken: once, however often that is said
    let turned_down = respond(&stage, "r-2", "rejected").await;
    assert_eq!(turned_down, (200, json!({"requestId": "r-2", "status": "rejected"})));
    assert_eq!(respond(&stage, "r-2", "rejected").await, turned_down);
    let (status, late) = respond(&stage, "r-2", "accepted").await;
    assert_eq!((status, &late["code"]), (409, &json!("already_answered")));
    let (status, taken) = respond(&stage, "r-1", "accepted").await;
    assert_eq!(status, 200, "{taken}");
    let key = taken["order"]["key"].as_str().unwrap().to_owned();
    let order = stage.until_state(2, &key, "settled").await;
    assert_eq!((order.total, order.output.unwrap()["words"].as_u64()), (TOTAL, Some(15)));
    assert_eq!(respond(&stage, "r-1", "accepted").await.1["order"]["key"], key);
    assert_eq!(had.checked_sub(stage.buyer(2).await.1), Some(TOTAL));

    // everything said is kept, newest first, page by page, also over a restart
    let said = stage.get(2, "/api/v1/a2a/messages?limit=100").await;
    let names: Vec<_> = said.as_array().unwrap().iter().map(|message| message["type"].as_str().unwrap()).collect();
    let (request, response) = ("request", "response");
    assert_eq!(names, [response, response, response, request, response, request, response, request]);
    let page = stage.get(2, &format!("/api/v1/a2a/messages?limit=2&after={}", said[1]["sequence"])).await;
    assert_eq!(page.as_array().unwrap()[..], said.as_array().unwrap()[2..4]);
    let requests = stage.get(2, "/api/v1/a2a/messages?type=request").await;
    assert_eq!(requests.as_array().map(Vec::len), Some(3));
    stage.market.node_mut(2).stop().await;
    stage.market.node_mut(2).restart(&[]).await.unwrap();
    assert_eq!(stage.get(2, "/api/v1/a2a/messages?limit=100").await, said);
    assert_eq!(respond(&stage, "r-1", "accepted").await.1["order"]["state"], "settled");
    assert_eq!(had.checked_sub(stage.buyer(2).await.1), Some(TOTAL));

    // the seller was told of the order
    let told = stage.get(1, "/api/v1/a2a/messages?type=notification").await;
    assert_eq!(told.as_array().map(Vec::len), Some(1));
    let payload = &told[0]["payload"];
    assert_eq!((&payload["type"], &payload["buyer"]), (&json!("order_received"), &json!(buyer)));
    assert_eq!((&payload["order_id"], &payload["amount"]), (&json!(order.id.unwrap()), &json!("0.02")));
    assert_eq!(told[0]["to"], seller.did);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_typed_message_of_the_owners_marketplace_gets_its_response() {
    let stage = Stage::of(PROGRAM, 2).await;
    let say = async |number, body: Value| post(&stage, number, "/a2a/message", &body).await;

    let service = json!({
        "type": "data-processing", "name": "CSV Analyzer", "description": "Analyze CSV files", "price": "0.1",
        "metadata": {"builtin": "csv"},
    });
    let mut nowhere = service.clone();
    nowhere["metadata"] = json!({"builtin": "no such agent"});
    let (_, refused) = say(1, json!({"type": "list_service", "service": nowhere})).await;
    assert_eq!((&refused["type"], &refused["status"]), (&json!("listing_response"), &json!("rejected")), "{refused}");
    let (_, listed) = say(1, json!({"type": "list_service", "service": service})).await;
    assert_eq!(listed["status"], "success", "{listed}");
    assert!(listed["expires_at"].is_string());
    stage.market.until_all_see(1).await.unwrap();

    let (_, found) =
        say(2, json!({"type": "search_request", "service_type": "data-processing", "max_price": 5.0})).await;
    assert_eq!((&found["type"], &found["count"]), (&json!("search_response"), &json!(1)), "{found}");
    assert_eq!((&found["results"][0]["id"], &found["results"][0]["price"]), (&listed["listing_id"], &json!("0.1")));

    // the same by the owner's search, in which nought is a value
    let search = async |query: &str| stage.get(2, &format!("/api/v1/services/search?{query}")).await;
    let same = search("service_type=data-processing&min_price=0.1&max_price=5.0&min_reputation=0").await;
    assert_eq!((&same["results"], &same["count"]), (&found["results"], &json!(1)), "{same}");
    for query in ["service_type=storage", "max_price=0", "min_price=0.100001", "min_reputation=1"] {
        assert_eq!(search(query).await, json!({"results": [], "count": 0}), "{query}");
    }

    let (_, none) = say(2, json!({"type": "purchase_request", "listing_id": "no such listing"})).await;
    assert_eq!((&none["status"], &none["reason"]), (&json!("failed"), &json!("Listing not found or inactive")));
    let purchase = json!({
        "type": "purchase_request", "listing_id": listed["listing_id"], "message_id": "p-1",
        "input": {"csv": "a,b\n1,2\n"},
    });
    let (_, bought) = say(2, purchase.clone()).await;
    assert_eq!(bought["status"], "success", "{bought}");
    assert_eq!(bought["escrow_amount"], "0.1025");
    assert!(bought["expires_at"].is_string(), "{bought}");
    let order = bought["order_id"].as_str().unwrap();
    assert_eq!(say(2, purchase).await.1["order_id"], order, "the same message is the same purchase");
    stage.until_state(2, order, "settled").await;
    let rated = async {
        while search("min_reputation=1").await["count"] != 1 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), rated).await.expect("the success is counted");
    let (_, complete) = say(2, json!({"type": "order_complete", "order_id": order})).await;
    let expected =
        json!({"type": "order_complete_response", "status": "success", "order_id": order, "state": "settled"});
    assert_eq!(complete, expected);
    let (_, dispute) = say(2, json!({"type": "dispute_request", "order_id": "nowhere", "reason": "late"})).await;
    assert_eq!((&dispute["type"], &dispute["code"]), (&json!("dispute_response"), &json!("order_not_found")));
    let (status, stranger) = say(2, json!({"type": "order_complete", "from": "did:provider", "order_id": order})).await;
    assert_eq!((status, &stranger["code"]), (403, &json!("unsigned_sender")));

    // a buyer without enough money reads how much it needs
    let dear = json!({"type": "finance", "name": "dear", "price": "1000000", "metadata": {"builtin": "echo"}});
    let (_, listed) = say(1, json!({"type": "list_service", "service": dear})).await;
    stage.market.until_all_see(2).await.unwrap();
    let (_, poor) = say(2, json!({"type": "purchase_request", "listing_id": listed["listing_id"]})).await;
    assert_eq!(
        (&poor["status"], &poor["reason"]),
        (&json!("failed"), &json!("Insufficient balance. Need 1025000 USDC"))
    );
    stage.end().await;
}
