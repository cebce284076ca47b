//! Stories of a toll: the task waits, is paid once, and tells of it, however often the payment comes.

use std::collections::HashSet;

use haggle_a2a::{ServiceParams, event};
use haggle_store::{Batch, tables};

use super::*;
use crate::{Admission, Charged, Coming, Fare, Kept, Passage, Tendered, Toll};

tables! {
    /// What was charged, by payment: the task.
    Till = "test-till-1": String => String;
}

/// Takes "coin-..." as a payment, once each.
#[derive(Debug, Default)]
struct Booth {
    store: Option<Store>,
    at_work: Arc<Mutex<HashSet<String>>>,
    stood: Arc<AtomicUsize>,
    /// Answers are kept here and not beside the task.
    keeps: bool,
    kept: Arc<Mutex<HashMap<String, (String, Kept)>>>,
}

struct Coin {
    booth: Arc<Booth>,
    name: String,
}

impl Drop for Coin {
    fn drop(&mut self) {
        self.booth.at_work.lock().unwrap().remove(&self.name);
    }
}

#[async_trait]
impl Fare for Coin {
    fn verified(&self) -> Map<String, Value> {
        Map::from_iter([("paid".to_owned(), json!("verified"))])
    }

    async fn done(self: Box<Self>, task: &str, _: &str, outcome: &Outcome) -> Charged {
        let metadata = Map::from_iter([("paid".to_owned(), json!(self.name))]);
        if self.name == "coin-forged" {
            return Charged::withheld(metadata, "the coin is forged");
        }
        if self.booth.keeps {
            let kept = Kept { outcome: outcome.clone(), metadata: metadata.clone() };
            self.booth.kept.lock().unwrap().insert(self.name.clone(), (task.to_owned(), kept));
        }
        let mut batch = Batch::new();
        batch.put::<Till>(&self.name, &task.to_owned()).unwrap();
        // the coin is in hand until it is stored
        let stands: Box<dyn FnOnce() + Send> = Box::new(move || {
            self.booth.stood.fetch_add(1, Ordering::SeqCst);
        });
        Charged { metadata, withheld: None, batch, stands: Some(stands) }
    }
}

struct Way(Arc<Booth>);

#[async_trait]
impl Toll for Way {
    async fn pass(&self, coming: &mut Coming) -> Result<Passage, A2aError> {
        let said = |text: &str| message::agent("toll", vec![message::text(text)]);
        let asks =
            || Passage::Ask { message: said("pay a coin"), memo: Map::from_iter([("asked".to_owned(), json!(1))]) };
        let Some(Tendered { name, .. }) = &coming.tendered else {
            return Ok(match message::text_of(&coming.call.message).as_deref() {
                Some("no, thanks") => Passage::End { state: TaskState::Canceled, message: said("as you like") },
                _ => asks(),
            });
        };
        if name == "button" {
            return Ok(Passage::End { state: TaskState::Failed, message: said("that is a button") });
        }
        loop {
            let known = self.0.store.as_ref().and_then(|store| store.get::<Till>(name).unwrap());
            if let Some(task) = known {
                let kept = self.0.kept.lock().unwrap().get(name).map(|(_, kept)| Box::new(kept.clone()));
                return Ok(Passage::Done { task, kept });
            }
            if self.0.at_work.lock().unwrap().insert(name.clone()) {
                return Ok(Passage::Pay(Box::new(Coin { booth: Arc::clone(&self.0), name: name.clone() })));
            }
            tokio::task::yield_now().await;
        }
    }
}

struct Turnpike(Arc<Way>);

#[async_trait]
impl Gate for Turnpike {
    async fn admit(&self, _: &Caller, _: &Did, _: &Value) -> Result<Admission, A2aError> {
        Ok(Admission::Toll(Arc::clone(&self.0) as Arc<dyn Toll>))
    }

    fn lift(&self, _: &Did, message: &mut Value) -> Option<Tendered> {
        let payment = message.get_mut("metadata")?.as_object_mut()?.remove("coin")?;
        Some(Tendered { name: payment.as_str()?.to_owned(), payment })
    }
}

