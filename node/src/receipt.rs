//! Receipts as files: what was bought and paid, in plain fields, over the signed bytes that prove them.
//!
//! A file is one JSON object: `kind`, the plain fields, and `proof`. The plain fields follow from the proof and are there
//! for people; a file that says anything else than its proof is refused, and so is one with a field more or less.

use haggle_base::{Coded, Side};
use haggle_trade::{OrderFacts, OrderProof};
use haggle_x402::{ChannelProof, ChannelProven, PaymentFacts, PaymentProof};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, DeserializeOwned, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use std::fmt;

/// `kind` of the receipt of an order.
pub const ORDER: &str = "haggle-order-receipt/1";
/// `kind` of the receipt of a payment over x402.
pub const PAYMENT: &str = "haggle-payment-receipt/1";
/// `kind` of the receipt of a prepaid channel.
pub const CHANNEL: &str = "haggle-channel-receipt/1";
/// Largest file read.
pub const MAX_BYTES: u64 = 64 * 1024;

/// One signature that was checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SignedBy {
    /// What was signed.
    pub what: &'static str,
    /// `buyer` or `seller`.
    pub role: &'static str,
    /// The DID or the address whose key signed it.
    pub by: String,
}

/// A receipt that holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Always true: what does not hold is an error.
    pub valid: bool,
    /// Which kind of receipt it is.
    pub kind: &'static str,
    /// Who signed what.
    pub signed: Vec<SignedBy>,
    /// The plain fields, each proved by a signature.
    pub facts: Map<String, Value>,
    /// What no file can prove.
    pub not_checked: String,
}

/// Why a file is no receipt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct ReceiptError {
    code: &'static str,
    hint: &'static str,
    detail: String,
}

impl ReceiptError {
    fn of(error: &dyn Coded) -> Self {
        Self { code: error.code(), hint: error.hint(), detail: error.to_string() }
    }

    fn malformed(detail: impl Into<String>) -> Self {
        let hint = "give a file that `haggle receipt order`, `payment` or `channel` wrote";
        Self { code: "receipt_malformed", hint, detail: detail.into() }
    }

    fn edited(detail: String) -> Self {
        let hint = "believe what is signed, not what the file says; ask for the receipt again";
        Self { code: "receipt_edited", hint, detail }
    }
}

impl Coded for ReceiptError {
    fn code(&self) -> &'static str {
        self.code
    }

    fn hint(&self) -> &'static str {
        self.hint
    }
}

/// The file of an order's receipt.
///
/// # Errors
/// The proof does not hold.
pub fn of_order(proof: &OrderProof) -> Result<Value, ReceiptError> {
    let facts = proof.check().map_err(|error| ReceiptError::of(&error))?;
    file(ORDER, &facts, proof)
}

/// The file of a payment's receipt.
///
/// # Errors
/// The proof does not hold.
pub fn of_payment(proof: &PaymentProof) -> Result<Value, ReceiptError> {
    let facts = proof.check().map_err(|error| ReceiptError::of(&error))?;
    file(PAYMENT, &facts, proof)
}

/// The file of a channel's receipt.
///
/// # Errors
/// The proof does not hold.
pub fn of_channel(proof: &ChannelProof) -> Result<Value, ReceiptError> {
    let facts = proof.check().map_err(|error| ReceiptError::of(&error))?;
    file(CHANNEL, &facts, proof)
}

/// Checks a file without asking anybody: signatures, hashes, amounts, and that its plain fields say what is signed.
///
/// # Errors
/// `receipt_malformed`, `receipt_forged`, `receipt_mismatch`, `receipt_edited`; the detail names what does not fit.
pub fn verify(text: &str) -> Result<Checked, ReceiptError> {
    let Plain(given) = serde_json::from_str(text)
        .map_err(|cause| ReceiptError::malformed(format!("the file is no receipt: {cause}")))?;
    match given.get("kind").and_then(Value::as_str) {
        Some(ORDER) => {
            let proof: OrderProof = proof_of(&given)?;
            let facts = proof.check().map_err(|error| ReceiptError::of(&error))?;
            compare(&given, &file(ORDER, &facts, &proof)?)?;
            Ok(checked(ORDER, order_signers(&facts), of_tx(&facts.tx.to_string()), fields(&facts)?))
        }
        Some(PAYMENT) => {
            let proof: PaymentProof = proof_of(&given)?;
            let facts = proof.check().map_err(|error| ReceiptError::of(&error))?;
            compare(&given, &file(PAYMENT, &facts, &proof)?)?;
            Ok(checked(PAYMENT, payment_signers(&facts), of_tx(&facts.transaction), fields(&facts)?))
        }
        Some(CHANNEL) => {
            let proof: ChannelProof = proof_of(&given)?;
            let facts = proof.check().map_err(|error| ReceiptError::of(&error))?;
            compare(&given, &file(CHANNEL, &facts, &proof)?)?;
            let channel = facts.channel;
            let not_checked = format!(
                "that channel {channel} held the money, and what became of it: only the chain knows. Both may have gone on \
                 trading after this receipt"
            );
            Ok(checked(CHANNEL, channel_signers(&facts, &proof), not_checked, fields(&facts)?))
        }
        Some(other) => Err(ReceiptError::malformed(format!("this version knows no receipt of kind {other:?}"))),
        None => Err(ReceiptError::malformed("the file has no kind")),
    }
}

