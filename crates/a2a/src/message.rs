//! Messages and their parts: build ours, check a stranger's, read the text or the data out of them.

use serde_json::{Map, Value, json};

use crate::{A2aError, Kind};

/// Most parts in one message.
pub const MAX_PARTS: usize = 64;
/// Longest id (message, task, context) in bytes.
pub const MAX_ID_BYTES: usize = 128;

/// The fields of a message, and of a part, that A2A 1.0 has.
const MESSAGE: [&str; 8] =
    ["messageId", "contextId", "taskId", "role", "parts", "metadata", "extensions", "referenceTaskIds"];
const PART: [&str; 7] = ["text", "raw", "url", "data", "metadata", "filename", "mediaType"];

/// The message without what A2A 1.0 has no name for. Agents see a message as it came; what is kept and shown to others is
/// as the standard has it.
#[must_use]
pub fn standard(mut message: Value) -> Value {
    if let Some(fields) = message.as_object_mut() {
        fields.retain(|name, _| MESSAGE.contains(&name.as_str()));
        let parts = fields.get_mut("parts").and_then(Value::as_array_mut);
        for part in parts.into_iter().flatten().filter_map(Value::as_object_mut) {
            part.retain(|name, _| PART.contains(&name.as_str()));
        }
    }
    message
}

/// A JSON object of these fields; unlike `json!` it takes the values as they are, without a copy.
pub fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Object(Map::from_iter(fields.map(|(name, value)| (name.to_owned(), value))))
}

/// A text part.
pub fn text(text: &str) -> Value {
    json!({ "text": text })
}

/// A data part: any JSON.
pub fn data(data: Value) -> Value {
    object([("data", data)])
}

/// A message from the asking side.
pub fn user(id: &str, parts: Vec<Value>) -> Value {
    object([("messageId", id.into()), ("role", "ROLE_USER".into()), ("parts", parts.into())])
}

/// A message from the agent.
pub fn agent(id: &str, parts: Vec<Value>) -> Value {
    object([("messageId", id.into()), ("role", "ROLE_AGENT".into()), ("parts", parts.into())])
}

/// Names an extension in a message, beside its other fields.
#[must_use]
pub fn with_extension(mut message: Value, uri: &str) -> Value {
    if let Some(map) = message.as_object_mut() {
        let list = map.entry("extensions").or_insert_with(|| json!([]));
        if let Some(list) = list.as_array_mut() {
            list.push(Value::String(uri.to_owned()));
        }
    }
    message
}

/// True if the message names this extension.
pub fn has_extension(message: &Value, uri: &str) -> bool {
    let named = message.get("extensions").and_then(Value::as_array);
    named.is_some_and(|list| list.iter().any(|held| held.as_str() == Some(uri)))
}

/// All text parts of a message or an artifact, joined by line ends; `None` if there are none.
pub fn text_of(holder: &Value) -> Option<String> {
    let texts: Vec<&str> = parts(holder).filter_map(|part| part.get("text")?.as_str()).collect();
    if texts.is_empty() { None } else { Some(texts.join("\n")) }
}

/// The first data part of a message or an artifact.
pub fn data_of(holder: &Value) -> Option<&Value> {
    parts(holder).find_map(|part| part.get("data"))
}

fn parts(holder: &Value) -> impl Iterator<Item = &Value> {
    holder.get("parts").and_then(Value::as_array).into_iter().flatten()
}

/// Checks the message of a `SendMessage` request: id, role, at least one part, one content each.
///
/// # Errors
/// [`Kind::InvalidParams`] naming every wrong field.
pub fn check(message: Option<&Value>) -> Result<(), A2aError> {
    let Some(message) = message.filter(|message| message.is_object()) else {
        return Err(A2aError::invalid_params("message", "is required and must be an object"));
    };
    let mut faults = Faults::default();
    faults.id(message, "messageId", true);
    faults.id(message, "taskId", false);
    faults.id(message, "contextId", false);
    if message.get("role").and_then(Value::as_str) != Some("ROLE_USER") {
        faults.add("message.role", "must be ROLE_USER");
    }
    match message.get("parts").and_then(Value::as_array) {
        None => faults.add("message.parts", "is required and must be a list"),
        Some(parts) if parts.is_empty() => faults.add("message.parts", "needs at least one part"),
        Some(parts) if parts.len() > MAX_PARTS => faults.add("message.parts", "has too many parts"),
        Some(parts) => {
            for (n, part) in parts.iter().enumerate() {
                if let Err(text) = check_part(part) {
                    faults.add(&format!("message.parts[{n}]"), text);
                }
            }
        }
    }
    for list in ["extensions", "referenceTaskIds"] {
        let value = message.get(list).filter(|value| !value.is_null());
        let ok = value.is_none_or(|value| value.as_array().is_some_and(|l| l.iter().all(Value::is_string)));
        if !ok {
            faults.add(&format!("message.{list}"), "must be a list of texts");
        }
    }
    if message.get("metadata").is_some_and(|metadata| !metadata.is_object() && !metadata.is_null()) {
        faults.add("message.metadata", "must be an object");
    }
    faults.into_result()
}

