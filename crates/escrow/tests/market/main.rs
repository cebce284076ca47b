//! Orders paid, refunded, timed out and watched on a real chain, to the unit.

mod outages;
mod paying;
mod refusals;
mod town;
mod watching;
