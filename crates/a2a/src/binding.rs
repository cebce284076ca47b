//! Both ends of the libp2p binding as decisions over frames: who may say what, and when.
//!
//! The caller opens call *n* with a `Params` frame, sends its `Request`, and gets one or more
//! `Response` frames and an `End`, or one `Error`. Calls of one stream run side by side. The
//! specification is `docs/protocols/a2a-libp2p.md`.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use haggle_base::Did;
use serde_json::{Value, json};

use crate::{
    A2aError, Kind, ServiceParams,
    frame::{Frame, FrameError, FrameKind},
};

#[cfg(test)]
mod tests;

/// The stream protocol.
pub const PROTOCOL: &str = "/a2a/jsonrpc/1.0.0";
/// The URI under which a card lists this binding.
pub const URI: &str = "urn:haggle:a2a:libp2p:1";
/// Most calls open at once on one stream; more are answered with "busy".
pub const MAX_CALLS_PER_STREAM: usize = 256;
/// Largest `Params` payload, in bytes.
pub const MAX_PARAMS_BYTES: usize = 16 * 1024;

/// What a call says before its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallParams {
    /// The agent that is asked.
    pub agent: Did,
    /// Version, extensions and the rest.
    pub params: ServiceParams,
    /// How long the caller waits; absent means as long as the server likes.
    pub timeout: Option<Duration>,
}

impl CallParams {
    /// The payload of a `Params` frame.
    pub fn to_payload(&self) -> Bytes {
        let mut body = json!({ "agent": self.agent.to_string(), "parameters": self.params.to_json() });
        if let (Some(timeout), Some(map)) = (self.timeout, body.as_object_mut()) {
            let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
            map.insert("timeoutMs".to_owned(), json!(millis));
        }
        Bytes::from(body.to_string())
    }

    /// Reads the payload of a `Params` frame.
    ///
    /// # Errors
    /// [`Kind::InvalidRequest`] naming what is wrong.
    pub fn from_payload(payload: &[u8]) -> Result<Self, A2aError> {
        let invalid = |text: &str| A2aError::new(Kind::InvalidRequest, text);
        if payload.len() > MAX_PARAMS_BYTES {
            return Err(invalid("the call's parameters are over 16 KiB"));
        }
        let body: Value = serde_json::from_slice(payload).map_err(|_| invalid("the call's parameters are not JSON"))?;
        let agent = body
            .get("agent")
            .and_then(Value::as_str)
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| invalid("agent must be a did:key"))?;
        let params = match body.get("parameters") {
            None | Some(Value::Null) => ServiceParams::default(),
            Some(Value::Object(map)) => ServiceParams::from_json(map)?,
            Some(_) => return Err(invalid("parameters must be an object")),
        };
        let timeout = match body.get("timeoutMs") {
            None | Some(Value::Null) => None,
            Some(millis) => {
                let millis = millis.as_u64().ok_or_else(|| invalid("timeoutMs must be a whole number"))?;
                Some(Duration::from_millis(millis))
            }
        };
        Ok(Self { agent, params, timeout })
    }
}

/// A frame that carries an error for one call (or, as call 0, for the stream).
pub fn error_frame(call: u64, error: &A2aError) -> Frame {
    Frame { call, kind: FrameKind::Error, payload: Bytes::from(error.to_json().to_string()) }
}

/// The stream-level error for bytes that are no frame.
pub fn framing_error(error: FrameError) -> A2aError {
    let kind = match error {
        FrameError::Oversize { .. } => Kind::TooLarge,
        FrameError::Short { .. } | FrameError::UnknownKind { .. } => Kind::Parse,
    };
    A2aError::new(kind, error.to_string())
}

/// What the serving side does about one frame.
#[derive(Debug, PartialEq)]
#[must_use]
pub enum Inbound {
    /// The call waits for its request.
    Waiting,
    /// The call is complete: run it, then say [`Serving::done`].
    Start {
        /// The call.
        call: u64,
        /// Who is asked, and how.
        params: CallParams,
        /// The JSON-RPC request, not parsed yet.
        request: Bytes,
    },
    /// The caller no longer waits; stop what can be stopped.
    Cancelled {
        /// The call.
        call: u64,
    },
    /// Answer this call with an error frame; the stream lives on.
    Refused {
        /// The call.
        call: u64,
        /// The answer.
        error: A2aError,
    },
    /// A frame for a call that is over; nothing to do.
    Late,
    /// The peer breaks the protocol: send this as call 0 and close.
    Violation(A2aError),
}

