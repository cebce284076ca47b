//! The account of the pointers in the store: how new each one is, until when it is kept, and whose place it takes.
//!
//! A stranger's put never shortens the life of what is held, and a peer that puts many makes room at its own cost.

use std::collections::HashMap;
use std::time::Instant;

use haggle_base::PeerId;
use libp2p::kad::RecordKey;

use crate::config::PointerRank;

/// Pointers stored for others.
pub(crate) const MAX_POINTERS: usize = 4096;
/// Places of one peer among them: what one node keeps of its own.
const MAX_OF_PEER: usize = 1024;
/// Pointers of this node's own agents. They have places of their own, which no peer can fill.
pub(crate) const MAX_OWN_POINTERS: usize = 1024;

/// What is known of a pointer in the store.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) rank: PointerRank,
    /// When the store forgets it.
    pub(crate) expires: Instant,
    /// When it counts no longer, by its author's word; `None` if that is too far away to say.
    pub(crate) end: Option<Instant>,
    /// Whose place it takes; `None` for this node's own.
    pub(crate) by: Option<PeerId>,
}

impl Held {
    /// One that is stored at `now` until `expires` or its own end.
    pub(crate) fn new(rank: PointerRank, expires: Instant, end: Option<Instant>, by: Option<PeerId>) -> Self {
        Self { rank, expires: end.map_or(expires, |end| expires.min(end)), end, by }
    }
}

/// What becomes of a pointer that a peer wants stored.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Nothing.
    No,
    /// What is held stays, until this time.
    Longer(Held),
    /// It is stored.
    Anew(Held),
}

/// What becomes of `new` where `held` is. The time that a peer names for it can only be too short, so the longer one counts.
pub(crate) fn takes(held: Option<&Held>, new: Held) -> Taken {
    match held {
        None => Taken::Anew(new),
        Some(held) if held.rank > new.rank => Taken::No,
        Some(held) if held.rank == new.rank && held.expires >= new.expires => Taken::No,
        Some(held) if held.rank == new.rank => Taken::Longer(new),
        Some(held) => Taken::Anew(Held::new(new.rank, new.expires.max(held.expires), new.end, new.by)),
    }
}

/// All pointers of the store.
#[derive(Debug, Default)]
pub(crate) struct Pointers {
    held: HashMap<RecordKey, Held>,
    /// How many places each has taken; `None` is this node.
    places: HashMap<Option<PeerId>, usize>,
}

impl Pointers {
    /// What is held at a key.
    pub(crate) fn get(&self, key: &RecordKey, now: Instant) -> Option<Held> {
        self.held.get(key).filter(|held| held.expires > now).copied()
    }

    /// Enters what is about to be stored; `false` if there is no room for it. What has to leave the store for it is added to
    /// `gone`: what is over, then one pointer of the peer that takes most places, the one that ends first.
    #[must_use]
    pub(crate) fn enter(&mut self, key: &RecordKey, new: Held, now: Instant, gone: &mut Vec<RecordKey>) -> bool {
        let before = self.held.get(key).map(|held| held.by);
        let by = self.payer(before, new.by);
        if before != Some(by) {
            if !self.has_room(by) {
                gone.extend(self.leave_where(|held| held.expires <= now));
            }
            if by.is_none() && !self.has_room(by) {
                return false;
            }
        }
        self.leave(key);
        while !self.has_room(by) {
            let Some(first) = by.and_then(|peer| self.first_of(self.heaviest(peer))) else { return false };
            self.leave(&first);
            gone.push(first);
        }
        *self.places.entry(by).or_default() += 1;
        self.held.insert(key.clone(), Held { by, ..new });
        true
    }

