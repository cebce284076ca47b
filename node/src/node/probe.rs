//! Looking at an agent before it is served, and at what its program says once it is.

use super::Inner;
use crate::agent::AgentDraft;
use crate::agents::{self, Engine, Served};
use crate::imports;
use crate::records::Runner;
use haggle_a2a::{A2aError, message};
use haggle_a2a_transport::{Call, Caller, CommandLog, Executor, HttpExecutor, Outcome, Updates};
use haggle_base::{Clock, Coded, Did, Text};
use haggle_gateway::ApiError;
use haggle_gateway::view::{Failure, LogLine, LogView, Probe, ProbeView, Problem};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Longest answer to a probe; the command line waits a little longer.
const PATIENCE: Duration = Duration::from_secs(25);
/// Lines of a program's log that a probe shows.
const LOG_LINES: usize = 20;

impl Inner {
    /// Looks at an agent, and asks it something; nothing of it is kept.
    pub(super) async fn probe(&self, probe: Probe) -> Result<ProbeView, ApiError> {
        let runner = agents::runner(&probe.executor, self.config.agents.commands)?;
        let mut view = ProbeView::default();
        if let Runner::Http(url) = &runner {
            let server = HttpExecutor::new(url).map_err(|error| ApiError::from_coded(&error))?;
            let card = server.look().await.map_err(|error| ApiError::from_coded(&error))?;
            let faults = server.faults(&card).into_iter();
            view.problems =
                faults.map(|fault| Problem { path: fault.path, problem: fault.problem.to_owned() }).collect();
            view.card = Some(card);
        }
        let Some(input) = probe.input.filter(|_| view.problems.is_empty()) else { return Ok(view) };
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock);
        let engine = Engine::of("probe", &runner, &clock)?.ok_or_else(|| {
            ApiError::bad_request("invalid_agent", "there is nothing to ask", "name what runs the agent")
        })?;
        let began = self.clock.now();
        let answered = ask(&*engine.executor(), self.own_did(), input).await;
        view.milliseconds = u64::try_from(self.clock.now().since(began).as_millis()).unwrap_or(u64::MAX);
        if let Engine::Command(program) = &engine {
            program.shutdown().await;
            view.log = lines(program.log(), LOG_LINES).items;
        }
        match answered {
            Ok(outcome) => view.reply = Some(reply(outcome)),
            Err(error) => {
                view.failure = Some(Failure {
                    code: error.code().to_owned(),
                    detail: error.to_string(),
                    hint: error.hint().to_owned(),
                });
            }
        }
        Ok(view)
    }

    /// What the card of an agent behind HTTP adds to its draft and to its own card. An agent that cannot be looked at
    /// now is served as it is described.
    pub(super) async fn face_of(&self, draft: &mut AgentDraft, runner: &Runner) -> Option<Text<4096>> {
        let Runner::Http(url) = runner else { return None };
        let looked = match HttpExecutor::new(url) {
            Ok(server) => server.card().await,
            Err(error) => Err(error),
        };
        match looked {
            Ok(card) => {
                let described = imports::describe(&card);
                if draft.description.is_empty() {
                    draft.description = described.description;
                }
                if draft.tags.is_empty() {
                    draft.tags = described.tags;
                }
                imports::face(&card)
            }
            Err(error) => {
                tracing::warn!(agent.name = draft.name, "the card of agent {} is not read: {error}", draft.name);
                None
            }
        }
    }

    /// The log of an agent's program.
    pub(super) fn log_of(&self, agent: &str, most: usize) -> Result<LogView, ApiError> {
        let served = self.agents.named(agent).or_else(|| self.agents.get(&agent.parse::<Did>().ok()?));
        match served {
            Some(Served { engine: Some(Engine::Command(program)), .. }) => Ok(lines(program.log(), most)),
            Some(_) => Err(ApiError::bad_request(
                "no_log",
                format!("{agent} is no program of this node, so it has no log here"),
                "look where it runs; `haggle agent list` says what runs each agent",
            )),
            None => Err(ApiError::not_found(
                "agent_not_found",
                format!("this node serves no agent {agent:?}"),
                "`haggle agent list` names ours",
            )),
        }
    }
}

async fn ask(executor: &dyn Executor, agent: Did, input: Value) -> Result<Outcome, A2aError> {
    let part = match input {
        Value::String(text) => message::text(&text),
        data => message::data(data),
    };
    let call = Call {
        caller: Caller { peer: None, dids: vec![agent], scope: "probe".to_owned() },
        agent,
        task_id: "probe".to_owned(),
        context_id: "probe".to_owned(),
        message: message::user("probe", vec![part]),
        deadline: PATIENCE,
        idempotency: None,
        extensions: Vec::new(),
        resume: None,
    };
    tokio::time::timeout(PATIENCE, executor.execute(call, Updates::unheard()))
        .await
        .map_err(|_| A2aError::new(haggle_a2a::Kind::DeadlineExceeded, "the agent did not answer in time"))?
}

fn reply(outcome: Outcome) -> Value {
    match outcome {
        Outcome::Message(message) => json!({ "message": message }),
        Outcome::Task { state, artifacts, message, .. } => {
            let mut task = json!({ "status": { "state": state } });
            if let Some(message) = message {
                task["status"]["message"] = message;
            }
            if !artifacts.is_empty() {
                task["artifacts"] = Value::Array(artifacts);
            }
            json!({ "task": task })
        }
    }
}

fn lines(log: &CommandLog, most: usize) -> LogView {
    let (lines, forgotten) = log.tail(most);
    let items = lines.into_iter().map(|line| LogLine {
        at: line.at.to_rfc3339(),
        from: line.voice.as_str().to_owned(),
        text: line.text,
    });
    LogView { items: items.collect(), forgotten }
}
