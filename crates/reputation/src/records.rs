//! The tables reputation keeps.

use serde::{Deserialize, Serialize};

use haggle_base::{Attestation, Blob, Body, Did, OrderId};
use haggle_store::Table;

use crate::book::Evidence;

/// A piece of evidence and the record it was read from, byte by byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EvidenceRow {
    pub(crate) evidence: Evidence,
    pub(crate) record: Blob<{ Attestation::MAX_BYTES }>,
}

/// Evidence by order, kind and side.
#[derive(Debug)]
pub(crate) struct EvidenceTable;
impl Table for EvidenceTable {
    const NAME: &'static str = "reputation-evidence-1";
    type Key = (OrderId, u8, u8);
    type Value = EvidenceRow;
}

/// Payment addresses that agents were seen to bind: agent and address, with the number of the latest sight.
#[derive(Debug)]
pub(crate) struct BindingsTable;
impl Table for BindingsTable {
    const NAME: &'static str = "reputation-bindings-1";
    type Key = (Did, [u8; 20]);
    type Value = u64;
}

/// The row's key.
pub(crate) fn key_of(evidence: &Evidence) -> (OrderId, u8, u8) {
    (evidence.order, evidence.kind as u8, evidence.side as u8)
}
