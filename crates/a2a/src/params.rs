//! Service parameters: what a call says about itself beside its body (HTTP headers, or the first
//! frame of a call on the libp2p binding).

use serde_json::{Map, Value};

use crate::{A2aError, Kind, VERSION};

/// The version header.
pub const A2A_VERSION: &str = "A2A-Version";
/// The header with the extension URIs that the caller wants active.
pub const A2A_EXTENSIONS: &str = "A2A-Extensions";
/// Its name in A2A 0.3, still written by a2a-x402.
pub const X_A2A_EXTENSIONS: &str = "X-A2A-Extensions";
/// Names one of several callers behind one authenticated peer (a gateway's users); it can only
/// narrow what that peer may see.
pub const HAGGLE_CALLER: &str = "Haggle-Caller";
/// A key under which the caller may repeat this very request.
pub const IDEMPOTENCY_KEY: &str = "Idempotency-Key";
/// Most extension URIs in one call.
pub const MAX_EXTENSIONS: usize = 16;
/// Longest single value, in bytes.
pub const MAX_VALUE_BYTES: usize = 512;

/// The parameters of one call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceParams {
    /// `A2A-Version` as it came; `None` or empty means 0.3.
    pub version: Option<String>,
    /// The extension URIs that the caller wants active.
    pub extensions: Vec<String>,
    /// See [`HAGGLE_CALLER`].
    pub sub_caller: Option<String>,
    /// See [`IDEMPOTENCY_KEY`].
    pub idempotency: Option<String>,
}

impl ServiceParams {
    /// What a caller of this version sends with a request: version 1.0, and the extensions that its
    /// message names.
    pub fn for_request(request: &Value) -> Self {
        let named = request.pointer("/params/message/extensions").and_then(Value::as_array);
        Self {
            version: Some(VERSION.to_owned()),
            extensions: named
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .take(MAX_EXTENSIONS)
                .map(str::to_owned)
                .collect(),
            ..Self::default()
        }
    }

    /// Reads names and values, whatever the case of the names; unknown names are ignored.
    ///
    /// # Errors
    /// [`Kind::InvalidRequest`] if a value is over [`MAX_VALUE_BYTES`] or there are more than
    /// [`MAX_EXTENSIONS`] extensions.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, A2aError> {
        let mut params = Self::default();
        for (name, value) in pairs {
            let known = [A2A_VERSION, A2A_EXTENSIONS, X_A2A_EXTENSIONS, HAGGLE_CALLER, IDEMPOTENCY_KEY]
                .into_iter()
                .find(|known| known.eq_ignore_ascii_case(name));
            let Some(known) = known else { continue };
            let bound = if known.ends_with("Extensions") { MAX_VALUE_BYTES * MAX_EXTENSIONS } else { MAX_VALUE_BYTES };
            if value.len() > bound {
                return Err(A2aError::new(Kind::InvalidRequest, format!("{known} is too long")));
            }
            params.set(known, value)?;
        }
        Ok(params)
    }

    fn set(&mut self, known: &str, value: &str) -> Result<(), A2aError> {
        let value = value.trim();
        match known {
            A2A_VERSION => self.version = Some(value.to_owned()),
            HAGGLE_CALLER => self.sub_caller = Some(value.to_owned()).filter(|v| !v.is_empty()),
            IDEMPOTENCY_KEY => self.idempotency = Some(value.to_owned()).filter(|v| !v.is_empty()),
            _ => {
                for uri in value.split(',').map(str::trim).filter(|uri| !uri.is_empty()) {
                    if !self.extensions.iter().any(|held| held == uri) {
                        self.extensions.push(uri.to_owned());
                    }
                }
                if self.extensions.len() > MAX_EXTENSIONS {
                    return Err(A2aError::new(Kind::InvalidRequest, "too many extensions"));
                }
            }
        }
        Ok(())
    }

    /// The same as names and values, for a header block or a frame.
    pub fn to_json(&self) -> Value {
        let mut map = Map::new();
        let mut put = |name: &str, value: Option<&String>| {
            if let Some(value) = value {
                map.insert(name.to_owned(), Value::String(value.clone()));
            }
        };
        put(A2A_VERSION, self.version.as_ref());
        put(HAGGLE_CALLER, self.sub_caller.as_ref());
        put(IDEMPOTENCY_KEY, self.idempotency.as_ref());
        if !self.extensions.is_empty() {
            put(A2A_EXTENSIONS, Some(&self.extensions.join(",")));
        }
        Value::Object(map)
    }

    /// Reads [`ServiceParams::to_json`] back; values that are no text are ignored.
    ///
    /// # Errors
    /// As [`ServiceParams::from_pairs`].
    pub fn from_json(map: &Map<String, Value>) -> Result<Self, A2aError> {
        Self::from_pairs(map.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_str()?))))
    }

    /// Accepts version 1.0 and nothing else.
    ///
    /// # Errors
    /// [`Kind::VersionNotSupported`] naming what was asked and what is spoken; a missing or empty
    /// version means 0.3 (A2A section 3.6).
    pub fn check_version(&self) -> Result<(), A2aError> {
        let asked = match self.version.as_deref() {
            None | Some("") => "0.3",
            Some(version) => version,
        };
        if asked == VERSION {
            return Ok(());
        }
        Err(A2aError::new(Kind::VersionNotSupported, format!("A2A version {asked} is not supported"))
            .with("requestedVersion", asked)
            .with("supportedVersions", VERSION))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: Option<&str>) -> Result<(), A2aError> {
        ServiceParams { version: text.map(str::to_owned), ..ServiceParams::default() }.check_version()
    }

    #[test]
    fn only_version_one_is_spoken() {
        assert_eq!(version(Some("1.0")), Ok(()));
        for other in [None, Some(""), Some("0.3"), Some("99.0"), Some("1.0.1")] {
            assert_eq!(version(other).unwrap_err().kind(), Kind::VersionNotSupported, "{other:?}");
        }
    }

    #[test]
    fn both_extension_headers_are_read_and_names_have_no_case() {
        let params = ServiceParams::from_pairs([
            ("a2a-version", " 1.0 "),
            ("A2A-EXTENSIONS", "urn:a, urn:b"),
            ("x-a2a-extensions", "urn:b,urn:c,"),
            ("authorization", "Bearer secret"),
        ])
        .unwrap();
        assert_eq!(params.extensions, ["urn:a", "urn:b", "urn:c"]);
        assert_eq!(params.version.as_deref(), Some("1.0"));
        let Value::Object(map) = params.to_json() else { unreachable!() };
        assert_eq!(ServiceParams::from_json(&map).unwrap(), params);
    }

    #[test]
    fn floods_of_parameters_are_refused() {
        let many: Vec<String> = (0..=MAX_EXTENSIONS).map(|n| format!("urn:{n}")).collect();
        assert!(ServiceParams::from_pairs([(A2A_EXTENSIONS, many.join(",").as_str())]).is_err());
        let long = "1".repeat(MAX_VALUE_BYTES + 1);
        assert!(ServiceParams::from_pairs([(A2A_VERSION, long.as_str())]).is_err());
    }
}
