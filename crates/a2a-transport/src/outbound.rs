//! One HTTP request to a stranger's URL, through the guarded connector, with a bounded answer.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use haggle_a2a::{A2aError, Kind};
use http::{HeaderMap, Method};

use crate::guarded::{self, Reach};

mod agent;
pub(crate) mod answers;
mod sse;

pub use agent::ask_over_http;

/// Longest answer body that is read: 1 MiB.
pub const MAX_ANSWER_BYTES: usize = 1 << 20;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Fetch {
    /// The method.
    pub method: Method,
    /// An `http` or `https` URL.
    pub url: String,
    /// Headers beside those the connection makes.
    pub headers: HeaderMap,
    /// The body; may be empty.
    pub body: Bytes,
}

/// What was answered, whatever the status.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// HTTP status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Fetched {
    /// A header's text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Asks once. Redirects are not followed: whoever pays has to know whom.
///
/// # Errors
/// [`Kind::InvalidParams`] for a URL that may not be called, [`Kind::Refused`] if its host's addresses may not be dialled,
/// [`Kind::Unreachable`] if nothing was sent, [`Kind::ConnectionLost`] if it is not known what came of it,
/// [`Kind::TooLarge`] for an answer over [`MAX_ANSWER_BYTES`].
pub async fn fetch(fetch: Fetch, reach: Reach, patience: Duration) -> Result<Fetched, A2aError> {
    let target = guarded::target(&fetch.url, "url", reach)?;
    let asked = async {
        let client = guarded::client(&target.0, reach).await?;
        let sent = client.request(fetch.method, target.0).headers(fetch.headers).body(fetch.body).send().await;
        let mut response = sent.map_err(|cause| {
            let kind = if cause.is_connect() { Kind::Unreachable } else { Kind::ConnectionLost };
            A2aError::new(kind, "the URL's server did not answer")
        })?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let mut body = BytesMut::new();
        let lost = |_| A2aError::new(Kind::ConnectionLost, "the URL's server broke off its answer");
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(A2aError::new(Kind::TooLarge, "the answer is over 1 MiB"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Fetched { status, headers, body: body.freeze() })
    };
    match tokio::time::timeout(patience, asked).await {
        Ok(answered) => answered,
        Err(_) => Err(A2aError::new(Kind::ConnectionLost, "the URL's server did not answer in time")),
    }
}
