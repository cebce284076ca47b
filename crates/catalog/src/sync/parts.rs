//! Stories and laws of nodes that hold only some shards.

use std::collections::{BTreeSet, HashSet};

use haggle_base::{Blob, List, RecordId};
use haggle_store::Store;
use proptest::prelude::*;
use tokio::io::duplex;

use super::{
    Role, SyncReport,
    digest::Sum,
    pace,
    session::{Heard, Session, Sets, ShardSet, Step},
};
use crate::{
    Catalog, CatalogConfig, Keep, Origin, Query, Shards,
    error::SyncError,
    shard_of,
    testing::{
        Node, START, agent, card, config, listing, network, node, node_with, peer, signed_attestation, signed_card,
        signed_listing, signed_tombstone,
    },
    wire::Frame,
};

/// Two categories that lie in different shards of four.
const HELD: &str = "text";
const ELSEWHERE: &str = "code";

fn held() -> Shards {
    Shards::of_categories([HELD], 4)
}

/// A node of agent `own` that holds these shards.
async fn part_with(own: u32, shards: Shards, others: usize, store: Store) -> Node {
    let keep = Keep { own: HashSet::from([agent(own).did()]), shards, others };
    node_with(store, CatalogConfig { keep: Some(keep), ..config() }).await
}

async fn part(own: u32, shards: Shards) -> Node {
    part_with(own, shards, 8, Store::memory()).await
}

async fn put(node: &Node, bytes: Vec<u8>) -> crate::shelf::event::Put {
    node.catalog.put(bytes, Origin::Sync { peer: peer(9) }).await.unwrap()
}

/// One session in which each side says what it holds, if `says`.
async fn sync(one: &Catalog, other: &Catalog, says: bool) -> (SyncReport, SyncReport) {
    let (near, far) = duplex(64 * 1024);
    let ended = if says {
        tokio::join!(
            one.sync_parts_with(near, Role::Leader, peer(1)),
            other.sync_parts_with(far, Role::Follower, peer(0))
        )
    } else {
        tokio::join!(one.sync_with(near, Role::Leader, peer(1)), other.sync_with(far, Role::Follower, peer(0)))
    };
    (ended.0.unwrap(), ended.1.unwrap())
}

fn offer(author: u32, category: &str) -> Vec<u8> {
    signed_listing(&agent(author), "digest", 1, listing("Digest", category, "0.25"))
}

/// A full node with thirty sellers in three categories, their cards, and receipts about some of them.
async fn market() -> Node {
    let full = node().await;
    for author in 0..30 {
        assert!(put(&full, signed_card(&agent(author), 1, card("agent", None))).await.is_new());
        let category = [HELD, ELSEWHERE, "image"][author as usize % 3];
        assert!(put(&full, offer(author, category)).await.is_new());
        if author < 9 {
            assert!(put(&full, signed_attestation(40, author, u8::try_from(author).unwrap())).await.is_new());
        }
    }
    full
}

fn sets_in(catalog: &Catalog, shards: Shards) -> Vec<ShardSet> {
    shards.into_iter().map(|shard| catalog.sets()[usize::from(shard)].clone()).collect()
}

#[test]
fn the_two_categories_of_these_stories_lie_apart() {
    assert_ne!(shard_of(HELD.as_bytes(), 4), shard_of(ELSEWHERE.as_bytes(), 4));
}

