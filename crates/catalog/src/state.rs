//! What the handles and the workers share: shelf, bindings, index and verified records.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize},
    },
};

use haggle_base::{Address, Clock, Did, Kind, RecordId, Timestamp, Verified};
use haggle_store::Store;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, broadcast};

use crate::{
    bindings::Bindings,
    body::CardBody,
    churn::Churn,
    config::CatalogConfig,
    door::{AnyRecord, Entry, Place},
    error::CatalogError,
    handle::CatalogEvent,
    index::ListingIndex,
    keep::Kept,
    ports::{PaidRoom, Standing},
    records,
    shelf::Shelf,
};

/// Verified records kept in memory, so that reading one again does not verify it again.
const CACHED_RECORDS: usize = 4096;

/// What the handles and the workers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: CatalogConfig,
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) standing: Arc<dyn Standing>,
    pub(crate) shelf: RwLock<Shelf>,
    pub(crate) bindings: RwLock<Bindings>,
    pub(crate) index: ListingIndex,
    pub(crate) events: broadcast::Sender<CatalogEvent>,
    pub(crate) waiting: AtomicUsize,
    pub(crate) wake: Notify,
    /// One bit for each shard that a sync has compared to its end.
    pub(crate) reconciled: AtomicU64,
    /// At a node that does not keep everything.
    pub(crate) kept: Option<Mutex<Kept>>,
    pub(crate) cache: Mutex<HashMap<RecordId, AnyRecord>>,
    /// How often gossip may replace the records of each author.
    pub(crate) churn: Mutex<Churn>,
}

impl Shared {
    /// Builds index and bindings from the loaded shelf; drops what no longer verifies.
    pub(crate) fn restore(&self) -> Result<(), CatalogError> {
        let shards = self.shelf.read().shards();
        // a shard at a time: the ids of all of them would take much room for a moment
        for shard in 0..shards {
            let ids: Vec<RecordId> = self.shelf.read().set(shard).map(|(_, id)| id).collect();
            for id in ids {
                // a refused id has no entry
                let Some(entry) = self.live(&id) else { continue };
                if !matches!(entry.kind, Kind::Card | Kind::Listing) {
                    continue;
                }
                match self.read(&entry)? {
                    Some(record) => self.show(&record)?,
                    None => tracing::warn!(record.id = %id, "stored record {id} can no longer be read"),
                }
            }
        }
        self.index.commit()?;
        Ok(())
    }

    /// Makes a record that stands on the shelf visible.
    pub(crate) fn show(&self, record: &AnyRecord) -> Result<(), CatalogError> {
        match record {
            AnyRecord::Listing(listing) => self.index.add(listing)?,
            AnyRecord::Card(card) => {
                let claim = card.body().binding.as_ref().map(|binding| {
                    let network = &self.config.network;
                    let checked = binding.verify(network, &card.author(), self.config.chain_id, self.clock.now());
                    checked.map(|address| (address, binding.expires))
                });
                self.bindings.write().set(card.author(), claim);
            }
            AnyRecord::Tombstone(_) | AnyRecord::Attestation(_) => {}
        }
        Ok(())
    }

    /// Hides a record that left the shelf.
    pub(crate) fn hide(&self, entry: &Entry) {
        self.cache.lock().remove(&entry.id);
        match entry.kind {
            Kind::Listing => self.index.remove(&entry.id),
            Kind::Card => self.bindings.write().set(entry.author, None),
            Kind::Tombstone | Kind::Attestation | Kind::Pointer => {}
        }
    }

    pub(crate) fn bytes(&self, id: &RecordId) -> Result<Option<Vec<u8>>, CatalogError> {
        let bytes = self.store.get::<records::Bytes>(id)?;
        Ok(bytes.map(haggle_base::Blob::into_vec))
    }

    /// A live record that stands on the shelf.
    pub(crate) fn record(&self, id: &RecordId) -> Result<Option<AnyRecord>, CatalogError> {
        let Some(entry) = self.live(id) else {
            return Ok(None);
        };
        if let Some(record) = self.cache.lock().get(id) {
            return Ok(Some(record.clone()));
        }
        let record = self.read(&entry)?;
        if let Some(record) = &record {
            self.remember(record.clone());
        }
        Ok(record)
    }

    /// What the shelf keeps of a record that is not over.
    fn live(&self, id: &RecordId) -> Option<Entry> {
        let now = self.clock.now();
        self.shelf.read().get(id).filter(|entry| entry.expires > now).cloned()
    }

