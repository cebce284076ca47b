//! The program behind an agent: started, listened to, and started again when it ends.

use std::{
    collections::{HashMap, VecDeque},
    process::Stdio,
    time::Duration,
};

use futures::{StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use haggle_a2a::{A2aError, Kind};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use serde_json::{Map, Value};
use tokio::{
    io::{AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, Command},
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    CommandConfig, CommandLimits, CommandLog,
    lines::{Line, Lines},
    words::{self, Garbage, Heard, MAX_AT_ONCE, Said},
};

/// Longest wait for what a program wrote before it ended.
const DRAIN: Duration = Duration::from_secs(2);
/// Most letters of an unreadable line that the log shows.
const SHOWN_CHARS: usize = 200;

/// What comes back for a call; after an end nothing comes.
pub(super) type Reply = Result<Heard, A2aError>;

/// One call for the program.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) request: Map<String, Value>,
    /// Closed by whoever asked once it does not wait any more.
    pub(super) reply: mpsc::Sender<Reply>,
}

/// Runs the program again and again until it is stopped.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) config: CommandConfig,
    pub(super) jobs: mpsc::Receiver<Job>,
    pub(super) log: CommandLog,
    pub(super) stop: CancellationToken,
    /// Calls that no process has seen yet.
    pub(super) waiting: VecDeque<Job>,
    /// The number of the last call; no two calls of a keeper have the same.
    pub(super) last: u64,
}

/// How a process came to its end.
enum End {
    Stopped,
    Ended { why: String, has_worked: bool },
}

impl Keeper {
    pub(super) async fn run(mut self) {
        let mut failures = 0;
        while !self.stop.is_cancelled() {
            let born = Instant::now();
            let End::Ended { why, has_worked } = self.live().await else { break };
            if has_worked || born.elapsed() >= self.config.limits.steady {
                failures = 0;
            }
            let pause = pause(&self.config.limits, failures);
            failures += 1;
            self.log.note(&format!("{why}; started again in {pause:?}"));
            if !pause.is_zero() {
                self.rest(Instant::now() + pause).await;
            }
        }
        self.log.note("stopped");
    }

    /// Turns calls away until it is time to start again.
    async fn rest(&mut self, until: Instant) {
        let refusal = || A2aError::new(Kind::Unreachable, "the agent's program is not running; it is started again");
        for job in self.waiting.drain(..) {
            // nobody waits for it any more, or it is told
            let _told = job.reply.try_send(Err(refusal()));
        }
        loop {
            tokio::select! {
                () = sleep_until(until) => return,
                () = self.stop.cancelled() => return,
                job = self.jobs.recv() => match job {
                    Some(job) => {
                        let _told = job.reply.try_send(Err(refusal()));
                    }
                    None => return,
                },
            }
        }
    }

    /// One life of the program.
    async fn live(&mut self) -> End {
        let mut life = match Life::begin(&self.config, &self.log) {
            Ok(life) => life,
            Err(cause) => {
                return End::Ended {
                    why: format!("{} cannot be started: {cause}", shown(&self.config)),
                    has_worked: false,
                };
            }
        };
        self.log.note(&format!("started {} as process {}", shown(&self.config), life.pid));
        let end = self.attend(&mut life).await;
        let why = match &end {
            End::Stopped => "the agent is being stopped",
            End::Ended { .. } => "the agent's program ended before it answered",
        };
        for (_, open) in life.open.drain() {
            // who does not wait any more needs no answer
            let _told = open.reply.send(Err(A2aError::new(Kind::ConnectionLost, why))).await;
        }
        life.end(matches!(end, End::Stopped).then_some(self.config.limits.farewell)).await;
        end
    }

    /// Passes calls on and answers back, until the program ends or has to be ended.
    async fn attend(&mut self, life: &mut Life) -> End {
        loop {
            while life.has_room() {
                let Some(job) = self.waiting.pop_front() else { break };
                if job.reply.is_closed() {
                    continue;
                }
                self.last += 1;
                if let Err(why) = life.ask(self.last, job) {
                    return life.ended(why);
                }
            }
            let overdue = life.overdue();
            tokio::select! {
                () = self.stop.cancelled() => return End::Stopped,
                job = self.jobs.recv() => match job {
                    Some(job) => {
                        self.waiting.retain(|job| !job.reply.is_closed());
                        self.waiting.push_back(job);
                    }
                    None => return End::Stopped,
                },
                line = life.lines.next() => match line {
                    Ok(Some(line)) => if let Err(why) = life.hear(line, &self.log).await {
                        return life.ended(why);
                    },
                    Ok(None) => {
                        life.learn_status().await;
                        return life.ended(life.last_words());
                    }
                    Err(cause) => return life.ended(format!("its output cannot be read: {cause}")),
                },
                Some(id) = life.left.next(), if !life.left.is_empty() => {
                    life.abandon(id, self.config.limits.grace);
                },
                status = life.child.wait(), if life.status.is_none() => {
                    // what it wrote before is still read
                    life.status = Some(status.map_or_else(|cause| cause.to_string(), |status| status.to_string()));
                    life.drained_by = Some(Instant::now() + DRAIN);
                },
                () = sleep_until(overdue.unwrap_or_else(Instant::now)), if overdue.is_some() => {
                    if let Some(why) = life.must_end() {
                        return life.ended(why);
                    }
                }
            }
        }
    }
}

