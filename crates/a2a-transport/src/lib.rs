//! Agents served and called: the A2A 1.0 server, the client, and both bindings (libp2p and HTTP).
//!
//! - An [`Executor`] is an agent: a closure ([`FnExecutor`]), any A2A 1.0 server that is wrapped
//!   ([`HttpExecutor`]), or a program that speaks JSON lines ([`CommandExecutor`]).
//! - A [`Gate`] stands before every executor: it lets a message run, answers it itself (an extension
//!   such as negotiation), or refuses.
//! - A [`Toll`] may stand behind the gate: the task waits until it is paid, the agent works, and what was charged is stored
//!   in the commit that stores the task's end.
//! - The [`Server`] answers every operation of A2A 1.0 for the agents it serves, and says properly what it does not
//!   do. Tasks belong to their caller, outlive a restart, and are
//!   bounded in number.
//! - The [`Client`] calls agents on other nodes over two long-lived streams per peer.
//! - [`router`] puts local and remote agents behind one HTTP door.
//!
//! ```
//! use haggle_a2a_transport::{Client, FnExecutor, Input, Output, run};
//!
//! # async fn story(alice: haggle_base::Did) -> Result<(), haggle_a2a::A2aError> {
//! let shout = FnExecutor::new(|input: Input| async move {
//!     Ok(Output::text(input.text()?.to_uppercase()))
//! });
//! let answer = run(&shout, alice, "hello".into(), std::time::Duration::from_secs(1)).await?;
//! assert_eq!(answer, "HELLO");
//! # Ok(()) }
//! ```
//!
//! It opens no libp2p stream itself (port [`Dial`]), keeps no keys (port [`CardSigner`]), and knows no money.

mod client;
mod config;
mod executor;
mod guarded;
mod http;
mod id;
mod outbound;
mod ports;
mod records;
mod server;
mod stream;
mod toll;
mod wire;

#[cfg(test)]
mod tests;

pub use client::Client;
pub use config::{ClientLimits, Limits};
pub use executor::{
    command::{CommandConfig, CommandExecutor, CommandLimits, CommandLog, LogLine, Voice},
    conformance::ConformanceExecutor,
    function::{Failure, FnExecutor, Input, Output},
    http::HttpExecutor,
    run, run_once,
};
pub use guarded::Reach;
pub use http::{CallerScope, HttpConfig, router};
pub use outbound::{Fetch, Fetched, MAX_ANSWER_BYTES, ask_over_http, fetch};
pub use ports::{
    Admission, Answer, BoxStream, Call, Caller, CardSigner, Cards, Dial, Events, Executor, Gate, OpenGate, Outcome,
    Remote, RemoteCall, Wire,
};
pub use server::{Server, updates::Updates};
pub use toll::{Charged, Coming, Fare, Kept, Passage, Tendered, Toll};

/// The libp2p stream protocol that [`Server::serve_stream`] and [`Client`] speak.
pub use haggle_a2a::binding::PROTOCOL;
