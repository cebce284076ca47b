//! `echo`, and the agents that misbehave on purpose.

use serde_json::{Value, json};

/// Gives back what it gets.
pub(super) fn echo(input: &Value) -> Value {
    input.clone()
}

/// Fails for half of all calls, decided by the call's own id, so that a retry of one call fails again.
pub(super) fn flaky(input: &Value, call: &str) -> Result<Value, String> {
    if blake3::hash(call.as_bytes()).as_bytes()[0] & 1 == 1 {
        return Err("flaky failed, as it does for half of all calls".to_owned());
    }
    Ok(echo(input))
}

/// An answer that fits no digest.
pub(super) fn lie() -> Value {
    json!({"words": "many", "trust": "me"})
}
