//! The handle every room and adapter holds: put, read, sync, listen.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use haggle_base::{Address, Attestation, Clock, Did, Kind, NetworkId, PeerId, RecordError, RecordId, Verified};
use haggle_store::Store;
use parking_lot::{Mutex, RwLock};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{Notify, broadcast, mpsc, oneshot},
};

use crate::{
    bindings::Binding,
    body::{CardBody, ListingBody, listing_slot},
    config::CatalogConfig,
    door::{AnyRecord, Entry, Place, shard_of},
    error::{CatalogError, SyncError},
    index::ListingIndex,
    keep::Kept,
    look::Holding,
    ports::{Announce, Standing},
    records,
    service::{self, Command, Put},
    shards::Shards,
    shelf::Shelf,
    shelf::event,
    state::{Shared, order},
    sync::{self, Role, SyncReport, session::Session},
};

/// Events a slow subscriber may fall behind before it misses some.
const EVENT_QUEUE: usize = 1024;

/// Commands that may wait for the worker.
const COMMAND_QUEUE: usize = 256;

/// Where a record came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// An agent of this node.
    Local,
    /// A peer's gossip.
    Gossip {
        /// The peer that forwarded it.
        peer: PeerId,
    },
    /// A sync with a peer.
    Sync {
        /// The peer.
        peer: PeerId,
    },
    /// A peer's answer to a search.
    Search {
        /// The peer.
        peer: PeerId,
    },
}

/// What happened on the shelf. A subscriber that lags reads the catalog again.
#[derive(Debug, Clone)]
pub enum CatalogEvent {
    /// A record stands on the shelf for the first time.
    Stored {
        /// The record.
        record: AnyRecord,
        /// Where it came from.
        origin: Origin,
    },
    /// A record is gone: replaced, expired or evicted.
    Removed {
        /// What was known of it.
        entry: Arc<Entry>,
    },
}

/// How much the catalog holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CatalogStatus {
    /// Cards held.
    pub cards: usize,
    /// Listings held.
    pub listings: usize,
    /// Tombstones held.
    pub tombstones: usize,
    /// Live listings held whose room is paid for.
    pub paid_listings: usize,
    /// Attestations held.
    pub attestations: usize,
    /// Announcements that wait for a peer.
    pub waiting_announcements: usize,
    /// As [`Catalog::is_complete`].
    pub complete: bool,
}

/// The market's public half on this node. Clones share it; the worker ends when the last clone is
/// gone or on [`Self::shutdown`].
#[derive(Debug, Clone)]
pub struct Catalog {
    pub(crate) shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
}

impl Catalog {
    /// Loads the shelf from `store`, builds the index and starts the worker.
    ///
    /// # Errors
    /// [`CatalogError::Store`] and [`CatalogError::Index`].
    pub async fn start(
        store: Store,
        config: CatalogConfig,
        clock: Arc<dyn Clock>,
        announce: Arc<dyn Announce>,
        standing: Arc<dyn Standing>,
    ) -> Result<Self, CatalogError> {
        let mut shelf = records::load(&store, &config, clock.now()).await?;
        let mut kept = config.keep.clone().map(Kept::new);
        if let Some(kept) = &mut kept {
            kept.restore(shelf.iter());
            // a node that held more before has more than it keeps
            while !kept.excess(1).is_empty() {
                let _gone = records::let_go(&store, &mut shelf, kept).await?;
            }
        }
        let index = ListingIndex::create(&config)?;
        let shared = Arc::new(Shared {
            config,
            store,
            clock,
            standing,
            shelf: RwLock::new(shelf),
            bindings: RwLock::default(),
            index,
            events: broadcast::Sender::new(EVENT_QUEUE),
            waiting: AtomicUsize::new(0),
            wake: Notify::new(),
            reconciled: AtomicU64::new(0),
            kept: kept.map(Mutex::new),
            cache: Mutex::default(),
            churn: Mutex::default(),
        });
        shared.restore()?;
        let (commands, inbox) = mpsc::channel(COMMAND_QUEUE);
        service::spawn(Arc::clone(&shared), announce, inbox);
        Ok(Self { shared, commands })
    }

