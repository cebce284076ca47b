//! What can go wrong between this node and the chain, each with what it means for the money.

mod reasons;
mod revert;

use alloy::primitives::{Address, B256, U256};
use alloy::rpc::json_rpc::{ErrorPayload, RpcError};
use alloy::transports::{TransportError, TransportErrorKind};
use haggle_base::Coded;
use thiserror::Error;

use crate::transport::NoAgreement;

pub use reasons::{
    AnchorRefusal, ChannelRefusal, FeedbackRefusal, PanelRefusal, RegistryRefusal, StakeRefusal, TokenRefusal,
};
pub use revert::{BadOrder, Revert, Skip};

/// Why a question to the chain, or a transaction, did not do what was asked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EscrowError {
    /// No RPC endpoint answered. Nothing was sent, or what was sent is still known by its hash.
    #[error("no RPC endpoint answers")]
    RpcDown {
        /// What the last endpoint tried said.
        #[source]
        source: Box<TransportErrorKind>,
    },
    /// The endpoints contradict each other, or too few of them answer to be believed.
    #[error("the RPC endpoints do not agree about {about}")]
    NoAgreement {
        /// About what.
        about: &'static str,
    },
    /// The endpoint answered with an error that is not the contract's.
    #[error("the RPC endpoint refused ({code}): {message}")]
    RpcRefused {
        /// JSON-RPC error code.
        code: i64,
        /// The endpoint's words.
        message: String,
    },
    /// The endpoint's answer makes no sense.
    #[error("the RPC endpoint's answer cannot be read")]
    RpcBadAnswer,
    /// No endpoint was configured, or its URL cannot be used.
    #[error("{0:?} is not an http(s) URL of an RPC endpoint")]
    BadUrl(String),
    /// The endpoint serves another chain.
    #[error("the RPC endpoint serves chain {got}, not {expected}")]
    WrongChain {
        /// The network's chain id.
        expected: u64,
        /// The endpoint's.
        got: u64,
    },
    /// The escrow's address holds no escrow, or one of another token.
    #[error("{escrow} is not an escrow of token {token}")]
    WrongContract {
        /// The network's escrow.
        escrow: Address,
        /// The network's token.
        token: Address,
    },
    /// An order for nothing.
    #[error("the order's amount is zero")]
    ZeroAmount,
    /// An amount that no sum of USDC can reach.
    #[error("the amount {0} is out of range")]
    AmountTooLarge(U256),
    /// The contract, or the token behind it, refused. Nothing was sent.
    #[error("the contract refused: {0}")]
    Reverted(#[source] Revert),
    /// The transaction was mined and failed, though it looked good before: the state changed in between.
    #[error("transaction {tx} was mined and failed")]
    RevertedOnChain {
        /// The failed transaction.
        tx: B256,
    },
    /// The signer cannot pay for the gas.
    #[error("{signer} cannot pay for the gas")]
    NotEnoughGas {
        /// Who was to pay.
        signer: Address,
    },
    /// The transaction would use more gas than allowed.
    #[error("the transaction would use {estimate} gas, more than the {cap} allowed")]
    GasCapExceeded {
        /// The endpoint's estimate.
        estimate: u64,
        /// The client's limit.
        cap: u64,
    },
    /// Gas costs more than allowed right now.
    #[error("gas costs {price} wei, more than the {cap} allowed")]
    GasPriceTooHigh {
        /// The chain's price.
        price: u128,
        /// The client's limit.
        cap: u128,
    },
    /// Other transactions of this signer were in the way too often.
    #[error("the nonces of {signer} are used from elsewhere")]
    NonceContention {
        /// Whose key is used in two places.
        signer: Address,
    },
    /// More transactions of this signer wait to be mined than are kept track of.
    #[error("{max} transactions of {signer} are under way")]
    TooManyUnderWay {
        /// Whose.
        signer: Address,
        /// The limit.
        max: usize,
    },
    /// The transaction may or may not be mined. Ask for the order's status before sending again.
    #[error("transaction {tx} was sent, its outcome is unknown")]
    UnknownOutcome {
        /// The transaction.
        tx: B256,
    },
    /// More rows than one transaction can carry.
    #[error("{rows} rows are more than the {max} one transaction can carry")]
    BatchTooLarge {
        /// Rows that were asked for.
        rows: usize,
        /// Rows that fit.
        max: usize,
    },
    /// The signing key is not one.
    #[error("the payment key cannot sign")]
    BadKey,
}

