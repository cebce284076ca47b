//! The node's adapters, the very files: what runs here is what runs there.

#[path = "../../../../node/src/adapters/chain.rs"]
pub(crate) mod chain;
#[path = "../../../../node/src/adapters/channels.rs"]
pub(crate) mod channels;
#[path = "../../../../node/src/adapters/refused.rs"]
pub(crate) mod refused;
#[path = "../../../../node/src/adapters/token.rs"]
pub(crate) mod token;
