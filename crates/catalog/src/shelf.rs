//! The shelf: which record stands in which place, decided without doing.
//!
//! A pure machine. It takes a verified record and `now`, and answers what became of it; bytes,
//! disk and network are elsewhere. Below quota the outcome does not depend on the order in which
//! records arrive: in each place stands the one with the highest `seq`, of equals the lowest id.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use haggle_base::{Address, Did, Kind, RecordId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    door::{Entry, Place},
    sync::digest::{Digest, Sum},
    sync::session::{Sets, ShardSet},
};

pub mod command;
pub mod event;
mod named;
mod room;
#[cfg(test)]
mod tests;

use named::{ById, ByPlace, Mark, Marked, mark};
use room::Charged;

/// Live listings of an author that nobody paid for.
pub const FREE_LISTINGS: usize = 4;

/// Listings and tombstones together of an author who paid for none: withdrawn slots are remembered too.
pub const FREE_SLOTS: usize = 20;

/// As many more for each of its listings that is paid for.
const SLOTS_OF_PAID: usize = FREE_SLOTS / FREE_LISTINGS;

/// Percent of a shard's capacity for all cards, listings and tombstones together that nobody paid for.
const FREE_SHARE_PERCENT: usize = 10;

/// Percent of a shard's capacity for the attestations of one author.
const AUTHOR_ATTESTATIONS_PERCENT: usize = 10;

/// Refused ids remembered per shard, as a part of its capacity; the soonest to expire go first.
const REFUSED_PERCENT: usize = 10;

/// A record id that was refused for quota. It stays in the reconciliation set until it expires,
/// else every sync would fetch it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Its shard.
    pub shard: u16,
    /// Who signed the record.
    pub author: Did,
    /// The wallet that it claims, if it is a card ([`Shelf::claims`]).
    pub wallet: Option<Address>,
    /// When it was made.
    pub created: Timestamp,
    /// When it stops being valid.
    pub expires: Timestamp,
}

/// Everything held, by place, id, author, subject, shard and expiry.
#[derive(Debug, Clone)]
pub struct Shelf {
    capacity: usize,
    places: HashSet<ByPlace>,
    entries: HashSet<ById>,
    refused: HashMap<RecordId, Refused>,
    /// The same by author.
    refused_by: BTreeSet<(Mark, RecordId)>,
    by_author: BTreeSet<Marked>,
    by_subject: BTreeSet<Marked>,
    by_expiry: BTreeSet<(Timestamp, ById)>,
    shards: Vec<Shard>,
    charged: Charged,
}

/// The counts and the reconciliation set of one shard.
#[derive(Debug, Clone, Default)]
struct Shard {
    /// Held and refused, in the order that reconciliation wants.
    set: BTreeSet<(Timestamp, RecordId)>,
    /// What stands for the set when two nodes compare.
    sum: Sum,
    /// Cards, listings and tombstones that nobody paid for, oldest first.
    free: BTreeSet<(Timestamp, ById)>,
    /// Records held.
    held: usize,
    /// Refused ids by expiry.
    refused: BTreeSet<(Timestamp, RecordId)>,
}

impl Shelf {
    /// An empty shelf of `shards` shards for `capacity` records each.
    #[must_use]
    pub fn new(shards: u16, capacity: usize) -> Self {
        Self {
            capacity,
            places: HashSet::new(),
            entries: HashSet::new(),
            refused: HashMap::new(),
            refused_by: BTreeSet::new(),
            by_author: BTreeSet::new(),
            by_subject: BTreeSet::new(),
            by_expiry: BTreeSet::new(),
            shards: vec![Shard::default(); usize::from(shards.max(1))],
            charged: Charged::default(),
        }
    }

