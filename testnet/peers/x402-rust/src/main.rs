//! A stranger in Rust: the unmodified x402 crates `r402-*`, as a client that pays and as a shop that sells.
//!
//! ```text
//! KEY=0x… x402-rust client URL --asset 0x… [--network eip155:31337] [--scheme exact|batch-settlement] [--times N]
//!                              [--method M] [--body TEXT]
//! TOKEN=… x402-rust shop --facilitator URL --asset 0x… --pay-to 0x… [--network eip155:31337] [--price UNITS]
//!                              [--name N] [--version V]
//! ```
//!
//! An argument that a role has no use for is passed over, as `--rpc` is: it asks no chain. It shares no code with haggle.

mod client;
mod shop;

use std::collections::BTreeMap;
use std::process::ExitCode;

/// What a role ends with when it cannot go on.
type Problem = Box<dyn std::error::Error + Send + Sync>;

/// `--name value` pairs, and the one word without a name.
struct Asked {
    word: Option<String>,
    named: BTreeMap<String, String>,
}

impl Asked {
    fn read(mut words: impl Iterator<Item = String>) -> Result<Self, Problem> {
        let mut asked = Self { word: None, named: BTreeMap::new() };
        while let Some(word) = words.next() {
            match word.strip_prefix("--") {
                Some(name) => {
                    let value = words.next().ok_or_else(|| format!("--{name} needs a value"))?;
                    asked.named.insert(name.to_owned(), value);
                }
                None => asked.word = Some(word),
            }
        }
        Ok(asked)
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.named.get(name).map(String::as_str)
    }

    fn need(&self, name: &str) -> Result<&str, Problem> {
        self.get(name).ok_or_else(|| format!("--{name} is needed").into())
    }

    fn network(&self) -> &str {
        self.get("network").unwrap_or("eip155:31337")
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = async {
        let mut words = std::env::args().skip(1);
        let role = words.next().unwrap_or_default();
        let asked = Asked::read(words)?;
        match role.as_str() {
            "client" => client::run(&asked).await,
            "shop" => shop::run(&asked).await,
            _ => Err(Problem::from("say client or shop")),
        }
    };
    match outcome.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::FAILURE
        }
    }
}
