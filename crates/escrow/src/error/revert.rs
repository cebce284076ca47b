//! The contracts' own errors, typed.

mod decode;

use alloy::primitives::{Address, B256, Bytes, FixedBytes, U256};
use haggle_base::{Coded, OrderId, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::reasons::{
    AnchorRefusal, ChannelRefusal, FeedbackRefusal, PanelRefusal, RegistryRefusal, StakeRefusal, TokenRefusal,
};
use crate::status::Status;

/// Why a contract, or the token behind it, reverted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Revert {
    /// The order's status does not allow the call.
    #[error("order {order} is {status:?}")]
    BadState {
        /// The order.
        order: OrderId,
        /// Where it stands.
        status: Status,
    },
    /// A signature is not this account's over what it has to be over.
    #[error("the signature is not {signer}'s")]
    BadSignature {
        /// Who should have signed.
        signer: Address,
    },
    /// Only the party the call belongs to may make it.
    #[error("{caller} is not the party this belongs to")]
    NotParty {
        /// Who tried.
        caller: Address,
    },
    /// A window is not open yet.
    #[error("not before {from}")]
    TooEarly {
        /// When it opens, chain time.
        from: Timestamp,
    },
    /// A window has closed.
    #[error("not after {end}")]
    TooLate {
        /// When it closed, chain time.
        end: Timestamp,
    },
    /// The order itself breaks a rule of the contract.
    #[error("the order breaks a rule: {0}")]
    BadOrder(BadOrder),
    /// The call needs an order that the provider agreed to on chain.
    #[error("the provider did not agree to order {order} on chain")]
    NotConsented {
        /// The order.
        order: OrderId,
    },
    /// The order names nobody who could rule.
    #[error("order {order} has no arbitrator")]
    NoArbitrator {
        /// The order.
        order: OrderId,
    },
    /// The provider has less stake than the order, or the withdrawal, asks for.
    #[error("{provider} has {available} units of stake to give, not {needed}")]
    StakeTooLow {
        /// Whose stake.
        provider: Address,
        /// Base units there.
        available: U256,
        /// Base units needed.
        needed: U256,
    },
    /// The payer has less than the deposit.
    #[error("{payer} has {balance} units and needs {needed}")]
    InsufficientFunds {
        /// Who was to pay.
        payer: Address,
        /// Base units there.
        balance: U256,
        /// Base units needed.
        needed: U256,
    },
    /// The payment was used or cancelled before.
    #[error("the payment {nonce} of {payer} was used or cancelled")]
    AuthorizationUsed {
        /// Who signed it.
        payer: Address,
        /// Its nonce: the order's id.
        nonce: B256,
    },
    /// The payment's time is over, or has not come.
    #[error("the payment is not valid at this time")]
    AuthorizationExpired,
    /// Nothing waits for the account.
    #[error("nothing is owed to {account}")]
    NothingOwed {
        /// Who asked.
        account: Address,
    },
    /// A transfer failed, or brought the wrong sum.
    #[error("the token transfer failed")]
    TransferFailed,
    /// So little gas was given that a step might have failed for want of it.
    #[error("{needed} gas is needed")]
    GasTooLow {
        /// Gas that has to be left at that step.
        needed: U256,
    },
    /// A contract that was called called back.
    #[error("the contract is busy with another call")]
    Reentrancy,
    /// One of many calls in one failed.
    #[error("call {index} of many failed")]
    CallFailed {
        /// Which.
        index: U256,
    },
    /// Feedback on an order.
    #[error("{0}")]
    Feedback(FeedbackRefusal),
    /// The channel contract or its collector.
    #[error("{0}")]
    Channel(ChannelRefusal),
    /// The stake contract.
    #[error("{0}")]
    Stake(StakeRefusal),
    /// A panel.
    #[error("{0}")]
    Panel(PanelRefusal),
    /// The anchor contract.
    #[error("{0}")]
    Anchor(AnchorRefusal),
    /// The agent registry.
    #[error("{0}")]
    Registry(RegistryRefusal),
    /// The token.
    #[error("{0}")]
    Token(TokenRefusal),
    /// An error this version does not know.
    #[error("unknown error {0}")]
    Unknown(FixedBytes<4>),
    /// No reason given.
    #[error("no reason given")]
    Silent,
}

/// The rule of `fund` that an order breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BadOrder {
    /// It is for nothing.
    #[error("the amount is zero")]
    ZeroAmount,
    /// A fee above a tenth.
    #[error("the fee is above 1000 basis points")]
    FeeTooHigh,
    /// More to pay than the order is for.
    #[error("the payment is above the amount")]
    PayTooHigh,
    /// A party that has to be named is not.
    #[error("a party is missing")]
    ZeroAddress,
    /// One account in two roles.
    #[error("one account has two roles")]
    SameParty,
    /// The escrow or the token as a party.
    #[error("the escrow or the token is a party")]
    ReservedAddress,
    /// More than the whole when the arbitrator is silent.
    #[error("the silent part is above the whole")]
    SilentTooHigh,
    /// Flags this escrow does not know.
    #[error("unknown flags")]
    UnknownFlags,
    /// A bond above the amount.
    #[error("the bond is above the amount")]
    BondTooHigh,
    /// A stake, where the escrow has no stake contract.
    #[error("this escrow has no stake contract")]
    StakeUnsupported,
    /// deliverBy does not follow fundBy within 365 days.
    #[error("the deadlines do not follow each other")]
    BadDeadlines,
    /// A window outside one hour to thirty days.
    #[error("a window is not within one hour and thirty days")]
    BadWindow,
}

