//! `offer-receipt`: what a seller asks and what it was paid, signed so that anybody can check it without a network.
//!
//! Only the EIP-712 form is made and checked. The signer has to be the address that is paid: it is the simplest authority
//! the extension names, and the only one that needs no look-up.

use alloy_primitives::{Address, B256, Bytes, U256};
use haggle_base::{EvmSignature, Timestamp, eip712};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{DIALECT, info, set};
use crate::{ChainRef, PaymentRequired, PaymentRequirements, SettleResponse, X402Error};

/// The extension's key.
pub const KEY: &str = "offer-receipt";
/// The version of both statements.
const VERSION: u64 = 1;
/// Most offers read from one answer.
const MAX_OFFERS: usize = 64;

/// A seller's offer: it holds to one entry of `accepts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Offer {
    /// Always 1.
    pub version: u64,
    /// What is sold.
    pub resource_url: Box<str>,
    /// How money moves.
    pub scheme: Box<str>,
    /// The chain, by its CAIP-2 name.
    pub network: Box<str>,
    /// The token.
    pub asset: Box<str>,
    /// Who is paid.
    pub pay_to: Box<str>,
    /// The price in base units.
    pub amount: Box<str>,
    /// Unix seconds; absent or 0 for no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<u64>,
}

/// A seller's receipt: it was paid for what it delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// Always 1.
    pub version: u64,
    /// The chain, by its CAIP-2 name.
    pub network: Box<str>,
    /// What was sold.
    pub resource_url: Box<str>,
    /// Who paid.
    pub payer: Box<str>,
    /// Unix seconds.
    pub issued_at: u64,
    /// The transaction that paid, or empty.
    #[serde(default)]
    pub transaction: Box<str>,
}

/// A signed statement as it travels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Signed<T> {
    /// `eip712`; any other word is not checked here.
    pub format: Box<str>,
    /// What is said.
    pub payload: T,
    /// 65 bytes over the statement.
    pub signature: Bytes,
    /// Which entry of `accepts` an offer is about. Only a convenience: it is not signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_index: Option<usize>,
}

/// A statement of this extension.
pub trait Statement {
    /// What the seller's key signs.
    fn digest(&self) -> B256;
    /// The version the statement says it has.
    fn version(&self) -> u64;
    /// The field that carries it, for errors.
    const FIELD: &'static str;
}

impl Statement for Offer {
    const FIELD: &'static str = "offer";

    fn digest(&self) -> B256 {
        let offer = eip712::statement::Offer {
            version: U256::from(self.version),
            resourceUrl: self.resource_url.to_string(),
            scheme: self.scheme.to_string(),
            network: self.network.to_string(),
            asset: self.asset.to_string(),
            payTo: self.pay_to.to_string(),
            amount: self.amount.to_string(),
            validUntil: U256::from(self.valid_until.unwrap_or_default()),
        };
        eip712::digest(&offer, eip712::statement::offer_domain())
    }

    fn version(&self) -> u64 {
        self.version
    }
}

impl Statement for Receipt {
    const FIELD: &'static str = "receipt";

    fn digest(&self) -> B256 {
        let receipt = eip712::statement::Receipt {
            version: U256::from(self.version),
            network: self.network.to_string(),
            resourceUrl: self.resource_url.to_string(),
            payer: self.payer.to_string(),
            issuedAt: U256::from(self.issued_at),
            transaction: self.transaction.to_string(),
        };
        eip712::digest(&receipt, eip712::statement::receipt_domain())
    }

    fn version(&self) -> u64 {
        self.version
    }
}

impl Offer {
    /// The offer that an entry of `accepts` makes for a resource.
    #[must_use]
    pub fn of(entry: &PaymentRequirements, resource: &str, valid_until: Option<Timestamp>) -> Self {
        Self {
            version: VERSION,
            resource_url: resource.into(),
            scheme: entry.scheme.as_str().into(),
            network: entry.network.to_string().into(),
            asset: entry.asset.clone(),
            pay_to: entry.pay_to.clone(),
            amount: entry.amount.as_str().into(),
            valid_until: valid_until.map(Timestamp::as_secs),
        }
    }

    /// Whether it offers what an entry asks.
    #[must_use]
    pub fn is_about(&self, entry: &PaymentRequirements, resource: &str) -> bool {
        let rest = Self { valid_until: None, ..self.clone() };
        rest == Self::of(entry, resource, None)
    }
}

impl Receipt {
    /// The receipt of a payment. `issued` is when the payment was seen on the chain.
    #[must_use]
    pub fn new(network: &ChainRef, resource: &str, payer: Address, issued: Timestamp, transaction: B256) -> Self {
        Self {
            version: VERSION,
            network: network.to_string().into(),
            resource_url: resource.into(),
            payer: payer.to_string().into(),
            issued_at: issued.as_secs(),
            transaction: transaction.to_string().into(),
        }
    }
}

impl<T: Statement> Signed<T> {
    /// A statement with the seller's signature over [`Statement::digest`].
    #[must_use]
    pub fn new(payload: T, signature: &EvmSignature) -> Self {
        let signature = Bytes::copy_from_slice(signature.as_bytes());
        Self { format: "eip712".into(), payload, signature, accept_index: None }
    }

