//! The lines that a node and an agent's program exchange (`docs/protocols/stdio-agent.md`).

use std::time::Duration;

use haggle_a2a::message;
use serde_json::{Map, Value, json};

use crate::Call;

/// Most calls that a program may say it works on at once.
pub(super) const MAX_AT_ONCE: usize = 64;
/// Most parts of one answer or chunk.
const MAX_PARTS: usize = message::MAX_PARTS;

/// What a line of a program says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Said {
    /// How it wants to be spoken to.
    Ready { at_once: usize, cancel: bool },
    /// Something about one call.
    About(u64, Heard),
}

/// What a program says about a call.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Heard {
    /// How far it is.
    Progress(String),
    /// A piece of the output; more follow.
    Chunk(Vec<Value>),
    /// The output, or its last piece.
    Answer(Vec<Value>),
    /// The work failed, in words for the caller.
    Failed(String),
    /// The caller has to say more first.
    Ask { question: String, state: Value },
}

/// A line that is none of the protocol's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Garbage {
    /// The call it is about, if that much can be read.
    pub(super) about: Option<u64>,
    pub(super) problem: &'static str,
}

/// The fields of a request, without its id.
pub(super) fn request(call: &Call, deadline: Duration) -> Map<String, Value> {
    let mut request = Map::new();
    let data = message::data_of(&call.message);
    let inner_text = || data?.as_object()?.get("text")?.as_str().map(str::to_owned);
    if let Some(text) = message::text_of(&call.message).or_else(inner_text) {
        request.insert("text".to_owned(), json!(text));
    }
    if let Some(data) = data {
        request.insert("data".to_owned(), data.clone());
    }
    let parts = call.message.get("parts").cloned().unwrap_or_else(|| json!([]));
    let milliseconds = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
    for (name, value) in [
        ("parts", parts),
        ("task", json!(call.task_id)),
        ("context", json!(call.context_id)),
        ("caller", json!(call.caller.scope)),
        ("deadline_ms", json!(milliseconds)),
    ] {
        request.insert(name.to_owned(), value);
    }
    let optional = [
        ("metadata", call.message.get("metadata").filter(|metadata| metadata.is_object()).cloned()),
        ("key", call.idempotency.as_ref().map(|key| json!(key))),
        ("state", call.resume.clone()),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            request.insert(name.to_owned(), value);
        }
    }
    request
}

/// The line that asks; it ends in a line end.
pub(super) fn request_line(id: u64, fields: Map<String, Value>) -> String {
    let mut request = Map::new();
    request.insert("id".to_owned(), json!(id.to_string()));
    request.extend(fields);
    let mut line = Value::Object(request).to_string();
    line.push('\n');
    line
}

/// The line that takes a request back.
pub(super) fn cancel_line(id: u64) -> String {
    let mut line = json!({ "id": id.to_string(), "cancel": true }).to_string();
    line.push('\n');
    line
}

/// Reads a line of a program.
pub(super) fn read(line: &[u8]) -> Result<Said, Garbage> {
    let unclear = |problem| Garbage { about: None, problem };
    let line: Value = serde_json::from_slice(line).map_err(|_| unclear("is not JSON"))?;
    let Value::Object(mut line) = line else { return Err(unclear("is no JSON object")) };
    if let Some(version) = line.get("ready") {
        return ready(version, &line).map_err(unclear);
    }
    let id = match line.get("id") {
        Some(Value::String(id)) => id.parse().ok(),
        Some(Value::Number(id)) => id.as_u64(),
        _ => None,
    };
    let Some(id) = id else { return Err(unclear("has no id of a request")) };
    match about(&mut line) {
        Ok(heard) => Ok(Said::About(id, heard)),
        Err(problem) => Err(Garbage { about: Some(id), problem }),
    }
}

fn ready(version: &Value, line: &Map<String, Value>) -> Result<Said, &'static str> {
    if version.as_u64() != Some(1) {
        return Err("is for another version of the protocol: ready must be 1");
    }
    let at_once = match line.get("at_once") {
        None => 1,
        Some(number) => match number.as_u64().map(usize::try_from) {
            Some(Ok(number @ 1..=MAX_AT_ONCE)) => number,
            _ => return Err("has an at_once that is not 1 to 64"),
        },
    };
    let cancel = match line.get("cancel") {
        None => false,
        Some(Value::Bool(cancel)) => *cancel,
        Some(_) => return Err("has a cancel that is not true or false"),
    };
    Ok(Said::Ready { at_once, cancel })
}

fn about(line: &mut Map<String, Value>) -> Result<Heard, &'static str> {
    let words = ["progress", "chunk", "error", "ask"];
    let said = words.iter().filter(|word| line.contains_key(**word)).count();
    let has_output = ["text", "data", "parts", "done"].iter().any(|word| line.contains_key(*word));
    if said + usize::from(has_output) != 1 {
        return Err("must hold exactly one of: text, data or parts (or done), error, ask, progress, chunk");
    }
    let text = |line: &Map<String, Value>, word: &str| line.get(word).and_then(Value::as_str).map(str::to_owned);
    if line.contains_key("progress") {
        return Ok(Heard::Progress(text(line, "progress").ok_or("has a progress that is no text")?));
    }
    if line.contains_key("error") {
        return Ok(Heard::Failed(text(line, "error").ok_or("has an error that is no text")?));
    }
    if line.contains_key("ask") {
        let question = text(line, "ask").ok_or("has an ask that is no text")?;
        return Ok(Heard::Ask { question, state: line.remove("state").unwrap_or(Value::Null) });
    }
    match line.remove("chunk") {
        Some(Value::String(text)) => return Ok(Heard::Chunk(vec![message::text(&text)])),
        Some(part) => return checked(vec![part]).map(Heard::Chunk),
        None => {}
    }
    output(line).map(Heard::Answer)
}

fn output(line: &mut Map<String, Value>) -> Result<Vec<Value>, &'static str> {
    let mut parts = match line.remove("parts") {
        None => Vec::new(),
        Some(Value::Array(parts)) if !parts.is_empty() => parts,
        Some(_) => return Err("has parts that are no list, or an empty one"),
    };
    match line.remove("text") {
        None => {}
        Some(Value::String(text)) => parts.push(message::text(&text)),
        Some(_) => return Err("has a text that is no text"),
    }
    parts.extend(line.remove("data").map(message::data));
    match line.remove("done") {
        None | Some(Value::Bool(true)) => checked(parts),
        Some(_) => Err("has a done that is not true"),
    }
}

fn checked(parts: Vec<Value>) -> Result<Vec<Value>, &'static str> {
    if parts.len() > MAX_PARTS {
        return Err("has more than 64 parts");
    }
    match parts.iter().all(|part| message::check_part(part).is_ok()) {
        true => Ok(parts),
        false => Err("has a part that does not hold exactly one of text, raw, url, data"),
    }
}
