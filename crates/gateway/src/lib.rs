//! The node's local HTTP face: REST under `/v1`, A2A, events, metrics and health.
//!
//! The gateway binds loopback, lets nothing pass without the right Host, Origin and API token
//! (cards, health and calls that are paid for excepted), and refuses with one error body, [`ApiError`].
//!
//! Three nouns: [`NodeApi`] is what the gateway asks of the node, [`view`] holds the JSON bodies,
//! [`Bound`] becomes a serving [`Gateway`]. There is no market rule in here: a handler extracts,
//! makes one call through [`NodeApi`] and answers.

mod controllers;
mod error;
mod extract;
mod guard;
mod ports;
mod router;
mod server;
mod state;
mod successor;
pub mod view;

pub use error::ApiError;
pub use guard::{Guard, KEY_PREFIX};
pub use ports::{NodeApi, PaidAnswer, PaidCall, Readiness};
pub use router::BODY_LIMIT;
pub use server::{Bound, Gateway};
