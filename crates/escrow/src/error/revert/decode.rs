//! From revert data to what it means. Errors of one name and form mean the same whichever contract they are from.

use alloy::primitives::{Bytes, FixedBytes, U256};
use alloy::sol_types::SolInterface as _;
use haggle_base::{OrderId, Timestamp};

use super::super::reasons::{
    AnchorRefusal, ChannelRefusal, FeedbackRefusal, PanelRefusal, RegistryRefusal, StakeRefusal, TokenRefusal,
};
use super::{BadOrder, Revert};
use crate::bindings::anchor::Anchor::AnchorErrors as A;
use crate::bindings::channel::Channel::ChannelErrors as C;
use crate::bindings::collector::Erc3009Collector::Erc3009CollectorErrors as D;
use crate::bindings::escrow::Escrow::EscrowErrors as E;
use crate::bindings::multicall::Multicall3::Multicall3Errors as M;
use crate::bindings::panel::Panel::PanelErrors as P;
use crate::bindings::registry::Registry8004::Registry8004Errors as R;
use crate::bindings::stake::Stake::StakeErrors as S;
use crate::bindings::token::TestUSDC::TestUSDCErrors as T;
use crate::status::Status;

impl Revert {
    /// Reads revert data; data nobody knows is not an error.
    pub(crate) fn decode(data: &Bytes) -> Self {
        E::abi_decode(data)
            .map(Self::from)
            .or_else(|_| T::abi_decode(data).map(Self::from))
            .or_else(|_| C::abi_decode(data).map(Self::from))
            .or_else(|_| S::abi_decode(data).map(Self::from))
            .or_else(|_| P::abi_decode(data).map(Self::from))
            .or_else(|_| R::abi_decode(data).map(Self::from))
            .or_else(|_| A::abi_decode(data).map(Self::from))
            .or_else(|_| D::abi_decode(data).map(Self::from))
            .or_else(|_| M::abi_decode(data).map(Self::from))
            .unwrap_or_else(|_| {
                data.get(..4).map_or(Self::Silent, |selector| Self::Unknown(FixedBytes::from_slice(selector)))
            })
    }
}

impl From<E> for Revert {
    fn from(error: E) -> Self {
        match error {
            E::BadState(e) => Self::BadState { order: OrderId::new(e.id), status: Status::from_code(e.status) },
            E::BadSignature(e) => Self::BadSignature { signer: e.signer },
            E::NotParty(e) => Self::NotParty { caller: e.caller },
            E::TooEarly(e) => Self::TooEarly { from: time(e.from) },
            E::TooLate(e) => Self::TooLate { end: time(e.end) },
            E::NotConsented(e) => Self::NotConsented { order: OrderId::new(e.id) },
            E::NoArbitrator(e) => Self::NoArbitrator { order: OrderId::new(e.id) },
            E::NothingOwed(e) => Self::NothingOwed { account: e.account },
            E::DepositMismatch(_) => Self::TransferFailed,
            E::TransferGasTooLow(e) => Self::GasTooLow { needed: e.needed },
            E::GasTooLow(e) => Self::GasTooLow { needed: e.needed },
            E::ZeroAmount(_) => Self::BadOrder(BadOrder::ZeroAmount),
            E::FeeTooHigh(_) => Self::BadOrder(BadOrder::FeeTooHigh),
            E::PayTooHigh(_) => Self::BadOrder(BadOrder::PayTooHigh),
            E::ZeroAddress(_) => Self::BadOrder(BadOrder::ZeroAddress),
            E::SameParty(_) => Self::BadOrder(BadOrder::SameParty),
            E::ReservedAddress(_) => Self::BadOrder(BadOrder::ReservedAddress),
            E::SilentTooHigh(_) => Self::BadOrder(BadOrder::SilentTooHigh),
            E::UnknownFlags(_) => Self::BadOrder(BadOrder::UnknownFlags),
            E::BondTooHigh(_) => Self::BadOrder(BadOrder::BondTooHigh),
            E::StakeUnsupported(_) => Self::BadOrder(BadOrder::StakeUnsupported),
            E::BadDeadlines(_) => Self::BadOrder(BadOrder::BadDeadlines),
            E::BadWindow(_) => Self::BadOrder(BadOrder::BadWindow),
            E::NoRegistry(_) => Self::Feedback(FeedbackRefusal::NoRegistry),
            E::NothingPaid(_) => Self::Feedback(FeedbackRefusal::NothingPaid),
            E::FeedbackGiven(_) => Self::Feedback(FeedbackRefusal::Given),
            E::WrongAgent(_) => Self::Feedback(FeedbackRefusal::WrongAgent),
            E::Reentrancy(_) => Self::Reentrancy,
        }
    }
}

