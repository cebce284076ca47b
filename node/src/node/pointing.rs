//! The pointers of this node's agents in the DHT: signed when a card changes and at half of their life, stored twice a day.

use super::Inner;
use crate::records::AgentStatus;
use haggle_base::{
    AgentKey, Coded, Did, List, NetworkId, Pointer, PointerHost, RecordError, Timestamp, Verified, pointer,
};
use haggle_catalog::{CardBody, Host};
use haggle_network::{NetworkError, NetworkEvent};
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

/// Agents whose pointers a node keeps: as many as the store has places for them, a quarter of what a peer stores for all.
const MOST: usize = 1024;
/// How often every pointer is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(3600);
/// How often a pointer is stored: it lives for four times as long in the DHT, and peers come and go.
const STORE_EVERY: Duration = Duration::from_secs(12 * 3600);
/// Addresses of a host that a pointer has room for.
const MAX_ADDRS: usize = 4;
/// Pause between two pointers: a peer takes 20 per second for long.
const PACE: Duration = Duration::from_millis(60);
/// Pauses after nobody took a pointer double from here to the other.
const SHORT_PAUSE: Duration = Duration::from_secs(1);
const LONG_PAUSE: Duration = Duration::from_secs(60);

/// Agents whose pointers may be out of date.
#[derive(Debug, Default)]
pub(crate) struct Due {
    agents: Mutex<BTreeSet<Did>>,
    rung: Notify,
}

impl Due {
    /// Something of this agent is new.
    pub(super) fn add(&self, agent: Did) {
        self.agents.lock().insert(agent);
        self.rung.notify_one();
    }

    /// Takes the one that comes after `last` in a circle: one that is not stored again and again keeps nobody else waiting.
    fn next(&self, last: Option<&Did>) -> Option<Did> {
        let mut agents = self.agents.lock();
        let after = last.and_then(|last| agents.range((Bound::Excluded(last), Bound::Unbounded)).next().copied());
        let next = after.or_else(|| agents.first().copied())?;
        agents.remove(&next);
        Some(next)
    }

    fn is_empty(&self) -> bool {
        self.agents.lock().is_empty()
    }
}

/// What was said last of one agent.
#[derive(Debug)]
struct Said {
    /// As it was meant, before addresses were left out.
    meant: Pointer,
    signed: Verified<Pointer>,
    stored: Option<Instant>,
}

impl Said {
    /// The pointer that says `meant` now: the one before, unless that says something else or has lived half its time.
    fn renewed(
        before: Option<Self>,
        meant: Pointer,
        network: &NetworkId,
        now: Timestamp,
        key: &AgentKey,
    ) -> Result<Self, RecordError> {
        let is_old = |signed: &Verified<Pointer>| now.since(signed.record().created) * 2 >= pointer::POINTER_TTL;
        let seq = match before {
            Some(before) if before.meant == meant && !is_old(&before.signed) => return Ok(before),
            Some(before) => now.as_millis().max(before.signed.record().seq.saturating_add(1)),
            None => now.as_millis(),
        };
        let signed = meant.clone().sign(network, seq, now, key)?;
        Ok(Self { meant, signed, stored: None })
    }

    fn is_stored(&self) -> bool {
        self.stored.is_some_and(|at| at.elapsed() < STORE_EVERY)
    }
}

