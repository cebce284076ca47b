//! A receipt's file says what is signed, and nothing else.

use super::*;
use alloy_primitives::{Address, B256};
use haggle_base::eip712::channel::{ChannelConfig, channel_domain, channel_id, voucher_digest};
use haggle_base::{PaymentKey, Seed, Timestamp, TokenFacts, Usdc};
use haggle_x402::batch::receipt::Said;
use haggle_x402::exact::{self, ExactAuthorization};
use haggle_x402::extensions::offer_receipt::{self, Receipt, Signed};
use haggle_x402::{ChainRef, ChannelFacts, ChannelReceipt, ExactFacts, PaymentFlow, Resource, SettleResponse};
use serde_json::json;
use std::time::Duration;

const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);

fn key(index: u32) -> PaymentKey {
    Seed::devnet(7, index).payment_key(0)
}

/// The receipt of a payment of two cents.
fn payment() -> Value {
    let token = TokenFacts {
        address: Address::repeat_byte(0x70),
        name: "USD Coin".to_owned(),
        version: "2".to_owned(),
        symbol: "USDC".to_owned(),
        decimals: 6,
    };
    let (facts, now, price) = (ExactFacts::new(31_337, token), NOW, Usdc::from_units(20_000));
    let (alice, bob) = (key(0), key(1));
    let entry =
        exact::requirement(&facts, bob.address(), price, Duration::from_secs(300), &PaymentFlow::Upfront).unwrap();
    let transfer = ExactAuthorization::paying(&entry, alice.address(), now, B256::repeat_byte(0x11)).unwrap();
    let signature = alice.sign_digest(&transfer.digest(&facts).unwrap());
    let payload = exact::payload(entry, &Resource::new("http://bob/x402/digest"), transfer, &signature, None).unwrap();
    let (network, tx) = (ChainRef::eip155(31_337), B256::repeat_byte(0x7a));
    let mut answer = SettleResponse::paid(network.clone(), tx, alice.address(), price);
    let receipt = Receipt::new(&network, "http://bob/x402/digest", alice.address(), now, tx);
    let signature = bob.sign_digest(&offer_receipt::Statement::digest(&receipt));
    offer_receipt::put_receipt(&mut answer, &Signed::new(receipt, &signature)).unwrap();
    of_payment(&PaymentProof::of(&payload, &answer).unwrap()).unwrap()
}

/// The receipt of a channel on which two cents were charged, and one was claimed.
fn channel() -> Value {
    of_channel(&channel_of(key(0).address(), Usdc::from_units(10_000))).unwrap()
}

/// The same of a channel in this payer's name, of which so much was claimed.
fn channel_of(payer: Address, claimed: Usdc) -> ChannelProof {
    let (alice, bob, contract) = (key(0), key(1), Address::repeat_byte(0xcc));
    let config = ChannelConfig {
        payer,
        payerAuthorizer: alice.address(),
        receiver: bob.address(),
        receiverAuthorizer: key(2).address(),
        token: Address::repeat_byte(0x70),
        withdrawDelay: alloy_primitives::aliases::U40::from(86_400),
        salt: B256::repeat_byte(0x5a),
    };
    let token = TokenFacts {
        address: config.token,
        name: "USD Coin".to_owned(),
        version: "2".to_owned(),
        symbol: "USDC".to_owned(),
        decimals: 6,
    };
    let facts = ChannelFacts::new(31_337, contract, Address::repeat_byte(0xc0), token);
    let domain = channel_domain(31_337, contract);
    let id = channel_id(&config, &domain);
    let charged = Usdc::from_units(20_000);
    let seller = "did:key:z6MkuzcHtEw8cJ5CYEvL7ESWhSw5x38TidzBFf7X8SL5mtq2".parse().unwrap();
    let said = Said { seller, charged, claimed, issued_at: NOW.as_secs() };
    let receipt = ChannelReceipt::sign(&facts, &id, &said, |digest| Ok::<_, ()>(bob.sign_digest(digest))).unwrap();
    let voucher = alice.sign_digest(&voucher_digest(&id, 20_000, &domain));
    ChannelProof { chain_id: 31_337, contract, channel: (&config).into(), voucher, receipt }
}

fn complaint(file: &Value) -> (&'static str, String) {
    let error = verify(&file.to_string()).unwrap_err();
    (error.code(), error.to_string())
}

#[test]
fn a_receipt_says_who_signed_what_and_what_only_the_chain_knows() {
    let checked = verify(&payment().to_string()).unwrap();
    assert_eq!(checked.facts["amount"], "0.02");
    let signed: Vec<_> = checked.signed.iter().map(|one| (one.what, one.role, one.by.clone())).collect();
    let addresses = (key(0).address().to_string(), key(1).address().to_string());
    assert_eq!(signed, [("transfer", "buyer", addresses.0), ("receipt", "seller", addresses.1)]);
    assert!(checked.not_checked.contains(&B256::repeat_byte(0x7a).to_string()), "{}", checked.not_checked);
}

