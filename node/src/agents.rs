//! The agents this node serves: what runs them, and what they look like to others.

use crate::agent::{AgentDraft, Worker};
use crate::builtin::CONFORMANCE;
use crate::imports;
use crate::records::{AgentRow, Runner};
use haggle_a2a::A2aError;
use haggle_a2a::card::{self, Draft, Places, Skill};
use haggle_a2a_transport::{
    Cards, CommandExecutor, ConformanceExecutor, Executor, Failure, FnExecutor, HttpExecutor, Input, Output, run_once,
};
use haggle_base::{Clock, Did, PeerId};
use haggle_gateway::ApiError;
use haggle_gateway::view::{self, NewAgent};
use haggle_trade::ports::WorkError;
use row::bounded;
use serde_json::{Map, Value, json};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

mod book;
mod program;
mod row;
#[cfg(test)]
mod tests;

pub(crate) use book::{Agents, Served};
pub(crate) use row::{change, row};

/// Longest work behind HTTP on one order; the order's own deadline is shorter for most.
const LONGEST_WORK: Duration = Duration::from_secs(3600);
/// What somebody hears who calls an agent that is answered by hand.
const BY_ORDER_ALONE: &str = "its owner answers by hand, so it is hired by an order";
/// Most agents on one node, without those that were deleted.
pub(crate) const MAX_AGENTS: usize = 10_000;

/// A task that ends with whoever waits for it.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Future for AbortOnDrop<T> {
    type Output = Result<T, tokio::task::JoinError>;

    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
        std::pin::Pin::new(&mut self.0).poll(cx)
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What runs an agent, ready to be called.
#[derive(Clone)]
pub(crate) enum Engine {
    /// A function in this process.
    Function(Worker),
    /// An A2A server.
    Http(Arc<HttpExecutor>),
    /// A program.
    Command(Arc<CommandExecutor>),
    /// The agent of conformance suites.
    Conformance,
    /// Nothing: its owner gives the output of each order to the desk.
    ByHand,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Function(_) => "Function",
            Self::Http(_) => "Http",
            Self::Command(_) => "Command",
            Self::Conformance => "Conformance",
            Self::ByHand => "ByHand",
        })
    }
}

impl Engine {
    /// The engine of a stored agent; an embedded one has none until its closure is given again. A program is started.
    pub(crate) fn of(name: &str, runner: &Runner, clock: &Arc<dyn Clock>) -> Result<Option<Self>, ApiError> {
        match runner {
            Runner::Builtin(name) if name.as_str() == CONFORMANCE => Ok(Some(Self::Conformance)),
            Runner::Builtin(name) if crate::builtin::draft(name).is_some() => {
                Ok(Some(Self::Function(Worker::builtin(name))))
            }
            Runner::Builtin(name) => Err(ApiError::not_found(
                "agent_not_found",
                format!("there is no built-in agent named {:?}", name.as_str()),
                "take one of digest, csv, echo, slow, flaky, liar, conformance",
            )),
            Runner::Http(url) => {
                let executor = HttpExecutor::new(url).map_err(|error| ApiError::from_coded(&error))?;
                Ok(Some(Self::Http(Arc::new(executor))))
            }
            Runner::Command(row) => {
                Ok(Some(Self::Command(Arc::new(CommandExecutor::start(program::config(name, row), Arc::clone(clock))))))
            }
            Runner::Embedded => Ok(None),
            Runner::ByHand => Ok(Some(Self::ByHand)),
        }
    }

    /// The engine as the A2A server calls it.
    pub(crate) fn executor(&self) -> Arc<dyn Executor> {
        match self {
            Self::Http(executor) => Arc::<HttpExecutor>::clone(executor),
            Self::Command(executor) => Arc::<CommandExecutor>::clone(executor),
            Self::Conformance => Arc::new(ConformanceExecutor),
            Self::ByHand => Arc::new(FnExecutor::new(|_| async { Err(Failure::new(BY_ORDER_ALONE)) })),
            Self::Function(worker) => {
                let worker = worker.clone();
                Arc::new(FnExecutor::new(move |input: Input| {
                    let worker = worker.clone();
                    async move {
                        let call = input.call().task_id.clone();
                        let given = input.json().or_else(|_| input.text().map(|text| json!({"text": text})))?;
                        worker.work(given, call).await.map(Output::json).map_err(Failure::new)
                    }
                }))
            }
        }
    }
}

