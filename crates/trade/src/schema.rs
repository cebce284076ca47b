//! Inputs and outputs against a listing's JSON Schemas, which may not contain references.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::error::TradeError;

/// Largest schema text, in bytes: what a listing may name as a document.
pub const MAX_SCHEMA_BYTES: usize = 64 * 1024;

/// Compiled schemas that are kept; all are made anew when there are more.
const MAX_COMPILED: usize = 256;

/// Patterns of one schema, and bytes that one may take once compiled: a short text can stand for a large machine.
const MAX_PATTERNS: usize = 64;
const MAX_PATTERN_MEMORY: usize = 1024 * 1024;

/// Words that make a schema point somewhere. A small schema of references can cost time without end, and
/// one that points elsewhere would be fetched, so a listing's schema has none.
const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];

/// Whether a document fits a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Fit {
    /// It does.
    Fits,
    /// It is not JSON, or not of the shape asked for.
    Misfits,
}

/// Checks as [`check`] does, off the tasks that carry messages.
///
/// # Errors
/// As [`check`]; [`TradeError::Timeout`] if the node is stopping.
pub async fn check_aside(schema: Option<String>, document: Vec<u8>) -> Result<Fit, TradeError> {
    let checking = tokio::task::spawn_blocking(move || check(schema.as_deref(), &document));
    checking.await.unwrap_or(Err(TradeError::Timeout))
}

/// Checks `document` (JSON text) against `schema` (JSON Schema text); without a schema any JSON fits.
///
/// # Errors
/// [`TradeError::BadSchema`] if the schema is too large, not JSON Schema, or contains a reference.
pub fn check(schema: Option<&str>, document: &[u8]) -> Result<Fit, TradeError> {
    let validator = schema.map(compile).transpose()?;
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(document) else {
        return Ok(Fit::Misfits);
    };
    match validator {
        Some(validator) if !validator.is_valid(&value) => Ok(Fit::Misfits),
        Some(_) | None => Ok(Fit::Fits),
    }
}

/// Schemas that are asked for with every call, compiled once each.
#[derive(Debug, Default)]
pub struct Compiled(Mutex<HashMap<String, Arc<jsonschema::Validator>>>);

