//! Making attestations: what one side says about an order that is settled.

use std::time::Duration;

use alloy_primitives::{Address, B256};

use haggle_base::{
    Attestation, AttestationKind, Blob, Body, ClosedBy, EvmSignature, Hash, NetworkId, OrderId, Parties, Record, Side,
    Text, Timestamp, Usdc,
};

use crate::{
    ReputationError,
    ports::{ChainFacts, SettledFact},
};

/// How long an attestation lives: as long as the kind allows, and never refreshed.
const TTL: Duration = Attestation::MAX_TTL;

/// What a side knows about an order of its own that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettledOrder {
    /// The chain of the escrow.
    pub chain_id: u64,
    /// The escrow.
    pub escrow: Address,
    /// The order.
    pub order: OrderId,
    /// Both agents and their addresses, from the signed terms.
    pub parties: Parties,
    /// blake3 of the rest of the signed terms.
    pub terms_rest: Hash,
    /// What was bought, such as the listing's skill.
    pub capability: Text<64>,
    /// The order's amount.
    pub amount: Usdc,
    /// What the provider got.
    pub paid: Usdc,
    /// What the fee recipient is owed.
    pub fee: Usdc,
    /// What ended the order.
    pub closed_by: ClosedBy,
    /// From request to answer, in milliseconds.
    pub latency_ms: u32,
    /// blake3 of the input.
    pub request_hash: Hash,
    /// blake3 of the output, if there was one.
    pub response_hash: Option<Hash>,
    /// The provider's signature over the order.
    pub provider_consent: Option<EvmSignature>,
}

/// Which of the two versions of an attestation a record is. Only a rating has a second one.
///
/// It is the record's `seq`, so that every node agrees on which one stands, however it got them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revision {
    /// As it was said first.
    First,
    /// As it was corrected, once.
    Second,
}

impl Revision {
    /// The record's `seq`.
    #[must_use]
    pub const fn seq(self) -> u64 {
        match self {
            Self::First => 1,
            Self::Second => 2,
        }
    }
}

/// What `side` attests: the receipt, and its rating of the other side if it gives one. `sign` signs digests with the
/// side's payment key.
///
/// # Errors
/// `rating_out_of_range`, `wallet_missing` if `sign` cannot, `attestation_unbacked` or `attestation_mismatch` if the chain
/// did not settle the order, or not so.
pub fn attest(
    settled: &SettledOrder,
    side: Side,
    rating: Option<u8>,
    chain: &dyn ChainFacts,
    sign: impl Fn(&B256) -> Option<EvmSignature>,
) -> Result<Vec<Attestation>, ReputationError> {
    let fact = chain.settled(&settled.order).ok_or(ReputationError::Unbacked)?;
    let SettledFact { closed_by, paid, fee, .. } = fact;
    if (closed_by, paid, fee) != (settled.closed_by, settled.paid, settled.fee) {
        return Err(ReputationError::NotAsSettled);
    }
    if rating.is_some_and(|stars| !(1..=5).contains(&stars)) {
        return Err(ReputationError::RatingOutOfRange);
    }
    let receipt = body(settled, side, None, &sign)?;
    let rating = rating.map(|stars| body(settled, side, Some(stars), &sign)).transpose()?;
    Ok([Some(receipt), rating].into_iter().flatten().collect())
}

/// The record that carries an attestation, in the slot of its order, side and kind.
#[must_use]
pub fn record(network: &NetworkId, body: Attestation, revision: Revision, now: Timestamp) -> Record<Attestation> {
    let mut record = Record::new(network.clone(), body.slot(), now, TTL, body);
    record.seq = revision.seq();
    record
}

/// The rating a node gives when its owner gives none: five for an order that ended as it should, one for one that paid
/// nothing because the provider failed, and none where the end says nothing about the other side, or where others divided
/// the money: how well the work was done is then for the owner to say.
#[must_use]
pub fn rating_by_outcome(side: Side, closed_by: ClosedBy) -> Option<u8> {
    match (side, closed_by) {
        (_, ClosedBy::Release) => Some(5),
        (Side::Buyer, ClosedBy::Refund | ClosedBy::Expired | ClosedBy::Uncountered) => Some(1),
        (Side::Provider, ClosedBy::Refund | ClosedBy::Expired | ClosedBy::Uncountered)
        | (
            _,
            ClosedBy::UndeliveredPaid
            | ClosedBy::Timeout
            | ClosedBy::Split
            | ClosedBy::Verdict
            | ClosedBy::Ruling
            | ClosedBy::Silent,
        ) => None,
    }
}

fn body(
    settled: &SettledOrder,
    side: Side,
    rating: Option<u8>,
    sign: &impl Fn(&B256) -> Option<EvmSignature>,
) -> Result<Attestation, ReputationError> {
    let parties = settled.parties.to_bytes().ok().and_then(|bytes| Blob::try_from(bytes).ok());
    let mut body = Attestation {
        attestation: if rating.is_some() { AttestationKind::Rating } else { AttestationKind::Receipt },
        side,
        chain_id: settled.chain_id,
        escrow: settled.escrow,
        order: settled.order,
        subject: settled.parties.did(side.other()),
        buyer: settled.parties.buyer,
        provider: settled.parties.provider,
        parties: parties.ok_or(ReputationError::PartiesInvalid)?,
        terms_rest: settled.terms_rest,
        capability: settled.capability.clone(),
        amount: settled.amount,
        fee: settled.fee,
        closed_by: settled.closed_by,
        paid: settled.paid,
        latency_ms: settled.latency_ms,
        request_hash: settled.request_hash,
        response_hash: settled.response_hash,
        rating,
        provider_consent: settled.provider_consent,
        signature: unsigned()?,
    };
    body.signature = sign(&body.digest()).ok_or(ReputationError::KeyMissing)?;
    Ok(body)
}

/// A well-formed signature by nobody, to stand in while the digest is computed: the digest does not cover it.
fn unsigned() -> Result<EvmSignature, ReputationError> {
    let mut bytes = [0; 65];
    (bytes[31], bytes[63], bytes[64]) = (1, 1, 27);
    EvmSignature::from_bytes(bytes).map_err(|_| ReputationError::KeyMissing)
}
