//! The harness of the scenarios: a market of real processes on the embedded chain, and what a test asks of it.
//!
//! Each file in `tests/` is one story. A [`Stage`] is a devnet whose nodes run the program that cargo built beside the
//! tests; the stories move its chain's clock, kill its nodes and count its money to the unit. A [`Swarm`] is many markets
//! in one process, for stories about who finds what.

mod anvil;
mod crash;
mod crowd;
mod stage;
mod strangers;
mod swarm;
mod terminal;

pub use anvil::Anvil;
pub use crash::killed_after_each;
pub use crowd::Crowd;
pub use stage::{DOCUMENT, Ground, Hired, Stage, Typed};
pub use strangers::{Sdk, Shop, paid, unpaid};
pub use swarm::{Paid, Swarm};
pub use terminal::Terminal;
