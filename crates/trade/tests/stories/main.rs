//! Stories of trades between Alice (who sells), Bob (who buys) and Eve, on ports in memory.

#![expect(clippy::unwrap_used, reason = "helpers of tests may unwrap as tests do")]

mod agent;
mod bad_input;
mod by_hand;
mod chain;
mod crashes;
mod deadlines;
mod disputes;
mod paid_call;
mod unhappy_ends;
mod world;