    /// The one door: verifies bytes from anywhere and puts the record on the shelf. Returns after
    /// it is stored.
    ///
    /// # Errors
    /// [`CatalogError::Record`] if the bytes do not verify ([`CatalogError::is_senders_fault`]
    /// tells whether to blame the sender), [`CatalogError::Store`] if they cannot be kept.
    pub async fn put(&self, bytes: Vec<u8>, origin: Origin) -> Result<event::Put, CatalogError> {
        let record = AnyRecord::open(bytes, self.network(), self.shared.clock.now())?;
        let mut outcomes = self.put_verified(vec![record], origin).await?;
        outcomes.pop().ok_or(CatalogError::Closed)
    }

    /// As [`Self::put`], for many records in one commit; one outcome each, in order.
    ///
    /// # Errors
    /// [`CatalogError::Store`] if they cannot be kept.
    pub async fn put_many(
        &self,
        records: Vec<Vec<u8>>,
        origin: Origin,
    ) -> Result<Vec<Result<event::Put, RecordError>>, CatalogError> {
        self.begin_put(records, origin).await?.outcomes().await
    }

    /// The first half of [`Self::put_many`]: verifies, and hands what is verified to the worker. While that stores it, the
    /// caller may verify more.
    pub(crate) async fn begin_put(&self, records: Vec<Vec<u8>>, origin: Origin) -> Result<PendingPut, CatalogError> {
        let now = self.shared.clock.now();
        let mut verified = Vec::with_capacity(records.len());
        let mut refused = Vec::with_capacity(records.len());
        for bytes in records {
            let opened = AnyRecord::open(bytes, self.network(), now).map(|record| verified.push(record));
            refused.push(opened.err());
        }
        let stored = if verified.is_empty() {
            None
        } else {
            let (reply, stored) = oneshot::channel();
            let put = Command::Put(Put { records: verified, origin, reply });
            self.commands.send(put).await.map_err(|_| CatalogError::Closed)?;
            Some(stored)
        };
        Ok(PendingPut { refused, stored })
    }

    /// An agent's card.
    ///
    /// # Errors
    /// [`CatalogError::Store`].
    pub fn card(&self, agent: &Did) -> Result<Option<Verified<CardBody>>, CatalogError> {
        match self.shared.at(&Place::card(agent))? {
            Some(AnyRecord::Card(card)) => Ok(Some(card)),
            _ => Ok(None),
        }
    }

    /// Which address an agent may be paid at; without one trade refuses with `binding_missing`.
    #[must_use]
    pub fn binding(&self, agent: &Did) -> Binding {
        self.shared.bindings.read().of(agent, self.shared.clock.now())
    }

    /// Tells that what these wallets paid for the room of the agents bound to them has changed
    /// ([`Standing::room`](crate::Standing::room)): what those agents have here is charged to it.
    ///
    /// # Errors
    /// [`CatalogError::Store`], [`CatalogError::Closed`].
    pub async fn paid(&self, payers: &[Address]) -> Result<(), CatalogError> {
        let (reply, done) = oneshot::channel();
        self.commands.send(Command::Pay { payers: payers.to_vec(), reply }).await.map_err(|_| CatalogError::Closed)?;
        done.await.map_err(|_| CatalogError::Closed)?
    }

    /// A listing by its record id.
    ///
    /// # Errors
    /// [`CatalogError::Store`].
    pub fn listing(&self, id: &RecordId) -> Result<Option<Verified<ListingBody>>, CatalogError> {
        match self.shared.record(id)? {
            Some(AnyRecord::Listing(listing)) => Ok(Some(listing)),
            _ => Ok(None),
        }
    }

