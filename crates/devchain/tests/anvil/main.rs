//! The same signed transactions on anvil and here give the same receipts, logs, revert data and state.
//!
//! Hardfork, base fee and timestamps are pinned on both. Needs anvil, which comes from npm with the contracts' toolchain.

mod pair;
mod program;
mod transactions;