struct Story {
    node: Node,
    booth: Arc<Booth>,
    store: Store,
}

async fn story(keeps: bool) -> Story {
    story_within(keeps, Limits::default()).await
}

async fn story_within(keeps: bool, limits: Limits) -> Story {
    let store = Store::memory();
    let booth = Arc::new(Booth { store: Some(store.clone()), keeps, ..Booth::default() });
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::new(Timestamp::from_secs(1_795_000_000));
    let gate = Arc::new(Turnpike(Arc::new(Way(Arc::clone(&booth)))));
    let server = open(store.clone(), folder.path(), gate, &clock, limits).await;
    let agent = Arc::new(Obedient::default());
    server.serve(*AGENT, agent_card(), Arc::clone(&agent) as Arc<dyn Executor>);
    Story { node: Node { server, agent, clock, _folder: folder }, booth, store }
}

/// A message that pays, to a task or as a first one.
fn pays(text: &str, coin: &str, task: Option<&Value>) -> Value {
    let mut request = send(text);
    request["params"]["message"]["metadata"] = json!({ "coin": coin, "note": "mine" });
    if let Some(task) = task {
        request["params"]["message"]["taskId"] = task["id"].clone();
    }
    request
}

impl Story {
    async fn task(&self, request: Value) -> Value {
        self.node.ask(alice(), request).await.unwrap()["task"].clone()
    }

