//! The lines of the protocol, against its golden vectors.

use haggle_base::Seed;
use serde_json::{Value, json};

use super::words::{self, Garbage, Heard, Said};
use crate::{Call, Caller};

const VECTORS: &str = include_str!("../../../../../docs/protocols/vectors/stdio-agent.json");

fn vectors(name: &str) -> Vec<Value> {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    vectors[name].as_array().unwrap().clone()
}

/// What a line means, in the words of the vectors.
fn meaning(line: &str) -> Value {
    match words::read(line.as_bytes()) {
        Ok(Said::Ready { at_once, cancel }) => json!({ "ready": { "at_once": at_once, "cancel": cancel } }),
        Ok(Said::About(id, heard)) => {
            let heard = match heard {
                Heard::Progress(text) => json!({ "progress": text }),
                Heard::Chunk(parts) => json!({ "chunk": parts }),
                Heard::Answer(parts) => json!({ "answer": parts }),
                Heard::Failed(text) => json!({ "failed": text }),
                Heard::Ask { question, state } => json!({ "ask": question, "state": state }),
            };
            json!({ "id": id, "is": heard })
        }
        Err(Garbage { about, problem }) => json!({ "id": about, "problem": problem }),
    }
}

#[test]
fn every_line_of_a_program_means_what_the_vectors_say() {
    let lines = vectors("from_program");
    assert!(lines.len() >= 25);
    for vector in lines {
        let line = vector["line"].as_str().unwrap();
        assert_eq!(meaning(line), vector["means"], "{line}");
    }
}

#[test]
fn every_line_to_a_program_is_written_as_the_vectors_have_it() {
    for vector in vectors("to_program") {
        let line = match &vector["cancel"] {
            Value::Null => {
                let call = call(&vector["call"]);
                let deadline = call.deadline;
                words::request_line(vector["id"].as_u64().unwrap(), words::request(&call, deadline))
            }
            id => words::cancel_line(id.as_u64().unwrap()),
        };
        let written: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(written, vector["line"]);
        assert_eq!(line.find('\n'), Some(line.len() - 1), "one line");
    }
}

fn call(vector: &Value) -> Call {
    let text = |name: &str| vector[name].as_str().unwrap().to_owned();
    Call {
        caller: Caller { peer: None, dids: vec![], scope: text("caller") },
        agent: Seed::devnet(7, 1).agent_key(0).did(),
        task_id: text("task"),
        context_id: text("context"),
        message: vector["message"].clone(),
        deadline: std::time::Duration::from_millis(vector["deadline_ms"].as_u64().unwrap()),
        idempotency: vector["key"].as_str().map(str::to_owned),
        extensions: vec![],
        resume: vector.get("resume").cloned(),
    }
}
