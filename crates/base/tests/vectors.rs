//! The golden vectors of `docs/protocols/vectors/`: what other languages must reproduce.
//!
//! The test compares the committed files with what this code makes. After a deliberate change of
//! a format run it once with `HAGGLE_WRITE_VECTORS=1` to write them anew; `verify.py` beside the
//! files then checks them with other libraries.

#![expect(clippy::unwrap_used, reason = "a test stops where its story does not hold")]

use std::path::PathBuf;
use std::time::Duration;

use haggle_base::eip712::{DidBinding, binding_domain, digest, escrow_domain};
use haggle_base::{
    Address, Attestation, AttestationKind, B256, Body, ClosedBy, Coded, Hash, Kind, NetworkId, OrderId, Parties,
    PaymentBinding, Pointer, PointerHost, Record, RecordError, RecordId, Seed, Side, Signed, Text, Timestamp, Usdc,
    cbor, gossip_id, pointer, terms_hash,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);
const CHAIN: u64 = 31_337;

fn network() -> NetworkId {
    "devnet-7/1".parse().unwrap()
}

/// Compares one file with `value`, or writes it when asked to.
fn golden(name: &str, value: &Value) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocols/vectors").join(name);
    let text = format!("{}\n", serde_json::to_string_pretty(value).unwrap());
    if std::env::var_os("HAGGLE_WRITE_VECTORS").is_some() {
        std::fs::write(&file, text).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&file).unwrap();
    assert_eq!(committed, text, "{name} differs; HAGGLE_WRITE_VECTORS=1 writes it anew");
}

#[test]
fn keys_grow_from_the_phrase_as_written_down() {
    let phrases = [
        "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about".to_owned(),
        Seed::devnet(7, 0).phrase().to_string(),
        Seed::devnet(7, 1).phrase().to_string(),
    ];
    let seeds = phrases.map(|phrase| {
        let seed = Seed::from_phrase(&phrase).unwrap();
        let node = seed.node_key();
        let agents = [0, 1].map(|index| {
            let key = seed.agent_key(index);
            json!({
                "path": format!("m/44'/8004'/1'/{index}'"),
                "secret": hex::encode(*key.secret_bytes()),
                "public": hex::encode(key.did().public_key()),
                "did": key.did(),
            })
        });
        let payments = [0, 1].map(|index| {
            let key = seed.payment_key(index);
            json!({
                "path": format!("m/44'/60'/0'/0/{index}"),
                "secret": hex::encode(*key.secret_bytes()),
                "address": key.address(),
            })
        });
        json!({
            "phrase": phrase,
            "devnet": seed.is_devnet(),
            "node": {
                "path": "m/44'/8004'/0'",
                "secret": hex::encode(*node.secret_bytes()),
                "public": hex::encode(node.peer_id().public_key()),
                "peer_id": node.peer_id(),
            },
            "agents": agents,
            "payments": payments,
        })
    });
    let about = "BIP-39 phrase (no passphrase) to SLIP-0010 ed25519 keys and BIP-32 secp256k1 keys. \
                 Devnet seed: entropy = 'haggle devnet only!' 00, network seed u64 BE, index u32 BE.";
    golden("keys.json", &json!({ "about": about, "seeds": seeds }));
}

