//! The card: who an agent is, where it is hosted, and which address it is paid to.

use std::time::Duration;

use haggle_base::{
    Did, List, PaymentBinding, PeerId, Text,
    record::{Body, Kind, RecordError},
};
use serde::{Deserialize, Serialize};

use super::{RECORD_TTL, bad, is_json_object};

/// The one slot of a card.
pub const CARD_SLOT: &str = "card";

/// Longest A2A AgentCard as compact JSON, in bytes; the signed record is at most 6 KiB.
pub const MAX_AGENT_CARD_BYTES: usize = 4 * 1024;

/// What an agent says about itself. Its fields stand in the order of canonical CBOR, which saves sorting them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardBody {
    /// Name for people.
    pub name: Text<64>,
    /// Nodes that serve the agent, the best one first.
    pub hosts: List<Host, 4>,
    /// The payment key's signature over the DID. Without a valid one the agent cannot be paid.
    pub binding: Option<PaymentBinding>,
    /// The A2A 1.0 AgentCard, compact JSON.
    pub agent_card: Text<MAX_AGENT_CARD_BYTES>,
}

/// A node that serves an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Its peer id.
    pub peer: PeerId,
    /// Multiaddresses it was seen at; may be stale or empty, then the DHT knows more.
    pub addrs: List<Text<128>, 8>,
}

impl Body for CardBody {
    const KIND: Kind = Kind::Card;
    const MAX_BYTES: usize = 6 * 1024;
    const MAX_TTL: Duration = RECORD_TTL;

    fn check(&self) -> Result<(), RecordError> {
        if self.name.trim().is_empty() {
            return Err(bad("bad_name", "a card needs a name"));
        }
        if !is_json_object(&self.agent_card) {
            return Err(bad("bad_agent_card", "the agent card is not a JSON object"));
        }
        if self.hosts.is_empty() {
            return Err(bad("no_hosts", "a card names at least one host"));
        }
        Ok(())
    }

    fn check_place(&self, _author: &Did, slot: &str) -> Result<(), RecordError> {
        if slot == CARD_SLOT { Ok(()) } else { Err(RecordError::WrongSlot) }
    }
}
