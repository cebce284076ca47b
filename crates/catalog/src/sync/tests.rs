//! Stories of sync: late joiners, healed partitions, quotas, and peers that break the rules.

use std::collections::BTreeMap;

use haggle_base::{AgentKey, Blob, List};
use proptest::prelude::*;
use tokio::io::duplex;

use super::*;
use crate::{
    CatalogConfig, Keep, PaidRoom,
    body::RECORD_TTL,
    testing::{
        Node, START, agent, binding, card, config, listing, network, node, node_with, payer, peer, signed,
        signed_attestation, signed_card, signed_listing, signed_tombstone, text,
    },
    wire::{MAX_RECORDS, MAX_WANTED},
};

async fn sync(one: &Catalog, other: &Catalog) -> (SyncReport, SyncReport) {
    let (near, far) = duplex(64 * 1024);
    let (led, followed) =
        tokio::join!(one.sync_with(near, Role::Leader, peer(1)), other.sync_with(far, Role::Follower, peer(0)),);
    (led.unwrap(), followed.unwrap())
}

/// As a light node gets what it looks up.
async fn look_up(node: &Node, bytes: Vec<u8>) {
    drop(node.catalog.put(bytes, Origin::Search { peer: peer(9) }).await.unwrap());
}

async fn put(node: &Node, bytes: Vec<u8>) {
    drop(node.catalog.put(bytes, Origin::Gossip { peer: peer(9) }).await.unwrap());
}

/// The same set, whatever was refused for quota.
fn sorted_sets(catalog: &Catalog) -> Vec<session::ShardSet> {
    catalog.sets()
}

#[tokio::test]
async fn a_late_joiner_sees_every_record() {
    let (alice, joiner) = (node().await, node().await);
    for author in 0..50 {
        let key = agent(author);
        put(&alice, signed_card(&key, 1, card("agent", None))).await;
        put(&alice, signed_listing(&key, "digest", 1, listing("Digest", &format!("category-{author}"), "0.25"))).await;
    }
    put(&alice, signed_tombstone(&agent(0), "digest", 2, "category-0")).await;
    put(&alice, signed_attestation(1, 0, 7)).await;
    let (led, followed) = sync(&joiner.catalog, &alice.catalog).await;
    assert_eq!((led.received, led.sent, led.missing), (101, 0, 0));
    assert_eq!((followed.received, followed.sent), (0, 101));
    assert_eq!(sorted_sets(&joiner.catalog), sorted_sets(&alice.catalog));
    let status = joiner.catalog.status();
    assert_eq!((status.cards, status.listings, status.tombstones, status.attestations), (50, 49, 1, 1));
    assert!(status.complete && alice.catalog.is_complete());
    assert!(joiner.loudspeaker.said.lock().is_empty(), "what a sync brings is not gossiped again");
}

/// A node that holds its own records, and what it looked up.
async fn light_node(key: &AgentKey) -> Node {
    let keep = Keep { own: std::collections::HashSet::from([key.did()]), shards: Shards::NONE, others: 8 };
    node_with(haggle_store::Store::memory(), CatalogConfig { keep: Some(keep), ..config() }).await
}

async fn give(light: &Catalog, other: &Catalog) -> (SyncReport, SyncReport) {
    let (near, far) = duplex(64 * 1024);
    let (gave, took) = tokio::join!(light.give_to(near, peer(1)), other.sync_with(far, Role::Follower, peer(0)));
    (gave.unwrap(), took.unwrap())
}

#[tokio::test]
async fn a_light_node_gives_what_is_its_own_and_neither_side_is_complete_by_that() {
    let (seller, stranger) = (agent(0), agent(1));
    let (light, full) = (light_node(&seller).await, node().await);
    put(&light, signed_card(&seller, 1, card("seller", None))).await;
    put(&light, signed_listing(&seller, "digest", 1, listing("Digest", "text", "0.25"))).await;
    look_up(&light, signed_card(&stranger, 1, card("looked up", None))).await;
    put(&full, signed_card(&agent(2), 1, card("not asked for", None))).await;
    let (gave, took) = give(&light.catalog, &full.catalog).await;
    assert_eq!((gave.sent, gave.received, gave.turns, gave.ended()), (2, 0, 1, pace::Ended::Given { news: false }));
    assert_eq!((took.sent, took.received, took.ended()), (0, 2, pace::Ended::Given { news: true }));
    assert_eq!((full.catalog.status().cards, full.catalog.status().listings), (2, 1));
    assert_eq!(light.catalog.status().cards, 2, "it took nothing");
    assert!(!full.catalog.is_complete() && !light.catalog.is_complete());
    let (gave, took) = give(&light.catalog, &full.catalog).await;
    assert_eq!((gave.sent, took.received, took.declined), (2, 0, 2), "all of it is known");
    assert_eq!(took.ended(), pace::Ended::Given { news: false });
}

