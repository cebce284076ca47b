//! The bodies of cards, listings and tombstones as they are written down, with the shards that they lie in, and bodies that
//! every reader refuses.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use haggle_base::record::{Kind, RecordError, gossip_id};
use haggle_base::{
    AgentKey, Body, Coded, List, NetworkId, PaymentBinding, Record, Seed, Signed, Text, Timestamp, Usdc,
};
use haggle_catalog::{AnyRecord, CardBody, EscrowTerms, Host, ListingBody, PricingModel, Sla, TombstoneBody, shard_of};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);
const CHAIN: u64 = 31_337;
const SHARDS: u16 = 64;

/// A listing that is signed whatever it says: its author breaks the rules of its kind.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
struct Careless(ListingBody);

impl Body for Careless {
    const KIND: Kind = Kind::Listing;
    const MAX_BYTES: usize = ListingBody::MAX_BYTES;
    const MAX_TTL: Duration = ListingBody::MAX_TTL;

    fn check(&self) -> Result<(), RecordError> {
        Ok(())
    }
}

fn network() -> NetworkId {
    "devnet-7/1".parse().unwrap()
}

fn author() -> AgentKey {
    Seed::devnet(7, 0).agent_key(0)
}

fn text<const N: usize>(words: &str) -> Text<N> {
    words.try_into().unwrap()
}

fn labels<const N: usize, const M: usize>(words: &[&str]) -> List<Text<N>, M> {
    words.iter().map(|word| text(word)).collect::<Vec<_>>().try_into().unwrap()
}

fn listing() -> ListingBody {
    ListingBody {
        sla: Sla { deliver_within_secs: 60 },
        tags: labels(&["text", "fast"]),
        price: Usdc::from_units(20_000),
        skill: text("digest"),
        title: text("Digest of a text"),
        escrow: Some(EscrowTerms { review_secs: 3_600 }),
        pricing: PricingModel::PerCall,
        regions: labels(&["eu"]),
        schemes: labels(&["haggle-escrow", "exact"]),
        category: text("text"),
        description: text("Counts words, and says which of them come most often: für jeden Text."),
        input_schema: Some(text(r#"{"type":"object"}"#)),
        output_schema: None,
    }
}

fn signed<B: Body>(slot: &str, ttl: Duration, body: B) -> Vec<u8> {
    let record = Record::new(network(), text(slot), NOW, ttl, body);
    Signed::sign(&record, &author()).unwrap().bytes().to_vec()
}

fn row<B: Body>(slot: &str, shard_key: &[u8], body: &B) -> Value {
    let bytes = signed(slot, B::MAX_TTL, body.clone());
    let opened = AnyRecord::open(bytes.clone(), &network(), NOW).unwrap();
    let shard = shard_of(shard_key, SHARDS);
    assert_eq!(opened.entry(SHARDS).shard, shard);
    json!({
        "kind": B::KIND.as_str(), "slot": slot, "hex": hex(&bytes), "id": opened.id(), "gossip_id": hex(&gossip_id(&bytes)),
        "body": body, "shard_key": hex(shard_key), "shard": shard,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a reader says of a listing with this change.
fn refused(what: &str, change: impl FnOnce(&mut ListingBody)) -> Value {
    let mut body = listing();
    change(&mut body);
    let bytes = signed("listing/digest", ListingBody::MAX_TTL, Careless(body));
    let error = AnyRecord::open(bytes.clone(), &network(), NOW).unwrap_err();
    json!({"what": what, "hex": hex(&bytes), "code": error.code()})
}

#[test]
fn cards_listings_and_tombstones_have_the_bodies_written_down() {
    let did = author().did();
    let card = CardBody {
        name: text("digest"),
        hosts: vec![Host {
            peer: Seed::devnet(7, 0).node_key().peer_id(),
            addrs: labels(&["/ip4/192.0.2.7/udp/4404/quic-v1", "/dns4/node.example/tcp/4404"]),
        }]
        .try_into()
        .unwrap(),
        binding: Some(PaymentBinding::make(
            &Seed::devnet(7, 0).payment_key(0),
            &network(),
            &did,
            CHAIN,
            NOW.plus(Duration::from_secs(30 * 24 * 3_600)),
        )),
        agent_card: text(r#"{"name":"digest","version":"1.0.0"}"#),
    };
    let bare = CardBody { binding: None, ..card.clone() };
    let free = ListingBody {
        price: Usdc::ZERO,
        escrow: None,
        schemes: List::default(),
        regions: List::default(),
        tags: List::default(),
        pricing: PricingModel::PerUnit { unit: text("page") },
        input_schema: None,
        ..listing()
    };
    let rented = ListingBody {
        pricing: PricingModel::Subscription { period_secs: 86_400 },
        output_schema: Some(text(&format!(r#"{{"$ref":"haggle-blob:{}/17"}}"#, "ab".repeat(32)))),
        category: text("custom:weather"),
        ..listing()
    };
    let outcome = ListingBody { pricing: PricingModel::Outcome, ..listing() };
    let withdrawn = TombstoneBody { category: text("text") };
    let key = did.public_key();
    let records = [
        row("card", key, &card),
        row("card", key, &bare),
        row("listing/digest", b"text", &listing()),
        row("listing/digest", b"text", &free),
        row("listing/weather", b"custom:weather", &rented),
        row("listing/digest", b"text", &outcome),
        row("listing/digest", b"text", &withdrawn),
    ];
    let refusals = [
        refused("a title of blanks", |body| body.title = text("  ")),
        refused("a category in capitals", |body| body.category = text("Text")),
        refused("a tag twice", |body| body.tags = labels(&["fast", "fast"])),
        refused("a region with a blank", |body| body.regions = labels(&["e u"])),
        refused("a schema that is a list", |body| body.input_schema = Some(text("[]"))),
        refused("no time to deliver", |body| body.sla = Sla { deliver_within_secs: 0 }),
        refused("more than 30 days to deliver", |body| body.sla = Sla { deliver_within_secs: 30 * 86_400 + 1 }),
        refused("a subscription without a length", |body| body.pricing = PricingModel::Subscription { period_secs: 0 }),
        refused("a review of less than an hour", |body| body.escrow = Some(EscrowTerms { review_secs: 3_599 })),
        refused("a scheme twice", |body| body.schemes = labels(&["exact", "exact"])),
        refused("a price and no scheme", |body| body.schemes = List::default()),
    ];
    let shards: Vec<Value> = ["text", "data-processing", "custom:weather", "für"]
        .into_iter()
        .flat_map(|category| [1, 4, 64, 256].map(|shards| (category, shards)))
        .map(|(category, shards)| {
            json!({"category": category, "shards": shards, "shard": shard_of(category.as_bytes(), shards)})
        })
        .collect();
    let about = "Records by the agent key 0 of devnet seed (7, 0), made at `now`, of a network with 64 shards. `body` is for \
                 people: amounts there are in USDC, times and bytes as text. What `refused` has is signed and canonical, and \
                 refused for its body by every reader.";
    golden(&json!({
        "about": about, "network": network(), "author": did, "now": NOW.as_millis(), "records": records,
        "refused": refusals, "shards": shards,
    }));
}

/// Compares the file with `value`, or writes it when asked to.
fn golden(value: &Value) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocols/vectors/catalog.json");
    let text = format!("{}\n", serde_json::to_string_pretty(value).unwrap());
    if std::env::var_os("HAGGLE_WRITE_VECTORS").is_some() {
        std::fs::write(&file, text).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&file).unwrap();
    assert_eq!(committed, text, "catalog.json differs; HAGGLE_WRITE_VECTORS=1 writes it anew");
}
