//! Stories of programs as agents: real child processes, well behaved and not.

use tokio::io::AsyncReadExt as _;

use super::*;
use crate::{CommandConfig, CommandExecutor, CommandLimits, run};

/// Does one thing after the other, as its requests say.
const OBEDIENT: &str = r#"
import json, os, subprocess, sys, time

def say(**line):
    print(json.dumps(line), flush=True)

for raw in sys.stdin:
    ask = json.loads(raw)
    id, text = ask["id"], ask.get("text", "")
    if "state" in ask:
        say(id=id, data={"asked": ask["state"], "answered": text})
    elif text == "who":
        say(id=id, data=os.getpid())
    elif text == "environment":
        say(id=id, data=dict(os.environ))
    elif text == "crash":
        sys.exit(3)
    elif text == "garbage":
        print("what is going on?", flush=True)
    elif text == "nothing":
        say(id=id)
    elif text == "endless":
        while True:
            sys.stdout.write("x" * 65536)
    elif text == "fail":
        say(id=id, error="not today")
    elif text == "ask":
        say(id=id, ask="which one?", state={"step": 1})
    elif text == "pieces":
        say(id=id, chunk="one")
        say(id=id, chunk={"data": 2})
        say(id=id, text="three")
    elif text == "hang":
        say(id=id, progress="hanging")
        time.sleep(3600)
    elif text == "grumble":
        for n in range(5):
            print("grumble", n, file=sys.stderr, flush=True)
        say(id=id, done=True, text="done")
    elif text.startswith("breed "):
        code = "import socket, time; s = socket.create_connection(('127.0.0.1', %s)); s.sendall(b'!'); time.sleep(3600)"
        subprocess.Popen([sys.executable, "-c", code % text[6:]], stdin=subprocess.DEVNULL)
        say(id=id, done=True)
    elif ask.get("data") is not None:
        say(id=id, data=ask["data"])
    else:
        say(id=id, text=text.upper())
print("the end", file=sys.stderr, flush=True)
"#;

/// Takes two calls at once and ends them the other way round; then one that it is told to drop.
const JUGGLER: &str = r#"
import json, sys

def say(**line):
    print(json.dumps(line), flush=True)

def read():
    return json.loads(sys.stdin.readline())

say(ready=1, at_once=2, cancel=True)
one, two = read(), read()
say(id=two["id"], text="second: " + two["text"])
say(id=one["id"], text="first: " + one["text"])
held = read()
say(id=held["id"], progress="held")
over = last = None
while over is None or last is None:
    line = read()
    if "cancel" in line:
        over = line
    else:
        last = line
assert over == {"id": held["id"], "cancel": True}, over
say(id=held["id"], error="dropped")
say(id=last["id"], text="still here")
"#;

struct Workshop {
    program: CommandExecutor,
    _folder: TempDir,
}

fn start(script: &str, limits: CommandLimits) -> Workshop {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("agent.py"), script).unwrap();
    let argv = ["python3", "-u", "agent.py"].map(str::to_owned).to_vec();
    let program = CommandExecutor::start(config(argv, &folder, limits), clock());
    Workshop { program, _folder: folder }
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::from_secs(1_795_000_000)))
}

fn config(argv: Vec<String>, folder: &TempDir, limits: CommandLimits) -> CommandConfig {
    let passed = ["PATH", "HOME"].into_iter().filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?)));
    let given = [("GIVEN".to_owned(), "yes".to_owned())];
    CommandConfig {
        name: "workshop".to_owned(),
        argv,
        dir: Some(folder.path().to_owned()),
        env: passed.chain(given).collect(),
        limits,
    }
}

fn obedient() -> Workshop {
    start(OBEDIENT, CommandLimits { grace: Duration::from_millis(50), ..CommandLimits::default() })
}

impl Workshop {
    async fn ask(&self, text: &str) -> Result<Value, A2aError> {
        run(&self.program, *AGENT, text.into(), PATIENCE).await
    }

    fn logged(&self, words: &str) -> bool {
        self.program.log().tail(usize::MAX).0.iter().any(|line| line.text.contains(words))
    }

