//! Calls to agents on other nodes, over a small pool of long-lived streams per peer.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use haggle_a2a::{A2aError, Kind, ServiceParams, binding::CallParams, frame::MAX_PAYLOAD_BYTES, rpc, types::methods};
use haggle_base::{Did, PeerId};
use serde_json::Value;

use crate::{Answer, ClientLimits, Dial, Events};

mod breaker;
mod connection;
mod following;
mod pool;

use connection::Answers;
use pool::Pool;

/// Operations that change nothing.
const READS: [&str; 5] = [
    methods::GET_TASK,
    methods::LIST_TASKS,
    methods::GET_PUSH_CONFIG,
    methods::LIST_PUSH_CONFIGS,
    methods::GET_EXTENDED_AGENT_CARD,
];

/// Calls agents by (peer, agent). Clones share the streams.
///
/// A call that fails with [`Kind::ConnectionLost`] or [`Kind::DeadlineExceeded`] may have been
/// processed: see [`A2aError::is_outcome_unknown`] and [`A2aError::is_retryable`]. A call that never left, and one that
/// changes nothing, are tried again here, twice by default and after a growing wait, as long as the deadline allows. A peer that fails again and again is left alone for a while, and then tried with one call;
/// until then every call to it is [`Kind::Unreachable`] at once.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    dial: Arc<dyn Dial>,
    limits: ClientLimits,
    peers: Mutex<HashMap<PeerId, Arc<Pool>>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("peers", &self.peers().len()).finish_non_exhaustive()
    }
}

impl Client {
    /// A client with the default bounds.
    pub fn new(dial: Arc<dyn Dial>) -> Self {
        Self::with_limits(dial, ClientLimits::default())
    }

    /// A client with these bounds.
    pub fn with_limits(dial: Arc<dyn Dial>, limits: ClientLimits) -> Self {
        Self { shared: Arc::new(Shared { dial, limits, peers: Mutex::default() }) }
    }

    /// Sends one JSON-RPC request to an agent at this peer; the result is the JSON-RPC response,
    /// which may carry an error of the agent's.
    ///
    /// # Errors
    /// [`Kind::Unreachable`] and [`Kind::Busy`] (nothing was sent), [`Kind::ConnectionLost`] and
    /// [`Kind::DeadlineExceeded`] (unknown whether it was processed), [`Kind::TooLarge`],
    /// [`Kind::InvalidAgentResponse`], or the peer's refusal.
    pub async fn call(
        &self,
        peer: &PeerId,
        agent: &Did,
        request: Value,
        deadline: Duration,
    ) -> Result<Value, A2aError> {
        let params = ServiceParams::for_request(&request);
        self.call_with(peer, agent, request, params, deadline).await
    }

