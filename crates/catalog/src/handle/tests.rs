//! Stories of one catalog: what comes in, what stays, what is shown, what is said.

use std::time::Duration;

use haggle_base::{Coded, Timestamp};

use super::*;
use crate::{
    Query,
    body::{RECORD_TTL, TOMBSTONE_MARGIN},
    shelf::event::{Put, Quota},
    testing::{
        CHAIN, Node, START, agent, binding, card, config, listing, network, node, node_with, peer, signed_attestation,
        signed_card, signed_listing, signed_tombstone, titles,
    },
};

/// From a stranger.
fn gossip() -> Origin {
    Origin::Gossip { peer: peer(9) }
}

impl Node {
    async fn hear(&self, bytes: Vec<u8>) -> Put {
        self.catalog.put(bytes, gossip()).await.unwrap()
    }

    /// Hears a record whose fate does not matter.
    async fn told(&self, bytes: Vec<u8>) {
        drop(self.hear(bytes).await);
    }
}

#[tokio::test]
async fn a_strangers_listing_is_stored_shown_and_told_once() {
    let node = node().await;
    let mut events = node.catalog.subscribe();
    let alice = agent(0);
    let bytes = signed_listing(&alice, "digest", 1, listing("Digest", "text", "0.25"));
    assert_eq!(node.hear(bytes.clone()).await, Put::Fresh { evicted: None, forgotten: None });
    assert_eq!(node.hear(bytes.clone()).await, Put::Known);

    let held = node.catalog.listing_named(&alice.did(), "digest").unwrap().unwrap();
    assert_eq!(held.bytes().as_ref(), bytes);
    assert_eq!(held.author(), alice.did());
    assert_eq!(node.catalog.status().listings, 1);
    let CatalogEvent::Stored { record, origin } = events.recv().await.unwrap() else { panic!("stored first") };
    assert_eq!((record.id(), origin), (held.id(), gossip()));
    assert!(events.try_recv().is_err());
    assert!(node.loudspeaker.said.lock().is_empty(), "gossip passes a stranger's record on, we do not");
}

#[tokio::test]
async fn our_own_listing_goes_through_the_same_door_and_is_announced() {
    let node = node().await;
    let alice = agent(0);
    let published = node.catalog.publish_listing(&alice, "digest", listing("Digest", "text", "0.25")).await.unwrap();
    node.loudspeaker.heard.notified().await;
    let said = node.loudspeaker.said.lock().clone();
    assert_eq!(said, [(crate::shard_of(b"text", 4), published.bytes().to_vec())]);
    // The same bytes, put as a stranger would, are known.
    assert_eq!(node.hear(published.bytes().to_vec()).await, Put::Known);
}

#[tokio::test]
async fn an_announcement_without_peers_waits_for_one() {
    let node = node().await;
    node.loudspeaker.cut.store(true, Ordering::SeqCst);
    node.catalog.publish_listing(&agent(0), "digest", listing("Digest", "text", "0.25")).await.unwrap();
    while node.catalog.status().waiting_announcements == 0 {
        tokio::task::yield_now().await;
    }
    node.loudspeaker.cut.store(false, Ordering::SeqCst);
    node.catalog.retry_announcements();
    node.loudspeaker.heard.notified().await;
    assert_eq!(node.loudspeaker.said.lock().len(), 1);
}

#[tokio::test]
async fn a_replayed_older_record_changes_nothing() {
    let node = node().await;
    let alice = agent(0);
    let old = signed_listing(&alice, "digest", 1, listing("Old", "text", "0.25"));
    let new = signed_listing(&alice, "digest", 2, listing("New", "text", "0.30"));
    assert!(node.hear(old.clone()).await.is_new());
    assert!(matches!(node.hear(new).await, Put::Replaced { .. }));
    assert!(matches!(node.hear(old).await, Put::Stale { .. }));
    let listings = node.catalog.listings(10).unwrap();
    assert_eq!(titles(&listings), ["New"]);
    node.catalog.flush().await.unwrap();
    assert_eq!(node.catalog.search(&Query::default()).unwrap().total, 1);
}