#[test]
fn canonical_cbor_is_accepted_and_everything_else_refused_as_written_down() {
    let accept = [
        ("zero", "00"),
        ("largest one-byte integer", "17"),
        ("first two-byte integer", "1818"),
        ("largest integer", "1bffffffffffffffff"),
        ("smallest integer", "3bffffffffffffffff"),
        ("empty text", "60"),
        ("text", "6568656c6c6f"),
        ("bytes", "43010203"),
        ("empty list", "80"),
        ("list", "8301f6f5"),
        ("empty map", "a0"),
        ("map in order of encoded keys", "a361610262626203657a6562726101"),
        ("integer keys before text keys", "a40a041864032002616101"),
        ("nested", "a2616182a10102f4616263787979"),
    ];
    let refuse = [
        ("nothing", ""),
        ("cut inside an integer", "19ff"),
        ("cut inside a text", "6261"),
        ("text that is not UTF-8", "62c328"),
        ("integer not minimal", "1817"),
        ("length not minimal", "780161"),
        ("map length not minimal", "b801616101"),
        ("indefinite list", "9f01ff"),
        ("indefinite map", "bf616101ff"),
        ("indefinite text", "7f6161ff"),
        ("keys out of order", "a2616201616102"),
        ("longer key first", "a2626262016161 02"),
        ("duplicate key", "a2616101616102"),
        ("half float", "f93c00"),
        ("double float", "fb3ff0000000000000"),
        ("tag", "c11a514b67b0"),
        ("bignum", "c249010000000000000000"),
        ("undefined", "f7"),
        ("simple value", "f8ff"),
        ("trailing byte", "0000"),
        ("reserved head", "1c"),
    ];
    let accept = accept.map(|(name, bytes)| {
        cbor::check(&hex::decode(bytes).unwrap(), 1024).unwrap();
        json!({ "name": name, "hex": bytes })
    });
    let refuse = refuse.map(|(name, bytes)| {
        let bytes = bytes.replace(' ', "");
        let error = cbor::check(&hex::decode(&bytes).unwrap(), 1024).unwrap_err();
        json!({ "name": name, "hex": bytes, "code": error.code() })
    });
    let deep = "81".repeat(cbor::MAX_DEPTH) + "80";
    let error = cbor::check(&hex::decode(&deep).unwrap(), 1024).unwrap_err();
    let too_deep = json!({ "name": "nested 33 deep", "hex": deep, "code": error.code() });
    let refuse = Vec::from(refuse).into_iter().chain([too_deep]).collect::<Vec<_>>();
    let about = "RFC 8949 section 4.2.1 without floats, tags and simple values but false, true, null; \
                 at most 32 levels; no bytes after the value.";
    golden("cbor.json", &json!({ "about": about, "accept": accept, "refuse": refuse }));
}

/// A body whose kind is a parameter: 0 card, 1 listing, 2 tombstone.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Sample<const KIND: usize> {
    note: Text<64>,
    price: Usdc,
}

impl<const KIND: usize> Body for Sample<KIND> {
    const KIND: Kind = Kind::ALL[KIND];
    const MAX_BYTES: usize = 1024;
    const MAX_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

    fn check(&self) -> Result<(), RecordError> {
        Ok(())
    }
}

fn sample<const KIND: usize>(slot: &str) -> Value {
    let body = Sample::<KIND> { note: "grüezi".parse().unwrap(), price: "0.02".parse().unwrap() };
    row(&Record::new(network(), slot.parse().unwrap(), NOW, Duration::from_secs(3600), body))
}

fn row<B: Body>(record: &Record<B>) -> Value {
    let alice = Seed::devnet(7, 0).agent_key(0);
    let signed = Signed::sign(record, &alice).unwrap();
    let bytes = signed.bytes().to_vec();
    let verified = signed.verify(&network(), NOW).unwrap();
    json!({
        "kind": B::KIND,
        "aad": format!("haggle/{}/v1", B::KIND),
        "author": verified.author(),
        "seq": record.seq,
        "slot": record.slot,
        "id": verified.id(),
        "gossip_id": hex::encode(gossip_id(&bytes)),
        "payload": hex::encode(cbor::to_vec(record).unwrap()),
        "hex": hex::encode(bytes),
    })
}

fn pointed(body: Pointer) -> Value {
    let shown = json!(body);
    let record = Record::new(network(), pointer::POINTER_SLOT.parse().unwrap(), NOW, pointer::POINTER_TTL, body);
    let key = pointer::key(&network(), &Seed::devnet(7, 0).agent_key(0).did());
    let mut row = row(&record);
    let extra = json!({ "dht_key": key, "body": shown });
    row.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    row
}

fn parties() -> Parties {
    let (alice, bob) = (Seed::devnet(7, 0), Seed::devnet(7, 1));
    Parties {
        buyer: alice.agent_key(0).did(),
        provider: bob.agent_key(0).did(),
        buyer_address: alice.payment_key(0).address(),
        provider_address: bob.payment_key(0).address(),
    }
}

