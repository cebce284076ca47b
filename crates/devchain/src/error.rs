//! What a client of the chain can get wrong, as JSON-RPC error objects, and why a chain cannot start.

use std::net::SocketAddr;

use alloy::primitives::{B256, Bytes};
use revm::context_interface::result::{EVMError, InvalidTransaction};
use thiserror::Error;

/// Why a dev chain could not start, or refused an order of its owner.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DevChainError {
    /// The RPC address cannot be bound.
    #[error("cannot listen on {addr}")]
    Listen {
        /// The address asked for.
        addr: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The endpoint hands out play money to whoever asks, so it stays on this machine.
    #[error("{0} is not a loopback address")]
    NotLoopback(SocketAddr),
    /// A committed contract artifact cannot be read or deployed.
    #[error("contract {contract} did not deploy")]
    Genesis {
        /// The contract's name.
        contract: &'static str,
        /// What the chain said.
        #[source]
        source: RpcError,
    },
    /// The chain has no contracts: it was started with `contracts: false`.
    #[error("this chain was started without contracts")]
    NoContracts,
    /// The chain refused.
    #[error(transparent)]
    Rpc(#[from] RpcError),
}

/// Why one JSON-RPC request failed.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RpcError {
    /// The body is not JSON.
    #[error("parse error")]
    Parse,
    /// The body is JSON, but not a request.
    #[error("invalid request: {0}")]
    InvalidRequest(&'static str),
    /// No such method here.
    #[error("the method {0} does not exist or is not available")]
    MethodNotFound(String),
    /// The parameters do not fit the method.
    #[error("invalid params: {0}")]
    InvalidParams(String),
    /// Too many of something that is bounded.
    #[error("limit exceeded: {0}")]
    Limit(&'static str),
    /// The transaction cannot be decoded, or has no valid signature, or is of a kind not run here.
    #[error("invalid transaction: {0}")]
    BadTransaction(&'static str),
    /// The transaction's nonce was used before.
    #[error("nonce too low: next nonce {next}, tx nonce {got}")]
    NonceTooLow {
        /// The account's next nonce.
        next: u64,
        /// The transaction's nonce.
        got: u64,
    },
    /// The transaction's nonce leaves a gap. There is no pool to wait in.
    #[error("nonce too high: next nonce {next}, tx nonce {got}")]
    NonceTooHigh {
        /// The account's next nonce.
        next: u64,
        /// The transaction's nonce.
        got: u64,
    },
    /// The sender cannot pay for gas and value.
    #[error("insufficient funds for gas * price + value: balance {balance}, needed {needed}")]
    InsufficientFunds {
        /// Wei the sender has.
        balance: String,
        /// Wei the transaction may cost.
        needed: String,
    },
    /// Any other reason not to include a transaction.
    #[error("transaction rejected: {0}")]
    Rejected(String),
    /// The call reverted; the data is the contract's own error.
    #[error("execution reverted")]
    Reverted(Bytes),
    /// The call ended without a word, as by running out of gas.
    #[error("execution halted: {0}")]
    Halted(String),
    /// Chain time never goes back.
    #[error("timestamp {asked} is before the latest block's {latest}")]
    TimeGoesBack {
        /// Unix seconds asked for.
        asked: u64,
        /// Unix seconds of the latest block.
        latest: u64,
    },
    /// No block of that hash is held.
    #[error("block {0} not found")]
    UnknownBlock(B256),
    /// No filter of that id; unused ones are dropped when there are too many.
    #[error("filter not found")]
    UnknownFilter,
    /// The chain runs without contracts, so there is no faucet for the token.
    #[error("this chain was started without contracts")]
    NoContracts,
    /// A value could not be written as JSON.
    #[error("internal error")]
    Internal,
}

impl RpcError {
    /// The JSON-RPC error code, as geth and anvil use them.
    #[must_use]
    pub const fn code(&self) -> i64 {
        match self {
            Self::Parse => -32_700,
            Self::InvalidRequest(_) => -32_600,
            Self::MethodNotFound(_) => -32_601,
            Self::InvalidParams(_) | Self::TimeGoesBack { .. } => -32_602,
            Self::Internal => -32_603,
            Self::Limit(_) => -32_005,
            Self::BadTransaction(_)
            | Self::NonceTooLow { .. }
            | Self::NonceTooHigh { .. }
            | Self::InsufficientFunds { .. }
            | Self::Rejected(_)
            | Self::Halted(_) => -32_003,
            Self::UnknownBlock(_) | Self::UnknownFilter | Self::NoContracts => -32_000,
            Self::Reverted(_) => 3,
        }
    }

    /// Revert data, where there is any to pass on.
    #[must_use]
    pub const fn data(&self) -> Option<&Bytes> {
        match self {
            Self::Reverted(data) => Some(data),
            _ => None,
        }
    }
}

impl<E: std::fmt::Display> From<EVMError<E>> for RpcError {
    fn from(error: EVMError<E>) -> Self {
        match error {
            EVMError::Transaction(InvalidTransaction::NonceTooLow { tx, state }) => {
                Self::NonceTooLow { next: state, got: tx }
            }
            EVMError::Transaction(InvalidTransaction::NonceTooHigh { tx, state }) => {
                Self::NonceTooHigh { next: state, got: tx }
            }
            EVMError::Transaction(InvalidTransaction::LackOfFundForMaxFee { fee, balance }) => {
                Self::InsufficientFunds { balance: balance.to_string(), needed: fee.to_string() }
            }
            other => Self::Rejected(other.to_string()),
        }
    }
}
