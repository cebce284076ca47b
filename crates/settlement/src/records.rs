//! The tables settlement keeps. Names carry a version; keys are big-endian, so ranges are in order.

use serde::{Deserialize, Serialize};

use alloy_primitives::B256;
use haggle_base::{Did, OrderId, Usdc};
use haggle_store::Table;

use crate::{
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

/// One row per agent.
#[derive(Debug)]
pub(crate) struct Agents;
impl Table for Agents {
    const NAME: &'static str = "settlement-agents-1";
    type Key = Did;
    type Value = AgentRow;
}

/// One row per reservation that is open or was signed on. A reservation that ended unsigned leaves no row.
#[derive(Debug)]
pub(crate) struct Reservations;
impl Table for Reservations {
    const NAME: &'static str = "settlement-reservations-1";
    type Key = String;
    type Value = Reservation;
}

/// One row per payment this node signed.
#[derive(Debug)]
pub(crate) struct Payments;
impl Table for Payments {
    const NAME: &'static str = "settlement-payments-1";
    type Key = OrderId;
    type Value = Payment;
}

/// The ledger: agent and entry number.
#[derive(Debug)]
pub(crate) struct Ledger;
impl Table for Ledger {
    const NAME: &'static str = "settlement-ledger-1";
    type Key = (Did, u64);
    type Value = Entry;
}

/// The chain's facts: block and log index.
#[derive(Debug)]
pub(crate) struct Facts;
impl Table for Facts {
    const NAME: &'static str = "settlement-facts-1";
    type Key = (u64, u32);
    type Value = Fact;
}

/// The same facts by order.
#[derive(Debug)]
pub(crate) struct FactsByOrder;
impl Table for FactsByOrder {
    const NAME: &'static str = "settlement-facts-by-order-1";
    type Key = (OrderId, u64, u32);
    type Value = u8;
}

/// How far the chain was read: one row.
#[derive(Debug)]
pub(crate) struct CursorRow;
impl Table for CursorRow {
    const NAME: &'static str = "settlement-cursor-1";
    type Key = ();
    type Value = Cursor;
}

/// Earlier cursors, to fall back to after a reorganisation: block to hash.
#[derive(Debug)]
pub(crate) struct Checkpoints;
impl Table for Checkpoints {
    const NAME: &'static str = "settlement-checkpoints-1";
    type Key = u64;
    type Value = B256;
}

/// Tokens sent in from outside that were booked: agent and the caller's name for the transfer.
#[derive(Debug)]
pub(crate) struct Deposits;
impl Table for Deposits {
    const NAME: &'static str = "settlement-deposits-1";
    type Key = (Did, String);
    type Value = Usdc;
}
