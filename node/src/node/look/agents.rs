//! Which agents are there: looked for when a search shows them, and asked of what runs ours.

use super::{Looks, PATIENCE, QUEUE, Way};
use crate::agents::{Engine, Served};
use crate::events::Happened;
use crate::node::Inner;
use futures::StreamExt as _;
use haggle_base::{Did, Timestamp};
use haggle_catalog::liveness::{Condition, Live, Look, SECOND_LOOK, Seen};
use haggle_catalog::look::{Health, Question, Reply};
use haggle_gateway::view::LivenessView;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::task::TaskTracker;

/// Agents of a search that are looked for, from the top.
pub(in crate::node) const FIRST_LOOKED_AT: usize = 5;
/// How long that answer is waited for: less than whoever asks us waits.
const BACKEND_PATIENCE: Duration = Duration::from_millis(1_500);
/// Servers behind our agents that are asked at the same time.
const PROBES_AT_ONCE: usize = 16;

/// Looks for the agents that searches showed. One that is silent is looked for once more, a little later.
pub(in crate::node) async fn look_after_agents(inner: Arc<Inner>, mut waiting: mpsc::Receiver<Did>) {
    let tasks = TaskTracker::new();
    while let Some(agent) = waiting.recv().await {
        let inner = Arc::clone(&inner);
        tasks.spawn(async move {
            let stop = inner.stopping.clone();
            let looking = async {
                if inner.look_for(&agent).await == Some(Live::Probation) {
                    tokio::time::sleep(SECOND_LOOK).await;
                    inner.look_for(&agent).await;
                }
            };
            // the look is done, or the node stops
            let _ended = stop.run_until_cancelled(looking).await;
            inner.looks.under_way.lock().remove(&agent);
        });
    }
}

/// Asks what runs our agents, now and then, whether it is there.
pub(in crate::node) async fn probe_own(inner: Arc<Inner>) {
    let mut rounds = tokio::time::interval(inner.config.agents.probe_every);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        let probes = futures::stream::iter(inner.agents.all()).for_each_concurrent(PROBES_AT_ONCE, |served| {
            let inner = &inner;
            async move {
                // what comes of it is noted there
                let _well = inner.is_well(&served, Duration::ZERO).await;
            }
        });
        probes.await;
    }
}

impl Looks {
    /// Whether what runs the agent of ours answered when it was asked last.
    fn last_probe(&self, agent: &Did) -> Option<(Timestamp, bool)> {
        self.backends.lock().get(agent).and_then(|backend| *backend.last.lock())
    }

    /// Whether the agent is not looked for yet, and there is room for one more.
    fn take_on(&self, agent: Did) -> bool {
        let mut under_way = self.under_way.lock();
        under_way.len() < QUEUE && under_way.insert(agent)
    }

    /// What is known of an agent, and whether that is fresh.
    fn seen(&self, agent: &Did, now: Timestamp) -> Option<(Seen, bool)> {
        let liveness = self.liveness.lock();
        liveness.of(agent).map(|seen| (seen, !liveness.is_due(agent, now)))
    }
}

impl Inner {
    /// Looks for those of the agents that nobody has looked for lately. With `wait` the answers are there on return, or
    /// [`PATIENCE`] is over.
    pub(in crate::node) async fn look_for_all(&self, agents: Vec<Did>, wait: bool) {
        let now = self.clock.now();
        let due: Vec<Did> = {
            let liveness = self.looks.liveness.lock();
            agents.into_iter().filter(|agent| self.agents.get(agent).is_none() && liveness.is_due(agent, now)).collect()
        };
        if wait {
            let looks = futures::stream::iter(&due).for_each_concurrent(None, |agent| async {
                self.look_for(agent).await;
            });
            // whoever is not back by then is looked for on
            let _late = tokio::time::timeout(PATIENCE, looks).await;
        }
        for agent in due {
            let is_done = !self.looks.liveness.lock().is_due(&agent, now);
            let doubted = self.looks.seen(&agent, now).is_some_and(|(seen, _)| seen.live == Live::Probation);
            if (!is_done || doubted) && self.looks.take_on(agent) && self.looks.queue.try_send(agent).is_err() {
                self.looks.under_way.lock().remove(&agent);
            }
        }
    }

