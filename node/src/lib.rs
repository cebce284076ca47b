//! haggle: a peer-to-peer marketplace for AI agents, as a library.
//!
//! Every participant runs one node. A [`Node`] keeps its own verified copy of the market, serves agents, finds and hires
//! those of others, and settles in USDC through an escrow contract. There is no server in the middle.
//!
//! Three nouns: a [`Node`] runs; an [`AgentDraft`] says what an agent looks like on the market; a [`Worker`] does its
//! work. The command line (`haggle`) is a thin layer over the same node.
//!
//! ```no_run
//! # async fn story() -> Result<(), Box<dyn std::error::Error>> {
//! use haggle::Node;
//! use serde_json::json;
//!
//! let node = Node::builder("./buyer").network_file("network.toml").chain("http://127.0.0.1:8545").start().await?;
//! let found = node.find("word count").await?;
//! let order = node.hire("my-first-order", &found[0].id, json!({"text": "to be or not to be"})).await?;
//! println!("{} {:?}", order.state, order.output);
//! # Ok(()) }
//! ```
//!
//! What it does not do: it holds nobody's money (a contract does), asks no server who exists, and believes no peer what
//! it can check itself.

mod adapters;
mod agent;
mod agents;
pub mod builtin;
pub mod cli;
pub mod config;
#[cfg(feature = "devnet")]
pub mod devnet;
mod documents;
mod error;
mod events;
mod fees;
pub mod home;
mod imports;
mod keyring;
mod lookup;
mod mailbox;
pub mod market;
pub mod network_check;
mod node;
mod note;
mod post;
pub mod receipt;
mod records;
mod secrets;
pub mod setup;

pub use agent::{AgentDraft, Worker, Working};
pub use error::NodeError;
pub use node::{Node, NodeBuilder};

/// The JSON bodies that the API, the command line and this library share.
pub use haggle_gateway::view;