impl EscrowError {
    /// Whether the same call may succeed later without anybody changing it.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self {
            Self::RpcDown { .. }
            | Self::NoAgreement { .. }
            | Self::RpcRefused { .. }
            | Self::RpcBadAnswer
            | Self::RevertedOnChain { .. }
            | Self::NotEnoughGas { .. }
            | Self::GasPriceTooHigh { .. }
            | Self::NonceContention { .. }
            | Self::TooManyUnderWay { .. }
            | Self::UnknownOutcome { .. } => true,
            Self::Reverted(revert) => revert.is_retryable(),
            Self::BadUrl(_)
            | Self::WrongChain { .. }
            | Self::WrongContract { .. }
            | Self::ZeroAmount
            | Self::AmountTooLarge(_)
            | Self::GasCapExceeded { .. }
            | Self::BatchTooLarge { .. }
            | Self::BadKey => false,
        }
    }

    /// Whether the call left something behind that may still change the chain.
    #[must_use]
    pub const fn is_unknown_outcome(&self) -> bool {
        matches!(self, Self::UnknownOutcome { .. })
    }
}

impl Coded for EscrowError {
    fn code(&self) -> &'static str {
        match self {
            Self::RpcDown { .. } => "rpc_down",
            Self::NoAgreement { .. } => "rpc_no_agreement",
            Self::RpcRefused { .. } => "rpc_refused",
            Self::RpcBadAnswer => "rpc_bad_answer",
            Self::BadUrl(_) => "rpc_bad_url",
            Self::WrongChain { .. } => "wrong_chain",
            Self::WrongContract { .. } => "wrong_contract",
            Self::ZeroAmount => "zero_amount",
            Self::AmountTooLarge(_) => "amount_too_large",
            Self::Reverted(revert) => revert.code(),
            Self::RevertedOnChain { .. } => "reverted_on_chain",
            Self::NotEnoughGas { .. } => "not_enough_gas",
            Self::GasCapExceeded { .. } => "gas_cap_exceeded",
            Self::GasPriceTooHigh { .. } => "gas_price_too_high",
            Self::NonceContention { .. } => "nonce_contention",
            Self::TooManyUnderWay { .. } => "too_many_under_way",
            Self::UnknownOutcome { .. } => "unknown_outcome",
            Self::BatchTooLarge { .. } => "batch_too_large",
            Self::BadKey => "bad_payment_key",
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::RpcDown { .. } => "check that the RPC endpoint runs and that its URL is right, then try again",
            Self::NoAgreement { .. } => {
                "wait until two endpoints say the same; `haggle status` names the one that is down, behind or lies"
            }
            Self::RpcRefused { .. } | Self::RpcBadAnswer => "look at the endpoint's log, or use another endpoint",
            Self::BadUrl(_) => "give the endpoint as http://host:port or https://host/path",
            Self::WrongChain { .. } => "use an endpoint of the chain that the network file names",
            Self::WrongContract { .. } => "use the network file of this chain; the addresses in it must fit it",
            Self::ZeroAmount => "order something that costs more than nothing",
            Self::AmountTooLarge(_) => "use an amount below 18446744073709.551616 USDC",
            Self::Reverted(revert) => revert.hint(),
            Self::RevertedOnChain { .. } => "look at the order's status; somebody else's transaction came first",
            Self::NotEnoughGas { .. } => "send some ether to the payment address, it pays for the gas",
            Self::GasCapExceeded { .. } => {
                "the contract is not the expected one, or a party's account runs costly code"
            }
            Self::GasPriceTooHigh { .. } => "wait for cheaper gas, or raise the limit",
            Self::NonceContention { .. } => "use the payment key in one place only",
            Self::TooManyUnderWay { .. } => "wait until some are mined, and look whether gas costs more than allowed",
            Self::UnknownOutcome { .. } => "ask for the order's status; it tells whether the transaction was mined",
            Self::BatchTooLarge { .. } => "send the rows in several batches",
            Self::BadKey => "the payment key is damaged; restore the seed",
        }
    }
}

impl From<TransportError> for EscrowError {
    fn from(error: TransportError) -> Self {
        match error {
            RpcError::ErrorResp(payload) => from_payload(&payload),
            RpcError::Transport(TransportErrorKind::Custom(error)) if error.is::<NoAgreement>() => {
                let about = error.downcast_ref().map_or("the chain", |NoAgreement(about)| *about);
                Self::NoAgreement { about }
            }
            RpcError::Transport(kind) => Self::RpcDown { source: Box::new(kind) },
            _ => Self::RpcBadAnswer,
        }
    }
}

fn from_payload(payload: &ErrorPayload) -> EscrowError {
    if let Some(data) = payload.as_revert_data() {
        return EscrowError::Reverted(Revert::decode(&data));
    }
    if payload.message.contains("execution reverted") {
        return EscrowError::Reverted(Revert::Silent);
    }
    EscrowError::RpcRefused { code: payload.code, message: payload.message.chars().take(MAX_WORDS).collect() }
}

/// Characters kept of an endpoint's own words.
const MAX_WORDS: usize = 256;

#[cfg(test)]
mod tests;