#[tokio::test]
async fn bad_bytes_leave_the_store_unchanged() {
    let node = node().await;
    let good = signed_listing(&agent(0), "digest", 1, listing("Digest", "text", "0.25"));
    let mut forged = good.clone();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    for (bytes, codes) in [
        (forged, vec!["bad_signature"]),
        (good[..good.len() / 2].to_vec(), vec!["bad_cbor", "not_canonical", "bad_envelope"]),
        (Vec::new(), vec!["bad_cbor", "not_canonical", "bad_envelope"]),
        (vec![0xa5; 70_000], vec!["too_large"]),
    ] {
        let refused = node.catalog.put(bytes, gossip()).await.unwrap_err();
        assert!(codes.contains(&refused.code()), "{}", refused.code());
        assert!(refused.is_senders_fault());
    }
    assert_eq!(node.store.count::<records::Bytes>().unwrap(), 0);
    assert_eq!(node.catalog.status(), CatalogStatus::default());
}

#[tokio::test]
async fn a_tombstone_hides_the_listing_and_outlives_it() {
    let node = node().await;
    let alice = agent(0);
    node.catalog.publish_listing(&alice, "digest", listing("Digest", "text", "0.25")).await.unwrap();
    let old = node.catalog.listing_named(&alice.did(), "digest").unwrap().unwrap();
    node.catalog.flush().await.unwrap();
    node.clock.advance(Duration::from_secs(3_600));
    node.catalog.withdraw(&alice, "digest").await.unwrap();

    assert!(node.catalog.listings(10).unwrap().is_empty());
    assert_eq!(node.catalog.search(&Query::words("digest")).unwrap().total, 0, "also before the index commits");
    assert!(matches!(node.hear(old.bytes().to_vec()).await, Put::Stale { .. }));
    let [tombstone] = node.catalog.ids(Kind::Tombstone)[..] else { panic!("one tombstone") };
    let Some(AnyRecord::Tombstone(tombstone)) = node.catalog.record(&tombstone).unwrap() else { panic!("readable") };
    assert_eq!(tombstone.record().expires, old.record().expires.plus(TOMBSTONE_MARGIN));
    assert_eq!(node.catalog.withdraw(&alice, "digest").await.unwrap_err().code(), "not_listed");

    // The author may come back.
    node.catalog.publish_listing(&alice, "digest", listing("Digest again", "text", "0.25")).await.unwrap();
    assert_eq!(titles(&node.catalog.listings(10).unwrap()), ["Digest again"]);
}

#[tokio::test]
async fn a_tombstone_that_comes_first_keeps_the_listing_out() {
    let node = node().await;
    let alice = agent(0);
    assert!(node.hear(signed_tombstone(&alice, "digest", 2, "text")).await.is_new());
    let late = signed_listing(&alice, "digest", 1, listing("Digest", "text", "0.25"));
    assert!(matches!(node.hear(late).await, Put::Stale { .. }));
    assert_eq!(node.catalog.status().listings, 0);
}

#[tokio::test]
async fn a_listing_that_moves_to_another_category_leaves_the_first() {
    let node = node().await;
    let alice = agent(0);
    node.catalog.publish_listing(&alice, "digest", listing("Digest", "text", "0.25")).await.unwrap();
    node.catalog.publish_listing(&alice, "digest", listing("Digest", "data", "0.25")).await.unwrap();
    let listings = node.catalog.listings(10).unwrap();
    assert_eq!(listings.len(), 1);
    assert_eq!(listings[0].body().category, "data");
    assert_eq!(node.catalog.status().tombstones, 1);
}

#[tokio::test]
async fn a_listing_that_finds_no_room_in_another_category_stays_in_the_first() {
    // four listings of such authors fill the shard's share
    let tight = || CatalogConfig { shard_capacity: 40, shards: 1, ..config() };
    let node = node_with(Store::memory(), tight()).await;
    for author in 0..4 {
        node.catalog.publish_listing(&agent(author), "a", listing("a", "text", "0.25")).await.unwrap();
    }
    let alone = node_with(Store::memory(), tight()).await;
    for name in ["a", "b", "c", "d"] {
        alone.catalog.publish_listing(&agent(0), name, listing(name, "text", "0.25")).await.unwrap();
    }
    for node in [&node, &alone] {
        let before = node.catalog.status().listings;
        let refused = node.catalog.publish_listing(&agent(0), "a", listing("a", "data", "0.3")).await.unwrap_err();
        assert_eq!(refused.code(), "over_quota");
        let held = node.catalog.listing_named(&agent(0).did(), "a").unwrap().expect("it stands where it stood");
        assert_eq!((held.body().category.as_str(), node.catalog.status().listings), ("text", before));
        assert_eq!(node.catalog.status().tombstones, 0);
    }
}