    /// The listing of an agent by its name (without `listing/`).
    ///
    /// # Errors
    /// [`CatalogError::Store`], [`CatalogError::Record`] for a name that cannot be one.
    pub fn listing_named(&self, agent: &Did, name: &str) -> Result<Option<Verified<ListingBody>>, CatalogError> {
        let slot = listing_slot(name)?;
        let mut listings = self.listings_of(agent)?;
        listings.retain(|listing| listing.record().slot == slot);
        Ok(listings.into_iter().max_by_key(|listing| listing.record().seq))
    }

    /// Every live listing of an agent, the oldest first.
    ///
    /// # Errors
    /// [`CatalogError::Store`].
    pub fn listings_of(&self, agent: &Did) -> Result<Vec<Verified<ListingBody>>, CatalogError> {
        let ids = self
            .shared
            .ids(|shelf| shelf.by_author(agent).filter(|entry| entry.kind == Kind::Listing).map(order).collect());
        self.shared.read_all(ids, |record| match record {
            AnyRecord::Listing(listing) => Some(listing),
            _ => None,
        })
    }

    /// At most `limit` live listings of anyone, the oldest first.
    ///
    /// # Errors
    /// [`CatalogError::Store`].
    pub fn listings(&self, limit: usize) -> Result<Vec<Verified<ListingBody>>, CatalogError> {
        let mut ids = self.ids(Kind::Listing);
        ids.truncate(limit);
        self.shared.read_all(ids, |record| match record {
            AnyRecord::Listing(listing) => Some(listing),
            _ => None,
        })
    }

    /// Every attestation about an agent, the oldest first.
    ///
    /// # Errors
    /// [`CatalogError::Store`].
    pub fn attestations(&self, subject: &Did) -> Result<Vec<Verified<Attestation>>, CatalogError> {
        let ids = self.shared.ids(|shelf| shelf.about(subject).map(order).collect());
        self.shared.read_all(ids, |record| match record {
            AnyRecord::Attestation(attestation) => Some(attestation),
            _ => None,
        })
    }

    /// Ids of every record of a kind, the oldest first.
    #[must_use]
    pub fn ids(&self, kind: Kind) -> Vec<RecordId> {
        self.shared.ids(|shelf| shelf.iter().filter(|entry| entry.kind == kind).map(order).collect())
    }

    /// A record of any kind by its id.
    ///
    /// # Errors
    /// [`CatalogError::Store`].
    pub fn record(&self, id: &RecordId) -> Result<Option<AnyRecord>, CatalogError> {
        self.shared.record(id)
    }

    /// A record's bytes as signed.
    ///
    /// # Errors
    /// [`CatalogError::Store`].
    pub fn bytes(&self, id: &RecordId) -> Result<Option<Vec<u8>>, CatalogError> {
        self.shared.bytes(id)
    }

    /// How a record stands on the shelf, for whoever asks. `place` is where it would stand, if that is known.
    #[must_use]
    pub fn holding(&self, id: &RecordId, place: Option<&Place>) -> Holding {
        match Holding::on(&self.shared.shelf.read(), id, place) {
            // nobody can tell from an id which shard it lies in
            Holding::Unknown if self.shared.kept.is_some() => Holding::NotHeld,
            holding => holding,
        }
    }

    /// Where a record stands, if it is held.
    #[must_use]
    pub fn place(&self, id: &RecordId) -> Option<Place> {
        self.shared.shelf.read().get(id).map(|entry| entry.place)
    }

    /// How much the catalog holds.
    #[must_use]
    pub fn status(&self) -> CatalogStatus {
        let counts = self.shared.shelf.read().counts();
        let count = |kind| counts.get(&kind).copied().unwrap_or(0);
        CatalogStatus {
            cards: count(Kind::Card),
            listings: count(Kind::Listing),
            tombstones: count(Kind::Tombstone),
            paid_listings: self.shared.shelf.read().paid_listings(),
            attestations: count(Kind::Attestation),
            waiting_announcements: self.shared.waiting.load(Ordering::Relaxed),
            complete: self.is_complete(),
        }
    }

