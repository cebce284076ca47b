//! Reading a card as it came, so strictly that everybody who reads the same bytes reads the same card.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::signature::SignatureError;

/// Largest card that is read or signed, in bytes.
pub const MAX_CARD_BYTES: usize = 64 * 1024;
/// Deepest nesting of lists and objects in a card.
pub const MAX_DEPTH: usize = 32;
/// Integers beyond this are not the same number for every reader of JSON (RFC 8785 section 3.2.2.3).
pub(super) const MAX_INTEGER: u64 = (1 << 53) - 1;

/// Reads the bytes of a card.
///
/// # Errors
/// [`SignatureError::TooLarge`], [`SignatureError::TooDeep`], and [`SignatureError::NotJson`] for what is no JSON
/// object or names something twice in one object.
pub fn read(bytes: &[u8]) -> Result<Value, SignatureError> {
    if bytes.len() > MAX_CARD_BYTES {
        return Err(SignatureError::TooLarge);
    }
    let value = strictly(bytes)?;
    if !value.is_object() {
        return Err(SignatureError::NotJson("it is no JSON object".to_owned()));
    }
    check(&value, 0)?;
    Ok(value)
}

/// JSON without names that stand twice in one object.
pub(crate) fn strictly(bytes: &[u8]) -> Result<Value, SignatureError> {
    let not_json = |cause: serde_json::Error| SignatureError::NotJson(cause.to_string());
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict.deserialize(&mut reader).map_err(not_json)?;
    reader.end().map_err(not_json)?;
    Ok(value)
}

/// Checks nesting and numbers of a value at this depth.
pub(crate) fn check(value: &Value, depth: usize) -> Result<(), SignatureError> {
    let inside = depth + 1;
    match value {
        Value::Array(_) | Value::Object(_) if inside > MAX_DEPTH => Err(SignatureError::TooDeep),
        Value::Array(list) => list.iter().try_for_each(|value| check(value, inside)),
        Value::Object(map) => map.values().try_for_each(|value| check(value, inside)),
        Value::Number(number) if !is_exact(number) => Err(SignatureError::Number),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

/// Whether every reader of JSON takes this integer for the same number.
fn is_exact(number: &Number) -> bool {
    let whole = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
    whole.is_none_or(|whole| whole <= MAX_INTEGER)
}

/// A JSON value whose objects name everything once. The parser itself bounds how deep it goes.
#[derive(Clone, Copy)]
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number is out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(self)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            if map.contains_key(&name) {
                return Err(A::Error::custom("a name stands twice in one object"));
            }
            let value = entries.next_value_seed(self)?;
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}