#[test]
fn a_receipt_of_a_channel_says_what_both_sides_signed() {
    let file = channel();
    let checked = verify(&file.to_string()).unwrap();
    assert_eq!((&checked.facts["charged"], &checked.facts["claimed"]), (&json!("0.02"), &json!("0.01")));
    let signed: Vec<_> = checked.signed.iter().map(|one| (one.what, one.role, one.by.clone())).collect();
    let addresses = (key(0).address().to_string(), key(1).address().to_string());
    assert_eq!(signed, [("voucher", "buyer", addresses.0), ("receipt", "seller", addresses.1)]);
    assert!(checked.not_checked.contains(checked.facts["channel"].as_str().unwrap()), "{}", checked.not_checked);

    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/protocols/vectors/channel-receipt.json");
    let secret = |index| format!("0x{}", alloy_primitives::hex::encode(*key(index).secret_bytes()));
    let vector = json!({
        "about": "The file of a channel's receipt (docs/protocols/receipts.md), and the keys that signed it.",
        "payer_secret": secret(0),
        "receiver_secret": secret(1),
        "file": file,
    });
    let text = format!("{}\n", serde_json::to_string_pretty(&vector).unwrap());
    if std::env::var_os("HAGGLE_WRITE_VECTORS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), text, "HAGGLE_WRITE_VECTORS=1 writes it anew");
}

#[test]
fn every_part_of_a_channels_proof_is_signed() {
    let whole = channel();
    let forged = |path: &str, value: Value| {
        let mut edited = whole.clone();
        *edited["proof"].pointer_mut(path).unwrap() = value;
        complaint(&edited).0
    };
    assert_eq!(forged("/chain_id", json!(1)), "receipt_forged");
    assert_eq!(forged("/contract", json!(Address::repeat_byte(1))), "receipt_forged");
    for field in ["receiver", "receiver_authorizer", "token"] {
        assert_eq!(forged(&format!("/channel/{field}"), json!(key(3).address())), "receipt_forged", "{field}");
    }
    for field in ["payer", "payer_authorizer"] {
        assert_eq!(forged(&format!("/channel/{field}"), json!(key(3).address())), "receipt_mismatch", "{field}");
    }
    assert_eq!(forged("/channel/withdraw_delay", json!(1)), "receipt_forged");
    assert_eq!(forged("/channel/withdraw_delay", json!(u64::MAX)), "receipt_malformed");
    assert_eq!(forged("/channel/salt", json!(B256::ZERO)), "receipt_forged");
    for (field, value) in [
        ("charged", json!("10001")),
        ("claimed", json!("1")),
        ("issuedAt", json!(u64::MAX)),
        ("seller", json!("did:key:z6MkrGMbwC6JV9Rp1q3DRKYJe3nu7JZj8ZpyZ8HZDeTR4Tdc")),
        ("signature", whole["proof"]["voucher"].clone()),
    ] {
        assert_eq!(forged(&format!("/receipt/{field}"), value), "receipt_forged", "{field}");
    }
    assert_eq!(forged("/voucher", whole["proof"]["receipt"]["signature"].clone()), "receipt_forged");
    assert_eq!(forged("/receipt/charged", json!("18446744073709551616")), "receipt_malformed");
    assert_eq!(forged("/receipt/seller", json!("the good shop")), "receipt_malformed");
    let twice = whole.to_string().replacen("\"charged\":\"20000\"", "\"charged\":\"9\",\"charged\":\"20000\"", 1);
    assert_ne!(twice, whole.to_string());
    assert!(verify(&twice).unwrap_err().to_string().contains("charged stands in it twice"));
    let deep = format!("{{\"kind\":\"{CHANNEL}\",\"proof\":{}", "[".repeat(60_000));
    assert_eq!(verify(&deep).unwrap_err().code(), "receipt_malformed", "however deep it is");
}

#[test]
fn nobody_is_named_as_payer_who_signed_nothing_and_no_more_is_claimed_than_charged() {
    let code = |proof: &ChannelProof| of_channel(proof).unwrap_err().code();
    assert_eq!(code(&channel_of(key(5).address(), Usdc::ZERO)), "receipt_mismatch");
    assert_eq!(code(&channel_of(key(0).address(), Usdc::from_units(20_001))), "receipt_mismatch");
}

#[test]
fn every_plain_field_that_says_something_else_is_named() {
    for whole in [payment(), channel()] {
        each_plain_field_is_held_against_the_proof(&whole);
    }
}

fn each_plain_field_is_held_against_the_proof(whole: &Value) {
    let plain: Vec<String> =
        whole.as_object().unwrap().keys().filter(|name| *name != "proof" && *name != "kind").cloned().collect();
    assert!(plain.len() >= 9, "{plain:?}");
    for name in plain {
        let mut edited = whole.clone();
        edited[&name] = json!("0.03");
        let (code, detail) = complaint(&edited);
        assert_eq!(code, "receipt_edited", "{name}: {detail}");
        assert!(detail.starts_with(&format!("{name} is ")), "{detail}");
        let mut shorter = whole.clone();
        shorter.as_object_mut().unwrap().remove(&name);
        assert_eq!(complaint(&shorter), ("receipt_edited", format!("{name} is missing from the file")));
    }
}

#[test]
fn what_nobody_signed_has_no_place_in_a_receipt() {
    let mut noted = payment();
    noted["bonus"] = json!("100");
    assert_eq!(complaint(&noted), ("receipt_edited", "bonus is signed by nobody".to_owned()));
    let mut noted = payment();
    noted["proof"]["receipt"]["remark"] = json!("100");
    assert_eq!(complaint(&noted).0, "receipt_edited");
    let twice = payment().to_string().replacen('{', "{\"amount\":\"9\",", 1);
    let error = verify(&twice).unwrap_err();
    assert_eq!(error.code(), "receipt_malformed", "{error}");
    assert!(error.to_string().contains("amount stands in it twice"), "{error}");
}

#[test]
fn a_file_of_another_kind_is_no_receipt() {
    let mut other = payment();
    other["kind"] = json!(ORDER);
    assert_eq!(complaint(&other).0, "receipt_malformed");
    other["kind"] = json!("haggle-order-receipt/2");
    assert_eq!(complaint(&other).0, "receipt_malformed");
    for text in ["", "[]", "{}", "{\"kind\":1}"] {
        assert_eq!(verify(text).unwrap_err().code(), "receipt_malformed", "{text}");
    }
}
