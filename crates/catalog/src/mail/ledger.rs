//! What a keeper has room for: a pure machine that is told of letters and time, and says what is kept, refused and evicted.
//!
//! Each recipient has two halves that do not touch: one for senders with its token, one for all others. Nothing that was kept
//! goes before it is over, collected, or evicted by the one rule: when the keeper as a whole is full, whoever takes most room
//! there gives up its oldest letter, those of strangers first, for one who takes less.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use haggle_base::{Did, Hash, PeerId, Timestamp};

use super::wire::{Half, Refusal};

/// Least that a letter counts, so that small ones are few enough too.
pub const LEAST_SIZE: u64 = 1024;
/// How long a recipient that does not come keeps its place.
pub const PLACE_TTL: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long a receipt waits for its sender.
pub const RECEIPT_TTL: Duration = Duration::from_secs(72 * 3600);
/// Receipts kept for one sender.
pub const RECEIPTS_OF_ONE: usize = 512;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all letters.
    pub bytes: u64,
    /// Recipients.
    pub recipients: usize,
    /// Recipients that one node speaks for.
    pub recipients_of_node: usize,
    /// Bytes of each half of a recipient.
    pub half: u64,
    /// Bytes of one sender for one recipient.
    pub sender: u64,
    /// Receipts of all senders.
    pub receipts: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 256 * 1024 * 1024,
            recipients: 4096,
            recipients_of_node: 64,
            half: 512 * 1024,
            sender: 64 * 1024,
            receipts: 65_536,
        }
    }
}

/// A letter that is kept, by what its header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its name.
    pub id: Hash,
    /// Who wrote it.
    pub from: Did,
    /// What it counts.
    pub size: u64,
    /// Which half it stands in.
    pub half: Half,
    /// When it is over.
    pub expires: Timestamp,
}

impl Held {
    /// What a letter of so many bytes counts.
    #[must_use]
    pub fn size_of(bytes: usize) -> u64 {
        u64::try_from(bytes).unwrap_or(u64::MAX).max(LEAST_SIZE)
    }
}

/// Where a letter stands: its recipient, and its number there. Numbers rise.
pub type Place = (Did, u64);

#[derive(Clone, Debug)]
struct Recipient {
    node: PeerId,
    seen: Timestamp,
    letters: BTreeMap<u64, Held>,
}

impl Recipient {
    fn bytes(&self, counts: impl Fn(&Held) -> bool) -> u64 {
        self.letters.values().filter(|held| counts(held)).map(|held| held.size).sum()
    }
}

/// What became of a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Deposit {
    /// It has room under this number, once these are gone.
    Room {
        /// Its number.
        number: u64,
        /// What goes for it.
        evicted: Vec<Place>,
    },
    /// It is kept already.
    Known,
    /// It is not kept.
    Refused(Refusal),
}

/// Letters and receipts by their headers.
#[derive(Debug)]
pub struct Ledger {
    limits: Limits,
    recipients: BTreeMap<Did, Recipient>,
    /// Bytes of all letters, by recipient for the rule of eviction.
    bytes: BTreeMap<Did, u64>,
    total: u64,
    next: u64,
    ends: BTreeSet<(Timestamp, Place)>,
    receipts: BTreeMap<(Did, Hash), Timestamp>,
    receipt_ends: BTreeSet<(Timestamp, Did, Hash)>,
}

