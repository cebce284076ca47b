//! A receipt's file says what is signed, and nothing else.

use super::*;
use alloy_primitives::{Address, B256};
use haggle_base::{PaymentKey, Seed, Timestamp, TokenFacts, Usdc};
use haggle_x402::exact::{self, ExactAuthorization};
use haggle_x402::extensions::offer_receipt::{self, Receipt, Signed};
use haggle_x402::{ChainRef, ExactFacts, PaymentFlow, Resource, SettleResponse};
use serde_json::json;
use std::time::Duration;

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
    let (facts, now, price) =
        (ExactFacts::new(31_337, token), Timestamp::from_secs(1_795_000_000), Usdc::from_units(20_000));
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
fn every_plain_field_that_says_something_else_is_named() {
    let whole = payment();
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
