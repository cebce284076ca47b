//! The Agent2Agent protocol (A2A 1.0) as values and decisions, without any input or output.
//!
//! An agent is asked with a **message**, works on a **task**, and answers with artifacts or with a
//! message of its own. This room knows what those look like on the wire, which steps a task may take,
//! and how a call travels over a libp2p stream; who opens the stream and who does the work is
//! somebody else's business (`haggle-a2a-transport`).
//!
//! - [`types`]: the official Rust types (`a2a-lf`, pinned), for typed views.
//! - [`card`]: build, check, sign and verify agent cards; the card a gateway shows for somebody else's agent.
//! - [`answer`]: check what an agent answered, for inspectors.
//! - [`message`]: check what strangers send, build and read parts.
//! - [`task`]: the task machine; a command and `now` go in, an event comes out.
//! - [`event`] and [`list`]: what streams carry, and how tasks are listed page by page.
//! - [`envelope`]: the owner's `A2AMessage`, one signed envelope between agents (`docs/protocols/messages.md`).
//! - [`rpc`]: the JSON-RPC envelope, with the standard's error codes.
//! - [`params`]: version, extensions and the rest of a call's service parameters.
//! - [`frame`] and [`binding`]: the libp2p binding, specified in `docs/protocols/a2a-libp2p.md`.
//!
//! Bodies stay raw [`serde_json::Value`]s from end to end, so a field that this version does not
//! know (`generation` of A2A 1.1, a vendor's metadata) arrives as it was sent.
//!
//! ```
//! use haggle_a2a::{message, rpc};
//! let ask = message::user("m-1", vec![message::text("how many words?")]);
//! let request = rpc::request(1, "SendMessage", serde_json::json!({ "message": ask }));
//! let parsed = rpc::Request::parse(request).expect("well formed");
//! assert_eq!(parsed.method, "SendMessage");
//! ```
//!
//! It holds no keys: whoever signs a card hands the key in.

pub mod answer;
pub mod binding;
pub mod card;
pub mod envelope;
pub mod error;
pub mod event;
pub mod frame;
pub mod list;
pub mod message;
pub mod names;
pub mod params;
pub mod rpc;
pub mod task;
pub mod types;

pub use error::{A2aError, Kind};
pub use params::ServiceParams;
pub use rpc::Request;
pub use task::Task;

/// The protocol version on the wire; patch numbers never appear there (A2A section 3.6).
pub const VERSION: &str = "1.0";

/// The longest body of a request or an answer, in bytes, on every binding.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;
