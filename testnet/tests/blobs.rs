//! A listing whose schema is larger than its record: it goes by hash, and is there when an order needs it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use haggle::view::{AgentSummary, Executor, HireRequest, NewAgent, OrderView, PriceFor};
use haggle_testnet::{DOCUMENT, Stage};
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");

/// A digest that takes texts, and says so at length.
fn wordy(name: &str) -> NewAgent {
    let schema = json!({
        "type": "object",
        "properties": {"text": {"type": "string"}},
        "required": ["text"],
        "description": format!("{name} ").repeat(20 * 1024 / (name.len() + 1)),
    });
    NewAgent {
        name: name.to_owned(),
        description: "Counts words.".to_owned(),
        category: "text".to_owned(),
        tags: Vec::new(),
        price: "0.02".parse().unwrap(),
        input_schema: Some(schema),
        output_schema: None,
        deliver_within_seconds: 300,
        executor: Executor::Builtin { name: "digest".to_owned() },
        extended: None,
        draft: false,
        regions: Vec::new(),
        pricing: PriceFor::PerCall,
    }
}

async fn serve(stage: &Stage, number: usize, name: &str) -> AgentSummary {
    stage.node(number).client().unwrap().post("/v1/agents", &wordy(name)).await.unwrap()
}

/// What node `number` answers to an order with an input that does not fit.
async fn code_of_misfit(stage: &Stage, number: usize, listing: &str, key: &str) -> String {
    let input = json!({"words": DOCUMENT});
    let request = HireRequest { listing: listing.to_owned(), input, max_price: None, buyer: None };
    let refused = stage.node(number).client().unwrap().post_once::<_, OrderView>("/v1/orders", key, &request).await;
    let refused = refused.unwrap_err();
    assert!(!refused.hint.is_empty());
    refused.code
}

async fn shown_schema(stage: &Stage, number: usize, listing: &str) -> Value {
    stage.get(number, &format!("/v1/listings/{listing}")).await["input_schema"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_schema_goes_by_its_hash_and_an_order_is_held_against_it() {
    let mut stage = Stage::of(PROGRAM, 3).await;
    serve(&stage, 2, "wordy").await;
    serve(&stage, 2, "unread").await;
    stage.market.until_all_see(2).await.unwrap();
    let (wordy, unread) = (stage.listing(1, "wordy").await, stage.listing(1, "unread").await);

    // a search shows the listing without the document, and asks nobody for it
    let named = shown_schema(&stage, 1, &wordy.id).await;
    assert!(named["$ref"].as_str().unwrap().starts_with("haggle-blob:"), "{named}");
    let at_home = shown_schema(&stage, 2, &wordy.id).await;
    assert!(at_home["description"].as_str().unwrap().len() > 20_000);

    // an order needs it, so it is fetched and the input held against it before anything is promised
    assert_eq!(code_of_misfit(&stage, 1, &wordy.id, "misfit-1").await, "invalid_input");
    assert_eq!(shown_schema(&stage, 1, &wordy.id).await, at_home);
    let text = stage.metrics(1).await;
    assert!(text.contains("haggle_blob_fetched_total{outcome=\"ok\"} 1"), "{text}");
    let hired = stage.hire(1, &wordy, "long-1").await;
    let done = stage.until(1, &hired.key, |order| order.is_final() && order.output.is_some()).await;
    assert_eq!(done.output.unwrap()["words"], 15);

    // while the seller is away, whoever has it gives it; what nobody has is said to be missing
    stage.market.node_mut(2).kill().await;
    assert_eq!(code_of_misfit(&stage, 3, &wordy.id, "misfit-3").await, "invalid_input");
    assert_eq!(code_of_misfit(&stage, 3, &unread.id, "unread-3").await, "blob_unavailable");
    let page = stage.get(3, "/v1/listings?q=unread").await;
    assert_eq!(page["total"], 1, "a search does not need it: {page}");

    // the seller comes back with it, and so does the buyer with what it fetched
    stage.market.node_mut(2).restart(&[]).await.unwrap();
    stage.market.node_mut(3).restart(&[]).await.unwrap();
    assert_eq!(shown_schema(&stage, 2, &wordy.id).await, at_home);
    assert_eq!(shown_schema(&stage, 3, &wordy.id).await, at_home);
    // by its new addresses, once they have come around
    stage.until_answer(3, "/v1/listings?q=unread&live=true", |page| page["items"][0]["online"] == true).await;
    let hired = stage.hire(3, &unread, "long-3").await;
    stage.until(3, &hired.key, |order| order.is_final() && order.output.is_some()).await;
    stage.end().await;
}