impl Ledger {
    /// An empty one.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            recipients: BTreeMap::new(),
            bytes: BTreeMap::new(),
            total: 0,
            next: 1,
            ends: BTreeSet::new(),
            receipts: BTreeMap::new(),
            receipt_ends: BTreeSet::new(),
        }
    }

    /// Gives an agent a place, or says that it was seen: `node` speaks for it.
    ///
    /// # Errors
    /// [`Refusal::NoPlace`]; a place that is taken is not given away before [`PLACE_TTL`] has passed.
    pub fn greet(&mut self, agent: Did, node: PeerId, now: Timestamp) -> Result<(), Refusal> {
        if !self.recipients.contains_key(&agent) {
            let of_node = self.recipients.values().filter(|recipient| recipient.node == node).count();
            if of_node >= self.limits.recipients_of_node || self.recipients.len() >= self.limits.recipients {
                return Err(Refusal::NoPlace);
            }
        }
        self.seat(agent, node, now);
        Ok(())
    }

    /// Whose place goes to an agent of `node` when all are taken: of the node that has most, more than this one would have, the
    /// empty one that nobody came for longest.
    #[must_use]
    pub fn gives_way(&self, agent: &Did, node: PeerId) -> Option<Did> {
        if self.recipients.contains_key(agent) || self.recipients.len() < self.limits.recipients {
            return None;
        }
        let mut places: BTreeMap<PeerId, usize> = BTreeMap::new();
        for recipient in self.recipients.values() {
            *places.entry(recipient.node).or_default() += 1;
        }
        let own = places.get(&node).copied().unwrap_or_default();
        let (most, count) = places.into_iter().max_by_key(|(_, count)| *count)?;
        let empty = |recipient: &Recipient| recipient.node == most && recipient.letters.is_empty();
        let empty = self.recipients.iter().filter(|(_, recipient)| count > own + 1 && empty(recipient));
        empty.min_by_key(|(_, recipient)| recipient.seen).map(|(agent, _)| *agent)
    }

    /// Puts down a place that was given before.
    pub(super) fn seat(&mut self, agent: Did, node: PeerId, seen: Timestamp) {
        let recipient =
            self.recipients.entry(agent).or_insert_with(|| Recipient { node, seen, letters: BTreeMap::new() });
        (recipient.node, recipient.seen) = (node, recipient.seen.max(seen));
    }

    /// Places that nobody came for, with nothing in them.
    #[must_use]
    pub fn lapsed(&self, now: Timestamp) -> Vec<Did> {
        let is_over = |recipient: &Recipient| recipient.letters.is_empty() && now.since(recipient.seen) >= PLACE_TTL;
        self.recipients.iter().filter(|(_, recipient)| is_over(recipient)).map(|(agent, _)| *agent).collect()
    }

    /// Gives a place up.
    pub fn leave(&mut self, agent: &Did) {
        self.recipients.remove(agent);
    }

    /// Whether a letter has room. Nothing changes before [`Self::add`]; what is over must be removed before.
    pub fn room_for(&self, to: &Did, letter: &Held) -> Deposit {
        let Some(recipient) = self.recipients.get(to) else { return Deposit::Refused(Refusal::NotKept) };
        if recipient.letters.values().any(|held| held.id == letter.id) {
            return Deposit::Known;
        }
        if recipient.bytes(|held| held.from == letter.from) + letter.size > self.limits.sender {
            return Deposit::Refused(Refusal::SenderFull);
        }
        if recipient.bytes(|held| held.half == letter.half) + letter.size > self.limits.half {
            return Deposit::Refused(Refusal::MailboxFull);
        }
        match self.evicted_for(to, letter.size) {
            Some(evicted) => Deposit::Room { number: self.next, evicted },
            None => Deposit::Refused(Refusal::KeeperFull),
        }
    }

    /// What has to go so that `size` more have room; `None` if the recipient takes as much room as anybody.
    fn evicted_for(&self, to: &Did, size: u64) -> Option<Vec<Place>> {
        let mut evicted = Vec::new();
        if self.total + size <= self.limits.bytes {
            return Some(evicted);
        }
        let own = self.bytes.get(to).copied().unwrap_or_default() + size;
        let mut bytes = self.bytes.clone();
        let mut left = self.total + size;
        while left > self.limits.bytes {
            let (fullest, most) = bytes.iter().max_by_key(|(agent, most)| (**most, **agent))?;
            if fullest == to || *most <= own {
                return None;
            }
            let fullest = *fullest;
            let letters = &self.recipients.get(&fullest)?.letters;
            let still = |number: &u64| !evicted.contains(&(fullest, *number));
            let oldest = |half: Half| {
                let mut of_half = letters.iter().filter(|(number, held)| held.half == half && still(number));
                of_half.next().map(|(number, held)| (*number, held.size))
            };
            let (number, gone) = oldest(Half::Open).or_else(|| oldest(Half::Known))?;
            evicted.push((fullest, number));
            left -= gone;
            *bytes.get_mut(&fullest)? -= gone;
        }
        Some(evicted)
    }

    /// Puts down a letter that is on disk under this number.
    pub fn add(&mut self, to: Did, number: u64, letter: Held) {
        let Some(recipient) = self.recipients.get_mut(&to) else { return };
        self.next = self.next.max(number + 1);
        self.total += letter.size;
        *self.bytes.entry(to).or_default() += letter.size;
        self.ends.insert((letter.expires, (to, number)));
        recipient.letters.insert(number, letter);
    }

    /// Takes a letter away.
    pub fn remove(&mut self, (to, number): &Place) -> Option<Held> {
        let held = self.recipients.get_mut(to)?.letters.remove(number)?;
        self.total -= held.size;
        self.ends.remove(&(held.expires, (*to, *number)));
        if let Some(bytes) = self.bytes.get_mut(to) {
            *bytes -= held.size;
            if *bytes == 0 {
                self.bytes.remove(to);
            }
        }
        Some(held)
    }

    /// Letters that are over, the oldest first, at most `most` of them.
    #[must_use]
    pub fn over(&self, now: Timestamp, most: usize) -> Vec<Place> {
        self.ends.iter().take_while(|(end, _)| *end <= now).map(|(_, place)| *place).take(most).collect()
    }

    /// The numbers of an agent's letters of one half, the oldest first, with their sizes.
    pub fn letters<'a>(&'a self, agent: &Did, half: Half) -> impl Iterator<Item = (u64, u64)> + 'a {
        let letters = self.recipients.get(agent).into_iter().flat_map(|recipient| &recipient.letters);
        letters.filter(move |(_, held)| held.half == half).map(|(number, held)| (*number, held.size))
    }

    /// The letter of this name, if the agent has it.
    #[must_use]
    pub fn find(&self, agent: &Did, id: &Hash) -> Option<(u64, &Held)> {
        let letters = &self.recipients.get(agent)?.letters;
        letters.iter().find(|(_, held)| held.id == *id).map(|(number, held)| (*number, held))
    }

    /// The node that spoke for an agent last.
    #[must_use]
    pub fn node_of(&self, agent: &Did) -> Option<PeerId> {
        self.recipients.get(agent).map(|recipient| recipient.node)
    }

    /// How many letters wait for an agent.
    #[must_use]
    pub fn count(&self, agent: &Did) -> usize {
        self.recipients.get(agent).map_or(0, |recipient| recipient.letters.len())
    }

    /// Bytes of all letters, letters, and recipients.
    #[must_use]
    pub fn sums(&self) -> (u64, usize, usize) {
        (self.total, self.ends.len(), self.recipients.len())
    }

    /// Puts down a receipt for a sender, and says which ones go for it.
    #[must_use]
    pub fn add_receipt(&mut self, sender: Did, letter: Hash, expires: Timestamp) -> Vec<(Did, Hash)> {
        let mut gone = Vec::new();
        if let Some(before) = self.receipts.insert((sender, letter), expires) {
            self.receipt_ends.remove(&(before, sender, letter));
        }
        self.receipt_ends.insert((expires, sender, letter));
        let of_sender: Vec<(Timestamp, Hash)> = self.receipts_with_ends(&sender).collect();
        if of_sender.len() > RECEIPTS_OF_ONE {
            gone.extend(of_sender.iter().min().map(|(_, oldest)| (sender, *oldest)));
        } else if self.receipts.len() > self.limits.receipts {
            gone.extend(self.receipt_ends.first().map(|(_, sender, letter)| (*sender, *letter)));
        }
        for (sender, letter) in &gone {
            self.remove_receipt(sender, letter);
        }
        gone
    }

    fn receipts_with_ends<'a>(&'a self, sender: &Did) -> impl Iterator<Item = (Timestamp, Hash)> + 'a {
        let from = (*sender, Hash::from([0; 32]));
        let to = (*sender, Hash::from([0xff; 32]));
        self.receipts.range(from..=to).map(|((_, letter), end)| (*end, *letter))
    }

    /// The letters of a sender for which receipts wait.
    pub fn receipts<'a>(&'a self, sender: &Did) -> impl Iterator<Item = Hash> + 'a {
        self.receipts_with_ends(sender).map(|(_, letter)| letter)
    }

    /// Takes a receipt away; true if there was one.
    pub fn remove_receipt(&mut self, sender: &Did, letter: &Hash) -> bool {
        let Some(end) = self.receipts.remove(&(*sender, *letter)) else { return false };
        self.receipt_ends.remove(&(end, *sender, *letter));
        true
    }

    /// Receipts that nobody asked for in time.
    #[must_use]
    pub fn receipts_over(&self, now: Timestamp, most: usize) -> Vec<(Did, Hash)> {
        let over = self.receipt_ends.iter().take_while(|(end, _, _)| *end <= now);
        over.map(|(_, sender, letter)| (*sender, *letter)).take(most).collect()
    }
}
