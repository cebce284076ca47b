//! Bringing letters: to the recipient's own node if it can be reached, else to those who keep letters for it.

use super::{Inner, spawn_one};
use crate::post::{Outcome, inbox_protocol, keepers_protocol};
use haggle_base::{Coded, Did, PeerId, Text, pointer};
use haggle_catalog::mail::wire::{Call, Question};
use haggle_catalog::mail::{Deposited, Ending, MailError, OutboxError, Sent, deposit};
use haggle_gateway::view::DeliveryView;
use haggle_network::NetworkEvent;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

/// Keepers that a letter is left with.
pub(super) const LEFT_WITH: usize = 2;
/// Pauses between attempts double from here to the other.
const SHORT_PAUSE: Duration = Duration::from_secs(5);
const LONG_PAUSE: Duration = Duration::from_secs(600);
/// How long the way to a recipient may take, and how long a keeper may.
const REACH_PATIENCE: Duration = Duration::from_secs(20);
const KEEPER_PATIENCE: Duration = Duration::from_secs(12);
/// How long the DHT has to bring pointers.
const POINTER_PATIENCE: Duration = Duration::from_secs(3);
/// How often letters are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What came of leaving a letter.
pub(super) struct Left {
    /// Who keeps it now.
    pub(super) kept: Vec<PeerId>,
    /// What the last one said that does not.
    pub(super) last: Option<MailError>,
    /// Whether somebody may keep it that did not say so in time.
    pub(super) is_unsure: bool,
}

/// When a letter is tried next.
struct Plan {
    at: Instant,
    pause: Duration,
}

/// Brings the letters of this node's agents until somebody signs for them, or they are over.
pub(super) async fn bring_letters(inner: Arc<Inner>, tasks: TaskTracker) {
    let mut peers = inner.network.subscribe_events();
    let mut look = tokio::time::interval(LOOK_EVERY);
    let mut plans: HashMap<u64, Plan> = HashMap::new();
    let busy: Arc<parking_lot::Mutex<HashSet<u64>>> = Arc::default();
    loop {
        tokio::select! {
            _ = look.tick() => {}
            () = inner.post.rung.notified() => {}
            event = peers.recv() => match event {
                Ok(NetworkEvent::Connected { peer, .. }) => inner.hurry(&peer, &mut plans),
                Ok(_) | Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            },
        }
        if let Err(error) = inner.post.outbox.sweep(inner.clock.now()).await {
            tracing::warn!(error.code = error.code(), "letters that are over are not ended: {error}");
        }
        let mut letters = inner.post.outbox.under_way();
        let numbers: HashSet<u64> = letters.iter().map(|sent| sent.number).collect();
        plans.retain(|number, _| numbers.contains(number));
        let now = Instant::now();
        // whoever has waited longest comes first, so that many that go nowhere hold up nobody
        letters.sort_by_key(|sent| plans.get(&sent.number).map_or(now, |plan| plan.at));
        for sent in letters {
            let plan = plans.entry(sent.number).or_insert(Plan { at: now, pause: SHORT_PAUSE });
            if plan.at > now || busy.lock().contains(&sent.number) {
                continue;
            }
            let Ok(permit) = Arc::clone(&inner.post.bringing).try_acquire_owned() else { break };
            *plan = Plan { at: now + plan.pause, pause: (plan.pause * 2).min(LONG_PAUSE) };
            busy.lock().insert(sent.number);
            let busy = Arc::clone(&busy);
            spawn_one(&inner, &tasks, |inner| async move {
                inner.bring(&sent).await;
                busy.lock().remove(&sent.number);
                drop(permit);
            });
        }
    }
}

impl Inner {
    /// A peer has come: what is for its agents is tried at once.
    fn hurry(&self, peer: &PeerId, plans: &mut HashMap<u64, Plan>) {
        for sent in self.post.outbox.under_way() {
            let card = self.catalog.card(&sent.to).ok().flatten();
            if card.is_some_and(|card| card.body().hosts.iter().any(|host| host.peer == *peer)) {
                plans.insert(sent.number, Plan { at: Instant::now(), pause: SHORT_PAUSE });
            }
        }
    }

