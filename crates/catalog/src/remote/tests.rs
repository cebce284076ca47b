//! Stories of light nodes and of the index nodes they ask, honest and not.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Mutex,
};

use haggle_base::{AgentKey, Blob, Coded, List, Usdc};
use haggle_store::Store;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, DuplexStream};

use super::*;
use crate::{
    Answer, CatalogConfig, Keep, ListingBody, Sort, Words,
    testing::{
        self, Node, START, agent, binding, card, config, list, listing, node_with, peer, signed_card, signed_listing,
        signed_tombstone, text, usdc,
    },
};

/// Generous: stories run beside other work.
const PATIENCE: Duration = Duration::from_secs(30);
/// Where nobody answers that is waited for.
const IMPATIENCE: Duration = Duration::from_millis(50);

/// What an index node sends back for a question, after it has read it.
type Script = Box<dyn FnOnce(Question) -> Vec<Vec<u8>> + Send>;

/// Whoever can be asked.
enum Peer {
    Honest(Catalog),
    /// Frames as they are, then the end of the stream.
    Scripted(Option<Script>),
    /// Reads, and says nothing.
    Silent,
    Refusing(Refusal),
    Gone,
}

/// The peers that a light node knows, by number.
struct World(Mutex<BTreeMap<u32, Peer>>);

impl World {
    fn of(peers: impl IntoIterator<Item = Peer>) -> Self {
        Self(Mutex::new((0..).zip(peers).collect()))
    }

    fn peers(&self) -> Vec<PeerId> {
        self.0.lock().unwrap().keys().copied().map(peer).collect()
    }

    /// A stream to a peer, with the peer at its other end.
    fn open(&self, asked: PeerId) -> Result<DuplexStream, SearchError> {
        let mut peers = self.0.lock().unwrap();
        let there = peers.iter_mut().find(|(number, _)| peer(**number) == asked).map(|(_, there)| there).unwrap();
        let (ours, mut theirs) = tokio::io::duplex(16 * 1024);
        match there {
            Peer::Gone => return Err(SearchError::Unreachable { code: "peer_unreachable" }),
            Peer::Honest(catalog) => {
                let catalog = catalog.clone();
                tokio::spawn(async move { drop(catalog.answer_search(theirs).await) });
            }
            Peer::Refusing(why) => {
                let why = *why;
                tokio::spawn(async move { drop(refuse_search(theirs, why).await) });
            }
            Peer::Silent => {
                tokio::spawn(async move {
                    let _question = frames::read::<Question, _>(&mut theirs, MAX_QUESTION_BYTES).await;
                    // held open for as long as the asker does
                    let _ended = theirs.read_u8().await;
                });
            }
            Peer::Scripted(script) => {
                let script = script.take().unwrap();
                tokio::spawn(async move {
                    let (question, _) = frames::read(&mut theirs, MAX_QUESTION_BYTES).await.unwrap();
                    for frame in script(question) {
                        // whoever asked may have heard enough
                        if theirs.write_all(&frame).await.is_err() {
                            return;
                        }
                    }
                });
            }
        }
        Ok(ours)
    }
}

async fn light() -> Node {
    light_with(64).await
}

async fn light_with(others: usize) -> Node {
    let keep = Keep { own: HashSet::from([agent(9).did()]), shards: crate::Shards::NONE, others };
    node_with(Store::memory(), CatalogConfig { keep: Some(keep), ..config() }).await
}

/// A node that holds these records, and says that it holds all there are.
async fn index(records: Vec<Vec<u8>>) -> Node {
    let node = testing::node().await;
    for outcome in node.catalog.put_many(records, Origin::Sync { peer: peer(99) }).await.unwrap() {
        assert!(outcome.unwrap().is_new());
    }
    node.catalog.flush().await.unwrap();
    node.catalog.shared.reconciled.store(u64::MAX, std::sync::atomic::Ordering::Relaxed);
    node
}

