//! The agent's turn on a task: how it begins and ends when callers hang up, cancel, or come at the same time.

use std::{future::poll_fn, pin::pin, task::Poll};

use super::{
    streams::{next, rest, stream, subscribe, told},
    *,
};

fn list() -> Value {
    rpc::request(6, "ListTasks", json!({}))
}

fn answer_to(id: &str, text: &str) -> Value {
    let mut answer = send(text);
    answer["params"]["message"]["taskId"] = json!(id);
    answer
}

impl Node {
    async fn stored(&self) -> Vec<Value> {
        self.ask(alice(), list()).await.unwrap()["tasks"].as_array().unwrap().clone()
    }

    /// A task that waits for its caller.
    async fn asked(&self) -> String {
        self.ask(alice(), send("ask")).await.unwrap()["task"]["id"].as_str().unwrap().to_owned()
    }
}

/// Asks, and hangs up once the agent is at work.
async fn hang_up(node: &Node, request: Value) {
    let server = node.server.clone();
    let asking = tokio::spawn(async move { server.call(alice(), &AGENT, request).await });
    soon(&node.agent.begun).await;
    asking.abort();
    soon(&node.agent.stopped).await;
}

#[tokio::test]
async fn a_caller_that_hangs_up_leaves_no_task_behind() {
    let node = node().await;
    hang_up(&node, send("wait")).await;
    assert_eq!(node.ask(alice(), send("mutter")).await.unwrap_err().metadata("code"), Some("not_today"));
    assert_eq!(node.stored().await, Vec::<Value>::new(), "nobody knows of a task, so there is none");
    assert_eq!(state(&node.ask(alice(), send("hi")).await.unwrap()["task"]), "TASK_STATE_COMPLETED");
}

#[tokio::test]
async fn a_caller_that_hangs_up_while_its_answer_is_worked_on_fails_the_task() {
    let node = node().await;
    let id = node.asked().await;
    let mut events = node.follow(alice(), subscribe(&id)).await.unwrap();
    assert_eq!(state(&next(&mut events).await["task"]), "TASK_STATE_INPUT_REQUIRED");
    hang_up(&node, answer_to(&id, "wait")).await;
    let all = rest(events).await;
    assert_eq!(told(&all).last().unwrap(), "statusUpdate FAILED", "whoever follows it hears of it");
    assert_eq!(state(&node.ask(alice(), get(&id)).await.unwrap()), "TASK_STATE_FAILED");
}

#[tokio::test]
async fn an_answer_that_the_agent_refuses_leaves_the_task_where_it_was() {
    let node = node().await;
    let id = node.asked().await;
    let mut events = node.follow(alice(), subscribe(&id)).await.unwrap();
    assert_eq!(state(&next(&mut events).await["task"]), "TASK_STATE_INPUT_REQUIRED");
    let refused = node.ask(alice(), answer_to(&id, "refuse")).await.unwrap_err();
    assert_eq!(refused.metadata("code"), Some("not_today"));
    assert_eq!(told(&rest(events).await), ["statusUpdate WORKING", "statusUpdate INPUT_REQUIRED"]);
    let task = node.ask(alice(), answer_to(&id, "the red one")).await.unwrap()["task"].clone();
    assert_eq!(task["artifacts"][0]["parts"][0]["data"], json!({"asked": {"step": 1}, "answered": "the red one"}));
}

