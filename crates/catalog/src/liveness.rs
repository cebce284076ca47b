//! Which agents answered when somebody looked: no heartbeats, only what was asked for and seen.
//!
//! An agent is looked for when a search shows it, and not again while the answer is fresh. The machine is pure: it is told
//! what a look brought, and says how the agent stands and whether to look again.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use haggle_base::{Did, PeerId, Timestamp};

/// How long an answer counts: five minutes, so that a search after them looks anew.
pub const FRESH_FOR: Duration = Duration::from_secs(300);

/// How soon an agent that was silent once, or was busy, is looked for again.
pub const SECOND_LOOK: Duration = Duration::from_secs(10);

/// How an agent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Live {
    /// A host of it said that it serves it, and that what runs it answers.
    Live,
    /// A host of it said that it has as many calls to work on as it takes at once.
    Busy,
    /// A host serves it, and what runs it does not answer.
    Degraded,
    /// It was there, and was silent once: that can happen to anybody.
    Probation,
    /// It was silent twice in a row, or never heard of, or its hosts say that they do not serve it.
    Down,
}

impl Live {
    /// The word for it: `live`, `busy`, `degraded`, `probation` or `down`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Busy => "busy",
            Self::Degraded => "degraded",
            Self::Probation => "probation",
            Self::Down => "down",
        }
    }
}

impl Live {
    /// Whether a host answered for it: whoever calls it may be told to wait, but is told.
    #[must_use]
    pub const fn is_there(self) -> bool {
        matches!(self, Self::Live | Self::Busy | Self::Degraded)
    }
}

/// What a host says of an agent that it serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// What runs it answers.
    Well,
    /// It takes no more calls just now.
    Busy,
    /// What runs it does not answer.
    Failing,
}

/// What a look at an agent brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// A host serves it.
    Served {
        /// The host.
        host: PeerId,
        /// What it says of the agent.
        condition: Condition,
    },
    /// Every host that could be asked says that it does not serve it.
    Absent,
    /// No host could be asked.
    Silent,
}

impl Look {
    /// Whether the agent is up: a host serves it, and what runs it answers or has its hands full.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        matches!(self, Self::Served { condition: Condition::Well | Condition::Busy, .. })
    }
}

/// What is known of one agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// How it stands.
    pub live: Live,
    /// When it was looked for last.
    pub looked: Timestamp,
    /// When a host of it answered for it last.
    pub answered: Option<Timestamp>,
    /// The host that answered for it last.
    pub host: Option<PeerId>,
    /// Its host is gone since: what is known counts no longer.
    lost: bool,
}

/// What is known of the agents that were looked for.
#[derive(Debug)]
pub struct Liveness {
    seen: HashMap<Did, Seen>,
    /// The one looked for longest ago goes first.
    oldest: BTreeSet<(Timestamp, Did)>,
    capacity: usize,
}