/// Checks one part: exactly one of text, raw, url, data, of the right type.
///
/// # Errors
/// What is wrong with it.
pub fn check_part(part: &Value) -> Result<(), &'static str> {
    let Some(part) = part.as_object() else {
        return Err("must be an object");
    };
    let contents = ["text", "raw", "url", "data"].iter().filter(|kind| part.contains_key(**kind));
    if contents.count() != 1 {
        return Err("must hold exactly one of text, raw, url, data");
    }
    let texts = ["text", "raw", "url", "filename", "mediaType"];
    if texts.iter().any(|key| part.get(*key).is_some_and(|value| !value.is_string())) {
        return Err("text, raw, url, filename and mediaType must be texts");
    }
    Ok(())
}

#[derive(Default)]
struct Faults(Vec<(String, &'static str)>);

impl Faults {
    fn add(&mut self, field: &str, text: &'static str) {
        self.0.push((field.to_owned(), text));
    }

    fn id(&mut self, message: &Value, key: &str, required: bool) {
        let value = message.get(key).filter(|value| !value.is_null());
        let field = format!("message.{key}");
        match value.map(Value::as_str) {
            None if required => self.add(&field, "is required"),
            None => {}
            Some(Some("")) if !required => {}
            Some(Some(text)) if !text.is_empty() && text.len() <= MAX_ID_BYTES => {}
            Some(_) => self.add(&field, "must be a text of 1 to 128 bytes"),
        }
    }

    fn into_result(self) -> Result<(), A2aError> {
        let Some((field, text)) = self.0.first() else { return Ok(()) };
        let error = A2aError::new(Kind::InvalidParams, format!("{field}: {text}"));
        Err(self.0.iter().fold(error, |error, (field, text)| error.violation(field, *text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_message_passes_with_fields_nobody_knows() {
        let message = json!({"messageId":"m","role":"ROLE_USER","generation":3,"parts":[{"text":"hi","metadata":{"x":1}},{"data":null}]});
        assert_eq!(check(Some(&message)), Ok(()));
    }

    #[test]
    fn what_is_kept_of_a_message_is_what_the_standard_names() {
        let message = json!({"messageId":"m","role":"ROLE_USER","new":1,"metadata":{"own":1},"parts":[{"text":"hi","new":2,"metadata":{"own":2}}]});
        let kept = json!({"messageId":"m","role":"ROLE_USER","metadata":{"own":1},"parts":[{"text":"hi","metadata":{"own":2}}]});
        assert_eq!(standard(message), kept);
        assert_eq!(standard(json!(7)), json!(7));
    }

    #[test]
    fn every_wrong_field_is_named() {
        let message = json!({"role":"user","parts":[{"text":"a","data":1},{"text":7},3],"metadata":[]});
        let error = check(Some(&message)).unwrap_err();
        let told = error.to_json().to_string();
        for field in [
            "message.messageId",
            "message.role",
            "message.parts[0]",
            "message.parts[1]",
            "message.parts[2]",
            "message.metadata",
        ] {
            assert!(told.contains(field), "{field} in {told}");
        }
        assert_eq!(error.kind(), Kind::InvalidParams);
        for broken in
            [None, Some(json!("x")), Some(json!({})), Some(json!({"messageId":"m","role":"ROLE_USER","parts":[]}))]
        {
            assert_eq!(check(broken.as_ref()).unwrap_err().kind(), Kind::InvalidParams);
        }
    }

    #[test]
    fn text_and_data_are_read_back() {
        let message = with_extension(user("m", vec![text("one"), data(json!({"n": 1})), text("two")]), "urn:x");
        assert_eq!(text_of(&message).as_deref(), Some("one\ntwo"));
        assert_eq!(data_of(&message), Some(&json!({"n": 1})));
        assert!(has_extension(&message, "urn:x") && !has_extension(&message, "urn:y"));
        assert_eq!(text_of(&json!({})), None);
    }
}
