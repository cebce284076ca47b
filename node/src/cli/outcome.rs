//! How a command ends: exit codes, and errors that say the next command.

use crate::error::NodeError;
use haggle_base::Coded;
use haggle_gateway::ApiError;
use serde::Serialize;
use std::process::ExitCode;

/// The exit codes, as `haggle --help` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Failed.
    Failure = 1,
    /// Typed wrongly.
    Usage = 2,
    /// No such thing.
    NotFound = 3,
    /// Refused by a budget or policy.
    Refused = 4,
    /// The payment failed.
    Payment = 5,
    /// The remote agent failed.
    Remote = 6,
    /// Not done in time; the state is unknown.
    Timeout = 7,
    /// No node runs.
    NotRunning = 8,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CliError {
    /// Stable code.
    pub code: String,
    /// What went wrong.
    pub detail: String,
    /// What to do about it.
    pub hint: String,
    #[serde(skip)]
    pub(crate) exit: Exit,
    /// The command's JSON object has said it already.
    #[serde(skip)]
    pub(crate) told: bool,
}

impl CliError {
    /// An error that ends with [`Exit::Failure`] unless its code belongs to a class of its own.
    #[must_use]
    pub fn failure(code: &str, detail: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { code: code.to_owned(), detail: detail.into(), hint: hint.into(), exit: exit_of(code), told: false }
    }

    /// The same, where the command's JSON object has said it already.
    #[must_use]
    pub(crate) fn told(mut self) -> Self {
        self.told = true;
        self
    }

    /// No node answers.
    #[must_use]
    pub fn not_running(detail: impl Into<String>) -> Self {
        Self {
            exit: Exit::NotRunning,
            ..Self::failure("not_running", detail, "start it with `haggle up`, or try `haggle demo`")
        }
    }
}

fn exit_of(code: &str) -> Exit {
    match code {
        "peer_not_found" | "card_not_found" | "listing_not_found" | "order_not_found" | "agent_not_found"
        | "route_not_found" | "no_such_key" | "no_home" | "payment_not_found" | "no_receipt" | "key_not_found"
        | "channel_unknown" => Exit::NotFound,
        "budget_per_call" | "budget_per_day" | "unauthorized" | "above_max_price" | "key_allowance" => Exit::Refused,
        "insufficient_funds" | "binding_missing" | "binding_expired" | "binding_invalid" | "already_authorised"
        | "refunded" => Exit::Payment,
        "remote_failed"
        | "self_test_failed"
        | "schema_mismatch"
        | "invalid_agent_response"
        | "peer_unreachable"
        | "unreachable"
        | "provider_unreachable"
        | "quote_refused"
        | "refund_refused"
        | "seller_not_there"
        | "no_agreement" => Exit::Remote,
        "deadline_exceeded" | "open_timeout" | "timeout" | "unknown_outcome" | "refund_not_seen" => Exit::Timeout,
        "usage" | "unknown_sort" | "invalid_query" | "invalid_body" | "input_too_large" | "invalid_input"
        | "bad_amount" | "too_many_decimals" => Exit::Usage,
        _ => Exit::Failure,
    }
}

impl From<ApiError> for CliError {
    fn from(problem: ApiError) -> Self {
        Self::failure(&problem.code, problem.detail, problem.hint)
    }
}

impl From<NodeError> for CliError {
    fn from(error: NodeError) -> Self {
        Self::failure(error.code(), error.to_string(), error.hint())
    }
}

impl std::fmt::Display for CliError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.detail, self.code)
    }
}

impl std::error::Error for CliError {}