#[tokio::test]
async fn a_caller_may_hang_up_at_any_moment_and_no_task_is_left_at_work() {
    let node = node().await;
    let id = node.asked().await;
    let requests = [send("hi"), send_behind("hi"), stream("hi"), cancel("no-such-task"), answer_to(&id, "refuse")];
    // and once not at all
    for polls in (0..12).chain([usize::MAX]) {
        for request in &requests {
            let params = haggle_a2a::ServiceParams::for_request(request);
            let mut asking = pin!(node.server.answer(alice(), &AGENT, request.clone(), &params, None));
            for _ in 0..polls {
                if poll_fn(|context| Poll::Ready(asking.as_mut().poll(context).is_ready())).await {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
    }
    let at_rest = async {
        loop {
            let stored = node.stored().await;
            if stored.iter().all(|task| state(task) != "TASK_STATE_WORKING") {
                return stored;
            }
            tokio::task::yield_now().await;
        }
    };
    let stored = tokio::time::timeout(PATIENCE, at_rest).await.expect("every turn ends");
    assert!(stored.iter().filter(|task| state(task) == "TASK_STATE_COMPLETED").count() > 1, "some went through");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancellation_that_was_granted_stands_whoever_answers_at_the_same_time() {
    let node = node().await;
    for _ in 0..50 {
        let id = node.asked().await;
        let ask = |request: Value| {
            let server = node.server.clone();
            tokio::spawn(async move { rpc::result(server.call(alice(), &AGENT, request).await) })
        };
        let (answered, cancelled) = (ask(answer_to(&id, "hi")), ask(cancel(&id)));
        let (answered, cancelled) = (answered.await.unwrap(), cancelled.await.unwrap());
        let end = node.ask(alice(), get(&id)).await.unwrap();
        match cancelled {
            Ok(_) => assert_eq!(state(&end), "TASK_STATE_CANCELED"),
            Err(_) => assert_eq!(state(&end), state(&answered.unwrap()["task"])),
        }
    }
}

#[tokio::test]
async fn a_stream_whose_end_cannot_be_stored_says_so() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), ManualClock::new(Timestamp::from_secs(1_795_000_000)));
    let store = Store::memory();
    let server = open(store.clone(), folder.path(), Arc::new(OpenGate), &clock, Limits::default()).await;
    let agent = Arc::new(Obedient::default());
    server.serve(*AGENT, agent_card(), Arc::clone(&agent) as Arc<dyn Executor>);
    let node = Node { server, agent, clock, _folder: folder };
    let mut events = node.follow(alice(), stream("wait")).await.unwrap();
    assert_eq!(told(&[next(&mut events).await]), ["task WORKING"]);
    soon(&node.agent.begun).await;
    store.shutdown().await.unwrap();
    node.agent.go.notify_one();
    use futures::StreamExt as _;
    let heard: Vec<_> = tokio::time::timeout(PATIENCE, events.collect()).await.unwrap();
    let last: &Result<Value, A2aError> = heard.last().expect("not without a word");
    assert_eq!(last.as_ref().unwrap_err().kind(), Kind::Storage);
    assert_eq!(node.server.followed(), 0);
}

#[tokio::test]
async fn what_an_agent_shows_fits_an_answer_all_together() {
    let node = node().await;
    let task = node.ask(alice(), send("heap")).await.unwrap()["task"].clone();
    assert_eq!(state(&task), "TASK_STATE_COMPLETED");
    assert_eq!(task["status"]["message"]["parts"][0]["text"], "2 pieces", "the third would be too much");
    assert_eq!(task["artifacts"][0]["parts"].as_array().unwrap().len(), 2);
    let task = node.ask(alice(), send("heap, then huge")).await.unwrap()["task"].clone();
    assert_eq!(state(&task), "TASK_STATE_FAILED");
    assert_eq!(task["artifacts"].as_array().unwrap().len(), 2, "what was shown is kept");
}

#[tokio::test]
async fn a_page_of_large_tasks_ends_early_and_the_next_one_goes_on() {
    let node = node().await;
    for n in 0..12_u64 {
        node.clock.set(Timestamp::from_secs(1_795_000_000 + n));
        node.ask(alice(), send("big")).await.unwrap();
    }
    let (mut pages, mut seen, mut token) = (0, 0, json!(""));
    loop {
        let asked = rpc::request(6, "ListTasks", json!({ "pageToken": token }));
        let page = node.ask(alice(), asked).await.unwrap();
        pages += 1;
        seen += page["tasks"].as_array().unwrap().len();
        token = page["nextPageToken"].clone();
        if token == "" {
            break;
        }
    }
    assert_eq!((pages, seen), (2, 12), "each page reads at most 8 MiB");
}

#[tokio::test]
async fn one_caller_cannot_have_lists_read_without_bound() {
    let limits = Limits { listing_per_caller: 0, ..Limits::default() };
    let node = node_with(Arc::new(OpenGate), limits).await;
    assert_eq!(node.ask_kind(alice(), list()).await, Kind::Busy);
}
