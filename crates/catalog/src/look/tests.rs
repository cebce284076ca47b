//! The frames of a look, to the byte, and what a shelf says of a record.

use serde_json::{Value, json};

use super::*;
use crate::{
    AnyRecord, Origin,
    testing::{self, START, agent, listing, peer, signed_listing, signed_tombstone},
};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn id(byte: u8) -> RecordId {
    RecordId::from(haggle_base::Hash::from_bytes([byte; 32]))
}

/// `docs/protocols/vectors/look.json`, as it is made.
fn vectors() -> Value {
    let did = agent(0).did();
    let place = Place::listing(&did, "listing/digest", "text");
    let questions = [
        ("ping", Question::Ping),
        ("a record whose place is known", Question::Record { id: id(7), place: Some(place) }),
        ("a record", Question::Record { id: id(7), place: None }),
        ("an agent", Question::Agent { did }),
    ];
    let holdings = [
        Holding::Held,
        Holding::Replaced { by: id(8) },
        Holding::Withdrawn { by: id(9) },
        Holding::Refused,
        Holding::Unknown,
        Holding::NotHeld,
    ];
    let replies = std::iter::once(Reply::Pong)
        .chain(holdings.map(|holding| Reply::Record { holding }))
        .chain([Health::Serving, Health::Busy, Health::Failing, Health::Absent].map(|health| Reply::Agent { health }));
    json!({
        "did": did,
        "place": { "slot": "listing/digest", "category": "text", "hash": place },
        "questions": questions.map(|(name, asked)| json!({"name": name, "json": asked, "cbor": hex(&asked.encode().unwrap())})),
        "replies": replies.map(|reply| json!({"json": reply, "cbor": hex(&reply.encode().unwrap())})).collect::<Vec<_>>(),
    })
}

#[test]
fn the_frames_are_those_of_the_specification() {
    let written: Value = serde_json::from_str(include_str!("../../../../docs/protocols/vectors/look.json")).unwrap();
    assert_eq!(vectors(), written, "docs/protocols/vectors/look.json");
}

#[test]
fn what_is_no_frame_is_refused() {
    let asked = Question::Agent { did: agent(0).did() }.encode().unwrap();
    assert_eq!(Question::decode(&asked).unwrap(), Question::Agent { did: agent(0).did() });
    for end in 0..asked.len() {
        assert!(Question::decode(&asked[..end]).is_err(), "cut at {end}");
    }
    let longer = [asked.as_slice(), &[0]].concat();
    assert!(Question::decode(&longer).is_err(), "one byte more");
    assert!(Reply::decode(&asked).is_err(), "a question is no reply");
    assert!(Reply::decode(&vec![0x60; MAX_LOOK_BYTES + 1]).is_err());
}

#[tokio::test]
async fn a_shelf_says_how_a_record_stands() {
    let node = testing::node().await;
    let author = agent(0);
    let put = async |bytes: Vec<u8>| {
        let id = AnyRecord::open(bytes.clone(), node.catalog.network(), START).unwrap().id();
        let _done = node.catalog.put(bytes, Origin::Sync { peer: peer(1) }).await.unwrap();
        id
    };
    let body = || listing("digest", "text", "0.02");
    let place = Place::listing(&author.did(), "listing/digest", "text");
    let of = |id: RecordId| node.catalog.holding(&id, Some(&place));

    assert_eq!(of(id(1)), Holding::Unknown);
    let old = put(signed_listing(&author, "digest", 1, body())).await;
    assert_eq!((of(old), node.catalog.place(&old)), (Holding::Held, Some(place)));
    let new = put(signed_listing(&author, "digest", 2, body())).await;
    assert_eq!(of(old), Holding::Replaced { by: new });
    assert_eq!(node.catalog.holding(&old, None), Holding::Unknown, "without the place nobody can tell");
    let tombstone = signed_tombstone(&author, "digest", 3, "text");
    let _done = node.catalog.put(tombstone, Origin::Sync { peer: peer(1) }).await.unwrap();
    assert!(matches!(of(new), Holding::Withdrawn { .. }));

    let mut last = id(2);
    for name in ["a", "b", "c", "d", "e"] {
        last = put(signed_listing(&author, name, 1, body())).await;
    }
    assert_eq!(node.catalog.holding(&last, None), Holding::Refused, "an author without cost has four");
}
