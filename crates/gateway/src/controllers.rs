//! Handlers, one file per resource: extract, one call, answer.

pub(crate) mod agents;
pub(crate) mod channels;
pub(crate) mod events;
pub(crate) mod health;
pub(crate) mod invoke;
pub(crate) mod keys;
pub(crate) mod listings;
pub(crate) mod messages;
pub(crate) mod metrics;
pub(crate) mod node;
pub(crate) mod orders;
pub(crate) mod payments;
pub(crate) mod registry;
pub(crate) mod seed;
pub(crate) mod services;
pub(crate) mod typed;
pub(crate) mod wallets;
pub(crate) mod x402;
