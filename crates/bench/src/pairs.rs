//! A2A over libp2p beside a raw libp2p request of equal bytes, in turns, in one run.

use crate::a2a::A2a;
use crate::load::{Load, Until, median};
use crate::raw::Raw;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Text that makes the request about 1 KiB.
pub const TEXT_BYTES: usize = 880;
/// Callers at once where throughput is measured.
pub const CALLERS: usize = 64;
/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Turns of each side.
    pub rounds: usize,
    /// Calls of one turn of one caller, and before anything is measured.
    pub calls: u64,
    /// Length of one turn where throughput is measured.
    pub turn: Duration,
}

impl Effort {
    /// Enough for figures that can be compared.
    pub const FULL: Self = Self { rounds: 5, calls: 2000, turn: Duration::from_secs(2) };
    /// Enough to see that everything runs.
    pub const QUICK: Self = Self { rounds: 1, calls: 50, turn: Duration::from_millis(100) };
}

/// One figure of each side: microseconds, or calls a second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// The plain libp2p request.
    pub raw: f64,
    /// The A2A call.
    pub a2a: f64,
}

/// How many calls of how many had no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// Calls in all.
    pub calls: u64,
    /// Calls without a good answer.
    pub lost: u64,
}

async fn raw_load(raw: &Raw, size: usize, callers: usize, until: Until) -> Load {
    Load::run(vec![(); callers], until, |(), _| async move { ((), raw.call(vec![7; size]).await.len() == size) }).await
}

async fn a2a_load(a2a: &A2a, callers: usize, until: Until) -> Load {
    let (request, _) = A2a::request(&"x".repeat(TEXT_BYTES));
    let request = &request;
    Load::run(vec![(); callers], until, |(), _| async move { ((), a2a.try_call(request.clone()).await) }).await
}

async fn warm(calls: u64) -> (Raw, A2a, usize) {
    let (_, size) = A2a::request(&"x".repeat(TEXT_BYTES));
    let (raw, a2a) = (Raw::start().await, A2a::start().await);
    raw_load(&raw, size, 1, Until::Calls(calls)).await;
    a2a_load(&a2a, 1, Until::Calls(calls)).await;
    (raw, a2a, size)
}

/// Median latencies of one caller, in microseconds. Meaningful with both ends on one core.
///
/// # Panics
/// Loopback cannot be had.
pub async fn latency(effort: Effort) -> Pair {
    let (raw, a2a, size) = warm(effort.calls).await;
    let mut figures = (Vec::new(), Vec::new());
    let micros = |load: &Load| load.percentile(50).as_secs_f64() * 1e6;
    for _ in 0..effort.rounds {
        figures.0.push(micros(&raw_load(&raw, size, 1, Until::Calls(effort.calls)).await));
        figures.1.push(micros(&a2a_load(&a2a, 1, Until::Calls(effort.calls)).await));
    }
    Pair { raw: median(figures.0), a2a: median(figures.1) }
}

/// Calls a second of [`CALLERS`] callers.
///
/// # Panics
/// Loopback cannot be had.
pub async fn rate(effort: Effort) -> Pair {
    let (raw, a2a, size) = warm(effort.calls).await;
    let mut figures = (Vec::new(), Vec::new());
    for _ in 0..effort.rounds {
        figures.0.push(raw_load(&raw, size, CALLERS, Until::Over(effort.turn)).await.rate());
        figures.1.push(a2a_load(&a2a, CALLERS, Until::Over(effort.turn)).await.rate());
    }
    Pair { raw: median(figures.0), a2a: median(figures.1) }
}

/// Calls without an answer while [`CALLERS`] callers call for so long.
///
/// # Panics
/// Loopback cannot be had.
pub async fn lost(time: Duration) -> Lost {
    let a2a = A2a::start().await;
    let load = a2a_load(&a2a, CALLERS, Until::Over(time)).await;
    Lost { calls: load.calls(), lost: load.errors() }
}
