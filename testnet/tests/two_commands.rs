//! Two fresh machines on one local network: two commands on each, and they are a market, with no first peer and no chain that
//! answers. Loopback alone carries no multicast, so the story plays in a network namespace of its own.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use serde_json::Value;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::process::{Child, Command};

const PROGRAM: &str = env!("CARGO_BIN_EXE_haggle-testnet");
const NETWORK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/base-sepolia.toml");
const STORY: &str = "two_commands_each_make_two_machines_at_home_a_market";
/// Set for the story as it runs in a network of its own.
const ALONE: &str = "HAGGLE_STORY_ALONE";
/// A loopback that carries multicast, with an address of a home.
const AT_HOME: &str = "ip link set lo up multicast on && ip address add 192.168.77.1/24 dev lo && \
     ip route add 224.0.0.0/4 dev lo";
/// Multicast DNS asks every 15 s at least.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Runs the story in a network of its own, if one can be made here.
async fn play_alone() {
    let inside = |command: &str| {
        let mut unshare = Command::new("unshare");
        unshare.args(["-rn", "sh", "-c", &format!("{AT_HOME} && {command}")]);
        unshare
    };
    if !inside("true").output().await.is_ok_and(|tried| tried.status.success()) {
        eprintln!("skipped: {STORY} takes a network namespace, which cannot be made here");
        return;
    }
    let story = std::env::current_exe().unwrap();
    let mut alone = inside("exec \"$STORIES\" --exact \"$STORY\" --nocapture");
    let run = alone.env(ALONE, "1").env("STORIES", story).env("STORY", STORY).output().await.unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&run.stderr));
}

fn haggle(home: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    // both machines are this one, so each takes ports of its own
    command.env("HAGGLE_P2P__LISTEN", "[\"/ip4/0.0.0.0/tcp/0\"]").env("HAGGLE_GATEWAY__LISTEN", "127.0.0.1:0");
    command.arg("--home").arg(home).args(words).stdin(Stdio::null()).kill_on_drop(true);
    command
}

async fn typed(home: &Path, words: &[&str]) -> Output {
    haggle(home, words).output().await.unwrap()
}

/// The two commands.
async fn set_up(home: &Path) -> Child {
    let made = typed(home, &["init", "--network", NETWORK]).await;
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let log = std::fs::File::create(home.join("up.log")).unwrap();
    haggle(home, &["up"]).stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

/// Asks until the answer is like that.
async fn until(home: &Path, words: &[&str], look: impl Fn(&Value) -> bool) -> Value {
    let mut last = String::new();
    let asking = async {
        loop {
            let answer = typed(home, words).await;
            last = String::from_utf8_lossy(&answer.stdout).into_owned() + &String::from_utf8_lossy(&answer.stderr);
            match serde_json::from_slice(&answer.stdout) {
                Ok(answer) if look(&answer) => return answer,
                _ => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    };
    let found = tokio::time::timeout(PATIENCE, asking).await;
    let log = || std::fs::read_to_string(home.join("up.log")).unwrap_or_default();
    found.unwrap_or_else(|_| panic!("{words:?} says {last}\n{}", log()))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_commands_each_make_two_machines_at_home_a_market() {
    if std::env::var_os(ALONE).is_none() {
        return play_alone().await;
    }
    let folder = tempfile::tempdir().unwrap();
    let [alice, bob] = ["alice", "bob"].map(|name| folder.path().join(name));
    let (_alices, _bobs) = (set_up(&alice).await, set_up(&bob).await);
    for home in [&alice, &bob] {
        until(home, &["status", "--json"], |status| status["peers"] == 1).await;
    }
    let add = ["agent", "add", "words", "--builtin", "digest", "--price", "0"];
    let added = typed(&alice, &add).await;
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    let found = until(&bob, &["find", "--json"], |page| page["total"] == 1).await;
    assert_eq!(found["items"][0]["name"], "words", "{found}");
}
