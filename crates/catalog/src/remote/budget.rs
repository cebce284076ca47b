//! How much of this node's time other nodes' searches may take.
//!
//! A pure machine: it is told of the time and of what happens.

use std::{collections::HashMap, hash::Hash, time::Duration};

use super::wire::Refusal;

/// Searches answered at the same time, all peers together: 32 MiB of answers, if everybody reads slowly.
pub const ANSWERED_AT_ONCE: usize = 32;

/// Those of one peer.
pub const OF_ONE_PEER: usize = 4;

/// Searches of one peer in a minute.
pub const SEARCHES_A_MINUTE: u32 = 120;

/// Bytes of answers to one peer in a minute: 32 MiB.
pub const BYTES_A_MINUTE: u64 = 32 * 1024 * 1024;

const MINUTE: Duration = Duration::from_secs(60);

/// Peers whose share is remembered. One that is forgotten begins anew, so only a peer that has many names gains by it.
const MAX_PEERS: usize = 1024;

#[derive(Debug, Default)]
struct Share {
    since: Duration,
    searches: u32,
    bytes: u64,
    /// Its searches that are being answered.
    open: usize,
}

/// Who may search here now. Times are since any fixed moment.
#[derive(Debug)]
pub struct Budget<P> {
    shares: HashMap<P, Share>,
    open: usize,
}

impl<P> Default for Budget<P> {
    fn default() -> Self {
        Self { shares: HashMap::new(), open: 0 }
    }
}

impl<P: Copy + Eq + Hash> Budget<P> {
    /// A peer wants to search. If it may, that is to be followed by [`Self::end`].
    ///
    /// # Errors
    /// Why it may not.
    pub fn begin(&mut self, peer: P, now: Duration) -> Result<(), Refusal> {
        if self.open >= ANSWERED_AT_ONCE {
            return Err(Refusal::Busy);
        }
        if self.shares.len() >= MAX_PEERS && !self.shares.contains_key(&peer) {
            let closed = self.shares.iter().filter(|(_, share)| share.open == 0);
            if let Some(oldest) = closed.min_by_key(|(_, share)| share.since).map(|(peer, _)| *peer) {
                self.shares.remove(&oldest);
            }
        }
        let share = self.shares.entry(peer).or_insert_with(|| Share { since: now, ..Share::default() });
        if now.saturating_sub(share.since) >= MINUTE {
            *share = Share { since: now, open: share.open, ..Share::default() };
        }
        if share.open >= OF_ONE_PEER {
            return Err(Refusal::Busy);
        }
        if share.searches >= SEARCHES_A_MINUTE || share.bytes >= BYTES_A_MINUTE {
            return Err(Refusal::TooOften);
        }
        share.searches += 1;
        share.open += 1;
        self.open += 1;
        Ok(())
    }

    /// A search of the peer is over; so many bytes were sent.
    pub fn end(&mut self, peer: &P, bytes: u64) {
        if let Some(share) = self.shares.get_mut(peer).filter(|share| share.open > 0) {
            share.open -= 1;
            share.bytes = share.bytes.saturating_add(bytes);
            self.open = self.open.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_has_its_share_of_a_minute_and_few_searches_at_once() {
        let mut budget = Budget::default();
        for _ in 0..OF_ONE_PEER {
            assert_eq!(budget.begin(1, Duration::ZERO), Ok(()));
        }
        assert_eq!(budget.begin(1, Duration::ZERO), Err(Refusal::Busy));
        assert_eq!(budget.begin(1, MINUTE), Err(Refusal::Busy), "time does not end them");
        (0..OF_ONE_PEER).for_each(|_| budget.end(&1, 0));
        for _ in 0..SEARCHES_A_MINUTE {
            assert_eq!(budget.begin(1, MINUTE), Ok(()));
            budget.end(&1, 0);
        }
        assert_eq!(budget.begin(1, 3 * MINUTE / 2), Err(Refusal::TooOften));
        assert_eq!(budget.begin(2, 3 * MINUTE / 2), Ok(()), "others have theirs");
        budget.end(&2, BYTES_A_MINUTE);
        assert_eq!(budget.begin(2, 2 * MINUTE), Err(Refusal::TooOften), "all its bytes in one go");
        assert_eq!(budget.begin(1, 2 * MINUTE), Ok(()));
    }

    #[test]
    fn no_more_are_answered_at_once_than_can_be_and_memory_is_bounded() {
        let mut budget = Budget::default();
        for peer in 0..ANSWERED_AT_ONCE {
            assert_eq!(budget.begin(peer, Duration::ZERO), Ok(()));
        }
        assert_eq!(budget.begin(99, Duration::ZERO), Err(Refusal::Busy));
        budget.end(&0, 1);
        budget.end(&0, 1);
        assert_eq!(budget.begin(99, Duration::ZERO), Ok(()));
        assert_eq!(budget.begin(100, Duration::ZERO), Err(Refusal::Busy), "an end counts once");
        for peer in 100..100 + 2 * MAX_PEERS {
            budget.end(&99, 0);
            budget.end(&(peer - 1), 0);
            assert_eq!(budget.begin(peer, Duration::from_secs(1)), Ok(()));
        }
        assert!(budget.shares.len() <= MAX_PEERS);
        assert!((1..ANSWERED_AT_ONCE).all(|peer| budget.shares.contains_key(&peer)), "those under way are remembered");
    }
}