    /// Looks for one agent at the hosts of its card; `None` if nothing is known of it.
    async fn look_for(&self, agent: &Did) -> Option<Live> {
        let card = self.catalog.card(agent).ok().flatten()?;
        let Ok(_turn) = self.looks.turns.acquire().await else { return None };
        let mut look = Look::Silent;
        for host in card.body().hosts.iter() {
            let served = |condition| Look::Served { host: host.peer, condition };
            look = match self
                .look_at(&host.peer, Way::Told(&host.addrs), &[Question::Agent { did: *agent }])
                .await
                .as_deref()
            {
                Ok([(Reply::Agent { health: Health::Serving }, _)]) => served(Condition::Well),
                Ok([(Reply::Agent { health: Health::Busy }, _)]) => served(Condition::Busy),
                Ok([(Reply::Agent { health: Health::Failing }, _)]) => served(Condition::Failing),
                Ok([(Reply::Agent { health: Health::Absent }, _)]) => Look::Absent,
                Err(cause) if cause.is_older() => served(Condition::Well),
                _ => look,
            };
            if matches!(look, Look::Served { .. }) {
                break;
            }
        }
        let now = self.clock.now();
        self.reputation.note_dial(agent, look.is_up(), now);
        Some(self.looks.liveness.lock().looked(*agent, look, now))
    }

    /// What is known of an agent's being there, for a search's answer.
    pub(in crate::node) fn liveness_view(&self, agent: &Did) -> Option<LivenessView> {
        let now = self.clock.now();
        let (seen, fresh) = self.looks.seen(agent, now)?;
        Some(LivenessView {
            state: seen.live.as_str().to_owned(),
            looked_seconds_ago: now.since(seen.looked).as_secs(),
            answered_seconds_ago: seen.answered.map(|at| now.since(at).as_secs()),
            fresh,
        })
    }

    /// Whether an agent can be expected to answer: ours is served; of another one the last look says so, or if there is
    /// no fresh one, a peer that serves it is connected.
    pub(in crate::node) fn is_online(&self, agent: &Did) -> bool {
        if let Some(served) = self.agents.get(agent) {
            return served.engine.is_some();
        }
        if let Some((seen, true)) = self.looks.seen(agent, self.clock.now()) {
            return seen.live.is_there();
        }
        let card = self.catalog.card(agent).ok().flatten();
        card.is_some_and(|card| card.body().hosts.iter().any(|host| self.network.is_connected(&host.peer)))
    }

    /// The word for whether an agent can be called: `online`, `busy` or `offline`.
    pub(in crate::node) fn availability(&self, agent: &Did, online: bool) -> &'static str {
        let is_busy = match self.agents.get(agent) {
            Some(served) => self.is_full(&served),
            None => {
                self.looks.seen(agent, self.clock.now()).is_some_and(|(seen, fresh)| fresh && seen.live == Live::Busy)
            }
        };
        match (online, is_busy) {
            (false, _) => "offline",
            (true, true) => "busy",
            (true, false) => "online",
        }
    }

    /// Whether an agent of ours, or this whole node, has as many calls to work on as it takes at once.
    pub(super) fn is_full(&self, served: &Served) -> bool {
        let own = matches!(&served.engine, Some(Engine::Command(executor)) if executor.is_full());
        own || self.server.is_full()
    }

    /// How an agent of ours is, in a word, and when what runs it was asked last, if that is asked at all.
    pub(in crate::node) fn own_health(&self, served: &Served) -> (&'static str, Option<Timestamp>) {
        let probed = self.looks.last_probe(&served.row.did);
        let live = match (&served.engine, probed) {
            (None, _) => Live::Down,
            (Some(_), Some((_, false))) => Live::Degraded,
            (Some(_), _) if self.is_full(served) => Live::Busy,
            (Some(_), _) => Live::Live,
        };
        (live.as_str(), probed.map(|(asked, _)| asked))
    }

    /// Whether what runs an agent of ours answers, as of an answer younger than `fresh`. An A2A server is asked for its card;
    /// programs are started when they are needed, and functions are part of this process.
    pub(super) async fn is_well(&self, served: &Served, fresh: Duration) -> bool {
        let executor = match &served.engine {
            None => return false,
            Some(Engine::Http(executor)) => executor,
            Some(Engine::Function(_) | Engine::Command(_) | Engine::Conformance | Engine::ByHand) => return true,
        };
        let agent = served.row.did;
        let backend = Arc::clone(self.looks.backends.lock().entry(agent).or_default());
        let _turn = backend.turn.lock().await;
        let before = *backend.last.lock();
        if let Some((asked, well)) = before
            && self.clock.now().since(asked) < fresh
        {
            return well;
        }
        let looked = tokio::time::timeout(BACKEND_PATIENCE, executor.look()).await;
        let (well, now) = (matches!(looked, Ok(Ok(_))), self.clock.now());
        *backend.last.lock() = Some((now, well));
        self.reputation.note_dial(&agent, well, now);
        if before.is_none_or(|(_, before)| before != well) {
            if well {
                tracing::info!(agent.id = %agent, "what runs agent {agent} answers");
            } else {
                tracing::warn!(agent.id = %agent, "what runs agent {agent} does not answer: others see it as degraded");
            }
            let health = self.own_health(served).0;
            let data = json!({"agent": agent, "name": served.row.name, "health": health});
            self.events.tell(Happened::AgentStatus, data);
        }
        well
    }
}
