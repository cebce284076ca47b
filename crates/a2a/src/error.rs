//! What can go wrong with a call, in the words of the A2A standard and a few of our own.

use std::collections::BTreeMap;

use haggle_base::Coded;
use serde_json::{Map, Value, json};

/// The domain of the standard's own reasons in `ErrorInfo`.
pub const A2A_DOMAIN: &str = "a2a-protocol.org";
/// The domain of the reasons that only haggle knows; they share the JSON-RPC code -32000.
pub const HAGGLE_DOMAIN: &str = "haggle";
/// The JSON-RPC "server error" under which our own reasons travel.
const SERVER_ERROR: i32 = -32000;
const ERROR_INFO: &str = "type.googleapis.com/google.rpc.ErrorInfo";
const BAD_REQUEST: &str = "type.googleapis.com/google.rpc.BadRequest";
/// Longest error text taken over from a stranger, in characters.
const MAX_MESSAGE_CHARS: usize = 1000;

/// The kinds of failure. The first five are JSON-RPC's, the next nine A2A's (section 5.4, as of
/// 1.0.1), then ours; [`Kind::Other`] keeps a code that nobody here knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The body is not JSON.
    Parse,
    /// JSON, but no JSON-RPC 2.0 request.
    InvalidRequest,
    /// No such method in A2A 1.0.
    MethodNotFound,
    /// The parameters break the standard; the fields are named in the details.
    InvalidParams,
    /// Something broke here that the caller cannot repair.
    Internal,
    /// No such task, or not this caller's (the two are not told apart).
    TaskNotFound,
    /// The task has ended already.
    TaskNotCancelable,
    /// The agent sends no push notifications.
    PushNotificationNotSupported,
    /// The operation exists in A2A, but not here or not now.
    UnsupportedOperation,
    /// The agent does not take this media type.
    ContentTypeNotSupported,
    /// The agent behind the server answered with something that is not A2A.
    InvalidAgentResponse,
    /// There is no extended card.
    ExtendedAgentCardNotConfigured,
    /// The agent demands an extension that the caller did not name.
    ExtensionSupportRequired,
    /// The caller speaks another version (a missing version means 0.3).
    VersionNotSupported,
    /// The server serves no such agent.
    AgentNotFound,
    /// Policy said no; `metadata.code` names which rule.
    Refused,
    /// A bound is reached; the same call may pass later.
    Busy,
    /// A body or frame is over its limit.
    TooLarge,
    /// No connection could be made: nothing was sent.
    Unreachable,
    /// The connection died after the request was sent: unknown whether it was processed.
    ConnectionLost,
    /// No answer in time: unknown whether the request was processed.
    DeadlineExceeded,
    /// The server could not store the task.
    Storage,
    /// A JSON-RPC code outside the standard, kept as it came.
    Other(i32),
}

