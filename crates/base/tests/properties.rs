//! Laws of the decoders: nothing a stranger sends makes them panic or accept a second encoding.

#![expect(clippy::unwrap_used, reason = "a test stops where its story does not hold")]

use std::sync::LazyLock;
use std::time::Duration;

use ciborium::Value;
use haggle_base::{
    AgentKey, Body, Hash, Kind, List, NetworkId, Record, RecordError, Signed, Text, Timestamp, Unread, Usdc, cbor, cose,
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

const CASES: u32 = 100_000;
const MAX: usize = 4096;
const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Stall {
    tags: List<Text<16>, 4>,
    price: Usdc,
    goods: Text<64>,
    sample: Option<Hash>,
}

impl Body for Stall {
    const KIND: Kind = Kind::Listing;
    const MAX_BYTES: usize = MAX;
    const MAX_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

    fn check(&self) -> Result<(), RecordError> {
        Ok(())
    }
}

fn network() -> NetworkId {
    "devnet-7/1".parse().unwrap()
}

static ALICE: LazyLock<AgentKey> = LazyLock::new(|| AgentKey::from_bytes(&[1; 32]));
static SIGNED: LazyLock<Vec<u8>> = LazyLock::new(|| Signed::sign(&record(), &ALICE).unwrap().bytes().to_vec());
static PAYLOAD: LazyLock<Vec<u8>> = LazyLock::new(|| cbor::to_vec(&record()).unwrap());

fn record() -> Record<Stall> {
    let body = Stall {
        tags: List::try_from(vec!["text".parse().unwrap(), "cheap".parse().unwrap()]).unwrap(),
        price: "0.02".parse().unwrap(),
        goods: "digests".parse().unwrap(),
        sample: Some(Hash::of(b"sample")),
    };
    Record::new(network(), "listing/digest".parse().unwrap(), NOW, Duration::from_secs(3600), body)
}

/// Everything the outside can do with bytes that claim to be a record.
fn opened(bytes: &[u8]) -> bool {
    let _any_kind = Unread::parse(bytes.to_vec()).map(|unread| unread.kind());
    Signed::<Stall>::from_bytes(bytes.to_vec()).and_then(|signed| signed.verify(&network(), NOW)).is_ok()
}

/// A change a stranger might make to bytes.
#[derive(Clone, Debug)]
enum Harm {
    Flip(prop::sample::Index, u8),
    Set(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, usize),
    Cut(prop::sample::Index),
    Append(Vec<u8>),
    Repeat(prop::sample::Index, usize),
}

impl Harm {
    fn any() -> impl Strategy<Value = Self> {
        let at = any::<prop::sample::Index>;
        let few = || prop::collection::vec(any::<u8>(), 1..9);
        prop_oneof![
            (at(), 0_u8..8).prop_map(|(at, bit)| Self::Flip(at, bit)),
            (at(), any::<u8>()).prop_map(|(at, byte)| Self::Set(at, byte)),
            (at(), few()).prop_map(|(at, bytes)| Self::Insert(at, bytes)),
            (at(), 1_usize..9).prop_map(|(at, len)| Self::Remove(at, len)),
            at().prop_map(Self::Cut),
            few().prop_map(Self::Append),
            (at(), 1_usize..40).prop_map(|(at, len)| Self::Repeat(at, len)),
        ]
    }

    fn done_to(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let len = bytes.len();
        match self {
            Self::Flip(at, bit) => bytes[at.index(len)] ^= 1 << bit,
            Self::Set(at, byte) => bytes[at.index(len)] = *byte,
            Self::Insert(at, more) => {
                let at = at.index(len);
                bytes.splice(at..at, more.iter().copied());
            }
            Self::Remove(at, count) => {
                let at = at.index(len);
                bytes.drain(at..(at + count).min(len));
            }
            Self::Cut(at) => bytes.truncate(at.index(len)),
            Self::Append(more) => bytes.extend_from_slice(more),
            Self::Repeat(at, count) => {
                let at = at.index(len);
                let copy = bytes[at..(at + count).min(len)].to_vec();
                bytes.splice(at..at, copy);
            }
        }
    }
}

fn harmed(mut bytes: Vec<u8>, harms: &[Harm]) -> Vec<u8> {
    for harm in harms {
        harm.done_to(&mut bytes);
    }
    bytes
}

fn harms() -> impl Strategy<Value = Vec<Harm>> {
    prop::collection::vec(Harm::any(), 1..4)
}

/// Any CBOR value of the allowed kinds, with maps in any order.
fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0_u8..30).prop_map(Value::from),
        prop::collection::vec(any::<u8>(), 0..30).prop_map(Value::Bytes),
        "\\PC{0,12}".prop_map(Value::Text),
        any::<bool>().prop_map(Value::Bool),
        Just(Value::Null),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            prop::collection::vec((inner.clone(), inner), 0..5).prop_map(Value::Map),
        ]
    })
}

