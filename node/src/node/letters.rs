//! Letters: kept for agents of other nodes, taken to our own, collected from those who keep ours.

mod answer;
mod bring;
mod leave;

pub(in crate::node) use bring::shown;

use super::Inner;
use super::loops::spawn_one;
use crate::events::Happened;
use crate::mailbox::{Asked, Requests, ToAnswer};
use crate::post::{By, Candidate, Outcome, inbox_protocol, keepers_protocol};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use haggle_a2a::envelope::{MessageType, SignedMessage};
use haggle_base::{Blob, Coded, Did, Hash, List, PeerId, RecordId, Text};
use haggle_catalog::mail::letter::MAX_RECEIPT_BYTES;
use haggle_catalog::mail::wire::{Call, Half, Refusal, Reply};
use haggle_catalog::mail::{Letter, MailError, Receipt, Timing, Visit, hear, say, tell_news};
use haggle_gateway::view::{MailKeeper, MailStatus};
use haggle_network::{Incoming, NetworkError, NetworkEvent, Path, Severity, Stream};
use haggle_store::StoreError;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

/// How often keepers are asked for receipts, and chosen.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// How often each keeper is asked for the letters of every agent: one with news says so.
const COLLECT_EVERY: Duration = Duration::from_secs(300);
/// Both on one machine.
const LOOK_EVERY_HERE: Duration = Duration::from_secs(2);
const COLLECT_EVERY_HERE: Duration = Duration::from_secs(30);
/// How long a visit to one keeper may take.
const VISIT_PATIENCE: Duration = Duration::from_secs(120);
/// How long a recipient's node has to hear that there is mail.
const NEWS_PATIENCE: Duration = Duration::from_secs(10);
/// Rounds of letters collected for one agent in one visit.
const ROUNDS: usize = 64;
/// How long a peer that cannot be reached is left alone when keepers are chosen.
const LEFT_ALONE: Duration = Duration::from_secs(60);

/// Starts the loops of the post.
pub(super) fn begin(inner: &Arc<Inner>, tasks: &TaskTracker) -> Result<(), NetworkError> {
    let inbox = inner.network.accept(&inbox_protocol(&inner.file.id))?;
    if inner.post.keeper.is_some() {
        let visits = inner.network.accept(&keepers_protocol(&inner.file.id))?;
        let tracker = tasks.clone();
        spawn_one(inner, tasks, |inner| accept_visits(inner, visits, tracker));
        spawn_one(inner, tasks, sweep);
    }
    let tracker = tasks.clone();
    spawn_one(inner, tasks, |inner| accept_calls(inner, inbox, tracker));
    spawn_one(inner, tasks, collect_mail);
    let tracker = tasks.clone();
    spawn_one(inner, tasks, |inner| bring::bring_letters(inner, tracker));
    spawn_one(inner, tasks, answer::answer_letters);
    let requests = inner.post.to_leave.lock().take();
    if let Some(requests) = requests {
        let tracker = tasks.clone();
        spawn_one(inner, tasks, |inner| leave::leave_requests(inner, requests, tracker));
    }
    Ok(())
}

/// Keeps letters for others.
async fn accept_visits(inner: Arc<Inner>, mut visits: Incoming, tasks: TaskTracker) {
    while let Some((peer, stream)) = visits.next().await {
        let tracker = tasks.clone();
        spawn_one(&inner, &tasks, |inner| async move { inner.keep_for(peer, stream, &tracker).await });
    }
}

/// Takes letters to our own agents, and hears of mail that waits.
async fn accept_calls(inner: Arc<Inner>, mut calls: Incoming, tasks: TaskTracker) {
    while let Some((peer, stream)) = calls.next().await {
        spawn_one(&inner, &tasks, |inner| async move { inner.answer_call(peer, stream).await });
    }
}

async fn sweep(inner: Arc<Inner>) {
    let mut every = tokio::time::interval(LOOK_EVERY);
    loop {
        every.tick().await;
        let Some(keeper) = &inner.post.keeper else { return };
        if let Err(error) = keeper.sweep().await {
            tracing::warn!(error.code = error.code(), "letters that are over are not let go: {error}");
        }
    }
}