impl Agents {
    /// Runs an agent on the input of a funded order; `call` is the same when the run is repeated.
    pub(crate) async fn run(&self, did: &Did, input: Value, call: &str) -> Result<Value, WorkError> {
        let engine = self.get(did).and_then(|served| served.engine);
        let engine = engine.ok_or_else(|| {
            if self.is_deleted(did) {
                // it will never work again: the money goes back now, and not at the deadline
                WorkError::Failed("the agent was deleted".to_owned())
            } else {
                WorkError::NotNow("the agent is not served at the moment".to_owned())
            }
        })?;
        tracing::info!(agent.id = %did, order.id = call, "agent {did} began work on {call}");
        match engine {
            // the order's own deadline bounds the work; a panic ends the work and nothing else
            Engine::Function(worker) => AbortOnDrop(tokio::spawn(worker.work(input, call.to_owned())))
                .await
                .map_err(|_| WorkError::Failed("the agent panicked".to_owned()))?
                .map_err(WorkError::Failed),
            Engine::ByHand => Err(WorkError::NotNow(BY_ORDER_ALONE.to_owned())),
            Engine::Conformance => crate::builtin::run(CONFORMANCE, &input, call).await.map_err(WorkError::Failed),
            Engine::Http(executor) => {
                let input = fitting(&executor, input).await;
                run_once(&*executor, *did, input, LONGEST_WORK, Some(call)).await.map_err(|error| not_done(&error))
            }
            Engine::Command(executor) => {
                run_once(&*executor, *did, input, LONGEST_WORK, Some(call)).await.map_err(|error| not_done(&error))
            }
        }
    }

    /// Lets every program end by itself, or kills it.
    pub(crate) async fn stop_programs(&self) {
        let programs = self.all().into_iter().filter_map(|served| match served.engine {
            Some(Engine::Command(program)) => Some(program),
            _ => None,
        });
        futures::future::join_all(programs.map(|program| async move { program.shutdown().await })).await;
    }
}

fn not_done(error: &A2aError) -> WorkError {
    if error.is_retryable() { WorkError::NotNow(error.to_string()) } else { WorkError::Failed(error.to_string()) }
}

/// A bare text in data becomes a text for an agent whose card takes no JSON.
async fn fitting(executor: &HttpExecutor, input: Value) -> Value {
    let Some(text) = bare_text(&input) else { return input };
    match executor.card().await {
        Ok(known) if !card::accepts(&known, "application/json") => Value::String(text),
        _ => input,
    }
}

fn bare_text(input: &Value) -> Option<String> {
    let fields = input.as_object().filter(|fields| fields.len() == 1)?;
    fields.get("text")?.as_str().map(str::to_owned)
}

/// The runner that a request of the API asks for; programs only where the configuration takes them.
pub(crate) fn runner(executor: &view::Executor, takes_commands: bool) -> Result<Runner, ApiError> {
    match executor {
        view::Executor::Builtin { name } => Ok(Runner::Builtin(bounded(name, "the built-in agent's name")?)),
        view::Executor::Http { url } => Ok(Runner::Http(bounded(url, "the URL")?)),
        view::Executor::Command { .. } if !takes_commands => Err(ApiError::new(
            http::StatusCode::FORBIDDEN,
            "commands_off",
            "this node runs no programs as agents",
            "`haggle config set agents.commands true` on the node's machine, then start it again",
        )),
        view::Executor::Command { argv, dir, env, call_seconds } => {
            program::row(argv, dir.as_deref(), env, *call_seconds).map(Runner::Command)
        }
        view::Executor::ByHand => Ok(Runner::ByHand),
        view::Executor::Embedded => Err(ApiError::bad_request(
            "invalid_agent",
            "only the program that embeds a node can serve a function of its own",
            "name a built-in agent, the URL of an A2A server, or a program",
        )),
    }
}