    /// Puts a record in its place, if it belongs there.
    ///
    /// # State Transition
    /// `Fresh`: the place was empty and is taken. `Replaced`: the record that stood there, which
    /// has a lower `seq` (or the same and a higher id), is gone. `OverQuota`: only the id is
    /// kept, for reconciliation. `Known`, `Stale`, `Expired`: nothing changes.
    pub fn put(&mut self, command::Put { entry }: command::Put, now: Timestamp) -> event::Put {
        let held = match self.displaced(&entry, now) {
            Ok(held) => held,
            Err(outcome) => return outcome,
        };
        if let Err(quota) = self.check_author(&entry, held.as_deref()) {
            let forgotten = self.refuse(entry.id, Refused::of(&entry));
            return event::Put::OverQuota { quota, forgotten };
        }
        let evicted = match self.make_room(&entry, held.as_deref()) {
            Ok(evicted) => evicted,
            Err(quota) => {
                let forgotten = self.refuse(entry.id, Refused::of(&entry));
                return event::Put::OverQuota { quota, forgotten };
            }
        };
        match held {
            None => {
                let (evicted, forgotten) = evicted.unzip();
                self.insert(entry);
                event::Put::Fresh { evicted, forgotten: forgotten.flatten() }
            }
            Some(old) => {
                self.remove(&old.id);
                self.insert(entry);
                event::Put::Replaced { old }
            }
        }
    }

    /// The bound of its author that keeps a record off the shelf which would stand there otherwise.
    #[must_use]
    pub fn author_quota(&self, entry: &Entry, now: Timestamp) -> Option<event::Quota> {
        let held = self.displaced(entry, now).ok()?;
        self.check_author(entry, held.as_deref()).err()
    }

    /// The record in whose place this one would stand, if it is newer than that.
    #[must_use]
    pub fn replaced_by(&self, entry: &Entry, now: Timestamp) -> Option<&Entry> {
        let held = self.displaced(entry, now).ok()??;
        self.get(&held.id)
    }

    /// Lets go of a record, for a node that keeps only a part of the market.
    ///
    /// # State Transition
    /// `Gone`: its place is empty; it counts neither as refused nor as held, so that it may come again. `Unknown`: nothing
    /// changes.
    pub fn discard(&mut self, command::Discard { id }: command::Discard) -> event::Discard {
        self.remove(&id).map_or(event::Discard::Unknown, event::Discard::Gone)
    }

    /// Removes what expired, at most `limit` records and refused ids each.
    pub fn sweep(&mut self, command::Sweep { limit }: command::Sweep, now: Timestamp) -> event::Sweep {
        let due = self.by_expiry.iter().take_while(|(expires, _)| *expires <= now).take(limit);
        let due: Vec<RecordId> = due.map(|(_, ById(entry))| entry.id).collect();
        let expired: Vec<Arc<Entry>> = due.iter().filter_map(|id| self.remove(id)).collect();
        let mut forgotten = Vec::new();
        for shard in 0..self.shards.len() {
            while forgotten.len() < limit
                && let Some(&(expires, id)) = self.shards[shard].refused.first()
                && expires <= now
            {
                self.forget(&id);
                forgotten.push(id);
            }
        }
        event::Sweep { expired, forgotten }
    }

    /// Puts back what was stored, without deciding anew.
    pub fn restore(&mut self, entry: impl Into<Arc<Entry>>) {
        self.insert(entry.into());
    }

    /// Puts back a refused id that was stored; returns the one that there is no room for any more: the bound may be another
    /// than when it was stored, and what is held is not refused.
    pub fn restore_refused(&mut self, id: RecordId, refused: Refused) -> Option<RecordId> {
        if self.get(&id).is_some() {
            return Some(id);
        }
        self.refuse(id, refused)
    }

    /// What is held of a record.
    #[must_use]
    pub fn get(&self, id: &RecordId) -> Option<&Entry> {
        self.entries.get(id).map(|ById(entry)| entry.as_ref())
    }

    /// The record in a place.
    #[must_use]
    pub fn at(&self, place: &Place) -> Option<&Entry> {
        self.places.get(place).map(|ByPlace(entry)| entry.as_ref())
    }

    /// What is remembered of a record that came and had no room.
    #[must_use]
    pub fn refused(&self, id: &RecordId) -> Option<&Refused> {
        self.refused.get(id)
    }

    /// Whether the record came and there was no room for it.
    #[must_use]
    pub fn is_refused(&self, id: &RecordId) -> bool {
        self.refused.contains_key(id)
    }

