//! A document asked of honest peers and of others, and the frames to the byte.

use haggle_base::cbor;
use serde_json::{Value, json};
use tokio::io::duplex;

use super::*;

const PATIENCE: Duration = Duration::from_secs(5);

fn document(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Asks somebody who answers with these frames, whatever is asked.
async fn ask_one_who_says(replies: Vec<BlobReply>, wanted: &BlobRef) -> Result<Option<Vec<u8>>, SearchError> {
    let (near, mut far) = duplex(256 * 1024);
    let saying = async move {
        let _question: (BlobRef, usize) = frames::read(&mut far, MAX_BLOB_QUESTION_BYTES).await.unwrap();
        for reply in replies {
            frames::write(&mut far, &reply).await.unwrap();
        }
        far
    };
    let (said, _stays_open) = tokio::join!(ask_for_blob(near, wanted, PATIENCE), saying);
    said
}

fn part(bytes: &[u8]) -> BlobReply {
    BlobReply::Part { bytes: Blob::try_from(bytes).unwrap() }
}

#[tokio::test]
async fn a_document_of_any_size_comes_over_whole() {
    for size in [1, 1024, MAX_PART_BYTES, MAX_PART_BYTES + 1, 64 * 1024] {
        let held = document(size);
        let wanted = BlobRef::of(&held).unwrap();
        let (near, far) = duplex(4096);
        let find = |asked: BlobRef| {
            let held = held.clone();
            async move { asked.is_of(&held).then_some(held) }
        };
        let (asked, answered) = tokio::join!(ask_for_blob(near, &wanted, PATIENCE), answer_with_blob(far, find));
        assert_eq!(asked.unwrap(), Some(held.clone()), "{size}");
        assert!(answered.unwrap().bytes >= u64::from(wanted.size));
    }
}

#[tokio::test]
async fn who_does_not_hold_it_or_is_busy_says_so() {
    let wanted = BlobRef::of(&document(100)).unwrap();
    let (near, far) = duplex(4096);
    let (asked, answered) =
        tokio::join!(ask_for_blob(near, &wanted, PATIENCE), answer_with_blob(far, |_| async { None }));
    assert_eq!((asked.unwrap(), answered.unwrap().records), (None, 0));
    let (near, far) = duplex(4096);
    let (asked, refused) = tokio::join!(ask_for_blob(near, &wanted, PATIENCE), refuse_blob(far, Refusal::TooOften));
    refused.unwrap();
    let error = asked.unwrap_err();
    assert!(matches!(error, SearchError::Refused(Refusal::TooOften)) && !error.is_peers_fault());
}

#[tokio::test]
async fn other_bytes_count_for_nothing_and_against_the_peer() {
    let held = document(40_000);
    let wanted = BlobRef::of(&held).unwrap();
    let (first, rest) = held.split_at(MAX_PART_BYTES);
    let mut wrong = rest.to_vec();
    wrong[7] ^= 1;
    let longer = [rest, b"x".as_slice()].concat();
    let full = || part(first);
    for (what, replies) in [
        ("one bit is other", vec![full(), part(&wrong)]),
        ("more than the size", vec![full(), part(&longer)]),
        ("an empty part", vec![full(), BlobReply::Part { bytes: Blob::default() }]),
        ("absent in the middle", vec![full(), BlobReply::Absent]),
        ("refused in the middle", vec![full(), BlobReply::Refused { why: Refusal::Busy }]),
    ] {
        let error = ask_one_who_says(replies, &wanted).await.unwrap_err();
        assert!(error.is_peers_fault(), "{what}: {error}");
    }
}

#[tokio::test]
async fn one_who_never_ends_is_given_up_and_one_who_sends_on_is_not_read_on() {
    let held = document(40_000);
    let wanted = BlobRef::of(&held).unwrap();
    let (near, mut far) = duplex(4096);
    frames::write(&mut far, &part(&held[..9])).await.unwrap();
    let error = ask_for_blob(near, &wanted, Duration::from_millis(50)).await.unwrap_err();
    assert!(matches!(error, SearchError::Timeout), "{error}");
    // what comes behind the last byte is never read
    let (first, rest) = held.split_at(MAX_PART_BYTES);
    let replies = vec![part(first), part(rest), part(first), part(first)];
    assert_eq!(ask_one_who_says(replies, &wanted).await.unwrap(), Some(held));
}

#[tokio::test]
async fn a_frame_above_the_limit_is_not_read() {
    let wanted = BlobRef::of(&document(40_000)).unwrap();
    let (near, mut far) = duplex(4096);
    let saying = async move {
        let _question: (BlobRef, usize) = frames::read(&mut far, MAX_BLOB_QUESTION_BYTES).await.unwrap();
        far.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
        far
    };
    let (asked, _stays_open) = tokio::join!(ask_for_blob(near, &wanted, PATIENCE), saying);
    let error = asked.unwrap_err();
    assert!(matches!(error, SearchError::FrameTooLarge { .. }) && error.is_peers_fault(), "{error}");
}

#[tokio::test]
async fn a_question_that_no_document_answers_is_the_askers_fault() {
    for size in [0, 65_537] {
        let wanted = BlobRef { size, ..BlobRef::of(b"x").unwrap() };
        let (mut near, far) = duplex(4096);
        frames::write(&mut near, &wanted).await.unwrap();
        let error = answer_with_blob(far, |_| async { panic!("nothing is looked for") }).await.unwrap_err();
        assert!(error.is_peers_fault(), "{error}");
        let (near, _far) = duplex(4096);
        assert!(matches!(ask_for_blob(near, &wanted, PATIENCE).await, Err(SearchError::Unaskable)));
    }
    let (mut near, far) = duplex(4096);
    near.write_all(&[0, 0, 1, 0]).await.unwrap();
    let error = answer_with_blob(far, |_| async { None }).await.unwrap_err();
    assert!(matches!(error, SearchError::FrameTooLarge { .. }), "{error}");
}

#[test]
fn the_frames_are_those_of_the_specification() {
    let document = br#"{"type":"object","title":"a document that stands for a larger one"}"#;
    let named = BlobRef::of(document).unwrap();
    let replies = [part(document), BlobReply::Absent, BlobReply::Refused { why: Refusal::TooOften }];
    let row = |reply: &BlobReply| json!({"json": reply, "cbor": hex(&cbor::to_vec(reply).unwrap())});
    let made = json!({
        "document": String::from_utf8(document.to_vec()).unwrap(),
        "in_record": named.to_text(),
        "question": {"json": named, "cbor": hex(&cbor::to_vec(&named).unwrap())},
        "replies": replies.iter().map(row).collect::<Vec<_>>(),
    });
    let written: Value = serde_json::from_str(include_str!("../../../../../docs/protocols/vectors/blob.json")).unwrap();
    assert_eq!(made, written, "docs/protocols/vectors/blob.json");
}
