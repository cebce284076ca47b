//! An agent is asked for at its host, honest or not.

use haggle_base::{Coded, cbor, record::MAX_RECORD_BYTES};
use serde_json::{Value, json};
use tokio::io::DuplexStream;

use super::*;
use crate::{
    Origin,
    testing::{self, Node, agent, card, listing, peer, signed_card, signed_listing, signed_tombstone},
};

/// Generous: stories run beside other work.
const PATIENCE: Duration = Duration::from_secs(30);

type Records = Vec<Vec<u8>>;

fn reply(records: Records) -> Vec<u8> {
    let records: Vec<Blob<MAX_RECORD_BYTES>> = records.into_iter().map(|bytes| bytes.try_into().unwrap()).collect();
    Reply::Records { records: records.try_into().unwrap() }.encode().unwrap()
}

/// A host that answers with these bytes.
fn scripted(answer: Vec<u8>) -> DuplexStream {
    let (ours, mut theirs) = tokio::io::duplex(256 * 1024);
    tokio::spawn(async move {
        let _question = frames::read::<About, _>(&mut theirs, MAX_ABOUT_BYTES).await.unwrap();
        theirs.write_u32(u32::try_from(answer.len()).unwrap()).await.unwrap();
        theirs.write_all(&answer).await.unwrap();
    });
    ours
}

async fn told(node: &Node, answer: Vec<u8>) -> Result<bool, SearchError> {
    node.catalog.ask_about(scripted(answer), peer(1), &agent(0).did(), PATIENCE).await
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_frames_are_those_of_the_specification() {
    let did = agent(0).did();
    let question = About { agent: did };
    let replies = [
        Reply::Records { records: vec![vec![1, 2, 3].try_into().unwrap()].try_into().unwrap() },
        Reply::Records { records: List::new() },
        Reply::Refused { why: Refusal::TooOften },
    ];
    let made = json!({
        "question": { "json": question, "cbor": hex(&cbor::to_vec(&question).unwrap()) },
        "replies": replies.map(|reply| json!({"json": reply, "cbor": hex(&reply.encode().unwrap())})),
    });
    let written: Value =
        serde_json::from_str(include_str!("../../../../../docs/protocols/vectors/agent.json")).unwrap();
    assert_eq!(made, written, "docs/protocols/vectors/agent.json: {made:#}");
}

#[tokio::test]
async fn a_host_tells_of_its_agents_and_of_nobody_else() {
    let (host, asker) = (testing::node().await, testing::node().await);
    let (alice, bob) = (agent(0), agent(1));
    for key in [&alice, &bob] {
        for bytes in [signed_card(key, 1, card("a", None)), signed_listing(key, "digest", 1, listing("a", "text", "1"))]
        {
            let _put = host.catalog.put(bytes, Origin::Local).await.unwrap();
        }
    }
    let ask = async |about: Did| {
        let (ours, theirs) = tokio::io::duplex(1024);
        let (catalog, served) = (host.catalog.clone(), alice.did());
        let answering = tokio::spawn(async move { catalog.answer_about(theirs, |did| *did == served).await.unwrap() });
        let is_news = asker.catalog.ask_about(ours, peer(1), &about, PATIENCE).await.unwrap();
        (is_news, answering.await.unwrap().records)
    };
    assert_eq!(ask(alice.did()).await, (true, 2));
    assert!(asker.catalog.card(&alice.did()).unwrap().is_some());
    assert_eq!(asker.catalog.listings_of(&alice.did()).unwrap().len(), 1);
    assert_eq!(ask(alice.did()).await, (false, 2), "nothing new");
    assert_eq!(ask(bob.did()).await, (false, 0), "another node's agent, though its card is held");
    assert!(asker.catalog.card(&bob.did()).unwrap().is_none());
}

#[tokio::test]
async fn an_answer_with_anything_else_in_it_counts_for_nothing() {
    let asker = testing::node().await;
    let (alice, eve) = (agent(0), agent(2));
    let own = signed_card(&alice, 1, card("alice", None));
    let sold = signed_listing(&alice, "digest", 1, listing("a", "text", "1"));
    let mut forged = signed_card(&alice, 9, card("a trap", None));
    *forged.last_mut().unwrap() ^= 1;
    let many: Records = std::iter::once(own.clone()).chain((0..17).map(|_| sold.clone())).collect();
    let bad: [(Vec<u8>, &str); 8] = [
        (reply(vec![forged]), "bad_signature"),
        (reply(vec![signed_card(&eve, 1, card("eve", None))]), "search_answer_unfit"),
        (reply(vec![own.clone(), signed_listing(&eve, "x", 1, listing("e", "text", "1"))]), "search_answer_unfit"),
        (reply(vec![sold.clone()]), "search_answer_unfit"),
        (reply(vec![own.clone(), signed_tombstone(&alice, "digest", 2, "text")]), "search_answer_unfit"),
        (reply(many), "search_answer_too_long"),
        (vec![0xff], "bad_cbor"),
        (Reply::End { total: 0, complete: true }.encode().unwrap(), "search_answer_unfit"),
    ];
    for (answer, code) in bad {
        let error = told(&asker, answer).await.unwrap_err();
        assert!(error.is_peers_fault(), "{error}");
        assert!(error.code() == code || (code == "bad_cbor" && error.code() == "bad_frame"), "{code}: {error}");
        assert!(asker.catalog.card(&alice.did()).unwrap().is_none());
    }
    let refused = told(&asker, Reply::Refused { why: Refusal::Busy }.encode().unwrap()).await.unwrap_err();
    assert!(!refused.is_peers_fault());
    assert!(told(&asker, reply(vec![own, sold])).await.unwrap());
    assert!(asker.catalog.card(&alice.did()).unwrap().is_some());
}

#[tokio::test]
async fn what_is_no_question_is_the_askers_fault() {
    let host = testing::node().await;
    for asked in [vec![0x60; MAX_ABOUT_BYTES + 1], vec![0xa0], b"\xf6".to_vec()] {
        let (mut ours, theirs) = tokio::io::duplex(1024);
        ours.write_u32(u32::try_from(asked.len()).unwrap()).await.unwrap();
        ours.write_all(&asked).await.unwrap();
        assert!(host.catalog.answer_about(theirs, |_| true).await.unwrap_err().is_peers_fault());
    }
}
