//! The agents that this room brings along, and work outside a task.

use std::time::Duration;

use haggle_a2a::{A2aError, Kind, message, types::TaskState};
use haggle_base::Did;
use serde_json::Value;

use crate::{Call, Caller, Executor, Outcome, Updates, id};

pub(crate) mod command;
pub(crate) mod conformance;
pub(crate) mod function;
pub(crate) mod http;

#[cfg(test)]
mod tests;

/// Runs an agent once on one input, outside any task: for work that an order has admitted.
///
/// A JSON text goes in as a text part, everything else as a data part; the answer comes back the
/// same way (data first, else text).
///
/// # Errors
/// [`Kind::InvalidAgentResponse`] if the work failed or was not finished, [`Kind::DeadlineExceeded`],
/// or what the agent answered.
pub async fn run(executor: &dyn Executor, agent: Did, input: Value, deadline: Duration) -> Result<Value, A2aError> {
    run_once(executor, agent, input, deadline, None).await
}

/// As [`run`]; `key` is the same when the same work is asked for again, for agents that do no work twice.
///
/// # Errors
/// As [`run`].
pub async fn run_once(
    executor: &dyn Executor,
    agent: Did,
    input: Value,
    deadline: Duration,
    key: Option<&str>,
) -> Result<Value, A2aError> {
    let part = match &input {
        Value::String(text) => message::text(text),
        _ => message::data(input),
    };
    let call = Call {
        caller: Caller { peer: None, dids: vec![agent], scope: "local".to_owned() },
        agent,
        task_id: id::random()?,
        context_id: id::random()?,
        message: message::user(&id::random()?, vec![part]),
        deadline,
        idempotency: key.map(str::to_owned),
        extensions: Vec::new(),
        resume: None,
    };
    let work = executor.execute(call, Updates::unheard());
    let outcome = tokio::time::timeout(deadline, work)
        .await
        .map_err(|_| A2aError::new(Kind::DeadlineExceeded, "the agent did not answer in time"))??;
    output(outcome)
}

fn output(outcome: Outcome) -> Result<Value, A2aError> {
    let failed = |text: String| Err(A2aError::new(Kind::InvalidAgentResponse, text));
    let holders = match outcome {
        Outcome::Message(message) => vec![message],
        Outcome::Task { state: TaskState::Completed, mut artifacts, message, .. } => {
            artifacts.extend(message);
            artifacts
        }
        Outcome::Task { state, message, .. } => {
            let told = message.as_ref().and_then(message::text_of);
            return failed(told.unwrap_or_else(|| format!("the agent ended in state {state:?}")));
        }
    };
    if let Some(data) = holders.iter().find_map(message::data_of) {
        return Ok(data.clone());
    }
    match holders.iter().find_map(message::text_of) {
        Some(text) => Ok(Value::String(text)),
        None => failed("the agent answered with neither data nor text".to_owned()),
    }
}
