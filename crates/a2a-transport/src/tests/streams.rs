//! Streams of events: what comes, in which order, to whom, and what happens when they break.

use futures::StreamExt as _;
use haggle_a2a::{ServiceParams, event};

use super::{binding::Cable, *};
use crate::{Answer, Client, Dial, Events};

pub(super) fn stream(text: &str) -> Value {
    let mut request = send(text);
    request["method"] = json!("SendStreamingMessage");
    request
}

pub(super) fn subscribe(id: &str) -> Value {
    rpc::request(5, "SubscribeToTask", json!({ "id": id }))
}

impl Node {
    pub(super) async fn follow(&self, caller: Caller, request: Value) -> Result<Events, A2aError> {
        let params = ServiceParams::for_request(&request);
        match self.server.answer(caller, &AGENT, request, &params, None).await.1? {
            Answer::Many(events) => Ok(events),
            Answer::One(result) => panic!("no stream: {result}"),
        }
    }

    pub(super) async fn follow_kind(&self, caller: Caller, request: Value) -> Kind {
        match self.follow(caller, request).await {
            Ok(_) => panic!("a stream"),
            Err(error) => error.kind(),
        }
    }
}

pub(super) async fn next(events: &mut Events) -> Value {
    tokio::time::timeout(PATIENCE, events.next()).await.unwrap().unwrap().unwrap()
}

pub(super) async fn rest(events: Events) -> Vec<Value> {
    let all = events.map(Result::unwrap).collect::<Vec<_>>();
    tokio::time::timeout(PATIENCE, all).await.unwrap()
}

/// What kind of event each is, with the state it tells.
pub(super) fn told(events: &[Value]) -> Vec<String> {
    let kind = |event: &Value| {
        let name = event.as_object().unwrap().keys().next().unwrap().clone();
        let state = event.pointer("/statusUpdate/status/state").or_else(|| event.pointer("/task/status/state"));
        match state.and_then(Value::as_str) {
            Some(state) => format!("{name} {}", state.trim_start_matches("TASK_STATE_")),
            None => name,
        }
    };
    events.iter().map(kind).collect()
}

#[tokio::test]
async fn a_stream_shows_the_task_then_its_artifacts_then_its_end() {
    let node = node().await;
    let events = rest(node.follow(alice(), stream("hi")).await.unwrap()).await;
    assert_eq!(told(&events), ["task WORKING", "artifactUpdate", "statusUpdate COMPLETED"]);
    assert_eq!(events[1]["artifactUpdate"]["artifact"]["parts"][0]["text"], "hi");
    assert_eq!(events[1]["artifactUpdate"]["lastChunk"], true);
    let id = events[0]["task"]["id"].as_str().unwrap();
    assert_eq!(state(&node.ask(alice(), get(id)).await.unwrap()), "TASK_STATE_COMPLETED");
    assert_eq!(node.server.followed(), 0, "nobody is remembered");
}

#[tokio::test]
async fn an_agent_that_answers_with_a_message_streams_that_message_alone() {
    let node = node().await;
    let events = rest(node.follow(alice(), stream("say")).await.unwrap()).await;
    assert_eq!(told(&events), ["message"]);
    assert_eq!(events[0]["message"]["parts"][0]["text"], "said");
}

#[tokio::test]
async fn an_artifact_may_come_in_pieces() {
    let node = node().await;
    let events = rest(node.follow(alice(), stream("pieces")).await.unwrap()).await;
    let all = ["task WORKING", "artifactUpdate", "artifactUpdate", "artifactUpdate", "statusUpdate COMPLETED"];
    assert_eq!(told(&events), all);
    let flags = |at: usize| {
        let update = &events[at]["artifactUpdate"];
        (update.get("append").is_some(), update.get("lastChunk").is_some())
    };
    assert_eq!([flags(1), flags(2), flags(3)], [(false, false), (true, false), (true, true)]);
    let id = events[0]["task"]["id"].as_str().unwrap();
    let task = node.ask(alice(), get(id)).await.unwrap();
    assert_eq!(task["artifacts"][0]["parts"], json!([{"text": "one"}, {"text": "two"}, {"text": "three"}]));
}

#[tokio::test]
async fn everybody_hears_the_same_in_the_same_order_and_one_who_leaves_disturbs_nobody() {
    let node = node().await;
    let mut first = node.follow(alice(), stream("wait")).await.unwrap();
    let id = next(&mut first).await["task"]["id"].as_str().unwrap().to_owned();
    soon(&node.agent.begun).await;
    let mut second = node.follow(alice(), subscribe(&id)).await.unwrap();
    let third = node.follow(alice(), subscribe(&id)).await.unwrap();
    assert_eq!(next(&mut second).await["task"]["status"]["message"]["parts"][0]["text"], "halfway");
    drop(first);
    node.agent.go.notify_one();
    let (second, third) = (rest(second).await, rest(third).await);
    assert_eq!(told(&second), ["artifactUpdate", "statusUpdate COMPLETED"]);
    assert_eq!(second, third[1..]);
    assert_eq!(node.follow_kind(alice(), subscribe(&id)).await, Kind::UnsupportedOperation, "it has ended");
}