#[tokio::test]
async fn a_gift_of_nothing_ends_at_once_and_one_of_many_records_takes_turns() {
    let seller = agent(0);
    let (light, full) = (light_node(&seller).await, node().await);
    let (gave, took) = give(&light.catalog, &full.catalog).await;
    assert_eq!((gave.sent, gave.turns, took.received, took.turns), (0, 1, 0, 1));

    let ids: Vec<_> = (0..5000).map(|number| numbered(number).1).collect();
    let mut session = Session::giving(network(), 4, ids.iter().copied());
    let (mut turns, mut given) = (0, Vec::new());
    loop {
        let step = session.take_turn().unwrap();
        turns += 1;
        given.extend(step.give);
        if step.done {
            break;
        }
    }
    assert_eq!((turns, given), (3, ids), "2,048 at once at most");
}

#[tokio::test]
async fn both_sides_give_what_the_other_lacks_whoever_leads() {
    for swap in [false, true] {
        let (alice, bob) = (node().await, node().await);
        for author in 0..20 {
            let bytes = signed_listing(&agent(author), "digest", 1, listing("Digest", "text", "0.25"));
            put(if author % 2 == 0 { &alice } else { &bob }, bytes).await;
        }
        let (led, followed) =
            if swap { sync(&bob.catalog, &alice.catalog).await } else { sync(&alice.catalog, &bob.catalog).await };
        assert_eq!((led.received, led.sent, followed.received, followed.sent), (10, 10, 10, 10));
        assert_eq!(sorted_sets(&alice.catalog), sorted_sets(&bob.catalog));
    }
}

#[tokio::test]
async fn after_a_partition_the_newest_version_stands_on_both_sides() {
    let (alice, bob) = (node().await, node().await);
    let author = agent(0);
    put(&alice, signed_listing(&author, "digest", 1, listing("Old", "text", "0.25"))).await;
    put(&bob, signed_listing(&author, "digest", 2, listing("New", "text", "0.30"))).await;
    put(&alice, signed_tombstone(&agent(1), "gone", 9, "text")).await;
    put(&bob, signed_listing(&agent(1), "gone", 8, listing("Gone", "text", "0.30"))).await;
    sync(&alice.catalog, &bob.catalog).await;
    for node in [&alice, &bob] {
        let listings = node.catalog.listings(10).unwrap();
        assert_eq!(crate::testing::titles(&listings), ["New"]);
    }
    assert_eq!(sorted_sets(&alice.catalog), sorted_sets(&bob.catalog));
}

#[tokio::test]
async fn equal_sets_cost_one_turn_and_few_bytes() {
    let (alice, bob) = (node().await, node().await);
    for author in 0..200 {
        let bytes = signed_card(&agent(author), 1, card("agent", None));
        put(&alice, bytes.clone()).await;
        put(&bob, bytes).await;
    }
    let (led, followed) = sync(&alice.catalog, &bob.catalog).await;
    assert_eq!((led.turns, led.received, led.sent), (2, 0, 0));
    assert!(followed.bytes_in < 300, "{}", followed.bytes_in);
}