    async fn until_logged(&self, words: &str) {
        let look = async {
            while !self.logged(words) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(tokio::time::timeout(PATIENCE, look).await.is_ok(), "{:?}", self.program.log().tail(usize::MAX));
    }
}

#[tokio::test]
async fn a_program_answers_with_text_and_data_and_knows_only_what_it_is_given() {
    let shop = obedient();
    assert_eq!(shop.ask("hello").await.unwrap(), "HELLO");
    let data = run(&shop.program, *AGENT, json!({"numbers": [1, 2]}), PATIENCE).await.unwrap();
    assert_eq!(data, json!({"numbers": [1, 2]}));
    assert_eq!(shop.ask("fail").await.unwrap_err().message(), "not today");
    let environment = shop.ask("environment").await.unwrap();
    assert_eq!(environment["GIVEN"], "yes");
    assert_eq!(environment.get("CARGO_MANIFEST_DIR"), None, "{environment}");
}

#[tokio::test]
async fn pieces_questions_and_failures_are_a_tasks() {
    let shop = obedient();
    let node = node().await;
    node.server.serve(*AGENT, agent_card(), Arc::new(shop.program));
    let pieces = node.ask(alice(), send("pieces")).await.unwrap()["task"].clone();
    assert_eq!(state(&pieces), "TASK_STATE_COMPLETED");
    let parts = json!([{ "text": "one" }, { "data": 2 }, { "text": "three" }]);
    assert_eq!(pieces["artifacts"].as_array().unwrap().len(), 1, "{pieces}");
    assert_eq!(pieces["artifacts"][0]["parts"], parts);

    let asked = node.ask(alice(), send("ask")).await.unwrap()["task"].clone();
    assert_eq!(state(&asked), "TASK_STATE_INPUT_REQUIRED");
    assert_eq!(asked["status"]["message"]["parts"][0]["text"], "which one?");
    let mut answer = send("the red one");
    answer["params"]["message"]["taskId"] = asked["id"].clone();
    let task = node.ask(alice(), answer).await.unwrap()["task"].clone();
    assert_eq!(state(&task), "TASK_STATE_COMPLETED");
    assert_eq!(task["artifacts"][0]["parts"][0]["data"], json!({"asked": {"step": 1}, "answered": "the red one"}));
    let failed = node.ask(alice(), send("fail")).await.unwrap()["task"].clone();
    assert_eq!(state(&failed), "TASK_STATE_FAILED");
}

#[tokio::test]
async fn a_program_that_ends_is_started_again() {
    let shop = obedient();
    let before = shop.ask("who").await.unwrap();
    let crashed = shop.ask("crash").await.unwrap_err();
    assert_eq!(crashed.kind(), Kind::ConnectionLost, "{crashed}");
    assert_ne!(shop.ask("who").await.unwrap(), before);
    assert!(shop.logged("it ended with exit status: 3"));
}

#[tokio::test]
async fn what_nobody_can_read_is_said_clearly_and_the_program_starts_anew() {
    let shop = obedient();
    let before = shop.ask("who").await.unwrap();
    let nothing = shop.ask("nothing").await.unwrap_err();
    assert_eq!(nothing.kind(), Kind::InvalidAgentResponse);
    assert!(nothing.message().contains("exactly one of"), "{nothing}");
    assert_eq!(shop.ask("who").await.unwrap(), before, "one bad answer is one failed call");
    let garbage = shop.ask("garbage").await.unwrap_err();
    assert!(garbage.message().ends_with("wrote a line that is not JSON"), "{garbage}");
    assert!(shop.logged("is not JSON: what is going on?"));
    assert_ne!(shop.ask("who").await.unwrap(), before);
    let endless = shop.ask("endless").await.unwrap_err();
    assert!(endless.message().contains("too long"), "{endless}");
    assert_eq!(shop.ask("hello").await.unwrap(), "HELLO");
}

#[tokio::test]
async fn a_greeting_before_the_first_call_is_only_logged() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("agent.py"), OBEDIENT).unwrap();
    let argv = ["sh", "-c", "echo welcome; exec python3 -u agent.py"].map(str::to_owned).to_vec();
    let program = CommandExecutor::start(config(argv, &folder, CommandLimits::default()), clock());
    let shop = Workshop { program, _folder: folder };
    shop.until_logged("is not JSON: welcome").await;
    assert_eq!(shop.ask("hello").await.unwrap(), "HELLO");
}

#[tokio::test]
async fn a_program_that_goes_on_with_a_cancelled_call_is_killed_and_started_again() {
    let shop = obedient();
    let before = shop.ask("who").await.unwrap();
    let node = node().await;
    let program = Arc::new(shop.program);
    node.server.serve(*AGENT, agent_card(), Arc::clone(&program) as Arc<dyn Executor>);
    let task = node.ask(alice(), send_behind("hang")).await.unwrap()["task"].clone();
    let id = task["id"].as_str().unwrap();
    let hangs = async {
        while node.ask(alice(), get(id)).await.unwrap()["status"]["message"]["parts"][0]["text"] != "hanging" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, hangs).await.unwrap();
    assert_eq!(state(&node.ask(alice(), cancel(id)).await.unwrap()), "TASK_STATE_CANCELED");
    assert_ne!(run(&*program, *AGENT, "who".into(), PATIENCE).await.unwrap(), before);
}