    /// Every record held of an author, by id.
    pub fn by_author(&self, author: &Did) -> impl Iterator<Item = &Entry> + use<'_> {
        let author = *author;
        marked(&self.by_author, mark(&author)).filter(move |entry| entry.author == author)
    }

    /// Every attestation held about an agent, by id.
    pub fn about(&self, subject: &Did) -> impl Iterator<Item = &Entry> + use<'_> {
        let subject = *subject;
        marked(&self.by_subject, mark(&subject)).filter(move |entry| entry.subject.as_deref() == Some(&subject))
    }

    /// Every record held, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().map(|ById(entry)| entry.as_ref())
    }

    /// Number of records held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Records held by kind.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<Kind, usize> {
        let mut counts = BTreeMap::new();
        for ById(entry) in &self.entries {
            *counts.entry(entry.kind).or_insert(0) += 1;
        }
        counts
    }

    /// Number of shards.
    #[must_use]
    pub fn shards(&self) -> u16 {
        u16::try_from(self.shards.len()).unwrap_or(u16::MAX)
    }

    /// The reconciliation set of a shard: held and refused ids in order of (created, id).
    pub fn set(&self, shard: u16) -> impl Iterator<Item = (Timestamp, RecordId)> + '_ {
        self.shards.get(usize::from(shard)).into_iter().flat_map(|shard| shard.set.iter().copied())
    }

    /// The record in whose place this one would stand, if there is one; or why it would not stand there.
    fn displaced(&self, entry: &Entry, now: Timestamp) -> Result<Option<Arc<Entry>>, event::Put> {
        if entry.expires <= now {
            return Err(event::Put::Expired);
        }
        if self.entries.contains(&entry.id) {
            return Err(event::Put::Known);
        }
        let held = self.places.get(&entry.place).map(|ByPlace(held)| Arc::clone(held));
        match held {
            Some(held) if entry.seq < held.seq || (entry.seq == held.seq && entry.id >= held.id) => {
                Err(event::Put::Stale { held: held.id })
            }
            held => Ok(held),
        }
    }

    fn check_author(&self, entry: &Entry, held: Option<&Entry>) -> Result<(), event::Quota> {
        if entry.kind == Kind::Attestation {
            let attested =
                self.by_author(&entry.author).filter(|own| own.kind == Kind::Attestation).take(self.capacity);
            let limit = (self.capacity * AUTHOR_ATTESTATIONS_PERCENT / 100).max(1);
            return if held.is_none() && attested.count() >= limit {
                Err(event::Quota::AuthorAttestations)
            } else {
                Ok(())
            };
        }
        if entry.kind == Kind::Card {
            return Ok(());
        }
        let others = self.by_author(&entry.author).filter(|own| own.place != entry.place);
        let is_paid = entry.kind == Kind::Listing && entry.is_paid();
        let (mut free, mut paid, mut slots) = (0, usize::from(is_paid), 0);
        for own in others.filter(|own| matches!(own.kind, Kind::Listing | Kind::Tombstone)) {
            free += usize::from(own.kind == Kind::Listing && !own.is_paid());
            paid += usize::from(own.kind == Kind::Listing && own.is_paid());
            slots += 1;
        }
        if entry.kind == Kind::Listing && !entry.is_paid() && free >= FREE_LISTINGS {
            Err(event::Quota::AuthorListings)
        } else if held.is_none() && slots >= FREE_SLOTS + SLOTS_OF_PAID * paid {
            Err(event::Quota::AuthorSlots)
        } else {
            Ok(())
        }
    }

    /// Room in the shard: records that nobody paid for share a part of it; one that is paid for may push out the oldest
    /// of those.
    fn make_room(&mut self, entry: &Entry, held: Option<&Entry>) -> Result<Option<Evicted>, event::Quota> {
        let capacity = self.capacity;
        let shard = &self.shards[self.index(entry.shard)];
        // what was paid for and no longer is comes in like anything else that nobody pays for
        let comes_in = held.is_none_or(Entry::is_paid);
        if comes_in && entry.is_free() && shard.free.len() >= capacity * FREE_SHARE_PERCENT / 100 {
            return Err(event::Quota::FreeShare);
        }
        if held.is_some() {
            return Ok(None);
        }
        if shard.held < capacity {
            return Ok(None);
        }
        let oldest = shard.free.first().map(|(_, ById(entry))| entry.id);
        match oldest {
            Some(oldest) if entry.is_paid() => Ok(self.remove(&oldest).map(|evicted| {
                let forgotten = self.refuse(evicted.id, Refused::of(&evicted));
                (evicted, forgotten)
            })),
            _ => Err(event::Quota::ShardFull),
        }
    }

    fn insert(&mut self, entry: Arc<Entry>) {
        self.forget(&entry.id);
        let at = self.index(entry.shard);
        let shard = &mut self.shards[at];
        shard.take_in(entry.created, entry.id);
        shard.held += 1;
        let by_id = || ById(Arc::clone(&entry));
        if entry.is_free() {
            shard.free.replace((entry.created, by_id()));
        }
        self.charged.add(&entry);
        self.places.replace(ByPlace(Arc::clone(&entry)));
        self.by_author.replace((mark(&entry.author), Some(by_id())));
        if let Some(subject) = &entry.subject {
            self.by_subject.replace((mark(subject), Some(by_id())));
        }
        self.by_expiry.replace((entry.expires, by_id()));
        self.entries.replace(ById(entry));
    }

    fn remove(&mut self, id: &RecordId) -> Option<Arc<Entry>> {
        let by_id = self.entries.take(id)?;
        let entry = Arc::clone(&by_id.0);
        let at = self.index(entry.shard);
        let shard = &mut self.shards[at];
        shard.leave_out(entry.created, entry.id);
        shard.free.remove(&(entry.created, by_id.clone()));
        shard.held -= 1;
        self.charged.take_off(&entry);
        self.places.remove(&entry.place);
        self.by_author.remove(&(mark(&entry.author), Some(by_id.clone())));
        if let Some(subject) = &entry.subject {
            self.by_subject.remove(&(mark(subject), Some(by_id.clone())));
        }
        self.by_expiry.remove(&(entry.expires, by_id));
        Some(entry)
    }

    /// Remembers a refused id; returns the one that had to be forgotten for it.
    fn refuse(&mut self, id: RecordId, refused: Refused) -> Option<RecordId> {
        let at = self.index(refused.shard);
        self.refused.insert(id, refused);
        self.refused_by.insert((mark(&refused.author), id));
        let shard = &mut self.shards[at];
        shard.take_in(refused.created, id);
        shard.refused.insert((refused.expires, id));
        if shard.refused.len() <= (self.capacity * REFUSED_PERCENT / 100).max(1) {
            return None;
        }
        let forgotten = shard.refused.first().map(|(_, id)| *id)?;
        self.forget(&forgotten);
        Some(forgotten)
    }

    fn forget(&mut self, id: &RecordId) {
        if let Some(refused) = self.refused.remove(id) {
            self.refused_by.remove(&(mark(&refused.author), *id));
            let at = self.index(refused.shard);
            let shard = &mut self.shards[at];
            shard.leave_out(refused.created, *id);
            shard.refused.remove(&(refused.expires, *id));
        }
    }

    /// Entries name shards below the number of shards; one from a store with another number is
    /// folded in.
    fn index(&self, shard: u16) -> usize {
        usize::from(shard) % self.shards.len()
    }
}

