//! The pointer: where an agent is to be found, in a record small enough for the DHT.
//!
//! Whoever knows nothing but an agent's DID makes the [`key`] of it, asks the DHT for what lies there, and puts every value to
//! [`check`]: what passes was said by the agent itself. Of several that pass the newest counts ([`newness`]). The hosts that
//! it names have the card.

use std::cmp::Reverse;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::bounded::{List, Text};
use crate::clock::Timestamp;
use crate::did::{Did, PeerId};
use crate::error::Coded;
use crate::hash::Hash;
use crate::ids::{NetworkId, RecordId};
use crate::keys::AgentKey;
use crate::record::{Body, Kind, Record, RecordError, Signed, Verified};

/// The one slot of a pointer.
pub const POINTER_SLOT: &str = "pointer";

/// The largest pointer as signed, in bytes.
pub const MAX_POINTER_BYTES: usize = 1024;

/// Longest life of a pointer. Its author signs it anew at half of that.
pub const POINTER_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

/// What the key's hash begins with, so that no other use of blake3 in this market makes the same key.
const KEY_DOMAIN: &[u8] = b"haggle/pointer/v1\0";

/// Where an agent is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pointer {
    /// The agent's card, as it was when this was signed; `None` together with no hosts.
    pub card: Option<RecordId>,
    /// Nodes that serve the agent, the best one first. None means that it is gone.
    pub hosts: List<PointerHost, 4>,
    /// Nodes that keep messages for it.
    pub mailboxes: List<PeerId, 4>,
}

/// A node that serves an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PointerHost {
    /// Its peer id.
    pub peer: PeerId,
    /// Multiaddresses it was seen at; may be stale or empty, then the DHT knows more.
    pub addrs: List<Text<128>, 4>,
}

impl Pointer {
    /// What is said of an agent that is served nowhere any more.
    #[must_use]
    pub fn withdrawn() -> Self {
        Self { card: None, hosts: List::new(), mailboxes: List::new() }
    }

    /// Signs it for [`POINTER_TTL`]. Where the addresses are too long for one pointer, the last ones of the host that has most
    /// of them are left out.
    ///
    /// # Errors
    /// [`RecordError`] if it breaks a rule.
    pub fn sign(
        mut self,
        network: &NetworkId,
        seq: u64,
        now: Timestamp,
        key: &AgentKey,
    ) -> Result<Verified<Self>, RecordError> {
        loop {
            let slot = Text::try_from(POINTER_SLOT).map_err(|_| RecordError::WrongSlot)?;
            let record = Record { seq, ..Record::new(network.clone(), slot, now, POINTER_TTL, self.clone()) };
            match Signed::sign(&record, key) {
                Err(error) if error.code() == "too_large" && self.leave_one_out() => {}
                signed => return signed?.verify(network, now),
            }
        }
    }

    /// Leaves one address out; false if there is none.
    fn leave_one_out(&mut self) -> bool {
        let mut hosts = std::mem::take(&mut self.hosts).into_vec();
        let longest = hosts.iter_mut().max_by_key(|host| host.addrs.len());
        let left_out = longest.is_some_and(|host| {
            let mut addrs = std::mem::take(&mut host.addrs).into_vec();
            let had_one = addrs.pop().is_some();
            host.addrs = addrs.try_into().unwrap_or_default();
            had_one
        });
        self.hosts = hosts.try_into().unwrap_or_default();
        left_out
    }
}

impl Body for Pointer {
    const KIND: Kind = Kind::Pointer;
    const MAX_BYTES: usize = MAX_POINTER_BYTES;
    const MAX_TTL: Duration = POINTER_TTL;

    fn check(&self) -> Result<(), RecordError> {
        if self.card.is_none() != self.hosts.is_empty() {
            return Err(bad("bad_pointer", "a pointer names a card and its hosts, or neither"));
        }
        let hosts: Vec<PeerId> = self.hosts.iter().map(|host| host.peer).collect();
        if !is_distinct(&hosts) || !is_distinct(&self.mailboxes) {
            return Err(bad("bad_pointer", "a pointer names a peer twice"));
        }
        Ok(())
    }

    fn check_place(&self, _author: &Did, slot: &str) -> Result<(), RecordError> {
        if slot == POINTER_SLOT { Ok(()) } else { Err(RecordError::WrongSlot) }
    }
}

const fn bad(code: &'static str, reason: &'static str) -> RecordError {
    RecordError::BadBody { code, reason }
}

fn is_distinct(peers: &[PeerId]) -> bool {
    peers.iter().enumerate().all(|(at, peer)| !peers[..at].contains(peer))
}

/// Where the pointer of an agent lies in the DHT of a network.
#[must_use]
pub fn key(network: &NetworkId, agent: &Did) -> Hash {
    // a network's id holds no zero byte, so the parts cannot run into each other
    Hash::of_parts(&[KEY_DOMAIN, network.as_str().as_bytes(), b"\0", agent.public_key()])
}

/// Reads a value that lies at a key of the DHT: its size, form, signature, network and times, and that it lies where its author's
/// pointer belongs.
///
/// # Errors
/// Any [`RecordError`]; `wrong_slot` for the pointer of another agent.
pub fn check(network: &NetworkId, key: &[u8], value: &[u8], now: Timestamp) -> Result<Verified<Pointer>, RecordError> {
    let pointer = Signed::<Pointer>::from_bytes(value.to_vec())?;
    // the cheap question first
    if key != self::key(network, pointer.claimed_author()).as_bytes() {
        return Err(RecordError::WrongSlot);
    }
    pointer.verify(network, now)
}

/// How new a pointer is: of two of one agent the greater one counts, by `seq`, then the one with the lower id.
#[must_use]
pub fn newness(pointer: &Verified<Pointer>) -> (u64, Reverse<RecordId>) {
    (pointer.record().seq, Reverse(pointer.id()))
}

#[cfg(test)]
mod tests;