impl Compiled {
    /// Checks a value, which should be short: it is checked where it stands.
    ///
    /// # Errors
    /// As [`check`].
    pub fn check(&self, schema: &str, value: &serde_json::Value) -> Result<Fit, TradeError> {
        let known = self.all().get(schema).cloned();
        let validator = match known {
            Some(validator) => validator,
            None => {
                let made = Arc::new(compile(schema)?);
                let mut all = self.all();
                if all.len() >= MAX_COMPILED {
                    all.clear();
                }
                all.insert(schema.to_owned(), Arc::clone(&made));
                made
            }
        };
        Ok(if validator.is_valid(value) { Fit::Fits } else { Fit::Misfits })
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Arc<jsonschema::Validator>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a schema can be used at all; no schema can.
///
/// # Errors
/// [`TradeError::BadSchema`].
pub fn usable(schema: Option<&str>) -> Result<(), TradeError> {
    schema.map_or(Ok(()), |schema| compile(schema).map(drop))
}

fn compile(schema: &str) -> Result<jsonschema::Validator, TradeError> {
    if schema.len() > MAX_SCHEMA_BYTES {
        return Err(TradeError::BadSchema);
    }
    let schema: serde_json::Value = serde_json::from_str(schema).map_err(|_| TradeError::BadSchema)?;
    if has_reference(&schema) || patterns(&schema) > MAX_PATTERNS {
        return Err(TradeError::BadSchema);
    }
    // The linear-time regex engine: a stranger's pattern must not cost exponential time.
    jsonschema::options()
        .with_pattern_options(jsonschema::PatternOptions::regex().size_limit(MAX_PATTERN_MEMORY))
        .build(&schema)
        .map_err(|_| TradeError::BadSchema)
}

fn has_reference(schema: &serde_json::Value) -> bool {
    match schema {
        serde_json::Value::Object(fields) => {
            fields.iter().any(|(name, value)| REFERENCES.contains(&name.as_str()) || has_reference(value))
        }
        serde_json::Value::Array(items) => items.iter().any(has_reference),
        _ => false,
    }
}

/// How many patterns a schema has, wherever they stand.
fn patterns(schema: &serde_json::Value) -> usize {
    match schema {
        serde_json::Value::Object(fields) => {
            let own = |(name, value): (&String, &serde_json::Value)| match (name.as_str(), value) {
                ("pattern", serde_json::Value::String(_)) => 1,
                ("patternProperties", serde_json::Value::Object(named)) => named.len(),
                _ => 0,
            };
            fields.iter().map(own).sum::<usize>() + fields.values().map(patterns).sum::<usize>()
        }
        serde_json::Value::Array(items) => items.iter().map(patterns).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: &str = r#"{"type":"object","required":["words"],"properties":{"words":{"type":"integer"}}}"#;

    #[test]
    fn a_fitting_output_fits() {
        assert_eq!(check(Some(WORDS), br#"{"words": 3}"#).unwrap(), Fit::Fits);
        assert_eq!(check(None, b"\"anything\"").unwrap(), Fit::Fits);
    }

    #[test]
    fn compiled_schemas_say_the_same_and_are_bounded() {
        let compiled = Compiled::default();
        for n in 0..=MAX_COMPILED {
            let schema = format!(r#"{{"type":"integer","minimum":{n}}}"#);
            for value in [n, n + 1] {
                assert_eq!(compiled.check(&schema, &serde_json::json!(value)).unwrap(), Fit::Fits);
            }
            assert_eq!(compiled.check(&schema, &serde_json::json!("x")).unwrap(), Fit::Misfits);
        }
        assert_eq!(compiled.all().len(), 1);
        assert!(compiled.check(r#"{"$ref":"x"}"#, &serde_json::json!(1)).is_err());
    }

    #[test]
    fn a_wrong_shape_or_broken_json_misfits() {
        assert_eq!(check(Some(WORDS), br#"{"words": "three"}"#).unwrap(), Fit::Misfits);
        assert_eq!(check(Some(WORDS), b"{").unwrap(), Fit::Misfits);
        assert_eq!(check(None, b"\xff").unwrap(), Fit::Misfits);
    }

    #[test]
    fn a_schema_with_a_reference_is_refused() {
        for schema in [
            r#"{"$ref":"https://example.org/schema.json"}"#,
            r#"{"$ref":"file:///etc/passwd"}"#,
            r##"{"$defs":{"n":{"type":"integer"}},"$ref":"#/$defs/n"}"##,
            r##"{"allOf":[{"not":{"$dynamicRef":"#n"}}]}"##,
        ] {
            assert!(matches!(check(Some(schema), b"1"), Err(TradeError::BadSchema)), "{schema}");
        }
    }

    #[test]
    fn patterns_are_bounded_in_number_and_in_what_they_take() {
        let of = |count: usize| {
            let fields: Vec<_> = (0..count).map(|at| format!(r#""f{at}":{{"pattern":"^[a-z]+$"}}"#)).collect();
            format!(r#"{{"properties":{{{}}}}}"#, fields.join(","))
        };
        assert_eq!(check(Some(&of(MAX_PATTERNS)), br#"{"f1":"a"}"#).unwrap(), Fit::Fits);
        assert_eq!(check(Some(&of(MAX_PATTERNS)), br#"{"f1":"A"}"#).unwrap(), Fit::Misfits);
        assert!(matches!(check(Some(&of(MAX_PATTERNS + 1)), b"{}"), Err(TradeError::BadSchema)));
        let huge = r#"{"pattern":"\\p{L}{500}"}"#;
        assert!(matches!(check(Some(huge), b"\"a\""), Err(TradeError::BadSchema)));
    }

    #[test]
    fn an_oversize_schema_is_refused() {
        let schema = format!(r#"{{"title":"{}"}}"#, "x".repeat(MAX_SCHEMA_BYTES));
        assert!(matches!(check(Some(&schema), b"1"), Err(TradeError::BadSchema)));
    }
}