impl From<T> for Revert {
    fn from(error: T) -> Self {
        match error {
            T::AuthorizationUsedOrCanceled(e) => Self::AuthorizationUsed { payer: e.authorizer, nonce: e.nonce },
            T::AuthorizationExpired(_) | T::AuthorizationNotYetValid(_) | T::PermitExpired(_) => {
                Self::AuthorizationExpired
            }
            T::InvalidSignature(e) => Self::BadSignature { signer: e.signer },
            T::ERC20InsufficientBalance(e) => {
                Self::InsufficientFunds { payer: e.sender, balance: e.balance, needed: e.needed }
            }
            T::ERC20InsufficientAllowance(_) => Self::Token(TokenRefusal::Allowance),
            T::ERC20InvalidApprover(_)
            | T::ERC20InvalidReceiver(_)
            | T::ERC20InvalidSender(_)
            | T::ERC20InvalidSpender(_) => Self::Token(TokenRefusal::InvalidAddress),
            T::NotMinter(_) => Self::Token(TokenRefusal::NotMinter),
            T::NotPayee(_) => Self::Token(TokenRefusal::NotPayee),
            T::InvalidShortString(_) | T::StringTooLong(_) => Self::Token(TokenRefusal::BadString),
        }
    }
}

impl From<C> for Revert {
    fn from(error: C) -> Self {
        Self::Channel(match error {
            C::InvalidChannel(_) => ChannelRefusal::InvalidChannel,
            C::WithdrawDelayOutOfRange(_) => ChannelRefusal::WithdrawDelayOutOfRange,
            C::ZeroDeposit(_) => ChannelRefusal::ZeroDeposit,
            C::DepositOverflow(_) => ChannelRefusal::DepositOverflow,
            C::InvalidCollector(_) => ChannelRefusal::InvalidCollector,
            C::DepositCollectionFailed(_) => ChannelRefusal::DepositCollectionFailed,
            C::InvalidSignature(_) => ChannelRefusal::InvalidSignature,
            C::NotReceiverAuthorizer(_) => ChannelRefusal::NotReceiverAuthorizer,
            C::NotAuthorizedToClaim(_) => ChannelRefusal::NotAuthorizedToClaim,
            C::NotAuthorizedToRefund(_) => ChannelRefusal::NotAuthorizedToRefund,
            C::ClaimExceedsCeiling(_) => ChannelRefusal::ClaimExceedsCeiling,
            C::ClaimExceedsBalance(_) => ChannelRefusal::ClaimExceedsBalance,
            C::MixedReceivers(_) => ChannelRefusal::MixedReceivers,
            C::EmptyBatch(_) => ChannelRefusal::EmptyBatch,
            C::WithdrawalAlreadyPending(_) => ChannelRefusal::WithdrawalAlreadyPending,
            C::WithdrawalNotPending(_) => ChannelRefusal::WithdrawalNotPending,
            C::NotAuthorizedToFinalizeWithdraw(_) => ChannelRefusal::NotAuthorizedToFinalizeWithdraw,
            C::WithdrawDelayNotElapsed(_) => ChannelRefusal::WithdrawDelayNotElapsed,
            C::NothingToWithdraw(_) => ChannelRefusal::NothingToWithdraw,
            C::WithdrawAmountExceedsAvailable(_) => ChannelRefusal::WithdrawAmountExceedsAvailable,
            C::InvalidRefundNonce(_) => ChannelRefusal::InvalidRefundNonce,
            C::ZeroRefund(_) => ChannelRefusal::ZeroRefund,
            C::GasTooLow(e) => return Self::GasTooLow { needed: e.needed },
            C::Reentrancy(_) => return Self::Reentrancy,
        })
    }
}

