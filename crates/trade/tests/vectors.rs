//! The golden vectors of the negotiation extension, `docs/protocols/vectors/negotiate.json`: messages as A2A carries them.
//!
//! `HAGGLE_WRITE_VECTORS=1` writes the file anew after a deliberate change of the format.

#![expect(clippy::unwrap_used, reason = "a test stops where its story does not hold")]

use haggle_base::{Hash, OrderId, Usdc};
use haggle_trade::{
    EXTENSION_URI,
    wire::{TradeMessage, TradeReply},
};
use serde_json::{Value, json};
use std::path::PathBuf;

/// What somebody says, with a name for it.
type Said = [(&'static str, Value); 4];

/// The parts of messages, by what they say: those of the buyer, then those of the provider.
fn said() -> (Said, Said) {
    let order = OrderId::new([7; 32].into()).to_string();
    let request = Hash::of(b"request").to_string();
    let bid: Usdc = "4.5".parse().unwrap();
    let buyer = [
        ("a bid in the second round", json!({ "type": "counter", "request": request, "round": 2, "bid": bid })),
        ("what the work is about", json!({ "type": "input", "order": order, "input": "eyJ0ZXh0IjoiaGkifQ" })),
        ("is there a receipt?", json!({ "type": "collect", "order": order })),
        ("the buyer gives up", json!({ "type": "cancel", "order": order })),
    ];
    let provider = [
        ("an ask", json!({ "type": "counter", "ask": "5.25" })),
        ("the input is here", json!({ "type": "input_held", "order": order })),
        ("how the order stands", json!({ "type": "status", "order": order, "state": "funded" })),
        (
            "terms that are not those of the quote",
            json!({ "type": "reject", "code": "terms_mismatch", "field": "price" }),
        ),
    ];
    (buyer, provider)
}

fn carried(id: &str, role: &str, data: &Value) -> Value {
    json!({ "messageId": id, "role": role, "extensions": [EXTENSION_URI], "parts": [{ "data": data }] })
}

#[test]
fn what_is_said_is_carried_as_it_is_written_down() {
    let (buyer, provider) = said();
    let mut rows = Vec::new();
    for (name, data) in buyer {
        let message = carried("m-1", "ROLE_USER", &data);
        let read = TradeMessage::from_a2a(&message).unwrap().unwrap();
        assert_eq!(read.to_a2a("m-1"), message, "{name}");
        rows.push(json!({ "name": name, "from": "buyer", "message": message }));
    }
    for (name, data) in provider {
        let message = carried("r-1", "ROLE_AGENT", &data);
        let read = TradeReply::from_a2a(&message).unwrap().unwrap();
        assert_eq!(read.to_a2a("r-1"), message, "{name}");
        rows.push(json!({ "name": name, "from": "provider", "message": message }));
    }
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocols/vectors/negotiate.json");
    let text = format!("{}\n", serde_json::to_string_pretty(&json!({ "messages": rows })).unwrap());
    if std::env::var_os("HAGGLE_WRITE_VECTORS").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text, "HAGGLE_WRITE_VECTORS=1 writes it anew");
}
