//! The one error body of the API: `application/problem+json` with a stable code and a hint.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use haggle_base::Coded;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// A refusal, as RFC 9457 problem details with haggle's members `code`, `hint` and `retryable`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiError {
    /// Reference to the page about the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// What went wrong in general.
    pub title: Cow<'static, str>,
    /// HTTP status.
    pub status: u16,
    /// What went wrong here.
    pub detail: String,
    /// Stable machine-readable code, snake case.
    pub code: Cow<'static, str>,
    /// What to do about it.
    pub hint: Cow<'static, str>,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// Key of the order that the problem is about, for `GET /v1/orders/{key}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
}

impl ApiError {
    /// Builds a problem with an explicit status.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>, hint: &'static str) -> Self {
        Self {
            kind: format!("/errors/{code}"),
            title: Cow::Borrowed(status.canonical_reason().unwrap_or("Error")),
            status: status.as_u16(),
            detail: detail.into(),
            code: Cow::Borrowed(code),
            hint: Cow::Borrowed(hint),
            retryable: is_retryable(status),
            order: None,
        }
    }

    /// Builds the problem of a stable code that was kept as text; the status follows from it.
    #[must_use]
    pub fn of_code(code: &str, detail: impl Into<String>) -> Self {
        let status = status_of(code);
        Self {
            kind: format!("/errors/{code}"),
            code: Cow::Owned(code.to_owned()),
            ..Self::new(status, "", detail, "look at the order's life line")
        }
    }

    /// Says which order the problem is about, and what to do about it.
    #[must_use]
    pub fn about_order(mut self, key: &str, hint: impl Into<Cow<'static, str>>) -> Self {
        self.order = Some(key.to_owned());
        self.hint = hint.into();
        self
    }

    /// Wraps any coded error of a room; the status follows from its code.
    #[must_use]
    pub fn from_coded(error: &dyn Coded) -> Self {
        Self::new(status_of(error.code()), error.code(), error.to_string(), error.hint())
    }

    /// A 404 for a thing that is not here.
    #[must_use]
    pub fn not_found(code: &'static str, detail: impl Into<String>, hint: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail, hint)
    }

    /// A 400 for a request that can never succeed as it is.
    #[must_use]
    pub fn bad_request(code: &'static str, detail: impl Into<String>, hint: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail, hint)
    }

    /// A 500 that keeps its cause out of the answer; the cause is logged.
    #[must_use]
    pub fn internal(cause: &dyn fmt::Display) -> Self {
        tracing::error!(error.cause = %cause, "answered internal_error: {cause}");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal_error",
            "the node could not complete the request",
            "look at the node's log; the request may be repeated",
        )
    }
}

const fn is_retryable(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// HTTP status of a stable code; codes that name no class here are the caller's fault (400).
fn status_of(code: &str) -> StatusCode {
    match code {
        "unauthorized" | "key_revoked" => StatusCode::UNAUTHORIZED,
        "budget_per_call" | "budget_per_day" | "insufficient_funds" | "key_allowance" => StatusCode::PAYMENT_REQUIRED,
        "wrong_host"
        | "wrong_origin"
        | "not_party"
        | "forged_sender"
        | "unsigned_sender"
        | "not_our_agent"
        | "insufficient_reputation" => StatusCode::FORBIDDEN,
        "listing_not_found" | "order_not_found" | "agent_not_found" | "peer_not_found" | "card_not_found"
        | "request_not_found" | "key_not_found" | "payment_not_found" | "channel_unknown" => StatusCode::NOT_FOUND,
        "answer_too_old" => StatusCode::GONE,
        "idempotency_conflict" => StatusCode::UNPROCESSABLE_ENTITY,
        "already_authorised"
        | "already_answered"
        | "nothing_offered"
        | "order_not_cancellable"
        | "name_taken"
        | "output_given"
        | "payment_key_used"
        | "precondition_failed" => StatusCode::CONFLICT,
        "input_too_large" | "output_too_large" | "frame_too_large" | "body_too_large" | "letter_too_long" => {
            StatusCode::PAYLOAD_TOO_LARGE
        }
        "rpc_down"
        | "blob_unavailable"
        | "storage_full"
        | "no_peers"
        | "peer_unreachable"
        | "unreachable"
        | "provider_unreachable"
        | "no_mailbox"
        | "mailbox_full"
        | "mailbox_sender_full"
        | "mail_keeper_full"
        | "mail_unreachable"
        | "mail_timeout"
        | "mail_busy"
        | "mail_too_often"
        | "mail_failed"
        | "mail_stream_broke"
        | "outbox_full"
        | "outbox_recipient_full"
        | "capacity_full"
        | "try_again"
        | "busy"
        | "channel_busy"
        | "store_locked" => StatusCode::SERVICE_UNAVAILABLE,
        "not_delivered" | "order_expired" | "open_timeout" | "deadline_exceeded" | "unknown_outcome" | "timeout" => {
            StatusCode::GATEWAY_TIMEOUT
        }
        "schema_mismatch" | "provider_refunded" | "remote_failed" | "connection_lost" | "invalid_agent_response" => {
            StatusCode::BAD_GATEWAY
        }
        "internal_error" => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.detail, self.code, self.hint)
    }
}

impl std::error::Error for ApiError {}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}