#[tokio::test]
async fn megabytes_of_records_pass_within_the_frame_limit() {
    let roomy = || CatalogConfig { shard_capacity: 1_000_000, ..config() };
    let alice = node_with(haggle_store::Store::memory(), roomy()).await;
    let bob = node_with(haggle_store::Store::memory(), roomy()).await;
    let records = |from: u8| -> Vec<Vec<u8>> {
        (0..600_u32)
            .map(|index| {
                let mut secret = [from; 32];
                secret[..4].copy_from_slice(&index.to_be_bytes());
                let mut body = card("agent", None);
                body.agent_card = text(&format!(r#"{{"name":"{}"}}"#, "n".repeat(3_000)));
                let now = START.minus(Duration::from_secs(u64::from(index)));
                signed(&AgentKey::from_bytes(&secret), "card", 1, now, RECORD_TTL, body)
            })
            .collect()
    };
    for outcome in alice.catalog.put_many(records(1), Origin::Local).await.unwrap() {
        assert!(outcome.unwrap().is_new());
    }
    for outcome in bob.catalog.put_many(records(2), Origin::Local).await.unwrap() {
        assert!(outcome.unwrap().is_new());
    }
    let (led, followed) = sync(&alice.catalog, &bob.catalog).await;
    assert_eq!((led.received, led.missing, followed.received), (600, 0, 600));
    assert_eq!(sorted_sets(&alice.catalog), sorted_sets(&bob.catalog));
}

#[tokio::test]
async fn what_is_refused_for_quota_is_not_fetched_again() {
    let tight = CatalogConfig { shard_capacity: 40, shards: 1, ..config() };
    let alice = node_with(haggle_store::Store::memory(), CatalogConfig { shards: 1, ..config() }).await;
    let bob = node_with(haggle_store::Store::memory(), tight).await;
    for author in 0..8 {
        put(&alice, signed_card(&agent(author), 1, card("agent", None))).await;
    }
    let (led, _) = sync(&bob.catalog, &alice.catalog).await;
    assert_eq!((led.received, led.declined), (4, 4));
    let (again, _) = sync(&bob.catalog, &alice.catalog).await;
    assert_eq!((again.received, again.declined, again.sent), (0, 0, 0));
}

#[tokio::test]
async fn a_listing_that_was_refused_comes_once_its_fee_is_seen() {
    let (alice, bob) = (node().await, node().await);
    let author = agent(0);
    let room = PaidRoom { payer: payer(0).address(), listings: 2 };
    alice.ledger.2.lock().insert(author.did(), room);
    put(&alice, signed_card(&author, 1, card("agent", Some(binding(0, &author.did()))))).await;
    for name in ["a", "b", "c", "d", "e", "f"] {
        alice.catalog.publish_listing(&author, name, listing(name, "text", "0.25")).await.unwrap();
    }
    assert_eq!((alice.catalog.status().listings, alice.catalog.status().paid_listings), (6, 2));
    let (led, _) = sync(&bob.catalog, &alice.catalog).await;
    assert_eq!((led.received, led.declined), (5, 2), "bob has seen no fee yet");

    bob.ledger.2.lock().insert(author.did(), room);
    bob.catalog.paid(&[payer(5).address()]).await.unwrap();
    assert_eq!(bob.catalog.status().paid_listings, 0, "nobody is bound to that wallet");
    bob.catalog.paid(&[room.payer]).await.unwrap();
    assert_eq!(bob.catalog.status().paid_listings, 2, "of the four that are here");
    let (led, _) = sync(&bob.catalog, &alice.catalog).await;
    assert_eq!((led.received, bob.catalog.status().listings), (2, 6), "the others are free ones");
    assert_eq!(sorted_sets(&alice.catalog), sorted_sets(&bob.catalog));
    // what comes with the card's word is charged too
    bob.ledger.2.lock().insert(author.did(), PaidRoom { listings: 5, ..room });
    put(&bob, signed_card(&author, 2, card("agents", Some(binding(0, &author.did()))))).await;
    assert_eq!(bob.catalog.status().paid_listings, 5);
    let again = node_with(bob.store, config()).await;
    assert_eq!((again.catalog.status().listings, again.catalog.status().paid_listings), (6, 5), "and after a restart");
}

#[tokio::test]
async fn where_the_free_share_is_full_a_newcomers_fee_gives_it_room_whatever_comes_first() {
    let tight = || CatalogConfig { shard_capacity: 40, shards: 1, ..config() };
    let newcomer = agent(0);
    let room = PaidRoom { payer: payer(0).address(), listings: 1 };
    let alice = node_with(haggle_store::Store::memory(), CatalogConfig { shards: 1, ..config() }).await;
    put(&alice, signed_card(&newcomer, 1, card("agent", Some(binding(0, &newcomer.did()))))).await;
    put(&alice, signed_listing(&newcomer, "a", 1, listing("a", "text", "0.25"))).await;
    for is_seen_first in [true, false] {
        let bob = node_with(haggle_store::Store::memory(), tight()).await;
        for author in 1..5 {
            put(&bob, signed_card(&agent(author), 1, card("agent", None))).await;
        }
        if is_seen_first {
            bob.ledger.2.lock().insert(newcomer.did(), room);
        }
        sync(&bob.catalog, &alice.catalog).await;
        let bob = if is_seen_first { bob } else { node_with(bob.store, tight()).await };
        if !is_seen_first {
            assert_eq!(bob.catalog.status().paid_listings, 0);
            bob.ledger.2.lock().insert(newcomer.did(), room);
            bob.catalog.paid(&[room.payer]).await.unwrap();
        }
        // the card may have come after its listing, which is looked for once more then
        for _ in 0..2 {
            sync(&bob.catalog, &alice.catalog).await;
        }
        assert!(bob.catalog.binding(&newcomer.did()).address().is_some(), "{is_seen_first}");
        assert_eq!(bob.catalog.status().paid_listings, 1, "{is_seen_first}");
        // another card that claims the same wallet without its key's word has no room by it
        let eve = signed_card(&agent(9), 1, card("eve", Some(binding(0, &newcomer.did()))));
        bob.ledger.2.lock().insert(agent(9).did(), room);
        put(&bob, eve).await;
        assert!(bob.catalog.card(&agent(9).did()).unwrap().is_none(), "{is_seen_first}");
    }
}

#[tokio::test]
async fn a_card_that_had_to_go_comes_back_once_its_own_wallet_pays_also_after_a_restart() {
    let tight = || CatalogConfig { shard_capacity: 40, shards: 1, ..config() };
    let alice = node_with(haggle_store::Store::memory(), CatalogConfig { shards: 1, ..config() }).await;
    let bob = node_with(haggle_store::Store::memory(), tight()).await;
    for author in 1..5 {
        let bytes = signed_card(&agent(author), 1, card("agent", Some(binding(author, &agent(author).did()))));
        put(&alice, bytes.clone()).await;
        put(&bob, bytes).await;
    }
    let rich = agent(9);
    bob.ledger.2.lock().insert(rich.did(), PaidRoom { payer: payer(9).address(), listings: 40 });
    put(&bob, signed_card(&rich, 1, card("rich", Some(binding(9, &rich.did()))))).await;
    for at in 0..36 {
        let name = format!("l{at}");
        put(&bob, signed_listing(&rich, &name, 1, listing(&name, "text", "0.25"))).await;
    }
    let bob = node_with(bob.store, tight()).await;
    let gone: Vec<_> = (1..5).filter(|author| bob.catalog.card(&agent(*author).did()).unwrap().is_none()).collect();
    let &[gone] = &*gone else { panic!("the oldest of those that nobody paid for has to go, alone: {gone:?}") };
    let (led, _) = sync(&bob.catalog, &alice.catalog).await;
    assert_eq!(led.received, 0, "what had to go is not fetched again");

    let room = PaidRoom { payer: payer(gone).address(), listings: 1 };
    bob.ledger.2.lock().insert(agent(gone).did(), room);
    bob.catalog.paid(&[room.payer]).await.unwrap();
    sync(&bob.catalog, &alice.catalog).await;
    assert!(bob.catalog.card(&agent(gone).did()).unwrap().is_some());
}

#[tokio::test]
async fn expired_records_are_not_offered() {
    let (alice, bob) = (node().await, node().await);
    put(&alice, signed_card(&agent(0), 1, card("agent", None))).await;
    alice.clock.advance(RECORD_TTL);
    bob.clock.advance(RECORD_TTL);
    let (led, followed) = sync(&bob.catalog, &alice.catalog).await;
    assert_eq!((led.received, led.missing, followed.sent), (0, 0, 0));
}

#[tokio::test]
async fn peers_of_another_network_or_with_other_shards_part_at_once() {
    let alice = node().await;
    for (other, code) in [
        (CatalogConfig { network: "devnet-8/1".parse().unwrap(), ..config() }, "wrong_network"),
        (CatalogConfig { shards: 8, ..config() }, "wrong_shard"),
    ] {
        let eve = node_with(haggle_store::Store::memory(), other).await;
        let (near, far) = duplex(64 * 1024);
        let (led, followed) = tokio::join!(
            eve.catalog.sync_with(near, Role::Leader, peer(0)),
            alice.catalog.sync_with(far, Role::Follower, peer(2)),
        );
        assert_eq!(followed.unwrap_err().code(), code);
        assert!(led.is_err());
    }
}

/// Eve leads: sends these frames raw, then hears what the follower makes of it.
async fn eve_says(frames: Vec<Vec<u8>>) -> SyncError {
    let alice = node_with(
        haggle_store::Store::memory(),
        CatalogConfig { sync_patience: Duration::from_millis(200), ..config() },
    )
    .await;
    let (mut near, far) = duplex(1024 * 1024);
    for frame in frames {
        near.write_all(&u32::try_from(frame.len()).unwrap().to_be_bytes()).await.unwrap();
        near.write_all(&frame).await.unwrap();
    }
    let error = alice.catalog.sync_with(far, Role::Follower, peer(2)).await.unwrap_err();
    assert_eq!(alice.catalog.status(), crate::CatalogStatus::default(), "the store is unchanged");
    error
}

fn hello() -> Vec<u8> {
    Frame::Hello { network: network(), shards: 4, holds: None }.encode().unwrap()
}

fn digests(shards: usize) -> Vec<u8> {
    Frame::Digests { digests: vec![7; shards * digest::DIGEST_BYTES].try_into().unwrap() }.encode().unwrap()
}

#[tokio::test]
async fn a_peer_that_breaks_the_protocol_is_named_and_changes_nothing() {
    let records = |bytes: Vec<u8>| Frame::Records { records: vec![Blob::try_from(bytes).unwrap()].try_into().unwrap() };
    let mut forged = signed_card(&agent(0), 1, card("alice", None));
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let reconcile = |shard, message: &[u8]| Frame::Reconcile { shard, message: message.to_vec().try_into().unwrap() };
    for (frames, code) in [
        (vec![hello(), records(forged).encode().unwrap()], "bad_signature"),
        (vec![hello(), records(b"noise".to_vec()).encode().unwrap()], "bad_cbor"),
        (vec![hello(), hello()], "frame_out_of_turn"),
        (vec![Frame::Turn.encode().unwrap()], "frame_out_of_turn"),
        (vec![hello(), digests(3)], "wrong_shard"),
        (vec![hello(), digests(4), digests(4)], "frame_out_of_turn"),
        (vec![hello(), Frame::Differ { shards: vec![0].try_into().unwrap() }.encode().unwrap()], "frame_out_of_turn"),
        (vec![hello(), reconcile(9, b"\x61").encode().unwrap()], "wrong_shard"),
        (vec![hello(), reconcile(0, &[0x00]).encode().unwrap()], "bad_sync_message"),
        (
            vec![hello(), reconcile(0, &[0x61]).encode().unwrap(), reconcile(0, &[0x61]).encode().unwrap()],
            "frame_out_of_turn",
        ),
        (vec![hello(), b"noise".to_vec()], "bad_frame"),
    ] {
        let error = eve_says(frames).await;
        assert_eq!(error.code(), code);
        assert!(error.is_peers_fault());
    }
}

#[tokio::test]
async fn an_oversize_frame_is_refused_by_its_length_alone() {
    let alice = node().await;
    let (mut near, far) = duplex(1024);
    near.write_all(&(64 * 1024 + 1_u32).to_be_bytes()).await.unwrap();
    let error = alice.catalog.sync_with(far, Role::Follower, peer(2)).await.unwrap_err();
    assert_eq!(error.code(), "frame_too_large");
    assert!(error.is_peers_fault());
}

#[tokio::test]
async fn a_silent_or_vanishing_peer_ends_the_session() {
    let silent = eve_says(vec![hello()]).await;
    assert_eq!(silent.code(), "sync_timeout");
    let alice = node().await;
    let (near, far) = duplex(1024);
    drop(near);
    let gone = alice.catalog.sync_with(far, Role::Follower, peer(2)).await.unwrap_err();
    assert_eq!(gone.code(), "sync_stream_broke");
    assert!(!silent.is_peers_fault() && !gone.is_peers_fault());
}

/// A network of one shard.
struct One(session::ShardSet);

impl session::Sets for One {
    fn digests(&self) -> Vec<digest::Digest> {
        vec![digest::Sum::of(self.0.iter().map(|(_, id)| id)).digest()]
    }

    fn set(&self, _shard: u16) -> session::ShardSet {
        self.0.clone()
    }
}

/// Runs two pure machines against each other; what each would hold afterwards, by id.
fn reconcile_sets(ours: &session::ShardSet, theirs: &session::ShardSet) -> (usize, usize, u32) {
    let (ours, theirs) = (One(ours.clone()), One(theirs.clone()));
    let mut leader = Session::new(Role::Leader, network(), 1);
    let mut follower = Session::new(Role::Follower, network(), 1);
    let (mut to_follower, mut to_leader) = (0, 0);
    let mut step = leader.start(&ours).unwrap();
    loop {
        for frame in step.frames {
            let frame = Frame::decode(&frame.encode().unwrap()).unwrap();
            assert_eq!(follower.hear(frame, &theirs).unwrap(), session::Heard::More);
        }
        to_follower += step.give.len();
        let end = if step.done { Frame::Done } else { Frame::Turn };
        assert_eq!(follower.hear(end, &theirs).unwrap(), session::Heard::YourTurn);
        let answer = follower.take_turn().unwrap();
        for frame in answer.frames {
            let frame = Frame::decode(&frame.encode().unwrap()).unwrap();
            assert_eq!(leader.hear(frame, &ours).unwrap(), session::Heard::More);
        }
        to_leader += answer.give.len();
        for ids in answer.give.chunks(MAX_RECORDS) {
            let blob = || Blob::try_from(vec![0]).unwrap();
            let records = List::try_from(ids.iter().map(|_| blob()).collect::<Vec<_>>()).unwrap();
            assert!(matches!(leader.hear(Frame::Records { records }, &ours).unwrap(), session::Heard::Records(_)));
        }
        if answer.done {
            assert_eq!(leader.hear(Frame::Done, &ours).unwrap(), session::Heard::Finished);
            return (to_follower, to_leader, leader.turns());
        }
        assert_eq!(leader.hear(Frame::Turn, &ours).unwrap(), session::Heard::YourTurn);
        step = leader.take_turn().unwrap();
    }
}

fn numbered(number: u32) -> (haggle_base::Timestamp, RecordId) {
    let id = haggle_base::Hash::of(&number.to_be_bytes());
    (START.plus(Duration::from_millis(u64::from(number % 977))), id.into())
}

#[test]
fn large_sets_that_differ_much_are_reconciled_in_bounded_turns() {
    let ours = (0..20_000).map(numbered).collect();
    let theirs = (5_000..25_000).map(numbered).collect();
    let (given, received, turns) = reconcile_sets(&ours, &theirs);
    assert_eq!((given, received), (5_000, 5_000));
    assert!(turns < 64, "{turns}");
}

proptest! {
    #[test]
    fn the_machines_find_exactly_what_differs(
        common in 0..2_000_u32,
        ours in 0..300_u32,
        theirs in 0..300_u32,
    ) {
        let a: session::ShardSet = (0..common + ours).map(numbered).collect();
        let b: session::ShardSet = (0..common).chain(100_000..100_000 + theirs).map(numbered).collect();
        let (given, received, _) = reconcile_sets(&a, &b);
        prop_assert_eq!((given, received), (ours as usize, theirs as usize));
    }
}

/// Records of a few authors, versions and kinds, and who heard each: alice, bob or both.
fn scattered() -> impl Strategy<Value = Vec<(Vec<u8>, u8)>> {
    let mut made: BTreeMap<(u8, u32, u64), Vec<u8>> = BTreeMap::new();
    for author in 0..4_u32 {
        for seq in 1..4 {
            let key = agent(author);
            made.insert((0, author, seq), signed_card(&key, seq, card("agent", None)));
            made.insert((1, author, seq), signed_listing(&key, "digest", seq, listing("Digest", "text", "0.25")));
            made.insert((2, author, seq), signed_tombstone(&key, "digest", seq, "text"));
            let order = u8::try_from(seq).unwrap();
            made.insert((3, author, seq), signed_attestation(author, author + 1, order));
        }
    }
    let all: Vec<Vec<u8>> = made.into_values().collect();
    prop::collection::vec((prop::sample::select(all), 1..4_u8), 0..40)
}

#[test]
fn below_quota_two_shelves_are_equal_after_a_sync_whatever_each_heard() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    proptest!(ProptestConfig::with_cases(64), |(heard in scattered(), led_by_alice: bool)| {
        runtime.block_on(async {
            let (alice, bob) = (node().await, node().await);
            for (bytes, who) in heard {
                if who & 1 != 0 {
                    put(&alice, bytes.clone()).await;
                }
                if who & 2 != 0 {
                    put(&bob, bytes).await;
                }
            }
            let (leader, follower) = if led_by_alice { (&alice, &bob) } else { (&bob, &alice) };
            sync(&leader.catalog, &follower.catalog).await;
            assert_eq!(sorted_sets(&alice.catalog), sorted_sets(&bob.catalog));
        });
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100_000))]

    #[test]
    fn random_bytes_never_panic_the_frame_decoder(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(frame) = Frame::decode(&bytes) {
            prop_assert_eq!(frame.encode().unwrap(), bytes);
        }
    }
}

