//! The law of pages: whatever comes and goes between them, what was there at the first page and stays is on exactly one
//! page, in the order it had then.

use std::collections::BTreeSet;

use haggle_base::RecordId;
use proptest::{collection::vec, prelude::*, sample::select};

use crate::{
    Figures, Origin, Query, Sort, Words,
    testing::{Node, agent, list, listing, node, peer, signed_listing, signed_tombstone, text},
};

/// Words of the listings; `brief` and `brifeing` are slips away from others.
const VOCABULARY: [&str; 8] = ["digest", "crypto", "news", "report", "summary", "briefing", "brief", "market"];

/// What is searched for: words that are there, that are there with a slip, and that come later.
const SOUGHT: [&str; 10] =
    ["digest", "crypto", "cripto", "news", "report", "sumary", "briefing", "brifeing", "market", "digset"];

const PRICES: [&str; 3] = ["0.1", "0.25", "1"];

/// A listing: words of its title, words of its description, and which price it has.
type Sold = (Vec<&'static str>, Vec<&'static str>, usize);

/// What happens between two pages.
#[derive(Debug, Clone)]
enum Change {
    Comes(Sold),
    /// The listing of this author goes, if there is one.
    Goes(usize),
}

fn sold(words: &'static [&'static str]) -> impl Strategy<Value = Sold> {
    (vec(select(words), 1..4), vec(select(words), 0..8), 0..PRICES.len())
}

fn change() -> impl Strategy<Value = Change> {
    // What comes may also have the words that so far were found by a slip.
    prop_oneof![4 => sold(&SOUGHT).prop_map(Change::Comes), 1 => (0..30_usize).prop_map(Change::Goes)]
}

fn query() -> impl Strategy<Value = Query> {
    (vec(select(&SOUGHT[..]), 0..5), select(Sort::ALL.to_vec()), 1..5_usize, any::<bool>(), any::<bool>()).prop_map(
        |(words, sort, limit, any, fast)| Query {
            words: if any { Words::Any } else { Words::All },
            tags: if fast { vec!["fast".to_owned()] } else { Vec::new() },
            sort,
            limit,
            ..Query::words(&words.join(" "))
        },
    )
}

impl Node {
    async fn sells(&self, author: u32, (title, description, price): &Sold) {
        let mut body = listing(&title.join(" "), "text", PRICES[*price]);
        body.description = text(&description.join(" "));
        if author.is_multiple_of(3) {
            body.tags = list(vec![text("slow")]);
        }
        let bytes = signed_listing(&agent(author), "one", 1, body);
        assert!(self.catalog.put(bytes, Origin::Gossip { peer: peer(9) }).await.unwrap().is_new());
    }

    fn ids(&self, query: &Query) -> (Vec<RecordId>, Option<String>) {
        let answer = self.catalog.search(query).unwrap();
        (answer.items.iter().map(|hit| hit.listing.id()).collect(), answer.next)
    }
}

async fn pages_hold(first: Vec<Sold>, changes: Vec<Vec<Change>>, query: Query) -> Result<(), TestCaseError> {
    let node = node().await;
    let mut authors = 0;
    for sold in &first {
        node.sells(authors, sold).await;
        let figures = Figures {
            total_calls: u64::from(authors % 4),
            successes: u64::from(authors % 3),
            avg_response_ms: authors.is_multiple_of(2).then_some(u64::from(authors % 5) * 100),
            uptime: f64::from(authors % 2),
            trust_score: f64::from(authors % 4) / 4.0,
            ..Figures::default()
        };
        node.ledger.0.lock().insert(agent(authors).did(), figures);
        authors += 1;
    }
    node.catalog.flush().await.unwrap();
    let (whole, rest) = node.ids(&Query { limit: 200, ..query.clone() });
    prop_assert_eq!(rest, None);

    let mut gone = BTreeSet::new();
    let (mut paged, mut next) = node.ids(&query);
    let mut changes = changes.into_iter();
    while let Some(cursor) = next {
        for change in changes.next().into_iter().flatten() {
            match change {
                Change::Comes(sold) => {
                    node.sells(authors, &sold).await;
                    authors += 1;
                }
                Change::Goes(author) => {
                    let key = agent(u32::try_from(author).unwrap());
                    let Some(held) = node.catalog.listing_named(&key.did(), "one").unwrap() else { continue };
                    gone.insert(held.id());
                    let tombstone = signed_tombstone(&key, "one", 2, "text");
                    assert!(node.catalog.put(tombstone, Origin::Gossip { peer: peer(9) }).await.unwrap().is_new());
                }
            }
        }
        node.catalog.flush().await.unwrap();
        let page;
        (page, next) = node.ids(&Query { cursor: Some(cursor), ..query.clone() });
        paged.extend(page);
    }
    let seen: BTreeSet<RecordId> = paged.iter().copied().collect();
    prop_assert_eq!(seen.len(), paged.len(), "something is on two pages");
    let stayed: Vec<_> = whole.iter().filter(|id| !gone.contains(id)).collect();
    let there: BTreeSet<_> = stayed.iter().copied().collect();
    let shown: Vec<_> = paged.iter().filter(|id| there.contains(id)).collect();
    prop_assert_eq!(shown, stayed);
    Ok(())
}

#[test]
fn what_comes_and_goes_between_pages_repeats_and_hides_nothing() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = ProptestConfig { max_shrink_iters: 64, ..ProptestConfig::with_cases(32) };
    let changes = vec(vec(change(), 0..4), 0..12);
    proptest!(config, |(first in vec(sold(&VOCABULARY), 4..24), changes in changes, query in query())| {
        runtime.block_on(pages_hold(first, changes, query))?;
    });
}
