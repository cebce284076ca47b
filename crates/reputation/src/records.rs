//! The tables reputation keeps.

use serde::{Deserialize, Serialize};

use haggle_base::{Attestation, Blob, Body, Did, OrderId};
use haggle_store::tables;

use crate::book::Evidence;

/// A piece of evidence and the record it was read from, byte by byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EvidenceRow {
    pub(crate) evidence: Evidence,
    pub(crate) record: Blob<{ Attestation::MAX_BYTES }>,
}

tables! {
    /// Evidence by order, kind and side.
    pub(crate) EvidenceTable = "reputation-evidence-1": (OrderId, u8, u8) => EvidenceRow;
    /// Payment addresses that agents were seen to bind: agent and address, with the number of the latest sight.
    pub(crate) BindingsTable = "reputation-bindings-1": (Did, [u8; 20]) => u64;
}

/// The row's key.
pub(crate) fn key_of(evidence: &Evidence) -> (OrderId, u8, u8) {
    (evidence.order, evidence.kind as u8, evidence.side as u8)
}
