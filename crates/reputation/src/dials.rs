//! What this node saw of other agents' uptime: its own last dial of each.

use std::{collections::HashMap, time::Duration};

use haggle_base::{Did, Timestamp};

use crate::Score;

/// Agents whose last dial is remembered; about 4 MiB. The one dialled longest ago goes first.
const MAX_DIALS: usize = 32_768;
/// How old a dial may be.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The last dial of each agent. Kept in memory: after a restart a node knows only what it has dialled since.
#[derive(Debug, Default)]
pub(crate) struct Dials {
    last: HashMap<Did, (Timestamp, bool)>,
}

impl Dials {
    /// Remembers a dial, unless a later one is known.
    pub(crate) fn note(&mut self, did: Did, reached: bool, now: Timestamp) {
        if self.last.len() >= MAX_DIALS && !self.last.contains_key(&did) {
            let oldest = self.last.iter().min_by_key(|(_, (when, _))| *when).map(|(did, _)| *did);
            oldest.and_then(|did| self.last.remove(&did));
        }
        let entry = self.last.entry(did).or_insert((now, reached));
        if now >= entry.0 {
            *entry = (now, reached);
        }
    }

    /// Whether the last dial, at most 24 hours before `now`, reached the agent.
    pub(crate) fn last(&self, did: &Did, now: Timestamp) -> Option<bool> {
        self.last.get(did).filter(|(when, _)| now.since(*when) <= DAY).map(|(_, reached)| *reached)
    }

    /// One if the last dial, at most 24 hours before `now`, reached the agent.
    pub(crate) fn uptime_24h(&self, did: &Did, now: Timestamp) -> Score {
        if self.last(did, now) == Some(true) { Score::ONE } else { Score::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use haggle_base::Seed;

    use super::*;

    #[test]
    fn uptime_is_the_last_dial_of_the_last_day() {
        let bob = Seed::devnet(7, 1).agent_key(0).did();
        let noon = Timestamp::from_secs(1_800_000_000);
        let mut dials = Dials::default();
        assert_eq!(dials.uptime_24h(&bob, noon), Score::ZERO);
        dials.note(bob, true, noon);
        assert_eq!(dials.uptime_24h(&bob, noon.plus(DAY)), Score::ONE);
        assert_eq!(dials.uptime_24h(&bob, noon.plus(DAY + Duration::from_millis(1))), Score::ZERO);
        dials.note(bob, false, noon.plus(Duration::from_secs(1)));
        assert_eq!(dials.uptime_24h(&bob, noon.plus(Duration::from_secs(2))), Score::ZERO);
        assert_eq!(dials.last(&bob, noon.plus(Duration::from_secs(2))), Some(false));
        assert_eq!(dials.last(&bob, noon.plus(DAY + DAY)), None, "a failure is not held against an agent for ever");
    }

    #[test]
    fn an_old_dial_does_not_replace_a_newer_one() {
        let bob = Seed::devnet(7, 1).agent_key(0).did();
        let noon = Timestamp::from_secs(1_800_000_000);
        let mut dials = Dials::default();
        dials.note(bob, true, noon);
        dials.note(bob, false, noon.minus(DAY));
        assert_eq!(dials.uptime_24h(&bob, noon), Score::ONE);
    }
}
