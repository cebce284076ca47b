//! An author who says the same over and over, or something else each time.

use crate::{
    Origin,
    body::{LISTING_SLOT_PREFIX, RECORD_TTL},
    churn::{BURST, ONE_EACH},
    shelf::event::Put,
    testing::{Node, START, agent, listing, node, peer, signed, signed_listing, signed_tombstone, titles},
};

impl Node {
    async fn by_gossip(&self, bytes: Vec<u8>) -> Put {
        self.catalog.put(bytes, Origin::Gossip { peer: peer(9) }).await.unwrap()
    }
}

fn version(seq: u64) -> Vec<u8> {
    signed_listing(&agent(0), "digest", seq, listing(&format!("Version {seq}"), "text", "0.25"))
}

#[tokio::test]
async fn gossip_carries_so_many_versions_and_a_reconciliation_brings_the_last() {
    let node = node().await;
    assert!(node.by_gossip(version(1)).await.is_new());
    let most = u64::from(BURST) + 1;
    for seq in 2..=most {
        assert!(matches!(node.by_gossip(version(seq)).await, Put::Replaced { .. }), "version {seq}");
    }
    for seq in most + 1..most + 40 {
        assert_eq!(node.by_gossip(version(seq)).await, Put::TooOften);
    }
    assert_eq!(titles(&node.catalog.listings(10).unwrap()), [format!("Version {most}")]);

    let another = signed_listing(&agent(1), "digest", 1, listing("Another's", "text", "0.25"));
    assert!(node.by_gossip(another.clone()).await.is_new());
    let anothers = signed_listing(&agent(1), "digest", 2, listing("Another's second", "text", "0.25"));
    assert!(node.by_gossip(anothers).await.is_new(), "nobody else pays for it");
    let new = signed_listing(&agent(0), "other", 1, listing("Other", "text", "0.25"));
    assert!(node.by_gossip(new).await.is_new(), "what replaces nothing has its own bounds");

    let last = node.catalog.put(version(most + 39), Origin::Sync { peer: peer(9) }).await.unwrap();
    assert!(last.is_new());
    node.clock.advance(ONE_EACH);
    assert!(node.by_gossip(version(most + 40)).await.is_new());
    assert_eq!(node.by_gossip(version(most + 41)).await, Put::TooOften);
    let withdrawn = signed_tombstone(&agent(0), "digest", most + 42, "text");
    assert!(node.by_gossip(withdrawn).await.is_new(), "what is withdrawn is gone at once");
    assert_eq!(node.by_gossip(version(most + 43)).await, Put::TooOften);
}

#[tokio::test]
async fn what_says_nothing_new_is_not_carried_before_it_is_due() {
    let node = node().await;
    let alice = agent(0);
    let slot = format!("{LISTING_SLOT_PREFIX}digest");
    let made = |seq, at| signed(&alice, &slot, seq, at, RECORD_TTL, listing("Digest", "text", "0.25"));
    assert!(node.by_gossip(made(1, START)).await.is_new());
    node.clock.advance(RECORD_TTL / 2);
    assert_eq!(node.by_gossip(made(2, START.plus(ONE_EACH))).await, Put::TooOften);
    assert!(node.by_gossip(made(2, START.plus(RECORD_TTL / 2))).await.is_new(), "it has lived half its time");
    assert!(
        node.by_gossip(signed_tombstone(&alice, "digest", 3, "text")).await.is_new(),
        "and may be withdrawn at once"
    );
}
