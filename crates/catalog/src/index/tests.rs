//! Stories of search: each filter removes exactly the right listings, each order is right.

use haggle_base::{Coded, Did};
use proptest::prelude::*;

use crate::{
    Explanation, Facet, Facets, Figures, ListingBody, MAX_COUNTED_TAGS, Origin, Query, Sort, Words,
    testing::{Node, agent, list, listing, node, peer, signed_listing, text, usdc},
};

async fn shelve(node: &Node, author: u32, name: &str, body: ListingBody) -> Did {
    let bytes = signed_listing(&agent(author), name, 1, body);
    assert!(node.catalog.put(bytes, Origin::Gossip { peer: peer(9) }).await.unwrap().is_new());
    agent(author).did()
}

/// Four listings of four authors that differ in everything that can be asked for.
async fn market() -> Node {
    let node = node().await;
    let mut digest = listing("Document digest", "text", "0.25");
    digest.description = text("Word counts, top terms and reading time of any document.");
    digest.tags = list(vec![text("text"), text("fast")]);
    let mut news = listing("Crypto news", "crypto", "0.10");
    news.description = text("Summarises the morning's headlines.");
    news.tags = list(vec![text("news"), text("fast")]);
    news.schemes = list(vec![text("exact"), text("haggle-escrow")]);
    news.regions = list(vec![text("eu")]);
    let mut columns = listing("Column statistics", "data", "1.5");
    columns.description = text("Mean, median and histogram of each column of a document in csv.");
    columns.tags = list(vec![text("csv")]);
    columns.skill = text("statistics");
    columns.regions = list(vec![text("us")]);
    let mut echo = listing("Echo", "text", "0");
    echo.description = text("Says what you say.");
    echo.tags = list(vec![text("test")]);
    echo.schemes = list(Vec::new());
    for (author, name, body) in [(0, "digest", digest), (1, "news", news), (2, "columns", columns), (3, "echo", echo)] {
        shelve(&node, author, name, body).await;
    }
    node.catalog.flush().await.unwrap();
    node
}

fn found(node: &Node, query: &Query) -> Vec<String> {
    let answer = node.catalog.search(query).unwrap();
    assert_eq!(answer.total, answer.items.len());
    let mut titles: Vec<String> = answer.items.iter().map(|hit| hit.listing.body().title.to_string()).collect();
    titles.sort();
    titles
}

#[tokio::test]
async fn each_filter_removes_exactly_the_right_listings() {
    let node = market().await;
    let all = ["Column statistics", "Crypto news", "Document digest", "Echo"];
    let query = Query::default;
    assert_eq!(found(&node, &query()), all);
    for (asked, expected) in [
        (Query { category: Some("text".into()), ..query() }, vec!["Document digest", "Echo"]),
        (Query { category: Some(" TEXT ".into()), ..query() }, vec!["Document digest", "Echo"]),
        (Query { category: Some("nothing".into()), ..query() }, vec![]),
        (Query { tags: vec!["fast".into()], ..query() }, vec!["Crypto news", "Document digest"]),
        (Query { tags: vec!["fast".into(), "news".into()], ..query() }, vec!["Crypto news"]),
        (Query { min_price: Some(usdc("0.25")), ..query() }, vec!["Column statistics", "Document digest"]),
        (Query { max_price: Some(usdc("0.25")), ..query() }, vec!["Crypto news", "Document digest", "Echo"]),
        (Query { max_price: Some(usdc("0")), ..query() }, vec!["Echo"]),
        (Query { min_price: Some(usdc("0.10")), max_price: Some(usdc("0.249999")), ..query() }, vec!["Crypto news"]),
        (Query { scheme: Some("exact".into()), ..query() }, vec!["Crypto news"]),
        (Query { region: Some("eu".into()), ..query() }, vec!["Crypto news", "Document digest", "Echo"]),
        (Query { author: Some(agent(2).did()), ..query() }, vec!["Column statistics"]),
        (Query { tags: vec!["fast".into()], category: Some("text".into()), ..query() }, vec!["Document digest"]),
        (Query::words("document"), vec!["Column statistics", "Document digest"]),
        (Query::words("document histogram"), vec!["Column statistics"]),
        (Query::words("HEADLINES"), vec!["Crypto news"]),
        (Query::words("csv"), vec!["Column statistics"]),
        (Query::words("statistics"), vec!["Column statistics"]),
        (Query::words("document unheard-of"), vec![]),
        (Query::words("  "), all.to_vec()),
    ] {
        assert_eq!(found(&node, &asked), expected, "{asked:?}");
    }
}

