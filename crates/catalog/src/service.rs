//! The worker that changes the shelf, and the one that announces.

use std::{
    collections::{HashSet, VecDeque},
    ops::ControlFlow,
    sync::{Arc, atomic::Ordering},
};

use haggle_base::{Address, Coded, Did, Kind, RecordId};
use haggle_store::Batch;
use parking_lot::Mutex;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Interval, MissedTickBehavior, interval},
};

use crate::{
    door::{AnyRecord, Entry},
    error::CatalogError,
    handle::{CatalogEvent, Origin},
    ports::Announce,
    prices::{Changes, price_in},
    records,
    shelf::{command, event},
    state::Shared,
};

/// Announcements that may wait for a peer; the oldest goes first when there are more. A sync
/// carries what was dropped.
const MAX_WAITING: usize = 1024;

/// Records changed by one commit.
const COMMIT_RECORDS: usize = 256;

/// Expired records removed by one commit.
const SWEEP_RECORDS: usize = 512;

/// What the worker can be asked for.
#[derive(Debug)]
pub(crate) enum Command {
    Put(Put),
    Flush {
        reply: oneshot::Sender<Result<(), CatalogError>>,
    },
    Sweep {
        reply: oneshot::Sender<Result<(), CatalogError>>,
    },
    /// What these wallets pay for may have changed.
    Pay {
        payers: Vec<Address>,
        reply: oneshot::Sender<Result<(), CatalogError>>,
    },
    Shutdown {
        reply: oneshot::Sender<()>,
    },
}

/// Records to be put, and who waits for it.
#[derive(Debug)]
pub(crate) struct Put {
    pub(crate) records: Vec<AnyRecord>,
    pub(crate) origin: Origin,
    pub(crate) reply: oneshot::Sender<Result<Vec<event::Put>, CatalogError>>,
}

/// Starts both workers; they end on `Shutdown` or when the last handle is gone.
pub(crate) fn spawn(shared: Arc<Shared>, announce: Arc<dyn Announce>, inbox: mpsc::Receiver<Command>) {
    let (news, waiting) = mpsc::channel(MAX_WAITING);
    tokio::spawn(Announcer::new(Arc::clone(&shared), announce, waiting).run());
    tokio::spawn(Worker { shared, inbox, news }.run());
}

/// What is to become of some records.
struct Decided {
    batch: Batch,
    outcomes: Vec<event::Put>,
    /// What was looked up and had to go for them.
    gone: Vec<Arc<Entry>>,
}

struct Worker {
    shared: Arc<Shared>,
    inbox: mpsc::Receiver<Command>,
    /// To the announcer; it ends when this is dropped.
    news: mpsc::Sender<(u16, RecordId)>,
}

impl Worker {
    async fn run(mut self) {
        let mut commit = ticks(self.shared.config.commit_every);
        let mut sweep = ticks(self.shared.config.sweep_every);
        loop {
            tokio::select! {
                command = self.inbox.recv() => {
                    let Some(command) = command else { return };
                    if self.handle(command).await.is_break() {
                        return;
                    }
                }
                _ = commit.tick() => log_failure("the index is not up to date", self.commit_index().await),
                _ = sweep.tick() => log_failure("expired records stay", self.sweep().await),
            }
        }
    }

