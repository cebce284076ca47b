//! What can go wrong in a trade, each with a stable code and what to do about it.

use std::fmt;

use haggle_base::{Coded, Text, cbor::CborError, cose::CoseError};
use haggle_store::StoreError;
use serde::{Deserialize, Serialize};

use crate::order::OrderState;

/// What another room answered through a port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct PortError {
    /// The other room's stable code.
    pub code: &'static str,
    /// The other room's hint.
    pub hint: &'static str,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// What the other room said, for people.
    pub detail: String,
}

impl PortError {
    /// The error of another room; `retryable` says whether asking again can help.
    pub fn new<E: Coded + ?Sized>(error: &E, retryable: bool) -> Self {
        Self { code: error.code(), hint: error.hint(), retryable, detail: error.to_string() }
    }

    /// The other side cannot be reached now; asking again later may help.
    pub fn unreachable(detail: impl Into<String>) -> Self {
        Self {
            code: "provider_unreachable",
            hint: "wait for the other side to come back; nothing was paid",
            retryable: true,
            detail: detail.into(),
        }
    }

    /// Whether the chain does not say, or no longer says, that an order ended as its books have it.
    pub(crate) fn is_taken_back(&self) -> bool {
        matches!(self.code, "order_not_settled" | "settlement_mismatch")
    }
}

/// Why a party refuses a message; these words travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The listing's price is zero: send the request without an order.
    FreeNoOrder,
    /// The network has no escrow that could hold an order's money.
    NoEscrow,
    /// No such listing here.
    ListingUnknown,
    /// The listing has a newer version.
    ListingChanged,
    /// No valid binding between the DID and its payment address.
    BindingMissing,
    /// The rounds, the deadline or the limits ended the negotiation.
    NoAgreement,
    /// The quote's time is over.
    QuoteExpired,
    /// A field of the terms or the order is not what was agreed.
    TermsMismatch,
    /// A signature is not the party's.
    BadSignature,
    /// A document is malformed.
    BadDocument,
    /// The input does not fit the listing's schema, or is not the input that was named.
    InvalidInput,
    /// The input is larger than allowed.
    InputTooLarge,
    /// An amount of zero cannot be ordered.
    ZeroAmount,
    /// An amount does not fit.
    AmountOverflow,
    /// No such order, or not yours.
    OrderNotFound,
    /// The order's clocks are outside what this provider signs.
    BadClocks,
    /// This provider has too many open orders.
    CapacityFull,
    /// The order has moved on, so this message no longer applies.
    WrongState,
    /// The provider could not do it now; ask again.
    TryAgain,
    /// A word this version does not know.
    #[serde(other)]
    Other,
}