#[tokio::test]
async fn work_goes_on_when_its_only_reader_leaves() {
    let node = node().await;
    let mut events = node.follow(alice(), stream("wait")).await.unwrap();
    let id = next(&mut events).await["task"]["id"].as_str().unwrap().to_owned();
    drop(events);
    soon(&node.agent.begun).await;
    node.agent.go.notify_one();
    assert_eq!(state(&node.settled(&id).await), "TASK_STATE_COMPLETED");
}

#[tokio::test]
async fn a_task_that_waits_for_its_caller_can_be_followed_until_it_goes_on() {
    let node = node().await;
    let asked = rest(node.follow(alice(), stream("ask")).await.unwrap()).await;
    assert_eq!(told(&asked), ["task WORKING", "statusUpdate INPUT_REQUIRED"]);
    let id = asked[0]["task"]["id"].as_str().unwrap();
    let (mut one, mut two) =
        (node.follow(alice(), subscribe(id)).await.unwrap(), node.follow(alice(), subscribe(id)).await.unwrap());
    for events in [&mut one, &mut two] {
        assert_eq!(state(&next(events).await["task"]), "TASK_STATE_INPUT_REQUIRED");
    }
    let mut answer = stream("the red one");
    answer["params"]["message"]["taskId"] = json!(id);
    let answered = rest(node.follow(alice(), answer).await.unwrap()).await;
    let going_on = ["artifactUpdate", "statusUpdate COMPLETED"];
    assert_eq!(told(&answered)[1..], going_on);
    let (one, two) = (rest(one).await, rest(two).await);
    assert_eq!(told(&one), ["statusUpdate WORKING", "artifactUpdate", "statusUpdate COMPLETED"]);
    assert_eq!(one, two);
}

#[tokio::test]
async fn a_cancelled_task_ends_its_streams() {
    let node = node().await;
    let mut events = node.follow(alice(), stream("wait")).await.unwrap();
    let id = next(&mut events).await["task"]["id"].as_str().unwrap().to_owned();
    soon(&node.agent.begun).await;
    node.ask(alice(), cancel(&id)).await.unwrap();
    assert_eq!(told(&rest(events).await).last().unwrap(), "statusUpdate CANCELED");
    soon(&node.agent.stopped).await;
}

#[tokio::test]
async fn whoever_may_not_see_a_task_cannot_follow_it() {
    let node = node().await;
    let mut events = node.follow(alice(), stream("wait")).await.unwrap();
    let id = next(&mut events).await["task"]["id"].as_str().unwrap().to_owned();
    assert_eq!(node.follow_kind(eve(), subscribe(&id)).await, Kind::TaskNotFound);
    assert_eq!(node.follow_kind(eve(), subscribe("nope")).await, Kind::TaskNotFound);
    let mut silent = agent_card();
    silent["capabilities"]["streaming"] = json!(false);
    node.server.serve(*AGENT, silent, Arc::clone(&node.agent) as Arc<dyn Executor>);
    assert_eq!(node.follow_kind(alice(), subscribe(&id)).await, Kind::UnsupportedOperation);
    assert_eq!(node.follow_kind(alice(), stream("x")).await, Kind::UnsupportedOperation);
    node.agent.go.notify_one();
}

