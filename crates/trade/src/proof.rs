//! The proof that an order was worked and paid: signed bytes that anybody can check without a network.
//!
//! Three documents hold together. The buyer signed the **terms**, from which the on-chain order and its id follow; the
//! provider signed, under that id, the **delivery**; and one of both signed the **settlement**, which is what it read on
//! the chain. Whether the transaction really stands there is the one thing that only the chain knows.

use alloy_primitives::{Address, B256, Bytes};
use haggle_base::{
    ClosedBy, Coded, Did, Hash, NetworkId, OrderId, Side, Text, Timestamp, Usdc,
    cbor::{self, CborError},
    cose::{self, CoseError},
    network_file::Arbitration,
};
use serde::{Deserialize, Serialize};

use crate::{
    document::{MAX_RECEIPT_BYTES, RECEIPT_KIND, Receipt},
    error::TradeError,
    terms::{Agreement, MAX_TERMS_BYTES, TERMS_KIND},
};

/// COSE kind of a settlement.
pub const SETTLEMENT_KIND: &str = "settlement";
/// Largest signed settlement, in bytes.
pub const MAX_SETTLEMENT_BYTES: usize = 768;

/// How the chain closed an order, as one of its parties read it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settlement {
    /// The order.
    pub order: OrderId,
    /// Which exit closed it.
    pub closed_by: ClosedBy,
    /// What the provider got.
    pub paid: Usdc,
    /// The fee that was taken.
    pub fee: Usdc,
    /// What the buyer got back.
    pub refunded: Usdc,
    /// The closing transaction.
    pub tx: B256,
    /// Its block.
    pub block: u64,
    /// That block's time.
    pub at: Timestamp,
}

/// The signed bytes, and the one thing of the network file that the order's id depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderProof {
    /// Who rules on disputes of the network's orders, if somebody does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arbitration: Option<Arbitration>,
    /// The terms, signed by the buyer.
    pub terms: Bytes,
    /// The receipt, signed by the provider.
    pub delivery: Bytes,
    /// The [`Settlement`], signed by whichever party exported it.
    pub settlement: Bytes,
}

/// What an [`OrderProof`] proves. Times are RFC 3339.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrderFacts {
    /// The order's id.
    pub order: OrderId,
    /// The network both traded in.
    pub network: NetworkId,
    /// The chain of the escrow.
    pub chain_id: u64,
    /// The escrow contract.
    pub escrow: Address,
    /// Who bought.
    pub buyer: Did,
    /// The address it paid from.
    pub buyer_address: Address,
    /// Who sold.
    pub seller: Did,
    /// The address it was paid at.
    pub seller_address: Address,
    /// What was bought.
    pub capability: Text<64>,
    /// The price.
    pub price: Usdc,
    /// What the buyer paid in.
    pub total: Usdc,
    /// blake3 of the input.
    pub input: Hash,
    /// blake3 of the output.
    pub output: Hash,
    /// Size of the output in bytes.
    pub output_bytes: u64,
    /// When the output was made, by the seller's clock.
    pub delivered_at: String,
    /// Which exit closed the order.
    pub closed_by: ClosedBy,
    /// What the seller got.
    pub paid: Usdc,
    /// The fee that was taken.
    pub fee: Usdc,
    /// What the buyer got back.
    pub refunded: Usdc,
    /// The closing transaction.
    pub tx: B256,
    /// Its block.
    pub block: u64,
    /// That block's time.
    pub settled_at: String,
    /// Who says how it was settled.
    pub settled_by: Did,
}

/// Why a proof proves nothing; each names the part that does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// A part is not a document of its kind.
    #[error("proof.{part} is not a signed document of its kind: {why}")]
    Malformed {
        /// `terms`, `delivery` or `settlement`.
        part: &'static str,
        /// What is wrong with its bytes.
        why: String,
    },
    /// A part's signature does not verify, or is somebody else's.
    #[error("proof.{part} is not signed by {by}")]
    BadSignature {
        /// `terms`, `delivery` or `settlement`.
        part: &'static str,
        /// Who must have signed it.
        by: &'static str,
    },
    /// Two parts say different things.
    #[error("proof.{part} does not fit the signed terms: {field} differs")]
    Mismatch {
        /// `terms`, `delivery` or `settlement`.
        part: &'static str,
        /// The field that differs.
        field: &'static str,
    },
}

