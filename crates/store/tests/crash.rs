//! What is acknowledged survives `kill -9` and a full disk, in a process of its own.
//!
//! The test binary starts itself again as the victim: with [`VICTIM_HOME`] set, the test
//! [`victim`] writes pairs of rows for ever and prints each number once its commit returned.
//! That the harness can fail was seen with the flush taken out of the writer: the first rounds
//! of `kill -9` then lose acknowledged pairs.
#![expect(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use haggle_base::Coded;
use haggle_store::{Batch, Options, Store, tables};

const VICTIM_HOME: &str = "HAGGLE_STORE_TEST_VICTIM_HOME";
const VICTIM_START: &str = "HAGGLE_STORE_TEST_VICTIM_START";
const ROUNDS: u64 = 20;

tables! {
    Left = "left-1": u64 => String;
    Right = "right-1": u64 => String;
}

/// A value of 0.1 to 7 KB that depends on the number alone.
fn value(number: u64) -> String {
    let size = 100 + usize::try_from(mix(number) % 6_900).unwrap();
    format!("{number}:{}", "v".repeat(size))
}

/// splitmix64, so that every run of the test kills at the same moments.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Not a story: the process that the stories kill.
#[tokio::test]
async fn victim() {
    let Ok(home) = std::env::var(VICTIM_HOME) else {
        return;
    };
    let start: u64 = std::env::var(VICTIM_START).unwrap().parse().unwrap();
    let store = Store::open(Path::new(&home), Options::default()).unwrap();
    let mut stdout = std::io::stdout();
    writeln!(stdout, "\nready").unwrap();
    for number in start.. {
        let mut batch = Batch::new();
        batch.put::<Left>(&number, &value(number)).unwrap();
        batch.put::<Right>(&number, &value(number)).unwrap();
        match store.commit(batch).await {
            Ok(()) => writeln!(stdout, "acknowledged {number}").unwrap(),
            Err(error) => {
                writeln!(stdout, "refused {}", error.code()).unwrap();
                let mut batch = Batch::new();
                batch.delete::<Left>(&0);
                let again = store.commit(batch).await.unwrap_err();
                writeln!(stdout, "refused again {}", again.code()).unwrap();
                return;
            }
        }
    }
}

/// Starts the victim, under a file size limit of so many KiB if one is given.
fn start_victim(home: &Path, start: u64, limit_kib: Option<u64>) -> Child {
    let own = std::env::current_exe().unwrap();
    let mut command = match limit_kib {
        None => Command::new(own),
        Some(kib) => {
            let mut shell = Command::new("bash");
            shell.arg("-c").arg(format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" \"$@\"")).arg(own);
            shell
        }
    };
    command
        .args(["--exact", "victim", "--nocapture", "--test-threads", "1"])
        .env(VICTIM_HOME, home)
        .env(VICTIM_START, start.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Reads lines until the pipe ends; the last acknowledged number and the refusals.
fn read_lines(child: &mut Child, mut on_line: impl FnMut(&str)) -> (Option<u64>, Vec<String>) {
    let mut last = None;
    let mut refused = Vec::new();
    let stdout = child.stdout.take().unwrap();
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        on_line(&line);
        if let Some(number) = line.strip_prefix("acknowledged ") {
            last = number.parse().ok().or(last);
        } else if line.starts_with("refused") {
            refused.push(line);
        }
    }
    (last, refused)
}

/// Every pair up to `last` is whole, and no pair above is torn. Returns the next free number.
async fn check(home: &Path, last: Option<u64>) -> u64 {
    let store = Store::open(home, Options::default()).unwrap();
    let end = last.map_or(0, |last| last + 1);
    for number in 0..end {
        assert_eq!(store.get::<Left>(&number).unwrap(), Some(value(number)), "acknowledged {number} is lost");
        assert_eq!(store.get::<Right>(&number).unwrap(), Some(value(number)), "acknowledged {number} is lost");
    }
    let mut next = end;
    loop {
        let left = store.get::<Left>(&next).unwrap();
        assert_eq!(left, store.get::<Right>(&next).unwrap(), "pair {next} is torn");
        if left.is_none() {
            break;
        }
        next += 1;
    }
    assert_eq!(store.count::<Left>().unwrap(), next);
    assert_eq!(store.count::<Right>().unwrap(), next);
    store.shutdown().await.unwrap();
    next
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_nine_loses_no_acknowledged_pair_and_tears_none() {
    let home = tempfile::tempdir().unwrap();
    let mut next = 0;
    let mut acknowledged = None;
    for round in 0..ROUNDS {
        let mut child = start_victim(home.path(), next, None);
        let pid = child.id();
        let wait = Duration::from_millis(20 + mix(round) % 280);
        let mut killer = None;
        let (last, refused) = read_lines(&mut child, |line| {
            if line == "ready" {
                killer = Some(tokio::spawn(async move {
                    tokio::time::sleep(wait).await;
                    Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
                }));
            }
        });
        assert!(refused.is_empty(), "{refused:?}");
        killer.expect("the victim opened its store").await.unwrap();
        assert!(!child.wait().unwrap().success());
        acknowledged = last.or(acknowledged);
        next = check(home.path(), acknowledged).await;
    }
    assert!(acknowledged.is_some_and(|last| last > ROUNDS), "the victim hardly wrote: {acknowledged:?}");
}

#[tokio::test]
async fn a_full_disk_answers_storage_full_and_keeps_what_was_acknowledged() {
    for limit_kib in [1_024, 1_500, 3_000] {
        let home = tempfile::tempdir().unwrap();
        let mut child = start_victim(home.path(), 0, Some(limit_kib));
        let (last, refused) = read_lines(&mut child, |_| {});
        assert!(child.wait().unwrap().success());
        assert_eq!(refused, ["refused storage_full", "refused again storage_full"]);
        let last = last.expect("something was acknowledged before the disk was full");
        check(home.path(), Some(last)).await;
    }
}