    /// True after syncs have compared every shard that this node holds with a peer, to their ends. Never at a node that
    /// holds none.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let held = self.held();
        !held.is_empty() && self.reconciled().covers(held)
    }

    /// As [`Self::is_complete`], of the one shard that listings of a category lie in.
    #[must_use]
    pub fn is_complete_in(&self, category: &str) -> bool {
        self.held().shared_with(self.reconciled()).contains(self.shard_of(category))
    }

    /// Whether this node holds every listing of a category that it has heard of.
    #[must_use]
    pub fn holds(&self, category: &str) -> bool {
        self.held().contains(self.shard_of(category))
    }

    /// The shards that this node holds.
    #[must_use]
    pub fn held(&self) -> Shards {
        let all = || Shards::all(self.shared.config.shards);
        self.shared.config.keep.as_ref().map_or_else(all, |keep| keep.shards)
    }

    fn reconciled(&self) -> Shards {
        Shards::of_bits(self.shared.reconciled.load(Ordering::Relaxed))
    }

    fn shard_of(&self, category: &str) -> u16 {
        shard_of(category.trim().to_lowercase().as_bytes(), self.shared.config.shards)
    }

    /// Authors of listings in the shards that this node holds, of whom it has no card; at most `limit`, and of those alone
    /// that `wanted` says yes to. Nobody at a node that holds the whole market: there the card comes by itself.
    #[must_use]
    pub fn uncarded(&self, limit: usize, wanted: impl Fn(&Did) -> bool) -> Vec<Did> {
        if self.shared.kept.is_none() {
            return Vec::new();
        }
        let (held, shelf) = (self.held(), self.shared.shelf.read());
        let mut authors = HashSet::new();
        for entry in shelf.iter().filter(|entry| entry.kind == Kind::Listing && held.contains(entry.shard)) {
            if authors.len() >= limit {
                break;
            }
            if shelf.at(&Place::card(&entry.author)).is_none() && wanted(&entry.author) {
                authors.insert(entry.author);
            }
        }
        authors.into_iter().collect()
    }

    /// What happens on the shelf from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<CatalogEvent> {
        self.shared.events.subscribe()
    }

    /// The network whose records this catalog holds.
    #[must_use]
    pub fn network(&self) -> &NetworkId {
        &self.shared.config.network
    }

    /// Runs one sync over a stream, all shards; both sides end with equal sets. Boxed inside, so
    /// it may be spawned as it is.
    ///
    /// # Errors
    /// [`SyncError`]; [`SyncError::is_peers_fault`] tells whether to penalise the peer.
    pub async fn sync_with<S>(&self, stream: S, role: Role, peer: PeerId) -> Result<SyncReport, SyncError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        self.run_session(stream, self.session(role, false), peer).await
    }

    /// As [`Self::sync_with`], over a stream on which each side says which shards it holds: those that both hold are
    /// compared. Equal sets come of it in these.
    ///
    /// # Errors
    /// As of [`Self::sync_with`].
    pub async fn sync_parts_with<S>(&self, stream: S, role: Role, peer: PeerId) -> Result<SyncReport, SyncError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        self.run_session(stream, self.session(role, true), peer).await
    }

    fn session(&self, role: Role, says: bool) -> Session {
        let session = Session::new(role, self.network().clone(), self.shared.config.shards);
        if self.shared.kept.is_none() {
            return session;
        }
        let shelf = self.shared.shelf.read();
        let own = self.own_of(&shelf).map(|entry| (entry.shard, entry.id)).collect();
        session.of_part(self.held(), says, own)
    }

    /// Gives a peer what our own agents say, and takes nothing: what a node does that does not hold the market.
    ///
    /// # Errors
    /// As of [`Self::sync_with`].
    pub async fn give_to<S>(&self, stream: S, peer: PeerId) -> Result<SyncReport, SyncError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let session = Session::giving(self.network().clone(), self.shared.config.shards, self.own());
        self.run_session(stream, session, peer).await
    }

    /// The records of those who publish here, if this node does not hold the whole market.
    #[must_use]
    pub fn own(&self) -> Vec<RecordId> {
        self.shared.ids(|shelf| self.own_of(shelf).map(order).collect())
    }

    fn own_of<'a>(&self, shelf: &'a Shelf) -> impl Iterator<Item = &'a Entry> {
        let authors: Vec<Did> =
            self.shared.kept.iter().flat_map(|kept| kept.lock().own().iter().copied().collect::<Vec<_>>()).collect();
        authors.into_iter().flat_map(|author| shelf.by_author(&author).collect::<Vec<_>>())
    }

    async fn run_session<S>(&self, stream: S, session: Session, peer: PeerId) -> Result<SyncReport, SyncError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        self.sweep().await?;
        let patience = self.shared.config.sync_patience;
        let report = Box::pin(sync::drive(self, stream, session, peer, patience)).await?;
        self.shared.reconciled.fetch_or(report.covered.bits(), Ordering::Relaxed);
        tracing::info!(
            peer.id = %peer,
            sync.received = report.received,
            sync.sent = report.sent,
            sync.missing = report.missing,
            "synced with {peer}: {} received, {} sent",
            report.received,
            report.sent,
        );
        Ok(report)
    }

    /// Tries waiting announcements now, for when a peer has connected.
    pub fn retry_announcements(&self) {
        self.shared.wake.notify_one();
    }

    /// Makes everything put so far findable by [`Self::search`], without waiting for the tick.
    ///
    /// # Errors
    /// [`CatalogError::Index`].
    pub async fn flush(&self) -> Result<(), CatalogError> {
        self.ask(|reply| Command::Flush { reply }).await?
    }

    /// Removes what has expired, without waiting for the tick.
    ///
    /// # Errors
    /// [`CatalogError::Store`].
    pub async fn sweep(&self) -> Result<(), CatalogError> {
        self.ask(|reply| Command::Sweep { reply }).await?
    }

    /// Ends the worker after what waits for it is done.
    ///
    /// # Errors
    /// [`CatalogError::Closed`] if it has ended before.
    pub async fn shutdown(self) -> Result<(), CatalogError> {
        self.ask(|reply| Command::Shutdown { reply }).await
    }

    /// The reconciliation sets of all shards.
    #[cfg(test)]
    pub(crate) fn sets(&self) -> Vec<sync::session::ShardSet> {
        let shelf = self.shared.shelf.read();
        (0..shelf.shards()).map(|shard| shelf.set(shard).collect()).collect()
    }

    /// The shelf, for a session.
    pub(crate) fn shelf(&self) -> parking_lot::RwLockReadGuard<'_, Shelf> {
        self.shared.shelf.read()
    }

    pub(crate) async fn put_verified(
        &self,
        records: Vec<AnyRecord>,
        origin: Origin,
    ) -> Result<Vec<event::Put>, CatalogError> {
        self.ask(|reply| Command::Put(Put { records, origin, reply })).await?
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, CatalogError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| CatalogError::Closed)?;
        answer.await.map_err(|_| CatalogError::Closed)
    }
}

/// Records that were verified and are being stored.
#[derive(Debug)]
pub(crate) struct PendingPut {
    /// Why each was refused; `None` for what was verified.
    refused: Vec<Option<RecordError>>,
    stored: Option<oneshot::Receiver<Result<Vec<event::Put>, CatalogError>>>,
}

impl PendingPut {
    /// Whether one of the records did not verify.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused.iter().any(Option::is_some)
    }

    /// One outcome for each record, in order, once they are stored.
    pub(crate) async fn outcomes(self) -> Result<Vec<Result<event::Put, RecordError>>, CatalogError> {
        let stored = match self.stored {
            Some(stored) => stored.await.map_err(|_| CatalogError::Closed)??,
            None => Vec::new(),
        };
        let mut stored = stored.into_iter();
        let outcome = |refused: Option<RecordError>| match refused {
            Some(error) => Ok(Err(error)),
            None => stored.next().map(Ok).ok_or(CatalogError::Closed),
        };
        self.refused.into_iter().map(outcome).collect()
    }
}

#[cfg(test)]
mod tests;
