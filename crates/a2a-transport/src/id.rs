//! Ids that nobody can guess.

use haggle_a2a::{A2aError, Kind};

/// 128 random bits as text: for tasks, contexts, messages and artifacts.
pub(crate) fn random() -> Result<String, A2aError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| A2aError::new(Kind::Internal, "the system gave no random bytes"))?;
    Ok(hex::encode(bytes))
}
