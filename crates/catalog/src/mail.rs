//! Letters for agents that cannot be reached: sealed, left with a keeper, collected by their recipients, receipted.
//!
//! A [`Letter`] is signed by its sender and sealed to its recipient; whoever keeps it learns who writes to whom, when, and how
//! much. A [`Keeper`] holds letters for agents of other nodes within bounds that the [`ledger`] keeps. [`Outbox`] is the sender's
//! side: what was said, where it was left, and what became of it. As specified in `docs/protocols/mailbox.md`.

mod error;
mod keeper;
pub mod ledger;
pub mod letter;
mod outbox;
mod records;
#[cfg(test)]
mod tests;
mod visit;
pub mod wire;

pub use error::MailError;
pub use keeper::{Keeper, KeeperStatus, Served};
pub use ledger::Limits;
pub use letter::{Content, Letter, LetterError, Pass, Receipt, Timing, Token};
pub use outbox::{Ending, Outbox, OutboxError, Prepared, Purpose, Sent};
pub use visit::{Deposited, Visit, deposit, hear, say, tell_news};
