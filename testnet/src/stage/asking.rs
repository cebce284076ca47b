//! What nodes answer, print and count.

use super::{LOOK_EVERY, PATIENCE, Stage};
use serde_json::{Value, json};
use tokio::process::Command;

/// What a command printed.
#[derive(Clone, Debug)]
pub struct Typed {
    /// Whether it went well.
    pub ok: bool,
    /// Its answer.
    pub out: String,
    /// What it said beside that.
    pub err: String,
}

impl Typed {
    /// Everything it printed.
    #[must_use]
    pub fn all(&self) -> String {
        format!("{}{}", self.out, self.err)
    }
}

impl Stage {
    /// Asks node `number` until its answer is like that; an error counts by its code.
    ///
    /// # Panics
    /// It never is; the panic shows the last answer and the node's log.
    pub async fn until_answer(&self, number: usize, path: &str, look: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let waiting = async {
            loop {
                let answer = self.node(number).client().expect("the node is up").get::<Value>(path).await;
                last = answer.unwrap_or_else(|error| json!({"code": error.code}));
                if look(&last) {
                    return;
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, waiting).await.is_ok();
        assert!(in_time, "node {number} answers {last:#}\n{}", self.node(number).log());
        last
    }

    /// Waits until node `number` has counted something under this name.
    ///
    /// # Panics
    /// It never does; the panic shows the node's log.
    pub async fn until_counted(&self, number: usize, name: &str) {
        let waiting = async {
            loop {
                let text = self.metrics(number).await;
                let count = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
                if count.is_some_and(|count| count > 0) {
                    return;
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, waiting).await.is_ok();
        assert!(in_time, "node {number} does not count {name}\n{}", self.node(number).log());
    }

    /// Runs a command at the home of node `number`.
    ///
    /// # Panics
    /// The program does not start.
    pub async fn typed(&self, number: usize, words: &[&str]) -> Typed {
        let home = self.node(number).home().path();
        let mut command = Command::new(&self.program);
        let output = command.arg("--home").arg(home).args(words).output().await.expect("the program starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Typed { ok: output.status.success(), out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Asks node `number` whether it is ready until it answers with this status; its lines then.
    ///
    /// # Panics
    /// It never does; the panic shows the last answer.
    pub async fn until_ready_is(&self, number: usize, status: u16) -> String {
        let base = self.node(number).client().expect("the node is up").base().to_owned();
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let mut last = (0, String::new());
        let waiting = async {
            while last.0 != status {
                tokio::time::sleep(LOOK_EVERY).await;
                let answer = http.get(format!("{base}/readyz")).send().await.expect("the node answers");
                last = (answer.status().as_u16(), answer.text().await.expect("the node says why"));
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, waiting).await.is_ok();
        assert!(in_time, "node {number} answers {last:?}");
        last.1
    }

    /// What node `number` counts, as Prometheus reads it.
    ///
    /// # Panics
    /// The node does not answer.
    pub async fn metrics(&self, number: usize) -> String {
        let gateway = self.node(number).client().expect("the node is up");
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let request = http.get(format!("{}/metrics", gateway.base())).bearer_auth(gateway.token());
        request.send().await.expect("the node answers").text().await.expect("the node counts")
    }
}
