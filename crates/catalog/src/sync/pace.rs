//! When to reconcile, and with whom: decided without doing.
//!
//! A pure machine that node and simulator drive. Three rules make it complete and cheap:
//!
//! - Whoever connects is reconciled with, three at once at most. A node that was alone has missed
//!   everything and greets anew. A node that has missed everything takes it from one peer first,
//!   so that nothing comes three times.
//! - Then one random peer each interval.
//! - A session that found a difference is a sign of loss: the next one follows after a tenth of
//!   that time, so what is missing anywhere is halved each minute and not each ten. So it does after one that broke, which
//!   brought nothing.
//!
//! Peers that answer nothing take the turn of nobody, however many they are: who answered last time is greeted before the
//! others, and every other random peer is one of those.
//!
//! What a peer may cost is bounded: sessions, turns, bytes and time at work, each per interval.
//! Time is a duration since any fixed moment.

use std::{collections::BTreeMap, time::Duration};

/// How long a newcomer leaves all others alone for its first session: a peer that drags it out holds up nobody.
const HOLD: Duration = Duration::from_secs(10);
/// Peers remembered after they left, so that a new connection does not renew what they may cost.
const MAX_REMEMBERED: usize = 1024;

/// The pace of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaceSettings {
    /// Time between two sessions with random peers, while sessions find nothing.
    pub every: Duration,
    /// New connections that are reconciled with at once; one more each fifth of `every`.
    pub greetings: u32,
    /// How long the side that does not lead waits for the other before it leads itself.
    pub yields: Duration,
    /// Attempts to reconcile with a new connection.
    pub attempts: u32,
    /// Pause after the first failed attempt; it doubles.
    pub pause: Duration,
    /// Sessions that are followed at once.
    pub followed_at_once: usize,
    /// What one peer may cost in one interval.
    pub allowance: Spent,
}

impl PaceSettings {
    /// The defaults at this interval.
    #[must_use]
    pub const fn every(every: Duration) -> Self {
        Self {
            every,
            greetings: 3,
            yields: Duration::from_millis(250),
            attempts: 5,
            pause: Duration::from_millis(200),
            followed_at_once: 8,
            allowance: Spent { sessions: 24, turns: 8192, bytes: 512 << 20, busy: Duration::from_secs(60) },
        }
    }
}

/// What sessions with a peer cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    /// How many there were.
    pub sessions: u32,
    /// Turns of this side.
    pub turns: u32,
    /// Bytes read.
    pub bytes: u64,
    /// Time this side was at work.
    pub busy: Duration,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Both sides held the same.
    Equal,
    /// Something was missing on one side.
    Found,
    /// Not everything was compared: the leader gave what it has of its own, or left out what differs.
    Given {
        /// Something of it was new to the follower.
        news: bool,
    },
    /// It broke.
    Failed,
}

/// The pace of one node, whose peers are named by `P`.
#[derive(Debug)]
pub struct Pace<P> {
    settings: PaceSettings,
    peers: BTreeMap<P, Peer>,
    /// Greetings that are left, in thousandths, and when that was counted.
    greetings: (u64, Duration),
    /// When a random peer is due.
    round: Duration,
    following: usize,
    leading: usize,
    /// When the first of the sessions that are open began.
    since: Duration,
    /// A session has ended well since this node started or missed news.
    whole: bool,
    /// How often this node had news to give.
    news: u64,
}

#[derive(Debug, Default)]
struct Peer {
    connected: bool,
    /// When it is to be greeted.
    due: Option<Duration>,
    failed: u32,
    leading: bool,
    following: bool,
    /// The news that it has been given, and that the session under way began with.
    given: u64,
    giving: u64,
    /// When a session last ended well.
    last: Option<Duration>,
    /// Whether the last session that this node led with it ended well.
    answers: bool,
    /// What it cost in the interval that began then.
    spent: Spent,
    since: Duration,
}

