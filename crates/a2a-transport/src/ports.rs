//! What this room asks of others: agents, the gate before them, streams, remote agents.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use haggle_a2a::{A2aError, ServiceParams, types::TaskState};
use haggle_base::{Did, PeerId};
use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{Tendered, Toll, Updates};

/// Who asks. Nothing of it is taken from the request's body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The node at the other end of the stream; `None` for callers over HTTP.
    pub peer: Option<PeerId>,
    /// The identities it has proven on this connection.
    pub dids: Vec<Did>,
    /// The stable name that its tasks belong to.
    pub scope: String,
}

impl Caller {
    /// A node that called over libp2p.
    pub fn peer(peer: PeerId, dids: Vec<Did>) -> Self {
        Self { peer: Some(peer), dids, scope: format!("peer:{peer}") }
    }

    /// A caller that the gateway has authenticated.
    pub fn http(scope: &str) -> Self {
        Self { peer: None, dids: Vec::new(), scope: format!("http:{scope}") }
    }
}

/// What an agent shows of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Cards {
    /// The card for everybody.
    pub public: Value,
    /// The card for callers who say who they are; its public one says that there is one (`haggle_a2a::card::extended`).
    pub extended: Option<Value>,
}

impl From<Value> for Cards {
    fn from(public: Value) -> Self {
        Self { public, extended: None }
    }
}

/// What happens to a task, as it happens: `StreamResponse` objects. After an error nothing comes.
pub type Events = futures::stream::BoxStream<'static, Result<Value, A2aError>>;

/// What an operation answers.
pub enum Answer {
    /// One result.
    One(Value),
    /// A stream.
    Many(Events),
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(result) => f.debug_tuple("One").field(result).finish(),
            Self::Many(_) => f.debug_tuple("Many").finish_non_exhaustive(),
        }
    }
}

/// One message for an agent.
#[derive(Debug, Clone)]
pub struct Call {
    /// Who asks.
    pub caller: Caller,
    /// The agent that is asked.
    pub agent: Did,
    /// The task this message starts or continues.
    pub task_id: String,
    /// The conversation it belongs to.
    pub context_id: String,
    /// The A2A message, as it came.
    pub message: Value,
    /// How long the agent has.
    pub deadline: Duration,
    /// The caller's key for repeating this very request. A `messageId` is not one: callers reuse it.
    pub idempotency: Option<String>,
    /// The extensions the caller wants active.
    pub extensions: Vec<String>,
    /// What the executor left with the task when it asked for input (see [`Outcome::Task`]).
    pub resume: Option<Value>,
}

/// What an agent answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// A message; no task is kept.
    Message(Value),
    /// A task.
    Task {
        /// A terminal or an interrupted state.
        state: TaskState,
        /// Its results.
        artifacts: Vec<Value>,
        /// Its closing words.
        message: Option<Value>,
        /// Further fields of the task (`metadata`, fields of newer versions).
        extra: Map<String, Value>,
        /// For an interrupted task: what the executor needs to go on, given back in [`Call::resume`].
        resume: Option<Value>,
    },
}

impl Outcome {
    /// A task in this state with nothing else.
    pub fn task(state: TaskState) -> Self {
        Self::Task { state, artifacts: Vec::new(), message: None, extra: Map::new(), resume: None }
    }
}

/// An agent.
#[async_trait]
pub trait Executor: Send + Sync {
    /// Works on one message. It may be stopped at any await, when the caller gives up or the
    /// deadline passes; a panic fails the task and nothing else.
    ///
    /// # Errors
    /// An error is answered as a JSON-RPC error; work that failed is a task in state FAILED instead.
    async fn execute(&self, call: Call, updates: Updates) -> Result<Outcome, A2aError>;

    /// An interrupted task was cancelled by its caller.
    async fn cancelled(&self, _resume: Option<Value>) {}
}

/// What the gate decides about one message.
#[derive(Debug, Clone)]
pub enum Admission {
    /// The agent shall see it.
    Run,
    /// The gate has dealt with it; this is the reply message.
    Handled(Value),
    /// The agent shall see it once this toll is paid. The answers to questions of an agent whose task is paid are not
    /// tolled again.
    Toll(Arc<dyn Toll>),
}

/// Payment, policy and limits: asked before every message reaches an agent.
#[async_trait]
pub trait Gate: Send + Sync {
    /// Decides. It runs to its end even if the caller goes away.
    ///
    /// # Errors
    /// The refusal, usually [`A2aError::refused`].
    async fn admit(&self, caller: &Caller, agent: &Did, message: &Value) -> Result<Admission, A2aError>;

    /// Whether this caller may know that the agent is here; everybody may by default, also who does not say who it is.
    fn shows(&self, _caller: Option<&Caller>, _agent: &Did) -> bool {
        true
    }

    /// Takes what pays for a message out of it, before the message is kept anywhere; nothing by default.
    fn lift(&self, _agent: &Did, _message: &mut Value) -> Option<Tendered> {
        None
    }
}

/// The gate of free agents: everything runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenGate;

#[async_trait]
impl Gate for OpenGate {
    async fn admit(&self, _: &Caller, _: &Did, _: &Value) -> Result<Admission, A2aError> {
        Ok(Admission::Run)
    }
}

/// A stream that the libp2p binding can run over.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Wire for S {}

/// Any [`Wire`].
pub type BoxStream = Box<dyn Wire>;

/// Opens streams of the protocol [`crate::PROTOCOL`].
#[async_trait]
pub trait Dial: Send + Sync {
    /// A new stream to this peer.
    ///
    /// # Errors
    /// [`haggle_a2a::Kind::Unreachable`] if there is no way.
    async fn open(&self, peer: &PeerId) -> Result<BoxStream, A2aError>;
}

/// A call that the gateway passes on to another node.
#[derive(Debug, Clone)]
pub struct RemoteCall {
    /// The JSON-RPC request.
    pub request: Value,
    /// What goes with it; `sub_caller` keeps the gateway's callers apart at the other node.
    pub params: ServiceParams,
    /// Which of our callers asks (its budget pays).
    pub scope: String,
    /// How long to wait.
    pub deadline: Duration,
}

/// Agents that live on other nodes.
#[async_trait]
pub trait Remote: Send + Sync {
    /// The agent's own card, if it can be found.
    async fn card(&self, agent: &Did) -> Option<Value>;

    /// Passes a request on; what it answers is taken out of the JSON-RPC response.
    ///
    /// # Errors
    /// [`haggle_a2a::Kind::AgentNotFound`], [`haggle_a2a::Kind::Unreachable`], or what
    /// [`crate::Client::call`] answers.
    async fn call(&self, agent: &Did, call: RemoteCall) -> Result<Answer, A2aError>;
}

/// Signs cards with the keys of this node's agents, which this room does not see.
pub trait CardSigner: Send + Sync {
    /// The card with the agent's signature (`haggle_a2a::card::sign`); unsigned if the agent's key is not
    /// here or the card cannot be signed.
    fn sign(&self, agent: &Did, card: Value) -> Value;
}

impl fmt::Debug for dyn Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Executor")
    }
}
