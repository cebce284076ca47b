//! The terms both parties sign: one canonical document, from which the on-chain order follows.
//!
//! The document has two halves, each canonical CBOR: the **parties** (who) and the **rest** (what, for
//! how much, until when). `terms_hash = blake3(blake3(parties) || blake3(rest))` stands in the on-chain
//! `Order.terms`, so that the two DIDs can be shown later without the rest. Every other field of
//! `Order` follows from the terms too: both nodes build it, and check what the other side sent field by
//! field. The EIP-712 digest of `Order` is the only id of the order.

use alloy_primitives::{Address, B256, U256, aliases::U96};
use haggle_base::{
    Blob, Did, EvmSignature, Hash, NetworkId, OrderId, RecordId, Text, Timestamp, Usdc,
    attestation::{Parties, terms_hash},
    cbor, cose,
    eip712::{self, Order, ReceiveWithAuthorization, Release},
    network_file::{Arbitration, FeePayer},
};
use serde::{Deserialize, Serialize};

use crate::{
    config::{MAX_DELIVERY_SECS, MAX_REVIEW_SECS, MIN_REVIEW_SECS, Venue},
    error::{Refusal, TradeError},
    order::Clocks,
};

/// COSE kind of a signed terms document.
pub const TERMS_KIND: &str = "terms";
/// Largest parties half, in bytes.
pub const MAX_PARTIES_BYTES: usize = 512;
/// Largest other half, in bytes.
pub const MAX_REST_BYTES: usize = 1_536;
/// Largest signed terms document, in bytes.
pub const MAX_TERMS_BYTES: usize = 2_560;
/// Highest fee the escrow takes, in basis points.
pub const MAX_FEE_BPS: u16 = 1_000;
/// Order flag: the buyer pays the fee on top of the price.
pub const FLAG_FEE_ON_TOP: u8 = 1;
/// What the contract wants in the counter and rule windows of an order without an arbitrator.
pub const UNUSED_WINDOW_SECS: u32 = 24 * 3_600;

/// The one payment scheme of priced orders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scheme {
    /// Money in the haggle escrow contract.
    #[default]
    #[serde(rename = "haggle-escrow")]
    HaggleEscrow,
}

/// The fee line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fee {
    /// Basis points of the price, at most [`MAX_FEE_BPS`].
    pub bps: u16,
    /// Who bears it.
    pub payer: FeePayer,
    /// Where it goes.
    pub recipient: Address,
}

impl Fee {
    /// The fee of a price, rounded down.
    pub fn of(&self, price: Usdc) -> Usdc {
        price.fee_bps(self.bps)
    }

    /// What the buyer pays in for this price: the price, plus the fee if the buyer bears it.
    ///
    /// # Errors
    /// [`Refusal::AmountOverflow`].
    pub fn deposit(&self, price: Usdc) -> Result<Usdc, TradeError> {
        match self.payer {
            FeePayer::Buyer => price.checked_add(self.of(price)).ok_or(Refusal::AmountOverflow.into()),
            FeePayer::Seller => Ok(price),
        }
    }
}

/// What the provider promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceLevel {
    /// Seconds from `fund_by` within which it delivers at the latest.
    pub deliver_within_secs: u32,
}

/// The rest of the terms: everything but the parties.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// The network both trade in.
    pub network: NetworkId,
    /// The chain of the escrow.
    pub chain_id: u64,
    /// The escrow contract.
    pub escrow: Address,
    /// The payment scheme.
    pub scheme: Scheme,
    /// The quote these terms accept (id of its signed document).
    pub quote: Hash,
    /// The listing's record.
    pub listing: RecordId,
    /// The listing's slot.
    pub slot: Text<64>,
    /// The listing's version.
    pub seq: u64,
    /// The skill that is called.
    pub skill: Text<64>,
    /// The capability that reputation is kept for.
    pub capability: Text<64>,
    /// blake3 of the input bytes.
    pub input: Hash,
    /// blake3 of the output schema's text, if the listing has one.
    pub output_schema: Option<Hash>,
    /// The price.
    pub price: Usdc,
    /// The fee.
    pub fee: Fee,
    /// Chain time in Unix seconds: fundable while below.
    pub fund_by: u64,
    /// Chain time in Unix seconds: deliverable while below.
    pub deliver_by: u64,
    /// Seconds to object after an on-chain delivery.
    pub review_secs: u32,
    /// Who may rule by score; zero: nobody.
    pub validator: Address,
    /// Who may rule on a dispute; zero: nobody.
    pub arbiter: Address,
    /// The provider's promise.
    pub sla: ServiceLevel,
    /// Makes this order unlike any other of the buyer's home.
    pub salt: B256,
}

