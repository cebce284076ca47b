//! What a signed record costs over the raw libraries beneath it, measured in the same run.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use ed25519_dalek::{Signature, Signer, SigningKey};
use haggle_base::{
    AgentKey, Body, Hash, Kind, List, NetworkId, Record, RecordError, Signed, Text, Timestamp, Usdc, cbor, cose,
};
use serde::{Deserialize, Serialize};

/// About as large as a real listing: a signed record of about 1 KiB.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Stall {
    tags: List<Text<32>, 16>,
    price: Usdc,
    skill: Text<64>,
    title: Text<128>,
    schema: Hash,
    category: Text<32>,
    description: Text<2048>,
}

impl Body for Stall {
    const KIND: Kind = Kind::Listing;
    const MAX_BYTES: usize = 4096;
    const MAX_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

    fn check(&self) -> Result<(), RecordError> {
        Ok(())
    }
}

fn text<const N: usize>(text: &str) -> Text<N> {
    Text::try_from(text).expect("within its bound")
}

fn stall() -> Stall {
    let tags = ["text", "summary", "statistics", "blake3"].map(text).to_vec();
    Stall {
        tags: List::try_from(tags).expect("within its bound"),
        price: Usdc::from_units(20_000),
        skill: text("digest"),
        title: text("A digest of any document"),
        schema: Hash::of(b"schema"),
        category: text("documents"),
        description: text(&"Counts words, finds top terms and reading time. ".repeat(14)),
    }
}

fn records(c: &mut Criterion) {
    let now = Timestamp::from_secs(1_795_000_000);
    let network: NetworkId = "devnet-7/1".parse().expect("a network id");
    let key = AgentKey::from_bytes(&[7; 32]);
    let slot = text("listing/digest");
    let record = Record::new(network.clone(), slot, now, Duration::from_secs(3600), stall());
    let signed = Signed::sign(&record, &key).expect("a valid record");
    let bytes = signed.bytes().to_vec();
    let payload = cbor::to_vec(&record).expect("canonical");
    eprintln!("signed record: {} bytes, payload: {} bytes", bytes.len(), payload.len());

    let raw_key = SigningKey::from_bytes(&[7; 32]);
    let raw_signature: Signature = raw_key.sign(&payload);
    let public = raw_key.verifying_key();

    let mut sign = c.benchmark_group("sign");
    sign.bench_function("record", |b| b.iter(|| Signed::sign(black_box(&record), &key)));
    sign.bench_function("cose envelope", |b| b.iter(|| cose::sign("listing", black_box(&payload), &key)));
    sign.bench_function("raw ed25519-dalek", |b| b.iter(|| raw_key.sign(black_box(&payload))));
    sign.finish();

    let mut verify = c.benchmark_group("verify");
    verify.bench_function("record, from bytes to verified", |b| {
        b.iter(|| {
            let signed = Signed::<Stall>::from_bytes(black_box(&bytes).clone())?;
            signed.verify(&network, now)
        });
    });
    verify.bench_function("cose envelope", |b| b.iter(|| cose::verify("listing", black_box(&bytes), 4096)));
    verify.bench_function("raw ed25519-dalek verify_strict", |b| {
        b.iter(|| public.verify_strict(black_box(&payload), &raw_signature));
    });
    verify.finish();

    let mut decode = c.benchmark_group("decode");
    decode.bench_function("record, strict gate", |b| {
        b.iter(|| cbor::from_slice::<Record<Stall>>(black_box(&payload), 4096));
    });
    decode.bench_function("raw ciborium", |b| {
        b.iter(|| ciborium::from_reader::<Record<Stall>, _>(black_box(payload.as_slice())));
    });
    decode.bench_function("gate alone", |b| b.iter(|| cbor::check(black_box(&payload), 4096)));
    decode.finish();

    let mut encode = c.benchmark_group("encode");
    encode.bench_function("record, canonical", |b| b.iter(|| cbor::to_vec(black_box(&record))));
    encode.bench_function("raw ciborium", |b| {
        b.iter(|| {
            let mut into = Vec::with_capacity(256);
            ciborium::into_writer(black_box(&record), &mut into).map(|()| into)
        });
    });
    encode.finish();
}

criterion_group!(benches, records);
criterion_main!(benches);
