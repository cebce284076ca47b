//! Where ports meet rooms: glue only, no rules.

pub(crate) mod a2a;
pub(crate) mod attest;
pub(crate) mod catalog;
pub(crate) mod chain;
pub(crate) mod channels;
pub(crate) mod endpoints;
pub(crate) mod faults;
pub(crate) mod market;
pub(crate) mod memory;
pub(crate) mod money;
pub(crate) mod notes;
pub(crate) mod refused;
pub(crate) mod token;
pub(crate) mod trade;
