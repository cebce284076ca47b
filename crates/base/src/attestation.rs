//! What one side of a settled order says about it, with everything a stranger needs to check it.

use std::time::Duration;

use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};

use crate::bounded::{Blob, Text};
use crate::cbor::{self, CborError};
use crate::did::Did;
use crate::eip712::{Domain, SettledReceipt, digest, escrow_domain};
use crate::evm_signature::EvmSignature;
use crate::hash::Hash;
use crate::ids::OrderId;
use crate::keys::PaymentKey;
use crate::money::Usdc;
use crate::record::{Body, Kind, RecordError};

/// The largest parties document, in bytes.
pub const MAX_PARTIES_BYTES: usize = 512;

/// What is attested.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttestationKind {
    /// How the order was settled.
    Receipt,
    /// What the other side was worth, 1 to 5.
    Rating,
}

/// A side of an order.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Who pays.
    Buyer,
    /// Who is paid.
    Provider,
}

/// What settled an order, as the escrow contract's outcome codes have it.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClosedBy {
    /// The buyer released the payment (1).
    Release,
    /// The provider gave it back (2).
    Refund,
    /// Nothing was delivered in time; the buyer was refunded (3).
    Expired,
    /// Nothing was delivered in time; the order's terms paid the provider all the same (4).
    UndeliveredPaid,
    /// Delivered on chain, and the review window passed without a release (5).
    Timeout,
    /// Buyer and provider agreed on a division (6).
    Split,
    /// The validator divided it (7).
    Verdict,
    /// The provider did not stand against a dispute; the buyer was refunded (8).
    Uncountered,
    /// The arbitrator divided it (9).
    Ruling,
    /// The arbitrator stayed silent; the provider got the part that the order names for that (10).
    Silent,
}

impl ClosedBy {
    /// Every outcome.
    pub const ALL: [Self; 10] = [
        Self::Release,
        Self::Refund,
        Self::Expired,
        Self::UndeliveredPaid,
        Self::Timeout,
        Self::Split,
        Self::Verdict,
        Self::Uncountered,
        Self::Ruling,
        Self::Silent,
    ];

    /// The escrow contract's code.
    #[must_use]
    pub const fn outcome(self) -> u8 {
        match self {
            Self::Release => 1,
            Self::Refund => 2,
            Self::Expired => 3,
            Self::UndeliveredPaid => 4,
            Self::Timeout => 5,
            Self::Split => 6,
            Self::Verdict => 7,
            Self::Uncountered => 8,
            Self::Ruling => 9,
            Self::Silent => 10,
        }
    }

    /// Reads the escrow contract's code.
    #[must_use]
    pub fn from_outcome(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|closed| closed.outcome() == code)
    }
}

/// The two agents of an order and the addresses they pay and are paid with.
///
/// Its canonical CBOR is one half of the terms hash, so the DIDs behind an order can be shown
/// without the rest of its terms.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parties {
    /// The buying agent.
    pub buyer: Did,
    /// The providing agent.
    pub provider: Did,
    /// The buyer in the order.
    pub buyer_address: Address,
    /// The provider in the order.
    pub provider_address: Address,
}

impl Parties {
    /// The canonical bytes that are hashed into the terms.
    ///
    /// # Errors
    /// [`CborError`], never for real parties.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CborError> {
        cbor::to_vec(self)
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    /// [`CborError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CborError> {
        cbor::from_slice(bytes, MAX_PARTIES_BYTES)
    }

    /// The agent on a side.
    #[must_use]
    pub const fn did(&self, side: Side) -> Did {
        match side {
            Side::Buyer => self.buyer,
            Side::Provider => self.provider,
        }
    }

    /// The address on a side.
    #[must_use]
    pub const fn address(&self, side: Side) -> Address {
        match side {
            Side::Buyer => self.buyer_address,
            Side::Provider => self.provider_address,
        }
    }
}

impl Side {
    /// The other side.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Buyer => Self::Provider,
            Self::Provider => Self::Buyer,
        }
    }
}

/// The hash of the terms, which stands in the order: blake3(blake3(parties) ‖ blake3(rest)).
#[must_use]
pub fn terms_hash(parties: &[u8], rest: &[u8]) -> Hash {
    terms_hash_from(&Hash::of(parties), &Hash::of(rest))
}

/// The hash of the terms from the hashes of its two halves.
#[must_use]
pub fn terms_hash_from(parties: &Hash, rest: &Hash) -> Hash {
    Hash::of_parts(&[parties.as_bytes(), rest.as_bytes()])
}

/// The body of an attestation record. At most one per order, side and kind counts.
///
/// [`Body::check`] verifies everything that can be verified without the chain: that the payment
/// key of the side signed it and, where it is carried, that the provider consented to the order.
/// That the order was settled so, on this escrow, with these terms, is the chain's to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attestation {
    /// The fee, in base units.
    pub fee: Usdc,
    /// What the provider's side received, in base units.
    pub paid: Usdc,
    /// Which side says it.
    pub side: Side,
    /// The buying agent.
    pub buyer: Did,
    /// The order's id.
    pub order: OrderId,
    /// The price, in base units.
    pub amount: Usdc,
    /// The escrow that held the order.
    pub escrow: Address,
    /// 1 to 5, for a rating.
    pub rating: Option<u8>,
    /// Canonical CBOR of [`Parties`].
    pub parties: Blob<MAX_PARTIES_BYTES>,
    /// The agent it is about: the other side.
    pub subject: Did,
    /// The chain of the escrow.
    pub chain_id: u64,
    /// The providing agent.
    pub provider: Did,
    /// What settled the order.
    pub closed_by: ClosedBy,
    /// By the payment key of `side`, over the [`SettledReceipt`].
    pub signature: EvmSignature,
    /// What was bought, such as the listing's skill.
    pub capability: Text<64>,
    /// From request to answer, in milliseconds.
    pub latency_ms: u32,
    /// blake3 of the rest of the terms.
    pub terms_rest: Hash,
    /// What is attested.
    pub attestation: AttestationKind,
    /// blake3 of the input.
    pub request_hash: Hash,
    /// blake3 of the output, if there was one.
    pub response_hash: Option<Hash>,
    /// The provider's signature over the order's digest: it agreed to be bound.
    pub provider_consent: Option<EvmSignature>,
}