#[tokio::test]
async fn one_of_as_many_listings_as_there_may_be_moves() {
    let node = node().await;
    for name in ["a", "b", "c", "d"] {
        node.catalog.publish_listing(&agent(0), name, listing(name, "text", "0.25")).await.unwrap();
    }
    node.catalog.publish_listing(&agent(0), "a", listing("a", "data", "0.25")).await.unwrap();
    let held = node.catalog.listing_named(&agent(0).did(), "a").unwrap().unwrap();
    assert_eq!((held.body().category.as_str(), node.catalog.status().listings), ("data", 4));
}

#[tokio::test]
async fn a_fifth_free_listing_is_over_quota_until_one_is_withdrawn() {
    let node = node().await;
    let alice = agent(0);
    for name in ["a", "b", "c", "d"] {
        node.catalog.publish_listing(&alice, name, listing(name, "text", "0.25")).await.unwrap();
    }
    let refused = node.catalog.publish_listing(&alice, "e", listing("e", "text", "0.25")).await.unwrap_err();
    assert_eq!(refused.code(), "over_quota");
    assert!(matches!(refused, CatalogError::OverQuota(Quota::AuthorListings)));
    node.catalog.withdraw(&alice, "a").await.unwrap();
    node.clock.advance(Duration::from_secs(1));
    node.catalog.publish_listing(&alice, "e", listing("e", "text", "0.25")).await.unwrap();
    let listings = node.catalog.listings(10).unwrap();
    let mut titles = titles(&listings);
    titles.sort_unstable();
    assert_eq!(titles, ["b", "c", "d", "e"]);
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let store = Store::memory();
    let node = node_with(store.clone(), config()).await;
    let (alice, bob) = (agent(0), agent(1));
    node.told(signed_card(&alice, 1, card("alice", Some(binding(0, &alice.did()))))).await;
    for name in ["a", "b", "c", "d", "e"] {
        node.told(signed_listing(&bob, name, 1, listing(name, "text", "0.25"))).await;
    }
    node.told(signed_tombstone(&bob, "a", 2, "text")).await;
    node.told(signed_attestation(1, 0, 7)).await;
    let (before, sets) = (node.catalog.status(), node.catalog.sets());
    node.catalog.shutdown().await.unwrap();

    let again = node_with(store, config()).await;
    assert_eq!(again.catalog.status(), before);
    assert_eq!(again.catalog.sets(), sets, "refused ids are remembered too");
    assert_eq!(again.catalog.search(&Query::default()).unwrap().total, 3);
    assert!(again.catalog.binding(&alice.did()).address().is_some());
    assert_eq!(again.catalog.attestations(&alice.did()).unwrap().len(), 1);
}

#[tokio::test]
async fn what_expired_is_gone_everywhere() {
    let store = Store::memory();
    let node = node_with(store.clone(), config()).await;
    let alice = agent(0);
    node.told(signed_card(&alice, 1, card("alice", Some(binding(0, &alice.did()))))).await;
    node.told(signed_listing(&alice, "digest", 1, listing("Digest", "text", "0.25"))).await;
    node.told(signed_attestation(1, 0, 7)).await;
    node.catalog.flush().await.unwrap();
    node.clock.advance(RECORD_TTL);
    assert_eq!(node.catalog.search(&Query::default()).unwrap().total, 0, "hidden before it is swept");
    assert!(node.catalog.card(&alice.did()).unwrap().is_none());
    node.catalog.sweep().await.unwrap();
    let status = node.catalog.status();
    assert_eq!((status.cards, status.listings, status.attestations), (0, 0, 1));
    assert_eq!(node.catalog.binding(&alice.did()), Binding::Missing);
    assert_eq!(store.count::<records::Bytes>().unwrap(), 1);
    assert_eq!(store.count::<records::Entries>().unwrap(), 1);
}

#[tokio::test]
async fn half_its_life_later_a_record_is_refreshed() {
    let node = node().await;
    let alice = agent(0);
    node.catalog.publish_card(&alice, card("alice", None)).await.unwrap();
    node.catalog.publish_listing(&alice, "digest", listing("Digest", "text", "0.25")).await.unwrap();
    assert_eq!(node.catalog.refresh(&alice).await.unwrap(), 0);
    node.clock.advance(RECORD_TTL / 2);
    assert_eq!(node.catalog.refresh(&alice).await.unwrap(), 2);
    assert_eq!(node.catalog.refresh(&alice).await.unwrap(), 0);
    node.clock.advance(RECORD_TTL / 2);
    assert_eq!(node.catalog.listings(10).unwrap().len(), 1);
}

