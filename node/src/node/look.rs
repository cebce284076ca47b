//! Looking at other nodes, and being looked at: who serves an agent, who holds a record, how far a peer is.

mod agents;
mod outside;

use super::Inner;
use haggle_base::{Did, PeerId, Text, Timestamp};
use haggle_catalog::liveness::Liveness;
use haggle_catalog::look::{Health, MAX_LOOK_BYTES, MAX_QUESTIONS, Question, Reply};
use haggle_gateway::view::VisibilityView;
use haggle_network::frame::{FrameError, read_frame, write_frame};
use haggle_network::{NetworkError, Severity, Stream};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

pub(super) use agents::{FIRST_LOOKED_AT, look_after_agents, probe_own};

/// Name of the protocol in the network.
pub(super) const PROTOCOL: &str = "look/1";
/// How long an answer is waited for, the dial included.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long one who asks may take between two questions.
const QUESTION_PATIENCE: Duration = Duration::from_secs(10);
/// How long the answer of what runs an agent counts for peers who ask.
const WELL_FOR: Duration = Duration::from_secs(15);
/// Looks at the same time.
const AT_ONCE: usize = 3;
/// Agents that wait to be looked for; more are left to the next search.
const QUEUE: usize = 64;
/// Agents that are remembered; about 2 MiB.
const REMEMBERED: usize = 16_384;

/// Where a peer is, beside what the network room knows.
#[derive(Clone, Copy)]
enum Way<'a> {
    /// What somebody's card says.
    Told(&'a [Text<128>]),
    /// What the operator typed.
    Typed(&'a [String]),
}

/// What runs an agent of ours.
#[derive(Debug, Default)]
struct Backend {
    /// One at a time asks; whoever comes meanwhile waits for the same answer.
    turn: tokio::sync::Mutex<()>,
    /// When it was asked last, and whether it answered.
    last: Mutex<Option<(Timestamp, bool)>>,
}

/// What the node knows from looking.
#[derive(Debug)]
pub(crate) struct Looks {
    liveness: Mutex<Liveness>,
    /// Agents that are looked for now, or soon.
    under_way: Mutex<HashSet<Did>>,
    turns: Semaphore,
    queue: mpsc::Sender<Did>,
    /// Whether what runs our agents answered when it was asked last.
    backends: Mutex<HashMap<Did, Arc<Backend>>>,
    /// What peers said of our listings when they were asked last.
    outside: Mutex<Option<(Timestamp, VisibilityView)>>,
}

impl Looks {
    /// Knows nothing yet; the agents to look for come out of the other end.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Did>) {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let looks = Self {
            liveness: Mutex::new(Liveness::new(REMEMBERED)),
            under_way: Mutex::default(),
            turns: Semaphore::new(AT_ONCE),
            queue,
            backends: Mutex::default(),
            outside: Mutex::default(),
        };
        (looks, waiting)
    }

    /// What peers said of our listings when they were asked last.
    pub(crate) fn last_outside(&self) -> Option<VisibilityView> {
        self.outside.lock().as_ref().map(|(_, view)| view.clone())
    }

    /// A peer is gone: whoever it answered for is looked for again.
    pub(crate) fn lost(&self, peer: &PeerId) {
        self.liveness.lock().lost(peer);
    }
}

/// Why a peer did not answer.
#[derive(Debug)]
enum NoAnswer {
    Network(NetworkError),
    Frame(FrameError),
    /// It sent something else, or nothing.
    Nonsense,
    Late,
}

impl NoAnswer {
    /// In plain words, for people.
    fn words(&self) -> String {
        match self {
            Self::Network(error) => error.to_string(),
            Self::Frame(error) => error.to_string(),
            Self::Nonsense => "it answered nothing that can be read".to_owned(),
            Self::Late => format!("no answer within {} s", PATIENCE.as_secs()),
        }
    }

    /// Whether the peer is there and does not speak the protocol: a node of an earlier version.
    const fn is_older(&self) -> bool {
        matches!(self, Self::Network(NetworkError::Unsupported { .. }))
    }
}

impl Inner {
    /// Answers the questions of one stream.
    pub(super) async fn answer_looks(self: Arc<Self>, mut stream: Stream) {
        for _ in 0..MAX_QUESTIONS {
            let read = tokio::time::timeout(QUESTION_PATIENCE, read_frame(&mut stream, MAX_LOOK_BYTES)).await;
            let bytes = match read {
                Ok(Ok(Some(bytes))) => bytes,
                Ok(Err(FrameError::TooLarge { .. })) => return self.network.report(stream.peer(), Severity::Medium),
                Ok(Ok(None) | Err(_)) | Err(_) => return,
            };
            let Ok(question) = Question::decode(&bytes) else {
                return self.network.report(stream.peer(), Severity::Medium);
            };
            let reply = match question {
                Question::Ping => Reply::Pong,
                Question::Record { id, place } => Reply::Record { holding: self.catalog.holding(&id, place.as_ref()) },
                Question::Agent { did } if self.agents.is_draft(&did) => Reply::Agent { health: Health::Absent },
                Question::Agent { did } => Reply::Agent { health: self.health_of(&did).await },
            };
            let Ok(bytes) = reply.encode() else { return };
            let written = tokio::time::timeout(QUESTION_PATIENCE, write_frame(&mut stream, &bytes, MAX_LOOK_BYTES));
            if !matches!(written.await, Ok(Ok(()))) {
                return;
            }
        }
        // the one who asked has closed its half, or has had its questions
        drop(stream.shutdown().await);
    }

    /// Asks a peer, dialling it if need be; each reply with the time it took. All of it within [`PATIENCE`].
    async fn look_at(
        &self,
        peer: &PeerId,
        way: Way<'_>,
        questions: &[Question],
    ) -> Result<Vec<(Reply, Duration)>, NoAnswer> {
        let asking = async {
            let connected = match way {
                Way::Told(addrs) => self.network.connect_hinted(peer, addrs).await,
                Way::Typed(addrs) => self.network.connect(peer, addrs).await,
            };
            connected.map_err(NoAnswer::Network)?;
            let name = haggle_network::scoped(&self.file.id, PROTOCOL);
            let mut stream = self.network.open(peer, &name).await.map_err(NoAnswer::Network)?;
            let mut replies = Vec::with_capacity(questions.len());
            for question in questions {
                let bytes = question.encode().map_err(|_| NoAnswer::Nonsense)?;
                let began = Instant::now();
                write_frame(&mut stream, &bytes, MAX_LOOK_BYTES).await.map_err(NoAnswer::Frame)?;
                let bytes = read_frame(&mut stream, MAX_LOOK_BYTES).await.map_err(NoAnswer::Frame)?;
                let took = began.elapsed();
                let reply = bytes.and_then(|bytes| Reply::decode(&bytes).ok()).ok_or(NoAnswer::Nonsense)?;
                replies.push((reply, took));
            }
            // the answers are here; the peer may find the stream gone
            drop(stream.shutdown().await);
            Ok(replies)
        };
        tokio::time::timeout(PATIENCE, asking).await.unwrap_or(Err(NoAnswer::Late))
    }

    /// How an agent of ours is: served, and what runs it answers.
    pub(super) async fn health_of(&self, agent: &Did) -> Health {
        match self.agents.get(agent) {
            None => Health::Absent,
            Some(served) if !self.is_well(&served, WELL_FOR).await => Health::Failing,
            Some(served) if self.is_full(&served) => Health::Busy,
            Some(_) => Health::Serving,
        }
    }
}
