//! The loops between the rooms: each waits for one thing and hands it on.

use super::api::coded;
use super::{Inner, cards, fees, letters, look, memory, messages, pay, pointing, rendezvous};
use crate::adapters::faults::points;
use crate::config::Role;
use crate::error::NodeError;
use crate::events::Happened;
use crate::lookup;
use crate::market::{Market, Sessions};
use haggle_a2a_transport::{Caller, PROTOCOL};
use haggle_base::{Coded, Did, OrderId, PeerId};
use haggle_catalog::body::listing_name;
use haggle_catalog::{AnyRecord, CatalogEvent, SyncReport};
use haggle_gateway::ApiError;
use haggle_network::{Inbox, Incoming, NetworkEvent, Reach, scoped};
use haggle_settlement::PaymentEvent;
use haggle_trade::ports::Phase;
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

/// How often cards and listings are looked at for renewal.
const RENEW_EVERY: Duration = Duration::from_secs(3600);
/// Hosts dialled at the start because their cards are known.
const KNOWN_HOSTS: usize = 8;
/// How often waiting orders are looked at.
const DRIVE_EVERY: Duration = Duration::from_millis(50);
/// After how many looks at the chain payments that went through are looked at again.
const LOOK_AGAIN_EVERY: u64 = 16;
/// How often transfers that were told of are looked for, at most.
const TRANSFERS_EVERY: Duration = Duration::from_secs(1);
/// Orders that are opened again in one go.
const REOPENED_AT_ONCE: usize = 64;
/// Longest pause of the chain loop after failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Starts every loop; they end when the node stops.
pub(super) fn spawn(
    inner: &Arc<Inner>,
    inbox: Inbox,
    unseen: mpsc::Receiver<Did>,
    tasks: &TaskTracker,
) -> Result<(), NodeError> {
    let network = &inner.network;
    let calls = network.accept(PROTOCOL).map_err(|error| NodeError::room(&error))?;
    let looks = network.accept(&scoped(&inner.file.id, look::PROTOCOL)).map_err(|error| NodeError::room(&error))?;
    let abouts = network.accept(&lookup::agent_protocol(&inner.file.id)).map_err(|error| NodeError::room(&error))?;
    let blobs = network.accept(&lookup::blob_protocol(&inner.file.id)).map_err(|error| NodeError::room(&error))?;
    let events = network.subscribe_events();

    spawn_one(inner, tasks, |inner| accept_calls(inner, calls));
    let role = inner.config.market.role;
    let sessions = match role {
        _ if !inner.config.p2p.sync => Sessions::Off,
        Role::Light => Sessions::Given,
        Role::Interest => Sessions::Part,
        Role::Full | Role::Index => Sessions::Reconciled,
    };
    market(inner, tasks).run(Some(inbox), sessions).map_err(|error| NodeError::room(&error))?;
    if role == Role::Index {
        let searches = network.accept(&lookup::protocol(&inner.file.id)).map_err(|error| NodeError::room(&error))?;
        let tracker = tasks.clone();
        spawn_one(inner, tasks, |inner| accept_searches(inner, searches, tracker));
    }
    let tracker = tasks.clone();
    spawn_one(inner, tasks, |inner| watch_peers(inner, events, tracker));
    let tracker = tasks.clone();
    spawn_one(inner, tasks, |inner| accept_looks(inner, looks, tracker));
    spawn_one(inner, tasks, |inner| look::look_after_agents(inner, unseen));
    spawn_one(inner, tasks, look::probe_own);
    let tracker = tasks.clone();
    spawn_one(inner, tasks, |inner| accept_abouts(inner, abouts, tracker));
    let tracker = tasks.clone();
    spawn_one(inner, tasks, |inner| accept_blobs(inner, blobs, tracker));
    letters::begin(inner, tasks).map_err(|error| NodeError::room(&error))?;
    spawn_one(inner, tasks, pointing::keep_pointers);
    spawn_one(inner, tasks, cards::fetch_cards);
    spawn_one(inner, tasks, rendezvous::declare);
    spawn_one(inner, tasks, rendezvous::seek);
    spawn_one(inner, tasks, call_on_known_hosts);
    spawn_one(inner, tasks, follow_chain);
    spawn_one(inner, tasks, fees::follow_fees);
    spawn_one(inner, tasks, settle_up);
    spawn_one(inner, tasks, look_after_till);
    spawn_one(inner, tasks, look_after_transfers);
    spawn_one(inner, tasks, pay::tell_of_transfers);
    spawn_one(inner, tasks, claim_vouchers);
    spawn_one(inner, tasks, look_after_channels);
    spawn_one(inner, tasks, remember_payments);
    spawn_one(inner, tasks, remember_records);
    spawn_one(inner, tasks, tell_orders);
    spawn_one(inner, tasks, messages::tell_sellers);
    spawn_one(inner, tasks, renew);
    spawn_one(inner, tasks, |_inner| memory::give_back());
    spawn_one(inner, tasks, drive_hires);
    spawn_one(inner, tasks, drive_orders);
    Ok(())
}

