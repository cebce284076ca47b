//! What the benches measure, and beside what: the same exchange with nothing of haggle in it.
//!
//! - [`raw`] is a pair of plain libp2p nodes that exchange bytes by request-response.
//! - [`a2a`] is a pair of haggle nodes whose A2A client calls an agent.
//! - [`pairs`] lets the two take turns; [`load`] calls and counts.
//! - [`vouchers`] verifies vouchers, beside the bare arithmetic and beside alloy.
//! - [`exact`] signs payments for facilitators.
//! - [`discovery`] fills and searches catalogs of a made-up market ([`corpus`]), beside bare [`engines`].
//! - [`simulator`] is a market of up to 10,000 nodes in virtual time, over the catalog's own machines.
//! - [`propagation`] lets listings spread through a crowd, beside bare gossipsub; [`idle`] is a bare node at rest.
//! - [`processor`] reads processor time.
//! - [`http`] is a client that calls a node's gateway and costs little itself.
//!
//! The pairs run over TCP, noise and yamux on loopback, in one process, and carry bodies of equal size, so that a bench
//! can report the ratio from one run. `haggle bench` puts everything together.

pub mod a2a;
pub mod corpus;
pub mod discovery;
pub mod engines;
pub mod exact;
pub mod http;
pub mod idle;
pub mod load;
pub mod pairs;
pub mod processor;
pub mod propagation;
pub mod raw;
pub mod simulator;
pub mod vouchers;