#[tokio::test]
async fn two_changes_in_one_millisecond_both_count() {
    let node = node().await;
    let alice = agent(0);
    for title in ["One", "Two", "Three"] {
        node.catalog.publish_listing(&alice, "digest", listing(title, "text", "0.25")).await.unwrap();
    }
    assert_eq!(titles(&node.catalog.listings(10).unwrap()), ["Three"]);
}

#[tokio::test]
async fn a_card_without_a_binding_is_shown_but_cannot_be_paid() {
    let node = node().await;
    let (alice, bob, eve) = (agent(0), agent(1), agent(2));
    node.told(signed_card(&alice, 1, card("alice", Some(binding(0, &alice.did()))))).await;
    node.told(signed_card(&bob, 1, card("bob", None))).await;
    // Eve shows alice's binding as her own.
    node.told(signed_card(&eve, 1, card("eve", Some(binding(0, &alice.did()))))).await;
    assert_eq!(node.catalog.status().cards, 3);
    assert!(matches!(node.catalog.binding(&alice.did()), Binding::Verified { .. }));
    assert_eq!(node.catalog.binding(&bob.did()), Binding::Missing);
    assert!(matches!(node.catalog.binding(&eve.did()), Binding::Invalid(_)));
    assert_eq!(node.catalog.binding(&agent(3).did()), Binding::Missing);
}

#[tokio::test]
async fn one_key_bound_to_two_agents_makes_both_unverified() {
    let node = node().await;
    let (alice, bob) = (agent(0), agent(1));
    node.told(signed_card(&alice, 1, card("alice", Some(binding(0, &alice.did()))))).await;
    node.told(signed_card(&bob, 1, card("bob", Some(binding(0, &bob.did()))))).await;
    for did in [alice.did(), bob.did()] {
        assert!(matches!(node.catalog.binding(&did), Binding::Equivocal { .. }));
        assert_eq!(node.catalog.binding(&did).address(), None);
    }
    // Bob gives the key up.
    node.told(signed_card(&bob, 2, card("bob", Some(binding(1, &bob.did()))))).await;
    assert!(node.catalog.binding(&alice.did()).address().is_some());
    assert!(node.catalog.binding(&bob.did()).address().is_some());
}

#[tokio::test]
async fn a_store_that_takes_no_more_leaves_the_shelf_as_it_was() {
    let node = node().await;
    let alice = agent(0);
    node.told(signed_listing(&alice, "a", 1, listing("A", "text", "0.25"))).await;
    node.store.clone().shutdown().await.unwrap();
    let bytes = signed_listing(&alice, "b", 1, listing("B", "text", "0.25"));
    let refused = node.catalog.put(bytes, gossip()).await.unwrap_err();
    assert_eq!(refused.code(), "store_closed");
    assert!(!refused.is_senders_fault());
}

#[tokio::test]
async fn the_configured_chain_is_the_one_a_binding_is_checked_against() {
    let elsewhere = CatalogConfig { chain_id: CHAIN + 1, ..config() };
    let node = node_with(Store::memory(), elsewhere).await;
    let alice = agent(0);
    node.told(signed_card(&alice, 1, card("alice", Some(binding(0, &alice.did()))))).await;
    assert!(matches!(node.catalog.binding(&alice.did()), Binding::Invalid(_)));
    assert_eq!(*node.catalog.network(), network());
    assert_eq!(START, Timestamp::from_secs(1_800_000_000));
}

#[tokio::test]
async fn listings_heard_under_an_agents_own_key_refuse_a_fifth_and_end() {
    let (node, alice) = (node().await, agent(0));
    for name in ["a", "b", "c", "d"] {
        node.told(signed_listing(&alice, name, 1, listing(name, "text", "0.25"))).await;
    }
    for name in ["e", "e"] {
        let fifth = node.catalog.publish_listing(&alice, name, listing(name, "text", "0.25"));
        let refused = tokio::time::timeout(Duration::from_secs(60), fifth).await.expect("it ends").unwrap_err();
        assert_eq!(refused.code(), "over_quota");
    }
    let moved = node.catalog.publish_listing(&alice, "a", listing("a", "data", "0.3"));
    tokio::time::timeout(Duration::from_secs(60), moved).await.expect("it ends").unwrap();
    assert_eq!(node.catalog.status().listings, 4);
}