#[tokio::test]
async fn any_of_several_words_will_do_if_asked_so() {
    let node = market().await;
    let any = |text: &str| Query { words: Words::Any, ..Query::words(text) };
    assert_eq!(found(&node, &any("headlines histogram")), ["Column statistics", "Crypto news"]);
    assert_eq!(found(&node, &any("document unheard")), ["Column statistics", "Document digest"]);
    assert_eq!(found(&node, &any("unheard")), Vec::<String>::new());
    assert_eq!(found(&node, &any("")).len(), 4);
    let relevant = Query { sort: Sort::Relevance, ..any("mean median histogram document") };
    let answer = node.catalog.search(&relevant).unwrap();
    assert_eq!(answer.items[0].listing.body().title, "Column statistics", "it has all four");
}

#[tokio::test]
async fn a_slip_of_the_hand_is_forgiven_where_the_word_as_written_is_nowhere() {
    let node = market().await;
    for (slip, meant) in [
        ("cripto", "Crypto news"),
        ("crytpo news", "Crypto news"),
        ("headlnes", "Crypto news"),
        ("histogrm", "Column statistics"),
        ("statisitcs", "Column statistics"),
        ("ech", ""),
        ("czv", ""),
        ("dicument digset", "Document digest"),
    ] {
        let expected: Vec<&str> = Some(meant).filter(|meant| !meant.is_empty()).into_iter().collect();
        assert_eq!(found(&node, &Query::words(slip)), expected, "{slip}");
    }
    assert_eq!(found(&node, &Query::words("mean")), ["Column statistics"], "a word that is there is taken as written");
}

#[tokio::test]
async fn a_row_that_a_listing_left_is_not_found_under_its_words() {
    let node = node().await;
    for (round, word) in (0_u64..).zip(["spring", "summer", "autumn", "winter"]) {
        let title = format!("Digest {round}");
        let mut body = listing(&title, "text", "0.25");
        body.description = text(word);
        let bytes = signed_listing(&agent(0), "digest", round + 1, body);
        assert!(node.catalog.put(bytes, Origin::Sync { peer: peer(9) }).await.unwrap().is_new());
        shelve(&node, u32::try_from(round).unwrap() + 1, "other", listing("Other", "text", "0.1")).await;
        node.catalog.flush().await.unwrap();
        assert_eq!(found(&node, &Query::words(word)), [title]);
        assert_eq!(node.catalog.search(&Query::default()).unwrap().total as u64, round + 2);
    }
    assert_eq!(found(&node, &Query::words("spring")), Vec::<String>::new());
}

#[tokio::test]
async fn a_row_that_another_listing_takes_has_the_rank_of_that_one() {
    let node = node().await;
    shelve(&node, 1, "other", listing("Other", "text", "0.5")).await;
    for (round, price) in (1_u64..).zip(["0.9", "0.9", "0.1", "0.1", "0.9", "0.9"]) {
        let bytes = signed_listing(&agent(0), "digest", round, listing("Digest", "text", price));
        assert!(node.catalog.put(bytes, Origin::Sync { peer: peer(9) }).await.unwrap().is_new());
        node.catalog.flush().await.unwrap();
        let expected = if price == "0.1" { ["Digest", "Other"] } else { ["Other", "Digest"] };
        for explain in [false, true, false] {
            let answer = node.catalog.search(&Query { explain, ..Query::default() }).unwrap();
            let order: Vec<&str> = answer.items.iter().map(|hit| hit.listing.body().title.as_str()).collect();
            assert_eq!(order, expected, "{round}");
        }
    }
}

