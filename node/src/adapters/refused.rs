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
        other => {
            let mut reason = format!("{}: {other}", other.code());
            let end = (0..=reason.len().min(128)).rev().find(|at| reason.is_char_boundary(*at)).unwrap_or(0);
            reason.truncate(end);
            reason.retain(|letter| !letter.is_control());
            // a reason that still does not fit says at least which one it was
            let reason = Text::try_from(reason).or_else(|_| Text::try_from(other.code())).unwrap_or_default();
            ChainError::Refused { reason }
        }
    }
}