async fn ask(light: &Node, world: &World, query: &Query) -> LookedUp {
    ask_for(light, world, query, PATIENCE).await
}

async fn ask_for(light: &Node, world: &World, query: &Query, patience: Duration) -> LookedUp {
    light.catalog.look_up(query, &world.peers(), patience, async |peer| world.open(peer)).await.unwrap()
}

/// What a light node finds.
fn found(light: &Node, query: &Query, looked_up: &LookedUp) -> Answer {
    light.catalog.search_among(query, &looked_up.ids).unwrap()
}

fn titles(answer: &Answer) -> Vec<&str> {
    answer.items.iter().map(|hit| hit.listing.body().title.as_str()).collect()
}

fn frame(reply: &Reply) -> Vec<u8> {
    let bytes = reply.encode().unwrap();
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], &bytes].concat()
}

fn records(records: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    lists(records).into_iter().map(|records| frame(&Reply::Records { records })).collect()
}

fn end(total: u32) -> Vec<u8> {
    frame(&Reply::End { total, complete: true })
}

/// An index node that answers with these frames whatever it is asked.
fn scripted(frames: Vec<Vec<u8>>) -> Peer {
    Peer::Scripted(Some(Box::new(|_| frames)))
}

/// The listing and the card of the agent of a number.
fn pair(number: u32, title: &str, price: &str) -> Vec<Vec<u8>> {
    let key = agent(number);
    let payee = binding(number, &key.did());
    vec![
        signed_listing(&key, "digest", 1, listing(title, "text", price)),
        signed_card(&key, 1, card(title, Some(payee))),
    ]
}

#[tokio::test]
async fn three_index_nodes_answer_and_what_they_know_together_is_found() {
    let light = light().await;
    let (first, second) = (index(pair(0, "Digest one", "0.3")).await, index(pair(1, "Digest two", "0.1")).await);
    let both = index([pair(1, "Digest two", "0.1"), pair(2, "Other", "0.2")].concat()).await;
    let world = World::of([&first, &second, &both].map(|node| Peer::Honest(node.catalog.clone())));
    let query = Query { text: Some("digest".into()), sort: Sort::PriceAsc, ..Query::default() };
    let looked_up = ask(&light, &world, &query).await;
    assert_eq!(looked_up.coverage, Coverage { asked: 3, answered: 3, cut_off: 0, behind: 0 });
    assert!(looked_up.coverage.is_complete() && looked_up.failed.is_empty());
    let answer = found(&light, &query, &looked_up);
    // the skill of all listings here is called digest
    assert_eq!(titles(&answer), ["Digest two", "Other", "Digest one"]);
    assert!(answer.items.iter().all(|hit| hit.binding.address().is_some()), "the cards came with them");
    let counts = light.catalog.status();
    assert_eq!((counts.listings, counts.cards), (3, 3), "each once");
    assert!(!counts.complete, "a light node reconciles with nobody");
}

#[tokio::test]
async fn the_node_ranks_by_its_own_figures_and_finds_its_own_listings_too() {
    let light = light().await;
    light.catalog.publish_listing(&agent(9), "own", listing("Ours", "text", "0.5")).await.unwrap();
    light.catalog.flush().await.unwrap();
    let market = index([pair(0, "Cheap", "0.1"), pair(1, "Dear", "0.4")].concat()).await;
    let world = World::of([Peer::Honest(market.catalog.clone())]);
    let query = Query { sort: Sort::TrustScoreDesc, ..Query::default() };
    let figures = crate::Figures { trust_score: 0.9, ..crate::Figures::default() };
    light.ledger.0.lock().insert(agent(1).did(), figures);
    light.ledger.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let looked_up = ask(&light, &world, &query).await;
    assert_eq!(titles(&found(&light, &query, &looked_up)), ["Dear", "Cheap", "Ours"]);
    let why = looked_up.coverage.why_partial().unwrap();
    assert_eq!(why, "1 of 1 index nodes answered, and 3 would be asked if so many were known");
}