    /// Breaks when there is nothing more to do.
    async fn handle(&mut self, command: Command) -> ControlFlow<()> {
        let mut next = Some(command);
        while let Some(command) = next.take() {
            match command {
                Command::Put(put) => next = self.put_with_waiting(put).await,
                Command::Flush { reply } => answer(reply, self.commit_index().await),
                Command::Sweep { reply } => answer(reply, self.sweep().await),
                Command::Pay { payers, reply } => answer(reply, self.take_fees(payers).await),
                Command::Shutdown { reply } => {
                    self.inbox.close();
                    log_failure("the index is not up to date", self.commit_index().await);
                    answer(reply, ());
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// Puts records, together with those that wait behind them: one commit for all. A command that is something else is
    /// given back.
    async fn put_with_waiting(&mut self, first: Put) -> Option<Command> {
        let mut count = first.records.len();
        let (mut puts, mut other) = (vec![first], None);
        while count < COMMIT_RECORDS {
            match self.inbox.try_recv() {
                Ok(Command::Put(put)) => {
                    count += put.records.len();
                    puts.push(put);
                }
                Ok(command) => {
                    other = Some(command);
                    break;
                }
                Err(_) => break,
            }
        }
        let mut all = Vec::with_capacity(count);
        let mut origins = Vec::with_capacity(count);
        let mut replies = Vec::with_capacity(puts.len());
        for Put { records, origin, reply } in puts {
            origins.extend(records.iter().map(|_| origin));
            replies.push((records.len(), reply));
            all.extend(records);
        }
        match self.put(&all, |at| origins[at]).await {
            Ok(outcomes) => {
                let mut outcomes = outcomes.into_iter();
                for (count, reply) in replies {
                    answer(reply, Ok(outcomes.by_ref().take(count).collect()));
                }
            }
            Err(error) => replies.into_iter().for_each(|(_, reply)| answer(reply, Err(error.clone()))),
        }
        other
    }

    async fn put(
        &self,
        records: &[AnyRecord],
        origin: impl Fn(usize) -> Origin,
    ) -> Result<Vec<event::Put>, CatalogError> {
        let mut outcomes = Vec::with_capacity(records.len());
        for group in records.chunks(COMMIT_RECORDS) {
            let first = outcomes.len();
            let stored = match self.decide(group, |at| origin(first + at)) {
                Ok(Decided { batch, outcomes, gone }) => {
                    let stored = self.shared.store.commit(batch).await;
                    stored.map(|()| (outcomes, gone)).map_err(CatalogError::from)
                }
                Err(error) => Err(error),
            };
            let (decided, gone) = match stored {
                Ok(stored) => stored,
                Err(error) => {
                    self.reload().await;
                    return Err(error);
                }
            };
            for (at, (record, outcome)) in group.iter().zip(&decided).enumerate() {
                self.follow_up(record, outcome, origin(first + at))?;
            }
            for entry in gone {
                // it may have come once more in the same group
                if self.shared.shelf.read().get(&entry.id).is_none() {
                    self.remove(entry);
                }
            }
            // a card may name the wallet that paid for what came before it
            let mut bound = Vec::new();
            for (record, outcome) in group.iter().zip(&decided) {
                let gives_room = matches!(outcome, event::Put::Replaced { old } if old.is_paid());
                let is_meant = match record {
                    AnyRecord::Card(_) => outcome.is_new(),
                    AnyRecord::Tombstone(_) => gives_room,
                    AnyRecord::Listing(_) | AnyRecord::Attestation(_) => false,
                };
                if is_meant {
                    bound.push(record.author());
                }
            }
            self.pay_for(bound).await?;
            outcomes.extend(decided);
            self.let_go().await?;
        }
        Ok(outcomes)
    }

    /// Decides about each record and gathers what to store.
    fn decide(&self, records: &[AnyRecord], origin: impl Fn(usize) -> Origin) -> Result<Decided, CatalogError> {
        let now = self.shared.clock.now();
        let mut shelf = self.shared.shelf.write();
        let mut batch = Batch::new();
        let mut prices = Changes::to(&self.shared.store);
        let (mut outcomes, mut gone) = (Vec::with_capacity(records.len()), Vec::new());
        for (at, record) in records.iter().enumerate() {
            let mut entry = record.entry(self.shared.config.shards);
            entry.payer = self.shared.payer_of(record, &entry, &shelf, now).map(Box::new);
            let entry = Arc::new(entry);
            let mut kept = self.shared.kept.as_ref().map(Mutex::lock);
            if let Some(kept) = &mut kept {
                if !kept.takes(&shelf, &entry, origin(at)) {
                    outcomes.push(event::Put::NotHeld);
                    continue;
                }
                if origin(at) == Origin::Local {
                    kept.is_ours(record.author());
                }
                while let Some(quota) = shelf.author_quota(&entry, now)
                    && let Some(id) = kept.in_the_way(&shelf, &entry, quota)
                {
                    kept.gone(&id);
                    if let event::Discard::Gone(old) = shelf.discard(command::Discard { id }) {
                        records::drop_entry(&mut batch, &old);
                        if old.kind == Kind::Listing {
                            prices.forget(old.place);
                        }
                        gone.push(old);
                    }
                }
            }
            if matches!(origin(at), Origin::Gossip { .. })
                && let Some(held) = shelf.replaced_by(&entry, now)
                && !self.shared.may_replace(held, record, now)?
            {
                outcomes.push(event::Put::TooOften);
                continue;
            }
            let was_refused = shelf.is_refused(&entry.id);
            let outcome = shelf.put(command::Put { entry: Arc::clone(&entry) }, now);
            if was_refused && outcome.is_new() {
                records::forget(&mut batch, &entry.id);
            }
            if let Some(kept) = &mut kept
                && (outcome.is_new() || outcome == event::Put::Known)
            {
                kept.came(&entry);
            }
            match &outcome {
                event::Put::Fresh { evicted, forgotten } => {
                    if let Some(evicted) = evicted {
                        records::drop_entry(&mut batch, evicted);
                        if evicted.kind == Kind::Card {
                            shelf.claims(&evicted.id, self.shared.bindings.read().of(&evicted.author, now).address());
                        }
                        records::refuse(&mut batch, &shelf, &evicted.id)?;
                        if evicted.kind == Kind::Listing {
                            prices.forget(evicted.place);
                        }
                    }
                    if let Some(forgotten) = forgotten {
                        records::forget(&mut batch, forgotten);
                    }
                    records::keep(&mut batch, &entry, record.bytes())?;
                }
                event::Put::Replaced { old } => {
                    records::drop_entry(&mut batch, old);
                    records::keep(&mut batch, &entry, record.bytes())?;
                    match record {
                        AnyRecord::Listing(listing) if old.kind == Kind::Listing => {
                            let before = self.shared.index.price_of(&old.id).or_else(|| price_in(records, &old.id));
                            if let Some(before) = before {
                                prices.replace(old, before, listing, now)?;
                            }
                        }
                        AnyRecord::Tombstone(_) if old.kind == Kind::Listing => prices.forget(old.place),
                        _ => {}
                    }
                }
                event::Put::OverQuota { forgotten, .. } => {
                    shelf.claims(&entry.id, record.wallet());
                    records::refuse(&mut batch, &shelf, &entry.id)?;
                    if let Some(forgotten) = forgotten {
                        records::forget(&mut batch, forgotten);
                    }
                }
                event::Put::Known
                | event::Put::Stale { .. }
                | event::Put::Expired
                | event::Put::NotHeld
                | event::Put::TooOften => {}
            }
            outcomes.push(outcome);
        }
        prices.write(&mut batch)?;
        Ok(Decided { batch, outcomes, gone })
    }

    /// Charges what is here of the agents bound to wallets to what these paid, and makes place for their cards that were
    /// refused.
    async fn take_fees(&self, payers: Vec<Address>) -> Result<(), CatalogError> {
        let now = self.shared.clock.now();
        let payers: HashSet<Address> = payers.into_iter().collect();
        let agents = {
            let bindings = self.shared.bindings.read();
            payers.iter().filter_map(|payer| bindings.bound_to(payer, now)).collect()
        };
        self.pay_for(agents).await?;
        let forgotten = self.shared.shelf.write().forget_cards_of(&payers);
        if forgotten.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::new();
        forgotten.iter().for_each(|id| records::forget(&mut batch, id));
        self.commit_or_reload(batch).await
    }

    /// Charges what these agents have on the shelf to the room that is paid for, and makes place for what was refused.
    async fn pay_for(&self, agents: Vec<Did>) -> Result<(), CatalogError> {
        for author in agents {
            let Some(room) = self.shared.room_of(&author) else { continue };
            let event::Pay { raised, forgotten } = self.shared.shelf.write().pay(command::Pay { author, room });
            if raised.is_empty() && forgotten.is_empty() {
                continue;
            }
            let mut batch = Batch::new();
            for entry in &raised {
                records::change(&mut batch, entry)?;
            }
            forgotten.iter().for_each(|id| records::forget(&mut batch, id));
            self.commit_or_reload(batch).await?;
        }
        Ok(())
    }

    /// Lets go of what is more than this node keeps of others.
    async fn let_go(&self) -> Result<(), CatalogError> {
        let Some(kept) = &self.shared.kept else { return Ok(()) };
        loop {
            if kept.lock().excess(1).is_empty() {
                return Ok(());
            }
            let taken = records::take_out(&self.shared.store, &mut self.shared.shelf.write(), &mut kept.lock());
            let (gone, batch) = taken?;
            self.commit_or_reload(batch).await?;
            for entry in gone {
                self.remove(entry);
            }
        }
    }

    /// Shows what is stored now, tells subscribers, and queues our own news.
    fn follow_up(&self, record: &AnyRecord, outcome: &event::Put, origin: Origin) -> Result<(), CatalogError> {
        let gone = match outcome {
            event::Put::Fresh { evicted, .. } => evicted.as_ref(),
            event::Put::Replaced { old } => Some(old),
            event::Put::Known
            | event::Put::Stale { .. }
            | event::Put::OverQuota { .. }
            | event::Put::Expired
            | event::Put::NotHeld
            | event::Put::TooOften => return Ok(()),
        };
        if let Some(entry) = gone {
            self.remove(Arc::clone(entry));
        }
        // A later record of the same group may have taken the place already.
        let shard = match self.shared.shelf.read().get(&record.id()) {
            Some(entry) => entry.shard,
            None => return Ok(()),
        };
        self.shared.remember(record.clone());
        self.shared.show(record)?;
        self.tell(CatalogEvent::Stored { record: record.clone(), origin });
        if origin == Origin::Local && self.news.try_send((shard, record.id())).is_err() {
            tracing::warn!(record.id = %record.id(), "too many announcements wait; a sync will carry this one");
        }
        Ok(())
    }

    fn remove(&self, entry: Arc<Entry>) {
        if let Some(kept) = &self.shared.kept {
            kept.lock().gone(&entry.id);
        }
        self.shared.hide(&entry);
        self.tell(CatalogEvent::Removed { entry });
    }

    fn tell(&self, event: CatalogEvent) {
        if self.shared.events.send(event).is_err() {
            tracing::trace!("nobody listens to catalog events");
        }
    }

    async fn sweep(&self) -> Result<(), CatalogError> {
        loop {
            let now = self.shared.clock.now();
            let limit = SWEEP_RECORDS;
            let swept = self.shared.shelf.write().sweep(command::Sweep { limit }, now);
            if swept.expired.is_empty() && swept.forgotten.is_empty() {
                return Ok(());
            }
            let mut batch = Batch::new();
            let mut prices = Changes::to(&self.shared.store);
            for entry in &swept.expired {
                records::drop_entry(&mut batch, entry);
                if entry.kind == Kind::Listing {
                    prices.forget(entry.place);
                }
            }
            prices.write(&mut batch)?;
            for id in &swept.forgotten {
                records::forget(&mut batch, id);
            }
            self.commit_or_reload(batch).await?;
            for entry in swept.expired {
                self.remove(entry);
            }
        }
    }

    async fn commit_index(&self) -> Result<(), CatalogError> {
        if self.shared.index.is_current() {
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        let committed = tokio::task::spawn_blocking(move || shared.index.commit()).await;
        committed.map_err(|_| CatalogError::Closed)?.map_err(CatalogError::from)
    }

    /// Stores what the shelf decided; if that fails nothing is decided.
    async fn commit_or_reload(&self, batch: Batch) -> Result<(), CatalogError> {
        if let Err(error) = self.shared.store.commit(batch).await {
            self.reload().await;
            return Err(error.into());
        }
        Ok(())
    }

    /// The shelf decided something that could not be stored: go back to what is stored.
    async fn reload(&self) {
        let now = self.shared.clock.now();
        match records::load(&self.shared.store, &self.shared.config, now).await {
            Ok(shelf) => *self.shared.shelf.write() = shelf,
            Err(error) => tracing::error!(error.code = error.code(), "the shelf cannot be read again: {error}"),
        }
    }
}

/// Publishes our own records; keeps what nobody took and tries again.
struct Announcer {
    shared: Arc<Shared>,
    announce: Arc<dyn Announce>,
    inbox: mpsc::Receiver<(u16, RecordId)>,
    waiting: VecDeque<(u16, RecordId)>,
}

impl Announcer {
    const fn new(shared: Arc<Shared>, announce: Arc<dyn Announce>, inbox: mpsc::Receiver<(u16, RecordId)>) -> Self {
        Self { shared, announce, inbox, waiting: VecDeque::new() }
    }

    async fn run(mut self) {
        let mut retry = ticks(self.shared.config.retry_every);
        loop {
            tokio::select! {
                news = self.inbox.recv() => match news {
                    Some(news) => {
                        if self.waiting.len() == MAX_WAITING {
                            self.waiting.pop_front();
                        }
                        self.waiting.push_back(news);
                    }
                    None => return,
                },
                _ = retry.tick() => {}
                () = self.shared.wake.notified() => {}
            }
            self.announce_waiting().await;
            self.shared.waiting.store(self.waiting.len(), Ordering::Relaxed);
        }
    }

    async fn announce_waiting(&mut self) {
        while let Some((shard, id)) = self.waiting.front().copied() {
            match self.shared.bytes(&id) {
                Ok(Some(bytes)) => {
                    if let Err(error) = self.announce.announce(shard, bytes).await {
                        tracing::debug!(record.id = %id, error.code = error.code(), "announcement of {id} waits: {error}");
                        return;
                    }
                }
                // Replaced or expired since.
                Ok(None) => {}
                Err(error) => tracing::warn!(error.code = error.code(), "an announcement cannot be read: {error}"),
            }
            self.waiting.pop_front();
        }
    }
}

fn ticks(every: std::time::Duration) -> Interval {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

fn log_failure(what: &str, outcome: Result<(), CatalogError>) {
    if let Err(error) = outcome {
        tracing::error!(error.code = error.code(), "{what}: {error}");
    }
}

/// The asker may have gone away; what it asked for is done all the same.
fn answer<T>(reply: oneshot::Sender<T>, outcome: T) {
    if reply.send(outcome).is_err() {
        tracing::debug!("a caller left before its answer");
    }
}
