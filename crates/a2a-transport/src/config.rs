//! The bounds of server and client, each with its price.

use std::time::Duration;

use crate::guarded::Reach;

/// Bounds of a [`crate::Server`].
#[derive(Debug, Clone)]
pub struct Limits {
    /// Longest blocking call; a shorter wish of the caller counts.
    pub blocking: Duration,
    /// Longest piece of work started with `returnImmediately`.
    pub background: Duration,
    /// Most calls of one caller at work at once; more are answered "busy".
    pub running_per_caller: usize,
    /// Most calls at work at once.
    pub running: usize,
    /// Most stored tasks of one caller; the oldest ended one makes room.
    pub tasks_per_caller: usize,
    /// Most stored tasks.
    pub tasks: usize,
    /// Most inbound streams of one caller; more are closed at once.
    pub streams_per_caller: usize,
    /// Most lists of tasks that are read for one caller at once; more are answered "busy".
    pub listing_per_caller: usize,
    /// Most lists of tasks that are read at once.
    pub listing: usize,
    /// Most streams of events that one caller may follow at once.
    pub followed_per_caller: usize,
    /// Most streams of events at once.
    pub followed: usize,
    /// Longest life of a stream of events; whoever wants more subscribes again.
    pub follow: Duration,
    /// How long a stream waits for the agent's first word before it shows the task.
    pub silence: Duration,
    /// What webhooks may point at.
    pub webhooks: Reach,
    /// Most webhooks that are told of something at once; more wait.
    pub deliveries: usize,
    /// The wait after the first failure to tell a webhook; doubled each time.
    pub redeliver: Duration,
    /// Longest time that one write to a stream may take before the stream is given up.
    pub write: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            blocking: Duration::from_secs(60),
            background: Duration::from_secs(600),
            running_per_caller: 256,
            running: 1024,
            tasks_per_caller: 1000,
            tasks: 10_000,
            streams_per_caller: 8,
            listing_per_caller: 16,
            listing: 64,
            followed_per_caller: 64,
            followed: 4096,
            follow: Duration::from_secs(3600),
            silence: Duration::from_millis(250),
            webhooks: Reach::Public,
            deliveries: 32,
            redeliver: Duration::from_millis(500),
            write: Duration::from_secs(30),
        }
    }
}

/// Bounds of a [`crate::Client`].
#[derive(Debug, Clone)]
pub struct ClientLimits {
    /// Most peers with open streams; idle ones make room.
    pub peers: usize,
    /// Most calls under way to one peer; the next ones wait for their turn.
    pub calls_per_peer: usize,
    /// Most calls that wait for their turn at one peer; more are answered "busy".
    pub waiting_per_peer: usize,
    /// Longest time that one write to a stream may take before the stream is given up.
    pub write: Duration,
    /// How long a failed attempt to open a stream answers for the calls after it.
    pub redial: Duration,
    /// Further attempts of a call that never left, or that changes nothing.
    pub retries: u32,
    /// The wait before a call that never left, or that changes nothing, is tried again; then twice as long.
    pub retry: Duration,
    /// The wait before a broken stream of events is taken up again; doubled each time, five times at most.
    pub resume: Duration,
    /// How long a stream of events has to last before the count of attempts begins anew.
    pub settled: Duration,
    /// Failures of a peer in a row after which it is left alone.
    pub failures: u32,
    /// How long it is left alone the first time; doubled each time the call that then tries it fails, too.
    pub rest: Duration,
    /// The longest time it is left alone.
    pub longest_rest: Duration,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            peers: 1024,
            calls_per_peer: 384,
            waiting_per_peer: 1024,
            write: Duration::from_secs(30),
            redial: Duration::from_millis(500),
            retries: 2,
            retry: Duration::from_millis(550),
            resume: Duration::from_millis(100),
            settled: Duration::from_secs(5),
            failures: 5,
            rest: Duration::from_secs(5),
            longest_rest: Duration::from_secs(300),
        }
    }
}
