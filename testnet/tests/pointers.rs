//! An agent is found by its DID alone: its pointer lies in the DHT, and the node that it names tells of it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use haggle::view::AgentSummary;
use haggle_testnet::{DOCUMENT, Stage};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");
const LIGHT: [(&str, &str); 1] = [("HAGGLE_MARKET__ROLE", "light")];
/// Generous: real processes beside other work.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longer than a trade takes on any machine.
const PATIENT: u64 = 120_000;

/// How often node `number` looked for an agent in the DHT with this outcome.
async fn followed(stage: &Stage, number: usize, outcome: &str) -> u64 {
    let text = stage.metrics(number).await;
    let line = format!("haggle_agent_pointers_followed_total{{outcome=\"{outcome}\"}} ");
    text.lines().find_map(|counted| counted.strip_prefix(&line)).map_or(0, |count| count.parse().unwrap())
}

async fn cards(stage: &Stage, number: usize) -> u64 {
    stage.get(number, "/v1/node").await["market"]["cards"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_whose_card_never_came_is_found_by_its_did_and_bought_from() {
    // nothing spreads by gossip or reconciliation: all that a node learns of another's agents it asked for
    let mut stage = Stage::with(PROGRAM, false, false).await;
    stage.market.add_nodes(3).await.unwrap();
    let digest = stage.node(2).serve_builtin("digest").await.unwrap();
    assert_eq!(cards(&stage, 3).await, 1, "its own alone");

    let path = format!("/v1/agents/{}", digest.did);
    let seller = stage.until_answer(3, &path, |answer| answer["name"] == "digest").await;
    assert_eq!((&seller["listings"][0]["name"], &seller["local"]), (&"digest".into(), &false.into()), "{seller}");
    assert_eq!(cards(&stage, 3).await, 2);
    assert_eq!(followed(&stage, 3, "ok").await, 1);
    let pinged = stage.typed(3, &["peer", "ping", &digest.did]).await.all();
    assert!(pinged.contains("direct"), "{pinged}");

    // the first node has heard of nobody either, and calls by the DID
    let gateway = stage.node(1).client().unwrap();
    let invoke = format!("/agents/{}/invoke", digest.did);
    let body = json!({"input": {"text": DOCUMENT}, "timeout_ms": PATIENT});
    let answer: Value = gateway.post_once(&invoke, "by-did", &body).await.unwrap();
    assert_eq!((&answer["output"]["words"], &answer["metrics"]["seller_id"]), (&15.into(), &digest.did.clone().into()));
    assert_eq!(answer["cost"].to_string(), "0.02");

    let nobody = "did:key:z6MkegacD1SvLzrnL6v9wPieWSsBiG9F1Xb2pGXjDtv4gds7";
    let refused = stage.node(3).client().unwrap().get::<Value>(&format!("/v1/agents/{nobody}")).await.unwrap_err();
    assert!(refused.code == "agent_not_found" && refused.to_string().contains("no pointer"), "{refused}");
    assert!(followed(&stage, 3, "no_pointer").await >= 1);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_light_node_that_knows_no_index_node_finds_an_agent_by_its_did() {
    let mut stage = Stage::of(PROGRAM, 2).await;
    let digest = stage.serve(2, "digest", 1).await;
    let echo = stage.serve(2, "echo", 2).await;
    stage.market.add_node_with(&LIGHT).await.unwrap();
    let path = format!("/v1/agents/{}", digest.did);
    stage.until_answer(3, &path, |answer| answer["name"] == "digest").await;
    assert_eq!(cards(&stage, 3).await, 2, "its own and the one that was asked for");

    let gateway = stage.node(3).client().unwrap();
    let body = json!({"input": {"text": "hello"}, "timeout_ms": PATIENT});
    let invoke = format!("/agents/{}/invoke", echo.did);
    let begun = Instant::now();
    let answer = loop {
        match gateway.post_once::<_, Value>(&invoke, "light-1", &body).await {
            // each pointer comes into the DHT by itself: that of the other agent says nothing of this one's
            Err(error) if error.code == "listing_not_found" && begun.elapsed() < PATIENCE => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            answered => break answered.unwrap(),
        }
    };
    assert_eq!(answer["output"]["text"], "hello", "{answer}");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_was_withdrawn_is_not_found_until_it_is_published_again() {
    let mut stage = Stage::with(PROGRAM, false, false).await;
    stage.market.add_node().await.unwrap();
    let digest = stage.node(1).serve_builtin("digest").await.unwrap();
    let withdrawn = format!("/v1/listings/{}", digest.listing.as_deref().unwrap());
    stage.node(1).client().unwrap().delete(&withdrawn).await.unwrap();

    // nobody was there to take the first pointer: the one that says "gone" is the first that is stored
    stage.market.add_node().await.unwrap();
    let path = format!("/v1/agents/{}", digest.did);
    let waiting = async {
        while followed(&stage, 2, "withdrawn").await == 0 {
            let refused = stage.node(2).client().unwrap().get::<Value>(&path).await.unwrap_err();
            assert_eq!(refused.code, "agent_not_found");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("the pointer comes");

    let again = format!("/v1/agents/{}/publish", digest.did);
    let _published: AgentSummary = stage.node(1).client().unwrap().post(&again, &json!({})).await.unwrap();
    stage.until_answer(2, &path, |answer| answer["name"] == "digest").await;
    stage.end().await;
}