/// The signed payload: both halves, each as its own canonical bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TermsDocument {
    parties: Blob<MAX_PARTIES_BYTES>,
    rest: Blob<MAX_REST_BYTES>,
}

/// Both halves decoded, with their bytes, their hash and the order that follows.
#[derive(Clone, Debug, PartialEq)]
pub struct Agreement {
    /// Who.
    pub parties: Parties,
    /// What.
    pub terms: Terms,
    /// The canonical bytes of the parties.
    pub parties_bytes: Vec<u8>,
    /// blake3 of the canonical bytes of the rest.
    pub rest_hash: Hash,
    /// The hash that stands in the order.
    pub hash: Hash,
    /// The on-chain order.
    pub order: Order,
    /// The order's id.
    pub id: OrderId,
    payload: Vec<u8>,
}

impl Terms {
    /// The order's clocks.
    pub fn clocks(&self) -> Clocks {
        Clocks {
            fund_by: Timestamp::from_secs(self.fund_by),
            deliver_by: Timestamp::from_secs(self.deliver_by),
            review_secs: self.review_secs,
        }
    }

    /// What the buyer pays in.
    ///
    /// # Errors
    /// [`Refusal::AmountOverflow`].
    pub fn deposit(&self) -> Result<Usdc, TradeError> {
        self.fee.deposit(self.price)
    }

    /// Checks what needs no counterparty: amounts, clocks, the venue.
    ///
    /// # Errors
    /// [`Refusal::ZeroAmount`], [`Refusal::AmountOverflow`], [`Refusal::BadClocks`], or the first field
    /// that is not this venue's.
    pub fn check(&self, venue: &Venue) -> Result<(), TradeError> {
        self.check_amounts()?;
        same("network", &self.network, &venue.network)?;
        same("chain_id", &self.chain_id, &venue.chain_id)?;
        same("escrow", &self.escrow, &venue.escrow)?;
        same("fee", &self.fee, &venue_fee(venue))?;
        same("validator", &self.validator, &Address::ZERO)?;
        same("arbiter", &self.arbiter, &venue.arbiter())?;
        self.check_bounds()
    }

    fn check_amounts(&self) -> Result<(), TradeError> {
        if self.price == Usdc::ZERO {
            return Err(Refusal::ZeroAmount.into());
        }
        self.deposit().map(|_| ())
    }

    /// What the escrow contract takes, whatever the venue.
    fn check_bounds(&self) -> Result<(), TradeError> {
        if self.fee.bps > MAX_FEE_BPS {
            return Err(TradeError::TermsMismatch { field: "fee" });
        }
        let delivery = self.deliver_by.checked_sub(self.fund_by).filter(|secs| *secs > 0);
        let clocks_fit = delivery.is_some_and(|secs| secs <= u64::from(MAX_DELIVERY_SECS))
            && self.deliver_by < 1 << 40
            && (MIN_REVIEW_SECS..=MAX_REVIEW_SECS).contains(&self.review_secs);
        if clocks_fit { Ok(()) } else { Err(Refusal::BadClocks.into()) }
    }
}

/// The fee line every order of this venue carries.
pub fn venue_fee(venue: &Venue) -> Fee {
    Fee { bps: venue.fee.bps, payer: venue.fee.payer, recipient: venue.fee.recipient }
}

impl Agreement {
    /// Builds both halves, their hash and the order.
    ///
    /// # Errors
    /// As [`Terms::check`]; [`TradeError::TermsMismatch`] if one party is on both sides.
    pub fn new(parties: &Parties, terms: &Terms, venue: &Venue) -> Result<Self, TradeError> {
        let parties_bytes = cbor::to_vec(parties)?;
        let rest = cbor::to_vec(terms)?;
        let document = TermsDocument {
            parties: Blob::try_from(parties_bytes).map_err(|_| Refusal::BadDocument)?,
            rest: Blob::try_from(rest).map_err(|_| Refusal::BadDocument)?,
        };
        Self::from_document(cbor::to_vec(&document)?, venue)
    }

