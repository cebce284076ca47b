//! The scheme `exact` with EIP-3009: one signed transfer of the token straight to the seller.
//!
//! The page is `docs/protocols/x402-exact.md`. Nothing here looks at a chain or a clock: whether the payer has the money,
//! and whether the nonce is unused, only the chain knows.

use alloy_primitives::{Address, B256, Bytes, U256};
use haggle_base::{
    Domain, EvmSignature, NetworkFile, Timestamp, TokenFacts, Usdc,
    eip712::{TransferWithAuthorization, digest, token_domain},
    secp,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::time::Duration;

use crate::{
    Atomic, ChainRef, PaymentFlow, PaymentPayload, PaymentRequirements, Reason, Resource, Scheme, X402Error,
    X402Version,
};

/// The word for EIP-3009 in `extra.assetTransferMethod`.
pub const EIP3009: &str = "eip3009";
/// Longest signature read: a wallet contract's may be longer than a key's 65 bytes.
pub const MAX_SIGNATURE: usize = 2048;
/// How long before a payment was signed it becomes valid, against clocks that are not equal.
const BACKDATED: Duration = Duration::from_secs(600);
/// The end of a signature for a wallet contract that is not deployed (ERC-6492).
const UNDEPLOYED: [u8; 32] = [
    0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64,
    0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92, 0x64, 0x92,
];

/// The chain and the token that is paid with, and the token's EIP-712 domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExactFacts {
    chain_id: u64,
    token: TokenFacts,
    domain: Domain,
}

impl ExactFacts {
    /// A token on a chain.
    #[must_use]
    pub fn new(chain_id: u64, token: TokenFacts) -> Self {
        let domain = token_domain(chain_id, &token);
        Self { chain_id, token, domain }
    }

    /// The one token that a network file pins.
    #[must_use]
    pub fn of(network: &NetworkFile) -> Self {
        Self::new(network.chain_id, network.token.clone())
    }

    /// The chain's number.
    #[must_use]
    pub const fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// The chain's CAIP-2 name.
    #[must_use]
    pub fn network(&self) -> ChainRef {
        ChainRef::eip155(self.chain_id)
    }

    /// The token.
    #[must_use]
    pub const fn token(&self) -> &TokenFacts {
        &self.token
    }

    /// The token's EIP-712 domain.
    #[must_use]
    pub const fn domain(&self) -> &Domain {
        &self.domain
    }
}

/// The scheme's fields in `extra` of a requirement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExactExtra {
    /// Name in the token's EIP-712 domain.
    pub name: Box<str>,
    /// Version in the token's EIP-712 domain.
    pub version: Box<str>,
    /// Absent for `authorization`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_flow: Option<PaymentFlow>,
    /// Absent for [`EIP3009`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset_transfer_method: Option<Box<str>>,
    /// Everything else, as it came.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// The scheme's `payload`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExactPayload {
    /// The payer's, over the token's `TransferWithAuthorization`.
    pub signature: Bytes,
    /// What it covers.
    pub authorization: ExactAuthorization,
    /// Everything else, as it came.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// EIP-3009's fields as x402 writes them: numbers are decimal strings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExactAuthorization {
    /// Who pays.
    pub from: Address,
    /// Who is paid.
    pub to: Address,
    /// Base units.
    pub value: Atomic,
    /// Good strictly after this Unix second.
    pub valid_after: Atomic,
    /// Good strictly before this Unix second.
    pub valid_before: Atomic,
    /// Spent once per payer.
    pub nonce: B256,
    /// Everything else, as it came.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl ExactAuthorization {
    /// A payment of exactly what `accepted` asks, good from ten minutes ago until the seller's timeout is over.
    ///
    /// # Errors
    /// [`X402Error::Mismatch`] if the entry names no EVM address to pay.
    pub fn paying(
        accepted: &PaymentRequirements,
        from: Address,
        now: Timestamp,
        nonce: B256,
    ) -> Result<Self, X402Error> {
        let to = accepted.pay_to.parse().map_err(|_| X402Error::Mismatch { field: "payTo" })?;
        let before = now.plus(Duration::from_secs(accepted.max_timeout_seconds));
        Ok(Self {
            from,
            to,
            value: accepted.amount.clone(),
            valid_after: Atomic::from_number(now.minus(BACKDATED).as_secs()),
            valid_before: Atomic::from_number(before.as_secs()),
            nonce,
            rest: Map::new(),
        })
    }

    /// The structure that is signed.
    ///
    /// # Errors
    /// [`Reason::Payload`] if a number does not fit a `uint256`.
    pub fn message(&self) -> Result<TransferWithAuthorization, Reason> {
        let number = |text: &Atomic| text.to_u256().ok_or(Reason::Payload);
        Ok(TransferWithAuthorization {
            from: self.from,
            to: self.to,
            value: number(&self.value)?,
            validAfter: number(&self.valid_after)?,
            validBefore: number(&self.valid_before)?,
            nonce: self.nonce,
        })
    }

    /// The digest the payer signs.
    ///
    /// # Errors
    /// [`Reason::Payload`] if a number does not fit a `uint256`.
    pub fn digest(&self, facts: &ExactFacts) -> Result<B256, Reason> {
        Ok(digest(&self.message()?, &facts.domain))
    }
}

