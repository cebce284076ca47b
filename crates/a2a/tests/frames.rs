//! The golden vectors of the libp2p binding, `docs/protocols/vectors/a2a-libp2p.json`: whole calls as bytes.
//!
//! `HAGGLE_WRITE_VECTORS=1` writes the file anew after a deliberate change of the format; `verify.py` beside it cuts the
//! bytes again with nothing of ours.

#![expect(clippy::unwrap_used, reason = "a test stops where its story does not hold")]

use std::{path::PathBuf, time::Duration};

use bytes::{Bytes, BytesMut};
use haggle_a2a::{
    A2aError, Kind, ServiceParams,
    binding::{CallParams, error_frame},
    frame::{Frame, FrameKind},
    message, rpc,
};
use haggle_base::{Did, Seed};
use serde_json::{Value, json};

fn agent() -> Did {
    Seed::devnet(7, 1).agent_key(1).did()
}

fn params(extensions: &str, timeout: Option<Duration>) -> Bytes {
    let pairs = [("A2A-Version", "1.0"), ("A2A-Extensions", extensions)];
    let params = ServiceParams::from_pairs(pairs.into_iter().filter(|(_, value)| !value.is_empty())).unwrap();
    CallParams { agent: agent(), params, timeout }.to_payload()
}

fn json_frame(call: u64, kind: FrameKind, body: &Value) -> Frame {
    Frame { call, kind, payload: Bytes::from(body.to_string()) }
}

/// Conversations: a name, and who says which frame.
fn conversations() -> Vec<(&'static str, Vec<(&'static str, Frame)>)> {
    use FrameKind::{Cancel, End, Params, Request, Response};
    let send = |text: &str, method: &str| {
        rpc::request(1, method, json!({ "message": message::user("m-1", vec![message::text(text)]) }))
    };
    let say = |text: &str| json!({ "message": message::agent("m-2", vec![message::text(text)]) });
    let status = |state: &str| json!({ "statusUpdate": { "taskId": "t-1", "contextId": "c-1", "status": { "state": state, "timestamp": "2026-11-18T11:06:40.000Z" } } });
    let task = json!({ "task": { "id": "t-1", "contextId": "c-1", "status": { "state": "TASK_STATE_WORKING", "timestamp": "2026-11-18T11:06:40.000Z" } } });
    let answer = |result: Value| rpc::response(json!(1), Ok(result));
    let open = |call: u64, extensions: &str, timeout| {
        ("caller", Frame { call, kind: Params, payload: params(extensions, timeout) })
    };
    vec![
        (
            "a message and its answer",
            vec![
                open(1, "", Some(Duration::from_secs(30))),
                ("caller", json_frame(1, Request, &send("hello", "SendMessage"))),
                ("server", json_frame(1, Response, &answer(say("hello")))),
                ("server", Frame::bare(1, End)),
            ],
        ),
        (
            "a stream, beside a call whose agent is not there",
            vec![
                open(2, "urn:a,urn:b", None),
                ("caller", json_frame(2, Request, &send("work", "SendStreamingMessage"))),
                ("server", json_frame(2, Response, &answer(task))),
                open(3, "", None),
                ("caller", json_frame(3, Request, &rpc::request(1, "GetTask", json!({ "id": "nope" })))),
                ("server", json_frame(3, Response, &rpc::response(json!(1), Err(A2aError::task_not_found("nope"))))),
                ("server", Frame::bare(3, End)),
                ("server", json_frame(2, Response, &answer(status("TASK_STATE_COMPLETED")))),
                ("server", Frame::bare(2, End)),
            ],
        ),
        (
            "a call that nobody waits for any more",
            vec![
                open(4, "", Some(Duration::from_secs(5))),
                ("caller", json_frame(4, Request, &send("slow", "SendMessage"))),
                ("caller", Frame::bare(4, Cancel)),
            ],
        ),
        (
            "a call beyond the bound, and a stream that is of no use any more",
            vec![
                open(5, "", None),
                ("server", error_frame(5, &A2aError::new(Kind::Busy, "too many calls on this stream"))),
                ("server", error_frame(0, &A2aError::new(Kind::Parse, "frame kind 77 is unknown"))),
            ],
        ),
    ]
}

/// Heads that are refused as soon as they are there: a name, and the bytes.
const REFUSED: [(&str, &str); 4] = [
    ("a length over 1 MiB", "00100001"),
    ("a length without room for a head", "00000008"),
    ("a kind that does not exist", "000000094d"),
    ("kind 0", "0000000900"),
];

#[test]
fn calls_are_cut_into_the_bytes_that_are_written_down() {
    let rows: Vec<Value> = conversations()
        .into_iter()
        .map(|(name, frames)| {
            let frames: Vec<Value> = frames
                .into_iter()
                .map(|(from, frame)| {
                    let mut bytes = BytesMut::new();
                    frame.encode(&mut bytes).unwrap();
                    let hex = hex::encode(&bytes);
                    assert_eq!(Frame::decode(&mut bytes).unwrap().as_ref(), Some(&frame));
                    let payload = String::from_utf8(frame.payload.to_vec()).unwrap();
                    json!({ "from": from, "kind": format!("{:?}", frame.kind), "call": frame.call, "payload": payload, "bytes": hex })
                })
                .collect();
            json!({ "name": name, "frames": frames })
        })
        .collect();
    let refused: Vec<Value> = REFUSED
        .iter()
        .map(|(name, bytes)| {
            assert!(Frame::decode(&mut BytesMut::from(&hex::decode(bytes).unwrap()[..])).is_err(), "{name}");
            json!({ "name": name, "bytes": bytes })
        })
        .collect();
    let vectors = json!({ "conversations": rows, "refused": refused });
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocols/vectors/a2a-libp2p.json");
    let text = format!("{}\n", serde_json::to_string_pretty(&vectors).unwrap());
    if std::env::var_os("HAGGLE_WRITE_VECTORS").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text, "HAGGLE_WRITE_VECTORS=1 writes it anew");
}
