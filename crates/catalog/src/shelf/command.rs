//! What the shelf can be told.

use std::sync::Arc;

use haggle_base::{Did, RecordId};

use crate::{door::Entry, ports::PaidRoom};

/// Put a verified record in its place.
#[derive(Debug, Clone)]
pub struct Put {
    /// What the shelf keeps of the record.
    pub entry: Arc<Entry>,
}

/// Charge what an author has on the shelf to the room that is paid for.
#[derive(Debug, Clone, Copy)]
pub struct Pay {
    /// The author.
    pub author: Did,
    /// Its room.
    pub room: PaidRoom,
}

/// Let go of a record that this node no longer keeps for others.
#[derive(Debug, Clone, Copy)]
pub struct Discard {
    /// The record.
    pub id: RecordId,
}

/// Remove what expired.
#[derive(Debug, Clone, Copy)]
pub struct Sweep {
    /// At most so many records, and so many refused ids.
    pub limit: usize,
}