#[tokio::test]
async fn figures_are_read_anew_when_they_have_changed() {
    let node = market().await;
    let best = |sort| {
        let answer = node.catalog.search(&Query { sort, ..Query::default() }).unwrap();
        answer.items[0].listing.record().slot.to_string()
    };
    let praised = |author: u32, trust_score: f64| {
        node.ledger.0.lock().insert(agent(author).did(), Figures { trust_score, ..Figures::default() });
        node.ledger.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    };
    praised(0, 0.5);
    assert_eq!(best(Sort::TrustScoreDesc), "listing/digest");
    praised(1, 0.9);
    assert_eq!(best(Sort::TrustScoreDesc), "listing/news");
    praised(1, 0.1);
    assert_eq!(best(Sort::TrustScoreDesc), "listing/digest");
    assert_eq!(
        best(Sort::PriceAsc),
        best(Sort::CostPerSuccess),
        "nobody has failed: ranks of one order are not of another"
    );
}

#[tokio::test]
async fn the_orders_are_right() {
    let node = market().await;
    let dids = [0, 1, 2, 3].map(|author| agent(author).did());
    let figures = |total_calls, successes, avg_response_ms, trust_score| Figures {
        attestations: total_calls,
        total_calls,
        successes,
        avg_response_ms,
        trust_score,
        ..Figures::default()
    };
    node.ledger.0.lock().extend([
        (dids[0], figures(10, 10, Some(900), 0.9)), // digest: 0.25 / 1 = 0.25
        (dids[1], figures(10, 2, Some(100), 0.4)),  // news: 0.10 / 0.2 = 0.5
        (dids[2], figures(2, 0, None, 0.0)),        // columns: no success, no figure
                                                    // echo: a newcomer, free
    ]);
    let order = |sort| {
        let answer = node.catalog.search(&Query { sort, ..Query::default() }).unwrap();
        answer.items.into_iter().map(|hit| hit.listing.record().slot.to_string()).collect::<Vec<_>>()
    };
    let slots = |names: [&str; 4]| names.map(|name| format!("listing/{name}")).to_vec();
    assert_eq!(order(Sort::CostPerSuccess), slots(["echo", "digest", "news", "columns"]));
    assert_eq!(order(Sort::TrustScoreDesc), slots(["digest", "news", "echo", "columns"]));
    assert_eq!(order(Sort::PriceAsc), slots(["echo", "news", "digest", "columns"]));
    assert_eq!(order(Sort::ResponseTimeAsc), slots(["news", "digest", "echo", "columns"]));
    assert_eq!(Sort::default(), Sort::CostPerSuccess);
    for sort in Sort::ALL {
        assert_eq!(sort.as_str().parse(), Ok(sort));
    }
    assert!("cheapest".parse::<Sort>().is_err());
}

#[test]
fn cost_per_success_is_price_over_success_rate_with_a_prior() {
    let figures = |total_calls, successes| Figures { total_calls, successes, ..Figures::default() };
    let cost = |price, figures: Figures| figures.cost_per_success(usdc(price));
    assert_eq!(cost("0.02", figures(10, 5)), Some(usdc("0.04")));
    assert_eq!(cost("0.02", figures(3, 3)), Some(usdc("0.02")));
    assert_eq!(cost("0.02", figures(3, 2)), Some(usdc("0.03")));
    assert_eq!(cost("0.02", figures(0, 0)), Some(usdc("0.04")), "a newcomer is taken to succeed half the time");
    assert_eq!(cost("0.02", figures(3, 0)), None);
    assert_eq!(cost("0", figures(3, 1)), Some(usdc("0")));
    assert!(cost("18446744073709.551615", figures(u64::MAX, 1)).is_some());
}

#[tokio::test]
async fn a_word_in_the_title_is_more_relevant() {
    let node = market().await;
    let answer = node.catalog.search(&Query { sort: Sort::Relevance, ..Query::words("document") }).unwrap();
    assert_eq!(answer.items[0].listing.body().title, "Document digest");
}