    /// Whose place a pointer takes that was at a key and is put there again. Of two peers that have put it, the one with fewer
    /// places: nobody's pointers leave with those of a flood because the flooder has handed them on first.
    fn payer(&self, before: Option<Option<PeerId>>, new: Option<PeerId>) -> Option<PeerId> {
        match (before, new) {
            (Some(None), _) | (_, None) => None,
            (Some(Some(first)), Some(second)) if self.count(Some(first)) <= self.count(Some(second)) + 1 => Some(first),
            (_, second) => second,
        }
    }

    fn count(&self, by: Option<PeerId>) -> usize {
        self.places.get(&by).copied().unwrap_or(0)
    }

    fn has_room(&self, by: Option<PeerId>) -> bool {
        let own = self.count(None);
        match by {
            None => own < MAX_OWN_POINTERS,
            by => self.count(by) < MAX_OF_PEER && self.held.len().saturating_sub(own) < MAX_POINTERS,
        }
    }

    /// The peer that takes most places; `newcomer` if no other takes more.
    fn heaviest(&self, newcomer: PeerId) -> PeerId {
        let others = self.places.iter().filter_map(|(by, count)| by.map(|peer| (*count, peer)));
        let heaviest = others.max().filter(|(count, _)| *count > self.count(Some(newcomer)));
        heaviest.map_or(newcomer, |(_, peer)| peer)
    }

    /// The pointer in a place of the peer that ends first.
    fn first_of(&self, peer: PeerId) -> Option<RecordKey> {
        let of_peer = self.held.iter().filter(|(_, held)| held.by == Some(peer));
        of_peer.min_by_key(|(_, held)| held.expires).map(|(key, _)| key.clone())
    }

    fn leave_where(&mut self, is_over: impl Fn(&Held) -> bool) -> Vec<RecordKey> {
        let over: Vec<_> = self.held.iter().filter(|(_, held)| is_over(held)).map(|(key, _)| key.clone()).collect();
        over.iter().for_each(|key| self.leave(key));
        over
    }