/// Asks for a payment of `amount` to `pay_to`, within `timeout`.
///
/// # Errors
/// [`X402Error::BadAmount`] for nothing; what is free needs no payment.
pub fn requirement(
    facts: &ExactFacts,
    pay_to: Address,
    amount: Usdc,
    timeout: Duration,
    flow: &PaymentFlow,
) -> Result<PaymentRequirements, X402Error> {
    if amount.is_zero() {
        return Err(X402Error::BadAmount);
    }
    let extra = ExactExtra {
        name: facts.token.name.as_str().into(),
        version: facts.token.version.as_str().into(),
        payment_flow: (*flow != PaymentFlow::Authorization).then(|| flow.clone()),
        asset_transfer_method: None,
        rest: Map::new(),
    };
    let mut rest = Map::new();
    rest.insert("extra".to_owned(), serde_json::to_value(extra)?);
    Ok(PaymentRequirements {
        scheme: Scheme::Exact,
        network: facts.network(),
        amount: amount.into(),
        asset: facts.token.address.to_string().into(),
        pay_to: pay_to.to_string().into(),
        max_timeout_seconds: timeout.as_secs(),
        rest,
    })
}

/// What a buyer pays with: the entry as it was asked, what is signed, and the extensions of the 402 answer, echoed.
///
/// # Errors
/// [`X402Error::Malformed`] never happens with objects of this crate.
pub fn payload(
    accepted: PaymentRequirements,
    resource: &Resource,
    authorization: ExactAuthorization,
    signature: &EvmSignature,
    extensions: Option<&Value>,
) -> Result<PaymentPayload, X402Error> {
    let signature = Bytes::copy_from_slice(signature.as_bytes());
    let paid = ExactPayload { signature, authorization, rest: Map::new() };
    let mut rest = Map::new();
    rest.insert("resource".to_owned(), serde_json::to_value(resource)?);
    if let Some(extensions) = extensions {
        rest.insert("extensions".to_owned(), extensions.clone());
    }
    Ok(PaymentPayload { x402_version: X402Version, accepted, payload: serde_json::to_value(paid)?, rest })
}

/// A transfer of the token that its payer signed: what the chain is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// The token.
    pub token: Address,
    /// Who pays.
    pub from: Address,
    /// Who is paid.
    pub to: Address,
    /// How much.
    pub value: Usdc,
    /// Good strictly after this Unix second.
    pub valid_after: U256,
    /// Good strictly before this Unix second.
    pub valid_before: U256,
    /// Spent once per payer.
    pub nonce: B256,
    /// The canonical 65 bytes of the payer's key, or whatever a wallet contract takes.
    pub signature: Bytes,
    /// Whether the payer's key did not sign it, so that only a wallet contract at the payer's address could accept it
    /// (ERC-1271). Only the chain knows.
    pub contract: bool,
}

impl Transfer {
    /// Reads a payment and checks everything that shows without a clock and a chain: it pays what is asked, and the
    /// payer's key signed it, or a wallet contract may have.
    ///
    /// # Errors
    /// The [`Reason`] a buyer is told.
    pub fn of(payload: &PaymentPayload, asked: &PaymentRequirements, facts: &ExactFacts) -> Result<Self, Reason> {
        same_requirement(&payload.accepted, asked, facts)?;
        let paid = ExactPayload::deserialize(&payload.payload).map_err(|_| Reason::Payload)?;
        let message = paid.authorization.message()?;
        let pay_to: Address = asked.pay_to.parse().map_err(|_| Reason::Requirements)?;
        let amount = asked.amount.to_usdc().ok_or(Reason::Requirements)?;
        if message.to != pay_to {
            return Err(Reason::Recipient);
        }
        if message.value != amount.to_u256() {
            return Err(Reason::Amount);
        }
        let (signature, contract) = signed(&message, &paid.signature, facts)?;
        Ok(Self {
            token: facts.token.address,
            from: message.from,
            to: message.to,
            value: amount,
            valid_after: message.validAfter,
            valid_before: message.validBefore,
            nonce: message.nonce,
            signature,
            contract,
        })
    }