/// Every kind with a fixed code: (kind, JSON-RPC code, reason, stable code, hint).
type Row = (Kind, i32, &'static str, &'static str, &'static str);
const TABLE: &[Row] = &[
    (Kind::Parse, -32700, "PARSE_ERROR", "parse_error", "send one JSON object as the body"),
    (
        Kind::InvalidRequest,
        -32600,
        "INVALID_REQUEST",
        "invalid_request",
        "send a JSON-RPC 2.0 object with jsonrpc, id, method and params",
    ),
    (Kind::MethodNotFound, -32601, "METHOD_NOT_FOUND", "method_not_found", "use SendMessage, GetTask or CancelTask"),
    (
        Kind::InvalidParams,
        -32602,
        "INVALID_PARAMS",
        "invalid_params",
        "correct the fields named in the error's details",
    ),
    (Kind::Internal, -32603, "INTERNAL_ERROR", "internal_error", "look at the log of the node that answered"),
    (
        Kind::TaskNotFound,
        -32001,
        "TASK_NOT_FOUND",
        "task_not_found",
        "ask with the id and the identity that the task was made with",
    ),
    (
        Kind::TaskNotCancelable,
        -32002,
        "TASK_NOT_CANCELABLE",
        "task_not_cancelable",
        "the task has ended; read it with GetTask",
    ),
    (
        Kind::PushNotificationNotSupported,
        -32003,
        "PUSH_NOTIFICATION_NOT_SUPPORTED",
        "push_notification_not_supported",
        "poll with GetTask",
    ),
    (
        Kind::UnsupportedOperation,
        -32004,
        "UNSUPPORTED_OPERATION",
        "unsupported_operation",
        "read the capabilities in the agent's card",
    ),
    (
        Kind::ContentTypeNotSupported,
        -32005,
        "CONTENT_TYPE_NOT_SUPPORTED",
        "content_type_not_supported",
        "use one of the card's defaultInputModes",
    ),
    (
        Kind::InvalidAgentResponse,
        -32006,
        "INVALID_AGENT_RESPONSE",
        "invalid_agent_response",
        "tell the agent's operator: its server does not answer A2A 1.0",
    ),
    (
        Kind::ExtendedAgentCardNotConfigured,
        -32007,
        "EXTENDED_AGENT_CARD_NOT_CONFIGURED",
        "extended_agent_card_not_configured",
        "use the public card",
    ),
    (
        Kind::ExtensionSupportRequired,
        -32008,
        "EXTENSION_SUPPORT_REQUIRED",
        "extension_support_required",
        "name the extension in A2A-Extensions",
    ),
    (
        Kind::VersionNotSupported,
        -32009,
        "VERSION_NOT_SUPPORTED",
        "version_not_supported",
        "send the service parameter A2A-Version: 1.0",
    ),
    (
        Kind::AgentNotFound,
        SERVER_ERROR,
        "AGENT_NOT_FOUND",
        "agent_not_found",
        "look the agent up again; it may have moved to another node",
    ),
    (Kind::Refused, SERVER_ERROR, "REFUSED", "refused", "metadata.code of the error names the rule that refused"),
    (Kind::Busy, SERVER_ERROR, "RESOURCE_EXHAUSTED", "busy", "try again after a moment, with fewer calls at once"),
    (Kind::TooLarge, SERVER_ERROR, "TOO_LARGE", "too_large", "send at most 1 MiB per call"),
    (
        Kind::Unreachable,
        SERVER_ERROR,
        "UNREACHABLE",
        "unreachable",
        "the agent's node is offline or its address is old; try again later",
    ),
    (
        Kind::ConnectionLost,
        SERVER_ERROR,
        "CONNECTION_LOST",
        "connection_lost",
        "unknown whether it was processed; repeat only what may happen twice",
    ),
    (
        Kind::DeadlineExceeded,
        SERVER_ERROR,
        "DEADLINE_EXCEEDED",
        "deadline_exceeded",
        "unknown whether it was processed; allow more time or use returnImmediately",
    ),
    (Kind::Storage, SERVER_ERROR, "STORAGE", "storage", "look at the disk of the node that answered"),
];

impl Kind {
    fn row(self) -> Option<&'static Row> {
        TABLE.iter().find(|row| row.0 == self)
    }

    /// The JSON-RPC error code.
    pub fn rpc_code(self) -> i32 {
        match self {
            Self::Other(code) => code,
            known => known.row().map_or(SERVER_ERROR, |row| row.1),
        }
    }

    /// The reason word of `ErrorInfo`.
    pub fn reason(self) -> &'static str {
        self.row().map_or("OTHER", |row| row.2)
    }

    /// The HTTP status of the HTTP+JSON binding (A2A section 5.4 as of 1.0.1).
    pub fn http_status(self) -> u16 {
        match self {
            Self::TaskNotFound | Self::AgentNotFound | Self::MethodNotFound => 404,
            Self::Parse
            | Self::InvalidRequest
            | Self::InvalidParams
            | Self::TaskNotCancelable
            | Self::PushNotificationNotSupported
            | Self::UnsupportedOperation
            | Self::ContentTypeNotSupported
            | Self::ExtendedAgentCardNotConfigured
            | Self::ExtensionSupportRequired
            | Self::VersionNotSupported => 400,
            Self::Refused => 403,
            Self::TooLarge => 413,
            Self::Busy => 429,
            Self::Unreachable | Self::ConnectionLost => 502,
            Self::DeadlineExceeded => 504,
            Self::Internal | Self::InvalidAgentResponse | Self::Storage | Self::Other(_) => 500,
        }
    }

    /// The `google.rpc.Code` name of the HTTP+JSON binding.
    pub fn grpc_status(self) -> &'static str {
        match self {
            Self::TaskNotFound | Self::AgentNotFound => "NOT_FOUND",
            Self::MethodNotFound => "UNIMPLEMENTED",
            Self::Parse | Self::InvalidRequest | Self::InvalidParams | Self::ContentTypeNotSupported => {
                "INVALID_ARGUMENT"
            }
            Self::TaskNotCancelable
            | Self::PushNotificationNotSupported
            | Self::UnsupportedOperation
            | Self::ExtendedAgentCardNotConfigured
            | Self::ExtensionSupportRequired
            | Self::VersionNotSupported => "FAILED_PRECONDITION",
            Self::Refused => "PERMISSION_DENIED",
            Self::TooLarge | Self::Busy => "RESOURCE_EXHAUSTED",
            Self::Unreachable | Self::ConnectionLost => "UNAVAILABLE",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::Internal | Self::InvalidAgentResponse | Self::Storage | Self::Other(_) => "INTERNAL",
        }
    }

    fn domain(self) -> &'static str {
        if self.rpc_code() == SERVER_ERROR { HAGGLE_DOMAIN } else { A2A_DOMAIN }
    }

    fn from_wire(code: i32, reason: Option<&str>) -> Self {
        let found = TABLE.iter().find(|row| row.1 == code && (code != SERVER_ERROR || Some(row.2) == reason));
        found.map_or(Self::Other(code), |row| row.0)
    }
}

