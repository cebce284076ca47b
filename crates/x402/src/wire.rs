//! The four x402 objects. Optional and unknown fields stay in `rest` as they came, so nothing is lost on the way.

use std::fmt;

use alloy_primitives::{Address, B256, U256};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value};

use haggle_base::Usdc;

use crate::{ChainRef, PaymentFlow, Reason, Scheme, X402Version};

/// An amount in a token's base units, written as a decimal string. Up to 78 digits (a `uint256`), no leading zeros.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Atomic(Box<str>);

impl Atomic {
    /// Digits of the greatest `uint256`.
    const MAX_DIGITS: usize = 78;

    /// The amount in base units of USDC, if it fits.
    #[must_use]
    pub fn to_usdc(&self) -> Option<Usdc> {
        self.0.parse().ok().map(Usdc::from_units)
    }

    /// The number, if it fits a `uint256`.
    #[must_use]
    pub fn to_u256(&self) -> Option<U256> {
        U256::from_str_radix(&self.0, 10).ok()
    }

    /// The text on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Any other number x402 writes as a decimal string, such as seconds.
    #[must_use]
    pub fn from_number(number: u64) -> Self {
        Self(number.to_string().into())
    }
}

impl From<Usdc> for Atomic {
    fn from(amount: Usdc) -> Self {
        Self::from_number(amount.units())
    }
}

impl fmt::Display for Atomic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Atomic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Atomic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let digits = (1..=Self::MAX_DIGITS).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        let canonical = text.len() == 1 || !text.starts_with('0');
        if digits && canonical {
            Ok(Self(text.as_ref().into()))
        } else {
            Err(de::Error::custom("an amount is a decimal string of base units"))
        }
    }
}

/// What is paid for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    /// Any URI. haggle names an order `haggle:order/<order id>`.
    pub url: Box<str>,
    /// Everything else, as it came (`description`, `mimeType` ...).
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl Resource {
    /// A resource that is only a URI.
    #[must_use]
    pub fn new(url: impl Into<Box<str>>) -> Self {
        Self { url: url.into(), rest: Map::new() }
    }
}

/// What a seller asks for: the answer 402, and the same object elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentRequired {
    /// Always 2.
    pub x402_version: X402Version,
    /// What is paid for.
    pub resource: Resource,
    /// Ways to pay, best first as the seller sees it.
    pub accepts: Vec<PaymentRequirements>,
    /// Everything else, as it came (`error`, `extensions` ...).
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl PaymentRequired {
    /// Asks for `accepts` without an error text and without extensions.
    #[must_use]
    pub fn new(resource: Resource, accepts: Vec<PaymentRequirements>) -> Self {
        Self { x402_version: X402Version, resource, accepts, rest: Map::new() }
    }

    /// The same with a text for people that says why payment is asked, or what was wrong with the last one.
    #[must_use]
    pub fn with_error(mut self, error: &str) -> Self {
        self.rest.insert("error".to_owned(), error.into());
        self
    }
}

/// One way to pay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentRequirements {
    /// How money moves.
    pub scheme: Scheme,
    /// On which chain.
    pub network: ChainRef,
    /// How much leaves the buyer, in base units of `asset`.
    pub amount: Atomic,
    /// The token: for an EVM chain its address.
    pub asset: Box<str>,
    /// Who is paid in the end.
    pub pay_to: Box<str>,
    /// How long the seller waits for the payment, in seconds.
    pub max_timeout_seconds: u64,
    /// Everything else, as it came (`extra` ...).
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl PaymentRequirements {
    /// The scheme's own fields, if there are any.
    #[must_use]
    pub fn extra(&self) -> Option<&Map<String, Value>> {
        self.rest.get("extra")?.as_object()
    }

    /// When money moves relative to the work. Without the word it is `authorization`; a value that is no word is
    /// [`PaymentFlow::Other`], which nobody pays.
    #[must_use]
    pub fn flow(&self) -> PaymentFlow {
        match self.extra().and_then(|extra| extra.get("paymentFlow")) {
            None => PaymentFlow::Authorization,
            Some(Value::String(word)) => PaymentFlow::from(word.as_str()),
            Some(_) => PaymentFlow::Other("".into()),
        }
    }
}

/// What a buyer pays with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentPayload {
    /// Always 2.
    pub x402_version: X402Version,
    /// The chosen entry of `accepts`, unchanged.
    pub accepted: PaymentRequirements,
    /// The scheme's own part: signatures and what they cover.
    pub payload: Value,
    /// Everything else, as it came (`resource`, `extensions` ...).
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl PaymentPayload {
    /// The resource it says it pays for, if it says one.
    #[must_use]
    pub fn resource_url(&self) -> Option<&str> {
        self.rest.get("resource")?.get("url")?.as_str()
    }
}

/// What came of a payment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SettleResponse {
    /// Whether the payment stands.
    pub success: bool,
    /// The transaction's hash. Required by x402, empty on failure.
    pub transaction: Box<str>,
    /// On which chain.
    pub network: ChainRef,
    /// Everything else, as it came (`payer`, `errorReason`, `amount` ...).
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl SettleResponse {
    /// The payment stands.
    #[must_use]
    pub fn paid(network: ChainRef, transaction: B256, payer: Address, amount: Usdc) -> Self {
        let mut rest = Map::new();
        rest.insert("payer".to_owned(), payer.to_string().into());
        rest.insert("amount".to_owned(), amount.units().to_string().into());
        Self { success: true, transaction: transaction.to_string().into(), network, rest }
    }

    /// The payment does not stand. `transaction` is what was sent, if anything was; it goes with
    /// [`Reason::Pending`].
    #[must_use]
    pub fn refused(
        network: ChainRef,
        reason: Reason,
        message: &str,
        payer: Option<Address>,
        transaction: Option<B256>,
    ) -> Self {
        let mut rest = Map::new();
        rest.insert("errorReason".to_owned(), reason.word().into());
        rest.insert("errorMessage".to_owned(), message.into());
        if let Some(payer) = payer {
            rest.insert("payer".to_owned(), payer.to_string().into());
        }
        let transaction = transaction.map(|hash| hash.to_string()).unwrap_or_default();
        Self { success: false, transaction: transaction.into(), network, rest }
    }

    /// Why it does not stand, as it was written.
    #[must_use]
    pub fn error_reason(&self) -> Option<&str> {
        self.rest.get("errorReason")?.as_str()
    }

    /// Who paid, if it was said.
    #[must_use]
    pub fn payer(&self) -> Option<&str> {
        self.rest.get("payer")?.as_str()
    }

    /// Whether the payment was sent and is not through: to be asked again with the same payload, never signed again.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        !self.success && self.error_reason().and_then(Reason::of) == Some(Reason::Pending)
    }
}