#[tokio::test]
async fn who_is_gone_silent_or_refuses_makes_the_answer_partial() {
    let market = index(pair(0, "Digest", "0.3")).await;
    for (other, code) in [
        (Peer::Gone, "index_node_unreachable"),
        (Peer::Refusing(Refusal::Busy), "search_busy"),
        (Peer::Refusing(Refusal::TooOften), "search_too_often"),
        (scripted(vec![]), "search_stream_broke"),
        (scripted(vec![end(1)[..5].to_vec()]), "search_stream_broke"),
    ] {
        let light = light().await;
        let honest = || Peer::Honest(market.catalog.clone());
        let world = World::of([honest(), other, honest()]);
        let looked_up = ask(&light, &world, &Query::default()).await;
        assert_eq!(looked_up.coverage.why_partial().unwrap(), "2 of 3 index nodes answered", "{code}");
        assert_eq!(titles(&found(&light, &Query::default(), &looked_up)), ["Digest"]);
        let (failed, error) = &looked_up.failed[0];
        assert_eq!((*failed, error.code()), (peer(1), code));
        assert!(!error.is_peers_fault(), "{code} may happen to anybody");
    }
}

#[tokio::test]
async fn who_says_nothing_is_not_waited_for() {
    let light = light().await;
    let world = World::of([Peer::Silent, Peer::Silent, Peer::Silent]);
    let looked_up = ask_for(&light, &world, &Query::default(), IMPATIENCE).await;
    assert_eq!(looked_up.coverage.why_partial().unwrap(), "0 of 3 index nodes answered");
    assert!(looked_up.failed.iter().all(|(_, error)| error.code() == "search_timeout" && !error.is_peers_fault()));
}

#[tokio::test]
async fn an_answer_with_one_record_that_an_honest_node_would_not_send_counts_for_nothing() {
    let good = || pair(0, "Digest", "0.3");
    let mut forged = pair(1, "Forged", "0.1");
    *forged[0].last_mut().unwrap() ^= 1;
    let mut dear = pair(2, "Dear", "0.1");
    dear[0] = signed_listing(&agent(2), "digest", 1, listing("Dear", "text", "0.9"));
    let other_market = {
        let mut record = haggle_base::Record::new(
            "other-1/1".parse().unwrap(),
            text("listing/digest"),
            START,
            Duration::from_secs(3600),
            listing("Elsewhere", "text", "0.1"),
        );
        record.seq = 1;
        haggle_base::Signed::sign(&record, &agent(3)).unwrap().bytes().to_vec()
    };
    let tombstone = signed_tombstone(&agent(4), "digest", 1, "text");
    let many: Vec<_> =
        (0..5).map(|seq| signed_listing(&agent(5), "digest", seq, listing("Many", "text", "0.1"))).collect();
    let far = u32::try_from(MAX_FRAME_BYTES + 1).unwrap().to_be_bytes().to_vec();
    let flood = || {
        let padding = signed_card(&agent(6), 1, card("padding", None));
        let record = Blob::try_from(padding).unwrap();
        let frame = frame(&Reply::Records { records: List::try_from(vec![record; 100]).unwrap() });
        vec![frame; 10]
    };
    let with = |bad: Vec<Vec<u8>>| [records([good(), bad].concat()), vec![end(9)]].concat();
    for (frames, code) in [
        (with(forged), "bad_signature"),
        (with(vec![other_market]), "wrong_network"),
        (with(dear), "search_answer_unfit"),
        (with(vec![tombstone]), "search_answer_unfit"),
        (with(many), "search_answer_too_long"),
        ([records(good()), flood()].concat(), "search_answer_too_long"),
        ([records(good()), vec![end(0)]].concat(), "search_answer_unfit"),
        ([records(good()), vec![frame(&Reply::Refused { why: Refusal::Busy })]].concat(), "search_answer_unfit"),
        (vec![frame(&Reply::Records { records: List::default() })], "search_answer_unfit"),
        ([records(good()), vec![far]].concat(), "frame_too_large"),
        ([records(good()), vec![vec![0, 0, 0, 2, 0xff, 0xff]]].concat(), "bad_frame"),
    ] {
        let light = light().await;
        let world = World::of([scripted(frames)]);
        let query = Query { max_price: Some(usdc("0.5")), ..Query::default() };
        // five listings are more than four
        let question = Question { limit: 4, ..Question::of(&query).unwrap() };
        let asked = light.catalog.hear_out(world.open(peer(0)).unwrap(), &question).await;
        let error = asked.unwrap_err();
        assert_eq!(error.code(), code);
        assert!(error.is_peers_fault(), "{code}");
        assert_eq!(light.catalog.status().listings, 0, "nothing of it is kept: {code}");
    }
}