impl From<D> for Revert {
    fn from(error: D) -> Self {
        match error {
            D::NotChannel(_) => Self::Channel(ChannelRefusal::NotChannel),
        }
    }
}

impl From<S> for Revert {
    fn from(error: S) -> Self {
        match error {
            S::NotEscrow(_) => Self::Stake(StakeRefusal::NotEscrow),
            S::AlreadyLocked(_) => Self::Stake(StakeRefusal::AlreadyLocked),
            S::NothingToWithdraw(_) => Self::Stake(StakeRefusal::NothingToWithdraw),
            S::StakeTooLow(e) => Self::StakeTooLow { provider: e.provider, available: e.available, needed: e.amount },
            S::StillThawing(e) => Self::TooEarly { from: time(e.end) },
            S::NothingOwed(e) => Self::NothingOwed { account: e.account },
            S::DepositMismatch(_) => Self::TransferFailed,
            S::ZeroAddress(_) => Self::BadOrder(BadOrder::ZeroAddress),
            S::ZeroAmount(_) => Self::BadOrder(BadOrder::ZeroAmount),
            S::Reentrancy(_) => Self::Reentrancy,
        }
    }
}

impl From<P> for Revert {
    fn from(error: P) -> Self {
        Self::Panel(match error {
            P::NotAscending(_) => PanelRefusal::NotAscending,
            P::BadThreshold(_) => PanelRefusal::BadThreshold,
            P::NotMember(_) => PanelRefusal::NotMember,
            P::BadBallot(_) => PanelRefusal::BadBallot,
            P::TooFewBallots(_) => PanelRefusal::TooFewBallots,
            P::VotesExpired(_) => PanelRefusal::VotesExpired,
            P::NothingEarned(_) => PanelRefusal::NothingEarned,
            P::ZeroAddress(_) => return Self::BadOrder(BadOrder::ZeroAddress),
            P::Reentrancy(_) => return Self::Reentrancy,
        })
    }
}

impl From<R> for Revert {
    fn from(error: R) -> Self {
        Self::Registry(match error {
            R::ReservedKey(_) => RegistryRefusal::ReservedKey,
            R::BadWallet(_) => RegistryRefusal::BadWallet,
            R::BadDeadline(_) => RegistryRefusal::BadDeadline,
            R::SelfFeedback(_) => RegistryRefusal::SelfFeedback,
            R::BadValue(_) | R::SafeCastOverflowedIntDowncast(_) => RegistryRefusal::BadValue,
            R::NoClients(_) => RegistryRefusal::NoClients,
            R::ERC721NonexistentToken(_) => RegistryRefusal::NoSuchAgent,
            R::ERC721IncorrectOwner(_)
            | R::ERC721InsufficientApproval(_)
            | R::ERC721InvalidApprover(_)
            | R::ERC721InvalidOperator(_)
            | R::ERC721InvalidOwner(_)
            | R::ERC721InvalidReceiver(_)
            | R::ERC721InvalidSender(_) => RegistryRefusal::BadTransfer,
            R::InvalidShortString(_) | R::StringTooLong(_) => return Self::Token(TokenRefusal::BadString),
        })
    }
}

impl From<A> for Revert {
    fn from(error: A) -> Self {
        Self::Anchor(match error {
            A::ZeroRoot(_) => AnchorRefusal::ZeroRoot,
            A::CidTooLong(_) => AnchorRefusal::CidTooLong,
        })
    }
}

impl From<M> for Revert {
    fn from(error: M) -> Self {
        match error {
            M::CallFailed(e) => Self::CallFailed { index: e.index },
        }
    }
}

/// Seconds of the chain, at most the end of time.
fn time(secs: U256) -> Timestamp {
    Timestamp::from_secs(u64::try_from(secs).unwrap_or(u64::MAX))
}