    fn from_document(payload: Vec<u8>, venue: &Venue) -> Result<Self, TradeError> {
        Self::read(payload, venue.arbitration.as_ref(), |terms| terms.check(venue))
    }

    /// Reads terms whose network file is not at hand: the chain and the escrow are those they name themselves. Nobody's
    /// signature is checked.
    ///
    /// # Errors
    /// A malformed document; amounts, clocks or parties that no order can have; an arbiter that is not `arbitration`'s.
    pub(crate) fn alone(payload: Vec<u8>, arbitration: Option<&Arbitration>) -> Result<Self, TradeError> {
        Self::read(payload, arbitration, |terms| {
            terms.check_amounts()?;
            same("arbiter", &terms.arbiter, &arbitration.map_or(Address::ZERO, |rule| rule.arbitrator))?;
            terms.check_bounds()
        })
    }

    fn read(
        payload: Vec<u8>,
        arbitration: Option<&Arbitration>,
        check: impl FnOnce(&Terms) -> Result<(), TradeError>,
    ) -> Result<Self, TradeError> {
        let document: TermsDocument = cbor::from_slice(&payload, MAX_TERMS_BYTES)?;
        let parties: Parties = cbor::from_slice(&document.parties, MAX_PARTIES_BYTES)?;
        let terms: Terms = cbor::from_slice(&document.rest, MAX_REST_BYTES)?;
        check(&terms)?;
        if parties.buyer == parties.provider {
            return Err(TradeError::TermsMismatch { field: "provider" });
        }
        if parties.buyer_address == parties.provider_address {
            return Err(TradeError::TermsMismatch { field: "provider_address" });
        }
        let hash = terms_hash(&document.parties, &document.rest);
        let order = order_of(&parties, &terms, hash, arbitration);
        let id = eip712::order_id(&order, &eip712::escrow_domain(terms.chain_id, terms.escrow));
        Ok(Self {
            parties,
            terms,
            parties_bytes: document.parties.into_vec(),
            rest_hash: Hash::of(&document.rest),
            hash,
            order,
            id,
            payload,
        })
    }

    /// Opens terms signed by `author`, which must be one of the two parties.
    ///
    /// # Errors
    /// [`TradeError::Cose`] or [`TradeError::Cbor`] for a malformed document, [`Refusal::BadSignature`] if
    /// somebody else signed it, and what [`Terms::check`] says.
    pub fn open(signed: &[u8], author: &Did, venue: &Venue) -> Result<Self, TradeError> {
        let opened = cose::verify(TERMS_KIND, signed, MAX_TERMS_BYTES)?;
        let agreement = Self::from_document(opened.payload, venue)?;
        let is_party = opened.author == agreement.parties.buyer || opened.author == agreement.parties.provider;
        if opened.author != *author || !is_party {
            return Err(Refusal::BadSignature.into());
        }
        Ok(agreement)
    }

    /// Opens terms that their own buyer must have signed.
    ///
    /// # Errors
    /// As [`Agreement::open`].
    pub fn open_from_buyer(signed: &[u8], venue: &Venue) -> Result<Self, TradeError> {
        let opened = cose::verify(TERMS_KIND, signed, MAX_TERMS_BYTES)?;
        let agreement = Self::from_document(opened.payload, venue)?;
        same("buyer", &agreement.parties.buyer, &opened.author)?;
        Ok(agreement)
    }

    /// Checks that `signature` is the buyer's payment for exactly this order.
    ///
    /// # Errors
    /// [`Refusal::BadSignature`].
    pub fn check_payment(&self, signature: &EvmSignature, venue: &Venue) -> Result<(), TradeError> {
        let deposit = self.order.deposit().ok_or(Refusal::AmountOverflow)?;
        let payment = ReceiveWithAuthorization {
            from: self.order.buyer,
            to: venue.escrow,
            value: U256::from(deposit),
            validAfter: U256::ZERO,
            validBefore: U256::from(self.order.fundBy),
            nonce: *self.id.as_b256(),
        };
        let digest = eip712::digest(&payment, &eip712::token_domain(venue.chain_id, &venue.token));
        signature.verify(&digest, self.order.buyer).map_err(|_| Refusal::BadSignature.into())
    }

