//! The escrow room's errors in settlement's words.

use haggle_base::{Coded, Text};
use haggle_escrow::EscrowError;
use haggle_settlement::ports::ChainError;

/// What settlement is told of an error: whether to ask again, to look first, or to believe the refusal.
pub(crate) fn refused(error: &EscrowError) -> ChainError {
    match error {
        EscrowError::RpcDown { .. }
        | EscrowError::RpcBadAnswer
        | EscrowError::NoAgreement { .. }
        | EscrowError::TooManyUnderWay { .. } => ChainError::Down,
        EscrowError::UnknownOutcome { .. } => ChainError::OutcomeUnknown,
        other => ChainError::Refused { reason: shortened(other) },
    }
}

/// An error's code and words, as far as they fit.
pub(crate) fn shortened(error: &EscrowError) -> Text<128> {
    let mut reason = format!("{}: {error}", error.code());
    let end = (0..=reason.len().min(128)).rev().find(|at| reason.is_char_boundary(*at)).unwrap_or(0);
    reason.truncate(end);
    reason.retain(|letter| !letter.is_control());
    // a reason that still does not fit says at least which one it was
    Text::try_from(reason).or_else(|_| Text::try_from(error.code())).unwrap_or_default()
}
