//! Orders paid, refunded, timed out and watched on a real chain, to the unit.
#![expect(clippy::unwrap_used, reason = "a test stops where its story does not hold")]
#![expect(clippy::too_many_arguments, reason = "the functions mirror the contracts'")]

mod channels;
mod exact;
mod fees;
mod institutions;
mod many;
mod outages;
mod paying;
mod proxy;
mod quarrels;
mod refusals;
mod several;
mod town;
mod transfers;
mod watching;