/// One failed call.
///
/// It converts to and from the JSON-RPC error object; details that came from another server are
/// kept verbatim and go out again as they came.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct A2aError {
    kind: Kind,
    message: String,
    metadata: BTreeMap<String, String>,
    violations: Vec<(String, String)>,
    foreign: Option<Value>,
}

impl A2aError {
    /// A failure of this kind, told in one sentence.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), metadata: BTreeMap::new(), violations: Vec::new(), foreign: None }
    }

    /// Adds one entry to the `ErrorInfo` metadata.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.metadata.insert(key.to_owned(), value.into());
        self
    }

    /// Names a field of the parameters that breaks the standard, and how.
    #[must_use]
    pub fn violation(mut self, field: impl Into<String>, description: impl Into<String>) -> Self {
        self.violations.push((field.into(), description.into()));
        self
    }

    /// The parameters break the standard at `field`.
    pub fn invalid_params(field: &str, description: &str) -> Self {
        Self::new(Kind::InvalidParams, format!("{field}: {description}")).violation(field, description)
    }

    /// No such task for this caller.
    pub fn task_not_found(task: &str) -> Self {
        Self::new(Kind::TaskNotFound, "Task not found").with("taskId", task)
    }

    /// Policy refused; `code` is the stable code of the rule.
    pub fn refused(code: &str, message: impl Into<String>) -> Self {
        Self::new(Kind::Refused, message).with("code", code)
    }

    /// The connection died with the call under way.
    pub fn connection_lost() -> Self {
        Self::new(Kind::ConnectionLost, "connection lost: unknown whether processed")
    }

    /// What kind of failure this is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The sentence that tells it.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// An entry of the `ErrorInfo` metadata, also of an error that another server sent.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// True if the same call can be made again without the risk that it happens twice, and may then
    /// succeed.
    pub fn is_retryable(&self) -> bool {
        matches!(self.kind, Kind::Unreachable | Kind::Busy)
    }

    /// True if nobody can tell from here whether the call was processed.
    pub fn is_outcome_unknown(&self) -> bool {
        matches!(self.kind, Kind::ConnectionLost | Kind::DeadlineExceeded)
    }

    /// The JSON-RPC error object, with `google.rpc.ErrorInfo` and, for wrong fields,
    /// `google.rpc.BadRequest`.
    pub fn to_json(&self) -> Value {
        json!({ "code": self.kind.rpc_code(), "message": self.message, "data": self.data() })
    }

    /// The error body of the HTTP+JSON binding: a `google.rpc.Status` as JSON (A2A section 11.6).
    pub fn to_status_json(&self) -> Value {
        let status = json!({
            "code": self.kind.http_status(),
            "status": self.kind.grpc_status(),
            "message": self.message,
            "details": self.data(),
        });
        json!({ "error": status })
    }

    fn data(&self) -> Value {
        if let Some(foreign) = &self.foreign {
            return foreign.clone();
        }
        let mut data = vec![json!({
            "@type": ERROR_INFO,
            "reason": self.kind.reason(),
            "domain": self.kind.domain(),
            "metadata": self.metadata,
        })];
        if !self.violations.is_empty() {
            let fields: Vec<Value> =
                self.violations.iter().map(|(field, text)| json!({ "field": field, "description": text })).collect();
            data.push(json!({ "@type": BAD_REQUEST, "fieldViolations": fields }));
        }
        Value::Array(data)
    }

    /// Reads a JSON-RPC error object that another server sent; `None` if it is not one.
    pub fn from_json(error: &Value) -> Option<Self> {
        let code = i32::try_from(error.get("code")?.as_i64()?).ok()?;
        let message: String = error.get("message")?.as_str()?.chars().take(MAX_MESSAGE_CHARS).collect();
        let foreign = error.get("data").filter(|data| !data.is_null()).cloned();
        let info = foreign.as_ref().and_then(error_info);
        let reason = info.and_then(|info| info.get("reason")).and_then(Value::as_str);
        let metadata =
            info.and_then(|info| info.get("metadata")).and_then(Value::as_object).map(text_entries).unwrap_or_default();
        Some(Self { kind: Kind::from_wire(code, reason), message, metadata, violations: Vec::new(), foreign })
    }
}

