//! The contracts' own errors, typed.

use alloy::primitives::{Address, B256, Bytes, FixedBytes, U256};
use alloy::sol_types::SolInterface as _;
use haggle_base::{Coded, OrderId, Timestamp};
use thiserror::Error;

use crate::bindings::Escrow::EscrowErrors as E;
use crate::bindings::TestUSDC::TestUSDCErrors as T;
use crate::status::Status;

/// Why the escrow, or the token behind it, reverted.
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
    /// Only the order's provider may do this.
    #[error("{caller} is not the order's provider")]
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
    /// A bond above the amount, or any bond or stake: there are none yet.
    #[error("bonds and stakes are not supported")]
    Bond,
    /// deliverBy does not follow fundBy within 365 days.
    #[error("the deadlines do not follow each other")]
    BadDeadlines,
    /// A window outside one hour to thirty days.
    #[error("a window is not within one hour and thirty days")]
    BadWindow,
}

impl Revert {
    /// Reads revert data; data nobody knows is not an error.
    pub(crate) fn decode(data: &Bytes) -> Self {
        if let Ok(error) = E::abi_decode(data) {
            return Self::from_escrow(error, data);
        }
        if let Ok(error) = T::abi_decode(data) {
            return Self::from_token(error, data);
        }
        Self::unknown(data)
    }

    fn unknown(data: &Bytes) -> Self {
        data.get(..4).map_or(Self::Silent, |selector| Self::Unknown(FixedBytes::from_slice(selector)))
    }

    fn from_escrow(error: E, data: &Bytes) -> Self {
        match error {
            E::BadState(e) => Self::BadState { order: OrderId::new(e.id), status: Status::from_code(e.status) },
            E::BadSignature(e) => Self::BadSignature { signer: e.signer },
            E::NotParty(e) => Self::NotParty { caller: e.caller },
            E::TooEarly(e) => Self::TooEarly { from: time(e.from) },
            E::TooLate(e) => Self::TooLate { end: time(e.end) },
            E::NothingOwed(e) => Self::NothingOwed { account: e.account },
            E::DepositMismatch(_) | E::TransferGasTooLow(_) => Self::TransferFailed,
            E::ZeroAmount(_) => Self::BadOrder(BadOrder::ZeroAmount),
            E::FeeTooHigh(_) => Self::BadOrder(BadOrder::FeeTooHigh),
            E::PayTooHigh(_) => Self::BadOrder(BadOrder::PayTooHigh),
            E::ZeroAddress(_) => Self::BadOrder(BadOrder::ZeroAddress),
            E::SameParty(_) => Self::BadOrder(BadOrder::SameParty),
            E::ReservedAddress(_) => Self::BadOrder(BadOrder::ReservedAddress),
            E::SilentTooHigh(_) => Self::BadOrder(BadOrder::SilentTooHigh),
            E::UnknownFlags(_) => Self::BadOrder(BadOrder::UnknownFlags),
            E::BondTooHigh(_) | E::StakeOrBondUnsupported(_) => Self::BadOrder(BadOrder::Bond),
            E::BadDeadlines(_) => Self::BadOrder(BadOrder::BadDeadlines),
            E::BadWindow(_) => Self::BadOrder(BadOrder::BadWindow),
            E::Reentrancy(_) => Self::unknown(data),
        }
    }

    fn from_token(error: T, data: &Bytes) -> Self {
        match error {
            T::AuthorizationUsedOrCanceled(e) => Self::AuthorizationUsed { payer: e.authorizer, nonce: e.nonce },
            T::AuthorizationExpired(_) | T::AuthorizationNotYetValid(_) => Self::AuthorizationExpired,
            T::InvalidSignature(e) => Self::BadSignature { signer: e.signer },
            T::ERC20InsufficientBalance(e) => {
                Self::InsufficientFunds { payer: e.sender, balance: e.balance, needed: e.needed }
            }
            _ => Self::unknown(data),
        }
    }

    pub(crate) const fn is_retryable(&self) -> bool {
        matches!(self, Self::TooEarly { .. } | Self::InsufficientFunds { .. } | Self::TransferFailed)
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
            Self::InsufficientFunds { .. } => "reverted_insufficient_funds",
            Self::AuthorizationUsed { .. } => "reverted_authorization_used",
            Self::AuthorizationExpired => "reverted_authorization_expired",
            Self::NothingOwed { .. } => "reverted_nothing_owed",
            Self::TransferFailed => "reverted_transfer_failed",
            Self::Unknown(_) | Self::Silent => "reverted",
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::BadState { .. } => "look at the order's status; it allows other steps",
            Self::BadSignature { .. } => "the signature must be the named account's over exactly this order",
            Self::NotParty { .. } => "send this with the provider's payment key",
            Self::TooEarly { .. } => "wait until the window opens in chain time",
            Self::TooLate { .. } => "the window is over; finalize settles the order by its terms",
            Self::BadOrder(_) => "agree new terms; an order like this is never funded",
            Self::InsufficientFunds { .. } => "send USDC to the buyer's payment address",
            Self::AuthorizationUsed { .. } => "this payment was made before; look at the order's status",
            Self::AuthorizationExpired => "fundBy is over; agree new terms",
            Self::NothingOwed { .. } => "there is nothing to withdraw",
            Self::TransferFailed => "the token refused; try again, or look whether an account is blocked",
            Self::Unknown(_) | Self::Silent => "look at the transaction with a block explorer",
        }
    }
}

/// Seconds of the chain, at most the end of time.
fn time(secs: U256) -> Timestamp {
    Timestamp::from_secs(u64::try_from(secs).unwrap_or(u64::MAX))
}