impl Attestation {
    /// The digest that the payment key of `side` signs.
    #[must_use]
    pub fn digest(&self) -> B256 {
        digest(&self.receipt(), &self.domain())
    }

    /// Puts the side's payment signature in place.
    #[must_use]
    pub fn signed(mut self, key: &PaymentKey) -> Self {
        self.signature = key.sign_digest(&self.digest());
        self
    }

    /// The terms hash that the order on chain must carry.
    #[must_use]
    pub fn terms(&self) -> Hash {
        terms_hash_from(&Hash::of(&self.parties), &self.terms_rest)
    }

    /// The slot of its record: one per chain, escrow, order, side and kind.
    ///
    /// # Panics
    /// Never: the text is shorter than the bound.
    #[must_use]
    pub fn slot(&self) -> Text<64> {
        let kind = match self.attestation {
            AttestationKind::Receipt => "receipt",
            AttestationKind::Rating => "rating",
        };
        let place = Hash::of_parts(&[
            &self.chain_id.to_be_bytes(),
            self.escrow.as_slice(),
            self.order.as_bytes(),
            &[self.side as u8],
        ]);
        match Text::try_from(format!("{kind}/{}", &place.to_string()[..40])) {
            Ok(slot) => slot,
            Err(_) => unreachable!("48 bytes of plain text fit"),
        }
    }

    /// The parties document, checked against the DIDs named beside it.
    ///
    /// # Errors
    /// [`RecordError::BadBody`] with code `bad_parties`.
    pub fn read_parties(&self) -> Result<Parties, RecordError> {
        let parties = Parties::from_bytes(&self.parties)
            .map_err(|_| bad("bad_parties", "the parties document cannot be read"))?;
        if parties.buyer != self.buyer || parties.provider != self.provider {
            return Err(bad("bad_parties", "the parties document names other agents"));
        }
        Ok(parties)
    }

    fn domain(&self) -> Domain {
        escrow_domain(self.chain_id, self.escrow)
    }

    fn receipt(&self) -> SettledReceipt {
        let word = |hash: &Hash| B256::from(*hash.as_bytes());
        SettledReceipt {
            orderId: *self.order.as_b256(),
            kind: self.attestation as u8,
            side: self.side as u8,
            subject: self.subject.to_string(),
            buyer: self.buyer.to_string(),
            provider: self.provider.to_string(),
            partiesHash: word(&Hash::of(&self.parties)),
            termsRest: word(&self.terms_rest),
            capability: self.capability.to_string(),
            amount: self.amount.to_u256(),
            fee: self.fee.to_u256(),
            closedBy: self.closed_by.outcome(),
            paid: self.paid.to_u256(),
            latencyMs: self.latency_ms,
            requestHash: word(&self.request_hash),
            responseHash: self.response_hash.as_ref().map_or(B256::ZERO, word),
            rating: self.rating.unwrap_or(0),
        }
    }
}

impl Body for Attestation {
    const KIND: Kind = Kind::Attestation;
    const MAX_BYTES: usize = 2 * 1024;
    const MAX_TTL: Duration = Duration::from_secs(400 * 24 * 3600);

    fn check(&self) -> Result<(), RecordError> {
        let parties = self.read_parties()?;
        if parties.buyer == parties.provider || parties.buyer_address == parties.provider_address {
            return Err(bad("bad_parties", "buyer and provider are the same"));
        }
        if self.subject != parties.did(self.side.other()) {
            return Err(bad("bad_subject", "the subject is not the other side"));
        }
        let rated = matches!(self.rating, Some(1..=5));
        match self.attestation {
            AttestationKind::Rating if !rated => {
                return Err(bad("bad_rating", "a rating is a number from 1 to 5"));
            }
            AttestationKind::Receipt if self.rating.is_some() => {
                return Err(bad("bad_rating", "a receipt carries no rating"));
            }
            AttestationKind::Receipt | AttestationKind::Rating => {}
        }
        if self.paid > self.amount || self.fee > self.amount {
            return Err(bad("bad_amount", "more was paid than the order's amount"));
        }
        self.signature
            .verify(&self.digest(), parties.address(self.side))
            .map_err(|_| bad("bad_signature", "the side's payment key did not sign this"))?;
        match &self.provider_consent {
            None => Ok(()),
            Some(consent) => consent
                .verify(self.order.as_b256(), parties.provider_address)
                .map_err(|_| bad("bad_consent", "the provider did not sign this order")),
        }
    }

    fn check_place(&self, author: &Did, slot: &str) -> Result<(), RecordError> {
        let own = match self.side {
            Side::Buyer => &self.buyer,
            Side::Provider => &self.provider,
        };
        if author != own {
            return Err(RecordError::WrongAuthor);
        }
        if self.slot() != *slot {
            return Err(RecordError::WrongSlot);
        }
        Ok(())
    }
}

const fn bad(code: &'static str, reason: &'static str) -> RecordError {
    RecordError::BadBody { code, reason }
}

#[cfg(test)]
mod tests;
