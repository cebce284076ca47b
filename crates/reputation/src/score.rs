//! The owner's figures, in whole numbers: a score is counted in millionths.

use std::fmt;

use serde::{Serialize, Serializer};

/// One, in millionths.
const ONE: u64 = 1_000_000;
/// The response time at which the speed term reaches zero, in milliseconds.
const SLOWEST_MS: u64 = 1000;

/// A number from 0 to 1 in millionths. As text and in JSON a decimal such as `"0.9687"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Score(u32);

impl Score {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// All.
    pub const ONE: Self = Self(1_000_000);

    /// A score from millionths; what is above one is one.
    #[must_use]
    pub const fn from_millionths(millionths: u32) -> Self {
        if millionths > Self::ONE.0 { Self::ONE } else { Self(millionths) }
    }

    /// The share `part` has in `whole`, rounded down; `None` if there is no whole. A part above the whole is one.
    #[must_use]
    pub fn share(part: u64, whole: u64) -> Option<Self> {
        let millionths = u128::from(part) * u128::from(ONE) / u128::from((whole > 0).then_some(whole)?);
        Some(Self::from_millionths(u32::try_from(millionths).unwrap_or(u32::MAX)))
    }

    /// The score in millionths.
    #[must_use]
    pub const fn millionths(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / Self::ONE.0, self.0 % Self::ONE.0);
        if part == 0 {
            return write!(f, "{whole}");
        }
        let digits = format!("{part:06}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

impl Serialize for Score {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What an agent's evidence adds up to, as one node sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Attestations about the agent that count, of either kind.
    pub attestations: u64,
    /// Settled orders with a valid receipt in which the agent was the provider.
    pub total_calls: u64,
    /// Of those, how many the buyer released itself.
    pub successes: u64,
    /// Of those, how many ended against the provider, which had agreed to the order.
    pub failures: u64,
    /// What the agent's counterparties say of it as a provider: of each the successes less the failures, clamped to
    /// ±[`MAX_PER_COUNTERPARTY`](crate::book::MAX_PER_COUNTERPARTY), added up. Nothing for a newcomer.
    pub net: i64,
    /// Successes among all calls; `None` without a call.
    pub success_rate: Option<Score>,
    /// Mean time from request to answer as buyers measured it, in milliseconds; `None` if nobody did.
    pub avg_response_ms: Option<u64>,
    /// One if this node's last dial, at most 24 hours ago, reached the agent; zero otherwise.
    pub uptime_24h: Score,
    /// See [`trust_score`].
    pub trust_score: Score,
    /// How many ratings there are, as provider or as buyer.
    pub ratings: u64,
    /// Their mean as a share of the best: one star is 0.2, five are 1. `None` without a rating.
    pub rating: Option<Score>,
}

/// `success_rate * 0.5 + (1 - avg_response_ms / 1000) * 0.2 + uptime_24h * 0.3`, each term clamped to 0..1, rounded down to
/// a millionth. Without a measured response the second term is zero: what nobody saw is not praised.
#[must_use]
pub fn trust_score(success_rate: Score, avg_response_ms: Option<u64>, uptime_24h: Score) -> Score {
    let speed = avg_response_ms.map_or(0, |ms| ONE - ms.min(SLOWEST_MS) * ONE / SLOWEST_MS);
    let tenths = u64::from(success_rate.0) * 5 + speed * 2 + u64::from(uptime_24h.0) * 3;
    Score::from_millionths(u32::try_from(tenths / 10).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owners_example_gives_the_owners_score() {
        let score = trust_score(Score::from_millionths(998_000), Some(150), Score::from_millionths(999_000));
        assert_eq!(score, Score::from_millionths(968_700));
        assert_eq!(score.to_string(), "0.9687");
    }

    #[test]
    fn a_slow_agent_loses_the_speed_term_and_nothing_more() {
        let slow = trust_score(Score::ONE, Some(30_000), Score::ONE);
        assert_eq!(slow, Score::from_millionths(800_000));
        assert_eq!(slow, trust_score(Score::ONE, Some(1000), Score::ONE));
        assert_eq!(trust_score(Score::ONE, Some(u64::MAX), Score::ONE), slow);
    }

    #[test]
    fn every_term_stays_between_zero_and_one() {
        assert_eq!(
            trust_score(Score::from_millionths(u32::MAX), Some(0), Score::from_millionths(u32::MAX)),
            Score::ONE
        );
        assert_eq!(trust_score(Score::ZERO, None, Score::ZERO), Score::ZERO);
    }

    #[test]
    fn scores_are_written_as_short_decimals() {
        for (millionths, text) in [(0, "0"), (1_000_000, "1"), (900_000, "0.9"), (1, "0.000001"), (968_700, "0.9687")] {
            assert_eq!(Score::from_millionths(millionths).to_string(), text);
        }
    }

    #[test]
    fn a_share_of_nothing_is_no_share() {
        assert_eq!(Score::share(0, 0), None);
        assert_eq!(Score::share(9, 10), Some(Score::from_millionths(900_000)));
        assert_eq!(Score::share(u64::MAX, 1), Some(Score::ONE));
    }
}
