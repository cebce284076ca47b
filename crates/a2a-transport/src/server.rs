//! The A2A server: which agents it serves, and what each operation answers.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use haggle_a2a::{A2aError, Kind, Request, ServiceParams, card, names, rpc, types::methods};
use haggle_base::{Clock, Did, Timestamp};
use haggle_store::{Blobs, Store};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    Answer, Caller, Cards, Executor, Gate, Limits,
    records::{Owner, Shelf, storage},
    stream,
};

mod hub;
mod live;
mod outcome;
mod push;
mod retired;
mod seats;
mod send;
mod streaming;
mod tasks;
mod tolled;
pub(crate) mod updates;
mod work;

use hub::Hub;
use live::LiveTasks;
use push::{Pushes, Turns};
use seats::Seats;

/// One agent of this node.
#[derive(Clone)]
struct Served {
    card: Arc<Value>,
    extended: Option<Arc<Value>>,
    executor: Arc<dyn Executor>,
}

/// Serves agents to callers of any binding. Clones are handles to the same server.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

struct Shared {
    agents: RwLock<HashMap<Did, Served>>,
    /// Those that are served no longer, and whose tasks are kept.
    retired: RwLock<HashSet<Did>>,
    gate: Arc<dyn Gate>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    shelf: Shelf,
    live: LiveTasks,
    running: Arc<Seats>,
    streams: Arc<Seats>,
    listing: Arc<Seats>,
    hub: Hub,
    followers: Arc<Seats>,
    pushes: Pushes,
    turns: Turns,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("agents", &self.agents().len())
            .field("tasks", &self.shared.shelf.len())
            .finish_non_exhaustive()
    }
}

/// One call, past the envelope: what every operation needs.
struct Context<'a> {
    owner: Owner,
    caller: &'a Caller,
    served: &'a Served,
    params: &'a ServiceParams,
    deadline: Option<Duration>,
}

impl Server {
    /// Opens the server's tasks in `store`; bodies too large for a row go into the folder `bodies`.
    /// Tasks that were at work when the node stopped are failed.
    ///
    /// # Errors
    /// [`Kind::Storage`].
    pub async fn open(
        store: Store,
        bodies: &Path,
        gate: Arc<dyn Gate>,
        clock: Arc<dyn Clock>,
        limits: Limits,
    ) -> Result<Self, A2aError> {
        let blobs = Blobs::open(bodies).map_err(|error| storage(&error))?;
        let pushes = Pushes::open(store.clone())?;
        let turns = Turns::new(limits.deliveries);
        let shelf = Shelf::open(store, blobs, limits.clone(), clock.as_ref()).await?;
        let running = Arc::new(Seats::new(limits.running_per_caller, limits.running));
        let streams = Arc::new(Seats::new(limits.streams_per_caller, usize::MAX));
        let listing = Arc::new(Seats::new(limits.listing_per_caller, limits.listing));
        let followers = Arc::new(Seats::new(limits.followed_per_caller, limits.followed));
        let (live, hub) = (LiveTasks::default(), Hub::default());
        let agents = RwLock::default();
        let shared = Shared {
            agents,
            retired: RwLock::default(),
            gate,
            clock,
            limits,
            shelf,
            live,
            running,
            streams,
            listing,
            hub,
            followers,
            pushes,
            turns,
        };
        let server = Self { shared: Arc::new(shared) };
        server.resume_telling().await?;
        Ok(server)
    }

    /// Serves this agent under its cards, from now on; replaces an earlier one. A card alone is the public one.
    pub fn serve(&self, agent: Did, cards: impl Into<Cards>, executor: Arc<dyn Executor>) {
        let Cards { public, extended } = cards.into();
        let served = Served { card: Arc::new(public), extended: extended.map(Arc::new), executor };
        self.shared.retired.write().unwrap_or_else(PoisonError::into_inner).remove(&agent);
        self.agents_mut().insert(agent, served);
    }

    /// Serves this agent no longer. Work under way goes on.
    pub fn remove(&self, agent: &Did) {
        self.agents_mut().remove(agent);
    }

    /// Serves this agent no longer, for good. Its tasks can still be read by those they belong to, and what was paid for it
    /// goes to the toll.
    pub fn retire(&self, agent: Did) {
        self.remove(&agent);
        self.shared.retired.write().unwrap_or_else(PoisonError::into_inner).insert(agent);
    }

    /// Whether calls to this agent are answered here: it is served, or was until it was retired.
    #[must_use]
    pub fn answers_for(&self, agent: &Did) -> bool {
        self.is_retired(agent) || self.served(agent).is_some()
    }

    fn is_retired(&self, agent: &Did) -> bool {
        self.shared.retired.read().unwrap_or_else(PoisonError::into_inner).contains(agent)
    }

    /// Whether this caller may know that the agent is here; `None` is one who does not say who it is.
    pub(crate) fn shows(&self, caller: Option<&Caller>, agent: &Did) -> bool {
        self.shared.gate.shows(caller, agent)
    }