impl Coded for ProofError {
    fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "receipt_malformed",
            Self::BadSignature { .. } => "receipt_forged",
            Self::Mismatch { .. } => "receipt_mismatch",
        }
    }

    fn hint(&self) -> &'static str {
        "ask for the receipt again, and take it as it comes: nothing in it may be changed"
    }
}

impl OrderProof {
    /// Checks every signature, and that the three documents are about one order and its amounts.
    ///
    /// # Errors
    /// The first [`ProofError`] found.
    pub fn check(&self) -> Result<OrderFacts, ProofError> {
        let agreement = self.agreement()?;
        let (terms, parties) = (&agreement.terms, &agreement.parties);
        let (author, delivery) = open::<Receipt>("delivery", RECEIPT_KIND, &self.delivery, MAX_RECEIPT_BYTES)?;
        if author != parties.provider {
            return Err(ProofError::BadSignature { part: "delivery", by: "the seller of the terms" });
        }
        if delivery.order != agreement.id {
            return Err(ProofError::Mismatch { part: "delivery", field: "order" });
        }
        let (settled_by, settlement) =
            open::<Settlement>("settlement", SETTLEMENT_KIND, &self.settlement, MAX_SETTLEMENT_BYTES)?;
        if settled_by != parties.provider && settled_by != parties.buyer {
            return Err(ProofError::BadSignature { part: "settlement", by: "a party of the terms" });
        }
        if settlement.order != agreement.id {
            return Err(ProofError::Mismatch { part: "settlement", field: "order" });
        }
        let total = agreement.deposit().map_err(|error| unusable(&error))?;
        let moved = settlement.paid.checked_add(settlement.fee).and_then(|sum| sum.checked_add(settlement.refunded));
        if moved != Some(total) {
            return Err(ProofError::Mismatch { part: "settlement", field: "the sum of paid, fee and refunded" });
        }
        Ok(OrderFacts {
            order: agreement.id,
            network: terms.network.clone(),
            chain_id: terms.chain_id,
            escrow: terms.escrow,
            buyer: parties.buyer,
            buyer_address: parties.buyer_address,
            seller: parties.provider,
            seller_address: parties.provider_address,
            capability: terms.capability.clone(),
            price: terms.price,
            total,
            input: terms.input,
            output: delivery.output,
            output_bytes: delivery.output_bytes,
            delivered_at: delivery.at.to_rfc3339(),
            closed_by: settlement.closed_by,
            paid: settlement.paid,
            fee: settlement.fee,
            refunded: settlement.refunded,
            tx: settlement.tx,
            block: settlement.block,
            settled_at: settlement.at.to_rfc3339(),
            settled_by,
        })
    }

    /// The terms, which their own buyer must have signed.
    fn agreement(&self) -> Result<Agreement, ProofError> {
        let opened =
            cose::verify(TERMS_KIND, &self.terms, MAX_TERMS_BYTES).map_err(|error| unsigned("terms", &error))?;
        let agreement =
            Agreement::alone(opened.payload, self.arbitration.as_ref()).map_err(|error| unusable(&error))?;
        if opened.author != agreement.parties.buyer {
            return Err(ProofError::BadSignature { part: "terms", by: "the buyer of the terms" });
        }
        Ok(agreement)
    }
}

impl OrderFacts {
    /// Which side says how the order was settled.
    #[must_use]
    pub fn settled_side(&self) -> Side {
        if self.settled_by == self.buyer { Side::Buyer } else { Side::Provider }
    }
}

fn open<T: Serialize + for<'de> Deserialize<'de>>(
    part: &'static str,
    kind: &'static str,
    bytes: &[u8],
    max: usize,
) -> Result<(Did, T), ProofError> {
    let opened = cose::verify(kind, bytes, max).map_err(|error| unsigned(part, &error))?;
    let read = cbor::from_slice(&opened.payload, max)
        .map_err(|error: CborError| ProofError::Malformed { part, why: error.to_string() })?;
    Ok((opened.author, read))
}

fn unsigned(part: &'static str, error: &CoseError) -> ProofError {
    match error {
        CoseError::BadSignature => ProofError::BadSignature { part, by: "the key it names" },
        other => ProofError::Malformed { part, why: other.to_string() },
    }
}

fn unusable(error: &TradeError) -> ProofError {
    match error {
        TradeError::TermsMismatch { field } => ProofError::Mismatch { part: "terms", field },
        other => ProofError::Malformed { part: "terms", why: other.to_string() },
    }
}

#[cfg(test)]
mod tests;