const fn checked(kind: &'static str, signed: Vec<SignedBy>, not_checked: String, facts: Map<String, Value>) -> Checked {
    Checked { valid: true, kind, signed, facts, not_checked }
}

/// What cannot be checked of a receipt that names this transaction.
fn of_tx(tx: &str) -> String {
    match tx {
        "" => "that the money moved: the seller names no transaction, and only the chain knows".to_owned(),
        tx => format!("that transaction {tx} stands on the chain: only the chain knows"),
    }
}

fn order_signers(facts: &OrderFacts) -> Vec<SignedBy> {
    let (buyer, seller) = (facts.buyer.to_string(), facts.seller.to_string());
    let settled = match facts.settled_side() {
        Side::Buyer => ("buyer", buyer.clone()),
        Side::Provider => ("seller", seller.clone()),
    };
    vec![
        SignedBy { what: "terms", role: "buyer", by: buyer },
        SignedBy { what: "delivery", role: "seller", by: seller },
        SignedBy { what: "settlement", role: settled.0, by: settled.1 },
    ]
}

fn payment_signers(facts: &PaymentFacts) -> Vec<SignedBy> {
    vec![
        SignedBy { what: "transfer", role: "buyer", by: facts.payer.to_string() },
        SignedBy { what: "receipt", role: "seller", by: facts.pay_to.to_string() },
    ]
}

fn channel_signers(facts: &ChannelProven, proof: &ChannelProof) -> Vec<SignedBy> {
    vec![
        SignedBy { what: "voucher", role: "buyer", by: proof.channel.payer_authorizer.to_string() },
        SignedBy { what: "receipt", role: "seller", by: facts.pay_to.to_string() },
    ]
}

fn proof_of<T: DeserializeOwned>(given: &Map<String, Value>) -> Result<T, ReceiptError> {
    let proof = given.get("proof").ok_or_else(|| ReceiptError::malformed("the file has no proof"))?;
    T::deserialize(proof).map_err(|cause| ReceiptError::malformed(format!("the proof cannot be read: {cause}")))
}

fn fields(facts: &impl Serialize) -> Result<Map<String, Value>, ReceiptError> {
    match serde_json::to_value(facts) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) | Err(_) => Err(ReceiptError::malformed("the proof says what JSON cannot")),
    }
}

fn file(kind: &str, facts: &impl Serialize, proof: &impl Serialize) -> Result<Value, ReceiptError> {
    let mut file = fields(facts)?;
    file.insert("kind".to_owned(), kind.into());
    file.insert("proof".to_owned(), Value::Object(fields(proof)?));
    Ok(Value::Object(file))
}

/// A JSON object that says every field once: of a field that stands there twice, people would read one and programs the
/// other.
struct Plain(Map<String, Value>);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Plain;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Plain, A::Error> {
                let mut plain = Map::new();
                while let Some((name, Once(value))) = fields.next_entry::<String, Once>()? {
                    if plain.contains_key(&name) {
                        return Err(de::Error::custom(format_args!("{name} stands in it twice")));
                    }
                    plain.insert(name, value);
                }
                Ok(Plain(plain))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// A JSON value whose objects, at every depth, say every field once. Receipts hold no numbers below zero and no fractions.
struct Once(Value);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Once;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a whole number, a truth value, null, a list or an object")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Once, E> {
                Ok(Once(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Once, E> {
                Ok(Once(value.into()))
            }

            fn visit_str<E>(self, value: &str) -> Result<Once, E> {
                Ok(Once(value.into()))
            }

            fn visit_unit<E>(self) -> Result<Once, E> {
                Ok(Once(Value::Null))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Once, A::Error> {
                let mut list = Vec::new();
                while let Some(Once(item)) = items.next_element()? {
                    list.push(item);
                }
                Ok(Once(list.into()))
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<Once, A::Error> {
                let Plain(fields) = Plain::deserialize(MapAccessDeserializer::new(fields))?;
                Ok(Once(fields.into()))
            }
        }

        deserializer.deserialize_any(Any)
    }
}

/// Holds a file against the one that follows from its proof.
fn compare(given: &Map<String, Value>, signed: &Value) -> Result<(), ReceiptError> {
    for (name, value) in given {
        match signed.get(name) {
            None => return Err(ReceiptError::edited(format!("{name} is signed by nobody"))),
            Some(_) if name == "proof" && signed[name] != *value => {
                return Err(ReceiptError::edited("proof holds more than the signed parts".to_owned()));
            }
            Some(own) if own != value => {
                return Err(ReceiptError::edited(format!("{name} is {value} in the file, and {own} is signed")));
            }
            Some(_) => {}
        }
    }
    let missing = signed.as_object().into_iter().flatten().find(|(name, _)| !given.contains_key(*name));
    match missing {
        Some((name, _)) => Err(ReceiptError::edited(format!("{name} is missing from the file"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
