//! Closed-loop load: so many callers, each of whom calls again when its call is answered.

use futures::future::join_all;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// When a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// After so many calls in all.
    Calls(u64),
    /// After so long; calls that have begun are finished.
    Over(Duration),
}

/// What a run showed.
#[derive(Clone, Debug, Default)]
pub struct Load {
    latencies: Vec<Duration>,
    errors: u64,
    elapsed: Duration,
}

impl Load {
    /// Runs one caller per item of `callers`; `call` gets the caller and the number of the call, and gives the caller back
    /// with whether the call succeeded.
    pub async fn run<C, F, R>(callers: Vec<C>, until: Until, call: F) -> Self
    where
        C: Send,
        F: Fn(C, u64) -> R + Sync,
        R: Future<Output = (C, bool)> + Send,
    {
        let begun = Instant::now();
        let next = Arc::new(AtomicU64::new(0));
        let loops = callers.into_iter().map(|mut caller| {
            let (next, call) = (Arc::clone(&next), &call);
            async move {
                let mut own = Self::default();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let is_over = match until {
                        Until::Calls(count) => number >= count,
                        Until::Over(time) => begun.elapsed() >= time,
                    };
                    if is_over {
                        return own;
                    }
                    let at = Instant::now();
                    let (back, succeeded) = call(caller, number).await;
                    own.latencies.push(at.elapsed());
                    own.errors += u64::from(!succeeded);
                    caller = back;
                }
            }
        });
        let mut all = join_all(loops).await.into_iter().fold(Self::default(), Self::and);
        all.elapsed = begun.elapsed();
        all
    }

    /// Both runs as one.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.latencies.extend(other.latencies);
        self.latencies.sort_unstable();
        self.errors += other.errors;
        self.elapsed += other.elapsed;
        self
    }

    /// The latency that so many hundredths of the calls do not exceed; zero if there was no call.
    #[must_use]
    pub fn percentile(&self, hundredths: usize) -> Duration {
        let at = (self.latencies.len() * hundredths).div_ceil(100).saturating_sub(1);
        self.latencies.get(at).copied().unwrap_or_default()
    }

    /// Calls that were answered well, per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        let good = self.calls() - self.errors;
        good as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Calls in all.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.latencies.len() as u64
    }

    /// Calls that failed.
    #[must_use]
    pub const fn errors(&self) -> u64 {
        self.errors
    }
}

/// The middle one of an odd number of figures, the higher middle one of an even number; zero of none.
#[must_use]
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_call_is_counted_once_and_failures_are_told_apart() {
        let load = Load::run(vec![(); 8], Until::Calls(1000), |(), number| async move { ((), number % 10 != 0) }).await;
        assert_eq!((load.calls(), load.errors()), (1000, 100));
        assert!(load.percentile(50) <= load.percentile(99));
        assert!(load.rate() > 0.0);
    }

    #[test]
    fn percentiles_are_of_the_calls_that_were_made() {
        let load = Load {
            latencies: (1..=100).map(Duration::from_millis).collect(),
            errors: 0,
            elapsed: Duration::from_secs(1),
        };
        assert_eq!(load.percentile(50), Duration::from_millis(50));
        assert_eq!(load.percentile(99), Duration::from_millis(99));
        assert_eq!(Load::default().percentile(50), Duration::ZERO);
        assert!((median(vec![3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
    }
}