#[tokio::test]
async fn a_listing_that_does_not_have_the_words_is_not_shown_whoever_sends_it() {
    let light = light().await;
    let world = World::of([scripted([records(pair(0, "Weather", "0.3")), vec![end(1)]].concat())]);
    let query = Query::words("histogram");
    let looked_up = ask(&light, &world, &query).await;
    assert_eq!(looked_up.coverage.answered, 1, "words may be read in several ways");
    let answer = found(&light, &query, &looked_up);
    assert_eq!((answer.items.len(), answer.total), (0, 0));
}

#[tokio::test]
async fn what_an_earlier_search_brought_is_not_found_by_a_later_one_that_nobody_answers_it_to() {
    let light = light().await;
    let market = index(pair(0, "Digest", "0.3")).await;
    let world = World::of([Peer::Honest(market.catalog.clone())]);
    let before = ask(&light, &world, &Query::default()).await;
    assert_eq!(titles(&found(&light, &Query::default(), &before)), ["Digest"]);
    let withdrawn = market.catalog.put(signed_tombstone(&agent(0), "digest", 2, "text"), Origin::Local).await.unwrap();
    assert!(withdrawn.is_new());
    let after = ask(&light, &world, &Query::default()).await;
    assert_eq!(titles(&found(&light, &Query::default(), &after)), [""; 0], "it was withdrawn");
    assert_eq!(light.catalog.status().listings, 1, "though it is still kept, for orders under way");
}

#[tokio::test]
async fn of_two_versions_the_newer_one_is_found() {
    let light = light().await;
    let version = |seq| signed_listing(&agent(0), "digest", seq, listing(&format!("Version {seq}"), "text", "0.3"));
    let peers = [2, 1].map(|seq| scripted([records(vec![version(seq)]), vec![end(1)]].concat()));
    let looked_up = ask(&light, &World::of(peers), &Query::default()).await;
    assert_eq!(titles(&found(&light, &Query::default(), &looked_up)), ["Version 2"]);
}

#[tokio::test]
async fn pages_counts_and_explanations_are_made_of_what_was_answered() {
    let light = light().await;
    let market = index((0..5).flat_map(|number| pair(number, "Digest", &format!("0.{number}1"))).collect()).await;
    let world = World::of([Peer::Honest(market.catalog.clone())]);
    let first = Query { sort: Sort::PriceAsc, limit: 2, facets: true, explain: true, ..Query::words("digest") };
    let looked_up = ask(&light, &world, &first).await;
    let (mut pages, mut query, mut prices) = (0, first, Vec::new());
    loop {
        let answer = found(&light, &query, &looked_up);
        assert_eq!(answer.total, 5);
        assert_eq!(answer.facets.unwrap().category.values, [("text".to_owned(), 5)]);
        assert!(answer.items.iter().all(|hit| hit.explanation.is_some()));
        prices.extend(answer.items.iter().map(|hit| hit.listing.body().price));
        pages += 1;
        let Some(next) = answer.next else { break };
        query.cursor = Some(next);
    }
    assert_eq!((pages, prices), (3, (0..5).map(|number| usdc(&format!("0.{number}1"))).collect::<Vec<Usdc>>()));
}