fn attestation() -> Attestation {
    let (alice, bob) = (Seed::devnet(7, 0).payment_key(0), Seed::devnet(7, 1).payment_key(0));
    let order = OrderId::new(B256::repeat_byte(0x77));
    Attestation {
        fee: "0.0005".parse().unwrap(),
        paid: "0.02".parse().unwrap(),
        side: Side::Buyer,
        buyer: parties().buyer,
        order,
        amount: "0.02".parse().unwrap(),
        escrow: Address::repeat_byte(0xee),
        rating: None,
        chain_id: CHAIN,
        parties: parties().to_bytes().unwrap().try_into().unwrap(),
        subject: parties().provider,
        provider: parties().provider,
        closed_by: ClosedBy::Release,
        signature: alice.sign_digest(&B256::ZERO),
        capability: "digest".parse().unwrap(),
        latency_ms: 120,
        terms_rest: Hash::of(b"the rest of the terms"),
        attestation: AttestationKind::Receipt,
        request_hash: Hash::of(b"input"),
        response_hash: Some(Hash::of(b"output")),
        provider_consent: Some(bob.sign_digest(order.as_b256())),
    }
    .signed(&alice)
}

#[test]
fn records_have_the_bytes_and_ids_written_down() {
    let body = attestation();
    let attested = Record::new(network(), body.slot(), NOW, Attestation::MAX_TTL, body);
    let host = PointerHost {
        peer: Seed::devnet(7, 0).node_key().peer_id(),
        addrs: vec!["/ip4/127.0.0.1/udp/4404/quic-v1".parse().unwrap()].try_into().unwrap(),
    };
    let here = Pointer {
        card: Some(RecordId::from(Hash::of(b"a card"))),
        hosts: vec![host].try_into().unwrap(),
        mailboxes: vec![Seed::devnet(7, 1).node_key().peer_id()].try_into().unwrap(),
    };
    let records = [
        sample::<0>("card"),
        sample::<1>("listing/digest"),
        sample::<2>("listing/digest"),
        row(&attested),
        pointed(here),
        pointed(Pointer::withdrawn()),
    ];
    let about = "Untagged COSE_Sign1 by the agent key 0 of devnet seed (7, 0). id = blake3-256 of the \
                 Sig_structure, gossip_id = first 20 bytes of blake3-256 of all bytes. The bodies of the first three \
                 are samples {note, price}; the others are real. dht_key = where the author's pointer lies in the DHT.";
    golden("records.json", &json!({ "about": about, "network": network(), "records": records }));
}

#[test]
fn bindings_receipts_and_terms_have_the_digests_written_down() {
    let alice = Seed::devnet(7, 0);
    let did = alice.agent_key(0).did();
    let binding = PaymentBinding::make(&alice.payment_key(0), &network(), &did, CHAIN, NOW);
    let statement = DidBinding { network: network().to_string(), did: did.to_string(), expires: NOW.to_u40() };
    let receipt = attestation();
    let rest = b"the rest of the terms";
    let value = json!({
        "about": "EIP-712 statements by payment keys, and the two-part hash of the terms.",
        "did_binding": {
            "type": "DidBinding(string network,string did,uint40 expires)",
            "domain": { "name": "haggle", "version": "1", "chainId": CHAIN },
            "separator": binding_domain(CHAIN).separator(),
            "network": statement.network,
            "did": statement.did,
            "expires": NOW.as_secs(),
            "digest": digest(&statement, &binding_domain(CHAIN)),
            "address": binding.address,
            "signature": binding.signature,
        },
        "settled_receipt": {
            "type": "SettledReceipt(bytes32 orderId,uint8 kind,uint8 side,string subject,string buyer,\
                     string provider,bytes32 partiesHash,bytes32 termsRest,string capability,uint256 amount,\
                     uint256 fee,uint8 closedBy,uint256 paid,uint32 latencyMs,bytes32 requestHash,\
                     bytes32 responseHash,uint8 rating)",
            "domain": {
                "name": "haggle Escrow",
                "version": "1",
                "chainId": CHAIN,
                "verifyingContract": receipt.escrow,
            },
            "separator": escrow_domain(CHAIN, receipt.escrow).separator(),
            "digest": receipt.digest(),
            "address": parties().buyer_address,
            "attestation": receipt,
        },
        "terms": {
            "parties": receipt.parties,
            "rest": hex::encode(rest),
            "hash": terms_hash(&receipt.parties, rest),
        },
    });
    golden("statements.json", &value);
}