#[tokio::test]
async fn a_part_is_complete_after_a_session_with_one_that_holds_everything() {
    let (full, interest) = (market().await, part(50, held()).await);
    assert!(put(&full, signed_card(&agent(50), 1, card("own", None))).await.is_new(), "heard of by gossip before");
    // over `sync/1`, as a node of an earlier version speaks it: nobody says what it holds
    let (led, followed) = sync(&interest.catalog, &full.catalog, false).await;
    assert!(led.received > 0 && led.sent == 0 && followed.received == 0, "{led:?} {followed:?}");
    assert_eq!(sets_in(&interest.catalog, held()), sets_in(&full.catalog, held()));
    assert_eq!(sets_in(&interest.catalog, Shards::all(4).without(held())).concat(), [], "and nothing beside");
    assert!(interest.catalog.is_complete() && interest.catalog.is_complete_in(HELD));
    assert!(!interest.catalog.is_complete_in(ELSEWHERE) && !full.catalog.is_complete(), "the rest was not compared");
    assert!(full.catalog.is_complete_in(HELD));
    assert_eq!((led.ended(), followed.ended()), (pace::Ended::Found, pace::Ended::Given { news: false }));
    let (led, _) = sync(&interest.catalog, &full.catalog, false).await;
    assert_eq!((led.ended(), led.received), (pace::Ended::Equal, 0), "what differs elsewhere is no difference");
}

#[tokio::test]
async fn a_part_follows_one_that_holds_everything_and_is_given_nothing_else() {
    let (full, interest) = (market().await, part(50, held()).await);
    let (led, followed) = sync(&full.catalog, &interest.catalog, true).await;
    assert_eq!((led.sent, followed.received, followed.declined), (followed.received, led.sent, 0));
    assert_eq!(sets_in(&interest.catalog, held()), sets_in(&full.catalog, held()));
    assert!(interest.catalog.is_complete() && !full.catalog.is_complete());
    assert!(led.is_gift && !followed.is_gift);
}

#[tokio::test]
async fn what_its_own_agents_say_goes_out_whatever_it_holds() {
    let (full, interest) = (market().await, part(50, held()).await);
    assert!(put(&interest, signed_card(&agent(50), 1, card("own", None))).await.is_new());
    for (name, category) in [("here", HELD), ("there", ELSEWHERE)] {
        let own = signed_listing(&agent(50), name, 1, listing("Own", category, "0.25"));
        assert!(put(&interest, own).await.is_new());
    }
    let before = full.catalog.status();
    let (led, followed) = sync(&interest.catalog, &full.catalog, false).await;
    assert_eq!(followed.received, 3, "{followed:?}");
    assert_eq!(full.catalog.status().listings, before.listings + 2);
    assert_eq!(led.ended(), pace::Ended::Found, "one of them was missing in a shard that was compared");
    let (led, followed) = sync(&interest.catalog, &full.catalog, false).await;
    assert!(led.gifted > 0 && led.sent == led.gifted && followed.received == 0, "{led:?}");
    assert_eq!(led.ended(), pace::Ended::Equal, "giving the same again is no sign of loss");
}

#[tokio::test]
async fn what_comes_unasked_is_not_stored() {
    let interest = part(50, held()).await;
    assert_eq!(put(&interest, offer(1, ELSEWHERE)).await, crate::shelf::event::Put::NotHeld);
    let gossip = Origin::Gossip { peer: peer(3) };
    let came = interest.catalog.put(offer(1, ELSEWHERE), gossip).await.unwrap();
    assert_eq!(came, crate::shelf::event::Put::NotHeld);
    assert!(put(&interest, offer(2, HELD)).await.is_new());
    let status = interest.catalog.status();
    assert_eq!(status.listings, 1);
    let id = crate::AnyRecord::open(offer(1, ELSEWHERE), &network(), START).unwrap().id();
    assert_eq!(interest.catalog.holding(&id, None), crate::look::Holding::NotHeld);
}