/// Chooses keepers, and visits them.
async fn collect_mail(inner: Arc<Inner>) {
    let is_here = inner.file.is_devnet();
    let (look, collect) = if is_here { (LOOK_EVERY_HERE, COLLECT_EVERY_HERE) } else { (LOOK_EVERY, COLLECT_EVERY) };
    let mut peers = inner.network.subscribe_events();
    let mut every = tokio::time::interval(look);
    // each by itself: one that stalls holds up no other
    let (mut visits, mut visited) = (FuturesUnordered::new(), BTreeSet::new());
    loop {
        tokio::select! {
            _ = every.tick() => inner.choose_keepers(),
            () = inner.post.news_rung.notified() => {}
            Some(keeper) = visits.next() => {
                visited.remove(&keeper);
                if !inner.post.has_news(&keeper) {
                    continue;
                }
            }
            event = peers.recv() => match event {
                Ok(NetworkEvent::Connected { peer, .. }) => {
                    inner.post.met(&peer);
                    continue;
                }
                Ok(_) | Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            },
        }
        for (keeper, what) in inner.plan_visits(collect, &visited) {
            visited.insert(keeper);
            visits.push(Arc::clone(&inner).visit_in_time(keeper, what));
        }
    }
}

/// What a keeper is visited for.
#[derive(Default)]
struct Errand {
    /// For the letters of every agent.
    all: bool,
    /// For receipts of what these sent.
    senders: BTreeSet<Did>,
}

/// Why a peer's stream is not answered, in the words of the mail.
const fn refusal_of(why: haggle_catalog::remote::wire::Refusal) -> Refusal {
    match why {
        haggle_catalog::remote::wire::Refusal::Busy => Refusal::Busy,
        haggle_catalog::remote::wire::Refusal::TooOften => Refusal::TooOften,
        haggle_catalog::remote::wire::Refusal::Failed => Refusal::Failed,
    }
}

impl Inner {
    /// Answers a stream of somebody who leaves or collects letters.
    async fn keep_for(self: &Arc<Self>, peer: PeerId, stream: Stream, tasks: &TaskTracker) {
        let Some(keeper) = &self.post.keeper else { return };
        let begun = self.post.kept_budget.lock().begin(peer, self.post.elapsed());
        let outcome = if let Err(why) = begun {
            let why = refusal_of(why);
            match say(stream, &Reply::Refused { why }).await {
                Ok(()) => why.as_str(),
                Err(error) => error.code(),
            }
        } else {
            let kept = |agent: Did, node: PeerId| {
                spawn_one(self, tasks, |inner| async move { inner.tell_of_mail(agent, node).await });
            };
            let served = keeper.serve(stream, peer, kept).await;
            let bytes = served.as_ref().map_or(0, |served| served.bytes);
            self.post.kept_budget.lock().end(&peer, bytes);
            self.outcome_of(&peer, served.map(drop))
        };
        self.post.served.get_or_create(&Outcome { outcome }).inc();
    }

