//! `docs/protocols/vectors/mailbox.json`, as it is made.

use haggle_base::{Blob, Hash, List, Timestamp};
use serde_json::{Value, json};

use super::super::letter::{Content, LETTER_TTL, Letter, PASS_TTL, Pass, Receipt, TOKEN_TTL, Token};
use super::super::wire::{Call, Half, Question, Refusal, Reply};
use super::{START, key, network, node};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn blob<const N: usize>(bytes: &[u8]) -> Blob<N> {
    Blob::try_from(bytes).unwrap()
}

fn vectors() -> Value {
    let (sender, recipient) = (key(1), key(2));
    let token = |by: &haggle_base::AgentKey, to: &haggle_base::AgentKey| {
        let token = Token { network: network(), sender: to.did(), expires: START.plus(TOKEN_TTL) };
        token.sign(by).unwrap()
    };
    let ours = token(&sender, &recipient);
    let (message, pointer) = (blob(b"a signed message"), Some(blob(b"a signed pointer")));
    let content = Content { message, token: Some(blob(&ours)), pointer };
    let random = Hash::of(b"never use this twice");
    let letter = Letter::write_with(random.as_bytes(), &network(), &sender, &recipient.did(), &content, START).unwrap();
    let theirs = token(&recipient, &sender);
    let receipt = Receipt {
        network: network(),
        letter: letter.id,
        from: sender.did(),
        at: Timestamp::from_secs(1_795_000_100),
        token: Some(blob(&theirs)),
    };
    let receipt = receipt.sign(&recipient).unwrap();
    let pass = Pass { network: network(), node: node(2), keeper: node(1), expires: START.plus(PASS_TTL) };
    let pass = pass.sign(&recipient).unwrap();
    let questions = [
        Question::Deposit { letter: blob(&[0x84]), token: Some(blob(&[0x85])) },
        Question::Open { pass: blob(&[0x84]), keep: true },
        Question::Collect { half: Half::Known },
        Question::Acknowledge { letter: letter.id, receipt: None },
        Question::Receipts,
        Question::Forget { letters: List::try_from(vec![letter.id]).unwrap() },
    ];
    let replies = [
        Reply::Kept,
        Reply::Taken { receipt: blob(&[0x84]) },
        Reply::Opened { letters: 2, receipts: 1 },
        Reply::Letters { letters: List::try_from(vec![blob(&[0x84])]).unwrap() },
        Reply::Receipts { receipts: List::new() },
        Reply::Done,
        Reply::Refused { why: Refusal::MailboxFull },
    ];
    let calls = [Call::Letter { letter: blob(&[0x84]) }, Call::News { agent: recipient.did() }];
    json!({
        "network": network(),
        "sender": {"secret": hex(&*sender.secret_bytes()), "did": sender.did()},
        "recipient": {"secret": hex(&*recipient.secret_bytes()), "did": recipient.did()},
        "letter": {
            "random": hex(random.as_bytes()),
            "message": hex(&content.message), "token": hex(&ours), "pointer": hex(b"a signed pointer"),
            "created": START, "expires": START.plus(LETTER_TTL),
            "id": letter.id, "document": hex(letter.document()),
        },
        "receipt": hex(&receipt),
        "token": hex(&theirs),
        "pass": {"node": node(2), "keeper": node(1), "document": hex(&pass)},
        "questions": questions.map(|asked| json!({"json": asked, "cbor": hex(&asked.encode().unwrap())})),
        "calls": calls.map(|asked| json!({"json": asked, "cbor": hex(&crate::frames::encode(&asked).unwrap())})),
        "replies": replies.map(|reply| json!({"json": reply, "cbor": hex(&reply.encode().unwrap())})),
    })
}

#[test]
fn the_documents_and_frames_are_those_of_the_specification() {
    let written: Value =
        serde_json::from_str(include_str!("../../../../../docs/protocols/vectors/mailbox.json")).unwrap();
    assert_eq!(vectors(), written, "docs/protocols/vectors/mailbox.json: {:#}", vectors());
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