#[tokio::test]
async fn pages_are_stable_and_complete() {
    let node = node().await;
    for author in 0..25 {
        // Ties in price are broken by id.
        let price = if author % 2 == 0 { "0.1" } else { "0.2" };
        shelve(&node, author, "digest", listing(&format!("Digest {author}"), "text", price)).await;
    }
    node.catalog.flush().await.unwrap();
    for sort in Sort::ALL {
        let mut query = Query { sort, limit: 7, ..Query::words("digest") };
        let whole = node.catalog.search(&Query { limit: 100, ..query.clone() }).unwrap();
        assert_eq!((whole.total, whole.next.clone()), (25, None));
        let mut paged = Vec::new();
        let mut sizes = Vec::new();
        loop {
            let page = node.catalog.search(&query).unwrap();
            assert_eq!(page.total, 25);
            sizes.push(page.items.len());
            paged.extend(page.items.iter().map(|hit| hit.listing.id()));
            match page.next {
                Some(next) => query.cursor = Some(next),
                None => break,
            }
        }
        let whole: Vec<_> = whole.items.iter().map(|hit| hit.listing.id()).collect();
        assert_eq!((sizes, paged), (vec![7, 7, 7, 4], whole), "{sort:?}");
    }
}

#[tokio::test]
async fn a_foreign_cursor_is_refused() {
    let node = market().await;
    for cursor in ["", "x", "0000000000000000", "sé00000000000000000000000000000000000000000", &"z".repeat(96)] {
        let query = Query { cursor: Some(cursor.to_owned()), ..Query::default() };
        assert_eq!(node.catalog.search(&query).unwrap_err().code(), "bad_cursor", "{cursor}");
    }
    let query = Query { sort: Sort::Relevance, limit: 1, ..Query::words("document column") };
    let query = Query { words: Words::Any, ..query };
    let next = node.catalog.search(&query).unwrap().next.unwrap();
    let (place, _) = next.split_once('.').unwrap();
    let with = |carried: &str| Query { cursor: Some(format!("{place}{carried}")), ..query.clone() };
    assert!(node.catalog.search(&with(".0.4.8.20.1.2.1.1")).is_ok());
    for carried in [
        ".",                         // no number
        ".0",                        // nothing to weigh the words by
        ".0.4.8.20.1.2.1",           // of another number of words
        ".0.4.8.20.1.2.1.1.1",       // the same
        ".0.4.8.20.1.5.1.1",         // more listings with a word than listings
        ".0.0.8.20.0.0.0.0",         // no listings
        ".0.100000000.8.20.1.2.1.1", // more than there can be
        ".0.4.ffffffffffffffff.2.1.1.1.1",
        ".0.4.8.20.1.2.1.g",
        &".0".repeat(100_000),
    ] {
        let refused = node.catalog.search(&with(carried)).unwrap_err();
        assert_eq!(refused.code(), "bad_cursor", "{}", &carried[..carried.len().min(40)]);
    }
}

#[tokio::test]
async fn a_cursor_is_of_one_order() {
    let node = market().await;
    for (first, then) in Sort::ALL.into_iter().flat_map(|first| Sort::ALL.map(|then| (first, then))) {
        let of = |sort: Sort, cursor: Option<String>| Query { sort, cursor, limit: 1, ..Query::words("document") };
        let next = node.catalog.search(&of(first, None)).unwrap().next;
        assert!(next.is_some(), "{first:?} has another page");
        let answer = node.catalog.search(&of(then, next));
        match answer {
            Ok(_) => assert_eq!(first, then),
            Err(error) => assert_eq!((error.code(), first == then), ("bad_cursor", false), "{first:?} {then:?}"),
        }
    }
}

#[tokio::test]
async fn what_is_filtered_by_does_not_count_as_a_match() {
    let node = market().await;
    let titles = |query: &Query| {
        let answer = node.catalog.search(query).unwrap();
        answer.items.iter().map(|hit| hit.listing.body().title.to_string()).collect::<Vec<_>>()
    };
    let query = Query { sort: Sort::Relevance, words: Words::Any, ..Query::words("document csv says") };
    let all = titles(&query);
    assert_eq!(all, ["Document digest", "Column statistics", "Echo"]);
    let narrowed = Query { region: Some("us".into()), ..query };
    assert_eq!(titles(&narrowed), all, "of which one is offered there alone, and the others everywhere");
}