/// Gossip and reconciliation of this node.
fn market(inner: &Arc<Inner>, tasks: &TaskTracker) -> Market {
    let told = Arc::downgrade(inner);
    let told = Arc::new(move |peer: PeerId, report: &SyncReport| {
        let Some(inner) = told.upgrade() else { return };
        inner.reconciled.fetch_add(1, Ordering::Relaxed);
        let data = json!({"peer": peer, "received": report.received, "sent": report.sent});
        inner.events.tell(Happened::PeerReconciled, data);
    });
    let (network, catalog, clock) = (inner.network.clone(), inner.catalog.clone(), Arc::clone(&inner.clock));
    let every = inner.config.p2p.sync_every;
    Market::join(network, catalog, clock, every, told, tasks.clone(), inner.stopping.clone())
}

/// Spawns a loop that ends when the node stops.
pub(super) fn spawn_one<F, W>(inner: &Arc<Inner>, tasks: &TaskTracker, work: F)
where
    F: FnOnce(Arc<Inner>) -> W,
    W: Future<Output = ()> + Send + 'static,
{
    let stop = inner.stopping.clone();
    let work = work(Arc::clone(inner));
    tasks.spawn(async move {
        // either the loop ended with its source, or the node stops
        let _ended = stop.run_until_cancelled_owned(work).await;
    });
}

/// Serves A2A streams; the caller is whoever the connection has proved to be when the call comes.
async fn accept_calls(inner: Arc<Inner>, mut calls: Incoming) {
    let tasks = TaskTracker::new();
    while let Some((peer, stream)) = calls.next().await {
        let inner = Arc::clone(&inner);
        tasks.spawn(async move {
            let network = inner.network.clone();
            let proven = move || {
                let network = network.clone();
                async move { network.ensure_dids(&peer).await }
            };
            let serve = inner.server.serve_stream_proving(Caller::peer(peer, Vec::new()), proven, stream);
            // the stream ends with the peer, or the node stops
            let _ended = inner.stopping.run_until_cancelled(serve).await;
        });
    }
}

async fn accept_looks(inner: Arc<Inner>, mut looks: Incoming, tasks: TaskTracker) {
    while let Some((_, stream)) = looks.next().await {
        spawn_one(&inner, &tasks, |inner| inner.answer_looks(stream));
    }
}

/// Tells whoever came by a pointer what an agent of this node says.
async fn accept_abouts(inner: Arc<Inner>, mut abouts: Incoming, tasks: TaskTracker) {
    while let Some((peer, stream)) = abouts.next().await {
        spawn_one(&inner, &tasks, |inner| async move {
            let serves = |agent: &Did| *agent == inner.own_did() || inner.agents.get(agent).is_some();
            inner.lookup.tell_about(peer, stream, serves).await;
        });
    }
}

/// Gives documents that listings name to whoever asks.
async fn accept_blobs(inner: Arc<Inner>, mut blobs: Incoming, tasks: TaskTracker) {
    while let Some((peer, stream)) = blobs.next().await {
        spawn_one(&inner, &tasks, |inner| async move { inner.lookup.give_document(peer, stream).await });
    }
}

async fn accept_searches(inner: Arc<Inner>, mut searches: Incoming, tasks: TaskTracker) {
    while let Some((peer, stream)) = searches.next().await {
        spawn_one(&inner, &tasks, |inner| async move { inner.lookup.answer(peer, stream).await });
    }
}

