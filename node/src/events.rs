//! One numbered stream of what the node sees happen, with a memory for those who reconnect.

use haggle_base::{Clock, Timestamp};
use haggle_gateway::view::{EventView, Topic};
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::broadcast;

/// Events remembered for clients that reconnect.
const REMEMBERED: usize = 1024;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happened {
    ListingStored,
    ListingWithdrawn,
    AttestationStored,
    MessageReceived,
    AgentStatus,
    OrderStep,
    OrderMissed,
    ChainSettled,
    TransferTold,
    PeerConnected,
    PeerDisconnected,
    PeerReconciled,
    PeerPath,
    RelayReserved,
    RelayLost,
    NodeReach,
}

impl Happened {
    /// Its name in the stream.
    const fn as_str(self) -> &'static str {
        match self {
            Self::ListingStored => "listing.stored",
            Self::ListingWithdrawn => "listing.withdrawn",
            Self::AttestationStored => "reputation.attestation",
            Self::MessageReceived => "message.received",
            Self::AgentStatus => "agent.status",
            Self::OrderStep => "order.step",
            Self::OrderMissed => "order.missed",
            Self::ChainSettled => "chain.settled",
            Self::TransferTold => "transfer.told",
            Self::PeerConnected => "peer.connected",
            Self::PeerDisconnected => "peer.disconnected",
            Self::PeerReconciled => "peer.reconciled",
            Self::PeerPath => "peer.path",
            Self::RelayReserved => "relay.reserved",
            Self::RelayLost => "relay.lost",
            Self::NodeReach => "node.reach",
        }
    }

    /// The one topic that it is told on.
    const fn topic(self) -> Topic {
        match self {
            Self::ListingStored
            | Self::ListingWithdrawn
            | Self::AttestationStored
            | Self::MessageReceived
            | Self::AgentStatus => Topic::AgentEvents,
            Self::OrderStep | Self::OrderMissed | Self::ChainSettled | Self::TransferTold => Topic::TaskUpdates,
            Self::PeerConnected
            | Self::PeerDisconnected
            | Self::PeerReconciled
            | Self::PeerPath
            | Self::RelayReserved
            | Self::RelayLost
            | Self::NodeReach => Topic::SystemNotifications,
        }
    }
}

/// Numbers events, remembers the newest, and sends them to whoever listens. Clones share everything.
#[derive(Clone, Debug)]
pub(crate) struct Events {
    clock: Arc<dyn Clock>,
    past: Arc<Mutex<Past>>,
    live: broadcast::Sender<EventView>,
}

#[derive(Debug, Default)]
struct Past {
    last: u64,
    events: VecDeque<EventView>,
}

impl Events {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, past: Arc::default(), live: broadcast::Sender::new(REMEMBERED) }
    }

    /// Tells that something happened now.
    pub(crate) fn tell(&self, what: Happened, data: Value) {
        self.tell_at(self.clock.now(), what, data);
    }

    /// Tells that something happened at `at`.
    pub(crate) fn tell_at(&self, at: Timestamp, what: Happened, data: Value) {
        let mut past = self.past.lock();
        past.last += 1;
        let (topic, kind) = (what.topic(), what.as_str().to_owned());
        let event = EventView { id: past.last, at: at.to_rfc3339(), topic, kind, data };
        if past.events.len() >= REMEMBERED {
            past.events.pop_front();
        }
        past.events.push_back(event.clone());
        // nobody may be listening, and that is fine
        let _listeners = self.live.send(event);
    }

    /// What is remembered after the event `after`, and everything from now on; no event is in both.
    pub(crate) fn follow(&self, after: Option<u64>) -> (Vec<EventView>, broadcast::Receiver<EventView>) {
        let past = self.past.lock();
        let live = self.live.subscribe();
        let remembered = match after {
            Some(after) => past.events.iter().filter(|event| event.id > after).cloned().collect(),
            None => Vec::new(),
        };
        (remembered, live)
    }
}

#[cfg(test)]
mod tests {
    use super::{Events, Happened, REMEMBERED};
    use haggle_base::{ManualClock, Timestamp};
    use serde_json::json;
    use std::sync::Arc;

    fn events() -> Events {
        Events::new(Arc::new(ManualClock::new(Timestamp::from_secs(1_795_000_000))))
    }

    #[test]
    fn a_client_that_reconnects_misses_nothing_and_sees_nothing_twice() {
        let events = events();
        for number in 0..5 {
            events.tell(Happened::OrderStep, json!(number));
        }
        let (missed, mut live) = events.follow(Some(3));
        assert_eq!(missed.iter().map(|event| event.id).collect::<Vec<_>>(), [4, 5]);
        events.tell(Happened::OrderStep, json!(5));
        assert_eq!(live.try_recv().unwrap().id, 6);
        assert!(live.try_recv().is_err());
    }

    #[test]
    fn what_one_tells_of_an_agent_is_seen_in_its_order_whoever_tells_of_others() {
        const EACH: u64 = 200;
        let events = events();
        let (_, mut live) = events.follow(None);
        std::thread::scope(|scope| {
            for agent in 0..4_u64 {
                let events = events.clone();
                scope.spawn(move || {
                    for step in 0..EACH {
                        events.tell(Happened::OrderStep, json!({"agent": agent, "step": step}));
                    }
                });
            }
        });
        let (remembered, _) = events.follow(Some(0));
        let followed: Vec<_> = std::iter::from_fn(|| live.try_recv().ok()).collect();
        assert_eq!(remembered, followed, "whoever comes late sees the same");
        assert!(followed.windows(2).all(|pair| pair[0].id + 1 == pair[1].id));
        for agent in 0..4_u64 {
            let told = followed.iter().filter(|event| event.data["agent"] == agent);
            assert!(told.map(|event| event.data["step"].as_u64().unwrap()).eq(0..EACH), "of agent {agent}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let events = events();
        for number in 0..(REMEMBERED + 10) {
            events.tell(Happened::PeerConnected, json!(number));
        }
        let (missed, _live) = events.follow(Some(0));
        assert_eq!(missed.len(), REMEMBERED);
        assert_eq!(missed[0].id, 11);
    }
}
