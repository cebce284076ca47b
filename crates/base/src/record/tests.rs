//! Alice publishes, Bob reads, Eve tries everything else.

use super::*;

const HOUR: Duration = Duration::from_secs(3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

fn kind_in(bytes: &[u8]) -> Result<Kind, RecordError> {
    Unread::parse(bytes.to_vec()).map(|unread| unread.kind())
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Stall {
    goods: Text<4000>,
    price: crate::Usdc,
}

impl Body for Stall {
    const KIND: Kind = Kind::Listing;
    const MAX_BYTES: usize = 4096;
    const MAX_TTL: Duration = WEEK;

    fn check(&self) -> Result<(), RecordError> {
        if self.goods.is_empty() {
            return Err(RecordError::BadBody { code: "no_goods", reason: "a stall without goods" });
        }
        Ok(())
    }

    fn check_place(&self, _author: &Did, slot: &str) -> Result<(), RecordError> {
        if slot.starts_with("listing/") { Ok(()) } else { Err(RecordError::WrongSlot) }
    }
}

/// The same shape under another kind.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct Notice(Stall);

impl Body for Notice {
    const KIND: Kind = Kind::Card;
    const MAX_BYTES: usize = 4096;
    const MAX_TTL: Duration = WEEK;

    fn check(&self) -> Result<(), RecordError> {
        Ok(())
    }
}

fn devnet() -> NetworkId {
    "devnet-7/1".parse().unwrap()
}

fn alice() -> AgentKey {
    AgentKey::from_bytes(&[1; 32])
}

fn stall(goods: &str) -> Stall {
    Stall { goods: goods.try_into().unwrap(), price: "0.02".parse().unwrap() }
}

fn record(goods: &str) -> Record<Stall> {
    Record::new(devnet(), "listing/digest".try_into().unwrap(), NOW, HOUR, stall(goods))
}

/// What a careless author's program would send: signed without any check.
fn signed_unchecked<B: Serialize>(record: &Record<B>, kind: Kind) -> Vec<u8> {
    cose::sign(kind.as_str(), &cbor::to_vec(record).unwrap(), &alice())
}

fn answer(bytes: Vec<u8>, now: Timestamp) -> Result<Verified<Stall>, &'static str> {
    Signed::<Stall>::from_bytes(bytes).and_then(|signed| signed.verify(&devnet(), now)).map_err(|error| error.code())
}

fn refused(record: &Record<Stall>) -> &'static str {
    answer(signed_unchecked(record, Kind::Listing), NOW).unwrap_err()
}

#[test]
fn bob_reads_what_alice_signed_and_carries_the_same_bytes() {
    let record = record("digests");
    let signed = Signed::sign(&record, &alice()).unwrap();
    let bytes = signed.bytes().to_vec();
    assert_eq!(kind_in(&bytes), Ok(Kind::Listing));
    let verified = answer(bytes.clone(), NOW).unwrap();
    assert_eq!(verified.author(), alice().did());
    assert_eq!(verified.record(), &record);
    assert_eq!(verified.body(), &stall("digests"));
    assert_eq!(verified.bytes().as_ref(), bytes);
    assert_eq!(signed.verify(&devnet(), NOW).unwrap().id(), verified.id());
}

#[test]
fn fields_in_the_order_of_the_struct_are_already_canonical() {
    let record = record("digests");
    let mut plain = Vec::new();
    ciborium::into_writer(&record, &mut plain).unwrap();
    assert_eq!(plain, cbor::to_vec(&record).unwrap(), "signing needs no sorting");
}

#[test]
fn a_record_of_another_network_is_refused() {
    let bytes = Signed::sign(&record("digests"), &alice()).unwrap().bytes().to_vec();
    let other: NetworkId = "devnet-8/1".parse().unwrap();
    let error = Signed::<Stall>::from_bytes(bytes).unwrap().verify(&other, NOW).unwrap_err();
    assert_eq!(error, RecordError::WrongNetwork);
}

#[test]
fn a_record_lives_from_ten_minutes_before_its_creation_until_it_expires() {
    let bytes = Signed::sign(&record("digests"), &alice()).unwrap().bytes().to_vec();
    let at = |now| answer(bytes.clone(), now).map(|_| ());
    let millisecond = Duration::from_millis(1);
    assert_eq!(at(NOW.minus(MAX_CLOCK_SKEW)), Ok(()));
    assert_eq!(at(NOW.minus(MAX_CLOCK_SKEW).minus(millisecond)), Err("created_in_future"));
    assert_eq!(at(NOW.plus(HOUR).minus(millisecond)), Ok(()));
    assert_eq!(at(NOW.plus(HOUR)), Err("expired"));
}

