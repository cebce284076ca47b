//! The conformance agent does what it is asked by name, over the whole server.

use futures::StreamExt as _;
use haggle_a2a::ServiceParams;

use super::*;
use crate::{Answer, ConformanceExecutor};

async fn conformance() -> Node {
    let node = node().await;
    node.server.serve(*AGENT, agent_card(), Arc::new(ConformanceExecutor));
    node
}

/// A message with this id, and nothing of interest in it.
fn named(id: &str) -> Value {
    let mut request = send("a test");
    request["params"]["message"]["messageId"] = json!(id);
    request
}

#[tokio::test]
async fn each_habit_is_asked_for_by_the_messages_id_or_by_its_text() {
    let node = conformance().await;
    for (name, expected) in [
        ("tck-complete-task", "TASK_STATE_COMPLETED"),
        ("tck-input-required", "TASK_STATE_INPUT_REQUIRED"),
        ("tck-auth-required", "TASK_STATE_AUTH_REQUIRED"),
        ("tck-reject-task", "TASK_STATE_REJECTED"),
        ("tck-fail-task", "TASK_STATE_FAILED"),
        ("tck-artifact-text", "TASK_STATE_COMPLETED"),
        ("something else", "TASK_STATE_COMPLETED"),
    ] {
        for request in [named(&format!("{name}-0001")), send(&format!("{name} please"))] {
            let answer = node.ask(alice(), request).await.unwrap();
            assert_eq!(state(&answer["task"]), expected, "{name}");
        }
    }
    let said = node.ask(alice(), named("tck-message-response-7")).await.unwrap();
    assert!(said["message"]["parts"][0]["text"].is_string());
    let parts = |answer: Value| answer["task"]["artifacts"][0]["parts"][0].clone();
    let file = parts(node.ask(alice(), named("tck-artifact-file-1")).await.unwrap());
    assert_eq!((file["filename"].as_str(), file["mediaType"].as_str()), (Some("output.txt"), Some("text/plain")));
    assert!(parts(node.ask(alice(), named("tck-artifact-file-url-1")).await.unwrap())["url"].is_string());
    let data = parts(node.ask(alice(), named("tck-artifact-data-1")).await.unwrap());
    assert_eq!(data["data"], json!({"key": "value", "count": 42}));
}

#[tokio::test]
async fn a_task_is_asked_for_more_until_an_answer_completes_it() {
    let node = conformance().await;
    let asked = node.ask(alice(), named("tck-input-required-1")).await.unwrap()["task"].clone();
    let next = |name: &str| {
        let mut request = named(name);
        request["params"]["message"]["taskId"] = asked["id"].clone();
        request
    };
    for _ in 0..2 {
        let again = node.ask(alice(), next("tck-input-required-1")).await.unwrap();
        assert_eq!(state(&again["task"]), "TASK_STATE_INPUT_REQUIRED");
    }
    let done = node.ask(alice(), next("tck-complete-task-1")).await.unwrap();
    assert_eq!(state(&done["task"]), "TASK_STATE_COMPLETED");
    let mut get = get(asked["id"].as_str().unwrap());
    get["params"]["history_length"] = json!(1);
    assert_eq!(node.ask(alice(), get).await.unwrap()["history"].as_array().unwrap().len(), 1, "by its schema name");
}

#[tokio::test]
async fn the_same_message_id_makes_a_new_task_each_time() {
    let node = conformance().await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(node.ask(alice(), named("tck-complete-task-1")).await.unwrap()["task"]["id"].clone());
    }
    seen.dedup();
    assert_eq!(seen.len(), 3);
}

#[tokio::test]
async fn a_task_that_asked_is_completed_by_the_answer() {
    let node = conformance().await;
    let asked = node.ask(alice(), named("tck-input-required-1")).await.unwrap();
    let mut answer = named("tck-complete-task-1");
    answer["params"]["message"]["taskId"] = asked["task"]["id"].clone();
    assert_eq!(state(&node.ask(alice(), answer).await.unwrap()["task"]), "TASK_STATE_COMPLETED");
}

#[tokio::test]
async fn streams_show_work_artifact_and_end() {
    let node = conformance().await;
    for (name, events) in
        [("tck-stream-001", 4), ("tck-stream-002", 2), ("tck-stream-artifact-chunked", 5), ("tck-message-response", 1)]
    {
        let mut request = named(name);
        request["method"] = json!("SendStreamingMessage");
        let params = ServiceParams::for_request(&request);
        let answer = node.server.answer(alice(), &AGENT, request, &params, None).await.1.unwrap();
        let Answer::Many(stream) = answer else { panic!("{name} is no stream") };
        let seen: Vec<_> = tokio::time::timeout(PATIENCE, stream.collect()).await.unwrap();
        assert_eq!(seen.len(), events, "{name}: {seen:?}");
    }
}

#[tokio::test]
async fn work_that_is_to_be_cancelled_can_be() {
    let node = conformance().await;
    let mut request = named("tck-cancel-1");
    request["params"]["configuration"] = json!({ "returnImmediately": true });
    let begun = node.ask(alice(), request).await.unwrap();
    let gone = node.ask(alice(), cancel(begun["task"]["id"].as_str().unwrap())).await.unwrap();
    assert_eq!(state(&gone), "TASK_STATE_CANCELED");
}
