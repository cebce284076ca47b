//! What both parties show of a disputed order, and the rule by which a plain arbitrator decides: the promised schema and
//! the hash that was posted on chain, checked again.

use haggle_base::{Coded as _, Hash, OrderId, Usdc};
use serde::Serialize;

use crate::{config::Venue, error::TradeError, schema, terms::Agreement};

/// What one side shows of an order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Case {
    /// The terms, signed by the buyer.
    pub terms: Vec<u8>,
    /// The text of the promised output schema, if there is one.
    pub schema: Option<Vec<u8>>,
    /// The output, if this side holds one.
    pub output: Option<Vec<u8>>,
    /// The provider's signed receipt, if this side holds one.
    pub receipt: Option<Vec<u8>>,
    /// What the buyer says went wrong, if this side knows it; its blake3 stands on chain.
    pub evidence: Option<Vec<u8>>,
}

/// What a buyer says went wrong: JSON, the blake3 of which stands on chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Evidence<'a> {
    /// The order.
    pub order: OrderId,
    /// `schema_mismatch`, `delivery_mismatch`, `not_handed_over` or `by_hand`.
    pub claim: &'a str,
    /// The owner's own words, if it said something.
    pub says: Option<&'a str>,
    /// What the provider posted as delivered.
    pub posted: Option<Hash>,
    /// blake3 of the output that came.
    pub output: Option<Hash>,
    /// blake3 of the promised schema's text.
    pub schema: Option<Hash>,
}

/// A decision, with its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// What the provider gets of the price.
    pub pay: Usdc,
    /// Why, as a stable code.
    pub why: &'static str,
}

/// Rules on an order from what was posted on chain and what both sides show: the provider is paid if somebody shows an
/// output with the posted hash that fits the promised schema, else the buyer gets everything back.
///
/// # Errors
/// `terms_mismatch` if nobody shows the order's terms, `bad_document` if nobody shows the schema they name.
pub fn rule(order: &OrderId, posted: Option<&Hash>, cases: &[Case], venue: &Venue) -> Result<Ruling, TradeError> {
    let agreement = cases
        .iter()
        .filter_map(|case| Agreement::open_from_buyer(&case.terms, venue).ok())
        .find(|agreement| agreement.id == *order)
        .ok_or(TradeError::TermsMismatch { field: "terms" })?;
    let nothing = |why| Ok(Ruling { pay: Usdc::ZERO, why });
    let Some(posted) = posted else { return nothing("nothing_posted") };
    let mut outputs = cases.iter().filter_map(|case| case.output.as_deref());
    let Some(output) = outputs.find(|output| Hash::of(output) == *posted) else {
        return nothing("posted_output_not_shown");
    };
    let schema = match &agreement.terms.output_schema {
        None => None,
        Some(hash) => {
            let mut shown = cases.iter().filter_map(|case| case.schema.as_deref());
            let text = shown.find(|text| Hash::of(text) == *hash).ok_or(crate::error::Refusal::BadDocument)?;
            Some(std::str::from_utf8(text).map_err(|_| TradeError::BadSchema)?)
        }
    };
    match schema::check(schema, output)? {
        schema::Fit::Fits => Ok(Ruling { pay: agreement.terms.price, why: "posted_output_fits" }),
        schema::Fit::Misfits => nothing(TradeError::SchemaMismatch.code()),
    }
}
