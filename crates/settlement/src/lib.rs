//! Money between an agent and the chain: budgets, payments, the ledger, and what the chain says happened.
//!
//! The nouns: a [`Reservation`](budget::Reservation) sets money aside within an agent's [`Limits`](budget::Limits); a
//! [`Payment`](payment::Payment) is one signed order, keyed by the order's id; a [`Fact`](facts::Fact) is one event of the
//! escrow contract. [`Settlement`] is the handle to all three.
//!
//! ```text
//! reserve -> authorise (signature stored before it leaves) -> funded -> settled | refunded
//!     \-> cancelled, expired          \-> abandoned (chain time passed fundBy)
//! ```
//!
//! What holds, whatever is killed when:
//! - A reservation pays for one order. Asking for the same signature again gives the stored one; another order is refused.
//! - Limits are checked when money is reserved and again when it is signed, in one place, so calls in parallel cannot pass
//!   them together.
//! - Facts and the cursor behind them are committed in one transaction: each fact is booked exactly once. A block that
//!   leaves the chain takes its bookings back.
//! - Before a transaction is sent the chain is read, so sending again is safe; an outcome that was not seen is looked up,
//!   never signed again.
//! - Every ledger entry sums to zero.
//!
//! Where an agent of this home is paid directly, without an order, the [`till`] does it. A direct transfer that another
//! agent made is booked by [`arrivals`], with what it is for.
//!
//! Not here: talking to an RPC and keeping keys ([`ports`]), deciding what an order says (trade).

pub mod arrivals;
pub mod budget;
pub mod channels;
pub mod facts;
pub mod ledger;
pub mod payment;
pub mod ports;
pub mod purse;
pub mod till;

mod bond;
mod books;
mod config;
mod error;
mod events;
mod follow;
mod handle;
mod records;
mod submit;

#[cfg(test)]
mod laws;
#[cfg(test)]
mod testing;

pub use config::SettlementConfig;
pub use error::SettlementError;
pub use events::PaymentEvent;
pub use handle::{OnChainState, Settlement, WalletView};
pub use submit::Submission;
