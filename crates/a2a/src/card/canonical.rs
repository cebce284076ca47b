//! What a signature of a card covers: the two forms in use, and their canonical bytes (RFC 8785).

use serde_json::{Map, Value};

use super::schema::{CARD, Kind, Message, Presence};
use super::signature::SignatureError;

/// Which of a card's values a signature covers. Both leave out `signatures`, and both keep fields that
/// this version does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As A2A section 8.4.1 has it: without fields that hold their default, unless the standard marks
    /// them `REQUIRED` or `optional`.
    Spec,
    /// As the Python and JavaScript SDKs 1.3.0 have it: also without every empty text, list and object
    /// and without null, wherever they stand.
    Sdk,
}

/// The part of a card that a signature of this form covers; an empty object for what is no object.
#[must_use]
pub fn covered(card: &Value, form: Form) -> Value {
    let mut map = card.as_object().cloned().unwrap_or_default();
    map.remove("signatures");
    prune(&mut map, &CARD);
    let spec = Value::Object(map);
    match form {
        Form::Spec => spec,
        Form::Sdk => full(spec).unwrap_or_else(|| Value::Object(Map::new())),
    }
}

/// The canonical bytes that a signature of this form is made over.
///
/// # Errors
/// [`SignatureError::TooDeep`] and [`SignatureError::Number`].
pub fn canonical(card: &Value, form: Form) -> Result<Vec<u8>, SignatureError> {
    bytes_of(&covered(card, form))
}

/// The same card as every reader of A2A 1.0 sees it, so that it can be signed: without fields that the standard does
/// not have, and without empty values. Whatever has the wrong type stays, for [`super::check_signable`] to name.
#[must_use]
pub fn signable(card: &Value) -> Value {
    let mut covered = covered(card, Form::Sdk);
    if let Value::Object(map) = &mut covered {
        forget_unknown(map, &CARD);
    }
    full(covered).unwrap_or_else(|| Value::Object(Map::new()))
}

/// RFC 8785 of a value whose nesting and numbers are checked first.
pub(super) fn bytes_of(value: &Value) -> Result<Vec<u8>, SignatureError> {
    super::raw::check(value, 0)?;
    serde_json_canonicalizer::to_vec(value).map_err(|_| SignatureError::Number)
}

fn prune(map: &mut Map<String, Value>, message: &Message) {
    for field in message.fields {
        let Some(value) = map.get_mut(field.name) else { continue };
        each_message(field.kind, value, prune);
        // in ProtoJSON null says the same as nothing
        if value.is_null() || field.presence == Presence::Plain && is_default(value, field.kind) {
            map.remove(field.name);
        }
    }
}

fn forget_unknown(map: &mut Map<String, Value>, message: &Message) {
    map.retain(|name, _| message.field(name).is_some());
    for field in message.fields {
        if let Some(value) = map.get_mut(field.name) {
            each_message(field.kind, value, forget_unknown);
        }
    }
}

/// Does something to the messages inside a field.
fn each_message(kind: Kind, value: &mut Value, act: fn(&mut Map<String, Value>, &Message)) {
    match (kind, value) {
        (Kind::One(message), Value::Object(map)) => act(map, message),
        (Kind::Many(message), Value::Array(list)) => {
            list.iter_mut().filter_map(Value::as_object_mut).for_each(|map| act(map, message));
        }
        (Kind::Map(message), Value::Object(map)) => {
            map.values_mut().filter_map(Value::as_object_mut).for_each(|map| act(map, message));
        }
        _ => {}
    }
}

/// Whether a field without presence of its own holds what its absence means.
fn is_default(value: &Value, kind: Kind) -> bool {
    match kind {
        Kind::Text => value.as_str().is_some_and(str::is_empty),
        Kind::Flag => value == &Value::Bool(false),
        Kind::Texts | Kind::Many(_) => value.as_array().is_some_and(Vec::is_empty),
        Kind::TextMap | Kind::Map(_) => value.as_object().is_some_and(Map::is_empty),
        // a message that is given is given, whatever it holds
        Kind::One(_) | Kind::Free => false,
    }
}

/// A value without empty ones in it; nothing if it is empty itself.
fn full(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::Array(list) => {
            let list: Vec<Value> = list.into_iter().filter_map(full).collect();
            (!list.is_empty()).then_some(Value::Array(list))
        }
        Value::Object(map) => {
            let map: Map<String, Value> =
                map.into_iter().filter_map(|(name, value)| Some((name, full(value)?))).collect();
            (!map.is_empty()).then_some(Value::Object(map))
        }
        scalar @ (Value::Bool(_) | Value::Number(_) | Value::String(_)) => Some(scalar),
    }
}
