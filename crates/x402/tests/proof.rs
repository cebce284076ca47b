//! The proof of a payment holds alone: the payer's signature and the seller's receipt, checked without anybody else.
#![expect(clippy::unwrap_used, reason = "a test stops where its story does not hold")]

use std::time::Duration;

use haggle_base::{Address, B256, Coded, PaymentKey, Seed, Timestamp, TokenFacts, Usdc};
use haggle_x402::{
    ChainRef, ExactFacts, PaymentFlow, PaymentPayload, PaymentProof, PaymentProofError, Resource, SettleResponse,
    exact::{self, ExactAuthorization},
    extensions::offer_receipt,
};
use serde_json::{Value, json};

const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);
const URL: &str = "http://127.0.0.1:8402/x402/digest";
const TX: B256 = B256::repeat_byte(0x7a);

/// 0 is alice who pays, 1 is bob who is paid.
fn key(index: u32) -> PaymentKey {
    Seed::devnet(7, index).payment_key(0)
}

fn facts() -> ExactFacts {
    let token = TokenFacts {
        address: Address::repeat_byte(0x70),
        name: "USD Coin".to_owned(),
        version: "2".to_owned(),
        symbol: "USDC".to_owned(),
        decimals: 6,
    };
    ExactFacts::new(31_337, token)
}

fn payment() -> PaymentPayload {
    let price = Usdc::from_units(20_000);
    let entry =
        exact::requirement(&facts(), key(1).address(), price, Duration::from_secs(300), &PaymentFlow::Upfront).unwrap();
    let authorization = ExactAuthorization::paying(&entry, key(0).address(), NOW, B256::repeat_byte(0x11)).unwrap();
    let signature = key(0).sign_digest(&authorization.digest(&facts()).unwrap());
    exact::payload(entry, &Resource::new(URL), authorization, &signature, None).unwrap()
}

/// An answer whose receipt names `payer` and is signed by the key of `seller`.
fn answer(payer: u32, seller: u32, chain: u64) -> SettleResponse {
    let network = ChainRef::eip155(chain);
    let mut answer = SettleResponse::paid(network.clone(), TX, key(0).address(), Usdc::from_units(20_000));
    let receipt = offer_receipt::Receipt::new(&network, URL, key(payer).address(), NOW, TX);
    let signature = key(seller).sign_digest(&offer_receipt::Statement::digest(&receipt));
    offer_receipt::put_receipt(&mut answer, &offer_receipt::Signed::new(receipt, &signature)).unwrap();
    answer
}

fn proof() -> PaymentProof {
    PaymentProof::of(&payment(), &answer(0, 1, 31_337)).unwrap()
}

#[test]
fn it_says_who_paid_whom_how_much_and_for_what() {
    let facts = proof().check().unwrap();
    assert_eq!((facts.payer, facts.pay_to), (key(0).address(), key(1).address()));
    assert_eq!((facts.amount.to_string().as_str(), &*facts.resource), ("0.02", URL));
    assert_eq!((facts.nonce, &*facts.transaction), (B256::repeat_byte(0x11), TX.to_string().as_str()));
    assert_eq!(facts.issued_at, NOW.to_rfc3339());
}

#[test]
fn a_receipt_that_is_not_about_the_payment_is_refused() {
    let of = |answer| PaymentProof::of(&payment(), &answer).unwrap_err();
    assert_eq!(of(answer(2, 1, 31_337)), PaymentProofError::Mismatch { field: "payer" });
    assert_eq!(of(answer(0, 1, 8_453)), PaymentProofError::Mismatch { field: "network" });
    assert_eq!(of(answer(0, 2, 31_337)).code(), "receipt_forged", "the seller is who is paid");
    let bare = SettleResponse::paid(ChainRef::eip155(31_337), TX, key(0).address(), Usdc::from_units(20_000));
    assert_eq!(of(bare).code(), "no_receipt");
}

/// Every text and number of the proof, by its place.
fn leaves(value: &Value, place: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| leaves(value, &format!("{place}/{name}"), found));
        }
        _ => found.push(place.to_owned()),
    }
}

#[test]
fn no_field_of_the_proof_can_be_edited() {
    let whole = serde_json::to_value(proof()).unwrap();
    let mut places = Vec::new();
    leaves(&whole, "", &mut places);
    assert!(places.len() >= 19, "{places:?}");
    for place in places {
        let mut edited = whole.clone();
        let leaf = edited.pointer_mut(&place).unwrap();
        *leaf = match &*leaf {
            Value::Number(number) => json!(number.as_u64().unwrap() + 1),
            Value::String(text) => {
                // another digit near the end, so that what was hex stays hex
                let mut letters: Vec<char> = text.chars().collect();
                let last = letters.pop().unwrap();
                letters.push(if last == '1' { '2' } else { '1' });
                json!(letters.into_iter().collect::<String>())
            }
            other => panic!("{place}: {other}"),
        };
        let read = serde_json::from_value::<PaymentProof>(edited);
        assert!(read.map_or(true, |proof| proof.check().is_err()), "{place} was edited and nobody noticed");
    }
}

#[test]
fn what_nobody_signed_has_no_place_in_it() {
    let whole = serde_json::to_value(proof()).unwrap();
    let mut noted = whole.clone();
    noted["authorization"]["note"] = json!("a gift");
    assert!(serde_json::from_value::<PaymentProof>(noted).unwrap().check().is_err());
    let mut noted = whole.clone();
    noted["receipt"]["acceptIndex"] = json!(0);
    assert!(serde_json::from_value::<PaymentProof>(noted).unwrap().check().is_err());
    let mut noted = whole;
    noted["token"]["symbol"] = json!("USDC");
    assert!(serde_json::from_value::<PaymentProof>(noted).is_err());
}
