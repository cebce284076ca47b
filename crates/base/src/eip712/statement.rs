//! What is signed about x402 offers and receipts: the types of the x402 extension `offer-receipt`.
//!
//! Both are off-chain statements in a domain of the constant chain id 1, whatever chain the money moves on; the chain
//! stands in the statement. The fields are the extension's own, so the texts are signed as they travel.

use std::sync::LazyLock;

use alloy_sol_types::sol;

use super::{Domain, domain};

/// Name of the domain of offers.
pub const OFFER_NAME: &str = "x402 offer";
/// Name of the domain of receipts.
pub const RECEIPT_NAME: &str = "x402 receipt";
/// Version of both domains.
pub const STATEMENT_VERSION: &str = "1";
/// The chain id of both domains.
const STATEMENT_CHAIN: u64 = 1;

sol! {
    /// A seller commits itself to one way to pay.
    #[derive(Debug, PartialEq, Eq)]
    struct Offer {
        /// 1.
        uint256 version;
        /// What is sold.
        string resourceUrl;
        /// How money moves.
        string scheme;
        /// The chain, by its CAIP-2 name.
        string network;
        /// The token.
        string asset;
        /// Who is paid.
        string payTo;
        /// The price in base units.
        string amount;
        /// Unix seconds, or 0 for no end.
        uint256 validUntil;
    }

    /// A seller says that it was paid.
    #[derive(Debug, PartialEq, Eq)]
    struct Receipt {
        /// 1.
        uint256 version;
        /// The chain, by its CAIP-2 name.
        string network;
        /// What was sold.
        string resourceUrl;
        /// Who paid.
        string payer;
        /// Unix seconds.
        uint256 issuedAt;
        /// The transaction that paid, or empty.
        string transaction;
    }
}

/// The domain of offers.
#[must_use]
pub fn offer_domain() -> &'static Domain {
    static DOMAIN: LazyLock<Domain> = LazyLock::new(|| domain(OFFER_NAME, STATEMENT_VERSION, STATEMENT_CHAIN, None));
    &DOMAIN
}

/// The domain of receipts.
#[must_use]
pub fn receipt_domain() -> &'static Domain {
    static DOMAIN: LazyLock<Domain> = LazyLock::new(|| domain(RECEIPT_NAME, STATEMENT_VERSION, STATEMENT_CHAIN, None));
    &DOMAIN
}