#[tokio::test]
async fn what_was_looked_up_elsewhere_refuses_nothing_and_gives_way() {
    let interest = part_with(50, held(), 100, Store::memory()).await;
    let asked = Origin::Search { peer: peer(1) };
    let named =
        |name: &str, category: &str, seq| signed_listing(&agent(1), name, seq, listing("Digest", category, "0.25"));
    let id = |bytes: Vec<u8>| crate::AnyRecord::open(bytes, &network(), START).unwrap().id();
    let names = ["a", "b", "c", "d", "e", "f"];
    // those that were withdrawn meanwhile, of which nothing was heard
    let answered = names.iter().map(|name| named(name, ELSEWHERE, 1)).collect();
    let came = interest.catalog.put_many(answered, asked).await.unwrap();
    assert!(came.iter().all(|put| put.as_ref().unwrap().is_new()), "{came:?}");
    let here = || names.map(|name| interest.catalog.listing(&id(named(name, ELSEWHERE, 1))).unwrap().is_some());
    assert_eq!(here(), [false, false, true, true, true, true], "those that were looked up last");
    interest.catalog.flush().await.unwrap();
    assert_eq!(interest.catalog.search(&Query::default()).unwrap().total, 4);

    for name in ["one", "two", "three", "four"] {
        assert!(put(&interest, named(name, HELD, 1)).await.is_new(), "{name}");
    }
    assert_eq!(here(), [false; 6]);
    let fifth = put(&interest, named("five", HELD, 1)).await;
    assert!(matches!(fifth, crate::shelf::event::Put::OverQuota { .. }), "{fifth:?}");
    let status = interest.catalog.status();
    assert_eq!(status.listings, 4);
}

#[tokio::test]
async fn what_replaces_a_record_that_was_looked_up_is_taken_whoever_brings_it() {
    let interest = part(50, held()).await;
    let _done = interest.catalog.put(offer(1, ELSEWHERE), Origin::Search { peer: peer(1) }).await.unwrap();
    let newer = signed_listing(&agent(1), "digest", 2, listing("Digest", ELSEWHERE, "0.5"));
    let gossip = Origin::Gossip { peer: peer(3) };
    let came = interest.catalog.put(newer, gossip).await.unwrap();
    assert!(matches!(came, crate::shelf::event::Put::Replaced { .. }), "{came:?}");
    let gone = signed_tombstone(&agent(1), "digest", 3, ELSEWHERE);
    let came = interest.catalog.put(gone, gossip).await.unwrap();
    assert!(matches!(came, crate::shelf::event::Put::Replaced { .. }), "{came:?}");
    assert_eq!(interest.catalog.status().listings, 0);
    assert_eq!(put(&interest, offer(2, ELSEWHERE)).await, crate::shelf::event::Put::NotHeld);
}

#[tokio::test]
async fn a_card_of_whoever_sells_here_outlasts_what_was_looked_up() {
    let interest = part_with(50, held(), 2, Store::memory()).await;
    let asked = Origin::Search { peer: peer(1) };
    assert!(put(&interest, offer(1, HELD)).await.is_new());
    assert_eq!(interest.catalog.uncarded(9, |_| true), [agent(1).did()]);
    let cards = (1..9).map(|author| signed_card(&agent(author), 1, card("agent", None)));
    for card in cards {
        let _done = interest.catalog.put(card, asked).await.unwrap();
    }
    let here = held().contains(shard_of(agent(1).did().public_key(), 4));
    assert!(interest.catalog.card(&agent(1).did()).unwrap().is_some(), "it sells in a shard that is held ({here})");
    assert_eq!(interest.catalog.uncarded(9, |_| true), []);
    let elsewhere = (2..9).filter(|author| !held().contains(shard_of(agent(*author).did().public_key(), 4))).count();
    assert_eq!(interest.catalog.status().cards, 1 + 2.min(elsewhere) + (7 - elsewhere));
}

#[tokio::test]
async fn a_search_of_one_category_is_complete_and_of_others_it_has_what_was_answered() {
    let (full, interest) = (market().await, part(50, held()).await);
    let _done = sync(&interest.catalog, &full.catalog, false).await;
    interest.catalog.flush().await.unwrap();
    let of = |category: &str| Query { category: Some(category.to_owned()), ..Query::default() };
    let found = interest.catalog.search(&of(HELD)).unwrap();
    assert_eq!((found.total, found.complete), (10, true));
    assert!(interest.catalog.holds(" TEXT") && !interest.catalog.holds(ELSEWHERE));
    assert!(!interest.catalog.search(&of(ELSEWHERE)).unwrap().complete);
    let answered = crate::AnyRecord::open(offer(1, ELSEWHERE), &network(), START).unwrap().id();
    let _done = interest.catalog.put(offer(1, ELSEWHERE), Origin::Search { peer: peer(1) }).await.unwrap();
    interest.catalog.flush().await.unwrap();
    let union = interest.catalog.search_among(&Query::default(), &HashSet::from([answered])).unwrap();
    assert_eq!(union.total, 11, "what it holds, and what was answered");
}

