//! haggle's own scheme, `haggle-escrow`: one EIP-3009 signature funds an order, and is the agreement to all of it.
//!
//! The page is `docs/protocols/x402-haggle-escrow.md`. The requirement and the payload are made from the order, and read
//! back against the order: nothing in them can say anything else than what both parties signed.

use alloy_primitives::{Address, B256, U256};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use haggle_base::{
    EvmSignature, Hash, NetworkFile, Order, OrderId, Timestamp, TokenFacts, Usdc,
    eip712::{Domain, ReceiveWithAuthorization, digest, escrow_domain, order_id, token_domain},
};

use crate::{
    Atomic, ChainRef, PaymentFlow, PaymentPayload, PaymentRequirements, Resource, Scheme, SettleResponse, X402Error,
    X402Version,
};

/// The chain, the escrow contract and the token of one network, with their EIP-712 domains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EscrowFacts {
    chain_id: u64,
    escrow: Address,
    token: TokenFacts,
    escrow_domain: Domain,
    token_domain: Domain,
}

impl EscrowFacts {
    /// The escrow at this address, holding this token.
    #[must_use]
    pub fn new(chain_id: u64, escrow: Address, token: TokenFacts) -> Self {
        let (escrow_domain, token_domain) = (escrow_domain(chain_id, escrow), token_domain(chain_id, &token));
        Self { chain_id, escrow, token, escrow_domain, token_domain }
    }

    /// The one escrow that a network file pins.
    #[must_use]
    pub fn of(network: &NetworkFile) -> Self {
        Self::new(network.chain_id, network.escrow, network.token.clone())
    }

    /// The escrow contract.
    #[must_use]
    pub const fn escrow(&self) -> Address {
        self.escrow
    }

    /// The token it holds.
    #[must_use]
    pub const fn token(&self) -> &TokenFacts {
        &self.token
    }

    /// The escrow's EIP-712 domain: orders, releases, refunds.
    #[must_use]
    pub const fn escrow_domain(&self) -> &Domain {
        &self.escrow_domain
    }

    /// The token's EIP-712 domain: payments and bonds.
    #[must_use]
    pub const fn token_domain(&self) -> &Domain {
        &self.token_domain
    }

    /// The id of an order on this escrow.
    #[must_use]
    pub fn order_id(&self, order: &Order) -> OrderId {
        order_id(order, &self.escrow_domain)
    }

    /// The digest the buyer signs to pay for an order.
    ///
    /// # Errors
    /// [`X402Error::BadAmount`] if the deposit is zero or does not fit.
    pub fn deposit_digest(&self, order: &Order) -> Result<B256, X402Error> {
        let deposit = deposit_of(order)?;
        let authorization = ReceiveWithAuthorization {
            from: order.buyer,
            to: self.escrow,
            value: deposit.to_u256(),
            validAfter: U256::ZERO,
            validBefore: U256::from(Timestamp::from_u40(order.fundBy).as_secs()),
            nonce: *self.order_id(order).as_b256(),
        };
        Ok(digest(&authorization, &self.token_domain))
    }
}

/// What an order takes from its buyer: the amount, and the fee if it comes on top.
///
/// # Errors
/// [`X402Error::BadAmount`] if it is zero or does not fit 64 bits.
pub fn deposit_of(order: &Order) -> Result<Usdc, X402Error> {
    let deposit = order.deposit().and_then(|deposit| Usdc::try_from(deposit).ok());
    deposit.filter(|_| !order.amount.is_zero()).ok_or(X402Error::BadAmount)
}

/// The scheme's fields in `extra` of a requirement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EscrowExtra {
    /// Always `escrow`.
    pub payment_flow: PaymentFlow,
    /// The escrow contract, where the deposit goes.
    pub escrow: Address,
    /// The order that is paid, and the nonce of the payment.
    pub order: OrderId,
    /// The terms both sides signed, as in the order.
    pub terms_hash: Hash,
    /// Name in the token's EIP-712 domain.
    pub name: Box<str>,
    /// Version in the token's EIP-712 domain.
    pub version: Box<str>,
}

/// The scheme's `payload`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EscrowPayload {
    /// The buyer's signature over the token's `ReceiveWithAuthorization`.
    pub signature: EvmSignature,
    /// What it covers, as x402 writes EIP-3009.
    pub authorization: Authorization,
    /// The provider's signature over the order.
    pub provider_signature: EvmSignature,
}

/// EIP-3009's fields as x402 writes them: numbers are decimal strings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Authorization {
    /// The buyer.
    pub from: Address,
    /// The escrow contract.
    pub to: Address,
    /// The deposit in base units.
    pub value: Atomic,
    /// Always `0`.
    pub valid_after: Atomic,
    /// The order's `fundBy`, in seconds.
    pub valid_before: Atomic,
    /// The order's id.
    pub nonce: B256,
}

/// What has to be paid for an order, as the seller asks for it at `now`.
///
/// # Errors
/// [`X402Error::BadAmount`] if the order's deposit is zero or does not fit.
pub fn requirement_for_order(
    order: &Order,
    facts: &EscrowFacts,
    now: Timestamp,
) -> Result<PaymentRequirements, X402Error> {
    let extra = EscrowExtra {
        payment_flow: PaymentFlow::Escrow,
        escrow: facts.escrow,
        order: facts.order_id(order),
        terms_hash: Hash::from_bytes(order.terms.0),
        name: facts.token.name.as_str().into(),
        version: facts.token.version.as_str().into(),
    };
    let mut rest = Map::new();
    rest.insert("extra".to_owned(), serde_json::to_value(extra)?);
    Ok(PaymentRequirements {
        scheme: Scheme::HaggleEscrow,
        network: ChainRef::eip155(facts.chain_id),
        amount: deposit_of(order)?.into(),
        asset: facts.token.address.to_string().into(),
        pay_to: order.provider.to_string().into(),
        max_timeout_seconds: Timestamp::from_u40(order.fundBy).since(now).as_secs(),
        rest,
    })
}

