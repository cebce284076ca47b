//! Holding an attestation against the chain, without doing anything.
//!
//! A verified record already proves a good deal: that the agent of the side signed it, that the payment key named in the
//! parties signed its receipt, that the subject is the other side, and that the provider's consent, if it is carried, is
//! the provider's. Here the chain says the rest.

use alloy_primitives::Address;

use haggle_base::{Attestation, AttestationKind, Coded, Verified};

use crate::{
    attest::Revision,
    book::Evidence,
    ports::{Bindings, ChainFacts},
};

/// The one escrow whose orders count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pin {
    /// Its chain.
    pub chain_id: u64,
    /// Its address. It holds one token, so that is pinned with it.
    pub escrow: Address,
}

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Checked {
    /// The chain says the same.
    True(Box<Evidence>),
    /// The order's end was not read from the chain yet; it may come.
    Unbacked,
    /// It never counts here.
    Refused(Refusal),
}

/// Why an attestation never counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Refusal {
    /// Another chain than the network file names.
    #[error("the attestation is about another chain")]
    WrongChain,
    /// Another escrow than the network file names.
    #[error("the attestation is about another escrow")]
    WrongEscrow,
    /// A second version of a receipt, or a third one of a rating.
    #[error("the attestation was changed more often than its kind allows")]
    Revised,
    /// The parties and the rest do not hash to the terms that were funded.
    #[error("the attestation's terms are not the ones that were funded")]
    OtherTerms,
    /// The addresses in the parties are not the ones that the chain saw.
    #[error("the attestation's addresses are not the ones on the chain")]
    OtherAddresses,
    /// An amount is not what the chain saw.
    #[error("the attestation's amounts are not the ones on the chain")]
    OtherAmounts,
    /// The order ended differently.
    #[error("the order ended differently on the chain")]
    OtherEnd,
}

impl Coded for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::WrongChain => "attestation_wrong_chain",
            Self::WrongEscrow => "attestation_wrong_escrow",
            Self::Revised => "attestation_revised",
            Self::OtherTerms => "attestation_other_terms",
            Self::OtherAddresses => "attestation_other_addresses",
            Self::OtherAmounts => "attestation_other_amounts",
            Self::OtherEnd => "attestation_other_end",
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::WrongChain | Self::WrongEscrow => "attest orders of the escrow that the network file names",
            Self::Revised => "a receipt is final, a rating can be changed once",
            Self::OtherTerms => "carry the parties and the hash of the rest of the terms that were signed",
            Self::OtherAddresses | Self::OtherAmounts | Self::OtherEnd => "attest what the escrow settled",
        }
    }
}

/// Holds a verified attestation against the chain.
pub fn check(record: &Verified<Attestation>, pin: &Pin, chain: &dyn ChainFacts, bindings: &dyn Bindings) -> Checked {
    let (body, seq) = (record.body(), record.record().seq);
    if body.chain_id != pin.chain_id {
        return Checked::Refused(Refusal::WrongChain);
    }
    if body.escrow != pin.escrow {
        return Checked::Refused(Refusal::WrongEscrow);
    }
    let last = match body.attestation {
        AttestationKind::Receipt => Revision::First,
        AttestationKind::Rating => Revision::Second,
    };
    if !(Revision::First.seq()..=last.seq()).contains(&seq) {
        return Checked::Refused(Refusal::Revised);
    }
    // The record's own check has read the parties before; bytes that cannot be read prove no terms.
    let Ok(parties) = body.read_parties() else {
        return Checked::Refused(Refusal::OtherTerms);
    };
    let Some(funded) = chain.funded(&body.order) else {
        return Checked::Unbacked;
    };
    if body.terms() != funded.terms {
        return Checked::Refused(Refusal::OtherTerms);
    }
    if (parties.buyer_address, parties.provider_address) != (funded.buyer, funded.provider) {
        return Checked::Refused(Refusal::OtherAddresses);
    }
    if body.amount != funded.amount {
        return Checked::Refused(Refusal::OtherAmounts);
    }
    // An order's id fixes its terms, addresses and amount, so what lies about those need not wait for the order's end.
    let Some(settled) = chain.settled(&body.order) else {
        return Checked::Unbacked;
    };
    if (body.paid, body.fee) != (settled.paid, settled.fee) {
        return Checked::Refused(Refusal::OtherAmounts);
    }
    if body.closed_by != settled.closed_by {
        return Checked::Refused(Refusal::OtherEnd);
    }
    let other = body.side.other();
    Checked::True(Box::new(Evidence {
        record: record.id(),
        seq,
        kind: body.attestation,
        side: body.side,
        order: body.order,
        parties,
        capability: body.capability.clone(),
        amount: body.amount,
        paid: body.paid,
        fee: body.fee,
        refunded: settled.refunded,
        closed_by: body.closed_by,
        consented: body.provider_consent.is_some(),
        latency_ms: body.latency_ms,
        responded: body.response_hash.is_some(),
        rating: body.rating,
        settled_at: settled.time,
        tx: settled.tx,
        other_bound: bindings.is_bound(&parties.did(other), &parties.address(other)),
    }))
}
