//! What real nodes tell: of one agent in order, each event on its one topic, with name and price of what is sold.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use haggle::view::{AgentSummary, EventView, Republish, Topic};
use haggle_testnet::Stage;
use serde_json::{Value, json};
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");
/// Generous: real processes beside other work.
const PATIENCE: Duration = Duration::from_secs(60);

/// Everything that node `number` remembers of `topic` and tells of it, until `last` is among it.
async fn followed(stage: &Stage, number: usize, topic: &str, last: impl Fn(&EventView) -> bool) -> Vec<EventView> {
    let client = stage.node(number).client().unwrap();
    let url = format!("{}/v1/events?topic={topic}", client.base());
    let request = reqwest::Client::builder()
        .no_proxy()
        .build()
        .unwrap()
        .get(url)
        .bearer_auth(client.token())
        .header("last-event-id", "0");
    let following = async {
        let mut response = request.send().await.unwrap();
        let mut text = String::new();
        loop {
            text.push_str(std::str::from_utf8(&response.chunk().await.unwrap().unwrap()).unwrap());
            let whole = text.rfind("\n\n").map_or("", |end| &text[..end]);
            let told = whole.lines().filter_map(|line| line.strip_prefix("data: "));
            let events: Vec<EventView> = told.map(|data| serde_json::from_str(data).unwrap()).collect();
            if events.iter().any(&last) {
                return events;
            }
        }
    };
    tokio::time::timeout(PATIENCE, following).await.unwrap_or_else(|_| panic!("node {number} never tells of it"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_sees_its_topic_alone_and_the_listings_of_an_agent_in_order() {
    let stage = Stage::of(PROGRAM, 2).await;
    let seller = stage.serve(1, "digest", 1).await;
    let path = format!("/v1/agents/{}", seller.did);
    let mut listing = None;
    for price in ["0.03", "0.000001"] {
        let change = Republish { price: Some(price.parse().unwrap()) };
        let signed: AgentSummary =
            stage.node(1).client().unwrap().post(&format!("{path}/publish"), &change).await.unwrap();
        listing = signed.listing;
        stage.until_answer(2, &format!("{path}/prices"), |prices| prices["listings"][0]["price"] == price).await;
    }
    stage.node(1).client().unwrap().delete(&format!("/v1/listings/{}", listing.unwrap())).await.unwrap();
    for number in [1, 2] {
        let events = followed(&stage, number, "agent-events", |event| event.kind == "listing.withdrawn").await;
        assert!(events.iter().all(|event| event.topic == Topic::AgentEvents), "{events:?}");
        assert!(events.windows(2).all(|pair| pair[0].id < pair[1].id), "{events:?}");
        let of_it = events.iter().filter(|event| event.data["agent"] == seller.did.as_str());
        let told: Vec<Value> =
            of_it.map(|event| json!([event.kind, event.data["name"], event.data["price"]])).collect();
        let stored = |price: &str| json!(["listing.stored", "digest", price]);
        let expected = [stored("20000"), stored("30000"), stored("1"), json!(["listing.withdrawn", "digest", null])];
        assert_eq!(told, expected, "node {number}");
    }
    let events = followed(&stage, 2, "system-notifications", |event| event.kind == "peer.connected").await;
    assert!(events.iter().all(|event| event.topic == Topic::SystemNotifications), "{events:?}");
    let refused = stage.node(1).client().unwrap().get::<Value>("/v1/events?topic=everything").await.unwrap_err();
    assert_eq!(refused.code, "unknown_topic");
    stage.end().await;
}