#[tokio::test]
async fn a_reader_that_is_too_slow_is_cut_off_and_nobody_waits_for_it() {
    let node = node().await;
    let slow = node.follow(alice(), stream("flood")).await.unwrap();
    soon(&node.agent.begun).await;
    node.agent.go.notify_one();
    let done = rpc::request(6, "ListTasks", json!({"status": "TASK_STATE_COMPLETED"}));
    let ended = async {
        while node.ask(alice(), done.clone()).await.unwrap()["totalSize"] != 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("the agent does not wait for its reader");
    let heard: Vec<_> = tokio::time::timeout(PATIENCE, slow.collect()).await.unwrap();
    let last: &Result<Value, A2aError> = heard.last().unwrap();
    assert_eq!(last.as_ref().unwrap_err().kind(), Kind::Busy);
}

#[tokio::test]
async fn one_caller_cannot_follow_without_bound() {
    let limits = Limits { followed_per_caller: 1, ..Limits::default() };
    let node = node_with(Arc::new(OpenGate), limits).await;
    let events = node.follow(alice(), stream("wait")).await.unwrap();
    assert_eq!(node.follow_kind(alice(), stream("hi")).await, Kind::Busy);
    assert!(node.follow(eve(), stream("hi")).await.is_ok());
    drop(events);
    assert!(node.follow(alice(), stream("hi")).await.is_ok());
    node.agent.go.notify_one();
}

#[tokio::test]
async fn events_cross_to_another_node() {
    let node = node().await;
    let client = Client::new(Cable::to(&node) as Arc<dyn Dial>);
    let follow = |request: Value| {
        let (client, params) = (client.clone(), ServiceParams::for_request(&request));
        async move { client.stream(&ALICE, &AGENT, request, params, PATIENCE).await }
    };
    let events = rest(follow(stream("hi")).await.unwrap()).await;
    assert_eq!(told(&events), ["task WORKING", "artifactUpdate", "statusUpdate COMPLETED"]);
    let refused = follow(stream("")).await.err().or(follow(subscribe("nope")).await.err());
    assert_eq!(refused.unwrap().kind(), Kind::TaskNotFound, "an error before the stream is an error");
    assert_eq!(told(&rest(follow(stream("say")).await.unwrap()).await), ["message"]);
}

#[tokio::test]
async fn a_stream_that_breaks_is_taken_up_again_where_the_task_is() {
    let node = node().await;
    let cable = Cable::to(&node);
    let client = Client::new(Arc::clone(&cable) as Arc<dyn Dial>);
    let params = ServiceParams::for_request(&stream("wait"));
    let mut events = client.stream(&ALICE, &AGENT, stream("wait"), params.clone(), PATIENCE).await.unwrap();
    assert_eq!(told(&[next(&mut events).await]), ["task WORKING"]);
    soon(&node.agent.begun).await;
    cable.cut();
    let taken_up = async {
        // the update that was told before the cut may still come first
        loop {
            let event = next(&mut events).await;
            if event.get("task").is_some() {
                return event;
            }
        }
    };
    let again = taken_up.await;
    assert_eq!(again["task"]["status"]["message"]["parts"][0]["text"], "halfway");
    node.agent.go.notify_one();
    assert_eq!(told(&rest(events).await), ["artifactUpdate", "statusUpdate COMPLETED"]);

    let mut events = client.stream(&ALICE, &AGENT, stream("wait"), params, PATIENCE).await.unwrap();
    let id = next(&mut events).await["task"]["id"].as_str().unwrap().to_owned();
    soon(&node.agent.begun).await;
    cable.cut();
    node.agent.go.notify_one();
    node.settled(&id).await;
    let last = rest(events).await.pop().unwrap();
    assert!(event::ends_stream(&last), "it ended while nobody listened: {last}");
}

#[tokio::test]
async fn a_caller_lists_its_own_tasks_page_by_page_newest_first() {
    let node = node().await;
    for n in 0..5_u64 {
        node.clock.set(Timestamp::from_secs(1_795_000_000 + n));
        node.ask(alice(), send(if n == 2 { "ask" } else { "hi" })).await.unwrap();
    }
    node.ask(eve(), send("hers")).await.unwrap();
    let list = |params: Value| rpc::request(6, "ListTasks", params);
    let all = node.ask(alice(), list(json!({}))).await.unwrap();
    assert_eq!((all["totalSize"].as_u64(), all["nextPageToken"].as_str()), (Some(5), Some("")));
    let times = |page: &Value| -> Vec<String> {
        let tasks = page["tasks"].as_array().unwrap().iter();
        tasks.map(|task| task["status"]["timestamp"].as_str().unwrap().to_owned()).collect()
    };
    assert!(times(&all).is_sorted_by(|a, b| a > b));
    assert!(all["tasks"][0].get("artifacts").is_none());
    let with = node.ask(alice(), list(json!({"includeArtifacts": true, "historyLength": 0}))).await.unwrap();
    assert!(with["tasks"][0].get("artifacts").is_some() && with["tasks"][0].get("history").is_none());

    let mut seen = Vec::new();
    let mut token = String::new();
    loop {
        let page = node.ask(alice(), list(json!({"pageSize": 2, "pageToken": token}))).await.unwrap();
        assert_eq!((page["totalSize"].as_u64(), page["pageSize"].as_u64()), (Some(5), Some(2)));
        seen.extend(times(&page));
        token = page["nextPageToken"].as_str().unwrap().to_owned();
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, times(&all));

    let waiting = node.ask(alice(), list(json!({"status": "TASK_STATE_INPUT_REQUIRED"}))).await.unwrap();
    assert_eq!(waiting["totalSize"], 1);
    let context = waiting["tasks"][0]["contextId"].clone();
    assert_eq!(node.ask(alice(), list(json!({"contextId": context}))).await.unwrap()["totalSize"], 1);
    let since = all["tasks"][1]["status"]["timestamp"].clone();
    assert_eq!(node.ask(alice(), list(json!({"statusTimestampAfter": since}))).await.unwrap()["totalSize"], 2);
    assert_eq!(node.ask_kind(alice(), list(json!({"pageToken": "x"}))).await, Kind::InvalidParams);
}

#[tokio::test]
async fn tasks_are_listed_after_a_restart() {
    let (folder, store) = (tempfile::tempdir().unwrap(), Store::memory());
    let clock = ManualClock::new(Timestamp::from_secs(1_795_000_000));
    let list = rpc::request(6, "ListTasks", json!({"status": "TASK_STATE_COMPLETED"}));
    for round in 1..3_u64 {
        let server = open(store.clone(), folder.path(), Arc::new(OpenGate), &clock, Limits::default()).await;
        server.serve(*AGENT, agent_card(), Arc::new(Obedient::default()));
        rpc::result(server.call(alice(), &AGENT, send("hi")).await).unwrap();
        let listed = rpc::result(server.call(alice(), &AGENT, list.clone()).await).unwrap();
        assert_eq!(listed["totalSize"].as_u64(), Some(round));
    }
}
