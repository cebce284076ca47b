//! What the benches measure beside haggle: the same exchange with nothing of haggle in it.
//!
//! - [`raw`] is a pair of plain libp2p nodes that exchange bytes by request-response.
//! - [`a2a`] is a pair of haggle nodes whose A2A client calls an agent.
//!
//! Both run over TCP, noise and yamux on loopback, in one process, and carry bodies of equal size, so that a bench can
//! report the ratio from one run.

pub mod a2a;
pub mod raw;
