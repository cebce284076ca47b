//! What keeps a card from being signed: every value that the standard's canonical form and the SDKs' treat differently.

use serde_json::{Map, Value};

use super::raw::{MAX_DEPTH, MAX_INTEGER};
use super::schema::{CARD, Field, Kind, Message, Presence};
use super::{CardError, Fault};

#[cfg(test)]
mod tests;

const EMPTY: &str = "is empty: leave it out of a signed card";
const DEFAULT: &str = "is a default: leave it out of a signed card";
const UNKNOWN: &str = "is no field of A2A 1.0: SDKs leave it out of what they sign and verify";
const LOST: &str = "is a name that JavaScript readers lose";

/// Checks that the two canonical forms of a card are the same bytes ([`super::Form`]), so that whoever
/// verifies it computes what was signed: it must hold no empty text, list or object, no null, no default (explicit
/// `streaming`, `pushNotifications` and `extendedAgentCard` are fine), no field that A2A 1.0 does not have,
/// nothing of another type than the standard's, and no integer beyond 2^53. `signatures` is not looked at.
///
/// [`super::signable`] leaves out what may be left out.
///
/// # Errors
/// [`CardError`] with every such value and its JSON path.
pub fn check_signable(card: &Value) -> Result<(), CardError> {
    let mut lint = Lint::default();
    match card.as_object() {
        Some(map) => lint.message(map, &CARD, "", 1),
        None => lint.add("", "must be an object"),
    }
    if lint.0.is_empty() { Ok(()) } else { Err(CardError { faults: lint.0 }) }
}

#[derive(Default)]
struct Lint(Vec<Fault>);

impl Lint {
    fn add(&mut self, path: &str, problem: &'static str) {
        self.0.push(Fault { path: path.to_owned(), problem });
    }

    fn message(&mut self, map: &Map<String, Value>, message: &Message, path: &str, depth: usize) {
        if map.is_empty() {
            return self.add(path, EMPTY);
        }
        if message.one_of && map.len() > 1 {
            self.add(path, "must have exactly one of its fields");
        }
        for (name, value) in map.iter().filter(|(name, _)| !(path.is_empty() && *name == "signatures")) {
            let path = below(path, name);
            match message.field(name) {
                Some(field) => self.field(value, field, &path, depth),
                None => self.add(&path, UNKNOWN),
            }
        }
    }

    fn field(&mut self, value: &Value, field: &Field, path: &str, depth: usize) {
        match (field.kind, value) {
            (_, Value::Null) => self.add(path, EMPTY),
            (Kind::Text, Value::String(text)) => self.text(text, path),
            (Kind::Flag, Value::Bool(flag)) => {
                if !flag && field.presence == Presence::Plain {
                    self.add(path, DEFAULT);
                }
            }
            (Kind::One(message), Value::Object(map)) => self.message(map, message, path, depth + 1),
            (Kind::Free, Value::Object(_)) => self.free(value, path, depth + 1),
            (Kind::Texts, Value::Array(list)) => self.list(list, path, |lint, value, path| match value {
                Value::String(text) => lint.text(text, path),
                _ => lint.add(path, "must be a text"),
            }),
            (Kind::Many(message), Value::Array(list)) => self.list(list, path, |lint, value, path| match value {
                Value::Object(map) => lint.message(map, message, path, depth + 2),
                _ => lint.add(path, "must be an object"),
            }),
            (Kind::TextMap, Value::Object(map)) => self.map(map, path, |lint, value, path| match value {
                Value::String(text) => lint.text(text, path),
                _ => lint.add(path, "must be a text"),
            }),
            (Kind::Map(message), Value::Object(map)) => self.map(map, path, |lint, value, path| match value {
                Value::Object(map) => lint.message(map, message, path, depth + 2),
                _ => lint.add(path, "must be an object"),
            }),
            (Kind::Text, _) => self.add(path, "must be a text"),
            (Kind::Flag, _) => self.add(path, "must be true or false"),
            (Kind::Texts | Kind::Many(_), _) => self.add(path, "must be a list"),
            (Kind::TextMap | Kind::Map(_) | Kind::One(_) | Kind::Free, _) => self.add(path, "must be an object"),
        }
    }

    fn text(&mut self, text: &str, path: &str) {
        if text.is_empty() {
            self.add(path, EMPTY);
        }
    }

    fn list(&mut self, list: &[Value], path: &str, mut check: impl FnMut(&mut Self, &Value, &str)) {
        if list.is_empty() {
            self.add(path, EMPTY);
        }
        for (n, value) in list.iter().enumerate() {
            check(self, value, &format!("{path}/{n}"));
        }
    }

    fn map(&mut self, map: &Map<String, Value>, path: &str, mut check: impl FnMut(&mut Self, &Value, &str)) {
        if map.is_empty() {
            self.add(path, EMPTY);
        }
        for (name, value) in map {
            let path = below(path, name);
            if name == "__proto__" {
                self.add(&path, LOST);
            }
            check(self, value, &path);
        }
    }

    /// A value below `params`, where everything but emptiness is allowed.
    fn free(&mut self, value: &Value, path: &str, depth: usize) {
        match value {
            Value::Array(_) | Value::Object(_) if depth > MAX_DEPTH => self.add(path, "is nested too deeply"),
            Value::Array(list) => self.list(list, path, |lint, value, path| lint.free(value, path, depth + 1)),
            Value::Object(map) => self.map(map, path, |lint, value, path| lint.free(value, path, depth + 1)),
            Value::String(text) => self.text(text, path),
            Value::Null => self.add(path, EMPTY),
            Value::Number(number) if !number.as_f64().is_some_and(|number| number.abs() <= LARGEST) => {
                self.add(path, "is a number that not every reader keeps: write it as a text");
            }
            Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// [`MAX_INTEGER`] as JSON numbers are compared: exactly.
#[expect(clippy::cast_precision_loss, reason = "2^53 - 1 is a double")]
const LARGEST: f64 = MAX_INTEGER as f64;

/// The path of a member, as a JSON pointer (RFC 6901).
fn below(path: &str, name: &str) -> String {
    format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"))
}