#[tokio::test]
async fn who_holds_less_than_before_lets_go_of_the_rest_at_its_start() {
    let store = Store::memory();
    let full = node_with(store.clone(), config()).await;
    for author in 0..30 {
        assert!(put(&full, offer(author, ELSEWHERE)).await.is_new());
        assert!(put(&full, signed_card(&agent(author), 1, card("agent", None))).await.is_new());
    }
    assert!(put(&full, offer(31, HELD)).await.is_new());
    full.catalog.shutdown().await.unwrap();
    let interest = part_with(50, held(), 4, store).await;
    let in_shard: usize = interest.catalog.sets()[usize::from(held().into_iter().next().unwrap())].len();
    let all: usize = interest.catalog.sets().iter().map(Vec::len).sum();
    assert_eq!(all - in_shard, 4, "of others, what may be kept");
}

#[test]
fn who_says_what_it_cannot_hold_is_refused() {
    for holds in [vec![4], vec![1, 1], vec![2, 1]] {
        let mut session = Session::new(Role::Follower, network(), 4);
        let holds = Some(List::try_from(holds).unwrap());
        let said = Frame::Hello { network: network(), shards: 4, holds };
        assert!(matches!(session.hear(said, &Fake::default()), Err(SyncError::WrongShard)));
    }
    // and whoever says that shards differ that it does not hold
    let mut session = Session::new(Role::Leader, network(), 4);
    let _first = session.start(&Fake::default()).unwrap();
    let holds = Some(List::try_from(vec![1]).unwrap());
    let said = Frame::Hello { network: network(), shards: 4, holds };
    assert_eq!(session.hear(said, &Fake::default()).unwrap(), Heard::More);
    let differ = Frame::Differ { shards: List::try_from(vec![2]).unwrap() };
    assert!(matches!(session.hear(differ, &Fake::default()), Err(SyncError::WrongShard)));
}

/// The sets of one side.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Fake(Vec<BTreeSet<RecordId>>);

impl Sets for Fake {
    fn digests(&self) -> Vec<super::digest::Digest> {
        (0..4).map(|shard| Sum::of(self.0.get(shard).into_iter().flatten()).digest()).collect()
    }

    fn set(&self, shard: u16) -> ShardSet {
        self.0.get(usize::from(shard)).into_iter().flatten().map(|id| (START, *id)).collect()
    }
}

/// One node of the law: what it holds of the market, its sets, and its own records elsewhere.
#[derive(Debug, Clone)]
struct Member {
    holds: Shards,
    sets: Fake,
    own: Vec<(u16, RecordId)>,
}

impl Member {
    /// Takes in what the other side gave, as the one door does: what it does not hold is left.
    fn take(&mut self, given: &[(u16, RecordId)]) {
        for (shard, id) in given.iter().filter(|(shard, _)| self.holds.contains(*shard)) {
            self.sets.0[usize::from(*shard)].insert(*id);
        }
    }

    fn session(&self, role: Role, says: bool) -> Session {
        Session::new(role, network(), 4).of_part(self.holds, says, self.own.clone())
    }
}

/// Which shard an id of the law lies in.
fn id_in(shard: u16, number: u8) -> RecordId {
    let shard = u8::try_from(shard).unwrap();
    RecordId::from(haggle_base::Hash::of(&[shard, number]))
}

fn shard_of_id(id: &RecordId) -> u16 {
    (0..4).find(|shard| (0..=u8::MAX).any(|number| id_in(*shard, number) == *id)).unwrap()
}

