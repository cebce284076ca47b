//! The parameters of a request, read by position.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::RpcError;

/// Most parameters any method takes, with room to spare.
const MAX_PARAMS: usize = 16;

/// Positional parameters.
#[derive(Debug)]
pub(crate) struct Params(Vec<Value>);

impl Params {
    /// Reads the `params` of a request; none at all is the empty list.
    pub(crate) fn read(raw: Option<&RawValue>) -> Result<Self, RpcError> {
        let Some(raw) = raw else { return Ok(Self(Vec::new())) };
        let values: Option<Vec<Value>> =
            serde_json::from_str(raw.get()).map_err(|_| RpcError::InvalidParams("they are a list".to_owned()))?;
        let values = values.unwrap_or_default();
        if values.len() > MAX_PARAMS {
            return Err(RpcError::InvalidParams("more than 16".to_owned()));
        }
        Ok(Self(values))
    }

    /// The parameter at `index`, which must be there.
    pub(crate) fn get<T: DeserializeOwned>(&self, index: usize) -> Result<T, RpcError> {
        self.maybe(index)?.ok_or_else(|| RpcError::InvalidParams(format!("parameter {index} is missing")))
    }

    /// The parameter at `index`, if there is one that is not null.
    pub(crate) fn maybe<T: DeserializeOwned>(&self, index: usize) -> Result<Option<T>, RpcError> {
        match self.0.get(index) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => serde_json::from_value(value.clone())
                .map(Some)
                .map_err(|error| RpcError::InvalidParams(format!("parameter {index}: {error}"))),
        }
    }

    /// A number at `index`: a JSON number, or text in hex (`0x...`) or decimal.
    pub(crate) fn number(&self, index: usize) -> Result<u64, RpcError> {
        self.maybe_number(index)?.ok_or_else(|| RpcError::InvalidParams(format!("parameter {index} is missing")))
    }

    /// A number at `index`, if there is one that is not null.
    pub(crate) fn maybe_number(&self, index: usize) -> Result<Option<u64>, RpcError> {
        match self.0.get(index) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => number(value)
                .map(Some)
                .ok_or_else(|| RpcError::InvalidParams(format!("parameter {index} is not a 64-bit number"))),
        }
    }
}

fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => match text.strip_prefix("0x") {
            Some(hex) => u64::from_str_radix(hex, 16).ok(),
            None => text.parse().ok(),
        },
        _ => None,
    }
}
