//! The two smaller signed documents of a trade: the provider's quote and its delivery receipt.

use haggle_base::{Did, Hash, OrderId, RecordId, Text, Timestamp, Usdc, cbor, cose};
use serde::{Deserialize, Serialize};

use crate::{
    error::{Refusal, TradeError},
    offer::Offer,
    terms::{Agreement, Fee, same},
};

/// COSE kind of a quote.
pub const QUOTE_KIND: &str = "quote";
/// COSE kind of a delivery receipt.
pub const RECEIPT_KIND: &str = "receipt";
/// Largest signed quote, in bytes.
pub const MAX_QUOTE_BYTES: usize = 1_536;
/// Largest signed receipt, in bytes.
pub const MAX_RECEIPT_BYTES: usize = 768;

/// A price the provider stands by until `expires`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quote {
    /// The buyer's request that it answers.
    pub request: Hash,
    /// For whom.
    pub buyer: Did,
    /// By whom.
    pub provider: Did,
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
    /// blake3 of the input it is for.
    pub input: Hash,
    /// blake3 of the output schema's text, if the listing has one.
    pub output_schema: Option<Hash>,
    /// The price.
    pub price: Usdc,
    /// The fee.
    pub fee: Fee,
    /// Seconds from `fund_by` to delivery.
    pub deliver_within_secs: u32,
    /// Seconds to object after an on-chain delivery.
    pub review_secs: u32,
    /// Wall time after which it is void.
    pub expires: Timestamp,
}

/// A quote that verified, with its id and bytes as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedQuote {
    /// What is quoted.
    pub quote: Quote,
    /// The id of the signed document.
    pub id: Hash,
}

impl Quote {
    /// Opens a quote that `provider` must have signed.
    ///
    /// # Errors
    /// A malformed document, or [`Refusal::BadSignature`] if somebody else signed it.
    pub fn open(signed: &[u8], provider: &Did) -> Result<SignedQuote, TradeError> {
        let opened = cose::verify(QUOTE_KIND, signed, MAX_QUOTE_BYTES)?;
        let quote: Self = cbor::from_slice(&opened.payload, MAX_QUOTE_BYTES)?;
        if opened.author != *provider || quote.provider != *provider {
            return Err(Refusal::BadSignature.into());
        }
        Ok(SignedQuote { quote, id: opened.id })
    }

    /// Checks a quote against the offer it must be for.
    ///
    /// # Errors
    /// [`Refusal::ListingChanged`] for another version, [`TradeError::TermsMismatch`] naming the field.
    pub fn check_offer(&self, offer: &Offer) -> Result<(), TradeError> {
        if self.listing != offer.listing || self.seq != offer.seq || self.slot != offer.slot {
            return Err(Refusal::ListingChanged.into());
        }
        same("provider", &self.provider, &offer.provider)?;
        same("skill", &self.skill, &offer.skill)?;
        same("capability", &self.capability, &offer.capability)?;
        same("output_schema", &self.output_schema, &schema_hash(offer.output_schema.as_deref()))?;
        same("deliver_within_secs", &self.deliver_within_secs, &offer.deliver_within_secs)?;
        same("review_secs", &self.review_secs, &offer.review_secs)
    }

    /// Whether it still holds.
    ///
    /// # Errors
    /// [`Refusal::QuoteExpired`].
    pub fn check_time(&self, now: Timestamp) -> Result<(), TradeError> {
        if now < self.expires { Ok(()) } else { Err(Refusal::QuoteExpired.into()) }
    }
}

impl SignedQuote {
    /// Checks that terms say what this quote says.
    ///
    /// # Errors
    /// [`TradeError::TermsMismatch`] naming the first field that differs.
    pub fn check_terms(&self, agreement: &Agreement) -> Result<(), TradeError> {
        let (quote, terms, parties) = (&self.quote, &agreement.terms, &agreement.parties);
        same("quote", &terms.quote, &self.id)?;
        same("buyer", &parties.buyer, &quote.buyer)?;
        same("provider", &parties.provider, &quote.provider)?;
        same("listing", &terms.listing, &quote.listing)?;
        same("slot", &terms.slot, &quote.slot)?;
        same("seq", &terms.seq, &quote.seq)?;
        same("skill", &terms.skill, &quote.skill)?;
        same("capability", &terms.capability, &quote.capability)?;
        same("input", &terms.input, &quote.input)?;
        same("output_schema", &terms.output_schema, &quote.output_schema)?;
        same("price", &terms.price, &quote.price)?;
        same("fee", &terms.fee, &quote.fee)?;
        same("review_secs", &terms.review_secs, &quote.review_secs)?;
        same("sla", &terms.sla.deliver_within_secs, &quote.deliver_within_secs)
    }
}

/// blake3 of a schema's text.
pub fn schema_hash(schema: Option<&str>) -> Option<Hash> {
    schema.map(|text| Hash::of(text.as_bytes()))
}

/// The provider's word that it made this output for this order. It moves no money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The order.
    pub order: OrderId,
    /// blake3 of the output bytes.
    pub output: Hash,
    /// Size of the output in bytes.
    pub output_bytes: u64,
    /// When it was made, wall time of the provider.
    pub at: Timestamp,
}

impl Receipt {
    /// Opens a receipt that `provider` must have signed for `order`.
    ///
    /// # Errors
    /// A malformed document, [`Refusal::BadSignature`] if somebody else signed it, or
    /// [`TradeError::TermsMismatch`] if it is for another order.
    pub fn open(signed: &[u8], provider: &Did, order: &OrderId) -> Result<Self, TradeError> {
        let opened = cose::verify(RECEIPT_KIND, signed, MAX_RECEIPT_BYTES)?;
        let receipt: Self = cbor::from_slice(&opened.payload, MAX_RECEIPT_BYTES)?;
        if opened.author != *provider {
            return Err(Refusal::BadSignature.into());
        }
        same("order", &receipt.order, order)?;
        Ok(receipt)
    }
}
