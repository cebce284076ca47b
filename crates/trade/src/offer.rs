//! What a trade reads of a listing: who sells what, at which price, under which rules.

use haggle_base::{Did, RecordId, Text, Usdc};

/// One version of a listing, as far as a trade needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The seller.
    pub provider: Did,
    /// The listing's record id: this exact version.
    pub listing: RecordId,
    /// The seller's slot that holds it.
    pub slot: Text<64>,
    /// The version.
    pub seq: u64,
    /// What it is called.
    pub title: Text<120>,
    /// The skill that is called.
    pub skill: Text<64>,
    /// The capability that reputation is kept for.
    pub capability: Text<64>,
    /// The price; zero means free, without an order.
    pub price: Usdc,
    /// Seconds the seller needs from funding to delivery.
    pub deliver_within_secs: u32,
    /// Seconds the buyer has to object after an on-chain delivery.
    pub review_secs: u32,
    /// JSON Schema of the input.
    pub input_schema: Option<String>,
    /// JSON Schema of the output.
    pub output_schema: Option<String>,
}
