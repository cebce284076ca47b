//! Inputs and outputs against a listing's JSON Schemas, without following any reference elsewhere.

use crate::error::TradeError;

/// Largest schema text, in bytes.
pub const MAX_SCHEMA_BYTES: usize = 4_096;

/// Refuses every reference that is not inside the schema itself.
#[derive(Clone, Copy, Debug)]
struct NoRemote;

impl jsonschema::Retrieve for NoRemote {
    fn retrieve(
        &self,
        uri: &jsonschema::Uri<String>,
    ) -> Result<serde_json::Value, Box<dyn std::error::Error + Send + Sync>> {
        Err(format!("the schema points outside itself, to {uri}").into())
    }
}

/// Whether a document fits a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Fit {
    /// It does.
    Fits,
    /// It is not JSON, or not of the shape asked for.
    Misfits,
}

/// Checks `document` (JSON text) against `schema` (JSON Schema text); without a schema any JSON fits.
///
/// # Errors
/// [`TradeError::BadSchema`] if the schema is too large, not JSON Schema, or points elsewhere.
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
    // The linear-time regex engine: a stranger's pattern must not cost exponential time.
    jsonschema::options()
        .with_retriever(NoRemote)
        .with_pattern_options(jsonschema::PatternOptions::regex())
        .build(&schema)
        .map_err(|_| TradeError::BadSchema)
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
    fn a_wrong_shape_or_broken_json_misfits() {
        assert_eq!(check(Some(WORDS), br#"{"words": "three"}"#).unwrap(), Fit::Misfits);
        assert_eq!(check(Some(WORDS), b"{").unwrap(), Fit::Misfits);
        assert_eq!(check(None, b"\xff").unwrap(), Fit::Misfits);
    }

    #[test]
    fn a_schema_that_points_elsewhere_is_refused() {
        for remote in [
            r#"{"$ref":"https://example.org/schema.json"}"#,
            r#"{"$ref":"http://127.0.0.1:1/x"}"#,
            r#"{"$ref":"file:///etc/passwd"}"#,
        ] {
            assert!(matches!(check(Some(remote), b"1"), Err(TradeError::BadSchema)), "{remote}");
        }
    }

    #[test]
    fn a_schema_may_point_into_itself() {
        let schema = r##"{"$defs":{"n":{"type":"integer"}},"$ref":"#/$defs/n"}"##;
        assert_eq!(check(Some(schema), b"1").unwrap(), Fit::Fits);
        assert_eq!(check(Some(schema), b"\"1\"").unwrap(), Fit::Misfits);
    }

    #[test]
    fn an_oversize_schema_is_refused() {
        let schema = format!(r#"{{"title":"{}"}}"#, "x".repeat(MAX_SCHEMA_BYTES));
        assert!(matches!(check(Some(&schema), b"1"), Err(TradeError::BadSchema)));
    }
}