    /// Reads the record of an entry from disk.
    fn read(&self, entry: &Entry) -> Result<Option<AnyRecord>, CatalogError> {
        let (id, now) = (&entry.id, self.clock.now());
        let Some(bytes) = self.bytes(id)? else {
            return Ok(None);
        };
        match AnyRecord::recall(bytes, entry, &self.config.network, now) {
            Ok(record) => Ok(Some(record)),
            Err(error) => {
                tracing::warn!(record.id = %id, %error, "stored record {id} is not what was stored: {error}");
                Ok(None)
            }
        }
    }

    /// Keeps a verified record in memory; when there are too many, it begins anew.
    pub(crate) fn remember(&self, record: AnyRecord) {
        let mut cache = self.cache.lock();
        if cache.len() >= CACHED_RECORDS {
            cache.clear();
        }
        cache.insert(record.id(), record);
    }

    /// Whether gossip may put `new` in the place of what is held: it withdraws that, or it says something else or comes when
    /// that is due to be refreshed, and its author has not replaced too much of late.
    pub(crate) fn may_replace(&self, held: &Entry, new: &AnyRecord, now: Timestamp) -> Result<bool, CatalogError> {
        // before the next one a listing has to come again, and that is counted
        if held.kind == Kind::Listing && matches!(new, AnyRecord::Tombstone(_)) {
            return Ok(true);
        }
        if !self.churn.lock().has_left(&held.author, now) {
            return Ok(false);
        }
        if !held.is_due(new.created()) {
            let cached = self.cache.lock().get(&held.id).cloned();
            let old = cached.map_or_else(|| self.read(held), |old| Ok(Some(old)))?;
            if old.is_some_and(|old| old.says_the_same(new)) {
                return Ok(false);
            }
        }
        Ok(self.churn.lock().take(&held.author, now))
    }

    /// Who pays for the room of a record: the wallet of its author, of a card the one that it claims; else whoever paid for
    /// what it replaces, as long as those fees reach so far.
    pub(crate) fn payer_of(&self, record: &AnyRecord, entry: &Entry, shelf: &Shelf, now: Timestamp) -> Option<Address> {
        let author = &entry.author;
        let room = match record {
            AnyRecord::Attestation(_) => return None,
            AnyRecord::Card(card) => {
                let room = self.standing.room(author, record.wallet());
                // it is looked at closely only if that wallet has paid for anything
                room.filter(|room| self.is_bound(card, &room.payer, now))
            }
            AnyRecord::Listing(_) | AnyRecord::Tombstone(_) => self.room_of(author),
        };
        let own = room.and_then(|room| shelf.payer_of(entry, room));
        own.or_else(|| {
            let before = shelf.payer_before(entry)?;
            shelf.payer_of(entry, self.standing.room(author, Some(before)).filter(|room| room.payer == before)?)
        })
    }

    /// The room that is paid for of an agent whose card is here.
    pub(crate) fn room_of(&self, agent: &Did) -> Option<PaidRoom> {
        let wallet = self.bindings.read().of(agent, self.clock.now()).address();
        self.standing.room(agent, wallet)
    }

    /// Whether a card binds a wallet that no other card claims.
    fn is_bound(&self, card: &Verified<CardBody>, wallet: &Address, now: Timestamp) -> bool {
        let Some(binding) = &card.body().binding else { return false };
        self.bindings.read().is_free_for(wallet, &card.author(), now)
            && binding.verify(&self.config.network, &card.author(), self.config.chain_id, now) == Ok(*wallet)
    }

    pub(crate) fn at(&self, place: &Place) -> Result<Option<AnyRecord>, CatalogError> {
        let id = self.shelf.read().at(place).map(|entry| entry.id);
        id.map_or(Ok(None), |id| self.record(&id))
    }

    pub(crate) fn ids(&self, select: impl FnOnce(&Shelf) -> Vec<(Timestamp, RecordId)>) -> Vec<RecordId> {
        let mut found = select(&self.shelf.read());
        found.sort_unstable();
        found.into_iter().map(|(_, id)| id).collect()
    }

    pub(crate) fn read_all<T>(
        &self,
        ids: Vec<RecordId>,
        pick: impl Fn(AnyRecord) -> Option<T>,
    ) -> Result<Vec<T>, CatalogError> {
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            found.extend(self.record(&id)?.and_then(&pick));
        }
        Ok(found)
    }
}

pub(crate) fn order(entry: &Entry) -> (Timestamp, RecordId) {
    (entry.created, entry.id)
}