/// Every kind of frame, to be damaged.
fn frames() -> Vec<Vec<u8>> {
    let ids = (0..40).map(|number| numbered(number).1).collect::<Vec<_>>();
    let set = One((0..100).map(numbered).collect());
    let mut leader = Session::new(Role::Leader, network(), 1);
    let mut frames: Vec<Frame> = leader.start(&set).unwrap().frames;
    assert_eq!(
        leader.hear(Frame::Hello { network: network(), shards: 1, holds: None }, &set).unwrap(),
        session::Heard::More
    );
    let differ = Frame::Differ { shards: vec![0].try_into().unwrap() };
    assert_eq!(leader.hear(differ.clone(), &set).unwrap(), session::Heard::More);
    frames.extend(leader.take_turn().unwrap().frames);
    frames.push(differ);
    frames.push(Frame::Want { ids: ids.try_into().unwrap() });
    frames.push(Frame::Records { records: vec![Blob::try_from(vec![1, 2, 3]).unwrap()].try_into().unwrap() });
    frames.extend([Frame::Turn, Frame::Done]);
    frames.iter().map(|frame| frame.encode().unwrap()).collect()
}

/// Damages a byte, cuts or inserts, 100,000 times: the decoder and both machines answer, they do
/// not panic.
#[test]
fn mutated_frames_never_panic_decoder_or_machine() {
    let frames = frames();
    let set = One((0..60).map(numbered).collect());
    let strategy = (0..frames.len(), any::<prop::sample::Index>(), 1..=255_u8, 0..3_u8, any::<bool>());
    proptest!(ProptestConfig::with_cases(100_000), |((which, at, flip, how, leads) in strategy)| {
        let mut bytes = frames[which].clone();
        let at = at.index(bytes.len());
        match how {
            0 => bytes[at] ^= flip,
            1 => bytes.truncate(at),
            _ => bytes.insert(at, flip),
        }
        if let Ok(frame) = Frame::decode(&bytes) {
            let role = if leads { Role::Leader } else { Role::Follower };
            let mut session = Session::new(role, network(), 1);
            if leads {
                drop(session.start(&set).unwrap());
            }
            let met = session.hear(Frame::Hello { network: network(), shards: 1, holds: None }, &set);
            prop_assert!(met.is_ok());
            if session.hear(frame, &set).is_ok() {
                prop_assert!(session.take_turn().is_ok());
            }
        }
    });
}

#[test]
fn records_are_packed_into_frames_below_the_limit() {
    let records: Vec<Vec<u8>> = (0..500_usize).map(|index| vec![7; 1 + index * 14]).collect();
    let frames = pack(records.clone());
    let mut unpacked = Vec::new();
    for frame in frames {
        let bytes = frame.encode().unwrap();
        assert!(bytes.len() <= MAX_FRAME_BYTES);
        match Frame::decode(&bytes).unwrap() {
            Frame::Records { records } => unpacked.extend(records.into_iter().map(Blob::into_vec)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(unpacked, records);
    let full = Frame::Want {
        ids: (0..).take(MAX_WANTED).map(|number| numbered(number).1).collect::<Vec<_>>().try_into().unwrap(),
    };
    assert!(full.encode().unwrap().len() < MAX_FRAME_BYTES);
}
