//! An agent that is a program: JSON lines on its standard input and output.
//!
//! The lines are specified in `docs/protocols/stdio-agent.md`. The program runs without a shell, in a process group of
//! its own, with no more of the node's environment than it is given.

use std::{collections::VecDeque, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use haggle_a2a::{A2aError, Kind, MAX_BODY_BYTES, Task, message, task::Step, types::TaskState};
use haggle_base::{Clock, Timestamp};
use serde_json::{Map, Value, json};
use tokio::{
    sync::{Mutex, Semaphore, mpsc},
    task::JoinHandle,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{Call, Executor, Outcome, Updates, id};
use program::{Job, Keeper};
use words::Heard;

mod lines;
mod log;
mod program;
mod words;

#[cfg(test)]
mod tests;

pub use log::{CommandLog, LogLine, Voice};

/// Words of a program that wait to be taken over by the task.
const WORDS_WAITING: usize = 32;

/// Which program, where, and with what.
#[derive(Debug, Clone)]
pub struct CommandConfig {
    /// What the log calls the agent.
    pub name: String,
    /// The program and its arguments; no shell reads them.
    pub argv: Vec<String>,
    /// The directory it runs in; `None` is the node's own.
    pub dir: Option<PathBuf>,
    /// Its whole environment.
    pub env: Vec<(String, String)>,
    /// What it may take.
    pub limits: CommandLimits,
}

/// Bounds of a [`CommandExecutor`].
#[derive(Debug, Clone)]
pub struct CommandLimits {
    /// Longest time for one call; a shorter deadline of the call counts.
    pub call: Duration,
    /// Most calls at work or waiting for their turn; more are answered "busy".
    pub calls: usize,
    /// Longest line that the program may write, in bytes.
    pub line: usize,
    /// Lines of its standard error that are kept.
    pub log_lines: usize,
    /// Longest of them, in bytes; longer ones are cut.
    pub log_line: usize,
    /// How long a program may go on with a call that nobody waits for any more, before it is ended.
    pub grace: Duration,
    /// How long it may take to end by itself when the node stops.
    pub farewell: Duration,
    /// Pause before the second start in a row; it doubles each time.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// A program that ran this long did not fail at its start.
    pub steady: Duration,
}

impl Default for CommandLimits {
    fn default() -> Self {
        Self {
            call: Duration::from_secs(600),
            calls: 256,
            line: MAX_BODY_BYTES,
            log_lines: 1000,
            log_line: 1024,
            grace: Duration::from_secs(5),
            farewell: Duration::from_secs(2),
            first_pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(30),
            steady: Duration::from_secs(30),
        }
    }
}

/// Runs a program as an agent, and starts it again when it ends.
///
/// Dropping it ends the program and everything in its process group; [`CommandExecutor::shutdown`] lets it end by
/// itself first.
#[derive(Debug)]
pub struct CommandExecutor {
    jobs: mpsc::Sender<Job>,
    seats: Arc<Semaphore>,
    longest: Duration,
    log: CommandLog,
    stop: CancellationToken,
    keeper: Mutex<Option<JoinHandle<()>>>,
    _stop: DropGuard,
}

impl CommandExecutor {
    /// Starts the program; whether that works is seen in the log and in the answers to calls.
    ///
    /// It has to be called inside a Tokio runtime.
    #[must_use]
    pub fn start(config: CommandConfig, clock: Arc<dyn Clock>) -> Self {
        let limits = config.limits.clone();
        let log = CommandLog::new(&config.name, clock, limits.log_lines);
        let (jobs, waiting) = mpsc::channel(limits.calls);
        let stop = CancellationToken::new();
        let keeper =
            Keeper { config, jobs: waiting, log: log.clone(), stop: stop.clone(), waiting: VecDeque::new(), last: 0 };
        let keeper = tokio::spawn(keeper.run());
        Self {
            jobs,
            seats: Arc::new(Semaphore::new(limits.calls)),
            longest: limits.call,
            log,
            _stop: stop.clone().drop_guard(),
            stop,
            keeper: Mutex::new(Some(keeper)),
        }
    }

    /// What the program says on its standard error, and what the node says about it.
    #[must_use]
    pub fn log(&self) -> &CommandLog {
        &self.log
    }

    /// Whether it has as many calls as it takes: another one would be answered "busy".
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.seats.available_permits() == 0
    }

    /// Closes the program's input, waits a little for it to end, and kills what is left of it.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        if let Some(keeper) = self.keeper.lock().await.take()
            && let Err(cause) = keeper.await
        {
            tracing::warn!("the keeper of an agent's program broke down: {cause}");
        }
    }

    async fn work(&self, call: Call, updates: &Updates, deadline: Duration) -> Result<Outcome, A2aError> {
        let gone = || A2aError::new(Kind::Unreachable, "the agent's program was stopped");
        let busy = || A2aError::new(Kind::Busy, "the agent has too many calls to work on");
        let _seat = self.seats.try_acquire().map_err(|_| busy())?;
        let (reply, mut heard) = mpsc::channel(WORDS_WAITING);
        let request = words::request(&call, deadline);
        self.jobs.send(Job { request, reply }).await.map_err(|_| gone())?;
        let mut output = Output::of(&call)?;
        while let Some(word) = heard.recv().await {
            match word? {
                Heard::Progress(text) => {
                    // a task that has ended meanwhile ends this call too
                    let _still_open = updates.report(&text).await;
                }
                Heard::Chunk(parts) => output.piece(parts, false, updates).await?,
                Heard::Answer(parts) => {
                    if !parts.is_empty() {
                        output.piece(parts, true, updates).await?;
                    }
                    return Ok(output.ended(TaskState::Completed, None, None));
                }
                Heard::Failed(text) => {
                    let words = message::agent(&id::random()?, vec![message::text(&text)]);
                    return Ok(output.ended(TaskState::Failed, Some(words), None));
                }
                Heard::Ask { question, state } => {
                    let words = message::agent(&id::random()?, vec![message::text(&question)]);
                    return Ok(output.ended(TaskState::InputRequired, Some(words), Some(state)));
                }
            }
        }
        Err(gone())
    }
}