    /// Checks that `signature` is the buyer's release of this order.
    ///
    /// # Errors
    /// [`Refusal::BadSignature`].
    pub fn check_release(&self, signature: &EvmSignature, venue: &Venue) -> Result<(), TradeError> {
        let release = Release { orderId: *self.id.as_b256() };
        let digest = eip712::digest(&release, &eip712::escrow_domain(venue.chain_id, venue.escrow));
        signature.verify(&digest, self.order.buyer).map_err(|_| Refusal::BadSignature.into())
    }

    /// Whether somebody is named who can rule on a dispute.
    #[must_use]
    pub fn can_be_disputed(&self) -> bool {
        !self.order.arbitrator.is_zero()
    }

    /// What both parties sign.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// What the buyer pays in.
    ///
    /// # Errors
    /// [`Refusal::AmountOverflow`], never after [`Terms::check`].
    pub fn deposit(&self) -> Result<Usdc, TradeError> {
        self.terms.deposit()
    }

    /// Compares an order somebody sent with the one that follows from the terms, field by field.
    ///
    /// # Errors
    /// [`TradeError::TermsMismatch`] naming the first field that differs.
    pub fn check_order(&self, order: &Order) -> Result<(), TradeError> {
        let own = &self.order;
        same("buyer", &order.buyer, &own.buyer)?;
        same("provider", &order.provider, &own.provider)?;
        same("validator", &order.validator, &own.validator)?;
        same("arbitrator", &order.arbitrator, &own.arbitrator)?;
        same("feeTo", &order.feeTo, &own.feeTo)?;
        same("amount", &order.amount, &own.amount)?;
        same("bond", &order.bond, &own.bond)?;
        same("stake", &order.stake, &own.stake)?;
        same("feeBps", &order.feeBps, &own.feeBps)?;
        same("silentBps", &order.silentBps, &own.silentBps)?;
        same("flags", &order.flags, &own.flags)?;
        same("fundBy", &order.fundBy, &own.fundBy)?;
        same("deliverBy", &order.deliverBy, &own.deliverBy)?;
        same("reviewSecs", &order.reviewSecs, &own.reviewSecs)?;
        same("counterSecs", &order.counterSecs, &own.counterSecs)?;
        same("ruleSecs", &order.ruleSecs, &own.ruleSecs)?;
        same("terms", &order.terms, &own.terms)?;
        same("salt", &order.salt, &own.salt)
    }
}

/// The order that follows from the terms, and from the network's rules of arbitration where there are any; fields that
/// are not in use yet are fixed.
fn order_of(parties: &Parties, terms: &Terms, hash: Hash, arbitration: Option<&Arbitration>) -> Order {
    let clocks = terms.clocks();
    let windows = |window: fn(&Arbitration) -> u32| arbitration.map_or(UNUSED_WINDOW_SECS, window);
    Order {
        buyer: parties.buyer_address,
        provider: parties.provider_address,
        validator: terms.validator,
        arbitrator: terms.arbiter,
        feeTo: terms.fee.recipient,
        amount: terms.price.to_u96(),
        bond: arbitration.map_or(U96::ZERO, |rule| rule.bond_of(terms.price).to_u96()),
        stake: U96::ZERO,
        feeBps: terms.fee.bps,
        silentBps: arbitration.map_or(0, |rule| rule.silent_bps),
        flags: match terms.fee.payer {
            FeePayer::Buyer => FLAG_FEE_ON_TOP,
            FeePayer::Seller => 0,
        },
        fundBy: clocks.fund_by.to_u40(),
        deliverBy: clocks.deliver_by.to_u40(),
        reviewSecs: terms.review_secs,
        counterSecs: windows(|rule| rule.counter_secs),
        ruleSecs: windows(|rule| rule.rule_secs),
        terms: B256::from(*hash.as_bytes()),
        salt: U256::from_be_bytes(terms.salt.0),
    }
}

/// One field of a document against what it must be.
pub(crate) fn same<T: PartialEq>(field: &'static str, sent: &T, own: &T) -> Result<(), TradeError> {
    if sent == own { Ok(()) } else { Err(TradeError::TermsMismatch { field }) }
}

#[cfg(test)]
mod tests;