/// The view of what runs an agent.
pub(crate) fn shown(runner: &Runner) -> view::Executor {
    match runner {
        Runner::Builtin(name) => view::Executor::Builtin { name: name.as_str().to_owned() },
        Runner::Http(url) => view::Executor::Http { url: url.as_str().to_owned() },
        Runner::Command(row) => view::Executor::Command {
            argv: row.argv.iter().map(|word| word.as_str().to_owned()).collect(),
            dir: row.dir.as_ref().map(|dir| dir.as_str().to_owned()),
            env: row.env.iter().map(|name| name.as_str().to_owned()).collect(),
            call_seconds: row.call_secs,
        },
        Runner::Embedded => view::Executor::Embedded,
        Runner::ByHand => view::Executor::ByHand,
    }
}

/// The draft and the runner that a request of the API asks for.
pub(crate) fn asked(new: NewAgent, takes_commands: bool) -> Result<(AgentDraft, Runner), ApiError> {
    let runner = runner(&new.executor, takes_commands)?;
    let posts_delivery = match &new.executor {
        view::Executor::Builtin { name } => crate::builtin::draft(name).is_none_or(|draft| draft.posts_delivery),
        view::Executor::Http { .. }
        | view::Executor::Command { .. }
        | view::Executor::Embedded
        | view::Executor::ByHand => true,
    };
    let draft = AgentDraft {
        name: new.name,
        description: new.description,
        category: new.category,
        tags: new.tags,
        price: new.price,
        pricing: new.pricing,
        regions: new.regions,
        input_schema: new.input_schema,
        output_schema: new.output_schema,
        deliver_within: Duration::from_secs(u64::from(new.deliver_within_seconds)),
        posts_delivery,
        extended: new.extended,
    };
    Ok((draft, runner))
}

/// The A2A cards of an agent of this node, unsigned.
pub(crate) fn a2a_cards(row: &AgentRow, peer: PeerId) -> Cards {
    let public = card::signable(&a2a_card(row, peer));
    let extra = row.extended.as_ref().and_then(|text| serde_json::from_str(text).ok());
    let extended = extra.map(|extra: Map<String, Value>| card::extended(&public, &extra));
    Cards { public, extended }
}

/// The ways to pay an agent, as extensions: none for a free one, an order, or a payment inside the task, which comes before
/// its outcome.
fn for_money(row: &AgentRow) -> Vec<String> {
    let by_order = (!row.price.is_zero()).then_some(haggle_trade::EXTENSION_URI);
    let inside = haggle_x402::a2a::URIS.into_iter().filter(|_| !row.price.is_zero() && row.is_sold_by_the_call());
    by_order.into_iter().chain(inside).map(str::to_owned).collect()
}

fn a2a_card(row: &AgentRow, peer: PeerId) -> Value {
    let description = if row.description.is_empty() { row.name.as_str() } else { row.description.as_str() };
    let tags: Vec<String> = if row.tags.is_empty() {
        vec![row.category.as_str().to_owned()]
    } else {
        row.tags.iter().map(|tag| tag.as_str().to_owned()).collect()
    };
    let draft = Draft {
        name: row.name.as_str().to_owned(),
        description: description.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        skills: vec![Skill {
            id: row.name.as_str().to_owned(),
            name: row.name.as_str().to_owned(),
            description: description.to_owned(),
            tags,
        }],
        modes: match &row.runner {
            // a suite sends whatever there is
            Runner::Builtin(name) if name.as_str() == CONFORMANCE => vec!["*/*".to_owned()],
            Runner::Builtin(_) | Runner::Http(_) | Runner::Command(_) | Runner::Embedded | Runner::ByHand => {
                vec!["text/plain".to_owned(), "application/json".to_owned()]
            }
        },
        extended: row.extended.is_some(),
        extensions: for_money(row),
    };
    let own = card::own(&draft, &row.did, &Places { http: Vec::new(), peers: vec![peer] });
    match &row.face {
        Some(face) => imports::with_face(own, face),
        None => own,
    }
}