impl<P: Copy + Ord> Pace<P> {
    /// The pace of a node that starts.
    #[must_use]
    pub fn new(settings: PaceSettings, now: Duration) -> Self {
        let greetings = (u64::from(settings.greetings) * 1000, now);
        let round = now + settings.every;
        let (peers, following, leading, whole, news) = (BTreeMap::new(), 0, 0, false, 0);
        Self { settings, peers, greetings, round, following, leading, since: now, whole, news }
    }

    /// A peer connected. `leads` is true for one of the two sides, by any rule that both know.
    pub fn connected(&mut self, peer: P, leads: bool, now: Duration) {
        let Self { settings, peers, news, .. } = self;
        let known = peers.entry(peer).or_default();
        known.connected = true;
        known.failed = 0;
        let fresh = known.last.is_none_or(|last| now.saturating_sub(last) >= settings.every);
        known.due = (fresh || known.given < *news).then(|| if leads { now } else { now + settings.yields });
        if self.peers.len() > MAX_REMEMBERED {
            self.forget_one();
        }
    }

    /// A peer is gone.
    pub fn disconnected(&mut self, peer: &P, now: Duration) {
        if let Some(known) = self.peers.get_mut(peer) {
            known.connected = false;
            known.due = None;
        }
        if !self.peers.values().any(|known| known.connected) {
            self.missed(now);
        }
    }

    /// A peer has nothing to reconcile with: it is as if it were not there until it connects again.
    pub fn leave_alone(&mut self, peer: &P) {
        if let Some(known) = self.peers.get_mut(peer) {
            known.connected = false;
            known.due = None;
        }
    }

    /// This node may have missed news: it slept, was alone, or dropped messages. The next new connections are greeted
    /// whoever they are, and a random peer is due at once.
    pub fn missed(&mut self, now: Duration) {
        self.greetings = (u64::from(self.settings.greetings) * 1000, now);
        self.round = now;
        self.whole = false;
        self.peers.values_mut().for_each(|known| known.last = None);
    }

    /// This node has something new to give: the peers that are connected are greeted once more, as many at once as there
    /// are greetings, and the others one by one.
    pub fn has_news(&mut self, now: Duration) {
        self.news += 1;
        self.peers.values_mut().filter(|known| known.connected).for_each(|known| known.due = Some(now));
    }

    /// Whom to lead a session with now. Each of them is to be followed by [`Self::led`]. `dice` is any random number.
    pub fn lead(&mut self, now: Duration, dice: u64) -> Vec<P> {
        self.count_greetings(now);
        let mut chosen = Vec::new();
        if !self.holds_back(now) {
            self.greet(now, dice, &mut chosen);
        }
        if now >= self.round {
            self.round = now + jittered(self.settings.every, dice);
            chosen.extend(self.any(now, dice));
        }
        if !chosen.is_empty() {
            self.began(now);
        }
        self.leading += chosen.len();
        chosen
    }

    /// Peers whose greeting is due.
    fn greet(&mut self, now: Duration, dice: u64, chosen: &mut Vec<P>) {
        let (settings, whole, news) = (self.settings, self.whole, self.news);
        for peer in self.due(now, dice) {
            let Some(known) = self.peers.get_mut(&peer) else { continue };
            known.due = None;
            let again = known.failed > 0;
            if !known.affords(&settings, now) || (self.greetings.0 < 1000 && !again) {
                known.due = known.owed_at(news, now + settings.every / 5);
                continue;
            }
            if !again {
                self.greetings.0 -= 1000;
            }
            (known.leading, known.giving) = (true, news);
            chosen.push(peer);
            if !whole {
                return;
            }
        }
    }

    /// Whose greeting is due: first who has answered, and among equals whoever the dice say, not whose name is low.
    fn due(&self, now: Duration, dice: u64) -> Vec<P> {
        let is_due = |known: &Peer| known.due.is_some_and(|due| due <= now) && !known.leading && !known.following;
        let mut due: Vec<_> = self.peers.iter().filter(|(_, known)| is_due(known)).collect();
        let first = at_random(dice, due.len());
        due.rotate_left(first);
        due.sort_by_key(|(_, known)| !known.answers);
        due.into_iter().map(|(peer, _)| *peer).collect()
    }