    /// The agents served here.
    pub fn agents(&self) -> Vec<Did> {
        self.shared.agents.read().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// The card of an agent served here.
    pub fn card(&self, agent: &Did) -> Option<Arc<Value>> {
        self.served(agent).map(|served| served.card)
    }

    /// The executor of an agent served here, past gate and task keeping (for work that an order
    /// has admitted already).
    pub fn executor(&self, agent: &Did) -> Option<Arc<dyn Executor>> {
        self.served(agent).map(|served| served.executor)
    }

    /// Whether as many calls are at work as may be at once: another one would be answered "busy".
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.shared.running.is_full()
    }

    /// How many inbound streams are open.
    pub fn open_streams(&self) -> usize {
        self.shared.streams.taken()
    }

    /// How many tasks are followed by streams.
    #[cfg(test)]
    pub(crate) fn followed(&self) -> usize {
        self.shared.hub.followed()
    }

    /// How long the longest blocking call may take.
    pub(crate) fn longest_call(&self) -> Duration {
        self.shared.limits.blocking
    }

    /// The server's clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// How many streams of events are followed.
    #[cfg(test)]
    pub(crate) fn followers(&self) -> usize {
        self.shared.followers.taken()
    }

    fn served(&self, agent: &Did) -> Option<Served> {
        self.shared.agents.read().unwrap_or_else(PoisonError::into_inner).get(agent).cloned()
    }