#[tokio::test]
async fn a_change_is_found_by_the_tick_without_a_flush() {
    let node = node().await;
    shelve(&node, 0, "digest", listing("Digest", "text", "0.25")).await;
    let patience = std::time::Duration::from_secs(10);
    let seen = tokio::time::timeout(patience, async {
        while node.catalog.search(&Query::words("digest")).unwrap().total == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    seen.await.unwrap();
    assert!(!node.catalog.search(&Query::default()).unwrap().complete, "nobody was synced with");
}

#[tokio::test]
async fn an_index_on_disk_is_built_anew_from_the_records() {
    let folder = tempfile::tempdir().unwrap();
    let store = haggle_store::Store::memory();
    let config = || crate::CatalogConfig { index_dir: Some(folder.path().join("index")), ..crate::testing::config() };
    let node = crate::testing::node_with(store.clone(), config()).await;
    shelve(&node, 0, "digest", listing("Digest", "text", "0.25")).await;
    node.catalog.shutdown().await.unwrap();
    let again = crate::testing::node_with(store, config()).await;
    assert_eq!(found(&again, &Query::words("digest")), ["Digest"]);
}

#[test]
fn any_text_is_a_query() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let node = runtime.block_on(market());
    let config = ProptestConfig::with_cases(2_000);
    proptest!(config, |(text in ".{0,200}", category in proptest::option::of(".{0,20}"), tag in ".{0,20}")| {
        let query = Query { category, tags: vec![tag], ..Query::words(&text) };
        prop_assert!(node.catalog.search(&query).is_ok());
    });
    for text in ["title:digest", "\"unclosed", "a AND", "(", "price:[1 TO", "*", "digest~2", "-", "\u{0}"] {
        assert!(node.catalog.search(&Query::words(text)).is_ok());
    }
}

/// The queries that narrow `asked` to each value that its facets name, with the count that was given.
fn narrowed(asked: &Query, facets: &Facets) -> Vec<(Query, usize)> {
    let mut found = Vec::new();
    let mut each = |facet: &Facet, narrow: &dyn Fn(&mut Query, String)| {
        for (value, count) in &facet.values {
            let mut query = asked.clone();
            narrow(&mut query, value.clone());
            found.push((query, *count));
        }
    };
    each(&facets.category, &|query, value| query.category = Some(value));
    each(&facets.tag, &|query, value| query.tags.push(value));
    each(&facets.skill, &|query, value| query.skill = Some(value));
    each(&facets.region, &|query, value| query.region = Some(value));
    each(&facets.scheme, &|query, value| query.scheme = Some(value));
    for band in &facets.price {
        let most = asked.max_price.into_iter().chain(band.to).min();
        let query = Query { min_price: asked.min_price.max(Some(band.from)), max_price: most, ..asked.clone() };
        found.push((query, band.count));
    }
    found
}

#[tokio::test]
async fn facets_count_all_that_matches_and_each_count_is_what_the_narrowed_search_finds() {
    let node = market().await;
    let counted = |query: &Query| {
        let answer = node.catalog.search(&Query { facets: true, limit: 1, ..query.clone() }).unwrap();
        (answer.total, answer.facets.unwrap())
    };
    let pairs =
        |facet: &Facet| facet.values.iter().map(|(value, count)| format!("{value} {count}")).collect::<Vec<_>>();
    let (_, facets) = counted(&Query::default());
    assert_eq!(pairs(&facets.category), ["text 2", "crypto 1", "data 1"]);
    assert_eq!(pairs(&facets.tag), ["fast 2", "csv 1", "news 1", "test 1", "text 1"]);
    assert_eq!(pairs(&facets.skill), ["digest 3", "statistics 1"]);
    assert_eq!(pairs(&facets.region), ["eu 3", "us 3", "* 2"], "two are offered everywhere");
    assert_eq!(pairs(&facets.scheme), ["haggle-escrow 3", "exact 1"]);
    let bands: Vec<usize> = facets.price.iter().map(|band| band.count).collect();
    assert_eq!(bands, [1, 0, 0, 1, 1, 1, 0, 0]);
    let edges: Vec<_> = facets.price.iter().map(|band| (band.from, band.to)).collect();
    assert_eq!((edges[0], edges[7]), ((usdc("0"), Some(usdc("0"))), (usdc("100.000001"), None)));
    assert!(edges.windows(2).all(|pair| pair[0].1.unwrap().units() + 1 == pair[1].0.units()));
    for asked in [
        Query::default(),
        Query::words("document"),
        Query { category: Some("text".into()), ..Query::default() },
        Query { region: Some("eu".into()), ..Query::default() },
        Query { min_price: Some(usdc("0.1")), max_price: Some(usdc("0.25")), ..Query::default() },
        Query { skill: Some("digest".into()), sort: Sort::Relevance, ..Query::words("what") },
        Query { skill: Some("Digest".into()), ..Query::default() },
        Query { author: Some(agent(9).did()), ..Query::default() },
    ] {
        let (total, facets) = counted(&asked);
        assert_eq!(facets.price.iter().map(|band| band.count).sum::<usize>(), total, "{asked:?}");
        assert_eq!(facets.category.values.iter().map(|(_, count)| count).sum::<usize>(), total, "{asked:?}");
        for (query, count) in narrowed(&asked, &facets) {
            assert_eq!(node.catalog.search(&query).unwrap().total, count, "{query:?}");
        }
    }
    assert_eq!(node.catalog.search(&Query::default()).unwrap().facets, None, "nobody asked");
}

#[tokio::test]
async fn facets_follow_listings_that_come_and_go() {
    let node = market().await;
    let tags = || {
        let answer = node.catalog.search(&Query { facets: true, ..Query::default() }).unwrap();
        let facets = answer.facets.unwrap();
        assert_eq!(facets.tag.values.iter().map(|(_, count)| count).sum::<usize>(), 2 * answer.total - 2);
        facets.tag
    };
    assert_eq!(tags().values[0], ("fast".to_owned(), 2));
    node.catalog.publish_listing(&agent(4), "more", listing("More", "text", "0.1")).await.unwrap();
    node.catalog.flush().await.unwrap();
    assert_eq!(tags().values[0], ("fast".to_owned(), 3));
    for (author, name) in [(4, "more"), (0, "digest"), (1, "news")] {
        let tombstone = crate::testing::signed_tombstone(
            &agent(author),
            name,
            u64::MAX,
            match author {
                1 => "crypto",
                _ => "text",
            },
        );
        assert!(node.catalog.put(tombstone, Origin::Gossip { peer: peer(9) }).await.unwrap().is_new());
    }
    assert_eq!(tags(), Facet { values: vec![("csv".to_owned(), 1), ("test".to_owned(), 1)], distinct: 2 });
}

#[tokio::test]
async fn only_the_most_frequent_tags_are_named() {
    let node = node().await;
    for author in 0..30 {
        let mut body = listing("Digest", "text", "0.1");
        let own = format!("tag-{author:02}");
        body.tags = list(vec![text("common"), text(&own)]);
        shelve(&node, author, "digest", body).await;
    }
    node.catalog.flush().await.unwrap();
    let facets = node.catalog.search(&Query { facets: true, ..Query::default() }).unwrap().facets.unwrap();
    assert_eq!((facets.tag.distinct, facets.tag.values.len()), (31, MAX_COUNTED_TAGS));
    assert_eq!(facets.tag.values[0], ("common".to_owned(), 30));
    assert_eq!(facets.tag.values[1..3], [("tag-00".to_owned(), 1), ("tag-01".to_owned(), 1)], "equal ones by name");
}

/// The rank again, from nothing but the explanation.
fn rank_of(why: &Explanation) -> u64 {
    let figures = || why.figures.unwrap();
    let descending = |number: f64| if number > 0.0 { u64::MAX - number.to_bits() } else { u64::MAX };
    match why.sort {
        Sort::CostPerSuccess => {
            assert_eq!(why.cost_per_success, figures().cost_per_success(why.price));
            why.cost_per_success.map_or(u64::MAX, haggle_base::Usdc::units)
        }
        Sort::TrustScoreDesc => descending(figures().trust_score),
        Sort::PriceAsc => why.price.units(),
        Sort::ResponseTimeAsc => figures().avg_response_ms.unwrap_or(u64::MAX),
        Sort::Relevance => descending(f64::from(why.text)),
        Sort::Combined => {
            let [reputation, cost, speed] = why.parts[..] else { panic!("three parts: {why:?}") };
            assert_eq!(reputation.value, figures().trust_score);
            let units = why.cost_per_success.map(|cost| f64::from(u32::try_from(cost.units()).unwrap()));
            assert_eq!(cost.value, units.map_or(0.0, |units| 100_000.0 / (100_000.0 + units)));
            let time = figures().avg_response_ms.map(|time| f64::from(u32::try_from(time).unwrap()));
            let quickness = time.map_or(0.0, |time| 1_000.0 / (1_000.0 + time));
            assert_eq!(speed.value, (quickness + figures().uptime) / 2.0);
            descending(why.parts.iter().map(|part| part.value * part.weight).sum())
        }
    }
}

#[tokio::test]
async fn the_rank_of_each_hit_follows_from_its_explanation() {
    let node = market().await;
    let figures = |total_calls, successes, avg_response_ms, trust_score| Figures {
        total_calls,
        successes,
        avg_response_ms,
        trust_score,
        ..Figures::default()
    };
    node.ledger.0.lock().extend([
        (agent(0).did(), figures(10, 7, Some(900), 0.9)),
        (agent(1).did(), figures(10, 2, Some(100), 0.4)),
        (agent(2).did(), figures(2, 0, None, 0.0)),
    ]);
    let any = |text: &str| Query { words: Words::Any, ..Query::words(text) };
    for asked in [
        Query::default(),
        Query::words("document"),
        Query::words("dicument digset"),
        any("document csv news what headlnes columns"),
        Query { category: Some("text".into()), region: Some("eu".into()), ..any("echo document") },
    ] {
        for sort in Sort::ALL {
            let query = Query { sort, explain: true, ..asked.clone() };
            let answer = node.catalog.search(&query).unwrap();
            let explained: Vec<_> = answer.items.iter().map(|hit| hit.explanation.clone().unwrap()).collect();
            for (hit, why) in answer.items.iter().zip(&explained) {
                assert_eq!((why.sort, why.price), (sort, hit.listing.body().price));
                assert_eq!(why.rank, rank_of(why), "{query:?}: {why:?}");
                let weighed = sort.weighs_words() && asked.text.is_some();
                assert_eq!(!why.words.is_empty(), weighed, "{why:?}");
                let sum = why.words.iter().fold(0.0_f32, |sum, word| sum + word.score);
                assert_eq!(sum.to_bits(), why.text.to_bits(), "{why:?}");
                for word in &why.words {
                    assert!((word.title + word.anywhere - word.score).abs() <= 0.5 / 1024.0, "{word:?}");
                    assert!(word.title == 0.0 || !word.by_slip, "{word:?}");
                }
            }
            let order = |at: usize| (explained[at].rank, explained[at].price, answer.items[at].listing.id());
            assert!((1..explained.len()).all(|at| order(at - 1) < order(at)), "{sort:?}");
            // A page in the middle says the same.
            let pages = Query { limit: 1, ..query };
            let mut next = None;
            for why in &explained {
                let page = node.catalog.search(&Query { cursor: next, ..pages.clone() }).unwrap();
                assert_eq!(page.items[0].explanation.as_ref(), Some(why));
                next = page.next;
            }
        }
    }
    let plain = node.catalog.search(&Query::words("document")).unwrap();
    assert!(plain.items.iter().all(|hit| hit.explanation.is_none()), "nobody asked");
}