#[derive(Debug)]
enum Phase {
    Opened(CallParams),
    Running,
}

/// The serving side of one stream.
#[derive(Debug, Default)]
pub struct Serving {
    calls: HashMap<u64, Phase>,
    last: u64,
}

impl Serving {
    /// A fresh stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many calls are open.
    pub fn open_calls(&self) -> usize {
        self.calls.len()
    }

    /// Takes one frame from the caller.
    pub fn receive(&mut self, frame: Frame) -> Inbound {
        let call = frame.call;
        match frame.kind {
            FrameKind::Params => self.open(call, &frame.payload),
            FrameKind::Request => self.start(call, frame.payload),
            FrameKind::Cancel if call > self.last => violation("cancel before the call"),
            FrameKind::Cancel => match self.calls.remove(&call) {
                Some(_) => Inbound::Cancelled { call },
                None => Inbound::Late,
            },
            FrameKind::Response | FrameKind::End | FrameKind::Error => {
                violation("only the serving side sends this frame")
            }
        }
    }

    fn open(&mut self, call: u64, payload: &[u8]) -> Inbound {
        if call <= self.last {
            return violation("call ids must rise from 1");
        }
        self.last = call;
        if self.calls.len() >= MAX_CALLS_PER_STREAM {
            let error = A2aError::new(Kind::Busy, "too many calls at once on this stream");
            return Inbound::Refused { call, error };
        }
        match CallParams::from_payload(payload) {
            Ok(params) => {
                self.calls.insert(call, Phase::Opened(params));
                Inbound::Waiting
            }
            Err(error) => Inbound::Refused { call, error },
        }
    }

    fn start(&mut self, call: u64, request: Bytes) -> Inbound {
        if call > self.last {
            return violation("request before the call's parameters");
        }
        match self.calls.insert(call, Phase::Running) {
            Some(Phase::Opened(params)) => Inbound::Start { call, params, request },
            Some(Phase::Running) => violation("second request in one call"),
            None => {
                self.calls.remove(&call);
                Inbound::Late
            }
        }
    }

    /// The call is answered. False if the caller had given it up: then send nothing.
    pub fn done(&mut self, call: u64) -> bool {
        self.calls.remove(&call).is_some()
    }
}

fn violation(text: &str) -> Inbound {
    Inbound::Violation(A2aError::new(Kind::InvalidRequest, text))
}

/// What one frame means to the calling side.
#[derive(Debug, PartialEq)]
#[must_use]
pub enum Reply {
    /// One JSON-RPC response of this call, not parsed yet.
    Response {
        /// The call.
        call: u64,
        /// The JSON-RPC response.
        body: Bytes,
    },
    /// The call has no more responses.
    End {
        /// The call.
        call: u64,
    },
    /// The call failed.
    Failed {
        /// The call.
        call: u64,
        /// Why.
        error: A2aError,
    },
    /// The stream is of no use any more.
    Broken(A2aError),
}

/// Reads one frame from the serving side.
pub fn reply(frame: Frame) -> Reply {
    let call = frame.call;
    match frame.kind {
        FrameKind::Response => Reply::Response { call, body: frame.payload },
        FrameKind::End => Reply::End { call },
        FrameKind::Error => {
            let error = serde_json::from_slice(&frame.payload)
                .ok()
                .and_then(|error: Value| A2aError::from_json(&error))
                .unwrap_or_else(|| A2aError::new(Kind::InvalidAgentResponse, "unreadable error frame"));
            if call == 0 { Reply::Broken(error) } else { Reply::Failed { call, error } }
        }
        FrameKind::Params | FrameKind::Request | FrameKind::Cancel => {
            Reply::Broken(A2aError::new(Kind::InvalidAgentResponse, "the serving side sent a caller's frame"))
        }
    }
}