fn error_info(data: &Value) -> Option<&Map<String, Value>> {
    data.as_array()?
        .iter()
        .filter_map(Value::as_object)
        .find(|detail| detail.get("@type").and_then(Value::as_str) == Some(ERROR_INFO))
}

fn text_entries(map: &Map<String, Value>) -> BTreeMap<String, String> {
    map.iter().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

impl Coded for A2aError {
    fn code(&self) -> &'static str {
        self.kind.row().map_or("remote_error", |row| row.3)
    }

    fn hint(&self) -> &'static str {
        self.kind.row().map_or("look at the documentation of the agent that answered", |row| row.4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn task_not_found_is_the_golden_json() {
        let golden = r#"{"code":-32001,"message":"Task not found","data":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"TASK_NOT_FOUND","domain":"a2a-protocol.org","metadata":{"taskId":"nope"}}]}"#;
        let golden: Value = serde_json::from_str(golden).unwrap();
        assert_eq!(A2aError::task_not_found("nope").to_json(), golden);
    }

    #[test]
    fn over_http_json_it_is_the_golden_status() {
        let golden = r#"{"error":{"code":404,"status":"NOT_FOUND","message":"Task not found","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"TASK_NOT_FOUND","domain":"a2a-protocol.org","metadata":{"taskId":"nope"}}]}}"#;
        let golden: Value = serde_json::from_str(golden).unwrap();
        assert_eq!(A2aError::task_not_found("nope").to_status_json(), golden);
    }

    #[test]
    fn http_statuses_are_those_of_the_standard() {
        let table = [
            (Kind::TaskNotFound, 404, "NOT_FOUND"),
            (Kind::TaskNotCancelable, 400, "FAILED_PRECONDITION"),
            (Kind::PushNotificationNotSupported, 400, "FAILED_PRECONDITION"),
            (Kind::UnsupportedOperation, 400, "FAILED_PRECONDITION"),
            (Kind::ContentTypeNotSupported, 400, "INVALID_ARGUMENT"),
            (Kind::InvalidAgentResponse, 500, "INTERNAL"),
            (Kind::ExtendedAgentCardNotConfigured, 400, "FAILED_PRECONDITION"),
            (Kind::ExtensionSupportRequired, 400, "FAILED_PRECONDITION"),
            (Kind::VersionNotSupported, 400, "FAILED_PRECONDITION"),
        ];
        for (kind, http, grpc) in table {
            assert_eq!((kind.http_status(), kind.grpc_status()), (http, grpc), "{kind:?}");
        }
    }

    #[test]
    fn every_kind_survives_the_wire() {
        for row in TABLE {
            let sent = A2aError::new(row.0, "told").with("taskId", "t");
            let seen = A2aError::from_json(&sent.to_json()).unwrap();
            assert_eq!(seen.kind(), row.0);
            assert_eq!(seen.code(), row.3);
            assert_eq!(seen.metadata("taskId"), Some("t"));
            assert_eq!(seen.to_json(), sent.to_json());
        }
    }

    #[test]
    fn standard_codes_match_the_official_types() {
        use crate::types::error_code;
        assert_eq!(Kind::TaskNotFound.rpc_code(), error_code::TASK_NOT_FOUND);
        assert_eq!(Kind::VersionNotSupported.rpc_code(), error_code::VERSION_NOT_SUPPORTED);
        assert_eq!(Kind::ExtensionSupportRequired.rpc_code(), error_code::EXTENSION_SUPPORT_REQUIRED);
        assert_eq!(Kind::InvalidParams.rpc_code(), error_code::INVALID_PARAMS);
    }

    #[test]
    fn a_strange_code_and_its_details_are_kept() {
        let sent = json!({ "code": -32042, "message": "odd", "data": { "vendor": [1, 2] } });
        let seen = A2aError::from_json(&sent).unwrap();
        assert_eq!(seen.kind(), Kind::Other(-32042));
        assert_eq!(seen.to_json(), sent);
        assert!(A2aError::from_json(&json!({ "code": "x" })).is_none());
    }

    #[test]
    fn only_what_was_never_sent_is_retryable() {
        assert!(A2aError::new(Kind::Unreachable, "").is_retryable());
        assert!(!A2aError::connection_lost().is_retryable());
        assert!(A2aError::connection_lost().is_outcome_unknown());
    }
}