#[tokio::test]
async fn an_answer_is_cut_off_where_more_matches_than_it_holds_and_says_so() {
    let wordy = |number: u32| {
        let mut body: ListingBody = listing("Digest", "text", "0.1");
        body.description = text(&"w ".repeat(740));
        body.input_schema = Some(text(&json!({"description": "s".repeat(980)}).to_string()));
        body.output_schema = body.input_schema.clone();
        let key = AgentKey::from_bytes(haggle_base::Hash::of(&number.to_be_bytes()).as_bytes());
        let mut whole = card("wordy", None);
        whole.agent_card = text(&json!({"name": "c".repeat(3_900)}).to_string());
        vec![signed_listing(&key, "digest", 1, body), signed_card(&key, 1, whole)]
    };
    let market = index((0..200).flat_map(wordy).collect()).await;
    let light = light_with(1000).await;
    let world = World::of([Peer::Honest(market.catalog.clone())]);
    let looked_up = ask(&light, &world, &Query::default()).await;
    let coverage = looked_up.coverage;
    assert_eq!((coverage.answered, coverage.cut_off), (1, 1), "{:?}", looked_up.failed);
    let total = found(&light, &Query::default(), &looked_up).total;
    assert!((100..200).contains(&total), "{total} of 200");
    let all = Coverage { asked: 3, answered: 3, ..coverage };
    assert_eq!(
        all.why_partial().unwrap(),
        "3 of 3 index nodes answered; 1 of them had more matches than an answer holds"
    );
}

#[tokio::test]
async fn a_light_node_keeps_what_it_looked_up_last_and_all_that_is_its_own() {
    let store = Store::memory();
    let keep = |others| Some(Keep { own: HashSet::from([agent(9).did()]), shards: crate::Shards::NONE, others });
    let light = node_with(store.clone(), CatalogConfig { keep: keep(6), ..config() }).await;
    light.catalog.publish_card(&agent(9), card("Ours", None)).await.unwrap();
    light.catalog.publish_listing(&agent(9), "own", listing("Ours", "text", "0.5")).await.unwrap();
    for number in 0..5 {
        let market = index(pair(number, "Digest", "0.3")).await;
        let world = World::of([Peer::Honest(market.catalog.clone())]);
        let looked_up = ask(&light, &world, &Query::default()).await;
        assert_eq!(found(&light, &Query::default(), &looked_up).total, 2, "it, and ours");
    }
    let held = |node: &Node| (node.catalog.status().listings, node.catalog.status().cards);
    assert_eq!(held(&light), (4, 4));
    assert!(light.catalog.card(&agent(1).did()).unwrap().is_none(), "looked up longest ago");
    assert!(light.catalog.card(&agent(2).did()).unwrap().is_some());
    light.catalog.shutdown().await.unwrap();
    // a node that has a whole market on disk lets go of it when it becomes a light one
    let smaller = node_with(store, CatalogConfig { keep: keep(2), ..config() }).await;
    let (listings, cards) = held(&smaller);
    assert_eq!((listings + cards, smaller.catalog.listings_of(&agent(9).did()).unwrap().len()), (4, 1));
    assert_eq!(smaller.catalog.search(&Query::default()).unwrap().total, listings, "and its index with it");
}

#[tokio::test]
async fn what_is_no_question_costs_the_asker_a_penalty() {
    let market = index(pair(0, "Digest", "0.3")).await;
    for (bytes, code) in [
        (u32::try_from(MAX_QUESTION_BYTES + 1).unwrap().to_be_bytes().to_vec(), "frame_too_large"),
        (vec![0, 0, 0, 1, 0xa0], "bad_frame"),
    ] {
        let (mut asker, theirs) = tokio::io::duplex(1024);
        asker.write_all(&bytes).await.unwrap();
        let error = market.catalog.answer_search(theirs).await.unwrap_err();
        assert_eq!((error.code(), error.is_peers_fault()), (code, true));
    }
}

