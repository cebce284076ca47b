//! The frames of a sync, and what stands for a set, to the byte.

use serde_json::Value;

use super::*;
use crate::sync::digest::Sum;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../../docs/protocols/vectors/sync.json")).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn id(byte: u8) -> RecordId {
    RecordId::from(haggle_base::Hash::from_bytes([byte; 32]))
}

#[test]
fn the_frames_are_those_of_the_specification() {
    let blob = |hex: &str| Blob::try_from(bytes(hex)).unwrap();
    let frames = [
        Frame::Hello { network: "devnet-7/1".parse().unwrap(), shards: 4, holds: None },
        Frame::Hello {
            network: "devnet-7/1".parse().unwrap(),
            shards: 4,
            holds: Some(List::try_from(vec![0, 3]).unwrap()),
        },
        Frame::Digests { digests: Blob::try_from(vec![0x11; 64]).unwrap() },
        Frame::Differ { shards: List::try_from(vec![0, 3]).unwrap() },
        Frame::Reconcile { shard: 3, message: Blob::try_from(bytes("6100000200")).unwrap() },
        Frame::Want { ids: List::try_from(vec![id(7), id(8)]).unwrap() },
        Frame::Records { records: List::try_from(vec![blob("8443a10127"), blob("8443a20127")]).unwrap() },
        Frame::Turn,
        Frame::Done,
    ];
    let written = vectors();
    let rows = written["frames"].as_array().unwrap();
    assert_eq!(rows.len(), frames.len());
    for (row, frame) in rows.iter().zip(frames) {
        let encoded = frame.encode().unwrap();
        assert_eq!(row["cbor"], hex(&encoded), "{frame:?}");
        assert_eq!(Frame::decode(&encoded).unwrap(), frame);
    }
}

#[test]
fn a_set_is_stood_for_by_the_digest_of_the_specification() {
    for row in vectors()["digests"].as_array().unwrap() {
        let ids: Vec<RecordId> =
            row["ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().parse().unwrap()).collect();
        assert_eq!(row["digest"], hex(&Sum::of(&ids).digest()), "{ids:?}");
    }
}
