//! A peer that fails again and again is left alone for a while, then tried with one call.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use haggle_a2a::{A2aError, Kind};
use tokio::time::Instant;

/// When a peer is left alone, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Patience {
    /// Failures in a row after which the peer is left alone.
    pub(super) failures: u32,
    /// For how long the first time; doubled each time the one call that then tries it fails, too.
    pub(super) rest: Duration,
    /// The longest rest.
    pub(super) longest: Duration,
}

/// What is known of a peer. It decides, and knows no clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Calls pass; so many failed in a row.
    Closed { failures: u32 },
    /// No call passes until then.
    Open { until: Instant, rest: Duration },
    /// One call is trying the peer.
    HalfOpen { rest: Duration },
}

impl State {
    /// Whether a call may pass; else how long to wait.
    fn ask(&mut self, now: Instant) -> Result<(), Duration> {
        match *self {
            Self::Closed { .. } => Ok(()),
            Self::Open { until, .. } if now < until => Err(until - now),
            Self::Open { rest, .. } => {
                *self = Self::HalfOpen { rest };
                Ok(())
            }
            Self::HalfOpen { rest } => Err(rest),
        }
    }

    fn tell(&mut self, outcome: Outcome, now: Instant, patience: &Patience) {
        *self = match (*self, outcome) {
            (_, Outcome::Answered) => Self::Closed { failures: 0 },
            (Self::Closed { failures }, Outcome::Failed) if failures + 1 < patience.failures => {
                Self::Closed { failures: failures + 1 }
            }
            (Self::Closed { .. }, Outcome::Failed) => Self::Open { until: now + patience.rest, rest: patience.rest },
            (Self::HalfOpen { rest }, Outcome::Failed) => {
                let rest = (rest * 2).min(patience.longest);
                Self::Open { until: now + rest, rest }
            }
            // whoever tried it has left: the next one tries
            (Self::HalfOpen { rest }, Outcome::Unknown) => Self::Open { until: now, rest },
            (state, _) => state,
        };
    }
}

/// How a call went, as far as the peer is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The peer answered, be it with an error.
    Answered,
    /// The peer could not be reached, or was lost.
    Failed,
    /// Nobody waited for it.
    Unknown,
}

/// The breaker of one peer.
#[derive(Debug)]
pub(super) struct Breaker {
    patience: Patience,
    state: Mutex<State>,
}

/// One call that has passed.
pub(super) struct Attempt<'a> {
    breaker: &'a Breaker,
    is_told: bool,
}

impl Breaker {
    pub(super) fn new(patience: Patience) -> Self {
        Self { patience, state: Mutex::new(State::Closed { failures: 0 }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a call pass, or says how long the peer is left alone.
    pub(super) fn pass(&self) -> Result<Attempt<'_>, A2aError> {
        match self.state().ask(Instant::now()) {
            Ok(()) => Ok(Attempt { breaker: self, is_told: false }),
            Err(wait) => {
                let text = "the peer has failed again and again and is left alone for a while";
                Err(A2aError::new(Kind::Unreachable, text).with("retryAfterMs", wait.as_millis().to_string()))
            }
        }
    }
}

impl Attempt<'_> {
    /// Remembers how the call went.
    pub(super) fn ended<T>(mut self, result: &Result<T, A2aError>) {
        let outcome = match result {
            Err(error) => match error.kind() {
                Kind::Unreachable | Kind::ConnectionLost => Outcome::Failed,
                // this side's own bounds say nothing of the peer, nor does a caller's short patience
                Kind::Busy | Kind::TooLarge | Kind::DeadlineExceeded => Outcome::Unknown,
                _ => Outcome::Answered,
            },
            Ok(_) => Outcome::Answered,
        };
        self.is_told = true;
        self.breaker.state().tell(outcome, Instant::now(), &self.breaker.patience);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.is_told {
            self.breaker.state().tell(Outcome::Unknown, Instant::now(), &self.breaker.patience);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience =
        Patience { failures: 3, rest: Duration::from_secs(10), longest: Duration::from_secs(35) };

    #[test]
    fn a_peer_is_left_alone_after_failures_in_a_row_and_tried_with_one_call() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut state = State::Closed { failures: 0 };
        for outcome in [Outcome::Failed, Outcome::Failed, Outcome::Answered, Outcome::Failed, Outcome::Failed] {
            state.tell(outcome, start, &PATIENCE);
            assert_eq!(state.ask(start), Ok(()), "an answer in between starts the count again");
        }
        state.tell(Outcome::Failed, start, &PATIENCE);
        assert_eq!(state.ask(at(4)), Err(Duration::from_secs(6)));
        assert_eq!(state.ask(at(10)), Ok(()), "one call tries it");
        assert!(state.ask(at(10)).is_err(), "and no other");
        state.tell(Outcome::Failed, at(11), &PATIENCE);
        assert_eq!(state.ask(at(30)), Err(Duration::from_secs(1)), "twice as long");
        for (tried, rest) in [(31, 35), (66, 35)] {
            assert_eq!(state.ask(at(tried)), Ok(()));
            state.tell(Outcome::Failed, at(tried), &PATIENCE);
            assert_eq!(state.ask(at(tried)), Err(Duration::from_secs(rest)), "never longer than the longest");
        }
        assert_eq!(state.ask(at(101)), Ok(()));
        state.tell(Outcome::Unknown, at(101), &PATIENCE);
        assert_eq!(state.ask(at(101)), Ok(()), "whoever tried has left: the next one tries");
        state.tell(Outcome::Answered, at(102), &PATIENCE);
        assert_eq!(state, State::Closed { failures: 0 });
    }

    #[test]
    fn what_this_side_does_not_send_says_nothing_of_the_peer() {
        let breaker = Breaker::new(Patience { failures: 1, ..PATIENCE });
        for kind in [Kind::Busy, Kind::TooLarge, Kind::DeadlineExceeded, Kind::TaskNotFound] {
            breaker.pass().unwrap().ended(&Err::<(), _>(A2aError::new(kind, "no")));
        }
        drop(breaker.pass().unwrap());
        breaker.pass().unwrap().ended(&Err::<(), _>(A2aError::new(Kind::Unreachable, "no")));
        let refused = breaker.pass().err().unwrap();
        assert_eq!((refused.kind(), refused.is_retryable()), (Kind::Unreachable, true));
        assert!(refused.metadata("retryAfterMs").is_some());
    }
}