impl Liveness {
    /// Knows nobody; at most `capacity` agents are remembered.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { seen: HashMap::new(), oldest: BTreeSet::new(), capacity: capacity.max(1) }
    }

    /// Books what a look brought; returns how the agent stands now.
    ///
    /// # State Transition
    /// `Served`: live, busy, or degraded if what runs it does not answer. `Silent`: probation if it was there, else down.
    /// `Absent`: down.
    pub fn looked(&mut self, agent: Did, look: Look, now: Timestamp) -> Live {
        let before = self.seen.remove(&agent);
        if let Some(before) = &before {
            self.oldest.remove(&(before.looked, agent));
        }
        let live = match look {
            Look::Served { condition: Condition::Well, .. } => Live::Live,
            Look::Served { condition: Condition::Busy, .. } => Live::Busy,
            Look::Served { condition: Condition::Failing, .. } => Live::Degraded,
            Look::Absent => Live::Down,
            Look::Silent => match before.map(|before| before.live) {
                Some(before) if before.is_there() => Live::Probation,
                _ => Live::Down,
            },
        };
        let (answered, host) = match look {
            Look::Served { host, .. } => (Some(now), Some(host)),
            Look::Absent | Look::Silent => {
                (before.and_then(|before| before.answered), before.and_then(|before| before.host))
            }
        };
        if self.seen.len() >= self.capacity
            && let Some((_, oldest)) = self.oldest.pop_first()
        {
            self.seen.remove(&oldest);
        }
        self.seen.insert(agent, Seen { live, looked: now, answered, host, lost: false });
        self.oldest.insert((now, agent));
        live
    }

    /// A peer is gone: whoever it answered for is looked for again.
    pub fn lost(&mut self, host: &PeerId) {
        for seen in self.seen.values_mut().filter(|seen| seen.host.as_ref() == Some(host)) {
            seen.lost = true;
        }
    }

    /// Whether the agent should be looked for, should anybody care.
    #[must_use]
    pub fn is_due(&self, agent: &Did, now: Timestamp) -> bool {
        self.seen.get(agent).is_none_or(|seen| {
            let fresh_for = match seen.live {
                Live::Probation | Live::Busy => SECOND_LOOK,
                Live::Live | Live::Degraded | Live::Down => FRESH_FOR,
            };
            seen.lost || now.since(seen.looked) >= fresh_for
        })
    }

    /// What is known of an agent; `None` if nobody looked for it.
    #[must_use]
    pub fn of(&self, agent: &Did) -> Option<Seen> {
        self.seen.get(agent).copied()
    }

    /// Agents that are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// True if nobody was looked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use haggle_base::{AgentKey, Hash};
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{START, agent, peer};

    fn served() -> Look {
        Look::Served { host: peer(1), condition: Condition::Well }
    }

    #[test]
    fn an_agent_is_up_if_what_runs_it_answers_and_not_because_its_node_does() {
        let served = |condition| Look::Served { host: peer(1), condition };
        assert!(served(Condition::Well).is_up() && served(Condition::Busy).is_up());
        assert!(!served(Condition::Failing).is_up() && !Look::Absent.is_up() && !Look::Silent.is_up());
    }

    #[test]
    fn an_agent_that_is_silent_is_doubted_before_it_is_given_up() {
        let mut liveness = Liveness::new(8);
        let did = agent(0).did();
        assert!(liveness.is_due(&did, START));
        assert_eq!(liveness.looked(did, served(), START), Live::Live);
        assert!(!liveness.is_due(&did, START.plus(FRESH_FOR - Duration::from_millis(1))));
        let later = START.plus(FRESH_FOR);
        assert!(liveness.is_due(&did, later));
        assert_eq!(liveness.looked(did, Look::Silent, later), Live::Probation);
        assert!(!liveness.is_due(&did, later));
        assert!(liveness.is_due(&did, later.plus(SECOND_LOOK)), "much sooner than anybody else");
        assert_eq!(liveness.looked(did, Look::Silent, later.plus(SECOND_LOOK)), Live::Down);
        let seen = liveness.of(&did).unwrap();
        assert_eq!((seen.answered, seen.host), (Some(START), Some(peer(1))), "when it was there last is kept");
        assert_eq!(liveness.looked(did, served(), later.plus(FRESH_FOR)), Live::Live, "and it may come back");
    }

    #[test]
    fn who_was_never_there_is_down_and_so_is_who_moved_away() {
        let mut liveness = Liveness::new(8);
        assert_eq!(liveness.looked(agent(0).did(), Look::Silent, START), Live::Down);
        liveness.looked(agent(1).did(), served(), START);
        assert_eq!(liveness.looked(agent(1).did(), Look::Absent, START), Live::Down);
        assert_eq!(
            liveness.looked(agent(2).did(), Look::Served { host: peer(2), condition: Condition::Failing }, START),
            Live::Degraded,
            "its host is there, and what runs it is not"
        );
    }

    #[test]
    fn a_busy_agent_is_there_and_is_looked_for_again_soon() {
        let mut liveness = Liveness::new(8);
        let did = agent(0).did();
        let busy = Look::Served { host: peer(1), condition: Condition::Busy };
        assert_eq!(liveness.looked(did, busy, START), Live::Busy);
        assert!(Live::Busy.is_there());
        assert!(!liveness.is_due(&did, START.plus(SECOND_LOOK - Duration::from_millis(1))));
        assert!(liveness.is_due(&did, START.plus(SECOND_LOOK)));
        assert_eq!(liveness.looked(did, Look::Silent, START.plus(SECOND_LOOK)), Live::Probation);
    }

    #[test]
    fn a_lost_host_makes_its_agents_due_and_nobody_elses() {
        let mut liveness = Liveness::new(8);
        liveness.looked(agent(0).did(), Look::Served { host: peer(1), condition: Condition::Well }, START);
        liveness.looked(agent(1).did(), Look::Served { host: peer(2), condition: Condition::Well }, START);
        liveness.lost(&peer(1));
        assert_eq!([0, 1].map(|who| liveness.is_due(&agent(who).did(), START)), [true, false]);
        liveness.looked(agent(0).did(), served(), START);
        assert!(!liveness.is_due(&agent(0).did(), START), "looked for again, and found");
    }

    proptest! {
        #[test]
        fn memory_is_bounded_and_nobody_is_down_whose_last_look_was_answered(
            looks in prop::collection::vec((0..6_usize, 0..5_u8, 0..400_u64), 0..80),
        ) {
            let agents = [0, 1, 2, 3, 4, 5].map(|who| Hash::of(&[who]));
            let agents = agents.map(|key| AgentKey::from_bytes(key.as_bytes()).did());
            let (host, mut liveness) = (peer(1), Liveness::new(4));
            let mut now = START;
            for (who, what, pause) in looks {
                now = now.plus(Duration::from_secs(pause));
                let did = agents[who];
                let look = match what {
                    0 => Look::Silent,
                    1 => Look::Absent,
                    2 => Look::Served { host, condition: Condition::Well },
                    3 => Look::Served { host, condition: Condition::Busy },
                    _ => Look::Served { host, condition: Condition::Failing },
                };
                let before = liveness.of(&did).map(|seen| seen.live);
                let live = liveness.looked(did, look, now);
                match look {
                    Look::Served { .. } => prop_assert!(live.is_there()),
                    Look::Absent => prop_assert_eq!(live, Live::Down),
                    Look::Silent => {
                        let was_there = before.is_some_and(Live::is_there);
                        prop_assert_eq!(live, if was_there { Live::Probation } else { Live::Down });
                    }
                }
                prop_assert!(liveness.len() <= 4 && liveness.oldest.len() == liveness.len());
                prop_assert_eq!(liveness.of(&did).map(|seen| seen.looked), Some(now));
            }
        }
    }
}