/// Keeps the pointers of this node's agents current, one after the other.
pub(super) async fn keep_pointers(inner: Arc<Inner>) {
    let mut peers = inner.network.subscribe_events();
    let mut look = tokio::time::interval(LOOK_EVERY);
    let mut said = HashMap::new();
    let (mut next, mut pause) = (Instant::now(), SHORT_PAUSE);
    let (mut last, mut may_hurry) = (None, true);
    loop {
        tokio::select! {
            _ = look.tick() => inner.pointers_due.agents.lock().extend(inner.pointed()),
            // what is new does not wait for what nobody took: this node's own store answers, too
            () = inner.pointers_due.rung.notified() => next = next.min(Instant::now() + PACE),
            event = peers.recv() => match event {
                // whoever came may take what nobody took; once in a pause, for some come and go all the time
                Ok(NetworkEvent::Connected { .. }) | Err(RecvError::Lagged(_)) if may_hurry => {
                    (next, pause) = (next.min(Instant::now() + SHORT_PAUSE), SHORT_PAUSE);
                    may_hurry = false;
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
            () = tokio::time::sleep_until(next), if !inner.pointers_due.is_empty() => {
                let Some(agent) = inner.pointers_due.next(last.as_ref()) else { continue };
                (last, may_hurry) = (Some(agent), true);
                match inner.point_to(&agent, &mut said).await {
                    Ok(()) => (next, pause) = (Instant::now() + PACE, SHORT_PAUSE),
                    Err(error) => {
                        tracing::debug!(agent.id = %agent, error.code = error.code(), "the pointer of {agent} is not stored: {error}");
                        inner.pointers_due.agents.lock().insert(agent);
                        next = Instant::now() + pause;
                        pause = (pause * 2).min(LONG_PAUSE);
                    }
                }
            }
        }
    }
}

impl Inner {
    /// The agents that this node keeps pointers of.
    pub(super) fn pointed(&self) -> impl Iterator<Item = Did> {
        std::iter::once(self.own_did()).chain(self.agents.shown()).take(MOST)
    }

    /// What is to be said of an agent now; `None` if it is not served, or has no card yet.
    fn pointer_of(&self, agent: &Did) -> Option<Pointer> {
        let served = self.agents.get(agent);
        match &served {
            Some(served) if served.row.status == AgentStatus::Draft => return None,
            Some(served) if !served.is_on_the_market() => return Some(Pointer::withdrawn()),
            Some(served) if served.engine.is_none() => return None,
            None if self.agents.is_deleted(agent) => return Some(Pointer::withdrawn()),
            None if *agent != self.own_did() => return None,
            _ => {}
        }
        let card = self.catalog.card(agent).ok().flatten()?;
        Some(Pointer { card: Some(card.id()), hosts: hosts_of(card.body()), mailboxes: self.post.keepers_of(agent) })
    }

    /// Signs and stores the pointer of an agent if that is due.
    async fn point_to(&self, agent: &Did, said: &mut HashMap<Did, Said>) -> Result<(), NetworkError> {
        let is_known = said.contains_key(agent);
        let (Some(meant), Some(keys)) = (self.pointer_of(agent), self.keys.get(agent)) else { return Ok(()) };
        if !is_known && said.len() >= MOST {
            tracing::warn!(agent.id = %agent, "{agent} gets no pointer: this node keeps {MOST}");
            return Ok(());
        }
        let network = &self.file.id;
        let mut renewed = match Said::renewed(said.remove(agent), meant, network, self.clock.now(), &keys.agent) {
            Ok(renewed) => renewed,
            Err(error) => {
                tracing::warn!(agent.id = %agent, error.code = error.code(), "{agent} gets no pointer: {error}");
                return Ok(());
            }
        };
        let mut stored = Ok(());
        if !renewed.is_stored() {
            let key = pointer::key(network, agent).as_bytes().to_vec();
            stored = self.network.put_pointer(key, renewed.signed.bytes().to_vec()).await;
            if stored.is_ok() {
                renewed.stored = Some(Instant::now());
                self.post.stored(&renewed.signed);
            }
        }
        said.insert(*agent, renewed);
        stored
    }
}

/// The hosts of a card, each with its first addresses.
fn hosts_of(card: &CardBody) -> List<PointerHost, 4> {
    let host = |host: &Host| {
        // there is room for fewer; the best come first
        let addrs: Vec<_> = host.addrs.iter().take(MAX_ADDRS).cloned().collect();
        PointerHost { peer: host.peer, addrs: addrs.try_into().unwrap_or_default() }
    };
    let hosts: Vec<_> = card.hosts.iter().map(host).collect();
    hosts.try_into().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use haggle_base::{Hash, RecordId, Seed};

    #[test]
    fn one_that_nobody_takes_does_not_keep_the_others_waiting() {
        let [a, b, c] = {
            let mut dids = [0, 1, 2].map(|number| Seed::devnet(7, number).agent_key(0).did());
            dids.sort();
            dids
        };
        let due = Due::default();
        [a, b, c].into_iter().for_each(|agent| due.add(agent));
        assert_eq!(due.next(None), Some(a));
        due.add(a);
        assert_eq!(due.next(Some(&a)), Some(b));
        assert_eq!(due.next(Some(&b)), Some(c));
        assert_eq!(due.next(Some(&c)), Some(a), "and around again");
        assert_eq!(due.next(Some(&a)), None);
    }

    #[test]
    fn a_pointer_is_signed_anew_when_it_says_something_else_or_is_half_over() {
        let (network, key) = ("devnet-7/1".parse().unwrap(), Seed::devnet(7, 0).agent_key(0));
        let start = Timestamp::from_secs(1_795_000_000);
        let peer = Seed::devnet(7, 0).node_key().peer_id();
        let meant = |card: &[u8]| Pointer {
            card: Some(RecordId::from(Hash::of(card))),
            hosts: vec![PointerHost { peer, addrs: List::new() }].try_into().unwrap(),
            mailboxes: List::new(),
        };
        let renewed = |before, meant, now| Said::renewed(before, meant, &network, now, &key).unwrap();
        let seq = |said: &Said| said.signed.record().seq;

        let first = renewed(None, meant(b"1"), start);
        let first_seq = seq(&first);
        assert!(!first.is_stored());
        let first = Said { stored: Some(Instant::now()), ..first };
        let same = renewed(Some(first), meant(b"1"), start.plus(Duration::from_secs(3600)));
        assert!(same.is_stored() && seq(&same) == first_seq);
        let other = renewed(Some(same), meant(b"2"), start.minus(Duration::from_secs(3600)));
        assert!(!other.is_stored());
        assert_eq!(seq(&other), first_seq + 1, "the clock went back, and the number does not");
        let signed = other.signed.record().created;
        let old = renewed(Some(other), meant(b"2"), signed.plus(pointer::POINTER_TTL / 2));
        assert!(!old.is_stored() && old.signed.record().created > signed);
    }
}
