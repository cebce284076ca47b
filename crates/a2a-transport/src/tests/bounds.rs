//! The bounds of a server: what happens at each of them.

use super::*;

fn limits() -> Limits {
    Limits {
        blocking: Duration::from_millis(50),
        tasks_per_caller: 3,
        tasks: 5,
        running_per_caller: 2,
        ..Limits::default()
    }
}

async fn task(node: &Node, caller: Caller, text: &str) -> String {
    node.clock.advance(Duration::from_secs(1));
    node.ask(caller, send(text)).await.unwrap()["task"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn work_beyond_the_deadline_is_stopped_and_failed() {
    let node = node_with(Arc::new(OpenGate), limits()).await;
    let task = node.ask(alice(), send("wait")).await.unwrap()["task"].clone();
    assert_eq!(state(&task), "TASK_STATE_FAILED");
    soon(&node.agent.stopped).await;
}

#[tokio::test]
async fn the_oldest_ended_task_makes_room() {
    let node = node_with(Arc::new(OpenGate), limits()).await;
    let mut alices = Vec::new();
    for text in ["long", "long", "c", "d"] {
        alices.push(task(&node, alice(), text).await);
    }
    assert_eq!(node.ask_kind(alice(), get(&alices[0])).await, Kind::TaskNotFound);
    for kept in &alices[1..] {
        assert!(node.ask(alice(), get(kept)).await.is_ok());
    }
    let bodies = std::fs::read_dir(node._folder.path().join("bodies")).unwrap().count();
    assert_eq!(bodies, 1, "the evicted task's body is gone with it");
    for text in ["a", "b", "c"] {
        task(&node, eve(), text).await;
    }
    assert_eq!(node.ask_kind(alice(), get(&alices[1])).await, Kind::TaskNotFound, "the bound over all callers");
}

#[tokio::test]
async fn open_tasks_are_never_pushed_out() {
    let node = node_with(Arc::new(OpenGate), limits()).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(task(&node, alice(), "ask").await);
    }
    assert_eq!(node.ask_kind(alice(), send("ask")).await, Kind::Busy);
    for id in &open {
        assert_eq!(state(&node.ask(alice(), get(id)).await.unwrap()), "TASK_STATE_INPUT_REQUIRED");
    }
    assert!(node.ask(alice(), cancel(&open[0])).await.is_ok());
    assert!(node.ask(alice(), send("ask")).await.is_ok(), "an ended task makes room");
}

#[tokio::test]
async fn one_caller_cannot_take_every_place_at_work() {
    let node = node_with(Arc::new(OpenGate), limits()).await;
    for _ in 0..2 {
        assert!(node.ask(alice(), send_behind("wait")).await.is_ok());
        soon(&node.agent.begun).await;
    }
    let refused = node.ask(alice(), send("x")).await.unwrap_err();
    assert!(refused.kind() == Kind::Busy && refused.is_retryable());
    assert!(node.ask(eve(), send("x")).await.is_ok());
}