/// Tells of peers that come and go, and what follows from it.
async fn watch_peers(
    inner: Arc<Inner>,
    mut events: tokio::sync::broadcast::Receiver<NetworkEvent>,
    tasks: TaskTracker,
) {
    let mut is_open = false;
    loop {
        let event = events.recv().await;
        match event {
            Ok(NetworkEvent::Connected { peer, addr }) => {
                inner.events.tell(Happened::PeerConnected, json!({"peer": peer, "address": addr}));
            }
            Ok(NetworkEvent::Disconnected { peer }) => {
                inner.looks.lost(&peer);
                inner.events.tell(Happened::PeerDisconnected, json!({"peer": peer}));
            }
            Ok(NetworkEvent::Reserved { relay }) => {
                inner.events.tell(Happened::RelayReserved, json!({"relay": relay}));
                // the cards name the new way to this node
                spawn_one(&inner, &tasks, |inner| async move { inner.renew_all().await });
            }
            Ok(NetworkEvent::ReachChanged { reach }) => {
                inner.events.tell(Happened::NodeReach, json!({"reachable": reach.as_str()}));
                // the cards name the addresses that work
                if is_open || reach == Reach::Yes {
                    spawn_one(&inner, &tasks, |inner| async move { inner.renew_all().await });
                }
                is_open = reach == Reach::Yes;
            }
            Ok(NetworkEvent::Unreserved { relay }) => inner.events.tell(Happened::RelayLost, json!({"relay": relay})),
            Ok(NetworkEvent::PathChanged { peer, path }) => {
                inner.events.tell(Happened::PeerPath, json!({"peer": peer, "path": path.as_str()}));
            }
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

/// Dials hosts that the cards of the shelf name: a node that comes back finds its market even if no bootstrap answers.
async fn call_on_known_hosts(inner: Arc<Inner>) {
    let own = inner.network.peer_id();
    let mut called = std::collections::BTreeSet::new();
    for id in inner.catalog.ids(haggle_base::Kind::Card) {
        let Ok(Some(AnyRecord::Card(card))) = inner.catalog.record(&id) else { continue };
        for host in card.body().hosts.iter().filter(|host| host.peer != own) {
            if called.len() >= KNOWN_HOSTS || !called.insert(host.peer) {
                continue;
            }
            if let Err(error) = inner.network.connect_hinted(&host.peer, &host.addrs).await {
                tracing::debug!(peer.id = %host.peer, error.code = error.code(), "{} is not where it was: {error}", host.peer);
            }
        }
    }
}

/// Books what the chain says, at the configured pace, slower while nobody answers.
async fn follow_chain(inner: Arc<Inner>) {
    let mut pause = inner.config.chain.poll;
    loop {
        let followed = inner.settlement.follow_once().await;
        inner.polls.fetch_add(1, Ordering::Relaxed);
        match followed {
            Ok(_) => pause = inner.config.chain.poll,
            Err(error) => {
                tracing::warn!(error.code = error.code(), "the chain cannot be followed: {error}");
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
        tokio::time::sleep(pause).await;
    }
}

/// Orders that were over are open again if the chain no longer says that they ended so. The list is on disk, so that one
/// that a dead process did not come to is not forgotten.
async fn reopen_taken_back(inner: &Inner) {
    loop {
        let orders = match inner.settlement.orders_taken_back(REOPENED_AT_ONCE) {
            Ok(orders) => orders,
            Err(error) => {
                tracing::warn!(error.code = error.code(), "orders taken back cannot be read: {error}");
                return;
            }
        };
        for order in &orders {
            if let Err(error) = reopen(inner, order).await {
                tracing::warn!(order.id = %order, error.code = &*error.code, "order {order} is not open again: {error}");
                return;
            }
        }
        if orders.len() < REOPENED_AT_ONCE {
            return;
        }
    }
}

async fn reopen(inner: &Inner, order: &OrderId) -> Result<(), ApiError> {
    inner.faults.at(points::ORDER_TAKEN_BACK);
    let settled = inner.settlement.facts_of(order).map_err(coded)?.settled;
    let now = settled.map(|fact| Phase::Settled { closed_by: fact.closed_by, paid: fact.paid, fee: fact.fee });
    inner.buyer.reopen(order, now).await.map_err(coded)?;
    inner.desk.reopen(order, now).await.map_err(coded)?;
    if settled.is_none() {
        inner.reputation.facts_undone(order).await.map_err(coded)?;
    }
    inner.settlement.told_of_taking_back(order, settled).await.map_err(coded)
}

/// Looks at the chain for payments to strangers whose end is not known, and now and then at those that went through.
async fn settle_up(inner: Arc<Inner>) {
    let mut pause = inner.config.chain.poll;
    let mut rounds = 0_u64;
    loop {
        let mut looked = inner.purse.settle_up_all().await;
        if looked.is_ok() && rounds.is_multiple_of(LOOK_AGAIN_EVERY) {
            looked = inner.purse.look_again().await;
        }
        rounds += 1;
        match looked {
            Ok(_) => pause = inner.config.chain.poll,
            Err(error) => {
                tracing::warn!(error.code = error.code(), "payments cannot be looked up: {error}");
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
        tokio::time::sleep(pause).await;
    }
}

/// Brings payments that came in to their end, and takes back those that left the chain.
async fn look_after_till(inner: Arc<Inner>) {
    let mut pause = inner.config.chain.poll;
    loop {
        match inner.counter.till().follow_once().await {
            Ok(_) => pause = inner.config.chain.poll,
            Err(error) => {
                tracing::warn!(error.code = error.code(), "payments that came in cannot be looked after: {error}");
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
        tokio::time::sleep(pause).await;
    }
}

/// Books transfers that came in once the chain shows them, and takes back those that left it.
async fn look_after_transfers(inner: Arc<Inner>) {
    let usual = inner.config.chain.poll.max(TRANSFERS_EVERY);
    let mut pause = usual;
    loop {
        match inner.notes.incoming.follow_once().await {
            Ok(_) => pause = usual,
            Err(error) => {
                tracing::warn!(error.code = error.code(), "transfers that came in cannot be looked after: {error}");
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
        tokio::time::sleep(pause).await;
    }
}

/// Sees payers' withdrawals and claims vouchers that are due.
async fn claim_vouchers(inner: Arc<Inner>) {
    let Some(channels) = inner.counter.channels() else { return };
    let mut pause = inner.config.chain.poll;
    loop {
        match channels.tick().await {
            Ok(_) => pause = inner.config.chain.poll,
            Err(error) => {
                tracing::warn!(error.code = error.code(), "channels cannot be looked after: {error}");
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
        // either time passes, or a payer owes so much that its vouchers are claimed now
        let _hurried = tokio::time::timeout(pause, channels.hurried()).await;
    }
}

/// Books what our own channels were charged, and finishes withdrawals.
async fn look_after_channels(inner: Arc<Inner>) {
    let Some(buying) = &inner.buying else { return };
    let mut pause = inner.config.chain.poll;
    loop {
        match buying.tick().await {
            Ok(ticked) => {
                pause = inner.config.chain.poll;
                if let Err(error) = inner.forget_answers(ticked.forgotten).await {
                    tracing::warn!(error.code = &*error.code, "old answers are not forgotten: {error}");
                }
            }
            Err(error) => {
                tracing::warn!(error.code = error.code(), "our channels cannot be looked after: {error}");
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
        tokio::time::sleep(pause).await;
    }
}

/// What the chain closed or took back changes what attestations are worth.
async fn remember_payments(inner: Arc<Inner>) {
    let mut payments = inner.settlement.subscribe();
    reopen_taken_back(&inner).await;
    loop {
        let changed = match payments.recv().await {
            Ok(PaymentEvent::Settled(fact)) => {
                let data = json!({"order": fact.order, "paid": fact.paid, "fee": fact.fee, "tx": fact.place.tx});
                inner.events.tell(Happened::ChainSettled, data);
                inner.reputation.facts_arrived(&fact.order).await.map(drop)
            }
            Ok(PaymentEvent::Undone { order }) => {
                reopen_taken_back(&inner).await;
                inner.reputation.facts_undone(&order).await
            }
            Ok(_) => Ok(()),
            Err(RecvError::Lagged(_)) => {
                reopen_taken_back(&inner).await;
                inner.reputation.recheck().await.map(drop)
            }
            Err(RecvError::Closed) => return,
        };
        if let Err(error) = changed {
            tracing::warn!(error.code = error.code(), "reputation could not be updated: {error}");
        }
    }
}

/// New attestations are held against the chain, new cards tell of payment addresses.
async fn remember_records(inner: Arc<Inner>) {
    let mut records = inner.catalog.subscribe();
    read_all_again(&inner).await;
    loop {
        match records.recv().await {
            Ok(CatalogEvent::Stored { record, .. }) => remember(&inner, record).await,
            Ok(CatalogEvent::Removed { .. }) => {}
            Err(RecvError::Lagged(_)) => read_all_again(&inner).await,
            Err(RecvError::Closed) => return,
        }
    }
}

/// Reads every card and attestation of the shelf, after a start or after events were missed.
async fn read_all_again(inner: &Inner) {
    use haggle_base::Kind;
    for kind in [Kind::Card, Kind::Attestation] {
        for id in inner.catalog.ids(kind) {
            if let Ok(Some(record)) = inner.catalog.record(&id) {
                remember(inner, record).await;
            }
        }
    }
}

async fn remember(inner: &Inner, record: AnyRecord) {
    let kept = match record {
        AnyRecord::Attestation(attestation) => {
            let subject = attestation.body().subject;
            inner
                .events
                .tell(Happened::AttestationStored, json!({"subject": subject, "order": attestation.body().order}));
            inner.reputation.accept(attestation).await.map(|_| ())
        }
        AnyRecord::Card(card) => match inner.catalog.binding(&card.author()).address() {
            Some(address) => inner.reputation.binding_seen(&card.author(), &address).await,
            None => Ok(()),
        },
        AnyRecord::Listing(listing) => {
            let (agent, body) = (listing.author(), listing.body());
            let name = listing_name(&listing.record().slot);
            let data = json!({
                "id": listing.id(), "agent": agent, "name": name, "price": body.price.units().to_string(),
                "category": body.category,
            });
            inner.events.tell(Happened::ListingStored, data);
            Ok(())
        }
        AnyRecord::Tombstone(tombstone) => {
            let name = listing_name(&tombstone.record().slot);
            let data = json!({"agent": tombstone.author(), "name": name, "category": tombstone.body().category});
            inner.events.tell(Happened::ListingWithdrawn, data);
            Ok(())
        }
    };
    if let Err(error) = kept {
        tracing::warn!(error.code = error.code(), "reputation could not be updated: {error}");
    }
}

/// Drives what this node buys: at its own pace, and at once when something happened.
async fn drive_hires(inner: Arc<Inner>) {
    loop {
        inner.buyer.turn(DRIVE_EVERY).await;
        inner.buyer.tick();
    }
}

/// Drives what this node sells.
async fn drive_orders(inner: Arc<Inner>) {
    loop {
        inner.desk.turn(DRIVE_EVERY).await;
        inner.desk.tick();
    }
}

/// Tells of every stored step of an order.
async fn tell_orders(inner: Arc<Inner>) {
    let mut bought = inner.buyer.subscribe();
    let mut sold = inner.desk.subscribe();
    loop {
        let event = tokio::select! {
            event = bought.recv() => event,
            event = sold.recv() => event,
        };
        match event {
            Ok(event) => {
                let data = json!({
                    "side": event.side, "order": event.order, "hire": event.hire, "step": event.step,
                    "state": event.state, "final": event.is_final,
                });
                inner.events.tell_at(event.at, Happened::OrderStep, data);
            }
            Err(RecvError::Lagged(missed)) => inner.events.tell(Happened::OrderMissed, json!(missed)),
            Err(RecvError::Closed) => return,
        }
    }
}

/// Signs cards and listings anew before they expire.
async fn renew(inner: Arc<Inner>) {
    let mut look = tokio::time::interval(RENEW_EVERY);
    // the first tick is now, and the start publishes everything itself
    look.tick().await;
    loop {
        look.tick().await;
        inner.renew_all().await;
    }
}