    fn outcome_of(&self, peer: &PeerId, done: Result<(), MailError>) -> &'static str {
        let Err(error) = done else { return "ok" };
        tracing::debug!(peer.id = %peer, error.code = error.code(), "mail with {peer} failed: {error}");
        if error.is_peers_fault() {
            self.network.report(peer, Severity::Medium);
        }
        error.code()
    }

    /// Tells the node of a recipient that there is mail, if it is connected; it also comes by itself.
    async fn tell_of_mail(&self, agent: Did, node: PeerId) {
        if !self.network.is_connected(&node) {
            return;
        }
        let telling = async {
            let stream = self.open_to(&node, &inbox_protocol(&self.file.id)).await?;
            tell_news(stream, agent).await
        };
        // whoever does not hear it collects later
        let _told = timeout(NEWS_PATIENCE, telling).await;
    }

    async fn open_to(&self, peer: &PeerId, protocol: &str) -> Result<Stream, MailError> {
        self.network.open(peer, protocol).await.map_err(|error| MailError::Unreachable { code: error.code() })
    }

    /// Answers one call of another node: a letter for an agent of ours, or news of a keeper.
    async fn answer_call(&self, peer: PeerId, mut stream: Stream) {
        let answering = async {
            let begun = self.post.heard_budget.lock().begin(peer, self.post.elapsed());
            if let Err(why) = begun {
                return say(stream, &Reply::Refused { why: refusal_of(why) }).await;
            }
            let heard = hear(&mut stream).await;
            let bytes = heard.as_ref().map_or(0, |(_, bytes)| *bytes);
            let reply = match heard {
                Ok((Call::News { .. }, _)) => {
                    self.post.told_of_news(peer);
                    Ok(Reply::Done)
                }
                Ok((Call::Letter { letter }, _)) => Ok(match self.take_document(letter.into_vec(), peer).await {
                    Ok(receipt) => Reply::Taken { receipt },
                    Err(why) => Reply::Refused { why },
                }),
                Err(error) => Err(error),
            };
            self.post.heard_budget.lock().end(&peer, bytes);
            say(stream, &reply?).await
        };
        let answered = answering.await;
        self.outcome_of(&peer, answered);
    }

    async fn take_document(&self, document: Vec<u8>, peer: PeerId) -> Result<Blob<MAX_RECEIPT_BYTES>, Refusal> {
        let letter = Letter::read_late(document, &self.file.id).map_err(|_| Refusal::BadLetter)?;
        if letter.timing(self.clock.now()) != Timing::Now {
            // one of the two clocks may be set right
            return Err(Refusal::Failed);
        }
        self.take_letter(&letter, By::Peer(peer)).await
    }

    /// Writes the message of a letter down, once, and signs for it.
    async fn take_letter(&self, letter: &Letter, by: By) -> Result<Blob<MAX_RECEIPT_BYTES>, Refusal> {
        let taken = self.take_in(letter, by).await;
        let outcome = taken.as_ref().map_or_else(|why| why.as_str(), |_| "ok");
        self.post.taken.get_or_create(&Outcome { outcome }).inc();
        if let Err(why) = &taken {
            tracing::debug!(agent.id = %letter.to, error.code = why.as_str(), "a letter of {} is not taken", letter.from);
        }
        taken
    }

    async fn take_in(&self, letter: &Letter, by: By) -> Result<Blob<MAX_RECEIPT_BYTES>, Refusal> {
        let failed = |error: &dyn Coded| {
            tracing::warn!(error.code = error.code(), "a letter cannot be taken now: {error}");
            Refusal::Failed
        };
        let keys =
            self.keys.get(&letter.to).filter(|_| self.agents.takes_letters(&letter.to)).ok_or(Refusal::UnknownAgent)?;
        let content = letter.open(&self.file.id, &keys.agent).map_err(|_| Refusal::Unusable)?;
        let signed = SignedMessage::open(content.message.into_vec()).map_err(|_| Refusal::Unusable)?;
        let said = signed.message();
        if !signed.is_by_sender() || said.from != letter.from || !self.is_to(said.to.as_ref(), &letter.to) {
            return Err(Refusal::Unusable);
        }
        let now = self.clock.now();
        // an answer waits until its request is written down, and comes before or after what is said to it
        let request = answer::request_of(said);
        let _turn = match &request {
            Some(request) => self.mailbox.turn(&letter.to, request).await,
            None => self.mailbox.turn(&said.from, said.id.as_str()).await,
        };
        match self.mailbox.find(&said.from, said.id.as_str()).map_err(|error| failed(&error))? {
            Some(number) => {
                let held = self.mailbox.read(number).map_err(|error| failed(&error))?;
                // two messages of one name: the first one stands
                if held.is_none_or(|held| held.id() != signed.id()) {
                    return Err(Refusal::Unusable);
                }
            }
            None => {
                let knows = self.post.outbox.knows(&letter.to, &letter.from, now).map_err(|error| failed(&error))?;
                if !self.post.may_take(knows.then_some(letter.from), by) {
                    return Err(Refusal::TooOften);
                }
                let (number, is_asked) = self.write_down(&signed, letter.to).await.map_err(|error| failed(&error))?;
                let data = json!({"from": said.from, "to": letter.to, "type": said.kind.as_str(), "sequence": number});
                self.events.tell(Happened::MessageReceived, data);
                if is_asked {
                    self.post.asked.notify_one();
                }
            }
        }
        if let Some(pointer) = &content.pointer {
            self.post.outbox.saw(&letter.from, pointer, now).await.map_err(|error| failed(&error))?;
        }
        if let Some(token) = &content.token {
            let kept = self.post.outbox.keep_token(&letter.to, &letter.from, token, now).await;
            kept.map_err(|error| failed(&error))?;
        }
        let token = self.post.outbox.token_for(&keys.agent, &letter.from, now).map_err(|error| failed(&error))?;
        let network = self.file.id.clone();
        let receipt = Receipt { network, letter: letter.id, from: letter.from, at: now, token };
        let signed = receipt.sign(&keys.agent).map_err(|error| failed(&error))?;
        Blob::try_from(signed).map_err(|_| Refusal::Failed)
    }

    /// Writes a message down, with what it asks for or answers. Says its number, and whether it is to be answered.
    async fn write_down(&self, signed: &SignedMessage, to: Did) -> Result<(u64, bool), StoreError> {
        let said = signed.message();
        let answered = match said.kind {
            MessageType::Response => self.answered(signed, &to)?,
            MessageType::Request | MessageType::Notification | MessageType::Error => None,
        };
        let is_asked = said.kind == MessageType::Request;
        let both = [signed];
        let numbers = self.mailbox.keep(&both, |batch, numbers| {
            let number = numbers.first().copied().unwrap_or_default();
            if is_asked {
                batch.put::<ToAnswer>(&number, &to)?;
            }
            if let Some((key, mut row)) = answered {
                row.response = number;
                batch.delete::<Asked>(&key).put::<Requests>(&key, &row)?;
            }
            Ok(())
        });
        Ok((numbers.await?.first().copied().unwrap_or_default(), is_asked))
    }

    /// Whether what a message says of whom it is for means this agent: nobody, its DID, or a listing of its.
    fn is_to(&self, to: Option<&Text<128>>, agent: &Did) -> bool {
        let Some(to) = to else { return true };
        let is_listing = |id: RecordId| {
            let listings = self.catalog.listings_of(agent).unwrap_or_default();
            listings.iter().any(|listing| listing.id() == id)
        };
        to.as_str() == agent.to_string() || to.as_str().parse().is_ok_and(is_listing)
    }

    /// Letters here and elsewhere.
    pub(in crate::node) async fn mail_status(&self) -> MailStatus {
        let kept = match &self.post.keeper {
            Some(keeper) => Some(keeper.status().await),
            None => None,
        };
        let keepers = self.post.keepers().into_iter();
        MailStatus {
            keeps: kept.is_some(),
            letters: kept.map_or(0, |kept| kept.letters as u64),
            bytes: kept.map_or(0, |kept| kept.bytes),
            recipients: kept.map_or(0, |kept| kept.recipients as u64),
            keepers: keepers
                .map(|(peer, agents)| MailKeeper { peer: peer.to_string(), agents: agents as u64 })
                .collect(),
            under_way: self.post.outbox.under_way().len() as u64,
        }
    }

    /// Offers the places of keepers to the peers that are connected and keep letters.
    fn choose_keepers(&self) {
        let (connected, _) = self.network.speaking(&keepers_protocol(&self.file.id), LEFT_ALONE);
        let relays: BTreeSet<&str> =
            self.config.p2p.relays.iter().filter_map(|relay| relay.rsplit("/p2p/").next()).collect();
        let candidate = |peer: PeerId| {
            let facts = self.network.facts(&peer)?;
            Some(Candidate {
                is_no_relay: !relays.contains(peer.to_string().as_str()),
                is_hidden: facts.path != Some(Path::Direct),
                since: facts.connected_since?.as_millis(),
                peer,
            })
        };
        self.post.choose(connected.into_iter().filter_map(candidate).collect());
    }

    /// The visits to make now: to keepers that have news or were not visited for a while, and to those that have letters of ours,
    /// for receipts. Nobody is visited twice at the same time.
    fn plan_visits(&self, every: Duration, visited: &BTreeSet<PeerId>) -> BTreeMap<PeerId, Errand> {
        let mut plan: BTreeMap<PeerId, Errand> = BTreeMap::new();
        for keeper in self.post.due(every, visited) {
            plan.entry(keeper).or_default().all = true;
        }
        let under_way = self.post.outbox.under_way();
        let keepers = under_way.iter().flat_map(|sent| sent.keepers.iter().copied()).collect();
        let due = self.post.ask_for_receipts(keepers, every, |keeper| self.network.is_connected(keeper));
        for sent in &under_way {
            for keeper in sent.keepers.iter().filter(|keeper| due.contains(keeper)) {
                plan.entry(*keeper).or_default().senders.insert(sent.from);
            }
        }
        plan.retain(|keeper, _| *keeper != self.network.peer_id() && !visited.contains(keeper));
        plan
    }

    async fn visit_in_time(self: Arc<Self>, keeper: PeerId, what: Errand) -> PeerId {
        let visited = timeout(VISIT_PATIENCE, self.visit(keeper, what.all, &what.senders)).await;
        let done = visited.unwrap_or(Err(MailError::Timeout));
        if done.is_err() && self.network.is_connected(&keeper) {
            self.post.missed(&keeper);
        }
        self.outcome_of(&keeper, done);
        keeper
    }

    async fn begin_visit(&self, keeper: &PeerId) -> Result<Visit<Stream>, MailError> {
        Ok(Visit::new(self.open_to(keeper, &keepers_protocol(&self.file.id)).await?))
    }

    async fn visit(&self, keeper: PeerId, whole: bool, senders: &BTreeSet<Did>) -> Result<(), MailError> {
        let mut visit = self.begin_visit(&keeper).await?;
        let nodes = (self.network.peer_id(), keeper);
        let (mut given, mut refused) = (false, false);
        let mut agents: BTreeMap<Did, bool> = senders.iter().map(|agent| (*agent, false)).collect();
        if whole {
            agents.extend(self.pointed().map(|agent| (agent, true)));
        }
        let mut agents: Vec<(Did, bool)> = agents.into_iter().rev().collect();
        while let Some((agent, keep)) = agents.pop() {
            let Some(keys) = self.keys.get(&agent) else { continue };
            if visit.is_spent() {
                visit = self.begin_visit(&keeper).await?;
            }
            let now = self.clock.now();
            let (letters, receipts) = match visit.open(&self.file.id, &keys.agent, nodes, keep, now).await {
                Ok(waiting) => waiting,
                Err(MailError::Refused(Refusal::NoPlace)) => {
                    refused = true;
                    if self.post.has_place(keeper, agent, false) {
                        self.pointers_due.add(agent);
                    }
                    continue;
                }
                Err(error) => return Err(error),
            };
            given |= keep;
            if keep && self.post.has_place(keeper, agent, true) {
                self.pointers_due.add(agent);
            }
            if keep && letters > 0 {
                self.collect(&mut visit, Half::Known).await?;
                self.collect(&mut visit, Half::Open).await?;
            }
            if receipts > 0 {
                self.take_receipts(&mut visit).await?;
            }
            if visit.is_spent() && letters > 0 {
                // there may be more of it, for another stream
                agents.push((agent, keep));
            }
        }
        if whole && refused && !given {
            // a keeper that keeps nothing takes the place of one that would
            self.post.gives_no_place(keeper).await?;
            self.pointed().for_each(|agent| self.pointers_due.add(agent));
        } else if whole && self.post.visited(keeper).await? {
            // the pointers name a new keeper
            self.pointed().for_each(|agent| self.pointers_due.add(agent));
        }
        Ok(())
    }

    /// Takes the letters of one agent, each acknowledged once it is on disk.
    async fn collect(&self, visit: &mut Visit<Stream>, half: Half) -> Result<(), MailError> {
        for _ in 0..ROUNDS {
            if visit.is_spent() || half == Half::Open && !self.post.has_room_for_strangers() {
                return Ok(());
            }
            let letters = visit.collect(half).await?;
            if letters.is_empty() {
                return Ok(());
            }
            let mut are_gone = false;
            for document in letters {
                let letter = Letter::read_late(document, &self.file.id)?;
                let taken = match letter.timing(self.clock.now()) {
                    // a later visit takes it, if it is not over then
                    Timing::Early => continue,
                    Timing::Now => self.take_letter(&letter, By::Keeper).await,
                    Timing::Over => Err(Refusal::BadLetter),
                };
                match taken {
                    Ok(receipt) => visit.acknowledge(letter.id, Some(receipt)).await?,
                    // one of another sender may be taken all the same
                    Err(Refusal::TooOften) => continue,
                    Err(why) if why.is_passing() => return Ok(()),
                    // whoever wrote it cannot be helped
                    Err(_) => visit.acknowledge(letter.id, None).await?,
                }
                are_gone = true;
            }
            if !are_gone {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Takes receipts for letters of one agent.
    async fn take_receipts(&self, visit: &mut Visit<Stream>) -> Result<(), MailError> {
        for _ in 0..ROUNDS {
            if visit.is_spent() {
                return Ok(());
            }
            let receipts = visit.receipts().await?;
            let letters: Vec<Hash> = receipts.iter().filter_map(|receipt| Receipt::claimed_letter(receipt)).collect();
            for receipt in &receipts {
                match self.post.outbox.signed_for(receipt, "mailbox", self.clock.now()).await {
                    Ok(_) => {}
                    Err(haggle_catalog::mail::OutboxError::Store(error)) => return Err(error.into()),
                    Err(error) => tracing::debug!(error.code = error.code(), "a receipt counts for nothing: {error}"),
                }
            }
            if letters.is_empty() {
                return Ok(());
            }
            visit.forget(List::try_from(letters).unwrap_or_default()).await?;
        }
        Ok(())
    }
}