    /// Who signed it.
    ///
    /// # Errors
    /// [`X402Error::Mismatch`] for another format or version, [`X402Error::BadSignature`].
    pub fn signer(&self) -> Result<Address, X402Error> {
        if &*self.format != "eip712" {
            return Err(X402Error::Mismatch { field: "format" });
        }
        if self.payload.version() != VERSION {
            return Err(X402Error::Mismatch { field: "version" });
        }
        let bad = X402Error::BadSignature { field: T::FIELD, by: "the address that is paid" };
        haggle_base::secp::recover(&self.payload.digest(), &self.signature).map(|(signer, _)| signer).map_err(|_| bad)
    }

    /// Checks that the address that is paid signed it.
    ///
    /// # Errors
    /// As for [`Self::signer`].
    pub fn check(&self, pay_to: Address) -> Result<(), X402Error> {
        if self.signer()? == pay_to {
            Ok(())
        } else {
            Err(X402Error::BadSignature { field: T::FIELD, by: "the address that is paid" })
        }
    }
}

/// Puts signed offers into a 402 answer.
///
/// # Errors
/// [`X402Error::Malformed`] never happens with statements of this module.
pub fn put_offers(asked: &mut PaymentRequired, offers: &[Signed<Offer>]) -> Result<(), X402Error> {
    let fields = ["version", "resourceUrl", "scheme", "network", "asset", "payTo", "amount"];
    let info = json!({ "offers": serde_json::to_value(offers)? });
    set(&mut asked.rest, KEY, info, Some(schema("offers", &fields, "validUntil", true)));
    Ok(())
}

/// The signed offers of a 402 answer that are of the form read here; others are passed over.
#[must_use]
pub fn offers(asked: &PaymentRequired) -> Vec<Signed<Offer>> {
    let list = info(&asked.rest, KEY).and_then(|info| info.get("offers")?.as_array());
    list.into_iter().flatten().take(MAX_OFFERS).filter_map(|one| serde_json::from_value(one.clone()).ok()).collect()
}

/// Puts a signed receipt into a settlement.
///
/// # Errors
/// [`X402Error::Malformed`] never happens with statements of this module.
pub fn put_receipt(answer: &mut SettleResponse, receipt: &Signed<Receipt>) -> Result<(), X402Error> {
    let info = json!({ "receipt": serde_json::to_value(receipt)? });
    let fields = ["version", "network", "resourceUrl", "payer", "issuedAt"];
    set(&mut answer.rest, KEY, info, Some(schema("receipt", &fields, "transaction", false)));
    Ok(())
}

/// The signed receipt of a settlement, if it carries one of the form read here.
#[must_use]
pub fn receipt(answer: &SettleResponse) -> Option<Signed<Receipt>> {
    serde_json::from_value(info(&answer.rest, KEY)?.get("receipt")?.clone()).ok()
}

/// Checks the receipt of a settlement without asking anybody: that the address that was to be paid signed it, and that it
/// is about this resource, payer and transaction.
///
/// # Errors
/// [`X402Error::Mismatch`] names what is missing or differs; [`X402Error::BadSignature`].
pub fn check_receipt(
    answer: &SettleResponse,
    pay_to: Address,
    resource: &str,
    payer: Address,
) -> Result<Signed<Receipt>, X402Error> {
    let receipt = receipt(answer).ok_or(X402Error::Mismatch { field: "receipt" })?;
    receipt.check(pay_to)?;
    let said = &receipt.payload;
    let fields = [
        ("network", *said.network == *answer.network.to_string()),
        ("resourceUrl", &*said.resource_url == resource),
        ("payer", said.payer.parse() == Ok(payer)),
        ("transaction", said.transaction.is_empty() || said.transaction == answer.transaction),
    ];
    match fields.iter().find(|(_, equal)| !equal) {
        Some((field, _)) => Err(X402Error::Mismatch { field }),
        None => Ok(receipt),
    }
}

/// The schema of the info that holds one statement or a list of them.
fn schema(name: &str, required: &[&str], optional: &str, list: bool) -> Value {
    let kind = |field: &str| if ["version", "issuedAt", "validUntil"].contains(&field) { "integer" } else { "string" };
    let fields: Map<String, Value> = required
        .iter()
        .copied()
        .chain([optional])
        .map(|field| (field.to_owned(), json!({ "type": kind(field) })))
        .collect();
    let mut statement = json!({
        "type": "object",
        "properties": {
            "format": { "type": "string", "const": "eip712" },
            "payload": { "type": "object", "properties": fields, "required": required },
            "signature": { "type": "string" },
        },
        "required": ["format", "payload", "signature"],
    });
    if list {
        statement["properties"]["acceptIndex"] = json!({ "type": "integer" });
        statement = json!({ "type": "array", "items": statement });
    }
    json!({ "$schema": DIALECT, "type": "object", "properties": { name: statement }, "required": [name] })
}
