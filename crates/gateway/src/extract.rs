//! Extractors whose refusals are problem bodies of ours.

use crate::error::ApiError;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequestParts};
use axum::http::StatusCode;
use axum::http::request::Parts;
use std::convert::Infallible;

/// A JSON body.
#[derive(Debug, FromRequest)]
#[from_request(via(axum::Json), rejection(ApiError))]
pub(crate) struct Json<T>(pub(crate) T);

/// Query parameters.
#[derive(Debug, FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(ApiError))]
pub(crate) struct Query<T>(pub(crate) T);

impl From<JsonRejection> for ApiError {
    fn from(rejection: JsonRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            return Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                rejection.body_text(),
                "send at most 1 MiB; give large documents by reference",
            );
        }
        Self::new(
            rejection.status(),
            "invalid_body",
            rejection.body_text(),
            "send JSON with the fields that docs/ARCHITECTURE.md lists and content-type application/json",
        )
    }
}

impl From<QueryRejection> for ApiError {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad_request(
            "invalid_query",
            rejection.body_text(),
            "amounts are decimals such as 0.25; sort is one of cost_per_success, trust_score_desc, price_asc, response_time_asc, relevance, combined; reputation_weight is a decimal from 0 to 1",
        )
    }
}

/// The `Idempotency-Key` of a request that moves money.
#[derive(Clone, Debug)]
pub(crate) struct IdempotencyKey(pub(crate) String);

/// Longest key taken.
const MAX_KEY: usize = 64;

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let key = <Self as OptionalFromRequestParts<S>>::from_request_parts(parts, state).await?;
        key.ok_or_else(|| {
            ApiError::bad_request(
                "idempotency_key_missing",
                "an order needs an Idempotency-Key header",
                "make one key per intended order and send the same key on every retry",
            )
        })
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, ApiError> {
        let Some(header) = parts.headers.get("idempotency-key") else { return Ok(None) };
        let key = header.to_str().ok().filter(|key| is_plain(key)).ok_or_else(|| {
            ApiError::bad_request(
                "idempotency_key_invalid",
                "the Idempotency-Key is not one that could stand in a path",
                "use 1 to 64 letters, digits and -_.: that begin with a letter or digit, a UUID for example",
            )
        })?;
        Ok(Some(Self(key.to_owned())))
    }
}

/// Whether a key can stand in a path as it is.
fn is_plain(key: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    key.starts_with(|first: char| first.is_ascii_alphanumeric()) && key.len() <= MAX_KEY && key.bytes().all(allowed)
}

/// The `Last-Event-ID` of an event stream that resumes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LastEventId(pub(crate) u64);

impl<S: Sync> OptionalFromRequestParts<S> for LastEventId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts
            .headers
            .get("last-event-id")
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.parse().ok())
            .map(Self))
    }
}