/// The gate's meaning, written the slow way: read loosely, sort, write, compare.
fn canonical_by_definition(bytes: &[u8]) -> bool {
    let Ok(value) = ciborium::from_reader::<Value, _>(bytes) else { return false };
    cbor::to_vec(&value).is_ok_and(|again| again == bytes)
}

fn agrees_with_its_definition(bytes: &[u8]) -> Result<(), TestCaseError> {
    match cbor::check(bytes, MAX) {
        Ok(()) => prop_assert!(canonical_by_definition(bytes), "accepted {}", hex::encode(bytes)),
        Err(cbor::CborError::TooDeep | cbor::CborError::TooLarge { .. }) => {}
        Err(error) => prop_assert!(!canonical_by_definition(bytes), "refused {}: {error}", hex::encode(bytes)),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_are_never_a_record(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(!opened(&bytes));
    }

    #[test]
    fn a_truncated_or_mutated_record_is_refused(harms in harms()) {
        let bytes = SIGNED.clone();
        let changed = harmed(bytes.clone(), &harms);
        prop_assert_eq!(opened(&changed), changed == bytes);
    }

    #[test]
    fn a_signed_payload_is_accepted_only_in_its_one_encoding(harms in harms()) {
        // The author signs whatever came out, so that only the gate stands in the way.
        let payload = harmed(PAYLOAD.clone(), &harms);
        let bytes = cose::sign("listing", &payload, &ALICE);
        if let Ok(verified) =
            Signed::<Stall>::from_bytes(bytes).and_then(|signed| signed.verify(&network(), NOW))
        {
            prop_assert_eq!(cbor::to_vec(verified.record()).unwrap(), payload);
        }
    }

    #[test]
    fn random_bytes_pass_the_gate_only_if_canonical(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        agrees_with_its_definition(&bytes)?;
    }

    #[test]
    fn mutated_values_pass_the_gate_only_if_canonical(value in tree(), harms in harms()) {
        let mut bytes = Vec::new();
        ciborium::into_writer(&value, &mut bytes).unwrap();
        agrees_with_its_definition(&bytes)?;
        agrees_with_its_definition(&harmed(bytes, &harms))?;
    }

    #[test]
    fn what_is_written_is_read_back(value in tree()) {
        if let Ok(bytes) = cbor::to_vec(&value) {
            let again: Value = cbor::from_slice(&bytes, MAX).unwrap();
            prop_assert_eq!(cbor::to_vec(&again).unwrap(), bytes);
        }
    }

    #[test]
    fn fields_keep_their_bounds(fields in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..6), 1..4), at in 0usize..6) {
        let hash = |fields: &[Vec<u8>]| Hash::of_fields(&fields.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let first = &fields[0];
        let cut = at.min(first.len());
        let mut other = vec![first[..cut].to_vec(), first[cut..].to_vec()];
        other.extend_from_slice(&fields[1..]);
        prop_assert_ne!(hash(&fields), hash(&other), "one field in two is another list");
        let mut moved = fields.clone();
        moved.push(Vec::new());
        prop_assert_ne!(hash(&fields), hash(&moved), "an empty field counts");
    }
}