    /// As [`Client::call`], with chosen service parameters.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn call_with(
        &self,
        peer: &PeerId,
        agent: &Did,
        request: Value,
        params: ServiceParams,
        deadline: Duration,
    ) -> Result<Value, A2aError> {
        let method = request.get("method").and_then(Value::as_str);
        let reads_only = method.is_some_and(|method| READS.contains(&method));
        let (head, body) = encoded(agent, &request, params, deadline)?;
        let until = tokio::time::Instant::now() + deadline;
        let pool = self.pool(peer)?;
        let dial = self.shared.dial.as_ref();
        let limits = &self.shared.limits;
        let (mut tried, mut last) = (0, None);
        let answer = loop {
            let attempt = pool.breaker.pass().map_err(|refused| last.take().unwrap_or(refused))?;
            let answer = pool.call(dial, head.clone(), body.clone(), until).await;
            attempt.ended(&answer);
            let may_repeat = |error: &A2aError| match error.kind() {
                Kind::Unreachable => true,
                Kind::ConnectionLost => reads_only,
                _ => false,
            };
            let wait = jittered(limits.retry * 2_u32.saturating_pow(tried));
            match answer {
                Err(error)
                    if tried < limits.retries && may_repeat(&error) && tokio::time::Instant::now() + wait < until =>
                {
                    tracing::debug!(peer.id = %peer, error = %error, "a call to {peer} is tried again: {error}");
                    (tried, last) = (tried + 1, Some(error));
                    tokio::time::sleep(wait).await;
                }
                other => break other?,
            }
        };
        serde_json::from_slice(&answer)
            .map_err(|_| A2aError::new(Kind::InvalidAgentResponse, "the peer's answer is not JSON"))
    }

    /// Sends one JSON-RPC request that is answered with a stream; the items are its events.
    ///
    /// A stream that breaks is taken up again where the task is by then (`SubscribeToTask`, which changes nothing), as
    /// long as it has named its task. Dropping the stream tells the peer that nobody reads it any more.
    ///
    /// # Errors
    /// Before the first event, as [`Client::call`] and whatever the agent answers instead of a stream; in the stream,
    /// the same, and then nothing follows. `deadline` bounds the time to the first event.
    pub async fn stream(
        &self,
        peer: &PeerId,
        agent: &Did,
        request: Value,
        params: ServiceParams,
        deadline: Duration,
    ) -> Result<Events, A2aError> {
        following::open(self.clone(), *peer, *agent, request, params, deadline).await
    }

    /// Sends one JSON-RPC request and takes its result, or its stream, out of the answer.
    ///
    /// # Errors
    /// As [`Client::call`], or the error that was answered.
    pub async fn perform(
        &self,
        peer: &PeerId,
        agent: &Did,
        request: Value,
        params: ServiceParams,
        deadline: Duration,
    ) -> Result<Answer, A2aError> {
        match request.get("method").and_then(Value::as_str) {
            Some(methods::SEND_STREAMING_MESSAGE | methods::SUBSCRIBE_TO_TASK) => {
                self.stream(peer, agent, request, params, deadline).await.map(Answer::Many)
            }
            _ => rpc::result(self.call_with(peer, agent, request, params, deadline).await?).map(Answer::One),
        }
    }

    /// Gives up the streams to this peer; calls under way fail with [`Kind::ConnectionLost`].
    pub fn forget(&self, peer: &PeerId) {
        let gone = self.peers().remove(peer);
        if let Some(pool) = gone {
            pool.close();
        }
    }

    async fn open(
        &self,
        peer: &PeerId,
        agent: &Did,
        request: &Value,
        params: ServiceParams,
        deadline: Duration,
    ) -> Result<Answers, A2aError> {
        let (head, body) = encoded(agent, request, params, deadline)?;
        let until = tokio::time::Instant::now() + deadline;
        let pool = self.pool(peer)?;
        let attempt = pool.breaker.pass()?;
        let opened = Arc::clone(&pool).open(self.shared.dial.as_ref(), head, body, until).await;
        attempt.ended(&opened);
        opened
    }

    fn peers(&self) -> std::sync::MutexGuard<'_, HashMap<PeerId, Arc<Pool>>> {
        self.shared.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pool(&self, peer: &PeerId) -> Result<Arc<Pool>, A2aError> {
        let limits = &self.shared.limits;
        let mut peers = self.peers();
        if let Some(pool) = peers.get(peer) {
            return Ok(Arc::clone(pool));
        }
        if peers.len() >= limits.peers {
            let idle = peers.iter().find(|(_, pool)| Arc::strong_count(pool) == 1);
            let Some(idle) = idle.map(|(peer, _)| *peer) else {
                return Err(A2aError::new(Kind::Busy, "too many peers are called at once"));
            };
            if let Some(pool) = peers.remove(&idle) {
                pool.close();
            }
        }
        let pool = Arc::new(Pool::new(*peer, limits.clone()));
        peers.insert(*peer, Arc::clone(&pool));
        Ok(pool)
    }
}

/// The wait and up to a quarter more, so that callers who failed together do not come back together.
fn jittered(wait: Duration) -> Duration {
    let mut part = [0; 1];
    match getrandom::fill(&mut part) {
        Ok(()) => wait + wait * u32::from(part[0]) / 1024,
        Err(_) => wait,
    }
}

/// The frames' payloads of one call.
fn encoded(
    agent: &Did,
    request: &Value,
    params: ServiceParams,
    deadline: Duration,
) -> Result<(Bytes, Bytes), A2aError> {
    let body = Bytes::from(request.to_string());
    if body.len() > MAX_PAYLOAD_BYTES {
        return Err(A2aError::new(Kind::TooLarge, "the request is over 1 MiB"));
    }
    let head = CallParams { agent: *agent, params, timeout: Some(deadline) }.to_payload();
    Ok((head, body))
}