    fn runs(&self) -> usize {
        self.node.agent.runs.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_task_waits_until_it_is_paid_and_the_agent_sees_what_was_asked_first() {
    let story = story(false).await;
    let asked = story.task(send("sing")).await;
    assert_eq!((state(&asked), story.runs()), ("TASK_STATE_INPUT_REQUIRED", 0));
    assert_eq!(asked["status"]["message"]["parts"][0]["text"], "pay a coin");
    let paid = story.task(pays("here", "coin-1", Some(&asked))).await;
    assert_eq!((state(&paid), story.runs()), ("TASK_STATE_COMPLETED", 1));
    assert_eq!(paid["artifacts"][0]["parts"][0]["text"], "sing");
    assert_eq!(paid["status"]["message"]["metadata"]["paid"], "coin-1");
    assert_eq!(story.store.get::<Till>(&"coin-1".to_owned()).unwrap().as_deref(), paid["id"].as_str());
    assert_eq!(story.booth.stood.load(Ordering::SeqCst), 1);
    let shown = paid["history"].as_array().unwrap();
    assert_eq!(shown.len(), 3, "{shown:?}");
    assert_eq!(shown[2]["metadata"], json!({ "note": "mine" }), "the payment itself is kept nowhere");
    assert_eq!(story.task(pays("here", "coin-1", Some(&asked))).await, paid);
    let other = story.node.ask(alice(), pays("here", "coin-2", Some(&asked))).await.unwrap_err();
    assert_eq!(other.kind(), Kind::UnsupportedOperation);
    assert_eq!(story.runs(), 1);
}

#[tokio::test]
async fn one_payment_delivered_fifty_times_is_worked_for_once() {
    for first in [false, true] {
        let story = story(false).await;
        let asked = story.task(send("wait")).await;
        let task = (!first).then_some(&asked);
        let mut calls = Vec::new();
        for _ in 0..50 {
            let (server, request) = (story.node.server.clone(), pays("wait", "coin-1", task));
            calls.push(tokio::spawn(async move { server.call(alice(), &AGENT, request).await }));
        }
        soon(&story.node.agent.begun).await;
        story.node.agent.go.notify_one();
        let mut answers = Vec::new();
        for call in calls {
            answers.push(rpc::result(call.await.unwrap()).unwrap());
        }
        assert_eq!(state(&answers[0]["task"]), "TASK_STATE_COMPLETED");
        assert!(answers.iter().all(|answer| *answer == answers[0]), "first message: {first}");
        assert_eq!((story.runs(), story.booth.stood.load(Ordering::SeqCst)), (1, 1));
    }
}

#[tokio::test]
async fn tasks_that_wait_to_be_paid_make_room_for_others() {
    let story = story_within(false, Limits { tasks_per_caller: 2, ..Limits::default() }).await;
    let first = story.task(send("sing")).await;
    for n in 0..3 {
        story.node.clock.advance(Duration::from_secs(1));
        assert_eq!(state(&story.task(send(&format!("{n}"))).await), "TASK_STATE_INPUT_REQUIRED");
    }
    let gone = story.node.ask_kind(alice(), pays("here", "coin-1", Some(&first))).await;
    assert_eq!(gone, Kind::TaskNotFound);
    assert_eq!(state(&story.task(pays("sing", "coin-1", None)).await), "TASK_STATE_COMPLETED");
}

#[tokio::test]
async fn what_is_turned_down_ends_the_task() {
    let story = story(false).await;
    let asked = story.task(send("sing")).await;
    let mut no = send("no, thanks");
    no["params"]["message"]["taskId"] = asked["id"].clone();
    assert_eq!(state(&story.task(no).await), "TASK_STATE_CANCELED");
    let refused = story.task(pays("sing", "button", None)).await;
    assert_eq!((state(&refused), story.runs()), ("TASK_STATE_FAILED", 0));
    let forged = story.task(pays("sing", "coin-forged", None)).await;
    assert_eq!((state(&forged), story.runs()), ("TASK_STATE_FAILED", 1));
    assert_eq!((forged.get("artifacts"), story.booth.stood.load(Ordering::SeqCst)), (None, 0));
}

#[tokio::test]
async fn a_paid_agent_that_asks_back_is_answered_without_another_coin() {
    let story = story(false).await;
    let asks = story.task(pays("ask", "coin-1", None)).await;
    assert_eq!(state(&asks), "TASK_STATE_INPUT_REQUIRED");
    assert_eq!(asks["status"]["message"]["metadata"]["paid"], "coin-1");
    let mut answer = send("the red one");
    answer["params"]["message"]["taskId"] = asks["id"].clone();
    let done = story.task(answer).await;
    assert_eq!(done["artifacts"][0]["parts"][0]["data"], json!({"asked": {"step": 1}, "answered": "the red one"}));
    assert_eq!(done["status"]["message"]["metadata"]["paid"], "coin-1", "the last message tells of the payment");
    assert_eq!(story.booth.stood.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn paid_work_goes_on_when_the_caller_leaves_and_waits_for_the_same_payment() {
    let story = story(false).await;
    let (server, request) = (story.node.server.clone(), pays("wait", "coin-1", None));
    let call = tokio::spawn(async move { server.call(alice(), &AGENT, request).await });
    soon(&story.node.agent.begun).await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    story.node.agent.go.notify_one();
    let paid = story.task(pays("wait", "coin-1", None)).await;
    assert_eq!((state(&paid), story.runs()), ("TASK_STATE_COMPLETED", 1));
}

#[tokio::test]
async fn an_answer_that_the_toll_kept_ends_a_task_whose_end_was_lost() {
    let story = story(true).await;
    let paid = story.task(pays("sing", "coin-1", None)).await;
    story
        .store
        .clone()
        .commit({
            let mut batch = Batch::new();
            // the commit of the task was lost, the toll's own was not
            batch.put::<Till>(&"coin-1".to_owned(), &"gone".to_owned()).unwrap();
            batch
        })
        .await
        .unwrap();
    let again = story.task(pays("sing", "coin-1", None)).await;
    assert_ne!(again["id"], paid["id"]);
    assert_eq!((&again["artifacts"], story.runs()), (&paid["artifacts"], 1));
    assert_eq!(again["status"]["message"]["metadata"]["paid"], "coin-1");
}

#[tokio::test]
async fn of_an_agent_that_is_retired_what_was_paid_for_is_left_and_nothing_else() {
    let story = story(false).await;
    let paid = story.task(pays("sing", "coin-1", None)).await;
    let id = paid["id"].as_str().unwrap();
    story.node.server.retire(*AGENT);
    assert!(story.node.server.answers_for(&AGENT) && story.node.server.agents().is_empty());
    assert_eq!(story.node.ask(alice(), get(id)).await.unwrap(), paid);
    assert_eq!(story.task(pays("sing", "coin-1", None)).await, paid, "the same payment again");
    for (caller, request) in [
        (alice(), get("another")),
        (alice(), send("sing")),
        (alice(), cancel(id)),
        (alice(), pays("sing", "coin-2", None)),
        (Caller::http("eve"), get(id)),
    ] {
        assert_eq!(story.node.ask_kind(caller, request.clone()).await, Kind::AgentNotFound, "{request}");
    }
    assert_eq!((story.runs(), story.booth.stood.load(Ordering::SeqCst)), (1, 1));
}

#[tokio::test]
async fn a_stream_shows_the_offer_and_then_the_paid_work() {
    use futures::StreamExt as _;

    let story = story(false).await;
    let params = ServiceParams::for_request(&json!({}));
    let open = async |text: &str, coin: Option<(&str, &Value)>| {
        let request = coin.map_or_else(|| send(text), |(coin, task)| pays(text, coin, Some(task)));
        let body = request["params"].clone();
        let method = haggle_a2a::types::methods::SEND_STREAMING_MESSAGE;
        let answer = story.node.server.operate(&alice(), &AGENT, method, body, &params, None).await.unwrap();
        let crate::Answer::Many(events) = answer else { panic!("a stream") };
        events.map(Result::unwrap).collect::<Vec<_>>().await
    };
    let offer = open("sing", None).await;
    assert_eq!(offer.len(), 1);
    assert_eq!(event::state(&offer[0]), Some(TaskState::InputRequired));
    let task = &offer[0]["task"];
    let events = open("here", Some(("coin-1", task))).await;
    assert_eq!(events[0]["task"]["status"]["message"]["metadata"]["paid"], "verified", "{events:?}");
    let last = events.last().unwrap();
    assert_eq!(event::state(last), Some(TaskState::Completed));
    assert_eq!(last["statusUpdate"]["status"]["message"]["metadata"]["paid"], "coin-1");
    assert_eq!(open("here", Some(("coin-1", task))).await.len(), 1, "the same payment again: the task as it is");
}

#[tokio::test]
async fn a_restart_in_the_middle_of_paid_work_lets_the_task_wait_again() {
    let story = story(false).await;
    let asked = story.task(send("wait")).await;
    let mut behind = pays("here", "coin-1", Some(&asked));
    behind["params"]["configuration"] = json!({ "returnImmediately": true });
    assert_eq!(state(&story.task(behind).await), "TASK_STATE_WORKING");
    soon(&story.node.agent.begun).await;
    let booth = Arc::new(Booth { store: Some(story.store.clone()), ..Booth::default() });
    let gate = Arc::new(Turnpike(Arc::new(Way(Arc::clone(&booth)))));
    let folder = story.node._folder.path();
    let server = open(story.store.clone(), folder, gate, &story.node.clock, Limits::default()).await;
    let agent = Arc::new(Obedient::default());
    server.serve(*AGENT, agent_card(), Arc::clone(&agent) as Arc<dyn Executor>);
    let id = asked["id"].as_str().unwrap();
    let waits = rpc::result(server.call(alice(), &AGENT, get(id)).await).unwrap();
    assert_eq!(state(&waits), "TASK_STATE_INPUT_REQUIRED");
    assert_eq!(waits["status"]["message"]["parts"][0]["text"], "pay a coin");
    agent.go.notify_one();
    let paid = server.call(alice(), &AGENT, pays("here", "coin-1", Some(&asked))).await;
    assert_eq!(state(&rpc::result(paid).unwrap()["task"]), "TASK_STATE_COMPLETED");
    assert_eq!(booth.stood.load(Ordering::SeqCst), 1);
}
