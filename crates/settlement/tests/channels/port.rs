//! The node's adapter, the very files: what runs here is what runs there.

#[path = "../../../../node/src/adapters/channels.rs"]
pub(crate) mod channels;
#[path = "../../../../node/src/adapters/refused.rs"]
pub(crate) mod refused;
