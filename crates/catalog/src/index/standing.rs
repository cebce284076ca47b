//! Authors who stand too low: what a search asks for, and what this catalog shows and publishes at all.

use std::sync::atomic::Ordering;

use haggle_base::{Coded, Did, Usdc};
use haggle_store::Store;

use super::sort::Sort;
use crate::{
    CatalogConfig, CatalogError, Figures, Origin, Query, Standing,
    testing::{Ledger, Node, agent, config, listing, node, node_with, peer, signed_listing},
};

/// Four authors with a listing each, of these nets.
async fn shelve(node: &Node, nets: [i64; 4]) {
    for (author, net) in (0..).zip(nets) {
        let body = listing("Digest of words", "text", "0.1");
        let bytes = signed_listing(&agent(author), "digest", 1, body);
        assert!(node.catalog.put(bytes, Origin::Gossip { peer: peer(9) }).await.unwrap().is_new());
        node.rate(author, net);
    }
    node.catalog.flush().await.unwrap();
}

impl Node {
    fn rate(&self, author: u32, net: i64) {
        self.ledger.0.lock().insert(agent(author).did(), Figures { net, ..Figures::default() });
        self.ledger.1.fetch_add(1, Ordering::Relaxed);
    }
}

/// Who is found, and how many are counted in all and by price.
fn found(node: &Node, query: &Query) -> (Vec<Did>, usize, usize) {
    let query = Query { facets: true, ..query.clone() };
    let answer = node.catalog.search(&query).unwrap();
    let mut authors: Vec<_> = answer.items.iter().map(|hit| hit.listing.author()).collect();
    authors.sort_unstable();
    (authors, answer.total, answer.facets.unwrap().price.iter().map(|band| band.count).sum())
}

/// What is found if just these authors are.
fn just(numbers: &[u32]) -> (Vec<Did>, usize, usize) {
    let mut authors: Vec<_> = numbers.iter().map(|number| agent(*number).did()).collect();
    authors.sort_unstable();
    let count = authors.len();
    (authors, count, count)
}

#[tokio::test]
async fn a_search_asks_for_a_least_standing_and_a_newcomer_has_none() {
    let node = node_with(Store::memory(), CatalogConfig { min_net: -5, ..config() }).await;
    shelve(&node, [3, -1, 1, 0]).await;
    for (least, numbers) in [(-1, &[0, 1, 2, 3][..]), (0, &[0, 2, 3]), (1, &[0, 2]), (3, &[0]), (4, &[])] {
        assert_eq!(found(&node, &Query { min_net: Some(least), ..Query::default() }), just(numbers), "{least}");
    }
}

#[tokio::test]
async fn who_stands_too_low_is_held_and_not_shown_in_any_order() {
    let node = node().await;
    shelve(&node, [3, -1, 0, 0]).await;
    for sort in Sort::ALL {
        for text in [None, Some("digest".to_owned())] {
            let query = Query { sort, text, ..Query::default() };
            assert_eq!(found(&node, &query), just(&[0, 2, 3]), "{query:?}");
        }
    }
    let asked = Query { min_net: Some(-5), author: Some(agent(1).did()), ..Query::default() };
    assert_eq!(found(&node, &asked), just(&[]), "whatever is asked for");
    assert_eq!(node.catalog.status().listings, 4, "what others sign is held");
    assert!(node.catalog.listing_named(&agent(1).did(), "digest").unwrap().is_some());
    let ids = node.catalog.ids(haggle_base::Kind::Listing).into_iter().collect();
    assert_eq!(node.catalog.search_among(&Query::default(), &ids).unwrap().total, 3);

    let other = signed_listing(&agent(1), "another", 1, listing("Another digest", "text", "0.2"));
    assert!(node.catalog.put(other, Origin::Gossip { peer: peer(9) }).await.unwrap().is_new());
    node.catalog.flush().await.unwrap();
    assert_eq!(found(&node, &Query::default()), just(&[0, 2, 3]), "what comes later is not shown either");
    node.rate(2, -7);
    assert_eq!(found(&node, &Query::default()), just(&[0, 3]));
    node.rate(1, 0);
    let (mut authors, total, _) = found(&node, &Query::default());
    authors.dedup();
    assert_eq!((authors, total), (just(&[0, 1, 3]).0, 4), "whoever stands well again is shown again");
}