    /// A random peer; every other time one that has answered, if there is any.
    fn any(&mut self, now: Duration, dice: u64) -> Option<P> {
        let settings = self.settings;
        let mut free: Vec<(&P, &mut Peer)> = self.peers.iter_mut().collect();
        free.retain_mut(|(_, known)| known.is_free() && known.affords(&settings, now));
        let has_answered = |(_, known): &(&P, &mut Peer)| known.answers;
        if (dice >> 31) & 1 == 0 && free.iter().any(has_answered) {
            free.retain(has_answered);
        }
        let at = at_random(dice, free.len());
        let (peer, known) = free.get_mut(at)?;
        (known.leading, known.giving) = (true, self.news);
        Some(**peer)
    }

    /// A session begins; the first of those that are open counts.
    const fn began(&mut self, now: Duration) {
        if self.leading + self.following == 0 {
            self.since = now;
        }
    }

    /// True while this node takes everything from one peer.
    const fn holds_back(&self, now: Duration) -> bool {
        let open = self.leading + self.following > 0;
        !self.whole && open && now.saturating_sub(self.since).as_secs() < HOLD.as_secs()
    }

    /// How long until [`Self::lead`] has something new to say, if nothing happens.
    #[must_use]
    pub fn wait(&self, now: Duration) -> Duration {
        let held_back = self.holds_back(now);
        let waiting = self.peers.values().filter(|known| !held_back && !known.leading && !known.following);
        let due =
            waiting.filter_map(|known| known.due).chain([self.round]).chain(held_back.then(|| self.since + HOLD)).min();
        due.unwrap_or(self.round).saturating_sub(now)
    }

    /// Whether to follow a session that a peer wants to lead. If so, it is to be followed by [`Self::followed`].
    #[must_use]
    pub fn follow(&mut self, peer: P, now: Duration) -> bool {
        if self.holds_back(now) {
            return false;
        }
        let settings = self.settings;
        let known = self.peers.entry(peer).or_default();
        if known.following || self.following >= settings.followed_at_once || !known.affords(&settings, now) {
            return false;
        }
        known.following = true;
        self.began(now);
        self.following += 1;
        true
    }

    /// A session that this node led is over.
    pub fn led(&mut self, peer: &P, ended: Ended, spent: Spent, now: Duration, dice: u64) {
        let settings = self.settings;
        self.leading = self.leading.saturating_sub(1);
        if let Some(known) = self.peers.get_mut(peer) {
            known.leading = false;
            known.answers = ended != Ended::Failed;
            if ended == Ended::Failed {
                self.round = self.round.min(now + jittered(settings.every / 10, dice));
                known.failed += 1;
                let again = known.connected && known.failed < settings.attempts;
                // two nodes that refused each other do not come back in the same moment
                let pause = jittered(settings.pause * 2_u32.saturating_pow(known.failed.min(16) - 1), dice);
                known.due = again.then(|| now + pause).or_else(|| known.owed_at(self.news, now + settings.every / 5));
            } else {
                known.given = known.giving;
            }
        }
        // whoever gives has done all that it can
        let ended = if matches!(ended, Ended::Given { .. }) { Ended::Equal } else { ended };
        self.over(peer, ended, spent, now, dice);
    }

    /// A session that this node followed is over.
    pub fn followed(&mut self, peer: &P, ended: Ended, spent: Spent, now: Duration, dice: u64) {
        self.following = self.following.saturating_sub(1);
        if let Some(known) = self.peers.get_mut(peer) {
            known.following = false;
        }
        self.over(peer, ended, spent, now, dice);
    }

    fn over(&mut self, peer: &P, ended: Ended, spent: Spent, now: Duration, dice: u64) {
        if let Some(known) = self.peers.get_mut(peer) {
            known.charge(&self.settings, spent, now);
            if matches!(ended, Ended::Equal | Ended::Found) {
                known.last = Some(now);
                known.failed = 0;
                known.due = known.owed_at(self.news, now);
                self.whole = true;
            }
        }
        if matches!(ended, Ended::Found | Ended::Given { news: true }) {
            self.round = self.round.min(now + jittered(self.settings.every / 10, dice));
        }
    }