    /// Checks that it is valid now and for `margin` longer, which settling may take.
    ///
    /// # Errors
    /// [`Reason::NotYetValid`], [`Reason::Expired`].
    pub fn check_time(&self, now: Timestamp, margin: Duration) -> Result<(), Reason> {
        if U256::from(now.as_secs()) <= self.valid_after {
            return Err(Reason::NotYetValid);
        }
        if U256::from(now.plus(margin).as_secs()) >= self.valid_before {
            return Err(Reason::Expired);
        }
        Ok(())
    }

    /// The last moment at which it is certainly not valid any more.
    #[must_use]
    pub fn ends(&self) -> Timestamp {
        u64::try_from(self.valid_before).map_or(Timestamp::MAX, Timestamp::from_secs)
    }

    /// The structure that is signed.
    #[must_use]
    pub fn message(&self) -> TransferWithAuthorization {
        TransferWithAuthorization {
            from: self.from,
            to: self.to,
            value: self.value.to_u256(),
            validAfter: self.valid_after,
            validBefore: self.valid_before,
            nonce: self.nonce,
        }
    }
}

/// The signature in the form a contract takes, and whether only a wallet contract could accept it.
fn signed(message: &TransferWithAuthorization, signature: &Bytes, facts: &ExactFacts) -> Result<(Bytes, bool), Reason> {
    if signature.is_empty() || signature.len() > MAX_SIGNATURE {
        return Err(Reason::Signature);
    }
    if signature.ends_with(&UNDEPLOYED) {
        return Err(Reason::UndeployedWallet);
    }
    match secp::verify_signature(&digest(message, &facts.domain), signature, message.from) {
        Ok(canonical) => Ok((Bytes::copy_from_slice(canonical.as_bytes()), false)),
        Err(_) => Ok((signature.clone(), true)),
    }
}

/// Whether a payment accepted what is asked. `maxTimeoutSeconds` is only advice and is not compared; `extra` is compared
/// where it matters to this scheme.
fn same_requirement(
    accepted: &PaymentRequirements,
    asked: &PaymentRequirements,
    facts: &ExactFacts,
) -> Result<(), Reason> {
    let address = |text: &str| text.parse::<Address>().ok();
    if accepted.scheme != Scheme::Exact || asked.scheme != Scheme::Exact {
        return Err(Reason::Scheme);
    }
    if accepted.network != asked.network || asked.network.evm_chain_id() != Some(facts.chain_id) {
        return Err(Reason::Network);
    }
    if address(&accepted.asset) != Some(facts.token.address) || address(&asked.asset) != Some(facts.token.address) {
        return Err(Reason::Requirements);
    }
    if accepted.amount != asked.amount {
        return Err(Reason::Amount);
    }
    if address(&accepted.pay_to).is_none() || address(&accepted.pay_to) != address(&asked.pay_to) {
        return Err(Reason::Recipient);
    }
    if accepted.flow() != asked.flow() {
        return Err(Reason::Flow);
    }
    check_extra(accepted, facts)
}

/// Whether `extra` of an entry names this token's domain and a way of moving it that is spoken here.
fn check_extra(entry: &PaymentRequirements, facts: &ExactFacts) -> Result<(), Reason> {
    let extra = entry.extra().ok_or(Reason::TokenDomain)?;
    let text = |key: &str| extra.get(key).and_then(Value::as_str);
    if text("name") != Some(&facts.token.name) || text("version") != Some(&facts.token.version) {
        return Err(Reason::TokenDomain);
    }
    match extra.get("assetTransferMethod") {
        None => Ok(()),
        Some(method) if method == EIP3009 => Ok(()),
        Some(_) => Err(Reason::Method),
    }
}

/// Whether a buyer that knows this token can pay an entry of this scheme.
pub(crate) fn is_payable(entry: &PaymentRequirements, facts: &ExactFacts) -> bool {
    let flow = matches!(entry.flow(), PaymentFlow::Authorization | PaymentFlow::Upfront);
    flow && entry.pay_to.parse::<Address>().is_ok() && check_extra(entry, facts).is_ok()
}
