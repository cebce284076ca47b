//! How often an author's records may be replaced by gossip.
//!
//! A record costs its author nothing, and each new version of it goes to every node. So gossip carries on only so many
//! replacements of one author; what comes above that waits for a reconciliation, which brings the last version alone. Spent
//! only by records that verified: nobody can use up the allowance of another.

use std::{collections::HashMap, time::Duration};

use haggle_base::{Did, Timestamp};

/// Replacements of one author at once: a card and all listings of an author who paid nothing, three times over.
pub(crate) const BURST: u32 = 15;

/// After this time one more is allowed.
pub(crate) const ONE_EACH: Duration = Duration::from_secs(600);

/// Authors remembered at once. While more than these are replacing records, the others' wait for a reconciliation.
const MAX_AUTHORS: usize = 65_536;

/// Longest that an author who has its whole allowance again takes the room of another.
const PRUNE_EVERY: Duration = Duration::from_secs(60);

/// What each author has left.
#[derive(Debug)]
pub(crate) struct Churn {
    /// When an author has its whole allowance again; who has it is not in here.
    whole_at: HashMap<Did, Timestamp>,
    max_authors: usize,
    /// When those who have it again are looked for next, if there is no room.
    prune_at: Timestamp,
}

impl Default for Churn {
    fn default() -> Self {
        Self { whole_at: HashMap::new(), max_authors: MAX_AUTHORS, prune_at: Timestamp::ZERO }
    }
}

impl Churn {
    /// Takes one replacement out of an author's allowance; `false` if none is left.
    #[must_use]
    pub(crate) fn take(&mut self, author: &Did, now: Timestamp) -> bool {
        let latest = now.plus(ONE_EACH * BURST);
        // an allowance that takes longer than it can was spent by a clock that has been set back since
        let known = self.whole_at.get(author).copied().filter(|whole_at| *whole_at <= latest);
        let next = known.unwrap_or(now).max(now).plus(ONE_EACH);
        if next > latest || (known.is_none() && !self.has_room(now)) {
            return false;
        }
        self.whole_at.insert(*author, next);
        true
    }

    /// Whether an author has something left, as far as is known.
    #[must_use]
    pub(crate) fn has_left(&self, author: &Did, now: Timestamp) -> bool {
        let latest = now.plus(ONE_EACH * BURST);
        self.whole_at.get(author).is_none_or(|whole_at| whole_at.plus(ONE_EACH) <= latest || *whole_at > latest)
    }

    fn has_room(&mut self, now: Timestamp) -> bool {
        if self.whole_at.len() >= self.max_authors && self.prune_at <= now {
            self.prune_at = now.plus(PRUNE_EVERY);
            self.whole_at.retain(|_, whole_at| *whole_at > now);
        }
        self.whole_at.len() < self.max_authors
    }
}

#[cfg(test)]
mod stories;

#[cfg(test)]
mod tests {
    use super::*;
    use haggle_base::AgentKey;
    use proptest::prelude::*;

    const START: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn author(number: u8) -> Did {
        AgentKey::from_bytes(&[number; 32]).did()
    }

    fn taken(churn: &mut Churn, author: &Did, at: Timestamp, tries: u32) -> u32 {
        (0..tries).map(|_| u32::from(churn.take(author, at))).sum()
    }

    #[test]
    fn an_allowance_is_spent_and_comes_back_with_time() {
        let (mut churn, one) = (Churn::default(), author(1));
        assert_eq!(taken(&mut churn, &one, START, 100), BURST);
        assert_eq!(taken(&mut churn, &author(2), START, 1), 1, "everybody has one of their own");
        assert!(!churn.take(&one, START.plus(ONE_EACH).minus(Duration::from_millis(1))));
        assert_eq!(taken(&mut churn, &one, START.plus(ONE_EACH), 3), 1);
        assert_eq!(taken(&mut churn, &one, START.plus(ONE_EACH * 1000), 100), BURST, "and is never more than whole");
    }

    #[test]
    fn a_clock_that_was_set_back_silences_nobody() {
        let (mut churn, one) = (Churn::default(), author(1));
        assert_eq!(taken(&mut churn, &one, START.plus(Duration::from_secs(86_400)), 100), BURST);
        assert_eq!(taken(&mut churn, &one, START, 100), BURST);
    }

    #[test]
    fn when_too_many_replace_records_strangers_wait_and_those_at_rest_make_room() {
        let mut churn = Churn { max_authors: 2, ..Churn::default() };
        assert!(churn.take(&author(1), START) && churn.take(&author(2), START));
        assert!(!churn.take(&author(3), START), "there is no room");
        assert!(churn.take(&author(1), START), "who is known has it still");
        assert!(churn.take(&author(3), START.plus(ONE_EACH)), "the second has all again");
        assert_eq!(churn.whole_at.len(), 2);
    }

    proptest! {
        #[test]
        fn no_author_is_carried_more_often_than_the_allowance_says(pauses in prop::collection::vec(0_u64..2_000, 1..200)) {
            let (mut churn, one, mut now, mut taken) = (Churn::default(), author(1), START, 0);
            for pause in pauses {
                now = now.plus(Duration::from_secs(pause));
                let has_left = churn.has_left(&one, now);
                let is_taken = churn.take(&one, now);
                prop_assert_eq!(has_left, is_taken);
                taken += u64::from(is_taken);
                let allowed = u64::from(BURST) + now.since(START).as_secs() / ONE_EACH.as_secs();
                prop_assert!(taken <= allowed, "{taken} of {allowed}");
            }
        }
    }
}
