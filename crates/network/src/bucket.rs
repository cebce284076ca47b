//! A token bucket: so many at once, so many per second.

use std::time::Duration;

/// How often something may happen.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Tokens that come back each second.
    pub per_second: u32,
    /// Tokens of a full bucket.
    pub burst: u32,
}

/// A bucket in thousandths of a token. Time is a duration since any fixed moment.
#[derive(Clone, Debug)]
pub(crate) struct TokenBucket {
    rate: Rate,
    milli: u64,
    filled_at: Duration,
}

impl TokenBucket {
    /// A full bucket.
    pub(crate) fn new(rate: Rate, now: Duration) -> Self {
        Self { rate, milli: u64::from(rate.burst) * 1000, filled_at: now }
    }

    /// Takes one token; `false` when none is left.
    #[must_use]
    pub(crate) fn take(&mut self, now: Duration) -> bool {
        let elapsed = now.saturating_sub(self.filled_at);
        let elapsed = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        if elapsed > 0 {
            let fresh = elapsed.saturating_mul(u64::from(self.rate.per_second));
            self.milli = self.milli.saturating_add(fresh).min(u64::from(self.rate.burst) * 1000);
            self.filled_at = now;
        }
        match self.milli.checked_sub(1000) {
            Some(rest) => {
                self.milli = rest;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_spent_and_comes_back_with_time() {
        let mut bucket = TokenBucket::new(Rate { per_second: 2, burst: 3 }, Duration::ZERO);
        let mut taken = |at_ms| bucket.take(Duration::from_millis(at_ms));
        assert_eq!([taken(0), taken(0), taken(0), taken(0)], [true, true, true, false]);
        assert!(!taken(499));
        assert!(taken(500));
        assert!(!taken(500));
        assert_eq!([taken(60_000), taken(60_000), taken(60_000)], [true; 3]);
        assert!(!taken(60_000), "the bucket holds no more than its burst");
    }
}