    fn leave(&mut self, key: &RecordKey) {
        let Some(held) = self.held.remove(key) else { return };
        if let Some(count) = self.places.get_mut(&held.by) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.places.remove(&held.by);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use haggle_base::Seed;

    use super::*;

    fn start() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn key(number: usize) -> RecordKey {
        RecordKey::new(&number.to_be_bytes())
    }

    fn peer(number: u32) -> PeerId {
        Seed::devnet(7, number).node_key().peer_id()
    }

    fn rank(seq: u64) -> PointerRank {
        PointerRank::new(seq, [0; 32])
    }

    #[test]
    fn a_put_never_shortens_the_life_of_what_is_held() {
        let now = start();
        let lives = |seq, secs| Held::new(rank(seq), now + Duration::from_secs(secs), None, None);
        let held = lives(2, 1000);
        assert_eq!(takes(None, lives(1, 1)), Taken::Anew(lives(1, 1)));
        assert_eq!(takes(Some(&held), lives(1, 5000)), Taken::No, "it is older");
        assert_eq!(takes(Some(&held), lives(2, 1)), Taken::No, "the same one, to be forgotten at once");
        assert_eq!(takes(Some(&held), lives(2, 2000)), Taken::Longer(lives(2, 2000)));
        assert_eq!(takes(Some(&held), lives(3, 1)), Taken::Anew(lives(3, 1000)));
    }

    #[test]
    fn nothing_is_kept_beyond_its_own_end_and_an_older_one_counts_again_after_it() {
        let now = start();
        let after = |secs| now + Duration::from_secs(secs);
        let brief = Held::new(rank(9), after(1000), Some(after(10)), None);
        assert_eq!(brief.expires, after(10));
        let mut pointers = Pointers::default();
        assert!(pointers.enter(&key(1), brief, now, &mut Vec::new()));
        let older = Held::new(rank(1), after(1000), None, None);
        assert_eq!(takes(pointers.get(&key(1), after(9)).as_ref(), older), Taken::No);
        assert_eq!(takes(pointers.get(&key(1), after(10)).as_ref(), older), Taken::Anew(older));
        let longer = Held::new(rank(9), after(1000), Some(after(20)), None);
        let held = Held::new(rank(8), after(2000), None, None);
        assert_eq!(takes(Some(&held), longer), Taken::Anew(longer), "the one before lends no time beyond the end");
    }

    #[test]
    fn a_flood_costs_those_who_send_it_and_own_pointers_have_their_places() {
        let now = start();
        let peers = [0, 1, 2, 3, 4, 9].map(peer);
        let by = |by: Option<PeerId>, secs: usize| {
            Held::new(rank(1), now + Duration::from_secs(1000 + secs as u64), None, by)
        };
        let mut pointers = Pointers::default();
        let mut gone = Vec::new();
        for number in 0..10 {
            assert!(pointers.enter(&key(number), by(Some(peers[0]), 0), now, &mut gone));
        }
        // one peer has a quarter of all places, and gives up what ends first
        for number in 0..MAX_OF_PEER {
            assert!(pointers.enter(&key(10_000 + number), by(Some(peers[1]), number), now, &mut gone));
        }
        assert!(gone.is_empty());
        assert!(pointers.enter(&key(20_000), by(Some(peers[1]), 9999), now, &mut gone));
        assert_eq!(gone, [key(10_000)]);
        // with three more the store is full, and the flood makes room for itself and for honest newcomers
        gone.clear();
        for number in 0..3 * MAX_OF_PEER {
            let flooder = peers[2 + number / MAX_OF_PEER];
            assert!(pointers.enter(&key(30_000 + number), by(Some(flooder), number), now, &mut gone));
        }
        assert_eq!((pointers.held.len(), gone.len()), (MAX_POINTERS, 10));
        assert!((0..10).all(|number| pointers.get(&key(number), now).is_some()));
        assert!(pointers.enter(&key(50_000), by(Some(peers[5]), 0), now, &mut gone));
        assert_eq!((pointers.held.len(), gone.len()), (MAX_POINTERS, 11));

        for number in 0..MAX_OWN_POINTERS {
            assert!(pointers.enter(&key(60_000 + number), by(None, 0), now, &mut gone));
        }
        assert!(!pointers.enter(&key(70_000), by(None, 0), now, &mut gone));
        assert!(pointers.enter(&key(60_000), by(None, 5), now, &mut gone), "an own one may be stored again");
        assert_eq!((pointers.held.len(), gone.len()), (MAX_POINTERS + MAX_OWN_POINTERS, 11));
        // what is over leaves first
        let later = now + Duration::from_secs(1000);
        assert!(pointers.enter(&key(70_000), by(None, 9), later, &mut gone));
        assert!(!pointers.held.contains_key(&key(0)) && pointers.get(&key(33_000), later).is_some());
    }

    #[test]
    fn handing_on_honest_pointers_first_does_not_drag_them_out_with_a_flood() {
        let now = start();
        let by = |peer, secs| Held::new(rank(1), now + Duration::from_secs(secs), None, Some(peer));
        let (honest, flooder) = (peer(1), peer(2));
        let mut pointers = Pointers::default();
        let mut gone = Vec::new();
        assert!(pointers.enter(&key(1), by(flooder, 1), now, &mut gone));
        assert!(pointers.enter(&key(2), by(flooder, 1), now, &mut gone));
        assert!(pointers.enter(&key(3), by(flooder, 1), now, &mut gone));
        assert!(pointers.enter(&key(1), by(honest, 2), now, &mut gone));
        assert_eq!(pointers.get(&key(1), now).unwrap().by, Some(honest));
        assert!(pointers.enter(&key(1), by(flooder, 3), now, &mut gone));
        assert_eq!(pointers.get(&key(1), now).unwrap().by, Some(honest), "and never goes to the one with more");
        assert_eq!((pointers.count(Some(honest)), pointers.count(Some(flooder))), (1, 2));
    }
}