/// A call that the program has been asked.
struct Open {
    reply: mpsc::Sender<Reply>,
    /// Nobody waits for it any more; until then the program may end it by itself.
    left_until: Option<Instant>,
}

/// A running process.
struct Life {
    child: Child,
    pid: u32,
    group: Group,
    lines: Lines<BufReader<tokio::process::ChildStdout>>,
    asks: mpsc::Sender<String>,
    writer: AbortOnDropHandle<()>,
    listener: AbortOnDropHandle<()>,
    open: HashMap<u64, Open>,
    /// The calls whose asker has gone, as they go.
    left: FuturesUnordered<BoxFuture<'static, u64>>,
    at_once: usize,
    takes_cancel: bool,
    /// Takes no new calls: it did not end an abandoned one.
    is_stuck: bool,
    has_worked: bool,
    status: Option<String>,
    drained_by: Option<Instant>,
}

impl Life {
    fn begin(config: &CommandConfig, log: &CommandLog) -> std::io::Result<Self> {
        let missing = || std::io::Error::other("its streams are missing");
        let (program, arguments) = config.argv.split_first().ok_or_else(missing)?;
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(config.env.iter().map(|(name, value)| (name, value)));
        if let Some(dir) = &config.dir {
            command.current_dir(dir);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.process_group(0).kill_on_drop(true).spawn()?;
        let pid = child.id().ok_or_else(missing)?;
        let group = Group::of(pid);
        let (stdin, stdout) = (child.stdin.take().ok_or_else(missing)?, child.stdout.take().ok_or_else(missing)?);
        let stderr = child.stderr.take().ok_or_else(missing)?;
        let (asks, asked) = mpsc::channel(2 * MAX_AT_ONCE);
        let mut aside = Lines::cutting(BufReader::new(stderr), config.limits.log_line);
        let log = log.clone();
        let listener = tokio::spawn(async move {
            while let Ok(Some(line)) = aside.next().await {
                log.heard(&line.bytes, line.cut);
            }
        });
        Ok(Self {
            child,
            pid,
            group,
            lines: Lines::refusing(BufReader::new(stdout), config.limits.line),
            asks,
            writer: AbortOnDropHandle::new(tokio::spawn(write(stdin, asked))),
            listener: AbortOnDropHandle::new(listener),
            open: HashMap::new(),
            left: FuturesUnordered::new(),
            at_once: 1,
            takes_cancel: false,
            is_stuck: false,
            has_worked: false,
            status: None,
            drained_by: None,
        })
    }

    fn has_room(&self) -> bool {
        self.open.len() < self.at_once && !self.is_stuck && self.status.is_none()
    }

    fn ask(&mut self, id: u64, job: Job) -> Result<(), String> {
        let line = words::request_line(id, job.request);
        self.asks.try_send(line).map_err(|_| "it does not read its input".to_owned())?;
        let waits = job.reply.clone();
        self.left.push(Box::pin(async move {
            waits.closed().await;
            id
        }));
        self.open.insert(id, Open { reply: job.reply, left_until: None });
        Ok(())
    }

    /// Takes in one line. An error ends the process.
    async fn hear(&mut self, line: Line, log: &CommandLog) -> Result<(), String> {
        if line.cut {
            let refusal = "the agent's program wrote a line that is too long";
            self.fail_all(refusal).await;
            return Err(format!("it wrote a line of over {} bytes", line.bytes.len()));
        }
        match words::read(&line.bytes) {
            Ok(Said::Ready { at_once, cancel }) => {
                (self.at_once, self.takes_cancel) = (at_once, cancel);
                Ok(())
            }
            Ok(Said::About(id, heard)) => {
                let goes_on = matches!(heard, Heard::Progress(_) | Heard::Chunk(_));
                self.tell(id, Ok(heard), goes_on, log).await;
                Ok(())
            }
            Err(Garbage { about: Some(id), problem }) => {
                log.note(&format!("an answer to call {id} {problem}: {}", beginning(&line.bytes)));
                self.tell(id, Err(unreadable(problem)), false, log).await;
                Ok(())
            }
            Err(Garbage { about: None, problem }) => {
                log.note(&format!("a line of its output {problem}: {}", beginning(&line.bytes)));
                if self.open.is_empty() {
                    return Ok(());
                }
                self.fail_all(&format!("the agent's program wrote a line that {problem}")).await;
                Err("nobody can tell which call its line was meant for".to_owned())
            }
        }
    }

    async fn tell(&mut self, id: u64, reply: Reply, goes_on: bool, log: &CommandLog) {
        let Some(open) = self.open.get(&id) else {
            log.note(&format!("an answer to call {id}, which is over or was never asked, is dropped"));
            return;
        };
        self.has_worked |= reply.is_ok();
        // a slow reader holds the program up; one that has gone does not
        let _heard = open.reply.send(reply).await;
        if !goes_on {
            self.open.remove(&id);
        }
    }

    async fn fail_all(&mut self, why: &str) {
        for (_, open) in self.open.drain() {
            let _heard = open.reply.send(Err(A2aError::new(Kind::InvalidAgentResponse, why))).await;
        }
    }

    /// Nobody waits for this call any more: the program is told if it wants to be, and has some time to end it.
    fn abandon(&mut self, id: u64, grace: Duration) {
        let Some(open) = self.open.get_mut(&id) else { return };
        open.left_until = Some(Instant::now() + grace);
        if self.takes_cancel && self.asks.try_send(words::cancel_line(id)).is_err() {
            tracing::debug!("a program that does not read its input is not told of a cancellation");
        }
    }

    /// When something has to be looked at again.
    fn overdue(&self) -> Option<Instant> {
        let left = self.open.values().filter_map(|open| open.left_until).min();
        match self.is_stuck {
            true => self.drained_by,
            false => left.into_iter().chain(self.drained_by).min(),
        }
    }

    /// Why the process has to be ended now, if it has to: only when nobody waits for it any more.
    fn must_end(&mut self) -> Option<String> {
        let now = Instant::now();
        if self.drained_by.is_some_and(|by| by <= now) {
            return Some(self.last_words());
        }
        self.is_stuck |= self.open.values().any(|open| open.left_until.is_some_and(|until| until <= now));
        (self.is_stuck && self.open.values().all(|open| open.left_until.is_some()))
            .then(|| "it went on with a call that was over".to_owned())
    }

    /// How the process ended, if it does so right after its output.
    async fn learn_status(&mut self) {
        if self.status.is_none()
            && let Ok(Ok(status)) = timeout(DRAIN, self.child.wait()).await
        {
            self.status = Some(status.to_string());
        }
    }

    fn last_words(&self) -> String {
        match &self.status {
            Some(status) => format!("it ended with {status}"),
            None => "it closed its output".to_owned(),
        }
    }

    fn ended(&self, why: String) -> End {
        End::Ended { why, has_worked: self.has_worked }
    }

    /// Ends the process and all that it has started. With a `farewell` it first has that long to end by itself.
    async fn end(self, farewell: Option<Duration>) {
        let Self { mut child, group, asks, writer, listener, .. } = self;
        // the end of its input is the sign to stop
        drop(asks);
        if let Some(patience) = farewell {
            let _by_itself = timeout(patience, async { tokio::join!(writer, child.wait()) }).await;
        } else {
            drop(writer);
        }
        drop(group);
        let _reaped = timeout(DRAIN, child.wait()).await;
        let _heard_out = timeout(DRAIN, listener).await;
    }
}

/// The processes of one program, killed when dropped.
#[derive(Debug)]
struct Group(Option<Pid>);

impl Group {
    /// The group that this process leads.
    fn of(pid: u32) -> Self {
        Self(i32::try_from(pid).ok().map(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let Some(group) = self.0.take() else { return };
        if let Err(cause) = killpg(group, Signal::SIGKILL) {
            tracing::trace!("process group {group} is gone already: {cause}");
        }
    }
}

async fn write(mut stdin: ChildStdin, mut lines: mpsc::Receiver<String>) {
    while let Some(line) = lines.recv().await {
        let written = async {
            stdin.write_all(line.as_bytes()).await?;
            stdin.flush().await
        };
        if let Err(cause) = written.await {
            tracing::debug!("an agent's program takes no more input: {cause}");
            return;
        }
    }
}

fn unreadable(problem: &str) -> A2aError {
    A2aError::new(Kind::InvalidAgentResponse, format!("the agent's program answered with a line that {problem}"))
}

fn beginning(line: &[u8]) -> String {
    String::from_utf8_lossy(line).chars().take(SHOWN_CHARS).collect()
}

fn shown(config: &CommandConfig) -> String {
    config.argv.first().map(|program| format!("{program:?}")).unwrap_or_default()
}

/// How long to wait before the next start: not at all after one failure, then longer each time.
fn pause(limits: &CommandLimits, failures: u32) -> Duration {
    match failures.checked_sub(1) {
        None => Duration::ZERO,
        Some(doublings) => limits.first_pause.saturating_mul(1 << doublings.min(16)).min(limits.longest_pause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound() {
        let limits = CommandLimits::default();
        let seconds: Vec<f32> = (0..12).map(|failures| pause(&limits, failures).as_secs_f32()).collect();
        assert_eq!(seconds, [0.0, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0, 30.0]);
        assert_eq!(pause(&limits, u32::MAX), limits.longest_pause);
    }
}