    fn agents_mut(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<Did, Served>> {
        self.shared.agents.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers one JSON-RPC request with the parameters that callers of this version send.
    pub async fn call(&self, caller: Caller, agent: &Did, request: Value) -> Value {
        let params = ServiceParams::for_request(&request);
        self.call_with(caller, agent, request, &params, None).await
    }

    /// Answers one JSON-RPC request that asks for one result. The answer is a JSON-RPC response, whatever came in.
    pub async fn call_with(
        &self,
        caller: Caller,
        agent: &Did,
        request: Value,
        params: &ServiceParams,
        deadline: Option<Duration>,
    ) -> Value {
        let (id, answer) = self.answer(caller, agent, request, params, deadline).await;
        let outcome = answer.and_then(|answer| match answer {
            Answer::One(result) => Ok(result),
            Answer::Many(_) => Err(A2aError::new(Kind::InvalidRequest, "this operation answers with a stream")),
        });
        rpc::response(id, outcome)
    }

    /// Answers one JSON-RPC request, with the id to answer under.
    pub(crate) async fn answer(
        &self,
        caller: Caller,
        agent: &Did,
        request: Value,
        params: &ServiceParams,
        deadline: Option<Duration>,
    ) -> (Value, Result<Answer, A2aError>) {
        match Request::parse(request) {
            Err(unreadable) => (unreadable.id, Err(unreadable.error)),
            Ok(Request { id, method, params: body }) => {
                (id, self.operate(&caller, agent, &method, body, params, deadline).await)
            }
        }
    }

    /// Runs one operation of A2A by its name.
    pub(crate) async fn operate(
        &self,
        caller: &Caller,
        agent: &Did,
        method: &str,
        body: Value,
        params: &ServiceParams,
        deadline: Option<Duration>,
    ) -> Result<Answer, A2aError> {
        let outcome = self.dispatch(caller, agent, method, body, params, deadline).await;
        if let Err(error) = &outcome {
            let kind = error.kind();
            tracing::debug!(agent.id = %agent, caller = %caller.scope, method, error.kind = ?kind, "answered {method} with {error}");
        }
        outcome
    }

    async fn dispatch(
        &self,
        caller: &Caller,
        agent: &Did,
        method: &str,
        mut body: Value,
        params: &ServiceParams,
        deadline: Option<Duration>,
    ) -> Result<Answer, A2aError> {
        params.check_version()?;
        let is_retired = self.is_retired(agent);
        let served = if is_retired { Some(retired::served()) } else { self.served(agent) };
        let served = served.filter(|_| self.shows(Some(caller), agent)).ok_or_else(|| not_here(agent))?;
        names::accept_schema_names(&mut body);
        check_tenant(&body, agent)?;
        let scope = match &params.sub_caller {
            Some(sub) => format!("{}/{sub}", caller.scope),
            None => caller.scope.clone(),
        };
        let owner = Owner { agent: *agent, root: caller.scope.clone(), scope };
        let context = Context { owner, caller, served: &served, params, deadline };
        if is_retired {
            return self.call_retired(context, method, body).await;
        }
        match method {
            methods::SEND_MESSAGE => {
                check_extensions(&served.card, params)?;
                check_media(&served.card, &body)?;
                self.send_message(context, body).await.map(Answer::One)
            }
            methods::SEND_STREAMING_MESSAGE | methods::SUBSCRIBE_TO_TASK if !card::streams(&served.card) => {
                Err(unsupported(method, "this agent's card promises no streams"))
            }
            methods::SEND_STREAMING_MESSAGE => {
                check_extensions(&served.card, params)?;
                check_media(&served.card, &body)?;
                self.send_streaming(context, body).await.map(Answer::Many)
            }
            methods::SUBSCRIBE_TO_TASK => self.subscribe(&context, &body).await.map(Answer::Many),
            methods::GET_TASK => self.get_task(&context, &body).await.map(Answer::One),
            methods::LIST_TASKS => self.list_tasks(&context, &body).await.map(Answer::One),
            methods::CANCEL_TASK => self.cancel_task(&context, &body).await.map(Answer::One),
            methods::CREATE_PUSH_CONFIG => self.create_push(&context, &body).await.map(Answer::One),
            methods::GET_PUSH_CONFIG => self.get_push(&context, &body).map(Answer::One),
            methods::LIST_PUSH_CONFIGS => self.list_pushes(&context, &body).map(Answer::One),
            methods::DELETE_PUSH_CONFIG => self.delete_push(&context, &body).await.map(Answer::One),
            methods::GET_EXTENDED_AGENT_CARD => extended_card(&served).map(Answer::One),
            _ => {
                let known: String = method.chars().take(64).collect();
                Err(A2aError::new(Kind::MethodNotFound, "no such method in A2A 1.0").with("method", known))
            }
        }
    }

    /// Serves the libp2p binding on one stream until it ends; many calls run on it side by side.
    ///
    /// `caller` is whoever the transport has authenticated at the other end.
    pub fn serve_stream<S>(&self, caller: Caller, stream: S) -> impl Future<Output = ()> + Send + 'static
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let proven = caller.dids.clone();
        self.serve_stream_proving(caller, move || std::future::ready(proven.clone()), stream)
    }

    /// As [`Server::serve_stream`], but asks before each call which identities the peer has proven by
    /// then: streams live long, and an agent may be added to a node at any time.
    pub fn serve_stream_proving<S, D, F>(
        &self,
        caller: Caller,
        proven: D,
        stream: S,
    ) -> impl Future<Output = ()> + Send + 'static
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
        D: Fn() -> F + Send + Sync + 'static,
        F: Future<Output = Vec<Did>> + Send + 'static,
    {
        let seat = self.shared.streams.enter(&caller.scope);
        let server = self.clone();
        let write = self.shared.limits.write;
        let proven: stream::Proven = Arc::new(move || Box::pin(proven()));
        async move {
            match seat {
                Some(_seat) => stream::serve(server, caller, proven, stream, write).await,
                None => tracing::debug!(caller = %caller.scope, "refused a stream: {} has too many", caller.scope),
            }
        }
    }
}

/// Every caller has said who it is by now, so what the agent has for such callers is shown (A2A section 3.1.11).
fn extended_card(served: &Served) -> Result<Value, A2aError> {
    match &served.extended {
        _ if !card::has_extended(&served.card) => {
            Err(unsupported(methods::GET_EXTENDED_AGENT_CARD, "this agent has no extended card"))
        }
        Some(extended) => Ok(Value::clone(extended)),
        None => Err(A2aError::new(Kind::ExtendedAgentCardNotConfigured, "the agent's extended card is not here")),
    }
}

fn not_here(agent: &Did) -> A2aError {
    A2aError::new(Kind::AgentNotFound, "no such agent here").with("agent", agent.to_string())
}

fn unsupported(method: &str, text: &str) -> A2aError {
    A2aError::new(Kind::UnsupportedOperation, text).with("method", method)
}

fn check_tenant(body: &Value, agent: &Did) -> Result<(), A2aError> {
    match body.get("tenant") {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(tenant)) if tenant.is_empty() || *tenant == agent.to_string() => Ok(()),
        Some(_) => Err(A2aError::invalid_params("tenant", "is not the agent that was called")),
    }
}

/// Parts that name a media type name one that the agent takes.
fn check_media(card: &Value, body: &Value) -> Result<(), A2aError> {
    let parts = body.pointer("/message/parts").and_then(Value::as_array).into_iter().flatten();
    let mut named = parts.filter_map(|part| part.get("mediaType")?.as_str()).filter(|kind| !kind.is_empty());
    match named.find(|kind| !card::accepts(card, kind)) {
        None => Ok(()),
        Some(kind) => {
            let kind: String = kind.chars().take(128).collect();
            Err(A2aError::new(Kind::ContentTypeNotSupported, format!("the agent does not take {kind}"))
                .with("mediaType", kind))
        }
    }
}

fn check_extensions(card: &Value, params: &ServiceParams) -> Result<(), A2aError> {
    let missing = card::extensions(card, true)
        .into_iter()
        .find(|required| !params.extensions.iter().any(|named| named == required));
    match missing {
        None => Ok(()),
        Some(uri) => {
            Err(A2aError::new(Kind::ExtensionSupportRequired, format!("this agent needs the extension {uri}"))
                .with("extension", uri))
        }
    }
}