#[tokio::test]
async fn what_finds_no_room_in_a_question_is_not_asked() {
    let light = light().await;
    for query in [
        Query::words(&"w".repeat(300)),
        Query { tags: vec!["tag".into(); 17], ..Query::default() },
        Query { category: Some("c".repeat(65)), ..Query::default() },
    ] {
        let asked = light.catalog.look_up(&query, &[], PATIENCE, async |_| Ok(tokio::io::duplex(1).0)).await;
        assert_eq!(asked.unwrap_err().code(), "search_too_long");
    }
}

#[test]
fn connected_index_nodes_are_asked_first_each_as_often_as_the_others() {
    let mut dice = 0_u64;
    let mut next = || {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        dice >> 33
    };
    let mut asked: HashMap<u32, u32> = HashMap::new();
    for _ in 0..1000 {
        let chosen = choose((0..6).collect(), vec![7, 8], &mut next);
        assert_eq!(chosen.iter().collect::<HashSet<_>>().len(), ASKED);
        chosen.into_iter().for_each(|peer| *asked.entry(peer).or_default() += 1);
    }
    assert!((0..6).all(|peer| (400..600).contains(&asked[&peer])), "{asked:?}");
    let mut few = choose(vec![1], vec![7, 8, 9], || 5);
    assert_eq!((few.remove(0), few.len()), (1, 2), "those that were connected once fill up");
    assert!(choose(Vec::<u32>::new(), vec![], || 0).is_empty());
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `docs/protocols/vectors/search.json`, as it is made.
fn vectors() -> Value {
    let everything = Question {
        text: Some(text("crypto news")),
        any: true,
        category: Some(text("text")),
        skill: Some(text("digest")),
        tags: list(vec![text("fast")]),
        scheme: Some(text("haggle-escrow")),
        region: Some(text("eu")),
        min_price: Some(usdc("0.01")),
        max_price: Some(usdc("0.5")),
        author: Some(agent(0).did()),
        sort: Sort::Combined,
        limit: 20,
    };
    let questions = [
        ("every listing", Question::of(&Query::default()).unwrap()),
        ("by words", Question::of(&Query { words: Words::Any, ..Query::words(" crypto \n news ") }).unwrap()),
        ("by everything", everything),
    ];
    let record = |hex: [u8; 5]| Blob::try_from(hex.to_vec()).unwrap();
    let sent = vec![record([0x84, 0x43, 0xa1, 0x01, 0x27]), record([0x84, 0x43, 0xa2, 0x01, 0x27])];
    let replies = [
        Reply::Records { records: list(sent) },
        Reply::End { total: 2, complete: true },
        Reply::Refused { why: Refusal::Busy },
        Reply::Refused { why: Refusal::TooOften },
        Reply::Refused { why: Refusal::Failed },
    ];
    let shown = |reply: &Reply| match reply {
        Reply::Records { records } => {
            json!({"records": {"records": records.iter().map(|record| hex(record)).collect::<Vec<_>>()}})
        }
        Reply::End { .. } | Reply::Refused { .. } => json!(reply),
    };
    json!({
        "questions": questions.map(|(name, asked)| json!({"name": name, "json": asked, "cbor": hex(&asked.encode().unwrap())})),
        "replies": replies.map(|reply| json!({"json": shown(&reply), "cbor": hex(&reply.encode().unwrap())})),
    })
}

#[test]
fn the_frames_are_those_of_the_specification() {
    let written: Value = serde_json::from_str(include_str!("../../../../docs/protocols/vectors/search.json")).unwrap();
    assert_eq!(vectors(), written, "docs/protocols/vectors/search.json: {:#}", vectors());
    for row in written["questions"].as_array().unwrap() {
        let hex = row["cbor"].as_str().unwrap();
        let bytes: Vec<u8> =
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        let question = Question::decode(&bytes).unwrap();
        assert_eq!(json!(question), row["json"]);
        for end in 0..bytes.len() {
            assert!(Question::decode(&bytes[..end]).is_err(), "cut at {end}");
        }
    }
}
