//! The tables settlement keeps. Names carry a version; keys are big-endian, so ranges are in order.

use serde::{Deserialize, Serialize};

use alloy_primitives::B256;
use haggle_base::{Did, OrderId, Usdc};
use haggle_store::tables;

use crate::{
    bond::Bond,
    budget::{Limits, Reservation},
    facts::{Cursor, Fact},
    ledger::{Accounts, Entry},
    payment::Payment,
};

/// The limits set for an agent, if any were, what it spent on the last day it was used, and its accounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AgentRow {
    /// Never a copy of the config's limits: those apply as they are when the books are opened.
    pub(crate) limits: Option<Limits>,
    pub(crate) day: u64,
    pub(crate) spent: Usdc,
    pub(crate) accounts: Accounts,
    pub(crate) next_entry: u64,
}

tables! {
    /// One row per agent.
    pub(crate) Agents = "settlement-agents-1": Did => AgentRow;
    /// One row per reservation that is open or was signed on. A reservation that ended unsigned leaves no row.
    pub(crate) Reservations = "settlement-reservations-1": String => Reservation;
    /// One row per payment this node signed.
    pub(crate) Payments = "settlement-payments-1": OrderId => Payment;
    /// One row per bond this node signed, by the order and its side.
    pub(crate) Bonds = "settlement-bonds-1": (OrderId, u8) => Bond;
    /// The ledger: agent and entry number.
    pub(crate) Ledger = "settlement-ledger-1": (Did, u64) => Entry;
    /// The chain's facts: block and log index.
    pub(crate) Facts = "settlement-facts-1": (u64, u32) => Fact;
    /// The same facts by order.
    pub(crate) FactsByOrder = "settlement-facts-by-order-1": (OrderId, u64, u32) => u8;
    /// How far the chain was read: one row.
    pub(crate) CursorRow = "settlement-cursor-1": () => Cursor;
    /// Earlier cursors, to fall back to after a reorganisation: block to hash.
    pub(crate) Checkpoints = "settlement-checkpoints-1": u64 => B256;
    /// Orders whose end the chain took back, until whoever follows orders has heard of it.
    pub(crate) TakenBack = "settlement-taken-back-1": OrderId => u8;
    /// Tokens sent in from outside that were booked: agent and the caller's name for the transfer.
    pub(crate) Deposits = "settlement-deposits-1": (Did, String) => Usdc;
}
