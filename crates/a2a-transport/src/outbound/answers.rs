//! What an A2A server answers over HTTP: one bounded JSON body, or a stream of bounded events.

use futures::{StreamExt as _, stream};
use haggle_a2a::{A2aError, Kind, MAX_BODY_BYTES, rpc};
use http::header::CONTENT_TYPE;
use reqwest::Response;
use serde_json::Value;

use super::sse::Reader;
use crate::Events;

/// The server does not keep to the protocol.
pub(crate) fn invalid(text: impl Into<String>) -> A2aError {
    A2aError::new(Kind::InvalidAgentResponse, text)
}

/// The events of an answer. A server that answers with one result instead gives that as the only event.
pub(crate) async fn events(response: Response) -> Result<Events, A2aError> {
    let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if !kind.is_some_and(|kind| kind.starts_with("text/event-stream")) {
        let event = rpc::result(json(response, MAX_BODY_BYTES).await?)?;
        return Ok(stream::iter([Ok(event)]).boxed());
    }
    check_status(&response)?;
    let reading = Reading { response, reader: Reader::new(MAX_BODY_BYTES), ready: Vec::new(), over: false };
    Ok(stream::unfold(reading, |mut reading| async move { Some((reading.next().await?, reading)) }).boxed())
}

/// A response that is a stream of events.
struct Reading {
    response: Response,
    reader: Reader,
    /// Events that are read already, the last one first.
    ready: Vec<Vec<u8>>,
    over: bool,
}

impl Reading {
    async fn next(&mut self) -> Option<Result<Value, A2aError>> {
        loop {
            if let Some(event) = self.ready.pop() {
                let event = serde_json::from_slice(&event).map_err(|_| invalid("the agent's event is not JSON"));
                return Some(event.and_then(rpc::result));
            }
            if self.over {
                return None;
            }
            match self.response.chunk().await {
                Ok(Some(chunk)) => match self.reader.feed(&chunk) {
                    Ok(events) => self.ready = events.into_iter().rev().collect(),
                    Err(_) => {
                        self.over = true;
                        return Some(Err(invalid(format!("the agent's event is over {MAX_BODY_BYTES} bytes"))));
                    }
                },
                Ok(None) => return None,
                Err(cause) => {
                    self.over = true;
                    return Some(Err(lost(&cause)));
                }
            }
        }
    }
}

fn check_status(response: &Response) -> Result<(), A2aError> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let also = match status.as_u16() {
        401 | 403 => ": it wants to know who calls, and haggle has nothing to show it",
        300..=399 => ": it points elsewhere, which is not followed",
        _ => "",
    };
    Err(invalid(format!("the agent's server answered HTTP {}{also}", status.as_u16())))
}

/// Reads a JSON body of at most `max` bytes.
pub(crate) async fn json(mut response: Response, max: usize) -> Result<Value, A2aError> {
    check_status(&response)?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|cause| lost(&cause))? {
        if body.len() + chunk.len() > max {
            return Err(invalid(format!("the agent's answer is over {max} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).map_err(|_| invalid("the agent's answer is not JSON"))
}

/// Why a request got no answer.
pub(crate) fn not_sent(cause: &reqwest::Error) -> A2aError {
    if cause.is_connect() {
        A2aError::new(Kind::Unreachable, "the agent's server does not accept connections")
    } else {
        lost(cause)
    }
}

fn lost(cause: &reqwest::Error) -> A2aError {
    if cause.is_timeout() {
        A2aError::new(Kind::DeadlineExceeded, "the agent's server did not answer in time")
    } else {
        A2aError::connection_lost()
    }
}
