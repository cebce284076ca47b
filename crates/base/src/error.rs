//! What every error of the house has in common: a stable code and a hint.

/// An error with a stable machine-readable code and a sentence that says what to do.
///
/// Codes are `snake_case`, never change once published, and travel in problem+json, in A2A
/// `ErrorInfo` details and in logs. Hints are for people and may be reworded at any time.
pub trait Coded: std::error::Error {
    /// The stable code, for example `bad_signature`.
    fn code(&self) -> &'static str;

    /// What the caller can do about it, as one plain sentence.
    fn hint(&self) -> &'static str;
}
