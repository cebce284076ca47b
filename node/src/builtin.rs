//! The agents that come with haggle: they do real work, and some of them misbehave on purpose.
//!
//! Each takes JSON and gives JSON, has schemas for both, and knows no network. The misbehaving ones
//! (`flaky`, `liar`, `forger`, and `slow` within reason) exist so that a market on one machine can show what
//! happens to a buyer who meets them.

mod csv;
mod digest;
mod misc;

use crate::agent::AgentDraft;
use serde_json::{Value, json};
use std::time::Duration;

/// Names of the built-in agents, in the order `haggle agent list --builtin` shows them.
pub const NAMES: [&str; 8] = ["digest", "csv", "echo", "slow", "flaky", "liar", "forger", CONFORMANCE];

/// Whether the node holds the output of the built-in agent `name` against its own schema before it delivers it.
pub(crate) fn checks_itself(name: &str) -> bool {
    !matches!(name, "liar" | "forger")
}

/// The agent that a conformance suite of A2A drives; called, not hired.
pub(crate) const CONFORMANCE: &str = "conformance";

/// Runs the built-in agent `name` on `input`; `call` tells one call from the next.
///
/// # Errors
/// A sentence for the buyer, when the input makes no sense or the agent fails on purpose.
pub async fn run(name: &str, input: &Value, call: &str) -> Result<Value, String> {
    match name {
        "digest" => digest::run(input),
        "csv" => csv::run(input),
        "echo" | CONFORMANCE => Ok(misc::echo(input)),
        "slow" => {
            tokio::time::sleep(SLOW_FOR).await;
            Ok(misc::echo(input))
        }
        "flaky" => misc::flaky(input, call),
        "liar" | "forger" => Ok(misc::lie()),
        other => Err(format!("there is no built-in agent named {other:?}")),
    }
}

/// How long `slow` takes.
const SLOW_FOR: Duration = Duration::from_secs(2);

/// What the built-in agent `name` looks like on the market.
#[must_use]
pub fn draft(name: &str) -> Option<AgentDraft> {
    let text_in = json!({"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]});
    let draft = match name {
        "digest" => AgentDraft::new("digest")
            .describe("Reads a document: word count, top terms, reading time and its blake3 hash.")
            .category("text")
            .tags(["document", "summary", "words"])
            .units(20_000)
            .schemas(text_in, digest::output_schema()),
        "csv" => AgentDraft::new("csv")
            .describe("Statistics of every column of a CSV document: count, empty, distinct, least, greatest, mean.")
            .category("data")
            .tags(["csv", "statistics", "table"])
            .units(50_000)
            .schemas(
                json!({"type": "object", "properties": {"csv": {"type": "string"}}, "required": ["csv"]}),
                csv::output_schema(),
            ),
        "echo" => AgentDraft::new("echo")
            .describe("Gives back what it gets, free of charge: for trying the way there and back.")
            .category("tools")
            .tags(["echo", "test"]),
        "slow" => AgentDraft::new("slow")
            .describe("An echo that takes its time: two seconds.")
            .category("tools")
            .tags(["echo", "slow"])
            .units(10_000),
        "flaky" => AgentDraft::new("flaky")
            .describe("An echo that fails for every other call: for trying what failure costs.")
            .category("tools")
            .tags(["echo", "flaky"])
            .units(10_000),
        "liar" => AgentDraft::new("liar")
            .describe("Promises a digest and delivers nonsense: for trying what protects a buyer.")
            .category("text")
            .tags(["document", "cheap"])
            .units(5_000)
            .schemas(text_in, digest::output_schema())
            .never_posts_delivery(),
        "forger" => AgentDraft::new("forger")
            .describe("Promises a digest, delivers nonsense and posts it on chain as delivered: for trying disputes.")
            .category("text")
            .tags(["document", "cheap"])
            .units(5_000)
            .schemas(text_in, digest::output_schema()),
        CONFORMANCE => AgentDraft::new(CONFORMANCE)
            .describe("Does what the messages of an A2A conformance suite ask for by name, free of charge.")
            .category("tools")
            .tags(["conformance", "test"]),
        _ => return None,
    };
    Some(draft)
}

#[cfg(test)]
mod tests;