impl Refusal {
    /// The stable code.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FreeNoOrder => "free_no_order",
            Self::NoEscrow => "no_escrow",
            Self::ListingUnknown => "listing_unknown",
            Self::ListingChanged => "listing_changed",
            Self::BindingMissing => "binding_missing",
            Self::NoAgreement => "no_agreement",
            Self::QuoteExpired => "quote_expired",
            Self::TermsMismatch => "terms_mismatch",
            Self::BadSignature => "bad_signature",
            Self::BadDocument => "bad_document",
            Self::InvalidInput => "invalid_input",
            Self::InputTooLarge => "input_too_large",
            Self::ZeroAmount => "zero_amount",
            Self::AmountOverflow => "amount_overflow",
            Self::OrderNotFound => "order_not_found",
            Self::BadClocks => "bad_clocks",
            Self::CapacityFull => "capacity_full",
            Self::WrongState => "wrong_state",
            Self::TryAgain => "try_again",
            Self::Other => "refused",
        }
    }

    /// What the refused party can do.
    pub fn hint(self) -> &'static str {
        match self {
            Self::FreeNoOrder => "free: no order needed, call the agent directly",
            Self::NoEscrow => "this network has no escrow: pay for one call over x402, with `haggle pay URL`",
            Self::ListingUnknown => "search again: the seller does not offer this listing",
            Self::ListingChanged => "fetch the listing again and ask for a new quote",
            Self::BindingMissing => "publish a card whose payment binding is valid",
            Self::NoAgreement => "raise the budget or choose another seller",
            Self::QuoteExpired => "ask for a new quote",
            Self::TermsMismatch => "build the terms from the quote and sign again",
            Self::BadSignature => "sign with the key of the party named in the document",
            Self::BadDocument => "send a document that follows docs/protocols/negotiate.md",
            Self::InvalidInput => "send an input that fits the listing's input schema",
            Self::InputTooLarge => "send a smaller input",
            Self::ZeroAmount => "free: no order needed, call the agent directly",
            Self::AmountOverflow => "use an amount that fits with its fee",
            Self::OrderNotFound => "check the order id; only its parties can see an order",
            Self::BadClocks => "choose a fund-by within 5 minutes and leave the seller its delivery time",
            Self::CapacityFull => "try later or choose another seller",
            Self::WrongState => "look at the order's state before acting on it",
            Self::TryAgain => "send the same message again",
            Self::Other => "update this node: the other side refused with a newer word",
        }
    }

    /// Whether sending the same message again may succeed.
    pub fn is_retryable(self) -> bool {
        matches!(self, Self::TryAgain)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Any failure of this room.
#[derive(Debug, thiserror::Error)]
pub enum TradeError {
    /// A rule of the trade forbids it; the same words the other side would hear.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// A field of the terms, quote or order differs from what it must be.
    #[error("the field {field} is not what was agreed")]
    TermsMismatch {
        /// The first field that differs.
        field: &'static str,
    },
    /// The listing costs more than the caller allows.
    #[error("the price with its fee is above the caller's maximum")]
    AboveMaxPrice,
    /// The result does not fit the listing's output schema.
    #[error("the result does not fit the output schema")]
    SchemaMismatch,
    /// A schema is not usable (not JSON Schema, or it points elsewhere).
    #[error("the listing's schema is not usable")]
    BadSchema,
    /// The result came after the deadline.
    #[error("the result came after the deadline")]
    TooLate,
    /// The state of the order forbids it.
    #[error("an order in state {state} does not allow this")]
    WrongState {
        /// The state it is in.
        state: OrderState,
    },
    /// The order is not one that the agent's owner answers by hand.
    #[error("the agent of this order does its work itself")]
    NotByHand,
    /// Another output was given before.
    #[error("another output was given for this order")]
    OutputGiven,
    /// An output that is given does not fit what was sold.
    #[error("the output does not fit the listing's output schema")]
    OutputMisfit,
    /// An output that is given is larger than any may be.
    #[error("the output is larger than 640 KiB as JSON")]
    OutputTooLarge,
    /// The order names nobody who could rule on a dispute.
    #[error("the order names no arbitrator")]
    NoArbitrator,
    /// The other side answered something that does not fit the question.
    #[error("the other side's answer does not fit the question")]
    UnexpectedReply,
    /// The other side never answered in time.
    #[error("the other side did not answer in time")]
    Timeout,
    /// This home keeps too many open hires.
    #[error("too many open hires")]
    TooManyHires,
    /// The hire was given up by its owner.
    #[error("cancelled")]
    Cancelled,
    /// Another room refused.
    #[error(transparent)]
    Port(#[from] PortError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A document is not canonical CBOR of the right shape.
    #[error(transparent)]
    Cbor(#[from] CborError),
    /// A signed document does not verify.
    #[error(transparent)]
    Cose(#[from] CoseError),
}

impl From<Refusal> for TradeError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Coded for TradeError {
    fn code(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.as_str(),
            Self::TermsMismatch { .. } => Refusal::TermsMismatch.as_str(),
            Self::AboveMaxPrice => "above_max_price",
            Self::SchemaMismatch => "schema_mismatch",
            Self::BadSchema => "bad_schema",
            Self::TooLate => "too_late",
            Self::WrongState { .. } => Refusal::WrongState.as_str(),
            Self::NotByHand => "not_by_hand",
            Self::OutputGiven => "output_given",
            Self::OutputMisfit => "output_misfit",
            Self::OutputTooLarge => "output_too_large",
            Self::NoArbitrator => "no_arbitrator",
            Self::UnexpectedReply => "unexpected_reply",
            Self::Timeout => "timeout",
            Self::TooManyHires => "too_many_hires",
            Self::Cancelled => "cancelled",
            Self::Port(error) => error.code,
            Self::Store(error) => error.code(),
            Self::Cbor(error) => error.code(),
            Self::Cose(error) => error.code(),
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.hint(),
            Self::TermsMismatch { .. } => Refusal::TermsMismatch.hint(),
            Self::AboveMaxPrice => "raise the maximum or choose a cheaper listing",
            Self::SchemaMismatch => "nothing is paid; the money comes back after the delivery deadline",
            Self::BadSchema => "choose another listing; its seller must publish a self-contained schema",
            Self::TooLate => "nothing is paid; the money comes back after the delivery deadline",
            Self::WrongState { .. } => Refusal::WrongState.hint(),
            Self::NotByHand => "wait for the agent; only an agent that was added as one by hand is answered so",
            Self::OutputGiven => "the first output stands; the order shows it",
            Self::OutputMisfit => "give one that fits the schema, which the listing shows; nothing was delivered",
            Self::OutputTooLarge => "give a smaller one; nothing was delivered",
            Self::NoArbitrator => "trade on a network whose file names an arbitrator; without one nobody can rule",
            Self::UnexpectedReply => "choose another seller; this one does not follow the protocol",
            Self::Timeout => "try again or choose another seller; nothing was paid",
            Self::TooManyHires => "wait for open hires to end",
            Self::Cancelled => "hire again if you still want the work",
            Self::Port(error) => error.hint,
            Self::Store(error) => error.hint(),
            Self::Cbor(error) => error.hint(),
            Self::Cose(error) => error.hint(),
        }
    }
}

impl TradeError {
    /// Whether the same step may succeed later without a change.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.is_retryable(),
            Self::Port(error) => error.retryable,
            Self::Store(_) => true,
            Self::TermsMismatch { .. }
            | Self::AboveMaxPrice
            | Self::SchemaMismatch
            | Self::BadSchema
            | Self::TooLate
            | Self::WrongState { .. }
            | Self::NotByHand
            | Self::OutputGiven
            | Self::OutputMisfit
            | Self::OutputTooLarge
            | Self::NoArbitrator
            | Self::UnexpectedReply
            | Self::Timeout
            | Self::TooManyHires
            | Self::Cancelled
            | Self::Cbor(_)
            | Self::Cose(_) => false,
        }
    }

    /// The word the other side hears for this error.
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Refused(refusal) => *refusal,
            Self::TermsMismatch { .. } => Refusal::TermsMismatch,
            Self::WrongState { .. } => Refusal::WrongState,
            Self::Cbor(_) => Refusal::BadDocument,
            Self::Cose(_) => Refusal::BadSignature,
            Self::BadSchema | Self::SchemaMismatch => Refusal::InvalidInput,
            Self::Port(_) | Self::Store(_) => Refusal::TryAgain,
            Self::TooLate => Refusal::BadClocks,
            Self::AboveMaxPrice
            | Self::NotByHand
            | Self::OutputGiven
            | Self::OutputMisfit
            | Self::OutputTooLarge
            | Self::NoArbitrator
            | Self::UnexpectedReply
            | Self::Timeout
            | Self::TooManyHires
            | Self::Cancelled => Refusal::Other,
        }
    }
}

/// Why an order or hire ended badly, as kept and shown: a stable code.
pub type FailureCode = Text<48>;
