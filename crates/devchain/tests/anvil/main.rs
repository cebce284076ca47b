//! The same signed transactions on anvil and here give the same receipts, logs, revert data and state.
//!
//! Hardfork, base fee and timestamps are pinned on both. Needs anvil, which comes from npm with the contracts' toolchain.
#![expect(clippy::unwrap_used, reason = "a test stops where its story does not hold")]
#![expect(clippy::too_many_arguments, reason = "the functions mirror the contracts'")]

mod channels;
mod completeness;
mod orders;
mod pair;
mod people;
mod program;
mod refusing;
mod stage;
mod tools;
mod transactions;