impl Refused {
    pub(crate) const fn of(entry: &Entry) -> Self {
        let Entry { shard, author, created, expires, .. } = *entry;
        Self { shard, author, wallet: None, created, expires }
    }
}

impl Entry {
    /// Whether listing fees pay for its room.
    #[must_use]
    pub const fn is_paid(&self) -> bool {
        self.payer.is_some()
    }

    /// True if it takes from the share of what nobody paid for. Attestations have bounds of their own.
    fn is_free(&self) -> bool {
        !self.is_paid() && self.kind != Kind::Attestation
    }
}

/// A record that had to go for another, and the refused id that had to be forgotten for its id.
type Evicted = (Arc<Entry>, Option<RecordId>);

impl Shard {
    fn take_in(&mut self, created: Timestamp, id: RecordId) {
        if self.set.insert((created, id)) {
            self.sum.add(&id);
        }
    }

    fn leave_out(&mut self, created: Timestamp, id: RecordId) {
        if self.set.remove(&(created, id)) {
            self.sum.subtract(&id);
        }
    }
}

impl Sets for Shelf {
    fn digests(&self) -> Vec<Digest> {
        self.shards.iter().map(|shard| shard.sum.digest()).collect()
    }

    fn set(&self, shard: u16) -> ShardSet {
        Self::set(self, shard).collect()
    }
}

/// The entries of a mark, by id.
fn marked(entries: &BTreeSet<Marked>, mark: Mark) -> impl Iterator<Item = &Entry> {
    let found = entries.range((mark, None)..).take_while(move |(of, _)| *of == mark);
    found.filter_map(|(_, held)| held.as_ref().map(|ById(entry)| entry.as_ref()))
}