    fn count_greetings(&mut self, now: Duration) {
        let (left, counted) = self.greetings;
        let since = now.saturating_sub(counted).as_millis();
        let each = (self.settings.every / 5).as_millis().max(1);
        let back = u64::try_from(since * 1000 / each).unwrap_or(u64::MAX);
        if back > 0 {
            let most = u64::from(self.settings.greetings) * 1000;
            self.greetings = (left.saturating_add(back).min(most), now);
        }
    }

    /// Forgets a peer that is not connected and was not heard of for the longest time.
    fn forget_one(&mut self) {
        let gone = self.peers.iter().filter(|(_, known)| !known.connected && !known.leading && !known.following);
        if let Some(oldest) = gone.min_by_key(|(_, known)| known.since).map(|(peer, _)| *peer) {
            self.peers.remove(&oldest);
        }
    }
}

impl Peer {
    const fn is_free(&self) -> bool {
        self.connected && !self.leading && !self.following
    }

    /// When it is to be greeted next, if it is connected and was not given all the news.
    fn owed_at(&self, news: u64, at: Duration) -> Option<Duration> {
        (self.connected && self.given < news).then_some(at)
    }

    fn affords(&mut self, settings: &PaceSettings, now: Duration) -> bool {
        self.charge(settings, Spent::default(), now);
        let (spent, most) = (&self.spent, &settings.allowance);
        spent.sessions < most.sessions && spent.turns < most.turns && spent.bytes < most.bytes && spent.busy < most.busy
    }

    fn charge(&mut self, settings: &PaceSettings, more: Spent, now: Duration) {
        if now.saturating_sub(self.since) >= settings.every {
            (self.spent, self.since) = (Spent::default(), now);
        }
        let spent = &mut self.spent;
        spent.sessions = spent.sessions.saturating_add(more.sessions);
        spent.turns = spent.turns.saturating_add(more.turns);
        spent.bytes = spent.bytes.saturating_add(more.bytes);
        spent.busy = spent.busy.saturating_add(more.busy);
    }
}

/// One of so many places.
fn at_random(dice: u64, count: usize) -> usize {
    let count = u64::try_from(count).unwrap_or(u64::MAX).max(1);
    usize::try_from(dice % count).unwrap_or(0)
}