#[test]
fn a_record_may_not_outlive_its_kind() {
    let mut long = record("digests");
    long.expires = NOW.plus(WEEK);
    assert!(answer(signed_unchecked(&long, Kind::Listing), NOW).is_ok());
    long.expires = NOW.plus(WEEK).plus(Duration::from_millis(1));
    assert_eq!(refused(&long), "ttl_too_long");
    assert_eq!(Signed::sign(&long, &alice()).unwrap_err().code(), "ttl_too_long");
    let mut backwards = record("digests");
    backwards.created = NOW.plus(Duration::from_secs(60));
    backwards.expires = NOW.plus(Duration::from_secs(30));
    assert_eq!(refused(&backwards), "expires_before_created");
}

#[test]
fn the_rules_of_the_kind_hold_for_the_author_and_for_strangers() {
    assert_eq!(Signed::sign(&record(""), &alice()).unwrap_err().code(), "no_goods");
    assert_eq!(refused(&record("")), "no_goods");
    let mut elsewhere = record("digests");
    elsewhere.slot = "card".try_into().unwrap();
    assert_eq!(refused(&elsewhere), "wrong_slot");
}

#[test]
fn a_record_is_of_the_kind_it_says_and_was_signed_as() {
    let listing = signed_unchecked(&record("digests"), Kind::Listing);
    let as_card = Signed::<Notice>::from_bytes(listing).unwrap_err();
    assert_eq!(as_card, RecordError::WrongKind { expected: Kind::Card });
    // Says listing, but the signature was made for a card.
    let crossed = signed_unchecked(&record("digests"), Kind::Card);
    assert_eq!(answer(crossed, NOW).unwrap_err(), "bad_signature");
    // A kind from the future.
    let payload = cbor::to_vec(&serde_json::json!({"kind": "prophecy"})).unwrap();
    let unknown = cose::sign("prophecy", &payload, &alice());
    assert_eq!(kind_in(&unknown), Err(RecordError::UnknownKind));
    assert_eq!(answer(unknown, NOW).unwrap_err(), "unknown_kind");
}

#[test]
fn a_payload_that_is_not_canonical_is_refused_although_its_signature_is_good() {
    let canonical = cbor::to_vec(&record("digests")).unwrap();
    let value: ciborium::Value = cbor::read(&canonical).unwrap();
    let ciborium::Value::Map(mut entries) = value else { panic!("a record is a map") };
    entries.reverse();
    let mut reversed = Vec::new();
    ciborium::into_writer(&ciborium::Value::Map(entries.clone()), &mut reversed).unwrap();
    assert_eq!(answer(cose::sign("listing", &reversed, &alice()), NOW).unwrap_err(), "not_canonical");
    let trailing = [canonical.as_slice(), &[0]].concat();
    assert_eq!(answer(cose::sign("listing", &trailing, &alice()), NOW).unwrap_err(), "not_canonical");
    entries.push((ciborium::Value::from("mood"), ciborium::Value::from("good")));
    let more = cbor::to_vec(&ciborium::Value::Map(entries)).unwrap();
    assert_eq!(answer(cose::sign("listing", &more, &alice()), NOW).unwrap_err(), "unknown_fields");
}

#[test]
fn a_record_too_large_for_its_kind_is_refused_on_both_sides() {
    let large = record(&"x".repeat(3990));
    assert_eq!(Signed::sign(&large, &alice()).unwrap_err().code(), "too_large");
    assert_eq!(refused(&large), "too_large");
    let oversize = vec![0; MAX_RECORD_BYTES + 1];
    assert_eq!(kind_in(&oversize).unwrap_err().code(), "too_large");
}

#[test]
fn a_forged_copy_has_another_gossip_id_but_no_way_in() {
    let bytes = Signed::sign(&record("digests"), &alice()).unwrap().bytes().to_vec();
    let mut forged = bytes.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert_ne!(gossip_id(&forged), gossip_id(&bytes));
    assert_eq!(answer(forged, NOW).unwrap_err(), "bad_signature");
}

#[test]
fn a_record_is_recalled_by_its_id_and_by_no_other() {
    let signed = Signed::sign(&record("apples"), &alice()).unwrap();
    let again = |bytes: &[u8], id: &RecordId, now| {
        let recalled = Verified::<Stall>::recall(bytes.to_vec(), id, alice().did(), &devnet(), now);
        recalled.map(|verified| (verified.id(), verified.body().goods.to_string()))
    };
    let verified = signed.verify(&devnet(), NOW).unwrap();
    let (bytes, id) = (verified.bytes().to_vec(), verified.id());
    assert_eq!(again(&bytes, &id, NOW), Ok((id, "apples".to_owned())));
    let other = RecordId::from(crate::Hash::of(b"other"));
    assert_eq!(again(&bytes, &other, NOW).unwrap_err().code(), "bad_signature");
    assert_eq!(again(&bytes, &id, NOW.plus(WEEK + WEEK)).unwrap_err().code(), "expired");
    let mut damaged = bytes;
    let at = damaged.windows(6).position(|part| part == b"apples").unwrap();
    damaged[at] = b'A';
    assert_eq!(again(&damaged, &id, NOW).unwrap_err().code(), "bad_signature", "the content is not that of the id");
}