/// Why a row of a batch was skipped: the selector of its error, without the error's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("skipped for error {0}")]
#[serde(transparent)]
pub struct Skip(pub FixedBytes<4>);

impl Skip {
    /// The error with zeros for values: good for its code and hint, and nothing else.
    fn unvalued(self) -> Revert {
        let mut data = [0; 4 + 8 * 32];
        data[..4].copy_from_slice(self.0.as_slice());
        Revert::decode(&Bytes::copy_from_slice(&data))
    }
}

impl Coded for Skip {
    fn code(&self) -> &'static str {
        self.unvalued().code()
    }

    fn hint(&self) -> &'static str {
        self.unvalued().hint()
    }
}

impl Revert {
    pub(crate) const fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::TooEarly { .. }
                | Self::InsufficientFunds { .. }
                | Self::StakeTooLow { .. }
                | Self::TransferFailed
                | Self::GasTooLow { .. }
                | Self::Channel(ChannelRefusal::WithdrawDelayNotElapsed)
        )
    }
}

impl Coded for Revert {
    fn code(&self) -> &'static str {
        match self {
            Self::BadState { .. } => "reverted_bad_state",
            Self::BadSignature { .. } => "reverted_bad_signature",
            Self::NotParty { .. } => "reverted_not_party",
            Self::TooEarly { .. } => "reverted_too_early",
            Self::TooLate { .. } => "reverted_too_late",
            Self::BadOrder(_) => "reverted_bad_order",
            Self::NotConsented { .. } => "reverted_not_consented",
            Self::NoArbitrator { .. } => "reverted_no_arbitrator",
            Self::StakeTooLow { .. } => "reverted_stake_too_low",
            Self::InsufficientFunds { .. } => "reverted_insufficient_funds",
            Self::AuthorizationUsed { .. } => "reverted_authorization_used",
            Self::AuthorizationExpired => "reverted_authorization_expired",
            Self::NothingOwed { .. } => "reverted_nothing_owed",
            Self::TransferFailed => "reverted_transfer_failed",
            Self::GasTooLow { .. } => "reverted_gas_too_low",
            Self::Reentrancy => "reverted_reentrancy",
            Self::CallFailed { .. } => "reverted_call_failed",
            Self::Feedback(reason) => reason.code(),
            Self::Channel(reason) => reason.code(),
            Self::Stake(reason) => reason.code(),
            Self::Panel(reason) => reason.code(),
            Self::Anchor(reason) => reason.code(),
            Self::Registry(reason) => reason.code(),
            Self::Token(reason) => reason.code(),
            Self::Unknown(_) | Self::Silent => "reverted",
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::BadState { .. } => "look at the order's status; it allows other steps",
            Self::BadSignature { .. } => "the signature must be the named account's over exactly this order",
            Self::NotParty { .. } => "send this with the payment key of the party that may do it",
            Self::TooEarly { .. } => "wait until the window opens in chain time",
            Self::TooLate { .. } => "the window is over; finalize settles the order by its terms",
            Self::BadOrder(_) => "agree new terms; an order like this is never funded",
            Self::NotConsented { .. } => "fund with the provider's signature, or wait until it delivers on chain",
            Self::NoArbitrator { .. } => "agree on an arbitrator before funding; this order cannot be disputed",
            Self::StakeTooLow { .. } => "the provider has to put up more stake first",
            Self::InsufficientFunds { .. } => "send USDC to the buyer's payment address",
            Self::AuthorizationUsed { .. } => "this payment was made before; look at the order's status",
            Self::AuthorizationExpired => "fundBy is over; agree new terms",
            Self::NothingOwed { .. } => "there is nothing to withdraw",
            Self::TransferFailed => "the token refused; try again, or look whether an account is blocked",
            Self::GasTooLow { .. } => "send it with more gas",
            Self::Reentrancy => "an account that takes part runs hostile code; settle without it",
            Self::CallFailed { .. } => "make the calls one by one; one of them fails",
            Self::Feedback(reason) => reason.hint(),
            Self::Channel(reason) => reason.hint(),
            Self::Stake(reason) => reason.hint(),
            Self::Panel(reason) => reason.hint(),
            Self::Anchor(reason) => reason.hint(),
            Self::Registry(reason) => reason.hint(),
            Self::Token(reason) => reason.hint(),
            Self::Unknown(_) | Self::Silent => "look at the transaction with a block explorer",
        }
    }
}
