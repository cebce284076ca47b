//! The golden vectors of the message envelope, `docs/protocols/vectors/messages.json`.
//!
//! `HAGGLE_WRITE_VECTORS=1` writes the file anew after a deliberate change of the format.

#![expect(clippy::unwrap_used, reason = "a test stops where its story does not hold")]

use haggle_a2a::envelope::{Message, MessageType, SignedMessage};
use haggle_base::{AgentKey, Coded, Did, Timestamp};
use serde_json::{Value, json};
use std::path::PathBuf;

const NOW: Timestamp = Timestamp::from_millis(1_795_000_000_250);

fn key(byte: u8) -> AgentKey {
    AgentKey::from_bytes(&[byte; 32])
}

/// A message as it stands in JSON, beside the bytes that were signed.
fn row(name: &str, signed: &SignedMessage) -> Value {
    let message = signed.message();
    let mut view = json!({
        "messageId": message.id, "from": message.from, "type": message.kind.as_str(),
        "timestamp": message.at.to_rfc3339(),
        "payload": serde_json::from_str::<Value>(message.payload()).unwrap(),
        "signature": signed.signature(),
    });
    if let Some(to) = &message.to {
        view["to"] = json!(to);
    }
    json!({
        "name": name, "message": view, "signer": signed.signer(), "millis": message.at.as_millis(),
        "payload": message.payload(), "document": hex::encode(signed.document()), "id": signed.id(),
    })
}

fn said(id: &str, from: Did, to: Option<&str>, kind: MessageType, payload: &Value) -> Message {
    Message::new(id, from, to, kind, NOW, &payload.to_string()).unwrap()
}

#[test]
fn messages_are_signed_as_written_down() {
    let (buyer, seller) = (key(1), key(2));
    let wanted = json!({
        "capability": "word count", "input": {"text": "to be", "page": 1}, "budget": 0.0205,
        "deadline": "2026-11-18T13:06:40Z", "expectedOutcome": "the number of words",
    });
    let request =
        said("r-1", buyer.did(), Some(&seller.did().to_string()), MessageType::Request, &wanted).sign(&buyer).unwrap();
    let offered =
        json!({"requestId": "r-1", "status": "counter-offer", "counterOffer": {"price": 0.0205, "timeline": 300_000}});
    let noted = said("r-1-answer", seller.did(), Some(&buyer.did().to_string()), MessageType::Response, &offered)
        .sign(&buyer)
        .unwrap();
    let received =
        json!({"type": "order_received", "order_id": "0x07", "buyer": buyer.did(), "amount": "0.02", "service": "é"});
    let told = said("n-1", seller.did(), None, MessageType::Notification, &received).sign(&seller).unwrap();
    let rows = [
        row("a request, signed by its sender", &request),
        row("an answer that the buyer wrote down for the seller", &noted),
        row("a notification to nobody in particular", &told),
    ];
    let stolen = said("r-1", seller.did(), None, MessageType::Request, &wanted);
    let refused = stolen.clone().signed_with(&request.signature()).unwrap_err();
    let value = json!({
        "kind": "message", "aad": "haggle/message/v1", "messages": rows,
        "refused": [{
            "name": "a signature of somebody else", "code": refused.code(),
            "from": stolen.from, "signature": request.signature(), "payload": stolen.payload(),
        }],
    });
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocols/vectors/messages.json");
    let text = format!("{}\n", serde_json::to_string_pretty(&value).unwrap());
    if std::env::var_os("HAGGLE_WRITE_VECTORS").is_some() {
        std::fs::write(&file, text).unwrap();
        return;
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text, "HAGGLE_WRITE_VECTORS=1 writes it anew");
}
