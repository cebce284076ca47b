//! Chain time: the wall clock plus an offset that only the time controls move, never backwards.

use crate::error::RpcError;

/// Turns wall time into block timestamps, both in Unix seconds.
#[derive(Debug, Clone, Default)]
pub(crate) struct ChainTime {
    /// Seconds the chain is ahead of the wall clock.
    ahead: i64,
    /// Asked for the next block exactly, however long that takes to come.
    exact: Option<u64>,
}

impl ChainTime {
    /// The timestamp of a block mined at wall time `now` after a block of time `latest`.
    ///
    /// Two blocks may share a second: many transactions in one second must not push the chain ahead of the clock.
    pub(crate) fn next(&self, now: u64, latest: u64) -> u64 {
        self.exact.unwrap_or_else(|| now.saturating_add_signed(self.ahead)).max(latest)
    }

    /// The block that `next` was computed for is mined.
    pub(crate) fn mined(&mut self) {
        self.exact = None;
    }

    /// Moves chain time `secs` ahead for good; returns the offset to the wall clock.
    pub(crate) fn increase(&mut self, secs: u64) -> i64 {
        self.ahead = self.ahead.saturating_add_unsigned(secs);
        self.exact = self.exact.map(|at| at.saturating_add(secs));
        self.ahead
    }

    /// Makes the next block's timestamp `at`; time runs on from there.
    ///
    /// # Errors
    /// [`RpcError::TimeGoesBack`] if the latest block is later.
    pub(crate) fn set_next(&mut self, at: u64, now: u64, latest: u64) -> Result<(), RpcError> {
        if at < latest {
            return Err(RpcError::TimeGoesBack { asked: at, latest });
        }
        self.ahead = i64::try_from(i128::from(at) - i128::from(now))
            .map_err(|_| RpcError::InvalidParams("the timestamp is out of range".to_owned()))?;
        self.exact = Some(at);
        Ok(())
    }
}