/// Checks that a requirement asks for exactly this order. `maxTimeoutSeconds` is only advice and is not compared.
///
/// # Errors
/// [`X402Error::Mismatch`] names the field that differs.
pub fn check_requirement_against_order(
    requirement: &PaymentRequirements,
    order: &Order,
    facts: &EscrowFacts,
) -> Result<(), X402Error> {
    let extra: EscrowExtra = match requirement.extra() {
        Some(extra) => serde_json::from_value(Value::Object(extra.clone()))?,
        None => return Err(X402Error::Mismatch { field: "extra" }),
    };
    let address = |text: &str| text.parse::<Address>().ok();
    let fields = [
        ("scheme", requirement.scheme == Scheme::HaggleEscrow),
        ("network", requirement.network == ChainRef::eip155(facts.chain_id)),
        ("amount", requirement.amount == Atomic::from(deposit_of(order)?)),
        ("asset", address(&requirement.asset) == Some(facts.token.address)),
        ("payTo", address(&requirement.pay_to) == Some(order.provider)),
        ("paymentFlow", extra.payment_flow == PaymentFlow::Escrow),
        ("escrow", extra.escrow == facts.escrow),
        ("order", extra.order == facts.order_id(order)),
        ("termsHash", extra.terms_hash.as_bytes() == &order.terms.0),
        ("name", *extra.name == *facts.token.name),
        ("version", *extra.version == *facts.token.version),
    ];
    all_equal(&fields)
}

/// What the buyer pays an order with: the requirement as it was asked, and both signatures.
///
/// # Errors
/// [`X402Error::BadAmount`] if the order's deposit is zero or does not fit.
pub fn payload_for_order(
    accepted: PaymentRequirements,
    order: &Order,
    facts: &EscrowFacts,
    buyer: EvmSignature,
    provider: EvmSignature,
) -> Result<PaymentPayload, X402Error> {
    let payload = EscrowPayload {
        signature: buyer,
        authorization: authorization_of(order, facts)?,
        provider_signature: provider,
    };
    let mut rest = Map::new();
    let resource = Resource::new(format!("haggle:order/{}", facts.order_id(order)));
    rest.insert("resource".to_owned(), serde_json::to_value(resource)?);
    Ok(PaymentPayload { x402_version: X402Version, accepted, payload: serde_json::to_value(payload)?, rest })
}

/// Checks that a payload pays exactly this order and that both parties signed, and returns the scheme's part.
///
/// Nothing is looked up on the chain: whether the buyer has the money shows when the order is funded.
///
/// # Errors
/// [`X402Error::Mismatch`] or [`X402Error::BadSignature`] names the field.
pub fn check_payload_against_order(
    payload: &PaymentPayload,
    order: &Order,
    facts: &EscrowFacts,
) -> Result<EscrowPayload, X402Error> {
    check_requirement_against_order(&payload.accepted, order, facts)?;
    let paid: EscrowPayload = serde_json::from_value(payload.payload.clone())?;
    let right = authorization_of(order, facts)?;
    let said = &paid.authorization;
    all_equal(&[
        ("from", said.from == right.from),
        ("to", said.to == right.to),
        ("value", said.value == right.value),
        ("validAfter", said.valid_after == right.valid_after),
        ("validBefore", said.valid_before == right.valid_before),
        ("nonce", said.nonce == right.nonce),
    ])?;
    paid.signature
        .verify(&facts.deposit_digest(order)?, order.buyer)
        .map_err(|_| X402Error::BadSignature { field: "signature", by: "the buyer" })?;
    paid.provider_signature
        .verify(facts.order_id(order).as_b256(), order.provider)
        .map_err(|_| X402Error::BadSignature { field: "providerSignature", by: "the provider" })?;
    Ok(paid)
}

/// The answer to a payload whose order was funded by `transaction`.
///
/// # Errors
/// [`X402Error::BadAmount`] if the order's deposit is zero or does not fit.
pub fn settle_response_for_order(
    order: &Order,
    facts: &EscrowFacts,
    transaction: B256,
) -> Result<SettleResponse, X402Error> {
    let mut rest = Map::new();
    rest.insert("payer".to_owned(), Value::String(order.buyer.to_string()));
    rest.insert("amount".to_owned(), serde_json::to_value(Atomic::from(deposit_of(order)?))?);
    Ok(SettleResponse {
        success: true,
        transaction: transaction.to_string().into(),
        network: ChainRef::eip155(facts.chain_id),
        rest,
    })
}

fn authorization_of(order: &Order, facts: &EscrowFacts) -> Result<Authorization, X402Error> {
    Ok(Authorization {
        from: order.buyer,
        to: facts.escrow,
        value: deposit_of(order)?.into(),
        valid_after: Atomic::from(Usdc::ZERO),
        valid_before: Atomic::from_number(Timestamp::from_u40(order.fundBy).as_secs()),
        nonce: *facts.order_id(order).as_b256(),
    })
}

fn all_equal(fields: &[(&'static str, bool)]) -> Result<(), X402Error> {
    match fields.iter().find(|(_, equal)| !equal) {
        Some((field, _)) => Err(X402Error::Mismatch { field }),
        None => Ok(()),
    }
}
