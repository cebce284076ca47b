//! One numbered stream of what the node sees happen, with a memory for those who reconnect.

use haggle_base::{Clock, Timestamp};
use haggle_gateway::view::EventView;
use parking_lot::Mutex;
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::broadcast;

/// Events remembered for clients that reconnect.
const REMEMBERED: usize = 1024;

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
    pub(crate) fn tell(&self, kind: &str, data: Value) {
        self.tell_at(self.clock.now(), kind, data);
    }

    /// Tells that something happened at `at`.
    pub(crate) fn tell_at(&self, at: Timestamp, kind: &str, data: Value) {
        let mut past = self.past.lock();
        past.last += 1;
        let event = EventView { id: past.last, at: at.to_rfc3339(), kind: kind.to_owned(), data };
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
    use super::{Events, REMEMBERED};
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
            events.tell("order.step", json!(number));
        }
        let (missed, mut live) = events.follow(Some(3));
        assert_eq!(missed.iter().map(|event| event.id).collect::<Vec<_>>(), [4, 5]);
        events.tell("order.step", json!(5));
        assert_eq!(live.try_recv().unwrap().id, 6);
        assert!(live.try_recv().is_err());
    }

    #[test]
    fn memory_is_bounded() {
        let events = events();
        for number in 0..(REMEMBERED + 10) {
            events.tell("peer.connected", json!(number));
        }
        let (missed, _live) = events.follow(Some(0));
        assert_eq!(missed.len(), REMEMBERED);
        assert_eq!(missed[0].id, 11);
    }
}
