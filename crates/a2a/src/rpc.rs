//! The JSON-RPC 2.0 envelope: read a stranger's request, write the answer, read an answer.

use serde_json::{Value, json};

use crate::{A2aError, Kind, MAX_BODY_BYTES, message::object};

/// Longest text id of a call, in bytes.
pub const MAX_ID_BYTES: usize = 256;

/// A request whose envelope is sound; the parameters are still the stranger's.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// The caller's id: a string or an integer, echoed as it came.
    pub id: Value,
    /// The method's name, known or not.
    pub method: String,
    /// The parameters: always an object (absent means empty).
    pub params: Value,
}

/// A request that cannot be read, with the id to answer under (null when it had none).
#[derive(Debug, Clone, PartialEq)]
pub struct Unreadable {
    /// The id for the answer.
    pub id: Value,
    /// Why.
    pub error: A2aError,
}

impl Request {
    /// Reads the envelope.
    ///
    /// # Errors
    /// [`Kind::InvalidRequest`] for anything that is no single JSON-RPC 2.0 request with an id
    /// (batches and notifications have no meaning in A2A), [`Kind::InvalidParams`] for parameters
    /// that are no object.
    pub fn parse(request: Value) -> Result<Self, Unreadable> {
        let refuse = |id: Value, error: A2aError| Err(Unreadable { id, error });
        let invalid = |text: &str| A2aError::new(Kind::InvalidRequest, text);
        let Value::Object(mut request) = request else {
            return refuse(Value::Null, invalid("a request is one JSON object"));
        };
        let id = request.remove("id").unwrap_or(Value::Null);
        if !is_id(&id) {
            return refuse(Value::Null, invalid("id must be a text or an integer"));
        }
        if request.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return refuse(id, invalid("jsonrpc must be \"2.0\""));
        }
        let Some(Value::String(method)) = request.remove("method") else {
            return refuse(id, invalid("method must be a text"));
        };
        let params = match request.remove("params") {
            None | Some(Value::Null) => json!({}),
            Some(params @ Value::Object(_)) => params,
            Some(_) => {
                return refuse(id, A2aError::invalid_params("params", "must be an object"));
            }
        };
        Ok(Self { id, method, params })
    }

    /// Reads the envelope from bytes.
    ///
    /// # Errors
    /// [`Kind::TooLarge`], [`Kind::Parse`], or as [`Request::parse`].
    pub fn from_slice(bytes: &[u8]) -> Result<Self, Unreadable> {
        Self::parse(value_from_slice(bytes)?)
    }
}

/// Reads one JSON value of at most [`MAX_BODY_BYTES`].
///
/// # Errors
/// [`Kind::TooLarge`] or [`Kind::Parse`], under the null id.
pub fn value_from_slice(bytes: &[u8]) -> Result<Value, Unreadable> {
    let error = if bytes.len() > MAX_BODY_BYTES {
        A2aError::new(Kind::TooLarge, "the request is over 1 MiB")
    } else {
        match serde_json::from_slice(bytes) {
            Ok(value) => return Ok(value),
            Err(cause) => A2aError::new(Kind::Parse, format!("not JSON: {cause}")),
        }
    };
    Err(Unreadable { id: Value::Null, error })
}

fn is_id(id: &Value) -> bool {
    match id {
        Value::String(text) => text.len() <= MAX_ID_BYTES,
        Value::Number(number) => number.is_i64() || number.is_u64(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => false,
    }
}

/// A request of ours.
pub fn request(id: u64, method: &str, params: Value) -> Value {
    object([("jsonrpc", "2.0".into()), ("id", id.into()), ("method", method.into()), ("params", params)])
}

/// The answer to the request with this id.
pub fn response(id: Value, outcome: Result<Value, A2aError>) -> Value {
    let (name, body) = match outcome {
        Ok(result) => ("result", result),
        Err(error) => ("error", error.to_json()),
    };
    object([("jsonrpc", "2.0".into()), ("id", id), (name, body)])
}

/// Takes the result out of a JSON-RPC response that a stranger sent.
///
/// # Errors
/// The error it carries, or [`Kind::InvalidAgentResponse`] if it is no JSON-RPC 2.0 response.
pub fn result(response: Value) -> Result<Value, A2aError> {
    let broken = |text: &str| A2aError::new(Kind::InvalidAgentResponse, text);
    let Value::Object(mut response) = response else {
        return Err(broken("the answer is no JSON object"));
    };
    if response.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err(broken("the answer is not JSON-RPC 2.0"));
    }
    match (response.remove("result"), response.remove("error")) {
        (Some(result), None | Some(Value::Null)) => Ok(result),
        (None | Some(Value::Null), Some(error)) => {
            Err(A2aError::from_json(&error).unwrap_or_else(|| broken("the answer's error has no code or message")))
        }
        _ => Err(broken("the answer has neither result nor error")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(request: Value) -> (Value, Kind) {
        let unreadable = Request::parse(request).unwrap_err();
        (unreadable.id, unreadable.error.kind())
    }

    #[test]
    fn each_broken_envelope_gets_its_standard_code() {
        let null = Value::Null;
        assert_eq!(refusal(json!([])), (null.clone(), Kind::InvalidRequest));
        assert_eq!(refusal(json!({"jsonrpc":"2.0","method":"GetTask"})), (null.clone(), Kind::InvalidRequest));
        assert_eq!(refusal(json!({"jsonrpc":"2.0","id":1.5,"method":"GetTask"})), (null.clone(), Kind::InvalidRequest));
        assert_eq!(refusal(json!({"jsonrpc":"1.0","id":1,"method":"GetTask"})), (json!(1), Kind::InvalidRequest));
        assert_eq!(refusal(json!({"jsonrpc":"2.0","id":"a","method":7})), (json!("a"), Kind::InvalidRequest));
        assert_eq!(
            refusal(json!({"jsonrpc":"2.0","id":"a","method":"X","params":[1]})),
            (json!("a"), Kind::InvalidParams)
        );
        assert_eq!(Request::from_slice(b"{nope").unwrap_err().error.kind(), Kind::Parse);
        let huge = vec![b' '; MAX_BODY_BYTES + 1];
        assert_eq!(Request::from_slice(&huge).unwrap_err().error.kind(), Kind::TooLarge);
        let long_id = "x".repeat(MAX_ID_BYTES + 1);
        assert_eq!(refusal(json!({"jsonrpc":"2.0","id":long_id,"method":"X"})), (null, Kind::InvalidRequest));
    }

    #[test]
    fn answers_carry_either_a_result_or_an_error() {
        assert_eq!(result(response(json!(1), Ok(json!({"task": {}})))), Ok(json!({"task": {}})));
        let lost = A2aError::task_not_found("t");
        assert_eq!(result(response(json!("x"), Err(lost))).unwrap_err().kind(), Kind::TaskNotFound);
        for broken in [json!(3), json!({}), json!({"jsonrpc":"2.0"}), json!({"jsonrpc":"2.0","error":{"code":"x"}})] {
            assert_eq!(result(broken).unwrap_err().kind(), Kind::InvalidAgentResponse);
        }
    }

    #[test]
    fn large_numbers_and_unknown_fields_pass_untouched() {
        let text = r#"{"jsonrpc":"2.0","id":9007199254740993,"method":"GetTask","params":{"n":0.25,"new":{"x":[]}}}"#;
        let request = Request::from_slice(text.as_bytes()).unwrap();
        assert_eq!(request.id.to_string(), "9007199254740993");
        assert_eq!(request.params.to_string(), r#"{"n":0.25,"new":{"x":[]}}"#);
    }
}