    /// Tries to bring a letter once: directly, and to keepers while fewer of those whom the recipient names have it than should.
    async fn bring(&self, sent: &Sent) {
        let now = self.clock.now();
        let brought = async {
            let Some((question, call)) = self.post.outbox.questions(sent.number, now)? else { return Ok(()) };
            match self.hand_over(sent, &call).await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(MailError::Refused(why)) if !why.is_passing() => {
                    let code = Text::try_from(why.as_str()).unwrap_or_default();
                    return Ok(self.post.outbox.end(sent.number, Ending::Refused { code }).await?);
                }
                Err(error) => {
                    tracing::debug!(agent.id = %sent.to, error.code = error.code(), "{} is not reached: {error}", sent.to);
                }
            }
            let left = self.leave(&sent.to, &question, &sent.keepers, LEFT_WITH).await;
            for keeper in left.kept {
                self.post.outbox.left_at(sent.number, keeper).await?;
            }
            Ok::<_, OutboxError>(())
        };
        if let Err(error) = brought.await {
            tracing::warn!(agent.id = %sent.to, error.code = error.code(), "a letter to {} is not brought: {error}", sent.to);
        }
    }

    /// Hands a letter to the recipient's own node; true if it signed for it.
    async fn hand_over(&self, sent: &Sent, call: &Call) -> Result<bool, MailError> {
        let unreachable = |error: haggle_a2a::A2aError| MailError::Unreachable { code: error.code() };
        let handing = async {
            let host = self.directory.reach(&sent.to).await.map_err(unreachable)?;
            let stream = self.open_to(&host, &inbox_protocol(&self.file.id)).await?;
            Ok((host, deposit(stream, call).await?))
        };
        let handed = timeout(REACH_PATIENCE, handing).await.unwrap_or(Err(MailError::Timeout));
        let outcome = handed.as_ref().map_or_else(|error: &MailError| error.code(), |_| "direct");
        self.post.brought.get_or_create(&Outcome { outcome }).inc();
        let (host, Deposited::Taken(receipt)) = handed? else { return Err(MailError::NotAsked) };
        let path = self.network.facts(&host).and_then(|facts| facts.path).map_or("direct", |path| path.as_str());
        match self.post.outbox.signed_for(&receipt, path, self.clock.now()).await {
            Ok(is_ours) => Ok(is_ours),
            Err(OutboxError::Store(error)) => Err(error.into()),
            Err(OutboxError::Letter(error)) => Err(error.into()),
            Err(_) => Err(MailError::NotAsked),
        }
    }

    /// Leaves a letter with keepers of its recipient until `most` of those that its newest pointer names have it.
    pub(super) async fn leave(&self, to: &Did, question: &Question, already: &[PeerId], most: usize) -> Left {
        let own = self.network.peer_id();
        let keepers = self.mailboxes_of(to).await;
        // one that the recipient does not visit any more does not count
        let most = most.saturating_sub(keepers.iter().filter(|keeper| already.contains(keeper)).count());
        let mut left = Left { kept: Vec::new(), last: None, is_unsure: false };
        for keeper in keepers.into_iter().filter(|keeper| *keeper != own && !already.contains(keeper)) {
            if left.kept.len() >= most {
                break;
            }
            let mut is_open = false;
            let leaving = async {
                let stream = self.open_to(&keeper, &keepers_protocol(&self.file.id)).await?;
                is_open = true;
                match deposit(stream, question).await? {
                    Deposited::Kept => Ok(()),
                    // it speaks for nobody
                    Deposited::Taken(_) => Err(MailError::NotAsked),
                }
            };
            let done = timeout(KEEPER_PATIENCE, leaving).await.unwrap_or(Err(MailError::Timeout));
            let outcome = done.as_ref().map_or_else(|error| error.code(), |()| "kept");
            self.post.brought.get_or_create(&Outcome { outcome }).inc();
            match done {
                Ok(()) => left.kept.push(keeper),
                Err(error) => {
                    left.is_unsure |= is_open && matches!(error, MailError::Timeout | MailError::Io(_));
                    let done = self.outcome_of(&keeper, Err(error.clone()));
                    tracing::debug!(peer.id = %keeper, error.code = done, "{keeper} does not keep a letter to {to}");
                    left.last = Some(error);
                }
            }
        }
        left
    }

    /// Who keeps letters for an agent, by its newest pointer: in the DHT, or seen before.
    async fn mailboxes_of(&self, agent: &Did) -> Vec<PeerId> {
        let (network, now) = (&self.file.id, self.clock.now());
        let key = pointer::key(network, agent);
        let found = self.network.get_pointer(key.as_bytes().to_vec(), POINTER_PATIENCE).await.unwrap_or_default();
        let found = found.into_iter().filter_map(|value| pointer::check(network, key.as_bytes(), &value, now).ok());
        let seen = self.post.outbox.seen(agent, now).ok().flatten();
        let Some(newest) = found.chain(seen).max_by_key(pointer::newness) else { return Vec::new() };
        if let Err(error) = self.post.outbox.saw(agent, newest.bytes(), now).await {
            tracing::warn!(agent.id = %agent, error.code = error.code(), "the pointer of {agent} is not remembered: {error}");
        }
        newest.body().mailboxes.as_slice().to_vec()
    }
}

/// How a letter goes, as the API shows it.
pub(in crate::node) fn shown(sent: &Sent) -> DeliveryView {
    let keepers: Vec<String> = sent.keepers.iter().map(ToString::to_string).collect();
    let way = if keepers.is_empty() { "outbox" } else { "mailbox" };
    let (path, state, at, code) = match &sent.ending {
        None if keepers.is_empty() => (way, "sending", None, None),
        None => (way, "kept", None, None),
        Some(Ending::Delivered { at, path }) => (path.as_str(), "delivered", Some(at.to_rfc3339()), None),
        Some(Ending::Expired) => (way, "expired", None, None),
        Some(Ending::Refused { code }) => (way, "refused", None, Some(code.as_str().to_owned())),
    };
    let (path, state, expires) = (path.to_owned(), state.to_owned(), sent.expires.to_rfc3339());
    DeliveryView { path, state, keepers, expires, at, code }
}