#[tokio::test]
async fn nothing_new_of_who_stands_too_low_is_published_here() {
    let node = node().await;
    let (alice, body) = (agent(0), || listing("Digest", "text", "0.25"));
    node.catalog.publish_listing(&alice, "digest", body()).await.unwrap();
    node.rate(0, -1);
    let refused = node.catalog.publish_listing(&alice, "digest", listing("Digest", "text", "0.1")).await.unwrap_err();
    assert!(matches!(refused, CatalogError::InsufficientReputation { net: -1, least: 0 }));
    assert_eq!((refused.code(), refused.to_string().as_str()), ("insufficient_reputation", "Insufficient reputation"));
    assert_eq!(node.catalog.listings_of(&alice.did()).unwrap()[0].body().price, Usdc::from_units(250_000));

    let renamed = node.catalog.publish_listing(&alice, "another", body()).await.unwrap_err();
    assert_eq!(renamed.code(), "insufficient_reputation", "under another name it is another listing");
    let newcomer = agent(1);
    node.catalog.publish_listing(&newcomer, "digest", body()).await.unwrap();
    node.catalog.withdraw(&alice, "digest").await.unwrap();
    let withdrawn = node.catalog.publish_listing(&alice, "digest", body()).await.unwrap_err();
    assert_eq!(withdrawn.code(), "insufficient_reputation", "what was withdrawn is out no more");
}

#[tokio::test]
async fn what_is_out_is_renewed_however_its_agent_stands_and_shown_once_it_stands_well() {
    let node = node().await;
    let (alice, half) = (agent(0), crate::body::RECORD_TTL / 2);
    let body = || listing("Digest", "text", "0.25");
    let first = node.catalog.publish_listing(&alice, "digest", body()).await.unwrap();
    node.rate(0, -1);
    for _ in 0..4 {
        node.clock.advance(half);
        node.catalog.sweep().await.unwrap();
        assert_eq!(node.catalog.refresh(&alice).await.unwrap(), 1);
        assert_eq!(node.catalog.refresh(&alice).await.unwrap(), 0, "once in half its life");
        node.catalog.flush().await.unwrap();
        assert_eq!(found(&node, &Query::default()), just(&[]));
    }
    let again = node.catalog.publish_listing(&alice, "digest", body()).await.unwrap();
    assert!(again.record().expires > first.record().expires && again.body() == first.body());
    node.rate(0, 0);
    node.catalog.flush().await.unwrap();
    assert_eq!(found(&node, &Query::default()), just(&[0]));
    assert_eq!(node.catalog.refresh(&alice).await.unwrap(), 0);
}

#[tokio::test]
async fn what_expired_is_new_again() {
    let node = node().await;
    let (alice, body) = (agent(0), || listing("Digest", "text", "0.25"));
    node.catalog.publish_listing(&alice, "digest", body()).await.unwrap();
    node.rate(0, -1);
    node.clock.advance(crate::body::RECORD_TTL);
    let expired = node.catalog.publish_listing(&alice, "digest", body()).await.unwrap_err();
    assert_eq!(expired.code(), "insufficient_reputation");
    assert_eq!(node.catalog.refresh(&alice).await.unwrap(), 0);
}

/// As the ledger, without a count of what changes.
#[derive(Debug)]
struct Uncounted(Ledger);

impl Standing for Uncounted {
    fn figures(&self, agent: &Did) -> Figures {
        self.0.figures(agent)
    }

    fn behind(&self, least: i64) -> Vec<Did> {
        self.0.behind(least)
    }
}

#[tokio::test]
async fn figures_whose_changes_nobody_counts_are_asked_for_by_each_search() {
    let node = node().await;
    shelve(&node, [0; 4]).await;
    let standing = Uncounted(Ledger::default());
    let total = || {
        let now = node.catalog.shared.clock.now();
        node.catalog.shared.index.find(&Query::default(), None, now, &standing, None).unwrap().total
    };
    assert_eq!(total(), 4);
    standing.0.0.lock().insert(agent(2).did(), Figures { net: -1, ..Figures::default() });
    assert_eq!(total(), 3);
}
