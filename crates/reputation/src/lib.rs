//! What is remembered of an agent: attestations that a settled payment stands behind, and the figures they add up to.
//!
//! The nouns: an [`Attestation`](haggle_base::Attestation) is what one side of an order says about the other, signed by
//! its agent key and by its payment key; [`Evidence`](book::Evidence) is an attestation that was held against the chain
//! and found true; [`Figures`] are what an agent's evidence adds up to.
//!
//! ```text
//! record -> check against the chain -> evidence -> figures
//!              \-> waits (its settlement was not read yet)   \-> refused, with a reason
//! ```
//!
//! An attestation proves nothing by itself: it counts only if the escrow that the viewer's network file pins has settled
//! the order, with these parties, these terms and these amounts. How an order ended is read from the chain and never
//! taken from what a side says.
//!
//! ```
//! use haggle_reputation::{Score, trust_score};
//!
//! let score = trust_score(Score::from_millionths(998_000), Some(150), Score::from_millionths(999_000));
//! assert_eq!(score.to_string(), "0.9687");
//! ```
//!
//! The figures do not depend on the order in which attestations come, nor on how often: the same set gives the same
//! figures on every node, also after its home was wiped. There is no floating point in them.
//!
//! Not here: spreading records (catalog), reading the chain (settlement). What is not weighed yet: who says it. A ring of
//! agents that pay each other can raise their own figures for the price of the fees; only [`Figures::net`] counts each payer once.

pub mod attest;
pub mod book;
pub mod check;
pub mod ports;

mod bound;
mod dials;
mod error;
mod handle;
mod records;
mod score;
mod waiting;

pub use attest::{Revision, SettledOrder};
pub use error::ReputationError;
pub use handle::{Accepted, Explained, Reputation, ReputationConfig, ReputationEvent};
pub use score::{Figures, Score, trust_score};