#[async_trait]
impl Executor for CommandExecutor {
    async fn execute(&self, call: Call, updates: Updates) -> Result<Outcome, A2aError> {
        let deadline = call.deadline.min(self.longest);
        match tokio::time::timeout(deadline, self.work(call, &updates, deadline)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                let text = format!("the agent's program did not answer within {} s", deadline.as_secs_f32());
                Err(A2aError::new(Kind::DeadlineExceeded, text))
            }
        }
    }
}

/// The one artifact of a program's answer, as its pieces come.
struct Output {
    artifact: String,
    has_pieces: bool,
    /// Puts pieces together by the same rules as the task that they are shown in.
    held: Task,
}

impl Output {
    fn of(call: &Call) -> Result<Self, A2aError> {
        let held = Task::submitted(
            call.task_id.clone(),
            call.context_id.clone(),
            call.message.clone(),
            Timestamp::from_secs(0),
        );
        Ok(Self { artifact: id::random()?, has_pieces: false, held })
    }

    async fn piece(&mut self, parts: Vec<Value>, last: bool, updates: &Updates) -> Result<(), A2aError> {
        let piece = json!({ "artifactId": self.artifact, "name": "output", "parts": parts });
        if self.held.append(piece.clone()) == Step::Full {
            return Err(A2aError::new(Kind::InvalidAgentResponse, "the agent's output has too many pieces"));
        }
        if self.has_pieces || !last {
            let _still_open = updates.piece(piece, last).await;
        }
        self.has_pieces = true;
        Ok(())
    }

    fn ended(self, state: TaskState, message: Option<Value>, resume: Option<Value>) -> Outcome {
        let artifacts = self.held.artifacts().to_vec();
        Outcome::Task { state, artifacts, message, extra: Map::new(), resume }
    }
}