/// Between three quarters of a time and all of it, so that nodes do not beat in step.
fn jittered(time: Duration, dice: u64) -> Duration {
    let thousandths = u32::try_from((dice >> 32) % 250).unwrap_or(0) + 750;
    time / 1000 * thousandths
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const ONE: Spent = Spent { sessions: 1, turns: 2, bytes: 1000, busy: Duration::from_millis(1) };

    fn pace() -> Pace<u32> {
        Pace::new(PaceSettings::every(10 * MINUTE), Duration::ZERO)
    }

    #[test]
    fn three_new_connections_are_greeted_and_no_more() {
        let mut pace = pace();
        (0..5).for_each(|peer| pace.connected(peer, true, Duration::ZERO));
        assert_eq!(pace.wait(Duration::ZERO), Duration::ZERO);
        assert_eq!(pace.lead(Duration::ZERO, 0), [0], "one of them first");
        pace.led(&0, Ended::Equal, ONE, Duration::ZERO, 0);
        assert_eq!(pace.lead(Duration::ZERO, 0), [1, 2]);
        assert_eq!(pace.lead(Duration::ZERO, 0), [0; 0], "they are busy");
        assert!(pace.wait(Duration::ZERO) > Duration::ZERO);
        pace.connected(5, true, 2 * MINUTE);
        assert_eq!(pace.lead(2 * MINUTE, 0), [5], "one greeting came back");
    }

    #[test]
    fn a_newcomer_takes_everything_from_one_peer_before_it_talks_to_others() {
        let mut pace = pace();
        (0..3).for_each(|peer| pace.connected(peer, true, Duration::ZERO));
        assert_eq!(pace.lead(Duration::ZERO, 0), [0]);
        assert_eq!(pace.wait(Duration::ZERO), HOLD, "nothing to do until it is over, or drags on");
        assert!(!pace.follow(1, Duration::ZERO));
        let later = Duration::from_secs(1);
        pace.led(&0, Ended::Found, ONE, later, 0);
        assert!(pace.follow(1, later));
        assert_eq!(pace.lead(later, 0), [2]);
    }

    #[test]
    fn a_first_peer_that_drags_its_session_out_holds_up_nobody() {
        let mut pace = pace();
        (0..3).for_each(|peer| pace.connected(peer, true, Duration::ZERO));
        assert_eq!(pace.lead(Duration::ZERO, 0), [0]);
        assert_eq!(pace.lead(HOLD - Duration::from_millis(1), 0), [0; 0]);
        assert!(pace.follow(1, HOLD), "others are heard");
        assert_eq!(pace.lead(HOLD, 0), [2], "and asked");
    }

    #[test]
    fn the_side_that_yields_leads_only_if_the_other_did_not() {
        let mut pace = pace();
        pace.connected(1, false, Duration::ZERO);
        pace.connected(2, false, Duration::ZERO);
        assert!(pace.follow(1, Duration::ZERO));
        pace.followed(&1, Ended::Equal, ONE, Duration::ZERO, 0);
        assert_eq!(pace.lead(Duration::ZERO, 0), [0; 0]);
        let later = Duration::from_millis(250);
        assert_eq!((pace.wait(Duration::ZERO), pace.lead(later, 0)), (later, vec![2]));
    }

    #[test]
    fn a_random_peer_is_due_each_interval_and_sooner_where_something_was_missing() {
        let mut pace = pace();
        (0..3).for_each(|peer| pace.connected(peer, true, Duration::ZERO));
        for _ in 0..2 {
            for peer in pace.lead(Duration::ZERO, 0) {
                pace.led(&peer, Ended::Equal, ONE, Duration::ZERO, 0);
            }
        }
        let mut now = 10 * MINUTE;
        assert_eq!((pace.wait(Duration::ZERO), pace.lead(now, 4)), (now, vec![1]));
        pace.led(&1, Ended::Equal, ONE, now, 0);
        assert!((7 * MINUTE..=10 * MINUTE).contains(&pace.wait(now)));
        now += pace.wait(now);
        assert_eq!(pace.lead(now, 5), [2]);
        pace.led(&2, Ended::Found, ONE, now, 0);
        assert!((MINUTE / 2..=MINUTE).contains(&pace.wait(now)), "{:?}", pace.wait(now));
    }

    #[test]
    fn a_broken_session_is_tried_again_a_few_times_with_growing_pauses() {
        let mut pace = pace();
        pace.connected(1, true, Duration::ZERO);
        let (mut now, mut pauses) = (Duration::ZERO, Vec::new());
        while pace.lead(now, 0) == [1] {
            pace.led(&1, Ended::Failed, ONE, now, 0);
            pauses.push(pace.wait(now).as_millis());
            now += pace.wait(now);
            if now >= MINUTE {
                break;
            }
        }
        assert_eq!(pauses[..4], [150, 300, 600, 1200]);
        assert!(pauses[4..].iter().all(|pause| (40_000..60_000).contains(pause)), "then the next round has to do");
        pace.connected(1, true, now);
        assert_eq!(pace.lead(now, 0), [1], "a new connection is a new beginning");
    }

    #[test]
    fn peers_that_answer_nothing_take_the_turn_of_nobody() {
        const HONEST: u32 = 100;
        let mut pace = pace();
        pace.connected(HONEST, true, Duration::ZERO);
        assert_eq!(pace.lead(Duration::ZERO, 0), [HONEST]);
        pace.led(&HONEST, Ended::Equal, ONE, Duration::ZERO, 0);
        (0..20).for_each(|silent| pace.connected(silent, true, Duration::ZERO));
        let mut now = MINUTE;
        pace.has_news(now);
        let greeted = pace.lead(now, 3);
        assert_eq!((greeted[0], greeted.len()), (HONEST, 2), "it is first, though its name is the last");
        pace.led(&HONEST, Ended::Equal, ONE, now, 0);
        pace.led(&greeted[1], Ended::Failed, ONE, now, 0);
        let (mut sessions, mut dice) = (0, 7_u64);
        while now < 61 * MINUTE {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            for peer in pace.lead(now, dice) {
                let ended = if peer == HONEST { Ended::Equal } else { Ended::Failed };
                sessions += u32::from(peer == HONEST);
                pace.led(&peer, ended, ONE, now, dice);
            }
            now += pace.wait(now).max(Duration::from_millis(1));
        }
        assert!(sessions >= 6, "{sessions} in an hour are as many as among honest peers");
    }

    #[test]
    fn who_was_alone_greets_whom_it_knows_already() {
        let mut pace = pace();
        pace.connected(1, true, Duration::ZERO);
        assert_eq!(pace.lead(Duration::ZERO, 0), [1]);
        pace.led(&1, Ended::Equal, ONE, Duration::ZERO, 0);
        pace.connected(2, true, Duration::ZERO);
        pace.disconnected(&1, MINUTE);
        pace.connected(1, true, MINUTE);
        assert_eq!(pace.lead(MINUTE, 0), [2], "the first one was reconciled with a minute ago");
        pace.led(&2, Ended::Equal, ONE, MINUTE, 0);
        pace.disconnected(&1, MINUTE);
        pace.disconnected(&2, MINUTE);
        pace.connected(1, true, 2 * MINUTE);
        assert_eq!(pace.lead(2 * MINUTE, 0), [1]);
    }

    #[test]
    fn a_peer_that_costs_too_much_is_left_alone_until_the_interval_is_over() {
        let most = PaceSettings::every(10 * MINUTE).allowance;
        let dear = [
            Spent { sessions: most.sessions, ..ONE },
            Spent { turns: most.turns, ..ONE },
            Spent { bytes: most.bytes, ..ONE },
            Spent { busy: most.busy, ..ONE },
        ];
        for spent in dear {
            let mut pace = pace();
            pace.connected(1, true, Duration::ZERO);
            assert!(pace.follow(1, MINUTE));
            pace.followed(&1, Ended::Found, spent, MINUTE, 0);
            pace.disconnected(&1, MINUTE);
            pace.connected(1, true, MINUTE);
            assert!(!pace.follow(1, 2 * MINUTE), "{spent:?}");
            assert_eq!(pace.lead(3 * MINUTE, 0), [0; 0]);
            assert!(pace.follow(1, 12 * MINUTE));
        }
    }

    #[test]
    fn a_peer_with_nothing_to_reconcile_is_neither_greeted_nor_chosen_again() {
        let mut pace = pace();
        pace.connected(1, true, Duration::ZERO);
        pace.connected(2, true, Duration::ZERO);
        assert_eq!(pace.lead(Duration::ZERO, 0), [1]);
        pace.led(&1, Ended::Failed, Spent::default(), Duration::ZERO, 0);
        pace.leave_alone(&1);
        assert_eq!(pace.lead(MINUTE, 0), [2]);
        pace.led(&2, Ended::Equal, ONE, MINUTE, 0);
        assert_eq!(
            (0..4).map(|dice| pace.lead((dice + 2) * 10 * MINUTE, dice.into())).collect::<Vec<_>>().concat(),
            [2]
        );
    }

    #[test]
    fn a_gift_makes_nobody_complete_and_news_in_it_are_passed_on_within_a_minute() {
        let mut pace = pace();
        pace.connected(1, false, Duration::ZERO);
        assert!(pace.follow(1, Duration::ZERO));
        pace.followed(&1, Ended::Given { news: false }, ONE, Duration::ZERO, 0);
        let later = Duration::from_millis(250);
        assert_eq!(pace.lead(later, 0), [1], "it is still to be reconciled with");
        pace.led(&1, Ended::Equal, ONE, later, 0);
        assert!(pace.follow(1, MINUTE));
        pace.followed(&1, Ended::Given { news: true }, ONE, MINUTE, 0);
        assert!(pace.wait(MINUTE) <= MINUTE);
    }

    #[test]
    fn who_has_news_to_give_greets_those_who_are_connected_as_often_as_anybody_may() {
        let mut pace = pace();
        (0..5).for_each(|peer| pace.connected(peer, true, Duration::ZERO));
        assert_eq!(pace.lead(Duration::ZERO, 0), [0]);
        pace.led(&0, Ended::Given { news: false }, ONE, Duration::ZERO, 0);
        assert_eq!(pace.lead(Duration::ZERO, 0), [1, 2]);
        [1, 2].iter().for_each(|peer| pace.led(peer, Ended::Given { news: false }, ONE, Duration::ZERO, 0));
        pace.disconnected(&4, Duration::ZERO);
        pace.has_news(Duration::ZERO);
        assert_eq!(pace.lead(Duration::ZERO, 0), [0; 0], "three at once");
        assert_eq!(pace.lead(2 * MINUTE, 0), [0], "one greeting came back");
        pace.led(&0, Ended::Given { news: true }, ONE, 2 * MINUTE, 0);
        assert_eq!(pace.lead(4 * MINUTE, 0), [1], "and each gets the news once");
        pace.led(&1, Ended::Given { news: true }, ONE, 4 * MINUTE, 0);
        assert_eq!(pace.lead(6 * MINUTE, 0), [2]);
    }

    #[test]
    fn news_that_come_while_a_peer_is_given_others_are_given_after_them() {
        let mut pace = pace();
        pace.connected(1, true, Duration::ZERO);
        pace.has_news(Duration::ZERO);
        assert_eq!(pace.lead(Duration::ZERO, 0), [1]);
        pace.has_news(Duration::ZERO);
        assert_eq!(pace.lead(Duration::ZERO, 0), [0; 0], "it is busy");
        pace.led(&1, Ended::Given { news: true }, ONE, Duration::ZERO, 0);
        assert_eq!(pace.lead(Duration::ZERO, 0), [1]);
        pace.led(&1, Ended::Given { news: true }, ONE, Duration::ZERO, 0);
        assert_eq!(pace.lead(MINUTE, 0), [0; 0], "it has all");
    }

    #[test]
    fn who_takes_no_news_now_is_asked_again_later() {
        let mut pace = pace();
        pace.connected(1, true, Duration::ZERO);
        pace.has_news(Duration::ZERO);
        let mut now = Duration::ZERO;
        for _ in 0..5 {
            assert_eq!(pace.lead(now, 0), [1]);
            pace.led(&1, Ended::Failed, ONE, now, 0);
            now += pace.wait(now);
        }
        assert!((MINUTE / 2..MINUTE).contains(&now), "the round is sooner than its news are due again: {now:?}");
        assert_eq!(pace.lead(now, 0), [1]);
    }

    #[test]
    fn no_more_are_followed_at_once_than_can_be() {
        let mut pace = pace();
        assert!(pace.follow(99, Duration::ZERO));
        pace.followed(&99, Ended::Equal, ONE, Duration::ZERO, 0);
        let most = u32::try_from(PaceSettings::every(MINUTE).followed_at_once).unwrap();
        assert!((0..most).all(|peer| pace.follow(peer, MINUTE)));
        assert!(!pace.follow(most, MINUTE));
        assert!(!pace.follow(0, MINUTE), "one session of a peer at once");
        pace.followed(&0, Ended::Failed, ONE, MINUTE, 0);
        assert!(pace.follow(most, MINUTE));
    }

    #[test]
    fn a_peer_that_answered_once_and_falls_silent_goes_behind_those_who_answer() {
        let mut pace = pace();
        (1..=2).for_each(|peer| pace.connected(peer, true, Duration::ZERO));
        for peer in 1..=2 {
            pace.led(&peer, Ended::Equal, ONE, Duration::ZERO, 0);
        }
        pace.led(&1, Ended::Failed, ONE, Duration::ZERO, 0);
        pace.followed(&1, Ended::Equal, ONE, Duration::ZERO, 0);
        assert_eq!((pace.peers[&1].answers, pace.peers[&2].answers), (false, true));
        assert_eq!(pace.any(MINUTE, 0), Some(2), "what it leads itself is no answer");
    }
}