#[tokio::test]
async fn a_call_has_a_deadline_and_the_next_one_is_answered() {
    let shop = obedient();
    let late = run(&shop.program, *AGENT, "hang".into(), Duration::from_millis(50)).await.unwrap_err();
    assert_eq!(late.kind(), Kind::DeadlineExceeded);
    assert_eq!(shop.ask("hello").await.unwrap(), "HELLO");
}

#[tokio::test]
async fn a_program_may_take_several_calls_at_once_and_be_told_of_cancellations() {
    let shop = start(JUGGLER, CommandLimits { grace: PATIENCE, ..CommandLimits::default() });
    let (one, two) = tokio::join!(shop.ask("a"), shop.ask("b"));
    let mut answers = [one.unwrap(), two.unwrap()].map(|answer| answer.as_str().unwrap().to_owned());
    answers.sort();
    // which of the two came first is nobody's promise
    assert!(answers == ["first: a", "second: b"] || answers == ["first: b", "second: a"], "{answers:?}");

    let node = node().await;
    let program = Arc::new(shop.program);
    node.server.serve(*AGENT, agent_card(), Arc::clone(&program) as Arc<dyn Executor>);
    let task = node.ask(alice(), send_behind("hold this")).await.unwrap()["task"].clone();
    let id = task["id"].as_str().unwrap();
    let held = async {
        while node.ask(alice(), get(id)).await.unwrap()["status"]["message"]["parts"][0]["text"] != "held" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, held).await.unwrap();
    node.ask(alice(), cancel(id)).await.unwrap();
    assert_eq!(run(&*program, *AGENT, "and you?".into(), PATIENCE).await.unwrap(), "still here");
}

#[tokio::test]
async fn a_program_that_cannot_be_started_turns_calls_away() {
    let folder = tempfile::tempdir().unwrap();
    let argv = vec!["no-such-program-anywhere".to_owned()];
    let limits = CommandLimits { first_pause: PATIENCE, ..CommandLimits::default() };
    let program = CommandExecutor::start(config(argv, &folder, limits), clock());
    let error = run(&program, *AGENT, "hello".into(), PATIENCE).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable, "{error}");
    let (lines, _) = program.log().tail(10);
    assert!(lines.iter().any(|line| line.text.contains("cannot be started")), "{lines:?}");
}

#[tokio::test]
async fn more_calls_than_there_are_places_are_turned_away() {
    let shop = start(OBEDIENT, CommandLimits { calls: 1, ..CommandLimits::default() });
    let node = node().await;
    node.server.serve(*AGENT, agent_card(), Arc::new(shop.program));
    let task = node.ask(alice(), send_behind("hang")).await.unwrap()["task"].clone();
    let hangs = async {
        let id = task["id"].as_str().unwrap();
        while node.ask(alice(), get(id)).await.unwrap()["status"]["message"]["parts"][0]["text"] != "hanging" {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, hangs).await.unwrap();
    assert_eq!(node.ask_kind(alice(), send("hello")).await, Kind::Busy);
}

#[tokio::test]
async fn what_it_grumbles_can_be_read_and_is_bounded() {
    let shop = start(OBEDIENT, CommandLimits { log_lines: 3, log_line: 8, ..CommandLimits::default() });
    assert_eq!(shop.ask("grumble").await.unwrap(), "done");
    shop.program.shutdown().await;
    let (lines, forgotten) = shop.program.log().tail(usize::MAX);
    let texts: Vec<_> = lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(texts, ["grumble…", "the end", "stopped"]);
    assert_eq!(forgotten, 5, "its start and four grumbles");
}

#[tokio::test]
async fn a_stop_ends_the_program_and_everything_it_has_started() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let shop = obedient();
    let port = listener.local_addr().unwrap().port();
    shop.ask(&format!("breed {port}")).await.unwrap_err();
    let (mut grandchild, _) = tokio::time::timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    assert_eq!(grandchild.read_u8().await.unwrap(), b'!');
    shop.program.shutdown().await;
    assert!(shop.logged("the end"), "the end of its input let it end by itself");
    let gone = tokio::time::timeout(PATIENCE, grandchild.read_u8()).await.unwrap();
    assert!(gone.is_err(), "nobody is at the other end any more");
    assert_eq!(shop.ask("hello").await.unwrap_err().kind(), Kind::Unreachable);
}