/// Runs one session to its end; the ids that each side was given.
fn run(leader: &mut Member, follower: &mut Member, says: bool) -> (Session, Session) {
    let (mut one, mut other) = (leader.session(Role::Leader, says), follower.session(Role::Follower, says));
    let mut step: Step = one.start(&leader.sets).unwrap();
    for turn in 0..100 {
        let (hears, set, member) = if turn % 2 == 0 {
            (&mut other, follower.sets.clone(), &mut *follower)
        } else {
            (&mut one, leader.sets.clone(), &mut *leader)
        };
        for frame in step.frames.drain(..) {
            let _heard = hears.hear(frame, &set).unwrap();
        }
        if !step.give.is_empty() {
            // their bytes do not matter to the machine, their number does
            let records = step.give.iter().map(|_| Blob::try_from(vec![0]).unwrap()).collect::<Vec<_>>();
            let _heard = hears.hear(Frame::Records { records: List::try_from(records).unwrap() }, &set).unwrap();
        }
        let given: Vec<_> = step.give.iter().map(|id| (shard_of_id(id), *id)).collect();
        member.take(&given);
        let heard = hears.hear(if step.done { Frame::Done } else { Frame::Turn }, &set).unwrap();
        if heard == Heard::Finished {
            return (one, other);
        }
        step = hears.take_turn().unwrap();
    }
    panic!("the session does not end");
}

fn members() -> impl Strategy<Value = Vec<Member>> {
    let set = prop::collection::btree_set(0..24_u8, 0..12);
    let one = (0..16_u64, prop::collection::vec(set, 4), prop::collection::vec((0..4_u16, 24..30_u8), 0..3));
    let member = one.prop_map(|(bits, numbers, own)| {
        let holds = Shards::of_bits(bits);
        let in_shard = |(shard, numbers): (u16, BTreeSet<u8>)| {
            numbers.into_iter().filter(|_| holds.contains(shard)).map(|number| id_in(shard, number)).collect()
        };
        let mut sets = Fake((0..).zip(numbers).map(in_shard).collect());
        let own: Vec<_> = own.into_iter().map(|(shard, number)| (shard, id_in(shard, number))).collect();
        // what is our own in a shard that we hold stands in its set
        for (shard, id) in own.iter().filter(|(shard, _)| holds.contains(*shard)) {
            sets.0[usize::from(*shard)].insert(*id);
        }
        Member { holds, sets, own }
    });
    prop::collection::vec(member, 2..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// After sessions of one node with all others, it holds in each shard of its own exactly what it held and what those
    /// others hold there, and in no other shard anything new.
    #[test]
    fn a_part_comes_to_hold_the_union_of_its_shards_and_nothing_else(members in members(), leads: bool) {
        let mut members = members;
        let before = members.clone();
        let (first, rest) = members.split_first_mut().unwrap();
        let mut covered = Shards::NONE;
        for other in rest {
            let (one, two) = if leads { run(first, other, true) } else { let (two, one) = run(other, first, true); (one, two) };
            prop_assert_eq!(one.covered(), two.covered(), "both sides know what was compared");
            prop_assert_eq!(one.covered(), first.holds.shared_with(other.holds));
            prop_assert_eq!((one.missing(), two.missing()), (0, 0), "nobody is told of records that it cannot have");
            covered = Shards::of_bits(covered.bits() | one.covered().bits());
        }
        for shard in 0..4_u16 {
            let at = usize::from(shard);
            let mut expected = before[0].sets.0[at].clone();
            if before[0].holds.contains(shard) {
                for other in &before[1..] {
                    if other.holds.contains(shard) {
                        expected.extend(other.sets.0[at].iter().copied());
                    } else if !leads {
                        expected.extend(other.own.iter().filter(|(of, _)| *of == shard).map(|(_, id)| *id));
                    }
                }
            }
            prop_assert_eq!(&members[0].sets.0[at], &expected, "shard {}", shard);
            prop_assert!(members[0].holds.contains(shard) || !covered.contains(shard));
        }
    }
}
